//! `xixin retention preview|run`: which records are kept longer than the settings say, and taking them away now instead of tonight.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use crate::app::{App, Place};
use crate::cli::case::Actor;
use crate::cli::{ReadArgs, SaidArgs, say};
use crate::clock::SystemClock;
use crate::config::settings::Retention;
use crate::domain::ids::StaffId;
use crate::engine::audit;
use crate::engine::retention::{self, Counts, PREVIEW_MAX};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What would go now; nothing is changed / 预览
    Preview {
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Takes it away now; the daemon does so every night / 立即清除
    Run {
        /// Why now / 原因
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        actor: Actor,
        #[command(flatten)]
        said: SaidArgs,
    },
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    match args.verb {
        Verb::Preview { read } => {
            let app = App::look(place, read.clock()).await?;
            let counts = retention::preview(&app.engine, read.now()).await?;
            tell(&app, &counts, read.json, "会清除 / would go");
        }
        Verb::Run { reason, actor, said } => {
            let app = App::open(place, Arc::new(SystemClock)).await?;
            let rules = app.engine.live.get();
            let staff = StaffId::from(actor.actor.as_str());
            let by = audit::supervisor(&rules.rulebook, &staff, &reason)?;
            let counts = retention::run(&app.engine, by.id.as_str(), app.engine.clock.now()).await?;
            tell(&app, &counts, said.json, "已清除 / gone");
        }
    }
    Ok(0)
}

fn tell(app: &App, counts: &Counts, as_json: bool, head: &str) {
    let rules = app.engine.live.get();
    if as_json {
        say(&json!(counts).to_string());
    } else {
        say(&in_words(counts, &rules.settings.retention, head));
    }
}

fn in_words(counts: &Counts, periods: &Retention, head: &str) -> String {
    let mut text = format!("{head}:");
    for (kept, rows) in counts.each() {
        let days = match retention::days_of(periods, kept) {
            0 => "一直保存 / kept for ever".to_owned(),
            days => format!("保存{days}天 / kept {days} days"),
        };
        let more = if rows >= PREVIEW_MAX as u64 { "+" } else { "" };
        let _ = write!(text, "\n  {}: {rows}{more} ({days})", kept.said());
    }
    text
}
