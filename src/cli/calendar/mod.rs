//! `xixin calendar check|import`: a new notice of holidays. `import` checks the whole configuration with it, lists every date of an open
//! case that it moves, puts the file in place, tells the owners and lets the running daemon read it.

mod place;
mod told;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

use crate::app::{App, Place};
use crate::cli::case::Actor;
use crate::cli::ctl::{PATIENCE, socket_of};
use crate::cli::{EXIT_CONFIG, EXIT_FAILED, complain, say};
use crate::clock::{Clock as _, SystemClock};
use crate::config::notice_json::Notice;
use crate::config::problem::Problems;
use crate::control::{self, Answer, ControlError, Request};
use crate::domain::command::Refusal;
use crate::domain::ids::StaffId;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::engine::calendar_news::{self, Addressed};
use crate::engine::desk::{Desk, DeskError};
use crate::store::{Store, commit};

use place::Swap;
use told::Report;

/// The file: {"year": 2027, "papers": ["where the notice stands"], "days": [{"name": "元旦", "date": "2027-01-01", "isOffDay": true}, …]}
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Looks a file of holidays over; every problem at once / 检查放假安排文件
    Check {
        /// A file in the common JSON, as the holiday-cn project publishes it / 通用 JSON 文件
        file: PathBuf,
        /// Prints JSON / 输出 JSON
        #[arg(long)]
        json: bool,
    },
    /// Puts it in force, and tells the owners of every date that moves; supervisors only / 导入并告知经办人
    Import {
        /// A file in the common JSON / 通用 JSON 文件
        file: PathBuf,
        #[command(flatten)]
        actor: Actor,
        /// Only shows what would change / 只看会改什么,不写入
        #[arg(long)]
        dry: bool,
        /// Prints JSON / 输出 JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    match args.verb {
        Verb::Check { file, json } => Ok(check(&file, json)),
        Verb::Import { file, actor, dry, json } => import(&file, &StaffId::from(actor.actor), dry, json, place).await,
    }
}

fn check(file: &Path, as_json: bool) -> u8 {
    match Notice::read(file) {
        Ok(notice) => {
            if as_json {
                say(&told::notice_json(&notice).to_string());
            } else {
                say(&told::notice(&notice));
            }
            0
        }
        Err(problems) => {
            tell_wrong(&problems, as_json);
            EXIT_FAILED
        }
    }
}

async fn import(file: &Path, actor: &StaffId, dry: bool, as_json: bool, place: Place) -> anyhow::Result<u8> {
    let clock = Arc::new(SystemClock);
    let app = if dry {
        App::look(place.clone(), clock.clone()).await?
    } else {
        App::open(place.clone(), clock.clone()).await?
    };
    let rules = app.engine.live.get();
    let store = &app.engine.store;
    may_change_rules(store, &rules.rulebook, actor)?;
    let notice = match Notice::read(file) {
        Ok(notice) => notice,
        Err(problems) => {
            tell_wrong(&problems, as_json);
            return Ok(EXIT_FAILED);
        }
    };
    let text = notice.to_toml();
    let fresh = match place.load_edited(&notice.file(), &text) {
        Ok((fresh, _)) => fresh,
        Err(problems) => {
            told::misfit(&problems, as_json);
            return Ok(EXIT_CONFIG);
        }
    };
    let found = calendar_news::look(store, &rules.rulebook, &fresh.rulebook).await?;
    let now = clock.now();
    let addressed = calendar_news::address(&fresh.rulebook, &found.moved, now);
    let mut report = Report {
        notice: &notice,
        found: &found,
        addressed: &addressed,
        dry,
        is_there: place::holds(&place.config, &notice.file(), &text),
        backup: None,
        reloaded: None,
    };
    if !dry && !report.is_there {
        let swap = Swap::prepare(
            &place.config,
            &notice.file(),
            &text,
            &fresh.rulebook.zone.to_datetime(now),
        )?;
        put_in_place(&app.engine.store, swap, &notice, actor, &addressed, now, &mut report).await?;
        tracing::info!(staff.id = %actor, year = notice.year, moved = found.moved.len(), "a calendar was imported");
        report.reloaded = reload(&place).await?;
    }
    if as_json {
        say(&report.json().to_string());
    } else {
        say(&report.text());
    }
    Ok(match &report.reloaded {
        Some(answer) if !answer.ok => EXIT_CONFIG,
        _ => 0,
    })
}

fn may_change_rules(store: &Store, book: &Rulebook, actor: &StaffId) -> Result<(), DeskError> {
    // The desk says who is known.
    Desk::new(store, book, actor)?;
    if book
        .org
        .staff
        .get(actor)
        .is_some_and(|staff| staff.role.is_supervisory())
    {
        return Ok(());
    }
    Err(DeskError::Refused(Refusal {
        field: Some("--as".to_owned()),
        what: Said::new(
            format!("{actor} 不能更改放假安排"),
            format!("{actor} may not change the calendar"),
        ),
        fix: Said::new(
            "请业务主管、中心主任或区级牵头人导入",
            "a business supervisor, a director or the district lead may",
        ),
    }))
}

/// The file and the letters come into being together, or neither does.
async fn put_in_place(
    store: &Store,
    swap: Swap,
    notice: &Notice,
    actor: &StaffId,
    addressed: &Addressed,
    now: Timestamp,
    report: &mut Report<'_>,
) -> anyhow::Result<()> {
    let mut tx = store.begin().await?;
    calendar_news::queue(&mut tx, notice.year, actor, &addressed.letters, now).await?;
    let placed = swap.make()?;
    if let Err(error) = commit(tx, "queue the letters on moved dates").await {
        placed
            .take_back()
            .context("日历文件未能还原 / the old calendar file could not be put back")?;
        return Err(error.into());
    }
    report.backup = placed.backup;
    Ok(())
}

/// Lets a running daemon read the file; `None` when there is none.
async fn reload(place: &Place) -> anyhow::Result<Option<Answer>> {
    match control::ask(&socket_of(place)?, &Request::Reload, PATIENCE).await {
        Ok(answer) => Ok(Some(answer)),
        Err(ControlError::Absent { .. }) => Ok(None),
        Err(error) => Err(anyhow::Error::from(error)
            .context("日历已写入,但服务未确认载入;请运行 xixin ctl reload / the calendar is in place, but the daemon has not confirmed it; run xixin ctl reload")),
    }
}

fn tell_wrong(problems: &Problems, as_json: bool) {
    let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if as_json {
        say(&json!({ "ok": false, "problems": problems.iter().collect::<Vec<_>>() }).to_string());
        return;
    }
    say(&list.join("\n"));
    complain(&format!(
        "文件有{}处问题,什么也没有写入 / {} problems in the file; nothing was written",
        list.len(),
        list.len()
    ));
}
