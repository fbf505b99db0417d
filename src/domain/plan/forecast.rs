//! What would come next if nothing changed: for the case page, `preview` and the demo. It goes from wake-up to wake-up through the
//! planner itself, so it cannot promise anything that `plan` would not do.

use jiff::{SignedDuration, Timestamp};

use crate::domain::case::Case;
use crate::domain::plan::{People, plan};
use crate::domain::reminder::{Decided, Decision};
use crate::domain::rulebook::Rulebook;

/// One decision to come, and when it would be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    pub at: Timestamp,
    pub decision: Decision,
}

/// Plannings of one case at the most; a case that asks for more within one look is cut off there.
const PLANNINGS_MAX: usize = 10_000;

/// The decisions of `[from, to]`, at most `limit` of them, by time. What is due at `from` already comes first.
pub fn forecast(
    rules: &Rulebook,
    case: &Case,
    people: &People,
    mut decided: Decided,
    (from, to): (Timestamp, Timestamp),
    limit: usize,
) -> Vec<Foreseen> {
    let mut foreseen = Vec::new();
    let mut now = from;
    for _ in 0..PLANNINGS_MAX {
        let planned = plan(rules, case, people, &decided, now);
        for decision in planned.due {
            decided.insert(decision.mark.to_string());
            foreseen.push(Foreseen { at: now, decision });
        }
        let next = planned.wake.map(|wake| wake.max(just_after(now)));
        match next {
            Some(wake) if wake <= to && foreseen.len() < limit => now = wake,
            _ => break,
        }
    }
    foreseen.truncate(limit);
    foreseen
}

fn just_after(at: Timestamp) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(1)).unwrap_or(at)
}
