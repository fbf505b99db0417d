//! 期限: a period that runs for the resident or for an authority, counted from a trigger.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Acknowledgement, Base, Dates, Followed, Mark, is_zero};
use crate::domain::ids::{ItemId, OfficeId, PeriodId};
use crate::domain::ladder::{ItemKind, Ladder};
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::period::{Counted, Counting, PeriodError, Start, count, ending_on};
use crate::domain::rulebook::{Loss, PeriodKind, Rulebook};
use crate::domain::text::{Said, shown};

pub(super) const MILESTONES: &[Milestone] = &[
    Milestone::Opened,
    Milestone::VerifyDate,
    Milestone::TargetBy,
    Milestone::LastSafeDay,
    Milestone::End,
    Milestone::Expired,
];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadline {
    pub id: ItemId,
    pub kind: PeriodId,
    pub trigger: Trigger,
    /// A date agreed or ordered by somebody, which replaces the computed end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_end: Option<Date>,
    /// Whose opening days count, when it is not the office of the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<OfficeId>,
    /// When the present trigger was entered.
    pub set_at: Timestamp,
    /// How often people have moved its date. A date that was moved back is told again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Mark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

/// 起算日: from when a period counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trigger {
    Known(Start),
    /// 估算: somewhere in this range; planned on the earliest bound.
    Range {
        from: Date,
        to: Date,
    },
    Unknown,
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(start) => start.fmt(f),
            Self::Range { from, to } => write!(f, "{from}..{to}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl std::str::FromStr for Trigger {
    type Err = String;

    /// The error is told in both languages, in one line.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "unknown" {
            return Ok(Self::Unknown);
        }
        let wrong = |part: &str| {
            let part = shown(part);
            format!(
                "“{part}”不是起算日,可写日期 2012-03-10、月份 2026-05、时刻 2026-02-14T16:30、范围 2012-03-01..2012-05-31 或 unknown / \
                 \"{part}\" is no trigger; allowed: a date 2012-03-10, a month 2026-05, a time 2026-02-14T16:30, a range \
                 2012-03-01..2012-05-31, or unknown"
            )
        };
        if let Some((from, to)) = text.split_once("..") {
            let day = |text: &str| text.trim().parse::<Date>().map_err(|_| wrong(text));
            let (from, to) = (day(from)?, day(to)?);
            return if from <= to {
                Ok(Self::Range { from, to })
            } else {
                Err(format!(
                    "范围的开始 {from} 晚于结束 {to},请对调 / the range starts on {from}, after its end {to}; swap them"
                ))
            };
        }
        text.parse().map(Self::Known).map_err(|_| wrong(text))
    }
}

impl TryFrom<String> for Trigger {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Trigger> for String {
    fn from(trigger: Trigger) -> Self {
        trigger.to_string()
    }
}

impl<'a> Followed<'a> for &'a Deadline {
    fn base(&self) -> Base<'a> {
        Base {
            id: &self.id,
            set_at: self.set_at,
            moves: self.moves,
            acknowledged: self.acknowledged.as_ref(),
        }
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Deadline
    }

    fn is_open(&self) -> bool {
        self.done.is_none()
    }

    fn act_by(&self) -> Milestone {
        Milestone::LastSafeDay
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let deadline = *self;
        let Some(kind) = rules.periods.get(&deadline.kind) else {
            return Dates {
                ladder: ladder_for_the_unknown(rules),
                milestones: verify(deadline, &rules.zone),
                ..Dates::default()
            };
        };
        let (counted, trouble) = match counted(rules, kind, deadline) {
            None => (None, None),
            Some(Ok(counted)) => (Some(counted), None),
            Some(Err(trouble)) => (None, Some(trouble)),
        };
        let milestones = match &counted {
            Some(counted) => milestones(counted, kind, deadline, &rules.zone),
            None => verify(deadline, &rules.zone),
        };
        Dates {
            ladder: rules.ladders.get(&kind.ladder),
            milestones,
            kind: Some(kind),
            counted,
            useful_until: None,
            trouble,
        }
    }

    fn title(&self, rules: &Rulebook) -> Said {
        let kind = rules.periods.get(&self.kind);
        kind.map_or_else(|| Said::new("期限", "deadline"), |kind| kind.name.clone())
    }

    fn label(&self) -> Said {
        Said::new("期限", "deadline")
    }
}

impl Deadline {
    /// From when it counts, if that is known; a range counts from its earliest bound.
    pub fn start(&self) -> Option<Start> {
        match self.trigger {
            Trigger::Known(start) => Some(start),
            Trigger::Range { from, .. } => Some(Start::Day(from)),
            Trigger::Unknown => None,
        }
    }

    /// 估算: counted from the earliest day of a range.
    pub fn is_estimated(&self) -> bool {
        matches!(self.trigger, Trigger::Range { .. }) && self.fixed_end.is_none()
    }

    /// By what it is counted: the opening days of its office, the calendar, the hall's hours.
    pub fn counting<'a>(&'a self, rules: &'a Rulebook, kind: &'a PeriodKind) -> Counting<'a> {
        rules.counting(rules.office_of(kind, self.office.as_ref()))
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

/// Counts a deadline; `None` when its trigger is unknown.
fn counted(rules: &Rulebook, kind: &PeriodKind, deadline: &Deadline) -> Option<Result<Counted, PeriodError>> {
    let counting = deadline.counting(rules, kind);
    match deadline.fixed_end {
        Some(end) => Some(ending_on(end, &kind.rule, &counting)),
        None => Some(count(&deadline.start()?, &kind.rule, &counting)),
    }
}

fn milestones(counted: &Counted, kind: &PeriodKind, deadline: &Deadline, zone: &TimeZone) -> Milestones {
    let opened = Moment::Day(zone.to_datetime(deadline.set_at).date());
    let (target, safe, end, after) = if kind.rule.mode.is_in_hours() {
        // On the day on which the hours run out, a reminder has to come before they do.
        let end = Moment::Instant(counted.end_at);
        (Moment::Instant(counted.target_at), end, end, end)
    } else {
        let end = Moment::Day(counted.legal_end);
        let (target, safe) = (counted.target_by, counted.last_safe_day);
        (Moment::Day(target), Moment::Day(safe), end, end.day_after(zone))
    };
    Milestones::default()
        .with(Milestone::Opened, opened)
        .with(Milestone::TargetBy, target)
        .with(Milestone::LastSafeDay, safe)
        .with(Milestone::End, end)
        .with_some(Milestone::Expired, (kind.loss != Loss::Soft).then_some(after))
}

/// A deadline without a date: nothing in it may look safe; somebody has to find the date.
fn verify(deadline: &Deadline, zone: &TimeZone) -> Milestones {
    let since = Moment::Day(zone.to_datetime(deadline.set_at).date());
    Milestones::default()
        .with(Milestone::Opened, since)
        .with(Milestone::VerifyDate, since)
}
