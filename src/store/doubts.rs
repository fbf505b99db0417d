//! Attempts of which nobody knows whether they reached anybody: when the provider is asked, and what they were.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::FromRow;

use crate::store::cases::json;
use crate::store::db::{query, query_as, query_scalar};
use crate::store::queue::Claimed;
use crate::store::{During, Store, StoreError, Tx, instant_of};

/// An attempt about which the provider is asked now.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Open {
    pub attempt: String,
    pub way: String,
    pub wire_id: String,
    /// By which of several gateways it went.
    pub gateway: Option<String>,
    pub started_ms: i64,
    pub ended_ms: i64,
    pub asked: i64,
    #[sqlx(flatten)]
    pub row: Claimed,
}

/// What the last attempt of unknown fate at a reminder was.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Before {
    pub reminder_id: String,
    pub wire_id: String,
    /// [`Store::wire_sum`] of its bytes.
    pub wire_sum: String,
}

impl Store {
    /// Attempts whose provider is to be asked by now.
    pub async fn open_questions(&self, now: Timestamp, limit: i64) -> Result<Vec<Open>, StoreError> {
        const SQL: &str = "
            select a.id as attempt, a.way, a.wire_id, a.gateway, a.started_ms, coalesce(a.ended_ms, a.started_ms) as ended_ms, a.asked,
                   r.id, r.case_id, r.mark, r.recipient, r.text, r.priority, r.due_ms, r.decided_ms, r.valid_until_ms, r.fallback, r.tries,
                   r.epoch, r.reason_zh, r.reason_en
            from attempts as a join reminders as r on r.id = a.reminder_id
            where a.ask_ms is not null and a.ask_ms <= $1
            order by a.ask_ms
            limit $2";
        query_as(SQL)
            .bind(now.as_millisecond())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read what the provider is to be asked")
    }

    /// When a provider is to be asked next.
    pub async fn next_question(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "select ask_ms from attempts where ask_ms is not null order by ask_ms limit 1";
        let next = query_scalar::<i64>(SQL).fetch_optional(self.reader()).await;
        Ok(next.during("find the next question to a provider")?.map(instant_of))
    }

    /// The last attempt of unknown fate at each of these reminders.
    pub async fn doubted(&self, reminders: &[&str]) -> Result<HashMap<String, Before>, StoreError> {
        const SQL: &str = "
            select reminder_id, wire_id, wire_sha256 as wire_sum from attempts
            where reminder_id in (select value from json_each($1)) and outcome = 'uncertain'
            order by started_ms, id";
        if reminders.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<Before> = query_as(SQL)
            .bind(json(&reminders))
            .fetch_all(self.reader())
            .await
            .during("read what was sent before")?;
        Ok(rows.into_iter().map(|row| (row.reminder_id.clone(), row)).collect())
    }
}

/// Asks again at this instant, or never. False when this is no question any more: a receipt has answered it, or another node has asked.
pub async fn ask_again(tx: &mut Tx, open: &Open, at: Option<Timestamp>) -> Result<bool, StoreError> {
    const SQL: &str = "
        update attempts set ask_ms = $2, asked = asked + 1
        where id = $1 and outcome = 'uncertain' and ask_ms is not null and asked = $3";
    let done = query(SQL)
        .bind(&open.attempt)
        .bind(at.map(Timestamp::as_millisecond))
        .bind(open.asked)
        .execute(&mut **tx)
        .await
        .during("note when a provider is asked again")?;
    Ok(done.rows_affected() > 0)
}

/// Ends a question about a reminder: where it goes. It must still be in doubt.
pub async fn leave_doubt(
    tx: &mut Tx,
    row: &Claimed,
    state: &str,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const SQL: &str = "
        update reminders
        set state = $2, not_before_ms = coalesce($3, not_before_ms), reason_zh = $4, reason_en = $5, closed_ms = $6
        where id = $1 and state = 'uncertain'";
    let done = query(SQL)
        .bind(&row.id)
        .bind(state)
        .bind(not_before.map(Timestamp::as_millisecond))
        .bind(&row.reason_zh)
        .bind(&row.reason_en)
        .bind(not_before.is_none().then(|| now.as_millisecond()))
        .execute(&mut **tx)
        .await
        .during("end a doubt")?;
    Ok(done.rows_affected() > 0)
}

/// The provider's own name for a message, learnt afterwards.
pub async fn note_reference(tx: &mut Tx, attempt: &str, reference: &str) -> Result<(), StoreError> {
    query("update attempts set reference = $2 where id = $1")
        .bind(attempt)
        .bind(reference)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("note a reference")
}
