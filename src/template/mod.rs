//! The texts: minijinja templates that supervisors edit, below `templates/`.
//!
//! ```text
//! templates/layout.html                                   the frame of every HTML mail
//! templates/<lang>/<text>/<reader>/{subject.txt,body.txt,body.html,sms.txt}      reader: staff, resident, relative
//! templates/<lang>/notice/{body.txt,body.html}            the notice sheet
//! templates/both/digest/{subject.txt,body.txt,body.html}  the daily digest, both languages beside each other
//! templates/both/calendar_changed/{subject.txt,body.txt}  what a new calendar has moved, likewise
//! ```
//!
//! Loading compiles every file, checks every name in it and renders it with samples; all problems come out at once. A mail says the
//! same thing in both languages, the reader's first; its HTML is made from the text unless a `body.html` stands beside it. Values that
//! an SMS or a subject may not say are not given to them. Rendering does no I/O and stops after a fixed amount of work.

mod blocks;
mod check;
mod coded;
mod files;
mod samples;
mod source;
mod values;

pub use coded::{Coded, CodedProblem};
pub use values::{Brief, Call, Detail, Message, Reader, Words};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::config::BANNED;
use crate::config::problem::Problem;
use crate::domain::digest::Digest;
use crate::domain::ids::TextId;
use crate::domain::ladder::{Audience, Way};
use crate::domain::notice::Sheet;
use crate::domain::person::Language;
use crate::domain::recount::Letter;
use files::{Part, Slot};
use samples::Samples;

/// Longest SMS without its signature, in characters; gateways refuse longer ones.
pub const SMS_MAX: usize = 500;
/// Work one rendering may do. A unit is an instruction, or 64 bytes that a template makes or writes, so it bounds the memory as well
/// (to 32 MB). The longest digest takes less than half of it, any other text less than a hundredth.
const FUEL: u64 = 500_000;
/// Longest text that comes out, in bytes; the longest digest takes an eighth of it.
const TEXT_MAX: usize = 4 << 20;
const LAYOUT: &str = "layout.html";
/// Between the two languages of a plain mail.
const RULE: &str = "\n────────────────────\n\n";

/// A rendered message; a way takes what it needs of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    pub subject: Option<String>,
    pub body: Option<String>,
    pub html: Option<String>,
    /// Without the signature.
    pub sms: Option<String>,
    /// The SMS for clouds that take no free text.
    pub coded: Vec<Coded>,
}

/// Why a text could not be rendered. Names the file and the line, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("templates/{file}:{line}: {what}")]
    Template { file: String, line: usize, what: String },
    #[error("there is no text templates/{file}")]
    Missing { file: String },
    #[error("templates/{file} comes out with {found} bytes; at most {TEXT_MAX} can be sent")]
    TooLarge { file: String, found: usize },
    #[error("the SMS of text \"{text}\" holds a word that gateways ban")]
    Banned { text: TextId },
    #[error("the SMS of text \"{text}\" has {found} characters; at most {SMS_MAX} can be sent")]
    TooLong { text: TextId, found: usize },
}

/// Every template, compiled and checked.
pub struct Texts {
    environment: Environment<'static>,
    /// The files that are whole.
    whole: BTreeSet<Slot>,
    /// A fingerprint of each text over all its files.
    sums: BTreeMap<TextId, String>,
}

impl Texts {
    /// Reads everything below `dir`. What is broken is named and left out; the rest can be used.
    pub fn load(dir: &Path) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let sources = files::read(dir, &mut problems);
        let mut texts = Self {
            environment: environment(),
            whole: BTreeSet::new(),
            sums: sums(&sources),
        };
        let samples = Samples::new();
        for (slot, source) in &sources {
            match check::source(&mut texts.environment, slot, source, &samples) {
                Ok(()) => drop(texts.whole.insert(slot.clone())),
                Err(found) => problems.extend(found),
            }
        }
        (texts, problems)
    }

    /// Every text with a fingerprint of its files, so that a changed one is noticed.
    pub fn sums(&self) -> &BTreeMap<TextId, String> {
        &self.sums
    }

    /// Whether an audience can be written to by this way, in every language.
    pub fn has(&self, text: &TextId, way: Way, audience: Audience) -> bool {
        let reader = Reader::of(audience);
        let parts: &[Part] = match way {
            Way::Email => &[Part::Subject, Part::Body],
            Way::Sms => &[Part::Sms],
            Way::Phone => return true,
        };
        let whole = |language, part| self.whole.contains(&Slot::text(language, text, reader, part));
        Language::ALL
            .into_iter()
            .all(|language| parts.iter().all(|part| whole(language, *part)))
    }

    /// What `way` needs of a text.
    pub fn render(&self, text: &TextId, message: &Message, way: Way) -> Result<Rendered, RenderError> {
        match way {
            Way::Email => self.render_mail(text, message),
            Way::Sms | Way::Phone => Ok(Rendered {
                sms: Some(self.render_sms(text, message)?),
                ..Rendered::default()
            }),
        }
    }

    fn render_sms(&self, text: &TextId, message: &Message) -> Result<String, RenderError> {
        let slot = Slot::text(message.language, text, message.reader, Part::Sms);
        let said = self.fill(&slot, brief(message, message.language))?;
        let sms = sms_line(&said, message.language);
        let found = sms.chars().count();
        if found > SMS_MAX {
            return Err(RenderError::TooLong {
                text: text.clone(),
                found,
            });
        }
        if BANNED.iter().any(|word| sms.contains(word)) {
            return Err(RenderError::Banned { text: text.clone() });
        }
        Ok(sms)
    }

    fn render_mail(&self, text: &TextId, message: &Message) -> Result<Rendered, RenderError> {
        let languages = match message.language {
            Language::Chinese => [Language::Chinese, Language::English],
            Language::English => [Language::English, Language::Chinese],
        };
        let slot = |language, part| Slot::text(language, text, message.reader, part);
        let subject = self.fill(&slot(languages[0], Part::Subject), brief(message, languages[0]))?;
        let subject = one_line(&subject);
        let mut bodies = Vec::with_capacity(2);
        let mut parts = Vec::with_capacity(2);
        for language in languages {
            let values = full(message, language);
            let body = paragraphs(&self.fill(&slot(language, Part::Body), values.clone())?);
            let own = slot(language, Part::Html);
            let html = if self.whole.contains(&own) {
                Value::from_safe_string(self.fill(&own, values)?)
            } else {
                Value::from("")
            };
            let blocks = value(blocks::of(&body));
            parts.push(context! { lang => language.tag(), blocks, html });
            bodies.push(body);
        }
        let lang = languages[0].tag();
        let html = self.fill(&Slot::Layout, context! { lang, subject => subject.as_str(), parts })?;
        Ok(Rendered {
            subject: Some(subject),
            body: Some(bodies.join(RULE)),
            html: Some(html),
            ..Rendered::default()
        })
    }

    /// The digest as a mail, both languages beside each other.
    pub fn render_digest(&self, digest: &Digest) -> Result<Rendered, RenderError> {
        let values = check::digest_values(digest);
        let subject = self.fill(&Slot::Digest(Part::Subject), values.clone())?;
        Ok(Rendered {
            subject: Some(one_line(&subject)),
            body: Some(paragraphs(&self.fill(&Slot::Digest(Part::Body), values.clone())?)),
            html: Some(self.fill(&Slot::Digest(Part::Html), values)?),
            ..Rendered::default()
        })
    }

    /// What a calendar has moved, as a mail to the owner of the cases.
    pub fn render_letter(&self, letter: &Letter) -> Result<Rendered, RenderError> {
        let values = check::letter_values(letter);
        let subject = one_line(&self.fill(&Slot::CalendarChanged(Part::Subject), values.clone())?);
        let body = paragraphs(&self.fill(&Slot::CalendarChanged(Part::Body), values)?);
        let lang = Language::Chinese.tag();
        let parts = vec![context! { lang, blocks => value(blocks::of(&body)), html => "" }];
        let html = self.fill(&Slot::Layout, context! { lang, subject => subject.as_str(), parts })?;
        Ok(Rendered {
            subject: Some(subject),
            body: Some(body),
            html: Some(html),
            ..Rendered::default()
        })
    }

    /// The notice sheet: plain text and HTML.
    pub fn render_notice(&self, sheet: &Sheet, language: Language) -> Result<Rendered, RenderError> {
        let values = check::notice_values(sheet, language);
        let slot = |part| Slot::Notice(language, part);
        Ok(Rendered {
            body: Some(paragraphs(&self.fill(&slot(Part::Body), values.clone())?)),
            html: Some(self.fill(&slot(Part::Html), values)?),
            ..Rendered::default()
        })
    }

    fn fill(&self, slot: &Slot, values: Value) -> Result<String, RenderError> {
        let file = slot.path();
        if !self.whole.contains(slot) {
            return Err(RenderError::Missing { file });
        }
        let template = self.environment.get_template(&file);
        let filled = template.and_then(|template| template.render(values));
        match filled {
            Ok(text) if text.len() > TEXT_MAX => Err(RenderError::TooLarge {
                file,
                found: text.len(),
            }),
            Ok(text) => Ok(text),
            // Only the kind of the error: its detail can repeat a value.
            Err(error) => Err(RenderError::Template {
                file,
                line: error.line().unwrap_or(1),
                what: error.kind().to_string(),
            }),
        }
    }
}

fn sums(sources: &BTreeMap<Slot, String>) -> BTreeMap<TextId, String> {
    let mut hashes: BTreeMap<TextId, Sha256> = BTreeMap::new();
    for (slot, source) in sources {
        if let Slot::Text { text, .. } = slot {
            let hash = hashes.entry(text.clone()).or_default();
            // The lengths keep neighbours apart.
            for part in [slot.path().as_str(), source] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
    }
    let sum = |(text, hash): (TextId, Sha256)| (text, hex::encode(hash.finalize()));
    hashes.into_iter().map(sum).collect()
}

/// No loader, so nothing outside the folder can be included; no way round the escaping of HTML; no way to print all values.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.remove_filter("safe");
    environment.remove_global("debug");
    environment
}

fn value<T: Serialize>(facts: T) -> Value {
    Value::from(Serde(facts))
}

fn brief(message: &Message, language: Language) -> Value {
    value(&message.words(language).brief)
}

fn full(message: &Message, language: Language) -> Value {
    let words = message.words(language);
    context! { ..value(&words.brief), ..value(&words.detail) }
}

/// A header holds one line, whatever stands in the values.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without white space at the ends of lines, and never two empty lines in a row.
fn paragraphs(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy
}

/// One line without controls; the brackets of the signature and the star, which gateways refuse in a text, become harmless.
fn sms_line(text: &str, language: Language) -> String {
    let gap = match language {
        Language::Chinese => "",
        Language::English => " ",
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = lines.join(gap).replace('【', "[").replace('】', "]").replace('★', "*");
    line.replace(is_unfit, " ")
}

/// What a phone or a gateway could take for something else than a letter: controls, the other line ends, marks that turn reading round.
fn is_unfit(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}
