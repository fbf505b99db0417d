//! `xixin backup FILE` and `xixin restore FILE`.

use std::path::PathBuf;

use serde_json::json;

use crate::app::{Place, database_path, forgotten, lock_path, masters_to_write, sent_log_path};
use crate::cli::{EXIT_FAILED, SaidArgs, complain, say};
use crate::clock::{Clock as _, SystemClock};
use crate::config::settings::Settings;
use crate::domain::ids::StaffId;
use crate::engine::audit;
use crate::engine::person::erase;
use crate::lock::DaemonLock;
use crate::store::backup::{BackupError, Counts, backup, chain_of, life_of, restore, restore_despite};
use crate::store::location::Location;
use crate::store::{Store, StoreError, sent};

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// Where to; it must not exist yet / 备份文件,不得已存在
    file: PathBuf,
    #[command(flatten)]
    said: SaidArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The backup / 备份文件
    file: PathBuf,
    /// Who does it; the login name when left out / 经办人
    #[arg(long = "as", env = "XIXIN_AS", value_name = "NAME")]
    who: Option<String>,
    /// A supervisor's reason to take a backup whose chain of events does not hold / 主管说明为何使用事件链不完整的备份
    #[arg(long, value_name = "WHY")]
    despite_chain: Option<String>,
    #[command(flatten)]
    said: SaidArgs,
}

/// What PostgreSQL keeps is copied by its own tools.
fn refuse_server(settings: &Settings) -> anyhow::Result<()> {
    let Some(server) = settings.server() else {
        return Ok(());
    };
    anyhow::bail!(
        "数据库在 {server};备份请用 PostgreSQL 自己的工具: pg_basebackup 加 WAL 归档(可恢复到任一时刻),或 pg_dump;另存各节点的 xixin.key 与 chain.key。恢复用 pg_restore,或恢复基础备份,期间停止所有节点 / \
         the database is {server}: back it up by PostgreSQL's own tools, pg_basebackup with an archive of its WAL (any instant can be brought back) or pg_dump, and keep xixin.key and chain.key apart from that. What was backed up is brought back by them, too (pg_restore), while every node is down"
    )
}

/// A whole copy while the daemon works, looked at before it is called one.
pub(super) async fn make(args: BackupArgs, place: Place) -> anyhow::Result<u8> {
    let settings = place.settings()?;
    refuse_server(&settings)?;
    let path = database_path(&settings);
    if !path.exists() {
        return Err(StoreError::Missing { path }.into());
    }
    let counts = backup(&path, &args.file).await?;
    let broken = chain_of(&args.file, &path).await?;
    if args.said.json {
        say(&json!({ "file": args.file, "counts": counts, "chain": broken }).to_string());
    } else {
        let file = args.file.display();
        say(&format!(
            "已备份到 {file},已核对: {} / backed up to {file} and checked: {}",
            zh(&counts),
            en(&counts)
        ));
    }
    let Some(broken) = broken else {
        return Ok(0);
    };
    complain(&format!(
        "备份可用,但其中的事件链不完整: {broken};请运行 xixin audit verify / the backup can be used, but the chain of events in it does not hold; run xixin audit verify"
    ));
    Ok(EXIT_FAILED)
}

/// The daemon must be down: what it has in memory would be of another database.
pub(super) async fn put_back(args: RestoreArgs, place: Place) -> anyhow::Result<u8> {
    let settings = place.settings()?;
    refuse_server(&settings)?;
    if !args.file.is_file() {
        let source = std::io::ErrorKind::NotFound.into();
        return Err(BackupError::File {
            path: args.file,
            source,
        }
        .into());
    }
    let _lock = DaemonLock::acquire(&lock_path(&settings))?;
    let who = super::ctl::name(args.who, &place);
    let path = database_path(&settings);
    let (masters, _) = masters_to_write(&place, &settings, &Location::File(args.file.clone())).await?;
    let by = (SystemClock.now(), who.as_str());
    let (name, serial) = life_of(&args.file).await?;
    let gap = sent::gap(&sent_log_path(&settings), &name, serial)?;
    let done = match &args.despite_chain {
        None => restore(&path, &args.file, &masters, by).await?,
        Some(reason) => {
            let (loaded, _) = place.load()?;
            let staff = StaffId::from(who.as_str());
            audit::supervisor(&loaded.rulebook, &staff, reason)?;
            restore_despite(&path, &args.file, &masters, by, reason.trim()).await?
        }
    };
    // Whoever was erased after the backup was made is erased from it, too, before anybody looks.
    let store = Store::open(&path, &masters).await?;
    erase::again(&store, SystemClock.now()).await?;
    store.close().await;
    if args.said.json {
        let told = json!({ "counts": done.counts, "kept": done.kept, "incarnation": done.incarnation, "sent_known_since": gap });
        say(&told.to_string());
        return Ok(0);
    }
    if let Some(since) = gap {
        complain(&forgotten(since));
    }
    say(&format!(
        "已恢复: {} / restored: {}",
        zh(&done.counts),
        en(&done.counts)
    ));
    if let Some(kept) = &done.kept {
        let kept = kept.display();
        say(&format!(
            "原数据库保存在 {kept} / the database that was there is kept as {kept}"
        ));
    }
    say(
        "新案件的编号跳过一万,不与备份之后已发出的编号相同 / the numbers of new cases skip ten thousand, so that none is given twice that was given after the backup",
    );
    say(
        "启动后全部扣留: 先看 xixin preview,再由人运行 xixin ctl release / after the start everything is held: look at `xixin preview`, then `xixin ctl release`",
    );
    Ok(0)
}

fn zh(counts: &Counts) -> String {
    let Counts {
        cases,
        people,
        reminders,
        attempts,
        events,
    } = counts;
    format!("案件{cases}、人员{people}、提醒{reminders}、发送{attempts}、事件{events}")
}

fn en(counts: &Counts) -> String {
    let Counts {
        cases,
        people,
        reminders,
        attempts,
        events,
    } = counts;
    format!("{cases} cases, {people} people, {reminders} reminders, {attempts} attempts, {events} events")
}
