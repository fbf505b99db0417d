//! Takes the words of earlier events away and keeps their hashes: the chain still holds, and a proof in it tells how many they were and
//! what was taken. A row is blanked once and never touched again.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::event::Event;
use crate::domain::house::House;
use crate::domain::ids::CaseId;
use crate::store::cases::json;
use crate::store::chain::{Link, Sum};
use crate::store::db::{query, query_as, query_scalar};
use crate::store::lock::Lock;
use crate::store::{During, StoreError, Tx, events};

#[derive(FromRow)]
struct Row {
    seq: i64,
    at_ms: i64,
    kind: String,
    case_id: String,
    actor: String,
    proof: String,
    body: String,
}

#[derive(Serialize)]
struct Blanked {
    seq: i64,
    case_id: String,
    actor: String,
    leaf: String,
}

/// Takes the words of what happened to these cases; their numbers, the days and who acted stay.
pub async fn blank_cases(tx: &mut Tx, cases: &[&CaseId], by: &str, now: Timestamp) -> Result<i64, StoreError> {
    const SQL: &str = "
        select seq, at_ms, kind, case_id, actor, proof, body from events
        where case_id in (select value from json_each($1)) and kind = 'fact' and form = 2 and purge is null
        order by seq";
    Lock::Chain.hold(tx).await?;
    let rows: Vec<Row> = query_as(SQL)
        .bind(json(&cases))
        .fetch_all(&mut **tx)
        .await
        .during("find the events of cases")?;
    blank(tx, rows, by, now).await
}

/// Takes who looked at what, for the oldest looks before an instant.
pub async fn blank_access(
    tx: &mut Tx,
    before: Timestamp,
    limit: i64,
    by: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    const SQL: &str = "
        select seq, at_ms, kind, case_id, actor, proof, body from events
        where kind = 'access' and purge is null and form = 2 and at_ms < $1
        order by at_ms, seq
        limit $2";
    Lock::Chain.hold(tx).await?;
    let mut rows: Vec<Row> = query_as(SQL)
        .bind(before.as_millisecond())
        .bind(limit)
        .fetch_all(&mut **tx)
        .await
        .during("find the oldest views")?;
    rows.sort_by_key(|row| row.seq);
    blank(tx, rows, by, now).await
}

async fn blank(tx: &mut Tx, rows: Vec<Row>, by: &str, now: Timestamp) -> Result<i64, StoreError> {
    const NEXT: &str = "select coalesce(max(purge), 0) + 1 from events where purge is not null";
    const UPDATE: &str = "
        update events
        set body = '', case_id = new.case_id, actor = new.actor, leaf = new.leaf, purge = $2
        from (
            select
                cast(value ->> 'seq' as bigint) as seq, value ->> 'case_id' as case_id, value ->> 'actor' as actor,
                value ->> 'leaf' as leaf
            from jsonb_each($1)
        ) as new
        where events.seq = new.seq";
    if rows.is_empty() {
        return Ok(0);
    }
    let purge: i64 = query_scalar(NEXT).fetch_one(&mut **tx).await.during("number a purge")?;
    let mut sum = Sum::default();
    let mut blanked = Vec::with_capacity(rows.len());
    for row in &rows {
        let whole = Link {
            seq: row.seq,
            at_ms: row.at_ms,
            kind: &row.kind,
            case: &row.case_id,
            actor: &row.actor,
            proof: &row.proof,
            body: &row.body,
        };
        let leaf = whole.leaf();
        let keeps = row.kind == "fact";
        let rest = Link {
            case: if keeps { whole.case } else { "" },
            actor: if keeps { whole.actor } else { "" },
            body: "",
            ..whole
        };
        sum.add(&rest, &leaf);
        blanked.push(Blanked {
            seq: row.seq,
            case_id: rest.case.to_owned(),
            actor: rest.actor.to_owned(),
            leaf,
        });
    }
    query(UPDATE)
        .bind(json(&blanked))
        .bind(purge)
        .execute(&mut **tx)
        .await
        .during("take the words of events")?;
    let proof = Event::House(House::Blanked {
        purge,
        rows: sum.rows,
        sum: sum.text(),
    });
    events::append_house(tx, now, by, &[proof]).await?;
    Ok(sum.rows)
}
