//! The hot path: claim, begin an attempt, record its outcome. Each is one short transaction over a whole batch.
//!
//! A claim is a lease; its epoch fences the *start* of an attempt. The outcome of an attempt is recorded whatever happened to the
//! lease: a late acceptance is still true.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::ids::CaseId;
use crate::domain::ladder::{Priority, Way};
use crate::store::cases::json;
use crate::store::db::{query, query_as, query_scalar};
use crate::store::holds::{self, Counted, Tally};
use crate::store::{During, Store, StoreError, Tx, commit, instant_of};

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
    /// The number of this batch, of all that this database ever began.
    pub serial: i64,
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
        // The plus keeps SQLite from the index on the instant, behind which it would sort all that is due for every batch.
        const DUE: &str = "
            update reminders
            set state = 'claimed', holder = $4, lease_until_ms = $5, epoch = epoch + 1
            where id in (
                select id from reminders
                where state = 'queued' and way = $1 and +not_before_ms <= $2 and crashes = 0
                order by -priority, valid_until_ms, id
                limit $3
            )
            returning id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                      reason_zh, reason_en";
        // Few at a time and seldom: these may be sorted.
        const PROBE: &str = "
            update reminders
            set state = 'claimed', holder = $4, lease_until_ms = $5, epoch = epoch + 1
            where id in (
                select id from reminders
                where state = 'queued' and way = $1 and not_before_ms <= $2 and crashes = 0
                order by epoch, priority desc, valid_until_ms, id
                limit $3
            )
            returning id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                      reason_zh, reason_en";
        // Critical is 2 or more; a literal, because only that finds the partial index.
        const FALLBACK: &str = "
            update reminders
            set state = 'claimed', holder = $4, lease_until_ms = $5, epoch = epoch + 1
            where id in (
                select id from reminders
                where state = 'queued' and way = $1 and not_before_ms <= $2 and priority >= 2 and fallback <> ''
                  and crashes = 0
                order by priority desc, valid_until_ms, id
                limit $3
            )
            returning id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                      reason_zh, reason_en";
        let mut tx = self.begin().await?;
        let claimed = query_as(match claim {
            Claim::Due => DUE,
            Claim::Probe => PROBE,
            Claim::Fallback => FALLBACK,
        })
        .bind(way.name())
        .bind(now.as_millisecond())
        .bind(limit)
        .bind(holder)
        .bind(lease_until.as_millisecond())
        .fetch_all(&mut *tx)
        .await;
        let mut claimed: Vec<Claimed> = claimed.during("claim reminders")?;
        commit(tx, "claim reminders").await?;
        // `returning` keeps no order.
        claimed.sort_by(|a, b| (-a.priority, a.valid_until_ms, &a.id).cmp(&(-b.priority, b.valid_until_ms, &b.id)));
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
        const CLAIM: &str = "
            update reminders
            set state = 'claimed', holder = $2, lease_until_ms = $3, epoch = epoch + 1
            where id = $1 and state = 'queued'
            returning id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                      reason_zh, reason_en";
        let next: Option<String> = query_scalar(NEXT)
            .bind(way.name())
            .bind(now.as_millisecond())
            .bind(i64::from(claim == Claim::Fallback))
            .fetch_optional(self.reader())
            .await
            .during("look for what runs may have died over")?;
        let Some(id) = next else { return Ok(None) };
        let mut tx = self.begin().await?;
        let claimed = query_as(CLAIM)
            .bind(id)
            .bind(holder)
            .bind(lease_until.as_millisecond())
            .fetch_optional(&mut *tx)
            .await
            .during("claim what runs may have died over")?;
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
        // The second condition says nothing new, but only by it SQLite finds the partial index.
        const ANY: &str = "
            select count(*) from reminders
            where state = 'claimed' and state in ('claimed', 'attempting') and lease_until_ms < $1";
        const SQL: &str = "
            update reminders set state = 'queued', holder = null, lease_until_ms = null
            where state = 'claimed' and state in ('claimed', 'attempting') and lease_until_ms < $1";
        self.change_due((ANY, SQL), now, "release expired claims").await
    }

    /// Prolongs claims that are still ours and have not become attempts.
    pub async fn renew(&self, leases: &[Lease], until: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "
            update reminders set lease_until_ms = $2
            from (select value ->> 'id' as id, cast(value ->> 'epoch' as bigint) as epoch from jsonb_each($1)) as ours
            where reminders.id = ours.id and reminders.epoch = ours.epoch and reminders.state = 'claimed'";
        let mut tx = self.begin().await?;
        query(SQL)
            .bind(json(&leases))
            .bind(until.as_millisecond())
            .execute(&mut *tx)
            .await
            .during("prolong claims")?;
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
        self.begin_counted(way, attempts, ("", &HashMap::new()), now).await
    }

    /// The same, and what starts is counted by the guard, as `counted` says of each reminder, on the local day.
    pub async fn begin_counted(
        &self,
        way: Way,
        attempts: &[NewAttempt],
        (day, counted): (&str, &HashMap<String, Counted>),
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        // Here and in `record`: not materialized, every object of the list would be copied for each of its columns.
        const FENCE: &str = "
            update reminders
            set state = 'attempting', tries = tries + 1, sent_ms = $2
            from (
                with given as materialized (select value from jsonb_each($1))
                select
                    value ->> 'reminder_id' as id,
                    cast(value ->> 'epoch' as bigint) as epoch,
                    cast(value ->> 'case_version' as bigint) as case_version
                from given
            ) as new
            where reminders.id = new.id
              and reminders.state = 'claimed'
              and reminders.epoch = new.epoch
              -- a test message is its maker's without a lease
              and coalesce(reminders.lease_until_ms, $3) >= $3
              and (new.case_version is null
                   or new.case_version = (select version from cases where cases.id = reminders.case_id))
            returning reminders.id";
        const INSERT: &str = "
            insert into attempts
                (id, reminder_id, epoch, way, started_ms, wire_id, wire_sha256, gateway, receipt_ms, outcome, judged_ms)
            with given as materialized (select value from jsonb_each($1))
            select
                value ->> 'id', value ->> 'reminder_id', cast(value ->> 'epoch' as bigint), $2, $3,
                value ->> 'wire_id', value ->> 'wire_sha256', value ->> 'gateway', cast(value ->> 'receipt_ms' as bigint),
                'attempting', cast(value ->> 'judged_ms' as bigint)
            from given";
        const SERIAL: &str = "
            insert into meta (name, value) values ('sent_serial', '1')
            on conflict (name) do update set value = cast(cast(meta.value as bigint) + 1 as text)
            returning cast(value as bigint)";
        let mut tx = self.begin().await?;
        let started: Vec<String> = query_scalar(FENCE)
            .bind(json(&attempts))
            .bind(now.as_millisecond())
            .bind(now.as_millisecond().saturating_add(LEASE_LEFT_MIN_MS))
            .fetch_all(&mut *tx)
            .await
            .during("start attempts")?;
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
        query(INSERT)
            .bind(json(&starting))
            .bind(way.name())
            .bind(now.as_millisecond())
            .execute(&mut *tx)
            .await
            .during("record attempts")?;
        let serial: i64 = query_scalar(SERIAL)
            .fetch_one(&mut *tx)
            .await
            .during("number a batch")?;
        let tally = Tally::of(starting.iter().filter_map(|attempt| counted.get(&attempt.reminder_id)));
        holds::count(&mut tx, day, way.name(), &tally, now).await?;
        commit(tx, "record attempts").await?;
        let started = starting.into_iter().map(|attempt| attempt.id).collect();
        Ok(Begun { started, serial })
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

/// Writes what came of claimed reminders. The state moves only from a claim of the same epoch; an attempt's outcome is recorded
/// whatever became of the lease.
pub async fn record(tx: &mut Tx, verdicts: &[Verdict]) -> Result<(), StoreError> {
    const REMINDERS: &str = "
        update reminders
        set state = new.state,
            not_before_ms = coalesce(new.not_before_ms, reminders.not_before_ms),
            reason_zh = coalesce(new.reason_zh, reminders.reason_zh),
            reason_en = coalesce(new.reason_en, reminders.reason_en),
            tries = reminders.tries - (case when new.attempt is not null and new.charged = 0 then 1 else 0 end),
            closed_ms = new.closed_ms,
            -- it came through: whatever ended the program was something else
            crashes = 0,
            -- what it waited for is over; what waits again is marked after this
            hold = null,
            holder = null,
            lease_until_ms = null
        from (
            with given as materialized (select value from jsonb_each($1))
            select
                value ->> 'id' as id,
                cast(value ->> 'epoch' as bigint) as epoch,
                value ->> 'state' as state,
                cast(value ->> 'not_before_ms' as bigint) as not_before_ms,
                value ->> 'reason_zh' as reason_zh,
                value ->> 'reason_en' as reason_en,
                cast(value ->> 'charged' as bigint) as charged,
                cast(value ->> 'closed_ms' as bigint) as closed_ms,
                jsonb_extract(value, '$.attempt.id') as attempt
            from given
        ) as new
        where reminders.id = new.id
          and reminders.epoch = new.epoch
          and reminders.state in ('claimed', 'attempting')";
    const ATTEMPTS: &str = "
        update attempts
        set outcome = new.outcome, ended_ms = new.ended_ms, blame = new.blame, reference = new.reference, reason = new.reason,
            provider = new.provider,
            ask_ms = new.ask_ms
        from (
            with given as materialized (select jsonb_extract(value, '$.attempt') as attempt from jsonb_each($1))
            select
                attempt ->> 'id' as id,
                cast(attempt ->> 'ended_ms' as bigint) as ended_ms,
                attempt ->> 'outcome' as outcome,
                attempt ->> 'blame' as blame,
                attempt ->> 'reference' as reference,
                attempt ->> 'reason' as reason,
                attempt ->> 'provider' as provider,
                cast(attempt ->> 'ask_ms' as bigint) as ask_ms
            from given
            where attempt ->> 'id' is not null
        ) as new
        where attempts.id = new.id and attempts.outcome = 'attempting'";
    if verdicts.is_empty() {
        return Ok(());
    }
    let list = json(&verdicts);
    query(REMINDERS)
        .bind(&list)
        .execute(&mut **tx)
        .await
        .during("record outcomes")?;
    if verdicts.iter().any(|verdict| verdict.attempt.is_some()) {
        query(ATTEMPTS)
            .bind(&list)
            .execute(&mut **tx)
            .await
            .during("record the outcomes of attempts")?;
    }
    Ok(())
}
