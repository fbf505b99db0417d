//! The cases that an import would open, as its preview shows them: names and numbers masked, dates in words.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::cli::case::local;
use crate::cli::import::caused::Caused;
use crate::domain::calendar::Certainty;
use crate::domain::case::{Due, Item};
use crate::domain::command::Change;
use crate::domain::ids::CaseId;
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, day_words, mask_name, mask_phone};
use crate::engine::alike::Likeness;

/// A case that would be opened, without what a person on the other side of the counter should not read.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) row: u32,
    resident: String,
    phone: Option<String>,
    matter: String,
    unit: String,
    owner: String,
    pub(super) deadlines: Vec<Deadline>,
    callbacks: Vec<String>,
    appointments: Vec<String>,
    #[serde(skip)]
    pub(super) index: usize,
    #[serde(skip)]
    pub(super) likeness: Option<Likeness>,
    pub(super) repeats: Option<Repeat>,
    #[serde(skip)]
    pub(super) caused: Caused,
}

#[derive(Debug, Serialize)]
pub(super) struct Deadline {
    kind: String,
    name: String,
    trigger: String,
    pub(super) last_safe_day: Option<Date>,
    legal_end: Option<Date>,
    pub(super) past: bool,
    provisional: bool,
    /// What can still be done when it is past.
    alternative: Option<Said>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Repeat {
    /// An open case.
    Case(CaseId),
    /// An earlier row of the file.
    Row(u32),
}

impl Row {
    pub(super) fn new(index: usize, row: u32, change: &Change, book: &Rulebook, now: Timestamp) -> Self {
        let today = book.zone.to_datetime(now).date();
        let case = &change.case;
        let resident = change.people.iter().find(|person| person.relative.is_none());
        let due = |due: &Due| match due {
            Due::Day(day) => day.to_string(),
            Due::At(at) => local(*at, &book.zone),
        };
        Self {
            row,
            resident: resident.map_or_else(String::new, |person| mask_name(&person.name)),
            phone: resident.and_then(|person| person.phone.as_deref()).map(mask_phone),
            matter: book
                .matters
                .get(&case.matter)
                .map_or_else(String::new, |matter| matter.name.to_string()),
            unit: case.unit.to_string(),
            owner: case.owner.to_string(),
            deadlines: case
                .items(book)
                .filter_map(|item| deadline(book, item, today))
                .collect(),
            callbacks: case.callbacks.iter().map(|callback| due(&callback.due)).collect(),
            appointments: case
                .appointments
                .iter()
                .map(|visit| local(visit.start, &book.zone))
                .collect(),
            index,
            likeness: Likeness::of(change),
            repeats: None,
            caused: Caused::by(change, book, now),
        }
    }

    pub(super) fn text(&self, today: Date) -> String {
        let Self {
            row,
            resident,
            matter,
            unit,
            owner,
            ..
        } = self;
        let phone = self.phone.as_deref().unwrap_or("-");
        let mut text = format!("{row:>6}  {resident} {phone}  {matter}  {unit}, {owner}\n");
        match &self.repeats {
            Some(Repeat::Case(case)) => {
                let _ = writeln!(
                    text,
                    "        ! 疑似重复: {case} 未办结 / probably a repeat of the open case {case}"
                );
            }
            Some(Repeat::Row(row)) => {
                let _ = writeln!(
                    text,
                    "        ! 疑似重复: 与第{row}行相同 / probably a repeat of row {row}"
                );
            }
            None => {}
        }
        for deadline in &self.deadlines {
            let _ = writeln!(text, "        {}", deadline.text(today));
        }
        for due in &self.callbacks {
            let _ = writeln!(text, "        承诺回电 / promised call-back: {due}");
        }
        for start in &self.appointments {
            let _ = writeln!(text, "        预约 / appointment: {start}");
        }
        text
    }
}

impl Deadline {
    fn text(&self, today: Date) -> String {
        let name = &self.name;
        let Some(day) = self.last_safe_day else {
            return format!("{name}: 起算日不明,需核实 / without a trigger date: it has to be found");
        };
        let (year, words) = (day.year(), day_words(day));
        let left = today.until(day).map_or(0, |left| left.get_days());
        let state = if self.past {
            let other = self.alternative.as_ref();
            other.map_or_else(
                || Said::new("已过", "past"),
                |other| {
                    Said::new(
                        format!("已过,可改走: {}", other.zh),
                        format!("past; instead: {}", other.en),
                    )
                },
            )
        } else {
            Said::new(format!("还有{left}天"), format!("{left} days left"))
        };
        let mark = if self.provisional {
            Said::new(",暂定", ", provisional")
        } else {
            Said::default()
        };
        format!(
            "{name}: 最晚可办日 {year}年{},{}{} / last safe day {} {year}, {}{}",
            words.zh, state.zh, mark.zh, words.en, state.en, mark.en
        )
    }
}

fn deadline(book: &Rulebook, item: Item<'_>, today: Date) -> Option<Deadline> {
    let Item::Deadline(deadline) = item else { return None };
    let dated = Dated::new(book, item);
    let kind = dated.kind;
    let past = dated.counted.is_some_and(|counted| counted.last_safe_day < today);
    Some(Deadline {
        kind: deadline.kind.to_string(),
        name: kind.map_or_else(String::new, |kind| kind.name.to_string()),
        trigger: deadline.trigger.to_string(),
        last_safe_day: dated.counted.map(|counted| counted.last_safe_day),
        legal_end: dated.counted.map(|counted| counted.legal_end),
        past,
        provisional: dated
            .counted
            .is_some_and(|counted| counted.certainty == Certainty::Provisional),
        alternative: kind
            .and_then(|kind| kind.alternative.as_ref())
            .filter(|_| past)
            .cloned(),
    })
}
