//! The page that lists the fields of every command is what the program itself takes: made by asking it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use xixin::domain::command::Command;

const HEAD: &str = "# 命令的字段 / Fields of the commands

`xixin case do CASE COMMAND key=value … --as STAFF`。方括号内的可以不写;等号后是可用的取值。日期写 2026-12-09,时间写 2026-12-09T09:30。
/ What stands in brackets may be left out; after = stands what a field may be. Days are 2026-12-09, times 2026-12-09T09:30.

由 `XIXIN_GOLDEN=write cargo test command_fields` 生成 / Made by that command.

| 命令 / command | 字段 / fields |
|---|---|
";

/// Why a document is no command; empty when it is one.
fn refused(document: &Map<String, Value>) -> String {
    let read = serde_json::from_value::<Command>(Value::Object(document.clone()));
    read.err().map(|error| error.to_string()).unwrap_or_default()
}

/// The names that an error says are expected.
fn expected(error: &str) -> Vec<String> {
    let list = error
        .rsplit(", expected ")
        .next()
        .filter(|_| error.contains(", expected "));
    let names = list.unwrap_or_default().split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

fn with(document: &Map<String, Value>, field: &str, value: Value) -> Map<String, Value> {
    let mut document = document.clone();
    document.insert(field.to_owned(), value);
    document
}

/// The command with every field that it needs, each with something that fits, and the names of these fields.
fn filled(command: &str) -> (Map<String, Value>, Vec<String>) {
    let mut document = with(&Map::new(), "do", json!(command));
    let mut needed = Vec::new();
    loop {
        let error = refused(&document);
        let Some(field) = error
            .strip_prefix("missing field `")
            .and_then(|rest| rest.split('`').next())
        else {
            assert_eq!(error, "", "{document:?}");
            return (document, needed);
        };
        let choices = expected(&refused(&with(&document, field, json!("?"))));
        let mut candidates = vec![json!("2026-03-09"), json!(1), json!(true), json!([])];
        candidates.extend(choices.first().map(|name| json!(name)));
        let fits = |value: &Value| {
            let error = refused(&with(&document, field, value.clone()));
            error.is_empty() || error.starts_with("missing field `") && !error.contains(&format!("`{field}`"))
        };
        let value = candidates.into_iter().find(fits);
        let value = value.unwrap_or_else(|| panic!("nothing fits {field} of {command}"));
        needed.push(field.to_owned());
        document.insert(field.to_owned(), value);
    }
}

/// What a field may be, where it is one of certain names.
fn choices(document: &Map<String, Value>, field: &str) -> String {
    let one = expected(&refused(&with(document, field, json!("?"))));
    let several = expected(&refused(&with(document, field, json!(["?"]))));
    let names = if one.is_empty() { several } else { one };
    if names.is_empty() {
        String::new()
    } else {
        format!(" = {}", names.join(", "))
    }
}

#[test]
fn every_command_is_on_the_page_with_its_fields() {
    let commands = expected(&refused(&with(&Map::new(), "do", json!("?"))));
    assert!(commands.len() > 50, "{commands:?}");
    let mut page = HEAD.to_owned();
    for command in &commands {
        let (document, needed) = filled(command);
        let fields = expected(&refused(&with(&document, "?", json!(1))));
        let shown: Vec<String> = fields
            .iter()
            .map(|field| {
                let choices = choices(&document, field);
                if needed.contains(field) {
                    format!("`{field}`{choices}")
                } else {
                    format!("[`{field}`{choices}]")
                }
            })
            .collect();
        let _ = writeln!(page, "| `{command}` | {} |", shown.join(" · "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("COMMANDS.md");
    if std::env::var("XIXIN_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, kept, "COMMANDS.md differs");
}
