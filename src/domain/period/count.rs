//! Counts a period. Each step that yields a date also yields its words and says which days it looked at, so neither the derivation
//! nor the certainty can disagree with the dates.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::domain::calendar::{Calendar, Certainty, FIRST_DAY, LAST_DAY};
use crate::domain::milestone::instant;
use crate::domain::office::{Office, Window};
use crate::domain::period::{Mode, PeriodError, PeriodRule, Start};
use crate::domain::text::{Said, weekday_words};

/// By what a period is counted.
#[derive(Debug, Clone, Copy)]
pub struct Counting<'a> {
    pub calendar: &'a Calendar,
    pub zone: &'a TimeZone,
    /// Whose opening days decide the last safe day; `None` goes by workdays.
    pub office: Option<&'a Office>,
    /// The hours of a workday for business hours where no office is named.
    pub business_hours: Window,
}

/// The dates of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The last day of the period in law, rolled where the mode rolls; in hours modes the day of its last moment.
    pub legal_end: Date,
    /// The instant the period is over (exclusive): 24:00 of its last day, or when the office stops business (民法典 203); in hours
    /// modes the instant itself.
    pub end_at: Timestamp,
    /// The last day on or before the end on which it can really be done.
    pub last_safe_day: Date,
    /// The last safe day less the margin; for civil periods also no later than the workday before an end that rolled.
    pub target_by: Date,
    /// 24:00 of `target_by`; in hours modes the end less the margin.
    pub target_at: Timestamp,
    /// Provisional when a day that was looked at is not settled by any calendar.
    pub certainty: Certainty,
}

/// Counts; takes no memory.
pub fn count(start: &Start, rule: &PeriodRule, counting: &Counting<'_>) -> Result<Counted, PeriodError> {
    Count::new(rule, counting, None).run(start)
}

/// Counts and tells each step.
pub fn explain(start: &Start, rule: &PeriodRule, counting: &Counting<'_>) -> Result<(Counted, Vec<Said>), PeriodError> {
    let mut steps = Vec::new();
    let counted = Count::new(rule, counting, Some(&mut steps)).run(start)?;
    Ok((counted, steps))
}

/// The dates of a period whose end was fixed by somebody: nothing is counted and nothing rolls; the last safe day and the margin
/// follow from it.
pub fn ending_on(end: Date, rule: &PeriodRule, counting: &Counting<'_>) -> Result<Counted, PeriodError> {
    let mut count = Count::new(rule, counting, None);
    if !(FIRST_DAY..=LAST_DAY).contains(&end) {
        return Err(PeriodError::OutOfRange);
    }
    if rule.mode.is_in_hours() {
        let end_at = count.over_at(end)?;
        count.conclude_hours(end_at)
    } else {
        count.conclude_days(None, end, end)
    }
}

/// One count under way.
pub(super) struct Count<'a> {
    pub(super) rule: &'a PeriodRule,
    pub(super) counting: &'a Counting<'a>,
    pub(super) certainty: Certainty,
    /// The words are made only when somebody listens.
    steps: Option<&'a mut Vec<Said>>,
}

impl<'a> Count<'a> {
    fn new(rule: &'a PeriodRule, counting: &'a Counting<'a>, steps: Option<&'a mut Vec<Said>>) -> Self {
        Self {
            rule,
            counting,
            certainty: Certainty::Final,
            steps,
        }
    }

    fn run(mut self, start: &Start) -> Result<Counted, PeriodError> {
        let day = start
            .day(self.counting.zone)
            .filter(|day| (FIRST_DAY..=LAST_DAY).contains(day))
            .ok_or(PeriodError::OutOfRange)?;
        self.tell_start(start, day);
        let counted = match self.rule.mode {
            Mode::Elapsed => self.elapsed(start, day),
            Mode::BusinessHours => self.business_hours(start, day),
            Mode::InsuranceMonths => self.insurance_months(day),
            Mode::RetentionNextYear => self.retention_next_year(day),
            Mode::Civil | Mode::Retention | Mode::Workdays | Mode::Promise => self.days(day),
        }?;
        if counted.certainty == Certainty::Provisional {
            self.tell(|| {
                Said::new(
                    "所依据的日期有的尚未公布放假安排: 暂定,公布后会重算",
                    "some days it depends on are in no published calendar yet: provisional, counted again once it is published",
                )
            });
        }
        Ok(counted)
    }

    fn tell_start(&mut self, start: &Start, day: Date) {
        match start {
            Start::Instant(at) => {
                let local = self.counting.zone.to_datetime(*at);
                self.tell(|| {
                    let at = shown_time(local);
                    Said::new(format!("换算为当地时间: {at}"), format!("in local time: {at}"))
                });
            }
            Start::Month { .. } if !matches!(self.rule.mode, Mode::InsuranceMonths | Mode::RetentionNextYear) => {
                self.tell(|| {
                    let (zh, en) = shown(day);
                    Said::new(
                        format!("估算: 起算日只到月份,按最早的一天算: {zh}"),
                        format!("estimated: only the month is known, its first day is taken: {en}"),
                    )
                });
            }
            Start::Day(_) if self.rule.mode.is_in_hours() => self.tell(|| {
                Said::new(
                    format!("没有写明时刻,自 {day} 0:00 起"),
                    format!("no time of day given: from {day} 00:00"),
                )
            }),
            _ => {}
        }
        let has_first_day = !self.rule.mode.is_in_hours() && self.rule.mode != Mode::InsuranceMonths;
        if self.rule.count_start_day && !has_first_day {
            self.tell(|| {
                Said::new(
                    "这种方式没有“首日”,不因首日计入而变",
                    "this mode has no first day: counting it changes nothing",
                )
            });
        }
    }

    pub(super) fn tell(&mut self, said: impl FnOnce() -> Said) {
        if let Some(steps) = &mut self.steps {
            steps.push(said());
        }
    }

    /// The answer depends on whether each of these days is a workday. No day lies in a range that ends before it begins.
    pub(super) fn look_at(&mut self, from: Date, through: Date) {
        if self.certainty == Certainty::Final {
            self.certainty = self.counting.calendar.certainty_between(from, through);
        }
    }

    /// The answer depends on whether the office is open on this day.
    pub(super) fn look_at_office(&mut self, office: &Office, day: Date) {
        if self.certainty == Certainty::Final {
            self.certainty = office.certainty(self.counting.calendar, day);
        }
    }

    /// When a period is over whose last day is `day`: 24:00, or when the office stops business.
    pub(super) fn over_at(&self, day: Date) -> Result<Timestamp, PeriodError> {
        let Counting {
            calendar, zone, office, ..
        } = self.counting;
        match office.and_then(|office| office.closes_at(calendar, day)) {
            Some(closing) => Ok(instant(day, closing, zone)),
            None => self.end_of(day),
        }
    }

    /// 24:00 of a day.
    pub(super) fn end_of(&self, day: Date) -> Result<Timestamp, PeriodError> {
        let next = day.tomorrow().map_err(|_| PeriodError::OutOfRange)?;
        Ok(instant(next, Time::midnight(), self.counting.zone))
    }
}

/// 2026-02-24(周二) / 2026-02-24 (Tuesday)
pub(super) fn shown(day: Date) -> (String, String) {
    let (zh, en) = weekday_words(day.weekday());
    (format!("{day}({zh})"), format!("{day} ({en})"))
}

/// 2026-02-24 16:30, with seconds only where there are any.
pub(super) fn shown_time(at: DateTime) -> String {
    let whole = at.second() == 0 && at.subsec_nanosecond() == 0;
    at.strftime(if whole {
        "%Y-%m-%d %H:%M"
    } else {
        "%Y-%m-%d %H:%M:%S%.f"
    })
    .to_string()
}
