//! Slots of named schedules, claimed exactly once, and single values.

use jiff::Timestamp;

use crate::store::db::{Connection, query, query_scalar};
use crate::store::lock::Lock;
use crate::store::{During, Store, StoreError, Tx};
use crate::vault::Place;

impl Store {
    /// Whether a slot of a schedule has been claimed.
    pub async fn is_claimed(&self, name: &str, slot: &str) -> Result<bool, StoreError> {
        const SQL: &str = "select count(*) from runs where name = $1 and slot = $2";
        let count = query_scalar::<i64>(SQL)
            .bind(name)
            .bind(slot)
            .fetch_one(self.reader())
            .await;
        Ok(count.during("read a slot of a schedule")? > 0)
    }

    /// The last claimed slot of a schedule before `slot`.
    pub async fn slot_before(&self, name: &str, slot: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "select slot from runs where name = $1 and slot < $2 order by slot desc limit 1";
        let last = query_scalar(SQL)
            .bind(name)
            .bind(slot)
            .fetch_optional(self.reader())
            .await;
        last.during("read an earlier slot of a schedule")
    }

    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "select value from meta where name = $1";
        query_scalar(SQL)
            .bind(name)
            .fetch_optional(self.reader())
            .await
            .during("read a stored value")
    }

    /// The number of the last batch that this node began to send.
    pub async fn sent_serial(&self) -> Result<i64, StoreError> {
        let serial = self.meta(&serial_row(&self.node)).await?;
        Ok(serial.and_then(|serial| serial.parse().ok()).unwrap_or(0))
    }

    /// A value that tells of people, as [`set_sealed`] kept it.
    pub async fn sealed_meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        match self.meta(name).await? {
            Some(value) => self.unseal(place(name), value).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rules that were noted last, and their generation.
    pub async fn rules_in_force(&self) -> Result<Option<(i64, String)>, StoreError> {
        let value = self.meta("rules").await?;
        Ok(value.as_deref().and_then(generation_of))
    }

    /// The generation of these rules: the stored one when the fingerprint is known already, else the next.
    pub async fn rules_generation(&self, fingerprint: &str) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        Lock::Rules.hold(&mut tx).await?;
        let stored = read_generation(&mut tx).await?;
        let next = match stored {
            Some((generation, known)) if known == fingerprint => return Ok(generation),
            Some((generation, _)) => generation + 1,
            None => 1,
        };
        set_meta(&mut tx, "rules", &format!("{next} {fingerprint}")).await?;
        crate::store::commit(tx, "note the new rules").await?;
        Ok(next)
    }
}

/// Where the number of the last batch of a node stands: each compares its own log with its own row, and none waits for another.
pub(super) fn serial_row(node: &str) -> String {
    match node {
        "" => "sent_serial".to_owned(),
        node => format!("sent_serial:{node}"),
    }
}

async fn read_generation(tx: &mut Tx) -> Result<Option<(i64, String)>, StoreError> {
    let value: Option<String> = query_scalar("select value from meta where name = 'rules'")
        .fetch_optional(&mut **tx)
        .await
        .during("read the generation of the rules")?;
    Ok(value.as_deref().and_then(generation_of))
}

fn generation_of(value: &str) -> Option<(i64, String)> {
    let (generation, fingerprint) = value.split_once(' ')?;
    Some((generation.parse().ok()?, fingerprint.to_owned()))
}

pub(super) async fn set_meta(tx: &mut Connection, name: &str, value: &str) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into meta (name, value) values ($1, $2)
        on conflict (name) do update set value = excluded.value";
    query(SQL)
        .bind(name)
        .bind(value)
        .execute(tx)
        .await
        .map(|_| ())
        .during("store a value")
}

/// Where a single value stands.
pub(super) fn place(name: &str) -> Place<'_> {
    Place {
        table: "meta",
        column: "value",
        row: name,
    }
}

/// Keeps a value that tells of people: sealed with the hall's key.
pub async fn set_sealed(tx: &mut Tx, name: &str, value: &str) -> Result<(), StoreError> {
    let sealed = tx.seal(None, place(name), value).await?;
    set_meta(tx, name, &sealed).await
}

/// Claims a slot; false when it has been claimed before.
pub async fn claim_slot(tx: &mut Tx, name: &str, slot: &str, now: Timestamp, holder: &str) -> Result<bool, StoreError> {
    const SQL: &str = "
        insert into runs (name, slot, claimed_ms, holder) values ($1, $2, $3, $4)
        on conflict (name, slot) do nothing";
    let done = query(SQL)
        .bind(name)
        .bind(slot)
        .bind(now.as_millisecond())
        .bind(holder)
        .execute(&mut **tx)
        .await
        .during("claim a slot")?;
    Ok(done.rows_affected() == 1)
}
