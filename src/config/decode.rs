//! Reads one TOML file into a value and tells every problem of the file, not only the first.
//!
//! Serde stops at the first wrong entry. So each entry it complains of is noted with its place and replaced by something that
//! fits, and the rest is tried again, until everything has been looked at. For the checks that follow, the file is then decoded
//! once more without its wrong entries; places still count from the file as it was written.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::place::{self, Path, Step, dotted, line_and_column, parse_path, put, take_out};
use super::problem::Problem;
use super::words::{Fault, FaultKind, understand};

/// More problems than these in one file say that it is another kind of file; the rest are told when these are mended.
const FAULTS_MAX: usize = 50;

/// A file of the configuration with its places.
#[derive(Debug, Clone)]
pub(super) struct Document {
    file: String,
    text: String,
    /// What had to be left out to decode it, as places in the file.
    taken: Vec<Path>,
    positions: OnceLock<HashMap<String, usize>>,
}

impl Document {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            taken: Vec::new(),
            positions: OnceLock::new(),
        }
    }

    /// The file as TOML, or where it is not.
    pub(super) fn parse(&self) -> Result<Table, Problem> {
        self.text.parse().map_err(|error| self.syntax(&error))
    }

    /// Decodes into `T` what can be decoded and tells all that is in the way.
    pub(super) fn decode<T: DeserializeOwned>(&mut self, heard: &mut Vec<Problem>) -> Option<T> {
        match self.parse() {
            Ok(table) => self.decode_table(table, heard),
            Err(problem) => {
                heard.push(problem);
                None
            }
        }
    }

    /// Decodes a table that was made from this file, with the places of the file.
    pub(super) fn decode_table<T: DeserializeOwned>(&mut self, table: Table, heard: &mut Vec<Problem>) -> Option<T> {
        if let Ok(value) = attempt(&table) {
            return Some(value);
        }
        for fault in faults::<T>(table.clone()) {
            heard.push(self.problem(&dotted(&fault.path), &fault.what, &fault.allowed));
        }
        self.salvage(table)
    }

    /// Leaves out what does not fit, and what falls with it.
    fn salvage<T: DeserializeOwned>(&mut self, mut table: Table) -> Option<T> {
        // A wrong entry falls with its holders at worst.
        for _ in 0..4 * FAULTS_MAX {
            match attempt(&table) {
                Ok(value) => return Some(value),
                Err(fault) => {
                    let written = self.as_written(&fault.path);
                    if !take_out(&mut table, &fault.path) {
                        return None;
                    }
                    self.taken.push(written);
                }
            }
        }
        None
    }

    /// A problem at a dotted path such as `ladder.x.rung[1].to[0]`, counted in the decoded value.
    pub(super) fn at(&self, path: &str, what: &str, allowed: &str) -> Problem {
        let moved = self
            .taken
            .iter()
            .any(|taken| matches!(taken.last(), Some(Step::Index(_))));
        if moved {
            self.problem(&dotted(&self.as_written(&parse_path(path))), what, allowed)
        } else {
            self.problem(path, what, allowed)
        }
    }

    /// Whether the file itself has an entry at a dotted path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.positions().contains_key(path)
    }

    /// Whether nothing at or below a dotted path had to be left out; the empty path means the whole file.
    pub(super) fn is_whole(&self, path: &str) -> bool {
        let path = self.as_written(&parse_path(path));
        !self.taken.iter().any(|taken| taken.starts_with(&path))
    }

    /// The names in a table of the file, those of entries that had to be left out as well.
    pub(super) fn names(&self, table: &str) -> BTreeSet<String> {
        let Ok(Some(Value::Table(table))) = self.parse().map(|mut root| root.remove(table)) else {
            return BTreeSet::new();
        };
        table.into_iter().map(|(name, _)| name).collect()
    }

    /// A path of the decoded value as it stands in the file: elements taken out of lists have moved the later ones up.
    fn as_written(&self, path: &[Step]) -> Path {
        let mut written: Path = Vec::with_capacity(path.len());
        for step in path {
            let step = match step {
                Step::Key(_) => step.clone(),
                Step::Index(index) => {
                    let gone = |taken: &Path| match taken.split_last() {
                        Some((Step::Index(gone), parents)) if parents == written => Some(*gone),
                        _ => None,
                    };
                    let gone: BTreeSet<usize> = self.taken.iter().filter_map(gone).collect();
                    Step::Index(
                        gone.into_iter()
                            .fold(*index, |at, gone| if gone <= at { at + 1 } else { at }),
                    )
                }
            };
            written.push(step);
        }
        written
    }

    /// A problem at a path as written in the file; what is not there is shown at its nearest holder.
    fn problem(&self, path: &str, what: &str, allowed: &str) -> Problem {
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

    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let offset = error.span().map_or(0, |span| span.start);
        let what = error.message().lines().collect::<Vec<_>>().join(", ");
        self.place(offset, "", &what, "see https://toml.io for how TOML is written")
    }

    fn place(&self, offset: usize, key: &str, what: &str, allowed: &str) -> Problem {
        let (line, col) = line_and_column(&self.text, offset);
        Problem {
            file: self.file.clone(),
            line,
            col,
            key: key.to_owned(),
            what: what.to_owned(),
            allowed: allowed.to_owned(),
        }
    }

    fn positions(&self) -> &HashMap<String, usize> {
        self.positions.get_or_init(|| place::positions(&self.text))
    }
}

fn attempt<T: DeserializeOwned>(table: &Table) -> Result<T, Fault> {
    serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|error| {
        let path = steps(error.path());
        understand(path, &error.into_inner().to_string())
    })
}

/// Every entry of the table that does not fit `T`.
fn faults<T: DeserializeOwned>(mut table: Table) -> Vec<Fault> {
    let mut found: Vec<Fault> = Vec::new();
    // Entries whose absence needs no mention: misspelt ones under their right name, and wrong ones without a stand-in.
    let mut said: Vec<Path> = Vec::new();
    while let Err(fault) = attempt::<T>(&table) {
        let go_on = match &fault.kind {
            FaultKind::Unknown { meant: name } => {
                if let Some(name) = name {
                    said.push(sibling(&fault.path, name));
                }
                found.push(fault.clone());
                take_out(&mut table, &fault.path)
            }
            FaultKind::Missing { name } => {
                let mut path = fault.path.clone();
                path.push(Step::Key(name.clone()));
                if !said.contains(&path) {
                    found.push(fault.clone());
                }
                stand_in::<T>(&mut table, &path) || take_out(&mut table, &fault.path)
            }
            FaultKind::Wrong { .. } => {
                found.push(fault.clone());
                stand_in::<T>(&mut table, &fault.path) || {
                    said.push(fault.path.clone());
                    take_out(&mut table, &fault.path)
                }
            }
        };
        if !go_on || found.len() >= FAULTS_MAX {
            break;
        }
    }
    found
}

fn sibling(path: &[Step], name: &str) -> Path {
    let parents = path.split_last().map_or(path, |(_, parents)| parents);
    let mut path = parents.to_vec();
    path.push(Step::Key(name.to_owned()));
    path
}

/// Puts a value at `path` that lets decoding go past it; false when none is known.
fn stand_in<T: DeserializeOwned>(table: &mut Table, path: &[Step]) -> bool {
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
    candidates.extend([
        1.into(),
        true.into(),
        Value::Array(Vec::new()),
        Value::Table(Table::new()),
    ]);
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
    false
}

enum Fit {
    /// Nothing at or below the path is in the way any more.
    Past,
    /// Only certain names fit, such as this one.
    Name(String),
    Not,
}

fn fit<T: DeserializeOwned>(table: &mut Table, path: &[Step]) -> Fit {
    loop {
        let Err(fault) = attempt::<T>(table) else {
            return Fit::Past;
        };
        match fault.kind {
            FaultKind::Missing { name } if fault.path.starts_with(path) => {
                let mut below = fault.path;
                below.push(Step::Key(name));
                if !stand_in::<T>(table, &below) {
                    return Fit::Not;
                }
            }
            _ if !fault.path.starts_with(path) => return Fit::Past,
            FaultKind::Wrong { fits: Some(name) } if fault.path == path => return Fit::Name(name),
            _ => return Fit::Not,
        }
    }
}

fn steps(path: &serde_path_to_error::Path) -> Path {
    path.iter()
        .filter_map(|segment| match segment {
            serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
            serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
            _ => None,
        })
        .collect()
}
