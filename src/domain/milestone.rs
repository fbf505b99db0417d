//! The dated points of an item, named as ladders name them.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};

/// Writes the milestones down once: what each is, its name in ladders, what an office clerk calls it, and whether it is an aim or begins
/// a state.
macro_rules! milestones {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $zh:literal, $sort:ident;)+) => {
        /// A named point in the life of an item. Ladders count from these. Which kind of item has which stands with the kind
        /// (`domain::case`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Milestone {
            $($(#[$doc])* $variant,)+
        }

        impl Milestone {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What an office clerk calls it.
            pub fn name_zh(self) -> &'static str {
                match self {
                    $(Self::$variant => $zh,)+
                }
            }

            /// Whether something begins here that was not so before: telling of it earlier would be false. The others are aims: a
            /// reminder of one may come earlier, never later.
            pub fn begins_a_state(self) -> bool {
                match self {
                    $(Self::$variant => matches!(Sort::$sort, Sort::Begins),)+
                }
            }
        }
    };
}

enum Sort {
    Aim,
    Begins,
}

milestones! {
    /// Deadline: the day it was entered.
    Opened, "opened", "登记日", Begins;
    /// Deadline whose trigger date is unknown: the day it was entered, to be verified from then on.
    VerifyDate, "verify_date", "日期待核实,自", Begins;
    /// Deadline: the last safe day less the margin.
    TargetBy, "target_by", "目标日", Aim;
    /// Deadline: the last day on which it can really be done.
    LastSafeDay, "last_safe_day", "最晚可办日", Aim;
    /// Deadline: the last day of the period.
    End, "end", "期限届满", Aim;
    /// Deadline: the moment after the end.
    Expired, "expired", "过期", Begins;
    /// The day or instant something was promised for or is expected by: a call-back, a reply, a to-do, a step under way.
    Due, "due", "约定日期", Aim;
    /// Call-back: the time of the next try, after one in vain.
    Retry, "retry", "再次拨打", Aim;
    /// The day after it was due.
    Overdue, "overdue", "逾期", Begins;
    /// Appointment, escort: the instant it was agreed or last moved.
    Booked, "booked", "约定时间", Begins;
    /// Appointment, escort: the instant it was moved, if it was.
    Moved, "moved", "改期", Begins;
    /// Appointment, escort: the instant it passed to somebody else, if it did since it was last moved.
    Passed, "passed", "转交", Begins;
    /// Appointment: its start. Escort: when they are fetched.
    Start, "start", "预约", Aim;
    /// Appointment: its end, when nobody has said that it took place.
    Missed, "missed", "预约结束", Begins;
    /// Appointment, escort: the instant it was called off.
    Cancelled, "cancelled", "取消", Begins;
    /// Escort: the leg that should have been confirmed by now, with its grace.
    LegOverdue, "leg_overdue", "行程未确认", Begins;
    /// Escort: they should have been home by now, with the grace, and nobody has said that they are.
    NotHome, "not_home", "未确认安全到家", Begins;
    /// Incident: when it was noted.
    Happened, "happened", "突发情况", Begins;
    /// Reply, material, step: the day to ask again.
    Chase, "chase", "催办日", Aim;
    /// To-do: when it was noted.
    Created, "created", "登记", Begins;
    /// Step: nothing stands in the way of starting.
    Ready, "ready", "可以开始", Begins;
    /// Step: the last day on which it can start so that everything after it is done in time.
    StartBy, "start_by", "最晚开始日", Aim;
    /// Policy: the day it began to concern the household.
    Matched, "matched", "政策相符", Begins;
    /// Case: it came in from afar.
    Received, "received", "收到", Begins;
    /// Case: nobody has been in touch with the resident for too many workdays.
    Silent, "silent", "多日未联系", Aim;
    /// Case: it passed to another owner.
    HandedOver, "handed_over", "转由他人经办", Begins;
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

    /// The day after it.
    pub fn day_after(self, zone: &TimeZone) -> Self {
        let day = self.day(zone);
        Self::Day(day.tomorrow().unwrap_or(day))
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

/// The milestones of one item: at most [`Milestones::MAX`] belong to one kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Milestones {
    slots: [Option<(Milestone, Moment)>; Self::MAX],
    len: usize,
}

impl Milestones {
    const MAX: usize = 6;

    /// One more. A kind of item with more of them than fit is a fault that every test of that kind shows.
    pub fn with(mut self, milestone: Milestone, moment: Moment) -> Self {
        debug_assert!(self.len < Self::MAX, "too many milestones");
        if let Some(slot) = self.slots.get_mut(self.len) {
            *slot = Some((milestone, moment));
            self.len += 1;
        }
        self
    }

    /// One more, if it is there.
    pub fn with_some(self, milestone: Milestone, moment: Option<Moment>) -> Self {
        match moment {
            Some(moment) => self.with(milestone, moment),
            None => self,
        }
    }

    pub fn all(&self) -> impl Iterator<Item = (Milestone, Moment)> + '_ {
        self.slots.iter().flatten().copied()
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
