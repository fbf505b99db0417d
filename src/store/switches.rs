//! Ways that people have paused, and the hold on everything.

use jiff::Timestamp;
use sqlx::FromRow;

use crate::domain::ladder::Way;
use crate::store::{During, Store, StoreError};

/// The switch that stops every way.
pub const ALL: &str = "all";
/// Set by xixin itself when the time cannot be believed: then nothing is planned either.
pub const CLOCK: &str = "clock";

#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct Switch {
    /// A way, or `all`.
    pub name: String,
    pub since_ms: i64,
    pub who: String,
    pub reason: String,
}

impl Switch {
    pub fn stops(&self, way: Way) -> bool {
        [ALL, CLOCK, way.name()].contains(&self.name.as_str())
    }
}

impl Store {
    pub async fn switches(&self) -> Result<Vec<Switch>, StoreError> {
        const SQL: &str = "select name, since_ms, who, reason from switches order by name";
        sqlx::query_as(SQL)
            .fetch_all(self.reader())
            .await
            .during("read what is paused")
    }

    /// Pauses a way. A pause that stands already keeps its first reason.
    pub async fn pause(&self, name: &str, now: Timestamp, who: &str, reason: &str) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into switches (name, since_ms, who, reason) values ($1, $2, $3, $4)
            on conflict (name) do nothing";
        let mut tx = self.begin().await?;
        sqlx::query(SQL)
            .bind(name)
            .bind(now.as_millisecond())
            .bind(who)
            .bind(reason)
            .execute(&mut *tx)
            .await
            .during("pause sending")?;
        crate::store::commit(tx, "pause sending").await
    }

    /// Takes a pause back; false when there was none. Whoever resumes everything says that the time is right, too.
    pub async fn resume(&self, name: &str) -> Result<bool, StoreError> {
        const SQL: &str = "delete from switches where name = $1 or ($1 = 'all' and name = 'clock')";
        let mut tx = self.begin().await?;
        let done = sqlx::query(SQL)
            .bind(name)
            .execute(&mut *tx)
            .await
            .during("resume sending")?;
        crate::store::commit(tx, "resume sending").await?;
        Ok(done.rows_affected() > 0)
    }
}
