//! The database: facts, ledger, queue, events. SQL stands beside the function that uses it; nothing here decides anything.
//!
//! One write connection; every write begins IMMEDIATE and is durable (WAL, `synchronous=FULL`) before its function returns. Reads go
//! to a pool of their own.

pub mod agenda;
pub mod backup;
pub mod calls;
pub(crate) mod canary;
pub mod cases;
pub mod events;
pub mod fate;
pub mod holds;
pub mod incarnation;
pub mod inspect;
pub mod interrupted;
pub mod labels;
pub mod people;
pub mod queue;
pub mod reminders;
pub mod runs;
pub mod sent;
pub mod switches;

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, Transaction};

/// A transaction on the write connection.
pub type Tx = Transaction<'static, Sqlite>;

/// The oldest SQLite whose write-ahead log cannot corrupt a database (its release notes, 3.51.3).
const SQLITE_MIN: [u32; 3] = [3, 51, 3];

/// SQLITE_BUSY, as sqlx writes it.
const BUSY: &str = "5";

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
    Migrate {
        path: PathBuf,
        source: sqlx::migrate::MigrateError,
    },
    #[error("row {id} of table {table} cannot be read: {why}")]
    Corrupt {
        table: &'static str,
        id: String,
        why: String,
    },
    #[error("case {id} was changed by somebody else at the same moment; nothing was written, try again")]
    Conflict { id: String },
}

impl StoreError {
    /// Whether the disk is full or not writable: nothing can be recorded, so nothing may be sent.
    pub fn is_storage_fault(&self) -> bool {
        // PERM 3, READONLY 8, IOERR 10, CORRUPT 11, FULL 13, CANTOPEN 14, NOTADB 26.
        matches!(self, Self::Database { source, .. } if matches!(primary_code(source), 3 | 8 | 10 | 11 | 13 | 14 | 26))
    }

    /// Whether another connection held the lock for longer than it is waited for.
    pub fn is_busy(&self) -> bool {
        let source = match self {
            Self::Database { source, .. } | Self::Open { source, .. } => source,
            Self::Migrate {
                source:
                    sqlx::migrate::MigrateError::Execute(source) | sqlx::migrate::MigrateError::ExecuteMigration(source, _),
                ..
            } => source,
            _ => return false,
        };
        // BUSY 5, LOCKED 6; or the writer of this process was taken for as long.
        matches!(source, sqlx::Error::PoolTimedOut) || matches!(primary_code(source), 5 | 6)
    }
}

/// SQLite's primary result code; 0 when the error is not SQLite's.
fn primary_code(error: &sqlx::Error) -> u32 {
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok());
    code.unwrap_or(0) & 0xff
}

/// A document that cannot be read. Only the place is told: it holds personal data.
pub(crate) fn unreadable(table: &'static str, id: String, error: &serde_json::Error) -> StoreError {
    let (line, column) = (error.line(), error.column());
    let why = format!("it is no valid document (line {line}, column {column})");
    StoreError::Corrupt { table, id, why }
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
    writer: SqlitePool,
    reader: SqlitePool,
    path: PathBuf,
}

impl Store {
    /// Opens (and makes, if it is missing) the database at `path` and brings it up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            // What is in it concerns people: for its owner only.
            let mut make = std::fs::DirBuilder::new();
            make.recursive(true).mode(0o700);
            make.create(dir).map_err(|source| StoreError::Directory {
                path: dir.to_owned(),
                source,
            })?;
        }
        // SQLite would make it readable for everybody, and its journals take after it. What fails here fails again, with its reason,
        // when SQLite opens the file.
        let mut make = std::fs::OpenOptions::new();
        let _ = make.write(true).create(true).truncate(false).mode(0o600).open(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_MAX)
            .foreign_keys(true)
            .pragma("temp_store", "memory")
            .disable_statement_logging();
        let open_error = |source| StoreError::Open {
            path: path.to_owned(),
            source,
        };
        let pool = |max| {
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
        };
        let writer = first_connection(pool(1), &options).await.map_err(open_error)?;
        check_library(&writer).await?;
        migrate(&writer, path).await?;
        incarnation::give(&writer).await?;
        let reader = pool(3)
            .connect_with(options.create_if_missing(false))
            .await
            .map_err(open_error)?;
        Ok(Self {
            writer,
            reader,
            path: path.to_owned(),
        })
    }

    /// Opens the database at `path` to read it. It has to exist and to be of this version; nothing is made, changed or brought up to
    /// date, and every write fails.
    pub async fn look(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        let pool = reading(path, 3).await?;
        match inspect::version(&pool).await? {
            inspect::Version::Current => Ok(Self::over(pool, path)),
            inspect::Version::Older { .. } => Err(StoreError::Older { path: path.to_owned() }),
            inspect::Version::Newer { found, .. } => Err(StoreError::Newer {
                path: path.to_owned(),
                version: found,
            }),
        }
    }

    /// A store over connections that can only read.
    fn over(pool: SqlitePool, path: &Path) -> Self {
        Self {
            writer: pool.clone(),
            reader: pool,
            path: path.to_owned(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a write; it takes the lock at once, so that nothing it read can have changed when it commits.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.writer.begin_with("begin immediate").await.during("start a write")
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Answers when the database can be read.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar::<_, i64>("select 1")
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
            sqlx::query(sql).execute(&mut *tx).await.during("probe the database")?;
        }
        runs::set_meta(&mut tx, "write_probe", "1").await?;
        commit(tx, "probe the database").await
    }

    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
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
        if !matches!(done, Err(sqlx::migrate::MigrateError::ExecuteMigration(..))) {
            break;
        }
        done = MIGRATIONS.run(pool).await;
    }
    done.map_err(|source| match source {
        sqlx::migrate::MigrateError::VersionMissing(version) => StoreError::Newer {
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
