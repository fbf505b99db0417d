//! Commands on promised call-backs: the promise, each try at keeping it, and who keeps it.

use jiff::{SignedDuration, Timestamp};

use crate::domain::case::{Attempt, AttemptResult, Callback, Contact, ContactKind, Direction, Due, Mark, Purpose};
use crate::domain::command::items::{already_over, count_from_now, next_id, no_item};
use crate::domain::command::open::known_staff;
use crate::domain::command::{Change, Context, Refusal, fields, todos};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, StaffId};
use crate::domain::milestone::instant;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::text::Said;

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
        next_try: None,
        passed_at: None,
        kept: None,
        acknowledged: None,
    });
    Ok(())
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
    let callback = open_callback(change, item)?;
    match (result, later) {
        (AttemptResult::Reached, _) => {
            callback.kept = Some(Mark {
                at: context.now,
                by: by.clone(),
            });
            callback.next_try = None;
            change.events.push(Event::CallbackKept { item: item.clone() });
            todos::settle(change, context, Purpose::AnotherWay, Some(item));
        }
        (AttemptResult::CallLater, Some(due)) => {
            callback.moves += u32::from(callback.due != due);
            callback.due = due;
            callback.next_try = None;
            callback.set_at = context.now;
            callback.acknowledged = None;
            change.events.push(Event::CallbackMoved {
                item: item.clone(),
                due: due_text(due),
            });
        }
        // Tried in vain: again in the next window. The promise stays due when it was; so many in vain ask for another way.
        _ => {
            callback.next_try = next_window(context);
            if callback.tries_in_vain() >= context.rules.schedule.callback_attempts_max {
                let by = callback.by.clone();
                let another = todos::New::of(Purpose::AnotherWay).about(item.clone()).by(by);
                todos::add(change, context, another)?;
            }
        }
    }
    if let (AttemptResult::WrongNumber, Some(resident)) = (result, &people.resident) {
        mark_number_wrong(change, resident);
    }
    log_call(change, context, note);
    Ok(())
}

/// When staff phone next: the start of the first window after now, today or on the next workday.
fn next_window(context: &Context<'_>) -> Option<Timestamp> {
    let rules = context.rules;
    let today = rules.zone.to_datetime(context.now).date();
    let tomorrow = today.tomorrow().ok()?;
    let days = [
        rules.calendar.workday_on_or_after(today),
        rules.calendar.workday_on_or_after(tomorrow),
    ];
    let starts = days.into_iter().flat_map(|day| {
        let windows = &rules.schedule.callback_windows;
        windows.iter().map(move |window| instant(day, window.from, &rules.zone))
    });
    starts.filter(|start| *start > context.now).min()
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
