//! Opening a case: from what the clerk typed to facts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::case::{Beginning, Case, CaseFlag, Origin, Party, PriorityLane, Purpose, Trigger};
use crate::domain::command::whole::whole;
use crate::domain::command::{
    Change, Context, NewEscort, Refusal, appointments, callbacks, deadlines, escorts, fields, materials, todos,
};
use crate::domain::event::Event;
use crate::domain::ids::{CaseId, MatterId, OfficeId, PeriodId, PersonId, StaffId, UnitId};
use crate::domain::person::{Gender, Language, MayKnow, Person, PersonFlag, Relative};
use crate::domain::text::{Said, shown};

/// A case as it comes in. Unknown fields are refused, so that a typing mistake loses nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCase {
    pub resident: NewPerson,
    #[serde(default)]
    pub relatives: Vec<NewRelative>,
    /// Name of the enterprise, when the resident is its contact person.
    #[serde(default)]
    pub enterprise: Option<String>,
    pub matter: MatterId,
    /// What the resident asks for.
    pub request: String,
    /// Defaults to the unit of whoever takes it in.
    #[serde(default)]
    pub unit: Option<UnitId>,
    /// Defaults to whoever takes it in.
    #[serde(default)]
    pub owner: Option<StaffId>,
    #[serde(default)]
    pub origin: Origin,
    /// Who brought them here.
    #[serde(default)]
    pub referred_by: Option<String>,
    #[serde(default)]
    pub flags: BTreeSet<CaseFlag>,
    /// Why the case is sorted first; needs a supervisor.
    #[serde(default)]
    pub priority: Option<String>,
    /// Local date and time of arrival, when it was not now.
    #[serde(default)]
    pub received_at: Option<String>,
    #[serde(default)]
    pub deadlines: Vec<NewDeadline>,
    #[serde(default)]
    pub callbacks: Vec<NewCallback>,
    #[serde(default)]
    pub appointments: Vec<NewAppointment>,
    #[serde(default)]
    pub escorts: Vec<NewEscort>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    pub name: String,
    #[serde(default)]
    pub gender: Option<Gender>,
    #[serde(default)]
    pub phone: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    /// Year of birth.
    #[serde(default, deserialize_with = "whole")]
    pub born: Option<i16>,
    #[serde(default)]
    pub flags: BTreeSet<PersonFlag>,
    #[serde(default)]
    pub language: Language,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRelative {
    pub name: String,
    pub relation: String,
    #[serde(default)]
    pub gender: Option<Gender>,
    #[serde(default)]
    pub phone: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub opted_in: bool,
    #[serde(default = "date_only")]
    pub may_know: MayKnow,
}

fn date_only() -> MayKnow {
    MayKnow::DateOnly
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDeadline {
    pub kind: PeriodId,
    #[serde(default)]
    pub trigger: Option<Trigger>,
    #[serde(default)]
    pub office: Option<OfficeId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCallback {
    pub words: String,
    #[serde(default)]
    pub due: Option<String>,
    #[serde(default)]
    pub by: Option<StaffId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAppointment {
    pub what: String,
    pub office: OfficeId,
    pub start: String,
    #[serde(default)]
    pub end: Option<String>,
    #[serde(default)]
    pub with: Option<StaffId>,
    #[serde(default)]
    pub bring: Vec<String>,
}

/// More relatives than this are a list of something else.
const RELATIVES_MAX: usize = 20;

/// A new case with the people it brought along.
pub type Opened = Change;

/// Opens a case under `id`. `imported` marks it as history: nothing that was due before now is ever sent.
pub fn open(id: CaseId, new: NewCase, imported: bool, context: &Context<'_>) -> Result<Opened, Refusal> {
    let rules = context.rules;
    let matter = rules
        .matters
        .get(&new.matter)
        .ok_or_else(|| unknown("matter", new.matter.as_str(), rules.matters.keys()))?;
    let unit = new.unit.unwrap_or_else(|| context.actor.unit.clone());
    if !rules.org.units.contains_key(&unit) {
        return Err(unknown("unit", unit.as_str(), rules.org.units.keys()));
    }
    let opened_at = received_at(new.received_at.as_deref(), context)?;
    let owner = new.owner.unwrap_or_else(|| presumed_owner(&unit, new.origin, context));
    known_staff("owner", &owner, context)?;
    let resident = person((context.new_person)(), &new.resident, "resident.", context)?;
    let priority = new
        .priority
        .map(|reason| grant("priority", &reason, context))
        .transpose()?;
    let beginning = Beginning {
        id,
        opened_at,
        party: Party {
            person: resident.id.clone(),
            enterprise: given(new.enterprise.as_deref())
                .map(|name| fields::line("enterprise", name, fields::SHORT_MAX))
                .transpose()?,
        },
        unit: unit.clone(),
        owner: owner.clone(),
        matter: new.matter.clone(),
        request: fields::required_note("request", &new.request)?,
    };
    let case = Case {
        origin: new.origin,
        referred_by: given(new.referred_by.as_deref())
            .map(|text| fields::line("referred_by", text, fields::SHORT_MAX))
            .transpose()?,
        priority,
        flags: new.flags,
        imported_at: imported.then_some(context.now),
        ..Case::new(beginning)
    };
    let event = if imported {
        Event::CaseImported {
            matter: new.matter,
            unit,
            owner,
        }
    } else {
        Event::CaseOpened {
            matter: new.matter,
            unit,
            owner,
            origin: new.origin,
        }
    };
    let mut change = Change {
        case,
        people: vec![resident],
        events: vec![event],
        tasks_done: Vec::new(),
    };
    if new.relatives.len() > RELATIVES_MAX {
        return Err(too_many("relatives", RELATIVES_MAX));
    }
    for (index, relative) in new.relatives.into_iter().enumerate() {
        add_relative(&mut change, context, relative).map_err(|refusal| within(refusal, "relatives", index))?;
    }
    add_items(
        &mut change,
        context,
        &matter.deadlines,
        (new.deadlines, new.callbacks, new.appointments, new.escorts),
    )?;
    materials::expected(&mut change, &matter.materials, context.now);
    // Whoever wrote from afar hears from somebody soon.
    let from_afar = matches!(
        change.case.origin,
        Origin::Web | Origin::Email | Origin::Letter | Origin::Message
    );
    if from_afar && !imported {
        todos::add(&mut change, context, todos::New::of(Purpose::FirstContact))?;
    }
    Ok(change)
}

type NewItems = (Vec<NewDeadline>, Vec<NewCallback>, Vec<NewAppointment>, Vec<NewEscort>);

/// Whose case it is when nobody says: whoever takes it in at their window (首接负责), or, when it comes to a window that is not theirs
/// or by itself, whoever is on duty there that day.
fn presumed_owner(unit: &UnitId, origin: Origin, context: &Context<'_>) -> StaffId {
    let rules = context.rules;
    let today = rules.zone.to_datetime(context.now).date();
    let from_afar = matches!(origin, Origin::Web | Origin::Email);
    let first_receiver = context.actor.unit == *unit && !from_afar && origin != Origin::Referral;
    // What comes by itself on a rest day, when nobody is on duty, is for whoever is there when the hall opens.
    let day = if from_afar && rules.duty_officer(unit, today).is_none() {
        rules.calendar.workday_on_or_after(today)
    } else {
        today
    };
    let on_duty = rules.duty_officer(unit, day);
    match on_duty {
        Some(officer) if !first_receiver || rules.rota.speaks_of(unit, today) => officer.id.clone(),
        _ => context.actor.id.clone(),
    }
}

fn add_items(
    change: &mut Change,
    context: &Context<'_>,
    expected: &[PeriodId],
    (deadlines, callbacks, appointments, escorts): NewItems,
) -> Result<(), Refusal> {
    let given: Vec<PeriodId> = deadlines.iter().map(|deadline| deadline.kind.clone()).collect();
    for (index, new) in deadlines.into_iter().enumerate() {
        deadlines::add_deadline(change, context, new.kind, new.trigger, new.office)
            .map_err(|refusal| within(refusal, "deadlines", index))?;
    }
    // What a matter of this kind needs is watched from the start, even before its date is known.
    for kind in expected.iter().filter(|kind| !given.contains(kind)) {
        deadlines::add_deadline(change, context, kind.clone(), None, None)?;
    }
    for (index, new) in callbacks.into_iter().enumerate() {
        callbacks::promise(change, context, new.words, new.due, new.by)
            .map_err(|refusal| within(refusal, "callbacks", index))?;
    }
    for (index, new) in appointments.into_iter().enumerate() {
        appointments::book(change, context, new).map_err(|refusal| within(refusal, "appointments", index))?;
    }
    for (index, new) in escorts.into_iter().enumerate() {
        escorts::book(change, context, new).map_err(|refusal| within(refusal, "escorts", index))?;
    }
    Ok(())
}

fn within(refusal: Refusal, list: &str, index: usize) -> Refusal {
    let field = refusal.field.map_or_else(
        || format!("{list}[{index}]"),
        |field| format!("{list}[{index}].{field}"),
    );
    Refusal {
        field: Some(field),
        ..refusal
    }
}

fn received_at(text: Option<&str>, context: &Context<'_>) -> Result<Timestamp, Refusal> {
    let Some(text) = text else { return Ok(context.now) };
    let at = fields::parse_local("received_at", text, &context.rules.zone)?;
    if at > context.now {
        return Err(Refusal::at(
            "received_at",
            Said::new("收件时间在将来", "it lies in the future"),
            Said::new(
                "填写实际收件时间,或省略",
                "give the time it really arrived, or leave it out",
            ),
        ));
    }
    Ok(at)
}

/// A text field that was filled in: blank is the same as absent.
fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

/// `place` is what stands before the names of the fields: `resident.` or nothing.
fn person(id: PersonId, new: &NewPerson, place: &str, context: &Context<'_>) -> Result<Person, Refusal> {
    let at = |field: &str| format!("{place}{field}");
    let this_year = context.rules.zone.to_datetime(context.now).year();
    let born = new
        .born
        .map(|born| fields::year_of_birth(&at("born"), born, this_year))
        .transpose()?;
    Ok(Person {
        id,
        name: fields::name(&at("name"), &new.name)?,
        gender: new.gender,
        phone: given(new.phone.as_deref())
            .map(|text| fields::phone(&at("phone"), text))
            .transpose()?,
        email: given(new.email.as_deref())
            .map(|text| fields::email(&at("email"), text))
            .transpose()?,
        born,
        flags: new.flags.clone(),
        language: new.language,
        deceased: false,
        opted_out: false,
        phone_is_wrong: false,
        relative: None,
    })
}

pub(super) fn add_relative(change: &mut Change, context: &Context<'_>, new: NewRelative) -> Result<(), Refusal> {
    let base = NewPerson {
        name: new.name,
        gender: new.gender,
        phone: new.phone,
        email: new.email,
        ..NewPerson::default()
    };
    let mut relative = person((context.new_person)(), &base, "", context)?;
    relative.relative = Some(Relative {
        of: change.case.party.person.clone(),
        relation: fields::line("relation", &new.relation, fields::NAME_MAX)?,
        opted_in: new.opted_in,
        may_know: new.may_know,
    });
    change.events.push(Event::RelativeAdded {
        person: relative.id.clone(),
        opted_in: new.opted_in,
    });
    change.people.push(relative);
    Ok(())
}

pub(super) fn grant(field: &str, reason: &str, context: &Context<'_>) -> Result<PriorityLane, Refusal> {
    if !context.actor.role.is_supervisory() {
        return Err(Refusal::at(
            field,
            Said::new("优先办理须由主管批准", "only a supervisor may grant priority"),
            Said::new(
                "请主管用自己的身份(--as)办理",
                "ask a supervisor to do it under their own name (--as)",
            ),
        ));
    }
    let reason = fields::line(field, reason, fields::SHORT_MAX)?;
    Ok(PriorityLane {
        reason,
        granted_by: context.actor.id.clone(),
    })
}

pub(super) fn known_staff(field: &str, staff: &StaffId, context: &Context<'_>) -> Result<(), Refusal> {
    let today = context.rules.zone.to_datetime(context.now).date();
    if let Some(known) = context.rules.org.staff.get(staff) {
        return if known.has_left(today) {
            Err(Refusal::at(
                field,
                Said::new(format!("{staff} 已离岗"), format!("{staff} has left")),
                Said::new("另选一位在岗的人", "name somebody who is there"),
            ))
        } else {
            Ok(())
        };
    }
    Err(unknown(field, staff.as_str(), context.rules.org.staff.keys()))
}

/// A name that the rules do not know, with those they do.
pub(super) fn unknown<I: std::fmt::Display>(field: &str, name: &str, known: impl Iterator<Item = I>) -> Refusal {
    /// A longer list helps nobody.
    const LISTED_MAX: usize = 40;
    let mut known: Vec<String> = known.map(|id| id.to_string()).collect();
    if known.len() > LISTED_MAX {
        known.truncate(LISTED_MAX);
        known.push("…".to_owned());
    }
    let (name, list) = (shown(name), known.join(", "));
    Refusal::at(
        field,
        Said::new(
            format!("配置中没有“{name}”"),
            format!("the configuration knows no \"{name}\""),
        ),
        Said::new(format!("可用的有: {list}"), format!("known are: {list}")),
    )
}

pub(super) fn too_many(field: &str, max: usize) -> Refusal {
    Refusal::at(
        field,
        Said::new(format!("最多{max}项"), format!("at most {max} fit")),
        Said::new("请减少,或另立案件", "give fewer, or open another case"),
    )
}
