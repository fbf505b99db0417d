//! What will be decided about stored cases if nothing changes: the planner's own forecast over live data.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::ids::{CaseId, PersonId};
use crate::domain::plan::People;
use crate::domain::plan::forecast::{Foreseen, forecast};
use crate::domain::rulebook::Rulebook;
use crate::store::cases::StoredCase;
use crate::store::{Store, StoreError};

/// A decision to come, and the case it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Ahead {
    pub case: CaseId,
    pub foreseen: Foreseen,
}

/// The decisions to come and everybody they may speak to.
#[derive(Debug, Default)]
pub struct Outlook {
    /// By time.
    pub ahead: Vec<Ahead>,
    pub people: HashMap<PersonId, People>,
}

/// Looks from `from` to `to`, both inclusive; at most `limit` decisions of each case.
pub async fn foresee(
    store: &Store,
    rules: &Rulebook,
    cases: &[StoredCase],
    span: (Timestamp, Timestamp),
    limit: usize,
) -> Result<Outlook, StoreError> {
    let ids: Vec<&CaseId> = cases.iter().map(|stored| &stored.case.id).collect();
    let residents: Vec<&PersonId> = cases.iter().map(|stored| &stored.case.party.person).collect();
    let (mut decided, people) = tokio::try_join!(store.decided(&ids), store.people(&residents))?;
    let nobody = People::default();
    let mut ahead = Vec::new();
    for StoredCase { case, .. } in cases {
        let around = people.get(&case.party.person).unwrap_or(&nobody);
        let decided = decided.remove(&case.id).unwrap_or_default();
        let foreseen = forecast(rules, case, around, decided, span, limit);
        ahead.extend(foreseen.into_iter().map(|foreseen| Ahead {
            case: case.id.clone(),
            foreseen,
        }));
    }
    ahead.sort_by(|a, b| (a.foreseen.at, &a.case).cmp(&(b.foreseen.at, &b.case)));
    Ok(Outlook { ahead, people })
}
