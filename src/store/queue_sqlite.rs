//! The hot path on SQLite: one daemon, which waits for nobody.

use crate::store::cases::json;
use crate::store::db::{Pool, query, query_as, query_scalar};
use crate::store::queue::{Asked, Claim, Claimed, Lease, NewAttempt, Started, Verdict};
use crate::store::{During as _, StoreError, Tx};

pub(super) async fn claim_due(
    tx: &mut Tx,
    claim: Claim,
    asked: &Asked<'_>,
    limit: i64,
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
    query_as(match claim {
        Claim::Due => DUE,
        Claim::Probe => PROBE,
        Claim::Fallback => FALLBACK,
    })
    .bind(asked.way.name())
    .bind(asked.now.as_millisecond())
    .bind(limit)
    .bind(asked.holder)
    .bind(asked.lease_until.as_millisecond())
    .fetch_all(&mut **tx)
    .await
    .during("claim reminders")
}

pub(super) async fn claim_one(tx: &mut Tx, id: &str, asked: &Asked<'_>) -> Result<Option<Claimed>, StoreError> {
    const SQL: &str = "
        update reminders
        set state = 'claimed', holder = $2, lease_until_ms = $3, epoch = epoch + 1
        where id = $1 and state = 'queued'
        returning id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    query_as(SQL)
        .bind(id)
        .bind(asked.holder)
        .bind(asked.lease_until.as_millisecond())
        .fetch_optional(&mut **tx)
        .await
        .during("claim what runs may have died over")
}

pub(super) async fn any_expired(pool: &Pool, now_ms: i64) -> Result<bool, StoreError> {
    // The second condition says nothing new, but only by it SQLite finds the partial index; here and below.
    const SQL: &str = "
        select count(*) from reminders
        where state = 'claimed' and state in ('claimed', 'attempting') and lease_until_ms < $1";
    let any: i64 = query_scalar(SQL)
        .bind(now_ms)
        .fetch_one(pool)
        .await
        .during("look for expired claims")?;
    Ok(any > 0)
}

pub(super) async fn release_expired(tx: &mut Tx, now_ms: i64) -> Result<u64, StoreError> {
    const SQL: &str = "
        update reminders set state = 'queued', holder = null, lease_until_ms = null
        where state = 'claimed' and state in ('claimed', 'attempting') and lease_until_ms < $1";
    let done = query(SQL).bind(now_ms).execute(&mut **tx).await;
    Ok(done.during("release expired claims")?.rows_affected())
}

pub(super) async fn renew(tx: &mut Tx, leases: &[Lease], until_ms: i64) -> Result<(), StoreError> {
    const SQL: &str = "
        update reminders set lease_until_ms = $2
        from (select value ->> 'id' as id, cast(value ->> 'epoch' as bigint) as epoch from jsonb_each($1)) as ours
        where reminders.id = ours.id and reminders.epoch = ours.epoch and reminders.state = 'claimed'";
    let done = query(SQL).bind(json(&leases)).bind(until_ms).execute(&mut **tx).await;
    done.map(|_| ()).during("prolong claims")
}

pub(super) async fn start(tx: &mut Tx, attempts: &[NewAttempt], started: Started) -> Result<Vec<String>, StoreError> {
    // Here and below: not materialized, every object of the list would be copied for each of its columns.
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
    query_scalar(FENCE)
        .bind(json(&attempts))
        .bind(started.now_ms)
        .bind(started.now_ms.saturating_add(started.lease_left_ms))
        .fetch_all(&mut **tx)
        .await
        .during("start attempts")
}

pub(super) async fn insert(tx: &mut Tx, attempts: &[NewAttempt], started: Started) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into attempts
            (id, reminder_id, epoch, way, started_ms, wire_id, wire_sha256, gateway, receipt_ms, outcome, judged_ms)
        with given as materialized (select value from jsonb_each($1))
        select
            value ->> 'id', value ->> 'reminder_id', cast(value ->> 'epoch' as bigint), $2, $3,
            value ->> 'wire_id', value ->> 'wire_sha256', value ->> 'gateway', cast(value ->> 'receipt_ms' as bigint),
            'attempting', cast(value ->> 'judged_ms' as bigint)
        from given";
    let done = query(SQL)
        .bind(json(&attempts))
        .bind(started.way.name())
        .bind(started.now_ms)
        .execute(&mut **tx)
        .await;
    done.map(|_| ()).during("record attempts")
}

pub(super) async fn record(tx: &mut Tx, verdicts: &[Verdict]) -> Result<(), StoreError> {
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
