//! Checks one template: it compiles, names only values it may name, says nothing literally that must not be said, and renders with
//! every sample. All problems of a file are found at once, each with its line and column.

use std::collections::BTreeSet;

use minijinja::{Environment, Error, ErrorKind, Value, context};

use super::files::{Part, Slot};
use super::samples::Samples;
use super::source::{mobile_number, own_line_tags, words_in_tags};
use super::values::{Message, Reader};
use super::{FUEL, SMS_MAX, TEXT_MAX, blocks, brief, full, one_line, samples, sms_line, value};
use crate::config::BANNED;
use crate::config::problem::{self, Problem};
use crate::domain::digest::Digest;
use crate::domain::notice::Sheet;
use crate::domain::person::Language;
use crate::domain::recount::Letter;
use crate::domain::text::{Said, TELLING, day_words, said};

/// Names that no text may use, whatever values there are: a guess at one of them deserves a plain answer.
const PRIVATE: [&str; 24] = [
    "address",
    "age",
    "birthday",
    "born",
    "diagnosis",
    "disability",
    "family",
    "flags",
    "full_name",
    "home_address",
    "id_number",
    "illness",
    "income",
    "listening_note",
    "mobile",
    "name",
    "note",
    "notes",
    "phone",
    "request",
    "resident_name",
    "route",
    "staff_mobile",
    "staff_phone",
];
/// Words that hurt in a house of mourning.
const CHEERFUL: [&str; 10] = [
    "恭喜",
    "祝您",
    "愉快",
    "快乐",
    "喜庆",
    "开心",
    "高兴",
    "Congratulations",
    "happy",
    "Happy",
];
/// Longest subject, in characters; mail programs show less.
const SUBJECT_MAX: usize = 120;
/// Work that all samples of one template may take together: a check answers at once, whatever stands in the file.
const SAMPLES_FUEL: u64 = 2 * FUEL;

/// What templates may call.
const FUNCTIONS: [&str; 4] = ["range", "dict", "namespace", "loop"];

/// Compiles a template into the environment, or says everything that is wrong with it.
pub(super) fn source(
    environment: &mut Environment<'static>,
    slot: &Slot,
    source: &str,
    samples: &Samples,
) -> Result<(), Vec<Problem>> {
    let file = File { slot, source, samples };
    if let Err(error) = environment.add_template_owned(slot.path(), own_line_tags(source)) {
        return Err(vec![file.failure(&error)]);
    }
    let mut problems = file.literals();
    problems.extend(file.names(environment));
    if problems.is_empty() {
        problems.extend(file.rendered(environment));
    }
    if problems.is_empty() {
        return Ok(());
    }
    environment.remove_template(&slot.path());
    Err(problems)
}

/// The values of a digest.
pub(super) fn digest_values(digest: &Digest) -> Value {
    let date = digest.date;
    context! {
        day => value(day_words(date)),
        through_day => value(day_words(digest.through)),
        month => date.month(),
        day_of_month => date.day(),
        tasks => digest.tasks(),
        urgent => digest.urgent(),
        is_empty => digest.is_empty(),
        before_days_off => digest.before_days_off(),
        ..value(digest)
    }
}

/// The values of a letter on moved dates.
pub(super) fn letter_values(letter: &Letter) -> Value {
    context! {
        count => letter.lines.len() + letter.more,
        sooner => letter.lines.iter().filter(|line| line.sooner).count(),
        first_case => letter.lines.first().map(|line| line.case.as_str()),
        ..value(letter)
    }
}

/// The values of a notice sheet.
pub(super) fn notice_values(sheet: &Sheet, language: Language) -> Value {
    context! { lang => language.tag(), ..value(sheet) }
}

struct File<'a> {
    slot: &'a Slot,
    source: &'a str,
    samples: &'a Samples,
}

impl File<'_> {
    /// Words and signs that must not stand in the template itself.
    fn literals(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut refuse = |words: &[&str], what: Said, fix: Said| {
            for word in words {
                if let Some(at) = self.source.find(word) {
                    let what = Said::new(format!("“{word}”{}", what.zh), format!("\"{word}\" {}", what.en));
                    found.push(self.at(at, what, fix.clone()));
                }
            }
        };
        if let Slot::Text { reader, part, .. } = self.slot {
            if *part == Part::Sms {
                refuse(
                    &["【", "】"],
                    said!(
                        "用于签名,由渠道自动加上",
                        "is for the signature, which the channel adds"
                    ),
                    said!("请写「」,或不写", "write 「」, or nothing"),
                );
                refuse(
                    &["★"],
                    said!("会被网关拒绝", "is refused by gateways"),
                    said!("请删去", "leave it out"),
                );
                refuse(
                    &BANNED,
                    said!("会被网关拒绝", "is refused by gateways"),
                    said!("请用中性的词,如“证明补办”", "use a neutral word, such as 证明补办"),
                );
            }
            if *part == Part::Sms || *part == Part::Subject {
                refuse(
                    &TELLING,
                    said!("会泄露私事", "gives a private matter away"),
                    said!("请用中性的词,或删去", "use a neutral word, or leave it out"),
                );
            }
            if *reader != Reader::Staff {
                refuse(
                    &CHEERFUL,
                    said!("会伤害丧亲的人", "hurts in a house of mourning"),
                    said!(
                        "请写得平静;这些文字也会发给丧亲家庭",
                        "write calmly; these texts go to bereaved households too"
                    ),
                );
                if let Some(at) = mobile_number(self.source) {
                    let what = said!("这里有个人手机号", "a personal mobile number stands here");
                    found.push(self.at(
                        at,
                        what,
                        said!(
                            "请写大厅电话: {{{{ hall_phone }}}}",
                            "give the hall's line: {{{{ hall_phone }}}}"
                        ),
                    ));
                }
            }
        }
        for (word, range) in words_in_tags(self.source) {
            if word == "autoescape" {
                found.push(self.at(
                    range.start,
                    said!(
                        "\"autoescape\" 会关掉转义",
                        "\"autoescape\" would switch the escaping off"
                    ),
                    said!("请删去", "leave it out"),
                ));
            }
        }
        found
    }

    /// Names that the template uses and may not.
    fn names(&self, environment: &Environment<'static>) -> Vec<Problem> {
        let Ok(template) = environment.get_template(&self.slot.path()) else {
            return Vec::new();
        };
        let known = self.known();
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        let strange = |name: &&String| !known.contains(*name) && !FUNCTIONS.contains(&name.as_str());
        used.iter()
            .filter(strange)
            .map(|name| self.strange(name, &known))
            .collect()
    }

    fn strange(&self, name: &str, known: &BTreeSet<String>) -> Problem {
        let place = words_in_tags(self.source).into_iter().find(|(word, _)| *word == name);
        let at = place.map_or(0, |(_, range)| range.start);
        let what = match self.slot {
            Slot::Text { part: Part::Sms, .. } if is_sensitive(name) => {
                said!(
                    "“{name}”涉及隐私: 短信不能写",
                    "\"{name}\" is sensitive: an SMS may not say it"
                )
            }
            Slot::Text {
                part: Part::Subject, ..
            } if is_sensitive(name) || name == "greeting" => {
                said!(
                    "“{name}”涉及隐私: 主题不能写",
                    "\"{name}\" is sensitive: a subject may not say it"
                )
            }
            _ if PRIVATE.contains(&name) => said!(
                "“{name}”是个人信息: 任何信息都不能写",
                "\"{name}\" is private: no message may say it"
            ),
            _ => said!("没有值“{name}”", "there is no value \"{name}\""),
        };
        self.at(at, what, problem::allowed(name, known.iter().map(String::as_str)))
    }

    /// The values a template of this kind is given.
    fn known(&self) -> BTreeSet<String> {
        let values = match self.slot {
            Slot::Layout => samples::layout(&[]),
            Slot::Digest(_) => digest_values(&samples::digests()[0]),
            Slot::CalendarChanged(_) => letter_values(&samples::letters()[0]),
            Slot::Notice(language, _) => notice_values(&samples::sheets()[0], *language),
            Slot::Text { language, part, .. } => {
                let message = Message::sample();
                match part {
                    Part::Sms | Part::Subject => brief(&message, *language),
                    Part::Body | Part::Html => full(&message, *language),
                }
            }
        };
        let mut names = keys(&values);
        if matches!(
            self.slot,
            Slot::Text {
                part: Part::Subject,
                ..
            }
        ) {
            names.remove("greeting");
        }
        names
    }

    /// What goes wrong with the samples; the first of its kind only. Too much work ends it: the other samples would take as long.
    fn rendered(&self, environment: &Environment<'static>) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        let mut left = SAMPLES_FUEL;
        for values in self.samples() {
            let filled = environment
                .get_template(&self.slot.path())
                .and_then(|template| template.render_captured(values));
            let found = match filled {
                Ok(filled) => {
                    let spent = filled.state().fuel_levels().map_or(0, |(spent, _)| spent);
                    left = left.saturating_sub(spent);
                    if left == 0 {
                        Some(self.endless(1))
                    } else {
                        self.result(filled.output())
                    }
                }
                Err(error) if error.kind() == ErrorKind::OutOfFuel => {
                    left = 0;
                    Some(self.endless(error.line().unwrap_or(1)))
                }
                Err(error) => Some(self.failure(&error)),
            };
            problems.extend(found.filter(|found| !problems.contains(found)));
            if left == 0 {
                break;
            }
        }
        problems
    }

    fn samples(&self) -> Vec<Value> {
        match self.slot {
            Slot::Layout => {
                let text = "沈女士您好:\n\n- 身份证\n\n    xixin case show 2026-000017\n";
                vec![samples::layout(&blocks::of(text)), samples::layout(&[])]
            }
            Slot::Digest(_) => samples::digests().iter().map(digest_values).collect(),
            Slot::CalendarChanged(_) => samples::letters().iter().map(letter_values).collect(),
            Slot::Notice(language, _) => {
                let sheets = samples::sheets();
                sheets.iter().map(|sheet| notice_values(sheet, *language)).collect()
            }
            Slot::Text {
                language, reader, part, ..
            } => {
                let sampled = self.samples.of(*reader, *language);
                match part {
                    Part::Sms | Part::Subject => sampled.brief.clone(),
                    Part::Body | Part::Html => sampled.full.clone(),
                }
            }
        }
    }

    /// What is wrong with a filled text.
    fn result(&self, text: &str) -> Option<Problem> {
        let say = |what: Said, fix: Said| Some(self.at(0, what, fix));
        if text.trim().is_empty() {
            return say(
                said!("填好后是空的", "the text comes out empty"),
                said!("用每个样例填写都要有内容", "it has to say something with every sample"),
            );
        }
        if text.len() > TEXT_MAX {
            let what = said!("填好后有{}字节", "the text comes out with {} bytes", text.len());
            return say(what, said!("可用: 最多 {TEXT_MAX}", "allowed: up to {TEXT_MAX}"));
        }
        match self.slot {
            Slot::Text {
                language,
                part: Part::Sms,
                ..
            } => {
                let found = sms_line(text, *language).chars().count();
                if found > SMS_MAX {
                    let what = said!("短信填好后有{found}个字", "the SMS comes out with {found} characters");
                    return say(what, said!("可用: 最多{SMS_MAX}个", "allowed: up to {SMS_MAX}"));
                }
            }
            Slot::Text {
                part: Part::Subject, ..
            }
            | Slot::Digest(Part::Subject)
            | Slot::CalendarChanged(Part::Subject) => {
                let found = one_line(text).chars().count();
                if found > SUBJECT_MAX {
                    let what = said!(
                        "主题填好后有{found}个字",
                        "the subject comes out with {found} characters"
                    );
                    return say(what, said!("可用: 最多{SUBJECT_MAX}个", "allowed: up to {SUBJECT_MAX}"));
                }
            }
            _ => {}
        }
        None
    }

    fn failure(&self, error: &Error) -> Problem {
        // The engine speaks English only.
        let why = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        let what = said!("模板有误: {why}", "{why}");
        let allowed = said!(
            "可用的值和例子见 templates/README.md",
            "see the values and the examples in templates/README.md"
        );
        self.in_line(error.line().unwrap_or(1), what, allowed)
    }

    fn endless(&self, line: usize) -> Problem {
        let what = said!(
            "模板运算太多,或中途文字太长",
            "the template does too much work, or makes too long a text on the way"
        );
        let fix = said!(
            "请去掉循环里的循环,以及在循环中越变越长的文字",
            "take loops within loops out, and texts that grow in a loop"
        );
        self.in_line(line, what, fix)
    }

    /// The engine gives a line; the column is where the first tag of that line begins.
    fn in_line(&self, line: usize, what: Said, allowed: Said) -> Problem {
        let text = self.source.lines().nth(line - 1).unwrap_or("");
        let tag = ["{{", "{%", "{#"].iter().filter_map(|tag| text.find(tag)).min();
        let col = text[..tag.unwrap_or(0)].chars().count() + 1;
        self.problem(line, col, what, allowed)
    }

    fn at(&self, offset: usize, what: Said, allowed: Said) -> Problem {
        let before = &self.source[..offset];
        let line = before.matches('\n').count() + 1;
        let col = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        self.problem(line, col, what, allowed)
    }

    fn problem(&self, line: usize, col: usize, what: Said, allowed: Said) -> Problem {
        Problem {
            line,
            col,
            ..Problem::of_file(&format!("templates/{}", self.slot.path()), what, allowed)
        }
    }
}

/// Private everywhere, or good for a closed letter only.
fn is_sensitive(name: &str) -> bool {
    let detail = value(&Message::sample().zh.detail);
    PRIVATE.contains(&name) || keys(&detail).contains(name)
}

fn keys(values: &Value) -> BTreeSet<String> {
    let names = values.try_iter().into_iter().flatten();
    names.map(|name| name.to_string()).collect()
}
