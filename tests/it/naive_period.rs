//! A second way to count periods, written from the rules as the halls state them and not from the code: it walks day by day and
//! quarter by quarter of an hour, and remembers which days it asked about. Thousands of random periods must come out the same.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::{Date, Time, date};
use xixin::domain::calendar::Certainty;
use xixin::domain::office::{Office, OfficeDays};
use xixin::domain::period::{Mode, MonthEnd, Period, PeriodRule, PeriodUnit};

use crate::support::published::DAYS;

/// The published days: whether each is a workday, whether that is settled, and whether it is a holiday.
static PUBLISHED: LazyLock<BTreeMap<Date, (bool, bool, bool)>> = LazyLock::new(|| {
    let row = |day: &crate::support::published::PublishedDay| {
        let is_holiday = day.is_listed() && !day.is_workday;
        (day.date, (day.is_workday, day.is_settled, is_holiday))
    };
    DAYS.iter().map(row).collect()
});

pub(crate) const FIRST: Date = date(1900, 1, 1);
const LAST: Date = date(2200, 12, 31);
const SLOT_MINUTES: i64 = 15;

/// No answer: it leaves the supported span, or the question makes no sense.
#[derive(Debug)]
pub(crate) struct NoAnswer;

/// A local time, in minutes since 0:00 of the first day. The zone of these tests is +08:00 all year.
pub(crate) type Minutes = i64;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) legal_end: String,
    pub(crate) last_safe_day: String,
    pub(crate) target_by: String,
    pub(crate) certainty: Certainty,
}

pub(crate) struct Naive<'a> {
    office: Option<&'a Office>,
    asked_unsettled: bool,
}

impl<'a> Naive<'a> {
    pub(crate) fn new(office: Option<&'a Office>) -> Self {
        Self {
            office,
            asked_unsettled: false,
        }
    }

    fn is_workday(&mut self, day: Date) -> bool {
        match PUBLISHED.get(&day) {
            Some((workday, settled, _)) => {
                self.asked_unsettled |= !settled;
                *workday
            }
            None => {
                self.asked_unsettled = true;
                day.weekday().to_monday_one_offset() <= 5
            }
        }
    }

    /// The opening hours of a day, in minutes of the day.
    fn opening(&mut self, day: Date) -> Vec<(i64, i64)> {
        let minutes = |time: Time| i64::from(time.hour()) * 60 + i64::from(time.minute());
        let Some(office) = self.office else {
            return if self.is_workday(day) {
                vec![(9 * 60, 17 * 60)]
            } else {
                Vec::new()
            };
        };
        let windows = if let Some(windows) = office.extra.get(&day) {
            windows.clone()
        } else if office.closures.iter().any(|(from, to)| *from <= day && day <= *to) {
            Vec::new()
        } else {
            match &office.days {
                OfficeDays::Weekly(week) => week[day.weekday().to_monday_zero_offset() as usize].clone(),
                OfficeDays::Workdays(windows) => {
                    if self.is_workday(day) {
                        windows.clone()
                    } else {
                        Vec::new()
                    }
                }
                OfficeDays::WorkdaysAndSaturday(windows, saturday) => {
                    let is_holiday = PUBLISHED.get(&day).is_some_and(|(_, _, holiday)| *holiday);
                    if self.is_workday(day) {
                        windows.clone()
                    } else if day.weekday().to_monday_one_offset() == 6 && !is_holiday {
                        saturday.clone()
                    } else {
                        Vec::new()
                    }
                }
            }
        };
        windows
            .iter()
            .map(|window| (minutes(window.from), minutes(window.to)))
            .collect()
    }

    fn can_be_done(&mut self, day: Date) -> bool {
        if self.office.is_some() {
            !self.opening(day).is_empty()
        } else {
            self.is_workday(day)
        }
    }

    fn last_on_which_it_can_be_done(&mut self, from: Date) -> Result<Date, NoAnswer> {
        let mut day = from;
        for _ in 0..800 {
            if self.can_be_done(day) {
                return Ok(day);
            }
            day = step(day, -1)?;
        }
        Err(NoAnswer)
    }

    fn workday_towards(&mut self, from: Date, way: i64) -> Result<Date, NoAnswer> {
        let mut day = from;
        while !self.is_workday(day) {
            day = step(day, way)?;
        }
        Ok(day)
    }

    /// The n-th workday after the start, or before it.
    fn nth_workday(&mut self, start: Date, n: i64, counts_start: bool) -> Result<Date, NoAnswer> {
        if n == 0 {
            return self.workday_towards(start, 1);
        }
        let mut day = start;
        let mut left = n.abs();
        if counts_start && self.is_workday(day) {
            left -= 1;
        }
        while left > 0 {
            day = step(day, n.signum())?;
            if self.is_workday(day) {
                left -= 1;
            }
        }
        Ok(day)
    }

    pub(crate) fn days(&mut self, start: Date, rule: &PeriodRule) -> Result<Answer, NoAnswer> {
        let n = rule.period.n;
        let (from, counts_start) = match rule.mode {
            Mode::RetentionNextYear => (in_span(date(start.year() + 1, 1, 1))?, true),
            _ => (start, rule.count_start_day),
        };
        let end = match (rule.mode, rule.period.unit) {
            (Mode::InsuranceMonths, PeriodUnit::Months) => month_end_after(from, n)?,
            (Mode::InsuranceMonths, PeriodUnit::Years) => month_end_after(from, n * 12)?,
            (Mode::InsuranceMonths, _) => return Err(NoAnswer),
            (_, PeriodUnit::Workdays) => self.nth_workday(from, n, counts_start)?,
            (Mode::Workdays, _) | (_, PeriodUnit::Hours | PeriodUnit::BusinessHours) => return Err(NoAnswer),
            (_, PeriodUnit::Days) => natural(from, n, counts_start)?,
            (_, PeriodUnit::Weeks) => natural(from, n * 7, counts_start)?,
            (_, PeriodUnit::Months) => in_span(months(from, n, counts_start, rule.month_end))?,
            (_, PeriodUnit::Years) => in_span(months(from, n * 12, counts_start, rule.month_end))?,
        };
        let legal_end = match rule.mode {
            Mode::Civil => self.workday_towards(end, if n < 0 { -1 } else { 1 })?,
            Mode::Promise => {
                let earlier = self.workday_towards(end, -1)?;
                if n >= 0 && earlier < start { start } else { earlier }
            }
            _ => end,
        };
        let mut last_safe_day = self.last_on_which_it_can_be_done(legal_end)?;
        if rule.mode == Mode::Promise && n >= 0 && last_safe_day < start {
            last_safe_day = start;
        }
        let mut target_by = match rule.margin {
            None | Some(Period { n: 0, .. }) => last_safe_day,
            Some(margin) => {
                let earlier = self.earlier_day(last_safe_day, margin)?;
                self.last_on_which_it_can_be_done(earlier)?
            }
        };
        if rule.mode == Mode::Civil && legal_end > end {
            target_by = target_by.min(self.last_on_which_it_can_be_done(end)?);
        }
        Ok(self.answer(
            &legal_end.to_string(),
            &last_safe_day.to_string(),
            &target_by.to_string(),
        ))
    }

    fn earlier_day(&mut self, day: Date, margin: Period) -> Result<Date, NoAnswer> {
        match margin.unit {
            PeriodUnit::Workdays => self.nth_workday(day, -margin.n, false),
            PeriodUnit::Days => natural(day, -margin.n, false),
            PeriodUnit::Weeks => natural(day, -margin.n * 7, false),
            PeriodUnit::Months => in_span(months(day, -margin.n, false, MonthEnd::Clamp)),
            PeriodUnit::Years => in_span(months(day, -margin.n * 12, false, MonthEnd::Clamp)),
            PeriodUnit::Hours | PeriodUnit::BusinessHours => Err(NoAnswer),
        }
    }

    pub(crate) fn hours(&mut self, start: Minutes, rule: &PeriodRule) -> Result<Answer, NoAnswer> {
        let Period { n, unit } = rule.period;
        let is_elapsed = rule.mode == Mode::Elapsed;
        let end = match unit {
            PeriodUnit::Hours if is_elapsed => start + n * 60,
            PeriodUnit::Days if is_elapsed => start + n * 24 * 60,
            PeriodUnit::Weeks if is_elapsed => start + n * 7 * 24 * 60,
            PeriodUnit::Hours | PeriodUnit::BusinessHours if !is_elapsed => self.open_minutes(start, n * 60)?,
            _ => return Err(NoAnswer),
        };
        let target = match rule.margin {
            None | Some(Period { n: 0, .. }) => end,
            Some(Period {
                n,
                unit: PeriodUnit::Hours,
            }) if is_elapsed => end - n * 60,
            Some(Period {
                n,
                unit: PeriodUnit::Days,
            }) if is_elapsed => end - n * 24 * 60,
            Some(Period {
                n,
                unit: PeriodUnit::Weeks,
            }) if is_elapsed => end - n * 7 * 24 * 60,
            Some(Period {
                n,
                unit: PeriodUnit::Hours | PeriodUnit::BusinessHours,
            }) => self.open_minutes(end, -n * 60)?,
            Some(margin) => {
                let (day, minute) = (day_of(end)?, end.rem_euclid(24 * 60));
                let earlier = minutes_of(self.earlier_day(day, margin)?) + minute;
                if is_elapsed {
                    earlier
                } else {
                    self.last_open_moment(earlier)?
                }
            }
        };
        let (end_text, target_text) = (written(end)?, written(target)?);
        Ok(self.answer(&end_text, &end_text, &target_text))
    }

    fn is_open_slot(&mut self, at: Minutes) -> Result<bool, NoAnswer> {
        let minute = at.rem_euclid(24 * 60);
        let day = day_of(at)?;
        Ok(self
            .opening(day)
            .iter()
            .any(|(from, to)| *from <= minute && minute < *to))
    }

    fn open_minutes(&mut self, start: Minutes, minutes: i64) -> Result<Minutes, NoAnswer> {
        let mut at = start;
        let mut left = minutes.abs();
        if minutes < 0 {
            while left > 0 {
                at -= SLOT_MINUTES;
                if self.is_open_slot(at)? {
                    left -= SLOT_MINUTES;
                }
            }
            return Ok(at);
        }
        loop {
            let is_open = self.is_open_slot(at)?;
            if is_open && left == 0 {
                return Ok(at);
            }
            at += SLOT_MINUTES;
            if is_open {
                left -= SLOT_MINUTES;
                if left == 0 {
                    return Ok(at);
                }
            }
        }
    }

    fn last_open_moment(&mut self, at: Minutes) -> Result<Minutes, NoAnswer> {
        let mut at = at;
        while !self.is_open_slot(at - SLOT_MINUTES)? {
            at -= SLOT_MINUTES;
        }
        Ok(at)
    }

    fn answer(&self, legal_end: &str, last_safe_day: &str, target_by: &str) -> Answer {
        Answer {
            legal_end: legal_end.to_owned(),
            last_safe_day: last_safe_day.to_owned(),
            target_by: target_by.to_owned(),
            certainty: if self.asked_unsettled {
                Certainty::Provisional
            } else {
                Certainty::Final
            },
        }
    }
}

fn in_span(day: Date) -> Result<Date, NoAnswer> {
    if FIRST <= day && day <= LAST {
        Ok(day)
    } else {
        Err(NoAnswer)
    }
}

fn step(day: Date, way: i64) -> Result<Date, NoAnswer> {
    let next = if way < 0 { day.yesterday() } else { day.tomorrow() };
    in_span(next.map_err(|_| NoAnswer)?)
}

fn natural(start: Date, n: i64, counts_start: bool) -> Result<Date, NoAnswer> {
    let mut day = start;
    let mut left = n.abs();
    if counts_start && left > 0 {
        left -= 1;
    }
    for _ in 0..left {
        day = step(day, n.signum())?;
    }
    Ok(day)
}

fn length_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn ymd(year: i64, month: i64, day: i64) -> Date {
    date(
        i16::try_from(year).unwrap(),
        i8::try_from(month).unwrap(),
        i8::try_from(day).unwrap(),
    )
}

/// Month by month on the calendar sheet. With the first day counted it ends one day nearer to the start than the corresponding
/// day; a corresponding day that does not exist lies between the month's last day and the next month's first.
fn months(start: Date, n: i64, counts_start: bool, policy: MonthEnd) -> Date {
    let (mut year, mut month) = (i64::from(start.year()), i64::from(start.month()));
    for _ in 0..n.abs() {
        month += n.signum();
        if month == 13 {
            (year, month) = (year + 1, 1);
        } else if month == 0 {
            (year, month) = (year - 1, 12);
        }
    }
    let length = length_of_month(year, month);
    let next_month = ymd(year, month, length).tomorrow().unwrap();
    let wanted = i64::from(start.day());
    let exists = wanted <= length;
    let shortens = counts_start && n != 0;
    match (exists, policy, shortens) {
        (true, _, false) => ymd(year, month, wanted),
        (true, _, true) if n > 0 => ymd(year, month, wanted).yesterday().unwrap(),
        (true, _, true) => ymd(year, month, wanted).tomorrow().unwrap(),
        (false, MonthEnd::Clamp, false) => ymd(year, month, length),
        (false, MonthEnd::Clamp, true) if n > 0 => ymd(year, month, length),
        (false, MonthEnd::Clamp, true) => next_month,
        (false, MonthEnd::NextDay, false) => next_month,
        (false, MonthEnd::NextDay, true) if n > 0 => next_month.yesterday().unwrap(),
        (false, MonthEnd::NextDay, true) => next_month.tomorrow().unwrap(),
    }
}

fn month_end_after(paid: Date, n: i64) -> Result<Date, NoAnswer> {
    let month = months(date(paid.year(), paid.month(), 1), n, false, MonthEnd::Clamp);
    let (year, month) = (i64::from(month.year()), i64::from(month.month()));
    in_span(ymd(year, month, length_of_month(year, month)))
}

pub(crate) fn minutes_of(day: Date) -> Minutes {
    i64::from(FIRST.until(day).unwrap().get_days()) * 24 * 60
}

fn day_of(at: Minutes) -> Result<Date, NoAnswer> {
    let days = jiff::Span::new().days(at.div_euclid(24 * 60));
    in_span(FIRST.checked_add(days).map_err(|_| NoAnswer)?)
}

fn written(at: Minutes) -> Result<String, NoAnswer> {
    // A period may end at 24:00 of the last day, not at 0:00 of the first: that is the day before.
    day_of(at - 1)?;
    let days = jiff::Span::new().days(at.div_euclid(24 * 60));
    let day = FIRST.checked_add(days).map_err(|_| NoAnswer)?;
    let minute = at.rem_euclid(24 * 60);
    Ok(format!("{day}T{:02}:{:02}", minute / 60, minute % 60))
}
