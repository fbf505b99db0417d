//! The ledger: every decision is a row with its reason, also the decision not to send.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::ids::{CaseId, ReminderId, UnitId};
use crate::domain::reminder::{Decided, Decision, State};
use crate::store::cases::json;
use crate::store::db::{query, query_as, query_scalar};
use crate::store::{During, Store, StoreError, Tx, instant_of};

/// A decision on its way into the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewReminder {
    pub id: String,
    /// Empty for messages that belong to no case.
    pub case_id: String,
    pub mark: String,
    pub recipient: String,
    pub way: &'static str,
    pub text: String,
    pub state: &'static str,
    pub reason_zh: String,
    pub reason_en: String,
    pub priority: i64,
    pub due_ms: i64,
    pub decided_ms: i64,
    pub not_before_ms: i64,
    pub valid_until_ms: i64,
    pub fallback: String,
    pub assignee: Option<String>,
}

impl NewReminder {
    pub fn new(id: ReminderId, case: &CaseId, decision: Decision, now: Timestamp) -> Self {
        let fallback: Vec<&str> = decision.fallback.iter().map(|way| way.name()).collect();
        Self {
            id: id.to_string(),
            case_id: case.to_string(),
            mark: decision.mark.to_string(),
            recipient: decision.recipient.to_string(),
            way: decision.way.map_or("none", |way| way.name()),
            text: decision.text.to_string(),
            state: State::from(decision.verdict).name(),
            reason_zh: decision.reason.zh,
            reason_en: decision.reason.en,
            priority: decision.priority as i64,
            due_ms: decision.due.as_millisecond(),
            decided_ms: now.as_millisecond(),
            not_before_ms: decision.not_before.as_millisecond(),
            valid_until_ms: decision.valid_until.as_millisecond(),
            fallback: fallback.join(","),
            assignee: decision.assignee.map(|staff| staff.to_string()),
        }
    }
}

/// A row of the ledger, as `why` shows it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct LedgerRow {
    pub id: String,
    pub case_id: String,
    pub mark: String,
    pub recipient: String,
    pub way: String,
    pub text: String,
    pub state: String,
    pub reason_zh: String,
    pub reason_en: String,
    pub due_ms: i64,
    pub decided_ms: i64,
    pub not_before_ms: i64,
    pub assignee: Option<String>,
    pub tries: i64,
    pub sent_ms: Option<i64>,
}

/// One try at sending.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct AttemptRow {
    pub id: String,
    pub way: String,
    pub started_ms: i64,
    pub ended_ms: Option<i64>,
    pub wire_id: String,
    pub outcome: String,
    pub blame: Option<String>,
    pub reference: Option<String>,
    pub reason: Option<String>,
    pub provider: Option<String>,
}

impl Store {
    /// The marks already decided, by case.
    pub async fn decided(&self, cases: &[&CaseId]) -> Result<HashMap<CaseId, Decided>, StoreError> {
        const SQL: &str = "
            select case_id, mark, recipient, state from reminders
            where case_id in (select value from json_each($1))";
        let rows: Vec<(String, String, String, String)> = query_as(SQL)
            .bind(json(&cases))
            .fetch_all(self.reader())
            .await
            .during("read what was decided")?;
        let mut found: HashMap<CaseId, Decided> = HashMap::with_capacity(cases.len());
        for (case, mark, recipient, state) in rows {
            let decided = found.entry(CaseId::from(case)).or_default();
            if State::parse(&state).is_some_and(State::was_heard)
                && let Some((item, _)) = mark.split_once('|')
            {
                decided.heard(item.into(), recipient);
            }
            decided.insert(mark);
        }
        Ok(found)
    }

    /// The ledger of a case, newest first.
    pub async fn ledger_of(&self, case: &CaseId, limit: i64) -> Result<Vec<LedgerRow>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, way, text, state, reason_zh, reason_en,
                   due_ms, decided_ms, not_before_ms, assignee, tries, sent_ms
            from reminders
            where case_id = $1
            order by decided_ms desc, due_ms desc, id
            limit $2";
        query_as(SQL)
            .bind(case.as_str())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read the ledger of a case")
    }

    /// Ledger rows decided in `[from, to)`, oldest first.
    pub async fn ledger_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        limit: i64,
    ) -> Result<Vec<LedgerRow>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, way, text, state, reason_zh, reason_en,
                   due_ms, decided_ms, not_before_ms, assignee, tries, sent_ms
            from reminders
            where decided_ms >= $1 and decided_ms < $2
            order by decided_ms, id
            limit $3";
        query_as(SQL)
            .bind(from.as_millisecond())
            .bind(to.as_millisecond())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read the ledger")
    }

    /// The instant of the newest decision.
    pub async fn newest_decision(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "select decided_ms from reminders order by decided_ms desc limit 1";
        let newest = query_scalar::<i64>(SQL).fetch_optional(self.reader()).await;
        Ok(newest.during("find the newest decision")?.map(instant_of))
    }

    /// One row of the ledger.
    pub async fn ledger_row(&self, id: &ReminderId) -> Result<Option<LedgerRow>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, way, text, state, reason_zh, reason_en,
                   due_ms, decided_ms, not_before_ms, assignee, tries, sent_ms
            from reminders
            where id = $1";
        query_as(SQL)
            .bind(id.as_str())
            .fetch_optional(self.reader())
            .await
            .during("read a reminder")
    }

    /// Every try at sending a reminder, oldest first.
    pub async fn attempts_of(&self, reminder: &ReminderId) -> Result<Vec<AttemptRow>, StoreError> {
        const SQL: &str = "
            select id, way, started_ms, ended_ms, wire_id, outcome, blame, reference, reason, provider from attempts
            where reminder_id = $1
            order by started_ms, id
            limit 100";
        query_as(SQL)
            .bind(reminder.as_str())
            .fetch_all(self.reader())
            .await
            .during("read attempts")
    }

    /// How many messages of a daily kind did not reach somebody since the last one that did, before `mark`.
    pub async fn undelivered(&self, recipient: &str, mark: &str) -> Result<i64, StoreError> {
        const SQL: &str = "
            select count(*) from reminders
            where case_id = '' and recipient = $1 and mark < $2 and state in ('cancelled', 'refused', 'bounced')
              and mark > coalesce((
                  select max(mark) from reminders
                  where case_id = '' and recipient = $1 and mark < $2
                    and state in ('accepted', 'delivered', 'uncertain', 'skipped')), '')";
        query_scalar(SQL)
            .bind(recipient)
            .bind(mark)
            .fetch_one(self.reader())
            .await
            .during("count what was not delivered")
    }

    /// Reminders of these units' cases that need a person's eyes: refused, uncertain, held.
    pub async fn troubles(&self, units: &[&str], since: Timestamp) -> Result<Vec<LedgerRow>, StoreError> {
        const SQL: &str = "
            select r.id, r.case_id, r.mark, r.recipient, r.way, r.text, r.state, r.reason_zh, r.reason_en,
                   r.due_ms, r.decided_ms, r.not_before_ms, r.assignee, r.tries, r.sent_ms
            from reminders as r
            where r.state in ('refused', 'uncertain', 'held', 'bounced', 'no_receipt')
              -- what many wait for is told once, not for each of them
              and not (r.state = 'held' and r.hold is not null)
              and r.decided_ms >= $1
              -- few are in trouble, many are cases: asked of each row, a case is never where the search begins
              and (select unit from cases where cases.id = r.case_id) in (select value from json_each($2))
            order by r.decided_ms desc, r.id
            limit 50";
        query_as(SQL)
            .bind(since.as_millisecond())
            .bind(json(&units))
            .fetch_all(self.reader())
            .await
            .during("read what went wrong")
    }

    /// Messages of a daily kind since `mark` that did not reach these recipients, newest first.
    pub async fn undelivered_to(&self, recipients: &[String], mark: &str) -> Result<Vec<LedgerRow>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, way, text, state, reason_zh, reason_en,
                   due_ms, decided_ms, not_before_ms, assignee, tries, sent_ms
            from reminders
            where case_id = '' and mark >= $1 and text = 'digest'
              and state in ('refused', 'uncertain', 'bounced', 'no_receipt', 'cancelled')
              and recipient in (select value from json_each($2))
            order by mark desc, recipient
            limit 50";
        query_as(SQL)
            .bind(mark)
            .bind(json(&recipients))
            .fetch_all(self.reader())
            .await
            .during("read the digests that did not arrive")
    }

    /// Attempts ended in `[from, to)`: accepted, and everything that went wrong for good.
    pub async fn outcome_counts(
        &self,
        units: &[UnitId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(i64, i64), StoreError> {
        const SQL: &str = "
            select
                coalesce(sum(case when a.outcome in ('accepted', 'delivered') then 1 else 0 end), 0),
                coalesce(sum(case when a.outcome in ('refused', 'uncertain', 'bounced') then 1 else 0 end), 0)
            from attempts as a
            where a.ended_ms >= $1 and a.ended_ms < $2
              -- asked of each attempt of those days: the search never begins with the cases
              and (select cases.unit from reminders join cases on cases.id = reminders.case_id where reminders.id = a.reminder_id)
                  in (select value from json_each($3))";
        query_as(SQL)
            .bind(from.as_millisecond())
            .bind(to.as_millisecond())
            .bind(json(&units))
            .fetch_one(self.reader())
            .await
            .during("count the outcomes")
    }
}

/// Adds decisions; one that is in the ledger already is left as it is. Returns how many were new.
pub async fn add(tx: &mut Tx, rows: &[&NewReminder]) -> Result<u64, StoreError> {
    const SQL: &str = "
        insert into reminders
            (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority,
             due_ms, decided_ms, not_before_ms, valid_until_ms, fallback, assignee)
        select
            value ->> 'id', value ->> 'case_id', value ->> 'mark', value ->> 'recipient', value ->> 'way',
            value ->> 'text', value ->> 'state', value ->> 'reason_zh', value ->> 'reason_en',
            cast(value ->> 'priority' as bigint), cast(value ->> 'due_ms' as bigint), cast(value ->> 'decided_ms' as bigint),
            cast(value ->> 'not_before_ms' as bigint), cast(value ->> 'valid_until_ms' as bigint),
            value ->> 'fallback', value ->> 'assignee'
        from jsonb_each($1)
        where true
        on conflict (case_id, mark, recipient, way) do nothing";
    if rows.is_empty() {
        return Ok(0);
    }
    // In one order, so that two nodes that add the same never wait for each other.
    let mut rows = rows.to_vec();
    rows.sort_unstable_by_key(|row| (&row.case_id, &row.mark, &row.recipient, row.way));
    let done = query(SQL)
        .bind(json(&rows))
        .execute(&mut **tx)
        .await
        .during("write decisions")?;
    Ok(done.rows_affected())
}

/// As `add`, but nobody who has the same reminder in another role is told twice. One after the other, so that two heirs of one batch
/// know of each other.
pub async fn add_heirs(tx: &mut Tx, rows: &[NewReminder]) -> Result<(), StoreError> {
    const SQL: &str = "
        select count(*) from reminders
        where case_id = $1
          and recipient = $2
          and text = $3
          -- the same item, anchor, ladder, rung and occurrence, for whatever audience
          and substr(mark, 1, length($4)) = $4
          and state not in ('cancelled', 'superseded', 'skipped', 'refused', 'bounced')";
    for row in rows {
        let same = row.mark.rfind('|').map_or(row.mark.as_str(), |end| &row.mark[..=end]);
        let told: i64 = query_scalar(SQL)
            .bind(&row.case_id)
            .bind(&row.recipient)
            .bind(&row.text)
            .bind(same)
            .fetch_one(&mut **tx)
            .await
            .during("look whether somebody is told already")?;
        if told == 0 {
            add(tx, &[row]).await?;
        }
    }
    Ok(())
}
