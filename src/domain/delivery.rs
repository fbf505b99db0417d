//! What is known of one attempt at sending. Knowledge only grows: news never makes an attempt less far than it is known to be, and in
//! whatever order answers and receipts arrive, they come to the same end.

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

    #[test]
    fn names_are_read_back() {
        for fate in Fate::ALL {
            assert_eq!(Fate::parse(fate.name()), Some(fate));
        }
        assert_eq!(Fate::parse("queued"), None);
    }
}
