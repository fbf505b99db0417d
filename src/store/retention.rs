//! Records whose period is over: which they are, and how they go. Nothing here touches a case that is open or that anything may still
//! come of. Of what goes, the number and one hash over all of it stay.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::FromRow;

use crate::domain::ids::PersonId;
use crate::store::cases::json;
use crate::store::db::{query, query_as, query_scalar};
use crate::store::lock::{self, Lock};
use crate::store::{During, Store, StoreError, Tx};

/// What was taken away in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    pub rows: u64,
    /// SHA-256 over all of them, in the order of their ids.
    pub sum: String,
}

/// A closed case whose period is over.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OldCase {
    pub id: String,
    pub resident: String,
}

struct Tally {
    rows: u64,
    hash: Sha256,
}

impl Tally {
    fn new() -> Self {
        Self {
            rows: 0,
            hash: Sha256::new(),
        }
    }

    fn add(&mut self, parts: &[&str]) {
        self.rows += 1;
        for part in parts {
            self.hash
                .update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.hash.update(part.as_bytes());
        }
    }

    fn gone(self) -> Gone {
        Gone {
            rows: self.rows,
            sum: hex::encode(self.hash.finalize()),
        }
    }
}

/// Closed, with nothing planned or under way, and nothing has happened to it since `$1`.
const OLD_CASES: &str = "
    select id, resident from cases
    where status = 'closed' and live = 0 and wake_ms is null and id > $2 and opened_ms < $1
      and not exists (
          select 1 from events
          where events.case_id = cases.id and events.kind = 'fact' and events.at_ms >= $1)
      and not exists (
          select 1 from reminders
          where reminders.case_id = cases.id
            and reminders.state in ('queued', 'claimed', 'attempting', 'held', 'task'))
    order by id
    limit $3";

/// Attempts that ended before `$1`, of messages of no case or of cases as above.
const OLD_ATTEMPTS: &str = "
    select a.id, a.wire_sha256, a.outcome
    from attempts a
    join reminders r on r.id = a.reminder_id
    left join cases c on c.id = r.case_id
    where a.ended_ms < $1
      and r.state not in ('queued', 'claimed', 'attempting', 'held', 'task')
      and (r.case_id = '' or (c.status = 'closed' and c.live = 0 and c.wake_ms is null))
    order by a.ended_ms, a.id
    limit $2";

/// Decisions of no case, such as digests, of which no attempt is left.
const OLD_DIGESTS: &str = "
    select id, mark, state from reminders
    where case_id = '' and decided_ms < $1
      and state not in ('queued', 'claimed', 'attempting', 'held', 'task')
      and not exists (select 1 from attempts where attempts.reminder_id = reminders.id)
    order by id
    limit $2";

/// What has been dealt with; and mail that nobody made sense of in all that time.
const OLD_INBOUND: &str = "
    select id, provider, body from inbound
    where (handled_ms is not null or provider = 'mail:returned') and received_ms < $1
    order by id
    limit $2";

/// From numbers that no case knows, left to people; nobody has said that they are dealt with.
const OLD_STRANGERS: &str = "
    select id, provider, body from inbound
    where handled_ms is null and look_ms is null and provider <> 'mail:returned' and received_ms < $1
    order by id
    limit $2";

impl Store {
    /// The next of the closed cases whose period is over, by their numbers.
    pub async fn old_cases(&self, before: Timestamp, after: &str, limit: i64) -> Result<Vec<OldCase>, StoreError> {
        query_as(OLD_CASES)
            .bind(before.as_millisecond())
            .bind(after)
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("find old cases")
    }

    /// How many attempts, inbound texts, texts of strangers and views would go, each at most `limit`.
    pub async fn old_rows(
        &self,
        [attempts, inbound, inbox, access]: [Timestamp; 4],
        limit: i64,
    ) -> Result<[u64; 4], StoreError> {
        const ACCESS: &str = "
            select count(*) from (
                select 1 from events
                where kind = 'access' and purge is null and form = 2 and at_ms < $1
                limit $2) as old";
        let action = "count old records";
        let mut rows = [0; 3];
        let finds = [(OLD_ATTEMPTS, attempts), (OLD_INBOUND, inbound), (OLD_STRANGERS, inbox)];
        for (count, (find, before)) in rows.iter_mut().zip(finds) {
            let found: Vec<(String, String, String)> = query_as(find)
                .bind(before.as_millisecond())
                .bind(limit)
                .fetch_all(self.reader())
                .await
                .during(action)?;
            *count = found.len() as u64;
        }
        let views: i64 = query_scalar(ACCESS)
            .bind(access.as_millisecond())
            .bind(limit)
            .fetch_one(self.reader())
            .await
            .during(action)?;
        let [attempts, inbound, inbox] = rows;
        Ok([attempts, inbound, inbox, u64::try_from(views).unwrap_or(0)])
    }
}

/// Takes these cases away with all that hangs on them. Whoever is looked at again meanwhile stays: the same conditions count once more.
pub async fn take_cases(
    tx: &mut Tx,
    before: Timestamp,
    after: &str,
    limit: i64,
) -> Result<(Gone, Vec<OldCase>), StoreError> {
    const FACTS: &str = "
        select id, facts from cases
        where id in (select value from json_each($1))
        order by id";
    const DELETE: [&str; 5] = [
        "delete from attempts where reminder_id in (
             select id from reminders where case_id in (select value from json_each($1)))",
        "delete from reminders where case_id in (select value from json_each($1))",
        "delete from agenda where case_id in (select value from json_each($1))",
        "delete from labels where case_id in (select value from json_each($1))",
        "delete from cases where id in (select value from json_each($1))",
    ];
    let action = "take old cases away";
    Lock::Purge.hold(tx).await?;
    let mut old = old_cases_in(tx, before, after, limit).await?;
    if tx.is_shared() {
        let residents: Vec<&str> = old.iter().map(|case| case.resident.as_str()).collect();
        lock::people(tx, &residents).await?;
        old = old_cases_in(tx, before, after, limit).await?;
    }
    let ids: Vec<&str> = old.iter().map(|case| case.id.as_str()).collect();
    let ids = json(&ids);
    let facts: Vec<(String, String)> = query_as(FACTS).bind(&ids).fetch_all(&mut **tx).await.during(action)?;
    let mut tally = Tally::new();
    for (id, facts) in &facts {
        tally.add(&[id, facts]);
    }
    for sql in DELETE {
        query(sql).bind(&ids).execute(&mut **tx).await.during(action)?;
    }
    Ok((tally.gone(), old))
}

async fn old_cases_in(tx: &mut Tx, before: Timestamp, after: &str, limit: i64) -> Result<Vec<OldCase>, StoreError> {
    query_as(OLD_CASES)
        .bind(before.as_millisecond())
        .bind(after)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await
        .during("find old cases")
}

/// Which of these residents have no case any more: nothing asks for them to be kept.
pub async fn without_case(tx: &mut Tx, residents: &[&str]) -> Result<Vec<PersonId>, StoreError> {
    const SQL: &str = "
        select value from json_each($1)
        where not exists (select 1 from cases where cases.resident = value)
        order by value";
    let ids: Vec<String> = query_scalar(SQL)
        .bind(json(&residents))
        .fetch_all(&mut **tx)
        .await
        .during("find who has no case left")?;
    Ok(ids.into_iter().map(PersonId::from).collect())
}

/// Takes the records of these residents and of their relatives away.
pub async fn take_people(tx: &mut Tx, residents: &[PersonId]) -> Result<(), StoreError> {
    const RELATIVES: &str = "delete from people where relative_of in (select value from json_each($1))";
    const RESIDENTS: &str = "delete from people where id in (select value from json_each($1))";
    for sql in [RELATIVES, RESIDENTS] {
        let done = query(sql).bind(json(&residents)).execute(&mut **tx).await;
        done.during("take people away")?;
    }
    Ok(())
}

/// Takes old attempts away, and digests that then have none. The decisions of cases stay with their cases: by them nothing is sent twice
/// should one be reopened.
pub async fn take_deliveries(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<Gone, StoreError> {
    const DELETE: [(&str, &str); 2] = [
        (
            OLD_ATTEMPTS,
            "delete from attempts where id in (select value from json_each($1))",
        ),
        (
            OLD_DIGESTS,
            "delete from reminders where id in (select value from json_each($1))",
        ),
    ];
    let mut tally = Tally::new();
    for (find, delete) in DELETE {
        take(tx, &mut tally, (find, delete), before, limit).await?;
    }
    Ok(tally.gone())
}

const DELETE_INBOUND: &str = "delete from inbound where id in (select value from json_each($1))";

/// Takes inbound texts and receipts that have been dealt with away, and mail that came back.
pub async fn take_inbound(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<Gone, StoreError> {
    let mut tally = Tally::new();
    take(tx, &mut tally, (OLD_INBOUND, DELETE_INBOUND), before, limit).await?;
    Ok(tally.gone())
}

/// Takes SMS of unknown numbers away that were left to people.
pub async fn take_strangers(tx: &mut Tx, before: Timestamp, limit: i64) -> Result<Gone, StoreError> {
    let mut tally = Tally::new();
    take(tx, &mut tally, (OLD_STRANGERS, DELETE_INBOUND), before, limit).await?;
    Ok(tally.gone())
}

async fn take(
    tx: &mut Tx,
    tally: &mut Tally,
    (find, delete): (&'static str, &'static str),
    before: Timestamp,
    limit: i64,
) -> Result<(), StoreError> {
    let action = "take old records away";
    Lock::Purge.hold(tx).await?;
    let rows: Vec<(String, String, String)> = query_as(find)
        .bind(before.as_millisecond())
        .bind(limit)
        .fetch_all(&mut **tx)
        .await
        .during(action)?;
    let ids: Vec<&str> = rows.iter().map(|(id, ..)| id.as_str()).collect();
    for (id, one, other) in &rows {
        tally.add(&[id, one, other]);
    }
    query(delete)
        .bind(json(&ids))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during(action)
}
