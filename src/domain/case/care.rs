//! The case as a whole: that somebody wrote to us, that nobody has been in touch for days, that it has passed into other hands.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reply::chase_day;
use super::{Acknowledgement, Base, Case, Dates, Followed, Item, Origin, Status};
use crate::domain::ids::ItemId;
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

pub(super) const MILESTONES: &[Milestone] = &[Milestone::Received, Milestone::HandedOver, Milestone::Silent];

/// What is kept of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Care {
    /// When it last passed to another owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

impl Care {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Case {
    /// Whether the resident knows when they hear from us next.
    fn has_a_date_with_us(&self) -> bool {
        let promised = self.callbacks.iter().any(|callback| Item::Callback(callback).is_open());
        let booked = self.appointments.iter().any(|one| Item::Appointment(one).is_open());
        promised || booked || self.escorts.iter().any(|one| Item::Escort(one).is_open())
    }
}

/// The case, looked at as one item.
#[derive(Debug, Clone, Copy)]
pub struct CareOf<'a>(pub &'a Case);

static ID: LazyLock<ItemId> = LazyLock::new(|| ItemId::from("case"));

impl<'a> Followed<'a> for CareOf<'a> {
    fn base(&self) -> Base<'a> {
        Base {
            id: &ID,
            set_at: self.0.opened_at,
            moves: 0,
            acknowledged: self.0.care.acknowledged.as_ref(),
        }
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Case
    }

    fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    fn act_by(&self) -> Milestone {
        Milestone::Silent
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let case = self.0;
        let from_afar = matches!(case.origin, Origin::Web | Origin::Email);
        let since = case
            .reopened_at
            .map_or(case.last_contact_at(), |reopened| reopened.max(case.last_contact_at()));
        // Who waits for somebody else is told of that, not of the silence; and a resident who knows when they hear from us next, by a
        // promised call or an appointment, is reminded of by that.
        let is_silent = !matches!(case.status, Status::Waiting { .. }) && !case.has_a_date_with_us();
        let silent = is_silent.then(|| chase_day(rules, since, rules.schedule.care.silent_after_workdays));
        let milestones = Milestones::default()
            .with_some(
                Milestone::Received,
                from_afar.then_some(Moment::Instant(case.opened_at)),
            )
            .with_some(Milestone::HandedOver, case.care.owner_since.map(Moment::Instant))
            .with_some(Milestone::Silent, silent.map(Moment::Day));
        Dates::new(rules, &rules.schedule.care.ladder, milestones)
    }

    fn title(&self, _: &Rulebook) -> Said {
        Said::new("联系居民,告知进展", "Tell the resident how it goes")
    }

    fn label(&self) -> Said {
        Said::new("联系居民", "a word to the resident")
    }
}
