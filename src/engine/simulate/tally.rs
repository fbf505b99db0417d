//! What a simulation came to: totals per day, way, rung, end and member of staff. As large as the rules and the calendar, however many
//! cases there are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::ids::{LadderId, RungName, StaffId};
use crate::domain::ladder::Way;
use crate::domain::reminder::MarkText;
use crate::domain::rulebook::Rulebook;
use crate::engine::simulate::{End, Happening};
use crate::store::instant_of;

/// What happens on one local day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Day {
    pub email: u64,
    pub sms: u64,
    /// Call tasks.
    pub calls: u64,
    /// Decisions not to send, whatever the reason.
    pub not_sent: u64,
    pub digests: u64,
}

impl Day {
    /// What staff and providers have to cope with, digests apart: they come every workday.
    pub fn load(&self) -> u64 {
        self.email + self.sms + self.calls
    }
}

/// The totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Open cases that were looked at.
    pub cases: u64,
    /// Cases that cannot be read or planned, and are left out.
    pub unreadable: u64,
    /// Every day of the span, quiet ones too.
    pub days: BTreeMap<Date, Day>,
    /// What leaves, by way; call tasks are `phone`.
    pub ways: BTreeMap<Way, u64>,
    pub ends: BTreeMap<End, u64>,
    pub rungs: BTreeMap<(LadderId, RungName), BTreeMap<End, u64>>,
    /// Messages to and calls for each member of staff, digests apart.
    pub staff: BTreeMap<StaffId, u64>,
}

impl Tally {
    pub(super) fn new(rules: &Rulebook, (from, to): (Timestamp, Timestamp)) -> Self {
        let mut days = BTreeMap::new();
        let mut day = rules.zone.to_datetime(from).date();
        let just_before = to.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(to);
        let last = rules.zone.to_datetime(just_before).date();
        while from < to && day <= last {
            days.insert(day, Day::default());
            match day.tomorrow() {
                Ok(next) => day = next,
                Err(_) => break,
            }
        }
        Self {
            cases: 0,
            unreadable: 0,
            days,
            ways: BTreeMap::new(),
            ends: BTreeMap::new(),
            rungs: BTreeMap::new(),
            staff: BTreeMap::new(),
        }
    }

    /// The day with the most messages and calls, the first of several; `None` when there are none at all.
    pub fn busiest(&self) -> Option<(Date, Day)> {
        let loaded = self.days.iter().filter(|(_, day)| day.load() > 0);
        let busiest = loaded.max_by_key(|(date, day)| (day.load(), std::cmp::Reverse(**date)));
        busiest.map(|(date, day)| (*date, *day))
    }

    pub(super) fn count(&mut self, rules: &Rulebook, happening: &Happening) {
        let Happening { at, end, row, .. } = happening;
        let day = self.days.entry(rules.zone.to_datetime(*at).date()).or_default();
        let way = Way::parse(row.way);
        match (end, way) {
            (End::Sent, Some(Way::Sms)) => day.sms += 1,
            (End::Sent, _) => day.email += 1,
            (End::Task, _) => day.calls += 1,
            (End::Superseded | End::Skipped | End::Cancelled, _) => day.not_sent += 1,
        }
        *self.ends.entry(*end).or_default() += 1;
        if let Some(mark) = MarkText::parse(&row.mark) {
            let ends = self.rungs.entry((mark.ladder, mark.rung)).or_default();
            *ends.entry(*end).or_default() += 1;
        }
        if !matches!(end, End::Sent | End::Task) {
            return;
        }
        if let Some(way) = way {
            *self.ways.entry(way).or_default() += 1;
        }
        let staff = row.assignee.as_deref().or_else(|| row.recipient.strip_prefix("staff:"));
        if let Some(staff) = staff {
            *self.staff.entry(staff.into()).or_default() += 1;
        }
    }

    pub(super) fn count_digests(&mut self, day: Date, readers: u64) {
        self.days.entry(day).or_default().digests += readers;
    }
}

impl Happening {
    /// When the rung itself came.
    pub fn due(&self) -> Timestamp {
        instant_of(self.row.due_ms)
    }
}
