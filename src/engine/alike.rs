//! Recognises a request that is open already: the same number and the same matter, or, without a number, the same name and matter.
//! It only tells; whoever takes cases over decides.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::domain::command::Change;
use crate::domain::ids::{CaseId, MatterId};
use crate::store::{During as _, Store, StoreError, cases};

/// By what two requests are taken for the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Likeness {
    matter: MatterId,
    resident: Resident,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Resident {
    Phone(String),
    Name(String),
}

impl Likeness {
    /// The likeness of a case that would be opened.
    pub fn of(change: &Change) -> Option<Self> {
        let resident = change.people.iter().find(|person| person.relative.is_none())?;
        let resident = match &resident.phone {
            Some(phone) => Resident::Phone(phone.clone()),
            None => Resident::Name(resident.name.clone()),
        };
        Some(Self {
            matter: change.case.matter.clone(),
            resident,
        })
    }
}

/// The same, outside of any write.
pub async fn already_open(store: &Store, likenesses: &[Likeness]) -> Result<Vec<(usize, CaseId)>, StoreError> {
    let connection = store.reader().acquire().await;
    repeated(&mut *connection.during("reach the database")?, likenesses).await
}

/// Those of `likenesses` that have an open case, by their index, with the first such case.
pub async fn repeated(
    connection: &mut SqliteConnection,
    likenesses: &[Likeness],
) -> Result<Vec<(usize, CaseId)>, StoreError> {
    let (mut phones, mut names) = (Vec::new(), Vec::new());
    for likeness in likenesses {
        match &likeness.resident {
            Resident::Phone(phone) => phones.push(phone.as_str()),
            Resident::Name(name) => names.push(name.as_str()),
        }
    }
    if likenesses.is_empty() {
        return Ok(Vec::new());
    }
    let mut open: HashMap<Likeness, CaseId> = HashMap::new();
    for case in cases::open_cases_of(connection, &phones, &names).await? {
        let likeness = Likeness {
            matter: case.matter.into(),
            resident: case.phone.map_or(Resident::Name(case.name), Resident::Phone),
        };
        open.entry(likeness).or_insert_with(|| CaseId::from(case.id));
    }
    let known = |(index, likeness): (usize, &Likeness)| open.get(likeness).map(|case| (index, case.clone()));
    Ok(likenesses.iter().enumerate().filter_map(known).collect())
}
