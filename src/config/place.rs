//! Where an entry of a TOML file stands: paths such as `ladder.x.rung[1].to[0]`, and their lines and columns.

use std::collections::HashMap;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// A step to an entry: a key or the index of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

pub(super) type Path = Vec<Step>;

/// Reads a dotted path back. A key with dots in it comes back in pieces.
pub(super) fn parse_path(path: &str) -> Path {
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

pub(super) fn dotted(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        push_step(&mut text, step);
    }
    text
}

fn push_step(text: &mut String, step: &Step) {
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

/// The byte at which each entry of a file begins: its key, or the element of a list.
pub(super) fn positions(text: &str) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    if let Ok(root) = DeTable::parse(text) {
        note_table(root.get_ref(), "", &mut found);
    }
    found
}

fn note_table(table: &DeTable<'_>, above: &str, found: &mut HashMap<String, usize>) {
    for (key, value) in table {
        let mut path = above.to_owned();
        push_step(&mut path, &Step::Key(key.get_ref().to_string()));
        found.insert(path.clone(), key.span().start);
        note_value(value.get_ref(), &path, found);
    }
}

fn note_value(value: &DeValue<'_>, path: &str, found: &mut HashMap<String, usize>) {
    match value {
        DeValue::Table(table) => note_table(table, path, found),
        DeValue::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                let mut path = path.to_owned();
                push_step(&mut path, &Step::Index(index));
                found.insert(path.clone(), value.span().start);
                note_value(value.get_ref(), &path, found);
            }
        }
        _ => {}
    }
}

/// Line and column of a byte, both from 1, the column in characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

/// Puts `value` at `path`, in the place of what is there; false when its holder is not there.
pub(super) fn put(table: &mut Table, path: &[Step], value: Value) -> bool {
    match holder_of(table, path) {
        Some((Holder::Table(table), Step::Key(key))) => {
            table.insert(key.clone(), value);
            true
        }
        Some((Holder::List(list), Step::Index(index))) if *index < list.len() => {
            list[*index] = value;
            true
        }
        _ => false,
    }
}

/// Removes the entry at `path`; false when there is nothing to remove.
pub(super) fn take_out(table: &mut Table, path: &[Step]) -> bool {
    match holder_of(table, path) {
        Some((Holder::Table(table), Step::Key(key))) => table.remove(key).is_some(),
        Some((Holder::List(list), Step::Index(index))) if *index < list.len() => {
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

/// What holds the entry, and the last step to it.
fn holder_of<'a, 'p>(table: &'a mut Table, path: &'p [Step]) -> Option<(Holder<'a>, &'p Step)> {
    let (last, parents) = path.split_last()?;
    let mut holder = Holder::Table(table);
    for step in parents {
        let value = match (holder, step) {
            (Holder::Table(table), Step::Key(key)) => table.get_mut(key)?,
            (Holder::List(list), Step::Index(index)) => list.get_mut(*index)?,
            _ => return None,
        };
        holder = match value {
            Value::Table(table) => Holder::Table(table),
            Value::Array(list) => Holder::List(list),
            _ => return None,
        };
    }
    Some((holder, last))
}
