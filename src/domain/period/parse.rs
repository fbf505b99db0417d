//! How periods and their starts are written.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::period::{Mode, Period, PeriodUnit};
use crate::domain::text::{Said, shown};

/// What is wrong, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    pub what: Said,
    pub allowed: Said,
}

impl ParseError {
    fn new(what: Said, (zh, en): (&str, &str)) -> Self {
        Self {
            what,
            allowed: Said::new(zh, en),
        }
    }

    pub fn said(&self) -> Said {
        Said::new(
            format!("{};可写: {}", self.what.zh, self.allowed.zh),
            format!("{}; allowed: {}", self.what.en, self.allowed.en),
        )
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said().en)
    }
}

impl std::error::Error for ParseError {}

const PERIODS: (&str, &str) = (
    "整数加单位: 10y(年), 3m(月), 2w(周), 60d(日), 5wd(工作日), 24h(小时), 4bh(营业小时);最多 100000;负数往前数",
    "a whole number and a unit: 10y, 3m, 2w, 60d, 5wd (workdays), 24h, 4bh (business hours); up to 100000; negative counts back",
);
const STARTS: (&str, &str) = (
    "日 2016-02-29, 月 2026-05, 当地时间 2026-02-14T16:30, 或带时区的时刻 2026-03-01T16:30Z",
    "a day 2016-02-29, a month 2026-05, a local time 2026-02-14T16:30, or an instant 2026-03-01T16:30Z",
);
const MODES: (&str, &str) = (
    "civil, retention, retention_next_year, workdays, elapsed, business_hours, insurance_months, promise",
    "civil, retention, retention_next_year, workdays, elapsed, business_hours, insurance_months, promise",
);
/// More of any unit than this leaves the calendar or is a typing mistake; 100,000 days are 273 years.
const N_MAX: i64 = 100_000;

impl FromStr for Period {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || {
            let text = shown(text);
            let what = Said::new(format!("“{text}”不是期限"), format!("\"{text}\" is no period"));
            ParseError::new(what, PERIODS)
        };
        let trimmed = text.trim();
        let split = trimmed
            .find(|letter: char| letter.is_ascii_alphabetic())
            .ok_or_else(wrong)?;
        let (number, suffix) = trimmed.split_at(split);
        let unit = PeriodUnit::ALL
            .into_iter()
            .find(|unit| unit.suffix() == suffix)
            .ok_or_else(wrong)?;
        let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
        if !is_digits(digits) {
            return Err(wrong());
        }
        let n: i64 = number.parse().map_err(|_| wrong())?;
        if !(-N_MAX..=N_MAX).contains(&n) {
            return Err(wrong());
        }
        Ok(Self { n, unit })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.n, self.unit.suffix())
    }
}

impl FromStr for Mode {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
            let text = shown(text);
            let what = Said::new(format!("“{text}”不是计算方式"), format!("\"{text}\" is no mode"));
            ParseError::new(what, MODES)
        })
    }
}

/// From when a period counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Start {
    Day(Date),
    /// A whole month, such as the last paid one.
    Month {
        year: i16,
        month: i8,
    },
    /// A time on the wall clock of the halls.
    Local(DateTime),
    Instant(Timestamp),
}

impl Start {
    /// The local day; for a month, its first. `None` for a month that does not exist.
    pub fn day(&self, zone: &TimeZone) -> Option<Date> {
        match self {
            Self::Day(day) => Some(*day),
            Self::Month { year, month } => Date::new(*year, *month, 1).ok(),
            Self::Local(local) => Some(local.date()),
            Self::Instant(at) => Some(zone.to_datetime(*at).date()),
        }
    }
}

impl FromStr for Start {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        day(text)
            .map(Self::Day)
            .or_else(|| month(text))
            .or_else(|| text.parse().ok().map(Self::Instant))
            .or_else(|| local(text).map(Self::Local))
            .ok_or_else(|| ParseError::new(no_start(text), STARTS))
    }
}

/// `YYYY-MM-DD`, nothing else.
fn day(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let plain = [year, month, day].map(|part| is_digits(part).then_some(part.len())) == [Some(4), Some(2), Some(2)];
    if plain && parts.next().is_none() {
        text.parse().ok()
    } else {
        None
    }
}

/// `YYYY-MM`
fn month(text: &str) -> Option<Start> {
    let first = day(&format!("{text}-01"))?;
    Some(Start::Month {
        year: first.year(),
        month: first.month(),
    })
}

/// A day and a time of day without offset or zone: what they say would be lost.
fn local(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let date = day(date)?;
    let plain = time.bytes().all(|byte| byte.is_ascii_digit() || b":.".contains(&byte));
    let time: Time = if plain && time.contains(':') {
        time.parse().ok()?
    } else {
        return None;
    };
    Some(date.to_datetime(time))
}

fn no_start(text: &str) -> Said {
    let date = text.split(['T', 't', ' ']).next().unwrap_or(text);
    let looks_right = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| {
            if at == 4 || at == 7 {
                byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        });
    if looks_right && day(date).is_none() {
        Said::new(format!("没有 {date} 这一天"), format!("there is no day {date}"))
    } else {
        let text = shown(text);
        Said::new(
            format!("“{text}”不是日期或时刻"),
            format!("\"{text}\" is no day or time"),
        )
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Month { year, month } => write!(f, "{year:04}-{month:02}"),
            Self::Local(local) => local.fmt(f),
            Self::Instant(at) => at.fmt(f),
        }
    }
}

impl TryFrom<String> for Start {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Start> for String {
    fn from(start: Start) -> Self {
        start.to_string()
    }
}
