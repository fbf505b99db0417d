//! The milestones of one item, from its facts and the rules. A new kind of item starts here.

use jiff::tz::TimeZone;

use crate::domain::case::{Appointment, Callback, Deadline, Item, Trigger};
use crate::domain::ids::LadderId;
use crate::domain::ladder::{ItemKind, Ladder};
use crate::domain::milestone::{Anchor, Milestone, Moment};
use crate::domain::period::{Counted, Counting, PeriodError, Start, count, ending_on, explain};
use crate::domain::rulebook::{Loss, PeriodKind, Rulebook};
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
    milestones: Milestones,
}

/// At most six milestones belong to one kind of item.
#[derive(Debug, Clone, Copy, Default)]
struct Milestones([Option<(Milestone, Moment)>; 6]);

impl Milestones {
    fn of<const N: usize>(pairs: [(Milestone, Moment); N]) -> Self {
        let mut slots = [None; 6];
        for (slot, pair) in slots.iter_mut().zip(pairs) {
            *slot = Some(pair);
        }
        Self(slots)
    }
}

impl<'a> Dated<'a> {
    pub fn new(rules: &'a Rulebook, item: Item<'a>) -> Self {
        match item {
            Item::Deadline(deadline) => dated_deadline(rules, item, deadline),
            Item::Callback(callback) => {
                let ladder = &rules.schedule.callback_ladder;
                Self::simple(rules, item, ladder, callback_milestones(callback, &rules.zone))
            }
            Item::Appointment(appointment) => {
                let ladder = &rules.schedule.appointment_ladder;
                Self::simple(rules, item, ladder, appointment_milestones(appointment))
            }
        }
    }

    fn simple(rules: &'a Rulebook, item: Item<'a>, ladder: &LadderId, milestones: Milestones) -> Self {
        Self {
            item,
            ladder: rules.ladders.get(ladder),
            kind: None,
            counted: None,
            trouble: None,
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
        let Some(start) = start(deadline) else {
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
        if let Ok((_, found)) = explain(&start, &kind.rule, &counting(rules, kind, deadline)) {
            steps.extend(found);
        }
        steps
    }

    pub fn at(&self, milestone: Milestone) -> Option<Moment> {
        self.all()
            .find(|(known, _)| *known == milestone)
            .map(|(_, moment)| moment)
    }

    /// What a reminder of this milestone counts from, as its identity has it.
    pub fn anchor(&self, milestone: Milestone) -> Option<Anchor> {
        let moves = self.item.moves();
        self.at(milestone).map(|moment| Anchor { moment, moves })
    }

    pub fn all(&self) -> impl Iterator<Item = (Milestone, Moment)> {
        self.milestones.0.iter().flatten().copied()
    }
}

fn dated_deadline<'a>(rules: &'a Rulebook, item: Item<'a>, deadline: &'a Deadline) -> Dated<'a> {
    let Some(kind) = rules.periods.get(&deadline.kind) else {
        return Dated {
            item,
            ladder: ladder_for_the_unknown(rules),
            kind: None,
            counted: None,
            trouble: None,
            milestones: verify(deadline, &rules.zone),
        };
    };
    let (counted, trouble) = match counted(rules, kind, deadline) {
        None => (None, None),
        Some(Ok(counted)) => (Some(counted), None),
        Some(Err(trouble)) => (None, Some(trouble)),
    };
    let milestones = match &counted {
        Some(counted) => deadline_milestones(counted, kind, deadline, &rules.zone),
        None => verify(deadline, &rules.zone),
    };
    Dated {
        item,
        ladder: rules.ladders.get(&kind.ladder),
        kind: Some(kind),
        counted,
        trouble,
        milestones,
    }
}

/// A deadline of a kind that the rules no longer know has no date, and somebody has to be told: the first ladder that asks for the
/// date of a deadline is used.
fn ladder_for_the_unknown(rules: &Rulebook) -> Option<&Ladder> {
    let asks = |ladder: &&Ladder| {
        let mut points = ladder.rungs.iter().map(|rung| rung.when.point());
        ladder.item == ItemKind::Deadline && points.any(|point| point.milestone == Milestone::VerifyDate)
    };
    rules.ladders.values().find(asks)
}

/// Counts a deadline; `None` when its trigger is unknown. A range counts from its earliest bound.
fn counted(rules: &Rulebook, kind: &PeriodKind, deadline: &Deadline) -> Option<Result<Counted, PeriodError>> {
    let counting = counting(rules, kind, deadline);
    match deadline.fixed_end {
        Some(end) => Some(ending_on(end, &kind.rule, &counting)),
        None => Some(count(&start(deadline)?, &kind.rule, &counting)),
    }
}

fn counting<'a>(rules: &'a Rulebook, kind: &'a PeriodKind, deadline: &'a Deadline) -> Counting<'a> {
    rules.counting(rules.office_of(kind, deadline.office.as_ref()))
}

fn start(deadline: &Deadline) -> Option<Start> {
    match deadline.trigger {
        Trigger::Known(start) => Some(start),
        Trigger::Range { from, .. } => Some(Start::Day(from)),
        Trigger::Unknown => None,
    }
}

fn deadline_milestones(counted: &Counted, kind: &PeriodKind, deadline: &Deadline, zone: &TimeZone) -> Milestones {
    let opened = Moment::Day(zone.to_datetime(deadline.set_at).date());
    let (target, safe, end, after) = if kind.rule.mode.is_in_hours() {
        // On the day on which the hours run out, a reminder has to come before they do.
        let end = Moment::Instant(counted.end_at);
        (Moment::Instant(counted.target_at), end, end, end)
    } else {
        let next = counted.legal_end.tomorrow().unwrap_or(counted.legal_end);
        (
            Moment::Day(counted.target_by),
            Moment::Day(counted.last_safe_day),
            Moment::Day(counted.legal_end),
            Moment::Day(next),
        )
    };
    let lasting = [
        (Milestone::Opened, opened),
        (Milestone::TargetBy, target),
        (Milestone::LastSafeDay, safe),
        (Milestone::End, end),
    ];
    if kind.loss == Loss::Soft {
        return Milestones::of(lasting);
    }
    let [opened, target, safe, end] = lasting;
    Milestones::of([opened, target, safe, end, (Milestone::Expired, after)])
}

/// A deadline without a date: nothing in it may look safe; somebody has to find the date.
fn verify(deadline: &Deadline, zone: &TimeZone) -> Milestones {
    let since = Moment::Day(zone.to_datetime(deadline.set_at).date());
    Milestones::of([(Milestone::Opened, since), (Milestone::VerifyDate, since)])
}

fn callback_milestones(callback: &Callback, zone: &TimeZone) -> Milestones {
    let due = Moment::from(callback.due);
    let day = due.day(zone);
    Milestones::of([
        (Milestone::Due, due),
        (Milestone::Overdue, Moment::Day(day.tomorrow().unwrap_or(day))),
    ])
}

fn appointment_milestones(appointment: &Appointment) -> Milestones {
    Milestones::of([
        (Milestone::Booked, Moment::Instant(appointment.set_at)),
        (Milestone::Start, Moment::Instant(appointment.start)),
        (Milestone::Missed, Moment::Instant(appointment.end)),
    ])
}
