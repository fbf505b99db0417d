//! What is wrong with a configuration: every problem, with its place and what is allowed, in both languages.

use std::fmt;
use std::path::Path;

use crate::domain::text::{Said, said};

/// One problem, shown as `file:line:col: key: 哪里不对;可用什么 / what is wrong; what is allowed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// Relative to the configuration directory.
    pub file: String,
    pub line: usize,
    pub col: usize,
    /// The dotted path of the key; empty when the file as a whole is meant.
    pub key: String,
    pub what: Said,
    pub allowed: Said,
}

impl Problem {
    /// A problem of a file as a whole, or of the configuration.
    pub fn of_file(file: &str, what: Said, allowed: Said) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            col: 1,
            key: String::new(),
            what,
            allowed,
        }
    }

    /// A problem of the configuration as a whole.
    pub fn general(dir: &Path, what: Said) -> Self {
        Self::of_file(&dir.display().to_string(), what, Said::default())
    }

    /// Where it is, for a log: `what` may repeat a value, and values of people.toml are numbers and addresses.
    pub fn place(&self) -> String {
        let key = if self.key.is_empty() { "" } else { ": " };
        in_one_line(&format!("{}:{}:{}{key}{}", self.file, self.line, self.col, self.key))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{}:{}:{}: ", self.file, self.line, self.col);
        if !self.key.is_empty() {
            line.push_str(&format!("{}: ", self.key));
        }
        line.push_str(&self.what.and(&self.allowed).to_string());
        f.write_str(&in_one_line(&line))
    }
}

/// A name out of a file may hold a line break that would look like another problem.
fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// At least one problem, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self(problems)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

impl Problems {
    /// The places alone, for the journal, which others read as well.
    pub fn places(&self) -> String {
        let mut lines: Vec<String> = self.0.iter().map(Problem::place).collect();
        let count = self.0.len();
        lines.push(format!(
            "配置有 {count} 处问题,详情请运行 xixin check / {count} problems in the configuration; xixin check tells what they are"
        ));
        lines.join("\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        write!(
            f,
            "配置有 {} 处问题 / {} problems in the configuration",
            self.0.len(),
            self.0.len()
        )
    }
}

impl std::error::Error for Problems {}

/// The nearest of the known names, when a name looks like a typing mistake of it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `allowed: a, b, c`, led by a suggestion when one is near.
pub fn allowed<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Said {
    let known: Vec<&str> = known.into_iter().collect();
    let list = known.join(", ");
    match nearest(name, known.iter().copied()) {
        _ if known.is_empty() => said!("一个也没有定义", "nothing is defined"),
        Some(near) => said!(
            "是不是“{near}”? 可用: {list}",
            "did you mean \"{near}\"? allowed: {list}"
        ),
        None => said!("可用: {list}", "allowed: {list}"),
    }
}

/// A value that does not follow its grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    pub what: Said,
    pub allowed: Said,
}

/// Between the parts of an `Unfit` on its way through serde, which takes a single text.
const SEAM: char = '\u{1f}';

impl Unfit {
    pub(super) fn new(what: Said, allowed: Said) -> Self {
        Self { what, allowed }
    }

    /// As a decoder can pass it on.
    pub(super) fn sealed(&self) -> String {
        let Self { what, allowed } = self;
        let parts = [&what.zh, &what.en, &allowed.zh, &allowed.en];
        parts.map(|part| part.replace(SEAM, "")).join(&SEAM.to_string())
    }

    /// What was sealed; any other text says the same in both languages.
    pub(super) fn opened(text: &str) -> Self {
        let parts: Vec<&str> = text.split(SEAM).collect();
        match parts.as_slice() {
            [zh, en, allowed_zh, allowed_en] => Self::new(Said::new(*zh, *en), Said::new(*allowed_zh, *allowed_en)),
            _ => Self::new(Said::new(text, text), Said::default()),
        }
    }
}
