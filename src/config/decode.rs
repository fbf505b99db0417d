//! Reads one TOML file into a value and tells every problem of the file, not only the first.
//!
//! Decoding stops at the first wrong entry. So each one is noted with its place and replaced by something that fits, and the rest
//! is tried again, until everything has been looked at. What comes out serves the checks that follow, which leave the replaced
//! entries alone; it is never put into force.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::place::{self, Path, Step, dotted, line_and_column, put, take_out};
use super::problem::Problem;
use super::strict::{Fault, FaultKind, decode, empty};
use crate::domain::text::{Said, said};

/// More problems than these in one file say that it is another kind of file; the rest are told when these are mended.
const FAULTS_MAX: usize = 50;

/// A file of the configuration with its places.
#[derive(Debug, Clone)]
pub(super) struct Document {
    file: String,
    text: String,
    /// Entries that had to be replaced or left out to decode it.
    replaced: Vec<String>,
    positions: OnceLock<HashMap<String, usize>>,
}

impl Document {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            replaced: Vec::new(),
            positions: OnceLock::new(),
        }
    }

    /// The file as TOML, or where it is not.
    pub(super) fn parse(&self) -> Result<Table, Box<Problem>> {
        self.text.parse().map_err(|error| Box::new(self.syntax(&error)))
    }

    /// Decodes into `T`, telling all that is in the way.
    pub(super) fn decode<T: DeserializeOwned>(&mut self, heard: &mut Vec<Problem>) -> Option<T> {
        match self.parse() {
            Ok(table) => self.decode_table(table, heard),
            Err(problem) => {
                heard.push(*problem);
                None
            }
        }
    }

    /// Decodes a table that was made from this file, with the places of the file.
    pub(super) fn decode_table<T: DeserializeOwned>(&mut self, table: Table, heard: &mut Vec<Problem>) -> Option<T> {
        let Found {
            value,
            faults,
            replaced,
        } = look_through(Value::Table(table));
        for fault in faults {
            heard.push(self.at(&dotted(&fault.path), fault.unfit.what, fault.unfit.allowed));
        }
        self.replaced = replaced.iter().map(|path| dotted(path)).collect();
        value
    }

    /// A problem at a dotted path such as `ladder.x.rung[1].to[0]`; what is not there is shown at its nearest holder.
    pub(super) fn at(&self, path: &str, what: Said, allowed: Said) -> Problem {
        let mut above = path;
        let offset = loop {
            if let Some(offset) = self.positions().get(above) {
                break *offset;
            }
            match above.rfind(['.', '[']) {
                Some(at) => above = &above[..at],
                None => break 0,
            }
        };
        self.place(offset, path, what, allowed)
    }

    /// Whether the file itself has an entry at a dotted path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.positions().contains_key(path)
    }

    /// Whether everything at and below a dotted path is as it was written; the empty path means the whole file.
    pub(super) fn is_whole(&self, path: &str) -> bool {
        !self.replaced.iter().any(|replaced| lies_at(replaced, path))
    }

    /// Whether an entry had to be replaced, or lies in one that had.
    pub(super) fn has_replaced(&self, path: &str) -> bool {
        self.replaced.iter().any(|replaced| lies_at(path, replaced))
    }

    /// Whether a later problem is about an entry that had to be replaced, which has been told already.
    pub(super) fn told(&self, problem: &Problem) -> bool {
        problem.file == self.file && self.has_replaced(&problem.key)
    }

    /// The names in a table of the file.
    pub(super) fn names(&self, table: &str) -> BTreeSet<String> {
        let Ok(Some(Value::Table(table))) = self.parse().map(|mut root| root.remove(table)) else {
            return BTreeSet::new();
        };
        table.into_iter().map(|(name, _)| name).collect()
    }

    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let offset = error.span().map_or(0, |span| span.start);
        let what = error.message().lines().collect::<Vec<_>>().join(", ");
        // The library speaks English only.
        let what = said!("TOML 写法有误: {what}", "{what}");
        self.place(
            offset,
            "",
            what,
            said!(
                "TOML 的写法见 https://toml.io",
                "see https://toml.io for how TOML is written"
            ),
        )
    }

    fn place(&self, offset: usize, key: &str, what: Said, allowed: Said) -> Problem {
        let (line, col) = line_and_column(&self.text, offset);
        Problem {
            line,
            col,
            key: key.to_owned(),
            ..Problem::of_file(&self.file, what, allowed)
        }
    }

    fn positions(&self) -> &HashMap<String, usize> {
        self.positions.get_or_init(|| place::positions(&self.text))
    }
}

/// Whether `path` is `above` or lies below it.
fn lies_at(path: &str, above: &str) -> bool {
    let below = path.strip_prefix(above);
    above.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What looking through a table brought to light.
struct Found<T> {
    /// The table decoded, with stand-ins for what was wrong; `None` when too little of it fits.
    value: Option<T>,
    faults: Vec<Fault>,
    replaced: Vec<Path>,
}

fn look_through<T: DeserializeOwned>(mut table: Value) -> Found<T> {
    let mut found = Found {
        value: None,
        faults: Vec::new(),
        replaced: Vec::new(),
    };
    // Keys that were misspelt: that they are missing under their right name has been told with that.
    let mut meant: Vec<Path> = Vec::new();
    for _ in 0..=FAULTS_MAX {
        let fault = match decode(&table) {
            Ok(value) => {
                found.value = Some(value);
                break;
            }
            Err(fault) => fault,
        };
        let path = match &fault.kind {
            FaultKind::Unknown { meant: name } => {
                meant.extend(name.map(|name| sibling(&fault.path, name)));
                take_out(&mut table, &fault.path);
                found.faults.push(fault);
                continue;
            }
            FaultKind::Missing { name } => key_in(&fault.path, name),
            FaultKind::Wrong { .. } => fault.path.clone(),
        };
        if !meant.contains(&path) {
            found.faults.push(fault);
        }
        found.replaced.push(path.clone());
        if !stand_in::<T>(&mut table, &path) {
            break;
        }
    }
    found
}

fn sibling(path: &[Step], name: &str) -> Path {
    let parents = path.split_last().map_or(path, |(_, parents)| parents);
    key_in(parents, name)
}

fn key_in(table: &[Step], name: &str) -> Path {
    let mut path = table.to_vec();
    path.push(Step::Key(name.to_owned()));
    path
}

/// Puts a value at `path` that lets decoding go past it. Where no value does, the entry is left out; false when that does not
/// help either.
fn stand_in<T: DeserializeOwned>(table: &mut Value, path: &[Step]) -> bool {
    let texts = [
        "a",
        "5wd",
        "09:00",
        "09:00-10:00",
        "2026-01-01",
        "on opened",
        "127.0.0.1:0",
    ];
    let mut candidates: VecDeque<Value> = texts.into_iter().map(Value::from).collect();
    candidates.extend([1.into(), true.into(), Value::Array(Vec::new()), empty()]);
    let mut named = false;
    while let Some(candidate) = candidates.pop_front() {
        if !put(table, path, candidate) {
            return false;
        }
        match fit::<T>(table, path) {
            Fit::Past => return true,
            Fit::Name(name) if !named => {
                named = true;
                candidates.push_front(name.into());
            }
            Fit::Name(_) | Fit::Not => {}
        }
    }
    take_out(table, path) && matches!(fit::<T>(table, path), Fit::Past)
}

enum Fit {
    /// Nothing at or below the path is in the way any more.
    Past,
    /// Only certain names fit, such as this one.
    Name(&'static str),
    Not,
}

fn fit<T: DeserializeOwned>(table: &mut Value, path: &[Step]) -> Fit {
    loop {
        let Err(fault) = decode::<T>(table) else {
            return Fit::Past;
        };
        match fault.kind {
            FaultKind::Missing { name } if key_in(&fault.path, name) == path => return Fit::Not,
            _ if !fault.path.starts_with(path) => return Fit::Past,
            FaultKind::Missing { name } => {
                if !stand_in::<T>(table, &key_in(&fault.path, name)) {
                    return Fit::Not;
                }
            }
            FaultKind::Wrong { names: [name, ..] } if fault.path == path => return Fit::Name(name),
            _ => return Fit::Not,
        }
    }
}
