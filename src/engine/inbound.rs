//! What comes back from gateways. First it is kept, durably, and only then acknowledged; then it is handled, once.
//!
//! A report is advisory: it moves an attempt forward (`domain::delivery`), it never cancels a reminder or closes a task. One that comes
//! before the outcome it is about waits for it. A message from a phone is handed to the desk (`engine::replies`).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::channel::sms::{Arrival, Arrived, Incoming, Report, SmsGateway};
use crate::domain::delivery::Fate;
use crate::domain::event::Event;
use crate::domain::ids::{CaseId, ReminderId};
use crate::domain::ladder::{Priority, Way};
use crate::domain::reminder::{Recipient, State};
use crate::domain::text::Said;
use crate::engine::instead::another_way;
use crate::engine::live::Rules;
use crate::engine::prepare::{context, queued};
use crate::engine::{Engine, joining, replies};
use crate::lifecycle::Beat;
use crate::store::fate::{Moved, note_fate};
use crate::store::inbound::{Inbound, MATCH_WITHIN, NewInbound, attempt_of, mark_handled, may_be_about_another};
use crate::store::reminders::NewReminder;
use crate::store::{StoreError, commit, events, instant_of, log_unreadable, reminders};

/// Handled in one step at the most.
const BATCH: i64 = 200;
/// Between two looks when nothing rings.
const POLL: Duration = Duration::from_secs(5);
/// A report whose message is not known yet is tried again so often.
const AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// A report, and a message without a name of its own, is the same when it comes again within this time.
const SAME_WITHIN_MS: i64 = 10 * 60 * 1000;
const ACTOR: &str = "xixin";

/// As it is kept until it is handled.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    Report {
        reference: Option<String>,
        id: Option<String>,
        fate: String,
        code: Option<String>,
    },
    Message {
        from: String,
        text: String,
    },
    Part {
        from: String,
        total: u8,
        number: u8,
        /// As it came over the air, in hexadecimal.
        data: String,
        is_ucs2: bool,
    },
}

impl Kept {
    pub(super) fn body(&self) -> String {
        serde_json::to_string(self).expect("plain structures always serialise")
    }
}

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Handled {
    pub handled: usize,
    /// Left for later.
    pub waiting: usize,
    /// Messages whose report did not come in time.
    pub overdue: usize,
}

/// Keeps what came by a gateway. When this returns, it may be acknowledged.
pub async fn keep(engine: &Engine, gateway: &str, arrivals: &[Arrival], now: Timestamp) -> Result<(), StoreError> {
    let new: Vec<NewInbound> = arrivals
        .iter()
        .filter_map(|arrival| kept(gateway, arrival, now))
        .collect();
    if !new.is_empty() {
        engine.store.keep_inbound(&new, now).await?;
        engine.bells.inbound.notify_one();
    }
    Ok(())
}

/// Nothing for a report that says nothing yet.
fn kept(gateway: &str, arrival: &Arrival, now: Timestamp) -> Option<NewInbound> {
    let slot = now.as_millisecond().div_euclid(SAME_WITHIN_MS);
    let (id, kept) = match arrival {
        Arrival::Report(Report {
            reference,
            id,
            fate,
            code,
        }) => {
            let (fate, name) = ((*fate)?.name(), reference.as_ref().or(id.as_ref())?);
            let kept = Kept::Report {
                reference: reference.clone(),
                id: id.clone(),
                fate: fate.to_owned(),
                code: code.clone(),
            };
            // A centre may begin its names anew. What comes again in a later slot finds its message moved already.
            (format!("sms:{gateway}:report:{name}:{fate}:{slot}"), kept)
        }
        Arrival::Message(Incoming { from, text, id }) => {
            let name = id.clone().unwrap_or_else(|| format!("{slot}:{text}"));
            // Neither the number nor the text stands in a name that is kept.
            let name = hex::encode(Sha256::digest(format!("{from}\n{name}")));
            let kept = Kept::Message {
                from: from.clone(),
                text: text.clone(),
            };
            (format!("sms:{gateway}:message:{name}"), kept)
        }
        Arrival::Part(part) => (joining::id(gateway, part), Kept::of_part(part)),
    };
    Some(NewInbound {
        id,
        provider: gateway.to_owned(),
        body: kept.body(),
    })
}

/// Takes what comes over open lines and handles what has been kept, until told to stop.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) {
    loop {
        beat.now();
        match step(&engine, engine.clock.now()).await {
            Ok(handled) if handled.handled as i64 == BATCH => continue,
            Ok(_) => {}
            Err(error) => {
                error!(error = %crate::telemetry::chain(&error), "what came in cannot be handled now");
                engine.note_store_error(&error).await;
            }
        }
        let rules = engine.live.get();
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.bells.inbound.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            (gateway, arrived) = next_of(&rules) => take(&engine, &gateway, arrived).await,
        }
    }
}

async fn next_of(rules: &Rules) -> (std::sync::Arc<str>, Arrived) {
    match &rules.channels.sms {
        Some(SmsGateway::Several(gateways)) => gateways.next().await,
        _ => std::future::pending().await,
    }
}

/// What is not kept is not acknowledged, so that it comes again.
async fn take(engine: &Engine, gateway: &str, arrived: Arrived) {
    let Arrived { arrival, stored } = arrived;
    match keep(engine, gateway, &[arrival], engine.clock.now()).await {
        // The line may have broken; then it comes again and changes nothing.
        Ok(()) => drop(stored.send(())),
        Err(error) => error!(error = %crate::telemetry::chain(&error), "what came in cannot be kept; it comes again"),
    }
}

/// Handles what waits, and notes whose report did not come.
pub async fn step(engine: &Engine, now: Timestamp) -> Result<Handled, StoreError> {
    let mut done = Handled::default();
    for waiting in engine.store.inbound_waiting(now, BATCH).await? {
        let handled = match handle(engine, &waiting, now).await {
            // What is wrong with one case or one person keeps nobody else's answer waiting.
            Err(error @ (StoreError::Corrupt { .. } | StoreError::Erased { .. })) => {
                log_unreadable(&error);
                false
            }
            handled => handled?,
        };
        if handled {
            done.handled += 1;
        } else {
            engine.store.look_again(&waiting.id, later(&waiting, now)).await?;
            done.waiting += 1;
        }
    }
    done.overdue = engine.store.overdue_receipts(now, BATCH).await?.len();
    Ok(done)
}

/// Soon at first, then more seldom.
fn later(waiting: &Inbound, now: Timestamp) -> Timestamp {
    let age = SignedDuration::from_millis(now.as_millisecond() - waiting.received_ms);
    now.checked_add((age / 4).max(AGAIN)).unwrap_or(Timestamp::MAX)
}

async fn handle(engine: &Engine, waiting: &Inbound, now: Timestamp) -> Result<bool, StoreError> {
    match serde_json::from_str(&engine.store.inbound_body(waiting).await?) {
        Ok(Kept::Report {
            reference,
            id,
            fate,
            code,
        }) => {
            let names = (reference.as_deref(), id.as_deref());
            report(engine, waiting, names, Fate::parse(&fate), code.as_deref(), now).await
        }
        Ok(Kept::Part { .. }) => joining::handle(engine, waiting, now).await,
        Ok(Kept::Message { from, text }) => replies::handle(engine, &waiting.id, &from, &text, now).await,
        Err(_) => {
            warn!(
                "something that came in by {} cannot be read; it is left aside",
                waiting.provider
            );
            finish(engine, &waiting.id, now).await
        }
    }
}

/// An SMS from a number that no case knows.
pub struct Stranger {
    id: String,
    pub gateway: String,
    pub from: String,
    pub text: String,
    pub received: Timestamp,
}

impl Stranger {
    /// The end of its name, which is random enough for people to type.
    pub fn short(&self) -> &str {
        &self.id[self.id.len().saturating_sub(8)..]
    }
}

impl Engine {
    /// SMS that wait for a person to look at them, the oldest first. Whoever shows them has noted who looks.
    pub async fn strangers(&self) -> Result<Vec<Stranger>, StoreError> {
        let kept = self.store.inbound_for_people(BATCH).await?;
        let strangers = kept
            .into_iter()
            .filter_map(|one| match serde_json::from_str(&one.body) {
                Ok(Kept::Message { from, text }) => Some(Stranger {
                    received: instant_of(one.received_ms),
                    gateway: one.provider,
                    id: one.id,
                    from,
                    text: replies::shown(&text),
                }),
                _ => None,
            });
        Ok(strangers.collect())
    }

    /// Somebody has dealt with it.
    pub async fn stranger_done(&self, stranger: &Stranger) -> Result<(), StoreError> {
        finish(self, &stranger.id, self.clock.now()).await.map(drop)
    }
}

async fn finish(engine: &Engine, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let mut tx = engine.store.begin().await?;
    mark_handled(&mut tx, id, now).await?;
    commit(tx, "note what has been handled").await?;
    Ok(true)
}

async fn report(
    engine: &Engine,
    waiting: &Inbound,
    (reference, id): (Option<&str>, Option<&str>),
    fate: Option<Fate>,
    code: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let rules = engine.live.get();
    let mut tx = engine.store.begin().await?;
    let is_stale = now.as_millisecond() - waiting.received_ms > MATCH_WITHIN.as_millis() as i64;
    let found = attempt_of(&mut tx, waiting, reference, id).await?;
    let (Some((attempt, outcome)), Some(fate)) = (found, fate) else {
        if is_stale || fate.is_none() {
            info!("a report by {} is about no message of ours", waiting.provider);
            mark_handled(&mut tx, &waiting.id, now).await?;
            commit(tx, "note what has been handled").await?;
            return Ok(true);
        }
        return Ok(false);
    };
    // It came before the answer it follows from.
    if outcome == Fate::Attempting.name() {
        return Ok(false);
    }
    // It tells nothing new of the one that is known by this name: a copy, or the first of one that is not known by it yet.
    let is_news = Fate::parse(&outcome).is_some_and(|known| known.after(fate).is_some());
    if !is_news && !is_stale && may_be_about_another(&mut tx, waiting).await? {
        return Ok(false);
    }
    if !mark_handled(&mut tx, &waiting.id, now).await? {
        return Ok(true);
    }
    let reason = (fate == Fate::Bounced).then(|| not_delivered(code));
    let text = reason.as_ref().map(ToString::to_string);
    let moved = note_fate(&mut tx, &attempt, fate, text.as_deref(), now).await?;
    if let (Some(moved), Some(said)) = (moved, reason) {
        let rows = instead(engine, &rules, &moved, &said, now).await?;
        if moved.state.is_some() && !moved.row.case_id.is_empty() {
            let (case, reminder) = (
                CaseId::from(moved.row.case_id.as_str()),
                ReminderId::from(moved.row.id.as_str()),
            );
            match events::append(&mut tx, now, &case, ACTOR, &[Event::MessageRefused { reminder }]).await {
                // Nothing more is written down about somebody who was erased.
                Err(StoreError::Erased { .. }) => {}
                written => written?,
            }
        }
        reminders::add(&mut tx, &rows.iter().collect::<Vec<_>>()).await?;
    }
    commit(tx, "note a report").await?;
    engine.bells.ring_senders();
    Ok(true)
}

fn not_delivered(code: Option<&str>) -> Said {
    let code = code.map(|code| format!("({code})")).unwrap_or_default();
    Said::new(
        format!("短信未送达{code}"),
        format!("the SMS was not delivered {code}").trim_end().to_owned(),
    )
}

/// What cannot wait goes on: to a call for residents and relatives, by their other ways for staff.
async fn instead(
    engine: &Engine,
    rules: &Rules,
    moved: &Moved,
    said: &Said,
    now: Timestamp,
) -> Result<Vec<NewReminder>, StoreError> {
    let row = &moved.row;
    if moved.state != Some(State::Bounced) || row.priority < Priority::Urgent as i64 || row.case_id.is_empty() {
        return Ok(Vec::new());
    }
    let case = CaseId::from(row.case_id.as_str());
    let stored = match engine.store.case(&case).await {
        // They have asked to be forgotten: nobody calls them.
        Err(StoreError::Erased { .. }) => None,
        stored => stored?,
    };
    let (Some(stored), Some(queued)) = (stored, queued(row, Way::Sms)) else {
        return Ok(Vec::new());
    };
    let context = context(rules, &stored.case, row, &queued, now);
    let ways = if matches!(context.recipient, Recipient::Person(_)) {
        ""
    } else {
        &row.fallback
    };
    Ok(another_way(row, &context, said, ways, now))
}
