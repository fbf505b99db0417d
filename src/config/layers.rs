//! The layers of the settings: built-in defaults, `xixin.toml`, `conf.d/*.toml` in order, `XIXIN__SECTION__KEY` variables.
//!
//! Each layer is checked on its own first, so that a problem is shown where it stands. In files, types are strict; a variable is
//! text and becomes the number or truth value its key asks for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::decode::Document;
use super::place::parse_path;
use super::problem::Problem;
use super::settings::Settings;
use super::source::Source;
use super::weigh::weigh;
use super::words::{FaultKind, understand};

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
    let origin = check_files(&files, environment, heard);
    if heard.len() > before {
        return None;
    }
    let mut layers = layer(config::Config::builder(), DEFAULTS);
    for (_, text) in &files {
        layers = layer(layers, text);
    }
    check_variables(&layers, environment, heard);
    match merged(&layers, environment.clone()) {
        Ok(mut settings) => {
            if settings.state_dir.as_os_str().is_empty() {
                let state = environment.get("STATE_DIRECTORY").filter(|state| !state.is_empty());
                settings.state_dir = state.map_or_else(|| PathBuf::from(STATE_DIR), PathBuf::from);
            }
            weigh(&settings, &origin, heard);
            (heard.len() == before).then_some((settings, origin))
        }
        Err(error) => {
            if heard.len() == before {
                let fault = understand(Vec::new(), &error);
                heard.push(variable_problem("XIXIN__…", &fault.what, &fault.allowed));
            }
            None
        }
    }
}

/// Variables that look like settings but are none.
pub(super) fn ignored_variables(environment: &BTreeMap<String, String>) -> Vec<String> {
    let ours = |name: &&String| name.starts_with("XIXIN_") && !name.starts_with(PREFIX) && *name != "XIXIN_CONFIG";
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
    pub(super) fn problem(&self, key: &str, what: &str, allowed: &str) -> Problem {
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

fn variable_problem(name: &str, what: &str, allowed: &str) -> Problem {
    Problem {
        file: "environment".to_owned(),
        line: 1,
        col: 1,
        key: name.to_owned(),
        what: what.to_owned(),
        allowed: allowed.to_owned(),
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

/// Each file over those before it. What an earlier file got wrong is not said of a later one again.
fn check_files(files: &[(String, String)], environment: &BTreeMap<String, String>, heard: &mut Vec<Problem>) -> Origin {
    let mut merged: toml::Table = DEFAULTS
        .parse()
        .expect("the shipped xixin.toml is TOML: a test loads it");
    let mut documents = Vec::new();
    let mut said: Vec<(String, String)> = Vec::new();
    for (name, text) in files {
        let mut document = Document::new(name, text);
        let mut problems = Vec::new();
        match document.parse() {
            Ok(table) => {
                lay_over(&mut merged, table);
                // Only its problems are of interest: the values are merged by the layers.
                let _: Option<Settings> = document.decode_table(merged.clone(), &mut problems);
            }
            Err(problem) => problems.push(problem),
        }
        for problem in problems {
            let mark = (problem.key.clone(), problem.what.clone());
            if !said.contains(&mark) {
                said.push(mark);
                heard.push(problem);
            }
        }
        documents.push(Document::new(name, text));
    }
    let variables = variables(environment).map(|(name, key, _)| (key, name)).collect();
    Origin {
        files: documents,
        variables,
    }
}

/// Names, dotted keys and values of the variables that override settings.
fn variables(environment: &BTreeMap<String, String>) -> impl Iterator<Item = (String, String, String)> {
    environment.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
        Some((name.clone(), key, value.clone()))
    })
}

/// Each variable alone over the files, so that its name can be told.
fn check_variables(layers: &Layers, environment: &BTreeMap<String, String>, heard: &mut Vec<Problem>) {
    for (name, key, value) in variables(environment) {
        let Err(error) = merged(layers, BTreeMap::from([(name.clone(), value)])) else {
            continue;
        };
        let fault = understand(parse_path(&key), &error);
        // What is missing beside it may stand in another variable.
        if !matches!(fault.kind, FaultKind::Missing { .. }) {
            heard.push(variable_problem(&name, &fault.what, &fault.allowed));
        }
    }
}

type Layers = config::ConfigBuilder<config::builder::DefaultState>;

fn layer(layers: Layers, text: &str) -> Layers {
    layers.add_source(config::File::from_str(text, config::FileFormat::Toml))
}

fn merged(layers: &Layers, environment: BTreeMap<String, String>) -> Result<Settings, String> {
    let variables = config::Environment::with_prefix("XIXIN")
        .prefix_separator("__")
        .separator("__")
        .source(Some(environment.into_iter().collect()));
    let merged = layers.clone().add_source(variables).build();
    merged
        .and_then(config::Config::try_deserialize)
        .map_err(|error| plain(&error))
}

/// The error without the name of its source, which is said beside it.
fn plain(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::At { error, .. } => plain(error),
        config::ConfigError::Type {
            unexpected, expected, ..
        } => format!("invalid type: {unexpected}, expected {expected}"),
        other => other.to_string(),
    }
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => lay_over(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
