//! Commands on to-dos, and the to-dos that other commands bring about.

use jiff::civil::Date;

use crate::domain::calendar::OffDay;
use crate::domain::case::{Head, Purpose, Todo};
use crate::domain::command::items::{count_from_now, next_id};
use crate::domain::command::open::known_staff;
use crate::domain::command::{Change, Context, Refusal, fields};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, StaffId};
use crate::domain::org::Role;
use crate::domain::text::Said;

/// A to-do to be; what is left out follows from its purpose.
#[derive(Debug, Clone)]
pub(super) struct New {
    purpose: Purpose,
    by: Option<StaffId>,
    due: Option<Date>,
    words: String,
    about: Option<ItemId>,
}

impl New {
    pub(super) fn of(purpose: Purpose) -> Self {
        Self {
            purpose,
            by: None,
            due: None,
            words: String::new(),
            about: None,
        }
    }

    pub(super) fn about(self, item: ItemId) -> Self {
        Self {
            about: Some(item),
            ..self
        }
    }

    pub(super) fn by(self, by: StaffId) -> Self {
        Self { by: Some(by), ..self }
    }
}

/// Adds one, unless the same is still to be done.
pub(super) fn add(change: &mut Change, context: &Context<'_>, new: New) -> Result<(), Refusal> {
    let same = |todo: &Todo| todo.done.is_none() && todo.purpose == new.purpose && todo.about == new.about;
    if new.purpose != Purpose::Other && change.case.todos.iter().any(same) {
        return Ok(());
    }
    let due = match new.due {
        Some(due) => due,
        None => usual_day(context, new.purpose)?,
    };
    let by = new.by.unwrap_or_else(|| usual_person(change, context, new.purpose));
    let id = next_id(change, 't')?;
    change.events.push(Event::TodoAdded {
        item: id.clone(),
        purpose: new.purpose,
        by: by.clone(),
        due,
    });
    change.case.todos.push(Todo {
        head: Head::new(id, context.now),
        purpose: new.purpose,
        by,
        due,
        words: new.words,
        about: new.about,
        done: None,
    });
    Ok(())
}

/// Somebody notes down something to do.
pub(super) fn note(
    change: &mut Change,
    context: &Context<'_>,
    words: &str,
    due: Option<&str>,
    by: Option<StaffId>,
) -> Result<(), Refusal> {
    if let Some(by) = &by {
        known_staff("by", by, context)?;
    }
    let due = due.map(|text| fields::day_to_come("due", text, context)).transpose()?;
    let new = New {
        by: Some(by.unwrap_or_else(|| context.actor.id.clone())),
        due,
        words: fields::required_note("words", words)?,
        ..New::of(Purpose::Other)
    };
    add(change, context, new)
}

/// Drops what is owed to nobody any more.
pub(super) fn settle(change: &mut Change, context: &Context<'_>, purpose: Purpose, about: Option<&ItemId>) {
    let open = change.case.todos.iter_mut().filter(|todo| todo.done.is_none());
    for todo in open.filter(|todo| todo.purpose == purpose && (about.is_none() || todo.about.as_ref() == about)) {
        todo.done = Some(context.mark());
        change.events.push(Event::ItemDone {
            item: todo.head.id.clone(),
        });
    }
}

/// What has to be done before a case may close.
pub(super) fn none_binding(change: &Change) -> Result<(), Refusal> {
    let binds = |todo: &&Todo| {
        todo.done.is_none()
            && matches!(
                todo.purpose,
                Purpose::FirstContact | Purpose::Handover | Purpose::AnotherWay
            )
    };
    let open = change.case.todos.iter().filter(binds);
    let open: Vec<String> = open
        .map(|todo| format!("{} ({})", todo.head.id, todo.purpose.said().zh))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let open = open.join(", ");
    Err(Refusal::new(
        Said::new(
            format!("还有没做完的事: {open}"),
            format!("something is still to be done: {open}"),
        ),
        Said::new("做完后用 done 登记", "record it with \"done\" first"),
    ))
}

fn usual_day(context: &Context<'_>, purpose: Purpose) -> Result<Date, Refusal> {
    let rules = context.rules;
    let today = rules.zone.to_datetime(context.now).date();
    let Some(rule) = rules.schedule.todos.get(&purpose) else {
        return Ok(rules.calendar.shift(today, OffDay::Later));
    };
    let end = count_from_now(context, &rule.period)?;
    // `end` is exclusive: it is done on the day before it.
    let last = end.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(end);
    Ok(rules.zone.to_datetime(last).date())
}

/// Whoever owns the case, but for what is a supervisor's to judge.
fn usual_person(change: &Change, context: &Context<'_>, purpose: Purpose) -> StaffId {
    let case = &change.case;
    let owner = || case.owner.clone();
    if !matches!(purpose, Purpose::SecondNotice | Purpose::ApprovePlan) {
        return owner();
    }
    let org = &context.rules.org;
    let supervisor = org.with_role(&case.unit, Role::BusinessSupervisor).next();
    supervisor.map_or_else(owner, |staff| staff.id.clone())
}
