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
        When::Once(_) => once(first.at, now),
        When::Every {
            step: Step::Hours(hours),
            at_most,
            ..
        } => {
            let end = rung.when.ends_with_milestone().then(|| ends_at(rules, rung, moment));
            every_hours(first.at, hours, at_most, end, now)
        }
        When::Every { step, at_most, .. } => {
            every_day(rules, rung, moment, &first, step == Step::Workday, at_most, now)
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

struct First {
    day: Date,
    time: Time,
    at: Timestamp,
}

fn first_coming(rules: &Rulebook, rung: &Rung, moment: Moment) -> Option<First> {
    let point = rung.when.point();
    if is_exact(rung, moment) {
        let at = exact(rules, rung, moment)?;
        let local = rules.zone.to_datetime(at);
        let (day, time) = (local.date(), local.time());
        return Some(First { day, time, at });
    }
    let time = rung.at.unwrap_or_else(|| match moment {
        Moment::Day(_) => DEFAULT_AT,
        Moment::Instant(at) => rules.zone.to_datetime(at).time(),
    });
    let day = move_by(rules, moment.day(&rules.zone), point)?;
    let day = settled(rules, rung, moment, day, time)?;
    Some(First {
        day,
        time,
        at: instant(day, time, &rules.zone),
    })
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
    let span = match point.unit {
        StepUnit::Workdays if amount != 0 => return rules.calendar.add_workdays(day, amount).ok(),
        StepUnit::Weeks => Span::new().weeks(amount),
        StepUnit::Months => Span::new().months(amount),
        _ => Span::new().days(amount),
    };
    day.checked_add(span).ok()
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

fn every_day(
    rules: &Rulebook,
    rung: &Rung,
    moment: Moment,
    first: &First,
    workdays: bool,
    at_most: Option<u32>,
    now: Timestamp,
) -> Comings {
    let calendar = &rules.calendar;
    let at = |day: Date| instant(day, first.time, &rules.zone);
    let aim = is_towards(rung.when.point()).then(|| last_day(rules, rung, moment, first.time));
    let end = aim.filter(|_| rung.when.ends_with_milestone());
    let first_day = match aim {
        _ if !workdays => first.day,
        // The days before the milestone hold no workday any more: the last one before them has to do.
        Some(aim) if calendar.workday_on_or_after(first.day) > aim => calendar.workday_on_or_before(first.day),
        _ => calendar.workday_on_or_after(first.day),
    };
    let nth_day = |n: u32| match i64::from(n) {
        n if workdays && n > 0 => calendar.add_workdays(first_day, n).ok(),
        n => first_day.checked_add(Span::new().days(n)).ok(),
    };
    let last_by_count = at_most.and_then(|n| nth_day(n.saturating_sub(1)));
    let last_day = [last_by_count, end].into_iter().flatten().min();
    let within = |day: Date| day >= first_day && last_day.is_none_or(|last| day <= last);
    let on_or_before = |day: Date| {
        if workdays {
            calendar.workday_on_or_before(day)
        } else {
            day
        }
    };

    let today = rules.zone.to_datetime(now).date();
    let latest = on_or_before(last_day.map_or(today, |last| last.min(today)));
    let latest = if at(latest) <= now {
        Some(latest)
    } else {
        latest.yesterday().ok().map(on_or_before)
    };
    let last = latest.filter(|day| within(*day));
    let following = match last {
        Some(day) if workdays => Some(calendar.next_workday(day)),
        Some(day) => day.tomorrow().ok(),
        None => Some(first_day),
    };
    let coming = |day: Date| Coming {
        occurrence: Occurrence::On(day),
        at: at(day),
    };
    Comings {
        last: last.map(coming),
        // At the end of the calendar the next workday is the day itself.
        next: following
            .filter(|day| within(*day))
            .map(coming)
            .filter(|next| next.at > now),
    }
}

/// The last day on which a rung at `time` still comes before its milestone.
fn last_day(rules: &Rulebook, rung: &Rung, moment: Moment, time: Time) -> Date {
    let day = moment.day(&rules.zone);
    let too_late = instant(day, time, &rules.zone) >= ends_at(rules, rung, moment);
    if too_late { day.yesterday().unwrap_or(day) } else { day }
}
