//! What would come next if nothing changed: for the case page, `preview` and the demo. It goes from wake-up to wake-up through the
//! planner itself, so it cannot promise anything that `plan` would not do.

use jiff::{SignedDuration, Timestamp};

use crate::domain::case::Case;
use crate::domain::plan::decide::Scene;
use crate::domain::plan::{People, dated_items, decide_all};
use crate::domain::reminder::{Decided, Decision};
use crate::domain::rulebook::Rulebook;

/// One decision to come, and when it would be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    pub at: Timestamp,
    pub decision: Decision,
}

/// What is decided in a stretch of time, and the wake-up at which it goes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stretch {
    /// By time. What is due at its beginning comes first.
    pub foreseen: Vec<Foreseen>,
    /// `None` when the case asks for nothing more. It lies within the stretch only when that was cut off.
    pub wake: Option<Timestamp>,
}

/// Plannings of one case at the most; a case that asks for more within one look is cut off there.
const PLANNINGS_MAX: usize = 10_000;

/// The decisions of `[from, to]`, at most `limit` of them, by time. What is due at `from` already comes first.
pub fn forecast(
    rules: &Rulebook,
    case: &Case,
    people: &People,
    mut decided: Decided,
    span: (Timestamp, Timestamp),
    limit: usize,
) -> Vec<Foreseen> {
    let mut foreseen = stretch(rules, case, people, &mut decided, span, limit).foreseen;
    foreseen.truncate(limit);
    foreseen
}

/// The decisions of `[from, to]`, which join `decided`. It ends early once there are `limit` of them.
pub fn stretch(
    rules: &Rulebook,
    case: &Case,
    people: &People,
    decided: &mut Decided,
    (from, to): (Timestamp, Timestamp),
    limit: usize,
) -> Stretch {
    let items = dated_items(rules, case);
    let mut found = Stretch::default();
    let mut now = from;
    for _ in 0..PLANNINGS_MAX {
        let scene = Scene {
            rules,
            case,
            people,
            now,
        };
        let (due, wake) = decide_all(&scene, &items, decided);
        for decision in due {
            decided.insert(decision.mark.to_string());
            found.foreseen.push(Foreseen { at: now, decision });
        }
        found.wake = wake.map(|wake| wake.max(just_after(now)));
        match found.wake {
            Some(wake) if wake <= to && found.foreseen.len() < limit => now = wake,
            _ => break,
        }
    }
    found
}

fn just_after(at: Timestamp) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(1)).unwrap_or(at)
}
