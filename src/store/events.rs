//! Events: append-only, each sealed with the hash of the one before, so that an edit, a deletion or a change of order shows.

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::FromRow;

use crate::domain::event::Event;
use crate::domain::ids::CaseId;
use crate::store::cases::json;
use crate::store::{During, Store, StoreError, Tx};

/// The hash before the first event.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One event as it was written.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct Sealed {
    pub seq: i64,
    pub at_ms: i64,
    pub case_id: String,
    pub actor: String,
    /// The event as JSON.
    pub body: String,
    /// SHA-256 over the hash before and this row.
    pub hash: String,
}

impl Store {
    /// The latest events of a case, newest first.
    pub async fn events_of(&self, case: &CaseId, limit: i64) -> Result<Vec<Sealed>, StoreError> {
        const SQL: &str = "
            select seq, at_ms, case_id, actor, body, hash from events
            where case_id = $1
            order by seq desc
            limit $2";
        sqlx::query_as(SQL)
            .bind(case.as_str())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read events")
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
    let head: Option<String> = sqlx::query_scalar(HEAD)
        .fetch_optional(&mut **tx)
        .await
        .during("read the head of the events")?;
    let mut head = head.unwrap_or_else(|| GENESIS.to_owned());
    let at_ms = at.as_millisecond();
    let mut rows = Vec::new();
    for (case, events) in cases {
        for event in *events {
            let body = serde_json::to_string(event).expect("an event is a plain document");
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

/// Every part is preceded by its length, so that no two different rows can be read as the same bytes.
fn seal(before: &str, at_ms: i64, case: &str, actor: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(at_ms.to_be_bytes());
    for part in [case, actor, body] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}
