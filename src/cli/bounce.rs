//! `xixin bounce < mail`: what a mail server's pipe hands in for the return address.
//!
//! Exit codes are those that mail servers understand (sysexits.h): 0 when the mail has been dealt with or kept, 75 when it should be
//! handed in again. Nothing is lost: what cannot be read, or concerns no attempt, is kept as a file for a person to look at.

use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::app::{App, Place, poke};
use crate::channel::bounce::{Kind, read};
use crate::cli::{EXIT_BUSY, complain, explain, say};
use crate::clock::SystemClock;
use crate::config::settings::Settings;
use crate::domain::text::Said;
use crate::durable;
use crate::engine::bounces::Noted;

/// Reports stand at the beginning; what was sent comes back behind them and is not needed.
const MAIL_MAX: u64 = 2 * 1024 * 1024;
/// A pile that nobody looks at stays with the mail server.
const KEPT_MAX: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address it was delivered for, where the mail does not say so itself / 收件地址(信头未写明时)
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
}

/// Any failure asks for the mail to be handed in again.
pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    match handle(&args, place).await {
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
    let Some(attempt) = returned.attempt.filter(|_| returned.kind != Kind::Unknown) else {
        return keep(&settings, &raw);
    };
    let app = App::open(place, Arc::new(SystemClock)).await?;
    let noted = app
        .engine
        .note_bounce(&attempt, returned.kind, app.engine.clock.now())
        .await?;
    let done = match noted {
        Noted::Stranger => return keep(&settings, &raw),
        Noted::TooEarly => Done::Again,
        Noted::Went { .. } | Noted::Waits | Noted::Known => Done::Noted,
    };
    if matches!(noted, Noted::Went { instead: 1.. }) {
        poke(&settings, None).await;
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

/// Where mail that nobody could make sense of waits for a person.
pub(in crate::cli) fn kept_in(settings: &Settings) -> PathBuf {
    settings.state_dir.join("bounces")
}

pub(in crate::cli) fn kept(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |files| files.count())
}

/// Once per mail, however often it is handed in.
fn keep(settings: &Settings, raw: &[u8]) -> anyhow::Result<(Done, Said)> {
    let folder = kept_in(settings);
    let shown = folder.display();
    let context = || format!("退信无法存入 {shown} / the mail cannot be kept in {shown}");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(context)?;
    if kept(&folder) >= KEPT_MAX {
        let said = Said::new(
            format!("{shown} 中已有 {KEPT_MAX} 封,请先处理"),
            format!("{shown} holds {KEPT_MAX} already; look through them first"),
        );
        return Ok((Done::Again, said));
    }
    let name = format!("{}.eml", &hex::encode(Sha256::digest(raw))[..16]);
    durable::write(&folder.join(&name), raw, durable::PRIVATE).with_context(context)?;
    let said = Said::new(
        format!("看不懂或不是本系统的退信,已存入 {shown}/{name},请人工查看"),
        format!("not understood, or about no mail of ours; kept in {shown}/{name} for a person to look at"),
    );
    Ok((Done::Kept, said))
}
