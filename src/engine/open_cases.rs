//! Open cases with everything they are planned from, for verbs that look far ahead over all of them: page by page, and planned on every
//! core. A case that cannot be read or planned is named, and hides no other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::domain::case::Case;
use crate::domain::ids::{CaseId, PersonId};
use crate::domain::plan::People;
use crate::domain::reminder::Decided;
use crate::store::cases::StoredCase;
use crate::store::{Store, StoreError};

/// Cases that are read together: few enough to fit into memory beside others, enough to make a statement worth while.
pub(crate) const PAGE: i64 = 500;

/// One open case.
pub(crate) struct Known {
    pub(crate) case: Case,
    pub(crate) people: People,
    pub(crate) decided: Decided,
}

/// Cases that were read together.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) known: Vec<Known>,
    /// Cases that cannot be planned, because the record of somebody around them cannot be read.
    pub(crate) unreadable: Vec<CaseId>,
}

/// Reads what these cases are planned from.
pub(crate) async fn know(store: &Store, cases: Vec<StoredCase>) -> Result<Batch, StoreError> {
    let ids: Vec<&CaseId> = cases.iter().map(|stored| &stored.case.id).collect();
    let residents: Vec<&PersonId> = cases.iter().map(|stored| &stored.case.party.person).collect();
    let (mut decided, mut people) = tokio::try_join!(store.decided(&ids), store.around(&residents))?;
    // Two cases may be of one resident: the record goes to the last of them, the others get a copy.
    let mut uses: std::collections::HashMap<PersonId, usize> = std::collections::HashMap::new();
    for id in residents {
        *uses.entry(id.clone()).or_default() += 1;
    }
    let mut batch = Batch::default();
    for StoredCase { case, .. } in cases {
        let resident = &case.party.person;
        let left = uses.get_mut(resident).map_or(0, |left| {
            *left -= 1;
            *left
        });
        let people = match people.get(resident) {
            None => People::default(),
            Some(Err(error)) => {
                tracing::error!(case.id = %case.id, "case {} cannot be planned: {error}", case.id);
                batch.unreadable.push(case.id);
                continue;
            }
            Some(Ok(around)) if left > 0 => around.clone(),
            Some(Ok(_)) => people.remove(resident).and_then(Result::ok).unwrap_or_default(),
        };
        let decided = decided.remove(&case.id).unwrap_or_default();
        batch.known.push(Known { case, people, decided });
    }
    Ok(batch)
}

/// How many batches are planned side by side.
pub(crate) fn lanes() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does `work` for one case; a fault of this program in it costs that case only.
pub(crate) fn guarded<T>(case: &CaseId, work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.inspect_err(|_| tracing::error!(case.id = %case, "planning case {case} fails inside the program"))
        .ok()
}

/// Does `work` on a thread of its own, away from those that wait for the database.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only when the runtime ends, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}
