//! What reports on mail ask of attempts and say of them.

use crate::store::{During, StoreError, Tx};

/// How an attempt is known to have ended; `None` when there is none of that id.
pub async fn outcome_of(tx: &mut Tx, attempt: &str) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar("select outcome from attempts where id = $1")
        .bind(attempt)
        .fetch_optional(&mut **tx)
        .await
        .during("find the attempt of a report")
}

/// Notes that a mail has been taken but not delivered yet. Its outcome stays.
pub async fn note_delay(tx: &mut Tx, attempt: &str, reason: &str) -> Result<(), StoreError> {
    sqlx::query("update attempts set reason = $2 where id = $1 and outcome = 'accepted'")
        .bind(attempt)
        .bind(reason)
        .execute(&mut **tx)
        .await
        .during("note a mail that is late")?;
    Ok(())
}
