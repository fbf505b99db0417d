//! `xixin move --from … --to …`: everything into an empty database, of the same kind or the other.

use std::path::Path;

use serde_json::json;

use crate::app::{Place, location, lock_path, masters};
use crate::cli::{SaidArgs, complain, say};
use crate::clock::{Clock as _, SystemClock};
use crate::config::postgres::Server;
use crate::config::settings::Settings;
use crate::lock::DaemonLock;
use crate::store::location::Location;
use crate::store::moving::{self, MoveError, Moved};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where everything is: sqlite:FILE or postgres://USER@HOST:PORT/NAME / 原数据库
    #[arg(long, value_name = "DATABASE")]
    from: String,
    /// Where it goes; it has to be empty / 目标数据库,须为空
    #[arg(long, value_name = "DATABASE")]
    to: String,
    /// Who does it; the login name when left out / 经办人
    #[arg(long = "as", env = "XIXIN_AS", value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    said: SaidArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let settings = place.settings()?;
    let from = with_database(&settings, "--from", &args.from)?;
    let to = with_database(&settings, "--to", &args.to)?;
    let (source, target) = (location(&place, &from)?, location(&place, &to)?);
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
    let masters = masters(&place, &settings)?;
    let masters = masters.ok_or_else(|| source.without_key())?;
    let who = super::ctl::name(args.who, &place);
    let tell = |table: &str, rows: u64| complain(&format!("复制 / copying: {table} {rows}"));
    let by = (SystemClock.now(), who.as_str());
    let moved = moving::run(&source, &target, &masters, by, &tell).await;
    let moved = moved.map_err(|error| match error {
        MoveError::Store(error) => anyhow::Error::from(error),
        error => error.into(),
    })?;
    if args.said.json {
        say(&in_json(&moved));
    } else {
        say(&in_words(&moved, &source, &target, &args.to));
    }
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
    let mut settings = settings.clone();
    text.clone_into(&mut settings.database);
    Ok(settings)
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
        "{source} 已扣留,不会再发送;请在 xixin.toml 写 database = \"{database}\" 再启动 / {source} is held and sends nothing any more; \
         set database = \"{database}\" in xixin.toml, then start"
    ));
    if moved.held {
        lines.push(format!(
            "迁移之前已被扣留,{target} 也保持扣留: 核对后运行 xixin ctl release / it had been held before, and {target} is held as well: look, then `xixin ctl release`"
        ));
    }
    lines.join("\n")
}
