//! What a new calendar does to the dates of a case: every date that it moves, before and after.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::calendar::Certainty;
use crate::domain::case::{Case, Item};
use crate::domain::ids::{CaseId, ItemId, StaffId, UnitId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Moment};
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, weekday_words};

/// An open item of which at least one date has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    pub case: CaseId,
    pub unit: UnitId,
    pub owner: StaffId,
    pub item: ItemId,
    /// What the item stood at when it was counted again: whoever changes it later knows its dates.
    pub set_at: Timestamp,
    pub moves: u32,
    pub kind: Said,
    pub dates: Vec<MovedDate>,
    /// Something has to be done earlier than people believe.
    pub sooner: bool,
    pub settled: Settled,
}

/// One date before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovedDate {
    pub milestone: Milestone,
    pub name: Said,
    pub old: Said,
    pub new: Said,
}

/// Whether a date can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// It was settled before, or does not depend on a calendar.
    Already,
    /// Every day it depends on is settled now.
    Newly,
    /// It depends on days that no notice has settled.
    NotYet,
}

/// What became of the dates of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recounted {
    Same(Settled),
    Moved(Box<Moved>),
}

/// What somebody is told of the moved dates of their cases, as it stands at the moment of sending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    pub year: i16,
    pub staff_name: String,
    pub unit_short: String,
    pub lines: Vec<LetterLine>,
    /// Items that found no room.
    pub more: usize,
}

/// One item of a letter. Residents are masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LetterLine {
    pub case: CaseId,
    pub item: ItemId,
    /// 沈**
    pub who: String,
    pub kind: Said,
    pub dates: Vec<MovedDate>,
    pub sooner: bool,
    pub newly_settled: bool,
    pub provisional: bool,
}

impl LetterLine {
    pub fn new(moved: &Moved, who: String) -> Self {
        Self {
            case: moved.case.clone(),
            item: moved.item.clone(),
            who,
            kind: moved.kind.clone(),
            dates: moved.dates.clone(),
            sooner: moved.sooner,
            newly_settled: moved.settled == Settled::Newly,
            provisional: moved.settled == Settled::NotYet,
        }
    }
}

impl Moved {
    /// Whether the item still is as it was counted: open, with the same owner, and not changed by anybody since.
    pub fn still_holds(&self, rules: &Rulebook, case: &Case) -> bool {
        let item = case.item(rules, &self.item).filter(Item::is_open);
        let unchanged = |item: Item<'_>| item.set_at() == self.set_at && item.moves() == self.moves;
        !case.is_closed() && item.is_some_and(unchanged)
    }
}

/// Counts every open item of a case that has a date by the old rules and by the new ones. How long nobody has been in touch is no date
/// that anybody was told.
pub fn recount<'a>(old: &'a Rulebook, new: &'a Rulebook, case: &'a Case) -> impl Iterator<Item = Recounted> + use<'a> {
    let open = case.items(new).filter(|item| !case.is_closed() && item.is_open());
    let told = open.filter(|item| item.kind() != ItemKind::Case);
    told.filter_map(move |item| recount_item(old, new, case, item))
}

fn recount_item(old: &Rulebook, new: &Rulebook, case: &Case, item: Item<'_>) -> Option<Recounted> {
    let (before, after) = (Dated::new(old, item), Dated::new(new, item));
    if item.kind() != ItemKind::Deadline && after.all().next().is_none() {
        return None;
    }
    let settled = settled(&before, &after);
    let mut sooner = false;
    let mut dates = Vec::new();
    // States begin the moment after a date that is told here anyway.
    for (milestone, moment) in after.all().filter(|(milestone, _)| !milestone.begins_a_state()) {
        let Some(was) = before.at(milestone).filter(|was| *was != moment) else {
            continue;
        };
        // The target is an aim; nothing is lost with it.
        let binds = milestone != Milestone::TargetBy;
        sooner |= binds && moment.starts_at(&new.zone) < was.starts_at(&new.zone);
        dates.push(MovedDate {
            milestone,
            name: Said::new(milestone.name_zh(), milestone.name().replace('_', " ")),
            old: words(was, &new.zone),
            new: words(moment, &new.zone),
        });
    }
    if dates.is_empty() {
        return Some(Recounted::Same(settled));
    }
    let kind = after.kind.map(|kind| kind.name.clone());
    Some(Recounted::Moved(Box::new(Moved {
        case: case.id.clone(),
        unit: case.unit.clone(),
        owner: case.owner.clone(),
        item: item.id().clone(),
        set_at: item.set_at(),
        moves: item.moves(),
        kind: kind.unwrap_or_else(|| item.title(new)),
        dates,
        sooner,
        settled,
    })))
}

fn settled(before: &Dated<'_>, after: &Dated<'_>) -> Settled {
    let certainty = |dated: &Dated<'_>| dated.counted.map(|counted| counted.certainty);
    match (certainty(before), certainty(after)) {
        (_, Some(Certainty::Provisional)) => Settled::NotYet,
        (Some(Certainty::Provisional), Some(Certainty::Final)) => Settled::Newly,
        _ => Settled::Already,
    }
}

/// 2027-02-13(周六) / 2027-02-13 (Saturday), with the time of an instant.
fn words(moment: Moment, zone: &TimeZone) -> Said {
    let day = moment.day(zone);
    let (zh, en) = weekday_words(day.weekday());
    let time = match moment {
        Moment::Day(_) => String::new(),
        Moment::Instant(at) => format!(" {}", zone.to_datetime(at).strftime("%H:%M")),
    };
    Said::new(format!("{day}({zh}){time}"), format!("{day} ({en}){time}"))
}
