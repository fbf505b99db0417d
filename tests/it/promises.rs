//! What the documents promise: verbs, files, exit codes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn every_verb_is_in_the_readme_and_every_verb_of_the_readme_exists() {
    let help = Command::new(env!("CARGO_BIN_EXE_xixin"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    let verbs: BTreeSet<&str> = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    let readme = read("README.md");
    let table = readme
        .split("## Verbs")
        .nth(1)
        .unwrap()
        .split("\n\nRead verbs")
        .next()
        .unwrap();
    let named: BTreeSet<&str> = table
        .lines()
        .filter_map(|row| row.strip_prefix("| `"))
        .flat_map(|row| row.split(" | ").next().unwrap().split("`, `"))
        .filter_map(|verb| verb.trim_end_matches('`').split_whitespace().next())
        .collect();
    assert_eq!(named, verbs);
}

#[test]
fn files_that_documents_point_to_exist() {
    for document in ["README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        for target in links(&read(document)) {
            assert!(root().join(&target).exists(), "{document} points to {target}");
        }
    }
    let map = read("ARCHITECTURE.md");
    let rooms = map.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs"));
    for room in rooms {
        let place = if room.starts_with("tests/") {
            root().join(room)
        } else {
            root().join("src").join(room)
        };
        assert!(place.exists(), "ARCHITECTURE.md names {room}");
    }
}

/// Targets of `[…](…)` that are files of the project.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn both_readmes_show_the_same_commands() {
    let commands = |name: &str| -> Vec<String> {
        let text = read(name);
        let blocks: Vec<&str> = text
            .split("```sh\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect();
        let lines = blocks.join("").lines().map(str::to_owned).collect::<Vec<_>>();
        lines
            .iter()
            .map(|line| line.split('#').next().unwrap().trim().to_owned())
            .collect()
    };
    assert_eq!(commands("README.md"), commands("README.zh-CN.md"));
}
