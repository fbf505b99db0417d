//! How periods and their starts are written.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::period::{Mode, Period, PeriodUnit};
use crate::domain::text::shown;

/// What is wrong, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    pub what: String,
    pub allowed: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; allowed: {}", self.what, self.allowed)
    }
}

impl std::error::Error for ParseError {}

const PERIODS: &str =
    "a whole number and a unit: 10y, 3m, 2w, 60d, 5wd (workdays), 24h, 4bh (business hours); up to 100000";
const STARTS: &str =
    "a day 2016-02-29, a month 2026-05, a local time 2026-02-14T16:30, or an instant 2026-03-01T16:30Z";
const MODES: &str =
    "civil, retention, retention_next_year, workdays, elapsed, business_hours, insurance_months, promise";
/// More of any unit than this leaves the calendar or is a typing mistake; 100,000 days are 273 years.
const N_MAX: i64 = 100_000;

impl FromStr for Period {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError {
            what: format!("\"{}\" is no period", shown(text)),
            allowed: PERIODS,
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
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let n: i64 = number.parse().map_err(|_| wrong())?;
        if n.abs() > N_MAX {
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
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| ParseError {
                what: format!("\"{}\" is no mode", shown(text)),
                allowed: MODES,
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
        let month = || {
            let (year, month) = text.split_once('-')?;
            let digits = |part: &str, len| part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
            let (true, true) = (digits(year, 4), digits(month, 2)) else {
                return None;
            };
            let (year, month) = (year.parse().ok()?, month.parse().ok()?);
            Date::new(year, month, 1).ok().map(|_| Self::Month { year, month })
        };
        let day = || (text.len() == 10).then(|| text.parse().ok().map(Self::Day)).flatten();
        let instant = || text.parse().ok().map(Self::Instant);
        let local = || {
            (text.len() > 10)
                .then(|| text.replace(' ', "T").parse().ok().map(Self::Local))
                .flatten()
        };
        day()
            .or_else(month)
            .or_else(instant)
            .or_else(local)
            .ok_or_else(|| ParseError {
                what: format!("\"{}\" is no day or time", shown(text)),
                allowed: STARTS,
            })
    }
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
