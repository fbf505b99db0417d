//! A decision to come, in words: what will be sent, to whom, over what, why.

use crate::cli::case::local;
use crate::cli::{EXIT_USAGE, complain};
use crate::domain::ids::{StaffId, UnitId};
use crate::domain::reminder::{Decision, State};
use crate::domain::rulebook::Rulebook;
use crate::engine::foresee::{Ahead, Outlook};

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
    let to = outlook.who(book, &ahead.foreseen.decision.recipient);
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
