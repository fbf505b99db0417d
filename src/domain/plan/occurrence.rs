//! When a rung comes: the last time at or before `now` and the next one after it, by arithmetic, never by walking the days.
//!
//! Everything is counted on the local calendar from the milestone itself; a day's occurrence keeps its civil date as identity, so a
//! daylight-saving change can neither double nor drop it. What counts towards a milestone always comes before it, what tells of it
//! never does: no shift off a rest day crosses it.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Span, Timestamp};

use crate::domain::calendar::OffDay;
use crate::domain::ladder::{Point, Rung, Step, StepUnit, When};
use crate::domain::milestone::{Moment, instant};
use crate::domain::reminder::Occurrence;
use crate::domain::rulebook::Rulebook;

/// The time of day of a rung that counts from a day and names none.
pub const DEFAULT_AT: Time = Time::constant(9, 0, 0, 0);

/// One coming of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coming {
    pub occurrence: Occurrence,
    pub at: Timestamp,
}

/// The last coming at or before `now` and the first one after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Comings {
    pub last: Option<Coming>,
    pub next: Option<Coming>,
}

/// The comings of `rung`, whose milestone is at `moment`, around `now`. None at all where the calendar ends.
pub fn comings(rules: &Rulebook, rung: &Rung, moment: Moment, now: Timestamp) -> Comings {
    let Some(first) = first_coming(rules, rung, moment) else {
        return Comings::default();
    };
    match rung.when {
        When::Once(_) => once(first.at(rules), now),
        When::Every {
            step: Step::Hours(hours),
            at_most,
            ..
        } => {
            let end = rung.when.ends_with_milestone().then(|| ends_at(rules, rung, moment));
            every_hours(first.at(rules), hours, at_most, end, now)
        }
        When::Every { step, at_most, .. } => {
            let (day, time) = first.local(rules);
            let aim = is_towards(rung.when.point()).then(|| last_day(rules, rung, moment, time));
            let workdays = step == Step::Workday;
            let days = Days::new(rules, rung, day, aim, workdays, at_most);
            days.around(now, time)
        }
    }
}

/// The instant a rung that counts towards its milestone is over: nothing of it comes then or later.
pub fn ends_at(rules: &Rulebook, rung: &Rung, moment: Moment) -> Timestamp {
    match moment {
        Moment::Instant(at) => at,
        Moment::Day(day) if rung.when.point().milestone.begins_a_state() => instant(day, Time::midnight(), &rules.zone),
        Moment::Day(day) => instant(day.tomorrow().unwrap_or(day), Time::midnight(), &rules.zone),
    }
}

/// Whether a rung speaks of something to come rather than of something that has come about.
pub fn is_towards(point: Point) -> bool {
    point.amount < 0 || (point.amount == 0 && !point.milestone.begins_a_state())
}

/// The first time of a rung: an instant, or a local day and time.
#[derive(Clone, Copy)]
enum First {
    At(Timestamp),
    On(Date, Time),
}

impl First {
    fn at(self, rules: &Rulebook) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::On(day, time) => instant(day, time, &rules.zone),
        }
    }

    fn local(self, rules: &Rulebook) -> (Date, Time) {
        match self {
            Self::At(at) => {
                let local = rules.zone.to_datetime(at);
                (local.date(), local.time())
            }
            Self::On(day, time) => (day, time),
        }
    }
}

fn first_coming(rules: &Rulebook, rung: &Rung, moment: Moment) -> Option<First> {
    if is_exact(rung, moment) {
        return exact(rules, rung, moment).map(First::At);
    }
    let time = rung.at.unwrap_or_else(|| match moment {
        Moment::Day(_) => DEFAULT_AT,
        Moment::Instant(at) => rules.zone.to_datetime(at).time(),
    });
    let day = move_by(rules, moment.day(&rules.zone), rung.when.point())?;
    let day = settled(rules, rung, moment, day, time)?;
    Some(First::On(day, time))
}

/// Distances in hours and minutes, and an instant taken as it is, are exact; everything else is counted in days.
fn is_exact(rung: &Rung, moment: Moment) -> bool {
    let point = rung.when.point();
    match point.unit {
        StepUnit::Minutes | StepUnit::Hours => true,
        _ => point.amount == 0 && rung.at.is_none() && matches!(moment, Moment::Instant(_)),
    }
}

fn exact(rules: &Rulebook, rung: &Rung, moment: Moment) -> Option<Timestamp> {
    let point = rung.when.point();
    let start = match moment {
        Moment::Instant(start) => start,
        Moment::Day(day) => instant(day, rung.at.unwrap_or(DEFAULT_AT), &rules.zone),
    };
    let amount = i64::from(point.amount);
    let distance = match point.unit {
        StepUnit::Minutes => SignedDuration::from_mins(amount),
        StepUnit::Hours => SignedDuration::from_hours(amount),
        _ => SignedDuration::ZERO,
    };
    start.checked_add(distance).ok()
}

fn move_by(rules: &Rulebook, day: Date, point: Point) -> Option<Date> {
    let amount = i64::from(point.amount);
    match point.unit {
        _ if amount == 0 => Some(day),
        StepUnit::Workdays => rules.calendar.add_workdays(day, amount).ok(),
        StepUnit::Months => day.checked_add(Span::new().try_months(amount).ok()?).ok(),
        StepUnit::Weeks => days_after(day, 7 * amount),
        StepUnit::Days | StepUnit::Hours | StepUnit::Minutes => days_after(day, amount),
    }
}

fn days_after(day: Date, days: i64) -> Option<Date> {
    day.checked_add(SignedDuration::from_hours(24 * days)).ok()
}

/// Moves a rung off a rest day without crossing its milestone: towards it, it comes earlier rather than too late; afterwards, later
/// rather than too early.
fn settled(rules: &Rulebook, rung: &Rung, moment: Moment, day: Date, time: Time) -> Option<Date> {
    let point = rung.when.point();
    let shift = |day: Date, to: OffDay| rules.calendar.shift(day, to);
    let against_instant = |day: Date, milestone: Timestamp| instant(day, time, &rules.zone).cmp(&milestone);
    if is_towards(point) {
        let too_late = |day: Date| match moment {
            Moment::Day(milestone) => day > milestone,
            Moment::Instant(milestone) => against_instant(day, milestone).is_ge(),
        };
        let day = if too_late(day) { day.yesterday().ok()? } else { day };
        let shifted = shift(day, rung.off_day);
        return Some(if too_late(shifted) {
            shift(day, OffDay::Earlier)
        } else {
            shifted
        });
    }
    let too_early = |day: Date| match moment {
        // "1 day after" an aim must not fall back upon the aim itself.
        Moment::Day(milestone) => day < milestone || (point.amount > 0 && day == milestone),
        Moment::Instant(milestone) => against_instant(day, milestone).is_lt(),
    };
    let day = if too_early(day) { day.tomorrow().ok()? } else { day };
    let shifted = shift(day, rung.off_day);
    Some(if too_early(shifted) {
        shift(day, OffDay::Later)
    } else {
        shifted
    })
}

fn once(at: Timestamp, now: Timestamp) -> Comings {
    let coming = Some(Coming {
        occurrence: Occurrence::Once,
        at,
    });
    if at <= now {
        Comings {
            last: coming,
            next: None,
        }
    } else {
        Comings {
            last: None,
            next: coming,
        }
    }
}

fn every_hours(first: Timestamp, hours: u32, at_most: Option<u32>, end: Option<Timestamp>, now: Timestamp) -> Comings {
    let step_s = i64::from(hours.max(1)) * 3600;
    // How many come before `end`, and how many have come by `now`.
    let before_end = end.map_or(i64::MAX, |end| {
        let room = end.duration_since(first);
        let whole = room.as_secs() / step_s;
        let exactly = room == SignedDuration::from_secs(whole * step_s);
        if room.is_positive() {
            whole + i64::from(!exactly)
        } else {
            0
        }
    });
    let limit = at_most.map_or(i64::MAX, i64::from).min(before_end);
    let passed = if now < first {
        0
    } else {
        (now.duration_since(first).as_secs() / step_s + 1).min(limit)
    };
    let coming = |index: i64| {
        let seconds = index.checked_mul(step_s)?;
        let at = first.checked_add(SignedDuration::from_secs(seconds)).ok()?;
        Some(Coming {
            occurrence: Occurrence::At(at),
            at,
        })
    };
    Comings {
        last: if passed > 0 { coming(passed - 1) } else { None },
        next: if passed < limit { coming(passed) } else { None },
    }
}

/// The days on which a repeating rung comes.
struct Days<'a> {
    rules: &'a Rulebook,
    first: Date,
    last: Option<Date>,
    workdays: bool,
}

impl<'a> Days<'a> {
    fn new(
        rules: &'a Rulebook,
        rung: &Rung,
        first: Date,
        aim: Option<Date>,
        workdays: bool,
        at_most: Option<u32>,
    ) -> Self {
        let calendar = &rules.calendar;
        let first = match aim {
            _ if !workdays => first,
            // The days before the milestone hold no workday any more: the last one before them has to do.
            Some(aim) if calendar.workday_on_or_after(first) > aim => calendar.workday_on_or_before(first),
            _ => calendar.workday_on_or_after(first),
        };
        let nth = |n: u32| match i64::from(n) {
            n if workdays && n > 0 => calendar.add_workdays(first, n).ok(),
            n => days_after(first, n),
        };
        let by_count = at_most.and_then(|n| nth(n.saturating_sub(1)));
        let by_aim = aim.filter(|_| rung.when.ends_with_milestone());
        Self {
            rules,
            first,
            last: by_count.into_iter().chain(by_aim).min(),
            workdays,
        }
    }

    fn around(&self, now: Timestamp, time: Time) -> Comings {
        let calendar = &self.rules.calendar;
        let coming = |day: Date| Coming {
            occurrence: Occurrence::On(day),
            at: instant(day, time, &self.rules.zone),
        };
        let today = self.rules.zone.to_datetime(now).date();
        let latest = self.on_or_before(self.last.map_or(today, |last| last.min(today)));
        // Any time of a day before today is over.
        let latest = if latest < today || coming(latest).at <= now {
            Some(latest)
        } else {
            latest.yesterday().ok().map(|day| self.on_or_before(day))
        };
        let last = latest.filter(|day| self.contains(*day));
        let following = match last {
            Some(day) if self.workdays => Some(calendar.next_workday(day)),
            Some(day) => day.tomorrow().ok(),
            None => Some(self.first),
        };
        let following = following.filter(|day| self.contains(*day)).map(coming);
        Comings {
            last: last.map(coming),
            // At the end of the calendar the next workday is the day itself.
            next: following.filter(|next| next.at > now),
        }
    }

    fn contains(&self, day: Date) -> bool {
        day >= self.first && self.last.is_none_or(|last| day <= last)
    }

    fn on_or_before(&self, day: Date) -> Date {
        if self.workdays {
            self.rules.calendar.workday_on_or_before(day)
        } else {
            day
        }
    }
}

/// The last day on which a rung at `time` still comes before its milestone.
fn last_day(rules: &Rulebook, rung: &Rung, moment: Moment, time: Time) -> Date {
    let day = moment.day(&rules.zone);
    let too_late = match moment {
        Moment::Day(_) => rung.when.point().milestone.begins_a_state(),
        Moment::Instant(at) => instant(day, time, &rules.zone) >= at,
    };
    if too_late { day.yesterday().unwrap_or(day) } else { day }
}
