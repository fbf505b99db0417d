//! Who is meant by an audience today, and how they may be reached.

use jiff::civil::Date;

use crate::domain::case::{Case, Item};
use crate::domain::ids::StaffId;
use crate::domain::ladder::{Audience, Way};
use crate::domain::org::{Org, Staff};
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::rulebook::Rulebook;

/// Somebody an audience stands for.
#[derive(Debug, Clone, Copy)]
pub enum Reach<'a> {
    Staff(&'a Staff),
    Person(&'a Person),
}

/// Everybody an audience stands for on that day. The dead are never addressed; relatives only after they opted in.
pub fn resolve<'a>(
    rules: &'a Rulebook,
    case: &Case,
    item: Item<'_>,
    people: &'a People,
    audience: Audience,
    on: Date,
) -> Vec<Reach<'a>> {
    let org = &rules.org;
    match audience {
        Audience::Owner => org.acting_for(&case.owner, on).map(Reach::Staff).into_iter().collect(),
        Audience::Assignee => caller(org, case, item, on).map(Reach::Staff).into_iter().collect(),
        Audience::Resident => people
            .resident
            .iter()
            .filter(|person| !person.deceased)
            .map(Reach::Person)
            .collect(),
        Audience::Relatives => people
            .relatives
            .iter()
            .filter(|person| !person.deceased && person.relative.as_ref().is_some_and(|relative| relative.opted_in))
            .map(Reach::Person)
            .collect(),
        Audience::Supervisor | Audience::Director | Audience::District => {
            let Some(role) = audience.role() else { return Vec::new() };
            let mut found: Vec<&Staff> = org
                .with_role(&case.unit, role)
                .filter_map(|staff| org.acting_for(&staff.id, on))
                .collect();
            found.sort_by(|a, b| a.id.cmp(&b.id));
            found.dedup_by(|a, b| a.id == b.id);
            found.into_iter().map(Reach::Staff).collect()
        }
    }
}

/// Who makes a call about this item: whoever the item names, else the owner; or who acts for them.
pub fn caller<'a>(org: &'a Org, case: &Case, item: Item<'_>, on: Date) -> Option<&'a Staff> {
    let named: &StaffId = item.assignee().unwrap_or(&case.owner);
    org.acting_for(named, on).or_else(|| org.acting_for(&case.owner, on))
}

impl Reach<'_> {
    pub fn reachable_by(&self, way: Way) -> bool {
        match self {
            Self::Staff(staff) => match way {
                Way::Email => staff.email.is_some(),
                Way::Sms => staff.mobile.is_some(),
                Way::Phone => false,
            },
            Self::Person(person) => person.reachable_by(way),
        }
    }
}
