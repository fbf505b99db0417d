//! From files to the rulebook: every name is looked up, every number weighed. All problems are collected.
//!
//! What refers to a file that could not be read is not complained of: the file's own problem says it.

mod benefits;
mod knowledge;
mod ladders;
mod matters;
mod offices;
mod people;
mod periods;
mod policies;
mod rota;
mod schedule;

pub(super) use benefits::benefits;
pub(super) use knowledge::knowledge;
pub(super) use ladders::ladders;
pub(super) use matters::matters;
pub(super) use offices::offices;
pub(super) use people::{nobody_there, org, plausible_email};
pub(super) use periods::periods;
pub(super) use policies::{policies, tags};
pub(super) use rota::rota;
pub(super) use schedule::schedule;

pub use matters::BANNED;

use std::collections::{BTreeMap, BTreeSet};

use super::decode::Document;
use super::files::LaddersFile;
use super::problem::{Problem, allowed};
use crate::domain::ids::LadderId;
use crate::domain::ladder::{ItemKind, Ladder};
use crate::domain::text::{Said, clean_line, said};

/// A file that decoded, with stand-ins for its wrong entries, and the document for places.
pub(super) struct Read<T> {
    pub document: Document,
    pub value: T,
}

/// Hears problems.
pub(super) type Heard<'a> = &'a mut Vec<Problem>;

/// The names that a file defines; none are known when it could not be read.
pub(super) struct Names(Option<BTreeSet<String>>);

impl Names {
    pub(super) fn of<T>(read: Option<&Read<T>>, table: &str) -> Self {
        Self(read.map(|read| read.document.names(table)))
    }

    /// The names of the files in a folder; none are known when the folder has none.
    pub(super) fn of_files(names: Vec<String>) -> Self {
        Self(Some(names.into_iter().collect()).filter(|names: &BTreeSet<String>| !names.is_empty()))
    }
}

const LINE_MAX: usize = 300;

/// An id as files write it: it becomes part of keys and marks.
fn check_id(doc: &Document, path: &str, id: &str, heard: Heard<'_>) {
    let fine = !id.is_empty()
        && id.len() <= 40
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-');
    if !fine {
        let what = said!("“{id}”不是名称", "\"{id}\" is no name");
        heard.push(doc.at(
            path,
            what,
            said!(
                "可用: a-z、0-9、_ 和 -,最多40个字符",
                "allowed: a-z, 0-9, _ and -, up to 40 characters"
            ),
        ));
    }
}

fn check_words(doc: &Document, path: &str, words: &Said, heard: Heard<'_>) {
    for (key, text) in [("zh", &words.zh), ("en", &words.en)] {
        check_text(doc, &format!("{path}.{key}"), text, heard);
    }
}

fn check_text(doc: &Document, path: &str, text: &str, heard: Heard<'_>) {
    if let Some((what, fix)) = check_line(text) {
        heard.push(doc.at(path, what, fix));
    }
}

/// What is wrong with a line that people will read, and how to mend it.
pub(super) fn check_line(text: &str) -> Option<(Said, Said)> {
    match clean_line(text, LINE_MAX) {
        Ok(text) if text.is_empty() => Some((
            said!("它是空的", "it is empty"),
            said!("请写给人看的文字", "write what people should read"),
        )),
        Ok(_) => None,
        Err(problem) => Some((problem.what(), problem.fix())),
    }
}

/// What a name is looked up among.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Benefit,
    Ladder,
    Matter,
    Office,
    Period,
    Staff,
    Unit,
}

impl Kind {
    fn said(self) -> (&'static str, &'static str) {
        match self {
            Self::Benefit => ("报销种类", "benefit"),
            Self::Ladder => ("梯级", "ladder"),
            Self::Matter => ("事项", "matter"),
            Self::Office => ("外单位", "office"),
            Self::Period => ("期限种类", "period"),
            Self::Staff => ("工作人员", "member of staff"),
            Self::Unit => ("单位", "unit"),
        }
    }
}

/// Complains of a name that is not among the known ones.
fn check_known(doc: &Document, path: &str, kind: Kind, name: &str, known: &Names, heard: Heard<'_>) {
    if let Names(Some(known)) = known
        && !known.contains(name)
    {
        let allowed = allowed(name, known.iter().map(String::as_str));
        let (zh, en) = kind.said();
        heard.push(doc.at(path, said!("没有{zh}“{name}”", "there is no {en} \"{name}\""), allowed));
    }
}

/// The ladders that others refer to.
pub(super) struct Ladders {
    names: Names,
    /// Those that could be read as they are written.
    whole: BTreeMap<LadderId, Ladder>,
}

impl Ladders {
    pub(super) fn new(read: Option<&Read<LaddersFile>>, ladders: &BTreeMap<LadderId, Ladder>) -> Self {
        let whole = |id: &LadderId| read.is_some_and(|read| read.document.is_whole(&format!("ladder.{id}")));
        Self {
            names: Names::of(read, "ladder"),
            whole: ladders
                .iter()
                .filter(|(id, _)| whole(id))
                .map(|(id, ladder)| (id.clone(), ladder.clone()))
                .collect(),
        }
    }
}

/// Complains of a ladder that is not there or belongs to another kind of item.
fn check_ladder(doc: &Document, path: &str, name: &str, kind: ItemKind, ladders: &Ladders, heard: Heard<'_>) {
    check_known(doc, path, Kind::Ladder, name, &ladders.names, heard);
    if let Some(ladder) = ladders.whole.get(name).filter(|ladder| ladder.item != kind) {
        let what = said!(
            "梯级“{name}”用于 item = \"{}\"",
            "ladder \"{name}\" is for item = \"{}\"",
            ladder.item.name()
        );
        let fix = said!(
            "这里要用 item = \"{}\" 的梯级",
            "a ladder for item = \"{}\" is needed here",
            kind.name()
        );
        heard.push(doc.at(path, what, fix));
    }
}

/// Complains of a number outside of a range, both ends included.
fn check_range(doc: &Document, path: &str, value: u32, (low, high): (u32, u32), heard: Heard<'_>) {
    if !(low..=high).contains(&value) {
        let (what, fix) = (
            said!("{value} 超出范围", "{value} is out of range"),
            said!("可用: {low} 到 {high}", "allowed: {low} to {high}"),
        );
        heard.push(doc.at(path, what, fix));
    }
}

/// Complains of entries of a list that say the same.
fn check_once(doc: &Document, path: &str, list: &[String], heard: Heard<'_>) {
    for (index, name) in list.iter().enumerate() {
        if list[..index].contains(name) && doc.is_whole(path) {
            let what = said!("“{name}”写了两次", "\"{name}\" is named twice");
            heard.push(doc.at(
                &format!("{path}[{index}]"),
                what,
                said!("每个只写一次", "name each only once"),
            ));
        }
    }
}

fn check_phone(doc: &Document, path: &str, phone: &str, heard: Heard<'_>) {
    let digits = phone.bytes().filter(u8::is_ascii_digit).count();
    let fine = (5..=13).contains(&digits)
        && phone
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"- +".contains(&byte));
    if !fine {
        let what = said!("“{phone}”不是电话号码", "\"{phone}\" is no phone number");
        heard.push(doc.at(
            path,
            what,
            said!(
                "可用: 数字和连字符,如 \"010-00000000\"",
                "allowed: digits and hyphens, such as \"010-00000000\""
            ),
        ));
    }
}
