//! `simulate`: a virtual clock over a copy of the live data. It goes from wake-up to wake-up through the planner itself and hands what
//! is decided to the sender's own rules: sending hours, the caps of the day, the last judgement before sending. Nothing is written.
//!
//! What holds: with unchanged facts and rules, and providers that take everything, it tells exactly what the daemon would do
//! (`tests/it/ahead.rs` compares it with the ledger of a hall that worked through the same days).
//!
//! Memory is bounded: the time is walked in windows, short when much happens in them. Of every case only its number, its next wake-up
//! and the marks of the simulated past are kept; its facts are read anew for each window in which it wakes.
//!
//! Not simulated: faults and refusals of providers, what people do meanwhile, what is in a digest, that calls which nobody made are
//! withdrawn when the next one comes, and pauses (all of them count as taken back).

mod outbox;
mod past;
mod tally;

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::{CaseId, StaffId, UnitId};
use crate::domain::milestone::instant;
use crate::domain::org::Org;
use crate::domain::plan::People;
use crate::domain::plan::forecast::{Foreseen, stretch};
use crate::domain::reminder::{Recipient, Verdict};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::mask_name;
use crate::engine::live::Rules;
use crate::engine::open_cases::{Batch, Known, PAGE, aside, guarded, know, lanes};
use crate::engine::{Engine, digests};
use crate::store::cases::StoredCase;
use crate::store::queue::Waiting;
use crate::store::reminders::NewReminder;
use crate::store::{Store, StoreError};

use outbox::Outbox;
use past::Past;

pub use tally::{Day, Tally};

/// Which cases are looked at, and whose messages are told.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub unit: Option<UnitId>,
    pub case: Option<CaseId>,
    /// What reaches this member of staff only.
    pub staff: Option<StaffId>,
}

/// What is told, in the order of time.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// So many daily digests go out.
    Digests {
        at: Timestamp,
        readers: u64,
    },
    Reminder(Box<Happening>),
}

/// One row of the ledger as it would be, and when it came to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    pub at: Timestamp,
    pub end: End,
    /// The recipient as a colleague would say it: staff by name, residents masked.
    pub who: String,
    /// As it would stand in the ledger; without an id.
    pub row: NewReminder,
}

/// What becomes of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It leaves.
    Sent,
    /// Somebody phones.
    Task,
    Superseded,
    Skipped,
    /// It was queued, and does not leave.
    Cancelled,
}

impl End {
    pub const ALL: [Self; 5] = [Self::Sent, Self::Task, Self::Superseded, Self::Skipped, Self::Cancelled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Task => "task",
            Self::Superseded => "superseded",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Runs the virtual clock from now to `span.1` (exclusive) and tells what happens from `span.0` on, until `tell` breaks off.
pub async fn simulate(
    engine: &Engine,
    wanted: &Wanted,
    span: (Timestamp, Timestamp),
    tell: &mut dyn FnMut(&Told) -> ControlFlow<()>,
) -> Result<Tally, StoreError> {
    let rules = engine.live.get();
    let now = engine.clock.now();
    let mut teller = Teller {
        rules: &rules.rulebook,
        wanted,
        span,
        tally: Tally::new(&rules.rulebook, span),
        tell,
        digest: if digests::is_owed(&engine.store, &rules.rulebook, now).await? {
            now
        } else {
            digests::next_digest(&rules.rulebook, now)
        },
        over: false,
    };
    let mut outbox = Outbox::new(&engine.store, &rules, now);
    let mut window = Window {
        from: now,
        to: window_end(&rules.rulebook, now, 1).min(span.1),
        days: 1,
    };
    let (mut slots, mut steps) = first_window(engine, &rules, wanted, &window, &mut outbox, &mut teller.tally).await?;
    loop {
        let happened = steps.len();
        tell_window(&rules.rulebook, &window, steps, &mut outbox, &mut teller).await?;
        if window.to >= span.1 || teller.over {
            return Ok(teller.tally);
        }
        window = window.following(&rules.rulebook, happened, span.1);
        steps = next_window(engine, &rules, &mut slots, &window, &mut teller.tally).await?;
    }
}

/// A stretch of virtual time, `[from, to)`.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Timestamp,
    to: Timestamp,
    days: i32,
}

/// So many decisions in one window: they are held in memory.
const AIM: usize = 100_000;
/// No window is longer.
const DAYS_MAX: usize = 31;

impl Window {
    /// The next one, of a length that holds about `AIM` decisions when as much happens in it as in this one.
    fn following(&self, rules: &Rulebook, happened: usize, end: Timestamp) -> Self {
        let days = usize::try_from(self.days).unwrap_or(1);
        // Never twenty times as long: a quiet Sunday says nothing about the week.
        let room = (AIM * days / happened.max(1)).clamp(1, DAYS_MAX).min(2 * days);
        let days = i32::try_from(room).unwrap_or(1);
        Self {
            from: self.to,
            to: window_end(rules, self.to, days).min(end),
            days,
        }
    }

    /// The last instant that belongs to it; wake-ups are whole milliseconds.
    fn last(&self) -> Timestamp {
        self.to.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(self.to)
    }
}

/// The midnight that ends `days` local days, the one of `from` included.
fn window_end(rules: &Rulebook, from: Timestamp, days: i32) -> Timestamp {
    let day = rules.zone.to_datetime(from).date();
    let day = day
        .checked_add(jiff::Span::new().days(days))
        .unwrap_or(jiff::civil::Date::MAX);
    instant(day, Time::midnight(), &rules.zone)
}

/// What is kept of a case between two windows.
struct Slot {
    case: CaseId,
    wake: Timestamp,
    past: Past,
}

/// One decision of the planner, on its way to the sender.
struct Step {
    at: Timestamp,
    verdict: Verdict,
    row: NewReminder,
    who: String,
}

/// Reads all cases once: what is queued already, what comes in the first window, and where each goes on.
async fn first_window(
    engine: &Engine,
    rules: &Arc<Rules>,
    wanted: &Wanted,
    window: &Window,
    outbox: &mut Outbox<'_>,
    tally: &mut Tally,
) -> Result<(Vec<Slot>, Vec<Step>), StoreError> {
    let store = &engine.store;
    let pages = stream::try_unfold(Some(String::new()), |after| next_page(store, wanted, after));
    let batches = pages.map(|page| async move {
        let (cases, broken) = page?;
        let cases: Vec<StoredCase> = cases
            .into_iter()
            .filter(|stored| is_wanted(&rules.rulebook.org, wanted, stored))
            .collect();
        let ids: Vec<CaseId> = cases.iter().map(|stored| stored.case.id.clone()).collect();
        let ids: Vec<&CaseId> = ids.iter().collect();
        let (batch, waiting) = tokio::try_join!(know(store, cases), store.waiting_of(&ids))?;
        let (rules, window) = (Arc::clone(rules), *window);
        let ahead = aside(move || Ahead::of(&rules, batch, waiting, &window)).await;
        Ok::<_, StoreError>((ahead, broken))
    });
    let mut batches = std::pin::pin!(batches.buffered(lanes()));
    let (mut slots, mut steps) = (Vec::new(), Vec::new());
    while let Some((ahead, broken)) = batches.try_next().await? {
        tally.cases += ahead.cases;
        tally.unreadable += ahead.unreadable + broken;
        slots.extend(ahead.slots);
        steps.extend(ahead.steps);
        for (waiting, who) in ahead.waiting {
            outbox.take_over(waiting, who);
        }
    }
    Ok((slots, steps))
}

type Page = (Vec<StoredCase>, u64);

async fn next_page(
    store: &Store,
    wanted: &Wanted,
    after: Option<String>,
) -> Result<Option<(Page, Option<String>)>, StoreError> {
    let Some(after) = after else { return Ok(None) };
    if let Some(case) = &wanted.case {
        let found = store.case(case).await?.filter(|stored| !stored.case.is_closed());
        return Ok(Some(((found.into_iter().collect(), 0), None)));
    }
    let page = store.open_after(&after, PAGE).await?;
    let Some(last) = page.last else { return Ok(None) };
    for broken in &page.unreadable {
        tracing::error!("{}", broken.why);
    }
    let broken = page.unreadable.len() as u64;
    Ok(Some(((page.cases, broken), Some(last.to_string()))))
}

fn is_wanted(org: &Org, wanted: &Wanted, stored: &StoredCase) -> bool {
    let unit = wanted.unit.as_ref();
    unit.is_none_or(|unit| org.is_within(&stored.case.unit, unit))
}

/// What the cases that wake in this window decide in it.
async fn next_window(
    engine: &Engine,
    rules: &Arc<Rules>,
    slots: &mut Vec<Slot>,
    window: &Window,
    tally: &mut Tally,
) -> Result<Vec<Step>, StoreError> {
    let store = &engine.store;
    let waking = slots.extract_if(.., |slot| slot.wake < window.to);
    let mut waking: Vec<Slot> = waking.collect();
    let mut parts = Vec::new();
    while !waking.is_empty() {
        let rest = waking.split_off(waking.len().min(PAGE as usize));
        parts.push(std::mem::replace(&mut waking, rest));
    }
    let parts = stream::iter(parts).map(|part| async move {
        let ids: Vec<&CaseId> = part.iter().map(|slot| &slot.case).collect();
        let mut found = store.cases(&ids).await?;
        let cases = part.iter().filter_map(|slot| found.remove(&slot.case)).collect();
        let batch = know(store, cases).await?;
        let (rules, window) = (Arc::clone(rules), *window);
        Ok::<_, StoreError>(aside(move || Ahead::going_on(&rules, batch, part, &window)).await)
    });
    let mut parts = std::pin::pin!(parts.buffered(lanes()));
    let mut steps = Vec::new();
    while let Some(ahead) = parts.try_next().await? {
        tally.unreadable += ahead.unreadable;
        slots.extend(ahead.slots);
        steps.extend(ahead.steps);
    }
    Ok(steps)
}

/// What one batch of cases does in a window.
#[derive(Default)]
struct Ahead {
    cases: u64,
    unreadable: u64,
    steps: Vec<Step>,
    slots: Vec<Slot>,
    waiting: Vec<(Waiting, String)>,
}

impl Ahead {
    fn of(rules: &Rules, batch: Batch, waiting: Vec<Waiting>, window: &Window) -> Self {
        let mut ahead = Self {
            cases: (batch.known.len() + batch.unreadable.len()) as u64,
            unreadable: batch.unreadable.len() as u64,
            ..Self::default()
        };
        let mut waiting = waiting.into_iter().fold(
            std::collections::HashMap::<String, Vec<Waiting>>::new(),
            |mut by_case, row| {
                by_case.entry(row.claimed.case_id.clone()).or_default().push(row);
                by_case
            },
        );
        for known in batch.known {
            for row in waiting.remove(known.case.id.as_str()).unwrap_or_default() {
                let recipient = Recipient::parse(&row.claimed.recipient).unwrap_or(Recipient::Nobody);
                let who = who(&rules.rulebook, &known.people, &recipient);
                ahead.waiting.push((row, who));
            }
            ahead.go(rules, known, Past::default(), window.from, window);
        }
        ahead
    }

    /// A case that was closed or cannot be read any more since the first look is left out from here on.
    fn going_on(rules: &Rules, batch: Batch, slots: Vec<Slot>, window: &Window) -> Self {
        let mut ahead = Self {
            unreadable: batch.unreadable.len() as u64,
            ..Self::default()
        };
        let mut slots: std::collections::HashMap<CaseId, Slot> =
            slots.into_iter().map(|slot| (slot.case.clone(), slot)).collect();
        for mut known in batch.known {
            let Some(slot) = slots.remove(&known.case.id) else {
                continue;
            };
            slot.past.add_to(&mut known.decided);
            ahead.go(rules, known, slot.past, slot.wake, window);
        }
        ahead
    }

    /// Walks one case through the window.
    fn go(&mut self, rules: &Rules, known: Known, mut past: Past, from: Timestamp, window: &Window) {
        let Known {
            case,
            people,
            mut decided,
        } = known;
        let book = &rules.rulebook;
        let mut wake = Some(from);
        while let Some(from) = wake.filter(|wake| *wake < window.to) {
            let span = (from, window.last());
            let walked = guarded(&case.id, || {
                stretch(book, &case, &people, &mut decided, span, usize::MAX)
            });
            let Some(walked) = walked else {
                self.unreadable += 1;
                return;
            };
            for Foreseen { at, decision } in walked.foreseen {
                past.note(&decision.mark);
                self.steps.push(Step {
                    at,
                    verdict: decision.verdict,
                    who: who(book, &people, &decision.recipient),
                    row: NewReminder::new("".into(), &case.id, decision, at),
                });
            }
            wake = walked.wake;
        }
        if let Some(wake) = wake {
            let case = case.id;
            self.slots.push(Slot { case, wake, past });
        }
    }
}

/// Tells one window in the order of time: digests, decisions, and what leaves.
async fn tell_window(
    rules: &Rulebook,
    window: &Window,
    mut steps: Vec<Step>,
    outbox: &mut Outbox<'_>,
    teller: &mut Teller<'_>,
) -> Result<(), StoreError> {
    // A stable sort: the decisions of one case at one instant keep the planner's order.
    steps.sort_by(|a, b| (a.at, &a.row.case_id).cmp(&(b.at, &b.row.case_id)));
    let mut steps = steps.into_iter().peekable();
    loop {
        let coming = steps.peek().map(|step| step.at);
        let digest_at = Some(teller.digest).filter(|at| *at < window.to);
        let leaving = outbox.next().filter(|at| *at < window.to);
        let Some(now) = coming.into_iter().chain(digest_at).chain(leaving).min() else {
            return Ok(());
        };
        if digest_at == Some(now) {
            teller.digests(now);
            let next = digests::next_digest(rules, now);
            // At the end of the calendar there is no other.
            teller.digest = if next > now { next } else { Timestamp::MAX };
        }
        while let Some(step) = steps.next_if(|step| step.at == now) {
            outbox.put(step, now);
        }
        outbox.send(now).await?;
        for happening in outbox.take_happened() {
            teller.reminder(happening);
        }
        if teller.over {
            return Ok(());
        }
    }
}

/// Passes on what is wanted, and counts it.
struct Teller<'a> {
    rules: &'a Rulebook,
    wanted: &'a Wanted,
    span: (Timestamp, Timestamp),
    tally: Tally,
    tell: &'a mut dyn FnMut(&Told) -> ControlFlow<()>,
    /// When the next digests come.
    digest: Timestamp,
    over: bool,
}

impl Teller<'_> {
    fn reminder(&mut self, happening: Happening) {
        if happening.at < self.span.0 || !self.concerns(&happening) {
            return;
        }
        self.tally.count(self.rules, &happening);
        self.pass_on(&Told::Reminder(Box::new(happening)));
    }

    fn concerns(&self, happening: &Happening) -> bool {
        let row = &happening.row;
        let is_for = |staff: &StaffId| {
            row.assignee.as_deref() == Some(staff.as_str())
                || row.recipient.strip_prefix("staff:") == Some(staff.as_str())
        };
        self.wanted.staff.as_ref().is_none_or(is_for)
    }

    fn digests(&mut self, at: Timestamp) {
        if at < self.span.0 || self.wanted.case.is_some() {
            return;
        }
        let day = self.rules.zone.to_datetime(at).date();
        let (org, Wanted { unit, staff, .. }) = (&self.rules.org, self.wanted);
        let readers = digests::readers(self.rules, day)
            .into_iter()
            .filter(|reader| staff.as_ref().is_none_or(|staff| reader.id == *staff))
            .filter(|reader| unit.as_ref().is_none_or(|unit| org.is_within(&reader.unit, unit)))
            .count() as u64;
        if readers > 0 {
            self.tally.count_digests(day, readers);
            self.pass_on(&Told::Digests { at, readers });
        }
    }

    fn pass_on(&mut self, told: &Told) {
        if !self.over {
            self.over = (self.tell)(told).is_break();
        }
    }
}

/// The recipient as a colleague would say it: staff by name, residents masked.
pub(crate) fn who(rules: &Rulebook, people: &People, recipient: &Recipient) -> String {
    match recipient {
        Recipient::Staff(id) => {
            let staff = rules.org.staff.get(id);
            staff.map_or_else(|| id.to_string(), |staff| staff.name.clone())
        }
        Recipient::Person(id) => {
            let person = people.all().find(|person| person.id == *id);
            person.map_or_else(|| id.to_string(), |person| mask_name(&person.name))
        }
        Recipient::Nobody => "无人 / nobody".to_owned(),
    }
}
