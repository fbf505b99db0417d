//! A decision to come, in words and as JSON: what will be sent, to whom, over what, why.

use serde_json::{Value, json};

use crate::cli::case::local;
use crate::cli::{EXIT_USAGE, complain};
use crate::domain::ids::{PersonId, StaffId, UnitId};
use crate::domain::plan::People;
use crate::domain::reminder::{Decision, Recipient, State};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::mask_name;
use crate::engine::foresee::{Ahead, Outlook};
use crate::engine::status::zone_text;

/// Complains about a unit or a member of staff that the rules do not know.
pub(super) fn unknown_name(book: &Rulebook, unit: Option<&str>, staff: Option<&str>) -> Option<u8> {
    if let Some(unit) = unit.filter(|unit| !book.org.units.contains_key(*unit)) {
        let known: Vec<&str> = book.org.units.keys().map(UnitId::as_str).collect();
        complain(&format!(
            "没有单位“{unit}” / there is no unit \"{unit}\"; 现有 / known: {}",
            known.join(", ")
        ));
        return Some(EXIT_USAGE);
    }
    if let Some(staff) = staff.filter(|staff| !book.org.staff.contains_key(*staff)) {
        let known: Vec<&str> = book.org.staff.keys().map(StaffId::as_str).collect();
        complain(&format!(
            "没有工作人员“{staff}” / there is no member of staff \"{staff}\"; 现有 / known: {}",
            known.join(", ")
        ));
        return Some(EXIT_USAGE);
    }
    None
}

/// One line of a list.
pub(super) fn line(book: &Rulebook, outlook: &Outlook, ahead: &Ahead) -> String {
    let Decision {
        mark,
        way,
        verdict,
        reason,
        text,
        ..
    } = &ahead.foreseen.decision;
    let to = who(book, outlook, &ahead.foreseen.decision.recipient);
    let way = way.map_or("—", |way| way.name());
    let state = State::from(*verdict).name();
    format!(
        "{}  {} {}  {}/{}  {state} {way} → {to}  [{text}]\n      {}",
        local(ahead.foreseen.at, &book.zone),
        ahead.case,
        mark.item,
        mark.ladder,
        mark.rung,
        reason
    )
}

pub(super) fn to_json(book: &Rulebook, outlook: &Outlook, ahead: &Ahead) -> Value {
    let Decision {
        mark,
        recipient,
        way,
        verdict,
        reason,
        priority,
        text,
        due,
        not_before,
        valid_until,
        ..
    } = &ahead.foreseen.decision;
    json!({
        "at": zone_text(ahead.foreseen.at, &book.zone),
        "case": ahead.case,
        "item": mark.item,
        "ladder": mark.ladder,
        "rung": mark.rung,
        "occurrence": mark.occurrence.to_string(),
        "audience": mark.audience,
        "recipient": recipient.to_string(),
        "who": who(book, outlook, recipient),
        "way": way,
        "decision": State::from(*verdict),
        "text": text,
        "priority": priority,
        "due": zone_text(*due, &book.zone),
        "not_before": zone_text(*not_before, &book.zone),
        "valid_until": zone_text(*valid_until, &book.zone),
        "reason": reason,
    })
}

/// The recipient as a colleague would say it: staff by name, residents masked.
pub(super) fn who(book: &Rulebook, outlook: &Outlook, recipient: &Recipient) -> String {
    match recipient {
        Recipient::Staff(id) => book
            .org
            .staff
            .get(id)
            .map_or_else(|| id.to_string(), |staff| staff.name.clone()),
        Recipient::Person(id) => masked(outlook, id),
        Recipient::Nobody => "无人 / nobody".to_owned(),
    }
}

fn masked(outlook: &Outlook, id: &PersonId) -> String {
    let person = outlook
        .people
        .values()
        .flat_map(People::all)
        .find(|person| person.id == *id);
    person.map_or_else(|| id.to_string(), |person| mask_name(&person.name))
}
