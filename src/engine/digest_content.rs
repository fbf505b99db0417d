//! Gathers what stands in a digest: agenda, call tasks, waiting and new cases, and for supervisors the roll-up of their units. It says
//! what is so at `now`; whether a digest is due, late or missed is the business of `digests`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp};

use crate::domain::case::{Case, FeedbackKind, Item};
use crate::domain::digest::page::{CallTask, Page, sort};
use crate::domain::digest::{Digest, Line, Month, RollUp, StaffLoad, UnitLoad};
use crate::domain::ids::{CaseId, PersonId, StaffId, UnitId};
use crate::domain::knowledge::{Review, reviews_due};
use crate::domain::label::LabelKind;
use crate::domain::milestone::instant;
use crate::domain::org::{Org, Role, Staff};
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::reminder::{MarkText, Recipient};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, day_words};
use crate::engine::live::Rules;
use crate::engine::waits::Wait;
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
/// Households to greet in one digest at the most.
const GREETINGS_MAX: i64 = 100;
/// Who leaves within so many days is mentioned while they still own cases.
const LEAVING_DAYS: i64 = 14;
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

    let mut digest = page.empty(reader, &store.chain_head().await?.short());
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
    let often = files.cases.values().filter(|case| covered.contains(&case.owner));
    digest.often = often
        .filter_map(|case| page.often_line(case, files.people(case)))
        .collect();
    if let Some(occasion) = page.greeting() {
        digest.greetings = greetings(engine, &page, &covered, &occasion).await?;
    }
    let reviews = reviews_due(book, day).into_iter();
    let reviews = reviews.filter(|review| covered.contains(&review.keeper));
    digest.reviews = reviews.map(|review| review_words(&review)).collect();
    if book
        .duty_officer(&reader.unit, day)
        .is_some_and(|officer| officer.id == reader.id)
    {
        let units = std::slice::from_ref(&reader.unit);
        let load = loads(engine, &page, reader, units).await?.pop();
        // Whoever is on duty is told so, also at a window with nothing in hand.
        digest.on_duty = load.or_else(|| Some(idle(&book.org, &reader.unit)));
    }
    if reader.role.is_supervisory() {
        digest.roll_up = Some(roll_up(engine, &page, reader, &covered).await?);
    }
    sort(&mut digest);
    Ok(Some(digest))
}

/// Households of these people's cases that may be greeted.
async fn greetings(
    engine: &Engine,
    page: &Page<'_>,
    covered: &[StaffId],
    occasion: &Said,
) -> Result<Vec<Line>, StoreError> {
    let ids = engine.store.to_greet(covered, GREETINGS_MAX).await?;
    let ids: BTreeSet<CaseId> = ids.into_iter().map(CaseId::from).collect();
    let files = Files::load(engine, &ids).await?;
    let is_alive = |people: &People| people.resident.as_ref().is_some_and(|person| !person.deceased);
    let lines = files.cases.values().filter(|case| is_alive(files.people(case)));
    Ok(lines
        .map(|case| page.greeting_line(case, files.people(case), occasion))
        .collect())
}

/// 复核规定: what to compare with its source again, and since when.
fn review_words(review: &Review) -> Said {
    let (title, source, due) = (&review.title, &review.source, day_words(review.due));
    Said::new(
        format!("{}: 与依据核对({source}),应在{}前复核", title.zh, due.zh),
        format!(
            "{}: compare with its source ({source}); the review was due {}",
            title.en, due.en
        ),
    )
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
    troubles.splice(0..0, engine.waits().await?.iter().filter_map(wait_words));
    let digest_at = |day| instant(day, book.schedule.digest_at, &book.zone);
    let yesterday = digest_at(book.calendar.previous_workday(page.day));
    let (sent, failed) = store.outcome_counts(&units, yesterday, digest_at(page.day)).await?;
    Ok(RollUp {
        units: loads(engine, page, reader, &units).await?,
        exceptions: places.iter().filter_map(exception).collect(),
        troubles,
        staff: staff_loads(engine, page, reader).await?,
        leaving: leaving(engine, page, &units).await?,
        month: month(engine, page, &units).await?,
        sent: count(sent),
        failed: count(failed),
        calendar_ends: calendar_ends(book, page.day),
    })
}

/// What holds messages, for whoever can release it. What waits for the morning is nobody's trouble.
fn wait_words(wait: &Wait) -> Option<Said> {
    if ["cap", "alone"].contains(&wait.kind) {
        return None;
    }
    if wait.kind == "canary" {
        return Some(Said::new(wait.zh.as_str(), wait.en.as_str()));
    }
    let (id, who) = (&wait.id, wait.who.as_deref().unwrap_or_default());
    Some(if wait.kind == "paused" {
        Said::new(
            format!("发送已停({id},{who}): {}", wait.zh),
            format!("sending is stopped ({id}, {who}): {}", wait.en),
        )
    } else {
        let count = wait.count.unwrap_or(0);
        Said::new(
            format!(
                "暂扣{count}条(单号 {id}): {}。放行: xixin ctl release {id} --reason 理由",
                wait.zh
            ),
            format!(
                "{count} messages are held ({id}): {}; to release them: xixin ctl release {id} --reason WHY",
                wait.en
            ),
        )
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

/// One row per member of staff of a centre and its windows. A district looks at its centres.
async fn staff_loads(engine: &Engine, page: &Page<'_>, reader: &Staff) -> Result<Vec<StaffLoad>, StoreError> {
    let (book, org) = (page.rules, &page.rules.org);
    if reader.role == Role::DistrictLead {
        return Ok(Vec::new());
    }
    let here = |staff: &&Staff| org.is_within(&staff.unit, &reader.unit) && !staff.has_left(page.day);
    let staff: Vec<&Staff> = org.staff.values().filter(here).collect();
    let ids: Vec<StaffId> = staff.iter().map(|staff| staff.id.clone()).collect();
    let open: BTreeMap<String, i64> = engine.store.open_cases_by_owner(&ids).await?.into_iter().collect();
    let due = engine.store.loads_of(&ids, page.day).await?.into_iter();
    let due: BTreeMap<String, (i64, i64)> = due.map(|(id, overdue, today)| (id, (overdue, today))).collect();
    let load = |staff: &&Staff| {
        let (overdue, due_today) = due.get(staff.id.as_str()).copied().unwrap_or_default();
        let on_duty = book.duty_officer(&staff.unit, page.day);
        StaffLoad {
            name: staff.name.clone(),
            on_duty: on_duty.is_some_and(|officer| officer.id == staff.id),
            open_cases: count(open.get(staff.id.as_str()).copied().unwrap_or_default()),
            overdue: count(overdue),
            due_today: count(due_today),
        }
    };
    let loads = staff.iter().map(load);
    Ok(loads
        .filter(|load| load.on_duty || load.open_cases + load.overdue + load.due_today > 0)
        .collect())
}

/// Whoever leaves soon, or has left, and still owns open cases.
async fn leaving(engine: &Engine, page: &Page<'_>, units: &[UnitId]) -> Result<Vec<Said>, StoreError> {
    let soon = later(page.day, LEAVING_DAYS);
    let leaves = |staff: &&Staff| units.contains(&staff.unit) && staff.leaves.is_some_and(|last| last <= soon);
    let staff: Vec<&Staff> = page.rules.org.staff.values().filter(leaves).collect();
    let ids: Vec<StaffId> = staff.iter().map(|staff| staff.id.clone()).collect();
    let open: BTreeMap<String, i64> = engine.store.open_cases_by_owner(&ids).await?.into_iter().collect();
    let said = |staff: &&Staff| {
        let (open, last) = (open.get(staff.id.as_str())?, day_words(staff.leaves?));
        let (id, name) = (&staff.id, &staff.name);
        Some(Said::new(
            format!(
                "{name} {}离岗,还有{open}个案件没有交接: xixin hand-over --from {id} --to 名字",
                last.zh
            ),
            format!(
                "{name} leaves on {}, cases not handed over yet: {open}; xixin hand-over --from {id} --to NAME",
                last.en
            ),
        ))
    };
    Ok(staff.iter().filter_map(said).collect())
}

/// On the first workday of a month, what the one before was like.
async fn month(engine: &Engine, page: &Page<'_>, units: &[UnitId]) -> Result<Option<Month>, StoreError> {
    let first = page.day.first_of_month();
    if page.rules.calendar.workday_on_or_after(first) != page.day {
        return Ok(None);
    }
    let last = first.yesterday().unwrap_or(first);
    let labels = engine.store.count_labels(units, last.first_of_month(), last).await?;
    let of = |kind: LabelKind| labels.iter().filter(move |(found, ..)| found == kind.name());
    let feedback = [
        FeedbackKind::Commendation,
        FeedbackKind::Complaint,
        FeedbackKind::Suggestion,
    ];
    let feedback = feedback.into_iter().filter_map(|kind| {
        let (.., n) = of(LabelKind::Feedback).find(|(_, value, _)| value == kind.name())?;
        Some((kind.said(), count(*n)))
    });
    let (year, month) = (last.year(), last.month());
    Ok(Some(Month {
        name: Said::new(format!("{year}年{month}月"), last.strftime("%B %Y").to_string()),
        obstacles: of(LabelKind::Obstacle)
            .map(|(_, tag, n)| (tag.clone(), count(*n)))
            .collect(),
        feedback: feedback.collect(),
        closed: of(LabelKind::Closed).map(|(.., n)| count(*n)).sum(),
        closed_without_trips: of(LabelKind::Trips)
            .filter(|(_, trips, _)| trips == "0")
            .map(|(.., n)| count(*n))
            .sum(),
    }))
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
    loads.entry(below).or_insert_with(|| idle(org, below))
}

/// A unit with nothing in hand.
fn idle(org: &Org, unit: &UnitId) -> UnitLoad {
    let short = org.units.get(unit).map(|unit| unit.short.clone());
    UnitLoad {
        unit: short.unwrap_or_else(|| unit.to_string()),
        open_cases: 0,
        overdue: 0,
        due_today: 0,
        urgent: 0,
        undated: 0,
    }
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
