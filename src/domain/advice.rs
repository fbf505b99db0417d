//! What an experienced colleague would say on looking at a case: propose an escort, ask at the next place, take the other way. Suggestions
//! for staff; nothing here is sent or decided.

use jiff::civil::Date;

use crate::domain::case::{Case, CaseFlag, Item};
use crate::domain::milestone::Milestone;
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

/// Everything that fits the case as it stands on that day, the most pressing first.
pub fn advice(rules: &Rulebook, case: &Case, people: &People, today: Date) -> Vec<Said> {
    let mut said = Vec::new();
    if is_pressing(rules, case) {
        let tally = case.contact_tally();
        said.push(Said::new(
            format!("{},优先处理", tally.zh),
            format!("{}: take it first", tally.en),
        ));
    }
    said.extend(other_ways(rules, case, today));
    said.extend(escort(rules, case, people, today));
    said.extend(places(case));
    if let Some(body) = &case.responsible {
        said.push(Said::new(
            format!("职责在“{body}”,系统里不能办,由我方协调"),
            format!("\"{body}\" is responsible: nothing can be done in our system, so coordinate"),
        ));
    }
    if case.flags.contains(&CaseFlag::OutOfScope) {
        said.push(Said::new(
            "分外之事,已揽下,不能退回",
            "not our job, but taken on: it is not sent back",
        ));
    }
    said.extend(services(rules, case));
    said
}

/// Whether the resident has turned to us so often that the case sorts first.
pub fn is_pressing(rules: &Rulebook, case: &Case) -> bool {
    case.inbound_contacts() >= rules.schedule.care.pressing_after_contacts
}

/// After the end of a period the other way, where there is one: the case is not impossible.
fn other_ways(rules: &Rulebook, case: &Case, today: Date) -> Vec<Said> {
    let way = |item: Item<'_>| {
        let dated = Dated::new(rules, item);
        let expired = dated.at(Milestone::Expired)?.day(&rules.zone) <= today;
        let (kind, other) = (dated.kind?, dated.kind?.alternative.as_ref()?);
        expired.then(|| {
            Said::new(
                format!("{}已过期,改走: {}", kind.name.zh, other.zh),
                format!("{} has expired; the other way: {}", kind.name.en, other.en),
            )
        })
    };
    case.items(rules).filter(Item::is_open).filter_map(way).collect()
}

/// Whoever is frail or has to come in person is better fetched and accompanied.
fn escort(rules: &Rulebook, case: &Case, people: &People, today: Date) -> Option<Said> {
    let resident = people.resident.as_ref()?;
    let frail = resident.phone_first(today.year(), rules.schedule.phone_first_from_age);
    let in_person = case.flags.contains(&CaseFlag::InPerson);
    let booked = case.escorts.iter().any(|escort| Item::Escort(escort).is_open());
    match (booked, in_person, frail) {
        (true, ..) | (false, false, false) => None,
        (false, true, _) => Some(Said::new(
            "须本人到场,不能代办: 建议上门接、陪同办理",
            "they have to come in person, nobody can go for them: offer to fetch and accompany them",
        )),
        (false, false, true) => Some(Said::new("高龄或行动不便: 建议陪同", "age or frailty: offer an escort")),
    }
}

/// For every paper that is still looked for, the next place to ask. A place that said no is not among them.
fn places(case: &Case) -> impl Iterator<Item = Said> {
    let wanted = case.materials.iter().filter(|material| !material.is_there());
    wanted.filter_map(|material| {
        let place = material.places_to_ask().next()?;
        Some(Said::new(
            format!("“{}”可以问: {place}", material.name.zh),
            format!("\"{}\" may be at: {place}", material.name.en),
        ))
    })
}

/// What else a household like this may ask for.
fn services<'a>(rules: &'a Rulebook, case: &'a Case) -> impl Iterator<Item = Said> + 'a {
    let tags = case.watch.iter().map(|watch| &watch.tags);
    tags.flat_map(move |tags| {
        let fits = rules
            .matters
            .values()
            .filter(|matter| matter.id != case.matter && !matter.suits.is_disjoint(tags));
        fits.map(|matter| {
            let name = &matter.name;
            Said::new(
                format!("还可以办: {}", name.zh),
                format!("they may also ask for: {}", name.en),
            )
        })
    })
}
