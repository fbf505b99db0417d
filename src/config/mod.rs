//! Configuration: what operators (`xixin.toml`) and supervisors (everything else) edit, read into values that have been checked.
//!
//! `load` reads the whole directory and yields one consistent set of values, or every problem of every file.

pub mod calendar_file;
mod decode;
mod files;
pub mod problem;
mod rules;
pub mod secret;
pub mod settings;
mod shipped;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::domain::calendar::{Calendar, CalendarSource};
use crate::domain::ids::TextId;
use crate::domain::ladder::{Audience, Way};
use crate::domain::rulebook::Rulebook;
use decode::Document;
use files::{AgenciesFile, LaddersFile, MatterFile, PeopleFile, PeriodsFile, ScheduleFile};
use problem::{Problem, Problems};
use rules::Read;
use settings::Settings;

pub use rules::BANNED;
pub use shipped::{FILES, shipped_rulebook};

/// A checked configuration.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    pub rulebook: Rulebook,
    /// SHA-256 over every rule file, in order.
    pub fingerprint: String,
    /// Where each rung names its text, for the room that knows the texts.
    text_places: Vec<TextPlace>,
    ladders_file: Document,
}

#[derive(Debug)]
struct TextPlace {
    path: String,
    text: TextId,
    ways: Vec<Way>,
    to: Vec<Audience>,
}

/// A configuration file larger than this is something else.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Reads and checks everything below `dir`. `environment` may override settings as `XIXIN__SECTION__KEY`.
pub fn load(dir: &Path, environment: &BTreeMap<String, String>) -> Result<Loaded, Problems> {
    if !dir.is_dir() {
        let what = "没有这个配置目录 / there is no such configuration directory; name it with --config or XIXIN_CONFIG, or copy the shipped config/ there";
        return Err(Problems::new(vec![Problem::general(dir, what)]));
    }
    let mut heard = Vec::new();
    let mut hash = Sha256::new();
    let settings = settings::load(dir, environment, &mut heard);

    let ladders_file: Option<Read<LaddersFile>> = read(dir, "ladders.toml", &mut hash, &mut heard);
    let schedule_file: Option<Read<ScheduleFile>> = read(dir, "schedule.toml", &mut hash, &mut heard);
    let periods_file: Option<Read<PeriodsFile>> = read(dir, "periods.toml", &mut hash, &mut heard);
    let agencies_file: Option<Read<AgenciesFile>> = read(dir, "agencies.toml", &mut hash, &mut heard);
    let people_file: Option<Read<PeopleFile>> = read(dir, "people.toml", &mut hash, &mut heard);
    let mut matter_files = Vec::new();
    for name in list(dir, "matters", &mut heard) {
        if let Some(file) = read::<MatterFile>(dir, &format!("matters/{name}.toml"), &mut hash, &mut heard) {
            matter_files.push((name, file));
        }
    }
    let calendar = calendar(dir, &mut hash, &mut heard);
    hash_texts(&dir.join("templates"), &mut hash);

    let ladders = ladders_file.as_ref().map(|file| rules::ladders(file, &mut heard));
    let offices = agencies_file.as_ref().map(|file| rules::offices(file, &mut heard));
    let org = people_file.as_ref().map(|file| rules::org(file, &mut heard));
    // What refers to a file that could not be read would only repeat its problems.
    let (Some(ladders), Some(offices), Some(org)) = (ladders, offices, org) else {
        return Err(Problems::new(heard));
    };
    let schedule = schedule_file
        .as_ref()
        .map(|file| rules::schedule(file, &ladders, &mut heard));
    let periods = periods_file
        .as_ref()
        .map(|file| rules::periods(file, &ladders, &offices, &mut heard));
    let (Some(schedule), Some(periods)) = (schedule, periods) else {
        return Err(Problems::new(heard));
    };
    let matters = rules::matters(&matter_files, &periods, &offices, &mut heard);
    let (Some(settings), Some(ladders_file)) = (settings, ladders_file) else {
        return Err(Problems::new(heard));
    };
    let zone = settings::zone(&settings);
    let (true, Some(zone)) = (heard.is_empty(), zone) else {
        return Err(Problems::new(heard));
    };
    let text_places = text_places(&ladders_file.value);
    let rulebook = Rulebook {
        zone,
        calendar,
        offices,
        periods,
        ladders,
        matters,
        org,
        schedule,
    };
    let fingerprint = hex::encode(hash.finalize());
    Ok(Loaded {
        settings,
        rulebook,
        fingerprint,
        text_places,
        ladders_file: ladders_file.document,
    })
}

/// Reads and checks the operators' settings and nothing else.
pub fn settings_alone(dir: &Path, environment: &BTreeMap<String, String>) -> Result<Settings, Problems> {
    let mut heard = Vec::new();
    settings::load(dir, environment, &mut heard).ok_or_else(|| Problems::new(heard))
}

/// Rungs that name a text which does not exist for their audience and way.
pub fn missing_texts(loaded: &Loaded, has: impl Fn(&TextId, Way, Audience) -> bool) -> Vec<Problem> {
    let mut heard = Vec::new();
    for place in &loaded.text_places {
        for audience in &place.to {
            for way in place.ways.iter().filter(|way| **way != Way::Phone) {
                if !has(&place.text, *way, *audience) {
                    let what = format!(
                        "there is no text \"{}\" for {} by {}",
                        place.text,
                        audience.name(),
                        way.name()
                    );
                    let fix = "add it below templates/<lang>/, or name another text";
                    heard.push(loaded.ladders_file.at(&place.path, &what, fix));
                }
            }
        }
    }
    heard
}

/// Settings that take effect only at a start, where they differ.
pub fn boot_only_changes(old: &Settings, new: &Settings) -> Vec<Problem> {
    let changed = [
        ("zone", old.zone != new.zone),
        ("state_dir", old.state_dir != new.state_dir),
        ("database", old.database != new.database),
        ("http.listen", old.http != new.http),
        ("log", old.log != new.log),
        ("reload.watch", old.reload != new.reload),
    ];
    let problem = |key: &str| Problem {
        file: "xixin.toml".to_owned(),
        line: 1,
        col: 1,
        key: key.to_owned(),
        what: "it takes effect only at a start".to_owned(),
        allowed: "restart xixin, or take the change back".to_owned(),
    };
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| problem(key))
        .collect()
}

fn text_places(file: &LaddersFile) -> Vec<TextPlace> {
    let mut places = Vec::new();
    for (name, ladder) in &file.ladder {
        for (index, rung) in ladder.rung.iter().enumerate() {
            places.push(TextPlace {
                path: format!("ladder.{name}.rung[{index}].text"),
                text: TextId::from(rung.text.as_str()),
                ways: rung.by.clone(),
                to: rung.to.clone(),
            });
        }
    }
    places
}

fn read<T: serde::de::DeserializeOwned>(
    dir: &Path,
    name: &str,
    hash: &mut Sha256,
    heard: &mut Vec<Problem>,
) -> Option<Read<T>> {
    let text = text_of(dir, name, heard)?;
    hash.update(name.as_bytes());
    hash.update(text.as_bytes());
    let document = Document::new(name, &text);
    match document.decode() {
        Ok(value) => Some(Read { document, value }),
        Err(problems) => {
            heard.extend(problems);
            None
        }
    }
}

/// The text of a file: UTF-8, with or without a byte order mark, any line ends, nothing hidden.
fn text_of(dir: &Path, name: &str, heard: &mut Vec<Problem>) -> Option<String> {
    let mut problem = |line: usize, col: usize, what: String, fix: &str| {
        let (file, key, allowed) = (name.to_owned(), String::new(), fix.to_owned());
        heard.push(Problem {
            file,
            line,
            col,
            key,
            what,
            allowed,
        });
    };
    let path = dir.join(name);
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => {
            problem(1, 1, "it is a directory".to_owned(), "a file is needed here");
            return None;
        }
        Ok(meta) if meta.len() > FILE_MAX => {
            problem(1, 1, format!("it is {} bytes long", meta.len()), "allowed: up to 4 MiB");
            return None;
        }
        _ => {}
    }
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            problem(
                1,
                1,
                format!("it cannot be read ({})", error.kind()),
                "every file of the shipped config/ is needed",
            );
            return None;
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
            let line = before.matches('\n').count() + 1;
            let col = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            problem(
                line,
                col,
                "it is not UTF-8 from here on".to_owned(),
                "save the file as UTF-8",
            );
            return None;
        }
    };
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let hidden = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\0');
    if let Some(at) = text.find(hidden) {
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        let col = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        problem(
            line,
            col,
            "a hidden character stands here (NUL, or one that turns the direction of writing)".to_owned(),
            "delete it",
        );
        return None;
    }
    Some(text)
}

/// The names of the `.toml` files in a folder, in order.
fn list(dir: &Path, folder: &str, heard: &mut Vec<Problem>) -> Vec<String> {
    let mut names = Vec::new();
    match std::fs::read_dir(dir.join(folder)) {
        Ok(entries) => {
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if let Some(name) = name.strip_suffix(".toml").filter(|name| !name.starts_with('.')) {
                    names.push(name.to_owned());
                }
            }
        }
        Err(error) => heard.push(Problem {
            file: folder.to_owned(),
            line: 1,
            col: 1,
            key: String::new(),
            what: format!("the folder cannot be read ({})", error.kind()),
            allowed: "every folder of the shipped config/ is needed".to_owned(),
        }),
    }
    names.sort();
    names
}

fn calendar(dir: &Path, hash: &mut Sha256, heard: &mut Vec<Problem>) -> Calendar {
    let mut sources: Vec<CalendarSource> = Vec::new();
    for name in list(dir, "calendar", heard) {
        let file = format!("calendar/{name}.toml");
        let Some(text) = text_of(dir, &file, heard) else {
            continue;
        };
        hash.update(file.as_bytes());
        hash.update(text.as_bytes());
        let document = Document::new(&file, &text);
        match document.decode::<calendar_file::CalendarFile>() {
            Ok(parsed) => {
                for (path, what, fix) in parsed.problems() {
                    heard.push(document.at(&path, &what, &fix));
                }
                sources.push(parsed.into_source(&name));
            }
            Err(problems) => heard.extend(problems),
        }
    }
    Calendar::new(&sources)
}

/// The texts belong to the fingerprint as well, but not to this room.
fn hash_texts(dir: &Path, hash: &mut Sha256) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash_texts(&path, hash);
        } else if let Ok(bytes) = std::fs::read(&path) {
            hash.update(
                path.file_name()
                    .map(|name| name.as_encoded_bytes().to_vec())
                    .unwrap_or_default(),
            );
            hash.update(bytes);
        }
    }
}
