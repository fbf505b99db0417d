//! The planner loop: takes the cases whose wake-up has come, plans them, writes decisions and the next wake-up in one transaction.
//!
//! Level-triggered: a wake-up carries no data, and waking a case twice or late decides nothing more. When nothing is due, cases that
//! were last planned by older rules are planned again, so a reload never delays a reminder that falls due meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::domain::agenda;
use crate::domain::ids::{CaseId, PersonId};
use crate::domain::plan::{People, plan};
use crate::domain::reminder::{Decided, Verdict};
use crate::engine::live::Rules;
use crate::engine::{Engine, POLL, new_reminder};
use crate::lifecycle::Beat;
use crate::store::cases::{Planned, StoredCase};
use crate::store::reminders::NewReminder;
use crate::store::{StoreError, agenda as agenda_rows, cases, commit, reminders};

/// Cases planned in one transaction.
const BATCH: i64 = 500;

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planning {
    pub planned: usize,
    pub decided: u64,
    pub queued: usize,
}

/// Waits for the next wake-up and plans, until told to stop.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) {
    loop {
        beat.now();
        let now = engine.clock.now();
        let pause = match step(&engine, now).await {
            Ok(Planning { planned: 0, .. }) => until_next_wake(&engine, now).await,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                error!(error = %crate::telemetry::chain(&error), "planning failed; trying again in a moment");
                engine.note_store_error(&error);
                Duration::from_secs(1)
            }
        };
        if pause.is_zero() {
            if stop.is_cancelled() {
                return;
            }
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.bells.planner.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn until_next_wake(engine: &Engine, now: Timestamp) -> Duration {
    let next = match engine.store.next_wake().await {
        Ok(next) => next,
        Err(error) => {
            error!(error = %crate::telemetry::chain(&error), "cannot read the next wake-up");
            return Duration::from_secs(1);
        }
    };
    next.map_or(POLL, |next| {
        // A wake-up in the past was set since the step looked: plan again at once, but never spin.
        let wait = Duration::try_from(next.duration_since(now)).unwrap_or(Duration::from_millis(1));
        wait.clamp(Duration::from_millis(1), POLL)
    })
}

/// Plans one batch of due cases, or, when none is due, of cases planned by older rules.
pub async fn step(engine: &Engine, now: Timestamp) -> Result<Planning, StoreError> {
    let rules = engine.live.get();
    let mut batch = engine.store.due_for_planning(now, BATCH).await?;
    if batch.is_empty() {
        batch = engine.store.planned_by_other_rules(rules.generation, BATCH).await?;
    }
    if batch.is_empty() {
        return Ok(Planning::default());
    }
    let planning = plan_batch(engine, &rules, &batch, now).await?;
    if planning.queued > 0 {
        engine.bells.ring_senders();
    }
    info!(
        planned = planning.planned,
        decided = planning.decided,
        "planned {} cases",
        planning.planned
    );
    Ok(planning)
}

struct Outcome<'a> {
    stored: &'a StoredCase,
    wake_ms: Option<i64>,
    agenda_sum: i64,
    entries: Vec<agenda::Entry>,
    reminders: Vec<NewReminder>,
}

async fn plan_batch(
    engine: &Engine,
    rules: &Rules,
    batch: &[StoredCase],
    now: Timestamp,
) -> Result<Planning, StoreError> {
    let ids: Vec<&CaseId> = batch.iter().map(|stored| &stored.case.id).collect();
    let residents: Vec<&PersonId> = batch.iter().map(|stored| &stored.case.party.person).collect();
    let (decided, people) = tokio::try_join!(engine.store.decided(&ids), engine.store.people(&residents))?;
    let outcomes: Vec<Outcome<'_>> = batch
        .iter()
        .map(|stored| {
            let none = (Decided::default(), People::default());
            let decided = decided.get(&stored.case.id).unwrap_or(&none.0);
            let people = people.get(&stored.case.party.person).unwrap_or(&none.1);
            plan_one(rules, stored, people, decided, now)
        })
        .collect();
    write(engine, rules.generation, outcomes).await
}

fn plan_one<'a>(
    rules: &Rules,
    stored: &'a StoredCase,
    people: &People,
    decided: &Decided,
    now: Timestamp,
) -> Outcome<'a> {
    let plan = plan(&rules.rulebook, &stored.case, people, decided, now);
    let entries = agenda::project(&rules.rulebook, &stored.case, &plan.items);
    let id = &stored.case.id;
    debug!(case.id = %id, decided = plan.due.len(), "planned case {id}");
    Outcome {
        stored,
        wake_ms: plan.wake.map(Timestamp::as_millisecond),
        agenda_sum: agenda::fingerprint(&entries),
        entries,
        reminders: plan
            .due
            .into_iter()
            .map(|decision| NewReminder::new(new_reminder(), id, decision, now))
            .collect(),
    }
}

async fn write(engine: &Engine, generation: i64, outcomes: Vec<Outcome<'_>>) -> Result<Planning, StoreError> {
    let planned: Vec<Planned<'_>> = outcomes
        .iter()
        .map(|outcome| Planned {
            id: &outcome.stored.case.id,
            version: outcome.stored.version,
            wake_ms: outcome.wake_ms,
            agenda_sum: outcome.agenda_sum,
        })
        .collect();
    let mut tx = engine.store.begin().await?;
    let settled: std::collections::HashSet<String> = cases::planned(&mut tx, &planned, generation)
        .await?
        .into_iter()
        .collect();
    // A case that a command changed in the meantime keeps its wake-up and is planned again from its new facts.
    let kept: Vec<&Outcome<'_>> = outcomes
        .iter()
        .filter(|outcome| settled.contains(outcome.stored.case.id.as_str()))
        .collect();
    let moved: Vec<_> = kept
        .iter()
        .filter(|outcome| outcome.agenda_sum != outcome.stored.agenda_sum)
        .map(|outcome| {
            (
                &outcome.stored.case.id,
                &outcome.stored.case.unit,
                outcome.entries.as_slice(),
            )
        })
        .collect();
    agenda_rows::replace(&mut tx, &moved).await?;
    let rows: Vec<&NewReminder> = kept.iter().flat_map(|outcome| &outcome.reminders).collect();
    let decided = reminders::add(&mut tx, &rows).await?;
    commit(tx, "write a plan").await?;
    let queued_state = crate::domain::reminder::State::from(Verdict::Queued).name();
    let queued = rows.iter().filter(|row| row.state == queued_state).count();
    Ok(Planning {
        planned: outcomes.len(),
        decided,
        queued,
    })
}
