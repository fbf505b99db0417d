//! Backups: a whole copy made while the daemon works, looked at before it is called one; and its way back.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::domain::event::Event;
use crate::domain::house::House;
use crate::domain::text::Said;
use crate::durable;
use crate::store::db::Pool;
use crate::store::keys::Ring;
use crate::store::location::Location;
use crate::store::verify::Fault;
use crate::store::{BUSY_MAX, During as _, Store, StoreError, commit, events, incarnation, inspect, reading};
use crate::vault::Masters;

/// Tables whose rows are counted before and after.
const COUNTED: &str = "
    select (select count(*) from cases) as cases, (select count(*) from people) as people,
           (select count(*) from reminders) as reminders, (select count(*) from attempts) as attempts,
           (select count(*) from events) as events";

/// So many times more case numbers are left out when nobody knows which were given last.
const UNREADABLE: i64 = 9;

/// How many rows a database holds of what matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Counts {
    pub cases: i64,
    pub people: i64,
    pub reminders: i64,
    pub attempts: i64,
    pub events: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path} 已存在,不会覆盖,请另取文件名 / exists and is not overwritten; name another file", path = path.display())]
    Exists { path: PathBuf },
    #[error("无法处理文件 {path} / the file {path} cannot be handled", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "文件 {path} 不是完好的备份: {what};什么也没有改变 / the file {path} is no sound backup: {what}; nothing was changed",
        path = path.display()
    )]
    Unsound { path: PathBuf, what: String },
    #[error(
        "备份 {path} 中的事件链不完整: {};什么也没有改变。请换一份备份;确要用它,由主管运行 xixin restore {path} --despite-chain 原因 --as 主管 / the chain of events in the backup {path} does not hold: {}; nothing was changed. Take another backup; if it has to be this one, a supervisor runs xixin restore {path} --despite-chain WHY --as THEMSELVES",
        fault.zh, fault.en, path = path.display()
    )]
    Chain { path: PathBuf, fault: Said },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}

/// Copies the database at `path` to `file` while others use it, and looks at the copy before it gets that name.
pub async fn backup(path: &Path, file: &Path) -> Result<Counts, BackupError> {
    if fs::symlink_metadata(file).is_ok() {
        return Err(BackupError::Exists { path: file.to_owned() });
    }
    let draft = beside(file, "part");
    // One that was left by a backup that was interrupted.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&draft)(error)),
        _ => {}
    }
    let done = copy(path, &draft).await;
    let done = match done {
        Ok(counts) => publish(&draft, file).map(|()| counts),
        Err(error) => Err(error),
    };
    if done.is_err() {
        // What is left of it is no backup; that it cannot be removed matters less than why there is none.
        let _ = fs::remove_file(&draft);
    }
    done
}

async fn copy(path: &Path, draft: &Path) -> Result<Counts, BackupError> {
    // SQLite fills an empty file that it finds, and would make one that everybody may read.
    let mut make = OpenOptions::new();
    make.write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)
        .map_err(at(draft))?;
    let pool = reading(path, 1).await?;
    let copied = copy_from(&pool, draft).await;
    pool.close().await;
    let (before, after) = copied?;
    File::open(draft).and_then(|file| file.sync_all()).map_err(at(draft))?;
    let counts = check(draft).await?;
    let all = |counts: &Counts| {
        let Counts {
            cases,
            people,
            reminders,
            attempts,
            events,
        } = *counts;
        [cases, people, reminders, attempts, events]
    };
    // Whoever works meanwhile adds rows and, seldom, removes some.
    let between = all(&before).into_iter().zip(all(&after)).zip(all(&counts));
    if between
        .into_iter()
        .any(|((before, after), found)| found < before.min(after) || found > before.max(after))
    {
        let what = "行数与数据库不符 / it does not hold as many rows as the database".to_owned();
        return Err(BackupError::Unsound {
            path: draft.to_owned(),
            what,
        });
    }
    Ok(counts)
}

async fn copy_from(pool: &SqlitePool, draft: &Path) -> Result<(Counts, Counts), BackupError> {
    let before = counts(pool).await?;
    sqlx::query("vacuum into $1")
        .bind(draft.to_str().unwrap_or_default())
        .execute(pool)
        .await
        .during("copy the database")?;
    Ok((before, counts(pool).await?))
}

async fn counts(pool: &SqlitePool) -> Result<Counts, StoreError> {
    sqlx::query_as(COUNTED).fetch_one(pool).await.during("count the rows")
}

/// The name appears at once and whole, and replaces nothing.
fn publish(draft: &Path, file: &Path) -> Result<(), BackupError> {
    fs::hard_link(draft, file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path: file.to_owned() },
        _ => at(file)(error),
    })?;
    fs::remove_file(draft).map_err(at(draft))?;
    durable::sync_dir_of(file).map_err(at(file))
}

/// Looks whether a file is a database of ours that is whole. It changes nothing.
pub async fn check(file: &Path) -> Result<Counts, BackupError> {
    if !file.is_file() {
        return Err(at(file)(io::ErrorKind::NotFound.into()));
    }
    let unsound = |what: String| BackupError::Unsound {
        path: file.to_owned(),
        what,
    };
    let pool = reading(file, 1).await?;
    let found = look(&pool).await;
    pool.close().await;
    let (damage, counts) = found.map_err(|error| match error {
        StoreError::Database { source, .. } => unsound(source.to_string()),
        other => BackupError::Store(other),
    })?;
    match damage.first() {
        Some(first) => Err(unsound(first.clone())),
        None => Ok(counts),
    }
}

/// What is wrong with the chain of events in a copy of the database at `path`; `None` when it holds, or when the copy is of an older
/// version, whose events this one does not read. Such a copy is sound, and what was done to the history is no reason to have none.
pub async fn chain_of(file: &Path, path: &Path) -> Result<Option<Said>, BackupError> {
    let pool = Pool::Sqlite(reading(file, 1).await?);
    let walked = async {
        if inspect::version(&pool).await? != inspect::Version::Current {
            return Ok(None);
        }
        let verdict = Store::over(pool.clone(), Location::File(path.to_owned()), Ring::of_nobody())?
            .verify_copy()
            .await?;
        Ok::<_, StoreError>(verdict.faults.first().map(Fault::said))
    };
    let found = walked.await;
    pool.close().await;
    Ok(found?)
}

/// The name of the database that a backup was made of, and how many batches it had sent; nothing of one that is too old to say so.
pub async fn life_of(file: &Path) -> Result<(String, i64), BackupError> {
    const SQL: &str = "select value from meta where name = $1";
    let pool = reading(file, 1).await?;
    let mut found = Vec::new();
    for name in ["incarnation", "sent_serial"] {
        let value: Option<String> = sqlx::query_scalar(SQL)
            .bind(name)
            .fetch_optional(&pool)
            .await
            .during("read whose backup it is")?;
        found.push(value.unwrap_or_default());
    }
    pool.close().await;
    let serial = found.pop().and_then(|serial| serial.parse().ok()).unwrap_or(0);
    Ok((found.pop().unwrap_or_default(), serial))
}

async fn look(pool: &SqlitePool) -> Result<(Vec<String>, Counts), StoreError> {
    let damage: Vec<String> = sqlx::query_scalar("pragma integrity_check(20)")
        .fetch_all(pool)
        .await
        .during("check the database")?;
    let damage: Vec<String> = damage.into_iter().filter(|line| line != "ok").collect();
    if let inspect::Version::Newer { found, .. } = inspect::version(&Pool::Sqlite(pool.clone())).await? {
        let what = format!("它由更新的 xixin 写成(迁移{found}) / a newer xixin wrote it (migration {found})");
        return Ok((vec![what], counts(pool).await?));
    }
    Ok((damage, counts(pool).await?))
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub counts: Counts,
    /// Where the database that was there before is kept; `None` when there was none.
    pub kept: Option<PathBuf>,
    pub incarnation: String,
}

/// Puts a backup in the place of the database at `path`; it has to be sealed by the present master key, or an old one, and its chain of
/// events has to hold. The caller holds the daemon's lock. The backup stays as it is; the database that was there is kept beside it; the
/// new one has a name of its own and holds everything until a person releases it.
///
/// Whatever interrupts this, there is a whole database at `path` afterwards, the old or the new one, or it is said what is missing.
pub async fn restore(
    path: &Path,
    file: &Path,
    masters: &Masters,
    by: (Timestamp, &str),
) -> Result<Restored, BackupError> {
    let counts = check(file).await?;
    if let Some(fault) = chain_of(file, path).await? {
        return Err(BackupError::Chain {
            path: file.to_owned(),
            fault,
        });
    }
    put_back(path, file, masters, by, (counts, None)).await
}

/// The same for a backup whose history was tampered with, or cannot be checked any more: a supervisor says why it is taken, and that is
/// the first that happens to the new database.
pub async fn restore_despite(
    path: &Path,
    file: &Path,
    masters: &Masters,
    by: (Timestamp, &str),
    reason: &str,
) -> Result<Restored, BackupError> {
    let counts = check(file).await?;
    let fault = chain_of(file, path).await?;
    put_back(path, file, masters, by, (counts, fault.map(|_| reason))).await
}

async fn put_back(
    path: &Path,
    file: &Path,
    masters: &Masters,
    (now, who): (Timestamp, &str),
    (counts, despite): (Counts, Option<&str>),
) -> Result<Restored, BackupError> {
    let kept = free_name(path, &now.strftime("before-%Y%m%dT%H%M%SZ").to_string());
    let staged = beside(path, "restoring");
    for old in with_journals(&staged) {
        match fs::remove_file(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&old)(error)),
            _ => {}
        }
    }
    let mut make = OpenOptions::new();
    let mut target = make
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&staged)
        .map_err(at(&staged))?;
    let mut source = File::open(file).map_err(at(file))?;
    io::copy(&mut source, &mut target).map_err(at(&staged))?;
    drop(target);
    let given = numbers_of(path).await;
    let incarnation = rename_database(&staged, masters, given.as_deref(), (now, who), despite).await?;
    File::open(&staged)
        .and_then(|file| file.sync_all())
        .map_err(at(&staged))?;

    let was_there = path.exists();
    if was_there {
        settle(path).await;
        fs::hard_link(path, &kept)
            .or_else(|_| fs::copy(path, &kept).map(drop))
            .map_err(at(&kept))?;
        for (from, to) in with_journals(path).into_iter().zip(with_journals(&kept)).skip(1) {
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&from)(error)),
                _ => {}
            }
        }
    }
    fs::rename(&staged, path).map_err(at(path))?;
    durable::sync_dir_of(path).map_err(at(path))?;
    Ok(Restored {
        counts,
        kept: was_there.then_some(kept),
        incarnation,
    })
}

/// The last case numbers that the database to be replaced has given; `None` when it cannot be read any more.
async fn numbers_of(path: &Path) -> Option<Vec<(String, i64)>> {
    if !path.is_file() {
        return Some(Vec::new());
    }
    let pool = Pool::Sqlite(reading(path, 1).await.ok()?);
    let given = incarnation::numbers(&pool).await;
    pool.close().await;
    given.ok()
}

async fn rename_database(
    staged: &Path,
    masters: &Masters,
    given: Option<&[(String, i64)]>,
    (now, who): (Timestamp, &str),
    despite: Option<&str>,
) -> Result<String, BackupError> {
    let store = Store::open(staged, masters).await?;
    let reason = "由备份恢复,核对后放行 / restored from a backup: look at what would leave, then release it";
    let renewed = async {
        let mut tx = store.begin().await?;
        match given {
            Some(given) => incarnation::raise_numbers(&mut tx, given).await?,
            // It may have been a restored one itself.
            None => incarnation::skip_numbers(&mut tx, now, UNREADABLE).await?,
        }
        let name = incarnation::renew(&mut tx, now, who, reason).await?;
        if let Some(despite) = despite {
            let reason = despite.to_owned();
            let accepted = Event::House(House::Accepted { reason });
            events::append_house(&mut tx, now, who, &[accepted]).await?;
        }
        commit(tx, "name the restored database").await?;
        Ok::<_, StoreError>(name)
    }
    .await;
    store.close().await;
    Ok(renewed?)
}

/// Brings what is in the write-ahead log into the database, so that one file is all of it. One that is damaged stays as it is: its log
/// is kept with it.
async fn settle(path: &Path) {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_MAX);
    if let Ok(mut connection) = options.connect().await {
        let _ = sqlx::query("pragma wal_checkpoint(truncate)")
            .execute(&mut connection)
            .await;
        let _ = connection.close().await;
    }
}

/// A name beside a file that nothing has yet: `WHAT`, `WHAT-2` and so on.
fn free_name(path: &Path, what: &str) -> PathBuf {
    let mut name = beside(path, what);
    let mut number = 1;
    while fs::symlink_metadata(&name).is_ok() {
        number += 1;
        name = beside(path, &format!("{what}-{number}"));
    }
    name
}

/// A name beside a file: `xixin.db` and `part` make `xixin.db.part`.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

/// A database and what SQLite keeps beside it.
fn with_journals(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name.into()
    })
}
