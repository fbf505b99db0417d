//! Which life of the database this is. A restored one knows nothing of what was sent after its backup was made: it gets another
//! name, and nothing leaves until a person has looked.

use jiff::Timestamp;
use sqlx::sqlite::SqlitePool;

use crate::domain::event::Event;
use crate::domain::ids::CaseId;
use crate::store::runs::set_meta;
use crate::store::switches::hold;
use crate::store::{During, Store, StoreError, Tx, events};

const NAME: &str = "incarnation";

/// Names a database that has no name yet.
pub(super) async fn give(pool: &SqlitePool) -> Result<(), StoreError> {
    const SQL: &str = "insert into meta (name, value) values ($1, $2) on conflict (name) do nothing";
    const KNOWN: &str = "select count(*) from meta where name = $1";
    let action = "name the database";
    let known: i64 = sqlx::query_scalar(KNOWN)
        .bind(NAME)
        .fetch_one(pool)
        .await
        .during(action)?;
    if known == 0 {
        sqlx::query(SQL)
            .bind(NAME)
            .bind(new_name())
            .execute(pool)
            .await
            .during(action)?;
    }
    Ok(())
}

/// A database that was put in the place of another becomes a new one, and holds everything. Returns its name.
pub async fn renew(tx: &mut Tx, now: Timestamp, who: &str, reason: &str) -> Result<String, StoreError> {
    let incarnation = new_name();
    set_meta(tx, NAME, &incarnation).await?;
    let restored = Event::DatabaseRestored {
        incarnation: incarnation.clone(),
    };
    events::append(tx, now, &CaseId::from(""), who, &[restored]).await?;
    hold(tx, now, who, reason).await?;
    Ok(incarnation)
}

fn new_name() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

impl Store {
    pub async fn incarnation(&self) -> Result<String, StoreError> {
        Ok(self.meta(NAME).await?.unwrap_or_default())
    }
}
