//! A new calendar: every open case is counted again, and whoever answers for a case with a moved date is told, once.
//!
//! The letters are queued in the transaction that puts the new file in place, and kept as they were counted. At the moment of sending each
//! item is looked at once more: what has been closed, finished or changed by somebody since is left out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::case::Case;
use crate::domain::digest::page::called_as;
use crate::domain::ids::{CaseId, PersonId, StaffId};
use crate::domain::ladder::{Priority, Way};
use crate::domain::org::Staff;
use crate::domain::plan::People;
use crate::domain::recount::{Letter, LetterLine, Moved, Recounted, Settled, recount};
use crate::domain::reminder::State;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::engine::live::Rules;
use crate::engine::prepare::Context;
use crate::engine::settle::{Judged, cancel, settle};
use crate::engine::staff_mail::{self, Occasion};
use crate::store::queue::Claimed;
use crate::store::reminders::NewReminder;
use crate::store::{Store, StoreError, Tx, reminders, runs};

/// The text of these messages.
pub(crate) const TEXT: &str = "calendar_changed";
/// What their marks begin with. They sort behind those of digests, which count what comes before them.
const MARK: &str = "news|calendar|";
/// Cases counted at once.
const CHUNK: i64 = 500;
/// Items in one letter at the most.
const LINES_MAX: usize = 200;
/// A letter that could not leave for so long is history: the digests have told the new dates.
const VALID_DAYS: i64 = 14;

/// What a new calendar does to the open cases.
#[derive(Debug, Default)]
pub struct Found {
    pub moved: Vec<Moved>,
    /// The residents of the cases with moved dates, masked.
    pub who: BTreeMap<CaseId, String>,
    /// Open items, moved or not.
    pub items: usize,
    /// Items whose dates stay and are settled now.
    pub settled: usize,
    /// Cases that cannot be read, and so not be counted.
    pub unreadable: Vec<CaseId>,
}

/// Counts every open case by both sets of rules.
pub async fn look(store: &Store, old: &Rulebook, new: &Rulebook) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let mut after = String::new();
    loop {
        let chunk = store.open_cases_after(&after, CHUNK).await?;
        let ids = chunk.cases.iter().map(|stored| &stored.case.id);
        let Some(last) = ids.chain(chunk.unreadable.iter().map(|case| &case.id)).max() else {
            return Ok(found);
        };
        after = last.as_str().to_owned();
        found
            .unreadable
            .extend(chunk.unreadable.into_iter().map(|case| case.id));
        let mut touched = Vec::new();
        for stored in &chunk.cases {
            let before = found.moved.len();
            for item in recount(old, new, &stored.case) {
                found.items += 1;
                match item {
                    Recounted::Moved(moved) => found.moved.push(*moved),
                    Recounted::Same(Settled::Newly) => found.settled += 1,
                    Recounted::Same(_) => {}
                }
            }
            if found.moved.len() > before {
                touched.push(&stored.case);
            }
        }
        found.who.extend(masked(store, &touched).await?);
    }
}

async fn masked(store: &Store, cases: &[&Case]) -> Result<Vec<(CaseId, String)>, StoreError> {
    let residents: Vec<&PersonId> = cases.iter().map(|case| &case.party.person).collect();
    let people = store.people(&residents).await?;
    let who = |case: &&Case| {
        let resident = people
            .get(&case.party.person)
            .and_then(|people: &People| people.resident.as_ref());
        (case.id.clone(), resident.map_or_else(|| "—".to_owned(), called_as))
    };
    Ok(cases.iter().map(who).collect())
}

/// Who is written to, and who has to be told in another way.
#[derive(Debug, Default)]
pub struct Addressed {
    pub letters: BTreeMap<StaffId, Vec<Moved>>,
    /// Owners for whom nobody with an e-mail address acts, with their moved items.
    pub out_of_reach: BTreeMap<StaffId, usize>,
}

/// The moved items by whoever acts for their owners today.
pub fn address(book: &Rulebook, moved: &[Moved], now: Timestamp) -> Addressed {
    let today = book.zone.to_datetime(now).date();
    let mut addressed = Addressed::default();
    for item in moved {
        let has_email = |staff: &&Staff| staff.email.is_some();
        let acting = book.org.acting_for(&item.owner, today).filter(has_email);
        let acting = acting.or_else(|| book.org.up_the_line(&item.unit, None, today).filter(has_email));
        match acting {
            Some(staff) => addressed
                .letters
                .entry(staff.id.clone())
                .or_default()
                .push(item.clone()),
            None => *addressed.out_of_reach.entry(item.owner.clone()).or_default() += 1,
        }
    }
    addressed
}

/// The letters of one calendar as they are kept until they have left.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    year: i16,
    /// Who put the calendar in place.
    by: StaffId,
    letters: BTreeMap<StaffId, Vec<Moved>>,
}

/// Queues the letters. Returns how many.
pub async fn queue(
    tx: &mut Tx,
    year: i16,
    by: &StaffId,
    letters: &BTreeMap<StaffId, Vec<Moved>>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    if letters.is_empty() {
        return Ok(0);
    }
    let mark = format!("{MARK}{}", now.as_millisecond());
    let kept = Kept {
        year,
        by: by.clone(),
        letters: letters.clone(),
    };
    let kept = serde_json::to_string(&kept).expect("texts, lists and maps with text keys");
    runs::set_sealed(tx, &mark, &kept).await?;
    let rows: Vec<NewReminder> = letters
        .iter()
        .map(|(staff, moved)| row(&mark, year, by, staff, moved.len(), now))
        .collect();
    reminders::add(tx, &rows.iter().collect::<Vec<_>>()).await
}

fn row(mark: &str, year: i16, by: &StaffId, staff: &StaffId, items: usize, now: Timestamp) -> NewReminder {
    let occasion = Occasion {
        mark,
        text: TEXT,
        reason: Said::new(
            format!("{by} 更新了{year}年放假安排,{items}件事日期有变"),
            format!("{by} updated the calendar of {year}; dates of {items} items have moved"),
        ),
        priority: Priority::Urgent,
        valid_days: VALID_DAYS,
    };
    staff_mail::row(&occasion, staff, now)
}

/// Judges a claimed letter once more, from current facts.
pub(crate) async fn prepare(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    row: &Claimed,
    now: Timestamp,
) -> Result<Judged, StoreError> {
    let (recipient, staff, to) = match staff_mail::reader(rules, row) {
        Ok(reader) => reader,
        Err(said) => return Ok(cancel(row, said, now)),
    };
    if now.as_millisecond() >= row.valid_until_ms {
        let said = Said::new(
            "已过时,新日期见每日待办",
            "too late; the digests have told the new dates",
        );
        return Ok(cancel(row, said, now));
    }
    let kept = engine.store.sealed_meta(&row.mark).await?;
    let Some(mut kept) = kept.and_then(|kept| serde_json::from_str::<Kept>(&kept).ok()) else {
        tracing::error!(reminder.id = %row.id, "the letter of reminder {} cannot be read", row.id);
        let verdict = settle(
            row,
            State::Refused,
            Said::new("告知内容无法读取", "the letter cannot be read"),
            now,
        );
        return Ok(Judged::Settled { verdict, next: None });
    };
    let moved = kept.letters.remove(&staff.id).unwrap_or_default();
    let letter = letter(engine, &rules.rulebook, staff, kept.year, moved).await?;
    if letter.lines.is_empty() {
        let said = Said::new(
            "这些事已办结或日期已另改,不必再告知",
            "these items are closed or were changed since; there is nothing to tell",
        );
        return Ok(cancel(row, said, now));
    }
    let rendered = match rules.texts.render_letter(&letter) {
        Ok(rendered) => rendered,
        Err(error) => {
            tracing::error!(reminder.id = %row.id, "the letter on moved dates cannot be rendered: {error}");
            let said = Said::new("告知文本无法生成", "the letter cannot be rendered");
            let verdict = settle(row, State::Refused, said, now);
            return Ok(Judged::Settled { verdict, next: None });
        }
    };
    let context = Context {
        way,
        recipient,
        caller: None,
        note: Said::default(),
    };
    Ok(Judged::Go {
        rendered,
        invitation: None,
        to,
        context,
        version: None,
    })
}

/// What is still so; earlier dates first, as they press.
async fn letter(
    engine: &Engine,
    book: &Rulebook,
    staff: &Staff,
    year: i16,
    mut moved: Vec<Moved>,
) -> Result<Letter, StoreError> {
    let ids: Vec<&CaseId> = moved.iter().map(|item| &item.case).collect();
    let cases = engine.store.cases(&ids).await?;
    moved.retain(|item| {
        cases
            .get(&item.case)
            .is_some_and(|stored| item.still_holds(book, &stored.case))
    });
    moved.sort_by_key(|item| (!item.sooner, item.case.clone(), item.item.clone()));
    let more = moved.len().saturating_sub(LINES_MAX);
    moved.truncate(LINES_MAX);
    let told: Vec<&Case> = cases.values().map(|stored| &stored.case).collect();
    let who: BTreeMap<CaseId, String> = masked(&engine.store, &told).await?.into_iter().collect();
    let line = |item: &Moved| {
        let who = who.get(&item.case).cloned().unwrap_or_else(|| "—".to_owned());
        LetterLine::new(item, who)
    };
    Ok(Letter {
        year,
        staff_name: staff.name.clone(),
        unit_short: book.org.known_as(&staff.unit).unwrap_or_default().to_owned(),
        lines: moved.iter().map(line).collect(),
        more,
    })
}
