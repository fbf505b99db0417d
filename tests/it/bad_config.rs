//! One file per mistake in tests/bad-config/, with the exact lines that `load` must tell beside it.
//!
//! The first lines of a file say what it does to a copy of the shipped configuration:
//!
//! ```text
//! # before PATH         it is put before that file (so lines are counted in this one)
//! # instead PATH        the same, and its sections take the place of those of the same name
//! # lacking SECTION     that section is left out of the file named by "instead"
//! # as PATH             it is that file; where that is no TOML, without this line
//! # without PATH        that file or folder is not there
//! # folder PATH         an empty folder is there
//! # variable NAME=TEXT  the environment has this variable
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use xixin::app::Place;
use xixin::config::write_to;

use crate::support::shipped::write_rules;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad-config");
/// Read where they are: there are many of them, and few mistakes are about texts.
const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/templates");

#[test]
fn every_mistake_is_told_in_the_words_that_a_person_reviewed() {
    let mut cases: Vec<PathBuf> = fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.retain(|path| path.extension().is_some_and(|ending| ending != "expected"));
    cases.sort();
    assert!(cases.len() >= 45, "only {} mistakes are left in {FOLDER}", cases.len());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let differ: Vec<String> = std::thread::scope(|scope| {
        let share = |cases: &'_ [PathBuf]| cases.iter().filter_map(|case| difference(case)).collect::<Vec<_>>();
        let shares: Vec<_> = cases
            .chunks(cases.len().div_ceil(workers))
            .map(|cases| scope.spawn(move || share(cases)))
            .collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    });
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

#[test]
fn every_expectation_has_its_mistake() {
    for entry in fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "expected") {
            let mistake = ["toml", "bin", "txt", "html"]
                .iter()
                .any(|ending| path.with_extension(ending).exists());
            assert!(mistake, "{} stands alone", path.display());
        }
    }
}

/// Whether a person wants to read the new words in the difference of the files.
fn blesses() -> bool {
    std::env::var("XIXIN_GOLDEN").is_ok_and(|mode| mode == "write")
}

fn difference(case: &Path) -> Option<String> {
    let expected = case.with_extension("expected");
    let expected = fs::read_to_string(&expected).unwrap_or_default();
    let found = told(&fs::read(case).unwrap());
    if blesses() {
        fs::write(case.with_extension("expected"), &found).unwrap();
        return None;
    }
    (found != expected).then(|| format!("{}\n  expected:\n{expected}  found:\n{found}", case.display()))
}

/// What is told of the shipped configuration with one mistake, one line each.
fn told(mistake: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    if String::from_utf8_lossy(mistake).contains(" templates/") {
        write_to(dir).unwrap();
    } else {
        write_rules(dir);
        std::os::unix::fs::symlink(TEMPLATES, dir.join("templates")).unwrap();
    }
    let mut environment = BTreeMap::new();
    let headers: Vec<String> = String::from_utf8_lossy(mistake).lines().filter_map(left_out).collect();
    for line in mistake.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let Some((verb, object)) = line.strip_prefix("# ").and_then(|line| line.split_once(' ')) else {
            break;
        };
        match verb {
            "before" => {
                let shipped = fs::read(dir.join(object)).unwrap();
                fs::write(dir.join(object), [mistake, b"\n", &shipped].concat()).unwrap();
            }
            "instead" => {
                let shipped = fs::read_to_string(dir.join(object)).unwrap();
                let rest = without_sections(&shipped, &headers);
                fs::write(dir.join(object), [mistake, b"\n", rest.as_bytes()].concat()).unwrap();
            }
            "lacking" => {}
            "as" => write(&dir.join(object), mistake),
            "without" => remove(&dir.join(object)),
            "folder" => fs::create_dir_all(dir.join(object)).unwrap(),
            "variable" => {
                let (name, text) = object.split_once('=').unwrap();
                environment.insert(name.to_owned(), text.to_owned());
            }
            _ => break,
        }
    }
    let place = Place {
        config: dir.to_owned(),
        environment,
    };
    match place.load() {
        Ok(_) => "no problem\n".to_owned(),
        Err(problems) => problems.iter().map(|problem| format!("{problem}\n")).collect(),
    }
}

/// The header of a section that the shipped file does without: one that the mistake has, or says to leave out.
fn left_out(line: &str) -> Option<String> {
    if line.starts_with('[') {
        return Some(line.trim_end().to_owned());
    }
    line.strip_prefix("# lacking ").map(|section| format!("[{section}]"))
}

fn without_sections(text: &str, headers: &[String]) -> String {
    let mut kept = true;
    let keep = |line: &&str| {
        if line.starts_with('[') {
            kept = !headers.iter().any(|header| header == line);
        }
        kept
    };
    text.lines().filter(keep).map(|line| format!("{line}\n")).collect()
}

fn write(path: &Path, mistake: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let toml = path.extension().is_some_and(|ending| ending == "toml");
    let from = match mistake.iter().position(|byte| *byte == b'\n') {
        Some(end) if !toml => end + 1,
        _ => 0,
    };
    fs::write(path, &mistake[from..]).unwrap();
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}
