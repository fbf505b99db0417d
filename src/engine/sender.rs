//! The sender of one way: claim → re-check → render → record the attempts → send → hand the outcomes to the recorder.
//!
//! A batch never waits for the one before it: up to [`BATCHES`] are under way, and outcomes are recorded as they come. What cannot be
//! recorded is not sent: when the database fails, the gate closes until it takes writes again. While a provider is down, nothing but
//! what is critical and has another way is touched. What has not begun when a stop or a pause comes goes back to the queue.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::channel::outcome::Outcome;
use crate::channel::sms::WireSms;
use crate::domain::ladder::Way;
use crate::engine::breaker::Flow;
use crate::engine::earlier::{key_of, sent_before};
use crate::engine::live::Rules;
use crate::engine::mailers::{self, Sent};
use crate::engine::pace::{Pace, Slot, Slots};
use crate::engine::prepare::{Prepared, Ready, is_person, prepare};
use crate::engine::recorder::{Attempted, Ended, Recorder};
use crate::engine::resend::as_before;
use crate::engine::wire::Wire;
use crate::engine::{Engine, POLL};
use crate::lifecycle::Beat;
use crate::store::StoreError;
use crate::store::grounds::{Grounds, ToldBefore};
use crate::store::queue::{Begun, Claim, Lease, NewAttempt};
use crate::store::sent::Key;

/// E-mails claimed at once at the most.
const MAILS: i64 = 256;
/// SMS claimed at once at the most. Each batch costs three commits whatever its size; how many a crash leaves in doubt is limited by
/// what finds its lines in time (`engine::pace`), so that only a gateway as fast as that gets so many.
const SMS: i64 = 256;
/// Batches under way at once, so that one is rendered while another is on the wire.
const BATCHES: usize = 3;
/// Between two looks at the queue at the least.
const SHORTEST: Duration = Duration::from_millis(5);
/// Between two looks whether the first messages of a day have ended.
const SHORT: Duration = Duration::from_millis(100);
/// How long a claim is ours, in seconds.
const LEASE_S: i64 = 60;
/// Claims are prolonged this often while their batch is prepared: many digests take longer than a lease.
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// Before another look at a database that somebody else is writing.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// What one step took on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sending {
    pub claimed: usize,
    pub started: usize,
}

/// Sends one way's reminders until told to stop; then waits for what is under way.
pub async fn run(engine: Engine, way: Way, recorder: Recorder, beat: Beat, stop: CancellationToken) {
    let pace = Arc::new(Pace::new(most(way)));
    let slots = Slots::default();
    let (mut batches, mut probes) = (JoinSet::new(), JoinSet::new());
    loop {
        beat.now();
        while batches.try_join_next().is_some() {}
        if way == Way::Email {
            while probes.try_join_next().is_some() {}
            for probe in mailers::probes(&engine, engine.now()) {
                probes.spawn(probe);
            }
        }
        let mut pause = if has_room(&engine, way, batches.len(), slots.taken()) {
            pause_before_next(&engine, way).await
        } else {
            POLL
        };
        if pause.is_zero() && !stop.is_cancelled() {
            match claim(&engine, way, pace.size(), engine.clock.now()).await {
                Ok(Some(batch)) => {
                    let slot = slots.take(Arc::clone(&pace), batch.claimed.len(), engine.bells.of(way));
                    let (engine, recorder, stop) = (engine.clone(), recorder.clone(), stop.clone());
                    batches.spawn(async move {
                        if let Err(error) = send_batch(&engine, batch, &recorder, slot, &stop).await {
                            hold(&engine, &error).await;
                        }
                    });
                    continue;
                }
                // The outcomes of the first messages of the day are waited for.
                Ok(None) if engine.guard.room(way).is_some() => pause = SHORT,
                // Somebody else has it, or it has to be handled alone and another one is.
                Ok(None) => pause = BUSY_PAUSE,
                Err(error) => pause = hold(&engine, &error).await,
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = engine.bells.of(way).notified() => {}
            Some(_) = batches.join_next() => {}
            () = tokio::time::sleep(pause.clamp(SHORTEST, engine.poll())) => {}
        }
    }
    while batches.join_next().await.is_some() {}
}

/// The database failed: nothing more is claimed until the lookout finds that it takes writes again. One that is only busy is asked
/// again soon. Returns when to look again.
async fn hold(engine: &Engine, error: &StoreError) -> Duration {
    if error.is_busy() {
        warn!(error = %crate::telemetry::chain(error), "the database is busy; everything stays queued, trying again in a second");
        return BUSY_PAUSE;
    }
    error!(error = %crate::telemetry::chain(error), "the queue cannot be read or written; sending is on hold, everything stays queued");
    engine.gate.set_storage_fault(Some(crate::telemetry::chain(error)));
    engine.react(error).await;
    POLL
}

/// Whether another batch may be claimed. One that waits for nothing but answers does not count: a server that keeps a few messages
/// hanging must not keep the next ones from leaving by another. To see whether a provider is back, one message, and only when nothing
/// else is on its way there; the first messages of a day go in one batch, too.
fn has_room(engine: &Engine, way: Way, batches: usize, waiting: usize) -> bool {
    match flow(engine, way, engine.clock.now()) {
        Flow::Probe => batches == 0,
        Flow::Free | Flow::Until(_) if engine.guard.room(way).is_some() => batches == 0,
        Flow::Free | Flow::Until(_) => waiting < BATCHES,
    }
}

fn most(way: Way) -> i64 {
    if way == Way::Email { MAILS } else { SMS }
}

/// Zero when something may be claimed now.
async fn pause_before_next(engine: &Engine, way: Way) -> Duration {
    let now = engine.now();
    if engine.gate.closed(way).is_some() {
        return POLL;
    }
    let flow = flow(engine, way, now);
    let next = match flow {
        // A probe without a message is on its way, and rings the bell when it has come to an end.
        Flow::Probe if way == Way::Email => return POLL,
        Flow::Until(_) => engine.store.next_fallback(way).await,
        Flow::Free | Flow::Probe => engine.store.next_not_before(way).await,
    };
    let wait = |until: Timestamp| {
        Duration::try_from(until.duration_since(now))
            .unwrap_or(Duration::ZERO)
            .min(POLL)
    };
    match (next, flow) {
        (Ok(next), Flow::Until(until)) => next.map_or(POLL, wait).min(wait(until).max(SHORTEST)),
        (Ok(next), _) => next.map_or(POLL, wait),
        (Err(error), _) => hold(engine, &error).await,
    }
}

fn flow(engine: &Engine, way: Way, now: Timestamp) -> Flow {
    if way == Way::Email {
        engine.breakers.email.flow(now)
    } else {
        engine.breakers.sms.flow(now)
    }
}

/// What a way's provider said last, while none of them is trusted.
pub(crate) fn trouble(engine: &Engine, way: Way) -> Option<String> {
    if way == Way::Email {
        engine.breakers.email.trouble()
    } else {
        engine.breakers.sms.trouble()
    }
}

/// A claimed batch with the rules it will be judged by.
pub struct Batch {
    way: Way,
    rules: Arc<Rules>,
    claimed: Vec<crate::store::queue::Claimed>,
    /// Held while it is under way, by a batch of one that runs may have died over.
    alone: Option<tokio::sync::OwnedSemaphorePermit>,
}

async fn claim(engine: &Engine, way: Way, most: i64, now: Timestamp) -> Result<Option<Batch>, StoreError> {
    engine.know_the_day(now).await?;
    let most = engine
        .guard
        .room(way)
        .map_or(most, |room| most.min(i64::try_from(room).unwrap_or(most)));
    if most == 0 {
        return Ok(None);
    }
    let flow = flow(engine, way, now);
    let (claim, limit) = match flow {
        Flow::Free => (Claim::Due, most),
        // Mail servers are probed without a message, SMS gateways with any one.
        Flow::Probe if way == Way::Email => return Ok(None),
        Flow::Probe => (Claim::Probe, 1),
        Flow::Until(_) => (Claim::Fallback, most),
    };
    if let Ok(alone) = Arc::clone(&engine.alone).try_acquire_owned()
        && let Some(suspect) = engine
            .store
            .claim_suspect(way, claim, now, &engine.holder, lease_end(now))
            .await?
    {
        return Ok(Some(Batch {
            way,
            rules: engine.live.get(),
            claimed: vec![suspect],
            alone: Some(alone),
        }));
    }
    let claimed = engine
        .store
        .claim_due(way, claim, now, limit, &engine.holder, lease_end(now))
        .await?;
    Ok((!claimed.is_empty()).then(|| Batch {
        way,
        rules: engine.live.get(),
        claimed,
        alone: None,
    }))
}

fn lease_end(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(LEASE_S))
        .unwrap_or(Timestamp::MAX)
}

/// One whole turn: claims a batch, sends it and waits for its outcomes to be recorded. What the loop does, in a row.
pub async fn step(engine: &Engine, way: Way, recorder: &Recorder, now: Timestamp) -> Result<Sending, StoreError> {
    if engine.gate.closed(way).is_some() {
        return Ok(Sending::default());
    }
    if way == Way::Email {
        futures_util::future::join_all(mailers::probes(engine, now)).await;
    }
    let stepped = async {
        let Some(batch) = claim(engine, way, most(way), now).await? else {
            return Ok(Sending::default());
        };
        let claimed = batch.claimed.len();
        let slot = Slots::default().take(Arc::new(Pace::new(most(way))), claimed, engine.bells.of(way));
        let started = send_batch(engine, batch, recorder, slot, &CancellationToken::new()).await?;
        recorder.flush().await;
        Ok(Sending { claimed, started })
    }
    .await;
    if let Err(error) = &stepped {
        hold(engine, error).await;
    }
    stepped
}

/// Sends a batch. When it cannot be judged or recorded, nothing of it is sent and all of it goes back to the queue.
async fn send_batch(
    engine: &Engine,
    batch: Batch,
    recorder: &Recorder,
    mut slot: Slot,
    stop: &CancellationToken,
) -> Result<usize, StoreError> {
    let leases: Vec<Lease> = batch.claimed.iter().map(Lease::of).collect();
    let mut batch = batch;
    // Until its outcome is on its way to the recorder.
    let _alone = batch.alone.take();
    let leave = Leave {
        stop,
        recorded: engine.clock.steady(),
    };
    let start = start_batch(engine, batch, recorder);
    match meanwhile(start, RENEW_EVERY, || renew(engine, &leases)).await {
        Ok(Started { way, rules, going }) => {
            let count = going.len();
            slot.recorded();
            let slot = Arc::new(slot);
            // Boxed, because each is large and would be moved about by all that waits for it.
            let one = |ready| Box::pin(send_one(engine, &rules, way, ready, recorder, Arc::clone(&slot), leave));
            let sends: Vec<_> = going.into_iter().map(one).collect();
            drop(slot);
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

async fn renew(engine: &Engine, leases: &[Lease]) {
    // Left as it is, the lease ends and the batch is judged again: nothing is lost.
    let now = engine.clock.now();
    if let Err(error) = engine.store.renew(leases, now, lease_end(now)).await {
        warn!(error = %crate::telemetry::chain(&error), "claims cannot be prolonged");
    }
}

/// Does `work`, and `also` every so often as long as it takes.
async fn meanwhile<T, A>(work: impl Future<Output = T>, every: Duration, also: impl Fn() -> A) -> T
where
    A: Future<Output = ()>,
{
    let also = async {
        loop {
            tokio::time::sleep(every).await;
            also().await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        never = also => never,
    }
}

/// Messages whose attempts are recorded.
struct Started {
    way: Way,
    rules: Arc<Rules>,
    going: Vec<Ready>,
}

async fn start_batch(engine: &Engine, batch: Batch, recorder: &Recorder) -> Result<Started, StoreError> {
    let Batch {
        way, rules, claimed, ..
    } = batch;
    let now = engine.clock.now();
    let counting = if claimed.iter().any(|row| is_person(&row.recipient)) {
        Some(engine.told_count.lock().await)
    } else {
        None
    };
    engine.know_the_day(now).await?;
    let knows_earlier = engine.knows_earlier();
    let (before, claimed) = sent_before(engine, &rules, way, claimed, now).await?;
    let Prepared { settled, ready, told } = prepare(engine, &rules, way, claimed, now).await?;
    let mut ready = as_before(engine, &rules, way, ready, now).await?;
    let begun = begin(engine, way, &mut ready, (told, knows_earlier), now).await?;
    drop(counting);
    if begun.is_stale {
        engine.guard.reread();
        engine.read_switches().await?;
    }
    for settled in before.into_iter().chain(settled) {
        recorder.send(Ended::Settled(Box::new(settled))).await;
    }
    let (going, changed): (Vec<Ready>, Vec<Ready>) = ready
        .into_iter()
        .partition(|ready| begun.started.contains(&ready.attempt.id));
    for ready in changed {
        // The case changed between the judgement and the attempt, or the lease has run down: judge it again.
        recorder.send(Ended::Again(Lease::of(&ready.claimed))).await;
    }
    let going = note_in_log(engine, recorder, way, begun.serial, going).await;
    Ok(Started { way, rules, going })
}

/// Notes outside the database that these are about to leave. What cannot be noted there does not leave either.
async fn note_in_log(engine: &Engine, recorder: &Recorder, way: Way, serial: i64, going: Vec<Ready>) -> Vec<Ready> {
    if going.is_empty() {
        return going;
    }
    let keys: Vec<Key> = going.iter().map(|ready| key_of(&ready.claimed, way)).collect();
    let log = Arc::clone(&engine.sent);
    let now = engine.clock.now();
    let noted = tokio::task::spawn_blocking(move || log.starting(now, serial, &keys)).await;
    let Err(error) = noted.unwrap_or_else(|error| Err(std::io::Error::other(error))) else {
        return going;
    };
    error!(
        "what is about to leave cannot be noted in {}: {error}; sending is on hold",
        engine.sent.path().display()
    );
    engine.gate.set_storage_fault(Some(format!("sent.log: {error}")));
    engine.react_to_log(&error).await;
    for Ready {
        claimed,
        attempt,
        place,
        ..
    } in going
    {
        if place.is_some() {
            engine.guard.ended(way, None);
        }
        let now = engine.clock.now();
        recorder
            .send(Ended::NotBegun {
                claimed: Box::new(claimed),
                attempt,
                way,
                noted: false,
                now,
            })
            .await;
    }
    Vec::new()
}

/// Records the attempts, and what they add to the counts of the guard. Those that start keep their places there.
async fn begin(
    engine: &Engine,
    way: Way,
    ready: &mut [Ready],
    (told, knows_earlier): (ToldBefore, bool),
    now: Timestamp,
) -> Result<Begun, StoreError> {
    if ready.is_empty() {
        return Ok(Begun::default());
    }
    let judged = |ready: &Ready| NewAttempt {
        judged_ms: Some(now.as_millisecond()),
        ..ready.attempt.clone()
    };
    let attempts: Vec<NewAttempt> = ready.iter().map(judged).collect();
    let counted = ready.iter().filter_map(|ready| {
        let counted = ready.place.as_ref()?.counted().clone();
        Some((ready.claimed.id.clone(), counted))
    });
    let recipients = ready.iter().filter(|ready| is_person(&ready.claimed.recipient));
    let recipients = recipients.map(|ready| (ready.claimed.id.clone(), ready.claimed.recipient.clone()));
    let grounds = Grounds {
        day: engine.guard.day(),
        counted: counted.collect(),
        bounds: engine.guard.bounds(),
        recipients: recipients.collect(),
        told,
        knows_earlier,
    };
    // By the time of now, not of the judgement: a lease may have run down while many were rendered.
    let at = engine.clock.now();
    let begun = engine.store.begin_counted(way, &attempts, &grounds, at).await?;
    for ready in ready
        .iter_mut()
        .filter(|ready| begun.started.contains(&ready.attempt.id))
    {
        if let Some(place) = &mut ready.place {
            place.begun();
        }
    }
    Ok(begun)
}

/// What lets a message go on the wire whose attempt is recorded.
#[derive(Clone, Copy)]
pub(crate) struct Leave<'a> {
    stop: &'a CancellationToken,
    /// Before this instant of the steady clock it was not recorded.
    recorded: Duration,
}

impl Leave<'_> {
    /// A stop or a pause has come, or other nodes may have taken the message for one of a dead node.
    pub(crate) fn is_over(self, engine: &Engine, way: Way) -> bool {
        let gate = &engine.gate;
        self.stop.is_cancelled() || gate.closed(way).is_some() || !gate.has_lived_since(self.recorded)
    }
}

async fn send_one(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    ready: Ready,
    recorder: &Recorder,
    slot: Arc<Slot>,
    leave: Leave<'_>,
) {
    let Ready {
        claimed,
        attempt,
        wire,
        context,
        place,
    } = ready;
    // A fault of this program must not take the rest of the batch along.
    let sent = AssertUnwindSafe(try_once(engine, rules, way, &wire, slot, leave))
        .catch_unwind()
        .await;
    let sent = sent.unwrap_or_else(|_| {
        error!(reminder.id = %claimed.id, "sending reminder {} failed inside the program", claimed.id);
        let outcome = Outcome::Uncertain {
            reason:
                "发送时程序出错,不知是否已发出 / sending failed inside the program; nobody knows whether it went out"
                    .to_owned(),
        };
        Some(Sent { outcome, by: None })
    });
    let Some(Sent { outcome, by }) = sent else {
        if place.is_some() {
            engine.guard.ended(way, None);
        }
        let (claimed, now) = (Box::new(claimed), engine.clock.now());
        recorder
            .send(Ended::NotBegun {
                claimed,
                attempt,
                way,
                noted: true,
                now,
            })
            .await;
        return;
    };
    let ended = Attempted {
        claimed,
        attempt,
        context,
        outcome,
        by,
        now: engine.clock.now(),
    };
    recorder.send(Ended::Attempt(Box::new(ended))).await;
}

/// One attempt, unless the provider has turned out to be down while this message waited for a line. Nothing was tried when a stop or
/// a pause has come in the meantime: that is nobody's fault.
async fn try_once(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    wire: &Wire,
    slot: Arc<Slot>,
    leave: Leave<'_>,
) -> Option<Sent> {
    let sms = match wire {
        Wire::Mail(mail) => return mailers::send(engine, rules, mail, || drop(slot), leave).await,
        Wire::Sms(sms) => sms,
    };
    let line = match &rules.channels.sms {
        Some(gateway) => Some((gateway, gateway.line(sms).await)),
        None => None,
    };
    drop(slot);
    if leave.is_over(engine, way) {
        return None;
    }
    let breaker = &engine.breakers.sms;
    let unsent = |reason: &str| {
        let outcome = Outcome::provider_down(reason.to_owned());
        Some(Sent { outcome, by: None })
    };
    if matches!(breaker.flow(engine.clock.now()), Flow::Until(_)) {
        return unsent("服务商暂时不可用,稍后再试 / the provider is down; it will be tried again");
    }
    let outcome = match line {
        Some((gateway, line)) => Box::pin(gateway.send_on(line, sms)).await,
        None => return unsent("未配置此渠道 / this channel is not configured"),
    };
    let now = engine.clock.now();
    let fault = match &outcome {
        // Whoever does not say what became of one message is not given the next thousand.
        Outcome::Uncertain { reason } => Some(reason.as_str()),
        outcome => outcome.provider_fault(),
    };
    // One of several gateways is in trouble: that is its own affair, as long as another takes the message.
    if fault.is_some() && has_another(rules, sms) {
        return Some(Sent { outcome, by: None });
    }
    match fault {
        Some(reason) if breaker.fault(now, reason) => warn!(
            way = way.name(),
            "the {} provider takes nothing; pausing it for a minute",
            way.name()
        ),
        Some(_) => {}
        None => breaker.answered(),
    }
    Some(Sent { outcome, by: None })
}

fn has_another(rules: &Rules, sms: &WireSms) -> bool {
    let gateway = rules.channels.sms.as_ref();
    gateway.is_some_and(|gateway| gateway.has_another(sms))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn claims_are_prolonged_well_before_they_end_as_long_as_their_batch_is_prepared() {
        let renewed = Cell::new(0);
        let work = async {
            tokio::time::sleep(Duration::from_secs(200)).await;
            "done"
        };
        let done = meanwhile(work, RENEW_EVERY, || async { renewed.set(renewed.get() + 1) }).await;
        assert_eq!((done, renewed.get()), ("done", 13));
    }
}
