//! 预约: agreed with a third party, never moved by software.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Acknowledgement, Base, Dates, Followed, Passes, Span, is_zero};
use crate::domain::ids::{ItemId, OfficeId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

pub(super) const MILESTONES: &[Milestone] = &[
    Milestone::Booked,
    Milestone::Moved,
    Milestone::Passed,
    Milestone::Start,
    Milestone::Missed,
    Milestone::Cancelled,
];

/// 预约: agreed with a third party, never moved by software.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appointment {
    pub id: ItemId,
    /// What for, in words that may be told.
    pub what: String,
    pub office: OfficeId,
    pub start: Timestamp,
    pub end: Timestamp,
    /// Who goes along or prepares it.
    pub with: StaffId,
    /// What the resident should bring, at most three things are told by SMS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bring: Vec<String>,
    pub set_at: Timestamp,
    /// How often people have moved its date. A date that was moved back is told again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: u32,
    /// When it passed to whoever has it now, if it did since it was last moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Passes::is_none")]
    pub passes: Passes,
    pub state: AppointmentState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum AppointmentState {
    Booked,
    Attended { at: Timestamp, by: StaffId },
    Cancelled { at: Timestamp, by: StaffId, reason: String },
}

impl<'a> Followed<'a> for &'a Appointment {
    fn base(&self) -> Base<'a> {
        Base {
            id: &self.id,
            set_at: self.set_at,
            moves: self.moves,
            acknowledged: self.acknowledged.as_ref(),
        }
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Appointment
    }

    fn is_open(&self) -> bool {
        self.state == AppointmentState::Booked
    }

    /// Whoever had been told of an appointment hears that it is off, also when the case closes with it.
    fn is_live(&self, case_is_closed: bool) -> bool {
        matches!(self.state, AppointmentState::Cancelled { .. }) || (self.is_open() && !case_is_closed)
    }

    fn assignee(&self) -> Option<&'a StaffId> {
        Some(&self.with)
    }

    fn passes(&self) -> Option<&'a Passes> {
        Some(&self.passes)
    }

    fn act_by(&self) -> Milestone {
        Milestone::Start
    }

    fn span(&self) -> Option<Span<'a>> {
        self.is_open().then_some(Span {
            from: self.start,
            to: self.end,
            office: &self.office,
        })
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let milestones = match &self.state {
            AppointmentState::Cancelled { at, .. } => {
                Milestones::default().with(Milestone::Cancelled, Moment::Instant(*at))
            }
            AppointmentState::Booked | AppointmentState::Attended { .. } => Milestones::default()
                .with_some(
                    Milestone::Booked,
                    (self.moves == 0).then_some(Moment::Instant(self.set_at)),
                )
                .with_some(
                    Milestone::Moved,
                    (self.moves > 0).then_some(Moment::Instant(self.set_at)),
                )
                .with_some(Milestone::Passed, self.passed_at.map(Moment::Instant))
                .with(Milestone::Start, Moment::Instant(self.start))
                .with(Milestone::Missed, Moment::Instant(self.end)),
        };
        let dates = Dates::new(rules, &rules.schedule.appointment_ladder, milestones);
        dates.useful_until((!self.is_open()).then_some(self.start))
    }

    fn title(&self, _: &Rulebook) -> Said {
        let what = &self.what;
        Said::new(format!("预约: {what}"), format!("Appointment: {what}"))
    }

    fn label(&self) -> Said {
        Said::new("预约", "appointment")
    }
}
