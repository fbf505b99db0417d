//! The first start over a database that was written before personal data was sealed: every plain document is sealed in place, and the
//! file is written anew, so that nothing of them is left in free pages or in the write-ahead log.
//!
//! Each step can be interrupted at any point; the next start goes on from there. Events are sealed in one transaction, because their
//! chain of hashes covers what is stored and is drawn anew over the sealed bodies. What the old chain stood at is kept.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::person::Person;
use crate::store::cases::json;
use crate::store::chain::{GENESIS, seal_old as seal};
use crate::store::db::{Connection, Pool, query, query_as, query_scalar};
use crate::store::keys::{HALL, Keys, make_keys};
use crate::store::runs::{set_meta, set_sealed};
use crate::store::{During as _, Store, StoreError, commit, labels, people};
use crate::vault::Place;

/// How far it has come; no value: it has not begun.
const STATE: &str = "sealing";
/// Nothing plain is left in any row.
const ROWS: &str = "rows";
/// Nor anywhere else in the file.
const DONE: &str = "done";
/// The head of the chain of events before it was drawn anew, or where it was found broken.
const OLD_CHAIN: &str = "chain_before_sealing";

const ACTION: &str = "seal what was written before";

/// The id of a row, whose key it is sealed with, and its text.
type Plain = (String, String, String);

#[derive(Serialize)]
struct Sealed {
    id: String,
    text: String,
    phone_index: Option<String>,
    name_index: Option<String>,
}

impl Sealed {
    fn text(id: &str, text: String) -> Self {
        Self {
            id: id.to_owned(),
            text,
            phone_index: None,
            name_index: None,
        }
    }
}

#[derive(FromRow)]
struct PlainEvent {
    seq: i64,
    at_ms: i64,
    case_id: String,
    actor: String,
    body: String,
    hash: String,
    resident: Option<String>,
}

#[derive(Serialize)]
struct SealedEvent {
    seq: i64,
    body: String,
    hash: String,
}

/// Whether rows may still be plain.
pub(super) async fn has_plain(connection: &mut Connection) -> Result<bool, StoreError> {
    const SQL: &str = "select count(*) from meta where name = $1";
    let begun: i64 = query_scalar(SQL)
        .bind(STATE)
        .fetch_one(connection)
        .await
        .during(ACTION)?;
    Ok(begun == 0)
}

impl Store {
    /// Seals what is not sealed yet. Costs one look when there is nothing to do.
    pub(super) async fn seal_older(&self) -> Result<(), StoreError> {
        let state = self.meta(STATE).await?;
        if state.as_deref() == Some(DONE) {
            self.ring().refuse_plain();
            return Ok(());
        }
        let mut sealed = 0;
        if state.as_deref() != Some(ROWS) {
            sealed = self.seal_people().await?
                + self.seal_cases().await?
                + self.seal_labels().await?
                + self.seal_letters().await?
                + self.seal_wires().await?;
            sealed += self.seal_events().await?;
        }
        self.ring().refuse_plain();
        let rewrite = sealed > 0 || state.is_some();
        // What was sealed is safe to work with; a disk too full to write the file anew must not keep reminders from leaving.
        if let Err(error) = self.write_anew(rewrite).await {
            let why = crate::telemetry::chain(&error);
            tracing::error!(
                "what was written before is sealed, but its traces are still in the file until a start can write it anew: {why}"
            );
        }
        Ok(())
    }

    async fn write_anew(&self, rewrite: bool) -> Result<(), StoreError> {
        if rewrite {
            tracing::info!("the database is written anew, without the traces of what was written before it was sealed");
            if let Pool::Sqlite(writer) = &self.writer {
                sqlx::query("vacuum").execute(writer).await.during(ACTION)?;
            }
        }
        if self.scrub().await? {
            let mut tx = self.begin().await?;
            set_meta(&mut tx, STATE, DONE).await?;
            commit(tx, ACTION).await?;
        }
        Ok(())
    }

    /// Whether plain documents may still be met.
    pub(super) async fn may_hold_plain(&self) -> Result<bool, StoreError> {
        Ok(self.meta(STATE).await?.is_none())
    }

    /// Empties the write-ahead log, so that what was overwritten in the database is in no file any more. False when somebody still
    /// reads from it. What PostgreSQL keeps of its log is for those who run the server to say.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        let Pool::Sqlite(writer) = &self.writer else {
            return Ok(true);
        };
        let (busy, ..): (i64, i64, i64) = sqlx::query_as("pragma wal_checkpoint(truncate)")
            .fetch_one(writer)
            .await
            .during("empty the write-ahead log")?;
        Ok(busy == 0)
    }

    async fn seal_people(&self) -> Result<u64, StoreError> {
        const SQL: &str = "
            select id, id, record from people
            where id > $1 and substr(record, 1, 3) <> 'v1.'
            order by id
            limit 500";
        const UPDATE: &str = "
            update people
            set record = new.text, phone = null, phone_index = new.phone_index, name_index = new.name_index
            from (
                select
                    value ->> 'id' as id,
                    value ->> 'text' as text,
                    value ->> 'phone_index' as phone_index,
                    value ->> 'name_index' as name_index
                from json_each($1)
            ) as new
            where people.id = new.id";
        let seal = |keys: &Keys, (id, _, record): &Plain| {
            // A record that cannot be read is sealed as it is: who repairs it needs all of it.
            let person: Option<Person> = serde_json::from_str(record).ok();
            let phone = person.as_ref().and_then(|person| person.phone.as_deref());
            Ok(Sealed {
                id: id.clone(),
                text: keys.seal(id, people::place(id), record)?,
                phone_index: phone.map(|phone| self.ring().phone_index(phone)),
                name_index: person.as_ref().map(|person| self.ring().name_index(&person.name)),
            })
        };
        self.seal_each((SQL, UPDATE), seal).await
    }

    async fn seal_cases(&self) -> Result<u64, StoreError> {
        const SQL: &str = "
            select id, resident, facts from cases
            where id > $1 and substr(facts, 1, 3) <> 'v1.'
            order by id
            limit 500";
        const UPDATE: &str = "
            update cases set facts = new.text
            from (select value ->> 'id' as id, value ->> 'text' as text from json_each($1)) as new
            where cases.id = new.id";
        let seal = |keys: &Keys, (id, resident, facts): &Plain| {
            let text = keys.seal(resident, crate::store::cases::place(id), facts)?;
            Ok(Sealed::text(id, text))
        };
        self.seal_each((SQL, UPDATE), seal).await
    }

    /// What was kept of messages was a plain hash of bytes with a number or an address in them.
    async fn seal_wires(&self) -> Result<u64, StoreError> {
        const SQL: &str = "
            select id, '*hall', wire_sha256 from attempts
            where id > $1 and length(wire_sha256) = 64
            order by id
            limit 500";
        const UPDATE: &str = "
            update attempts set wire_sha256 = new.text
            from (select value ->> 'id' as id, value ->> 'text' as text from json_each($1)) as new
            where attempts.id = new.id";
        let seal = |_: &Keys, (id, _, sha256): &Plain| Ok(Sealed::text(id, self.ring().wire_sum(sha256)));
        self.seal_each((SQL, UPDATE), seal).await
    }

    /// Goes through the rows that are plain (id, whose key, text) in the order of their ids, a few hundred in a transaction.
    async fn seal_each(
        &self,
        (select, update): (&'static str, &'static str),
        seal: impl Fn(&Keys, &Plain) -> Result<Sealed, StoreError>,
    ) -> Result<u64, StoreError> {
        let (mut done, mut after) = (0, String::new());
        loop {
            let mut tx = self.begin().await?;
            let rows: Vec<Plain> = query_as(select).bind(&after).fetch_all(&mut *tx).await.during(ACTION)?;
            let Some((last, ..)) = rows.last() else {
                return Ok(done);
            };
            after.clone_from(last);
            let owners: Vec<&str> = rows.iter().map(|(_, owner, _)| owner.as_str()).collect();
            let keys = make_keys(&mut tx, &owners).await?;
            let sealed: Result<Vec<Sealed>, StoreError> = rows.iter().map(|row| seal(&keys, row)).collect();
            let written = query(update).bind(json(&sealed?)).execute(&mut *tx).await;
            done += written.during(ACTION)?.rows_affected();
            commit(tx, ACTION).await?;
        }
    }

    /// The words of obstacles.
    async fn seal_labels(&self) -> Result<u64, StoreError> {
        const SQL: &str = "
            select labels.case_id, labels.value, cases.resident
            from labels
            join cases on cases.id = labels.case_id
            where labels.kind = 'obstacle' and substr(labels.value, 1, 3) <> 'v1.'
            order by labels.case_id, labels.value
            limit 500";
        const UPDATE: &str = "
            update labels set value = $3
            where case_id = $1 and kind = 'obstacle' and value = $2";
        let mut done = 0;
        loop {
            let mut tx = self.begin().await?;
            let rows: Vec<(String, String, String)> = query_as(SQL).fetch_all(&mut *tx).await.during(ACTION)?;
            if rows.is_empty() {
                return Ok(done);
            }
            let residents: Vec<&str> = rows.iter().map(|(_, _, resident)| resident.as_str()).collect();
            let keys = make_keys(&mut tx, &residents).await?;
            for (case, value, resident) in &rows {
                // A case notes an obstacle once.
                let update = query(UPDATE)
                    .bind(case)
                    .bind(value)
                    .bind(keys.seal(resident, labels::place(case), value)?)
                    .execute(&mut *tx);
                done += update.await.during(ACTION)?.rows_affected();
            }
            commit(tx, ACTION).await?;
        }
    }

    /// Letters on moved dates that have not left yet: they name what people wait for.
    async fn seal_letters(&self) -> Result<u64, StoreError> {
        const SQL: &str = "
            select name, value from meta
            where name like 'news|%' and substr(value, 1, 3) <> 'v1.'
            order by name";
        let mut tx = self.begin().await?;
        let rows: Vec<(String, String)> = query_as(SQL).fetch_all(&mut *tx).await.during(ACTION)?;
        for (name, value) in &rows {
            set_sealed(&mut tx, name, value).await?;
        }
        commit(tx, ACTION).await?;
        Ok(rows.len() as u64)
    }

    /// Seals all events and draws their chain anew, or none. Whoever comes second finds nothing to do.
    async fn seal_events(&self) -> Result<u64, StoreError> {
        const PAGE: &str = "
            select seq, at_ms, case_id, actor, body, hash, cases.resident
            from events
            left join cases on cases.id = events.case_id
            where seq > $1
            order by seq
            limit 1000";
        const UPDATE: &str = "
            update events set body = new.body, hash = new.hash
            from (
                select cast(value ->> 'seq' as bigint) as seq, value ->> 'body' as body, value ->> 'hash' as hash from json_each($1)
            ) as new
            where events.seq = new.seq";
        let mut tx = self.begin().await?;
        let (mut after, mut done) = (0, 0);
        let (mut old_head, mut head) = (GENESIS.to_owned(), GENESIS.to_owned());
        let mut broken_at = None;
        while self.meta(STATE).await?.is_none() {
            let page: Vec<PlainEvent> = query_as(PAGE).bind(after).fetch_all(&mut *tx).await.during(ACTION)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            let owner = |event: &PlainEvent| event.resident.clone().unwrap_or_else(|| HALL.to_owned());
            let owners: Vec<String> = page.iter().map(owner).collect();
            let keys = make_keys(&mut tx, &owners.iter().map(String::as_str).collect::<Vec<_>>()).await?;
            let mut sealed = Vec::with_capacity(page.len());
            for (event, owner) in page.iter().zip(&owners) {
                old_head = seal(&old_head, event.at_ms, &event.case_id, &event.actor, &event.body);
                if old_head != event.hash {
                    broken_at.get_or_insert(event.seq);
                    old_head.clone_from(&event.hash);
                }
                let place = Place {
                    row: &event.case_id,
                    ..crate::store::events::PLACE
                };
                let body = keys.seal(owner, place, &event.body)?;
                head = seal(&head, event.at_ms, &event.case_id, &event.actor, &body);
                sealed.push(SealedEvent {
                    seq: event.seq,
                    body,
                    hash: head.clone(),
                });
            }
            let written = query(UPDATE).bind(json(&sealed)).execute(&mut *tx).await;
            done += written.during(ACTION)?.rows_affected();
        }
        if let Some(seq) = broken_at {
            tracing::error!(
                "the chain of events was broken at event {seq} before it was sealed: somebody has changed the history"
            );
        }
        if done > 0 {
            let stood = broken_at.map_or(old_head, |seq| format!("broken at {seq}"));
            set_meta(&mut tx, OLD_CHAIN, &stood).await?;
        }
        // Of several processes the first has done it.
        let state = "insert into meta (name, value) values ($1, $2) on conflict (name) do nothing";
        let noted = query(state).bind(STATE).bind(ROWS).execute(&mut *tx).await;
        noted.map(|_| ()).during(ACTION)?;
        commit(tx, ACTION).await?;
        Ok(done)
    }
}
