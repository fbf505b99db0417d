//! `xixin bounce < mail`: what a mail server's pipe hands in for the return address; `bounce list|show|done`: the mail that nobody could
//! make sense of, for a person to look at.
//!
//! Exit codes are those that mail servers understand (sysexits.h): 0 when the mail has been dealt with or kept, 75 when it should be
//! handed in again. Nothing is lost: what cannot be read, or concerns no attempt, is kept, sealed in the database.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use crate::app::{App, Place, poke};
use crate::channel::bounce::{Kind, read, shown};
use crate::cli::{EXIT_BUSY, EXIT_FAILED, ReadArgs, SaidArgs, complain, explain, say};
use crate::clock::SystemClock;
use crate::domain::text::Said;
use crate::engine::bounces::{KEPT_BYTES, Noted};

/// Reports stand at the beginning; what was sent comes back behind them and is not needed.
const MAIL_MAX: u64 = 2 * 1024 * 1024;
/// A pile that nobody looks at stays with the mail server.
const KEPT_MAX: usize = 1_000;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    kept: Option<KeptVerb>,
    /// The address it was delivered for, where the mail does not say so itself / 收件地址(信头未写明时)
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
}

/// Mail that nobody could make sense of.
#[derive(Debug, Subcommand)]
enum KeptVerb {
    /// What waits for somebody to look at it / 看不懂的退信
    List {
        #[command(flatten)]
        read: ReadArgs,
    },
    /// One of them; who looked is noted / 查看一封
    Show {
        id: String,
        /// As it came, byte by byte / 原文
        #[arg(long)]
        raw: bool,
    },
    /// It has been dealt with: its words are taken away / 已处理,删去内容
    Done {
        id: String,
        #[command(flatten)]
        said: SaidArgs,
    },
}

/// Any failure of what a mail server hands in asks for it again.
pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    match args.kept {
        None => hand_in(&args, place).await,
        Some(KeptVerb::List { read }) => list(&read, place).await,
        Some(KeptVerb::Show { id, raw }) => show(&id, raw, place).await,
        Some(KeptVerb::Done { id, said }) => done_with(&id, &said, place).await,
    }
}

/// Without a word of what they say.
async fn list(read: &ReadArgs, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, read.clock()).await?;
    let waiting = app.engine.store.returned_waiting(i64::try_from(KEPT_MAX)?).await?;
    let zone = &app.engine.live.get().rulebook.zone;
    if read.json {
        let rows = waiting
            .iter()
            .map(|mail| json!({ "id": mail.id, "received": mail.received }));
        say(&json!(rows.collect::<Vec<_>>()).to_string());
    } else if waiting.is_empty() {
        say("没有待看的退信 / no mail waits for anybody to look at it");
    } else {
        for mail in &waiting {
            let at = mail.received.to_zoned_datetime(zone.clone());
            say(&format!("{}  {}", mail.id, at.strftime("%Y-%m-%d %H:%M")));
        }
    }
    Ok(0)
}

async fn show(id: &str, raw: bool, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, Arc::new(SystemClock)).await?;
    let Some(mail) = app.engine.store.returned(id).await? else {
        complain(&unknown(id));
        return Ok(EXIT_FAILED);
    };
    app.saw_mail(id).await?;
    if raw {
        std::io::stdout().lock().write_all(&mail)?;
    } else {
        say(shown(&mail).trim_end());
    }
    Ok(0)
}

async fn done_with(id: &str, said: &SaidArgs, place: Place) -> anyhow::Result<u8> {
    let app = App::open(place, Arc::new(SystemClock)).await?;
    if !app.engine.store.settle_returned(id, app.engine.clock.now()).await? {
        complain(&unknown(id));
        return Ok(EXIT_FAILED);
    }
    if said.json {
        say(&json!({ "done": id }).to_string());
    } else {
        say(&format!("{id} 已处理 / dealt with"));
    }
    Ok(0)
}

fn unknown(id: &str) -> String {
    format!("没有待看的退信 {id},见 xixin bounce list / no such mail waits: {id}; see xixin bounce list")
}

async fn hand_in(args: &Args, place: Place) -> anyhow::Result<u8> {
    match handle(args, place).await {
        Ok((done, said)) => {
            if args.json {
                say(&json!({ "done": done.name(), "said": said }).to_string());
            } else {
                say(&said.to_string());
            }
            Ok(if done == Done::Again { EXIT_BUSY } else { 0 })
        }
        Err(error) => {
            complain(&explain(&error));
            Ok(EXIT_BUSY)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Noted,
    Ignored,
    Kept,
    Again,
}

impl Done {
    fn name(self) -> &'static str {
        match self {
            Self::Noted => "noted",
            Self::Ignored => "ignored",
            Self::Kept => "kept",
            Self::Again => "again",
        }
    }
}

async fn handle(args: &Args, place: Place) -> anyhow::Result<(Done, Said)> {
    let raw = mail()?;
    let settings = place.settings()?;
    let path = place.return_path(&settings)?;
    // Postfix tells a pipe the address in these variables (local(8)).
    let told = ["ORIGINAL_RECIPIENT", "RECIPIENT"].map(|name| place.environment.get(name).cloned());
    let recipients: Vec<String> = args.to.iter().cloned().chain(told.into_iter().flatten()).collect();
    let returned = read(&raw, path.as_ref(), &recipients);
    if returned.kind == Kind::Automatic {
        let said = Said::new("自动回复,不是退信", "an automatic answer, no bounce");
        return Ok((Done::Ignored, said));
    }
    let app = App::open(place, Arc::new(SystemClock)).await?;
    let Some(attempt) = returned.attempt.filter(|_| returned.kind != Kind::Unknown) else {
        return keep(&app, &raw).await;
    };
    let noted = app
        .engine
        .note_bounce(&attempt, returned.kind, app.engine.clock.now())
        .await?;
    let done = match noted {
        Noted::Stranger => return keep(&app, &raw).await,
        Noted::TooEarly => Done::Again,
        Noted::Went { .. } | Noted::Waits | Noted::Known => Done::Noted,
    };
    if matches!(noted, Noted::Went { instead: 1.. }) {
        poke(&app, None).await;
    }
    Ok((done, words(noted)))
}

fn words(noted: Noted) -> Said {
    match noted {
        Noted::Went { instead: 0 } => Said::new("已记录", "it is noted"),
        Noted::Went { instead } => Said::new(
            format!("已记录退信,改由{instead}条其他提醒或电话接替"),
            format!("the bounce is noted; messages or calls instead: {instead}"),
        ),
        Noted::Waits => Said::new("已记录: 对方尚未收下", "it is noted: not taken by the other side yet"),
        Noted::Known => Said::new("没有新内容", "it says nothing new"),
        Noted::TooEarly => Said::new(
            "发送结果尚未记录,请稍后再投",
            "how the sending ended is not recorded yet; hand it in again",
        ),
        Noted::Stranger => Said::new("没有这次发送的记录", "there is no such attempt"),
    }
}

/// The beginning of the mail. The rest is read and dropped, because a pipe that breaks is a failure to the mail server.
fn mail() -> anyhow::Result<Vec<u8>> {
    let (mut stdin, mut raw) = (std::io::stdin().lock(), Vec::new());
    stdin.by_ref().take(MAIL_MAX).read_to_end(&mut raw)?;
    std::io::copy(&mut stdin, &mut std::io::sink())?;
    Ok(raw)
}

/// Once per mail, however often it is handed in.
async fn keep(app: &App, raw: &[u8]) -> anyhow::Result<(Done, Said)> {
    let start = &raw[..raw.len().min(KEPT_BYTES)];
    let kept = app
        .engine
        .store
        .keep_returned(start, app.engine.clock.now(), KEPT_MAX)
        .await?;
    let Some(id) = kept else {
        let said = Said::new(
            format!("已有 {KEPT_MAX} 封看不懂的退信,请先处理(xixin bounce list)"),
            format!("{KEPT_MAX} wait already; look through them first (xixin bounce list)"),
        );
        return Ok((Done::Again, said));
    };
    let said = Said::new(
        format!("看不懂或不是本系统的退信,已加密留存,请人工查看: xixin bounce show {id}"),
        format!(
            "not understood, or about no mail of ours; kept sealed for a person to look at: xixin bounce show {id}"
        ),
    );
    Ok((Done::Kept, said))
}
