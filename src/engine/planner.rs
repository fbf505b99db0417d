//! The planner loop: takes the cases whose wake-up has come, plans them, writes decisions and the next wake-up in one transaction.
//!
//! Level-triggered: a wake-up carries no data, and waking a case twice or late decides nothing more. When nothing is due, cases that
//! were last planned by older rules are planned again, so a reload never delays a reminder that falls due meanwhile. A case that cannot
//! be planned never stops the others: it is named in the log and looked at again an hour later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::domain::agenda;
use crate::domain::ids::{CaseId, PersonId, UnitId};
use crate::domain::plan::decide::Scene;
use crate::domain::plan::{People, plan};
use crate::domain::reminder::{Decided, Verdict};
use crate::engine::calls::follow;
use crate::engine::live::Rules;
use crate::engine::settle::erased_said;
use crate::engine::{Engine, POLL, heartbeat, new_reminder};
use crate::lifecycle::Beat;
use crate::store::calls::{self, CallChange, OpenCall, Withdrawn};
use crate::store::cases::{Planned, StoredCase, Turn, Unreadable};
use crate::store::reminders::NewReminder;
use crate::store::{StoreError, Tx, agenda as agenda_rows, cases, commit, reminders};

/// Cases planned in one transaction.
const BATCH: i64 = 500;
/// Batches under way at once where a server does half of the work: it reads and writes for one while the other is planned.
const ABREAST: usize = 2;
/// Before another look when something is due that this look did not get.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How long a case that cannot be planned is left alone, in minutes.
const BROKEN_MIN: i64 = 60;

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planning {
    pub planned: usize,
    pub decided: u64,
    pub queued: usize,
    /// There were as many cases as one transaction takes, and there may be more.
    pub is_full: bool,
}

/// Waits for the next wake-up and plans, until told to stop.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) {
    let mut abreast = 1;
    loop {
        beat.now();
        let now = engine.now();
        let planned = steps(&engine, now, abreast).await;
        abreast = match &planned {
            Ok(planning) if planning.is_full && engine.store.is_shared() => ABREAST,
            _ => 1,
        };
        let pause = match planned {
            Ok(_) if engine.gate.time_in_doubt() || engine.lacks_room() || engine.is_odd() => POLL,
            Ok(Planning { planned: 0, .. }) => until_next_wake(&engine, now).await,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                error!(error = %crate::telemetry::chain(&error), "planning failed; trying again in a moment");
                engine.note_store_error(&error).await;
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
            () = tokio::time::sleep(pause.min(engine.poll())) => {}
        }
    }
}

/// So many at once. One that fails does not cut the others short.
async fn steps(engine: &Engine, now: Timestamp, abreast: usize) -> Result<Planning, StoreError> {
    let steps = join_all((0..abreast).map(|_| step(engine, now))).await;
    steps.into_iter().try_fold(Planning::default(), |sum, step| {
        let step = step?;
        Ok(Planning {
            planned: sum.planned + step.planned,
            decided: sum.decided + step.decided,
            queued: sum.queued + step.queued,
            is_full: sum.is_full || step.is_full,
        })
    })
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
        // A wake-up in the past was set since the step looked, or another node is planning it: look again soon, but never spin.
        let wait = Duration::try_from(next.duration_since(now)).unwrap_or(AGAIN_AFTER);
        wait.clamp(AGAIN_AFTER, POLL)
    })
}

/// Plans one batch of due cases, or, when none is due, of cases planned by older rules. Nothing while the time is in doubt, while other
/// nodes go by newer rules, or while the disk is full: what room there is belongs to the outcomes of what is on the wire.
pub async fn step(engine: &Engine, now: Timestamp) -> Result<Planning, StoreError> {
    if engine.gate.time_in_doubt() || engine.lacks_room() || engine.is_odd() {
        return Ok(Planning::default());
    }
    heartbeat::plan(engine, now).await?;
    let rules = engine.live.get();
    let generation = engine.generation(&rules);
    let mut turn = engine.store.take_due(now, BATCH).await?;
    if turn.batch.is_empty() {
        turn = engine.store.take_of_other_rules(generation, BATCH).await?;
    }
    if turn.batch.is_empty() {
        return Ok(Planning::default());
    }
    let planning = plan_batch(engine, &rules, turn, now).await?;
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

/// What the planning of one case came to.
struct Outcome<'a> {
    id: &'a CaseId,
    version: i64,
    wake_ms: Option<i64>,
    agenda_sum: i64,
    /// Unit and entries, when the agenda has changed.
    agenda: Option<(&'a UnitId, Vec<agenda::Entry>)>,
    reminders: Vec<NewReminder>,
    calls: Vec<CallChange>,
}

async fn plan_batch(engine: &Engine, rules: &Rules, turn: Turn, now: Timestamp) -> Result<Planning, StoreError> {
    let Turn { batch, tx } = turn;
    let readable = batch.cases.iter().map(|stored| &stored.case.id);
    let ids: Vec<&CaseId> = readable.chain(batch.unreadable.iter().map(|found| &found.id)).collect();
    let residents: Vec<&PersonId> = batch.cases.iter().map(|stored| &stored.case.party.person).collect();
    let store = &engine.store;
    let (decided, people, calls) =
        tokio::try_join!(store.decided(&ids), store.around(&residents), store.open_calls(&ids))?;
    let nothing = (Decided::default(), People::default());
    let nowhere = UnitId::from("");
    let mut outcomes = Vec::with_capacity(batch.cases.len() + batch.unreadable.len());
    for stored in &batch.cases {
        let id = &stored.case.id;
        let people = match people.get(&stored.case.party.person) {
            Some(Ok(people)) => people,
            None => &nothing.1,
            Some(Err(why)) => {
                outcomes.push(broken(id, stored.version, stored.agenda_sum, &why.to_string(), now));
                continue;
            }
        };
        let facts = Facts {
            stored,
            people,
            decided: decided.get(id).unwrap_or(&nothing.0),
            calls: &calls,
        };
        // The planner is total, but a fault in it must cost one case a delay, not all cases theirs.
        let planned = catch_unwind(AssertUnwindSafe(|| plan_one(rules, facts, now)));
        outcomes.push(planned.unwrap_or_else(|_| {
            let why = "planning it fails inside the program";
            broken(id, stored.version, stored.agenda_sum, why, now)
        }));
    }
    for found in &batch.unreadable {
        if let StoreError::Erased { .. } = found.why {
            outcomes.push(erased(found, &nowhere, &calls, now));
            continue;
        }
        outcomes.push(broken(
            &found.id,
            found.version,
            found.agenda_sum,
            &found.why.to_string(),
            now,
        ));
    }
    let tx = match tx {
        Some(tx) => tx,
        None => engine.store.begin().await?,
    };
    write(tx, engine.generation(rules), outcomes).await
}

/// A case that cannot be planned keeps its agenda and is looked at again later.
fn broken<'a>(id: &'a CaseId, version: i64, agenda_sum: i64, why: &str, now: Timestamp) -> Outcome<'a> {
    error!(case.id = %id, "case {id} cannot be planned, and nobody is reminded of it until it is repaired: {why}");
    let again = now.checked_add(SignedDuration::from_mins(BROKEN_MIN)).unwrap_or(now);
    Outcome {
        id,
        version,
        wake_ms: Some(again.as_millisecond()),
        agenda_sum,
        agenda: None,
        reminders: Vec::new(),
        calls: Vec::new(),
    }
}

/// A case whose resident was erased asks for nothing any more: nobody finds it on their desk, and nobody phones.
fn erased<'a>(found: &'a Unreadable, nowhere: &'a UnitId, calls: &[OpenCall], now: Timestamp) -> Outcome<'a> {
    let id = &found.id;
    info!(case.id = %id, "case {id} was erased: it is followed no longer");
    let calls = calls.iter().filter(|call| call.row.case_id == id.as_str());
    let said = erased_said();
    Outcome {
        id,
        version: found.version,
        wake_ms: None,
        agenda_sum: 0,
        agenda: Some((nowhere, Vec::new())),
        reminders: Vec::new(),
        calls: calls
            .map(|call| CallChange {
                id: call.row.id.clone(),
                withdrawn: Some(Withdrawn {
                    zh: said.zh.clone(),
                    en: said.en.clone(),
                    at_ms: now.as_millisecond(),
                }),
                assignee: None,
            })
            .collect(),
    }
}

/// Everything that one case is planned from.
#[derive(Clone, Copy)]
struct Facts<'a, 'b> {
    stored: &'a StoredCase,
    people: &'b People,
    decided: &'b Decided,
    /// Open calls of all cases of the batch.
    calls: &'b [OpenCall],
}

fn plan_one<'a>(rules: &Rules, facts: Facts<'a, '_>, now: Timestamp) -> Outcome<'a> {
    let Facts { stored, people, .. } = facts;
    let case = &stored.case;
    let plan = plan(&rules.rulebook, case, people, facts.decided, now);
    let entries = agenda::project(&rules.rulebook, case, &plan.items);
    let agenda_sum = agenda::fingerprint(&entries);
    let scene = Scene {
        rules: &rules.rulebook,
        case,
        people,
        now,
    };
    let calls = facts.calls.iter().filter(|call| call.row.case_id == case.id.as_str());
    let id = &case.id;
    debug!(case.id = %id, decided = plan.due.len(), "planned case {id}");
    Outcome {
        id,
        version: stored.version,
        wake_ms: plan.wake.map(Timestamp::as_millisecond),
        agenda_sum,
        agenda: (agenda_sum != stored.agenda_sum).then_some((&case.unit, entries)),
        reminders: plan
            .due
            .into_iter()
            .map(|decision| NewReminder::new(new_reminder(), id, decision, now))
            .collect(),
        calls: calls.filter_map(|call| follow(&scene, call)).collect(),
    }
}

async fn write(mut tx: Tx, generation: i64, outcomes: Vec<Outcome<'_>>) -> Result<Planning, StoreError> {
    let planned: Vec<Planned<'_>> = outcomes
        .iter()
        .map(|outcome| Planned {
            id: outcome.id,
            version: outcome.version,
            wake_ms: outcome.wake_ms,
            agenda_sum: outcome.agenda_sum,
        })
        .collect();
    let settled: std::collections::HashSet<String> = cases::planned(&mut tx, &planned, generation)
        .await?
        .into_iter()
        .collect();
    // A case that a command changed in the meantime keeps its wake-up and is planned again from its new facts.
    let kept: Vec<&Outcome<'_>> = outcomes
        .iter()
        .filter(|outcome| settled.contains(outcome.id.as_str()))
        .collect();
    let moved: Vec<_> = kept
        .iter()
        .filter_map(|outcome| {
            let (unit, entries) = outcome.agenda.as_ref()?;
            Some((outcome.id, *unit, entries.as_slice()))
        })
        .collect();
    agenda_rows::replace(&mut tx, &moved).await?;
    let rows: Vec<&NewReminder> = kept.iter().flat_map(|outcome| &outcome.reminders).collect();
    let decided = reminders::add(&mut tx, &rows).await?;
    let calls: Vec<CallChange> = kept.iter().flat_map(|outcome| outcome.calls.clone()).collect();
    calls::change_calls(&mut tx, &calls).await?;
    commit(tx, "write a plan").await?;
    let queued_state = crate::domain::reminder::State::from(Verdict::Queued).name();
    let queued = rows.iter().filter(|row| row.state == queued_state).count();
    Ok(Planning {
        planned: outcomes.len(),
        decided,
        queued,
        is_full: i64::try_from(outcomes.len()) == Ok(BATCH),
    })
}
