//! 陪同: somebody is fetched, accompanied to an office and brought home. Three legs, each confirmed by whoever goes along.
//!
//! What always holds: until the last leg is confirmed the person is not known to be home, and the ladder of *safe home not confirmed*
//! asks until somebody says so. Where they live and which way they go is never part of a message.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Base, Dates, Followed, Head, Passes, Span};
use crate::domain::ids::{OfficeId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

pub(super) const MILESTONES: &[Milestone] = &[
    Milestone::Booked,
    Milestone::Moved,
    Milestone::Passed,
    Milestone::Start,
    Milestone::LegOverdue,
    Milestone::NotHome,
    Milestone::Cancelled,
];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escort {
    pub head: Head,
    /// What for, in words that may be told.
    pub what: String,
    pub office: OfficeId,
    /// Who goes along, from the pool of extended-hours staff.
    pub with: StaffId,
    /// When they are fetched.
    pub pick_up: Timestamp,
    /// When the visit at the office begins.
    pub visit: Timestamp,
    /// By when they are home again.
    pub home_by: Timestamp,
    /// Where they are fetched and brought back, for whoever goes along. Stays on the case page.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bring: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckIn>,
    pub state: EscortState,
}

/// 行程: one of the three legs of an escort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// 上门接
    PickUp,
    /// 陪同办理
    Visit,
    /// 送回
    DropOff,
}

impl Leg {
    pub const ALL: [Self; 3] = [Self::PickUp, Self::Visit, Self::DropOff];

    pub fn said(self) -> Said {
        match self {
            Self::PickUp => Said::new("上门接", "pick-up"),
            Self::Visit => Said::new("陪同办理", "visit"),
            Self::DropOff => Said::new("送回", "drop-off"),
        }
    }
}

/// A leg was done: somebody was fetched, arrived at the office, is home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckIn {
    pub leg: Leg,
    pub at: Timestamp,
    pub by: StaffId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum EscortState {
    Booked,
    Completed { at: Timestamp, by: StaffId },
    Cancelled { at: Timestamp, by: StaffId, reason: String },
}

impl<'a> Followed<'a> for &'a Escort {
    fn base(&self) -> Base<'a> {
        self.head.as_base()
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Escort
    }

    fn is_open(&self) -> bool {
        self.state == EscortState::Booked
    }

    fn is_live(&self, case_is_closed: bool) -> bool {
        matches!(self.state, EscortState::Cancelled { .. }) || (self.is_open() && !case_is_closed)
    }

    fn assignee(&self) -> Option<&'a StaffId> {
        Some(&self.with)
    }

    fn passes(&self) -> Option<&'a Passes> {
        Some(&self.head.passes)
    }

    fn act_by(&self) -> Milestone {
        Milestone::Start
    }

    fn span(&self) -> Option<Span<'a>> {
        self.is_open().then_some(Span {
            from: self.pick_up,
            to: self.home_by,
            office: &self.office,
        })
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let milestones = match &self.state {
            EscortState::Cancelled { at, .. } => Milestones::default().with(Milestone::Cancelled, Moment::Instant(*at)),
            EscortState::Booked | EscortState::Completed { .. } => {
                let set_at = Moment::Instant(self.head.set_at);
                let after_grace = |at: Timestamp| Moment::Instant(with_grace(rules, at));
                let on_the_way = self.next_leg().filter(|leg| *leg != Leg::DropOff);
                let not_home = !self.is_checked(Leg::DropOff);
                Milestones::default()
                    .with_some(Milestone::Booked, (self.head.moves == 0).then_some(set_at))
                    .with_some(Milestone::Moved, (self.head.moves > 0).then_some(set_at))
                    .with_some(Milestone::Passed, self.head.passed_at.map(Moment::Instant))
                    .with(Milestone::Start, Moment::Instant(self.pick_up))
                    .with_some(
                        Milestone::LegOverdue,
                        on_the_way.map(|leg| after_grace(self.time_of(leg))),
                    )
                    .with_some(Milestone::NotHome, not_home.then(|| after_grace(self.home_by)))
            }
        };
        let dates = Dates::new(rules, &rules.schedule.escort.ladder, milestones);
        dates.useful_until((!self.is_open()).then_some(self.pick_up))
    }

    fn title(&self, _: &Rulebook) -> Said {
        let what = &self.what;
        Said::new(format!("陪同: {what}"), format!("Escort: {what}"))
    }

    fn label(&self) -> Said {
        Said::new("陪同", "escort")
    }

    /// 9:00上门接 → 9:30办理 → 12:00前送回
    fn remark(&self, rules: &Rulebook, _: Date) -> Said {
        let clock = |at: Timestamp| rules.zone.to_datetime(at).strftime("%-H:%M").to_string();
        let (pick_up, visit, home_by) = (clock(self.pick_up), clock(self.visit), clock(self.home_by));
        let office = rules.offices.get(&self.office);
        let (zh, en) = office.map_or((self.office.as_str(), self.office.as_str()), |office| {
            (office.name.as_str(), office.name_en.as_str())
        });
        Said::new(
            format!("{pick_up}上门接,{visit}{zh},{home_by}前送回"),
            format!("pick-up {pick_up}, {en} {visit}, home by {home_by}"),
        )
    }
}

impl Escort {
    /// By when a leg should have been done.
    pub fn time_of(&self, leg: Leg) -> Timestamp {
        match leg {
            Leg::PickUp => self.pick_up,
            Leg::Visit => self.visit,
            Leg::DropOff => self.home_by,
        }
    }

    /// Whether a leg was confirmed. Whoever is at the office has been fetched.
    pub fn is_checked(&self, leg: Leg) -> bool {
        self.checks.iter().any(|check| check.leg >= leg)
    }

    /// The first leg that is not confirmed.
    pub fn next_leg(&self) -> Option<Leg> {
        Leg::ALL.into_iter().find(|leg| !self.is_checked(*leg))
    }
}

fn with_grace(rules: &Rulebook, at: Timestamp) -> Timestamp {
    let grace = SignedDuration::from_mins(i64::from(rules.schedule.escort.grace_minutes));
    at.checked_add(grace).unwrap_or(at)
}
