//! A whole installation goes from one database into an empty one, of the same kind or the other.
//!
//! The worst that could come of it are two databases that both send. The source is left before the first row is read (`departure`), the
//! target is committed last, and whatever interrupts this, exactly one of the two is in use afterwards: the target when it names this
//! move, else the source. The target keeps the name of the source, so that `sent.log` goes on with it: an old source to which somebody
//! returns nevertheless is an older copy to it.

pub mod departure;
mod tables;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::text::Said;
use crate::store::chain::{self, Chain, Head};
use crate::store::db::{Connection, Pool, query, query_as, query_scalar};
use crate::store::erase::ERASED_FILE;
use crate::store::keys::unlock;
use crate::store::location::Location;
use crate::store::runs::serial_row;
use crate::store::verify::{Fault, walk};
use crate::store::{During as _, Store, StoreError, Tx, commit, inspect, made, reading};
use crate::vault::Masters;
use departure::Departure;
pub use tables::Sum;
use tables::Table;

/// A database is only as good as what was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Of every table its name, its rows, and the sum that both databases come to.
    pub tables: Vec<(String, Sum)>,
    pub head: Head,
    /// Somebody had held the source before: then the target is held as well.
    pub held: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "目标数据库 {name} 不是空的({found});请另给一个空数据库 / the target {name} is not empty ({found}); name an empty database",
        name = name.display()
    )]
    NotEmpty { name: PathBuf, found: String },
    #[error(
        "目标数据库 {name} 由另一版本的 xixin 建立;请另给一个空数据库 / the target {name} was made by another version of xixin; name an empty database",
        name = name.display()
    )]
    TargetVersion { name: PathBuf },
    #[error(
        "节点 {nodes} 还在使用 {name};请先停下所有节点,非正常结束的节点45秒后才算停下 / these nodes still use {name}: {nodes}. Stop every node first; one that was killed counts as stopped after 45 seconds",
        name = name.display()
    )]
    InUse { name: PathBuf, nodes: String },
    #[error(
        "{here} 属于原数据库,迁移后须在 {there};请先原样复制过去(属主与权限不变)再迁移 / {here} belongs to the old database and has to be at {there} as well: copy it there as it is (owner and mode, too), then move",
        here = here.display(), there = there.display()
    )]
    Beside { here: PathBuf, there: PathBuf },
    #[error(
        "迁移期间有节点启动并取消了这次迁移;请停下所有节点再试 / a node was started meanwhile and has ended this move; stop every node, then move again"
    )]
    Ended,
    #[error("两个数据库的表不同: {tables} / the two databases have different tables: {tables}")]
    Shape { tables: String },
    #[error(
        "表 {table} 无法复制,目标中什么也没有留下 / the table {table} cannot be copied; nothing was left in the target"
    )]
    Table { table: String, source: StoreError },
    #[error(
        "复制后核对不符的表: {tables};目标中什么也没有留下 / these tables are not the same in the copy: {tables}; nothing was left in the target"
    )]
    Different { tables: String },
    #[error(
        "{name} 中的事件链不完整: {};请先运行 xixin audit verify / the chain of events in {name} does not hold: {}; run xixin audit verify first",
        fault.zh, fault.en, name = name.display()
    )]
    Chain { name: PathBuf, fault: Said },
}

/// Moves everything. The caller holds the daemon's lock of both, and `database` is what the settings are to call the target. `tell` hears
/// which table is copied and how many of its rows are.
pub async fn run(
    from: &Location,
    (to, database): (&Location, &str),
    masters: &Masters,
    by: (Timestamp, &str),
    tell: &(dyn Fn(&str, u64) + Sync),
) -> Result<Moved, MoveError> {
    refuse_left_behind(from, to)?;
    for location in [from, to] {
        refuse_living(location).await?;
    }
    let source = from.look(Some(masters)).await?;
    let target = open_target(to).await?;
    let moved = async {
        let (mut looking, tables) = locked(&target).await.during("look for rows")?;
        refuse_rows(&mut looking, to, &tables).await?;
        looking.rollback().await.during("look for rows")?;
        let verdict = source.verify_events(None).await?;
        whole(from, &verdict.faults)?;
        let notes = source.for_notes().await?;
        let departure = departure::leave(&notes, (to, database), by).await;
        let copied = match departure {
            Ok(departure) => copy(&notes, (to, &target), &departure, masters, by, tell).await,
            Err(error) => Err(error.into()),
        };
        notes.close_writer().await;
        copied
    }
    .await;
    source.close().await;
    target.close().await;
    // Whether a commit without an answer was one only the target knows. Where it cannot say so now, the next start asks it.
    let settled = from.settle(masters, to, by).await;
    let moved = moved?;
    settled?;
    Ok(moved)
}

/// Nobody writes to either meanwhile.
async fn copy(
    source: &Store,
    (to, target): (&Location, &Pool),
    departure: &Departure,
    masters: &Masters,
    by: (Timestamp, &str),
    tell: &(dyn Fn(&str, u64) + Sync),
) -> Result<Moved, MoveError> {
    let action = "keep others from writing";
    let (mut reading, from) = locked(&source.writer).await.during(action)?;
    if !departure::is_under_way(departure, &mut reading).await? {
        return Err(MoveError::Ended);
    }
    let (mut writing, tables) = locked(target).await.during(action)?;
    refuse_rows(&mut writing, to, &tables).await?;
    same_tables(&from, &tables)?;
    let seeded = seeds(&mut writing).await?;
    let mut sums = Vec::new();
    for table in &tables {
        tell(&table.name, 0);
        let sum = table.copy(&mut reading, &mut writing, tell).await?;
        sums.push((table.name.clone(), sum));
    }
    let mut different = Vec::new();
    for (table, (name, sum)) in tables.iter().zip(&sums) {
        if table.sum(&mut writing).await? != *sum {
            different.push(name.as_str());
        }
    }
    if !different.is_empty() {
        let tables = different.join(", ");
        return Err(MoveError::Different { tables });
    }
    if let Err(locked) = unlock(&mut writing, masters).await {
        return Err(locked.told(&to.name()).into());
    }
    let chain = Arc::new(Chain::look(to.beside())?);
    let verdict = walk(&chain, &mut writing, None, None).await?;
    whole(to, &verdict.faults)?;
    adopt(&mut writing, &seeded, (source.location.node(), to.node())).await?;
    let mut tx = Tx::new(writing, Arc::clone(&source.ring), chain, to.node().into());
    departure::arrive(&mut tx, departure, by).await?;
    commit(tx, "commit the copy").await?;
    Ok(Moved {
        tables: sums,
        head: verdict.head,
        held: !departure.held,
    })
}

fn whole(location: &Location, faults: &[Fault]) -> Result<(), MoveError> {
    match faults.first() {
        None => Ok(()),
        Some(fault) => Err(MoveError::Chain {
            name: location.name(),
            fault: fault.said(),
        }),
    }
}

/// Nodes on a server have no lock in common.
async fn refuse_living(location: &Location) -> Result<(), MoveError> {
    let Location::Server(server) = location else {
        return Ok(());
    };
    let nodes = server.living().await?;
    if nodes.is_empty() {
        return Ok(());
    }
    Err(MoveError::InUse {
        name: location.name(),
        nodes: nodes.join(", "),
    })
}

/// What belongs to a database and is not in it: without it nobody could check its events, or erase again what was erased.
fn refuse_left_behind(from: &Location, to: &Location) -> Result<(), MoveError> {
    for file in [chain::KEY_FILE, ERASED_FILE] {
        let (here, there) = (from.beside().with_file_name(file), to.beside().with_file_name(file));
        if here.exists() && std::fs::read(&here).ok() != std::fs::read(&there).ok() {
            return Err(MoveError::Beside { here, there });
        }
    }
    Ok(())
}

/// The target with its tables, made when there are none. What is in it already stays as it is.
async fn open_target(to: &Location) -> Result<Pool, MoveError> {
    let version = match to {
        Location::File(path) if !path.exists() => None,
        Location::File(path) => {
            let pool = Pool::Sqlite(reading(path, 1).await?);
            let version = inspect::version(&pool).await;
            pool.close().await;
            Some(version?)
        }
        Location::Server(server) => Some(server.version().await?),
    };
    match version {
        None | Some(inspect::Version::Current | inspect::Version::Older { found: 0, .. }) => {}
        Some(_) => return Err(MoveError::TargetVersion { name: to.name() }),
    }
    Ok(match to {
        Location::File(path) => Pool::Sqlite(made(path).await?),
        Location::Server(server) => server.made().await?,
    })
}

/// A transaction in which nobody else writes, however long it takes, and the tables.
async fn locked(pool: &Pool) -> Result<(Connection, Vec<Table>), sqlx::Error> {
    const LONG: &str = "set local idle_in_transaction_session_timeout = 0; set local statement_timeout = 0";
    let Pool::Postgres(server) = pool else {
        let mut connection = pool.write().await?;
        let tables = tables::list(&mut connection).await?;
        return Ok((connection, tables));
    };
    let mut connection = Connection::Postgres(server.begin(LONG).await?);
    let tables = tables::list(&mut connection).await?;
    let names: Vec<String> = tables.iter().map(|table| format!("\"{}\"", table.name)).collect();
    let lock = format!("lock table {} in exclusive mode", names.join(", "));
    query(sqlx::AssertSqlSafe(lock)).execute(&mut connection).await?;
    Ok((connection, tables))
}

/// What the migrations themselves write is nothing.
async fn refuse_rows(on: &mut Connection, to: &Location, tables: &[Table]) -> Result<(), MoveError> {
    const OWN: &str = "select count(*) from meta where substr(name, 1, 5) <> 'lock:'";
    let mut found = Vec::new();
    for table in tables {
        let rows: i64 = match table.name.as_str() {
            "meta" => {
                let own = query_scalar(OWN).fetch_one(&mut *on).await;
                own.during("look for rows")?
            }
            _ => table.count(on).await?,
        };
        if rows > 0 {
            found.push(format!("{} {rows}", table.name));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(MoveError::NotEmpty {
        name: to.name(),
        found: found.join(", "),
    })
}

fn same_tables(from: &[Table], to: &[Table]) -> Result<(), MoveError> {
    let only = |one: &[Table], other: &[Table]| -> Vec<String> {
        let missing = one.iter().filter(|table| !other.contains(table));
        missing.map(|table| table.name.clone()).collect()
    };
    let mut tables = [only(from, to), only(to, from)].concat();
    tables.sort();
    tables.dedup();
    if tables.is_empty() {
        return Ok(());
    }
    Err(MoveError::Shape {
        tables: tables.join(", "),
    })
}

/// Takes the rows of the migrations away, which stand where those of the source come, and returns them.
async fn seeds(on: &mut Connection) -> Result<Vec<(String, String)>, StoreError> {
    let action = "make room for the copy";
    let seeded = query_as("select name, value from meta").fetch_all(&mut *on).await;
    let seeded = seeded.during(action)?;
    query("delete from meta").execute(on).await.during(action)?;
    Ok(seeded)
}

/// What a database needs of its kind: the rows by which its writers hold each other up, and the number of the last batch under the name of
/// the node that goes on with `sent.log`.
async fn adopt(on: &mut Connection, seeded: &[(String, String)], (old, new): (&str, &str)) -> Result<(), StoreError> {
    const SEED: &str = "insert into meta (name, value) values ($1, $2) on conflict (name) do nothing";
    const FORGET: &str = "delete from meta where name = $1";
    const RENAME: &str = "update meta set name = $2 where name = $1";
    let action = "make the copy a database of its kind";
    // Which server the rows were written on last is no news of this one.
    query(FORGET).bind("server").execute(&mut *on).await.during(action)?;
    if !on.is_shared() {
        query("delete from meta where substr(name, 1, 5) = 'lock:'")
            .execute(&mut *on)
            .await
            .during(action)?;
    }
    for (name, value) in seeded {
        query(SEED)
            .bind(name)
            .bind(value)
            .execute(&mut *on)
            .await
            .during(action)?;
    }
    if old != new {
        let (old, new) = (serial_row(old), serial_row(new));
        query(FORGET).bind(&new).execute(&mut *on).await.during(action)?;
        query(RENAME).bind(&old).bind(&new).execute(on).await.during(action)?;
    }
    Ok(())
}
