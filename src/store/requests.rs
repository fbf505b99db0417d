//! Requests that carry a key of whoever asks. The row is written with what was asked for, in one transaction: there is either both or
//! neither, and the same request that comes again finds what came of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{CaseId, ItemId};
use crate::store::db::{query, query_as};
use crate::store::{During, StoreError, Tx, unreadable};

/// A request by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    pub actor: String,
    pub key: String,
    /// [`Store::request_sum`](crate::store::Store::request_sum)
    pub sum: String,
}

/// What came of a request: numbers and ids, no word about anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub case: CaseId,
    /// Of the case, as the request left it.
    pub version: i64,
    /// The items that it brought.
    pub items: Vec<ItemId>,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    Done(Receipt),
    /// It stands for another request.
    Taken,
}

/// What came of this request before.
pub async fn known(tx: &mut Tx, once: &Once) -> Result<Option<Known>, StoreError> {
    const SQL: &str = "select sum, receipt from requests where actor = $1 and key = $2";
    let row: Option<(String, String)> = query_as(SQL)
        .bind(&once.actor)
        .bind(&once.key)
        .fetch_optional(&mut **tx)
        .await
        .during("look for a request")?;
    let Some((sum, receipt)) = row else { return Ok(None) };
    if sum != once.sum {
        return Ok(Some(Known::Taken));
    }
    let receipt = serde_json::from_str(&receipt);
    let receipt = receipt.map_err(|error| unreadable("requests", once.key.clone(), &error))?;
    Ok(Some(Known::Done(receipt)))
}

/// Notes what came of a request; false when another one under the same key was faster.
pub async fn note(tx: &mut Tx, once: &Once, receipt: &Receipt, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "
        insert into requests (actor, key, sum, receipt, at_ms) values ($1, $2, $3, $4, $5)
        on conflict (actor, key) do nothing";
    let text = serde_json::to_string(receipt).expect("plain structures always serialise");
    let done = query(SQL)
        .bind(&once.actor)
        .bind(&once.key)
        .bind(&once.sum)
        .bind(text)
        .bind(now.as_millisecond())
        .execute(&mut **tx)
        .await
        .during("note a request")?;
    Ok(done.rows_affected() == 1)
}

/// Forgets requests from before `before`.
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<u64, StoreError> {
    const SQL: &str = "delete from requests where at_ms < $1";
    let done = query(SQL).bind(before.as_millisecond()).execute(&mut **tx).await;
    Ok(done.during("forget old requests")?.rows_affected())
}
