//! A reminder: one decision for one recipient over one channel, with its reason.

use std::collections::HashSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{ItemId, LadderId, PersonId, RungName, StaffId, TextId};
use crate::domain::ladder::{Audience, Priority, Way};
use crate::domain::milestone::Anchor;
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
    On(jiff::civil::Date),
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
        let Self {
            item,
            anchor,
            ladder,
            rung,
            occurrence,
            audience,
        } = self;
        write!(f, "{item}|{anchor}|{ladder}|{rung}|{occurrence}|{}", audience.name())
    }
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

/// The marks of a case that have been decided already, in their text form.
#[derive(Debug, Clone, Default)]
pub struct Decided(HashSet<String>);

impl Decided {
    pub fn contains(&self, mark: &Mark) -> bool {
        !self.0.is_empty() && self.0.contains(&mark.to_string())
    }

    pub fn insert(&mut self, mark: String) {
        self.0.insert(mark);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<String> for Decided {
    fn from_iter<I: IntoIterator<Item = String>>(marks: I) -> Self {
        Self(marks.into_iter().collect())
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
