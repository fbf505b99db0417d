//! The rows of canaries. They are about nobody: old ones are cleared away.

use jiff::{SignedDuration, Timestamp};

use crate::store::db::{query, query_scalar};
use crate::store::reminders::{NewReminder, add};
use crate::store::{During, Store, StoreError, commit, instant_of};

/// What the marks of canaries begin with.
const MARK: &str = "canary|";
/// How long they are kept, in hours.
const KEPT_H: i64 = 48;

/// In the order of their times.
pub(crate) fn mark(slot: Timestamp) -> String {
    format!("{MARK}{slot}")
}

impl Store {
    /// Queues a canary, once, and clears old ones away.
    pub async fn queue_canary(&self, row: &NewReminder, now: Timestamp) -> Result<(), StoreError> {
        // From the mark of a canary on, in the order of the unique key.
        const ATTEMPTS: &str = "
            delete from attempts
            where reminder_id in (select id from reminders where case_id = '' and mark >= 'canary|' and mark < $1)";
        const ROWS: &str = "delete from reminders where case_id = '' and mark >= 'canary|' and mark < $1";
        let old = now.checked_sub(SignedDuration::from_hours(KEPT_H)).unwrap_or(now);
        let during = "queue a canary";
        let mut tx = self.begin().await?;
        for sql in [ATTEMPTS, ROWS] {
            query(sql).bind(mark(old)).execute(&mut *tx).await.during(during)?;
        }
        add(&mut tx, &[row]).await?;
        commit(tx, during).await
    }

    /// When the newest canary got through that did.
    pub async fn last_canary(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "
            select max(closed_ms) from reminders
            where case_id = '' and mark >= 'canary|' and mark < 'canary}' and state in ('accepted', 'delivered')";
        let last = query_scalar::<Option<i64>>(SQL).fetch_one(self.reader()).await;
        Ok(last.during("find the last canary")?.map(instant_of))
    }
}
