//! Commands on what is known of a household and its matter beyond dates: what was told, what stands in the way, what they thanked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::benefit::{Fen, NotMoney};
use crate::domain::case::{Estimate, Feedback, FeedbackKind, Note, Purpose, Told, ToldWhat, Watch};
use crate::domain::command::items::already_over;
use crate::domain::command::open::{too_many, unknown};
use crate::domain::command::{Change, Context, Refusal, fields, todos};
use crate::domain::event::Event;
use crate::domain::ids::{BenefitId, ItemId, PolicyId};
use crate::domain::text::Said;

/// More than so many of anything on one case belong somewhere else.
const MANY: usize = 200;

/// 一次性告知 or an explanation, with how it was told. Told once more of another list, it is a second notice: what a supervisor was
/// asked to see to is done with it.
pub(super) fn tell(change: &mut Change, context: &Context<'_>, what: ToldWhat, method: &str) -> Result<(), Refusal> {
    let method = fields::line("method", method, fields::SHORT_MAX)?;
    let case = &mut change.case;
    if case.told.len() >= MANY {
        return Err(too_many("what", MANY));
    }
    let list = case.list_of_materials();
    let what = match what {
        ToldWhat::Explanation => ToldWhat::Explanation,
        ToldWhat::OneTimeNotice | ToldWhat::SecondNotice => {
            let before = case.told.iter().rev().find(|told| !told.list.is_empty());
            if before.is_some_and(|told| told.list != list) {
                ToldWhat::SecondNotice
            } else {
                ToldWhat::OneTimeNotice
            }
        }
    };
    case.told.push(Told {
        at: context.now,
        by: context.actor.id.clone(),
        what,
        method,
        list: if what == ToldWhat::Explanation {
            String::new()
        } else {
            list
        },
    });
    change.events.push(Event::Told { what });
    if what == ToldWhat::SecondNotice {
        todos::settle(change, context, Purpose::SecondNotice, None);
    }
    Ok(())
}

pub(super) fn listen(change: &mut Change, context: &Context<'_>, note: &str) -> Result<(), Refusal> {
    if change.case.listening.len() >= MANY {
        return Err(too_many("note", MANY));
    }
    change.case.listening.push(Note {
        at: context.now,
        by: context.actor.id.clone(),
        text: fields::required_note("note", note)?,
    });
    change.events.push(Event::Listened);
    Ok(())
}

pub(super) fn feedback(
    change: &mut Change,
    context: &Context<'_>,
    kind: FeedbackKind,
    note: &str,
) -> Result<(), Refusal> {
    if change.case.feedback.len() >= MANY {
        return Err(too_many("kind", MANY));
    }
    change.case.feedback.push(Feedback {
        at: context.now,
        by: context.actor.id.clone(),
        kind,
        note: fields::note("note", note)?,
    });
    change.events.push(Event::FeedbackReceived { kind });
    Ok(())
}

pub(super) fn obstacle(change: &mut Change, context: &Context<'_>, tag: &str) -> Result<(), Refusal> {
    let tag = fields::line("tag", tag, fields::NAME_MAX)?;
    if change.case.obstacles.len() >= MANY {
        return Err(too_many("tag", MANY));
    }
    let today = context.rules.zone.to_datetime(context.now).date();
    if change.case.obstacles.contains_key(&tag) {
        return Err(Refusal::at(
            "tag",
            Said::new("已有这个堵点", "that obstacle is noted already"),
            Said::new("无需重复登记", "there is nothing to add"),
        ));
    }
    change.case.obstacles.insert(tag.clone(), today);
    change.events.push(Event::ObstacleNoted { tag });
    Ok(())
}

pub(super) fn no_obstacle(change: &mut Change, tag: &str) -> Result<(), Refusal> {
    if change.case.obstacles.remove(tag.trim()).is_none() {
        return Err(unknown("tag", tag, change.case.obstacles.keys()));
    }
    change.events.push(Event::ObstacleRemoved {
        tag: tag.trim().to_owned(),
    });
    Ok(())
}

/// The resident had to go somewhere.
pub(super) fn trip(change: &mut Change) {
    change.case.resident_trips = change.case.resident_trips.saturating_add(1);
    let trips = change.case.resident_trips;
    change.events.push(Event::TripNoted { trips });
}

/// Another body is responsible: nothing can be done in our system, so we coordinate.
pub(super) fn responsible(change: &mut Change, body: &str) -> Result<(), Refusal> {
    change.case.responsible = Some(fields::line("body", body, fields::SHORT_MAX)?);
    change.events.push(Event::ResponsibleNoted);
    Ok(())
}

/// New policies are watched for the household from now on, also after the case is closed. Without tags nothing is watched any more.
pub(super) fn watch(change: &mut Change, context: &Context<'_>, tags: &[String]) -> Result<(), Refusal> {
    let tags: BTreeSet<String> = fields::lines("tags", tags)?.into_iter().collect();
    if tags.is_empty() {
        // What they were told stays known, should anybody watch for them again.
        let watched = change.case.watch.as_mut().map(|watch| std::mem::take(&mut watch.tags));
        if watched.is_none_or(|tags| tags.is_empty()) {
            return Err(Refusal::at(
                "tags",
                Said::new("没有标签,也没有在留意", "there are no tags, and nothing is watched"),
                Said::new("写出标签,如 重残、低收入", "give tags such as 重残 or 低收入"),
            ));
        }
        change.events.push(Event::WatchEnded);
        return Ok(());
    }
    let rules = context.rules;
    let of_policies = rules.policies.values().flat_map(|policy| &policy.tags);
    let of_matters = rules.matters.values().flat_map(|matter| &matter.suits);
    // What was noted of the household stays true when the policy that used it is over.
    let noted = change.case.watch.iter().flat_map(|watch| &watch.tags);
    let known: BTreeSet<&String> = of_policies.chain(of_matters).chain(&rules.tags).chain(noted).collect();
    if let Some(stranger) = tags.iter().find(|tag| !known.contains(tag)) {
        let refusal = unknown("tags", stranger, known.into_iter());
        let Said { zh, en } = &refusal.fix;
        let fix = Said::new(
            format!("{zh};新的标签请主管写进 policies.toml 的 tags"),
            format!("{en}; a supervisor adds a new one to tags in policies.toml"),
        );
        return Err(Refusal { fix, ..refusal });
    }
    match &mut change.case.watch {
        Some(watch) => {
            let new = tags.difference(&watch.tags).cloned();
            watch.noted.extend(new.map(|tag| (tag, context.now)));
            watch.tags = tags;
        }
        None => {
            change.case.watch = Some(Watch {
                since: context.now,
                tags,
                noted: BTreeMap::new(),
                told: BTreeMap::new(),
                acknowledged: BTreeMap::new(),
            });
        }
    }
    change.events.push(Event::Watching);
    Ok(())
}

/// The household was told of a policy. `None` when the item is no policy that concerns them.
pub(super) fn policy_told(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Option<Result<(), Refusal>> {
    let watch = change.case.watch.as_mut()?;
    let id: PolicyId = {
        let mut matches = watch.matches(context.rules);
        let found = matches.find(|found| found.policy.item == *item)?;
        found.policy.id.clone()
    };
    if watch.told.contains_key(&id) {
        return Some(Err(already_over(item)));
    }
    watch.told.insert(id, context.mark());
    change.events.push(Event::ItemDone { item: item.clone() });
    Some(Ok(()))
}

/// What a benefit is estimated on, in yuan.
pub(super) fn estimate(
    change: &mut Change,
    context: &Context<'_>,
    benefit: Option<BenefitId>,
    amount: &str,
) -> Result<(), Refusal> {
    let rules = context.rules;
    let of_matter = rules
        .matters
        .get(&change.case.matter)
        .and_then(|matter| matter.benefit.clone());
    let Some(benefit) = benefit.or(of_matter) else {
        return Err(Refusal::at(
            "benefit",
            Said::new("没有说明是哪种报销", "it does not say which benefit"),
            Said::new("写出 benefit,见 benefits.toml", "give benefit, a name in benefits.toml"),
        ));
    };
    if !rules.benefits.contains_key(&benefit) {
        return Err(unknown("benefit", benefit.as_str(), rules.benefits.keys()));
    }
    let amount: Fen = amount.parse().map_err(|wrong: NotMoney| {
        let fix = Said::new(
            "以元为单位,形如 100000 或 1234.50",
            "write it in yuan, like 100000 or 1234.50",
        );
        Refusal::at("amount", wrong.said().clone(), fix)
    })?;
    let amount = amount.to_string();
    change.events.push(Event::Estimated {
        benefit: benefit.clone(),
    });
    change.case.estimate = Some(Estimate { benefit, amount });
    Ok(())
}
