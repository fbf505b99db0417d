//! What would come next if nothing changed: for the case page, `preview`, `why-not` and the demo. Walks the planner's own arithmetic
//! from one coming to the next, so it cannot promise anything that `plan` would not do.

use jiff::Timestamp;

use crate::domain::case::Case;
use crate::domain::ids::{ItemId, LadderId, RungName, TextId};
use crate::domain::ladder::{Audience, Way};
use crate::domain::plan::decide::is_silenced;
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::occurrence::comings;
use crate::domain::rulebook::Rulebook;

/// One coming of a rung in the future.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Upcoming {
    pub at: Timestamp,
    pub item: ItemId,
    pub ladder: LadderId,
    pub rung: RungName,
    pub to: Vec<Audience>,
    pub by: Vec<Way>,
    pub text: TextId,
}

/// The comings after `from` and up to `to`, at most `limit` of them, by time.
pub fn outlook(rules: &Rulebook, case: &Case, from: Timestamp, to: Timestamp, limit: usize) -> Vec<Upcoming> {
    if case.is_closed() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for item in case.items().filter(|item| item.is_open()) {
        let dated = Dated::new(rules, item);
        let Some(ladder) = dated.ladder else { continue };
        for rung in &ladder.rungs {
            let Some(moment) = dated.at(rung.when.point().milestone) else {
                continue;
            };
            let mut now = from;
            for _ in 0..limit {
                let Some(next) = comings(rules, rung, moment, now).next.filter(|next| next.at <= to) else {
                    break;
                };
                now = next.at;
                if is_silenced(&dated, ladder, rung, now) {
                    continue;
                }
                found.push(Upcoming {
                    at: next.at,
                    item: item.id().clone(),
                    ladder: ladder.id.clone(),
                    rung: rung.name.clone(),
                    to: rung.to.clone(),
                    by: rung.by.clone(),
                    text: rung.text.clone(),
                });
            }
        }
    }
    found.sort_by(|a, b| (a.at, &a.item, &a.rung).cmp(&(b.at, &b.item, &b.rung)));
    found.truncate(limit);
    found
}
