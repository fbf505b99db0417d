//! 待办: something a member of staff does by a day. What for decides how long it may take and which ladder reminds of it
//! (`schedule.toml`); a new purpose is a name here and a section there.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Base, Dates, Followed, Head, Mark};
use crate::domain::ids::{ItemId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

pub(super) const MILESTONES: &[Milestone] = &[
    Milestone::Created,
    Milestone::Due,
    Milestone::Overdue,
    Milestone::Passed,
];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Todo {
    pub head: Head,
    pub purpose: Purpose,
    pub by: StaffId,
    pub due: Date,
    /// What else is to be known, in words for staff. Stays on the case page.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// The item it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<ItemId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// 首次联系: somebody wrote from afar.
    FirstContact,
    /// 一次性转交: every paper is there.
    Handover,
    /// 回访: after closing.
    Revisit,
    /// 突发情况后的问候
    Wellbeing,
    /// 换种方式联系: several calls in vain.
    AnotherWay,
    /// 书面说明: the resident has asked about it again and again.
    Recap,
    /// 二次告知: the list has changed since it was told.
    SecondNotice,
    /// 方案审批
    ApprovePlan,
    /// Whatever else somebody notes down.
    Other,
}

impl Purpose {
    pub const ALL: [Self; 9] = [
        Self::FirstContact,
        Self::Handover,
        Self::Revisit,
        Self::Wellbeing,
        Self::AnotherWay,
        Self::Recap,
        Self::SecondNotice,
        Self::ApprovePlan,
        Self::Other,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::FirstContact => "first_contact",
            Self::Handover => "handover",
            Self::Revisit => "revisit",
            Self::Wellbeing => "wellbeing",
            Self::AnotherWay => "another_way",
            Self::Recap => "recap",
            Self::SecondNotice => "second_notice",
            Self::ApprovePlan => "approve_plan",
            Self::Other => "other",
        }
    }

    pub fn said(self) -> Said {
        match self {
            Self::FirstContact => Said::new("首次联系居民", "First contact with the resident"),
            Self::Handover => Said::new("材料已齐,一次性转交", "All papers are there: hand them over together"),
            Self::Revisit => Said::new("办结回访", "Call after closing"),
            Self::Wellbeing => Said::new("突发情况后问候", "Ask how they are after the incident"),
            Self::AnotherWay => Said::new(
                "多次打不通,换种方式联系",
                "Several calls in vain: reach them another way",
            ),
            Self::Recap => Said::new(
                "多次来问,给一份书面说明",
                "Asked again and again: give them a summary on paper",
            ),
            Self::SecondNotice => Said::new(
                "二次告知: 清单在告知后变了",
                "Second notice: the list has changed since it was told",
            ),
            Self::ApprovePlan => Said::new("方案待审批", "A plan waits for approval"),
            Self::Other => Said::new("待办", "To do"),
        }
    }

    /// Whether it is owed to the resident beyond the end of the case.
    pub fn survives_closing(self) -> bool {
        matches!(self, Self::Revisit | Self::Wellbeing | Self::Other)
    }
}

impl<'a> Followed<'a> for &'a Todo {
    fn base(&self) -> Base<'a> {
        self.head.as_base()
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Todo
    }

    fn is_open(&self) -> bool {
        self.done.is_none()
    }

    fn is_live(&self, case_is_closed: bool) -> bool {
        self.is_open() && (!case_is_closed || self.purpose.survives_closing())
    }

    fn assignee(&self) -> Option<&'a StaffId> {
        Some(&self.by)
    }

    fn act_by(&self) -> Milestone {
        Milestone::Due
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let due = Moment::Day(self.due);
        let milestones = Milestones::default()
            .with(Milestone::Created, Moment::Instant(self.head.set_at))
            .with(Milestone::Due, due)
            .with(Milestone::Overdue, due.day_after(&rules.zone))
            .with_some(Milestone::Passed, self.head.passed_at.map(Moment::Instant));
        let rule = rules.schedule.todos.get(&self.purpose);
        Dates {
            ladder: rule.and_then(|rule| rules.ladders.get(&rule.ladder)),
            milestones,
            ..Dates::default()
        }
    }

    fn title(&self, _: &Rulebook) -> Said {
        self.purpose.said()
    }

    fn label(&self) -> Said {
        self.purpose.said()
    }
}
