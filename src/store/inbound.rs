//! What came in from outside: receipts and messages, each kept before it is acknowledged and handled exactly once.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::delivery::Fate;
use crate::domain::ids::{CaseId, PersonId};
use crate::domain::reminder::Recipient;
use crate::store::cases::json;
use crate::store::db::{query, query_as, query_scalar};
use crate::store::fate::note_fate;
use crate::store::{During, Store, StoreError, Tx, commit, lock, log_unreadable};
use crate::vault::Place;

/// Something that came in.
#[derive(Debug, Clone, Serialize)]
pub struct NewInbound {
    /// The same for the same thing however often it comes.
    pub id: String,
    /// The gateway it came by.
    pub provider: String,
    pub body: String,
}

/// Something that waits to be handled.
#[derive(Debug, Clone, FromRow)]
pub struct Inbound {
    pub id: String,
    pub provider: String,
    pub body: String,
    pub received_ms: i64,
}

/// Since when an answer belongs to a case. An SMS that went out counts for more than a case that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    Opened(i64),
    Sent(i64),
}

/// A statement, whom it is asked about, and what the instant that it finds means.
type Search<'a> = (&'static str, &'a str, fn(i64) -> When);

pub(super) fn body_of(id: &str) -> Place<'_> {
    Place {
        table: "inbound",
        column: "body",
        row: id,
    }
}

impl Store {
    /// Keeps what came in, durably. What is known already changes nothing. Returns how many are new.
    pub async fn keep_inbound(&self, new: &[NewInbound], now: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let count = put(&mut tx, new, now).await?;
        commit(tx, "keep what came in").await?;
        Ok(count)
    }

    /// Makes one of several parts: from now on there is the whole. Nothing when another node has taken one of them.
    pub async fn join_inbound(&self, parts: &[&str], whole: &NewInbound, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let mut parts = parts.to_vec();
        parts.sort_unstable();
        for part in parts {
            if !mark_handled(&mut tx, part, now).await? {
                return Ok(());
            }
        }
        put(&mut tx, std::slice::from_ref(whole), now).await?;
        commit(tx, "join the parts of an SMS").await
    }

    /// What waits under a name that begins like this, the oldest first.
    pub async fn inbound_named(&self, begins: &str) -> Result<Vec<Inbound>, StoreError> {
        const SQL: &str = "
            select id, provider, body, received_ms from inbound
            where id >= $1 and id < $2 and look_ms is not null
            order by received_ms, id
            limit 600";
        let found: Vec<Inbound> = query_as(SQL)
            .bind(begins)
            .bind(format!("{begins}~"))
            .fetch_all(self.reader())
            .await
            .during("read what came in under one name")?;
        self.opened(found).await
    }

    /// What nobody knows whose it is, the oldest first: a person looks at it.
    pub async fn inbound_for_people(&self, limit: i64) -> Result<Vec<Inbound>, StoreError> {
        const SQL: &str = "
            select id, provider, body, received_ms from inbound
            where handled_ms is null and look_ms is null and provider <> 'mail:returned'
            order by received_ms, id
            limit $1";
        let found: Vec<Inbound> = query_as(SQL)
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read what people have to look at")?;
        self.opened(found).await
    }

    /// How much of it there is, and since when.
    pub async fn count_for_people(&self) -> Result<(i64, Option<i64>), StoreError> {
        const SQL: &str = "
            select count(*), min(received_ms) from inbound
            where handled_ms is null and look_ms is null and provider <> 'mail:returned'";
        query_as(SQL)
            .fetch_one(self.reader())
            .await
            .during("count what people have to look at")
    }

    async fn opened(&self, found: Vec<Inbound>) -> Result<Vec<Inbound>, StoreError> {
        let mut opened = Vec::with_capacity(found.len());
        for one in found {
            let body = self.unseal(body_of(&one.id), one.body.clone()).await?;
            opened.push(Inbound { body, ..one });
        }
        Ok(opened)
    }

    /// Everything that has not been handled yet, whenever it is looked at again: its name and its words. What cannot be opened names
    /// nobody that could still be found.
    pub async fn inbound_unhandled(&self) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str = "select id, body from inbound where handled_ms is null and body <> '' order by id";
        let found: Vec<(String, String)> = query_as(SQL)
            .fetch_all(self.reader())
            .await
            .during("read all that came in")?;
        let mut opened = Vec::with_capacity(found.len());
        for (id, body) in found {
            match self.unseal(body_of(&id), body).await {
                Ok(body) => opened.push((id, body)),
                Err(error) => log_unreadable(&error),
            }
        }
        Ok(opened)
    }

    /// What is to be looked at now, the oldest first, sealed as it is kept: one that does not open keeps no other waiting.
    pub async fn inbound_waiting(&self, now: Timestamp, limit: i64) -> Result<Vec<Inbound>, StoreError> {
        const SQL: &str = "
            select id, provider, body, received_ms from inbound
            where look_ms is not null and look_ms <= $1
            order by look_ms
            limit $2";
        query_as(SQL)
            .bind(now.as_millisecond())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read what came in")
    }

    /// What it says.
    pub async fn inbound_body(&self, sealed: &Inbound) -> Result<String, StoreError> {
        self.unseal(body_of(&sealed.id), sealed.body.clone()).await
    }

    /// Looks at it again after this instant.
    pub async fn look_again(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "update inbound set look_ms = $2 where id = $1 and look_ms is not null";
        let mut tx = self.begin().await?;
        query(SQL)
            .bind(id)
            .bind(at.as_millisecond())
            .execute(&mut *tx)
            .await
            .during("put off what came in")?;
        commit(tx, "put off what came in").await
    }

    /// Attempts whose report did not come in time; from now on none is awaited for them.
    pub async fn overdue_receipts(&self, now: Timestamp, limit: i64) -> Result<Vec<String>, StoreError> {
        const DUE: &str = "
            select id from attempts where receipt_ms is not null and receipt_ms <= $1 order by receipt_ms, id limit $2";
        const SQL: &str = "update attempts set receipt_ms = null where id = $1 and receipt_ms is not null";
        let due: Vec<String> = query_scalar(DUE)
            .bind(now.as_millisecond())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("find overdue receipts")?;
        if due.is_empty() {
            return Ok(due);
        }
        let mut found = Vec::with_capacity(due.len());
        let mut tx = self.begin().await?;
        for id in due {
            lock::attempt(&mut tx, &id).await?;
            let done = query(SQL).bind(&id).execute(&mut *tx).await;
            // One that another node has met meanwhile is its own.
            if done.during("note overdue receipts")?.rows_affected() > 0 {
                let reason = "72 小时没有送达回报 / no report on its delivery within 72 hours";
                note_fate(&mut tx, &id, Fate::NoReceipt, Some(reason), now).await?;
                found.push(id);
            }
        }
        commit(tx, "note overdue receipts").await?;
        Ok(found)
    }
}

async fn put(tx: &mut Tx, new: &[NewInbound], now: Timestamp) -> Result<u64, StoreError> {
    const SQL: &str = "
        insert into inbound (id, received_ms, provider, body, look_ms)
        select value ->> 'id', $2, value ->> 'provider', value ->> 'body', $2
        from json_each($1)
        where true
        on conflict (id) do nothing";
    let mut sealed = Vec::with_capacity(new.len());
    let mut new: Vec<&NewInbound> = new.iter().collect();
    new.sort_unstable_by_key(|one| &one.id);
    for one in new {
        // A number and what somebody wrote: nobody reads it from the file.
        let body = tx.seal(None, body_of(&one.id), &one.body).await?;
        sealed.push(NewInbound { body, ..one.clone() });
    }
    let done = query(SQL)
        .bind(json(&sealed))
        .bind(now.as_millisecond())
        .execute(&mut **tx)
        .await;
    Ok(done.during("keep what came in")?.rows_affected())
}

impl Store {
    /// The case that an SMS from this person belongs to, of the last one that went to them, else their newest, and since when it does: of
    /// several people with one number the latest of these is meant.
    pub async fn case_of_last_sms(
        &self,
        person: &PersonId,
        resident: &PersonId,
    ) -> Result<Option<(CaseId, When)>, StoreError> {
        const SENT: &str = "
            select case_id, sent_ms from reminders
            where way = 'sms' and sent_ms is not null and recipient = $1 and case_id <> ''
                and substr(recipient, 1, 7) = 'person:' -- as the index has it
            order by sent_ms desc limit 1";
        const NEWEST: &str = "select id, opened_ms from cases where resident = $1 order by opened_ms desc limit 1";
        let recipient = Recipient::Person(person.clone()).to_string();
        let ways: [Search<'_>; 2] = [
            (SENT, recipient.as_str(), When::Sent),
            (NEWEST, resident.as_str(), When::Opened),
        ];
        for (sql, name, when) in ways {
            let found: Option<(String, i64)> = query_as(sql)
                .bind(name)
                .fetch_optional(self.reader())
                .await
                .during("find the case of an SMS")?;
            if let Some((case, ms)) = found {
                return Ok(Some((case.into(), when(ms))));
            }
        }
        Ok(None)
    }
}

/// Nobody knows whose it is: kept as it came, and looked at by a person from now on.
pub async fn leave_for_people(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    query("update inbound set look_ms = null where id = $1 and handled_ms is null")
        .bind(id)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("leave what came in to people")
}

/// It has been handled. False when it was before: then nothing may be done for it again.
pub async fn mark_handled(tx: &mut Tx, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    // What somebody wrote is kept where it was put, not here.
    const SQL: &str = "
        update inbound set handled_ms = $2, look_ms = null, body = '' where id = $1 and handled_ms is null";
    let done = query(SQL)
        .bind(id)
        .bind(now.as_millisecond())
        .execute(&mut **tx)
        .await
        .during("note what has been handled")?;
    Ok(done.rows_affected() == 1)
}

/// The attempt that a report is about: by the gateway's name for it, else the last one under our own. A gateway may use its names again,
/// so what began long before the report, or after it, is another message.
pub async fn attempt_of(
    tx: &mut Tx,
    report: &Inbound,
    reference: Option<&str>,
    reminder: Option<&str>,
) -> Result<Option<(String, String)>, StoreError> {
    const BY_REFERENCE: &str = "
        select id, outcome from attempts
        where gateway = $1 and reference = $2 and gateway is not null and reference is not null
          and started_ms between $3 and $4
        order by started_ms desc limit 1";
    const BY_REMINDER: &str = "
        select id, outcome from attempts
        where reminder_id = $2 and gateway = $1 and started_ms between $3 and $4
        order by started_ms desc limit 1";
    let (first_ms, last_ms) = (
        report.received_ms - REPORTED_WITHIN.as_millis() as i64,
        report.received_ms + CLOCKS_APART.as_millis() as i64,
    );
    // A message whose words had changed went once more under `ID-2`.
    let first = reminder.and_then(|name| Some(name.rsplit_once('-')?.0));
    for (sql, name) in [(BY_REFERENCE, reference), (BY_REMINDER, reminder), (BY_REMINDER, first)] {
        let Some(name) = name else { continue };
        let found = query_as(sql)
            .bind(&report.provider)
            .bind(name)
            .bind(first_ms)
            .bind(last_ms)
            .fetch_optional(&mut **tx)
            .await;
        if let Some(found) = found.during("find the message of a report")? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether a message whose name at the gateway is not known yet had begun when this report came: the report may be about that one.
pub async fn may_be_about_another(tx: &mut Tx, report: &Inbound) -> Result<bool, StoreError> {
    const SQL: &str = "
        select count(*) from reminders join attempts on attempts.reminder_id = reminders.id
        where reminders.state = 'attempting' and reminders.state in ('claimed', 'attempting') -- as the index has it
          and attempts.outcome = 'attempting' and attempts.gateway = $1 and attempts.started_ms <= $2";
    let count: i64 = query_scalar(SQL)
        .bind(&report.provider)
        .bind(report.received_ms + CLOCKS_APART.as_millis() as i64)
        .fetch_one(&mut **tx)
        .await
        .during("look for messages under way")?;
    Ok(count > 0)
}

/// How long a report is awaited that may have come before what it is about.
pub const MATCH_WITHIN: SignedDuration = SignedDuration::from_hours(72);

/// No report comes later than this after its message: centres try for a week at the most.
const REPORTED_WITHIN: SignedDuration = SignedDuration::from_hours(14 * 24);

/// By so much the clock that saw a message leave and the one that saw its report come may differ.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(1);
