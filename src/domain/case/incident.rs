//! 突发情况: a fall, a fright. Whoever leads is told at once; while it is open, an escort is not over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Base, Dates, Followed, Head, Leg, Mark};
use crate::domain::ids::{ItemId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

pub(super) const MILESTONES: &[Milestone] = &[Milestone::Happened];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    pub head: Head,
    pub at: Timestamp,
    /// Who was there.
    pub by: StaffId,
    /// The escort on which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escort: Option<ItemId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<Leg>,
    /// What happened. Never leaves the case page.
    pub what: String,
    /// What was done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// Whom somebody has told already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Mark>,
}

impl<'a> Followed<'a> for &'a Incident {
    fn base(&self) -> Base<'a> {
        self.head.as_base()
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Incident
    }

    fn is_open(&self) -> bool {
        self.recovered.is_none()
    }

    fn assignee(&self) -> Option<&'a StaffId> {
        Some(&self.by)
    }

    fn act_by(&self) -> Milestone {
        Milestone::Happened
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let happened = Moment::Instant(self.head.set_at);
        let milestones = Milestones::default().with(Milestone::Happened, happened);
        Dates::new(rules, &rules.schedule.incident_ladder, milestones)
    }

    fn title(&self, _: &Rulebook) -> Said {
        Said::new("突发情况", "Incident")
    }

    fn label(&self) -> Said {
        Said::new("突发情况", "incident")
    }
}
