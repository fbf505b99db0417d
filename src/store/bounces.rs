//! What reports on mail ask of attempts and say of them; and mail that came back and that nobody could make sense of. It lies sealed
//! among what came in, until somebody has looked at it or its period is over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::db::{query, query_as, query_scalar};
use crate::store::inbound::{body_of, mark_handled};
use crate::store::{During, Store, StoreError, Tx, commit, instant_of, unreadable};

/// What these rows came by: the name of no gateway.
const BY: &str = "mail:returned";
/// What their ids begin with.
const MARK: &str = "mail:";

/// As it is kept: mail is any bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    Text(String),
    Base64(String),
}

/// A mail that waits for somebody to look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    pub id: String,
    pub received: Timestamp,
}

/// By what their ids begin with, in the order of the key.
const WAITING: &str = "select count(*) from inbound where id >= 'mail:' and id < 'mail;' and handled_ms is null";

/// The name of its row.
pub fn row(id: &str) -> String {
    format!("{MARK}{id}")
}

impl Store {
    /// Keeps a mail, once, however often it is handed in. `None` when so many wait that nobody seems to look.
    pub async fn keep_returned(&self, raw: &[u8], now: Timestamp, most: usize) -> Result<Option<String>, StoreError> {
        const KNOWN: &str = "select count(*) from inbound where id = $1";
        const SQL: &str = "
            insert into inbound (id, received_ms, provider, body) values ($1, $2, $3, $4) on conflict (id) do nothing";
        let id = hex::encode(Sha256::digest(raw))[..16].to_owned();
        let row = row(&id);
        let body = match std::str::from_utf8(raw) {
            Ok(text) => Body::Text(text.to_owned()),
            Err(_) => Body::Base64(STANDARD.encode(raw)),
        };
        let body = serde_json::to_string(&body).expect("plain structures always serialise");
        let during = "keep a mail that came back";
        let mut tx = self.begin().await?;
        let known: i64 = query_scalar(KNOWN)
            .bind(&row)
            .fetch_one(&mut *tx)
            .await
            .during(during)?;
        if known > 0 {
            return Ok(Some(id));
        }
        let waiting: i64 = query_scalar(WAITING).fetch_one(&mut *tx).await.during(during)?;
        if usize::try_from(waiting).is_ok_and(|waiting| waiting >= most) {
            return Ok(None);
        }
        let body = tx.seal(None, body_of(&row), &body).await?;
        query(SQL)
            .bind(&row)
            .bind(now.as_millisecond())
            .bind(BY)
            .bind(body)
            .execute(&mut *tx)
            .await
            .during(during)?;
        commit(tx, during).await?;
        Ok(Some(id))
    }

    /// How many wait.
    pub async fn returned_count(&self) -> Result<i64, StoreError> {
        let waiting = query_scalar(WAITING).fetch_one(self.reader()).await;
        waiting.during("count the mail that came back")
    }

    /// Those that wait, the oldest first.
    pub async fn returned_waiting(&self, limit: i64) -> Result<Vec<Returned>, StoreError> {
        const SQL: &str = "
            select substr(id, 6), received_ms from inbound
            where id >= 'mail:' and id < 'mail;' and handled_ms is null
            order by received_ms, id
            limit $1";
        let found: Vec<(String, i64)> = query_as(SQL)
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("list the mail that came back")?;
        let of = |(id, at)| Returned {
            id,
            received: instant_of(at),
        };
        Ok(found.into_iter().map(of).collect())
    }

    /// A mail as it came; `None` when it is not there, or its words are gone.
    pub async fn returned(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        const SQL: &str = "select body from inbound where id = $1 and provider = 'mail:returned' and body <> ''";
        let row = row(id);
        let found: Option<String> = query_scalar(SQL)
            .bind(&row)
            .fetch_optional(self.reader())
            .await
            .during("read a mail that came back")?;
        let Some(body) = found else { return Ok(None) };
        let body = self.unseal(body_of(&row), body).await?;
        let body: Body = serde_json::from_str(&body).map_err(|error| unreadable("inbound", row.clone(), &error))?;
        Ok(Some(match body {
            Body::Text(text) => text.into_bytes(),
            Body::Base64(text) => STANDARD.decode(text).unwrap_or_default(),
        }))
    }

    /// Somebody has looked at it: its words go. False when nothing of that name waited.
    pub async fn settle_returned(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let waited = mark_handled(&mut tx, &row(id), now).await?;
        commit(tx, "settle a mail that came back").await?;
        Ok(waited)
    }
}

/// How an attempt is known to have ended; `None` when there is none of that id.
pub async fn outcome_of(tx: &mut Tx, attempt: &str) -> Result<Option<String>, StoreError> {
    query_scalar("select outcome from attempts where id = $1")
        .bind(attempt)
        .fetch_optional(&mut **tx)
        .await
        .during("find the attempt of a report")
}

/// Notes that a mail has been taken but not delivered yet. Its outcome stays.
pub async fn note_delay(tx: &mut Tx, attempt: &str, reason: &str) -> Result<(), StoreError> {
    query("update attempts set reason = $2 where id = $1 and outcome = 'accepted'")
        .bind(attempt)
        .bind(reason)
        .execute(&mut **tx)
        .await
        .during("note a mail that is late")?;
    Ok(())
}
