//! Dependencies point down only: every path into the crate is read from the sources and compared with the map in `src/lib.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in reading order, and the leaves, which everything above the domain may use.
#[derive(Debug, PartialEq, Eq)]
struct Map {
    order: Vec<String>,
    leaves: Vec<String>,
}

impl Map {
    /// Reads `a → { b, c } → d      e, f: leaves`.
    fn read(text: &str) -> Self {
        let line = text
            .lines()
            .find(|line| line.contains('→'))
            .expect("src/lib.rs draws the map");
        let (rooms, leaves) = line.split_once("      ").expect("the leaves stand beside the rooms");
        let names = |text: &str| -> Vec<String> {
            let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
            words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let leaves = leaves
            .trim()
            .strip_suffix(": leaves")
            .expect("the leaves are called so");
        Self {
            order: names(rooms),
            leaves: names(leaves),
        }
    }

    fn place(&self, room: &str) -> Option<usize> {
        self.order.iter().position(|known| known == room)
    }

    /// Why a file of `from` may not use `to`.
    fn fault(&self, from: &str, to: &str) -> Option<String> {
        if from == to {
            return None;
        }
        match (self.place(from), self.place(to)) {
            (Some(from_place), Some(to_place)) if from_place < to_place => None,
            (Some(_), Some(_)) => Some(format!("{from} uses {to}, which stands above it")),
            (Some(_), None) if self.leaves.iter().any(|leaf| leaf == to) => {
                (from == "domain").then(|| format!("{from} uses {to}, but it needs no runtime and no clock"))
            }
            (None, None) if self.leaves.iter().any(|leaf| leaf == to) => None,
            (None, Some(_)) => Some(format!("{from} is a leaf and uses {to}")),
            _ => Some(format!("{from} uses {to}, which the map does not know")),
        }
    }
}

/// Code without comment lines, so that prose about a room is no use of it.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that a text names as `crate::room`, also inside `use crate::{…}`.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let ident = |text: &str| -> String {
        text.chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .collect()
    };
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => {
                used.insert(ident(rest));
            }
            Some(group) => used.extend(group_heads(group)),
        }
    }
    // `crate::Name` is an item of the root, not a room.
    used.retain(|name| name.starts_with(|letter: char| letter.is_ascii_lowercase()));
    used
}

/// The first names of `a::x, b::{c, d}, e}`.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = vec![String::new()];
    let (mut depth, mut in_head) = (0, true);
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(String::new());
                in_head = true;
            }
            letter if letter.is_ascii_alphanumeric() || letter == '_' => {
                if in_head {
                    heads.last_mut().unwrap().push(letter);
                }
            }
            letter if letter.is_whitespace() => {}
            _ => in_head = false,
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

/// The crates outside that a text names, of `known`.
fn crates_used<'a>(text: &str, known: &'a BTreeSet<String>) -> Vec<&'a str> {
    let code = code(text);
    let uses = |name: &str| {
        let path = format!("{name}::");
        code.match_indices(&path).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            before.is_none_or(|letter| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'))
        })
    };
    known.iter().map(String::as_str).filter(|name| uses(name)).collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file but the roots of the two crates, with the room it lies in.
fn files() -> Vec<(String, String, PathBuf)> {
    let src = root().join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    let file = |path: PathBuf| {
        let below = path.strip_prefix(&src).unwrap();
        let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = first.strip_suffix(".rs").unwrap_or(first).to_owned();
        let text = fs::read_to_string(&path).unwrap();
        (room, text, path)
    };
    let is_root = |room: &str| room == "lib" || room == "main";
    paths
        .into_iter()
        .map(file)
        .filter(|(room, ..)| !is_root(room))
        .collect()
}

fn map() -> Map {
    Map::read(&fs::read_to_string(root().join("src/lib.rs")).unwrap())
}

#[test]
fn dependencies_point_down_only() {
    let map = map();
    let mut faults = Vec::new();
    for (room, text, path) in files() {
        let wrong = rooms_used(&text).into_iter().filter_map(|used| map.fault(&room, &used));
        faults.extend(wrong.map(|fault| format!("{}: {fault}", path.display())));
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn every_room_is_on_the_map_and_every_name_on_the_map_is_a_room() {
    let map = map();
    let drawn: BTreeSet<String> = map.order.iter().chain(&map.leaves).cloned().collect();
    let built: BTreeSet<String> = files().into_iter().map(|(room, ..)| room).collect();
    assert_eq!(drawn, built);
}

#[test]
fn the_domain_uses_std_jiff_and_serde_only() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let tables = ["dependencies", "dev-dependencies"].map(|table| manifest[table].as_table().unwrap());
    let names = tables
        .into_iter()
        .flat_map(toml::Table::keys)
        .map(|name| name.replace('-', "_"));
    let foreign: BTreeSet<String> = names.filter(|name| name != "jiff" && name != "serde").collect();
    assert!(foreign.contains("sqlx"), "the manifest was not read");
    for (room, text, path) in files() {
        if room == "domain" {
            assert_eq!(crates_used(&text, &foreign), Vec::<&str>::new(), "{}", path.display());
        }
    }
}

#[test]
fn an_upward_use_is_found() {
    let map = Map::read("//! cli → app → { http, engine } → store → domain      clock, lock: leaves");
    assert_eq!(map.order, ["cli", "app", "http", "engine", "store", "domain"]);
    assert_eq!(map.leaves, ["clock", "lock"]);
    for (from, to, allowed) in [
        ("cli", "domain", true),
        ("http", "engine", true),
        ("engine", "http", false),
        ("domain", "store", false),
        ("store", "clock", true),
        ("domain", "clock", false),
        ("clock", "lock", true),
        ("lock", "domain", false),
        ("store", "telescope", false),
        ("domain", "domain", true),
    ] {
        assert_eq!(map.fault(from, to).is_none(), allowed, "{from} → {to}");
    }
}

#[test]
fn uses_are_read_in_every_form() {
    let text = "use crate::store::{Store, cases};\nuse crate::{clock, engine::{gate, live}, http};\n// crate::prose\n\
                fn f() { crate::telemetry::chain(); crate::Item::new(); $crate::macros::m!() }";
    let used: Vec<String> = rooms_used(text).into_iter().collect();
    assert_eq!(used, ["clock", "engine", "http", "macros", "store", "telemetry"]);
    let known = ["sqlx", "tokio", "config"].map(str::to_owned).into();
    let text = "use sqlx::FromRow;\nuse crate::config::Settings;\nfn f() { tokio::spawn(x) }\n// toml::de";
    assert_eq!(crates_used(text, &known), ["sqlx", "tokio"]);
}
