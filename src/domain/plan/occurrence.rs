//! When a rung comes: the last time at or before `now` and the next one after it, by arithmetic, never by walking the days.
//!
//! Everything is counted on the local calendar from the milestone itself; a day's occurrence keeps its civil date as identity, so a
//! daylight-saving change can neither double nor drop it.

use jiff::civil::{Date, Time};
use jiff::{Span, Timestamp};

use crate::domain::calendar::OffDay;
use crate::domain::ladder::{Point, Rung, Step, StepUnit, When};
use crate::domain::milestone::{Moment, instant};
use crate::domain::reminder::Occurrence;
use crate::domain::rulebook::Rulebook;

/// The time of day of a rung that counts from a day and names none.
const DEFAULT_AT: Time = Time::constant(9, 0, 0, 0);

/// One coming of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coming {
    pub occurrence: Occurrence,
    pub at: Timestamp,
}

/// The last coming at or before `now`, how many came before it, and the first one after `now`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Comings {
    pub last: Option<Coming>,
    pub earlier: u32,
    pub next: Option<Coming>,
}

/// The comings of `rung`, whose milestone is at `moment`, around `now`. None at all where the calendar ends.
pub fn comings(rules: &Rulebook, rung: &Rung, moment: Moment, now: Timestamp) -> Comings {
    let Some(first) = first_coming(rules, rung, moment) else {
        return Comings::default();
    };
    match rung.when {
        When::Once(_) => around(
            Coming {
                occurrence: Occurrence::Once,
                at: first.at,
            },
            now,
        ),
        When::Every {
            step: Step::Hours(hours),
            at_most,
            ..
        } => {
            let end = rung.when.ends_with_milestone().then(|| moment_end(rules, moment));
            every_hours(first.at, hours, at_most, end, now)
        }
        When::Every { step, at_most, .. } => {
            let end = rung.when.ends_with_milestone().then(|| moment.day(&rules.zone));
            every_day(rules, first, step, at_most, end, now)
        }
    }
}

struct First {
    day: Date,
    time: Time,
    at: Timestamp,
}

fn first_coming(rules: &Rulebook, rung: &Rung, moment: Moment) -> Option<First> {
    let point = rung.when.point();
    if let Some(at) = exact_instant(rules, point, moment, rung.at) {
        let local = rules.zone.to_datetime(at?);
        return Some(First {
            day: local.date(),
            time: local.time(),
            at: at?,
        });
    }
    let time = rung.at.unwrap_or_else(|| match moment {
        Moment::Day(_) => DEFAULT_AT,
        Moment::Instant(at) => rules.zone.to_datetime(at).time(),
    });
    let milestone_day = moment.day(&rules.zone);
    let day = off_day(rules, rung, move_by(rules, milestone_day, point)?, milestone_day);
    Some(First {
        day,
        time,
        at: instant(day, time, &rules.zone),
    })
}

/// Distances in hours and minutes, and an instant taken as it is, are exact. `None` when the rung counts in days.
#[expect(
    clippy::option_option,
    reason = "the outer says whether the question arises, the inner where the calendar ends"
)]
fn exact_instant(rules: &Rulebook, point: Point, moment: Moment, at: Option<Time>) -> Option<Option<Timestamp>> {
    let start = match moment {
        Moment::Instant(start) => start,
        Moment::Day(day) => instant(day, at.unwrap_or(DEFAULT_AT), &rules.zone),
    };
    let amount = i64::from(point.amount);
    match point.unit {
        StepUnit::Minutes => Some(start.checked_add(Span::new().minutes(amount)).ok()),
        StepUnit::Hours => Some(start.checked_add(Span::new().hours(amount)).ok()),
        _ if amount == 0 && at.is_none() && matches!(moment, Moment::Instant(_)) => Some(Some(start)),
        _ => None,
    }
}

fn move_by(rules: &Rulebook, day: Date, point: Point) -> Option<Date> {
    let amount = i64::from(point.amount);
    let span = match point.unit {
        StepUnit::Workdays if amount != 0 => return rules.calendar.add_workdays(day, amount).ok(),
        StepUnit::Weeks => Span::new().weeks(amount),
        StepUnit::Months => Span::new().months(amount),
        _ => Span::new().days(amount),
    };
    day.checked_add(span).ok()
}

/// Moves a rung off a rest day. No shift ever crosses the milestone it counts towards.
fn off_day(rules: &Rulebook, rung: &Rung, day: Date, milestone_day: Date) -> Date {
    let shifted = rules.calendar.shift(day, rung.off_day);
    let crosses = rung.when.point().amount <= 0 && day <= milestone_day && shifted > milestone_day;
    if crosses && rung.off_day == OffDay::Later {
        rules.calendar.shift(day, OffDay::Earlier)
    } else {
        shifted
    }
}

fn around(coming: Coming, now: Timestamp) -> Comings {
    if coming.at <= now {
        Comings {
            last: Some(coming),
            ..Comings::default()
        }
    } else {
        Comings {
            next: Some(coming),
            ..Comings::default()
        }
    }
}

fn moment_end(rules: &Rulebook, moment: Moment) -> Timestamp {
    match moment {
        Moment::Instant(at) => at,
        Moment::Day(day) => instant(day.tomorrow().unwrap_or(day), Time::midnight(), &rules.zone),
    }
}

fn every_hours(first: Timestamp, hours: u32, at_most: Option<u32>, end: Option<Timestamp>, now: Timestamp) -> Comings {
    let step_s = i64::from(hours.max(1)) * 3600;
    let count_limit = at_most.map_or(i64::MAX, i64::from);
    let end_limit = end.map_or(i64::MAX, |end| {
        (end.as_second() - first.as_second()).div_euclid(step_s) + 1
    });
    let limit = count_limit.min(end_limit);
    let passed = if now < first {
        0
    } else {
        ((now.as_second() - first.as_second()) / step_s + 1).min(limit)
    };
    let coming = |index: i64| {
        let seconds = index.checked_mul(step_s)?;
        let at = first.checked_add(Span::new().try_seconds(seconds).ok()?).ok()?;
        Some(Coming {
            occurrence: Occurrence::At(at),
            at,
        })
    };
    Comings {
        last: if passed > 0 { coming(passed - 1) } else { None },
        earlier: u32::try_from((passed - 1).max(0)).unwrap_or(u32::MAX),
        next: if passed < limit { coming(passed) } else { None },
    }
}

fn every_day(
    rules: &Rulebook,
    first: First,
    step: Step,
    at_most: Option<u32>,
    end: Option<Date>,
    now: Timestamp,
) -> Comings {
    let calendar = &rules.calendar;
    let workdays = step == Step::Workday;
    let first_day = if workdays {
        calendar.workday_on_or_after(first.day)
    } else {
        first.day
    };
    let nth_day = |n: u32| {
        let n = i64::from(n);
        if workdays && n > 0 {
            calendar.add_workdays(first_day, n).ok()
        } else {
            first_day.checked_add(Span::new().days(n)).ok()
        }
    };
    let last_by_count = at_most.and_then(|n| nth_day(n.saturating_sub(1)));
    let last_day = [last_by_count, end].into_iter().flatten().min();
    let at = |day: Date| instant(day, first.time, &rules.zone);
    let coming = |day: Date| Coming {
        occurrence: Occurrence::On(day),
        at: at(day),
    };
    let within = |day: Date| day >= first_day && last_day.is_none_or(|last| day <= last);

    let today = rules.zone.to_datetime(now).date();
    let on_or_before = |day: Date| {
        if workdays {
            calendar.workday_on_or_before(day)
        } else {
            day
        }
    };
    let candidate = on_or_before(last_day.map_or(today, |last| last.min(today)));
    let candidate = if at(candidate) <= now {
        Some(candidate)
    } else {
        candidate.yesterday().ok().map(on_or_before)
    };
    let last = candidate.filter(|day| within(*day));

    let following = match last {
        Some(day) if workdays => Some(calendar.next_workday(day)),
        Some(day) => day.tomorrow().ok(),
        None if first.at > now || at(first_day) > now => Some(first_day),
        None => None,
    };
    let earlier = last.map_or(0, |day| days_from(rules, first_day, day, workdays));
    Comings {
        last: last.map(coming),
        earlier,
        next: following.filter(|day| within(*day)).map(coming),
    }
}

fn days_from(rules: &Rulebook, first: Date, day: Date, workdays: bool) -> u32 {
    let days = if workdays {
        rules.calendar.workdays_between(first, day)
    } else {
        first.until(day).map_or(0, |span| i64::from(span.get_days()))
    };
    u32::try_from(days).unwrap_or(0)
}
