//! A file of `calendar/`: public holidays and make-up workdays, with the span it settles.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use super::decode::Document;
use super::problem::Problem;
use super::values::Days;
use crate::domain::calendar::{CalendarSource, DayOverride};

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
                "it is empty",
                "name the notice, so that somebody can compare the days",
            ));
        }
        if let Some(Days(from, to)) = self.covers.filter(|covers| days_of(*covers) > COVERS_MAX_DAYS) {
            let what = format!("{from}..{to} is longer than a year");
            heard.push(doc.at(
                "covers",
                &what,
                "allowed: the days that the notice settles, such as \"2026-01-01..2026-12-31\"",
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
                    let (what, allowed) = wrong.split_once("; ").unwrap_or((&wrong, ""));
                    heard.push(doc.at(&path, what, allowed));
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
        let fix = format!("allowed: up to {RANGE_MAX_DAYS} days; is the month right?");
        heard.push(doc.at(path, &format!("it is {} days long", days_of(range)), &fix));
    }
    if let Some(covers) = covers {
        let beyond = days_of(Days(range.0, covers.0)).max(days_of(Days(covers.1, range.1))) - 1;
        if beyond > BEYOND_MAX_DAYS {
            let what = format!("it lies {beyond} days outside what the file covers");
            heard.push(doc.at(path, &what, "correct the date, or covers"));
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
            "it is empty",
            "write what the day is called, such as \"春节\"",
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
            &format!("{day} is named twice in this file"),
            "name each day once",
        ));
    }
}

/// Both ends included; negative and zero the other way round.
fn days_of(Days(from, to): Days) -> i32 {
    from.until(to).map_or(i32::MAX, |span| span.get_days() + 1)
}
