//! The modes that end at an instant: hours on the clock, and hours inside opening windows.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Span, Timestamp};

use crate::domain::calendar::{FIRST_DAY, LAST_DAY};
use crate::domain::milestone::instant;
use crate::domain::office::{SEARCH_DAYS, Window};
use crate::domain::period::count::{Count, shown_time};
use crate::domain::period::{Counted, Mode, Period, PeriodError, PeriodUnit, Start};
use crate::domain::text::Said;

impl<'a> Count<'a> {
    /// Hours on the clock, through nights, holidays and changes to daylight-saving time; a day is 24 of them.
    pub(super) fn elapsed(&mut self, start: &Start, day: Date) -> Result<Counted, PeriodError> {
        let Some(hours) = clock_hours(self.rule.period) else {
            return Err(self.wrong_unit("h, d, w"));
        };
        let end_at = add_hours(self.starts_at(start, day), hours)?;
        let end = self.counting.zone.to_datetime(end_at);
        self.tell(|| {
            let (length, end) = (in_hours(hours).words(), shown_time(end));
            Said::new(
                format!("连续计{},夜间和节假日照算: {end}", length.zh),
                format!("{}, running through nights and holidays: {end}", length.en),
            )
        });
        if self.counting.office.is_some() {
            self.tell(|| Said::new("与单位办公时间无关", "the office's opening hours do not matter"));
        }
        self.conclude_hours(end_at)
    }

    /// Hours inside the windows of the office, or of the hall on workdays.
    pub(super) fn business_hours(&mut self, start: &Start, day: Date) -> Result<Counted, PeriodError> {
        let Period { n, unit } = self.rule.period;
        if !matches!(unit, PeriodUnit::BusinessHours | PeriodUnit::Hours) {
            return Err(self.wrong_unit("bh, h"));
        }
        let from = self.starts_at(start, day);
        let end_at = if n < 0 {
            self.walk_back(from, n.saturating_neg())?
        } else {
            self.walk_on(from, n)?
        };
        let end = self.counting.zone.to_datetime(end_at);
        let office = self.counting.office;
        let hall = self.counting.business_hours;
        self.tell(|| {
            let (length, end) = (in_hours(n).words(), shown_time(end));
            let (of_zh, of_en) = match office {
                Some(office) => (format!("{}的办公时间", office.name), office.name_en.clone()),
                None => (format!("工作日 {hall} "), format!("workdays {hall}")),
            };
            Said::new(
                format!("只计{of_zh}内的{}: {end}", length.zh),
                format!("{} while it is open ({of_en}): {end}", length.en),
            )
        });
        self.conclude_hours(end_at)
    }

    pub(super) fn conclude_hours(&mut self, end_at: Timestamp) -> Result<Counted, PeriodError> {
        let legal_end = self.last_day(end_at)?;
        let target_at = self.target_at(end_at)?;
        Ok(Counted {
            legal_end,
            end_at,
            last_safe_day: legal_end,
            target_by: self.last_day(target_at)?,
            target_at,
            certainty: self.certainty,
        })
    }

    /// The end less the margin. Hours and days are taken off as the mode counts them; workdays, months and years, and for business
    /// hours also days, go back on the calendar and keep the time of day.
    fn target_at(&mut self, end_at: Timestamp) -> Result<Timestamp, PeriodError> {
        let Some(margin) = self.rule.margin.filter(|margin| margin.n != 0) else {
            return Ok(end_at);
        };
        if margin.n < 0 {
            return Err(PeriodError::Margin);
        }
        let is_elapsed = self.rule.mode == Mode::Elapsed;
        let target_at = match (margin.unit, clock_hours(margin)) {
            (_, Some(hours)) if is_elapsed => add_hours(end_at, hours.saturating_neg())?,
            (PeriodUnit::BusinessHours | PeriodUnit::Hours, _) => self.walk_back(end_at, margin.n)?,
            _ => {
                let end = self.counting.zone.to_datetime(end_at);
                let day = self.day_before(end.date(), margin)?;
                let earlier = instant(day, end.time(), self.counting.zone);
                if is_elapsed {
                    earlier
                } else {
                    self.walk_back(earlier, 0)?
                }
            }
        };
        let target = self.counting.zone.to_datetime(target_at);
        self.tell(|| {
            let (words, target) = (margin.words(), shown_time(target));
            Said::new(
                format!("预留{}: 目标时间 {target}", words.zh),
                format!("a margin of {}: target by {target}", words.en),
            )
        });
        Ok(target_at)
    }

    /// The day of the last moment before `at`.
    fn last_day(&self, at: Timestamp) -> Result<Date, PeriodError> {
        let last = at
            .checked_sub(SignedDuration::from_nanos(1))
            .map_err(|_| PeriodError::OutOfRange)?;
        let day = self.counting.zone.to_datetime(last).date();
        if (FIRST_DAY..=LAST_DAY).contains(&day) {
            Ok(day)
        } else {
            Err(PeriodError::OutOfRange)
        }
    }

    fn starts_at(&self, start: &Start, day: Date) -> Timestamp {
        match start {
            Start::Instant(at) => *at,
            Start::Local(local) => instant(local.date(), local.time(), self.counting.zone),
            Start::Day(_) | Start::Month { .. } => instant(day, Time::midnight(), self.counting.zone),
        }
    }

    /// The moment the last open hour is over. No hours at all end when the office is next open.
    fn walk_on(&mut self, from: Timestamp, hours: i64) -> Result<Timestamp, PeriodError> {
        let mut left = SignedDuration::try_from_hours(hours).ok_or(PeriodError::OutOfRange)?;
        let mut day = self.counting.zone.to_datetime(from).date();
        let mut closed_days = 0;
        while closed_days < SEARCH_DAYS {
            for window in self.windows(day)? {
                let (open, close) = self.span_of(day, *window);
                let open = open.max(from);
                let room = close.duration_since(open);
                if room > SignedDuration::ZERO {
                    if left <= room {
                        return open.checked_add(left).map_err(|_| PeriodError::OutOfRange);
                    }
                    left -= room;
                    closed_days = 0;
                }
            }
            closed_days += 1;
            day = day.tomorrow().map_err(|_| PeriodError::OutOfRange)?;
        }
        Err(PeriodError::NeverOpen)
    }

    /// The moment from which so many open hours lead to `from`. No hours at all: the last moment it was open.
    fn walk_back(&mut self, from: Timestamp, hours: i64) -> Result<Timestamp, PeriodError> {
        let mut left = SignedDuration::try_from_hours(hours).ok_or(PeriodError::OutOfRange)?;
        let mut day = self.last_day(from)?;
        let mut closed_days = 0;
        while closed_days < SEARCH_DAYS {
            for window in self.windows(day)?.iter().rev() {
                let (open, close) = self.span_of(day, *window);
                let close = close.min(from);
                let room = close.duration_since(open);
                if room > SignedDuration::ZERO {
                    if left <= room {
                        return close.checked_sub(left).map_err(|_| PeriodError::OutOfRange);
                    }
                    left -= room;
                    closed_days = 0;
                }
            }
            closed_days += 1;
            day = day.yesterday().map_err(|_| PeriodError::OutOfRange)?;
        }
        Err(PeriodError::NeverOpen)
    }

    fn span_of(&self, day: Date, window: Window) -> (Timestamp, Timestamp) {
        let zone = self.counting.zone;
        (instant(day, window.from, zone), instant(day, window.to, zone))
    }

    fn windows(&mut self, day: Date) -> Result<&'a [Window], PeriodError> {
        if !(FIRST_DAY..=LAST_DAY).contains(&day) {
            return Err(PeriodError::OutOfRange);
        }
        let counting = self.counting;
        match counting.office {
            Some(office) => {
                self.look_at_office(office, day);
                Ok(office.windows(counting.calendar, day))
            }
            None => {
                self.look_at(day, day);
                if counting.calendar.is_workday(day) {
                    Ok(std::slice::from_ref(&counting.business_hours))
                } else {
                    Ok(&[])
                }
            }
        }
    }
}

/// Hours that run on the clock; `None` for units that need a calendar.
fn clock_hours(period: Period) -> Option<i64> {
    match period.unit {
        PeriodUnit::Hours => Some(period.n),
        PeriodUnit::Days => Some(period.n.saturating_mul(24)),
        PeriodUnit::Weeks => Some(period.n.saturating_mul(24 * 7)),
        _ => None,
    }
}

fn in_hours(n: i64) -> Period {
    Period {
        n,
        unit: PeriodUnit::Hours,
    }
}

fn add_hours(at: Timestamp, hours: i64) -> Result<Timestamp, PeriodError> {
    let span = Span::new().try_hours(hours).map_err(|_| PeriodError::OutOfRange)?;
    at.checked_add(span).map_err(|_| PeriodError::OutOfRange)
}
