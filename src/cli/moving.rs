//! `xixin move --from … --to …`: everything into an empty database, of the same kind or the other.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use crate::app::{Place, location, lock_path, masters, settle_move};
use crate::cli::{SaidArgs, complain, say};
use crate::clock::{Clock as _, SystemClock};
use crate::config::postgres::Server;
use crate::config::settings::Settings;
use crate::lock::DaemonLock;
use crate::store::location::Location;
use crate::store::moving::departure::Settled;
use crate::store::moving::{self, MoveError, Moved};

#[derive(Debug, clap::Args)]
#[group(id = "where", required = true, multiple = true)]
pub(super) struct Args {
    /// Where everything is: sqlite:FILE or postgres://USER@HOST:PORT/NAME / 原数据库
    #[arg(long, value_name = "DATABASE", requires = "to", group = "where")]
    from: Option<String>,
    /// Where it goes; it has to be empty / 目标数据库,须为空
    #[arg(long, value_name = "DATABASE", requires = "from", group = "where")]
    to: Option<String>,
    /// Back to a database that everything was moved from: it holds what it would send until somebody has looked / 退回迁移前的数据库,全部扣留
    #[arg(long = "return", value_name = "DATABASE", conflicts_with_all = ["from", "to"], group = "where")]
    back: Option<String>,
    /// Who does it; the login name when left out / 经办人
    #[arg(long = "as", env = "XIXIN_AS", value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    said: SaidArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let settings = place.settings()?;
    let who = super::ctl::name(args.who, &place);
    let by = (SystemClock.now(), who.as_str());
    match (&args.from, &args.to, &args.back) {
        (Some(from), Some(to), _) => there((&place, &settings), (from, to), by, &args.said).await,
        (_, _, Some(back)) => return_to((&place, &settings), back, by).await,
        _ => unreachable!("clap asks for them"),
    }
}

async fn there(
    (place, settings): (&Place, &Settings),
    (from, to): (&str, &str),
    by: (Timestamp, &str),
    said: &SaidArgs,
) -> anyhow::Result<u8> {
    let database = to;
    let from = with_database(settings, "--from", from)?;
    let to = with_database(settings, "--to", to)?;
    let (source, target) = (location(place, &from)?, location(place, &to)?);
    anyhow::ensure!(
        !are_one(&from, &to, &source, &target),
        "--from 与 --to 是同一个数据库 {source} / --from and --to are the same database {source}"
    );
    let locks = [lock_path(&from), lock_path(&to)];
    let _one = DaemonLock::acquire(&locks[0])?;
    // What a server has beside it on this machine may be beside a file, too.
    let _other = match locks[0] == locks[1] {
        true => None,
        false => Some(DaemonLock::acquire(&locks[1])?),
    };
    let masters = masters(place, settings)?;
    let masters = masters.ok_or_else(|| source.without_key())?;
    if let Some((Settled::There, earlier)) = settle_move(place, settings, (&source, &masters), by).await?
        && earlier == database
    {
        say(&format!(
            "早已全部迁到 {target};{} / everything is in {target} already; {}",
            next_zh(database),
            next_en(database)
        ));
        return Ok(0);
    }
    let tell = |table: &str, rows: u64| complain(&format!("复制 / copying: {table} {rows}"));
    let moved = moving::run(&source, (&target, database), &masters, by, &tell).await;
    let moved = moved.map_err(|error| match error {
        MoveError::Store(error) => anyhow::Error::from(error),
        error => error.into(),
    })?;
    if said.json {
        say(&in_json(&moved));
    } else {
        say(&in_words(&moved, &source, &target, database));
    }
    Ok(0)
}

async fn return_to(
    (place, settings): (&Place, &Settings),
    database: &str,
    by: (Timestamp, &str),
) -> anyhow::Result<u8> {
    let settings = with_database(settings, "--return", database)?;
    let source = location(place, &settings)?;
    let _lock = DaemonLock::acquire(&lock_path(&settings))?;
    anyhow::ensure!(
        source.departure().await?.is_some(),
        "没有人从 {source} 迁走,无须退回 / nobody has moved away from {source}; there is nothing to go back from"
    );
    let masters = masters(place, &settings)?;
    let masters = masters.ok_or_else(|| source.without_key())?;
    source.return_to(&masters, by).await?;
    say(&format!(
        "已退回 {source}: 迁移之后在别处所做的都不在其中;启动后全部扣留,先看 xixin preview,再运行 xixin ctl release / \
         back to {source}: nothing that was done elsewhere after the move is in it. After the start everything is held: look at `xixin preview`, then `xixin ctl release`"
    ));
    Ok(0)
}

/// The settings as if they named this database.
fn with_database(settings: &Settings, flag: &str, text: &str) -> anyhow::Result<Settings> {
    match Server::parse(text) {
        Some(Ok(_)) => {}
        Some(Err(fault)) => anyhow::bail!("{flag}: {} ({})", fault.what, fault.fix),
        None if text.strip_prefix("sqlite:").is_some_and(|file| !file.is_empty()) => {}
        None => anyhow::bail!(
            "{flag}: 应为 sqlite:文件 或 postgres://用户@主机:端口/库名 / it should be sqlite:FILE, relative to state_dir, or postgres://USER@HOST:PORT/NAME"
        ),
    }
    Ok(settings.on(text))
}

fn are_one(from: &Settings, to: &Settings, source: &Location, target: &Location) -> bool {
    if let (Some(from), Some(to)) = (from.server(), to.server()) {
        return (from.host, from.port, from.name) == (to.host, to.port, to.name);
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match (source.file(), target.file()) {
        (Some(from), Some(to)) => real(from) == real(to),
        _ => false,
    }
}

fn in_json(moved: &Moved) -> String {
    let tables = moved
        .tables
        .iter()
        .map(|(name, sum)| json!({ "table": name, "rows": sum.rows, "sha256": sum.hash }));
    let tables: Vec<_> = tables.collect();
    json!({ "tables": tables, "events": moved.head.seq, "record": moved.head.short(), "held": moved.held }).to_string()
}

fn in_words(moved: &Moved, source: &Location, target: &Location, database: &str) -> String {
    let mut lines = vec![format!(
        "{:<16}{:>12}  {}",
        "表/table", "行/rows", "两边相同/same on both"
    )];
    lines.extend(
        moved
            .tables
            .iter()
            .map(|(name, sum)| format!("{name:<18}{:>12}  {:.16}", sum.rows, sum.hash)),
    );
    lines.push(format!(
        "已迁移并逐表核对,事件链完整,记录号 {0} / moved, every table compared, and the chain of events holds: record {0}",
        moved.head.short()
    ));
    lines.push(format!(
        "{source} 不再使用;{} / {source} is used no more; {}",
        next_zh(database),
        next_en(database)
    ));
    if target.file().is_none() {
        lines.push(
            "其他节点启动前,先复制 xixin.key 与 chain.key 过去;sent.log 留在本机 / before another node is started, copy xixin.key and chain.key to it; sent.log stays here"
                .to_owned(),
        );
    }
    if moved.held {
        lines.push(format!(
            "迁移之前已被扣留,{target} 也保持扣留: 核对后运行 xixin ctl release / it had been held before, and {target} is held as well: look, then `xixin ctl release`"
        ));
    }
    lines.join("\n")
}

fn next_zh(database: &str) -> String {
    format!("请在 xixin.toml 写 database = \"{database}\" 再启动")
}

fn next_en(database: &str) -> String {
    format!("set database = \"{database}\" in xixin.toml, then start")
}
