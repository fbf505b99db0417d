//! Which server the database is on. A standby that was promoted, or a server that was restored, goes on under another timeline or as
//! another system, and may lack what the one before had acknowledged. Every transaction that writes asks for both as it begins, so that
//! nothing is written on a server that was not met, whichever way a connection leads.
//!
//! Where `meta` names another server than the one that is met, a new life of the database begins (`store::incarnation`): the switch `server`
//! stops all nodes until each that lived has told what it had sent (`store::earlier`).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::db::{Connection, Pool, query, query_as, query_scalar};
use crate::store::runs::serial_row;
use crate::store::switches::{self, SERVER};
use crate::store::{During as _, Store, StoreError, incarnation, instant_of};

/// System and timeline, of which the latter is that of what is written now: the one of the last checkpoint lags behind a promotion. Whoever
/// may log in may ask.
pub(super) const IDENTITY: &str = "
    select case when pg_is_in_recovery() then 'standby'
        else (select system_identifier from pg_control_system()) || '/'
             || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) end";
const STANDBY: &str = "standby";

/// What a new life leaves out of the case numbers at once. When writes turn out to be lost, ten thousand more are.
const NUMBERS: i64 = 1_000;

/// Why everything stops meanwhile.
const COMPARING: &str =
    "数据库换了服务器,各节点正在核对已发出的 / the database came to another server: the nodes compare what has left";

/// A connection leads elsewhere than it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Elsewhere {
    #[error(
        "所连的是备库,只能读;等它成为主库,或让地址指向主库 / the server is a standby and only reads: it is waited for until it is the primary; or let the address lead to the primary"
    )]
    Standby,
    #[error(
        "所连的数据库服务器换了({found}),先核对已发出的再写入 / the connection leads to another server ({found}): what has left is compared before anything is written"
    )]
    Another { found: String },
}

impl From<Elsewhere> for sqlx::Error {
    fn from(elsewhere: Elsewhere) -> Self {
        io::Error::other(elsewhere).into()
    }
}

/// The server that was met last; none before the first meeting.
#[derive(Debug, Clone, Default)]
pub(super) struct Met(Arc<Mutex<Option<String>>>);

impl Met {
    pub(super) fn set(&self, server: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a server is the one that is expected, if any is; a standby never is.
pub(super) fn check(found: String, expected: Option<&str>) -> Result<(), Elsewhere> {
    match expected {
        _ if found == STANDBY => Err(Elsewhere::Standby),
        Some(expected) if found != expected => Err(Elsewhere::Another { found }),
        _ => Ok(()),
    }
}

/// A server, and what the database on it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meeting {
    pub server: String,
    pub incarnation: String,
    /// The last batch of this node that the database knew of when its life began.
    pub serial: i64,
}

/// Fails at a standby, before anything is written to it.
pub(super) async fn refuse_standby(pool: &Pool) -> Result<(), StoreError> {
    let action = "look which server it is";
    let found: String = query_scalar(IDENTITY).fetch_one(pool).await.during(action)?;
    check(found, None).map_err(sqlx::Error::from).during(action)
}

/// Looks which server it is, and begins a new life of the database on one that is another. Nothing else may be written before the nodes
/// have met it.
pub(super) async fn meet(pool: &Pool, node: &str) -> Result<Meeting, StoreError> {
    const KNOWN: &str = "select value from meta where name = 'server'";
    const FIRST: &str = "insert into meta (name, value) values ('server', $1) on conflict (name) do nothing";
    const CHANGE: &str = "update meta set value = $1 where name = 'server' and value <> $1";
    const LIFE: &str = "
        select incarnation.value, coalesce((select owed from nodes where name = $1), cast(serial.value as bigint), cast(0 as bigint))
        from meta as incarnation
        left join meta as serial on serial.name = $2
        where incarnation.name = 'incarnation'";
    let action = "look which server it is";
    let mut tx = pool.write_anywhere().await.during(action)?;
    let server: String = query_scalar(IDENTITY).fetch_one(&mut tx).await.during(action)?;
    check(server.clone(), None).map_err(sqlx::Error::from).during(action)?;
    let known: Option<String> = query_scalar(KNOWN).fetch_optional(&mut tx).await.during(action)?;
    if known.as_ref() != Some(&server) {
        let sql = if known.is_none() { FIRST } else { CHANGE };
        let changed = query(sql).bind(&server).execute(&mut tx).await.during(action)?;
        // Of several that come at once one begins it.
        if known.is_some() && changed.rows_affected() > 0 {
            new_life(&mut tx).await?;
        }
    }
    let (incarnation, serial) = query_as(LIFE)
        .bind(node)
        .bind(serial_row(node))
        .fetch_one(&mut tx)
        .await
        .during(action)?;
    tx.commit().await.during(action)?;
    Ok(Meeting {
        server,
        incarnation,
        serial,
    })
}

/// Everything stops, and all who lived when the database was last written owe an account of what they have sent.
async fn new_life(tx: &mut Connection) -> Result<(), StoreError> {
    const OWE: &str = "
        update nodes
        set owed = coalesce(owed, (select cast(value as bigint) from meta where meta.name = 'sent_serial:' || nodes.name), 0)
        where alive_until_ms >= (select max(seen_ms) from nodes)";
    let action = "begin a new life of the database";
    let now: i64 = query_scalar("select now_ms()")
        .fetch_one(&mut *tx)
        .await
        .during(action)?;
    let now = instant_of(now);
    incarnation::rename(tx).await?;
    incarnation::skip(tx, now, NUMBERS).await?;
    query(OWE).execute(&mut *tx).await.during(action)?;
    switches::set(tx, SERVER, now, "xixin", COMPARING).await?;
    Ok(())
}

impl Store {
    /// Looks which server the database is on now. It is written to after [`Store::set_met`].
    pub(crate) async fn meet(&self) -> Result<Meeting, StoreError> {
        meet(&self.writer, &self.node).await
    }

    pub(crate) fn has_met(&self, server: &str) -> bool {
        self.writer
            .met()
            .is_some_and(|met| met.get().as_deref() == Some(server))
    }

    pub(crate) fn set_met(&self, server: String) {
        if let Some(met) = self.writer.met() {
            met.set(server);
        }
    }

    /// The server is the same, and all the same the database is an older one.
    pub(crate) async fn begin_new_life(&self) -> Result<(), StoreError> {
        let action = "begin a new life of the database";
        let mut tx = self.writer.write().await.during(action)?;
        new_life(&mut tx).await?;
        tx.commit().await.during(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_never_the_server_and_another_one_only_before_the_first_meeting() {
        let another = |found: &str| {
            Err(Elsewhere::Another {
                found: found.to_owned(),
            })
        };
        for (found, expected, result) in [
            ("1/00000001", None, Ok(())),
            ("1/00000001", Some("1/00000001"), Ok(())),
            ("1/00000002", Some("1/00000001"), another("1/00000002")),
            ("2/00000001", Some("1/00000001"), another("2/00000001")),
            (STANDBY, None, Err(Elsewhere::Standby)),
            (STANDBY, Some(STANDBY), Err(Elsewhere::Standby)),
        ] {
            assert_eq!(check(found.to_owned(), expected), result, "{found} {expected:?}");
        }
    }
}
