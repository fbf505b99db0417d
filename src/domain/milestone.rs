//! The dated points of an item, named as ladders name them.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};

use crate::domain::ladder::ItemKind;

/// A named point in the life of an item. Ladders count from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// Deadline: the day it was entered.
    Opened,
    /// Deadline whose trigger date is unknown: the day it was entered, to be verified from then on.
    VerifyDate,
    /// Deadline: the last safe day less the margin.
    TargetBy,
    /// Deadline: the last day on which it can really be done.
    LastSafeDay,
    /// Deadline: the last day of the period.
    End,
    /// Deadline: the moment after the end.
    Expired,
    /// Call-back: the day or instant promised.
    Due,
    /// Call-back: the day after the promise was due.
    Overdue,
    /// Appointment: the instant it was agreed or last moved.
    Booked,
    /// Appointment: its start.
    Start,
    /// Appointment: its end, when nobody has said that it took place.
    Missed,
}

impl Milestone {
    pub const ALL: [Self; 11] = [
        Self::Opened,
        Self::VerifyDate,
        Self::TargetBy,
        Self::LastSafeDay,
        Self::End,
        Self::Expired,
        Self::Due,
        Self::Overdue,
        Self::Booked,
        Self::Start,
        Self::Missed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::VerifyDate => "verify_date",
            Self::TargetBy => "target_by",
            Self::LastSafeDay => "last_safe_day",
            Self::End => "end",
            Self::Expired => "expired",
            Self::Due => "due",
            Self::Overdue => "overdue",
            Self::Booked => "booked",
            Self::Start => "start",
            Self::Missed => "missed",
        }
    }

    /// Whether something begins here that was not so before: telling of it earlier would be false. The others are aims: a reminder of
    /// one may come earlier, never later.
    pub fn begins_a_state(self) -> bool {
        match self {
            Self::Opened | Self::VerifyDate | Self::Expired | Self::Overdue | Self::Booked | Self::Missed => true,
            Self::TargetBy | Self::LastSafeDay | Self::End | Self::Due | Self::Start => false,
        }
    }

    /// What an office clerk calls it.
    pub fn name_zh(self) -> &'static str {
        match self {
            Self::Opened => "登记日",
            Self::VerifyDate => "日期待核实,自",
            Self::TargetBy => "目标日",
            Self::LastSafeDay => "最晚可办日",
            Self::End => "期限届满",
            Self::Expired => "过期",
            Self::Due => "约定回电",
            Self::Overdue => "回电逾期",
            Self::Booked => "约定时间",
            Self::Start => "预约",
            Self::Missed => "预约结束",
        }
    }

    /// The kind of item that has this milestone.
    pub fn kind(self) -> ItemKind {
        match self {
            Self::Opened | Self::VerifyDate | Self::TargetBy | Self::LastSafeDay | Self::End | Self::Expired => {
                ItemKind::Deadline
            }
            Self::Due | Self::Overdue => ItemKind::Callback,
            Self::Booked | Self::Start | Self::Missed => ItemKind::Appointment,
        }
    }
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a milestone is: a civil day in the hall's zone, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Moment {
    Day(Date),
    Instant(Timestamp),
}

impl Moment {
    pub fn day(self, zone: &TimeZone) -> Date {
        match self {
            Self::Day(day) => day,
            Self::Instant(at) => zone.to_datetime(at).date(),
        }
    }

    /// The first instant of the moment: the start of the day, or the instant itself.
    pub fn starts_at(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Day(day) => instant(day, civil::Time::midnight(), zone),
            Self::Instant(at) => at,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Instant(at) => at.fmt(f),
        }
    }
}

/// The *anchor value* of a reminder: what it counts from, and how often people have moved the item it belongs to.
///
/// The value alone would be silent when a date is moved and then moved back: whoever heard of the other date last would go by it. So
/// every move arms the ladder anew, and only what nobody moved never repeats. A calendar that changes a date is no such move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    pub moment: Moment,
    pub moves: u32,
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { moment, moves } = self;
        match moves {
            0 => moment.fmt(f),
            moves => write!(f, "{moment}~{moves}"),
        }
    }
}

/// The instant of a local time. A time inside a daylight-saving gap becomes the first valid instant after the gap, one in a
/// fold the first of the two; a date at the very end of the calendar saturates.
pub fn instant(day: Date, time: civil::Time, zone: &TimeZone) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(day.to_datetime(time));
    if let AmbiguousOffset::Gap { .. } = ambiguous.offset()
        && let Ok(before) = ambiguous.earlier()
        && let Some(transition) = zone.following(before).next()
    {
        return transition.timestamp();
    }
    ambiguous.compatible().unwrap_or(Timestamp::MAX)
}
