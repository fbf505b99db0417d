//! The dates of one item, as the rules see them.

use jiff::Timestamp;

use crate::domain::case::{Dates, Item, Trigger};
use crate::domain::ladder::Ladder;
use crate::domain::milestone::{Anchor, Milestone, Milestones, Moment};
use crate::domain::period::{Counted, PeriodError, explain};
use crate::domain::rulebook::{PeriodKind, Rulebook};
use crate::domain::text::Said;

/// What is known of an item's dates: its milestones, and for a deadline the counted period.
#[derive(Debug, Clone)]
pub struct Dated<'a> {
    pub item: Item<'a>,
    pub ladder: Option<&'a Ladder>,
    /// The rule of a deadline; `None` for other items and for kinds that the rules no longer know.
    pub kind: Option<&'a PeriodKind>,
    pub counted: Option<Counted>,
    /// Why a deadline has no dates although its trigger is known.
    pub trouble: Option<PeriodError>,
    /// From when on nobody needs to hear of it any more.
    pub useful_until: Option<Timestamp>,
    milestones: Milestones,
}

impl<'a> Dated<'a> {
    pub fn new(rules: &'a Rulebook, item: Item<'a>) -> Self {
        let Dates {
            ladder,
            milestones,
            useful_until,
            kind,
            counted,
            trouble,
        } = item.dates(rules);
        Self {
            item,
            ladder,
            kind,
            counted,
            trouble,
            useful_until,
            milestones,
        }
    }

    /// How the dates of a deadline were found, step by step; nothing for items that are not counted.
    pub fn explain(&self, rules: &Rulebook) -> Vec<Said> {
        let (Item::Deadline(deadline), Some(kind)) = (self.item, self.kind) else {
            return Vec::new();
        };
        if let Some(end) = deadline.fixed_end {
            return vec![Said::new(
                format!("期限由人定为 {end}"),
                format!("the end was fixed at {end}"),
            )];
        }
        let Some(start) = deadline.start() else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        if let Trigger::Range { from, to } = deadline.trigger {
            let zh = format!("估算: 起算日在 {from} 至 {to} 之间,按最早的算");
            steps.push(Said::new(
                zh,
                format!("estimated: it began between {from} and {to}; the earliest is taken"),
            ));
        }
        if let Ok((_, found)) = explain(&start, &kind.rule, &deadline.counting(rules, kind)) {
            steps.extend(found);
        }
        steps
    }

    pub fn at(&self, milestone: Milestone) -> Option<Moment> {
        self.all()
            .find(|(known, _)| *known == milestone)
            .map(|(_, moment)| moment)
    }

    /// The moment by which somebody has to act.
    pub fn act_by(&self) -> Option<Moment> {
        self.at(self.item.act_by())
    }

    /// What a reminder of this milestone counts from, as its identity has it.
    pub fn anchor(&self, milestone: Milestone) -> Option<Anchor> {
        let moves = self.item.moves();
        self.at(milestone).map(|moment| Anchor { moment, moves })
    }

    pub fn all(&self) -> impl Iterator<Item = (Milestone, Moment)> + '_ {
        self.milestones.all()
    }
}
