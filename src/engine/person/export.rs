//! Everything that is kept about one person, complete: for whoever asks to see it (个人信息保护法 45).

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::case::Case;
use crate::domain::event::Event;
use crate::domain::house::House;
use crate::domain::ids::{CaseId, PersonId, ReminderId};
use crate::domain::org::{Role, Staff};
use crate::domain::person::Person;
use crate::domain::reminder::Recipient;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::engine::audit::Denied;
use crate::store::events::{self, Sealed};
use crate::store::reminders::{AttemptRow, LedgerRow};
use crate::store::{Store, StoreError, commit};

/// All of it.
#[derive(Debug, Serialize)]
pub struct Dossier {
    pub id: PersonId,
    pub person: Option<Person>,
    /// The resident they are a relative of.
    pub relative_of: Option<PersonId>,
    /// Of a resident: who else is in the record.
    pub relatives: Vec<Person>,
    pub cases: Vec<Case>,
    /// Every decision to send them something, or to tell staff about them, with every attempt.
    pub reminders: Vec<Message>,
    /// What happened to their cases.
    pub events: Vec<Happened>,
    /// Who looked at their cases, one by one.
    pub views: Vec<Happened>,
}

#[derive(Debug, Serialize)]
pub struct Message {
    pub reminder: LedgerRow,
    pub attempts: Vec<AttemptRow>,
}

#[derive(Debug, Serialize)]
pub struct Happened {
    pub at: Timestamp,
    pub case: String,
    pub who: String,
    pub what: Option<Event>,
}

/// Who may do it: a supervisor above every unit that keeps a case of theirs. Others have no business with it.
pub(super) fn may(book: &Rulebook, by: &Staff, cases: &[&Case]) -> Result<(), Denied> {
    let elsewhere = cases
        .iter()
        .find(|case| by.role != Role::DistrictLead && !book.org.is_within(&case.unit, &by.unit));
    match elsewhere {
        None => Ok(()),
        Some(case) => Err(Denied::new(
            Said::new(
                format!("{} 属于 {},不归 {} 管", case.id, case.unit, by.id),
                format!("{} belongs to {}, which is not below {}", case.id, case.unit, by.id),
            ),
            Said::new(
                "请上级单位的主管或区级牵头人办理",
                "ask a supervisor above that unit, or the district lead",
            ),
        )),
    }
}

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn unknown(id: &PersonId) -> Denied {
    Denied::new(
        Said::new(format!("没有 {id} 的记录"), format!("there is no record of {id}")),
        Said::new(
            "编号见 xixin case show 的“居民”或“亲属”一行",
            "xixin case show tells the id in the line of the resident or relative",
        ),
    )
}

/// Gathers everything, and notes that it was handed out before it is.
pub async fn export(
    store: &Store,
    book: &Rulebook,
    id: &PersonId,
    by: &Staff,
    reason: &str,
    now: Timestamp,
) -> Result<Dossier, PersonError> {
    let household = store.household_of(id).await?.ok_or_else(|| unknown(id))?;
    let ids: Vec<CaseId> = store
        .cases_of_resident(&household)
        .await?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let ids: Vec<&CaseId> = ids.iter().collect();
    let mut stored = store.cases(&ids).await?;
    let cases: Vec<Case> = ids.iter().filter_map(|id| Some(stored.remove(*id)?.case)).collect();
    may(book, by, &cases.iter().collect::<Vec<_>>())?;
    let mut tx = store.begin().await?;
    let exported = Event::House(House::PersonExported {
        person: id.clone(),
        reason: reason.trim().to_owned(),
    });
    events::append_house(&mut tx, now, by.id.as_str(), &[exported]).await?;
    commit(tx, "note an export").await?;
    gather(store, id, household, &ids, cases).await.map_err(Into::into)
}

async fn gather(
    store: &Store,
    id: &PersonId,
    household: PersonId,
    ids: &[&CaseId],
    cases: Vec<Case>,
) -> Result<Dossier, StoreError> {
    let people = store.people_of(&household).await?;
    let is_resident = household == *id;
    let me = Recipient::Person(id.clone()).to_string();
    let mut reminders = Vec::new();
    for reminder in store.whole_ledger_of(ids).await? {
        if is_resident || reminder.recipient == me {
            let attempts = store.attempts_of(&ReminderId::from(reminder.id.as_str())).await?;
            reminders.push(Message { reminder, attempts });
        }
    }
    let mut happened = Vec::new();
    let mut views = Vec::new();
    if is_resident {
        for case in ids {
            happened.extend(store.events_of(case, i64::MAX).await?.iter().rev().map(read));
        }
        views = store.views_of(ids).await?.iter().map(read).collect();
    }
    let (person, relatives) = if is_resident {
        (people.resident, people.relatives)
    } else {
        (
            people.relatives.into_iter().find(|relative| relative.id == *id),
            Vec::new(),
        )
    };
    Ok(Dossier {
        id: id.clone(),
        person,
        relative_of: (!is_resident).then_some(household),
        relatives,
        // What a resident has told is theirs, not a relative's.
        cases: if is_resident { cases } else { Vec::new() },
        reminders,
        events: happened,
        views,
    })
}

fn read(sealed: &Sealed) -> Happened {
    Happened {
        at: crate::store::instant_of(sealed.at_ms),
        case: sealed.case_id.clone(),
        who: sealed.actor.clone(),
        what: sealed.body.as_deref().and_then(|body| serde_json::from_str(body).ok()),
    }
}
