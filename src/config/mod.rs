//! Configuration: what operators (`xixin.toml`) and supervisors (everything else) edit, read into values that have been checked.
//!
//! `load` reads the whole directory and yields one consistent set of values, or every problem of every file.

pub mod api;
mod calendar_file;
mod decode;
mod files;
pub mod gateways;
pub mod inbound;
mod json_place;
mod layers;
pub mod notice_json;
mod place;
pub mod postgres;
pub mod problem;
mod remarks;
mod rules;
pub mod secret;
pub mod settings;
mod shipped;
mod source;
mod strict;
mod uncoded;
mod values;
mod weigh;
mod weigh_sms;

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use crate::domain::calendar::Calendar;
use crate::domain::ids::TextId;
use crate::domain::ladder::{Audience, Way};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, said};
use decode::Document;
use files::{LaddersFile, MatterFile};
use layers::Origin;
use problem::{Problem, Problems};
use rules::{Ladders, Names, Read};
use settings::Settings;
use source::Source;

pub use remarks::remarks;
pub use rules::BANNED;
pub use shipped::{FILES, shipped_rulebook, write_to};
pub(crate) use source::text_of;
pub(crate) use uncoded::unsayable;

/// Whether there is a text for an audience over a way: the room that knows the texts answers.
pub type HasText<'a> = &'a dyn Fn(&TextId, Way, Audience) -> bool;

/// A checked configuration.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    pub rulebook: Rulebook,
    /// SHA-256 over every rule file, in order.
    pub fingerprint: String,
    /// `XIXIN_…` variables that look like settings but are none.
    ignored_variables: Vec<String>,
    origin: Origin,
}

impl Loaded {
    /// A problem with a setting that only shows in use, at the place where it was written.
    pub fn setting_problem(&self, key: &str, what: Said, allowed: Said) -> Problem {
        self.origin.problem(key, what, allowed)
    }
}

/// Reads and checks everything below `dir`. `environment` may override settings as `XIXIN__SECTION__KEY`.
pub fn load(dir: &Path, environment: &BTreeMap<String, String>, has_text: HasText<'_>) -> Result<Loaded, Problems> {
    needs_directory(dir)?;
    load_from(Source::Directory(dir), environment, has_text)
}

/// The same as if `file`, a path below `dir`, held `text`. Nothing is written.
pub fn load_edited(
    dir: &Path,
    (file, text): (&str, &str),
    environment: &BTreeMap<String, String>,
    has_text: HasText<'_>,
) -> Result<Loaded, Problems> {
    needs_directory(dir)?;
    load_from(Source::Edited { dir, file, text }, environment, has_text)
}

fn load_from(
    source: Source<'_>,
    environment: &BTreeMap<String, String>,
    has_text: HasText<'_>,
) -> Result<Loaded, Problems> {
    let mut heard = Vec::new();
    source.strays(&mut heard);
    let settings = layers::load(source, environment, &mut heard);
    let zone = settings.as_ref().and_then(|(settings, _)| settings::zone(settings));
    let (rulebook, fingerprint) = read_rules(source, zone, has_text, &mut heard);
    if let (Some((settings, origin)), Some(rulebook)) = (&settings, &rulebook) {
        api::weigh_units(settings, &rulebook.org, origin, &mut heard);
    }
    match (settings, rulebook) {
        (Some((settings, origin)), Some(rulebook)) if heard.is_empty() => Ok(Loaded {
            settings,
            rulebook,
            fingerprint,
            ignored_variables: layers::ignored_variables(environment),
            origin,
        }),
        _ => Err(Problems::new(heard)),
    }
}

/// The rulebook, when every file gave its part, and the fingerprint of the files.
fn read_rules(
    source: Source<'_>,
    zone: Option<TimeZone>,
    has_text: HasText<'_>,
    heard: &mut Vec<Problem>,
) -> (Option<Rulebook>, String) {
    let mut hash = Sha256::new();
    let ladders_file: Option<Read<LaddersFile>> = read(source, "ladders.toml", &mut hash, heard);
    let schedule_file = read(source, "schedule.toml", &mut hash, heard);
    let periods_file = read(source, "periods.toml", &mut hash, heard);
    let agencies_file = read(source, "agencies.toml", &mut hash, heard);
    let people_file = read(source, "people.toml", &mut hash, heard);
    let benefits_file = read(source, "benefits.toml", &mut hash, heard);
    let policies_file = read(source, "policies.toml", &mut hash, heard);
    let knowledge_file = read(source, "knowledge.toml", &mut hash, heard);
    let matter_files = matter_files(source, &mut hash, heard);
    let rota_file = read(source, "rota.toml", &mut hash, heard);
    let before = heard.len();
    let calendar = calendar(source, &mut hash, heard);
    let calendar_is_sound = heard.len() == before;
    source.hash_texts(&mut hash);

    let read_through = heard.len();
    let period_names = Names::of(periods_file.as_ref(), "period");
    let office_names = Names::of(agencies_file.as_ref(), "office");
    let ladders = ladders_file.as_ref().map(|file| rules::ladders(file, heard));
    let ladders = ladders.unwrap_or_default();
    let named = Ladders::new(ladders_file.as_ref(), &ladders);
    if let Some(file) = &ladders_file {
        missing_texts(file, has_text, heard);
    }
    let offices = agencies_file.as_ref().map(|file| rules::offices(file, heard));
    let org = people_file.as_ref().map(|file| {
        let org = rules::org(file, heard);
        rules::nobody_there(file, &org, ladders.values(), heard);
        org
    });
    let schedule = schedule_file.as_ref().map(|file| rules::schedule(file, &named, heard));
    let periods = periods_file
        .as_ref()
        .map(|file| rules::periods(file, &named, &office_names, heard));
    let sound = org.as_ref().filter(|_| calendar_is_sound);
    let rota = rota_file.as_ref().map(|file| {
        let names = (
            &Names::of(people_file.as_ref(), "unit"),
            &Names::of(people_file.as_ref(), "staff"),
        );
        rules::rota(file, names, sound.map(|org| (org, &calendar)), heard)
    });
    let benefit_names = Names::of(benefits_file.as_ref(), "benefit");
    let matters = rules::matters(&matter_files, &period_names, &office_names, &benefit_names, heard);
    let benefits = benefits_file.as_ref().map(|file| rules::benefits(file, heard));
    let tags = policies_file.as_ref().map(|file| rules::tags(file, heard));
    let policies = policies_file.as_ref().map(|file| rules::policies(file, heard));
    let staff_names = Names::of(people_file.as_ref(), "staff");
    // A matter whose file could not be read has told its own problem; its name is known all the same.
    let matter_names = Names::of_files(source.list("matters", &mut Vec::new()));
    let knowledge = knowledge_file
        .as_ref()
        .map(|file| rules::knowledge(file, &staff_names, &matter_names, heard));
    // What the checks say of stand-ins is about entries that were told of when they were read.
    let documents = [
        ladders_file.as_ref().map(|file| &file.document),
        schedule_file.as_ref().map(|file| &file.document),
        periods_file.as_ref().map(|file| &file.document),
        agencies_file.as_ref().map(|file| &file.document),
        people_file.as_ref().map(|file| &file.document),
        rota_file.as_ref().map(|file| &file.document),
        benefits_file.as_ref().map(|file| &file.document),
        policies_file.as_ref().map(|file| &file.document),
        knowledge_file.as_ref().map(|file| &file.document),
    ];
    let documents = documents.into_iter().flatten();
    let documents: Vec<&Document> = documents
        .chain(matter_files.iter().map(|(_, file)| &file.document))
        .collect();
    let checked = heard.split_off(read_through);
    let fresh = |problem: &Problem| !documents.iter().any(|document| document.told(problem));
    heard.extend(checked.into_iter().filter(fresh));
    let rulebook = (|| {
        Some(Rulebook {
            zone: zone?,
            calendar,
            offices: offices?,
            periods: periods?,
            ladders,
            matters,
            benefits: benefits?,
            policies: policies?,
            tags: tags?,
            knowledge: knowledge?,
            org: org?,
            rota: rota?,
            schedule: schedule?,
        })
    })();
    (rulebook, hex::encode(hash.finalize()))
}

/// Settings that take effect only at a start, where they differ.
pub fn boot_only_changes(old: &Settings, new: &Loaded) -> Vec<Problem> {
    let settings = &new.settings;
    let changed = [
        ("zone", old.zone != settings.zone),
        ("state_dir", old.state_dir != settings.state_dir),
        ("database", old.database != settings.database),
        ("postgres", old.postgres != settings.postgres),
        ("node", old.node != settings.node),
        ("personal_data", old.personal_data != settings.personal_data),
        ("http.listen", old.http.listen != settings.http.listen),
        ("inbound.listen", old.inbound.listen != settings.inbound.listen),
        ("api.listen", old.api.listen != settings.api.listen),
        ("reload.watch", old.reload.watch != settings.reload.watch),
        ("log.format", old.log.format != settings.log.format),
        ("log.filter", old.log.filter != settings.log.filter),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| {
            let fix = said!("请重启 xixin,或改回原样", "restart xixin, or take the change back");
            new.setting_problem(key, said!("须重启才生效", "it takes effect only at a start"), fix)
        })
        .collect()
}

/// Reads and checks the operators' settings and nothing else.
pub fn settings_alone(dir: &Path, environment: &BTreeMap<String, String>) -> Result<Settings, Problems> {
    needs_directory(dir)?;
    let mut heard = Vec::new();
    match layers::load(Source::Directory(dir), environment, &mut heard) {
        Some((settings, _)) => Ok(settings),
        None => Err(Problems::new(heard)),
    }
}

fn needs_directory(dir: &Path) -> Result<(), Problems> {
    if dir.is_dir() {
        return Ok(());
    }
    let what = said!(
        "没有这个配置目录;请用 --config 或 XIXIN_CONFIG 指明,或把随附的 config/ 复制过去",
        "there is no such configuration directory; name it with --config or XIXIN_CONFIG, or copy the shipped config/ there"
    );
    Err(Problems::new(vec![Problem::general(dir, what)]))
}

/// Rungs that name a text which does not exist for their audience and way.
fn missing_texts(file: &Read<LaddersFile>, has_text: HasText<'_>, heard: &mut Vec<Problem>) {
    for (name, ladder) in &file.value.ladder {
        for (index, rung) in ladder.rung.iter().enumerate() {
            let text = TextId::from(rung.text.as_str());
            let whole = |key: &str| file.document.is_whole(&format!("ladder.{name}.rung[{index}].{key}"));
            for audience in rung.to.iter().filter(|_| whole("to") && whole("by")) {
                for way in rung.by.iter().filter(|way| **way != Way::Phone) {
                    if !has_text(&text, *way, *audience) {
                        let (to, by) = (audience.name(), way.name());
                        let what = said!(
                            "没有给 {to} 用 {by} 的文本“{text}”",
                            "there is no text \"{text}\" for {to} by {by}"
                        );
                        let fix = said!(
                            "请在 templates/<语言>/ 下加上,或改用别的文本",
                            "add it below templates/<lang>/, or name another text"
                        );
                        let path = format!("ladder.{name}.rung[{index}].text");
                        heard.push(file.document.at(&path, what, fix));
                    }
                }
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(
    source: Source<'_>,
    name: &str,
    hash: &mut Sha256,
    heard: &mut Vec<Problem>,
) -> Option<Read<T>> {
    let text = source.text(name, heard)?;
    source::note(name, text.as_bytes(), hash);
    let mut document = Document::new(name, &text);
    let value = document.decode(heard)?;
    Some(Read { document, value })
}

fn matter_files(source: Source<'_>, hash: &mut Sha256, heard: &mut Vec<Problem>) -> Vec<(String, Read<MatterFile>)> {
    let before = heard.len();
    let names = source.list("matters", heard);
    if names.is_empty() && heard.len() == before {
        heard.push(Problem::of_file(
            "matters",
            said!(
                "没有任何事项种类,无法立案",
                "there is no kind of matter: no case could be opened"
            ),
            said!(
                "请加上 matters/名称.toml,参照随附的 config/",
                "add matters/NAME.toml, as in the shipped config/"
            ),
        ));
    }
    let mut files = Vec::new();
    for name in names {
        if let Some(file) = read(source, &format!("matters/{name}.toml"), hash, heard) {
            files.push((name, file));
        }
    }
    files
}

fn calendar(source: Source<'_>, hash: &mut Sha256, heard: &mut Vec<Problem>) -> Calendar {
    let mut sources = Vec::new();
    for name in source.list("calendar", heard) {
        let file: Option<Read<calendar_file::CalendarFile>> =
            read(source, &format!("calendar/{name}.toml"), hash, heard);
        if let Some(Read { document, value }) = file {
            sources.push(value.into_source(&name, &document, heard));
        }
    }
    Calendar::new(&sources)
}
