//! The calendar invitation of an appointment or an escort: what a mail about it carries, so that a calendar follows moves and
//! cancellations. It says no more than the mail itself; where somebody is fetched and which way they go is never in it.

use crate::channel::invitation::{Invitation, Method};
use crate::domain::case::Item;
use crate::domain::ladder::Audience;
use crate::domain::milestone::Milestone;
use crate::domain::person::MayKnow;
use crate::domain::plan::decide::Scene;
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::recheck::Queued;
use crate::domain::reminder::Recipient;
use crate::domain::text::Said;

/// The invitation for one reminder; `None` for items that bind nobody, and for calls.
pub(crate) fn invitation(scene: &Scene<'_>, dated: &Dated<'_>, queued: &Queued, domain: &str) -> Option<Invitation> {
    let (start, end, office, what) = match dated.item {
        Item::Appointment(appointment) => (
            appointment.start,
            appointment.end,
            &appointment.office,
            &appointment.what,
        ),
        Item::Escort(escort) => (escort.pick_up, escort.home_by, &escort.office, &escort.what),
        _ => return None,
    };
    if queued.is_call_notice {
        return None;
    }
    // Each change that a calendar hears of counts, so that whoever gives it away and takes it back is asked anew.
    let changes = dated.item.moves() + dated.item.passes();
    let (method, sequence) = if dated.at(Milestone::Cancelled).is_some() {
        (Method::Cancel, changes + 1)
    } else if queued.audience == Audience::Former {
        (Method::Cancel, changes)
    } else {
        (Method::Request, changes)
    };
    let rules = scene.rules;
    let reader = reader(scene, &queued.recipient)?;
    let label = dated.item.label();
    let summary = match reader {
        Reader::Staff => format!("{} {}", label.zh, scene.case.id),
        Reader::Public(_) => "办事安排 / appointment".to_owned(),
    };
    let is_escort = matches!(dated.item, Item::Escort(_));
    let office = rules.offices.get(office);
    let location = match reader {
        Reader::Staff => office,
        Reader::Public(MayKnow::Full) => office.filter(|_| !is_escort),
        Reader::Public(MayKnow::DateOnly) => None,
    };
    let hall = rules.org.units.get(&scene.case.unit);
    let hall = hall.map(|unit| Said::new(unit.name.clone(), unit.phone.clone()));
    let hall = hall.map_or_else(String::new, |hall| format!("{} {}", hall.zh, hall.en));
    let description = match reader {
        Reader::Public(MayKnow::DateOnly) => hall,
        _ => format!("{what}\n{hall}"),
    };
    Some(Invitation {
        method,
        uid: Invitation::uid(scene.case.id.as_str(), dated.item.id().as_str(), domain),
        sequence,
        stamp: dated
            .at(Milestone::Cancelled)
            .map_or(dated.item.set_at(), |off| off.starts_at(&rules.zone)),
        start,
        end,
        zone: rules.zone.clone(),
        summary,
        location: location.map(|office| format!("{}, {}", office.name, office.address)),
        description: Some(description),
        attendee: name(scene, &queued.recipient),
    })
}

#[derive(Clone, Copy)]
enum Reader {
    Staff,
    Public(MayKnow),
}

fn reader(scene: &Scene<'_>, recipient: &Recipient) -> Option<Reader> {
    match recipient {
        Recipient::Staff(_) => Some(Reader::Staff),
        Recipient::Person(id) => {
            let person = scene.people.all().find(|person| person.id == *id)?;
            let relative = person.relative.as_ref();
            Some(Reader::Public(
                relative.map_or(MayKnow::Full, |relative| relative.may_know),
            ))
        }
        Recipient::Nobody => None,
    }
}

fn name(scene: &Scene<'_>, recipient: &Recipient) -> Option<String> {
    match recipient {
        Recipient::Staff(id) => scene.rules.org.staff.get(id).map(|staff| staff.name.clone()),
        Recipient::Person(id) => {
            let person = scene.people.all().find(|person| person.id == *id)?;
            Some(person.greeting().zh).filter(|name| !name.is_empty())
        }
        Recipient::Nobody => None,
    }
}
