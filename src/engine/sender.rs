//! The sender of one way: claim → re-check → render → record the attempts → send → hand the outcomes to the recorder.
//!
//! A batch never waits for the one before it: up to [`BATCHES`] are under way, and outcomes are recorded as they come. What cannot be
//! recorded is not sent.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::channel::outcome::Outcome;
use crate::domain::ladder::Way;
use crate::engine::breaker::{Breaker, Flow};
use crate::engine::live::Rules;
use crate::engine::prepare::{Prepared, Ready, Wire, prepare};
use crate::engine::recorder::{Ended, Recorder};
use crate::engine::{Engine, POLL};
use crate::lifecycle::Beat;
use crate::store::StoreError;
use crate::store::queue::{Lease, NewAttempt};

/// E-mails claimed at once.
const MAILS: i64 = 256;
/// SMS claimed at once: few, because after a crash each of them is in doubt.
const SMS: i64 = 32;
/// Batches under way at once, so that one is rendered while another is on the wire.
const BATCHES: usize = 3;
/// How long a claim is ours, in seconds.
const LEASE_S: i64 = 60;

/// What one step took on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sending {
    pub claimed: usize,
    pub started: usize,
}

/// Sends one way's reminders until told to stop; then waits for what is under way.
pub async fn run(engine: Engine, way: Way, recorder: Recorder, beat: Beat, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(BATCHES));
    let mut batches = JoinSet::new();
    loop {
        beat.now();
        while batches.try_join_next().is_some() {}
        let pause = pause_before_next(&engine, way).await;
        if pause.is_zero() && !stop.is_cancelled() {
            let Some(slot) = free_slot(&slots, &beat, &stop).await else {
                break;
            };
            let (engine, recorder) = (engine.clone(), recorder.clone());
            match claim(&engine, way, engine.clock.now()).await {
                Ok(Some(batch)) => {
                    batches.spawn(async move {
                        if let Err(error) = send_batch(&engine, batch, &recorder).await {
                            error!(error = %crate::telemetry::chain(&error), "a batch was not sent; it stays queued");
                            engine.note_store_error(&error);
                        }
                        drop(slot);
                    });
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    error!(error = %crate::telemetry::chain(&error), "cannot claim reminders");
                    engine.note_store_error(&error);
                }
            }
        }
        let bell = if way == Way::Email {
            &engine.bells.email
        } else {
            &engine.bells.sms
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = bell.notified() => {}
            () = tokio::time::sleep(pause.max(Duration::from_millis(5))) => {}
        }
    }
    while batches.join_next().await.is_some() {}
}

/// A free slot; `None` when told to stop. While a slow provider holds all of them, the loop still shows that it comes round: the
/// watchdog must not end a process for the fault of a mail server.
async fn free_slot(slots: &Arc<Semaphore>, beat: &Beat, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    let mut free = pin!(Arc::clone(slots).acquire_owned());
    loop {
        tokio::select! {
            slot = &mut free => return slot.ok(),
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(POLL) => beat.now(),
        }
    }
}

/// Zero when something may be claimed now.
async fn pause_before_next(engine: &Engine, way: Way) -> Duration {
    let now = engine.clock.now();
    if engine.gate.closed(way).is_some() {
        return POLL;
    }
    let wait = |until: Timestamp| {
        Duration::try_from(until.duration_since(now))
            .unwrap_or(Duration::ZERO)
            .min(POLL)
    };
    if let Flow::Until(until) = breaker(engine, way).flow(now) {
        return wait(until).max(Duration::from_millis(1));
    }
    match engine.store.next_not_before(way).await {
        Ok(next) => next.map_or(POLL, wait),
        Err(error) => {
            error!(error = %crate::telemetry::chain(&error), "cannot read the queue");
            Duration::from_secs(1)
        }
    }
}

pub(crate) fn breaker(engine: &Engine, way: Way) -> &Breaker {
    if way == Way::Email {
        &engine.breakers.email
    } else {
        &engine.breakers.sms
    }
}

/// A claimed batch with the rules it will be judged by.
pub struct Batch {
    way: Way,
    rules: Arc<Rules>,
    claimed: Vec<crate::store::queue::Claimed>,
}

async fn claim(engine: &Engine, way: Way, now: Timestamp) -> Result<Option<Batch>, StoreError> {
    let limit = match breaker(engine, way).flow(now) {
        Flow::Free if way == Way::Email => MAILS,
        Flow::Free => SMS,
        Flow::Probe => 1,
        Flow::Until(_) => return Ok(None),
    };
    let lease_until = now
        .checked_add(SignedDuration::from_secs(LEASE_S))
        .unwrap_or(Timestamp::MAX);
    let claimed = engine
        .store
        .claim_due(way, now, limit, &engine.holder, lease_until)
        .await?;
    Ok((!claimed.is_empty()).then(|| Batch {
        way,
        rules: engine.live.get(),
        claimed,
    }))
}

/// One whole turn: claims a batch, sends it and waits for its outcomes to be recorded. What the loop does, in a row.
pub async fn step(engine: &Engine, way: Way, recorder: &Recorder, now: Timestamp) -> Result<Sending, StoreError> {
    if engine.gate.closed(way).is_some() {
        return Ok(Sending::default());
    }
    let Some(batch) = claim(engine, way, now).await? else {
        return Ok(Sending::default());
    };
    let claimed = batch.claimed.len();
    let started = send_batch(engine, batch, recorder).await?;
    recorder.flush().await;
    Ok(Sending { claimed, started })
}

/// Sends a batch. When it cannot be judged or recorded, nothing of it is sent and all of it goes back to the queue.
async fn send_batch(engine: &Engine, batch: Batch, recorder: &Recorder) -> Result<usize, StoreError> {
    let leases: Vec<Lease> = batch.claimed.iter().map(Lease::of).collect();
    match start_batch(engine, batch, recorder).await {
        Ok(Started { way, rules, going }) => {
            let count = going.len();
            let sends = going
                .into_iter()
                .map(|ready| send_one(engine, &rules, way, ready, recorder));
            futures_util::future::join_all(sends).await;
            Ok(count)
        }
        Err(error) => {
            for lease in leases {
                recorder.send(Ended::Again(lease)).await;
            }
            Err(error)
        }
    }
}

/// Messages whose attempts are recorded.
struct Started {
    way: Way,
    rules: Arc<Rules>,
    going: Vec<Ready>,
}

async fn start_batch(engine: &Engine, batch: Batch, recorder: &Recorder) -> Result<Started, StoreError> {
    let Batch { way, rules, claimed } = batch;
    let now = engine.clock.now();
    let counting = if way == Way::Sms {
        Some(engine.sms_count.lock().await)
    } else {
        None
    };
    let Prepared { settled, ready } = prepare(engine, &rules, way, claimed, now).await?;
    let attempts: Vec<NewAttempt> = ready.iter().map(|ready| ready.attempt.clone()).collect();
    let started = if attempts.is_empty() {
        HashSet::new()
    } else {
        engine.store.begin_attempts(way, &attempts, now).await?
    };
    drop(counting);
    for settled in settled {
        recorder.send(Ended::Settled(settled)).await;
    }
    let (going, changed): (Vec<Ready>, Vec<Ready>) =
        ready.into_iter().partition(|ready| started.contains(&ready.attempt.id));
    for ready in changed {
        // The case changed between the judgement and the attempt: judge it again.
        recorder.send(Ended::Again(Lease::of(&ready.claimed))).await;
    }
    Ok(Started { way, rules, going })
}

async fn send_one(engine: &Engine, rules: &Rules, way: Way, ready: Ready, recorder: &Recorder) {
    let Ready {
        claimed,
        attempt,
        wire,
        context,
    } = ready;
    let breaker = breaker(engine, way);
    let outcome = if matches!(breaker.flow(engine.clock.now()), Flow::Until(_)) {
        Outcome::provider_down("服务商暂时不可用,稍后再试 / the provider is down; it will be tried again".to_owned())
    } else {
        match (&wire, &rules.channels.mail, &rules.channels.sms) {
            (Wire::Mail(mail), Some(channel), _) => channel.send(mail).await,
            (Wire::Sms(sms), _, Some(gateway)) => gateway.send(sms).await,
            _ => Outcome::provider_down("未配置此渠道 / this channel is not configured".to_owned()),
        }
    };
    let now = engine.clock.now();
    match outcome.provider_fault() {
        Some(reason) => {
            if breaker.fault(now, reason) {
                warn!(
                    way = way.name(),
                    "the {} provider takes nothing; pausing it for a minute",
                    way.name()
                );
            }
        }
        None => breaker.answered(),
    }
    recorder
        .send(Ended::Attempt(Box::new(crate::engine::recorder::Attempted {
            claimed,
            attempt,
            context,
            outcome,
            now,
        })))
        .await;
}
