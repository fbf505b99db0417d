//! Every key of every configuration file is documented where it stands, in both languages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use xixin::config::{FILES, load};

use crate::support::shipped::write_rules;

/// Puts an unknown key into every kind of table, reads from the answer which keys are known, and looks for each in the file.
#[test]
fn every_key_is_documented_where_it_stands_in_both_languages() {
    let mut keys = 0;
    for (name, text) in FILES.iter().filter(|(name, _)| name.ends_with(".toml")) {
        for key in known_keys(name, text) {
            keys += 1;
            assert!(
                is_documented(text, &key),
                "{name}: {key} has no comment in Chinese and English above it"
            );
        }
    }
    assert!(keys > 200, "only {keys} keys were found");
}

fn known_keys(name: &str, text: &str) -> BTreeSet<String> {
    let commented_out = |line: &str| {
        let entry = line
            .strip_prefix("# ")
            .filter(|entry| entry.starts_with('[') || entry.contains(" = "));
        entry.is_some_and(|entry| entry.parse::<toml::Table>().is_ok())
    };
    let full: String = text
        .lines()
        .map(|line| if commented_out(line) { line[2..].to_owned() } else { line.to_owned() } + "\n")
        .collect();
    let mut table: toml::Table = full.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
    for value in table.iter_mut().map(|(_, value)| value) {
        keep_first(value);
    }
    add_unknown(&mut table);
    let folder = tempfile::tempdir().unwrap();
    write_rules(folder.path());
    fs::write(folder.path().join(name), toml::to_string(&table).unwrap()).unwrap();
    let problems = load(folder.path(), &BTreeMap::new(), &|_, _, _| true).unwrap_err();
    let told = problems
        .iter()
        .filter(|problem| problem.file == name && problem.what.en == "unknown key");
    let lists = told.filter_map(|problem| problem.allowed.en.split("allowed: ").last());
    lists.flat_map(|list| list.split(", ").map(str::to_owned)).collect()
}

/// Of many tables side by side, the richest tells the keys of all.
fn keep_first(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table) if table.len() > 3 && table.values().all(toml::Value::is_table) => {
            let richest = table.iter().max_by_key(|(_, value)| value.to_string().len());
            let first = richest.map(|(name, _)| name.to_owned());
            table.retain(|key, _| Some(key) == first.as_deref());
            table.iter_mut().map(|(_, value)| value).for_each(keep_first);
        }
        toml::Value::Table(table) => table.iter_mut().map(|(_, value)| value).for_each(keep_first),
        toml::Value::Array(list) => {
            list.truncate(1);
            list.iter_mut().for_each(keep_first);
        }
        _ => {}
    }
}

fn add_unknown(table: &mut toml::Table) {
    for value in table.iter_mut().map(|(_, value)| value) {
        match value {
            toml::Value::Table(table) => add_unknown(table),
            toml::Value::Array(list) => list
                .iter_mut()
                .filter_map(toml::Value::as_table_mut)
                .for_each(add_unknown),
            _ => {}
        }
    }
    table.insert("zzz".to_owned(), 1.into());
}

/// Whether a line gives the key, and the comment above it has words in both languages.
fn is_documented(text: &str, key: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let gives = |line: &str| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let header = line.starts_with('[') && line.trim_matches(['[', ']']).split('.').any(|part| part == key);
        header
            || line.starts_with(&format!("{key} = "))
            || ["{ ", ", "]
                .iter()
                .any(|before| line.contains(&format!("{before}{key} = ")))
    };
    let is_entry = |line: &str| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        line.starts_with('[')
            || line
                .split_once(" = ")
                .is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_graphic()))
    };
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| gives(line))
        .any(|(index, _)| {
            // Entries side by side may share a comment, as the days of a calendar do.
            let above = lines[..index]
                .iter()
                .rev()
                .skip_while(|line| text.contains("[days]") && is_entry(line));
            let comment: String = above
                .take_while(|line| line.starts_with('#') && !is_entry(line))
                .copied()
                .collect();
            let chinese = comment
                .chars()
                .any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
            let english = comment
                .split(|letter: char| !letter.is_ascii_alphabetic())
                .filter(|word| word.len() > 2)
                .count()
                >= 1;
            chinese && english
        })
}
