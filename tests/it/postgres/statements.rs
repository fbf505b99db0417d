//! One text for both databases: every statement in the sources is prepared on both, and what it takes and gives are the few types that
//! the store binds and reads.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

use sqlx::{Column as _, Either, Executor as _, Statement as _, TypeInfo as _};

use crate::postgres::both;

/// What only SQLite has: the place in the sources, and why.
const ONLY_SQLITE: [(&str, &str); 2] = [
    ("from sqlite_schema", "how SQLite lists its tables"),
    ("select sqlite_version()", "the library that is part of this program"),
];

/// What only PostgreSQL has.
const ONLY_POSTGRES: [(&str, &str); 8] = [
    (" for update", "SQLite locks by `begin immediate`"),
    ("now_ms()", "on SQLite one daemon tells the time"),
    ("unnest(", "SQLite has no arrays"),
    ("pg_advisory_xact_lock", "SQLite has one writer"),
    ("pg_catalog.pg_attribute", "how PostgreSQL lists its tables"),
    ("pg_is_in_recovery()", "a file has no standby"),
    ("pg_notify(", "SQLite has one daemon"),
    ("to_regclass", "how PostgreSQL says whether a table is there"),
];

/// Words a statement begins with, and a later one that no sentence has.
const BEGINNINGS: [(&str, &str); 5] = [
    ("select ", ""),
    ("insert into ", "("),
    ("update ", " set "),
    ("delete from ", ""),
    ("with ", " as "),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Walks over the rest of an `r#"…"#`.
fn raw(rest: &mut Peekable<Chars<'_>>) {
    let mut before = ' ';
    for char in rest.by_ref() {
        if (before, char) == ('"', '#') {
            return;
        }
        before = char;
    }
}

/// The texts between quotes in a source; those between `r#` and `#` are not looked at.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source.chars().peekable();
    let mut before = ' ';
    while let Some(char) = rest.next() {
        match char {
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|next| *next != '\n').is_some() {},
            // '"' as a char
            '"' if before == '\'' && rest.peek() == Some(&'\'') => {}
            '"' if before == '#' => raw(&mut rest),
            '"' => {
                let mut text = String::new();
                while let Some(char) = rest.next() {
                    match char {
                        '"' => break,
                        '\\' => match rest.next() {
                            Some('\n') => while rest.next_if(|next| next.is_whitespace()).is_some() {},
                            Some('n') => text.push('\n'),
                            Some(other) => text.push(other),
                            None => {}
                        },
                        other => text.push(other),
                    }
                }
                found.push(text);
            }
            _ => {}
        }
        before = char;
    }
    found
}

/// `file: statement` of every statement in the sources.
fn statements() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let place = file.strip_prefix(&root).unwrap().display().to_string();
        for text in literals(&std::fs::read_to_string(&file).unwrap()) {
            let sql = text.trim_start();
            let is_sql =
                |(first, later): &(&str, &str)| sql.replace('\n', " ").starts_with(first) && sql.contains(later);
            if BEGINNINGS.iter().any(is_sql) {
                found.push((place.clone(), text));
            }
        }
    }
    found
}

#[test]
fn statements_are_found_wherever_they_stand() {
    let source = "// \"select 1\"\nfn f() { let q = '\"'; a(\"select \\\"x\\\"\"); b(\"one \\\n   two\"); }";
    assert_eq!(literals(source), ["select \"x\"", "one two"]);
    let statements = statements();
    for expected in [
        ("store/queue_sqlite.rs", "with given as materialized"),
        ("store/retention.rs", "delete from labels where"),
        ("store/mod.rs", "select "),
    ] {
        let found = |(file, sql): &(String, String)| file == expected.0 && sql.contains(expected.1);
        assert!(statements.iter().any(found), "{expected:?}");
    }
    assert!(statements.len() > 210, "{}", statements.len());
}

#[tokio::test]
async fn every_statement_is_taken_by_both_databases() {
    let (mut sqlite, mut postgres) = both().await;
    let mut faults = Vec::new();
    let mut met = BTreeSet::new();
    for (file, sql) in statements() {
        let mut fault = |why: String| faults.push(format!("{file}: {why}\n{sql}"));
        let text = || sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(sql.clone()));
        let mut only = |of: &'static [(&'static str, &'static str)]| {
            let listed = of.iter().filter(|(words, _)| sql.contains(words));
            let words: Vec<_> = listed.map(|(words, _)| *words).collect();
            met.extend(&words);
            !words.is_empty()
        };
        if !only(&ONLY_POSTGRES)
            && let Err(error) = sqlite.prepare(text()).await
        {
            fault(format!("SQLite: {error}"));
        }
        if only(&ONLY_SQLITE) {
            continue;
        }
        match postgres.prepare(text()).await {
            Err(error) => fault(format!("PostgreSQL: {error}")),
            Ok(statement) => {
                // Whoever binds says which of the two; what PostgreSQL would take for another one needs a cast.
                if let Some(Either::Left(parameters)) = statement.parameters()
                    && let Some(other) = parameters
                        .iter()
                        .find(|one| !["INT8", "TEXT", "INT8[]", "TEXT[]"].contains(&one.name()))
                {
                    fault(format!("takes a parameter as {other}"));
                }
                for column in statement.columns() {
                    // A lock gives nothing.
                    if !["INT8", "TEXT", "VOID"].contains(&column.type_info().name()) {
                        fault(format!("gives {} as {}", column.name(), column.type_info()));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let listed = ONLY_SQLITE.iter().chain(&ONLY_POSTGRES).map(|(words, _)| *words);
    assert_eq!(
        met,
        listed.collect::<BTreeSet<_>>(),
        "what is listed as of one database is in the sources"
    );
}
