//! The command line: one file per verb.
//!
//! Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 69 the daemon or the database server cannot be reached, 73 another daemon has the database,
//! 75 the database is busy, 78 the configuration is wrong or the database is of another version.

mod ahead;
mod audit;
mod backup;
mod benefit;
mod bounce;
mod calendar;
mod case;
mod check;
mod ctl;
mod demo;
mod diff;
mod digest;
mod doctor;
mod hand_over;
mod import;
mod inbox;
mod ledger;
mod moving;
mod notice;
pub mod period;
mod person;
mod preview;
mod retention;
mod send_test;
mod serve;
mod show;
mod show_item;
mod simulate;
mod token;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use jiff::Timestamp;

use crate::app::{App, OpenError, Place, now_or};
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::config::problem::Problems;
use crate::control::ControlError;
use crate::domain::rulebook::Rulebook;
use crate::engine::desk::DeskError;
use crate::engine::reconcile::MeetError;
use crate::lock::LockError;
use crate::store::StoreError;
use crate::store::moving::MoveError;
use crate::vault::BadKey;

pub(crate) const EXIT_FAILED: u8 = 1;
pub(crate) const EXIT_USAGE: u8 = 2;
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_HELD: u8 = 73;
const EXIT_BUSY: u8 = 75;
pub(crate) const EXIT_CONFIG: u8 = 78;

/// Where an installation keeps its configuration.
const DEFAULT_CONFIG: &str = "/etc/xixin";
/// How long work in the background may go on when the verb is done.
const LEFTOVERS_MAX: Duration = Duration::from_secs(1);

/// 悉心: queue and reminders for follow-up work in public-service halls / 政务服务大厅跟进事项的排队与提醒服务
#[derive(Debug, Parser)]
#[command(name = "xixin", version, propagate_version = true)]
struct Cli {
    /// The configuration directory / 配置目录
    #[arg(
        long,
        global = true,
        env = "XIXIN_CONFIG",
        default_value = DEFAULT_CONFIG,
        value_name = "DIR"
    )]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The whole daemon with invented cases in a folder of its own / 用虚构案件演示整个服务
    Demo(demo::Args),
    /// The daemon / 正式运行
    Serve,
    /// Cases: add, show, list, do / 案件
    Case(case::Args),
    /// Takes cases over from a CSV or XLSX file / 导入旧案件
    Import(import::Args),
    /// Counts a period / 计算期限
    Period(period::PeriodArgs),
    /// Estimates a reimbursement and shows the formula / 报销测算
    Benefit(benefit::Args),
    /// Checks every file of the configuration / 检查配置
    Check(check::Args),
    /// New holidays and make-up workdays: check, import / 放假与调休安排
    Calendar(calendar::Args),
    /// What will be sent, to whom, over what, and why / 预览将发送的提醒
    Preview(preview::Args),
    /// What would happen over the next days, day by day / 模拟今后若干天
    Simulate(simulate::Args),
    /// What a changed configuration would do to the open cases / 比较新配置的影响
    Diff(diff::Args),
    /// Why a reminder was or was not sent / 为什么发或没发
    Why(ledger::WhyArgs),
    /// Why a rung has not come yet / 为什么还没提醒
    WhyNot(ledger::WhyNotArgs),
    /// Hands everything one person has to another / 交接
    HandOver(hand_over::Args),
    /// The daily digest of one member of staff / 每日待办
    Digest(digest::Args),
    /// The notice sheet for a resident / 通知单
    Notice(notice::Args),
    /// Sends one test message / 发送测试
    SendTest(send_test::Args),
    /// Takes in mail that came back, from the mail server's pipe / 接收退信
    Bounce(bounce::Args),
    /// SMS from numbers that no case knows / 陌生号码的来信
    Inbox(inbox::Args),
    /// Speaks to the running daemon / 控制运行中的服务
    Ctl(ctl::Args),
    /// The chain of events: verify, accept / 核对记录链
    Audit(audit::Args),
    /// Everything kept about a person: export, erase / 个人信息
    Person(person::Args),
    /// Records whose period is over: preview, run / 保存期已过的记录
    Retention(retention::Args),
    /// Tokens for other systems: new / 其他系统的令牌
    Token(token::Args),
    /// Looks for anything that could keep reminders from leaving / 体检
    Doctor(doctor::Args),
    /// Copies the database while the daemon works / 备份数据库
    Backup(backup::BackupArgs),
    /// Puts a backup in the place of the database; the daemon must be down / 由备份恢复
    Restore(backup::RestoreArgs),
    /// Moves everything into another, empty database; every daemon must be down / 迁到另一个空数据库
    Move(moving::Args),
    /// Brings the database up to date / 升级数据库
    Migrate,
    /// Completions for a shell / 命令补全
    Completions { shell: clap_complete::Shell },
}

/// What a verb that writes takes. It has no `--now`: a fact is noted at the time it was noted.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct SaidArgs {
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
}

/// What every read verb takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReadArgs {
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
    /// Looks as of this instant, RFC 3339 / 以此刻为准
    #[arg(long, value_name = "RFC3339")]
    now: Option<Timestamp>,
}

impl ReadArgs {
    fn clock(&self) -> Arc<dyn Clock> {
        match self.now {
            Some(now) => Arc::new(ManualClock::new(now)),
            None => Arc::new(SystemClock),
        }
    }

    fn now(&self) -> Timestamp {
        now_or(self.now, &SystemClock)
    }
}

/// Parses the arguments, runs the verb and maps its end to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("无法启动 / cannot start: {error}"));
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let done = runtime.block_on(run(cli));
    // A write that hangs on a dead disk must not keep the process from ending.
    runtime.shutdown_timeout(LEFTOVERS_MAX);
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&explain(&error));
            ExitCode::from(code_of(&error))
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<u8> {
    let place = Place::new(cli.config);
    match cli.verb {
        Verb::Demo(args) => demo::run(args).await,
        Verb::Serve => serve::run(place).await,
        Verb::Case(args) => case::run(args, place).await,
        Verb::Import(args) => import::run(args, place).await,
        Verb::Period(args) => period::run(&args, &rulebook(&place)?, &mut std::io::stdout().lock()),
        Verb::Benefit(args) => benefit::run(&args, &rulebook(&place)?),
        Verb::Check(args) => check::run(&args, &place),
        Verb::Calendar(args) => calendar::run(args, place).await,
        Verb::Preview(args) => preview::run(args, place).await,
        Verb::Simulate(args) => simulate::run(args, place).await,
        Verb::Diff(args) => diff::run(args, place).await,
        Verb::Why(args) => ledger::why(args, place).await,
        Verb::WhyNot(args) => ledger::why_not(args, place).await,
        Verb::HandOver(args) => hand_over::run(args, place).await,
        Verb::Digest(args) => digest::run(args, place).await,
        Verb::Notice(args) => notice::run(args, place).await,
        Verb::SendTest(args) => send_test::run(args, place).await,
        Verb::Bounce(args) => bounce::run(args, place).await,
        Verb::Inbox(args) => inbox::run(args, place).await,
        Verb::Ctl(args) => ctl::run(args, place).await,
        Verb::Audit(args) => audit::run(args, place).await,
        Verb::Person(args) => person::run(args, place).await,
        Verb::Retention(args) => retention::run(args, place).await,
        Verb::Token(args) => token::run(&args),
        Verb::Doctor(args) => doctor::run(args, place).await,
        Verb::Backup(args) => backup::make(args, place).await,
        Verb::Restore(args) => backup::put_back(args, place).await,
        Verb::Move(args) => moving::run(args, place).await,
        Verb::Migrate => migrate(place).await,
        Verb::Completions { shell } => {
            // Into a buffer first: the library panics when a pipe is closed.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "xixin", &mut script);
            say(String::from_utf8_lossy(&script).trim_end());
            Ok(0)
        }
    }
}

async fn migrate(place: Place) -> anyhow::Result<u8> {
    let app = App::open(place, Arc::new(SystemClock)).await?;
    say(&format!(
        "数据库已是最新 / the database is up to date: {}",
        app.engine.store.location()
    ));
    Ok(0)
}

/// Prints a line; a closed pipe ends the output, not the program.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The chain of causes, once each. Into the journal go only the places of a wrong configuration, not its values.
fn explain(error: &anyhow::Error) -> String {
    if let Some(problems) = error.downcast_ref::<Problems>()
        && crate::telemetry::is_journal(std::io::stderr())
    {
        return problems.places();
    }
    let mut text = error.to_string();
    if let Some(said) = store_error(error).and_then(unwritten) {
        text = format!("{said} ({text})");
    }
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Why a database that is whole has taken nothing, and what to do.
fn unwritten(error: &StoreError) -> Option<&'static str> {
    if error.is_busy() {
        Some("数据库正忙,什么也没有写入,请稍后再试 / the database is busy and nothing was written; try again")
    } else if error.is_full() {
        Some(
            "磁盘已满,什么也没有写入,请腾出空间后再试 / the disk is full and nothing was written; make room and try again",
        )
    } else {
        None
    }
}

fn store_error(error: &anyhow::Error) -> Option<&StoreError> {
    error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(DeskError::Store(error)) => Some(error),
        _ => match cause.downcast_ref() {
            Some(OpenError::Store(error)) => Some(error),
            _ => match cause.downcast_ref() {
                Some(MeetError::Store(error)) => Some(error),
                _ => cause.downcast_ref(),
            },
        },
    })
}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<Problems>() || error.is::<BadKey>() {
        return EXIT_CONFIG;
    }
    if error.is::<ControlError>() {
        return EXIT_UNAVAILABLE;
    }
    if let Some(LockError::Held { .. }) = error.downcast_ref() {
        return EXIT_HELD;
    }
    if let Some(OpenError::RestartFirst { .. } | OpenError::Lock(LockError::Held { .. })) = error.downcast_ref() {
        return EXIT_HELD;
    }
    if let Some(MoveError::InUse { .. }) = error.downcast_ref() {
        return EXIT_HELD;
    }
    match store_error(error) {
        Some(StoreError::Conflict { .. }) => EXIT_BUSY,
        Some(store) if store.is_busy() => EXIT_BUSY,
        Some(store) if store.is_gone() => EXIT_UNAVAILABLE,
        Some(
            StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::TooOld { .. }
            | StoreError::WrongKey { .. }
            | StoreError::NoKey { .. }
            | StoreError::KeyOfNodes { .. }
            | StoreError::Moved { .. }
            | StoreError::Moving { .. },
        ) => EXIT_CONFIG,
        _ => EXIT_FAILED,
    }
}

/// The rules of the configuration; where nothing is installed the shipped ones, so that calculators work without. A directory
/// that was named has to exist.
fn rulebook(place: &Place) -> anyhow::Result<Rulebook> {
    if place.config == Path::new(DEFAULT_CONFIG) && !place.config.is_dir() {
        return Ok(crate::config::shipped_rulebook());
    }
    Ok(place.load()?.0.rulebook)
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_told_in_both_languages_and_what_to_do() {
        let mut full = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let sql = "pragma max_page_count = 1; create table cases (id text)";
        let source = sqlx::raw_sql(sql).execute(&mut full).await.unwrap_err();
        let error = StoreError::Database {
            action: "open cases",
            source,
        };
        let told = explain(&DeskError::Store(error).into());
        let expected = "磁盘已满,什么也没有写入,请腾出空间后再试 / the disk is full and nothing was written; make room and try again (cannot open cases): ";
        assert!(told.starts_with(expected), "{told}");
    }
}
