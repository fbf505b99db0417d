//! 政策留意: what a household is, so that a new policy finds it - also long after the case was closed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Acknowledgement, Base, Dates, Followed, Mark};
use crate::domain::ids::PolicyId;
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::period::{Start, count};
use crate::domain::policy::Policy;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

pub(super) const MILESTONES: &[Milestone] = &[Milestone::Matched, Milestone::Due, Milestone::Overdue];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// From when on; a policy that is older matches on this day.
    pub since: Timestamp,
    /// 低收入, 重残 …: never part of a message.
    pub tags: BTreeSet<String>,
    /// Tags that were noted later than `since`, and when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub noted: BTreeMap<String, Timestamp>,
    /// Policies the household has been told of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<PolicyId, Mark>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acknowledged: BTreeMap<PolicyId, Acknowledgement>,
}

/// A policy that concerns the household of a case.
#[derive(Debug, Clone, Copy)]
pub struct MatchOf<'a> {
    pub watch: &'a Watch,
    pub policy: &'a Policy,
}

impl Watch {
    /// The policies that the household should hear of, in the order of their names. One that was over before it could concern them is
    /// none of them.
    pub fn matches<'a>(&'a self, rules: &'a Rulebook) -> impl Iterator<Item = MatchOf<'a>> {
        let policies = rules.policies.values().filter(|policy| policy.matches(&self.tags));
        let matches = policies.map(|policy| MatchOf { watch: self, policy });
        matches.filter(|one| one.policy.holds_on(one.matched_on(rules)))
    }
}

impl MatchOf<'_> {
    /// Since when the household is one of those the policy is for: its earliest tag in common.
    fn concerned_since(&self) -> Timestamp {
        let common = self.watch.tags.intersection(&self.policy.tags);
        let noted = common.map(|tag| self.watch.noted.get(tag).copied().unwrap_or(self.watch.since));
        noted.min().unwrap_or(self.watch.since)
    }

    /// The first day on which both the policy and the household were known.
    fn matched_on(&self, rules: &Rulebook) -> Date {
        let since = rules.zone.to_datetime(self.concerned_since()).date();
        self.policy.added.max(since)
    }
}

impl<'a> Followed<'a> for MatchOf<'a> {
    fn base(&self) -> Base<'a> {
        Base {
            id: &self.policy.item,
            set_at: self.concerned_since(),
            moves: 0,
            acknowledged: self.watch.acknowledged.get(&self.policy.id),
        }
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Policy
    }

    fn is_open(&self) -> bool {
        !self.watch.told.contains_key(&self.policy.id)
    }

    fn is_live(&self, _: bool) -> bool {
        self.is_open()
    }

    fn act_by(&self) -> Milestone {
        Milestone::Due
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let matched = self.matched_on(rules);
        let counted = count(&Start::Day(matched), &self.policy.tell_within, &rules.counting(None));
        let due = counted.map_or(matched, |counted| counted.last_safe_day);
        // Told after its last day it is of no use any more.
        let due = Moment::Day(self.policy.until.map_or(due, |until| due.min(until)));
        let overdue = due.day_after(&rules.zone);
        let still_holds = self.policy.holds_on(overdue.day(&rules.zone));
        let milestones = Milestones::default()
            .with(Milestone::Matched, Moment::Day(matched))
            .with(Milestone::Due, due)
            .with_some(Milestone::Overdue, still_holds.then_some(overdue));
        Dates::new(rules, &rules.schedule.policy_ladder, milestones)
    }

    fn title(&self, _: &Rulebook) -> Said {
        let Said { zh, en } = &self.policy.name;
        Said::new(format!("告知政策: {zh}"), format!("Tell them of a policy: {en}"))
    }

    fn label(&self) -> Said {
        Said::new("政策告知", "new policy")
    }
}
