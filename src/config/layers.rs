//! The layers of the settings: built-in defaults, `xixin.toml`, `conf.d/*.toml` in order, `XIXIN__SECTION__KEY` variables.
//!
//! Each layer is checked on its own first, so that a problem is shown where it stands. In files, types are strict; a variable is
//! text and becomes the number or truth value its key asks for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::{Table, Value};

use super::decode::Document;
use super::place::{Path, Step, dotted, has, put};
use super::problem::Problem;
use super::settings::Settings;
use super::source::Source;
use super::strict::{Fault, FaultKind, decode, empty};
use super::weigh::weigh;
use crate::domain::text::{Said, said};

/// The shipped file is also the built-in default of every key.
const DEFAULTS: &str = include_str!("../../config/xixin.toml");
const PREFIX: &str = "XIXIN__";
/// Where the state lives when nobody says otherwise.
const STATE_DIR: &str = "/var/lib/xixin";

/// The settings, and where each of them was written.
pub(super) fn load(
    source: Source<'_>,
    environment: &BTreeMap<String, String>,
    heard: &mut Vec<Problem>,
) -> Option<(Settings, Origin)> {
    let before = heard.len();
    let files = files(source, heard);
    let (merged, settings, origin) = check_files(&files, environment, heard);
    if heard.len() == before {
        check_variables(merged, environment, heard);
    }
    if heard.len() > before {
        let mut weighed = Vec::new();
        settings
            .iter()
            .for_each(|settings| weigh(settings, &origin, &mut weighed));
        heard.extend(weighed.into_iter().filter(|problem| !origin.has_replaced(&problem.key)));
        return None;
    }
    let mut layers = layer(config::Config::builder(), DEFAULTS);
    for (_, text) in &files {
        layers = layer(layers, text);
    }
    let variables = config::Environment::with_prefix("XIXIN")
        .prefix_separator("__")
        .separator("__")
        .source(Some(environment.clone().into_iter().collect()));
    match layers
        .add_source(variables)
        .build()
        .and_then(config::Config::try_deserialize::<Settings>)
    {
        Ok(mut settings) => {
            if settings.state_dir.as_os_str().is_empty() {
                let state = environment.get("STATE_DIRECTORY").filter(|state| !state.is_empty());
                settings.state_dir = state.map_or_else(|| PathBuf::from(STATE_DIR), PathBuf::from);
            }
            weigh(&settings, &origin, heard);
            (heard.len() == before).then_some((settings, origin))
        }
        Err(error) => {
            heard.push(variable_problem(
                "XIXIN__…",
                Said::new(error.to_string(), error.to_string()),
                said!("请改正或取消这个变量", "mend or unset the variable"),
            ));
            None
        }
    }
}

/// Variables that look like settings but are none.
pub(super) fn ignored_variables(environment: &BTreeMap<String, String>) -> Vec<String> {
    const ARGUMENTS: [&str; 3] = ["XIXIN_CONFIG", "XIXIN_AS", "XIXIN_SOCKET"];
    let ours =
        |name: &&String| name.starts_with("XIXIN_") && !name.starts_with(PREFIX) && !ARGUMENTS.contains(&name.as_str());
    environment.keys().filter(ours).cloned().collect()
}

/// Where each setting was last written.
#[derive(Debug)]
pub(super) struct Origin {
    files: Vec<Document>,
    /// By dotted key.
    variables: BTreeMap<String, String>,
}

impl Origin {
    /// Whether a setting could not be taken as it was written.
    pub(super) fn has_replaced(&self, key: &str) -> bool {
        self.files.iter().any(|document| document.has_replaced(key))
    }

    /// Whether somebody wrote `key` where `other` was written last, or over it: then it is meant for that value of `other`.
    pub(super) fn is_meant_for(&self, key: &str, other: &str) -> bool {
        let last = |key: &str| {
            let file = self.files.iter().rposition(|document| document.has(key));
            if self.variables.contains_key(key) {
                Some(self.files.len())
            } else {
                file
            }
        };
        last(key) >= last(other)
    }

    pub(super) fn problem(&self, key: &str, what: Said, allowed: Said) -> Problem {
        if let Some(name) = self.variables.get(key) {
            return variable_problem(name, what, allowed);
        }
        let written = self.files.iter().rev().find(|document| document.has(key));
        match written.or(self.files.first()) {
            Some(document) => document.at(key, what, allowed),
            None => Document::new("xixin.toml", "").at(key, what, allowed),
        }
    }
}

fn variable_problem(name: &str, what: Said, allowed: Said) -> Problem {
    Problem {
        key: name.to_owned(),
        ..Problem::of_file("environment", what, allowed)
    }
}

/// Names and texts of the files that are there; every one of them may be left out.
fn files(source: Source<'_>, heard: &mut Vec<Problem>) -> Vec<(String, String)> {
    let mut names = Vec::new();
    if source.has("xixin.toml") {
        names.push("xixin.toml".to_owned());
    }
    if source.has("conf.d") {
        let more = source.list("conf.d", heard);
        names.extend(more.into_iter().map(|name| format!("conf.d/{name}.toml")));
    }
    let read = |name: String| source.text(&name, heard).map(|text| (name, text));
    names.into_iter().filter_map(read).collect()
}

/// The files merged, as a table and as settings, each looked at over those before it. What an earlier file got wrong is not said of a later one again.
fn check_files(
    files: &[(String, String)],
    environment: &BTreeMap<String, String>,
    heard: &mut Vec<Problem>,
) -> (Table, Option<Settings>, Origin) {
    let mut merged: Table = DEFAULTS
        .parse()
        .expect("the shipped xixin.toml is TOML: a test loads it");
    let mut origin = Origin {
        files: Vec::new(),
        variables: variables(environment).map(|(name, key, _)| (key, name)).collect(),
    };
    let mut settings = None;
    for (name, text) in files {
        let mut document = Document::new(name, text);
        let mut problems = Vec::new();
        match document.parse() {
            Ok(table) => {
                lay_over(&mut merged, table);
                settings = document.decode_table(merged.clone(), &mut problems);
            }
            Err(problem) => problems.push(*problem),
        }
        heard.extend(
            problems
                .into_iter()
                .filter(|problem| !origin.has_replaced(&problem.key)),
        );
        origin.files.push(document);
    }
    (merged, settings, origin)
}

/// Names, dotted keys and values of the variables that override settings.
fn variables(environment: &BTreeMap<String, String>) -> impl Iterator<Item = (String, String, String)> {
    environment.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
        Some((name.clone(), key, value.clone()))
    })
}

/// Each variable over the files, so that its name can be told.
fn check_variables(files: Table, environment: &BTreeMap<String, String>, heard: &mut Vec<Problem>) {
    let before = heard.len();
    let mut merged = Value::Table(files);
    for (name, key, text) in variables(environment) {
        if let Err(fault) = lay_variable(&mut merged, &key, &text) {
            heard.push(variable_problem(&name, fault.unfit.what, fault.unfit.allowed));
        }
    }
    // What is missing beside one variable may stand in another, so it is looked for at the end.
    if heard.len() == before
        && let Err(fault) = decode::<Settings>(&merged)
    {
        let name = format!("{PREFIX}{}__…", dotted(&fault.path).replace('.', "__").to_uppercase());
        heard.push(variable_problem(&name, fault.unfit.what, fault.unfit.allowed));
    }
}

/// A variable is text, a whole number or a truth value, whatever its key takes.
fn lay_variable(merged: &mut Value, key: &str, text: &str) -> Result<(), Fault> {
    let path: Path = key.split('.').map(|step| Step::Key(step.to_owned())).collect();
    let mut values = vec![Value::from(text)];
    values.extend(text.parse::<i64>().ok().map(Value::from));
    values.extend(text.parse::<bool>().ok().map(Value::from));
    let before = merged.clone();
    let mut refused = Ok(());
    for value in values {
        lay_over_at(merged, &path, value);
        match decode::<Settings>(merged) {
            Err(fault) if !matches!(fault.kind, FaultKind::Missing { .. }) => refused = Err(fault),
            _ => return Ok(()),
        }
        merged.clone_from(&before);
    }
    refused
}

/// Puts a value where its tables may not be yet.
fn lay_over_at(root: &mut Value, path: &[Step], value: Value) {
    for end in 1..path.len() {
        if !has(root, &path[..end]) {
            put(root, &path[..end], empty());
        }
    }
    put(root, path, value);
}

type Layers = config::ConfigBuilder<config::builder::DefaultState>;

fn layer(layers: Layers, text: &str) -> Layers {
    layers.add_source(config::File::from_str(text, config::FileFormat::Toml))
}

fn lay_over(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => lay_over(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
