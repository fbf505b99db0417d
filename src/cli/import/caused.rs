//! What an import would cause: the messages and calls that the rules in force bring from now until the end of the next workday, by the
//! planner's own forecast. It counts; it names nobody outside the staff.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde::Serialize;

use crate::domain::command::Change;
use crate::domain::milestone::{Milestone, instant};
use crate::domain::plan::People;
use crate::domain::plan::forecast::forecast;
use crate::domain::reminder::{Decided, Decision, Recipient, Verdict};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::day_words;

/// Decisions about one case at the most; far more than come within two workdays.
const DECISIONS_MAX: usize = 200;

/// For one member of staff, or for residents and relatives together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    messages: u64,
    /// Of the messages, those that ask for a date: they come every workday until it is found.
    to_find_a_date: u64,
    calls: u64,
}

/// By the name of the member of staff; residents and relatives stand under none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Caused(BTreeMap<String, Count>);

/// The end of the next workday, and that day.
pub(super) fn until(book: &Rulebook, now: Timestamp) -> (Timestamp, Date) {
    let day = book.calendar.next_workday(book.zone.to_datetime(now).date());
    (instant(day, Time::MAX, &book.zone), day)
}

impl Caused {
    /// By one case that was opened in thought.
    pub(super) fn by(change: &Change, book: &Rulebook, now: Timestamp) -> Self {
        let (relatives, resident) = change
            .people
            .iter()
            .cloned()
            .partition(|person| person.relative.is_some());
        let resident: Vec<_> = resident;
        let people = People {
            resident: resident.into_iter().next(),
            relatives,
        };
        let span = (now, until(book, now).0);
        let mut caused = Self::default();
        for foreseen in forecast(book, &change.case, &people, Decided::default(), span, DECISIONS_MAX) {
            caused.add(&foreseen.decision, book);
        }
        caused
    }

    fn add(&mut self, decision: &Decision, book: &Rulebook) {
        let who = match (&decision.recipient, &decision.assignee) {
            (_, Some(caller)) if decision.verdict == Verdict::Task => caller.to_string(),
            (Recipient::Staff(staff), _) => staff.to_string(),
            _ => String::new(),
        };
        let count = self.0.entry(who).or_default();
        match decision.verdict {
            Verdict::Task => count.calls += 1,
            Verdict::Queued => {
                count.messages += 1;
                count.to_find_a_date += u64::from(asks_for_a_date(decision, book));
            }
            _ => {}
        }
    }

    pub(super) fn all<'a>(each: impl Iterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for (who, count) in each.flat_map(|caused| &caused.0) {
            let total = sum.0.entry(who.clone()).or_default();
            total.messages += count.messages;
            total.to_find_a_date += count.to_find_a_date;
            total.calls += count.calls;
        }
        sum.0.retain(|_, count| *count != Count::default());
        sum
    }

    pub(super) fn text(&self, day: Date) -> String {
        let words = day_words(day);
        let mut text = format!(
            "导入后到{}为止将发出 / what it will cause until the end of {}:",
            words.zh, words.en
        );
        if self.0.is_empty() {
            text.push_str(" 无 / nothing");
        }
        for (who, count) in &self.0 {
            let Count {
                messages,
                to_find_a_date,
                calls,
            } = count;
            let who = if who.is_empty() {
                "居民与家属 / residents and relatives"
            } else {
                who
            };
            let _ = write!(
                text,
                "\n  {who}: 消息 {messages} 条,电话 {calls} 个 / {messages} messages, {calls} calls"
            );
            if *to_find_a_date > 0 {
                let _ = write!(
                    text,
                    "; 其中“核实日期”{to_find_a_date} 条,查明前每个工作日都有 / {to_find_a_date} of them to find a date, every workday until it is found"
                );
            }
        }
        text
    }
}

fn asks_for_a_date(decision: &Decision, book: &Rulebook) -> bool {
    let ladder = book.ladders.get(&decision.mark.ladder);
    let rung = ladder.and_then(|ladder| ladder.rungs.iter().find(|rung| rung.name == decision.mark.rung));
    rung.is_some_and(|rung| rung.when.point().milestone == Milestone::VerifyDate)
}
