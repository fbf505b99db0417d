//! How long "acknowledged" may silence a right that is lost for ever. One person who has seen a warning never mutes its last days;
//! only a supervisor who gives a reason does.
//!
//! Commands refuse or shorten by this, and the planner holds to it again: a calendar that moves the last safe day forward moves the
//! end of the silence too.

use jiff::Timestamp;
use jiff::civil::Time;

use crate::domain::case::Acknowledgement;
use crate::domain::milestone::{Milestone, instant};
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::{Loss, Rulebook};

/// When the silence ends at the latest: at the midnight before the last workday before the last safe day. `None` where nothing is
/// lost for ever, no date is known, the right has run out already, or a supervisor gave a reason.
pub fn ends_by(rules: &Rulebook, dated: &Dated<'_>, mark: &Acknowledgement) -> Option<Timestamp> {
    dated.kind.filter(|kind| kind.loss == Loss::Irrecoverable)?;
    let counted = dated.counted.as_ref()?;
    let is_granted = !mark.reason.is_empty() && is_supervisor(rules, mark);
    if is_granted || is_over(rules, dated, mark.at) {
        return None;
    }
    let eve = rules.calendar.previous_workday(counted.last_safe_day);
    Some(instant(eve, Time::midnight(), &rules.zone))
}

/// Whether the period has run out by `at`.
pub fn is_over(rules: &Rulebook, dated: &Dated<'_>, at: Timestamp) -> bool {
    let expired = dated.at(Milestone::Expired);
    expired.is_some_and(|expired| expired.starts_at(&rules.zone) <= at)
}

fn is_supervisor(rules: &Rulebook, mark: &Acknowledgement) -> bool {
    let by = rules.org.staff.get(&mark.by);
    by.is_some_and(|staff| staff.role.is_supervisory())
}
