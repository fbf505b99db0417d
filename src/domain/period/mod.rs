//! Periods: how long, how counted, and the dates that follow, with the reasoning in words.
//!
//! Order of operations: add to the ORIGINAL start, never chained → clamp to the month's end → roll (one direction) → margin. What
//! comes afterwards (reminder dates, sending hours) is the planner's.
//!
//! | mode | counting | last day on a rest day | basis |
//! |---|---|---|---|
//! | civil | the first day is not counted; the corresponding day, else the month's last | rolls forward; counted backwards, earlier | 民法典 200-204 |
//! | workdays | workdays after the start | cannot be | 行政许可法 82 |
//! | retention | as civil; the day after is too late | never forward; the last day the office is open | holder's rule |
//! | retention_next_year | from 1 January of the next year, that day counted | as retention | 会计档案管理办法 14 |
//! | elapsed | hours run through holidays | stays | 民法典 201(2) |
//! | business_hours | hours inside opening windows | cannot be | configuration |
//! | insurance_months | calendar months after the last paid one, to the month's end | as retention | 医保转移接续暂行办法 |
//! | promise | as workdays; other units roll earlier, not to before the day it was made | earlier | courtesy |
//!
//! Negative lengths count backwards by the same rules. A counted first day makes a period one day shorter; it has no meaning for
//! hours and insurance months. *Last safe day*: the last day on or before the end on which the office named is open, else the last
//! workday. *Target*: the last safe day less the margin; for a civil end that rolled, at the latest the workday before the rest days.

mod count;
mod days;
mod hours;
mod parse;

pub use count::{Counted, Counting, count, ending_on, explain};
pub use parse::{ParseError, Start};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::calendar::{FIRST_DAY, LAST_DAY, OutOfRange};
use crate::domain::text::Said;

/// The unit of a period, as its suffix writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodUnit {
    Years,
    Months,
    Weeks,
    Days,
    Workdays,
    Hours,
    BusinessHours,
}

/// A length such as `10y`, `3m`, `60d`, `5wd`, `24h`, `4bh`. Negative ones count backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub n: i64,
    pub unit: PeriodUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Civil,
    Retention,
    RetentionNextYear,
    Workdays,
    Elapsed,
    BusinessHours,
    InsuranceMonths,
    Promise,
}

/// What a period of months or years ends on when its last month has no corresponding day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonthEnd {
    /// The month's last day (民法典 202).
    #[default]
    Clamp,
    /// The first day of the following month, where a local rule says so.
    NextDay,
}

/// How a period is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodRule {
    pub period: Period,
    pub mode: Mode,
    /// How long before the last safe day it should be done.
    pub margin: Option<Period>,
    /// The first day counts as day one.
    pub count_start_day: bool,
    pub month_end: MonthEnd,
}

impl PeriodRule {
    /// Without margin, the first day not counted.
    pub fn simple(period: Period, mode: Mode) -> Self {
        Self {
            period,
            mode,
            margin: None,
            count_start_day: false,
            month_end: MonthEnd::Clamp,
        }
    }
}

/// Why no period can be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeriodError {
    /// The unit has no meaning in this mode.
    Unit {
        unit: PeriodUnit,
        mode: Mode,
        allowed: &'static str,
    },
    OutOfRange,
    /// The office does not open within two years.
    NeverOpen,
    /// A margin is not negative, and in hours only where the period is.
    Margin,
}

impl From<OutOfRange> for PeriodError {
    fn from(_: OutOfRange) -> Self {
        Self::OutOfRange
    }
}

impl PeriodError {
    /// What is wrong, and what is allowed.
    pub fn said(&self) -> Said {
        match self {
            Self::Unit { unit, mode, allowed } => {
                let (suffix, mode) = (unit.suffix(), mode.name());
                Said::new(
                    format!("{mode} 方式不能用单位 {suffix};可用: {allowed}"),
                    format!(
                        "mode {mode} does not count in {} ({suffix}); allowed: {allowed}",
                        unit.name()
                    ),
                )
            }
            Self::OutOfRange => Said::new(
                format!("超出日历范围;可用: {FIRST_DAY} 至 {LAST_DAY}"),
                format!("it leaves the calendar; allowed: {FIRST_DAY} to {LAST_DAY}"),
            ),
            Self::NeverOpen => Said::new(
                "该单位在那前后两年都不办公;请检查其开放日",
                "the office does not open within two years of that day; check its opening days",
            ),
            Self::Margin => Said::new(
                "预留时间不能为负,期限以日计的不能用小时;可用: wd, d, w, m, y(期限以小时计的还有 h, bh)",
                "a margin is not negative, and in hours only where the period is; allowed: wd, d, w, m, y (h, bh too where the period is in hours)",
            ),
        }
    }
}

impl fmt::Display for PeriodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said().en)
    }
}

impl std::error::Error for PeriodError {}

impl Period {
    /// 10年 / 10 years
    pub fn words(self) -> Said {
        let Self { n, unit } = self;
        let name = unit.name();
        let name = if n == 1 { name.trim_end_matches('s') } else { name };
        Said::new(format!("{n}{}", unit.name_zh()), format!("{n} {name}"))
    }
}

impl PeriodUnit {
    const ALL: [Self; 7] = [
        Self::Years,
        Self::Months,
        Self::Weeks,
        Self::Days,
        Self::Workdays,
        Self::Hours,
        Self::BusinessHours,
    ];

    pub fn suffix(self) -> &'static str {
        match self {
            Self::Years => "y",
            Self::Months => "m",
            Self::Weeks => "w",
            Self::Days => "d",
            Self::Workdays => "wd",
            Self::Hours => "h",
            Self::BusinessHours => "bh",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Years => "years",
            Self::Months => "months",
            Self::Weeks => "weeks",
            Self::Days => "days",
            Self::Workdays => "workdays",
            Self::Hours => "hours",
            Self::BusinessHours => "business hours",
        }
    }

    fn name_zh(self) -> &'static str {
        match self {
            Self::Years => "年",
            Self::Months => "个月",
            Self::Weeks => "周",
            Self::Days => "日",
            Self::Workdays => "个工作日",
            Self::Hours => "小时",
            Self::BusinessHours => "个营业小时",
        }
    }
}

impl Mode {
    pub const ALL: [Self; 8] = [
        Self::Civil,
        Self::Retention,
        Self::RetentionNextYear,
        Self::Workdays,
        Self::Elapsed,
        Self::BusinessHours,
        Self::InsuranceMonths,
        Self::Promise,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Civil => "civil",
            Self::Retention => "retention",
            Self::RetentionNextYear => "retention_next_year",
            Self::Workdays => "workdays",
            Self::Elapsed => "elapsed",
            Self::BusinessHours => "business_hours",
            Self::InsuranceMonths => "insurance_months",
            Self::Promise => "promise",
        }
    }

    /// Whether its results are instants rather than days.
    pub fn is_in_hours(self) -> bool {
        matches!(self, Self::Elapsed | Self::BusinessHours)
    }
}
