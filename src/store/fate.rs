//! News about attempts that have ended: receipts, bounces, answers to a question. They only ever move forward.

use jiff::Timestamp;
use sqlx::FromRow;

use crate::domain::delivery::{Fate, after_receipt};
use crate::domain::reminder::State;
use crate::store::db::{query, query_as};
use crate::store::queue::Claimed;
use crate::store::{During, StoreError, Tx, lock};

/// What news did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub way: String,
    pub row: Claimed,
    /// Where the reminder is now, when the news moved it.
    pub state: Option<State>,
}

#[derive(FromRow)]
struct Found {
    outcome: String,
    state: String,
    way: String,
    #[sqlx(flatten)]
    row: Claimed,
}

/// Notes what became of an attempt. `None`: there is no such attempt, or this says nothing new. `reason` is in an office clerk's words,
/// with codes only.
///
/// News of an attempt whose outcome is not recorded yet is `None` as well: whoever brings it keeps it and comes back, because the
/// outcome moves the reminder and must not find it moved.
pub async fn note_fate(
    tx: &mut Tx,
    attempt: &str,
    fate: Fate,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Option<Moved>, StoreError> {
    const FIND: &str = "
        select attempts.outcome, reminders.state, attempts.way, reminders.id, case_id, mark, recipient, text, priority, due_ms,
               decided_ms, valid_until_ms, fallback, tries, reminders.epoch, reason_zh, reason_en
        from attempts join reminders on reminders.id = attempts.reminder_id
        where attempts.id = $1";
    const ATTEMPT: &str = "
        update attempts set outcome = $2, ended_ms = $3, reason = coalesce($4, reason), ask_ms = null where id = $1";
    const REMINDER: &str = "update reminders set state = $2, closed_ms = $3 where id = $1";
    let action = "note what became of a message";
    lock::attempt(tx, attempt).await?;
    let found: Option<Found> = query_as(FIND)
        .bind(attempt)
        .fetch_optional(&mut **tx)
        .await
        .during(action)?;
    let Some(found) = found else { return Ok(None) };
    let known = Fate::parse(&found.outcome).filter(|known| *known != Fate::Attempting);
    let Some(fate) = known.and_then(|known| known.after(fate)) else {
        return Ok(None);
    };
    query(ATTEMPT)
        .bind(attempt)
        .bind(fate.name())
        .bind(now.as_millisecond())
        .bind(reason)
        .execute(&mut **tx)
        .await
        .during(action)?;
    let state = State::parse(&found.state).and_then(|state| after_receipt(state, fate));
    if let Some(state) = state {
        query(REMINDER)
            .bind(&found.row.id)
            .bind(state.name())
            .bind(now.as_millisecond())
            .execute(&mut **tx)
            .await
            .during(action)?;
    }
    Ok(Some(Moved {
        way: found.way,
        row: found.row,
        state,
    }))
}
