//! `xixin preview`: what will be sent between two days, to whom, over what and why, if nothing changes. Live data, nothing is written.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde_json::{Value, json};

use crate::app::{App, Place};
use crate::cli::{EXIT_USAGE, ReadArgs, ahead, complain, say};
use crate::domain::calendar::{FIRST_DAY, LAST_DAY};
use crate::domain::house::View;
use crate::domain::ids::{CaseId, StaffId, UnitId};
use crate::domain::milestone::instant;
use crate::domain::reminder::Recipient;
use crate::domain::rulebook::Rulebook;
use crate::engine::desk::DeskError;
use crate::engine::digests;
use crate::engine::foresee::{Ahead, Outlook, foresee};
use crate::store::cases::StoredCase;

/// Cases looked at in one preview.
const CASES_MAX: i64 = 20_000;
/// Days in one preview.
const SPAN_MAX_DAYS: i32 = 1_100;
/// Decisions of one case in one preview.
const PER_CASE_MAX: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// From this local day on; today, unless given / 从哪天起
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Through this local day; a week, unless given / 到哪天止
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// Cases of this unit and the units below it only / 只看某单位
    #[arg(long, conflicts_with_all = ["case"])]
    unit: Option<String>,
    /// What reaches this member of staff only / 只看发给某人的
    #[arg(long)]
    staff: Option<String>,
    /// One case only / 只看一个案件
    #[arg(long)]
    case: Option<String>,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, args.read.clock()).await?;
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let now = args.read.now();
    let today = book.zone.to_datetime(now).date();
    let from = args.from.unwrap_or(today);
    let to = args
        .to
        .unwrap_or_else(|| from.checked_add(jiff::Span::new().days(7)).unwrap_or(from));
    if let Some(code) = wrong(&args, book, from, to) {
        return Ok(code);
    }
    let start = instant(from, Time::midnight(), &book.zone).max(now);
    let end = instant(to.tomorrow().unwrap_or(to), Time::midnight(), &book.zone);
    let cases = cases(&app, &args, book, end).await?;
    let cut = cases.len() as i64 >= CASES_MAX;
    let mut outlook = foresee(&app.engine.store, book, &cases, (now.min(start), end), PER_CASE_MAX).await?;
    outlook
        .ahead
        .retain(|ahead| ahead.foreseen.at >= start && ahead.foreseen.at < end);
    if let Some(staff) = &args.staff {
        outlook
            .ahead
            .retain(|ahead| concerns(ahead, &StaffId::from(staff.as_str())));
    }
    let digests = if args.case.is_some() {
        Vec::new()
    } else {
        digests_between(book, &args, start, end)
    };
    app.saw(
        View::Outlook,
        &cases.iter().map(|stored| &stored.case.id).collect::<Vec<_>>(),
    )
    .await?;
    if args.read.json {
        say(&as_json(book, &outlook, &digests, cut).to_string());
    } else {
        print(book, &outlook, &digests, cut);
    }
    Ok(0)
}

fn wrong(args: &Args, book: &Rulebook, from: Date, to: Date) -> Option<u8> {
    if to < from {
        complain(&format!(
            "--to {to} 早于 --from {from} / --to {to} is before --from {from}"
        ));
        return Some(EXIT_USAGE);
    }
    let span = from.until(to).map_or(i32::MAX, |span| span.get_days());
    if from < FIRST_DAY || to > LAST_DAY || span > SPAN_MAX_DAYS {
        complain(&format!(
            "{from} 至 {to} 太长或超出日历(最多{SPAN_MAX_DAYS}天,{FIRST_DAY} 至 {LAST_DAY}) / from {from} to {to} is too long or leaves the calendar; at most {SPAN_MAX_DAYS} days, {FIRST_DAY} to {LAST_DAY}"
        ));
        return Some(EXIT_USAGE);
    }
    ahead::unknown_name(book, args.unit.as_deref(), args.staff.as_deref())
}

async fn cases(app: &App, args: &Args, book: &Rulebook, end: Timestamp) -> anyhow::Result<Vec<StoredCase>> {
    let store = &app.engine.store;
    if let Some(case) = &args.case {
        let id = CaseId::from(case.as_str());
        let stored = store.case(&id).await?.ok_or(DeskError::NoCase(id))?;
        return Ok(vec![stored]);
    }
    let waking = store.waking_before(end, CASES_MAX).await?;
    let Some(unit) = args.unit.as_deref().map(UnitId::from) else {
        return Ok(waking);
    };
    Ok(waking
        .into_iter()
        .filter(|stored| book.org.is_within(&stored.case.unit, &unit))
        .collect())
}

fn concerns(ahead: &Ahead, staff: &StaffId) -> bool {
    let decision = &ahead.foreseen.decision;
    decision.assignee.as_ref() == Some(staff) || decision.recipient == Recipient::Staff(staff.clone())
}

/// The digests of the span: when, and for whom.
fn digests_between(book: &Rulebook, args: &Args, start: Timestamp, end: Timestamp) -> Vec<(Timestamp, Vec<String>)> {
    let mut found = Vec::new();
    let just_before = start.checked_sub(jiff::SignedDuration::from_millis(1)).unwrap_or(start);
    let mut at = digests::next_digest(book, just_before);
    while at < end {
        let day = book.zone.to_datetime(at).date();
        let readers: Vec<String> = digests::readers(book, day)
            .into_iter()
            .filter(|staff| args.staff.as_ref().is_none_or(|wanted| staff.id.as_str() == wanted))
            .filter(|staff| {
                args.unit
                    .as_deref()
                    .is_none_or(|unit| book.org.is_within(&staff.unit, &unit.into()))
            })
            .map(|staff| staff.id.to_string())
            .collect();
        if !readers.is_empty() {
            found.push((at, readers));
        }
        let next = digests::next_digest(book, at);
        if next <= at {
            // The calendar has ended.
            break;
        }
        at = next;
    }
    found
}

fn print(book: &Rulebook, outlook: &Outlook, digests: &[(Timestamp, Vec<String>)], cut: bool) {
    for (at, readers) in digests {
        let at = crate::cli::case::local(*at, &book.zone);
        say(&format!("{at}  每日待办 / daily digest → {}", readers.join(", ")));
    }
    for ahead in &outlook.ahead {
        say(&ahead::line(book, outlook, ahead));
    }
    if outlook.ahead.is_empty() {
        say("这段时间没有要发的提醒 / no reminder comes in this time");
    }
    if cut {
        say(&format!(
            "只看了最早醒来的 {CASES_MAX} 个案件;请用 --unit 或缩短日期 / only the first {CASES_MAX} cases were looked at; use --unit or fewer days"
        ));
    }
}

fn as_json(book: &Rulebook, outlook: &Outlook, digests: &[(Timestamp, Vec<String>)], cut: bool) -> Value {
    let ahead: Vec<Value> = outlook.ahead.iter().map(|ahead| outlook.json(book, ahead)).collect();
    let digests: Vec<Value> = digests
        .iter()
        .map(|(at, readers)| json!({ "at": crate::engine::status::zone_text(*at, &book.zone), "to": readers }))
        .collect();
    json!({ "reminders": ahead, "digests": digests, "complete": !cut })
}
