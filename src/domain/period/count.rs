//! Counts a period. The words come from the very steps that yield the dates, so they cannot disagree.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::domain::calendar::{Calendar, Certainty, FIRST_DAY, LAST_DAY, add_days};
use crate::domain::milestone::instant;
use crate::domain::office::{Office, Window};
use crate::domain::period::{BUSINESS_HOURS, Mode, MonthEnd, Period, PeriodError, PeriodRule, PeriodUnit, Start};
use crate::domain::text::Said;

/// By what a period is counted.
#[derive(Debug, Clone, Copy)]
pub struct Counting<'a> {
    pub calendar: &'a Calendar,
    pub zone: &'a TimeZone,
    /// Whose opening days decide the last safe day; `None` goes by workdays.
    pub office: Option<&'a Office>,
}

/// The dates of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The last day of the period in law, rolled where the mode rolls.
    pub legal_end: Date,
    /// The instant the period is over (exclusive): 24:00 of its last day, or when the office stops business (民法典 203); in hours
    /// modes the instant itself.
    pub end_at: Timestamp,
    /// The last day on or before the end on which it can really be done.
    pub last_safe_day: Date,
    /// The last safe day less the margin; for civil periods also no later than the workday before an end that rolled.
    pub target_by: Date,
    /// Provisional when a day it depends on is not settled by any calendar.
    pub certainty: Certainty,
}

/// Counts; takes no memory.
pub fn count(start: &Start, rule: &PeriodRule, counting: &Counting<'_>) -> Result<Counted, PeriodError> {
    run(start, rule, counting, &mut |_| {})
}

/// Counts and tells each step.
pub fn explain(start: &Start, rule: &PeriodRule, counting: &Counting<'_>) -> Result<(Counted, Vec<Said>), PeriodError> {
    let mut steps = Vec::new();
    let counted = run(start, rule, counting, &mut |said| steps.push(said()))?;
    Ok((counted, steps))
}

/// The dates of a period whose end was fixed by somebody: nothing is counted, the roll and the margin apply.
pub fn ending_on(end: Date, rule: &PeriodRule, counting: &Counting<'_>) -> Result<Counted, PeriodError> {
    finish(end, end, end, rule, counting, &mut |_| {})
}

/// Hears the steps; the words are made only for those who listen.
type Listener<'a> = dyn FnMut(&dyn Fn() -> Said) + 'a;

fn run(
    start: &Start,
    rule: &PeriodRule,
    counting: &Counting<'_>,
    tell: &mut Listener<'_>,
) -> Result<Counted, PeriodError> {
    let day = start
        .day(counting.zone)
        .filter(|day| (FIRST_DAY..=LAST_DAY).contains(day))
        .ok_or(PeriodError::OutOfRange)?;
    if let Start::Instant(at) = start {
        let local = counting.zone.to_datetime(*at);
        tell(&|| Said::new(format!("当地时间 {local}"), format!("local time {local}")));
    }
    match rule.mode {
        Mode::Elapsed => elapsed(start, day, rule, counting, tell),
        Mode::BusinessHours => business_hours(start, day, rule, counting, tell),
        Mode::InsuranceMonths => insurance_months(day, rule, counting, tell),
        Mode::RetentionNextYear => {
            let first = Date::new(day.year() + 1, 1, 1).map_err(|_| PeriodError::OutOfRange)?;
            tell(&|| {
                Said::new(
                    format!("自下一年1月1日起算: {first}(当日计入)"),
                    format!("from 1 January of the next year: {first}, that day counted"),
                )
            });
            let end = add(first, rule.period, true, rule, counting, tell)?;
            finish(day, end, end, rule, counting, tell)
        }
        Mode::Workdays if !matches!(rule.period.unit, PeriodUnit::Workdays) => Err(PeriodError::Unit {
            unit: rule.period.unit,
            mode: rule.mode,
            allowed: "wd",
        }),
        Mode::Civil | Mode::Retention | Mode::Workdays | Mode::Promise => {
            let end = add(day, rule.period, rule.count_start_day, rule, counting, tell)?;
            let rolled = roll(end, rule, counting.calendar, tell);
            finish(day, end, rolled, rule, counting, tell)
        }
    }
}

/// Adds to the original start. Without `inclusive` the first day is not counted (民法典 201).
fn add(
    start: Date,
    period: Period,
    inclusive: bool,
    rule: &PeriodRule,
    counting: &Counting<'_>,
    tell: &mut Listener<'_>,
) -> Result<Date, PeriodError> {
    let (n, unit) = (period.n, period.unit);
    let back = if n < 0 { -1 } else { 1 };
    let end = match unit {
        PeriodUnit::Years | PeriodUnit::Months => {
            let months = if unit == PeriodUnit::Years { n * 12 } else { n };
            let (end, clamped) = add_months(start, months, rule.month_end)?;
            if clamped {
                tell(&|| {
                    Said::new(
                        format!("那个月没有{}日,取 {end}", start.day()),
                        format!("that month has no day {}: {end}", start.day()),
                    )
                });
            }
            // A counted first day ends the day before the corresponding one; a month's end that was clamped is that day already.
            if inclusive && !clamped && n != 0 {
                add_days(end, -back)?
            } else {
                end
            }
        }
        PeriodUnit::Days | PeriodUnit::Weeks => {
            let days = if unit == PeriodUnit::Weeks { n * 7 } else { n };
            let counted_first = if inclusive && days != 0 { back } else { 0 };
            add_days(start, days - counted_first)?
        }
        PeriodUnit::Workdays => {
            let from = if inclusive && n != 0 {
                add_days(start, -back)?
            } else {
                start
            };
            counting.calendar.add_workdays(from, n)?
        }
        PeriodUnit::Hours | PeriodUnit::BusinessHours => {
            return Err(PeriodError::Unit {
                unit,
                mode: rule.mode,
                allowed: "y, m, w, d, wd",
            });
        }
    };
    let first = if inclusive {
        ("首日计入", "the first day counted")
    } else {
        ("首日不计", "the first day not counted")
    };
    tell(&|| {
        Said::new(
            format!("{start} 加 {n}{}({}): {end}", unit.name_zh(), first.0),
            format!("{start} plus {n} {}, {}: {end}", unit.name(), first.1),
        )
    });
    Ok(end)
}

/// The corresponding day, and whether the month had none.
fn add_months(start: Date, months: i64, policy: MonthEnd) -> Result<(Date, bool), PeriodError> {
    let span = Span::new().try_months(months).map_err(|_| PeriodError::OutOfRange)?;
    let end = start.checked_add(span).map_err(|_| PeriodError::OutOfRange)?;
    if !(FIRST_DAY..=LAST_DAY).contains(&end) {
        return Err(PeriodError::OutOfRange);
    }
    let clamped = end.day() != start.day();
    let end = if clamped && policy == MonthEnd::NextDay {
        add_days(end, 1)?
    } else {
        end
    };
    Ok((end, clamped))
}

/// One direction, by mode. Counted backwards, every period rolls earlier: a shift never eats into the time that is left.
fn roll(end: Date, rule: &PeriodRule, calendar: &Calendar, tell: &mut Listener<'_>) -> Date {
    let rolled = match rule.mode {
        Mode::Civil if rule.period.n >= 0 => calendar.workday_on_or_after(end),
        Mode::Civil | Mode::Promise => calendar.workday_on_or_before(end),
        _ => end,
    };
    if rolled != end {
        let name = calendar.name_of(end).unwrap_or("休息日").to_owned();
        let (zh, en) = if rolled > end {
            ("顺延至", "rolls forward to")
        } else {
            ("提前至", "moves earlier to")
        };
        tell(&|| {
            Said::new(
                format!("{end} 是{name},{zh} {rolled}"),
                format!("{end} is a rest day: {en} {rolled}"),
            )
        });
    }
    rolled
}

/// From the end in law to the days that matter.
fn finish(
    start: Date,
    raw: Date,
    legal_end: Date,
    rule: &PeriodRule,
    counting: &Counting<'_>,
    tell: &mut Listener<'_>,
) -> Result<Counted, PeriodError> {
    let calendar = counting.calendar;
    let last_safe_day = match counting.office {
        Some(office) => office
            .last_open_on_or_before(calendar, legal_end)
            .ok_or(PeriodError::NeverOpen)?,
        None => calendar.workday_on_or_before(legal_end),
    };
    if last_safe_day != legal_end {
        let who = counting.office.map_or("", |office| office.name.as_str());
        tell(&|| {
            Said::new(
                format!("{legal_end} {who}不办公,最晚可办日是 {last_safe_day}"),
                format!("{who} is closed on {legal_end}; the last safe day is {last_safe_day}"),
            )
        });
    }
    let mut target_by = last_safe_day;
    if rule.mode == Mode::Civil && raw < legal_end {
        // The roll is the law's; the reminder is for the workday before.
        target_by = target_by.min(calendar.workday_on_or_before(raw));
    }
    if let Some(margin) = rule.margin {
        target_by = before(target_by, margin, calendar)?;
        tell(&|| {
            Said::new(
                format!("预留 {margin}: 目标日 {target_by}"),
                format!("margin {margin}: target by {target_by}"),
            )
        });
    }
    let from = match rule.period.unit {
        // Every day on the way was counted.
        PeriodUnit::Workdays | PeriodUnit::BusinessHours => start.min(raw),
        _ => raw,
    };
    let lowest = from.min(last_safe_day).min(target_by);
    let certainty = calendar.certainty_between(lowest, raw.max(legal_end).max(from));
    if certainty == Certainty::Provisional {
        tell(&|| {
            Said::new(
                "其中有的日历尚未公布: 暂定",
                "part of it lies in a calendar that is not published: provisional",
            )
        });
    }
    let closing = counting
        .office
        .filter(|_| last_safe_day == legal_end)
        .and_then(|office| office.closes_at(calendar, legal_end));
    let end_at = match closing {
        Some(closing) => instant(legal_end, closing, counting.zone),
        None => instant(
            legal_end.tomorrow().map_err(|_| PeriodError::OutOfRange)?,
            Time::midnight(),
            counting.zone,
        ),
    };
    Ok(Counted {
        legal_end,
        end_at,
        last_safe_day,
        target_by,
        certainty,
    })
}

/// A margin earlier; one that lands on a rest day goes to the workday before.
fn before(day: Date, margin: Period, calendar: &Calendar) -> Result<Date, PeriodError> {
    let n = margin.n.abs();
    let earlier = match margin.unit {
        PeriodUnit::Workdays if n == 0 => day,
        PeriodUnit::Workdays => calendar.add_workdays(day, -n)?,
        PeriodUnit::Days => add_days(day, -n)?,
        PeriodUnit::Weeks => add_days(day, -n * 7)?,
        PeriodUnit::Months => add_months(day, -n, MonthEnd::Clamp)?.0,
        PeriodUnit::Years => add_months(day, -n * 12, MonthEnd::Clamp)?.0,
        PeriodUnit::Hours | PeriodUnit::BusinessHours => return Err(PeriodError::Margin),
    };
    Ok(calendar.workday_on_or_before(earlier))
}

/// Calendar months after the last paid one, to the month's end; the earlier of two cut-offs is used.
fn insurance_months(
    day: Date,
    rule: &PeriodRule,
    counting: &Counting<'_>,
    tell: &mut Listener<'_>,
) -> Result<Counted, PeriodError> {
    let months = match rule.period.unit {
        PeriodUnit::Months => rule.period.n,
        PeriodUnit::Years => rule.period.n * 12,
        unit => {
            return Err(PeriodError::Unit {
                unit,
                mode: rule.mode,
                allowed: "m, y",
            });
        }
    };
    let (month, _) = add_months(day.first_of_month(), months, MonthEnd::Clamp)?;
    let end = month.last_of_month();
    tell(&|| {
        Said::new(
            format!("{}之后第{months}个自然月,到月底: {end}", day.strftime("%Y-%m")),
            format!(
                "{months} calendar months after {}, to the end of the month: {end}",
                day.strftime("%Y-%m")
            ),
        )
    });
    finish(day, end, end, rule, counting, tell)
}

/// Hours on the clock, through nights and holidays; a day is 24 of them.
fn elapsed(
    start: &Start,
    day: Date,
    rule: &PeriodRule,
    counting: &Counting<'_>,
    tell: &mut Listener<'_>,
) -> Result<Counted, PeriodError> {
    let hours = match rule.period.unit {
        PeriodUnit::Hours => rule.period.n,
        PeriodUnit::Days => rule.period.n * 24,
        PeriodUnit::Weeks => rule.period.n * 24 * 7,
        unit => {
            return Err(PeriodError::Unit {
                unit,
                mode: rule.mode,
                allowed: "h, d, w",
            });
        }
    };
    let from = starts_at(start, day, counting.zone);
    let end_at = from
        .checked_add(SignedDuration::from_hours(hours))
        .map_err(|_| PeriodError::OutOfRange)?;
    let end = counting.zone.to_datetime(end_at);
    tell(&|| {
        Said::new(
            format!("连续计{hours}小时(节假日照算): {end}"),
            format!("{hours} hours run through holidays: {end}"),
        )
    });
    in_hours(end_at, end, Certainty::Final, rule, counting)
}

/// Hours inside the windows of the office, or of the hall on workdays.
fn business_hours(
    start: &Start,
    day: Date,
    rule: &PeriodRule,
    counting: &Counting<'_>,
    tell: &mut Listener<'_>,
) -> Result<Counted, PeriodError> {
    if !matches!(rule.period.unit, PeriodUnit::BusinessHours | PeriodUnit::Hours) {
        return Err(PeriodError::Unit {
            unit: rule.period.unit,
            mode: rule.mode,
            allowed: "bh, h",
        });
    }
    let from = starts_at(start, day, counting.zone);
    let local = counting.zone.to_datetime(from);
    let end = if rule.period.n >= 0 {
        walk_forward(local, rule.period.n * 3600, counting)?
    } else {
        walk_back(local, -rule.period.n * 3600, counting)?
    };
    let end_at = instant(end.date(), end.time(), counting.zone);
    tell(&|| {
        Said::new(
            format!("只计营业时间{}小时: {end}", rule.period.n),
            format!("{} hours inside opening hours only: {end}", rule.period.n),
        )
    });
    let (low, high) = (day.min(end.date()), day.max(end.date()));
    in_hours(
        end_at,
        end,
        counting.calendar.certainty_between(low, high),
        rule,
        counting,
    )
}

fn starts_at(start: &Start, day: Date, zone: &TimeZone) -> Timestamp {
    match start {
        Start::Instant(at) => *at,
        Start::Local(local) => instant(local.date(), local.time(), zone),
        Start::Day(_) | Start::Month { .. } => instant(day, Time::midnight(), zone),
    }
}

fn in_hours(
    end_at: Timestamp,
    end: DateTime,
    certainty: Certainty,
    rule: &PeriodRule,
    counting: &Counting<'_>,
) -> Result<Counted, PeriodError> {
    let legal_end = end.date();
    if !(FIRST_DAY..LAST_DAY).contains(&legal_end) {
        return Err(PeriodError::OutOfRange);
    }
    let target_by = match rule.margin {
        Some(margin) => before(legal_end, margin, counting.calendar)?,
        None => legal_end,
    };
    Ok(Counted {
        legal_end,
        end_at,
        last_safe_day: legal_end,
        target_by,
        certainty,
    })
}

const HALL: [Window; 1] = [Window {
    from: BUSINESS_HOURS.0,
    to: BUSINESS_HOURS.1,
}];
/// A walk longer than this has left everything a service promises.
const WALK_DAYS: usize = 40_000;

fn windows<'a>(counting: &Counting<'a>, day: Date) -> &'a [Window] {
    match counting.office {
        Some(office) => office.windows(counting.calendar, day),
        None if counting.calendar.is_workday(day) => &HALL,
        None => &[],
    }
}

fn walk_forward(start: DateTime, mut left_s: i64, counting: &Counting<'_>) -> Result<DateTime, PeriodError> {
    let mut day = start.date();
    for _ in 0..WALK_DAYS {
        for window in windows(counting, day) {
            let from = if day == start.date() {
                window.from.max(start.time())
            } else {
                window.from
            };
            let open_s = seconds_between(from, window.to);
            // An end is the moment the last hour is over; no hours at all end when the window opens.
            if open_s > 0 && left_s <= open_s {
                return Ok(day.to_datetime(from.saturating_add(SignedDuration::from_secs(left_s))));
            }
            left_s -= open_s.max(0);
        }
        day = day.tomorrow().map_err(|_| PeriodError::OutOfRange)?;
        if day > LAST_DAY {
            return Err(PeriodError::OutOfRange);
        }
    }
    Err(PeriodError::NeverOpen)
}

fn walk_back(start: DateTime, mut left_s: i64, counting: &Counting<'_>) -> Result<DateTime, PeriodError> {
    let mut day = start.date();
    for _ in 0..WALK_DAYS {
        for window in windows(counting, day).iter().rev() {
            let to = if day == start.date() {
                window.to.min(start.time())
            } else {
                window.to
            };
            let open_s = seconds_between(window.from, to);
            if open_s > 0 && left_s <= open_s {
                return Ok(day.to_datetime(to.saturating_sub(SignedDuration::from_secs(left_s))));
            }
            left_s -= open_s.max(0);
        }
        day = day.yesterday().map_err(|_| PeriodError::OutOfRange)?;
        if day < FIRST_DAY {
            return Err(PeriodError::OutOfRange);
        }
    }
    Err(PeriodError::NeverOpen)
}

fn seconds_between(from: Time, to: Time) -> i64 {
    to.duration_since(from).as_secs()
}
