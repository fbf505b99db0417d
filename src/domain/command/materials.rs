//! Commands on papers: what is missing, where it was looked for, how far each has come, and that all of them were handed over together.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::case::{Head, Material, MaterialState, Purpose, Search, SearchAnswer, Status};
use crate::domain::command::items::no_item;
use crate::domain::command::open::{known_staff, too_many};
use crate::domain::command::{Change, Context, Refusal, closing, fields, todos};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, StaffId};
use crate::domain::rulebook;
use crate::domain::text::Said;

/// How far a paper can come by a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaterialStep {
    Obtained,
    Verified,
    Copied,
    HandedOver,
}

/// No matter needs more papers.
const MATERIALS_MAX: usize = 60;

/// The papers that a matter of this kind needs, at the opening of a case.
pub(super) fn expected(change: &mut Change, listed: &[rulebook::Material], now: Timestamp) {
    for material in listed {
        let material = Material {
            head: Head::new(number(change), now),
            name: material.name.clone(),
            issuer: material.issuer.clone(),
            places: material.places.clone(),
            state: MaterialState::Required,
            finder: None,
            search: Vec::new(),
        };
        change.case.materials.push(material);
    }
}

pub(super) fn add(
    change: &mut Change,
    context: &Context<'_>,
    name: &str,
    issuer: Option<&str>,
    places: &[String],
) -> Result<(), Refusal> {
    if change.case.materials.len() >= MATERIALS_MAX {
        return Err(too_many("name", MATERIALS_MAX));
    }
    let plain = |text: String| Said::new(text.clone(), text);
    let material = Material {
        head: Head::new(number(change), context.now),
        name: plain(fields::line("name", name, fields::SHORT_MAX)?),
        issuer: issuer
            .map(|text| fields::line("issuer", text, fields::SHORT_MAX).map(plain))
            .transpose()?,
        places: fields::lines("places", places)?,
        state: MaterialState::Required,
        finder: None,
        search: Vec::new(),
    };
    change.events.push(Event::MaterialAdded {
        item: material.head.id.clone(),
    });
    change.case.materials.push(material);
    // All of them are handed over together: the hand-over waits for this one, and is asked for anew when it arrives.
    todos::settle(change, context, Purpose::Handover, None);
    list_changed(change, context)
}

/// 缺件: it holds the case up, and somebody looks for it.
pub(super) fn missing(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    finder: Option<StaffId>,
) -> Result<(), Refusal> {
    let finder = finder.unwrap_or_else(|| context.actor.id.clone());
    known_staff("finder", &finder, context)?;
    let material = wanted(change, item)?;
    material.finder = Some(finder.clone());
    material.head.move_at(context.now);
    let on = material.waited_as();
    change.events.push(Event::MaterialMissing {
        item: item.clone(),
        finder,
    });
    if matches!(change.case.status, Status::Open) {
        change.case.status = Status::Waiting { on, since: context.now };
        change.events.push(Event::WaitingSince { at: context.now });
    }
    Ok(())
}

pub(super) fn request(change: &mut Change, context: &Context<'_>, item: &ItemId, from: &str) -> Result<(), Refusal> {
    let from = fields::line("from", from, fields::SHORT_MAX)?;
    let material = wanted(change, item)?;
    if material.was_denied(&from) {
        let others: Vec<&str> = material.places_to_ask().collect();
        let fix = if others.is_empty() {
            Said::new(
                "换一处问;对方改口了就先用 searched 登记",
                "ask elsewhere; if they say otherwise now, record it with \"searched\" first",
            )
        } else {
            let list = others.join(", ");
            Said::new(format!("还可以问: {list}"), format!("still to be asked: {list}"))
        };
        return Err(Refusal::at(
            "from",
            Said::new(
                format!("“{from}”已答复不在此处"),
                format!("\"{from}\" has answered that it is not there"),
            ),
            fix,
        ));
    }
    material.state = MaterialState::Requested { at: context.now, from };
    change.events.push(Event::MaterialIs {
        item: item.clone(),
        state: "requested".to_owned(),
    });
    Ok(())
}

pub(super) fn searched(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    place: &str,
    answer: SearchAnswer,
) -> Result<(), Refusal> {
    let place = fields::line("place", place, fields::SHORT_MAX)?;
    let search = Search {
        at: context.now,
        by: context.actor.id.clone(),
        place: place.clone(),
        answer,
    };
    let material = wanted(change, item)?;
    material.search.push(search);
    // Who has none cannot be waited for.
    if let MaterialState::Requested { from, .. } = &material.state
        && answer == SearchAnswer::NotHere
        && *from == place
    {
        material.state = MaterialState::Required;
    }
    change.events.push(Event::Searched {
        item: item.clone(),
        answer,
    });
    Ok(())
}

/// A paper has come further. When the last one arrives, one to-do asks for the hand-over of all of them.
pub(super) fn advance(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    step: MaterialStep,
) -> Result<(), Refusal> {
    let was_complete = change.case.bundle_is_complete();
    let at = context.now;
    let (state, name) = match step {
        MaterialStep::Obtained => (MaterialState::Obtained { at }, "obtained"),
        MaterialStep::Verified => (MaterialState::Verified { at }, "verified"),
        MaterialStep::Copied => (MaterialState::Copied { at }, "copied"),
        MaterialStep::HandedOver => (MaterialState::HandedOver { at }, "handed_over"),
    };
    let material = known(change, item)?;
    let (from, to) = (
        material.rank(),
        Material {
            state: state.clone(),
            ..material.clone()
        }
        .rank(),
    );
    let has_none = from < 2 && step != MaterialStep::Obtained;
    if to <= from || has_none {
        let is = material.state.said();
        return Err(Refusal::at(
            "state",
            Said::new(
                format!("这份材料现在是“{}”", is.zh),
                format!("the paper is {} now", is.en),
            ),
            Said::new(
                "依次是 obtained、verified、copied、handed_over",
                "one after the other: obtained, verified, copied, handed_over",
            ),
        ));
    }
    material.state = state;
    change.events.push(Event::MaterialIs {
        item: item.clone(),
        state: name.to_owned(),
    });
    resume_when_found(change, item);
    bundled(change, context, was_complete)?;
    // Handed over one by one, they are handed over.
    let mut needed = change.case.materials.iter().filter(|material| material.is_needed());
    if needed.all(|material| matches!(material.state, MaterialState::HandedOver { .. })) {
        todos::settle(change, context, Purpose::Handover, None);
    }
    Ok(())
}

pub(super) fn not_needed(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    reason: &str,
) -> Result<(), Refusal> {
    let reason = fields::line("reason", reason, fields::SHORT_MAX)?;
    let was_complete = change.case.bundle_is_complete();
    wanted(change, item)?.state = MaterialState::NotNeeded {
        at: context.now,
        reason,
    };
    change.events.push(Event::MaterialIs {
        item: item.clone(),
        state: "not_needed".to_owned(),
    });
    resume_when_found(change, item);
    list_changed(change, context)?;
    bundled(change, context, was_complete)
}

/// 一次性转交: all of them together, or none.
pub(super) fn hand_over(change: &mut Change, context: &Context<'_>) -> Result<(), Refusal> {
    let missing = change.case.materials.iter().filter(|material| !material.is_there());
    let missing: Vec<String> = missing
        .map(|material| format!("{} ({})", material.head.id, material.name.zh))
        .collect();
    if !change.case.bundle_is_complete() {
        let list = if missing.is_empty() {
            "-".to_owned()
        } else {
            missing.join(", ")
        };
        return Err(Refusal::new(
            Said::new(
                format!("材料还没有齐: {list}"),
                format!("the papers are not complete: {list}"),
            ),
            Said::new(
                "到齐后再一次性转交;确不需要的用 not_needed",
                "hand them over together when they are; what is not needed is marked with not_needed",
            ),
        ));
    }
    let at = context.now;
    for material in change.case.materials.iter_mut().filter(|material| material.is_needed()) {
        material.state = MaterialState::HandedOver { at };
    }
    change.events.push(Event::BundleHandedOver);
    todos::settle(change, context, Purpose::Handover, None);
    Ok(())
}

/// Exactly one notice: only the paper that makes the bundle complete asks for the hand-over.
fn bundled(change: &mut Change, context: &Context<'_>, was_complete: bool) -> Result<(), Refusal> {
    if was_complete || !change.case.bundle_is_complete() {
        return Ok(());
    }
    change.events.push(Event::BundleComplete);
    todos::add(change, context, todos::New::of(Purpose::Handover))
}

/// The resident was told a list that no longer holds: a supervisor looks at how they are told the rest (二次告知).
fn list_changed(change: &mut Change, context: &Context<'_>) -> Result<(), Refusal> {
    let told = change.case.told.iter().rev().find(|told| !told.list.is_empty());
    match told {
        Some(told) if told.list != change.case.list_of_materials() => {
            todos::add(change, context, todos::New::of(Purpose::SecondNotice))
        }
        _ => Ok(()),
    }
}

/// A case that waited for this paper goes on.
fn resume_when_found(change: &mut Change, item: &ItemId) {
    let case = &change.case;
    let found = case.materials.iter().find(|material| material.head.id == *item);
    let waited = |material: &&Material| {
        matches!(&case.status, Status::Waiting { on, .. } if *on == material.waited_as()) && material.is_there()
    };
    if found.filter(waited).is_some() {
        closing::go_on(change);
    }
}

/// Papers have numbers of their own, so that what a matter always needs does not use up those of what happens.
fn number(change: &Change) -> ItemId {
    ItemId::from(format!("m{}", change.case.materials.len() + 1))
}

fn known<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Material, Refusal> {
    let refusal = no_item(&change.case, item);
    let mut materials = change.case.materials.iter_mut();
    materials.find(|one| one.head.id == *item).ok_or(refusal)
}

/// A paper that is still looked for.
fn wanted<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Material, Refusal> {
    let material = known(change, item)?;
    if material.is_there() {
        let is = material.state.said();
        return Err(Refusal::at(
            "item",
            Said::new(
                format!("这份材料已经是“{}”", is.zh),
                format!("the paper is {} already", is.en),
            ),
            Said::new("无需再找", "there is nothing to look for"),
        ));
    }
    Ok(material)
}
