//! Commands on incidents: noted at once, over when somebody has recovered. A call on the next workday follows by itself.

use crate::domain::case::{Head, Incident, Leg, Mark, Purpose};
use crate::domain::command::escorts::complete_after_incident;
use crate::domain::command::items::{already_over, next_id, no_item};
use crate::domain::command::{Change, Context, Refusal, fields, todos};
use crate::domain::event::Event;
use crate::domain::ids::ItemId;
use crate::domain::text::Said;

/// What is known of it at first.
pub(super) struct Noted {
    pub what: String,
    pub escort: Option<ItemId>,
    pub leg: Option<Leg>,
    pub action: String,
    pub told: Vec<String>,
    pub at: Option<String>,
}

pub(super) fn note(change: &mut Change, context: &Context<'_>, noted: Noted) -> Result<(), Refusal> {
    let what = fields::required_note("what", &noted.what)?;
    let action = fields::note("action", &noted.action)?;
    let at = fields::past("at", noted.at.as_deref(), context)?;
    let told = fields::lines("told", &noted.told)?;
    if let Some(escort) = &noted.escort
        && !change.case.escorts.iter().any(|one| one.head.id == *escort)
    {
        let Refusal { what, fix, .. } = no_item(&change.case, escort);
        return Err(Refusal::at("escort", what, fix));
    }
    let id = next_id(change, 'i')?;
    change.events.push(Event::IncidentNoted {
        item: id.clone(),
        escort: noted.escort.clone(),
    });
    change.case.incidents.push(Incident {
        head: Head::new(id.clone(), context.now),
        at,
        by: context.actor.id.clone(),
        escort: noted.escort,
        leg: noted.leg,
        what,
        action,
        told,
        recovered: None,
    });
    todos::add(change, context, todos::New::of(Purpose::Wellbeing).about(id))
}

pub(super) fn recovered(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let refusal = no_item(&change.case, item);
    let mut incidents = change.case.incidents.iter_mut();
    let incident = incidents.find(|one| one.head.id == *item).ok_or(refusal)?;
    if incident.recovered.is_some() {
        return Err(already_over(item));
    }
    incident.recovered = Some(Mark {
        at: context.now,
        by: context.actor.id.clone(),
    });
    let escort = incident.escort.clone();
    change.events.push(Event::IncidentOver { item: item.clone() });
    match escort {
        Some(escort) => complete_after_incident(change, context, &escort),
        None => Ok(()),
    }
}

/// An incident that is not over keeps the case open.
pub(super) fn none_open(change: &Change) -> Result<(), Refusal> {
    let open = change.case.incidents.iter().filter(|one| one.recovered.is_none());
    let open: Vec<&str> = open.map(|one| one.head.id.as_str()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let open = open.join(", ");
    Err(Refusal::new(
        Said::new(
            format!("突发情况还没有了结: {open}"),
            format!("an incident is still open: {open}"),
        ),
        Said::new("恢复后用 recovered 登记", "record \"recovered\" when it is over"),
    ))
}
