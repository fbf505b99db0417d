//! Who is meant by an audience today, and how they may be reached.

use jiff::civil::Date;

use crate::domain::case::{Case, Item};
use crate::domain::ladder::{Audience, Way};
use crate::domain::org::{Role, Staff};
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::reminder::Recipient;
use crate::domain::rulebook::Rulebook;

/// Somebody an audience stands for.
#[derive(Debug, Clone, Copy)]
pub enum Reach<'a> {
    Staff(&'a Staff),
    Person(&'a Person),
}

/// Everybody an audience stands for on that day. The dead are never addressed; relatives only after they opted in. Staff who are away
/// or without an address are represented; what nobody of a role can take goes up the line.
pub fn resolve<'a>(
    rules: &'a Rulebook,
    case: &Case,
    item: Item<'_>,
    people: &'a People,
    audience: Audience,
    on: Date,
) -> Vec<Reach<'a>> {
    let alive = |person: &&Person| !person.deceased;
    match audience {
        Audience::Resident => people.resident.iter().filter(alive).map(Reach::Person).collect(),
        Audience::Relatives => people
            .relatives
            .iter()
            .filter(alive)
            .filter(|person| person.relative.as_ref().is_some_and(|relative| relative.opted_in))
            .map(Reach::Person)
            .collect(),
        _ => {
            let meant = staff(rules, case, item, audience, on);
            meant.into_iter().map(Reach::Staff).collect()
        }
    }
}

/// Who makes a call about this item: whoever the item names, else the owner; or who acts for them.
pub fn caller<'a>(rules: &'a Rulebook, case: &Case, item: Item<'_>, on: Date) -> Option<&'a Staff> {
    staff(rules, case, item, Audience::Assignee, on).into_iter().next()
}

/// The ways of `asked` that are open to a member of staff, else any that is: better told than not.
pub fn staff_ways(staff: &Staff, asked: &[Way]) -> Vec<Way> {
    let open = |way: &Way| Reach::Staff(staff).reachable_by(*way);
    let ways: Vec<Way> = asked.iter().copied().filter(open).collect();
    if ways.is_empty() {
        [Way::Email, Way::Sms].into_iter().filter(open).collect()
    } else {
        ways
    }
}

fn staff<'a>(rules: &'a Rulebook, case: &Case, item: Item<'_>, audience: Audience, on: Date) -> Vec<&'a Staff> {
    let org = &rules.org;
    if audience == Audience::Former {
        // It is their own calendar: nobody stands in for them, and nobody above needs to hear it.
        let former = item.former().and_then(|former| org.staff.get(former));
        return former.filter(|staff| staff.has_address()).into_iter().collect();
    }
    let owner = || org.acting_for(&case.owner, on);
    let mut meant: Vec<&Staff> = match audience.role() {
        Some(role) => org
            .with_role(&case.unit, role)
            .filter_map(|staff| org.acting_for(&staff.id, on))
            .collect(),
        None if audience == Audience::Assignee => {
            let named = item.assignee().and_then(|named| org.acting_for(named, on));
            named.or_else(owner).into_iter().collect()
        }
        None if audience == Audience::Duty => {
            let on_duty = rules.duty_officer(&case.unit, on);
            on_duty.or_else(owner).into_iter().collect()
        }
        None if audience == Audience::Contact => match item.contact() {
            Some(contact) => org.acting_for(contact, on).into_iter().collect(),
            None => org
                .with_role(&case.unit, Role::DistrictDept)
                .filter_map(|staff| org.acting_for(&staff.id, on))
                .collect(),
        },
        None => owner().into_iter().collect(),
    };
    meant.retain(|staff| staff.has_address());
    meant.sort_by(|a, b| a.id.cmp(&b.id));
    meant.dedup_by(|a, b| a.id == b.id);
    if meant.is_empty() {
        meant.extend(org.up_the_line(&case.unit, audience.role(), on));
    }
    meant
}

impl Reach<'_> {
    pub fn recipient(&self) -> Recipient {
        match self {
            Self::Staff(staff) => Recipient::Staff(staff.id.clone()),
            Self::Person(person) => Recipient::Person(person.id.clone()),
        }
    }

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
