//! The page that lists the fields of every command is what the program itself takes: made by asking it.

use std::fmt::Write as _;
use std::path::Path;

use xixin::engine::forms::{COMMANDS, Field, Shape};

const HEAD: &str = "# 命令的字段 / Fields of the commands

`xixin case do CASE COMMAND key=value … --as STAFF`。方括号内的可以不写;等号后是可用的取值。日期写 2026-12-09,时间写 2026-12-09T09:30。
/ What stands in brackets may be left out; after = stands what a field may be. Days are 2026-12-09, times 2026-12-09T09:30.

由 `XIXIN_GOLDEN=write cargo test command_fields` 生成 / Made by that command.

| 命令 / command | 字段 / fields |
|---|---|
";

/// What a field may be, where it is one of certain names.
fn choices(shape: &Shape) -> String {
    match shape {
        Shape::OneOf(names) => format!(" = {}", names.join(", ")),
        Shape::List(of) => choices(of),
        _ => String::new(),
    }
}

fn shown(field: &Field) -> String {
    let (name, choices) = (&field.name, choices(&field.shape));
    if field.is_needed {
        format!("`{name}`{choices}")
    } else {
        format!("[`{name}`{choices}]")
    }
}

#[test]
fn every_command_is_on_the_page_with_its_fields() {
    assert!(COMMANDS.len() > 50, "{COMMANDS:?}");
    let mut page = HEAD.to_owned();
    for command in COMMANDS.iter() {
        let fields: Vec<String> = command.fields.iter().map(shown).collect();
        let _ = writeln!(page, "| `{}` | {} |", command.name, fields.join(" · "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("COMMANDS.md");
    if std::env::var("XIXIN_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(page, kept, "COMMANDS.md differs");
}
