//! A file of `calendar/`: public holidays and make-up workdays, with the span it settles.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use super::decode::Document;
use super::problem::Problem;
use super::values::Days;
use crate::domain::calendar::{CalendarSource, DayOverride};
use crate::domain::text::said;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CalendarFile {
    /// The days this file settles; absent where no notice has been published.
    covers: Option<Days>,
    /// Where the days come from.
    source: String,
    /// By day or `from..to`.
    #[serde(default)]
    days: BTreeMap<String, DayEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DayEntry {
    name: String,
    workday: bool,
}

/// A notice settles a year; a longer span would call days final that nobody has decided on.
const COVERS_MAX_DAYS: i32 = 366;
/// A notice may change days around its year, such as the December before.
const BEYOND_MAX_DAYS: i32 = 31;
/// The longest holiday; a longer range is a typing mistake.
const RANGE_MAX_DAYS: i32 = 16;

impl CalendarFile {
    /// Turns the file into a source for the calendar, and hears what is wrong with it.
    pub(super) fn into_source(self, name: &str, doc: &Document, heard: &mut Vec<Problem>) -> CalendarSource {
        if self.source.trim().is_empty() {
            heard.push(doc.at(
                "source",
                said!("它是空的", "it is empty"),
                said!(
                    "请写依据的通知,以便有人核对日期",
                    "name the notice, so that somebody can compare the days"
                ),
            ));
        }
        if let Some(Days(from, to)) = self.covers.filter(|covers| days_of(*covers) > COVERS_MAX_DAYS) {
            let what = said!("{from}..{to} 超过一年", "{from}..{to} is longer than a year");
            heard.push(doc.at(
                "covers",
                what,
                said!(
                    "可用: 通知负责的日期,如 \"2026-01-01..2026-12-31\"",
                    "allowed: the days that the notice settles, such as \"2026-01-01..2026-12-31\""
                ),
            ));
        }
        let mut days = BTreeMap::new();
        for (key, entry) in &self.days {
            let path = format!("days.{key}");
            match key.parse::<Days>() {
                Ok(range) => {
                    let covers = self.covers.filter(|_| doc.is_whole("covers"));
                    check_range(doc, &path, range, covers, heard);
                    add(doc, &path, range, entry, &mut days, heard);
                }
                Err(wrong) => {
                    heard.push(doc.at(&path, wrong.what, wrong.allowed));
                }
            }
        }
        CalendarSource {
            name: name.to_owned(),
            covers: self.covers.map(|Days(from, to)| (from, to)),
            days,
        }
    }
}

fn check_range(doc: &Document, path: &str, range: Days, covers: Option<Days>, heard: &mut Vec<Problem>) {
    if days_of(range) > RANGE_MAX_DAYS {
        let fix = said!(
            "可用: 最多{RANGE_MAX_DAYS}天;月份对吗?",
            "allowed: up to {RANGE_MAX_DAYS} days; is the month right?"
        );
        heard.push(doc.at(path, said!("它长达{}天", "it is {} days long", days_of(range)), fix));
    }
    if let Some(covers) = covers {
        let beyond = days_of(Days(range.0, covers.0)).max(days_of(Days(covers.1, range.1))) - 1;
        if beyond > BEYOND_MAX_DAYS {
            let what = said!(
                "它在本文件负责的日期之外{beyond}天",
                "it lies {beyond} days outside what the file covers"
            );
            heard.push(doc.at(path, what, said!("请改正日期,或 covers", "correct the date, or covers")));
        }
    }
}

fn add(
    doc: &Document,
    path: &str,
    Days(from, to): Days,
    entry: &DayEntry,
    days: &mut BTreeMap<Date, DayOverride>,
    heard: &mut Vec<Problem>,
) {
    if entry.name.trim().is_empty() {
        heard.push(doc.at(
            &format!("{path}.name"),
            said!("它是空的", "it is empty"),
            said!(
                "请写这一天叫什么,如“春节”",
                "write what the day is called, such as \"春节\""
            ),
        ));
    }
    let mut days_of_range = from.series(jiff::Span::new().days(1)).take_while(|day| *day <= to);
    let twice = days_of_range.find(|day| {
        let day_override = DayOverride {
            workday: entry.workday,
            name: entry.name.clone(),
        };
        days.insert(*day, day_override).is_some()
    });
    if let Some(day) = twice {
        heard.push(doc.at(
            path,
            said!("{day} 在本文件中写了两次", "{day} is named twice in this file"),
            said!("每天只写一次", "name each day once"),
        ));
    }
}

/// Both ends included; negative and zero the other way round.
fn days_of(Days(from, to): Days) -> i32 {
    from.until(to).map_or(i32::MAX, |span| span.get_days() + 1)
}
