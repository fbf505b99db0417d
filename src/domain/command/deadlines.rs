//! Commands on deadlines: from when they count, what somebody fixed, and whether they were met.

use jiff::civil::Date;

use crate::domain::case::{Case, Deadline, Item, Mark, Trigger};
use crate::domain::command::items::{already_over, known_office, next_id, no_item};
use crate::domain::command::open::unknown;
use crate::domain::command::{Change, Context, Refusal, fields};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, OfficeId, PeriodId};
use crate::domain::period::Start;
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::{Loss, PeriodKind, Starts};
use crate::domain::text::Said;

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

/// Two of one kind, such as two conclusions under review, each have their own date.
fn counts_from_the_same(rule: &PeriodKind, other: &PeriodId, context: &Context<'_>) -> bool {
    context
        .rules
        .periods
        .get(other)
        .is_some_and(|other| other.id != rule.id && other.trigger == rule.trigger)
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
    later_than_the_law(context, deadline, end)?;
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

/// Who may not silence the last days of a right alone may not put them off alone either.
fn later_than_the_law(context: &Context<'_>, deadline: &Deadline, end: Date) -> Result<(), Refusal> {
    let counted_from_its_date = Deadline {
        fixed_end: None,
        ..deadline.clone()
    };
    let dated = Dated::new(context.rules, Item::Deadline(&counted_from_its_date));
    let is_lost = dated.kind.is_some_and(|kind| kind.loss == Loss::Irrecoverable);
    let Some(counted) = dated.counted.filter(|counted| is_lost && counted.legal_end < end) else {
        return Ok(());
    };
    if context.actor.role.is_supervisory() {
        return Ok(());
    }
    let before = counted.legal_end;
    Err(Refusal::at(
        "end",
        Said::new(
            format!("此期限过期即失权,现为{before},不能自行推后"),
            format!("the right is lost for ever with this deadline; it ends {before} and is not put off by one person"),
        ),
        Said::new(
            "确有依据的,请主管用自己的身份(--as)登记",
            "where there are grounds, a supervisor records it under their own name (--as)",
        ),
    ))
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
