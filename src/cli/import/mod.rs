//! `xixin import`: shows what a file would come to; with `--commit` takes it over, all or nothing.

mod caused;
mod rows;
mod table;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::app::{App, Place, now_or, poke};
use crate::cli::case::Actor;
use crate::cli::say;
use crate::clock::SystemClock;
use crate::domain::ids::StaffId;
use crate::engine::desk::Desk;
use crate::import::{self, Assignment, Limits, Order};
use table::Table;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A CSV or XLSX file / CSV 或 XLSX 文件
    file: PathBuf,
    /// Names a column by hand: a header or letters, e.g. resident.phone=联系电话 or matter=B / 指定列
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    assigned: Vec<Assignment>,
    /// The sheet of a workbook, by number (from 1) or name / 工作表
    #[arg(long, value_name = "SHEET")]
    sheet: Option<String>,
    /// Takes the cases over; without it nothing is written / 正式写入
    #[arg(long)]
    commit: bool,
    /// What to do with rows whose request seems to be open already / 疑似重复的行
    #[arg(long, value_enum, default_value_t = Repeats::Refuse)]
    repeats: Repeats,
    #[command(flatten)]
    actor: Actor,
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
    /// Previews as of this instant, RFC 3339; cases are only taken over as of now / 以此刻预览
    #[arg(long, value_name = "RFC3339", conflicts_with = "commit")]
    now: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Repeats {
    /// Writes nothing while there are any / 有重复就不写入
    Refuse,
    /// Leaves them out / 跳过
    Skip,
    /// Takes them over as well / 照样写入
    Allow,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::open(place.clone(), Arc::new(SystemClock)).await?;
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let now = now_or(args.now, &SystemClock);
    let desk = Desk::new(&app.engine.store, book, &StaffId::from(args.actor.actor.as_str()))?;
    let order = Order {
        path: args.file.clone(),
        sheet: args.sheet.clone(),
        assigned: args.assigned.clone(),
        limits: Limits::default(),
    };
    let reading = Arc::clone(&rules);
    // The readers of foreign formats may stop on a file made to harm them; that ends the reading, not the program.
    let found = tokio::task::spawn_blocking(move || import::read(&order, &reading.rulebook, now))
        .await
        .context("文件已损坏,无法解析。请在 Excel 中打开后另存。 / the file is damaged and cannot be read; open it in Excel and save it again")??;
    let mut table = Table::rehearse(found, &desk, book, now);
    table.look_for_repeats(&app).await?;

    let written = if args.commit && table.may_commit(args.repeats) {
        Some(table.commit(&desk, args.repeats, now).await?)
    } else {
        None
    };
    if written.is_some() {
        poke(&app, None).await;
    }
    if args.json {
        say(&table.json(&args, written.as_deref()).to_string());
    } else {
        say(&table.text(&args, written.as_deref(), book, now));
    }
    Ok(u8::from(!table.may_commit(args.repeats)))
}
