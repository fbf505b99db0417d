//! The hot path on PostgreSQL. Several nodes work at once: what one has in hand another passes over (`skip locked`), lists travel as
//! arrays, and rows that are changed together are held in the order of their ids. A lease runs by the clock of the server (`now_ms`);
//! what is due is told by whoever asks, as on SQLite.

use crate::store::db::{Pool, query, query_as, query_scalar};
use crate::store::queue::{Asked, Claim, Claimed, EndedAttempt, Lease, NewAttempt, Started, Verdict, span_ms};
use crate::store::{During as _, StoreError, Tx};

pub(super) async fn claim_due(
    tx: &mut Tx,
    claim: Claim,
    asked: &Asked<'_>,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    const DUE: &str = "
        with next as materialized (
            select id from reminders
            where state = 'queued' and way = $1 and not_before_ms <= $2 and crashes = 0
            order by -priority, valid_until_ms, id
            limit $3
            for update skip locked
        )
        update reminders
        set state = 'claimed', holder = $4, lease_until_ms = now_ms() + $5, epoch = epoch + 1
        from next
        where reminders.id = next.id
        returning reminders.id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    const PROBE: &str = "
        with next as materialized (
            select id from reminders
            where state = 'queued' and way = $1 and not_before_ms <= $2 and crashes = 0
            order by epoch, priority desc, valid_until_ms, id
            limit $3
            for update skip locked
        )
        update reminders
        set state = 'claimed', holder = $4, lease_until_ms = now_ms() + $5, epoch = epoch + 1
        from next
        where reminders.id = next.id
        returning reminders.id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    const FALLBACK: &str = "
        with next as materialized (
            select id from reminders
            where state = 'queued' and way = $1 and not_before_ms <= $2 and priority >= 2 and fallback <> ''
              and crashes = 0
            order by priority desc, valid_until_ms, id
            limit $3
            for update skip locked
        )
        update reminders
        set state = 'claimed', holder = $4, lease_until_ms = now_ms() + $5, epoch = epoch + 1
        from next
        where reminders.id = next.id
        returning reminders.id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
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
    .bind(span_ms(asked.now, asked.lease_until))
    .fetch_all(&mut **tx)
    .await
    .during("claim reminders")
}

pub(super) async fn claim_one(tx: &mut Tx, id: &str, asked: &Asked<'_>) -> Result<Option<Claimed>, StoreError> {
    const SQL: &str = "
        update reminders
        set state = 'claimed', holder = $2, lease_until_ms = now_ms() + $3, epoch = epoch + 1
        where id = $1 and state = 'queued'
        returning id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                  reason_zh, reason_en";
    query_as(SQL)
        .bind(id)
        .bind(asked.holder)
        .bind(span_ms(asked.now, asked.lease_until))
        .fetch_optional(&mut **tx)
        .await
        .during("claim what runs may have died over")
}

pub(super) async fn any_expired(pool: &Pool) -> Result<bool, StoreError> {
    const SQL: &str = "
        select count(*) from reminders
        where state = 'claimed' and state in ('claimed', 'attempting') and lease_until_ms < now_ms()";
    let any: i64 = query_scalar(SQL)
        .fetch_one(pool)
        .await
        .during("look for expired claims")?;
    Ok(any > 0)
}

pub(super) async fn release_expired(tx: &mut Tx) -> Result<u64, StoreError> {
    const SQL: &str = "
        with expired as materialized (
            select id from reminders
            where state = 'claimed' and state in ('claimed', 'attempting') and lease_until_ms < now_ms()
            for update skip locked
        )
        update reminders set state = 'queued', holder = null, lease_until_ms = null
        from expired
        where reminders.id = expired.id";
    let done = query(SQL).execute(&mut **tx).await;
    Ok(done.during("release expired claims")?.rows_affected())
}

pub(super) async fn renew(tx: &mut Tx, leases: &[Lease], span_ms: i64) -> Result<(), StoreError> {
    // One that is held by whoever starts it needs no longer lease.
    const SQL: &str = "
        with ours as materialized (
            select reminders.id from reminders
            join unnest($1::text[], $2::bigint[]) as given (id, epoch) on reminders.id = given.id and reminders.epoch = given.epoch
            where state = 'claimed'
            for update of reminders skip locked
        )
        update reminders set lease_until_ms = now_ms() + $3
        from ours
        where reminders.id = ours.id";
    let ids: Vec<&str> = leases.iter().map(|lease| lease.id.as_str()).collect();
    let epochs: Vec<i64> = leases.iter().map(|lease| lease.epoch).collect();
    let done = query(SQL).bind(ids).bind(epochs).bind(span_ms).execute(&mut **tx).await;
    done.map(|_| ()).during("prolong claims")
}

pub(super) async fn start(tx: &mut Tx, attempts: &[NewAttempt], started: Started) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "
        with new as materialized (
            select reminders.id, given.epoch, given.case_version
            from reminders
            join unnest($1::text[], $2::bigint[], $3::bigint[]) as given (id, epoch, case_version) on reminders.id = given.id
            order by reminders.id
            for update of reminders
        )
        update reminders
        set state = 'attempting', tries = tries + 1, sent_ms = $4
        from new
        where reminders.id = new.id
          and reminders.state = 'claimed'
          and reminders.epoch = new.epoch
          -- a test message is its maker's without a lease
          and coalesce(reminders.lease_until_ms >= now_ms() + $5, true)
          and (new.case_version is null
               or new.case_version = (select version from cases where cases.id = reminders.case_id))
        returning reminders.id";
    let ids: Vec<&str> = attempts.iter().map(|new| new.reminder_id.as_str()).collect();
    let epochs: Vec<i64> = attempts.iter().map(|new| new.epoch).collect();
    let versions: Vec<Option<i64>> = attempts.iter().map(|new| new.case_version).collect();
    query_scalar(SQL)
        .bind(ids)
        .bind(epochs)
        .bind(versions)
        .bind(started.now_ms)
        .bind(started.lease_left_ms)
        .fetch_all(&mut **tx)
        .await
        .during("start attempts")
}

pub(super) async fn insert(tx: &mut Tx, attempts: &[NewAttempt], started: Started) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into attempts
            (id, reminder_id, epoch, way, started_ms, wire_id, wire_sha256, gateway, receipt_ms, outcome, judged_ms)
        select id, reminder_id, epoch, cast($9 as text), cast($10 as bigint), wire_id, wire_sha256, gateway, receipt_ms, 'attempting', judged_ms
        from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
            as given (id, reminder_id, epoch, wire_id, wire_sha256, gateway, receipt_ms, judged_ms)";
    let texts = |of: fn(&NewAttempt) -> &str| attempts.iter().map(of).collect::<Vec<&str>>();
    let numbers = |of: fn(&NewAttempt) -> Option<i64>| attempts.iter().map(of).collect::<Vec<_>>();
    let gateways: Vec<Option<&str>> = attempts.iter().map(|new| new.gateway.as_deref()).collect();
    let done = query(SQL)
        .bind(texts(|new| &new.id))
        .bind(texts(|new| &new.reminder_id))
        .bind(numbers(|new| Some(new.epoch)))
        .bind(texts(|new| &new.wire_id))
        .bind(texts(|new| &new.wire_sha256))
        .bind(gateways)
        .bind(numbers(|new| new.receipt_ms))
        .bind(numbers(|new| new.judged_ms))
        .bind(started.way.name())
        .bind(started.now_ms)
        .execute(&mut **tx)
        .await;
    done.map(|_| ()).during("record attempts")
}

pub(super) async fn record(tx: &mut Tx, verdicts: &[Verdict]) -> Result<(), StoreError> {
    reminders(tx, verdicts).await?;
    let ended: Vec<&EndedAttempt> = verdicts.iter().filter_map(|verdict| verdict.attempt.as_ref()).collect();
    if ended.is_empty() {
        return Ok(());
    }
    attempts(tx, &ended).await
}

async fn reminders(tx: &mut Tx, verdicts: &[Verdict]) -> Result<(), StoreError> {
    const SQL: &str = "
        with new as materialized (
            select given.*, attempts.outcome
            from reminders
            join unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[])
                as given (id, epoch, state, not_before_ms, reason_zh, reason_en, given_back, closed_ms, attempt) on reminders.id = given.id
            left join attempts on attempts.id = given.attempt
            order by reminders.id
            for update of reminders
        )
        update reminders
        set state = new.state,
            not_before_ms = coalesce(new.not_before_ms, reminders.not_before_ms),
            reason_zh = coalesce(new.reason_zh, reminders.reason_zh),
            reason_en = coalesce(new.reason_en, reminders.reason_en),
            tries = reminders.tries - new.given_back,
            closed_ms = new.closed_ms,
            -- it came through: whatever ended the program was something else
            crashes = 0,
            -- what it waited for is over; what waits again is marked after this
            hold = null,
            holder = null,
            lease_until_ms = null
        from new
        where reminders.id = new.id
          and reminders.epoch = new.epoch
          -- or it comes late: this node was taken for dead, and nobody has taken the message on since
          and (reminders.state in ('claimed', 'attempting') or reminders.state in ('queued', 'uncertain') and new.outcome = 'uncertain')";
    let texts = |of: fn(&Verdict) -> Option<&str>| verdicts.iter().map(of).collect::<Vec<_>>();
    let numbers = |of: fn(&Verdict) -> Option<i64>| verdicts.iter().map(of).collect::<Vec<_>>();
    let done = query(SQL)
        .bind(texts(|new| Some(&new.id)))
        .bind(numbers(|new| Some(new.epoch)))
        .bind(texts(|new| Some(new.state)))
        .bind(numbers(|new| new.not_before_ms))
        .bind(texts(|new| new.reason_zh.as_deref()))
        .bind(texts(|new| new.reason_en.as_deref()))
        .bind(numbers(|new| {
            Some(i64::from(new.attempt.is_some() && new.charged == 0))
        }))
        .bind(numbers(|new| new.closed_ms))
        .bind(texts(|new| new.attempt.as_ref().map(|attempt| attempt.id.as_str())))
        .execute(&mut **tx)
        .await;
    done.map(|_| ()).during("record outcomes")
}

async fn attempts(tx: &mut Tx, ended: &[&EndedAttempt]) -> Result<(), StoreError> {
    const SQL: &str = "
        update attempts
        set outcome = new.outcome, ended_ms = new.ended_ms, blame = new.blame, reference = new.reference, reason = new.reason,
            provider = new.provider,
            ask_ms = new.ask_ms
        from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
            as new (id, ended_ms, outcome, blame, reference, reason, provider, ask_ms)
        where attempts.id = new.id
          and (attempts.outcome = 'attempting' or attempts.outcome = 'uncertain' and new.outcome <> 'uncertain')";
    let texts = |of: fn(&EndedAttempt) -> Option<&str>| ended.iter().map(|one| of(one)).collect::<Vec<_>>();
    let numbers = |of: fn(&EndedAttempt) -> Option<i64>| ended.iter().map(|one| of(one)).collect::<Vec<_>>();
    let done = query(SQL)
        .bind(texts(|new| Some(&new.id)))
        .bind(numbers(|new| Some(new.ended_ms)))
        .bind(texts(|new| Some(new.outcome)))
        .bind(texts(|new| new.blame))
        .bind(texts(|new| new.reference.as_deref()))
        .bind(texts(|new| new.reason.as_deref()))
        .bind(texts(|new| new.provider.as_deref()))
        .bind(numbers(|new| new.ask_ms))
        .execute(&mut **tx)
        .await;
    done.map(|_| ()).during("record the outcomes of attempts")
}
