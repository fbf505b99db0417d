//! Gathers what stands in a digest: agenda, call tasks, waiting and new cases, and for supervisors the roll-up of their units. It says
//! what is so at `now`; whether a digest is due, late or missed is the business of `digests`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp};

use crate::domain::case::{Case, Item};
use crate::domain::digest::page::{CallTask, Page, sort};
use crate::domain::digest::{Digest, Line, RollUp, UnitLoad};
use crate::domain::ids::{CaseId, PersonId, StaffId, UnitId};
use crate::domain::milestone::instant;
use crate::domain::org::{Org, Staff};
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::reminder::{MarkText, Recipient};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, day_words};
use crate::engine::live::Rules;
use crate::engine::{Engine, digests};
use crate::store::agenda::Place;
use crate::store::cases::StoredCase;
use crate::store::reminders::LedgerRow;
use crate::store::{StoreError, instant_of};

/// Deadlines further away than this are not in a digest.
const DEADLINES_DAYS: i64 = 30;
/// Items with a date in one digest at the most.
const ITEMS_MAX: i64 = 500;
/// Items without a date beside them: they come first in their list, and must not push out what is due today.
const UNDATED_MAX: i64 = 50;
/// Overdue items of others in a roll-up at the most.
const EXCEPTIONS_MAX: i64 = 50;
/// What is due within so many days counts as urgent in a roll-up.
const SOON_DAYS: i64 = 7;
/// For so long a message that went wrong stays in the roll-up.
const TROUBLE_DAYS: i64 = 7;
/// A calendar that ends within so many days is mentioned.
const CALENDAR_DAYS: i64 = 60;

/// The digest of one member of staff for one local day, as of `now`. `None` for somebody who is not on the list.
pub async fn build(
    engine: &Engine,
    rules: &Rules,
    staff: &StaffId,
    day: Date,
    now: Timestamp,
) -> Result<Option<Digest>, StoreError> {
    let book = &rules.rulebook;
    let Some(reader) = book.org.staff.get(staff) else {
        return Ok(None);
    };
    let store = &engine.store;
    let page = Page::new(book, day, now);
    let covered = covered_by(&book.org, staff, day);
    let horizon = later(day, DEADLINES_DAYS).max(page.through);
    let mut places = store.agenda_of(&covered, horizon, ITEMS_MAX).await?;
    let undated = store.undated_of(&covered, UNDATED_MAX).await?;
    let (all_dated, all_undated) = store.agenda_size(&covered, horizon).await?;
    let more = count(all_dated).saturating_sub(places.len() as u64);
    let more_undated = count(all_undated).saturating_sub(undated.len() as u64);
    places.extend(undated);
    let tasks = store.open_tasks(&covered).await?;
    let waiting = store.waiting_cases(&covered).await?;
    let at = book.schedule.digest_at;
    let since = instant(book.calendar.previous_workday(day), at, &book.zone);
    let fresh = store
        .new_cases(&covered, since, instant(day, at, &book.zone).max(now))
        .await?;

    let mut ids = case_ids(&places);
    ids.extend(tasks.iter().map(|task| CaseId::from(task.case_id.as_str())));
    let mut files = Files::load(engine, &ids).await?;
    let others = waiting.iter().chain(&fresh).map(|stored| stored.case.clone());
    files.add(engine, others).await?;

    let mut digest = page.empty(reader, &store.chain_head().await?);
    (digest.more, digest.more_undated) = (more, more_undated);
    digest
        .overdue
        .extend(files.unreadable.iter().map(|id| page.unreadable_line(id)));
    for place in &places {
        if let Some((case, people)) = files.get(&place.case_id)
            && let Some(item) = case.item(book, &place.item.as_str().into()).filter(Item::is_open)
        {
            page.file_item(&mut digest, case, people, item);
        }
    }
    let called = tasks.iter().filter_map(|task| {
        let (case, people) = files.get(&task.case_id)?;
        Some(page.task_line(case, people, &call_task(task)))
    });
    digest.calls = called.collect();
    let around = |stored: &StoredCase| files.people(&stored.case);
    let waits = waiting
        .iter()
        .map(|stored| page.waiting_line(&stored.case, around(stored)));
    digest.waiting = waits.collect();
    let came = fresh.iter().map(|stored| page.new_line(&stored.case, around(stored)));
    digest.new_cases = came.collect();
    if reader.role.is_supervisory() {
        digest.roll_up = Some(roll_up(engine, &page, reader, &covered).await?);
    }
    sort(&mut digest);
    Ok(Some(digest))
}

/// Whoever this person acts for that day, themself included.
fn covered_by(org: &Org, staff: &StaffId, day: Date) -> Vec<StaffId> {
    let acts = |id: &&StaffId| org.acting_for(id, day).is_some_and(|acting| acting.id == *staff) || *id == staff;
    org.staff.keys().filter(acts).cloned().collect()
}

fn call_task(row: &LedgerRow) -> CallTask<'_> {
    CallTask {
        id: &row.id,
        item: MarkText::parse(&row.mark).map(|mark| mark.item),
        recipient: Recipient::parse(&row.recipient),
        due: instant_of(row.due_ms),
        reason: Said::new(row.reason_zh.as_str(), row.reason_en.as_str()),
    }
}

fn case_ids(places: &[Place]) -> BTreeSet<CaseId> {
    places.iter().map(|place| place.case_id.as_str().into()).collect()
}

fn later(day: Date, days: i64) -> Date {
    day.checked_add(Span::new().days(days)).unwrap_or(day)
}

/// The cases a digest speaks of, with the people around them.
#[derive(Default)]
struct Files {
    cases: BTreeMap<String, Case>,
    people: HashMap<PersonId, People>,
    /// Cases that cannot be read, themselves or the people around them: nobody is reminded of them.
    unreadable: BTreeSet<CaseId>,
    nobody: People,
}

impl Files {
    async fn load(engine: &Engine, ids: &BTreeSet<CaseId>) -> Result<Self, StoreError> {
        let stored = engine.store.cases(&ids.iter().collect::<Vec<_>>()).await?;
        let mut files = Self::default();
        let lost = ids.iter().filter(|id| !stored.contains_key(*id));
        files.unreadable.extend(lost.cloned());
        files
            .add(engine, stored.into_values().map(|stored| stored.case))
            .await?;
        Ok(files)
    }

    async fn add(&mut self, engine: &Engine, cases: impl Iterator<Item = Case>) -> Result<(), StoreError> {
        let cases: Vec<Case> = cases.collect();
        let residents: Vec<&PersonId> = cases.iter().map(|case| &case.party.person).collect();
        let around = engine.store.around(&residents).await?;
        let lost = cases
            .iter()
            .filter(|case| matches!(around.get(&case.party.person), Some(Err(_))));
        self.unreadable.extend(lost.map(|case| case.id.clone()));
        let read = around.into_iter().filter_map(|(id, people)| Some((id, people.ok()?)));
        self.people.extend(read);
        self.cases
            .extend(cases.into_iter().map(|case| (case.id.to_string(), case)));
        Ok(())
    }

    fn get(&self, id: &str) -> Option<(&Case, &People)> {
        let case = self.cases.get(id)?;
        Some((case, self.people(case)))
    }

    fn people(&self, case: &Case) -> &People {
        self.people.get(&case.party.person).unwrap_or(&self.nobody)
    }
}

/// What a supervisor sees of the units below: counts, what others have let slip, what did not arrive.
async fn roll_up(engine: &Engine, page: &Page<'_>, reader: &Staff, covered: &[StaffId]) -> Result<RollUp, StoreError> {
    let book = page.rules;
    let within = |unit: &&UnitId| book.org.is_within(unit, &reader.unit);
    let units: Vec<UnitId> = book.org.units.keys().filter(within).cloned().collect();
    let store = &engine.store;

    let places = store.overdue_in(&units, page.day, EXCEPTIONS_MAX).await?;
    let files = Files::load(engine, &case_ids(&places)).await?;
    let exception = |place: &Place| {
        let (case, people) = files.get(&place.case_id)?;
        let item = case.item(book, &place.item.as_str().into()).filter(Item::is_open)?;
        let acts = item.assignee().unwrap_or(&case.owner);
        let owner = book.org.staff.get(acts).map(|staff| staff.name.clone());
        let line = page.item_line(case, people, &Dated::new(book, item));
        (!covered.contains(acts)).then_some(Line { owner, ..line })
    };
    let week = SignedDuration::from_hours(24 * TROUBLE_DAYS);
    let since = page.now.checked_sub(week).unwrap_or(Timestamp::MIN);
    let names: Vec<&str> = units.iter().map(UnitId::as_str).collect();
    let troubles = store.troubles(&names, since).await?;
    let trouble = |row: &LedgerRow| {
        Said::new(
            format!("{} {}: {}", row.case_id, way_zh(&row.way), row.reason_zh),
            format!("{} {}: {}", row.case_id, row.way, row.reason_en),
        )
    };
    let mut troubles: Vec<Said> = troubles.iter().map(trouble).collect();
    troubles.extend(lost_digests(engine, page, reader, &units).await?);
    let digest_at = |day| instant(day, book.schedule.digest_at, &book.zone);
    let yesterday = digest_at(book.calendar.previous_workday(page.day));
    let (sent, failed) = store.outcome_counts(&units, yesterday, digest_at(page.day)).await?;
    Ok(RollUp {
        units: loads(engine, page, reader, &units).await?,
        exceptions: places.iter().filter_map(exception).collect(),
        troubles,
        sent: count(sent),
        failed: count(failed),
        calendar_ends: calendar_ends(book, page.day),
    })
}

/// Digests of the last days that did not reach others in these units: whoever misses theirs cannot know. Staff only, no case is named.
async fn lost_digests(
    engine: &Engine,
    page: &Page<'_>,
    reader: &Staff,
    units: &[UnitId],
) -> Result<Vec<Said>, StoreError> {
    let org = &page.rules.org;
    let below: BTreeMap<String, &Staff> = org
        .staff
        .values()
        .filter(|staff| staff.id != reader.id && units.contains(&staff.unit))
        .map(|staff| (Recipient::Staff(staff.id.clone()).to_string(), staff))
        .collect();
    let recipients: Vec<String> = below.keys().cloned().collect();
    let since = digests::mark(later(page.day, -TROUBLE_DAYS));
    let rows = engine.store.undelivered_to(&recipients, &since).await?;
    let lost = |row: &LedgerRow| {
        let name = &below.get(&row.recipient)?.name;
        let day = row.mark.strip_prefix(digests::MARK)?;
        Some(Said::new(
            format!("{name} {day} 的每日待办没有送达: {}", row.reason_zh),
            format!("the daily digest of {day} did not reach {name}: {}", row.reason_en),
        ))
    };
    Ok(rows.iter().filter_map(lost).collect())
}

/// One row per unit directly below the reader's, windows counted with their centre.
async fn loads(
    engine: &Engine,
    page: &Page<'_>,
    reader: &Staff,
    units: &[UnitId],
) -> Result<Vec<UnitLoad>, StoreError> {
    let org = &page.rules.org;
    let soon = later(page.day, SOON_DAYS);
    let mut loads: BTreeMap<&UnitId, UnitLoad> = BTreeMap::new();
    for count_of in engine.store.agenda_counts(units, page.day, soon).await? {
        let load = row_for(&mut loads, org, reader, &count_of.unit);
        load.overdue += count(count_of.overdue);
        load.due_today += count(count_of.due_today);
        load.urgent += count(count_of.urgent);
        load.undated += count(count_of.undated);
    }
    for (unit, open) in engine.store.open_cases_by_unit().await? {
        if units.iter().any(|known| known.as_str() == unit) {
            row_for(&mut loads, org, reader, &unit).open_cases += count(open);
        }
    }
    Ok(loads.into_values().collect())
}

fn row_for<'a, 'b>(
    loads: &'b mut BTreeMap<&'a UnitId, UnitLoad>,
    org: &'a Org,
    reader: &'a Staff,
    unit: &str,
) -> &'b mut UnitLoad {
    let below = org
        .line_of(&unit.into())
        .take_while(|unit| unit.id != reader.unit)
        .last()
        .map_or(&reader.unit, |unit| &unit.id);
    loads.entry(below).or_insert_with(|| UnitLoad {
        unit: org
            .units
            .get(below)
            .map_or_else(|| below.to_string(), |unit| unit.short.clone()),
        open_cases: 0,
        overdue: 0,
        due_today: 0,
        urgent: 0,
        undated: 0,
    })
}

fn calendar_ends(book: &Rulebook, day: Date) -> Option<Said> {
    let last = book.calendar.covered_through()?;
    (last < later(day, CALENDAR_DAYS)).then(|| day_words(last))
}

fn way_zh(way: &str) -> &str {
    match way {
        "email" => "邮件",
        "sms" => "短信",
        "phone" => "电话",
        other => other,
    }
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}
