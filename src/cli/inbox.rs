//! `xixin inbox`: SMS from numbers that no case knows. They are kept sealed until a person has looked and says that they are dealt with.

use std::sync::Arc;

use serde_json::json;

use crate::app::{App, Place};
use crate::cli::case::local;
use crate::cli::{EXIT_USAGE, SaidArgs, complain, say};
use crate::clock::SystemClock;
use crate::domain::house::View;
use crate::engine::inbound::Stranger;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Says that one is dealt with: its number in the list / 已处理,给出列表中的编号
    #[arg(long, value_name = "ID")]
    done: Option<String>,
    #[command(flatten)]
    said: SaidArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::open(place, Arc::new(SystemClock)).await?;
    app.saw(View::Inbox, &[]).await?;
    let strangers = app.engine.strangers().await?;
    let Some(done) = &args.done else {
        show(&app, &strangers, args.said.json);
        return Ok(0);
    };
    let Some(stranger) = strangers.iter().find(|stranger| stranger.short() == *done) else {
        complain(&format!(
            "没有编号为 {done} 的来信 / no SMS has the number {done}; see xixin inbox"
        ));
        return Ok(EXIT_USAGE);
    };
    app.engine.stranger_done(stranger).await?;
    if args.said.json {
        say(&json!({ "done": done }).to_string());
    } else {
        say(&format!("{done}: 已处理,内容已清除 / dealt with; its words are gone"));
    }
    Ok(0)
}

fn show(app: &App, strangers: &[Stranger], is_json: bool) {
    let rules = app.engine.live.get();
    let zone = &rules.rulebook.zone;
    if is_json {
        let list: Vec<_> = strangers
            .iter()
            .map(|stranger| {
                json!({
                    "id": stranger.short(), "gateway": stranger.gateway, "from": stranger.from,
                    "text": stranger.text, "received": local(stranger.received, zone),
                })
            })
            .collect();
        say(&json!({ "inbox": list }).to_string());
        return;
    }
    if strangers.is_empty() {
        say("没有陌生号码的来信 / no SMS from unknown numbers");
    }
    for stranger in strangers {
        let (id, received) = (stranger.short(), local(stranger.received, zone));
        say(&format!("{id}  {received}  {}  {}", stranger.from, stranger.text));
    }
}
