//! A decision to come, in words and as JSON: what will be sent, to whom, over what, why.

use serde_json::{Value, json};

use crate::cli::case::local;
use crate::domain::ids::PersonId;
use crate::domain::plan::People;
use crate::domain::reminder::{Decision, Recipient, State};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::mask_name;
use crate::engine::foresee::{Ahead, Outlook};
use crate::engine::status::zone_text;

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
