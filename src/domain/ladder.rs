//! Ladders: which reminders an item gets, when, for whom and until when, in the words supervisors write.
//!
//! The grammar of `when`:
//!
//! ```text
//! when  := once | "every" step "from" once ["at most" N "times"]
//! once  := "on" milestone | N unit ("before" | "after") milestone
//! step  := "day" | "workday" | N "hours"
//! unit  := minutes | hours | days | workdays | weeks | months        (singular forms too)
//! ```
//!
//! A repeating rung that starts before a milestone counts towards it and ends with it; one that starts on or after it goes on
//! until the rung's `until`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use crate::domain::calendar::OffDay;
pub use crate::domain::case::ItemKind;
use crate::domain::ids::{LadderId, RungName, TextId};
use crate::domain::milestone::Milestone;
use crate::domain::org::Role;
use crate::domain::text::{Said, said};

#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    pub id: LadderId,
    pub item: ItemKind,
    /// What ends it. A rung may end earlier by its own `until`.
    pub until: Until,
    /// What becomes of a rung whose time had passed before its item was entered.
    pub late: Late,
    /// Occurrences before this day are history: recorded as skipped, never sent.
    pub effective_from: Date,
    pub rungs: Vec<Rung>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rung {
    pub name: RungName,
    pub when: When,
    /// Local time of day; for a milestone that is an instant, `None` keeps its own time.
    pub at: Option<Time>,
    pub off_day: OffDay,
    pub to: Vec<Audience>,
    /// Tried in this order.
    pub by: Vec<Way>,
    pub text: TextId,
    pub until: Option<Until>,
    pub priority: Priority,
    /// Only those hear it who have heard of the item before: that it was moved, that it is off.
    pub if_told: bool,
    /// For a rung that was added later than its ladder: what it would have said before this day is history.
    pub effective_from: Option<Date>,
}

impl Ladder {
    /// From when a rung counts: what it would have said before that day is history.
    pub fn in_force_from(&self, rung: &Rung) -> Date {
        rung.effective_from
            .map_or(self.effective_from, |from| from.max(self.effective_from))
    }
}

/// The state that silences a ladder or a rung. `Acknowledged` is also fulfilled by done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    Done,
    Acknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// The nearest missed rung is sent at once.
    Now,
    /// Missed rungs are skipped; the next one comes at its time.
    Next,
    /// The whole ladder is skipped for this item once a rung was missed.
    Skip,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    #[default]
    Normal,
    Urgent,
    /// A right can be lost within 48 hours.
    Critical,
}

impl Priority {
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Urgent => "urgent",
            Self::Critical => "critical",
        }
    }
}

/// Who is meant, resolved to people at the moment of deciding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The owner of the case, or whoever acts for them.
    Owner,
    /// The member of staff named in the item (who promised, who goes along), else the owner.
    Assignee,
    /// Who had it before it passed to the assignee.
    Former,
    /// Whoever is on duty at the window that day.
    Duty,
    /// The member of staff of another unit who owes the answer, else the district's department.
    Contact,
    Supervisor,
    Director,
    District,
    Resident,
    /// Relatives who opted in.
    Relatives,
}

impl Audience {
    pub const ALL: [Self; 10] = [
        Self::Owner,
        Self::Assignee,
        Self::Former,
        Self::Duty,
        Self::Contact,
        Self::Supervisor,
        Self::Director,
        Self::District,
        Self::Resident,
        Self::Relatives,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Assignee => "assignee",
            Self::Former => "former",
            Self::Duty => "duty",
            Self::Contact => "contact",
            Self::Supervisor => "supervisor",
            Self::Director => "director",
            Self::District => "district",
            Self::Resident => "resident",
            Self::Relatives => "relatives",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|audience| audience.name() == name)
    }

    /// Residents and relatives: quiet hours, caps, consent and masks apply.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Resident | Self::Relatives)
    }

    /// The role that is looked for up the line, for the audiences that are roles.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Supervisor => Some(Role::BusinessSupervisor),
            Self::Director => Some(Role::Director),
            Self::District => Some(Role::DistrictLead),
            Self::Owner
            | Self::Assignee
            | Self::Former
            | Self::Duty
            | Self::Contact
            | Self::Resident
            | Self::Relatives => None,
        }
    }
}

/// A way to reach somebody. `Phone` makes a call task for staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Email,
    Sms,
    Phone,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Phone => "phone",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Email, Self::Sms, Self::Phone]
            .into_iter()
            .find(|way| way.name() == name)
    }
}

/// When a rung comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Once(Point),
    Every {
        step: Step,
        from: Point,
        at_most: Option<u32>,
    },
}

impl When {
    pub fn point(&self) -> Point {
        match self {
            Self::Once(point) | Self::Every { from: point, .. } => *point,
        }
    }

    /// A repeating rung that starts before its milestone ends with it.
    pub fn ends_with_milestone(&self) -> bool {
        matches!(self, Self::Every { from, .. } if from.amount < 0)
    }
}

/// A signed distance from a milestone: negative is before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub amount: i32,
    pub unit: StepUnit,
    pub milestone: Milestone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepUnit {
    Minutes,
    Hours,
    Days,
    Workdays,
    Weeks,
    Months,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Day,
    Workday,
    Hours(u32),
}

/// A `when` that does not follow the grammar: what is wrong, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhenError {
    pub what: Said,
    pub allowed: Said,
}

impl fmt::Display for WhenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.and(&self.allowed).fmt(f)
    }
}

impl std::error::Error for WhenError {}

fn shape() -> Said {
    said!(
        "可用: \"<n> (minutes|hours|days|workdays|weeks|months) (before|after) <时点>\"、\"on <时点>\",或 \"every (day|workday|<n> hours) from <以上之一> [at most <n> times]\"",
        "allowed: \"<n> (minutes|hours|days|workdays|weeks|months) (before|after) <milestone>\", \"on <milestone>\", or \"every (day|workday|<n> hours) from <one of these> [at most <n> times]\""
    )
}

/// Nothing is reminded of further away than this many units: 50 years of days.
const MAX_AMOUNT: i32 = 18_300;

impl FromStr for When {
    type Err = WhenError;

    fn from_str(text: &str) -> Result<Self, WhenError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["every", rest @ ..] => parse_every(rest),
            once => parse_point(once).map(When::Once),
        }
    }
}

fn parse_every(words: &[&str]) -> Result<When, WhenError> {
    let (step, rest) = match words {
        ["day", rest @ ..] => (Step::Day, rest),
        ["workday", rest @ ..] => (Step::Workday, rest),
        [n, "hours" | "hour", rest @ ..] => (Step::Hours(parse_count(n, 1, 8_760)?), rest),
        _ => {
            return Err(wrong(
                said!("“every”之后应是间隔", "after \"every\" comes a step"),
                said!(
                    "可用: \"day\"、\"workday\" 或 \"<n> hours\"",
                    "allowed: \"day\", \"workday\" or \"<n> hours\""
                ),
            ));
        }
    };
    let ["from", rest @ ..] = rest else {
        return Err(wrong(
            said!("间隔之后应是“from”", "after the step comes \"from\""),
            shape(),
        ));
    };
    let (from, at_most) = match rest {
        [from @ .., "at", "most", n, "times" | "time"] => (from, Some(parse_count(n, 1, 1_000)?)),
        from => (from, None),
    };
    Ok(When::Every {
        step,
        from: parse_point(from)?,
        at_most,
    })
}

fn parse_point(words: &[&str]) -> Result<Point, WhenError> {
    match words {
        ["on", milestone] => Ok(Point {
            amount: 0,
            unit: StepUnit::Days,
            milestone: parse_milestone(milestone)?,
        }),
        [n, unit, side, milestone] => {
            let amount = i32::try_from(parse_count(n, 0, MAX_AMOUNT.unsigned_abs())?).unwrap_or(MAX_AMOUNT);
            let unit = parse_unit(unit)?;
            let amount = match *side {
                "before" => -amount,
                "after" => amount,
                other => {
                    return Err(wrong(
                        said!("“{other}”不是方向", "\"{other}\" is no side"),
                        said!("可用: before, after", "allowed: before, after"),
                    ));
                }
            };
            Ok(Point {
                amount,
                unit,
                milestone: parse_milestone(milestone)?,
            })
        }
        [] => Err(wrong(said!("缺少时间", "a time is missing"), shape())),
        other => {
            let text = other.join(" ");
            Err(wrong(said!("“{text}”不是时间", "\"{text}\" is no time"), shape()))
        }
    }
}

fn parse_count(text: &str, min: u32, max: u32) -> Result<u32, WhenError> {
    match text.parse::<u32>() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(wrong(
            said!("“{text}”不是数字", "\"{text}\" is no number"),
            said!(
                "可用: {min} 到 {max} 的整数",
                "allowed: a whole number from {min} to {max}"
            ),
        )),
    }
}

fn parse_unit(text: &str) -> Result<StepUnit, WhenError> {
    Ok(match text {
        "minute" | "minutes" => StepUnit::Minutes,
        "hour" | "hours" => StepUnit::Hours,
        "day" | "days" => StepUnit::Days,
        "workday" | "workdays" => StepUnit::Workdays,
        "week" | "weeks" => StepUnit::Weeks,
        "month" | "months" => StepUnit::Months,
        _ => {
            return Err(wrong(
                said!("“{text}”不是单位", "\"{text}\" is no unit"),
                said!(
                    "可用: minutes, hours, days, workdays, weeks, months",
                    "allowed: minutes, hours, days, workdays, weeks, months"
                ),
            ));
        }
    })
}

fn parse_milestone(text: &str) -> Result<Milestone, WhenError> {
    Milestone::ALL
        .iter()
        .copied()
        .find(|milestone| milestone.name() == text)
        .ok_or_else(|| {
            let names: Vec<&str> = Milestone::ALL.iter().map(|milestone| milestone.name()).collect();
            let names = names.join(", ");
            wrong(
                said!("“{text}”不是时点", "\"{text}\" is no milestone"),
                said!("可用: {names}", "allowed: {names}"),
            )
        })
}

fn wrong(what: Said, allowed: Said) -> WhenError {
    WhenError { what, allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(amount: i32, unit: StepUnit, milestone: Milestone) -> Point {
        Point {
            amount,
            unit,
            milestone,
        }
    }

    #[test]
    fn sentences_of_the_grammar_are_read() {
        let before = point(-30, StepUnit::Days, Milestone::LastSafeDay);
        for (text, expected) in [
            ("30 days before last_safe_day", When::Once(before)),
            ("on expired", When::Once(point(0, StepUnit::Days, Milestone::Expired))),
            (
                "1 hour after start",
                When::Once(point(1, StepUnit::Hours, Milestone::Start)),
            ),
            (
                "every workday from 3 workdays before last_safe_day",
                When::Every {
                    step: Step::Workday,
                    from: point(-3, StepUnit::Workdays, Milestone::LastSafeDay),
                    at_most: None,
                },
            ),
            (
                "every 4 hours from on expired at most 6 times",
                When::Every {
                    step: Step::Hours(4),
                    from: point(0, StepUnit::Days, Milestone::Expired),
                    at_most: Some(6),
                },
            ),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_what_is_allowed() {
        for (text, what) in [
            ("", "a time is missing"),
            ("soon", "\"soon\" is no time"),
            ("three days before end", "\"three\" is no number"),
            ("3 fortnights before end", "\"fortnights\" is no unit"),
            ("3 days around end", "\"around\" is no side"),
            ("3 days before the_end", "\"the_end\" is no milestone"),
            ("every week from on end", "after \"every\" comes a step"),
            ("every day 3 days before end", "after the step comes \"from\""),
            ("every day from on end at most 0 times", "\"0\" is no number"),
            ("99999 days before end", "\"99999\" is no number"),
        ] {
            assert_eq!(
                text.parse::<When>().map_err(|error| error.what.en),
                Err(what.to_owned()),
                "{text}"
            );
        }
    }
}
