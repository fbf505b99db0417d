//! Records go when their period is over, a little every night. An open case, and a closed one of which anything may still come, is
//! never touched; the clock has to be beyond doubt. Everything that goes leaves a proof in the chain of events.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::settings::Retention;
use crate::domain::event::Event;
use crate::domain::house::{House, Kept};
use crate::domain::ids::CaseId;
use crate::domain::ladder::Way;
use crate::domain::milestone::instant;
use crate::engine::Engine;
use crate::store::keys::destroy_keys;
use crate::store::retention::{self, Gone};
use crate::store::{StoreError, blank, commit, events, requests, runs, sent};
use crate::telemetry::chain;

const SCHEDULE: &str = "retention";
/// When the day's run begins, in the zone of the halls: nobody works, and backups of the night before are done.
const AT: Time = Time::constant(3, 30, 0, 0);
/// Between two looks whether it is time.
const LOOK: Duration = Duration::from_secs(60);
/// So many rows go in one transaction.
const BATCH: i64 = 500;
/// So long a request is known by its key: whoever tries again does so within a day.
const REQUESTS: SignedDuration = SignedDuration::from_hours(48);
/// More of one kind are not counted for a preview.
pub const PREVIEW_MAX: i64 = 100_000;
/// Who takes away what nobody asked for.
const ACTOR: &str = "xixin";

/// How many rows of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub closed_cases: u64,
    pub deliveries: u64,
    pub inbound: u64,
    pub inbox: u64,
    pub access: u64,
}

impl Counts {
    pub fn total(&self) -> u64 {
        self.closed_cases + self.deliveries + self.inbound + self.inbox + self.access
    }

    pub fn each(&self) -> [(Kept, u64); 5] {
        [
            (Kept::ClosedCases, self.closed_cases),
            (Kept::Deliveries, self.deliveries),
            (Kept::Inbound, self.inbound),
            (Kept::Inbox, self.inbox),
            (Kept::Access, self.access),
        ]
    }
}

/// The days of each kind.
pub fn days_of(periods: &Retention, kept: Kept) -> u32 {
    match kept {
        Kept::ClosedCases => periods.closed_cases_days,
        Kept::Deliveries => periods.deliveries_days,
        Kept::Inbound => periods.inbound_days,
        Kept::Inbox => periods.inbox_days,
        Kept::Access => periods.access_days,
    }
}

/// Up to when records of a kind go; with 0 days they are kept for ever.
fn before(periods: &Retention, kept: Kept, now: Timestamp) -> Timestamp {
    match days_of(periods, kept) {
        0 => Timestamp::MIN,
        days => now
            .checked_sub(SignedDuration::from_hours(24 * i64::from(days)))
            .unwrap_or(Timestamp::MIN),
    }
}

/// What a run would take away now.
pub async fn preview(engine: &Engine, now: Timestamp) -> Result<Counts, StoreError> {
    let rules = engine.live.get();
    let periods = &rules.settings.retention;
    let before = |kept| before(periods, kept, now);
    let cases = engine
        .store
        .old_cases(before(Kept::ClosedCases), "", PREVIEW_MAX)
        .await?;
    let bounds = [Kept::Deliveries, Kept::Inbound, Kept::Inbox, Kept::Access].map(before);
    let [deliveries, inbound, inbox, access] = engine.store.old_rows(bounds, PREVIEW_MAX).await?;
    Ok(Counts {
        closed_cases: cases.len() as u64,
        deliveries,
        inbound,
        inbox,
        access,
    })
}

/// Once a day, when its time has come and nothing is in doubt. Returns what went.
pub async fn step(engine: &Engine, now: Timestamp) -> Result<Counts, StoreError> {
    let rules = engine.live.get();
    let book = &rules.rulebook;
    let today = book.zone.to_datetime(now).date();
    let all_held = [Way::Email, Way::Sms]
        .iter()
        .all(|way| engine.gate.closed(*way).is_some());
    let slot = today.to_string();
    if now < instant(today, AT, &book.zone) || engine.gate.time_in_doubt() || all_held {
        return Ok(Counts::default());
    }
    // The database is everybody's; the log is this node's own.
    let own = format!("{SCHEDULE}:sent.log:{}", engine.store.node());
    if engine.node.is_some() && claim(engine, &own, &slot, now).await? {
        compact_log(engine).await;
    }
    if !claim(engine, SCHEDULE, &slot, now).await? {
        return Ok(Counts::default());
    }
    match engine.node {
        None => compact_log(engine).await,
        Some(_) => engine.forget_earlier(now).await?,
    }
    run(engine, ACTOR, now).await
}

async fn claim(engine: &Engine, schedule: &str, slot: &str, now: Timestamp) -> Result<bool, StoreError> {
    if engine.store.is_claimed(schedule, slot).await? {
        return Ok(false);
    }
    let mut tx = engine.store.begin().await?;
    let is_ours = runs::claim_slot(&mut tx, schedule, slot, now, &engine.holder).await?;
    commit(tx, "claim the day's purge").await?;
    Ok(is_ours)
}

/// Takes out of `sent.log` what no backup needs that may still be restored.
async fn compact_log(engine: &Engine) {
    let days = engine.live.get().settings.retention.sent_log_days;
    let log = Arc::clone(&engine.sent);
    let done = tokio::task::spawn_blocking(move || log.compact(days)).await;
    match done.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(0) => {}
        Ok(bytes) => info!(bytes, "sent.log has lost {bytes} bytes that no backup needs"),
        Err(error) if sent::is_sync_failure(&error) => engine.react_to_log(&error).await,
        Err(error) => warn!("sent.log cannot be made smaller: {error}; it stays as it is"),
    }
}

/// Takes everything away whose period is over, in small transactions. What an interrupted run has left, the next takes.
pub async fn run(engine: &Engine, actor: &str, now: Timestamp) -> Result<Counts, StoreError> {
    let mut tx = engine.store.begin().await?;
    requests::forget(&mut tx, now.checked_sub(REQUESTS).unwrap_or(Timestamp::MIN)).await?;
    commit(tx, "forget old requests").await?;
    let closed_cases = run_cases(engine, actor, now).await?;
    let mut counts = Counts {
        closed_cases,
        ..Counts::default()
    };
    counts.deliveries = run_rows(engine, actor, Kept::Deliveries, now).await?;
    counts.inbound = run_rows(engine, actor, Kept::Inbound, now).await?;
    counts.inbox = run_rows(engine, actor, Kept::Inbox, now).await?;
    counts.access = run_rows(engine, actor, Kept::Access, now).await?;
    Ok(counts)
}

async fn run_cases(engine: &Engine, actor: &str, now: Timestamp) -> Result<u64, StoreError> {
    let rules = engine.live.get();
    let before = before(&rules.settings.retention, Kept::ClosedCases, now);
    let (mut after, mut done) = (String::new(), 0);
    loop {
        let mut tx = engine.store.begin().await?;
        let (gone, old) = retention::take_cases(&mut tx, before, &after, BATCH).await?;
        let Some(last) = old.last() else { return Ok(done) };
        after.clone_from(&last.id);
        let residents: Vec<&str> = old.iter().map(|case| case.resident.as_str()).collect();
        let alone = retention::without_case(&mut tx, &residents).await?;
        for resident in &alone {
            destroy_keys(&mut tx, resident, now).await?;
        }
        retention::take_people(&mut tx, &alone).await?;
        let ids: Vec<CaseId> = old.iter().map(|case| CaseId::from(case.id.as_str())).collect();
        blank::blank_cases(&mut tx, &ids.iter().collect::<Vec<_>>(), actor, now).await?;
        prove(engine, &mut tx, Kept::ClosedCases, &gone, actor, now).await?;
        commit(tx, "take old cases away").await?;
        done += gone.rows;
    }
}

async fn run_rows(engine: &Engine, actor: &str, kept: Kept, now: Timestamp) -> Result<u64, StoreError> {
    let rules = engine.live.get();
    let before = before(&rules.settings.retention, kept, now);
    let mut done = 0;
    loop {
        let mut tx = engine.store.begin().await?;
        let rows = match kept {
            // Proved by itself: its rows stay in the chain.
            Kept::Access => {
                let rows = blank::blank_access(&mut tx, before, BATCH, actor, now).await?;
                u64::try_from(rows).unwrap_or(0)
            }
            Kept::Inbound => {
                let gone = retention::take_inbound(&mut tx, before, BATCH).await?;
                prove(engine, &mut tx, kept, &gone, actor, now).await?
            }
            Kept::Inbox => {
                let gone = retention::take_strangers(&mut tx, before, BATCH).await?;
                prove(engine, &mut tx, kept, &gone, actor, now).await?
            }
            Kept::Deliveries => {
                let gone = retention::take_deliveries(&mut tx, before, BATCH).await?;
                prove(engine, &mut tx, kept, &gone, actor, now).await?
            }
            Kept::ClosedCases => 0,
        };
        if rows == 0 {
            return Ok(done);
        }
        commit(tx, "take old records away").await?;
        done += rows;
    }
}

/// Notes what went in the chain of events.
async fn prove(
    engine: &Engine,
    tx: &mut crate::store::Tx,
    of: Kept,
    gone: &Gone,
    actor: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    if gone.rows > 0 {
        let proof = House::Purged {
            of,
            rows: gone.rows,
            days: days_of(&engine.live.get().settings.retention, of),
            sum: gone.sum.clone(),
        };
        events::append_house(tx, now, actor, &[Event::House(proof)]).await?;
    }
    Ok(gone.rows)
}

/// Looks every minute whether the day's run is due, until told to stop. A run that is interrupted leaves whole transactions.
pub async fn watch(engine: Engine, stop: CancellationToken) {
    loop {
        let look = async {
            match step(&engine, engine.clock.now()).await {
                Ok(counts) if counts.total() > 0 => {
                    let rows = counts.total();
                    info!(rows, "{rows} records whose period is over were taken away");
                }
                Ok(_) => {}
                Err(error) => {
                    error!(error = %chain(&error), "old records cannot be taken away; the next run takes them")
                }
            }
            tokio::time::sleep(LOOK).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = look => {}
        }
    }
}
