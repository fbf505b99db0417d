//! Prints who was told what, over which channel and why, as the ledger settles.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::cli::say;
use crate::domain::ids::CaseId;
use crate::domain::plan::People;
use crate::domain::reminder::{Recipient, State};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::mask_name;
use crate::engine::Engine;
use crate::store::reminders::LedgerRow;
use crate::store::{StoreError, instant_of};

/// Between two looks at the ledger.
const LOOK: Duration = Duration::from_millis(300);
/// Rows the demo keeps an eye on.
const ROWS_MAX: i64 = 5_000;

/// Looks until it is ended from outside.
pub(super) async fn tell(engine: Engine, dir: PathBuf, since: Timestamp) {
    let mut told = HashSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(error) = look(&engine, &dir, since, &mut told).await {
            say(&format!(
                "记录无法读取 / the ledger cannot be read: {}",
                crate::telemetry::chain(&error)
            ));
            return;
        }
    }
}

async fn look(engine: &Engine, dir: &Path, since: Timestamp, told: &mut HashSet<String>) -> Result<(), StoreError> {
    let rules = engine.live.get();
    for row in engine.store.ledger_between(since, Timestamp::MAX, ROWS_MAX).await? {
        if is_settled(&row) && told.insert(row.id.clone()) {
            let people = people(engine, &row).await?;
            say(&line(&rules.rulebook, dir, &people, &row));
        }
    }
    Ok(())
}

/// Whether somebody was told, or has to act. What was decided against stands in the ledger only: `xixin why` shows it.
fn is_settled(row: &LedgerRow) -> bool {
    use State::{Attempting, Claimed, Queued, Skipped, Superseded};
    !matches!(
        State::parse(&row.state),
        Some(Queued | Claimed | Attempting | Skipped | Superseded)
    )
}

async fn people(engine: &Engine, row: &LedgerRow) -> Result<People, StoreError> {
    let Some(stored) = engine.store.case(&CaseId::from(row.case_id.as_str())).await? else {
        return Ok(People::default());
    };
    engine.store.people_of(&stored.case.party.person).await
}

fn line(book: &Rulebook, dir: &Path, people: &People, row: &LedgerRow) -> String {
    let at = book
        .zone
        .to_datetime(instant_of(row.sent_ms.unwrap_or(row.decided_ms)))
        .strftime("%H:%M:%S");
    let who = who(book, people, row);
    let case = if row.case_id.is_empty() { "" } else { &row.case_id };
    let why = format!("{} / {}", row.reason_zh, row.reason_en);
    let (sign, what) = match State::parse(&row.state) {
        Some(State::Accepted) => ("→", content(dir, row)),
        Some(State::Task) => ("☎", "请工作人员打电话 / staff phone".to_owned()),
        _ => ("·", row.state.clone()),
    };
    format!(
        "  {at} {sign} {} {who}  {case}  {what}\n             {why}",
        way(&row.way)
    )
}

fn way(name: &str) -> &str {
    match name {
        "email" => "邮件/e-mail",
        "sms" => "短信/SMS",
        "phone" => "电话/phone",
        _ => "—",
    }
}

fn who(book: &Rulebook, people: &People, row: &LedgerRow) -> String {
    match Recipient::parse(&row.recipient) {
        Some(Recipient::Staff(id)) => book
            .org
            .staff
            .get(&id)
            .map_or_else(|| id.to_string(), |staff| staff.name.clone()),
        Some(Recipient::Person(id)) => {
            let person = people.all().find(|person| person.id == id);
            person.map_or_else(|| id.to_string(), |person| mask_name(&person.name))
        }
        Some(Recipient::Nobody) | None => "无人 / nobody".to_owned(),
    }
}

/// The text of an SMS, the subject of an e-mail, as they lie in the folder.
fn content(dir: &Path, row: &LedgerRow) -> String {
    let found = if row.way == "sms" {
        std::fs::read(dir.join("sms").join(format!("{}.json", row.id)))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
            .and_then(|sms| sms["text"].as_str().map(str::to_owned))
    } else {
        subject(&dir.join("maildir/new"), &row.id)
    };
    found.unwrap_or_else(|| format!("[{}]", row.text))
}

/// The subject of the mail whose Message-ID begins with `id`; xixin writes subjects as base64 words (RFC 2047).
fn subject(maildir: &Path, id: &str) -> Option<String> {
    let head = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).ok()?;
        text.split("\r\n\r\n").next().map(|head| head.replace("\r\n ", " "))
    };
    let of_row = |head: &String| head.contains(&format!("Message-ID: <{id}@"));
    let unfolded = maildir.read_dir().ok()?.flatten().filter_map(head).find(of_row)?;
    let line = unfolded.lines().find_map(|line| line.strip_prefix("Subject: "))?;
    // The space between two encoded words belongs to the encoding, any other to the text (RFC 2047 6.2).
    let mut subject = String::new();
    let mut after_encoded = true;
    for part in line.split(' ') {
        let encoded = part.starts_with("=?");
        if !(subject.is_empty() || encoded && after_encoded) {
            subject.push(' ');
        }
        subject.push_str(&word(part));
        after_encoded = encoded;
    }
    Some(subject)
}

fn word(word: &str) -> String {
    let encoded = word.strip_prefix("=?utf-8?b?").and_then(|word| word.strip_suffix("?="));
    let decoded = encoded
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or_else(|| word.to_owned())
}
