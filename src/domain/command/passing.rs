//! Passing things on: by name, or not at all. What somebody has in a case never stays with nobody.

use crate::domain::booking::{Agenda, Wish};
use crate::domain::case::ItemKind;
use crate::domain::command::items::{already_over, no_item};
use crate::domain::command::open::known_staff;
use crate::domain::command::{Change, Context, Refusal};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, StaffId};
use crate::domain::text::Said;

/// One item passes to somebody else. Who is to go along has to be free.
pub(super) fn pass(change: &mut Change, context: &Context<'_>, item: &ItemId, to: StaffId) -> Result<(), Refusal> {
    known_staff("to", &to, context)?;
    let found = change.case.item(context.rules, item);
    let found = found.ok_or_else(|| no_item(&change.case, item))?;
    if !found.is_open() {
        return Err(already_over(item));
    }
    if found.assignee() == Some(&to) {
        return Err(Refusal::at(
            "to",
            Said::new("承办人没有变化", "it is theirs already"),
            Said::new("无需转交", "there is nothing to hand over"),
        ));
    }
    is_free(change, context, item, &to).map_err(|refusal| Refusal {
        field: Some("to".to_owned()),
        ..refusal
    })?;
    match change.case.pass_on(item, &to, context.now) {
        Some(from) => {
            let item = item.clone();
            change.events.push(Event::ItemPassed { item, from, to });
            Ok(())
        }
        None => Err(Refusal::at(
            "item",
            Said::new("这一事项由经办人负责", "the item belongs to the owner of the case"),
            Said::new("用 assign 换经办人", "change the owner with \"assign\""),
        )),
    }
}

/// Everything that one person has in a case passes to another: on leaving, or for a long absence. The resident hears it, with the line
/// of the hall.
pub(super) fn take_over(
    change: &mut Change,
    context: &Context<'_>,
    from: &StaffId,
    to: StaffId,
) -> Result<(), Refusal> {
    known_staff("to", &to, context)?;
    if context.actor.id != *from && !context.actor.role.is_supervisory() {
        return Err(Refusal::at(
            "from",
            Said::new("只能交接自己的事项", "only one's own cases can be handed over"),
            Said::new(
                "由本人或主管用自己的身份(--as)交接",
                "whoever hands over does it, or a supervisor, under their own name (--as)",
            ),
        ));
    }
    if *from == to {
        return Err(Refusal::at(
            "to",
            Said::new("交接双方是同一人", "both are the same person"),
            Said::new("写明交给谁", "say who takes over"),
        ));
    }
    let theirs: Vec<ItemId> = change
        .case
        .items(context.rules)
        .filter(|item| item.is_open() && item.assignee() == Some(from))
        .map(|item| item.id().clone())
        .collect();
    if change.case.owner != *from && theirs.is_empty() {
        return Err(Refusal::at(
            "from",
            Said::new(
                format!("{from} 在本案没有事项"),
                format!("{from} has nothing in this case"),
            ),
            Said::new("无需交接", "there is nothing to hand over"),
        ));
    }
    for item in &theirs {
        is_free(change, context, item, &to).map_err(|refusal| Refusal {
            field: Some(item.to_string()),
            fix: Said::new(
                format!("{};先用 pass 转给别人", refusal.fix.zh),
                format!("{}; pass it to somebody else with \"pass\" first", refusal.fix.en),
            ),
            ..refusal
        })?;
    }
    for item in theirs {
        if change.case.pass_on(&item, &to, context.now).is_some() {
            change.events.push(Event::ItemPassed {
                item,
                from: from.clone(),
                to: to.clone(),
            });
        }
    }
    if change.case.owner == *from {
        change.case.owner = to.clone();
        change.case.care.owner_since = Some(context.now);
        change.events.push(Event::OwnerChanged { from: from.clone(), to });
    }
    Ok(())
}

/// Whoever takes over what is booked has to be able to go.
fn is_free(change: &Change, context: &Context<'_>, item: &ItemId, to: &StaffId) -> Result<(), Refusal> {
    let Some(found) = change.case.item(context.rules, item) else {
        return Ok(());
    };
    let Some(span) = found.span().filter(|span| span.to > context.now) else {
        return Ok(());
    };
    let wish = Wish {
        case: &change.case,
        item: Some(item),
        staff: to,
        office: span.office,
        from: span.from,
        to: span.to,
        is_escort: found.kind() == ItemKind::Escort,
    };
    Agenda::new(context.rules, &change.case, context.busy).allows(&wish)
}
