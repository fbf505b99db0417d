//! Reads one TOML file into a value and tells every problem of the file, not only the first.
//!
//! The file is parsed once for positions. Then it is deserialized; the entry that serde complains of is noted with its place, taken
//! out, and the rest is tried again, until it decodes or nothing is left to take out.

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::problem::{Problem, allowed};

/// A file of the configuration that could be parsed.
#[derive(Debug, Clone)]
pub(super) struct Document {
    file: String,
    text: String,
}

/// A step to an entry: a key or the index of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Document {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Decodes into `T`, or says all that is in the way.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, Vec<Problem>> {
        self.decode_table(self.parse().map_err(|problem| vec![problem])?)
    }

    /// The file as TOML, or where it is not.
    pub(super) fn parse(&self) -> Result<Table, Problem> {
        self.text.parse().map_err(|error| self.syntax(&error))
    }

    /// Whether the file itself has an entry at a dotted path.
    pub(super) fn has(&self, path: &str) -> bool {
        let Ok(table) = self.parse() else { return false };
        let mut value = Some(Value::Table(table));
        for step in parse_path(path) {
            value = match (value, step) {
                (Some(Value::Table(mut table)), Step::Key(key)) => table.remove(&key),
                (Some(Value::Array(list)), Step::Index(index)) => list.into_iter().nth(index),
                _ => None,
            };
        }
        value.is_some()
    }

    /// Decodes a table that was made from this file, with the positions of the file.
    pub(super) fn decode_table<T: DeserializeOwned>(&self, mut table: Table) -> Result<T, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut taken = Taken::default();
        loop {
            match serde_path_to_error::deserialize::<_, T>(Value::Table(table.clone())) {
                Ok(value) if problems.is_empty() => return Ok(value),
                Ok(_) => return Err(problems),
                Err(error) => {
                    let path = steps(error.path());
                    let (path, what, allowed) = understand(path, &error.into_inner().to_string());
                    let shown = taken.original(&path);
                    if !taken.explains(&shown, &what) {
                        problems.push(self.problem(&shown, &what, &allowed));
                    }
                    if !take_out(&mut table, &path) {
                        return Err(problems);
                    }
                    taken.note(shown, &allowed);
                }
            }
        }
    }

    /// A problem at a dotted path such as `ladder.x.rung[1].to[0]`.
    pub(super) fn at(&self, path: &str, what: &str, allowed: &str) -> Problem {
        self.problem(&parse_path(path), what, allowed)
    }

    fn problem(&self, path: &[Step], what: &str, allowed: &str) -> Problem {
        let offset = locate(&self.text, path);
        let (line, col) = line_and_column(&self.text, offset);
        let (what, allowed) = (what.to_owned(), allowed.to_owned());
        Problem {
            file: self.file.clone(),
            line,
            col,
            key: dotted(path),
            what,
            allowed,
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let offset = error.span().map_or(0, |span| span.start);
        let (line, col) = line_and_column(&self.text, offset);
        let what = error.message().lines().collect::<Vec<_>>().join(", ");
        Problem {
            file: self.file.clone(),
            line,
            col,
            key: String::new(),
            what,
            allowed: "see https://toml.io for how TOML is written".to_owned(),
        }
    }
}

/// Turns serde's words into ours: the exact entry, what is wrong, what is allowed.
fn understand(mut path: Vec<Step>, message: &str) -> (Vec<Step>, String, String) {
    let message = message.trim().trim_end_matches('\n');
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    if message.starts_with("unknown field") {
        let name = quoted(message);
        if path.last() != Some(&Step::Key(name.clone())) {
            path.push(Step::Key(name.clone()));
        }
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        return (path, "unknown key".to_owned(), allowed(&name, known));
    }
    if message.starts_with("unknown variant") {
        let name = quoted(message);
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        return (path, format!("\"{name}\" is not known"), allowed(&name, known));
    }
    if message.starts_with("missing field") {
        let name = quoted(message);
        return (
            path,
            format!("the key \"{name}\" is missing"),
            format!("add {name} = …"),
        );
    }
    match message.split_once("; allowed: ") {
        Some((what, allowed)) => (path, what.to_owned(), format!("allowed: {allowed}")),
        None => match message.split_once(", expected ") {
            Some((what, expected)) => (path, what.to_owned(), format!("allowed: {expected}")),
            None => (path, message.to_owned(), String::new()),
        },
    }
}

/// What was taken out so far, so that later positions and complaints can be read right.
#[derive(Default)]
struct Taken {
    paths: Vec<Vec<Step>>,
    /// A misspelt key's table and the name that was probably meant.
    meant: Vec<(Vec<Step>, String)>,
}

impl Taken {
    /// The path in the file: elements taken out of lists have moved the later ones up.
    fn original(&self, path: &[Step]) -> Vec<Step> {
        let mut shown: Vec<Step> = Vec::with_capacity(path.len());
        for step in path {
            match step {
                Step::Key(_) => shown.push(step.clone()),
                Step::Index(index) => {
                    let mut at = *index;
                    let mut gone: Vec<usize> = self
                        .paths
                        .iter()
                        .filter_map(|taken| match taken.split_last() {
                            Some((Step::Index(gone), parents)) if parents == shown => Some(*gone),
                            _ => None,
                        })
                        .collect();
                    gone.sort_unstable();
                    for gone in gone {
                        if gone <= at {
                            at += 1;
                        }
                    }
                    shown.push(Step::Index(at));
                }
            }
        }
        shown
    }

    /// A key that is missing because it was misspelt has been complained of already.
    fn explains(&self, path: &[Step], what: &str) -> bool {
        self.meant
            .iter()
            .any(|(table, name)| table == path && *what == format!("the key \"{name}\" is missing"))
    }

    fn note(&mut self, path: Vec<Step>, allowed: &str) {
        let meant = allowed
            .strip_prefix("did you mean \"")
            .and_then(|rest| rest.split('"').next());
        if let (Some(meant), Some((Step::Key(_), parents))) = (meant, path.split_last()) {
            self.meant.push((parents.to_vec(), meant.to_owned()));
        }
        self.paths.push(path);
    }
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
            serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
            _ => None,
        })
        .collect()
}

fn parse_path(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut pieces = part.split('[');
        if let Some(key) = pieces.next().filter(|key| !key.is_empty()) {
            steps.push(Step::Key(key.to_owned()));
        }
        steps.extend(
            pieces
                .filter_map(|piece| piece.trim_end_matches(']').parse().ok())
                .map(Step::Index),
        );
    }
    steps
}

fn dotted(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Removes the entry at `path`; false when there is nothing to remove.
fn take_out(table: &mut Table, path: &[Step]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let mut holder = Some(Holder::Table(table));
    for step in parents {
        holder = holder.and_then(|holder| holder.down(step));
    }
    match (holder, last) {
        (Some(Holder::Table(table)), Step::Key(key)) => table.remove(key).is_some(),
        (Some(Holder::List(list)), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        _ => false,
    }
}

enum Holder<'a> {
    Table(&'a mut Table),
    List(&'a mut Vec<Value>),
}

impl<'a> Holder<'a> {
    fn down(self, step: &Step) -> Option<Self> {
        let value = match (self, step) {
            (Self::Table(table), Step::Key(key)) => table.get_mut(key)?,
            (Self::List(list), Step::Index(index)) => list.get_mut(*index)?,
            _ => return None,
        };
        match value {
            Value::Table(table) => Some(Self::Table(table)),
            Value::Array(list) => Some(Self::List(list)),
            _ => None,
        }
    }
}

/// The byte at which an entry stands: its key, or the element of a list; for an entry that is not there, its nearest parent.
fn locate(text: &str, path: &[Step]) -> usize {
    let Ok(root) = DeTable::parse(text) else { return 0 };
    let mut offset = 0;
    let mut table = Some(root.get_ref());
    let mut list: Option<&toml::de::DeArray<'_>> = None;
    for step in path {
        let value = match step {
            Step::Key(key) => {
                let found = table.and_then(|table| table.get_key_value(key.as_str()));
                let Some((key, value)) = found else { break };
                offset = key.span().start;
                value
            }
            Step::Index(index) => {
                let Some(value) = list.and_then(|list| list.get(*index)) else {
                    break;
                };
                offset = value.span().start;
                value
            }
        };
        (table, list) = match value.get_ref() {
            DeValue::Table(table) => (Some(table), None),
            DeValue::Array(list) => (None, Some(list)),
            _ => (None, None),
        };
    }
    offset
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}
