//! Ways that people have paused, and the hold on everything.
//!
//! A pause is taken back by whoever likes. A hold is xixin's own doubt, or a person's: it ends only when a person releases it, and who
//! held and who released is part of the chain of events.

use jiff::Timestamp;
use sqlx::FromRow;

use crate::domain::event::Event;
use crate::domain::ids::CaseId;
use crate::domain::ladder::Way;
use crate::store::db::{Connection, query, query_as};
use crate::store::{During, Store, StoreError, Tx, commit, earlier, events};

/// The switch that stops every way.
pub const ALL: &str = "all";
/// Set by xixin itself when the time cannot be believed: then nothing is planned either.
pub const CLOCK: &str = "clock";
/// Nothing leaves until a person releases it: after a restore, after damage to the database, or because somebody wants it so.
pub const HOLD: &str = "hold";

/// Set by xixin itself while nodes compare what has left with a database that came to another server; taken back by the last of them.
pub const SERVER: &str = "server";

#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct Switch {
    /// A way, `all`, `clock`, `hold` or `server`.
    pub name: String,
    pub since_ms: i64,
    pub who: String,
    pub reason: String,
}

impl Switch {
    pub fn stops(&self, way: Way) -> bool {
        [ALL, CLOCK, HOLD, SERVER, way.name()].contains(&self.name.as_str())
    }
}

impl Store {
    pub async fn switches(&self) -> Result<Vec<Switch>, StoreError> {
        const SQL: &str = "select name, since_ms, who, reason from switches order by name";
        query_as(SQL)
            .fetch_all(self.reader())
            .await
            .during("read what is paused")
    }

    /// Pauses a way. A pause that stands already keeps its first reason.
    pub async fn pause(&self, name: &str, now: Timestamp, who: &str, reason: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        set(&mut tx, name, now, who, reason).await?;
        commit(tx, "pause sending").await
    }

    /// Holds everything until a person releases it; false when it is held already, which keeps its first reason.
    pub async fn hold(&self, now: Timestamp, who: &str, reason: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let new = hold(&mut tx, now, who, reason).await?;
        commit(tx, "hold sending").await?;
        Ok(new)
    }

    /// Ends the hold, and the wait for nodes that have not told what they had sent; false when there was neither.
    pub async fn release(&self, now: Timestamp, who: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let was_held = release(&mut tx, now, who).await?;
        let waited = go_on_without(&mut tx, now, who).await?;
        commit(tx, "release sending").await?;
        Ok(was_held || waited)
    }

    /// Takes a pause back; false when there was none. Whoever resumes everything says that the time is right, too.
    pub async fn resume(&self, name: &str) -> Result<bool, StoreError> {
        const SQL: &str = "delete from switches where name = $1 or ($1 = 'all' and name = 'clock')";
        let mut tx = self.begin().await?;
        let done = query(SQL).bind(name).execute(&mut *tx).await.during("resume sending")?;
        commit(tx, "resume sending").await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Ends the wait for nodes that have not told what they had sent; false when there was none.
async fn go_on_without(tx: &mut Tx, now: Timestamp, who: &str) -> Result<bool, StoreError> {
    let during = "go on without what nodes have not told";
    let done = query("delete from switches where name = $1")
        .bind(SERVER)
        .execute(&mut **tx)
        .await;
    if done.during(during)?.rows_affected() == 0 {
        return Ok(false);
    }
    earlier::waive(tx).await?;
    let released = Event::SendingReleased {
        hold: SERVER.to_owned(),
    };
    events::append(tx, now, &CaseId::from(""), who, &[released]).await?;
    Ok(true)
}

pub(super) async fn set(
    tx: &mut Connection,
    name: &str,
    now: Timestamp,
    who: &str,
    reason: &str,
) -> Result<bool, StoreError> {
    const SQL: &str = "
        insert into switches (name, since_ms, who, reason) values ($1, $2, $3, $4)
        on conflict (name) do nothing";
    let done = query(SQL)
        .bind(name)
        .bind(now.as_millisecond())
        .bind(who)
        .bind(reason)
        .execute(tx)
        .await
        .during("pause sending")?;
    Ok(done.rows_affected() > 0)
}

/// The same hold as part of a larger change.
pub async fn hold(tx: &mut Tx, now: Timestamp, who: &str, reason: &str) -> Result<bool, StoreError> {
    let new = set(tx, HOLD, now, who, reason).await?;
    if new {
        let held = Event::SendingHeld { hold: HOLD.to_owned() };
        events::append(tx, now, &CaseId::from(""), who, &[held]).await?;
    }
    Ok(new)
}

/// The end of the hold as part of a larger change.
pub(super) async fn release(tx: &mut Tx, now: Timestamp, who: &str) -> Result<bool, StoreError> {
    let done = query("delete from switches where name = $1")
        .bind(HOLD)
        .execute(&mut **tx)
        .await
        .during("release sending")?;
    let was_held = done.rows_affected() > 0;
    if was_held {
        let released = Event::SendingReleased { hold: HOLD.to_owned() };
        events::append(tx, now, &CaseId::from(""), who, &[released]).await?;
    }
    Ok(was_held)
}
