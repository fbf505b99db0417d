//! Recognises a request that is open already: the same number and the same matter, or, without a number, the same name and matter.
//! It only tells; whoever takes cases over decides.

use std::collections::HashMap;

use crate::domain::command::Change;
use crate::domain::ids::{CaseId, MatterId};
use crate::store::cases::KnownBy;
use crate::store::db::Connection;
use crate::store::{During as _, Store, StoreError, cases};

/// By what two requests are taken for the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Likeness {
    matter: MatterId,
    resident: KnownBy,
}

impl Likeness {
    /// The likeness of a case that would be opened.
    pub fn of(change: &Change) -> Option<Self> {
        let resident = change.people.iter().find(|person| person.relative.is_none())?;
        let resident = match &resident.phone {
            Some(phone) => KnownBy::Phone(phone.clone()),
            None => KnownBy::Name(resident.name.clone()),
        };
        Some(Self {
            matter: change.case.matter.clone(),
            resident,
        })
    }
}

/// The same, outside of any write.
pub async fn already_open(store: &Store, likenesses: &[Likeness]) -> Result<Vec<(usize, CaseId)>, StoreError> {
    let mut connection = store.reader().snapshot().await.during("reach the database")?;
    repeated(store, &mut connection, likenesses).await
}

/// Those of `likenesses` that have an open case, by their index, with the first such case.
pub async fn repeated(
    store: &Store,
    connection: &mut Connection,
    likenesses: &[Likeness],
) -> Result<Vec<(usize, CaseId)>, StoreError> {
    let residents: Vec<KnownBy> = likenesses.iter().map(|likeness| likeness.resident.clone()).collect();
    let mut open: HashMap<Likeness, CaseId> = HashMap::new();
    for case in cases::open_cases_of(connection, store.ring(), &residents).await? {
        let likeness = Likeness {
            matter: case.matter.into(),
            resident: case.known_by,
        };
        open.entry(likeness).or_insert_with(|| CaseId::from(case.id));
    }
    let known = |(index, likeness): (usize, &Likeness)| open.get(likeness).map(|case| (index, case.clone()));
    Ok(likenesses.iter().enumerate().filter_map(known).collect())
}
