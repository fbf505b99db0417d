//! The agenda: the open, dated items of a case as flat entries. A projection, rewritten with its case; digests and lists read it.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::case::{Case, Item};
use crate::domain::ids::{ItemId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::Milestone;
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::Rulebook;

/// One open, dated item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub item: ItemId,
    pub kind: ItemKind,
    /// Who has to act: whom the item names, else the owner of the case.
    pub assignee: StaffId,
    /// The local day by which to act: last safe day, promised day, day of the appointment. `None` when the date has to be found.
    pub day: Option<Date>,
    /// The instant, for items that have one.
    pub start: Option<Timestamp>,
}

/// The agenda of a case whose items have been dated already.
pub fn project(rules: &Rulebook, case: &Case, items: &[Dated<'_>]) -> Vec<Entry> {
    let entry = |dated: &Dated<'_>| {
        let milestone = match dated.item {
            Item::Deadline(_) => Milestone::LastSafeDay,
            Item::Callback(_) => Milestone::Due,
            Item::Appointment(_) => Milestone::Start,
        };
        let moment = dated.at(milestone);
        let start = match dated.item {
            Item::Deadline(_) => None,
            Item::Callback(callback) => match callback.due {
                crate::domain::case::Due::At(at) => Some(at),
                crate::domain::case::Due::Day(_) => None,
            },
            Item::Appointment(appointment) => Some(appointment.start),
        };
        Entry {
            item: dated.item.id().clone(),
            kind: dated.item.kind(),
            assignee: dated.item.assignee().unwrap_or(&case.owner).clone(),
            day: moment.map(|moment| moment.day(&rules.zone)),
            start,
        }
    };
    items.iter().map(entry).collect()
}
