//! A story heard at the window, as a file that a supervisor can read and write: `tests/scenarios/sNN-name.toml`.
//!
//! The entries stand in the order of time. Whatever happens is an entry, and so is whatever must be seen because of it; every entry
//! knows its line, so that a mistake can be found. Unknown keys are refused. `tests/scenarios/README.md` explains the keys.

use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::civil::{Date, DateTime};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

/// One file, read and checked.
pub(crate) struct Story {
    pub(crate) path: PathBuf,
    text: String,
    pub(crate) start: String,
    pub(crate) until: String,
    pub(crate) entries: Vec<Entry>,
    decisions: Spanned<String>,
}

pub(crate) struct Entry {
    pub(crate) line: usize,
    pub(crate) what: What,
}

pub(crate) enum What {
    Config(Edit),
    Case(TakenIn),
    Act(Act),
    HandOver(HandOver),
    Prints(Prints),
    Digest(Digest),
    Message(Message),
    Silence(Silence),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    story: String,
    said: String,
    rule: Words,
    start: String,
    #[serde(default)]
    config: Vec<Spanned<Edit>>,
    #[serde(default)]
    case: Vec<Spanned<TakenIn>>,
    #[serde(default)]
    act: Vec<Spanned<Act>>,
    #[serde(default)]
    hand_over: Vec<Spanned<HandOver>>,
    #[serde(default)]
    prints: Vec<Spanned<Prints>>,
    #[serde(default)]
    digest: Vec<Spanned<Digest>>,
    #[serde(default)]
    message: Vec<Spanned<Message>>,
    #[serde(default)]
    silence: Vec<Spanned<Silence>>,
    timeline: Timeline,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    zh: String,
    en: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timeline {
    until: String,
    decisions: Spanned<String>,
}

/// A file of the configuration is changed: before the hall opens, or at a time, by a reload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    pub(crate) at: Option<String>,
    pub(crate) file: String,
    /// The whole file.
    text: Option<String>,
    /// What comes after what the file says.
    add: Option<String>,
    /// What is replaced, wherever it stands, and by what.
    replace: Option<String>,
    with: Option<String>,
    /// What the refusal says, when the new configuration must not be taken. The file is as before then.
    pub(crate) refused: Option<String>,
}

/// A case is taken in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakenIn {
    /// What the story calls it.
    pub(crate) name: String,
    pub(crate) at: Option<String>,
    pub(crate) r#as: String,
    new: toml::Value,
    pub(crate) refused: Option<String>,
}

/// Somebody does something with a case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Act {
    pub(crate) at: String,
    pub(crate) r#as: String,
    pub(crate) case: String,
    command: toml::Value,
    pub(crate) refused: Option<String>,
}

/// Everything that somebody has passes to somebody else, as `xixin hand-over` does it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandOver {
    pub(crate) at: String,
    pub(crate) r#as: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) refused: Option<String>,
}

/// What `xixin …` prints at a time. The name of a case stands for its number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prints {
    pub(crate) at: String,
    pub(crate) xixin: String,
    #[serde(default)]
    pub(crate) exit: i32,
    #[serde(default)]
    pub(crate) has: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) lacks: Vec<Spanned<String>>,
}

/// What the digest of somebody says on a day.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Digest {
    pub(crate) of: String,
    pub(crate) day: String,
    /// Whether there is one at all.
    #[serde(default = "yes")]
    pub(crate) comes: bool,
    #[serde(default)]
    pub(crate) has: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) lacks: Vec<Spanned<String>>,
}

fn yes() -> bool {
    true
}

/// A message that leaves in a minute: exactly one to this number, address or member of staff says all of `has`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    pub(crate) at: String,
    pub(crate) to: String,
    pub(crate) has: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) lacks: Vec<Spanned<String>>,
}

/// Nothing but digests leaves for somebody from a minute to another, both included. With `about`, nothing that says this.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Silence {
    pub(crate) from: String,
    pub(crate) until: String,
    pub(crate) to: String,
    pub(crate) about: Option<String>,
}

impl Edit {
    /// What the file says afterwards.
    pub(crate) fn apply(&self, before: Option<&str>) -> Result<String, String> {
        match (&self.text, &self.add, &self.replace, &self.with) {
            (Some(text), None, None, None) => Ok(text.clone()),
            (None, Some(add), None, None) => Ok(format!("{}\n{add}", before.unwrap_or_default())),
            (None, None, Some(old), Some(new)) => {
                let before = before.ok_or_else(|| format!("there is no file {}", self.file))?;
                if before.contains(old.as_str()) {
                    Ok(before.replace(old, new))
                } else {
                    Err(format!("{} does not say {old:?}", self.file))
                }
            }
            _ => Err("give either text, or add, or replace and with".to_owned()),
        }
    }
}

impl TakenIn {
    pub(crate) fn document(&self) -> Value {
        json_of(&self.new)
    }
}

impl Act {
    pub(crate) fn command(&self) -> Value {
        json_of(&self.command)
    }
}

/// TOML as JSON. A date may stand there with or without quotation marks.
fn json_of(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(flag) => Value::from(*flag),
        toml::Value::Datetime(at) => Value::from(at.to_string()),
        toml::Value::Array(list) => list.iter().map(json_of).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, one)| (key.clone(), json_of(one))).collect(),
    }
}

impl What {
    /// When it happens or is looked at; `None` means at the start.
    fn at(&self) -> Option<&str> {
        match self {
            Self::Config(edit) => edit.at.as_deref(),
            Self::Case(taken_in) => taken_in.at.as_deref(),
            Self::Act(act) => Some(&act.at),
            Self::HandOver(hand_over) => Some(&hand_over.at),
            Self::Prints(prints) => Some(&prints.at),
            Self::Message(message) => Some(&message.at),
            Self::Silence(silence) => Some(&silence.from),
            Self::Digest(digest) => Some(&digest.day),
        }
    }

    /// Whether the clock goes to this time before the next entry. What has left is looked at when everything is over.
    fn moves_the_clock(&self) -> bool {
        matches!(
            self,
            Self::Config(_) | Self::Case(_) | Self::Act(_) | Self::HandOver(_) | Self::Prints(_)
        )
    }

    /// Whether it says what must be seen.
    fn is_expectation(&self) -> bool {
        match self {
            Self::Config(edit) => edit.refused.is_some(),
            Self::Case(taken_in) => taken_in.refused.is_some(),
            Self::Act(act) => act.refused.is_some(),
            Self::HandOver(hand_over) => hand_over.refused.is_some(),
            Self::Prints(_) | Self::Digest(_) | Self::Message(_) | Self::Silence(_) => true,
        }
    }
}

impl Story {
    /// Reads a file, or tells what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = shown(path);
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let document: Document = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(&text, &span));
            format!("{shown}:{line}: {}", error.message())
        })?;
        let Document {
            story,
            said,
            rule,
            start,
            config,
            case,
            act,
            hand_over,
            prints,
            digest,
            message,
            silence,
            timeline,
        } = document;
        let mut spanned: Vec<(Range<usize>, What)> = Vec::new();
        spanned.extend(
            config
                .into_iter()
                .map(|one| (one.span(), What::Config(one.into_inner()))),
        );
        spanned.extend(case.into_iter().map(|one| (one.span(), What::Case(one.into_inner()))));
        spanned.extend(act.into_iter().map(|one| (one.span(), What::Act(one.into_inner()))));
        spanned.extend(
            hand_over
                .into_iter()
                .map(|one| (one.span(), What::HandOver(one.into_inner()))),
        );
        spanned.extend(
            prints
                .into_iter()
                .map(|one| (one.span(), What::Prints(one.into_inner()))),
        );
        spanned.extend(
            digest
                .into_iter()
                .map(|one| (one.span(), What::Digest(one.into_inner()))),
        );
        spanned.extend(
            message
                .into_iter()
                .map(|one| (one.span(), What::Message(one.into_inner()))),
        );
        spanned.extend(
            silence
                .into_iter()
                .map(|one| (one.span(), What::Silence(one.into_inner()))),
        );
        spanned.sort_by_key(|(span, _)| span.start);
        let entries = spanned.into_iter().map(|(span, what)| Entry {
            line: line_of(&text, &span),
            what,
        });
        let read = Self {
            path: path.to_owned(),
            entries: entries.collect(),
            start,
            until: timeline.until,
            decisions: timeline.decisions,
            text,
        };
        let mut wrong = read.out_of_order();
        if !is_named_after(path, &story) {
            wrong.push(read.at_line(
                1,
                &format!("the name of the file does not begin with the story {story:?}"),
            ));
        }
        if said.is_empty() || rule.zh.is_empty() || rule.en.is_empty() {
            wrong.push(read.at_line(1, "said, rule.zh and rule.en must say something"));
        }
        if !read.entries.iter().any(|entry| entry.what.is_expectation()) {
            wrong.push(read.at_line(
                1,
                "nothing is expected: give a digest, message, silence, prints or refused beside the timeline",
            ));
        }
        if wrong.is_empty() {
            Ok(read)
        } else {
            Err(wrong.join("\n"))
        }
    }

    /// A story is read from the top to the bottom, and so time goes on.
    fn out_of_order(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |line: usize, text: &str| {
            let at = moment(text);
            if at.is_none() {
                wrong.push(self.at_line(line, &format!("{text:?} is no time such as 2026-03-05 09:30")));
            }
            at
        };
        let start = check(1, &self.start);
        let (mut clock, mut day) = (start, start.map(DateTime::date));
        for entry in &self.entries {
            let Some(at) = check(entry.line, entry.what.at().unwrap_or(&self.start)) else {
                continue;
            };
            if let What::Silence(silence) = &entry.what {
                check(entry.line, &silence.until);
            }
            if Some(at.date()) < day || entry.what.moves_the_clock() && Some(at) < clock {
                let said = self.at_line(entry.line, "an earlier time than that of the entry before it");
                wrong.push(said);
                return wrong;
            }
            day = Some(at.date());
            if entry.what.moves_the_clock() {
                clock = Some(at);
            }
        }
        if let Some(until) = check(1, &self.until)
            && (Some(until) < clock || Some(until.date()) < day)
        {
            wrong.push(self.at_line(1, "timeline.until lies before the last entry"));
        }
        wrong
    }

    /// `tests/scenarios/s20-urgency.toml:34: said`
    pub(crate) fn at_line(&self, line: usize, said: &str) -> String {
        format!("{}:{line}: {said}", shown(&self.path))
    }

    /// The line on which an expected text stands.
    pub(crate) fn line_of<T>(&self, part: &Spanned<T>) -> usize {
        line_of(&self.text, &part.span())
    }

    /// What differs from the decisions that a person reviewed.
    pub(crate) fn compare(&self, found: &[String]) -> Vec<String> {
        let first = self.line_of(&self.decisions);
        let numbered = self.decisions.get_ref().lines().zip(first + 1..);
        let numbered = numbered.map(|(text, line)| (text.trim(), line));
        let expected: Vec<(&str, usize)> = numbered.filter(|(text, _)| !text.is_empty()).collect();
        if expected
            .iter()
            .map(|(text, _)| *text)
            .eq(found.iter().map(String::as_str))
        {
            return Vec::new();
        }
        let mut differ = Vec::new();
        let mut left: Vec<&str> = found.iter().map(String::as_str).collect();
        let mut last = first;
        for (text, line) in expected {
            match left.iter().position(|one| *one == text) {
                Some(index) => {
                    left.remove(index);
                }
                None => differ.push(self.at_line(line, &format!("not decided: {text}"))),
            }
            last = line;
        }
        differ.extend(
            left.iter()
                .map(|text| self.at_line(last, &format!("not expected: {text}"))),
        );
        if differ.is_empty() {
            differ.push(self.at_line(first, "the decisions stand in another order than that of time"));
        }
        differ
    }

    /// Writes what was decided into the file, for a person to review; the rest of the file stays as it is.
    pub(crate) fn bless(&self, found: &[String]) {
        let mut text = self.text.clone();
        let lines: String = found.iter().map(|line| format!("{line}\n")).collect();
        text.replace_range(self.decisions.span(), &format!("'''\n{lines}'''"));
        std::fs::write(&self.path, text).unwrap();
    }
}

/// `s20-urgency` tells S20.
fn is_named_after(path: &Path, story: &str) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy();
    name.split_once('-')
        .is_some_and(|(number, _)| number == story.to_lowercase())
}

fn shown(path: &Path) -> String {
    format!("tests/scenarios/{}", path.file_name().unwrap().to_string_lossy())
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text[..span.start].matches('\n').count() + 1
}

/// A day is its first moment.
fn moment(text: &str) -> Option<DateTime> {
    match text.len() {
        10 => text.parse::<Date>().ok().map(DateTime::from),
        16 => text.replace(' ', "T").parse().ok(),
        _ => None,
    }
}
