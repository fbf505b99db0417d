//! What the commands on all kinds of item share: numbers, acknowledgement, and the refusals about an item that is not there.

use jiff::Timestamp;

use crate::domain::case::{Acknowledgement, Case, Item};
use crate::domain::command::open::unknown;
use crate::domain::command::{Change, Context, Refusal, deadlines, escorts, fields, household};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, OfficeId};
use crate::domain::period::{Mode, PeriodRule, Start, count};
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::mute;
use crate::domain::rulebook::Loss;
use crate::domain::text::{Said, shown};

/// More items than this belong to several cases.
const ITEMS_MAX: u32 = 200;

pub(super) fn acknowledge(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    reason: &str,
) -> Result<(), Refusal> {
    let schedule = &context.rules.schedule;
    let rule = PeriodRule::simple(schedule.acknowledgement_lasts, Mode::Workdays);
    let mut acknowledgement = Acknowledgement {
        at: context.now,
        by: context.actor.id.clone(),
        until: count_from_now(context, &rule)?,
        reason: fields::optional_line("reason", reason, fields::SHORT_MAX)?,
    };
    let found = change.case.item(context.rules, item);
    let found = found.ok_or_else(|| no_item(&change.case, item))?;
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
    if let Some(limit) = mute::ends_by(context.rules, &Dated::new(context.rules, found), &acknowledgement) {
        if limit <= context.now {
            return Err(last_days(context));
        }
        acknowledgement.until = acknowledgement.until.min(limit);
    }
    let until = acknowledgement.until;
    change.case.acknowledge(context.rules, item, acknowledgement);
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
    irrecoverable && mute::is_over(context.rules, &dated, context.now)
}

/// Who has seen the warning has not saved the right.
fn last_days(context: &Context<'_>) -> Refusal {
    let what = Said::new(
        "此期限过期即失权,已到最后几天,“已知悉”不能让提醒停下",
        "the right is lost for ever with this deadline and its last days have come: to have seen it does not silence it",
    );
    if context.actor.role.is_supervisory() {
        let fix = Said::new(
            "办完后用 done;确需停提醒,请写明 reason",
            "mark it done when it is; to silence it all the same, give a reason",
        );
        return Refusal::at("reason", what, fix);
    }
    Refusal::at(
        "item",
        what,
        Said::new(
            "办完后用 done;确需停提醒,请主管用自己的身份(--as)确认并写明 reason",
            "mark it done when it is; to silence it all the same, a supervisor acknowledges it under their own name (--as) with a reason",
        ),
    )
}

/// What can simply be done: a deadline that was met, a to-do, a policy the household was told of.
pub(super) fn done(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    if let Some(todo) = change.case.todos.iter_mut().find(|todo| todo.head.id == *item) {
        if todo.done.is_some() {
            return Err(already_over(item));
        }
        todo.done = Some(context.mark());
        change.events.push(Event::ItemDone { item: item.clone() });
        return Ok(());
    }
    match household::policy_told(change, context, item) {
        Some(told) => told,
        None => deadlines::done(change, context, item),
    }
}

/// What was marked as done by mistake is to be done again, and reminded of.
pub(super) fn undone(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let case = &mut change.case;
    if case.escorts.iter().any(|one| one.head.id == *item) {
        return escorts::undone(change, item);
    }
    let steps = case.plan.iter_mut().flat_map(|plan| &mut plan.steps);
    let steps = steps.map(|one| (&one.head.id, one.done.take_if(|_| one.head.id == *item).is_some()));
    let todos = case.todos.iter_mut();
    let todos = todos.map(|one| (&one.head.id, one.done.take_if(|_| one.head.id == *item).is_some()));
    let replies = case.replies.iter_mut();
    let replies = replies.map(|one| (&one.head.id, one.answered.take_if(|_| one.head.id == *item).is_some()));
    let incidents = case.incidents.iter_mut();
    let incidents = incidents.map(|one| (&one.head.id, one.recovered.take_if(|_| one.head.id == *item).is_some()));
    let found = steps
        .chain(todos)
        .chain(replies)
        .chain(incidents)
        .find(|(id, _)| *id == item);
    match found.map(|(_, reopened)| reopened) {
        None => deadlines::undone(change, context, item),
        Some(false) => Err(Refusal::at(
            "item",
            Said::new("该事项并未完成", "that item is not marked as done"),
            Said::new("无需撤销", "there is nothing to undo"),
        )),
        Some(true) => {
            change.events.push(Event::ItemReopened { item: item.clone() });
            Ok(())
        }
    }
}

pub(super) fn count_from_now(context: &Context<'_>, rule: &PeriodRule) -> Result<Timestamp, Refusal> {
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

pub(super) fn known_office(context: &Context<'_>, office: Option<&OfficeId>) -> Result<(), Refusal> {
    match office {
        Some(office) if !context.rules.offices.contains_key(office) => {
            Err(unknown("office", office.as_str(), context.rules.offices.keys()))
        }
        _ => Ok(()),
    }
}

pub(super) fn next_id(change: &mut Change, letter: char) -> Result<ItemId, Refusal> {
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

pub(super) fn already_over(item: &ItemId) -> Refusal {
    let item = shown(item.as_str());
    Refusal::at(
        "item",
        Said::new(format!("事项 {item} 已经结束"), format!("item {item} is over already")),
        Said::new("无需再办", "there is nothing left to do"),
    )
}

pub(super) fn no_item(case: &Case, item: &ItemId) -> Refusal {
    let known: Vec<&str> = case.item_ids().map(ItemId::as_str).collect();
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
