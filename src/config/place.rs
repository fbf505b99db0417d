//! Where an entry of a TOML file stands: paths such as `ladder.x.rung[1].to[0]`, and their lines and columns.

use std::collections::HashMap;

use toml::Value;
use toml::de::{DeTable, DeValue};

/// A step to an entry: a key or the index of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

pub(super) type Path = Vec<Step>;

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

/// Whether there is an entry at `path`.
pub(super) fn has(root: &mut Value, path: &[Step]) -> bool {
    match holder_of(root, path) {
        Some((Value::Table(table), Step::Key(key))) => table.contains_key(key),
        Some((Value::Array(list), Step::Index(index))) => *index < list.len(),
        _ => false,
    }
}

/// Puts `value` at `path`, in the place of what is there; false when its holder is not there.
pub(super) fn put(root: &mut Value, path: &[Step], value: Value) -> bool {
    match holder_of(root, path) {
        Some((Value::Table(table), Step::Key(key))) => {
            table.insert(key.clone(), value);
            true
        }
        Some((Value::Array(list), Step::Index(index))) if *index < list.len() => {
            list[*index] = value;
            true
        }
        _ => false,
    }
}

/// Removes a key; false when there is none. Elements of lists stay, so that those after them keep their places.
pub(super) fn take_out(root: &mut Value, path: &[Step]) -> bool {
    match holder_of(root, path) {
        Some((Value::Table(table), Step::Key(key))) => table.remove(key).is_some(),
        _ => false,
    }
}

/// What holds the entry, and the last step to it.
fn holder_of<'a, 'p>(root: &'a mut Value, path: &'p [Step]) -> Option<(&'a mut Value, &'p Step)> {
    let (last, parents) = path.split_last()?;
    let mut holder = root;
    for step in parents {
        holder = match (holder, step) {
            (Value::Table(table), Step::Key(key)) => table.get_mut(key)?,
            (Value::Array(list), Step::Index(index)) => list.get_mut(*index)?,
            _ => return None,
        };
    }
    Some((holder, last))
}
