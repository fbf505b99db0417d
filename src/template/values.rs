//! The values a text may use, in two rings: what may be said anywhere, and what only a mail may say.
//!
//! An SMS and a subject are rendered from [`Brief`] alone, so that no template can say in public what belongs in a closed letter: the
//! value is not there. Nothing here holds an illness, a flag, an income, a home address, a full name, a request or a note; a relative
//! who may know only dates gets a message without the matter. Whatever is not known is an empty text, never absent.

use serde::Serialize;

use crate::domain::ladder::Audience;
use crate::domain::person::Language;

/// For whom a text is written; each has its own folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    Staff,
    Resident,
    Relative,
}

impl Reader {
    pub const ALL: [Self; 3] = [Self::Staff, Self::Resident, Self::Relative];

    /// The folder below the text.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Resident => "resident",
            Self::Relative => "relative",
        }
    }

    pub fn of(audience: Audience) -> Self {
        match audience {
            Audience::Resident => Self::Resident,
            Audience::Relatives => Self::Relative,
            _ => Self::Staff,
        }
    }
}

/// One message, in both languages.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub reader: Reader,
    /// The reader's language: an SMS is in it, a mail begins with it.
    pub language: Language,
    pub zh: Words,
    pub en: Words,
}

impl Message {
    pub(super) fn words(&self, language: Language) -> &Words {
        match language {
            Language::Chinese => &self.zh,
            Language::English => &self.en,
        }
    }
}

/// The values in one language.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Words {
    pub brief: Brief,
    pub detail: Detail,
}

/// What any message may say.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Brief {
    /// 沈女士 / Ms Shen: the reader, for residents and relatives; not in subjects.
    pub greeting: String,
    /// 证明补办: the neutral name of the matter. Empty for relatives who may know only dates.
    pub matter: String,
    /// The number of the case; empty for relatives.
    pub case: String,
    /// `d1`, `c2`, `a3`.
    pub item: String,
    /// The kind of item, as ladders name it: `deadline`, `callback`, `escort` …
    pub kind: &'static str,
    /// The same in a word or two: 期限, 回电, 陪同, 催办 …
    pub about: String,
    /// The milestone that the rung counts from, as ladders name it.
    pub milestone: &'static str,
    /// 1月30日(周日): the last safe day, the promised day or the day of the appointment.
    pub day: String,
    /// 9点30分, when a time was agreed.
    pub time: String,
    /// Day and time in one; 今天下午 for a call of this afternoon.
    pub when: String,
    /// 还剩5天(3个工作日)
    pub left: String,
    /// At most three things to bring, of those that tell nothing.
    pub bring: Vec<String>,
    /// There is more to bring than `bring` names.
    pub bring_more: bool,
    /// 陶然亭街道政务服务中心
    pub unit: String,
    /// 陶然亭
    pub unit_short: String,
    /// The hall's line, the only number residents get.
    pub hall_phone: String,
    /// What is missed is lost for ever.
    pub irrecoverable: bool,
    /// Advice only: never called expired.
    pub soft: bool,
    /// The period is over.
    pub expired: bool,
    /// 估算: counted from the earliest day of a range.
    pub estimated: bool,
    /// 暂定: a calendar that is not published yet can move it.
    pub provisional: bool,
    /// A bereaved or sensitive household: no cheerful words.
    pub gentle: bool,
}

/// What a mail may say besides.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Detail {
    /// 沈**: the resident, for staff.
    pub who: String,
    /// The matter as staff call it; for staff.
    pub matter_full: String,
    /// The kind of deadline, e.g. 火化证明补办; for staff.
    pub deadline: String,
    /// From what the deadline counts, e.g. 火化日期; for staff.
    pub trigger: String,
    /// The last day of the period in law; for staff.
    pub legal_end: String,
    /// The other way when it is too late; for staff.
    pub alternative: String,
    /// How the dates were found, step by step; for staff.
    pub derivation: Vec<String>,
    /// What the item is, in full; for staff.
    pub title: String,
    /// What staff should know at a glance; for staff.
    pub remark: String,
    /// The legs of an escort with their times; for staff.
    pub legs: Vec<String>,
    /// What the other side wants to see, for replies; for staff.
    pub list: Vec<String>,
    /// What other offices have said so far, the last first; for staff.
    pub hops: Vec<String>,
    /// What an appointment is for, in words that may be told.
    pub what: String,
    /// Everything to bring.
    pub bring_all: Vec<String>,
    /// The papers of the matter, each with who issues it.
    pub materials: Vec<String>,
    pub office: String,
    pub office_address: String,
    pub office_route: String,
    pub office_contact: String,
    pub office_phone: String,
    pub office_hours: String,
    /// How often a promised call was tried.
    pub tries: usize,
    /// Calls to make, for staff.
    pub calls: Vec<Call>,
    /// Why this message came; for staff.
    pub reason: String,
    /// The reader's name in `people.toml`, for the commands; for staff.
    pub me: String,
}

/// A call that a member of staff makes instead of a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Call {
    /// 沈** or 沈**(女儿)
    pub who: String,
    /// 139****1234
    pub phone: String,
    /// Why it is not written.
    pub why: String,
    /// The task's id, for `task_done`.
    pub task: String,
}
