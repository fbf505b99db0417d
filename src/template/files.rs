//! Which files belong below `templates/`, and what each is for. Reads them all; anything else there is a problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::config::problem::{self, Problem};
use crate::config::text_of;
use crate::domain::ids::TextId;
use crate::domain::person::Language;
use crate::domain::plan::decide::CALL_TASK;

use super::LAYOUT;
use super::values::Reader;
use crate::domain::text::{Said, said};

/// What a template makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Subject,
    Body,
    Html,
    Sms,
}

impl Part {
    pub(super) const ALL: [Self; 4] = [Self::Subject, Self::Body, Self::Html, Self::Sms];
    const LETTER: [Self; 3] = [Self::Subject, Self::Body, Self::Html];
    const PLAIN_LETTER: [Self; 2] = [Self::Subject, Self::Body];
    const SHEET: [Self; 2] = [Self::Body, Self::Html];

    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Subject => "subject.txt",
            Self::Body => "body.txt",
            Self::Html => "body.html",
            Self::Sms => "sms.txt",
        }
    }
}

/// The place of one template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Layout,
    Digest(Part),
    /// To the owners of cases, when a calendar has moved dates.
    CalendarChanged(Part),
    Notice(Language, Part),
    Text {
        language: Language,
        text: TextId,
        reader: Reader,
        part: Part,
    },
}

impl Slot {
    pub(super) fn text(language: Language, text: &TextId, reader: Reader, part: Part) -> Self {
        Self::Text {
            language,
            text: text.clone(),
            reader,
            part,
        }
    }

    /// Below `templates/`; also the name of the compiled template.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Layout => LAYOUT.to_owned(),
            Self::Digest(part) => format!("{BOTH}/{DIGEST}/{}", part.file()),
            Self::CalendarChanged(part) => format!("{BOTH}/{CALENDAR_CHANGED}/{}", part.file()),
            Self::Notice(language, part) => format!("{}/{NOTICE}/{}", language.tag(), part.file()),
            Self::Text {
                language,
                text,
                reader,
                part,
            } => format!("{}/{text}/{}/{}", language.tag(), reader.folder(), part.file()),
        }
    }
}

/// The folder of texts that hold both languages at once.
const BOTH: &str = "both";
const DIGEST: &str = "digest";
pub(super) const CALENDAR_CHANGED: &str = "calendar_changed";
const NOTICE: &str = "notice";
/// The documentation of the folder.
const README: &str = "README.md";

/// Reads every template. Names that have no place, files that a language or a way lacks, and unreadable files become problems.
pub(super) fn read(dir: &Path, heard: &mut Vec<Problem>) -> BTreeMap<Slot, String> {
    let mut walk = Walk {
        dir,
        heard,
        found: BTreeMap::new(),
    };
    let Some(top) = walk.names("") else {
        return BTreeMap::new();
    };
    for name in top {
        match name.as_str() {
            README => {}
            LAYOUT => walk.take(Slot::Layout),
            BOTH => walk.both(),
            name => match Language::ALL.into_iter().find(|language| language.tag() == name) {
                Some(language) => walk.language(language),
                None => walk.stray(
                    name,
                    &[LAYOUT, BOTH, Language::Chinese.tag(), Language::English.tag(), README],
                ),
            },
        }
    }
    let found = walk.found;
    missing(&found, heard);
    found
}

struct Walk<'a> {
    dir: &'a Path,
    heard: &'a mut Vec<Problem>,
    found: BTreeMap<Slot, String>,
}

impl Walk<'_> {
    fn both(&mut self) {
        for name in self.names(BOTH).unwrap_or_default() {
            let folder = format!("{BOTH}/{name}");
            match name.as_str() {
                DIGEST => self.parts(&folder, &Part::LETTER, &Slot::Digest),
                CALENDAR_CHANGED => self.parts(&folder, &Part::PLAIN_LETTER, &Slot::CalendarChanged),
                _ => self.stray(&folder, &[CALENDAR_CHANGED, DIGEST]),
            }
        }
    }

    fn language(&mut self, language: Language) {
        let tag = language.tag();
        for name in self.names(tag).unwrap_or_default() {
            let folder = format!("{tag}/{name}");
            if name == NOTICE {
                self.parts(&folder, &Part::SHEET, &|part| Slot::Notice(language, part));
                continue;
            }
            if !is_name(&name) {
                self.stray(&folder, &["a folder named with a-z, 0-9 and _"]);
                continue;
            }
            let text = TextId::from(name);
            for reader in self.names(&folder).unwrap_or_default() {
                let place = format!("{folder}/{reader}");
                match Reader::ALL.into_iter().find(|known| known.folder() == reader) {
                    Some(reader) => {
                        let slot = |part| Slot::text(language, &text, reader, part);
                        self.parts(&place, &Part::ALL, &slot);
                    }
                    None => self.stray(&place, &Reader::ALL.map(Reader::folder)),
                }
            }
        }
    }

    fn parts(&mut self, folder: &str, allowed: &[Part], slot: &dyn Fn(Part) -> Slot) {
        for name in self.names(folder).unwrap_or_default() {
            match allowed.iter().find(|part| part.file() == name) {
                Some(part) => self.take(slot(*part)),
                None => {
                    let known: Vec<&str> = allowed.iter().map(|part| part.file()).collect();
                    self.stray(&format!("{folder}/{name}"), &known);
                }
            }
        }
    }

    fn take(&mut self, slot: Slot) {
        let name = format!("templates/{}", slot.path());
        // `templates` itself lies in the configuration directory, which problems are told relative to.
        let root = self.dir.parent().unwrap_or(self.dir);
        if let Some(text) = text_of(root, &name, self.heard) {
            self.found.insert(slot, text);
        }
    }

    /// The names in a folder, in order, without what editors leave behind.
    fn names(&mut self, folder: &str) -> Option<Vec<String>> {
        let entries = match fs::read_dir(self.dir.join(folder)) {
            Ok(entries) => entries,
            Err(error) => {
                let what = said!("文件夹无法读取({})", "the folder cannot be read ({})", error.kind());
                self.heard.push(at_file(
                    folder,
                    what,
                    said!(
                        "这里应是一个文件夹,参照随附的 config/",
                        "a folder is needed here, as in the shipped config/"
                    ),
                ));
                return None;
            }
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.') && !name.ends_with('~'))
            .collect();
        names.sort();
        Some(names)
    }

    fn stray(&mut self, path: &str, known: &[&str]) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let allowed = problem::allowed(name, known.iter().copied());
        self.heard.push(at_file(
            path,
            said!("这里不应有“{name}”", "nothing called \"{name}\" belongs here"),
            allowed,
        ));
    }
}

fn is_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(fine)
}

/// What has to be there: the frame, the digest, the letter on moved dates, the notice sheet, the text that xixin sends by itself; and of every text the same files
/// in every language, a subject with every body.
fn missing(found: &BTreeMap<Slot, String>, heard: &mut Vec<Problem>) {
    let mut need: BTreeSet<(Slot, Said)> = BTreeSet::new();
    let shipped = || said!("请从随附的 config/ 复制", "copy it from the shipped config/");
    need.insert((Slot::Layout, shipped()));
    need.extend(Part::LETTER.map(|part| (Slot::Digest(part), shipped())));
    need.extend(Part::PLAIN_LETTER.map(|part| (Slot::CalendarChanged(part), shipped())));
    for language in Language::ALL {
        need.extend(Part::SHEET.map(|part| (Slot::Notice(language, part), shipped())));
        let call_task = |part| Slot::text(language, &TextId::from(CALL_TASK), Reader::Staff, part);
        need.extend([Part::Subject, Part::Body, Part::Sms].map(|part| (call_task(part), shipped())));
    }
    for slot in found.keys() {
        let Slot::Text { text, reader, part, .. } = slot else {
            continue;
        };
        for language in Language::ALL {
            let beside = |part| Slot::text(language, text, *reader, part);
            need.insert((
                beside(*part),
                said!("每种语言都要有同样的文件", "every language needs the same files"),
            ));
            match part {
                Part::Subject => {
                    need.insert((beside(Part::Body), said!("有主题就要有正文", "a subject needs a body")));
                }
                Part::Body | Part::Html => {
                    need.insert((beside(Part::Subject), said!("邮件要有主题", "a mail needs a subject")));
                    need.insert((
                        beside(Part::Body),
                        said!("邮件要有纯文本正文", "a mail needs its plain text"),
                    ));
                }
                Part::Sms => {}
            }
        }
    }
    let mut told = BTreeSet::new();
    for (slot, why) in need {
        if !found.contains_key(&slot) && told.insert(slot.clone()) {
            heard.push(at_file(&slot.path(), said!("缺少这个文件", "the file is missing"), why));
        }
    }
}

fn at_file(path: &str, what: Said, allowed: Said) -> Problem {
    Problem::of_file(format!("templates/{path}").trim_end_matches('/'), what, allowed)
}
