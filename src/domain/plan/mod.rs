//! The planner: from facts to decisions. Pure; the clock is an argument.
//!
//! Laws, each a property test: total (no panic for any valid rulebook and facts), deterministic, *settled* (planning again after
//! deciding decides nothing more), explained (every decision carries a reason), and its wake-up is honest (nothing is decided between
//! two wake-ups, so going from one to the next misses nothing).
//!
//! ```text
//! facts ─ milestones ─ occurrence ─ release ─ recipients ─ decide ─→ decisions, and the next wake-up
//! ```
//!
//! Nothing here knows the kinds of item: a new one is a file in `domain::case`, with its ladder in the configuration.

pub mod decide;
pub mod forecast;
pub mod milestones;
pub mod mute;
pub mod occurrence;
pub mod recheck;
pub mod recipients;
pub mod release;
mod words;

pub(crate) use words::duration_words;

use jiff::Timestamp;

use crate::domain::case::Case;
use crate::domain::person::Person;
use crate::domain::reminder::{Decided, Decision};
use crate::domain::rulebook::Rulebook;
use milestones::Dated;

/// The people a case may speak to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct People {
    /// `None` when the record was erased.
    pub resident: Option<Person>,
    pub relatives: Vec<Person>,
}

impl People {
    pub fn all(&self) -> impl Iterator<Item = &Person> {
        self.resident.iter().chain(&self.relatives)
    }
}

/// What should have been decided by now, and when to look again.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Every item that is still followed, with its dates.
    pub items: Vec<Dated<'a>>,
    /// Decisions whose time has come and that are not in the ledger yet.
    pub due: Vec<Decision>,
    /// The next instant at which `due` can become non-empty; `None` when the case asks for nothing more.
    pub wake: Option<Timestamp>,
}

/// Plans one case at `now`. `decided` holds the marks already in the ledger.
pub fn plan<'a>(rules: &'a Rulebook, case: &'a Case, people: &People, decided: &Decided, now: Timestamp) -> Plan<'a> {
    let items = dated_items(rules, case);
    let scene = decide::Scene {
        rules,
        case,
        people,
        now,
    };
    let (due, wake) = decide_all(&scene, &items, decided);
    Plan { items, due, wake }
}

/// Every item that is still followed, with its dates. They do not depend on the time of day: whoever plans one case many times dates it once.
pub fn dated_items<'a>(rules: &'a Rulebook, case: &'a Case) -> Vec<Dated<'a>> {
    case.live_items(rules).map(|item| Dated::new(rules, item)).collect()
}

/// The decisions that are due for all items, and the next instant at which there can be more.
fn decide_all(scene: &decide::Scene<'_>, items: &[Dated<'_>], decided: &Decided) -> (Vec<Decision>, Option<Timestamp>) {
    let mut due = Vec::new();
    let mut scratch = String::new();
    let mut wake: Option<Timestamp> = None;
    for dated in items {
        let next = decide::decide(scene, dated, decided, &mut scratch, &mut due);
        wake = wake.into_iter().chain(next).min();
    }
    (due, wake)
}
