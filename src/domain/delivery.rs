//! What is known of one attempt at sending. Knowledge only grows: news never makes an attempt less far than it is known to be, and in
//! whatever order answers and receipts arrive, they come to the same end.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ladder::{Priority, Way};
use crate::domain::reminder::State;

/// How far an attempt is known to have come, from least to most. The order *is* the rule: the furthest news wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Recorded; it has begun, or is about to.
    Attempting,
    /// Begun, and nobody knows whether the provider took it.
    Uncertain,
    /// The provider took nothing; it can be tried again.
    Deferred,
    /// The provider took nothing and never will.
    Refused,
    /// The provider has it.
    Accepted,
    /// The provider has it and has said nothing more for so long that people are told.
    NoReceipt,
    /// It has arrived.
    Delivered,
    /// It came back. Stronger than "delivered": of a long SMS one part may arrive and another not, and a relay may take a mail that the
    /// mailbox behind it refuses.
    Bounced,
}

impl Fate {
    pub const ALL: [Self; 8] = [
        Self::Attempting,
        Self::Uncertain,
        Self::Deferred,
        Self::Refused,
        Self::Accepted,
        Self::NoReceipt,
        Self::Delivered,
        Self::Bounced,
    ];

    /// As the column `attempts.outcome` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attempting => "attempting",
            Self::Uncertain => "uncertain",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
            Self::Accepted => "accepted",
            Self::NoReceipt => "no_receipt",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fate| fate.name() == name)
    }

    /// Where news takes an attempt; `None` when it says nothing new.
    pub fn after(self, news: Self) -> Option<Self> {
        (news > self).then_some(news)
    }
}

/// Where a reminder goes when one of its attempts is known to have come to `fate`; `None` when it stays as it is.
///
/// Only a reminder that has left moves. One that is queued again, that went on by another way or that a person has in hand stays:
/// receipts can be forged, so none may cancel a reminder or close a task.
pub fn after_receipt(state: State, fate: Fate) -> Option<State> {
    let known = match state {
        State::Uncertain => Fate::Uncertain,
        State::Accepted => Fate::Accepted,
        State::NoReceipt => Fate::NoReceipt,
        State::Delivered => Fate::Delivered,
        _ => return None,
    };
    match known.after(fate)? {
        Fate::Accepted => Some(State::Accepted),
        Fate::NoReceipt => Some(State::NoReceipt),
        Fate::Delivered => Some(State::Delivered),
        Fate::Bounced => Some(State::Bounced),
        // An answer to a question about a doubt is no receipt: what follows from it is decided where it was asked.
        Fate::Attempting | Fate::Uncertain | Fate::Deferred | Fate::Refused => None,
    }
}

/// Minutes after which a provider is asked what became of a message.
const ASK_AFTER_MIN: [i64; 3] = [2, 5, 10];
/// Minutes before a message of unknown fate is sent again.
const AGAIN_AFTER_MIN: i64 = 1;

/// A message of which nobody knows whether it went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    pub way: Way,
    pub priority: i64,
    /// Attempts at it that ended like this, this one included.
    pub doubts: i64,
    /// How often the provider was asked about this attempt.
    pub asked: i64,
    /// Whether it can be asked at all.
    pub can_ask: bool,
    /// When the attempt ended, and what time it is.
    pub since: Timestamp,
    pub now: Timestamp,
    /// Of no use from this instant on.
    pub valid_until: Timestamp,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// Ask the provider at this instant.
    Ask { at: Timestamp },
    /// Send it once more at this instant, as it was.
    Again { at: Timestamp },
    /// A person looks at it; it is never sent again by itself.
    Person,
}

impl Doubt {
    /// An e-mail goes once more with the same bytes: a mail program shows two copies as one, or as what they are. An SMS cannot be told
    /// from its copy: the provider is asked, and only what is critical goes once more without an answer.
    pub fn resolve(&self) -> Resolve {
        self.decide(self.way == Way::Email || self.priority >= Priority::Critical as i64)
    }

    /// The provider shows no such message. Its records may lag behind, so that is believed from the last question on; then the message
    /// goes once more, whatever it is about. What is in doubt a second time is told by a person.
    pub fn resolve_absent(&self) -> Resolve {
        self.decide(true)
    }

    fn decide(&self, may_repeat: bool) -> Resolve {
        let after = |from: Timestamp, minutes: i64| {
            from.checked_add(SignedDuration::from_mins(minutes))
                .unwrap_or(Timestamp::MAX)
        };
        let in_time = |at: &Timestamp| *at < self.valid_until;
        let ask = usize::try_from(self.asked)
            .ok()
            .and_then(|asked| ASK_AFTER_MIN.get(asked));
        if let Some(minutes) = ask.filter(|_| self.can_ask && self.way == Way::Sms) {
            let at = after(self.since, *minutes).max(self.now);
            if in_time(&at) {
                return Resolve::Ask { at };
            }
        }
        let at = after(self.now, AGAIN_AFTER_MIN);
        if may_repeat && self.doubts < 2 && in_time(&at) {
            return Resolve::Again { at };
        }
        Resolve::Person
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out in full, so that a change of the order has to be meant.
    #[test]
    fn every_pair_of_what_is_known_and_what_is_heard_is_as_written() {
        use Fate::{Accepted, Attempting, Bounced, Deferred, Delivered, NoReceipt, Refused, Uncertain};
        let forward: [(Fate, &[Fate]); 8] = [
            (
                Attempting,
                &[Uncertain, Deferred, Refused, Accepted, NoReceipt, Delivered, Bounced],
            ),
            (Uncertain, &[Deferred, Refused, Accepted, NoReceipt, Delivered, Bounced]),
            (Deferred, &[Refused, Accepted, NoReceipt, Delivered, Bounced]),
            (Refused, &[Accepted, NoReceipt, Delivered, Bounced]),
            (Accepted, &[NoReceipt, Delivered, Bounced]),
            (NoReceipt, &[Delivered, Bounced]),
            (Delivered, &[Bounced]),
            (Bounced, &[]),
        ];
        for (known, further) in forward {
            for news in Fate::ALL {
                let expected = further.contains(&news).then_some(news);
                assert_eq!(known.after(news), expected, "{known:?} and then {news:?}");
            }
        }
    }

    fn end_of(news: &[Fate]) -> Fate {
        let hear = |known: Fate, news: &Fate| known.after(*news).unwrap_or(known);
        news.iter().fold(Fate::Attempting, hear)
    }

    #[test]
    fn in_whatever_order_and_however_often_news_comes_the_end_is_the_same() {
        for a in Fate::ALL {
            for b in Fate::ALL {
                for c in Fate::ALL {
                    let end = end_of(&[a, b, c]);
                    for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
                        assert_eq!(end_of(&order), end, "{order:?}");
                    }
                    assert_eq!(end_of(&[a, b, c, a, b, c, a]), end);
                }
            }
        }
    }

    #[test]
    fn a_receipt_moves_what_has_left_and_nothing_else() {
        use State::{Accepted, Bounced, Delivered, NoReceipt, Uncertain};
        let moves = [
            (Uncertain, Fate::Accepted, Accepted),
            (Uncertain, Fate::NoReceipt, NoReceipt),
            (Uncertain, Fate::Delivered, Delivered),
            (Uncertain, Fate::Bounced, Bounced),
            (Accepted, Fate::NoReceipt, NoReceipt),
            (Accepted, Fate::Delivered, Delivered),
            (Accepted, Fate::Bounced, Bounced),
            (NoReceipt, Fate::Delivered, Delivered),
            (NoReceipt, Fate::Bounced, Bounced),
            (Delivered, Fate::Bounced, Bounced),
        ];
        for state in State::all() {
            for fate in Fate::ALL {
                let expected = moves
                    .iter()
                    .find(|(from, news, _)| (*from, *news) == (state, fate))
                    .map(|(_, _, to)| *to);
                assert_eq!(after_receipt(state, fate), expected, "{state:?} {fate:?}");
            }
        }
    }

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn what_becomes_of_a_doubt_is_as_the_delivery_rules_say() {
        let (normal, critical) = (Priority::Normal as i64, Priority::Critical as i64);
        let again = |at| Resolve::Again { at: minute(at) };
        let ask = |at| Resolve::Ask { at: minute(at) };
        let table = [
            // way, priority, doubts, asked, can ask, now, valid until
            (Way::Email, normal, 1, 0, false, 0, 60, again(1)),
            (Way::Email, normal, 2, 0, false, 0, 60, Resolve::Person),
            (Way::Email, critical, 2, 0, false, 0, 60, Resolve::Person),
            (Way::Email, normal, 1, 0, false, 0, 1, Resolve::Person),
            (Way::Sms, normal, 1, 0, false, 0, 60, Resolve::Person),
            (Way::Sms, critical, 1, 0, false, 0, 60, again(1)),
            (Way::Sms, critical, 2, 0, false, 0, 60, Resolve::Person),
            (Way::Sms, normal, 1, 0, true, 0, 60, ask(2)),
            (Way::Sms, normal, 1, 1, true, 2, 60, ask(5)),
            (Way::Sms, normal, 1, 2, true, 5, 60, ask(10)),
            (Way::Sms, normal, 1, 3, true, 10, 60, Resolve::Person),
            (Way::Sms, critical, 1, 3, true, 10, 60, again(11)),
            (Way::Sms, critical, 2, 3, true, 10, 60, Resolve::Person),
            // The daemon was down meanwhile: asked at once, not in the past.
            (Way::Sms, normal, 1, 0, true, 30, 60, ask(30)),
            // What cannot wait for the answer is decided now.
            (Way::Sms, critical, 1, 1, true, 2, 5, again(3)),
            (Way::Sms, critical, 1, 1, true, 2, 3, Resolve::Person),
        ];
        for (way, priority, doubts, asked, can_ask, now, valid, expected) in table {
            let doubt = Doubt {
                way,
                priority,
                doubts,
                asked,
                can_ask,
                since: minute(0),
                now: minute(now),
                valid_until: minute(valid),
            };
            assert_eq!(doubt.resolve(), expected, "{doubt:?}");
        }
    }

    #[test]
    fn what_a_provider_never_had_goes_once_more_when_its_records_have_had_time() {
        let again = |at| Resolve::Again { at: minute(at) };
        let ask = |at| Resolve::Ask { at: minute(at) };
        let table = [
            // doubts, asked, can ask, now, valid until
            (1, 1, true, 2, 60, ask(5)),
            (1, 2, true, 5, 60, ask(10)),
            (1, 3, true, 10, 60, again(11)),
            (2, 3, true, 10, 60, Resolve::Person),
            (1, 3, true, 10, 11, Resolve::Person),
            // Too late for another question, in time for another copy.
            (1, 1, true, 2, 4, again(3)),
        ];
        for (doubts, asked, can_ask, now, valid, expected) in table {
            let doubt = Doubt {
                way: Way::Sms,
                priority: Priority::Normal as i64,
                doubts,
                asked,
                can_ask,
                since: minute(0),
                now: minute(now),
                valid_until: minute(valid),
            };
            assert_eq!(doubt.resolve_absent(), expected, "{doubt:?}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for fate in Fate::ALL {
            assert_eq!(Fate::parse(fate.name()), Some(fate));
        }
        assert_eq!(Fate::parse("queued"), None);
    }
}
