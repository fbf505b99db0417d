//! Events: append-only, each chained to the one before by its hash, so that an edit, a deletion or a change of order shows.
//!
//! The hash covers the body as it is stored, sealed with the key of the case's resident: the chain can be checked without any key, and
//! still holds when a key was destroyed.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::event::Event;
use crate::domain::house::House;
use crate::domain::ids::CaseId;
use crate::store::cases::json;
use crate::store::chain::{FORM, Head, Known, Link, META_HEAD, link};
use crate::store::db::{query, query_as, query_scalar};
use crate::store::keys::{HALL, make_keys};
use crate::store::lock::Lock;
use crate::store::moving::departure;
use crate::store::{During, Store, StoreError, Tx, runs};
use crate::vault::Place;

/// Who notes what the house itself finds.
const ACTOR: &str = "xixin";

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
    /// What happened to a case, newest first. Who looked at it is not told here.
    pub async fn events_of(&self, case: &CaseId, limit: i64) -> Result<Vec<Sealed>, StoreError> {
        const SQL: &str = "
            select seq, at_ms, case_id, actor, body as sealed, hash from events
            where case_id = $1 and kind <> 'access'
            order by seq desc
            limit $2";
        let mut events: Vec<Sealed> = query_as(SQL)
            .bind(case.as_str())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read events")?;
        self.open_events(&mut events).await?;
        Ok(events)
    }

    /// Opens the bodies of events; of those whose words or whose key is gone there is none.
    pub(super) async fn open_events(&self, events: &mut [Sealed]) -> Result<(), StoreError> {
        let keys = self.keys_of(events.iter().map(|event| event.sealed.as_str())).await?;
        for event in events.iter_mut().filter(|event| !event.sealed.is_empty()) {
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
        Ok(())
    }

    /// The newest event: it stands for all of them.
    pub async fn chain_head(&self) -> Result<Head, StoreError> {
        let head: Option<(i64, String)> = query_as(HEAD)
            .fetch_optional(self.reader())
            .await
            .during("read the head of the events")?;
        Ok(head.map_or_else(Head::genesis, |(seq, hash)| Head { seq, hash }))
    }
}

impl Store {
    /// Notes the head outside the database while no event proves yet that it was noted: afterwards the absence of the file is a fault.
    pub(super) async fn keep_first_head(&self) -> Result<(), StoreError> {
        // A row of the older form is never written after one of the present form.
        const FORMED: &str = "
            select count(*) from (select form from events order by seq desc limit 1) as newest where form = $1";
        if self.chain.outside() != Known::Absent {
            return Ok(());
        }
        let formed: i64 = query_scalar(FORMED)
            .bind(FORM)
            .fetch_one(self.reader())
            .await
            .during("look for events")?;
        if formed == 0 {
            let head = self.chain_head().await?;
            let chain = Arc::clone(&self.chain);
            let _ = tokio::task::spawn_blocking(move || chain.keep(&head)).await;
        }
        Ok(())
    }
}

const HEAD: &str = "select seq, hash from events order by seq desc limit 1";

/// The newest event, its form, and what was last known of the head.
const STATE: &str = "
    select newest.seq, newest.hash, newest.form, meta.value, (select value from meta where name = $2)
    from (select 1) as one
    left join (select seq, hash, form from events order by seq desc limit 1) as newest on true
    left join meta on meta.name = $1";

#[derive(Serialize)]
struct NewRow<'a> {
    seq: i64,
    case_id: &'a str,
    kind: &'static str,
    proof: String,
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

/// Whether what happens to a case can be sealed still. An error of it leaves nothing behind in the transaction.
pub async fn can_seal(tx: &mut Tx, case: &CaseId) -> Result<(), StoreError> {
    let residents = residents_of(tx, std::iter::once(case)).await?;
    let owner = residents.get(case.as_str()).map_or(HALL, String::as_str);
    let place = Place {
        row: case.as_str(),
        ..PLACE
    };
    make_keys(tx, &[owner]).await?.seal(owner, place, "").map(drop)
}

/// Writes what concerns no single case.
pub async fn append_house(tx: &mut Tx, at: Timestamp, actor: &str, events: &[Event]) -> Result<(), StoreError> {
    append_all(tx, at, actor, &[(&CaseId::from(""), events)]).await
}

/// Writes what happened to these cases, in this order. The head is held, so nothing can slip in between it and the new rows; whoever
/// writes events does it last, because all others wait. A head that the chain does not contain any more is noted first: what follows would hide it.
pub async fn append_all(
    tx: &mut Tx,
    at: Timestamp,
    actor: &str,
    cases: &[(&CaseId, &[Event])],
) -> Result<(), StoreError> {
    Lock::Chain.hold(tx).await?;
    let (head, doubts) = state(tx).await?;
    let head = match doubts.as_slice() {
        [] => head,
        doubts => write(tx, head, at, ACTOR, &[(&CaseId::from(""), doubts)]).await?,
    };
    let head = write(tx, head, at, actor, cases).await?;
    let sealed = tx.chain.seal(&head);
    runs::set_meta(tx, META_HEAD, &sealed).await?;
    tx.head = Some(head);
    Ok(())
}

/// The head of the chain, and what speaks against it.
async fn state(tx: &mut Tx) -> Result<(Head, Vec<Event>), StoreError> {
    type State = (Option<i64>, Option<String>, Option<i64>, Option<String>, Option<String>);
    let (seq, hash, form, meta, moved): State = query_as(STATE)
        .bind(META_HEAD)
        .bind(departure::MOVED_TO)
        .fetch_one(&mut **tx)
        .await
        .during("read the head of the events")?;
    departure::refuse_event(moved.as_deref())?;
    let head = match (seq, hash) {
        (Some(seq), Some(hash)) => Head { seq, hash },
        _ => Head::genesis(),
    };
    let inside = tx.chain.read(meta.as_deref().unwrap_or_default());
    // What this transaction has written itself is known outside only when it is committed.
    let outside = match &tx.head {
        Some(_) => Known::Absent,
        None => tx.chain.outside(),
    };
    let broken = |seq: i64, hash: &str| {
        tracing::error!(
            "the chain of events is not what it was at event {seq}: somebody changed the database, or restored an older one; see `xixin audit verify`"
        );
        let hash = hash.to_owned();
        Event::House(House::Broken { seq, hash })
    };
    let mut doubts = Vec::new();
    match inside {
        // Whoever wrote the rows of the present form left a head as well.
        Known::Absent if form == Some(FORM) => doubts.push(broken(head.seq, "")),
        Known::Forged => doubts.push(broken(head.seq, "")),
        Known::Head(known) if known != head => doubts.push(broken(known.seq, &known.hash)),
        Known::Absent | Known::Head(_) => {}
    }
    // The file may lag behind by what another process has just committed.
    if let Known::Head(known) = outside
        && known != head
        && !contains(tx, &known).await?
        && doubts.is_empty()
    {
        doubts.push(broken(known.seq, &known.hash));
    }
    Ok((head, doubts))
}

/// Whether the newest event that is known outside the database is not in it.
pub(crate) async fn lacks_the_known(tx: &mut Tx) -> Result<bool, StoreError> {
    match tx.chain.outside() {
        Known::Head(known) => contains(tx, &known).await.map(|is_there| !is_there),
        Known::Absent | Known::Forged => Ok(false),
    }
}

async fn contains(tx: &mut Tx, head: &Head) -> Result<bool, StoreError> {
    const SQL: &str = "select hash from events where seq = $1";
    let hash: Option<String> = query_scalar(SQL)
        .bind(head.seq)
        .fetch_optional(&mut **tx)
        .await
        .during("look for an event")?;
    Ok(head.seq == 0 || hash.as_deref() == Some(head.hash.as_str()))
}

async fn write(
    tx: &mut Tx,
    mut head: Head,
    at: Timestamp,
    actor: &str,
    cases: &[(&CaseId, &[Event])],
) -> Result<Head, StoreError> {
    const INSERT: &str = "
        insert into events (seq, at_ms, case_id, actor, kind, proof, body, form, hash)
        select
            cast(value ->> 'seq' as bigint), $2, value ->> 'case_id', $3, value ->> 'kind', value ->> 'proof', value ->> 'body', $4,
            value ->> 'hash'
        from jsonb_each($1)";
    let residents = residents_of(tx, cases.iter().map(|(case, _)| *case)).await?;
    let owners: Vec<&str> = residents.values().map(String::as_str).collect();
    let keys = make_keys(tx, &owners).await?;
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
            let (kind, proof) = (event.kind(), event.proof());
            let row = Link {
                seq: head.seq + 1,
                at_ms,
                kind,
                case: case.as_str(),
                actor,
                proof: &proof,
                body: &body,
            };
            head = Head {
                seq: row.seq,
                hash: link(&head.hash, &row.leaf()),
            };
            rows.push(NewRow {
                seq: head.seq,
                case_id: case.as_str(),
                kind,
                proof,
                body,
                hash: head.hash.clone(),
            });
        }
    }
    query(INSERT)
        .bind(json(&rows))
        .bind(at_ms)
        .bind(actor)
        .bind(FORM)
        .execute(&mut **tx)
        .await
        .during("write events")?;
    Ok(head)
}

/// Whose cases these are.
async fn residents_of(
    tx: &mut Tx,
    cases: impl Iterator<Item = &CaseId>,
) -> Result<HashMap<String, String>, StoreError> {
    const SQL: &str = "select id, resident from cases where id in (select value from json_each($1))";
    let ids: Vec<&CaseId> = cases.collect();
    let rows: Vec<(String, String)> = query_as(SQL)
        .bind(json(&ids))
        .fetch_all(&mut **tx)
        .await
        .during("find whose events they are")?;
    Ok(rows.into_iter().collect())
}
