//! Events: append-only, each chained to the one before by its hash, so that an edit, a deletion or a change of order shows.
//!
//! The hash covers the body as it is stored, sealed with the key of the case's resident: the chain can be checked without any key, and
//! still holds when a key was destroyed.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::FromRow;

use crate::domain::event::Event;
use crate::domain::ids::CaseId;
use crate::store::cases::json;
use crate::store::keys::{HALL, make_keys};
use crate::store::{During, Store, StoreError, Tx};
use crate::vault::Place;

/// The hash before the first event.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where the bodies of a case's events stand; its row is the number of the case.
pub(super) const PLACE: Place<'static> = Place {
    table: "events",
    column: "body",
    row: "",
};

/// One event as it was written.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct Sealed {
    pub seq: i64,
    pub at_ms: i64,
    pub case_id: String,
    pub actor: String,
    /// The event as JSON; `None` when it was erased.
    #[sqlx(skip)]
    pub body: Option<String>,
    /// The body as it is stored.
    #[serde(skip)]
    pub sealed: String,
    /// SHA-256 over the hash before and this row.
    pub hash: String,
}

impl Store {
    /// The latest events of a case, newest first.
    pub async fn events_of(&self, case: &CaseId, limit: i64) -> Result<Vec<Sealed>, StoreError> {
        const SQL: &str = "
            select seq, at_ms, case_id, actor, body as sealed, hash from events
            where case_id = $1
            order by seq desc
            limit $2";
        let mut events: Vec<Sealed> = sqlx::query_as(SQL)
            .bind(case.as_str())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read events")?;
        let keys = self.keys_of(events.iter().map(|event| event.sealed.as_str())).await?;
        for event in &mut events {
            let place = Place {
                row: &event.case_id,
                ..PLACE
            };
            event.body = match keys.open(place, event.sealed.clone()) {
                Ok(body) => Some(body),
                Err(StoreError::Erased { .. }) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(events)
    }

    /// The hash of the newest event: it stands for all of them.
    pub async fn chain_head(&self) -> Result<String, StoreError> {
        let head = sqlx::query_scalar(HEAD)
            .fetch_optional(self.reader())
            .await
            .during("read the head of the events")?;
        Ok(head.unwrap_or_else(|| GENESIS.to_owned()))
    }
}

const HEAD: &str = "select hash from events order by seq desc limit 1";

#[derive(Serialize)]
struct NewRow<'a> {
    case_id: &'a str,
    body: String,
    hash: String,
}

/// Writes what happened to a case.
pub async fn append(
    tx: &mut Tx,
    at: Timestamp,
    case: &CaseId,
    actor: &str,
    events: &[Event],
) -> Result<(), StoreError> {
    append_all(tx, at, actor, &[(case, events)]).await
}

/// Writes what happened to these cases, in this order. The write lock is held, so nothing can slip in between the head and the new
/// rows.
pub async fn append_all(
    tx: &mut Tx,
    at: Timestamp,
    actor: &str,
    cases: &[(&CaseId, &[Event])],
) -> Result<(), StoreError> {
    const INSERT: &str = "
        insert into events (at_ms, case_id, actor, body, hash)
        select $2, value ->> 'case_id', $3, value ->> 'body', value ->> 'hash'
        from json_each($1)
        order by key";
    let residents = residents_of(tx, cases.iter().map(|(case, _)| *case)).await?;
    let owners: Vec<&str> = residents.values().map(String::as_str).collect();
    let keys = make_keys(tx, &owners).await?;
    let head: Option<String> = sqlx::query_scalar(HEAD)
        .fetch_optional(&mut **tx)
        .await
        .during("read the head of the events")?;
    let mut head = head.unwrap_or_else(|| GENESIS.to_owned());
    let at_ms = at.as_millisecond();
    let mut rows = Vec::new();
    for (case, events) in cases {
        let owner = residents.get(case.as_str()).map_or(HALL, String::as_str);
        let place = Place {
            row: case.as_str(),
            ..PLACE
        };
        for event in *events {
            let body = serde_json::to_string(event).expect("an event is a plain document");
            let body = keys.seal(owner, place, &body)?;
            head = seal(&head, at_ms, case.as_str(), actor, &body);
            rows.push(NewRow {
                case_id: case.as_str(),
                body,
                hash: head.clone(),
            });
        }
    }
    sqlx::query(INSERT)
        .bind(json(&rows))
        .bind(at_ms)
        .bind(actor)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("write events")
}

/// Whose cases these are.
async fn residents_of(
    tx: &mut Tx,
    cases: impl Iterator<Item = &CaseId>,
) -> Result<HashMap<String, String>, StoreError> {
    const SQL: &str = "select id, resident from cases where id in (select value from json_each($1))";
    let ids: Vec<&CaseId> = cases.collect();
    let rows: Vec<(String, String)> = sqlx::query_as(SQL)
        .bind(json(&ids))
        .fetch_all(&mut **tx)
        .await
        .during("find whose events they are")?;
    Ok(rows.into_iter().collect())
}

/// Every part is preceded by its length, so that no two different rows can be read as the same bytes.
pub(super) fn seal(before: &str, at_ms: i64, case: &str, actor: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(at_ms.to_be_bytes());
    for part in [case, actor, body] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}
