//! `diff`: what a changed configuration would do to the open cases from now on, compared with the one in force. Both futures are the
//! planner's own; nothing is written and nothing of the new configuration takes effect.
//!
//! Only what reaches somebody is compared (messages and calls), by when the planner decides it. What is the same in both futures is left
//! out first; of the rest, the n-th time of a rung for an audience is compared with the n-th.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::case::{Case, Item};
use crate::domain::ids::{CaseId, ItemId, LadderId, PeriodId, RungName, TextId};
use crate::domain::ladder::{Audience, Way};
use crate::domain::plan::dated_items;
use crate::domain::plan::decide::CALL_TASK;
use crate::domain::plan::forecast::{Foreseen, forecast};
use crate::domain::plan::milestones::Dated;
use crate::domain::reminder::{Occurrence, Recipient, Verdict};
use crate::domain::rulebook::Rulebook;
use crate::engine::open_cases::{Batch, Known, PAGE, aside, guarded, know, lanes};
use crate::engine::simulate::who;
use crate::store::{Store, StoreError};

/// More messages and calls than this at once deserve a warning: nobody reads a flood, and residents are in it.
pub const BLAST: u64 = 50;
/// Decisions of one case that are compared.
const PER_CASE_MAX: usize = 10_000;

/// What happens to a message or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// It goes as soon as the new rules are in force; under the present ones it would not.
    AtOnce,
    New,
    /// Another time, recipient, way or text.
    Moved,
    Gone,
}

impl Sign {
    pub const ALL: [Self; 4] = [Self::AtOnce, Self::New, Self::Moved, Self::Gone];

    pub fn mark(self) -> char {
        match self {
            Self::AtOnce => '!',
            Self::New => '+',
            Self::Moved => '~',
            Self::Gone => '−',
        }
    }
}

/// A message or a call to come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub at: Timestamp,
    pub recipient: Recipient,
    pub way: Option<Way>,
    pub text: TextId,
    /// The recipient as a colleague would say it.
    pub who: String,
}

/// One difference. `before` is missing for what is new, `after` for what is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub sign: Sign,
    pub case: CaseId,
    pub item: ItemId,
    /// Of the new rules, for what is gone of the present ones.
    pub ladder: LadderId,
    pub rung: RungName,
    pub audience: Audience,
    pub before: Option<Told>,
    pub after: Option<Told>,
}

/// The dates of a deadline; `None` as long as nobody knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Dates {
    pub end: Option<Date>,
    pub last_safe_day: Option<Date>,
}

/// A deadline whose dates change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Redated {
    pub case: CaseId,
    pub item: ItemId,
    pub kind: PeriodId,
    pub before: Dates,
    pub after: Dates,
}

/// Everything that would be different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub cases: u64,
    /// Cases that cannot be read or planned, and are left out.
    pub unreadable: u64,
    /// Cases of which something changes.
    pub touched: u64,
    pub rungs: BTreeMap<(LadderId, RungName), BTreeMap<Sign, u64>>,
    pub totals: BTreeMap<Sign, u64>,
    /// The first changes of each sign, by case.
    pub changes: BTreeMap<Sign, Vec<Change>>,
    pub redated: u64,
    /// The first of them, by case.
    pub dates: Vec<Redated>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.totals.is_empty() && self.redated == 0
    }

    pub fn total(&self, sign: Sign) -> u64 {
        self.totals.get(&sign).copied().unwrap_or(0)
    }

    /// Whether more goes at once than anybody can look after.
    pub fn is_blast(&self) -> bool {
        self.total(Sign::AtOnce) > BLAST
    }

    fn add(&mut self, part: Part, limit: usize) {
        self.cases += part.cases;
        self.unreadable += part.unreadable;
        self.touched += part.touched;
        self.redated += part.dates.len() as u64;
        for change in part.changes {
            *self.totals.entry(change.sign).or_default() += 1;
            let rung = (change.ladder.clone(), change.rung.clone());
            *self.rungs.entry(rung).or_default().entry(change.sign).or_default() += 1;
            let listed = self.changes.entry(change.sign).or_default();
            if listed.len() < limit {
                listed.push(change);
            }
        }
        let room = limit.saturating_sub(self.dates.len());
        self.dates.extend(part.dates.into_iter().take(room));
    }
}

/// Compares what `old` and `new` do to every open case between two instants, both inclusive; lists `limit` differences of each sign.
pub async fn diff(
    store: &Store,
    old: Arc<Rulebook>,
    new: Arc<Rulebook>,
    span: (Timestamp, Timestamp),
    limit: usize,
) -> Result<Difference, StoreError> {
    let same = Arc::new(Same::of(&old, &new));
    let pages = stream::try_unfold(Some(String::new()), |after| async move {
        let Some(after) = after else { return Ok(None) };
        let page = store.open_after(&after, PAGE).await?;
        let next = page.last.as_ref().map(ToString::to_string);
        Ok(next.map(|next| (page, Some(next))))
    });
    let parts = pages.map(|page| async {
        let page = page?;
        for broken in &page.unreadable {
            tracing::error!("{}", broken.why);
        }
        let broken = page.unreadable.len() as u64;
        let (old, new, same) = (Arc::clone(&old), Arc::clone(&new), Arc::clone(&same));
        let found = page.cases.len() as u64;
        // What the ledger and the people are needed for is known only after the dates have been compared.
        let compared = aside({
            let (old, new, same) = (Arc::clone(&old), Arc::clone(&new), Arc::clone(&same));
            move || {
                let cases = page.cases.into_iter();
                cases.partition(|stored| same.may_differ(&old, &new, &stored.case))
            }
        });
        let (different, _alike): (Vec<_>, Vec<_>) = compared.await;
        let batch = know(store, different).await?;
        let mut part = aside(move || Part::of(&old, &new, batch, span)).await;
        part.cases = found + broken;
        part.unreadable += broken;
        Ok::<_, StoreError>(part)
    });
    let mut parts = std::pin::pin!(parts.buffered(lanes()));
    let mut difference = Difference::default();
    while let Some(part) = parts.try_next().await? {
        difference.add(part, limit);
    }
    Ok(difference)
}

/// What both rulebooks have in common.
struct Same {
    /// Calendar, people, hours, zone: whatever concerns every case.
    frame: bool,
    ladders: BTreeSet<LadderId>,
}

impl Same {
    fn of(old: &Rulebook, new: &Rulebook) -> Self {
        let frame = old.zone == new.zone
            && old.calendar == new.calendar
            && old.offices == new.offices
            && old.org == new.org
            && old.schedule == new.schedule;
        let is_same = |id: &&LadderId| old.ladders.get(*id) == new.ladders.get(*id);
        let ladders = old.ladders.keys().filter(is_same).cloned().collect();
        Self { frame, ladders }
    }

    /// Whether the plan of a case can differ at all. It cannot where its items have the same dates, kinds and ladders and everything
    /// around them is the same.
    fn may_differ(&self, old: &Rulebook, new: &Rulebook, case: &Case) -> bool {
        if !self.frame {
            return true;
        }
        let compared = guarded(&case.id, || {
            let (old, new) = (dated_items(old, case), dated_items(new, case));
            old.len() != new.len() || old.iter().zip(&new).any(|(old, new)| !self.alike(old, new))
        });
        compared.unwrap_or(true)
    }

    fn alike(&self, old: &Dated<'_>, new: &Dated<'_>) -> bool {
        let ladder = |dated: &Dated<'_>| dated.ladder.map(|ladder| ladder.id.clone());
        let same_ladder = ladder(old).is_none_or(|id| self.ladders.contains(&id));
        same_ladder && ladder(old) == ladder(new) && old.kind == new.kind && old.all().eq(new.all())
    }
}

/// The differences of one batch.
#[derive(Default)]
struct Part {
    cases: u64,
    unreadable: u64,
    touched: u64,
    changes: Vec<Change>,
    dates: Vec<Redated>,
}

impl Part {
    fn of(old: &Rulebook, new: &Rulebook, batch: Batch, span: (Timestamp, Timestamp)) -> Self {
        let mut part = Self {
            unreadable: batch.unreadable.len() as u64,
            ..Self::default()
        };
        for known in batch.known {
            let compared = guarded(&known.case.id, || {
                (redated(old, new, &known), changes(old, new, &known, span))
            });
            let Some((dates, changes)) = compared else {
                part.unreadable += 1;
                continue;
            };
            part.touched += u64::from(!dates.is_empty() || !changes.is_empty());
            part.dates.extend(dates);
            part.changes.extend(changes);
        }
        part
    }
}

fn redated(old: &Rulebook, new: &Rulebook, known: &Known) -> Vec<Redated> {
    let (before, after) = (dated_items(old, &known.case), dated_items(new, &known.case));
    let pairs = before.iter().zip(&after);
    let found = pairs.filter_map(|(before, after)| {
        let Item::Deadline(deadline) = before.item else {
            return None;
        };
        let changed = Redated {
            case: known.case.id.clone(),
            item: deadline.id.clone(),
            kind: deadline.kind.clone(),
            before: dates(before),
            after: dates(after),
        };
        (changed.before != changed.after).then_some(changed)
    });
    found.collect()
}

fn dates(dated: &Dated<'_>) -> Dates {
    let counted = dated.counted.as_ref();
    Dates {
        end: counted.map(|counted| counted.legal_end),
        last_safe_day: counted.map(|counted| counted.last_safe_day),
    }
}

/// What makes two times of a rung comparable. The notice about a call is something else than the reminder itself.
type Key = (ItemId, RungName, Audience, bool);

/// A message or a call, and which time of which rung it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Time {
    told: Told,
    ladder: LadderId,
    occurrence: Occurrence,
}

fn changes(old: &Rulebook, new: &Rulebook, known: &Known, span: (Timestamp, Timestamp)) -> Vec<Change> {
    let mut before = times(old, known, span);
    let mut changes = Vec::new();
    for (key, mut after) in times(new, known, span) {
        let mut before = before.remove(&key).unwrap_or_default();
        leave_out_the_same(&mut before, &mut after);
        let count = before.len().max(after.len());
        let (mut before, mut after) = (before.into_iter(), after.into_iter());
        for _ in 0..count {
            changes.push(change(known, &key, before.next(), after.next(), span.0));
        }
    }
    for (key, gone) in before {
        let gone = gone.into_iter();
        changes.extend(gone.map(|gone| change(known, &key, Some(gone), None, span.0)));
    }
    changes
}

fn change(known: &Known, key: &Key, before: Option<Time>, after: Option<Time>, now: Timestamp) -> Change {
    let sign = match (&before, &after) {
        (_, Some(after)) if after.told.at <= now => Sign::AtOnce,
        (Some(_), Some(_)) => Sign::Moved,
        (None, _) => Sign::New,
        (_, None) => Sign::Gone,
    };
    let (item, rung, audience, _) = key.clone();
    let ladder = after.as_ref().or(before.as_ref()).map(|time| time.ladder.clone());
    Change {
        sign,
        case: known.case.id.clone(),
        item,
        ladder: ladder.unwrap_or_else(|| "".into()),
        rung,
        audience,
        before: before.map(|time| time.told),
        after: after.map(|time| time.told),
    }
}

/// Both lists without what stands in both.
fn leave_out_the_same(before: &mut Vec<Time>, after: &mut Vec<Time>) {
    before.retain(|old| match after.iter().position(|new| new.told == old.told) {
        Some(place) => {
            after.remove(place);
            false
        }
        None => true,
    });
}

/// What reaches somebody, by time.
fn times(rules: &Rulebook, known: &Known, span: (Timestamp, Timestamp)) -> BTreeMap<Key, Vec<Time>> {
    let Known { case, people, decided } = known;
    let foreseen = forecast(rules, case, people, decided.clone(), span, PER_CASE_MAX);
    let mut times: BTreeMap<Key, Vec<Time>> = BTreeMap::new();
    for Foreseen { at, decision } in foreseen {
        if !matches!(decision.verdict, Verdict::Queued | Verdict::Task) {
            continue;
        }
        let is_notice = decision.text.as_str() == CALL_TASK;
        let key = (
            decision.mark.item,
            decision.mark.rung,
            decision.mark.audience,
            is_notice,
        );
        times.entry(key).or_default().push(Time {
            told: Told {
                at: at.max(decision.not_before),
                who: who(rules, people, &decision.recipient),
                recipient: decision.recipient,
                way: decision.way,
                text: decision.text,
            },
            ladder: decision.mark.ladder,
            occurrence: decision.mark.occurrence,
        });
    }
    for list in times.values_mut() {
        list.sort_by(|a, b| (a.occurrence, &a.told).cmp(&(b.occurrence, &b.told)));
    }
    times
}
