//! The case as a whole: that somebody wrote to us, that nobody has been in touch for days, that it has passed into other hands.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::reply::chase_day;
use super::{Acknowledgement, Base, Case, Dates, Followed, Item, Origin, Status};
use crate::domain::ids::ItemId;
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, day_words_on};

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
    /// The last instant at which the resident hears from us anyway: a promised call, the end of what is booked.
    fn next_date_with_us(&self, rules: &Rulebook) -> Option<Timestamp> {
        let promised = self.callbacks.iter().filter(|one| Item::Callback(one).is_open());
        let promised = promised.map(|one| Moment::from(one.due).starts_at(&rules.zone));
        let appointments = self.appointments.iter().filter_map(|one| Item::Appointment(one).span());
        let escorts = self.escorts.iter().filter_map(|one| Item::Escort(one).span());
        promised.chain(appointments.chain(escorts).map(|span| span.to)).max()
    }

    /// Whether what the case waits for is followed by something else: a question to somebody, a paper that is looked for.
    fn is_followed_otherwise(&self) -> bool {
        let asked = self.replies.iter().any(|one| Item::Reply(one).is_open());
        let wanted = self.materials.iter().any(|one| !one.is_there() && one.finder.is_some());
        matches!(self.status, Status::Waiting { .. }) && (asked || wanted)
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
        // A resident who knows when they hear from us next is reminded of by that; when that has passed, the days count from there.
        let last = case.last_contact_at();
        let since = [case.reopened_at, case.next_date_with_us(rules)];
        let since = since.into_iter().flatten().fold(last, Timestamp::max);
        let is_silent = !case.is_followed_otherwise();
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

    fn remark(&self, rules: &Rulebook, today: Date) -> Said {
        let last = day_words_on(today, rules.zone.to_datetime(self.0.last_contact_at()).date());
        Said::new(format!("上次联系{}", last.zh), format!("last in touch {}", last.en))
    }
}
