//! Records what came of reminders, many at a time: whatever outcomes have gathered since the last commit go into the next one.
//!
//! An outcome that asks for another way (a refused address, a retry that would come too late) brings the row for it along in the same
//! transaction, so nothing can fall between two ways.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::channel::outcome::{Blame, Outcome};
use crate::domain::event::Event;
use crate::domain::ids::{CaseId, ReminderId};
use crate::domain::ladder::Way;
use crate::domain::reminder::State;
use crate::domain::text::Said;
use crate::engine::earlier::key_of;
use crate::engine::gather::{GATHER, gather};
use crate::engine::instead::another_way;
use crate::engine::next::{Before, Next, judge};
use crate::engine::prepare::{Context, Settled};
use crate::engine::settle::adding;
use crate::engine::{Engine, guard_notice};
use crate::store::holds::{self, Hold, Marked};
use crate::store::lock::Lock;
use crate::store::queue::{Claimed, EndedAttempt, Lease, NewAttempt, Verdict, in_hand, record};
use crate::store::reminders::NewReminder;
use crate::store::sent::Key;
use crate::store::{GIVEN_UP_TRIES, StoreError, Tx, commit, events, reminders};

/// Between two tries at writing what could not be written.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Who writes events that no person caused.
const ACTOR: &str = "xixin";

/// What ended.
pub enum Ended {
    /// Without an attempt.
    Settled(Box<Settled>),
    /// The facts changed under the judgement: back to the queue.
    Again(Lease),
    Attempt(Box<Attempted>),
    /// A stop or a pause came before the message went on the wire: back to the queue, charged to nobody.
    NotBegun {
        claimed: Box<Claimed>,
        attempt: NewAttempt,
        way: Way,
        /// Whether `sent.log` says that it is about to leave.
        noted: bool,
        now: Timestamp,
    },
    /// Answers once everything before it has been recorded.
    Flush(oneshot::Sender<()>),
}

impl Ended {
    /// Whether somebody waits for it. Everything else may wait for others in a rush, for a moment in which no batch is any safer.
    fn is_urgent(&self) -> bool {
        matches!(self, Self::Flush(_))
    }
}

pub struct Attempted {
    pub claimed: Claimed,
    pub attempt: NewAttempt,
    pub context: Context,
    pub outcome: Outcome,
    /// The provider that was asked, by its name in the settings.
    pub by: Option<String>,
    pub now: Timestamp,
}

/// A handle on the recorder's task.
#[derive(Clone)]
pub struct Recorder(mpsc::Sender<Ended>);

impl Recorder {
    /// The recorder and the future that does its work; it ends when every handle is gone.
    pub fn new(engine: Engine) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(4 * GATHER);
        (Self(sender), run(engine, receiver))
    }

    pub async fn send(&self, ended: Ended) {
        if self.0.send(ended).await.is_err() {
            error!("the recorder has gone; outcomes of this batch will be settled at the next start");
        }
    }

    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        self.send(Ended::Flush(done)).await;
        // An error means that the recorder has gone, which `send` has said already.
        let _ = wait.await;
    }
}

async fn run(engine: Engine, mut receiver: mpsc::Receiver<Ended>) {
    let mut gathered = Vec::with_capacity(GATHER);
    while gather(&mut receiver, &mut gathered, Ended::is_urgent).await {
        let mut waiting = Vec::new();
        let mut work = Work::default();
        for ended in gathered.drain(..) {
            match ended {
                Ended::Flush(done) => waiting.push(done),
                Ended::Settled(settled) => work.settled(settled, engine.clock.now()),
                Ended::Again(lease) => work.again(lease, None),
                Ended::NotBegun {
                    claimed,
                    attempt,
                    way,
                    noted,
                    now,
                } => {
                    if noted {
                        work.ends.push((key_of(&claimed, way), false));
                    }
                    work.again(Lease::of(&claimed), Some(not_begun(attempt, now)));
                }
                Ended::Attempt(attempted) => {
                    let before = Before {
                        doubts: doubts_before(&engine, &attempted).await,
                        can_ask: can_ask(&engine, attempted.context.way, attempted.attempt.gateway.as_deref()),
                    };
                    work.attempted(&attempted, before);
                    work.count(&engine, &attempted);
                }
            }
        }
        engine.note_ends(std::mem::take(&mut work.ends)).await;
        write_until_done(&engine, &work).await;
        if !work.rows.is_empty() || !work.heirs.is_empty() || !work.opened.is_empty() || !work.first.is_empty() {
            engine.bells.ring_senders();
        }
        for done in waiting {
            // Whoever waited may have gone; there is nothing to tell then.
            let _ = done.send(());
        }
    }
}

/// Whether the provider can be asked what became of a message that went this way, by the gateway of this name where there are several.
pub(crate) fn can_ask(engine: &Engine, way: Way, gateway: Option<&str>) -> bool {
    let rules = engine.live.get();
    let sms = rules.channels.sms.as_ref().filter(|_| way == Way::Sms);
    sms.is_some_and(|sms| sms.can_query(gateway))
}

/// Attempts before this one that ended in doubt, when this one did, too: asked for however long the database takes.
async fn doubts_before(engine: &Engine, attempted: &Attempted) -> i64 {
    if !matches!(attempted.outcome, Outcome::Uncertain { .. }) {
        return 0;
    }
    loop {
        match engine.store.doubts(&attempted.claimed.id).await {
            Ok(doubts) => return doubts,
            Err(error) => wait_for_database(engine, &error).await,
        }
    }
}

/// An outcome is a fact: it is written however long the database takes. Meanwhile nothing new is sent, and what `sent.log` says of it
/// outlives this process and the power.
async fn write_until_done(engine: &Engine, work: &Work) {
    let mut tries = 1;
    loop {
        match work.write(engine, tries > 1).await {
            Ok(()) => {
                engine.gate.set_outcomes_waiting(None);
                return;
            }
            Err(error) if error.is_given_up() && tries < GIVEN_UP_TRIES => {
                warn!(error = %crate::telemetry::chain(&error), "outcomes are recorded once more");
            }
            Err(error) => {
                engine.keep_ends().await;
                wait_for_database(engine, &error).await;
            }
        }
        tries = tries.saturating_add(1);
    }
}

async fn wait_for_database(engine: &Engine, error: &StoreError) {
    error!(error = %crate::telemetry::chain(error), "outcomes cannot be recorded; sending is on hold");
    engine.gate.set_outcomes_waiting(Some(error.to_string()));
    // Without the ballast there may be room now; nothing new leaves before it is back.
    if error.is_full() {
        engine.gate.set_storage_fault(Some(crate::telemetry::chain(error)));
    }
    engine.react(error).await;
    tokio::time::sleep(AGAIN_AFTER).await;
}

#[derive(Default)]
struct Work {
    verdicts: Vec<Verdict>,
    /// For `sent.log`: whether a provider took it.
    ends: Vec<(Key, bool)>,
    /// Rows for another way.
    rows: Vec<NewReminder>,
    /// Rows for those who are meant instead by now.
    heirs: Vec<NewReminder>,
    /// Calls in place of messages that the guard holds. Who was tried by another way before has not been told by that.
    calls: Vec<NewReminder>,
    /// What reminders wait for, and the holds that are new.
    marked: Vec<Marked>,
    opened: Vec<Hold>,
    /// Outcomes among the first of the day.
    first: Vec<First>,
    /// Messages that were refused, so that staff phone instead: part of the story of their case.
    refused: Vec<(CaseId, ReminderId, Timestamp)>,
}

/// The outcome of one of the first messages of the day.
struct First {
    reminder: String,
    way: &'static str,
    failed: bool,
}

/// Which outcomes are written for the first time.
struct Fresh(Option<HashSet<String>>);

impl Fresh {
    fn is(&self, reminder: &str) -> bool {
        self.0.as_ref().is_none_or(|fresh| fresh.contains(reminder))
    }
}

impl Work {
    fn settled(&mut self, settled: Box<Settled>, now: Timestamp) {
        let refused = settled.verdict.state == State::Refused.name();
        if settled.held.is_some() {
            self.calls.extend(settled.heirs);
        } else {
            self.heirs.extend(settled.heirs);
        }
        if let Some(held) = settled.held {
            self.marked.push(Marked {
                id: settled.verdict.id.clone(),
                hold: held.why,
            });
            self.opened
                .extend(held.opened.filter(|hold| !self.opened.contains(hold)));
        }
        self.verdicts.push(settled.verdict);
        if let Some(next) = settled.next {
            let (claimed, context, said) = *next;
            self.go_on(&claimed, &context, &said, &claimed.fallback, refused, now);
        }
    }

    fn again(&mut self, lease: Lease, attempt: Option<EndedAttempt>) {
        self.verdicts.push(Verdict {
            id: lease.id,
            epoch: lease.epoch,
            state: State::Queued.name(),
            not_before_ms: None,
            reason_zh: None,
            reason_en: None,
            charged: 0,
            closed_ms: None,
            attempt,
        });
    }

    /// What the guard makes of it. Messages of no case are not its business.
    fn count(&mut self, engine: &Engine, attempted: &Attempted) {
        if attempted.claimed.case_id.is_empty() {
            return;
        }
        let way = attempted.context.way;
        if let Some(failed) = engine.guard.ended(way, Some(&attempted.outcome)) {
            self.first.push(First {
                reminder: attempted.claimed.id.clone(),
                way: way.name(),
                failed,
            });
        }
    }

    fn attempted(&mut self, attempted: &Attempted, before: Before) {
        let Attempted {
            claimed,
            attempt,
            context,
            outcome,
            by,
            now,
        } = attempted;
        let attempt = ended(attempt, outcome, by.clone(), *now);
        metrics::counter!(crate::telemetry::ATTEMPTS, "way" => context.way.name(), "outcome" => attempt.outcome)
            .increment(1);
        info!(
            reminder.id = %claimed.id, case.id = %claimed.case_id, way = context.way.name(), outcome = attempt.outcome,
            "reminder {} by {}: {}", claimed.id, context.way.name(), attempt.outcome
        );
        let base = Verdict {
            id: claimed.id.clone(),
            epoch: claimed.epoch,
            state: State::Queued.name(),
            not_before_ms: None,
            reason_zh: None,
            reason_en: None,
            charged: 1,
            closed_ms: None,
            attempt: Some(attempt),
        };
        match outcome {
            Outcome::Accepted { .. } => self.ends.push((key_of(claimed, context.way), true)),
            Outcome::Refused { .. } | Outcome::Deferred { .. } => self.ends.push((key_of(claimed, context.way), false)),
            Outcome::Uncertain { .. } => {}
        }
        let closed_ms = Some(now.as_millisecond());
        match judge(claimed, context, outcome, before, *now) {
            Next::Sent => {
                let note = Some(&context.note).filter(|note| !note.zh.is_empty());
                let reason = note.map(|note| adding(claimed, note));
                self.verdicts.push(Verdict {
                    state: State::Accepted.name(),
                    closed_ms,
                    reason_zh: reason.as_ref().map(|reason| reason.zh.clone()),
                    reason_en: reason.map(|reason| reason.en),
                    ..base
                });
            }
            Next::Retry { at, charged } => {
                let charged = i64::from(charged);
                self.verdicts.push(Verdict {
                    not_before_ms: Some(at.as_millisecond()),
                    charged,
                    ..base
                });
            }
            Next::AnotherWay { state, said } => {
                self.leave(base, claimed, context, (state, &said), &claimed.fallback, *now)
            }
            Next::Ask { at, said } => {
                let ask = |attempt| EndedAttempt {
                    ask_ms: Some(at.as_millisecond()),
                    ..attempt
                };
                self.verdicts.push(Verdict {
                    state: State::Uncertain.name(),
                    reason_zh: Some(said.zh),
                    reason_en: Some(said.en),
                    attempt: base.attempt.map(ask),
                    ..base
                });
            }
            Next::Doubt { said } => self.leave(base, claimed, context, (State::Uncertain, &said), "", *now),
        }
    }

    /// Ends a row that did not get through and goes on by another of these ways.
    fn leave(
        &mut self,
        base: Verdict,
        claimed: &Claimed,
        context: &Context,
        (state, said): (State, &Said),
        ways: &str,
        now: Timestamp,
    ) {
        self.verdicts.push(Verdict {
            state: state.name(),
            closed_ms: Some(now.as_millisecond()),
            reason_zh: Some(said.zh.clone()),
            reason_en: Some(said.en.clone()),
            ..base
        });
        self.go_on(claimed, context, said, ways, state == State::Refused, now);
    }

    fn go_on(&mut self, claimed: &Claimed, context: &Context, said: &Said, ways: &str, refused: bool, now: Timestamp) {
        let rows = another_way(claimed, context, said, ways, now);
        if refused && rows.iter().any(|row| row.state == State::Task.name()) {
            let (case, reminder) = (claimed.case_id.as_str(), claimed.id.as_str());
            self.refused.push((case.into(), reminder.into(), now));
        }
        self.rows.extend(rows);
    }

    /// `again`: it may have been written although nobody said so. What has a key of its own is not written twice anyway; what has none is
    /// written with the outcome it belongs to.
    async fn write(&self, engine: &Engine, again: bool) -> Result<(), StoreError> {
        let mut tx = engine.store.begin().await?;
        if !self.heirs.is_empty() {
            Lock::Heirs.hold(&mut tx).await?;
        }
        let fresh = match again {
            true => Fresh(Some(in_hand(&mut tx, &self.verdicts).await?)),
            false => Fresh(None),
        };
        record(&mut tx, &self.verdicts).await?;
        let untold = self.untold(&mut tx).await?;
        let rows = self.rows.iter();
        let rows = rows.filter(|row| untold.get(row.case_id.as_str()) != Some(&Untold::Erased));
        reminders::add(&mut tx, &rows.collect::<Vec<_>>()).await?;
        reminders::add(&mut tx, &self.calls.iter().collect::<Vec<_>>()).await?;
        reminders::add_heirs(&mut tx, &self.heirs).await?;
        let released = self.write_held(engine, &mut tx, &fresh).await?;
        for (case, reminder, at) in &self.refused {
            if !fresh.is(reminder.as_str()) || untold.contains_key(case.as_str()) {
                continue;
            }
            let reminder = reminder.clone();
            events::append(&mut tx, *at, case, ACTOR, &[Event::MessageRefused { reminder }]).await?;
        }
        commit(tx, "record outcomes").await?;
        for hold in released {
            engine.guard.released(&hold);
        }
        Ok(())
    }
}

/// Why a case's story cannot be told further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Untold {
    /// Its resident was erased while the message was on the wire: nobody phones either.
    Erased,
    Unreadable,
}

impl Work {
    /// The cases whose events cannot be sealed. One of them must not keep the outcomes of all the others from being recorded.
    async fn untold(&self, tx: &mut Tx) -> Result<BTreeMap<&str, Untold>, StoreError> {
        let mut untold = BTreeMap::new();
        for (case, reminder, _) in &self.refused {
            let why = match events::can_seal(tx, case).await {
                Ok(()) => continue,
                Err(StoreError::Erased { .. }) => Untold::Erased,
                Err(error @ StoreError::Corrupt { .. }) => {
                    error!(reminder.id = %reminder, case.id = %case, "that a message was refused cannot be noted: {error}");
                    Untold::Unreadable
                }
                Err(error) => return Err(error),
            };
            untold.insert(case.as_str(), why);
        }
        Ok(untold)
    }

    /// What is held, with the word about it to whoever may release it and to whoever phones meanwhile. Returns the holds that are none
    /// any more: released before what they held was written, or begun by another node before.
    async fn write_held(&self, engine: &Engine, tx: &mut Tx, fresh: &Fresh) -> Result<Vec<String>, StoreError> {
        let day = engine.guard.day();
        let mut counts: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for first in self.first.iter().filter(|first| fresh.is(&first.reminder)) {
            let count = counts.entry(first.way).or_default();
            count.0 += 1;
            count.1 += i64::from(first.failed);
        }
        for (way, (ended, failed)) in counts {
            holds::count_ended(tx, &day, way, ended, failed).await?;
        }
        // A hold is opened by whatever it holds: both are written, or neither.
        if !self.marked.iter().all(|marked| fresh.is(&marked.id)) {
            return Ok(Vec::new());
        }
        holds::mark(tx, &self.marked).await?;
        if self.opened.is_empty() {
            return Ok(Vec::new());
        }
        let given = holds::open(tx, &self.opened, engine.clock.now()).await?;
        let callers = self.calls.iter().filter_map(|row| row.assignee.as_deref());
        let callers: BTreeSet<&str> = callers.collect();
        let words = guard_notice::rows(&engine.live.get().rulebook, &self.opened, &callers, engine.clock.now());
        reminders::add(tx, &words.iter().collect::<Vec<_>>()).await?;
        let mut gone = holds::let_go_released(tx, &self.marked, engine.clock.now()).await?;
        gone.extend(given);
        Ok(gone)
    }
}

/// The end of an attempt, as the ledger keeps it.
pub(crate) fn ended(attempt: &NewAttempt, outcome: &Outcome, provider: Option<String>, now: Timestamp) -> EndedAttempt {
    EndedAttempt {
        id: attempt.id.clone(),
        ended_ms: now.as_millisecond(),
        outcome: outcome.name(),
        blame: outcome.blame().map(Blame::name),
        reference: outcome.reference().map(str::to_owned),
        reason: outcome.reason().map(str::to_owned),
        provider,
        ask_ms: None,
    }
}

/// The end of an attempt that was recorded but never made.
fn not_begun(attempt: NewAttempt, now: Timestamp) -> EndedAttempt {
    EndedAttempt {
        id: attempt.id,
        ended_ms: now.as_millisecond(),
        outcome: "deferred",
        blame: None,
        reference: None,
        reason: Some("停止或暂停时尚未发出 / stopped or paused before it was sent".to_owned()),
        provider: None,
        ask_ms: None,
    }
}
