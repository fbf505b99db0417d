//! A reminder: one decision for one recipient over one channel, with its reason.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{ItemId, LadderId, PersonId, RungName, StaffId, TextId};
use crate::domain::ladder::{Audience, Priority, Way};
use crate::domain::milestone::{Anchor, Moment};
use crate::domain::text::Said;

/// What makes a reminder the same reminder: item, anchor value, rung, occurrence and audience. The recipient and the way complete
/// the key in the database. A moved date has another anchor value and so arms the ladder anew; an unmoved one never repeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub item: ItemId,
    pub anchor: Anchor,
    pub ladder: LadderId,
    pub rung: RungName,
    pub occurrence: Occurrence,
    pub audience: Audience,
}

/// Which time of a rung: the only one, or the one of a local day or hour. Of one rung, a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occurrence {
    Once,
    On(Date),
    At(Timestamp),
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => f.write_str("once"),
            Self::On(day) => day.fmt(f),
            Self::At(at) => at.fmt(f),
        }
    }
}

impl Occurrence {
    /// Reads the text form back. `None` for a text that no version of xixin wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "once" {
            return Some(Self::Once);
        }
        let day = text.parse().ok().map(Self::On).filter(|_| text.len() == 10);
        day.or_else(|| text.parse().ok().map(Self::At))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.as_words().write(&mut text);
        f.write_str(&text)
    }
}

impl Mark {
    pub fn as_words(&self) -> MarkWords<'_> {
        MarkWords {
            item: &self.item,
            anchor: self.anchor,
            ladder: &self.ladder,
            rung: &self.rung,
            occurrence: self.occurrence,
            audience: self.audience,
        }
    }
}

/// A mark whose names are borrowed: the planner asks for many marks and keeps few.
#[derive(Debug, Clone, Copy)]
pub struct MarkWords<'a> {
    pub item: &'a ItemId,
    pub anchor: Anchor,
    pub ladder: &'a LadderId,
    pub rung: &'a RungName,
    pub occurrence: Occurrence,
    pub audience: Audience,
}

impl MarkWords<'_> {
    pub fn to_mark(self) -> Mark {
        Mark {
            item: self.item.clone(),
            anchor: self.anchor,
            ladder: self.ladder.clone(),
            rung: self.rung.clone(),
            occurrence: self.occurrence,
            audience: self.audience,
        }
    }

    /// Appends the text form: `item|anchor|ladder|rung|occurrence|audience`.
    pub fn write(self, text: &mut String) {
        text.push_str(self.item.as_str());
        text.push('|');
        match self.anchor {
            Anchor {
                moment: Moment::Day(day),
                moves: 0,
            } => push_day(text, day),
            anchor => push(text, anchor),
        }
        text.push('|');
        text.push_str(self.ladder.as_str());
        text.push('|');
        text.push_str(self.rung.as_str());
        text.push('|');
        match self.occurrence {
            Occurrence::Once => text.push_str("once"),
            Occurrence::On(day) => push_day(text, day),
            occurrence @ Occurrence::At(_) => push(text, occurrence),
        }
        text.push('|');
        text.push_str(self.audience.name());
    }
}

fn push(text: &mut String, what: impl fmt::Display) {
    write!(text, "{what}").expect("writing to a string cannot fail");
}

/// `2026-03-09`, without the detour through the formatting machinery, which would take most of a planning.
fn push_day(text: &mut String, day: Date) {
    let (Ok(year @ 0..=9999), Ok(month), Ok(of_month)) = (
        u16::try_from(day.year()),
        u8::try_from(day.month()),
        u8::try_from(day.day()),
    ) else {
        return push(text, day);
    };
    let digit = |n: u16| char::from(b'0' + u8::try_from(n % 10).unwrap_or(0));
    let two = |n: u8| [digit(u16::from(n) / 10), digit(u16::from(n))];
    text.extend([
        digit(year / 1000),
        digit(year / 100),
        digit(year / 10),
        digit(year),
        '-',
    ]);
    text.extend(two(month));
    text.push('-');
    text.extend(two(of_month));
}

/// A mark as read from the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkText {
    pub item: ItemId,
    pub anchor: String,
    pub ladder: LadderId,
    pub rung: RungName,
    pub occurrence: Occurrence,
    pub audience: Audience,
}

impl MarkText {
    /// Reads the text form of a [`Mark`]. `None` for a text that no version of xixin wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let mut next = || parts.next();
        let (item, anchor, ladder, rung) = (next()?.into(), next()?.to_owned(), next()?.into(), next()?.into());
        let (occurrence, audience) = (Occurrence::parse(next()?)?, Audience::parse(next()?)?);
        Some(Self {
            item,
            anchor,
            ladder,
            rung,
            occurrence,
            audience,
        })
    }
}

/// The marks of a case that have been decided already, in their text form, and who has heard of which item.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    marks: HashSet<String>,
    told: HashSet<(ItemId, String)>,
}

impl Decided {
    /// `scratch` is where the text of the mark is put together; it saves an allocation for each mark that is asked for.
    pub fn contains(&self, mark: MarkWords<'_>, scratch: &mut String) -> bool {
        if self.marks.is_empty() {
            return false;
        }
        scratch.clear();
        mark.write(scratch);
        self.marks.contains(scratch.as_str())
    }

    pub fn insert(&mut self, mark: String) {
        self.marks.insert(mark);
    }

    /// Notes down that somebody has heard of an item, or may have. `recipient` in its text form.
    pub fn heard(&mut self, item: ItemId, recipient: String) {
        self.told.insert((item, recipient));
    }

    /// Whether somebody has heard of an item, or may have.
    pub fn was_told(&self, item: &ItemId, recipient: &Recipient) -> bool {
        !self.told.is_empty() && self.told.contains(&(item.clone(), recipient.to_string()))
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

impl FromIterator<String> for Decided {
    fn from_iter<I: IntoIterator<Item = String>>(marks: I) -> Self {
        Self {
            marks: marks.into_iter().collect(),
            told: HashSet::new(),
        }
    }
}

/// Whom a reminder is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recipient {
    Staff(StaffId),
    Person(PersonId),
    /// The audience was empty; recorded so that the ledger can say so.
    Nobody,
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staff(id) => write!(f, "staff:{id}"),
            Self::Person(id) => write!(f, "person:{id}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

impl Recipient {
    /// Reads the text form back. `None` for a text that no version of xixin wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "nobody" {
            return Some(Self::Nobody);
        }
        match text.split_once(':')? {
            ("staff", id) => Some(Self::Staff(id.into())),
            ("person", id) => Some(Self::Person(id.into())),
            _ => None,
        }
    }
}

/// What was decided about a rung whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is time, it is true and it is allowed.
    Queued,
    /// A later rung of the same ladder is due too; the nearest one is sent.
    Superseded,
    /// Too late to help, history, or nobody to tell.
    Skipped,
    /// Not to be written: a call task for staff.
    Task,
}

/// One decision, ready to become a row of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub mark: Mark,
    pub recipient: Recipient,
    /// `None` when nobody is told.
    pub way: Option<Way>,
    pub verdict: Verdict,
    pub reason: Said,
    pub priority: Priority,
    pub text: TextId,
    /// When the rung came.
    pub due: Timestamp,
    /// Not to be sent before this instant (quiet hours).
    pub not_before: Timestamp,
    /// Of no use from this instant on.
    pub valid_until: Timestamp,
    /// Ways to try, in order, when this one is refused.
    pub fallback: Vec<Way>,
    /// Who makes the call, for tasks.
    pub assignee: Option<StaffId>,
}

/// The life of a row in the ledger. Outcomes only ever move forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Queued,
    Claimed,
    Attempting,
    Accepted,
    Delivered,
    Bounced,
    NoReceipt,
    Refused,
    /// The outcome is unknown; a person looks at it.
    Uncertain,
    Cancelled,
    Superseded,
    Skipped,
    /// Waits for a person: paused channel, doubt about the clock, poison.
    Held,
    /// An open call task.
    Task,
    TaskDone,
}

impl State {
    const NAMES: [(Self, &'static str); 15] = [
        (Self::Queued, "queued"),
        (Self::Claimed, "claimed"),
        (Self::Attempting, "attempting"),
        (Self::Accepted, "accepted"),
        (Self::Delivered, "delivered"),
        (Self::Bounced, "bounced"),
        (Self::NoReceipt, "no_receipt"),
        (Self::Refused, "refused"),
        (Self::Uncertain, "uncertain"),
        (Self::Cancelled, "cancelled"),
        (Self::Superseded, "superseded"),
        (Self::Skipped, "skipped"),
        (Self::Held, "held"),
        (Self::Task, "task"),
        (Self::TaskDone, "task_done"),
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(state, _)| *state == self)
            .map_or("", |(_, name)| name)
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(state, _)| *state)
    }
}

impl State {
    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.iter().map(|(state, _)| *state)
    }

    /// Whether the recipient has heard it, or may have: what went out, and calls that were made.
    pub fn was_heard(self) -> bool {
        matches!(
            self,
            Self::Attempting | Self::Accepted | Self::Delivered | Self::NoReceipt | Self::Uncertain | Self::TaskDone
        )
    }
}

impl From<Verdict> for State {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Queued => Self::Queued,
            Verdict::Superseded => Self::Superseded,
            Verdict::Skipped => Self::Skipped,
            Verdict::Task => Self::Task,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_jiff_writes_it() {
        for text in ["0000-01-01", "0999-12-31", "2026-03-09", "9999-12-31", "-000001-06-30"] {
            let day: Date = text.parse().unwrap();
            let mut written = String::new();
            push_day(&mut written, day);
            assert_eq!(written, day.to_string());
        }
    }
}
