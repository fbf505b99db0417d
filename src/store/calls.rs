//! Calls that staff make instead of a message: rows of the ledger in the state `task`.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::ids::{CaseId, ReminderId, StaffId};
use crate::store::cases::json;
use crate::store::db::{query, query_as};
use crate::store::queue::Claimed;
use crate::store::reminders::LedgerRow;
use crate::store::{During, Store, StoreError, Tx};

/// A call that staff still have to make.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OpenCall {
    #[sqlx(flatten)]
    pub row: Claimed,
    pub assignee: Option<String>,
}

/// What becomes of an open call after its case was planned. Absent fields stay as they are.
#[derive(Debug, Clone, Serialize)]
pub struct CallChange {
    pub id: String,
    /// Why nobody has to phone any more.
    pub withdrawn: Option<Withdrawn>,
    /// Who makes the call now.
    pub assignee: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Withdrawn {
    pub zh: String,
    pub en: String,
    pub at_ms: i64,
}

impl Store {
    /// Open call tasks of these people, oldest first.
    pub async fn open_tasks(&self, staff: &[StaffId]) -> Result<Vec<LedgerRow>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, way, text, state, reason_zh, reason_en,
                   due_ms, decided_ms, not_before_ms, assignee, tries, sent_ms
            from reminders
            where state = 'task' and assignee in (select value from json_each($1))
            order by priority desc, due_ms, id
            limit 500";
        query_as(SQL)
            .bind(json(&staff))
            .fetch_all(self.reader())
            .await
            .during("read the call tasks")
    }

    /// The open call tasks of these cases.
    pub async fn tasks_of(&self, cases: &[&CaseId]) -> Result<Vec<LedgerRow>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, way, text, state, reason_zh, reason_en,
                   due_ms, decided_ms, not_before_ms, assignee, tries, sent_ms
            from reminders
            where state = 'task' and case_id in (select value from json_each($1))
            order by case_id, due_ms, id
            limit 1000";
        query_as(SQL)
            .bind(json(&cases))
            .fetch_all(self.reader())
            .await
            .during("read the call tasks of cases")
    }

    /// The open call tasks of these cases, to see whether they are still meant.
    pub async fn open_calls(&self, cases: &[&CaseId]) -> Result<Vec<OpenCall>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, text, priority, due_ms, decided_ms, valid_until_ms, fallback, tries, epoch,
                   reason_zh, reason_en, assignee
            from reminders
            where state = 'task' and case_id in (select value from json_each($1))
            order by case_id, id
            limit 10000";
        query_as(SQL)
            .bind(json(&cases))
            .fetch_all(self.reader())
            .await
            .during("read the open calls of cases")
    }
}

/// Withdraws or hands over open calls; one that was made in the meantime is left as it is.
pub async fn change_calls(tx: &mut Tx, changes: &[CallChange]) -> Result<(), StoreError> {
    const SQL: &str = "
        update reminders
        set state = case when new.at_ms is null then state else 'cancelled' end,
            closed_ms = coalesce(new.at_ms, closed_ms),
            reason_zh = coalesce(new.zh, reason_zh),
            reason_en = coalesce(new.en, reason_en),
            assignee = coalesce(new.assignee, reminders.assignee)
        from (
            select
                value ->> 'id' as id,
                cast(value -> 'withdrawn' ->> 'at_ms' as bigint) as at_ms,
                value -> 'withdrawn' ->> 'zh' as zh,
                value -> 'withdrawn' ->> 'en' as en,
                value ->> 'assignee' as assignee
            from jsonb_each($1)
        ) as new
        where reminders.id = new.id and reminders.state = 'task'";
    if changes.is_empty() {
        return Ok(());
    }
    query(SQL)
        .bind(json(&changes))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("change call tasks")
}

/// Closes an open call task; false when it was not open.
pub async fn close_task(tx: &mut Tx, id: &ReminderId, case: &CaseId, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "
        update reminders set state = 'task_done', closed_ms = $3
        where id = $1 and case_id = $2 and state = 'task'";
    let done = query(SQL)
        .bind(id.as_str())
        .bind(case.as_str())
        .bind(now.as_millisecond())
        .execute(&mut **tx)
        .await
        .during("close a call task")?;
    Ok(done.rows_affected() == 1)
}

/// Open call tasks of a case that is closed now are cancelled: nobody has to phone any more.
pub async fn cancel_tasks(tx: &mut Tx, case: &CaseId, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "
        update reminders set state = 'cancelled', closed_ms = $2, reason_zh = '案件已办结', reason_en = 'the case is closed'
        where case_id = $1 and state = 'task'";
    query(SQL)
        .bind(case.as_str())
        .bind(now.as_millisecond())
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("cancel call tasks")
}
