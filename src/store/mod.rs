//! The database: facts, ledger, queue, events. SQL stands beside the function that uses it; nothing here decides anything.
//!
//! One write connection; every write begins IMMEDIATE and is durable (WAL, `synchronous=FULL`) before its function returns. Reads go
//! to a pool of their own.

pub mod agenda;
pub mod backup;
pub mod ballast;
pub mod blank;
pub mod bounces;
pub mod calls;
pub(crate) mod canary;
pub mod cases;
mod chain;
pub mod db;
pub mod dossier;
pub mod doubts;
pub(crate) mod earlier;
pub mod erase;
pub mod events;
pub mod fate;
pub mod grounds;
mod held;
pub mod hints;
pub mod holds;
pub mod inbound;
pub mod incarnation;
pub mod inspect;
pub mod interrupted;
pub mod keys;
pub mod labels;
pub mod location;
pub(crate) mod lock;
pub mod moving;
pub mod nodes;
pub mod people;
pub mod postgres;
pub mod queue;
mod queue_postgres;
mod queue_sqlite;
pub mod reminders;
pub mod requests;
pub mod retention;
pub mod runs;
mod sealing;
pub mod sent;
pub(crate) mod server;
pub mod switches;
pub mod verify;

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteError, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::store::db::{Pool, query, query_scalar};
use crate::vault::{Masters, Wrapped};
use keys::{Locked, Ring, begin_sealing, rewrap, unlock};
use location::Location;
use lock::Lock;
use server::Elsewhere;

pub use chain::Head;
pub use keys::Tx;

/// The oldest SQLite whose write-ahead log cannot corrupt a database (its release notes, 3.51.3).
const SQLITE_MIN: [u32; 3] = [3, 51, 3];

/// SQLITE_BUSY, as sqlx writes it.
const BUSY: &str = "5";

/// Rows that a connection reads before somebody takes them.
const ROWS_AHEAD: usize = 512;

/// So long a connection waits for a lock.
const BUSY_MAX: Duration = Duration::from_secs(10);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// What the database would not do. Names the operation; the source says why.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action}")]
    Database { action: &'static str, source: sqlx::Error },
    #[error("cannot open the database {path}", path = path.display())]
    Open { path: PathBuf, source: sqlx::Error },
    #[error(
        "事件链的钥匙文件 {path} 无法使用 / the key file {path} of the chain of events cannot be used",
        path = path.display()
    )]
    ChainKey { path: PathBuf, source: std::io::Error },
    #[error(
        "{path} 无法读写,它记着谁的信息已删除;请修复后再启动 / {path} cannot be read or written; it tells who was erased: repair it first",
        path = path.display()
    )]
    ErasedList { path: PathBuf, source: std::io::Error },
    #[error("cannot make the directory {path} for the database", path = path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("this build carries SQLite {found}; 3.51.3 or newer is needed, older ones can corrupt a write-ahead log")]
    TooOld { found: String },
    #[error(
        "the database {path} was written by a newer xixin (it has migration {version}); start that version, or restore a backup made before the upgrade",
        path = path.display()
    )]
    Newer { path: PathBuf, version: i64 },
    #[error(
        "数据库 {path} 须先升级: 备份后运行 xixin migrate / the database {path} is of an older version: make a backup, then run xixin migrate",
        path = path.display()
    )]
    Older { path: PathBuf },
    #[error(
        "没有数据库 {path}。请核对 state_dir 与 --config;新装请先启动服务或运行 xixin migrate / there is no database {path}: check state_dir and --config; on a new installation start the daemon or run xixin migrate",
        path = path.display()
    )]
    Missing { path: PathBuf },
    #[error("cannot bring the database {path} up to date", path = path.display())]
    Migrate { path: PathBuf, source: MigrateError },
    #[error("row {id} of table {table} cannot be read: {why}")]
    Corrupt {
        table: &'static str,
        id: String,
        why: String,
    },
    #[error(
        "数据库 {path} 的个人信息是用别的密钥加密的。请放回原来的密钥(personal_data.key,或 state_dir 中的 xixin.key);若是有意更换,把原密钥写入 personal_data.old_keys / the personal data in {path} was sealed with another key. Put the one back that it was sealed with (personal_data.key, or xixin.key in state_dir); if it was changed on purpose, name the old one in personal_data.old_keys",
        path = path.display()
    )]
    WrongKey { path: PathBuf },
    #[error(
        "数据库 {path} 的个人信息已加密,却没有密钥。请把另存的密钥文件放回 state_dir(xixin.key)或写明 personal_data.key;绝不会另生成一把 / the personal data in {path} is sealed, and there is no key. Bring xixin.key back into state_dir from where its copy is kept, or set personal_data.key; another one is never made in its place",
        path = path.display()
    )]
    NoKey { path: PathBuf },
    #[error(
        "数据库 {path} 已由别的节点启用,{key} 不存在或与之不符。请从运行正常的节点复制 xixin.key 与 chain.key 到本机数据目录(属主 xixin,权限 600)再启动;绝不会另生成一把 / another node has taken {path} into use, and {key} is missing or does not fit. Copy xixin.key and chain.key from a node that works into the data directory of this one (owner xixin, mode 600), then start again; another one is never made in its place",
        path = path.display(),
        key = key.display()
    )]
    KeyOfNodes { path: PathBuf, key: PathBuf },
    #[error(
        "这个数据库已全部迁往 {to},不再使用。请在 xixin.toml 写 database = \"{to}\" 再启动;确要退回,用 xixin move --return / everything in this database was moved to {to}, and it is used no more. Set database = \"{to}\" in xixin.toml, then start; to go back to it nevertheless there is xixin move --return"
    )]
    Moved { to: String },
    #[error(
        "这个数据库正迁往 {to},或迁移中断了,什么也没有写入。若已中断,启动服务即会核对并说明哪一个有效 / this database is being moved to {to}, or that was cut off; nothing was written. If it was cut off, a start of the daemon finds out, and says, which of the two counts"
    )]
    Moving { to: String },
    /// Crypto-shredding: the key of a person was destroyed.
    #[error("{table} {id}: 个人信息已应要求删除 / the personal data was erased on request")]
    Erased { table: &'static str, id: String },
    #[error("case {id} was changed by somebody else at the same moment; nothing was written, try again")]
    Conflict { id: String },
}

impl StoreError {
    /// Whether the database cannot be written, or reached: nothing can be recorded, so nothing may be sent.
    pub fn is_storage_fault(&self) -> bool {
        // PERM 3, READONLY 8, IOERR 10, CORRUPT 11, FULL 13, CANTOPEN 14, NOTADB 26; of PostgreSQL: insufficient_privilege,
        // read_only_sql_transaction, disk_full, io_error, data_corrupted, index_corrupted.
        const STATES: [&str; 6] = ["42501", "25006", "53100", "58030", "XX001", "XX002"];
        let Self::Database { source, .. } = self else {
            return false;
        };
        matches!(primary_code(source), 3 | 8 | 10 | 11 | 13 | 14 | 26)
            || sqlstate(source).is_some_and(|state| STATES.contains(&&*state))
            || self.is_gone()
    }

    /// Whether the disk did not make durable what was written. What it really holds is unknown from then on, and asking it once more would
    /// be answered with a success that means nothing (Linux drops the pages that failed).
    pub fn is_sync_failure(&self) -> bool {
        // IOERR_FSYNC, IOERR_DIR_FSYNC.
        matches!(self, Self::Database { source, .. } if matches!(code(source), 1034 | 1290))
    }

    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Database { source, .. } if primary_code(source) == 13 || sqlstate(source).as_deref() == Some("53100"))
    }

    /// Whether the database itself is damaged.
    pub fn is_damage(&self) -> bool {
        // CORRUPT 11, NOTADB 26; of PostgreSQL: data_corrupted, index_corrupted.
        let Some(source) = self.source_of() else { return false };
        matches!(primary_code(source), 11 | 26) || matches!(sqlstate(source).as_deref(), Some("XX001" | "XX002"))
    }

    /// Whether the server of the database does not answer, or has ended this connection.
    pub fn is_gone(&self) -> bool {
        let Some(source) = self.source_of() else { return false };
        match source {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed => true,
            // Connections (class 08), logging in (class 28), and a server that is shut down, crashed or starting.
            source => sqlstate(source).is_some_and(|state| {
                state.starts_with("08") || state.starts_with("28") || matches!(&*state, "57P01" | "57P02" | "57P03")
            }),
        }
    }

    /// Whether, and how, the connection leads elsewhere than to the server that was met.
    pub(crate) fn elsewhere(&self) -> Option<&Elsewhere> {
        match self.source_of()? {
            sqlx::Error::Io(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }

    /// Whether the server gave a whole transaction up so that another could go on: done once more it may succeed.
    pub fn is_given_up(&self) -> bool {
        // serialization_failure, deadlock_detected.
        let state = self.source_of().and_then(sqlstate);
        matches!(state.as_deref(), Some("40001" | "40P01"))
    }

    fn source_of(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database { source, .. } | Self::Open { source, .. } => Some(source),
            Self::Migrate {
                source: MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _),
                ..
            } => Some(source),
            _ => None,
        }
    }

    /// Whether another connection held the lock for longer than it is waited for.
    pub fn is_busy(&self) -> bool {
        let Some(source) = self.source_of() else { return false };
        // BUSY 5, LOCKED 6; or the connections of this process were taken for as long. Of PostgreSQL: serialization_failure,
        // deadlock_detected, lock_not_available, query_canceled (it took too long), too_many_connections, out_of_memory.
        const STATES: [&str; 6] = ["40001", "40P01", "55P03", "57014", "53300", "53200"];
        matches!(source, sqlx::Error::PoolTimedOut)
            || matches!(primary_code(source), 5 | 6)
            || sqlstate(source).is_some_and(|state| STATES.contains(&&*state))
    }
}

/// SQLite's primary result code; 0 when the error is not SQLite's.
fn primary_code(error: &sqlx::Error) -> u32 {
    code(error) & 0xff
}

/// SQLite's extended result code; 0 when the error is not SQLite's.
fn code(error: &sqlx::Error) -> u32 {
    let code = error
        .as_database_error()
        .filter(|error| error.try_downcast_ref::<SqliteError>().is_some())
        .and_then(|error| error.code()?.parse::<u32>().ok());
    code.unwrap_or(0)
}

/// PostgreSQL's code of an error; `None` when the error is not PostgreSQL's.
fn sqlstate(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<PgDatabaseError>()?;
    error.code()
}

/// A document that cannot be read. Only the place is told: it holds personal data.
pub(crate) fn unreadable(table: &'static str, id: String, error: &serde_json::Error) -> StoreError {
    let (line, column) = (error.line(), error.column());
    let why = format!("it is no valid document (line {line}, column {column})");
    StoreError::Corrupt { table, id, why }
}

/// A row that is left out of a list is named in the log, so that somebody repairs it; one that was erased needs no repair.
pub(crate) fn log_unreadable(error: &StoreError) {
    match error {
        StoreError::Erased { .. } => tracing::debug!("{error}"),
        _ => tracing::error!("{error}"),
    }
}

/// Names the operation in front of a database error.
pub(crate) trait During<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { action, source })
    }
}

/// The open database.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Pool,
    reader: Pool,
    location: Location,
    ring: Arc<Ring>,
    chain: Arc<chain::Chain>,
    /// Which of several nodes this is; empty where there is only one.
    node: Arc<str>,
}

impl Store {
    /// Opens (and makes, if it is missing) the database at `path`, brings it up to date, and seals what is not sealed yet.
    pub async fn open(path: &Path, masters: &Masters) -> Result<Self, StoreError> {
        let writer = Pool::Sqlite(made(path).await?);
        incarnation::give(&writer).await?;
        let ring = unlock_to_write(&writer, path, masters).await?;
        let chain = Arc::new(chain::Chain::open(path)?);
        let reader = several(3).connect_with(owned(path).create_if_missing(false)).await;
        let reader = reader.map_err(|source| StoreError::Open {
            path: path.to_owned(),
            source,
        })?;
        let store = Self {
            writer,
            reader: Pool::Sqlite(reader),
            location: Location::File(path.to_owned()),
            ring: Arc::new(ring),
            chain,
            node: Arc::default(),
        };
        store.seal_older().await?;
        store.keep_first_head().await?;
        Ok(store)
    }

    /// Opens the database at `path` to read it. It has to exist and to be of this version; nothing is made, changed or brought up to
    /// date, and every write fails. `masters` are `None` when there is no key file.
    pub async fn look(path: &Path, masters: Option<&Masters>) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        let pool = Pool::Sqlite(reading(path, 3).await?);
        look_by(pool, Location::File(path.to_owned()), masters).await
    }

    /// Whether opening the database at `path` changes all of it: makes it, brings it up to date, seals it, or wraps its keys anew. That
    /// is no work to do beside a daemon. What is wrong with the database is told by opening it.
    pub async fn needs_the_daemon(path: &Path, masters: &Masters) -> Result<bool, StoreError> {
        if !path.exists() {
            return Ok(true);
        }
        let pool = Pool::Sqlite(reading(path, 1).await?);
        let found = needs_all(&pool, masters).await;
        pool.close().await;
        found
    }

    /// Whether the database at `path` holds anything that only its own key opens; false when there is no database.
    pub async fn is_sealed(path: &Path) -> Result<bool, StoreError> {
        if !path.exists() {
            return Ok(false);
        }
        let pool = Pool::Sqlite(reading(path, 1).await?);
        let sealed = inspect::is_sealed(&pool).await;
        pool.close().await;
        sealed
    }

    /// A store over connections that can only read.
    fn over(pool: Pool, location: Location, ring: Ring) -> Result<Self, StoreError> {
        let chain = Arc::new(chain::Chain::look(location.beside())?);
        Ok(Self {
            writer: pool.clone(),
            reader: pool,
            location,
            ring: Arc::new(ring),
            chain,
            node: Arc::default(),
        })
    }

    /// The same open database with a connection that can write beside those that read: for noting who looked. Nothing else is brought
    /// up to date or made.
    pub async fn for_notes(&self) -> Result<Self, StoreError> {
        let (writer, chain) = match &self.location {
            Location::File(path) => (writing(path).await?, Arc::new(chain::Chain::open(path)?)),
            Location::Server(server) => server.writer().await?,
        };
        Ok(Self {
            writer,
            chain,
            ..self.clone()
        })
    }

    /// Closes what [`Store::for_notes`] has opened; whoever reads goes on.
    pub async fn close_writer(&self) {
        self.writer.close().await;
    }

    /// The file, or where it would be beside what belongs to the database on this machine.
    pub fn path(&self) -> &Path {
        self.location.beside()
    }

    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Starts a write. What it decides by has to be held (`store::lock`).
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let inner = self.writer.write().await.during("start a write")?;
        let (ring, chain) = (Arc::clone(&self.ring), Arc::clone(&self.chain));
        Ok(Tx::new(inner, ring, chain, Arc::clone(&self.node)))
    }

    /// The same on this server, which need not be the one that was met.
    pub(crate) async fn begin_on(&self, server: &str) -> Result<Tx, StoreError> {
        let inner = self.writer.write_on(server).await.during("start a write")?;
        let (ring, chain) = (Arc::clone(&self.ring), Arc::clone(&self.chain));
        Ok(Tx::new(inner, ring, chain, Arc::clone(&self.node)))
    }

    /// Whether other nodes may share this database.
    pub fn is_shared(&self) -> bool {
        matches!(self.writer, Pool::Postgres(_))
    }

    /// Whether a pooler stands between, which has few connections for all.
    pub(crate) fn is_pooled(&self) -> bool {
        matches!(&self.writer, Pool::Postgres(connections) if connections.is_pooled())
    }

    pub(crate) fn node(&self) -> &Arc<str> {
        &self.node
    }

    pub(crate) fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    pub(crate) fn reader(&self) -> &Pool {
        &self.reader
    }

    /// Fails when a newer program has changed the database so that this one may no longer work on it.
    pub async fn check_version(&self) -> Result<(), StoreError> {
        match inspect::version(&self.reader).await? {
            inspect::Version::Newer { found, .. } => Err(StoreError::Newer {
                path: self.location.name(),
                version: found,
            }),
            inspect::Version::Current | inspect::Version::Older { .. } => Ok(()),
        }
    }

    /// Answers when the database can be read.
    pub async fn ping(&self) -> Result<(), StoreError> {
        query_scalar::<i64>("select cast(1 as bigint)")
            .fetch_one(&self.reader)
            .await
            .map(|_| ())
            .during("reach the database")
    }

    /// Answers when the database takes what sending has to record, durably.
    pub async fn can_write(&self) -> Result<(), StoreError> {
        // They match no row, but fail when their table would.
        const REMINDERS: &str = "update reminders set state = state where id = ''";
        const ATTEMPTS: &str = "update attempts set outcome = outcome where id = ''";
        let mut tx = self.begin().await?;
        for sql in [REMINDERS, ATTEMPTS] {
            query(sql).execute(&mut *tx).await.during("probe the database")?;
        }
        runs::set_meta(&mut tx, "write_probe", "1").await?;
        commit(tx, "probe the database").await
    }

    /// Changes what is due at this instant. Looked for first, because there is hardly ever any and the write lock is everybody's. Both
    /// take the instant, and the look counts. Returns how many rows were changed.
    pub(super) async fn change_due(
        &self,
        (any, change): (&'static str, &'static str),
        now: Timestamp,
        during: &'static str,
    ) -> Result<u64, StoreError> {
        let any = query_scalar::<i64>(any)
            .bind(now.as_millisecond())
            .fetch_one(self.reader())
            .await
            .during(during)?;
        if any == 0 {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let done = query(change).bind(now.as_millisecond()).execute(&mut *tx).await;
        let done = done.during(during)?;
        commit(tx, during).await?;
        Ok(done.rows_affected())
    }

    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// How the file is opened by whoever owns it.
fn owned(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_MAX)
        .foreign_keys(true)
        .pragma("temp_store", "memory")
        // What is deleted is overwritten: a key that was destroyed must not be found in a free page.
        .pragma("secure_delete", "on")
        // In KiB. By itself SQLite keeps two MiB, less than what one busy morning touches.
        .pragma("cache_size", "-8192")
        // The thread of a connection sleeps whenever so many rows wait to be taken: a batch is more than the usual 50.
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

fn several(max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(max)
        .idle_timeout(None)
        .max_lifetime(None)
        // A full disk makes SQLite roll back by itself; sqlx then still counts a transaction and begins no other on that
        // connection. A new one takes its place.
        .before_acquire(|connection, _| {
            let clean = !connection.is_in_transaction();
            Box::pin(async move { Ok(clean) })
        })
}

/// The one connection that writes, to a file with the tables of this version: made if it is missing, brought up to date if it is older.
async fn made(path: &Path) -> Result<SqlitePool, StoreError> {
    make_directory(path)?;
    // SQLite would make it readable for everybody, and its journals take after it. What fails here fails again, with its reason,
    // when SQLite opens the file.
    let mut make = std::fs::OpenOptions::new();
    let _ = make.write(true).create(true).truncate(false).mode(0o600).open(path);
    let opened = first_connection(several(1), &owned(path)).await;
    let writer = opened.map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source,
    })?;
    check_library(&writer).await?;
    migrate(&writer, path).await?;
    Ok(writer)
}

/// Makes the directory of a database.
pub fn make_directory(database: &Path) -> Result<(), StoreError> {
    let Some(dir) = database.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
        return Ok(());
    };
    // What is in it concerns people: for its owner only.
    let mut make = std::fs::DirBuilder::new();
    make.recursive(true).mode(0o700);
    make.create(dir).map_err(|source| StoreError::Directory {
        path: dir.to_owned(),
        source,
    })
}

/// A store over connections that can only read, to a database of this version that these keys open.
async fn look_by(pool: Pool, location: Location, masters: Option<&Masters>) -> Result<Store, StoreError> {
    let name = || location.name();
    match inspect::version(&pool).await? {
        inspect::Version::Current => {}
        inspect::Version::Older { .. } => return Err(StoreError::Older { path: name() }),
        inspect::Version::Newer { found, .. } => {
            return Err(StoreError::Newer {
                path: name(),
                version: found,
            });
        }
    }
    let Some(masters) = masters else {
        return Err(StoreError::NoKey { path: name() });
    };
    let mut connection = pool.snapshot().await.during("reach the database")?;
    let (ring, _) = unlock(&mut connection, masters).await.map_err(|locked| match locked {
        // An upgrade that was interrupted between two of its steps.
        Locked::NeverSealed => StoreError::Older { path: name() },
        locked => locked.told(&name()),
    })?;
    drop(connection);
    let store = Store::over(pool, location, ring)?;
    if !store.may_hold_plain().await? {
        store.ring.refuse_plain();
    }
    Ok(store)
}

async fn needs_all(pool: &Pool, masters: &Masters) -> Result<bool, StoreError> {
    match inspect::version(pool).await? {
        inspect::Version::Older { .. } => return Ok(true),
        inspect::Version::Newer { .. } => return Ok(false),
        inspect::Version::Current => {}
    }
    let mut connection = pool.snapshot().await.during("reach the database")?;
    match unlock(&mut connection, masters).await {
        Ok((_, Wrapped::Current)) => {}
        Ok((_, Wrapped::Old)) | Err(Locked::NeverSealed) => return Ok(true),
        Err(Locked::Store(error)) => return Err(error),
        Err(Locked::WrongKey | Locked::Incomplete) => return Ok(false),
    }
    sealing::has_plain(&mut connection).await
}

/// The keys of a database that is written to. In a new one they are made; an old master key gives way to the current one.
async fn unlock_to_write(writer: &Pool, path: &Path, masters: &Masters) -> Result<Ring, StoreError> {
    let action = "unlock the database";
    // Nearly always there is nothing to write, and the write lock is everybody's.
    let mut connection = writer.snapshot().await.during(action)?;
    match unlock(&mut connection, masters).await {
        Ok((ring, Wrapped::Current)) => return Ok(ring),
        // Another process may have made the first keys while this one looked: under the lock it is seen whether any is missing.
        Ok((_, Wrapped::Old)) | Err(Locked::NeverSealed | Locked::Incomplete) => {}
        Err(locked) => return Err(locked.told(path)),
    }
    drop(connection);
    // The lock comes first: two processes must not both make the first keys.
    let mut tx = writer.write().await.during(action)?;
    Lock::Keys.hold(&mut tx).await?;
    let ring = match unlock(&mut tx, masters).await {
        Ok((ring, Wrapped::Current)) => ring,
        Ok((ring, Wrapped::Old)) => {
            let keys = rewrap(&mut tx, masters).await?;
            tracing::warn!("{keys} keys are wrapped by the new master key; personal_data.old_keys is no longer needed");
            ring
        }
        Err(Locked::NeverSealed) => begin_sealing(&mut tx, masters).await?,
        Err(locked) => return Err(locked.told(path)),
    };
    tx.commit().await.during(action)?;
    Ok(ring)
}

/// So often a transaction is done at the most that the server gives up for another one.
pub(crate) const GIVEN_UP_TRIES: u32 = 3;

/// Does a whole transaction, and again at once when the server has given it up. Everybody takes rows in one order (`store::lock`), so that
/// this is for what others do on the same server.
pub(crate) async fn repeated<T, W>(work: impl Fn() -> W) -> Result<T, StoreError>
where
    W: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..GIVEN_UP_TRIES {
        match work().await {
            Err(error) if error.is_given_up() => {
                tracing::warn!("a transaction was given up for another one and is done again: {error}");
            }
            done => return done,
        }
    }
    work().await
}

/// Commits, naming the operation when it fails.
pub async fn commit(tx: Tx, action: &'static str) -> Result<(), StoreError> {
    tx.commit().await.during(action)
}

async fn check_library(pool: &SqlitePool) -> Result<(), StoreError> {
    let found: String = sqlx::query_scalar("select sqlite_version()")
        .fetch_one(pool)
        .await
        .during("ask for the version of SQLite")?;
    let parts: Vec<u32> = found.split('.').filter_map(|part| part.parse().ok()).collect();
    if parts.as_slice() < SQLITE_MIN.as_slice() {
        Err(StoreError::TooOld { found })
    } else {
        Ok(())
    }
}

/// A connection that can write to a database that exists.
async fn writing(path: &Path) -> Result<Pool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_MAX)
        .foreign_keys(true)
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
    writer.map(Pool::Sqlite).map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source,
    })
}

/// Connections that can only read a database that exists.
async fn reading(path: &Path, max: u32) -> Result<SqlitePool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_MAX)
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new().max_connections(max).connect_with(options);
    pool.await.map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source,
    })
}

/// Switching a new database to its write-ahead log needs it alone, and SQLite does not wait for that by itself.
async fn first_connection(pool: SqlitePoolOptions, options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    const TRIES: u32 = 50;
    for _ in 1..TRIES {
        match pool.clone().connect_with(options.clone()).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(BUSY) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
    pool.connect_with(options.clone()).await
}

/// Another process may be making the same database at the same moment; whoever comes second finds its work done when it looks again.
async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let mut done = MIGRATIONS.run(pool).await;
    for _ in MIGRATIONS.iter() {
        // Of two that did the same one, the later cannot note it.
        if !matches!(done, Err(MigrateError::ExecuteMigration(..) | MigrateError::Execute(_))) {
            break;
        }
        done = MIGRATIONS.run(pool).await;
    }
    done.map_err(|source| match source {
        MigrateError::VersionMissing(version) => StoreError::Newer {
            path: path.to_owned(),
            version,
        },
        source => StoreError::Migrate {
            path: path.to_owned(),
            source,
        },
    })
}

/// The instant of a column; a value no clock can show is a corrupt row.
pub(crate) fn instant_of(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
