//! Commands on appointments with outside offices. They are agreed with a third party: what does not fit is refused, never moved.

use jiff::{SignedDuration, Timestamp};

use crate::domain::booking::{Agenda, Wish};
use crate::domain::case::{Appointment, AppointmentState, Passes};
use crate::domain::command::items::{already_over, known_office, next_id, no_item};
use crate::domain::command::open::{known_staff, too_many};
use crate::domain::command::{Change, Context, NewAppointment, Refusal, fields};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, OfficeId, StaffId};
use crate::domain::text::Said;

/// An appointment without an end is taken to last this long, in minutes.
pub(super) const DEFAULT_VISIT_MIN: i64 = 60;
/// Nobody carries more things to an appointment.
const BRING_MAX: usize = 20;

pub(super) fn book(change: &mut Change, context: &Context<'_>, new: NewAppointment) -> Result<(), Refusal> {
    let what = fields::line("what", &new.what, fields::SHORT_MAX)?;
    let with = new.with.unwrap_or_else(|| change.case.owner.clone());
    known_staff("with", &with, context)?;
    known_office(context, Some(&new.office))?;
    let (start, end) = visit(context, &new.office, &new.start, new.end.as_deref())?;
    no_clash(change, context, None, (&new.office, &with), (start, end))?;
    let bring = things_to_bring(&new.bring)?;
    let id = next_id(change, 'a')?;
    change.events.push(Event::AppointmentBooked {
        item: id.clone(),
        office: new.office.clone(),
        start,
        with: with.clone(),
    });
    change.case.appointments.push(Appointment {
        id,
        what,
        office: new.office,
        start,
        end,
        with,
        bring,
        set_at: context.now,
        moves: 0,
        passed_at: None,
        passes: Passes::default(),
        state: AppointmentState::Booked,
        acknowledged: None,
    });
    Ok(())
}

pub(super) fn move_appointment(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    start: &str,
    end: Option<&str>,
) -> Result<(), Refusal> {
    let appointment = open_appointment(change, item)?;
    let (office, with) = (appointment.office.clone(), appointment.with.clone());
    let (start, end) = visit(context, &office, start, end)?;
    no_clash(change, context, Some(item), (&office, &with), (start, end))?;
    let appointment = open_appointment(change, item)?;
    if (appointment.start, appointment.end) == (start, end) {
        return Err(Refusal::at(
            "start",
            Said::new("预约时间没有变化", "it is the same as before"),
            Said::new("无需改期", "there is nothing to move"),
        ));
    }
    // Whoever comes at the same time as before has nothing to be told of.
    let is_moved = appointment.start != start;
    appointment.start = start;
    appointment.end = end;
    if is_moved {
        appointment.moves += 1;
        appointment.set_at = context.now;
        appointment.passed_at = None;
        appointment.acknowledged = None;
    }
    change.events.push(Event::AppointmentMoved {
        item: item.clone(),
        start,
    });
    Ok(())
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
    office_is_open(context, office, "start", start)?;
    Ok((start, end))
}

/// Refuses a time at which the office is closed, and says when it is open.
pub(super) fn office_is_open(
    context: &Context<'_>,
    office: &OfficeId,
    field: &str,
    start: Timestamp,
) -> Result<(), Refusal> {
    let rules = context.rules;
    let Some(office) = rules.offices.get(office) else {
        return Ok(());
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
        return Err(Refusal::at(
            field,
            Said::new(
                format!("{}那时不开门", office.name),
                format!("{} is closed then", office.name_en),
            ),
            fix,
        ));
    }
    Ok(())
}

/// Nobody can be at two offices at once: not the resident, and not whoever goes along.
fn no_clash(
    change: &Change,
    context: &Context<'_>,
    item: Option<&ItemId>,
    (office, staff): (&OfficeId, &StaffId),
    (from, to): (Timestamp, Timestamp),
) -> Result<(), Refusal> {
    let wish = Wish {
        case: &change.case,
        item,
        staff,
        office,
        from,
        to,
        is_escort: false,
    };
    Agenda::new(context.rules, &change.case, context.busy).allows(&wish)
}

/// What the resident should bring, each thing a line.
pub(super) fn things_to_bring(bring: &[String]) -> Result<Vec<String>, Refusal> {
    if bring.len() > BRING_MAX {
        return Err(too_many("bring", BRING_MAX));
    }
    let thing = |(index, thing): (usize, &String)| fields::line(&format!("bring[{index}]"), thing, fields::NAME_MAX);
    bring.iter().enumerate().map(thing).collect()
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
