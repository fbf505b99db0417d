//! A case as people read it: facts, dates with their derivation, what comes next, what was decided.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::app::{App, Place};
use crate::cli::case::local;
use crate::cli::{ReadArgs, ahead, say, show_item};
use crate::domain::advice::advice;
use crate::domain::case::{Case, Closing, Item, Status};
use crate::domain::command::Change;
use crate::domain::event::Event;
use crate::domain::house::View;
use crate::domain::ids::CaseId;
use crate::domain::plan::People;
use crate::domain::rulebook::Rulebook;
use crate::engine::case_page::{self, CasePage};
use crate::engine::desk::DeskError;

pub(super) async fn run(case: &str, read: &ReadArgs, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, read.clock()).await?;
    let id = CaseId::from(case);
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let now = read.now();
    let page = CasePage::read(&app.engine.store, book, &id, now).await?;
    let page = page.ok_or(DeskError::NoCase(id.clone()))?;
    app.saw(View::Case, &[&id]).await?;
    if read.json {
        say(&page.json(book).to_string());
        return Ok(0);
    }
    let CasePage {
        stored,
        people,
        ledger,
        events,
        next,
        today,
    } = &page;
    let today = *today;
    let mut text = head(book, &stored.case, people);
    text.push_str(&show_item::work(book, &stored.case));
    for item in stored.case.items(book).filter(|item| !matches!(item, Item::Case(_))) {
        text.push_str(&show_item::text(book, item, today));
    }
    let said = advice(book, &stored.case, people, today);
    if !said.is_empty() {
        text.push_str("\n建议 / advice\n");
        for one in &said {
            let _ = writeln!(text, "  · {one}");
        }
    }
    if !next.ahead.is_empty() {
        text.push_str("\n接下来 / next\n");
        for one in &next.ahead {
            let _ = writeln!(text, "  {}", ahead::line(book, next, one));
        }
    }
    if !ledger.is_empty() {
        text.push_str("\n提醒记录 / reminders\n");
        for row in ledger {
            text.push_str(&crate::cli::ledger::row_text(row, book));
        }
    }
    text.push_str("\n经过 / history\n");
    for sealed in events.iter().rev() {
        let body = sealed.body.as_deref().unwrap_or_default();
        if let Ok(event) = serde_json::from_str::<Event>(body) {
            let at = local(crate::store::instant_of(sealed.at_ms), &book.zone);
            let _ = writeln!(text, "  {at}  {}  {}", sealed.actor, event.said(&book.zone));
        }
    }
    if !stored.case.contacts.is_empty() {
        text.push_str("\n联系记录 / contacts\n");
        let _ = writeln!(text, "  {}", stored.case.contact_tally());
    }
    say(text.trim_end());
    Ok(0)
}

pub(super) fn head(book: &Rulebook, case: &Case, people: &People) -> String {
    let mut text = line(book, case);
    let _ = writeln!(text, "\n  诉求 / request: {}", case.request);
    if let Some(resident) = &people.resident {
        let phone = resident.phone.as_deref().unwrap_or("-");
        let _ = writeln!(text, "  居民 / resident: {} {phone} ({})", resident.name, resident.id);
    }
    for relative in &people.relatives {
        let relation = relative.relative.as_ref();
        let word = relation.map_or("", |relation| relation.relation.as_str());
        let consent = if relation.is_some_and(|relation| relation.opted_in) {
            "同意接收 / opted in"
        } else {
            "未同意 / not opted in"
        };
        let _ = writeln!(
            text,
            "  亲属 / relative: {} {word} {consent} ({})",
            relative.name, relative.id
        );
    }
    let _ = writeln!(text, "  状态 / status: {}", status(book, case));
    let by = case
        .referred_by
        .as_deref()
        .map(|by| format!(", {by}"))
        .unwrap_or_default();
    let _ = writeln!(text, "  来源 / origin: {}{by}", case.origin.said());
    if let Some(lane) = &case.priority {
        let (reason, by) = (&lane.reason, &lane.granted_by);
        let _ = writeln!(text, "  优先办理: {reason};批准人 {by} / priority, granted by {by}");
    }
    text
}

fn status(book: &Rulebook, case: &Case) -> String {
    match &case.status {
        Status::Open => "办理中 / open".to_owned(),
        Status::Waiting { on, since } => format!(
            "等待 {on},自 {} / waiting for {on} since then",
            local(*since, &book.zone)
        ),
        Status::Closed { at, by, closing } => {
            let how = match closing {
                Closing::Done { outcome } => format!("办结: {outcome} / done"),
                Closing::Withdrawn { reason } => format!("撤回: {reason} / withdrawn"),
                Closing::Transferred { to } => format!("转交: {to} / transferred"),
                Closing::Refused {
                    reason,
                    alternative,
                    approved_by,
                } => {
                    format!("不予办理: {reason};可改走: {alternative};批准人 {approved_by} / refused")
                }
            };
            format!("{how}, {} {by}", local(*at, &book.zone))
        }
    }
}

/// One line for a list.
pub(super) fn line(book: &Rulebook, case: &Case) -> String {
    let matter = book.matters.get(&case.matter);
    let name = matter.map_or_else(|| case.matter.to_string(), |matter| matter.name.to_string());
    let unit = book
        .org
        .units
        .get(&case.unit)
        .map_or_else(|| case.unit.to_string(), |unit| unit.short.clone());
    let star = if case.priority.is_some() { "★" } else { " " };
    let state = match case.status {
        Status::Open => "办理中/open",
        Status::Waiting { .. } => "等待/waiting",
        Status::Closed { .. } => "办结/closed",
    };
    format!(
        "{star}{}  {state}  {name}  {unit}  {}  {}",
        case.id,
        case.owner,
        local(case.opened_at, &book.zone)
    )
}

/// What a command just did, and what comes next because of it.
pub(super) async fn summary(app: &App, change: &Change, now: Timestamp) -> anyhow::Result<String> {
    let rules = app.engine.live.get();
    let (book, case) = (&rules.rulebook, &change.case);
    let today = book.zone.to_datetime(now).date();
    let mut text = line(book, case);
    for event in &change.events {
        let _ = write!(text, "\n  ✓ {}", event.said(&book.zone));
    }
    let touched = |item: &Item<'_>| change.events.iter().any(|event| event.item() == Some(item.id()));
    for item in case.items(book).filter(Item::is_open).filter(touched) {
        text.push_str(show_item::text(book, item, today).trim_end());
    }
    if let Some(stored) = app.engine.store.case(&case.id).await? {
        let next = case_page::next_of(&app.engine.store, book, &stored, now, 1).await?;
        if let Some(first) = next.ahead.first() {
            let _ = write!(text, "\n接下来 / next: {}", ahead::line(book, &next, first));
        }
    }
    Ok(text)
}
