//! Commands on the followable items of a case: deadlines, call-backs, appointments.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::domain::case::{
    Acknowledgement, Appointment, AppointmentState, Attempt, AttemptResult, Callback, Case, Contact, ContactKind,
    Deadline, Direction, Due, Item, Mark, Trigger,
};
use crate::domain::command::open::{known_staff, too_many, unknown};
use crate::domain::command::{Change, Context, Refusal, fields};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, OfficeId, PeriodId, StaffId};
use crate::domain::milestone::{Milestone, instant};
use crate::domain::period::{Mode, PeriodRule, Start, count};
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::{Loss, PeriodKind, Starts};
use crate::domain::text::{Said, shown};

/// What `book` was asked for.
pub(super) struct Booking {
    pub what: String,
    pub office: OfficeId,
    pub start: String,
    pub end: Option<String>,
    pub with: Option<StaffId>,
    pub bring: Vec<String>,
}

/// An appointment without an end is taken to last this long, in minutes.
const DEFAULT_VISIT_MIN: i64 = 60;
/// Nobody carries more things to an appointment.
const BRING_MAX: usize = 20;
/// More items than this belong to several cases.
const ITEMS_MAX: u32 = 200;

pub(super) fn add_deadline(
    change: &mut Change,
    context: &Context<'_>,
    kind: PeriodId,
    trigger: Option<Trigger>,
    office: Option<OfficeId>,
) -> Result<(), Refusal> {
    let Some(rule) = context.rules.periods.get(&kind) else {
        return Err(unknown("kind", kind.as_str(), context.rules.periods.keys()));
    };
    known_office(context, office.as_ref())?;
    let trigger = trigger.unwrap_or_else(|| presumed_trigger(&change.case, rule, context));
    let id = next_id(change, 'd')?;
    let deadline = Deadline {
        id: id.clone(),
        kind: kind.clone(),
        trigger,
        fixed_end: None,
        office,
        set_at: context.now,
        moves: 0,
        done: None,
        acknowledged: None,
    };
    countable(context, &deadline, "trigger")?;
    change.case.deadlines.push(deadline);
    change.events.push(Event::DeadlineAdded { item: id, kind });
    Ok(())
}

/// From when a period counts when nobody says: the opening, if its rule says so; else what is known from another deadline of the case
/// that counts from the same thing (two clocks may run on one record).
fn presumed_trigger(case: &Case, rule: &PeriodKind, context: &Context<'_>) -> Trigger {
    if rule.starts == Starts::Opening {
        return Trigger::Known(Start::Day(context.rules.zone.to_datetime(case.opened_at).date()));
    }
    let sibling = case
        .deadlines
        .iter()
        .find(|deadline| deadline.trigger != Trigger::Unknown && counts_from_the_same(rule, &deadline.kind, context));
    sibling.map_or(Trigger::Unknown, |deadline| deadline.trigger.clone())
}

fn counts_from_the_same(rule: &PeriodKind, other: &PeriodId, context: &Context<'_>) -> bool {
    context
        .rules
        .periods
        .get(other)
        .is_some_and(|other| other.trigger == rule.trigger)
}

pub(super) fn set_trigger(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    trigger: Trigger,
) -> Result<(), Refusal> {
    let deadline = open_deadline(change, item)?;
    if deadline.trigger == trigger && deadline.fixed_end.is_none() {
        return Err(Refusal::at(
            "trigger",
            Said::new("起算日没有变化", "it is the same as before"),
            Said::new("无需重复登记", "there is nothing to change"),
        ));
    }
    let kind = deadline.kind.clone();
    retrigger(change, context, item, &trigger)?;
    // What else waits for the same date has it now too.
    let Some(rule) = context.rules.periods.get(&kind) else {
        return Ok(());
    };
    let waiting = |deadline: &&Deadline| {
        deadline.trigger == Trigger::Unknown
            && deadline.done.is_none()
            && counts_from_the_same(rule, &deadline.kind, context)
    };
    let siblings: Vec<ItemId> = change
        .case
        .deadlines
        .iter()
        .filter(waiting)
        .map(|deadline| deadline.id.clone())
        .collect();
    for sibling in &siblings {
        retrigger(change, context, sibling, &trigger)?;
    }
    Ok(())
}

fn retrigger(change: &mut Change, context: &Context<'_>, item: &ItemId, trigger: &Trigger) -> Result<(), Refusal> {
    let deadline = open_deadline(change, item)?;
    let changed = Deadline {
        trigger: trigger.clone(),
        fixed_end: None,
        ..deadline.clone()
    };
    *deadline = redated(context, deadline, changed, "trigger")?;
    change.events.push(Event::TriggerSet {
        item: item.clone(),
        trigger: trigger.to_string(),
    });
    Ok(())
}

pub(super) fn set_end(change: &mut Change, context: &Context<'_>, item: &ItemId, end: Date) -> Result<(), Refusal> {
    fields::in_range("end", end)?;
    let deadline = open_deadline(change, item)?;
    if deadline.fixed_end == Some(end) {
        return Err(Refusal::at(
            "end",
            Said::new("期限没有变化", "it is the same as before"),
            Said::new("无需重复登记", "there is nothing to change"),
        ));
    }
    let changed = Deadline {
        fixed_end: Some(end),
        ..deadline.clone()
    };
    *deadline = redated(context, deadline, changed, "end")?;
    change.events.push(Event::EndFixed {
        item: item.clone(),
        end,
    });
    Ok(())
}

/// A deadline with another date, entered now. What was acknowledged was the date before.
fn redated(context: &Context<'_>, old: &Deadline, new: Deadline, field: &str) -> Result<Deadline, Refusal> {
    countable(context, &new, field)?;
    let counted = |deadline: &Deadline| Dated::new(context.rules, Item::Deadline(deadline)).counted;
    // The first date is no move.
    let moved = counted(old).is_some_and(|before| counted(&new) != Some(before));
    Ok(Deadline {
        set_at: context.now,
        moves: old.moves + u32::from(moved),
        acknowledged: None,
        ..new
    })
}

/// Refuses a trigger that yields no date: the year 0001, or a period that runs past the end of the calendar.
fn countable(context: &Context<'_>, deadline: &Deadline, field: &str) -> Result<(), Refusal> {
    match &deadline.trigger {
        Trigger::Known(start) => {
            if let Some(day) = start.day(&context.rules.zone) {
                fields::in_range("trigger", day)?;
            }
        }
        Trigger::Range { from, to } => {
            fields::in_range("trigger", *from)?;
            fields::in_range("trigger", *to)?;
        }
        Trigger::Unknown => {}
    }
    match Dated::new(context.rules, Item::Deadline(deadline)).trouble {
        None => Ok(()),
        Some(trouble) => Err(Refusal::at(
            field,
            Said::new(
                format!("由此算不出期限({})", trouble.said().zh),
                format!("no period can be counted from it ({trouble})"),
            ),
            Said::new("请核对日期及其写法", "check the date and how it is written"),
        )),
    }
}

pub(super) fn done(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let mark = Mark {
        at: context.now,
        by: context.actor.id.clone(),
    };
    open_deadline(change, item)?.done = Some(mark);
    change.events.push(Event::ItemDone { item: item.clone() });
    Ok(())
}

pub(super) fn undone(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let deadline = deadline(change, item)?;
    if deadline.done.take().is_none() {
        return Err(Refusal::at(
            "item",
            Said::new("该期限并未标记为完成", "that deadline is not marked as done"),
            Said::new("无需撤销", "there is nothing to undo"),
        ));
    }
    deadline.set_at = context.now;
    change.events.push(Event::ItemReopened { item: item.clone() });
    Ok(())
}

pub(super) fn acknowledge(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let schedule = &context.rules.schedule;
    let rule = PeriodRule::simple(schedule.acknowledgement_lasts, Mode::Workdays);
    let until = count_from_now(context, &rule)?;
    let acknowledgement = Acknowledgement {
        at: context.now,
        by: context.actor.id.clone(),
        until,
    };
    let found = change.case.item(item).ok_or_else(|| no_item(&change.case, item))?;
    if !found.is_open() {
        return Err(already_over(item));
    }
    if is_lost(context, found) && !context.actor.role.is_supervisory() {
        return Err(Refusal::at(
            "item",
            Said::new(
                "此期限过期即失权,且已过期",
                "the deadline has passed and the right may be lost for ever",
            ),
            Said::new(
                "请主管用自己的身份(--as)确认",
                "a supervisor has to acknowledge it under their own name (--as)",
            ),
        ));
    }
    let case = &mut change.case;
    if let Some(deadline) = case.deadlines.iter_mut().find(|deadline| deadline.id == *item) {
        deadline.acknowledged = Some(acknowledgement);
    } else if let Some(callback) = case.callbacks.iter_mut().find(|callback| callback.id == *item) {
        callback.acknowledged = Some(acknowledgement);
    } else if let Some(appointment) = case.appointments.iter_mut().find(|appointment| appointment.id == *item) {
        appointment.acknowledged = Some(acknowledgement);
    }
    change.events.push(Event::Acknowledged {
        item: item.clone(),
        until,
    });
    Ok(())
}

/// Whether a right that cannot be restored has run out. Its escalation is for supervisors, so only they can silence it.
fn is_lost(context: &Context<'_>, item: Item<'_>) -> bool {
    let dated = Dated::new(context.rules, item);
    let irrecoverable = dated.kind.is_some_and(|kind| kind.loss == Loss::Irrecoverable);
    let expired = dated.at(Milestone::Expired);
    irrecoverable && expired.is_some_and(|expired| expired.starts_at(&context.rules.zone) <= context.now)
}

fn count_from_now(context: &Context<'_>, rule: &PeriodRule) -> Result<Timestamp, Refusal> {
    let rules = context.rules;
    let today = rules.zone.to_datetime(context.now).date();
    count(&Start::Day(today), rule, &rules.counting(None))
        .map(|counted| counted.end_at)
        .map_err(|trouble| {
            Refusal::new(
                Said::new(
                    format!("算不出日期({})", trouble.said().zh),
                    format!("no date can be counted ({trouble})"),
                ),
                Said::new("请主管检查 schedule.toml", "ask a supervisor to look at schedule.toml"),
            )
        })
}

pub(super) fn promise(
    change: &mut Change,
    context: &Context<'_>,
    words: String,
    due: Option<String>,
    by: Option<StaffId>,
) -> Result<(), Refusal> {
    let words = fields::required_note("words", &words)?;
    let by = by.unwrap_or_else(|| context.actor.id.clone());
    known_staff("by", &by, context)?;
    let due = match due {
        // A promise that is taken over from older records may be overdue already.
        Some(text) if change.case.imported_at == Some(context.now) => {
            fields::parse_due("due", &text, &context.rules.zone)?
        }
        Some(text) => future_due(context, &text)?,
        None => {
            let end = count_from_now(context, &context.rules.schedule.callback_period)?;
            // `end` is exclusive: the promise is kept on the day before it.
            let last = end.checked_sub(SignedDuration::from_secs(1)).unwrap_or(end);
            Due::Day(context.rules.zone.to_datetime(last).date())
        }
    };
    let id = next_id(change, 'c')?;
    change.events.push(Event::CallbackPromised {
        item: id.clone(),
        by: by.clone(),
        due: due_text(due),
    });
    change.case.callbacks.push(Callback {
        id,
        promised_at: context.now,
        by,
        words,
        due,
        set_at: context.now,
        moves: 0,
        attempts: Vec::new(),
        kept: None,
        acknowledged: None,
    });
    Ok(())
}

fn future_due(context: &Context<'_>, text: &str) -> Result<Due, Refusal> {
    let zone = &context.rules.zone;
    let due = fields::parse_due("due", text, zone)?;
    let past = match due {
        Due::Day(day) => day < zone.to_datetime(context.now).date(),
        Due::At(at) => at < context.now,
    };
    if past {
        return Err(Refusal::at(
            "due",
            Said::new("承诺的时间已经过去", "the promised time has passed"),
            Said::new("填写将来的日期或时间", "give a date or time to come"),
        ));
    }
    Ok(due)
}

fn due_text(due: Due) -> String {
    match due {
        Due::Day(day) => day.to_string(),
        Due::At(at) => at.to_string(),
    }
}

pub(super) fn attempt(
    change: &mut Change,
    people: &People,
    context: &Context<'_>,
    item: &ItemId,
    result: AttemptResult,
    due: Option<String>,
    note: String,
) -> Result<(), Refusal> {
    let note = fields::note("note", &note)?;
    let later = match (result, due) {
        (AttemptResult::CallLater, None) => {
            return Err(Refusal::at(
                "due",
                Said::new("居民希望何时再打没有写", "it does not say when to call again"),
                Said::new("填写 due,如 2026-03-09T15:00", "give due, such as 2026-03-09T15:00"),
            ));
        }
        (AttemptResult::CallLater, Some(text)) => Some(future_due(context, &text)?),
        (_, Some(_)) => {
            return Err(Refusal::at(
                "due",
                Said::new("只有居民要求改时间时才写 due", "due goes with call_later only"),
                Said::new(
                    "改用 call_later,或省略 due",
                    "use call_later, or leave due out: the next try is on the next workday",
                ),
            ));
        }
        (_, None) => None,
    };
    let today = context.rules.zone.to_datetime(context.now).date();
    let next_workday = context.rules.calendar.next_workday(today);
    let callback = open_callback(change, item)?;
    let by = context.actor.id.clone();
    callback.attempts.push(Attempt {
        at: context.now,
        by: by.clone(),
        result,
    });
    change.events.push(Event::CallbackAttempted {
        item: item.clone(),
        result,
    });
    let moved = match result {
        AttemptResult::Reached => None,
        // Tried in vain: again on the next workday, unless the promise runs longer anyway.
        AttemptResult::NoAnswer | AttemptResult::WrongNumber => Some(Due::Day(next_workday)),
        AttemptResult::CallLater => later,
    };
    let callback = open_callback(change, item)?;
    match moved {
        None => {
            callback.kept = Some(Mark {
                at: context.now,
                by: by.clone(),
            });
            change.events.push(Event::CallbackKept { item: item.clone() });
        }
        Some(due) if is_later(context, callback.due, due) || result == AttemptResult::CallLater => {
            callback.moves += u32::from(callback.due != due);
            callback.due = due;
            callback.set_at = context.now;
            callback.acknowledged = None;
            change.events.push(Event::CallbackMoved {
                item: item.clone(),
                due: due_text(due),
            });
        }
        Some(_) => {}
    }
    if let (AttemptResult::WrongNumber, Some(resident)) = (result, &people.resident) {
        mark_number_wrong(change, resident);
    }
    log_call(change, context, note);
    Ok(())
}

fn is_later(context: &Context<'_>, old: Due, new: Due) -> bool {
    let start = |due: Due| match due {
        Due::Day(day) => instant(day, jiff::civil::Time::midnight(), &context.rules.zone),
        Due::At(at) => at,
    };
    start(new) > start(old)
}

/// Nothing is sent to a number that turned out to be somebody else's.
pub(super) fn mark_number_wrong(change: &mut Change, person: &Person) {
    if person.phone_is_wrong {
        return;
    }
    change.events.push(Event::PersonChanged {
        person: person.id.clone(),
        fields: vec!["phone_is_wrong".to_owned()],
    });
    change.people.push(Person {
        phone_is_wrong: true,
        ..person.clone()
    });
}

pub(super) fn log_call(change: &mut Change, context: &Context<'_>, note: String) {
    change.case.contacts.push(Contact {
        at: context.now,
        by: context.actor.id.clone(),
        direction: Direction::Out,
        kind: ContactKind::Phone,
        note,
    });
}

pub(super) fn pass_callback(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    to: StaffId,
) -> Result<(), Refusal> {
    known_staff("to", &to, context)?;
    let callback = open_callback(change, item)?;
    if callback.by == to {
        return Err(Refusal::at(
            "to",
            Said::new("承诺人没有变化", "the promise is theirs already"),
            Said::new("无需转交", "there is nothing to hand over"),
        ));
    }
    let from = std::mem::replace(&mut callback.by, to.clone());
    change.events.push(Event::CallbackPassed {
        item: item.clone(),
        from,
        to,
    });
    Ok(())
}

pub(super) fn book(change: &mut Change, context: &Context<'_>, booking: Booking) -> Result<(), Refusal> {
    let what = fields::line("what", &booking.what, fields::SHORT_MAX)?;
    let with = booking.with.unwrap_or_else(|| change.case.owner.clone());
    known_staff("with", &with, context)?;
    known_office(context, Some(&booking.office))?;
    let (start, end) = visit(context, &booking.office, &booking.start, booking.end.as_deref())?;
    no_clash(change, context, None, (start, end))?;
    if booking.bring.len() > BRING_MAX {
        return Err(too_many("bring", BRING_MAX));
    }
    let thing = |(index, thing): (usize, &String)| fields::line(&format!("bring[{index}]"), thing, fields::NAME_MAX);
    let bring = booking.bring.iter().enumerate().map(thing).collect::<Result<_, _>>()?;
    let id = next_id(change, 'a')?;
    change.events.push(Event::AppointmentBooked {
        item: id.clone(),
        office: booking.office.clone(),
        start,
        with: with.clone(),
    });
    change.case.appointments.push(Appointment {
        id,
        what,
        office: booking.office,
        start,
        end,
        with,
        bring,
        set_at: context.now,
        moves: 0,
        state: AppointmentState::Booked,
        acknowledged: None,
    });
    Ok(())
}

/// The times of a visit, refused when they lie in the past or the office is closed.
fn visit(
    context: &Context<'_>,
    office: &OfficeId,
    start: &str,
    end: Option<&str>,
) -> Result<(Timestamp, Timestamp), Refusal> {
    let rules = context.rules;
    let start = fields::parse_local("start", start, &rules.zone)?;
    let end = match end {
        Some(end) => fields::parse_local("end", end, &rules.zone)?,
        None => start
            .checked_add(SignedDuration::from_mins(DEFAULT_VISIT_MIN))
            .unwrap_or(Timestamp::MAX),
    };
    if start <= context.now {
        return Err(Refusal::at(
            "start",
            Said::new("预约时间已经过去", "the appointment lies in the past"),
            Said::new("填写将来的时间", "give a time to come"),
        ));
    }
    if end <= start {
        return Err(Refusal::at(
            "end",
            Said::new("结束不晚于开始", "it does not end after it starts"),
            Said::new("结束时间应晚于开始时间", "give an end after the start"),
        ));
    }
    let Some(office) = rules.offices.get(office) else {
        return Ok((start, end));
    };
    let local = rules.zone.to_datetime(start);
    let windows = office.windows(&rules.calendar, local.date());
    if !windows
        .iter()
        .any(|window| window.from <= local.time() && local.time() < window.to)
    {
        let hours: Vec<String> = windows
            .iter()
            .map(|window| format!("{}-{}", window.from.strftime("%H:%M"), window.to.strftime("%H:%M")))
            .collect();
        let next = office.next_open_on_or_after(&rules.calendar, local.date().tomorrow().unwrap_or(local.date()));
        let next_zh = next.map_or_else(String::new, |day| format!(",下一个开门日是{day}"));
        let next_en = next.map_or_else(String::new, |day| format!("; it opens next on {day}"));
        let fix = if hours.is_empty() {
            Said::new(
                format!("当天不开门{next_zh}"),
                format!("it is closed that day{next_en}"),
            )
        } else {
            let hours = hours.join(", ");
            Said::new(format!("当天开门时间 {hours}"), format!("it is open {hours} that day"))
        };
        let name = &office.name;
        return Err(Refusal::at(
            "start",
            Said::new(format!("{name}那时不开门"), format!("{name} is closed then")),
            fix,
        ));
    }
    Ok((start, end))
}

pub(super) fn move_appointment(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    start: &str,
    end: Option<&str>,
) -> Result<(), Refusal> {
    let office = open_appointment(change, item)?.office.clone();
    let (start, end) = visit(context, &office, start, end)?;
    no_clash(change, context, Some(item), (start, end))?;
    let appointment = open_appointment(change, item)?;
    if (appointment.start, appointment.end) == (start, end) {
        return Err(Refusal::at(
            "start",
            Said::new("预约时间没有变化", "it is the same as before"),
            Said::new("无需改期", "there is nothing to move"),
        ));
    }
    appointment.moves += u32::from(appointment.start != start);
    appointment.start = start;
    appointment.end = end;
    appointment.set_at = context.now;
    appointment.acknowledged = None;
    change.events.push(Event::AppointmentMoved {
        item: item.clone(),
        start,
    });
    Ok(())
}

/// Nobody can be at two offices at once.
fn no_clash(
    change: &Change,
    context: &Context<'_>,
    moving: Option<&ItemId>,
    (start, end): (Timestamp, Timestamp),
) -> Result<(), Refusal> {
    let mut others = change.case.appointments.iter();
    let clash = others.find(|other| {
        other.state == AppointmentState::Booked && Some(&other.id) != moving && start < other.end && other.start < end
    });
    let Some(other) = clash else { return Ok(()) };
    let zone = &context.rules.zone;
    let (from, to) = (zone.to_datetime(other.start), zone.to_datetime(other.end));
    let (from, to) = (from.strftime("%Y-%m-%d %H:%M"), to.strftime("%H:%M"));
    let id = &other.id;
    Err(Refusal::at(
        "start",
        Said::new(
            format!("与本案预约 {id} 时间冲突({from} 至 {to})"),
            format!("it clashes with appointment {id} of this case ({from} to {to})"),
        ),
        Said::new(
            format!("另选时间,或先改期或取消 {id}"),
            format!("choose another time, or move or cancel {id} first"),
        ),
    ))
}

pub(super) fn attended(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let state = AppointmentState::Attended {
        at: context.now,
        by: context.actor.id.clone(),
    };
    let appointment = open_appointment(change, item)?;
    if appointment.start > context.now {
        return Err(Refusal::at(
            "item",
            Said::new("预约时间还没到", "the appointment has not begun"),
            Said::new(
                "如已取消,用 cancel_appointment",
                "if it fell through, use cancel_appointment",
            ),
        ));
    }
    appointment.state = state;
    change.events.push(Event::AppointmentAttended { item: item.clone() });
    Ok(())
}

pub(super) fn cancel(change: &mut Change, context: &Context<'_>, item: &ItemId, reason: String) -> Result<(), Refusal> {
    let reason = fields::line("reason", &reason, fields::SHORT_MAX)?;
    let state = AppointmentState::Cancelled {
        at: context.now,
        by: context.actor.id.clone(),
        reason,
    };
    open_appointment(change, item)?.state = state;
    change.events.push(Event::AppointmentCancelled { item: item.clone() });
    Ok(())
}

fn known_office(context: &Context<'_>, office: Option<&OfficeId>) -> Result<(), Refusal> {
    match office {
        Some(office) if !context.rules.offices.contains_key(office) => {
            Err(unknown("office", office.as_str(), context.rules.offices.keys()))
        }
        _ => Ok(()),
    }
}

fn next_id(change: &mut Change, letter: char) -> Result<ItemId, Refusal> {
    let n = change.case.next_item;
    if n > ITEMS_MAX {
        return Err(Refusal::new(
            Said::new(
                format!("一个案件最多{ITEMS_MAX}个事项"),
                format!("a case has at most {ITEMS_MAX} items"),
            ),
            Said::new("请另立案件", "open another case"),
        ));
    }
    change.case.next_item = n + 1;
    Ok(ItemId::from(format!("{letter}{n}")))
}

fn deadline<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Deadline, Refusal> {
    let refusal = no_item(&change.case, item);
    change
        .case
        .deadlines
        .iter_mut()
        .find(|deadline| deadline.id == *item)
        .ok_or(refusal)
}

fn open_deadline<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Deadline, Refusal> {
    let deadline = deadline(change, item)?;
    if deadline.done.is_some() {
        Err(already_over(item))
    } else {
        Ok(deadline)
    }
}

fn open_callback<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Callback, Refusal> {
    let refusal = no_item(&change.case, item);
    let callback = change
        .case
        .callbacks
        .iter_mut()
        .find(|callback| callback.id == *item)
        .ok_or(refusal)?;
    if callback.kept.is_some() {
        Err(already_over(item))
    } else {
        Ok(callback)
    }
}

fn open_appointment<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Appointment, Refusal> {
    let refusal = no_item(&change.case, item);
    let appointment = change
        .case
        .appointments
        .iter_mut()
        .find(|one| one.id == *item)
        .ok_or(refusal)?;
    if appointment.state == AppointmentState::Booked {
        Ok(appointment)
    } else {
        Err(already_over(item))
    }
}

fn already_over(item: &ItemId) -> Refusal {
    let item = shown(item.as_str());
    Refusal::at(
        "item",
        Said::new(format!("事项 {item} 已经结束"), format!("item {item} is over already")),
        Said::new("无需再办", "there is nothing left to do"),
    )
}

fn no_item(case: &crate::domain::case::Case, item: &ItemId) -> Refusal {
    let known: Vec<String> = case
        .items()
        .map(|item| format!("{} ({:?})", item.id(), item.kind()))
        .collect();
    let list = if known.is_empty() {
        "-".to_owned()
    } else {
        known.join(", ")
    };
    let item = shown(item.as_str());
    Refusal::at(
        "item",
        Said::new(
            format!("本案没有这样的事项 {item}"),
            format!("the case has no such item {item}"),
        ),
        Said::new(format!("现有: {list}"), format!("there are: {list}")),
    )
}
