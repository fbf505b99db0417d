//! The agenda: the open, dated items of a case as flat entries. A projection, rewritten with its case; digests and lists read it.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::case::{Case, Item};
use crate::domain::ids::{ItemId, OfficeId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::Moment;
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
    /// Until when somebody is bound by it, and at which office.
    pub bound: Option<(Timestamp, OfficeId)>,
}

/// The agenda of a case whose items have been dated already.
pub fn project(rules: &Rulebook, case: &Case, items: &[Dated<'_>]) -> Vec<Entry> {
    let entry = |dated: &Dated<'_>| {
        let moment = dated.act_by();
        // Only a date that has to be found stands in lists without one.
        if !dated.item.is_open() || (moment.is_none() && dated.item.kind() != ItemKind::Deadline) {
            return None;
        }
        let span = dated.item.span();
        let instant = match moment {
            Some(Moment::Instant(at)) if dated.item.kind() != ItemKind::Deadline => Some(at),
            _ => None,
        };
        Some(Entry {
            item: dated.item.id().clone(),
            kind: dated.item.kind(),
            assignee: answerable(rules, case, dated.item).clone(),
            day: moment.map(|moment| moment.day(&rules.zone)),
            start: span.map(|span| span.from).or(instant),
            bound: span.map(|span| (span.to, span.office.clone())),
        })
    };
    items.iter().filter_map(entry).collect()
}

/// Whoever the item names, else the owner, else, when neither is on the staff list any more, somebody up the line: nothing may lie with
/// nobody. Absences are not looked at: the digest of a substitute covers whom they act for.
fn answerable<'a>(rules: &'a Rulebook, case: &'a Case, item: Item<'a>) -> &'a StaffId {
    let org = &rules.org;
    let mut named = item.assignee().into_iter().chain([&case.owner]);
    let above = || org.up_the_line(&case.unit, None, Date::MIN).map(|staff| &staff.id);
    named
        .find(|id| org.staff.contains_key(*id))
        .or_else(above)
        .unwrap_or(&case.owner)
}

/// A number that changes when the agenda does (FNV-1a over the fields), so that an unchanged agenda need not be written again. Never 0,
/// which stands for an agenda that was never written.
pub fn fingerprint(entries: &[Entry]) -> i64 {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    let mut mix = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for entry in entries {
        mix(entry.item.as_str().as_bytes());
        mix(entry.kind.name().as_bytes());
        mix(entry.assignee.as_str().as_bytes());
        let day = entry.day.map_or([0; 4], |day| {
            let [high, low] = day.year().to_be_bytes();
            [high, low, day.month().unsigned_abs(), day.day().unsigned_abs()]
        });
        mix(&day);
        mix(&entry.start.map_or(i64::MIN, Timestamp::as_millisecond).to_be_bytes());
        if let Some((until, office)) = &entry.bound {
            mix(&until.as_millisecond().to_be_bytes());
            mix(office.as_str().as_bytes());
        }
    }
    i64::try_from(sum >> 1).unwrap_or(1).max(1)
}
