//! `xixin why` and `xixin why-not`: every decision with its reason, from the ledger; for the future, the plan.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::app::{App, Place};
use crate::cli::case::local;
use crate::cli::{EXIT_USAGE, ReadArgs, say};
use crate::domain::case::{Case, Item};
use crate::domain::house::View;
use crate::domain::ids::{CaseId, ReminderId};
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::occurrence::Coming;
use crate::domain::plan::release::Applied;
use crate::domain::reminder::MarkText;
use crate::domain::rulebook::Rulebook;
use crate::engine::desk::DeskError;
use crate::store::instant_of;
use crate::store::reminders::LedgerRow;

#[derive(Debug, clap::Args)]
pub(super) struct WhyArgs {
    case: String,
    /// One reminder only / 只看这一条
    reminder: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct WhyNotArgs {
    case: String,
    /// The name of a rung, e.g. last-days / 梯级中的一级
    rung: String,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn why(args: WhyArgs, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, args.read.clock()).await?;
    let id = CaseId::from(args.case.as_str());
    let store = &app.engine.store;
    if store.case(&id).await?.is_none() {
        return Err(DeskError::NoCase(id).into());
    }
    let mut rows = store.ledger_of(&id, 1_000).await?;
    if let Some(reminder) = &args.reminder {
        rows.retain(|row| row.id == *reminder);
        anyhow::ensure!(
            !rows.is_empty(),
            "本案没有提醒 {reminder} / the case has no reminder {reminder}; leave it out to see all"
        );
    }
    app.saw(View::Ledger, &[&id]).await?;
    let rules = app.engine.live.get();
    let mut attempts = Vec::new();
    for row in &rows {
        attempts.push(store.attempts_of(&ReminderId::from(row.id.as_str())).await?);
    }
    if args.read.json {
        let list: Vec<_> = rows
            .iter()
            .zip(&attempts)
            .map(|(row, tries)| json!({ "reminder": row, "attempts": tries }))
            .collect();
        say(&json!({ "case": id, "decisions": list }).to_string());
        return Ok(0);
    }
    let mut text = String::new();
    for (row, tries) in rows.iter().zip(&attempts) {
        text.push_str(&row_text(row, &rules.rulebook));
        for attempt in tries {
            let at = local(instant_of(attempt.started_ms), &rules.rulebook.zone);
            let _ = writeln!(
                text,
                "      {at}  {}  {}",
                attempt.outcome,
                attempt.reason.as_deref().unwrap_or("")
            );
        }
    }
    if rows.is_empty() {
        text.push_str("还没有任何决定 / nothing has been decided yet\n");
    }
    say(text.trim_end());
    Ok(0)
}

/// One row of the ledger in words.
pub(super) fn row_text(row: &LedgerRow, book: &Rulebook) -> String {
    let due = local(instant_of(row.due_ms), &book.zone);
    let rung = MarkText::parse(&row.mark).map_or_else(
        || row.mark.clone(),
        |mark| format!("{} {}/{}", mark.item, mark.ladder, mark.rung),
    );
    format!(
        "  {due}  {rung} → {} ({})  {}\n      {} / {}\n      {}\n",
        row.recipient, row.way, row.state, row.reason_zh, row.reason_en, row.id
    )
}

pub(super) async fn why_not(args: WhyNotArgs, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, args.read.clock()).await?;
    let id = CaseId::from(args.case.as_str());
    let store = &app.engine.store;
    let stored = store.case(&id).await?.ok_or(DeskError::NoCase(id.clone()))?;
    app.saw(View::Ledger, &[&id]).await?;
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let now = args.read.now();
    let rungs: std::collections::BTreeSet<&str> = book
        .ladders
        .values()
        .flat_map(|ladder| &ladder.rungs)
        .map(|rung| rung.name.as_str())
        .collect();
    if !rungs.contains(args.rung.as_str()) {
        let known: Vec<&str> = rungs.into_iter().collect();
        say(&format!(
            "没有名为“{}”的一级 / no rung is called \"{}\"; 现有 / known: {}",
            args.rung,
            args.rung,
            known.join(", ")
        ));
        return Ok(EXIT_USAGE);
    }
    let ledger = store.ledger_of(&id, 1_000).await?;
    let mut answers = Vec::new();
    if stored.case.is_closed() {
        answers.push("案件已办结 / the case is closed".to_owned());
    } else {
        for item in stored.case.items(book) {
            answers.extend(about_item(book, &stored.case, item, &args.rung, &ledger, now));
        }
    }
    if answers.is_empty() {
        answers.push("本案没有事项使用这一级 / no item of the case uses this rung".to_owned());
    }
    if args.read.json {
        say(&json!({ "case": id, "rung": args.rung, "answers": answers }).to_string());
    } else {
        say(&answers.join("\n"));
    }
    Ok(0)
}

fn about_item(
    book: &Rulebook,
    case: &Case,
    item: Item<'_>,
    name: &str,
    ledger: &[LedgerRow],
    now: Timestamp,
) -> Option<String> {
    let dated = Dated::new(book, item);
    let ladder = dated.ladder?;
    let rung = ladder.rungs.iter().find(|rung| rung.name.as_str() == name)?;
    let id = item.id();
    if !item.is_open() {
        return Some(format!("{id}: 该事项已结束 / the item is over"));
    }
    let Some(applied) = Applied::new(book, case, &dated, rung) else {
        let milestone = rung.when.point().milestone;
        return Some(format!("{id}: 还没有“{milestone}”这一日期 / it has no {milestone} yet"));
    };
    if let Some(until) = applied.silenced_until(now) {
        let until = local(until, &book.zone);
        return Some(format!("{id}: 已有人确认,{until} 前不提醒 / acknowledged until then"));
    }
    let comings = applied.comings(now);
    let zone = &book.zone;
    let decided = comings
        .last
        .map_or_else(Vec::new, |last| decided(ledger, item, &applied, last));
    if !decided.is_empty() {
        return Some(decided.join("\n"));
    }
    Some(match (comings.last, comings.next) {
        (Some(last), _) => {
            let soon = last
                .at
                .checked_add(SignedDuration::from_mins(1))
                .is_ok_and(|soon| soon > now);
            let why = if soon {
                "马上处理 / about to be decided"
            } else {
                "应已到时而尚无决定: 服务可能没有运行 / due, but undecided: is the daemon running?"
            };
            format!("{id}: {} {why}", local(last.at, zone))
        }
        (None, Some(next)) => format!("{id}: 还没到时,将在 {} / it comes then", local(next.at, zone)),
        (None, None) => format!("{id}: 不会再来 / it does not come any more"),
    })
}

/// What was decided about one coming of a rung, a line for each audience and recipient.
fn decided(ledger: &[LedgerRow], item: Item<'_>, applied: &Applied<'_>, coming: Coming) -> Vec<String> {
    let (id, rung) = (item.id(), &applied.rung.name);
    let anchor = applied.anchor.to_string();
    let line = |row: &LedgerRow| {
        let mark = MarkText::parse(&row.mark)?;
        let same =
            mark.item == *id && mark.rung == *rung && mark.anchor == anchor && mark.occurrence == coming.occurrence;
        same.then(|| {
            let (to, state) = (mark.audience.name(), &row.state);
            format!(
                "{id}: {to} 已决定 {state} — {} / decided: {}",
                row.reason_zh, row.reason_en
            )
        })
    };
    ledger.iter().filter_map(line).collect()
}
