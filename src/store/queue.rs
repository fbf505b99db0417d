//! The hot path: claim, begin an attempt, record its outcome. Each is one short transaction over a whole batch.
//!
//! A claim is a lease; its epoch fences the *start* of an attempt. The outcome of an attempt is recorded whatever happened to the
//! lease: a late acceptance is still true. Each database does it in its own way (`queue_sqlite`, `queue_postgres`); a lease runs by the
//! clock of the daemon on SQLite, and by that of the server, which is the same for all nodes, on PostgreSQL.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::ids::CaseId;
use crate::domain::ladder::{Priority, Way};
use crate::store::cases::json;
use crate::store::db::{Pool, query, query_as, query_scalar};
use crate::store::grounds::{self, Grounds};
use crate::store::holds::{self, Tally};
use crate::store::runs::serial_row;
use crate::store::{During, Store, StoreError, Tx, commit, instant_of, queue_postgres, queue_sqlite, repeated};

/// A reminder claimed for sending.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Claimed {
    pub id: String,
    pub case_id: String,
    pub mark: String,
    pub recipient: String,
    pub text: String,
    pub priority: i64,
    pub due_ms: i64,
    pub decided_ms: i64,
    pub valid_until_ms: i64,
    pub fallback: String,
    pub tries: i64,
    pub epoch: i64,
    pub reason_zh: String,
    pub reason_en: String,
}

/// A queued row, and when it may go.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Waiting {
    #[sqlx(flatten)]
    pub claimed: Claimed,
    pub way: String,
    pub not_before_ms: i64,
}

/// A message to a resident or relative.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Told {
    pub recipient: String,
    pub case_id: String,
    pub way: String,
}

/// The right to send one reminder, until somebody else takes it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    pub id: String,
    pub epoch: i64,
}

impl Lease {
    pub fn of(claimed: &Claimed) -> Self {
        Self {
            id: claimed.id.clone(),
            epoch: claimed.epoch,
        }
    }
}

/// Which reminders a claim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Most pressing first, then the one that goes stale first.
    Due,
    /// To see whether a provider is back: the one that was claimed least often, so that no single message can be in the way for ever.
    Probe,
    /// While the provider is down: only what is critical and has another way to go.
    Fallback,
}

// The statements below write it as a literal.
const _: () = assert!(
    Priority::Critical as i64 == 2,
    "critical is 2 in SQL and in the index reminders_fallback"
);

/// A lease that ends sooner lets no attempt start: another run might take the reminder over while this one is at it.
pub const LEASE_LEFT_MIN_MS: i64 = 20_000;

/// An attempt that is about to start.
#[derive(Debug, Clone, Serialize)]
pub struct NewAttempt {
    pub id: String,
    pub reminder_id: String,
    pub epoch: i64,
    /// The version of the case that was judged; `None` for messages that belong to no case.
    pub case_version: Option<i64>,
    pub wire_id: String,
    /// Of the bytes. It is kept under the hall's key: they hold a number or an address, which could be tried out.
    pub wire_sha256: String,
    /// The instant at which it was judged and rendered; `None` for what is not judged, such as a test message.
    pub judged_ms: Option<i64>,
    /// By which of several gateways, and until when its report is awaited.
    pub gateway: Option<String>,
    pub receipt_ms: Option<i64>,
}

/// What came of a claimed reminder.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub id: String,
    pub epoch: i64,
    /// The state the row goes to.
    pub state: &'static str,
    pub not_before_ms: Option<i64>,
    pub reason_zh: Option<String>,
    pub reason_en: Option<String>,
    /// 0 when the try is charged to nobody (a fault of the provider).
    pub charged: i64,
    /// Closed for good.
    pub closed_ms: Option<i64>,
    /// The attempt that ended; `None` when none was started.
    pub attempt: Option<EndedAttempt>,
}

#[derive(Debug, Clone, Serialize)]
pub struct EndedAttempt {
    pub id: String,
    pub ended_ms: i64,
    pub outcome: &'static str,
    pub blame: Option<&'static str>,
    pub reference: Option<String>,
    pub reason: Option<String>,
    /// The name in the settings of the provider that was asked.
    pub provider: Option<String>,
    /// When the provider is asked what became of it.
    pub ask_ms: Option<i64>,
}

/// Attempts that are recorded and may start now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begun {
    /// Their ids.
    pub started: HashSet<String>,
    /// The number of this batch, of all that this node ever began on this database.
    pub serial: i64,
    /// Another node has counted, held or paused meanwhile: nothing of the batch started, and what it was judged by has to be read again.
    pub is_stale: bool,
}

/// Who claims what by when, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) way: Way,
    pub(super) now: Timestamp,
    pub(super) holder: &'a str,
    pub(super) lease_until: Timestamp,
}

/// How attempts start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Started {
    pub(super) way: Way,
    pub(super) now_ms: i64,
    pub(super) lease_left_ms: i64,
}

/// How long it is from one instant to another.
pub(super) fn span_ms(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond().saturating_sub(from.as_millisecond())
}

/// States in which somebody or something still has to act.
pub const LIVE_STATES: [&str; 6] = ["queued", "claimed", "attempting", "task", "held", "uncertain"];

/// The oldest of what one way still has to send.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Wait {
    pub way: String,
    /// Since when the first of them may go; in the future when all of them wait.
    pub not_before_ms: i64,
    pub due_ms: i64,
}

impl Store {
    /// Leases up to `limit` reminders of one way whose time has come.
    pub async fn claim_due(
        &self,
        way: Way,
        claim: Claim,
        now: Timestamp,
        limit: i64,
        holder: &str,
        lease_until: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        let asked = Asked {
            way,
            now,
            holder,
            lease_until,
        };
        let mut claimed = repeated(|| self.try_claim_due(claim, asked, limit)).await?;
        // `returning` keeps no order.
        claimed.sort_by(|a, b| (-a.priority, a.valid_until_ms, &a.id).cmp(&(-b.priority, b.valid_until_ms, &b.id)));
        Ok(claimed)
    }

    async fn try_claim_due(&self, claim: Claim, asked: Asked<'_>, limit: i64) -> Result<Vec<Claimed>, StoreError> {
        let mut tx = self.begin().await?;
        let claimed = if tx.is_shared() {
            queue_postgres::claim_due(&mut tx, claim, &asked, limit).await?
        } else {
            queue_sqlite::claim_due(&mut tx, claim, &asked, limit).await?
        };
        commit(tx, "claim reminders").await?;
        Ok(claimed)
    }

    /// Leases one reminder that runs may have died over, the least suspicious first. These are never claimed with others; while the
    /// provider is down, only what is critical and has another way to go.
    pub async fn claim_suspect(
        &self,
        way: Way,
        claim: Claim,
        now: Timestamp,
        holder: &str,
        lease_until: Timestamp,
    ) -> Result<Option<Claimed>, StoreError> {
        // Asked first, because there is hardly ever one and the write lock is everybody's.
        const NEXT: &str = "
            select id from reminders
            where state = 'queued' and way = $1 and crashes > 0 and not_before_ms <= $2
              and (cast($3 as bigint) = 0 or priority >= 2 and fallback <> '')
            order by crashes, priority desc, valid_until_ms, id
            limit 1";
        let next: Option<String> = query_scalar(NEXT)
            .bind(way.name())
            .bind(now.as_millisecond())
            .bind(i64::from(claim == Claim::Fallback))
            .fetch_optional(self.reader())
            .await
            .during("look for what runs may have died over")?;
        let Some(id) = next else { return Ok(None) };
        let mut tx = self.begin().await?;
        let asked = Asked {
            way,
            now,
            holder,
            lease_until,
        };
        let claimed = if tx.is_shared() {
            queue_postgres::claim_one(&mut tx, &id, &asked).await?
        } else {
            queue_sqlite::claim_one(&mut tx, &id, &asked).await?
        };
        commit(tx, "claim what runs may have died over").await?;
        Ok(claimed)
    }

    /// Lets reminders that were held because runs died over them be tried again, alone. Returns how many.
    pub async fn release_suspects(&self) -> Result<u64, StoreError> {
        const SQL: &str = "
            update reminders set state = 'queued', crashes = 1
            where state in ('refused', 'uncertain', 'held', 'bounced', 'no_receipt') and state = 'held' and crashes > 0";
        let mut tx = self.begin().await?;
        let done = query(SQL)
            .execute(&mut *tx)
            .await
            .during("release what runs died over")?;
        commit(tx, "release what runs died over").await?;
        Ok(done.rows_affected())
    }

    /// When the next queued reminder of a way may go.
    pub async fn next_not_before(&self, way: Way) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "
            select not_before_ms from reminders
            where state = 'queued' and way = $1
            order by not_before_ms
            limit 1";
        let next = query_scalar::<i64>(SQL)
            .bind(way.name())
            .fetch_optional(self.reader())
            .await;
        Ok(next.during("find the next reminder to send")?.map(instant_of))
    }

    /// How many rows each live state holds, by way. Every part reads a partial index: the size of the ledger does not matter.
    pub async fn queue_counts(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        const SQL: &str = "
            select way, state, count(*) from reminders where state = 'queued' group by way, state
            union all
            select way, state, count(*) from reminders where state in ('claimed', 'attempting') group by way, state
            union all
            select way, state, count(*) from reminders where state = 'task' group by way, state
            union all
            select way, state, count(*) from reminders
            where state in ('refused', 'uncertain', 'held', 'bounced', 'no_receipt') and state in ('held', 'uncertain')
            group by way, state
            order by way, state";
        query_as(SQL).fetch_all(self.reader()).await.during("count the queue")
    }

    /// The oldest of the queue, by way.
    pub async fn queue_waits(&self) -> Result<Vec<Wait>, StoreError> {
        const SQL: &str = "
            select way, min(not_before_ms) as not_before_ms, min(due_ms) as due_ms
            from (
                select way, not_before_ms, due_ms from reminders where state = 'queued'
                union all
                select way, not_before_ms, due_ms from reminders where state in ('claimed', 'attempting')
            ) as live
            group by way
            order by way";
        query_as(SQL)
            .fetch_all(self.reader())
            .await
            .during("find the oldest of the queue")
    }

    /// When the next queued reminder of a way may go that is critical and has another way to go.
    pub async fn next_fallback(&self, way: Way) -> Result<Option<Timestamp>, StoreError> {
        // A literal, because only that finds the partial index.
        const SQL: &str = "
            select not_before_ms from reminders
            where state = 'queued' and way = $1 and priority >= 2 and fallback <> ''
            order by not_before_ms
            limit 1";
        let next = query_scalar::<i64>(SQL)
            .bind(way.name())
            .fetch_optional(self.reader())
            .await;
        Ok(next.during("find the next critical reminder")?.map(instant_of))
    }

    /// Puts claims back that nobody has followed up in time. An attempt that had begun is left alone: its outcome may still come.
    pub async fn release_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        let now_ms = now.as_millisecond();
        // Looked for first, because there is hardly ever any.
        let any = match self.reader() {
            reader @ Pool::Sqlite(_) => queue_sqlite::any_expired(reader, now_ms).await?,
            reader @ Pool::Postgres(_) => queue_postgres::any_expired(reader).await?,
        };
        if !any {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let released = if tx.is_shared() {
            queue_postgres::release_expired(&mut tx).await?
        } else {
            queue_sqlite::release_expired(&mut tx, now_ms).await?
        };
        commit(tx, "release expired claims").await?;
        Ok(released)
    }

    /// Prolongs claims that are still ours and have not become attempts, from `now` on until an instant.
    pub async fn renew(&self, leases: &[Lease], now: Timestamp, until: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if tx.is_shared() {
            queue_postgres::renew(&mut tx, leases, span_ms(now, until)).await?;
        } else {
            queue_sqlite::renew(&mut tx, leases, until.as_millisecond()).await?;
        }
        commit(tx, "prolong claims").await
    }

    /// How many attempts at a reminder have ended without anybody knowing whether it went out.
    pub async fn doubts(&self, reminder: &str) -> Result<i64, StoreError> {
        const SQL: &str = "select count(*) from attempts where reminder_id = $1 and outcome = 'uncertain'";
        query_scalar(SQL)
            .bind(reminder)
            .fetch_one(self.reader())
            .await
            .during("count the attempts in doubt")
    }

    /// Records that these attempts start now, durably, before any of them has an effect. They may start when the lease is still ours
    /// and has time left, and the case is unchanged since it was judged.
    pub async fn begin_attempts(&self, way: Way, attempts: &[NewAttempt], now: Timestamp) -> Result<Begun, StoreError> {
        self.begin_counted(way, attempts, &Grounds::default(), now).await
    }

    /// The same, and what starts is counted by the guard. Nothing starts of a batch whose grounds hold no more: it is judged again.
    pub async fn begin_counted(
        &self,
        way: Way,
        attempts: &[NewAttempt],
        grounds: &Grounds,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        repeated(|| self.try_begin(way, attempts, grounds, now)).await
    }

    async fn try_begin(
        &self,
        way: Way,
        attempts: &[NewAttempt],
        grounds: &Grounds,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        const SERIAL: &str = "
            insert into meta (name, value) values ($1, '1')
            on conflict (name) do update set value = cast(cast(meta.value as bigint) + 1 as text)
            returning cast(value as bigint)";
        let mut tx = self.begin().await?;
        let start = Started {
            way,
            now_ms: now.as_millisecond(),
            lease_left_ms: LEASE_LEFT_MIN_MS,
        };
        let told = grounds::told_meanwhile(&mut tx, grounds).await?;
        let attempts = attempts.iter().filter(|attempt| !told.contains(&attempt.reminder_id));
        let attempts: Vec<NewAttempt> = attempts.cloned().collect();
        let started = if tx.is_shared() {
            queue_postgres::start(&mut tx, &attempts, start).await?
        } else {
            queue_sqlite::start(&mut tx, &attempts, start).await?
        };
        let started: HashSet<String> = started.into_iter().collect();
        let ring = tx.ring();
        let starting: Vec<NewAttempt> = attempts
            .iter()
            .filter(|attempt| started.contains(&attempt.reminder_id))
            .map(|attempt| NewAttempt {
                wire_sha256: ring.wire_sum(&attempt.wire_sha256),
                ..attempt.clone()
            })
            .collect();
        if tx.is_shared() {
            queue_postgres::insert(&mut tx, &starting, start).await?;
        } else {
            queue_sqlite::insert(&mut tx, &starting, start).await?;
        }
        let serial: i64 = query_scalar(SERIAL)
            .bind(serial_row(&tx.node))
            .fetch_one(&mut *tx)
            .await
            .during("number a batch")?;
        let counted = starting
            .iter()
            .filter_map(|attempt| grounds.counted.get(&attempt.reminder_id));
        let tally = Tally::of(counted);
        holds::count(&mut tx, &grounds.day, way.name(), &tally, now).await?;
        if !starting.is_empty() && !grounds::still_hold(&mut tx, way, grounds, &tally).await? {
            tx.rollback().await?;
            return Ok(Begun {
                is_stale: true,
                ..Begun::default()
            });
        }
        commit(tx, "record attempts").await?;
        let started = starting.into_iter().map(|attempt| attempt.id).collect();
        Ok(Begun {
            started,
            serial,
            is_stale: false,
        })
    }

    /// What is queued already for these cases and has not left yet.
    pub async fn waiting_of(&self, cases: &[&CaseId]) -> Result<Vec<Waiting>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                   reason_zh, reason_en, way, not_before_ms
            from reminders
            where case_id in (select value from json_each($1)) and state in ('queued', 'claimed')
            order by id";
        query_as(SQL)
            .bind(json(&cases))
            .fetch_all(self.reader())
            .await
            .during("read what is queued")
    }

    /// What these residents and relatives have been told since `since` or are about to be.
    pub async fn told_since(&self, recipients: &[&str], since: Timestamp) -> Result<Vec<Told>, StoreError> {
        // The last condition says nothing new, but only by it SQLite finds the partial index.
        const SQL: &str = "
            select recipient, case_id, way from reminders
            where recipient in (select value from json_each($1)) and sent_ms >= $2
              and state in ('attempting', 'accepted', 'delivered', 'uncertain', 'no_receipt')
              and sent_ms is not null and substr(recipient, 1, 7) = 'person:'";
        query_as(SQL)
            .bind(json(&recipients))
            .bind(since.as_millisecond())
            .fetch_all(self.reader())
            .await
            .during("count the messages of the day")
    }
}

/// Which of these are in hand still as they were claimed. Once they are written they are not: a write whose answer was lost may have
/// been done.
pub async fn in_hand(tx: &mut Tx, verdicts: &[Verdict]) -> Result<HashSet<String>, StoreError> {
    const SQL: &str = "
        select reminders.id
        from reminders
        join (select value ->> 'id' as id, cast(value ->> 'epoch' as bigint) as epoch from jsonb_each($1)) as given
            on reminders.id = given.id and reminders.epoch = given.epoch
        where reminders.state in ('claimed', 'attempting')
        order by reminders.id
        limit 100000";
    let leases: Vec<Lease> = verdicts
        .iter()
        .map(|verdict| Lease {
            id: verdict.id.clone(),
            epoch: verdict.epoch,
        })
        .collect();
    let found: Vec<String> = query_scalar(SQL)
        .bind(json(&leases))
        .fetch_all(&mut **tx)
        .await
        .during("look what is in hand still")?;
    Ok(found.into_iter().collect())
}

/// Writes what came of claimed reminders. The state moves only from a claim of the same epoch; an attempt's outcome is recorded
/// whatever became of the lease.
pub async fn record(tx: &mut Tx, verdicts: &[Verdict]) -> Result<(), StoreError> {
    if verdicts.is_empty() {
        return Ok(());
    }
    if tx.is_shared() {
        queue_postgres::record(tx, verdicts).await
    } else {
        queue_sqlite::record(tx, verdicts).await
    }
}
