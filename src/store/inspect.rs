//! A look at the database that changes nothing: it is neither made nor brought up to date, whoever looks.

use std::path::Path;

use crate::store::db::{Pool, query_scalar};
use crate::store::keys::Ring;
use crate::store::location::Location;
use crate::store::switches::Switch;
use crate::store::{During as _, MIGRATIONS, Store, StoreError, code, reading};
use jiff::Timestamp;

/// READONLY_ROLLBACK: a transaction has to be taken back before anything can be read, and this connection may not.
const HALF_MADE: u32 = 776;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub version: Version,
    /// What `pragma quick_check` complains about; empty when it does not.
    pub damage: Vec<String>,
    /// What is in it; `None` when it is of another version.
    pub contents: Option<Contents>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Current,
    /// The next start brings it up to date.
    Older {
        found: i64,
        ours: i64,
    },
    Newer {
        found: i64,
        ours: i64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub newest_decision: Option<Timestamp>,
    pub paused: Vec<Switch>,
    /// The oldest of each way's queue: the way, and since when it may go.
    pub waits: Vec<(String, Timestamp)>,
    pub next_wake: Option<Timestamp>,
    /// Mail that came back and waits for somebody to look at it.
    pub returned: i64,
}

/// Looks at the database at `path`; it has to exist.
pub async fn inspect(path: &Path) -> Result<Inspection, StoreError> {
    let file = reading(path, 1).await?;
    let pool = Pool::Sqlite(file.clone());
    let found = async {
        let damage = match sqlx::query_scalar("pragma quick_check(20)").fetch_all(&file).await {
            Err(error) if code(&error) == HALF_MADE => Vec::new(),
            found => found.during("check the database")?,
        };
        let damage = damage.into_iter().filter(|line| line != "ok").collect();
        look(&pool, Location::File(path.to_owned()), damage).await
    }
    .await;
    pool.close().await;
    found
}

pub(super) async fn look(pool: &Pool, location: Location, damage: Vec<String>) -> Result<Inspection, StoreError> {
    let version = version(pool).await?;
    let contents = match version {
        Version::Current => Some(contents(&Store::over(pool.clone(), location, Ring::of_nobody())?).await?),
        Version::Older { .. } | Version::Newer { .. } => None,
    };
    Ok(Inspection {
        version,
        damage,
        contents,
    })
}

/// Without the table of versions it is a database that was never made: older than any.
pub(super) async fn version(pool: &Pool) -> Result<Version, StoreError> {
    const NEWEST: &str = "select coalesce(max(version), 0) from _sqlx_migrations where success";
    let action = "read the version of the database";
    let found: i64 = match has_table(pool, "_sqlx_migrations").await.during(action)? {
        false => 0,
        true => query_scalar(NEWEST).fetch_one(pool).await.during(action)?,
    };
    let ours = ours();
    Ok(match found.cmp(&ours) {
        std::cmp::Ordering::Equal => Version::Current,
        std::cmp::Ordering::Less => Version::Older { found, ours },
        // While nodes are upgraded one after the other, those of before go on.
        std::cmp::Ordering::Greater if may_still_write(pool).await? => Version::Current,
        std::cmp::Ordering::Greater => Version::Newer { found, ours },
    })
}

/// The newest migration that this program knows.
pub(super) fn ours() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Whether a program of our version may work on this database although a newer one has brought it up to date. Every migration adds only;
/// one beside which older programs may not write raises `min_writer_version` in `meta` to its number. A file belongs to one program,
/// which does not become older.
pub(super) async fn may_still_write(pool: &Pool) -> Result<bool, StoreError> {
    const LEAST: &str = "select coalesce(max(cast(value as bigint)), 0) from meta where name = 'min_writer_version'";
    let Pool::Postgres(_) = pool else {
        return Ok(false);
    };
    let least: i64 = query_scalar(LEAST)
        .fetch_one(pool)
        .await
        .during("read which versions may write")?;
    Ok(least <= ours())
}

/// Whether there are keys in it: then it has been sealed by a master key.
pub(super) async fn is_sealed(pool: &Pool) -> Result<bool, StoreError> {
    const KEYS: &str = "select count(*) from (select 1 from keys limit 1) as one";
    let action = "look whether the database is sealed";
    if !has_table(pool, "keys").await.during(action)? {
        return Ok(false);
    }
    let keys: i64 = query_scalar(KEYS).fetch_one(pool).await.during(action)?;
    Ok(keys > 0)
}

/// A database that died while it was being made has none: what it was about to become lies in a rollback journal, which whoever opens it
/// to write takes back. Later there is no such journal any more, only the write-ahead log.
pub(super) async fn has_table(pool: &Pool, name: &str) -> Result<bool, sqlx::Error> {
    const SQLITE: &str = "select count(*) from sqlite_schema where type = 'table' and name = $1";
    const POSTGRES: &str = "select count(*) from pg_catalog.pg_class where oid = to_regclass($1)";
    let table = match pool {
        Pool::Sqlite(_) => SQLITE,
        Pool::Postgres(_) => POSTGRES,
    };
    match query_scalar::<i64>(table).bind(name).fetch_one(pool).await {
        Err(error) if code(&error) == HALF_MADE => Ok(false),
        counted => Ok(counted? > 0),
    }
}

async fn contents(store: &Store) -> Result<Contents, StoreError> {
    let waits = store.queue_waits().await?;
    Ok(Contents {
        newest_decision: store.newest_decision().await?,
        paused: store.switches().await?,
        waits: waits
            .into_iter()
            .map(|wait| (wait.way, crate::store::instant_of(wait.not_before_ms)))
            .collect(),
        next_wake: store.next_wake().await?,
        returned: store.returned_count().await?,
    })
}
