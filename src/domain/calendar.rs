//! The workday calendar: weekends, public holidays, bridge days off (调休放假) and make-up workdays on weekends (调休上班).
//!
//! Overrides are keyed by date, not by year-file: a notice can change the December before. A source states the span it covers; a
//! date outside every span is computed with weekday logic plus the statutory days that are known, and marked provisional. Nothing
//! silently pretends.
//!
//! Whether a day is a workday, and counting workdays, take constant time over 1900 to 2200 (a table of running totals).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::civil::{Date, Weekday};
use jiff::{SignedDuration, Span};
use serde::{Deserialize, Serialize};

use crate::domain::text::{Said, counted};

/// The first and the last day that can be counted with.
pub const FIRST_DAY: Date = Date::constant(1900, 1, 1);
pub const LAST_DAY: Date = Date::constant(2200, 12, 31);

/// Whether a date can still change when a notice is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    Final,
    Provisional,
}

/// Where a date that falls on a rest day goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffDay {
    #[default]
    Earlier,
    Later,
    Stay,
}

/// One published list of days, such as the notice of one year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarSource {
    pub name: String,
    /// The days this source settles, both inclusive; `None` for lists of statutory days without a notice.
    pub covers: Option<(Date, Date)>,
    pub days: BTreeMap<Date, DayOverride>,
}

/// A day that differs from plain weekday logic, or has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayOverride {
    pub workday: bool,
    /// e.g. 春节
    pub name: String,
}

/// A date outside 1900-01-01 to 2200-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the date lies outside {FIRST_DAY} to {LAST_DAY}")
    }
}

impl std::error::Error for OutOfRange {}

#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// `totals[i]`: workdays before day `i`, counted from `FIRST_DAY`.
    totals: Vec<u32>,
    names: BTreeMap<Date, String>,
    /// Every day that some source names: known for sure, also outside every span.
    listed: BTreeSet<Date>,
    spans: Vec<(Date, Date)>,
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Calendar {
    /// A later source wins where two speak of the same day.
    pub fn new(sources: &[CalendarSource]) -> Self {
        let mut days: BTreeMap<Date, &DayOverride> = BTreeMap::new();
        for source in sources {
            days.extend(source.days.iter().map(|(day, what)| (*day, what)));
        }
        let len = usize::try_from(days_from_first(LAST_DAY) + 1).unwrap_or(0);
        let mut totals = Vec::with_capacity(len + 1);
        let mut total = 0;
        let mut weekday = FIRST_DAY.weekday();
        let mut overrides = days
            .range(FIRST_DAY..=LAST_DAY)
            .map(|(day, what)| (days_from_first(*day), what.workday))
            .peekable();
        for index in 0..i64::try_from(len).unwrap_or(0) {
            totals.push(total);
            let mut workday = is_weekday(weekday);
            if let Some((_, changed)) = overrides.next_if(|(at, _)| *at == index) {
                workday = changed;
            }
            total += u32::from(workday);
            weekday = weekday.next();
        }
        totals.push(total);
        let names = days
            .iter()
            .map(|(day, what)| (*day, what.name.clone()))
            .filter(|(_, name)| !name.is_empty())
            .collect();
        Self {
            totals,
            names,
            listed: days.keys().copied().collect(),
            spans: sources.iter().filter_map(|source| source.covers).collect(),
        }
    }

    pub fn is_workday(&self, day: Date) -> bool {
        match index(day) {
            Some(index) => self.totals[index + 1] > self.totals[index],
            None => is_weekday(day.weekday()),
        }
    }

    pub fn certainty(&self, day: Date) -> Certainty {
        let covered = self.spans.iter().any(|(from, to)| *from <= day && day <= *to);
        if covered || self.listed.contains(&day) {
            Certainty::Final
        } else {
            Certainty::Provisional
        }
    }

    /// Whether every day from `from` through `to` is settled.
    pub fn certainty_between(&self, from: Date, to: Date) -> Certainty {
        let mut day = from;
        while day <= to {
            let reach = self
                .spans
                .iter()
                .filter(|(first, last)| *first <= day && day <= *last)
                .map(|(_, last)| *last)
                .max();
            let settled = reach.or_else(|| self.listed.contains(&day).then_some(day));
            let Some(next) = settled.and_then(|last| last.tomorrow().ok()) else {
                return if settled.is_some() {
                    Certainty::Final
                } else {
                    Certainty::Provisional
                };
            };
            day = next;
        }
        Certainty::Final
    }

    /// A day that a source declares off: a public holiday, a bridge day, or a weekend inside a holiday.
    pub fn is_holiday(&self, day: Date) -> bool {
        self.listed.contains(&day) && !self.is_workday(day)
    }

    /// Weekend days from `from` through `to` that are worked (调休上班).
    pub fn makeup_workdays(&self, from: Date, to: Date) -> impl Iterator<Item = Date> {
        let listed = (from <= to).then(|| self.listed.range(from..=to));
        let days = listed.into_iter().flatten().copied();
        days.filter(|day| self.is_makeup_workday(*day))
    }

    /// A weekend day that is worked (调休上班).
    pub fn is_makeup_workday(&self, day: Date) -> bool {
        !is_weekday(day.weekday()) && self.is_workday(day)
    }

    /// The last day any source covers.
    pub fn covered_through(&self) -> Option<Date> {
        self.spans.iter().map(|(_, last)| *last).max()
    }

    /// Stretches between two spans that no source settles: the last day before each and the first one after it.
    pub fn gaps(&self) -> Vec<(Date, Date)> {
        let mut spans = self.spans.clone();
        spans.sort();
        let mut gaps = Vec::new();
        let mut reach: Option<Date> = None;
        for (from, to) in spans {
            if let Some(last) = reach.filter(|last| last.tomorrow().is_ok_and(|next| next < from)) {
                gaps.push((last, from));
            }
            reach = reach.max(Some(to));
        }
        gaps
    }

    /// The first day any source covers.
    pub fn covered_from(&self) -> Option<Date> {
        self.spans.iter().map(|(first, _)| *first).min()
    }

    /// The name of a day that has one, e.g. 春节.
    pub fn name_of(&self, day: Date) -> Option<&str> {
        self.names.get(&day).map(String::as_str)
    }

    pub fn workday_on_or_before(&self, day: Date) -> Date {
        if self.is_workday(day) {
            day
        } else {
            self.previous_workday(day)
        }
    }

    pub fn workday_on_or_after(&self, day: Date) -> Date {
        if self.is_workday(day) {
            day
        } else {
            self.next_workday(day)
        }
    }

    /// The first workday after `day`; at the end of the calendar, `day` itself.
    pub fn next_workday(&self, day: Date) -> Date {
        self.add_workdays(day, 1).unwrap_or(day)
    }

    /// The last workday before `day`; at the start of the calendar, `day` itself.
    pub fn previous_workday(&self, day: Date) -> Date {
        self.add_workdays(day, -1).unwrap_or(day)
    }

    /// The `n`-th workday after `day` (before it when `n` is negative). None at all from a rest day is the next workday.
    pub fn add_workdays(&self, day: Date, n: i64) -> Result<Date, OutOfRange> {
        let at = index(day).ok_or(OutOfRange)?;
        let target = match n {
            0 if self.totals[at + 1] > self.totals[at] => return Ok(day),
            0 | 1.. => i64::from(self.totals[at + 1]).checked_add(n.max(1)).ok_or(OutOfRange)?,
            _ => i64::from(self.totals[at]).checked_add(n).ok_or(OutOfRange)? + 1,
        };
        // Workday number `target` is the first day after which so many are counted.
        let target = u32::try_from(target)
            .ok()
            .filter(|target| *target > 0)
            .ok_or(OutOfRange)?;
        let found = self.first_total_of(target, at);
        if found >= self.totals.len() {
            Err(OutOfRange)
        } else {
            day_at(found - 1)
        }
    }

    /// The first index whose total reaches `target`; looks near `at` first, as what is asked for is seldom far.
    fn first_total_of(&self, target: u32, at: usize) -> usize {
        let (mut low, mut high, mut reach) = (at, at + 1, 8);
        while low > 0 && self.totals[low] >= target {
            (low, high) = (low.saturating_sub(reach), low);
            reach *= 2;
        }
        while high < self.totals.len() && self.totals[high] < target {
            (low, high) = (high, high.saturating_add(reach).min(self.totals.len()));
            reach *= 2;
        }
        low + self.totals[low..self.totals.len().min(high + 1)].partition_point(|total| *total < target)
    }

    /// Workdays after `after` up to and including `through`, as far as the calendar reaches; negative the other way round.
    pub fn workdays_between(&self, after: Date, through: Date) -> i64 {
        let total = |day: Date| index(day.min(LAST_DAY)).map_or(0, |index| i64::from(self.totals[index + 1]));
        total(through) - total(after)
    }

    /// Moves a day off a rest day.
    pub fn shift(&self, day: Date, to: OffDay) -> Date {
        match to {
            OffDay::Earlier => self.workday_on_or_before(day),
            OffDay::Later => self.workday_on_or_after(day),
            OffDay::Stay => day,
        }
    }
}

fn is_weekday(weekday: Weekday) -> bool {
    !matches!(weekday, Weekday::Saturday | Weekday::Sunday)
}

fn days_from_first(day: Date) -> i64 {
    day.duration_since(FIRST_DAY).as_hours() / 24
}

fn index(day: Date) -> Option<usize> {
    if (FIRST_DAY..=LAST_DAY).contains(&day) {
        usize::try_from(days_from_first(day)).ok()
    } else {
        None
    }
}

fn day_at(index: usize) -> Result<Date, OutOfRange> {
    let days = i64::try_from(index).map_err(|_| OutOfRange)?;
    FIRST_DAY
        .checked_add(SignedDuration::from_hours(days * 24))
        .map_err(|_| OutOfRange)
}

/// 还剩5天(3个工作日) / 5 days left (3 workdays): how far off a day is, seen from another.
pub fn days_left(calendar: &Calendar, from: Date, day: Date) -> Said {
    let workdays = calendar.workdays_between(from, day);
    let days = i64::from(from.until(day).map_or(0, |span| span.get_days()));
    match days {
        0 => Said::new("就是今天", "that is today"),
        1 => Said::new("就是明天", "that is tomorrow"),
        2.. => Said::new(
            format!("还剩{days}天({workdays}个工作日)"),
            format!("{} left ({})", counted(days, "day"), counted(workdays, "workday")),
        ),
        ..0 => Said::new(format!("已过{}天", -days), format!("{} ago", counted(-days, "day"))),
    }
}

/// `day` plus natural days, inside the calendar.
pub fn add_days(day: Date, days: i64) -> Result<Date, OutOfRange> {
    let span = Span::new().try_days(days).map_err(|_| OutOfRange)?;
    let end = day.checked_add(span).map_err(|_| OutOfRange)?;
    if (FIRST_DAY..=LAST_DAY).contains(&end) {
        Ok(end)
    } else {
        Err(OutOfRange)
    }
}
