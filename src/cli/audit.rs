//! `xixin audit verify|accept`: whether the chain of events is whole, and a supervisor's word on what was found.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use crate::app::{App, Place};
use crate::cli::case::Actor;
use crate::cli::{EXIT_FAILED, say};
use crate::clock::SystemClock;
use crate::domain::ids::StaffId;
use crate::engine::audit;
use crate::store::verify::{Noted, Verdict};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Finds any edit, deletion, insertion, change of order or missing end of the events / 核对记录链
    Verify {
        /// A head known from elsewhere: the record in the foot of a digest, such as 1234-0123456789abcdef / 每日待办末尾的记录号
        #[arg(long, value_name = "RECORD")]
        head: Option<Noted>,
        /// Prints JSON / 输出 JSON
        #[arg(long)]
        json: bool,
    },
    /// A supervisor explains what verify has found, e.g. after a restore / 主管说明核对发现的问题
    Accept {
        /// Why the chain is as it is / 原因
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        actor: Actor,
    },
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    match args.verb {
        Verb::Verify { head, json } => verify(head.as_ref(), json, place).await,
        Verb::Accept { reason, actor } => accept(&reason, &actor, place).await,
    }
}

async fn verify(noted: Option<&Noted>, json: bool, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, Arc::new(SystemClock)).await?;
    let verdict = app.engine.store.verify_events(noted).await?;
    let code = if verdict.holds() { 0 } else { EXIT_FAILED };
    if json {
        let faults: Vec<_> = verdict.faults.iter().map(|fault| json!(fault.said())).collect();
        let head = &verdict.head;
        say(&json!({
            "holds": verdict.holds(), "events": head.seq, "head": head.hash, "record": head.short(),
            "blanked": verdict.blanked, "faults": verdict.count, "first": faults,
        })
        .to_string());
    } else {
        say(&in_words(&verdict));
    }
    Ok(code)
}

fn in_words(verdict: &Verdict) -> String {
    let (seq, record) = (verdict.head.seq, verdict.head.short());
    if verdict.holds() {
        let mut text = format!(
            "记录链完整,共 {seq} 条,记录号 {record} / the chain of events is whole: {seq} events, record {record}"
        );
        if verdict.blanked > 0 {
            let _ = write!(
                text,
                "\n  其中 {0} 条的内容已按规定清除,有证明 / the words of {0} of them were taken away as ruled, with proof",
                verdict.blanked
            );
        }
        return text;
    }
    let mut text = format!(
        "记录链有问题: {0} 处 / the chain of events is not whole, faults: {0}",
        verdict.count
    );
    for fault in &verdict.faults {
        let _ = write!(text, "\n  ! {}", fault.said());
    }
    if verdict.count > verdict.faults.len() as u64 {
        let rest = verdict.count - verdict.faults.len() as u64;
        let _ = write!(text, "\n  … 另有 {rest} 处 / and {rest} more");
    }
    text.push_str(
        "\n请保留数据库文件并另存一份,查明谁动过它,再与最近的备份比较。若是恢复了备份或换了机器,由主管运行 xixin audit accept --reason 说明\
         \nKeep the database file and a copy of it, find out who touched it, and compare it with the last backup. If a backup was restored or the machine changed, a supervisor says so with xixin audit accept --reason",
    );
    text
}

async fn accept(reason: &str, actor: &Actor, place: Place) -> anyhow::Result<u8> {
    let app = App::open(place, Arc::new(SystemClock)).await?;
    let rules = app.engine.live.get();
    let staff = StaffId::from(actor.actor.as_str());
    let by = audit::supervisor(&rules.rulebook, &staff, reason)?;
    let head = audit::accept(&app.engine.store, by, reason, app.engine.clock.now()).await?;
    say(&format!(
        "已记下,现在的记录号 {0} / noted; the record is now {0}",
        head.short()
    ));
    Ok(0)
}
