//! The daily digests: exactly one per member of staff and local workday, whatever crashes.
//!
//! The day is a slot that is claimed once, in the same transaction that queues everybody's digest; what is in it is read at the moment
//! of sending. A day that was missed is not made up for: the next digest says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::domain::calendar::Certainty;
use crate::domain::case::{Case, Item, Status, Trigger};
use crate::domain::digest::{Digest, Line, RollUp, UnitLoad, Urgency};
use crate::domain::ids::{CaseId, PersonId, StaffId, UnitId};
use crate::domain::ladder::{Priority, Way};
use crate::domain::milestone::{Milestone, Moment, instant};
use crate::domain::org::{Role, Staff};
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::reminder::{MarkText, Recipient, State};
use crate::domain::rulebook::{Loss, Rulebook};
use crate::domain::text::{Said, day_words, mask_name, mask_phone};
use crate::engine::live::Rules;
use crate::engine::prepare::{Context, Judged, cancel};
use crate::engine::{Engine, POLL, new_reminder};
use crate::lifecycle::Beat;
use crate::store::queue::Claimed;
use crate::store::reminders::{LedgerRow, NewReminder};
use crate::store::{StoreError, commit, instant_of, reminders, runs};
use crate::template::Rendered;

const SCHEDULE: &str = "digest";
/// Deadlines further away than this are not in a digest.
const DEADLINES_DAYS: i64 = 30;
/// Items in one digest at the most.
const ITEMS_MAX: i64 = 500;

/// Queues each day's digests when their time has come.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) {
    loop {
        beat.now();
        let now = engine.clock.now();
        match step(&engine, now).await {
            Ok(0) => {}
            Ok(queued) => info!(digests = queued, "queued {queued} digests"),
            Err(error) => {
                error!(error = %crate::telemetry::chain(&error), "digests cannot be queued; trying again");
                engine.note_store_error(&error);
            }
        }
        let until = next_digest(&engine.live.get().rulebook, now);
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.bells.digests.notified() => {}
            () = tokio::time::sleep(wait.clamp(Duration::from_millis(5), POLL)) => {}
        }
    }
}

/// The next instant at which digests are due, after `now`.
pub fn next_digest(rules: &Rulebook, now: Timestamp) -> Timestamp {
    let today = rules.zone.to_datetime(now).date();
    let at = |day: Date| instant(day, rules.schedule.digest_at, &rules.zone);
    let first = rules.calendar.workday_on_or_after(today);
    if at(first) > now {
        at(first)
    } else {
        at(rules.calendar.next_workday(first))
    }
}

/// Claims today's slot when its time has come and queues one digest for everybody who gets one. Returns how many.
pub async fn step(engine: &Engine, now: Timestamp) -> Result<usize, StoreError> {
    let rules = engine.live.get();
    let book = &rules.rulebook;
    let local = book.zone.to_datetime(now);
    let (today, due) = (local.date(), instant(local.date(), book.schedule.digest_at, &book.zone));
    if now < due || !book.calendar.is_workday(today) {
        return Ok(0);
    }
    queue(engine, today, now).await
}

/// Claims the slot of a day and queues its digests; nothing when it, or a later day's, was claimed before. Returns how many.
pub async fn queue(engine: &Engine, day: Date, now: Timestamp) -> Result<usize, StoreError> {
    let rules = engine.live.get();
    let book = &rules.rulebook;
    let slot = day.to_string();
    if engine.store.last_slot(SCHEDULE).await?.is_some_and(|last| last >= slot) {
        return Ok(0);
    }
    let due = instant(day, book.schedule.digest_at, &book.zone);
    let rows: Vec<NewReminder> = readers(book, day)
        .into_iter()
        .map(|staff| new_digest(staff, day, due, now, book))
        .collect();
    let mut tx = engine.store.begin().await?;
    if !runs::claim_slot(&mut tx, SCHEDULE, &slot, now, &engine.holder).await? {
        return Ok(0);
    }
    reminders::add(&mut tx, &rows.iter().collect::<Vec<_>>()).await?;
    commit(tx, "queue the digests").await?;
    engine.bells.ring_senders();
    Ok(rows.len())
}

/// Everybody who opens a digest that day: here, with an address, and wanting one.
pub fn readers(book: &Rulebook, today: Date) -> Vec<&Staff> {
    let reads = |staff: &&Staff| {
        let here = book
            .org
            .acting_for(&staff.id, today)
            .is_some_and(|acting| acting.id == staff.id);
        staff.digest && staff.email.is_some() && here
    };
    book.org.staff.values().filter(reads).collect()
}

fn new_digest(staff: &Staff, day: Date, due: Timestamp, now: Timestamp, book: &Rulebook) -> NewReminder {
    let end_of_day = instant(day.tomorrow().unwrap_or(day), Time::midnight(), &book.zone);
    NewReminder {
        id: new_reminder().to_string(),
        case_id: String::new(),
        mark: format!("digest|{day}"),
        recipient: Recipient::Staff(staff.id.clone()).to_string(),
        way: Way::Email.name(),
        text: "digest".to_owned(),
        state: State::Queued.name(),
        reason_zh: format!("{day} 每日待办"),
        reason_en: format!("daily digest of {day}"),
        priority: Priority::Urgent as i64,
        due_ms: due.as_millisecond(),
        decided_ms: now.as_millisecond(),
        not_before_ms: now.as_millisecond(),
        valid_until_ms: end_of_day.as_millisecond(),
        fallback: String::new(),
        assignee: None,
    }
}

/// A claimed row that belongs to no case: a digest, or a message of `send-test`.
pub(crate) async fn prepare(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    row: &Claimed,
    now: Timestamp,
) -> Result<Judged, StoreError> {
    let recipient = Recipient::parse(&row.recipient);
    let staff = match &recipient {
        Some(Recipient::Staff(id)) => rules.rulebook.org.staff.get(id),
        _ => None,
    };
    let (Some(recipient), Some(staff)) = (recipient, staff) else {
        return Ok(cancel(
            row,
            Said::new("此人已不在名单中", "this person is no longer on the staff list"),
            now,
        ));
    };
    let day = row
        .mark
        .strip_prefix("digest|")
        .and_then(|day| day.parse::<Date>().ok());
    let (Some(day), Some(to)) = (day, staff.email.clone()) else {
        return Ok(cancel(row, Said::new("没有邮箱地址", "no e-mail address"), now));
    };
    if now.as_millisecond() >= row.valid_until_ms {
        return Ok(cancel(row, Said::new("这一天已经过去", "that day is over"), now));
    }
    let digest = build(engine, rules, &staff.id, day, now).await?;
    let Some(digest) = digest else {
        return Ok(cancel(
            row,
            Said::new("此人已不在名单中", "this person is no longer on the staff list"),
            now,
        ));
    };
    if digest.is_empty() && !rules.rulebook.schedule.digest_when_empty {
        return Ok(cancel(
            row,
            Said::new(
                "今日无待办,按设置不发",
                "nothing to do today; the schedule says not to send",
            ),
            now,
        ));
    }
    let context = Context {
        way,
        recipient,
        caller: None,
    };
    let rendered: Rendered = match rules
        .texts
        .render_digest(&digest, crate::domain::person::Language::Chinese)
    {
        Ok(rendered) => rendered,
        Err(error) => {
            error!(reminder.id = %row.id, "the digest cannot be rendered: {error}");
            return Ok(cancel(
                row,
                Said::new("待办文本无法生成", "the digest cannot be rendered"),
                now,
            ));
        }
    };
    Ok(Judged::Go {
        rendered,
        to,
        context,
        version: None,
    })
}

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
    let covered = covered_by(book, staff, day);
    let through = book.calendar.next_workday(day);
    let horizon = day.checked_add(jiff::Span::new().days(DEADLINES_DAYS)).unwrap_or(day);
    let places = engine
        .store
        .agenda_of(&covered, horizon.max(through), ITEMS_MAX)
        .await?;
    let tasks = engine.store.open_tasks(&covered).await?;
    let waiting = engine.store.waiting_cases(&covered).await?;
    let since = instant(book.calendar.previous_workday(day), book.schedule.digest_at, &book.zone);
    let until = instant(day, book.schedule.digest_at, &book.zone).max(now);
    let fresh = engine.store.new_cases(&covered, since, until).await?;

    let mut ids: BTreeSet<CaseId> = places.iter().map(|place| place.case_id.as_str().into()).collect();
    ids.extend(tasks.iter().map(|task| CaseId::from(task.case_id.as_str())));
    let mut files = Files::load(engine, &ids).await?;
    files
        .add(engine, waiting.iter().chain(&fresh).map(|stored| stored.case.clone()))
        .await?;

    let page = Page { book, day, through };
    let mut digest = page.empty(reader, engine.store.chain_head().await?);
    digest.missed_days = missed_days(engine, book, day).await?;
    let due = instant(day, book.schedule.digest_at, &book.zone);
    let late_s = now.as_second() - due.as_second();
    if late_s > i64::from(book.schedule.late_after_minutes) * 60 && late_s < 86_400 {
        digest.late_minutes = u32::try_from(late_s / 60).unwrap_or(u32::MAX);
    }
    for place in &places {
        if let Some((case, people)) = files.get(&place.case_id)
            && let Some(item) = case.item(&place.item.as_str().into()).filter(Item::is_open)
        {
            page.file_item(&mut digest, case, people, item, now);
        }
    }
    for task in &tasks {
        if let Some((case, people)) = files.get(&task.case_id) {
            digest.today.push(page.task_line(case, people, task));
        }
    }
    for stored in &waiting {
        if let Some((case, people)) = files.get(stored.case.id.as_str()) {
            digest.waiting.push(page.waiting_line(case, people));
        }
    }
    for stored in &fresh {
        if let Some((case, people)) = files.get(stored.case.id.as_str()) {
            digest.new_cases.push(page.new_line(case, people));
        }
    }
    if reader.role.is_supervisory() {
        digest.roll_up = Some(roll_up(engine, &page, reader, &covered, now).await?);
    }
    sort(&mut digest);
    Ok(Some(digest))
}

/// Whoever this person acts for that day, themself included.
fn covered_by(book: &Rulebook, staff: &StaffId, day: Date) -> Vec<StaffId> {
    let acts = |id: &&StaffId| book.org.acting_for(id, day).is_some_and(|acting| acting.id == *staff) || *id == staff;
    book.org.staff.keys().filter(acts).cloned().collect()
}

async fn missed_days(engine: &Engine, book: &Rulebook, day: Date) -> Result<u32, StoreError> {
    let last = engine.store.slot_before(SCHEDULE, &day.to_string()).await?;
    let Some(last) = last.and_then(|slot| slot.parse::<Date>().ok()) else {
        return Ok(0);
    };
    Ok(u32::try_from(book.calendar.workdays_between(last, day) - 1).unwrap_or(0))
}

/// The cases a digest speaks of, with the people around them.
#[derive(Default)]
struct Files {
    cases: BTreeMap<String, Case>,
    people: std::collections::HashMap<PersonId, People>,
}

impl Files {
    async fn load(engine: &Engine, ids: &BTreeSet<CaseId>) -> Result<Self, StoreError> {
        let stored = engine.store.cases(&ids.iter().collect::<Vec<_>>()).await?;
        let mut files = Self::default();
        files
            .add(engine, stored.into_values().map(|stored| stored.case))
            .await?;
        Ok(files)
    }

    async fn add(&mut self, engine: &Engine, cases: impl Iterator<Item = Case>) -> Result<(), StoreError> {
        let cases: Vec<Case> = cases.collect();
        let residents: Vec<&PersonId> = cases.iter().map(|case| &case.party.person).collect();
        self.people.extend(engine.store.people(&residents).await?);
        self.cases
            .extend(cases.into_iter().map(|case| (case.id.to_string(), case)));
        Ok(())
    }

    fn get(&self, id: &str) -> Option<(&Case, Option<&Person>)> {
        let case = self.cases.get(id)?;
        let resident = self
            .people
            .get(&case.party.person)
            .and_then(|people| people.resident.as_ref());
        Some((case, resident))
    }
}

/// One day of one reader.
struct Page<'a> {
    book: &'a Rulebook,
    day: Date,
    through: Date,
}

impl Page<'_> {
    fn empty(&self, reader: &Staff, chain_head: String) -> Digest {
        let unit = self.book.org.units.get(&reader.unit);
        Digest {
            staff: reader.id.clone(),
            staff_name: reader.name.clone(),
            date: self.day,
            unit_short: unit.map(|unit| unit.short.clone()).unwrap_or_default(),
            unit_name: unit.map(|unit| unit.name.clone()).unwrap_or_default(),
            unit_name_en: unit.map(|unit| unit.name_en.clone()).unwrap_or_default(),
            unit_phone: unit.map(|unit| unit.phone.clone()).unwrap_or_default(),
            late_minutes: 0,
            missed_days: 0,
            through: self.through,
            overdue: Vec::new(),
            today: Vec::new(),
            deadlines: Vec::new(),
            waiting: Vec::new(),
            ahead: Vec::new(),
            new_cases: Vec::new(),
            roll_up: None,
            chain_head: chain_head.chars().take(12).collect(),
        }
    }

    /// Puts an item where the reader looks for it.
    fn file_item(&self, digest: &mut Digest, case: &Case, resident: Option<&Person>, item: Item<'_>, now: Timestamp) {
        let dated = Dated::new(self.book, item);
        let line = self.item_line(case, resident, &dated, now);
        let Some(day) = act_by(self.book, &dated) else {
            digest.deadlines.push(line);
            return;
        };
        let section = match item {
            _ if line.urgency == Urgency::Overdue => &mut digest.overdue,
            Item::Deadline(_) => &mut digest.deadlines,
            _ if day <= self.day => &mut digest.today,
            _ if day <= self.through => &mut digest.ahead,
            _ => return,
        };
        section.push(line);
    }

    fn item_line(&self, case: &Case, resident: Option<&Person>, dated: &Dated<'_>, now: Timestamp) -> Line {
        match dated.item {
            Item::Deadline(deadline) => {
                let estimated = matches!(deadline.trigger, Trigger::Range { .. });
                let name = dated
                    .kind
                    .map_or_else(|| Said::new("期限", "deadline"), |kind| kind.name.clone());
                let (detail, urgency) = self.deadline_detail(dated);
                let sort_at = act_by(self.book, dated).map_or(Timestamp::MIN, |day| self.midnight(day));
                let provisional = dated
                    .counted
                    .as_ref()
                    .is_some_and(|counted| counted.certainty == Certainty::Provisional);
                Line {
                    estimated,
                    provisional,
                    ..self.line(case, resident, name, detail, urgency, sort_at)
                }
            }
            Item::Callback(callback) => {
                let due = Moment::from(callback.due);
                let day = due.day(&self.book.zone);
                let urgency = self.urgency(day);
                let tries = callback.attempts.len();
                let words = day_words(day);
                let tried = if tries == 0 {
                    Said::default()
                } else {
                    Said::new(format!("已试{tries}次"), format!("tried {tries} times"))
                };
                let detail = Said::new(format!("{}前回电", words.zh), format!("call back by {}", words.en)).and(&tried);
                let name = Said::new("承诺回电", "Promised call-back");
                let time = self.time_of(due);
                let phone = resident.and_then(|person| person.phone.as_deref()).map(mask_phone);
                Line {
                    time,
                    phone,
                    ..self.line(case, resident, name, detail, urgency, due.starts_at(&self.book.zone))
                }
            }
            Item::Appointment(appointment) => {
                let day = self.book.zone.to_datetime(appointment.start).date();
                let urgency = if appointment.end <= now {
                    Urgency::Overdue
                } else {
                    self.urgency(day).max(Urgency::Critical)
                };
                let office = self.book.offices.get(&appointment.office);
                let office = office.map_or_else(|| appointment.office.to_string(), |office| office.name.clone());
                let words = day_words(day);
                let detail = Said::new(format!("{} {office}", words.zh), format!("{} {office}", words.en));
                let name = Said::new(
                    format!("预约: {}", appointment.what),
                    format!("Appointment: {}", appointment.what),
                );
                let time = self.time_of(Moment::Instant(appointment.start));
                Line {
                    time,
                    ..self.line(case, resident, name, detail, urgency, appointment.start)
                }
            }
        }
    }

    fn line(
        &self,
        case: &Case,
        resident: Option<&Person>,
        item: Said,
        detail: Said,
        urgency: Urgency,
        sort_at: Timestamp,
    ) -> Line {
        let matter = self.book.matters.get(&case.matter);
        let matter = matter.map_or_else(
            || Said::new(case.matter.as_str(), case.matter.as_str()),
            |matter| matter.name.clone(),
        );
        let what = if matter == item {
            item
        } else {
            Said::new(
                format!("{} · {}", matter.zh, item.zh),
                format!("{} · {}", matter.en, item.en),
            )
        };
        Line {
            case: case.id.clone(),
            who: resident.map_or_else(|| "—".to_owned(), |person| mask_name(&person.name)),
            what,
            detail,
            time: None,
            phone: None,
            urgency,
            priority: case.priority.is_some(),
            provisional: false,
            estimated: false,
            sort_at,
        }
    }

    fn deadline_detail(&self, dated: &Dated<'_>) -> (Said, Urgency) {
        let Some(counted) = &dated.counted else {
            let trigger = dated
                .kind
                .map_or_else(|| Said::new("起算日", "trigger date"), |kind| kind.trigger.clone());
            let detail = Said::new(
                format!("核实{}: 日期不明,不能当作安全", trigger.zh),
                format!("Find out: {}; no date may be taken as safe", trigger.en),
            );
            return (detail, Urgency::High);
        };
        let day = counted.last_safe_day;
        let words = day_words(day);
        let soft = dated.kind.is_some_and(|kind| kind.loss == Loss::Soft);
        if day < self.day {
            let over = dated
                .at(Milestone::Expired)
                .is_some_and(|after| after.day(&self.book.zone) <= self.day);
            let detail = match (over, soft) {
                (_, true) => Said::new(
                    format!("建议不晚于{},请尽快", words.zh),
                    format!("was advised by {}; soon, please", words.en),
                ),
                (true, _) => {
                    let other = dated.kind.and_then(|kind| kind.alternative.clone());
                    let other = other.map_or_else(Said::default, |other| {
                        Said::new(format!("改走: {}", other.zh), format!("other way: {}", other.en))
                    });
                    Said::new(format!("已过期({})", words.zh), format!("expired ({})", words.en)).and(&other)
                }
                (false, _) => Said::new(
                    format!("最晚可办日{}已过,期限到{}", words.zh, counted.legal_end),
                    format!(
                        "last safe day {} is over; the period ends {}",
                        words.en, counted.legal_end
                    ),
                ),
            };
            return (detail, Urgency::Overdue);
        }
        let days = self.day.until(day).map_or(0, |span| span.get_days());
        let workdays = self.book.calendar.workdays_between(self.day, day);
        let detail = match days {
            0 => Said::new(
                format!("今天是最晚可办日({})", words.zh),
                format!("today is the last safe day ({})", words.en),
            ),
            _ => Said::new(
                format!("最晚{},还剩{days}天({workdays}个工作日)", words.zh),
                format!("by {}, {days} days left ({workdays} workdays)", words.en),
            ),
        };
        (detail, self.urgency(day))
    }

    fn urgency(&self, day: Date) -> Urgency {
        match self.day.until(day).map_or(0, |span| span.get_days()) {
            ..0 => Urgency::Overdue,
            0..=3 => Urgency::Critical,
            4..=7 => Urgency::High,
            8..=14 => Urgency::Attention,
            _ => Urgency::Calm,
        }
    }

    fn task_line(&self, case: &Case, resident: Option<&Person>, task: &LedgerRow) -> Line {
        let name = Said::new("代为电话告知", "Phone instead of writing");
        let reason = Said::new(task.reason_zh.as_str(), task.reason_en.as_str());
        let item = MarkText::parse(&task.mark)
            .map(|mark| mark.item.to_string())
            .unwrap_or_default();
        let detail = reason.and(&Said::new(
            format!("事项 {item}, 任务 {}", task.id),
            format!("item {item}, task {}", task.id),
        ));
        let phone = resident.and_then(|person| person.phone.as_deref()).map(mask_phone);
        let urgency = self.urgency(self.book.zone.to_datetime(instant_of(task.due_ms)).date());
        let urgency = if urgency == Urgency::Overdue {
            Urgency::Overdue
        } else {
            Urgency::Critical
        };
        Line {
            phone,
            ..self.line(case, resident, name, detail, urgency, instant_of(task.due_ms))
        }
    }

    fn waiting_line(&self, case: &Case, resident: Option<&Person>) -> Line {
        let (on, since) = match &case.status {
            Status::Waiting { on, since } => (on.clone(), *since),
            _ => (String::new(), case.opened_at),
        };
        let day = self.book.zone.to_datetime(since).date();
        let words = day_words(day);
        let days = day.until(self.day).map_or(0, |span| span.get_days());
        let detail = Said::new(
            format!("自{}起等{on},已{days}天", words.zh),
            format!("for {on} since {}, {days} days", words.en),
        );
        self.line(
            case,
            resident,
            Said::new("等待", "Waiting"),
            detail,
            Urgency::Calm,
            since,
        )
    }

    fn new_line(&self, case: &Case, resident: Option<&Person>) -> Line {
        let local = self.book.zone.to_datetime(case.opened_at);
        let words = day_words(local.date());
        let at = local.strftime("%H:%M");
        let detail = Said::new(format!("{} {at} 收件", words.zh), format!("taken in {} {at}", words.en));
        let name = self
            .book
            .matters
            .get(&case.matter)
            .map_or_else(Said::default, |matter| matter.name.clone());
        self.line(case, resident, name, detail, Urgency::Calm, case.opened_at)
    }

    fn time_of(&self, moment: Moment) -> Option<String> {
        match moment {
            Moment::Instant(at) => Some(self.book.zone.to_datetime(at).strftime("%H:%M").to_string()),
            Moment::Day(_) => None,
        }
    }

    fn midnight(&self, day: Date) -> Timestamp {
        instant(day, Time::midnight(), &self.book.zone)
    }
}

/// The local day by which to act; `None` when the date has to be found first.
fn act_by(book: &Rulebook, dated: &Dated<'_>) -> Option<Date> {
    let milestone = match dated.item {
        Item::Deadline(_) => Milestone::LastSafeDay,
        Item::Callback(_) => Milestone::Due,
        Item::Appointment(_) => Milestone::Start,
    };
    dated.at(milestone).map(|moment| moment.day(&book.zone))
}

/// First what is granted priority, then what presses most, then by time.
fn sort(digest: &mut Digest) {
    let key = |line: &Line| (!line.priority, line.urgency, line.sort_at, line.case.clone());
    let by_time = |line: &Line| (line.time.clone().unwrap_or_else(|| "99:99".to_owned()), key(line));
    digest.overdue.sort_by_key(key);
    digest.deadlines.sort_by_key(key);
    digest.today.sort_by_key(by_time);
    digest.ahead.sort_by_key(|line| (line.sort_at, line.case.clone()));
    digest.waiting.sort_by_key(|line| (line.sort_at, line.case.clone()));
}

async fn roll_up(
    engine: &Engine,
    page: &Page<'_>,
    reader: &Staff,
    covered: &[StaffId],
    now: Timestamp,
) -> Result<RollUp, StoreError> {
    let book = page.book;
    let units: Vec<UnitId> = book
        .org
        .units
        .keys()
        .filter(|unit| book.org.is_within(unit, &reader.unit))
        .cloned()
        .collect();
    let soon = page.day.checked_add(jiff::Span::new().days(7)).unwrap_or(page.day);
    let counts = engine.store.agenda_counts(&units, page.day, soon).await?;
    let open: BTreeMap<String, i64> = engine.store.open_cases_by_unit().await?.into_iter().collect();
    let load = |unit: &UnitId| {
        let count = counts.iter().find(|count| count.unit == unit.as_str());
        let of = |pick: fn(&crate::store::agenda::UnitCounts) -> i64| {
            count.map_or(0, |count| u64::try_from(pick(count)).unwrap_or(0))
        };
        let open_cases = open
            .get(unit.as_str())
            .map_or(0, |count| u64::try_from(*count).unwrap_or(0));
        let name = book
            .org
            .units
            .get(unit)
            .map_or_else(|| unit.to_string(), |unit| unit.short.clone());
        UnitLoad {
            unit: name,
            open_cases,
            overdue: of(|c| c.overdue),
            due_today: of(|c| c.due_today),
            urgent: of(|c| c.urgent),
        }
    };
    let loads: Vec<UnitLoad> = units
        .iter()
        .map(load)
        .filter(|load| load.open_cases > 0 || load.overdue > 0)
        .collect();

    let places = engine.store.overdue_in(&units, page.day, 50).await?;
    let ids: BTreeSet<CaseId> = places.iter().map(|place| place.case_id.as_str().into()).collect();
    let files = Files::load(engine, &ids).await?;
    let mut exceptions = Vec::new();
    for place in &places {
        if let Some((case, resident)) = files.get(&place.case_id)
            && !covered.contains(&case.owner)
            && let Some(item) = case.item(&place.item.as_str().into()).filter(Item::is_open)
        {
            exceptions.push(page.item_line(case, resident, &Dated::new(book, item), now));
        }
    }
    let since = now
        .checked_sub(SignedDuration::from_hours(24 * 7))
        .unwrap_or(Timestamp::MIN);
    let names: Vec<&str> = units.iter().map(UnitId::as_str).collect();
    let troubles = engine.store.troubles(&names, since).await?;
    let trouble = |row: &LedgerRow| {
        Said::new(
            format!("{} {}: {}", row.case_id, row.way, row.reason_zh),
            format!("{} {}: {}", row.case_id, row.way, row.reason_en),
        )
    };
    let midnight = page.midnight(page.day);
    let before = page.midnight(page.day.yesterday().unwrap_or(page.day));
    let (sent, failed) = engine.store.outcome_counts(before, midnight).await?;
    Ok(RollUp {
        units: if reader.role == Role::BusinessSupervisor || loads.len() > 1 {
            loads
        } else {
            Vec::new()
        },
        exceptions,
        troubles: troubles.iter().map(trouble).collect(),
        sent_yesterday: u64::try_from(sent).unwrap_or(0),
        failed_yesterday: u64::try_from(failed).unwrap_or(0),
    })
}
