//! Values as supervisors write them, each with an error that says what is allowed.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::problem::Unfit;
use crate::domain::benefit::{Fen, NotMoney};
use crate::domain::ladder::WhenError;
use crate::domain::office::Window;
use crate::domain::period::ParseError;
use crate::domain::text::{Said, said};

impl From<WhenError> for Unfit {
    fn from(error: WhenError) -> Self {
        Self::new(error.what, error.allowed)
    }
}

impl From<ParseError> for Unfit {
    fn from(error: ParseError) -> Self {
        Self::new(error.said(), Said::default())
    }
}

impl From<NotMoney> for Unfit {
    fn from(error: NotMoney) -> Self {
        Self::new(error.said().clone(), Said::default())
    }
}

/// Reads a text by its grammar, for a decoder.
pub(super) fn read<T, E>(text: &str) -> Result<T, E>
where
    T: FromStr<Err: Into<Unfit>>,
    E: Error,
{
    text.parse().map_err(|error: T::Err| E::custom(error.into().sealed()))
}

/// A text that is parsed by its own grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parsed<T>(pub T);

impl<'de, T> Deserialize<'de> for Parsed<T>
where
    T: FromStr<Err: Into<Unfit>>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        read(&text).map(Self)
    }
}

/// An amount in yuan: a text such as `"1800.50"`, or a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Yuan(pub Fen);

impl<'de> Deserialize<'de> for Yuan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl Visitor<'_> for Amount {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("金额(元),如 \"1800\" 或 \"1234.56\" / an amount in yuan such as \"1800\" or \"1234.56\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
                Ok(text.to_owned())
            }

            fn visit_i64<E: Error>(self, whole: i64) -> Result<String, E> {
                Ok(whole.to_string())
            }
        }
        let text = deserializer.deserialize_any(Amount)?;
        read(&text).map(Self)
    }
}

/// A local time of day, `09:00`. `24:00` is the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clock(pub Time);

impl FromStr for Clock {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let wrong = || {
            Unfit::new(
                said!("“{text}”不是时刻", "\"{text}\" is no time of day"),
                said!(
                    "可用: 00:00 到 24:00,如 \"08:30\"",
                    "allowed: 00:00 to 24:00, such as \"08:30\""
                ),
            )
        };
        let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
        let part = |part: &str| {
            if part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()) {
                part.parse::<i8>().ok()
            } else {
                None
            }
        };
        let (hour, minute) = (part(hour).ok_or_else(wrong)?, part(minute).ok_or_else(wrong)?);
        if (hour, minute) == (24, 0) {
            return Ok(Self(Time::MAX));
        }
        Time::new(hour, minute, 0, 0).map(Self).map_err(|_| wrong())
    }
}

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        read(&text)
    }
}

/// An opening window, `09:00-12:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hours(pub Window);

impl FromStr for Hours {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let wrong = || {
            Unfit::new(
                said!("“{text}”不是时段", "\"{text}\" is no opening window"),
                said!(
                    "可用: 起-止,如 \"09:00-12:00\"",
                    "allowed: from-to, such as \"09:00-12:00\""
                ),
            )
        };
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let clock = |part: &str| part.trim().parse::<Clock>().map_err(|_| wrong());
        let (Clock(from), Clock(to)) = (clock(from)?, clock(to)?);
        if from < to {
            Ok(Self(Window { from, to }))
        } else {
            Err(wrong())
        }
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        read(&text)
    }
}

/// A day, as a TOML date or as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub Date);

impl FromStr for Day {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let wrong = || {
            Unfit::new(
                said!("“{text}”不是日期", "\"{text}\" is no date"),
                said!("可用: 日期,如 2026-02-14", "allowed: a date such as 2026-02-14"),
            )
        };
        let day: Date = if text.len() == 10 {
            text.parse().map_err(|_| wrong())?
        } else {
            return Err(wrong());
        };
        if (1900..=2200).contains(&day.year()) {
            Ok(Self(day))
        } else {
            Err(wrong())
        }
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(DateText("日期,如 2026-02-14 / a date such as 2026-02-14"))?;
        read(&text)
    }
}

/// A date as TOML writes it, or text; the field says in both languages what is expected.
struct DateText(&'static str);

impl Visitor<'_> for DateText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// Days from … through …, `2026-02-15..2026-02-23`, both included; or a single day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days(pub Date, pub Date);

impl FromStr for Days {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let wrong = || {
            Unfit::new(
                said!("“{text}”不是一段日期", "\"{text}\" is no range of days"),
                said!(
                    "可用: 一天或 起..止,如 \"2026-02-15..2026-02-23\"",
                    "allowed: a day or from..to, such as \"2026-02-15..2026-02-23\""
                ),
            )
        };
        let day = |part: &str| part.trim().parse::<Day>().map_err(|_| wrong());
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (day(from)?, day(to)?),
            None => {
                let day = text.trim().parse::<Day>()?;
                (day, day)
            }
        };
        if from <= to {
            Ok(Self(from.0, to.0))
        } else {
            Err(wrong())
        }
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(DateText(
            "一天或 起..止,如 \"2026-02-15..2026-02-23\" / a day or from..to, such as \"2026-02-15..2026-02-23\"",
        ))?;
        read(&text)
    }
}
