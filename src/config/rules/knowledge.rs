//! `knowledge.toml`: what the hall has found out, and who looks at the sources again.

use std::collections::BTreeMap;

use super::{Heard, Kind, Names, Read, check_id, check_known, check_once, check_text, check_words};
use crate::config::decode::Document;
use crate::config::files::{KnowledgeFile, NoteEntry};
use crate::domain::ids::{MatterId, NoteId, StaffId};
use crate::domain::knowledge::{Knowledge, Note, PeriodReview, REVIEW_UNITS};
use crate::domain::period::{Period, PeriodUnit};
use crate::domain::text::{Said, clean_text, said};

/// Longest text of a note, in characters.
const TEXT_MAX: usize = 4_000;
/// A source is looked at again at least every ten years.
const REVIEW_MAX_YEARS: i64 = 10;

pub(in crate::config) fn knowledge(
    read: &Read<KnowledgeFile>,
    staff: &Names,
    matters: &Names,
    heard: Heard<'_>,
) -> Knowledge {
    let doc = &read.document;
    let mut notes = BTreeMap::new();
    for (name, entry) in &read.value.note {
        check(doc, name, entry, staff, matters, heard);
        let id = NoteId::from(name.as_str());
        notes.insert(id.clone(), note(id, entry));
    }
    let periods = read.value.periods.as_ref().map(|entry| {
        check_review(doc, "periods.review", entry.review.0, heard);
        check_known(doc, "periods.keeper", Kind::Staff, &entry.keeper, staff, heard);
        PeriodReview {
            review: entry.review.0,
            keeper: StaffId::from(entry.keeper.as_str()),
        }
    });
    Knowledge { notes, periods }
}

fn note(id: NoteId, entry: &NoteEntry) -> Note {
    Note {
        id,
        title: entry.title.clone(),
        text: entry.text.clone(),
        source: entry.source.clone(),
        checked: entry.checked.0,
        review: entry.review.0,
        keeper: StaffId::from(entry.keeper.as_str()),
        matters: entry.matters.iter().map(|name| MatterId::from(name.as_str())).collect(),
    }
}

fn check(doc: &Document, name: &str, entry: &NoteEntry, staff: &Names, matters: &Names, heard: Heard<'_>) {
    let at = |key: &str| format!("note.{name}.{key}");
    check_id(doc, &format!("note.{name}"), name, heard);
    check_words(doc, &at("title"), &entry.title, heard);
    check_lines(doc, &at("text"), &entry.text, heard);
    check_text(doc, &at("source"), &entry.source, heard);
    check_review(doc, &at("review"), entry.review.0, heard);
    check_known(doc, &at("keeper"), Kind::Staff, &entry.keeper, staff, heard);
    check_once(doc, &at("matters"), &entry.matters, heard);
    for (index, matter) in entry.matters.iter().enumerate() {
        check_known(
            doc,
            &format!("{}[{index}]", at("matters")),
            Kind::Matter,
            matter,
            matters,
            heard,
        );
    }
}

fn check_lines(doc: &Document, path: &str, text: &Said, heard: Heard<'_>) {
    for (key, text) in [("zh", &text.zh), ("en", &text.en)] {
        let path = format!("{path}.{key}");
        match clean_text(text, TEXT_MAX) {
            Ok(text) if text.is_empty() => heard.push(doc.at(
                &path,
                said!("它是空的", "it is empty"),
                said!("请写给人看的文字", "write what people should read"),
            )),
            Ok(_) => {}
            Err(problem) => heard.push(doc.at(&path, problem.what(), problem.fix())),
        }
    }
}

fn check_review(doc: &Document, path: &str, review: Period, heard: Heard<'_>) {
    let in_a_year = match review.unit {
        PeriodUnit::Years => 1,
        PeriodUnit::Months => 12,
        PeriodUnit::Weeks => 52,
        _ => 366,
    };
    if !REVIEW_UNITS.contains(&review.unit) || !(1..=in_a_year * REVIEW_MAX_YEARS).contains(&review.n) {
        let fix = said!(
            "可用: 日、周、月或年,最多{REVIEW_MAX_YEARS}年,如 \"12m\"",
            "allowed: days, weeks, months or years, up to {REVIEW_MAX_YEARS} years, such as \"12m\""
        );
        heard.push(doc.at(
            path,
            said!("此处不能用“{review}”", "\"{review}\" does not fit here"),
            fix,
        ));
    }
}
