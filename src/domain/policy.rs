//! The watch-list: policies that may suit a household, found by the tags of its case.
//!
//! A policy matches by tags alone; when a household has to be told, and that a closed case is looked at as well, is the planner's.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::domain::ids::{ItemId, PolicyId};
use crate::domain::period::PeriodRule;
use crate::domain::text::Said;

/// A policy, as `policies.toml` describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub id: PolicyId,
    /// The item that a case with a matching tag gets: `w-NAME`.
    pub item: ItemId,
    pub name: Said,
    /// Households with any of these are meant.
    pub tags: BTreeSet<String>,
    /// From when on it is known here; the time to tell counts from this day.
    pub added: Date,
    /// Within how many workdays a household is told: a promise of the hall.
    pub tell_within: PeriodRule,
    /// What to tell.
    pub what: Said,
    pub source: String,
    /// When somebody last compared it with its source.
    pub checked: Option<Date>,
    /// The last day on which it can be used.
    pub until: Option<Date>,
}

impl Policy {
    /// The item of a policy of this name.
    pub fn item_of(id: &PolicyId) -> ItemId {
        ItemId::from(format!("w-{id}"))
    }

    /// Whether a household with these tags is meant: one in common is enough.
    pub fn matches(&self, tags: &BTreeSet<String>) -> bool {
        !self.tags.is_disjoint(tags)
    }

    /// Whether it can still be used on a day.
    pub fn holds_on(&self, day: Date) -> bool {
        self.until.is_none_or(|last| day <= last)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::period::{Mode, Period, PeriodUnit};

    fn tags(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|tag| (*tag).to_owned()).collect()
    }

    fn policy() -> Policy {
        let id = PolicyId::from("care_subsidy");
        let three = Period {
            n: 3,
            unit: PeriodUnit::Workdays,
        };
        Policy {
            item: Policy::item_of(&id),
            id,
            name: Said::new("护理补贴", "care subsidy"),
            tags: tags(&["重残", "高龄"]),
            added: date(2026, 3, 2),
            tell_within: PeriodRule::simple(three, Mode::Promise),
            what: Said::new("可申请", "it can be claimed"),
            source: "示例".to_owned(),
            checked: None,
            until: Some(date(2026, 12, 31)),
        }
    }

    #[test]
    fn one_tag_in_common_is_enough_and_none_is_not() {
        for (household, expected) in [
            (&["低收入", "重残"][..], true),
            (&["高龄"], true),
            (&["低收入"], false),
            (&["重"], false),
            (&[], false),
        ] {
            assert_eq!(policy().matches(&tags(household)), expected, "{household:?}");
        }
    }

    #[test]
    fn the_item_carries_the_name_and_the_last_day_counts() {
        assert_eq!(policy().item.as_str(), "w-care_subsidy");
        assert!(policy().holds_on(date(2026, 12, 31)));
        assert!(!policy().holds_on(date(2027, 1, 1)));
    }
}
