//! 承诺回电: somebody was told that they would hear from the hall. It is kept when they were reached, not when it was tried.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Acknowledgement, Base, Dates, Followed, Mark, is_zero};
use crate::domain::ids::{ItemId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

pub(super) const MILESTONES: &[Milestone] = &[Milestone::Due, Milestone::Retry, Milestone::Overdue, Milestone::Passed];

/// 承诺回电: somebody told a resident that they would hear from the hall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    pub id: ItemId,
    pub promised_at: Timestamp,
    /// Who promised, and so who calls.
    pub by: StaffId,
    /// What was promised, in the resident's words.
    pub words: String,
    pub due: Due,
    pub set_at: Timestamp,
    /// How often people have moved its date. A date that was moved back is told again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// After a try in vain: when to try again. The promise itself stays due when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// When it last passed to somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Mark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

/// A day, or an instant when a time was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    Day(Date),
    At(Timestamp),
}

impl From<Due> for Moment {
    fn from(due: Due) -> Self {
        match due {
            Due::Day(day) => Self::Day(day),
            Due::At(at) => Self::Instant(at),
        }
    }
}

/// One try at reaching the resident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    pub at: Timestamp,
    pub by: StaffId,
    pub result: AttemptResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    Reached,
    NoAnswer,
    WrongNumber,
    /// The resident asked to be called at another time.
    CallLater,
}

impl AttemptResult {
    pub fn said(self) -> Said {
        match self {
            Self::Reached => Said::new("接通", "reached"),
            Self::NoAnswer => Said::new("无人接听", "no answer"),
            Self::WrongNumber => Said::new("号码不对", "wrong number"),
            Self::CallLater => Said::new("约定再打", "asked to be called later"),
        }
    }
}

impl<'a> Followed<'a> for &'a Callback {
    fn base(&self) -> Base<'a> {
        Base {
            id: &self.id,
            set_at: self.set_at,
            moves: self.moves,
            acknowledged: self.acknowledged.as_ref(),
        }
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Callback
    }

    fn is_open(&self) -> bool {
        self.kept.is_none()
    }

    fn assignee(&self) -> Option<&'a StaffId> {
        Some(&self.by)
    }

    fn act_by(&self) -> Milestone {
        Milestone::Due
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let due = Moment::from(self.due);
        let milestones = Milestones::default()
            .with(Milestone::Due, due)
            .with_some(Milestone::Retry, self.next_try.map(Moment::Instant))
            .with(Milestone::Overdue, due.day_after(&rules.zone))
            .with_some(Milestone::Passed, self.passed_at.map(Moment::Instant));
        Dates::new(rules, &rules.schedule.callback_ladder, milestones)
    }

    fn title(&self, _: &Rulebook) -> Said {
        Said::new("承诺回电", "Promised call-back")
    }

    fn label(&self) -> Said {
        Said::new("回电", "call-back")
    }
}

impl Callback {
    /// How often it was tried in vain since somebody last spoke with the resident.
    pub fn tries_in_vain(&self) -> usize {
        let vain = |attempt: &&Attempt| matches!(attempt.result, AttemptResult::NoAnswer | AttemptResult::WrongNumber);
        self.attempts.iter().rev().take_while(vain).count()
    }
}
