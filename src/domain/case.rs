//! The facts of a case: everything known, as one document. Nothing in it is derived and nothing is a plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{CaseId, ItemId, MatterId, OfficeId, PeriodId, PersonId, StaffId, UnitId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::Moment;
use crate::domain::period::Start;
use crate::domain::text::{Said, shown};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub id: CaseId,
    pub opened_at: Timestamp,
    pub party: Party,
    pub unit: UnitId,
    pub owner: StaffId,
    pub matter: MatterId,
    /// 诉求: what the resident asks for, in their words. Never leaves the case page.
    pub request: String,
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<PriorityLane>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<CaseFlag>,
    pub status: Status,
    /// Taken over from older records at this instant: what was due before it is history and is never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_at: Option<Timestamp>,
    /// Closed and taken up again, the last time at this instant: what was due meanwhile is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<Deadline>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callbacks: Vec<Callback>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub appointments: Vec<Appointment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// The number the next item gets. Numbers are never used twice.
    pub next_item: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Whose matter it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The resident, or the contact person of an enterprise.
    pub person: PersonId,
    /// The name of the enterprise; `None` for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<String>,
}

/// How the matter reached the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    #[default]
    WalkIn,
    Phone,
    Referral,
    Web,
    Email,
    Letter,
    HomeVisit,
    Import,
}

/// 优先办理: sorts first, with the reason and who granted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorityLane {
    pub reason: String,
    pub granted_by: StaffId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseFlag {
    /// 分外之事: accepted although it is not our job.
    OutOfScope,
    /// 须本人到场
    InPerson,
    /// 丧亲或情绪敏感: texts without cheerful words.
    SensitiveTone,
    /// 加急
    Expedite,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Status {
    Open,
    /// Nothing can be done here until somebody else has acted.
    Waiting {
        on: String,
        since: Timestamp,
    },
    Closed {
        at: Timestamp,
        by: StaffId,
        closing: Closing,
    },
}

/// 办结的方式
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum Closing {
    Done {
        outcome: String,
    },
    Withdrawn {
        reason: String,
    },
    Transferred {
        to: String,
    },
    /// 不予办理: only with a supervisor, a reason and another way.
    Refused {
        reason: String,
        alternative: String,
        approved_by: StaffId,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadline {
    pub id: ItemId,
    pub kind: PeriodId,
    pub trigger: Trigger,
    /// A date agreed or ordered by somebody, which replaces the computed end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_end: Option<Date>,
    /// Whose opening days count, when it is not the office of the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<OfficeId>,
    /// When the present trigger was entered.
    pub set_at: Timestamp,
    /// How often people have moved its date. A date that was moved back is told again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Mark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

/// 起算日: from when a period counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trigger {
    Known(Start),
    /// 估算: somewhere in this range; planned on the earliest bound.
    Range {
        from: Date,
        to: Date,
    },
    Unknown,
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(start) => start.fmt(f),
            Self::Range { from, to } => write!(f, "{from}..{to}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl std::str::FromStr for Trigger {
    type Err = String;

    /// The error is told in both languages, in one line.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "unknown" {
            return Ok(Self::Unknown);
        }
        let wrong = |part: &str| {
            let part = shown(part);
            format!(
                "“{part}”不是起算日,可写日期 2012-03-10、月份 2026-05、时刻 2026-02-14T16:30、范围 2012-03-01..2012-05-31 或 unknown / \
                 \"{part}\" is no trigger; allowed: a date 2012-03-10, a month 2026-05, a time 2026-02-14T16:30, a range \
                 2012-03-01..2012-05-31, or unknown"
            )
        };
        if let Some((from, to)) = text.split_once("..") {
            let day = |text: &str| text.trim().parse::<Date>().map_err(|_| wrong(text));
            let (from, to) = (day(from)?, day(to)?);
            return if from <= to {
                Ok(Self::Range { from, to })
            } else {
                Err(format!(
                    "范围的开始 {from} 晚于结束 {to},请对调 / the range starts on {from}, after its end {to}; swap them"
                ))
            };
        }
        text.parse().map(Self::Known).map_err(|_| wrong(text))
    }
}

impl TryFrom<String> for Trigger {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Trigger> for String {
    fn from(trigger: Trigger) -> Self {
        trigger.to_string()
    }
}

/// Who did it, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    pub at: Timestamp,
    pub by: StaffId,
}

/// "I have seen it": silences what asks for it until `until`, then asks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    pub at: Timestamp,
    pub by: StaffId,
    pub until: Timestamp,
    /// Why it may stay silent; empty when nothing was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// 承诺回电: somebody told a resident that they would hear from the hall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    pub id: ItemId,
    pub promised_at: Timestamp,
    /// Who promised, and so who calls.
    pub by: StaffId,
    /// What was promised, in the resident's words.
    pub words: String,
    pub due: Due,
    pub set_at: Timestamp,
    /// How often people have moved its date. A date that was moved back is told again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Mark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

/// A day, or an instant when a time was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    Day(Date),
    At(Timestamp),
}

impl From<Due> for Moment {
    fn from(due: Due) -> Self {
        match due {
            Due::Day(day) => Self::Day(day),
            Due::At(at) => Self::Instant(at),
        }
    }
}

/// One try at reaching the resident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    pub at: Timestamp,
    pub by: StaffId,
    pub result: AttemptResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    Reached,
    NoAnswer,
    WrongNumber,
    /// The resident asked to be called at another time.
    CallLater,
}

impl AttemptResult {
    pub fn said(self) -> Said {
        match self {
            Self::Reached => Said::new("接通", "reached"),
            Self::NoAnswer => Said::new("无人接听", "no answer"),
            Self::WrongNumber => Said::new("号码不对", "wrong number"),
            Self::CallLater => Said::new("约定再打", "asked to be called later"),
        }
    }
}

impl ContactKind {
    pub fn said(self) -> Said {
        match self {
            Self::Phone => Said::new("电话", "phone call"),
            Self::Meeting => Said::new("面谈", "meeting"),
            Self::HomeVisit => Said::new("上门", "home visit"),
            Self::Sms => Said::new("短信", "SMS"),
            Self::Email => Said::new("邮件", "e-mail"),
            Self::Letter => Said::new("信件", "letter"),
        }
    }
}

impl CaseFlag {
    pub fn name(self) -> &'static str {
        match self {
            Self::OutOfScope => "out_of_scope",
            Self::InPerson => "in_person",
            Self::SensitiveTone => "sensitive_tone",
            Self::Expedite => "expedite",
        }
    }
}

/// 预约: agreed with a third party, never moved by software.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appointment {
    pub id: ItemId,
    /// What for, in words that may be told.
    pub what: String,
    pub office: OfficeId,
    pub start: Timestamp,
    pub end: Timestamp,
    /// Who goes along or prepares it.
    pub with: StaffId,
    /// What the resident should bring, at most three things are told by SMS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bring: Vec<String>,
    pub set_at: Timestamp,
    /// How often people have moved its date. A date that was moved back is told again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: u32,
    pub state: AppointmentState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum AppointmentState {
    Booked,
    Attended { at: Timestamp, by: StaffId },
    Cancelled { at: Timestamp, by: StaffId, reason: String },
}

/// 联系记录: one contact, with its direction: it matters who called whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    pub at: Timestamp,
    pub by: StaffId,
    pub direction: Direction,
    pub kind: ContactKind,
    /// Private, like the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The resident turned to us.
    In,
    /// We turned to the resident.
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactKind {
    Phone,
    Meeting,
    HomeVisit,
    Sms,
    Email,
    Letter,
}

impl ContactKind {
    /// In words. A meeting has no direction.
    fn name(self, direction: Direction) -> Said {
        let (zh, en) = match (self, direction) {
            (Self::Phone, Direction::In) => ("来电", "calls from them"),
            (Self::Phone, Direction::Out) => ("去电", "calls from us"),
            (Self::Meeting, _) => ("面谈", "meetings"),
            (Self::HomeVisit, _) => ("上门", "home visits"),
            (Self::Sms, Direction::In) => ("来短信", "SMS from them"),
            (Self::Sms, Direction::Out) => ("发短信", "SMS from us"),
            (Self::Email, Direction::In) => ("来邮件", "e-mails from them"),
            (Self::Email, Direction::Out) => ("发邮件", "e-mails from us"),
            (Self::Letter, Direction::In) => ("来信", "letters from them"),
            (Self::Letter, Direction::Out) => ("去信", "letters from us"),
        };
        Said::new(zh, en)
    }

    /// Two sides meet, whoever asked for it.
    fn has_direction(self) -> bool {
        !matches!(self, Self::Meeting | Self::HomeVisit)
    }
}

/// One followable item of a case, whatever its kind.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    Deadline(&'a Deadline),
    Callback(&'a Callback),
    Appointment(&'a Appointment),
}

impl<'a> Item<'a> {
    pub fn id(&self) -> &'a ItemId {
        match self {
            Self::Deadline(item) => &item.id,
            Self::Callback(item) => &item.id,
            Self::Appointment(item) => &item.id,
        }
    }

    pub fn kind(&self) -> ItemKind {
        match self {
            Self::Deadline(_) => ItemKind::Deadline,
            Self::Callback(_) => ItemKind::Callback,
            Self::Appointment(_) => ItemKind::Appointment,
        }
    }

    /// When its present date was entered: what would have been reminded of before then is late.
    pub fn set_at(&self) -> Timestamp {
        match self {
            Self::Deadline(item) => item.set_at,
            Self::Callback(item) => item.set_at,
            Self::Appointment(item) => item.set_at,
        }
    }

    pub fn moves(&self) -> u32 {
        match self {
            Self::Deadline(item) => item.moves,
            Self::Callback(item) => item.moves,
            Self::Appointment(item) => item.moves,
        }
    }

    pub fn is_open(&self) -> bool {
        match self {
            Self::Deadline(item) => item.done.is_none(),
            Self::Callback(item) => item.kept.is_none(),
            Self::Appointment(item) => item.state == AppointmentState::Booked,
        }
    }

    pub fn acknowledged(&self) -> Option<&'a Acknowledgement> {
        match self {
            Self::Deadline(item) => item.acknowledged.as_ref(),
            Self::Callback(item) => item.acknowledged.as_ref(),
            Self::Appointment(item) => item.acknowledged.as_ref(),
        }
    }

    /// The member of staff the item names, if any.
    pub fn assignee(&self) -> Option<&'a StaffId> {
        match self {
            Self::Deadline(_) => None,
            Self::Callback(item) => Some(&item.by),
            Self::Appointment(item) => Some(&item.with),
        }
    }
}

impl Case {
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let deadlines = self.deadlines.iter().map(Item::Deadline);
        let callbacks = self.callbacks.iter().map(Item::Callback);
        let appointments = self.appointments.iter().map(Item::Appointment);
        deadlines.chain(callbacks).chain(appointments)
    }

    pub fn item(&self, id: &ItemId) -> Option<Item<'_>> {
        self.items().find(|item| item.id() == id)
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.status, Status::Closed { .. })
    }

    /// From when on the dates of an item are watched: what would have been reminded of before then is late.
    pub fn taken_up_at(&self, item: Item<'_>) -> Timestamp {
        self.reopened_at
            .map_or(item.set_at(), |reopened| reopened.max(item.set_at()))
    }

    /// The contacts in words: 来电14次,面谈4次. Who turned to whom matters.
    pub fn contact_tally(&self) -> Said {
        let mut tally: BTreeMap<(Direction, ContactKind), u32> = BTreeMap::new();
        for contact in &self.contacts {
            let direction = if contact.kind.has_direction() {
                contact.direction
            } else {
                Direction::In
            };
            *tally.entry((direction, contact.kind)).or_default() += 1;
        }
        let words = tally.into_iter().map(|((direction, kind), n)| {
            let Said { zh, en } = kind.name(direction);
            Said::new(format!("{zh}{n}次"), format!("{en}: {n}"))
        });
        words
            .reduce(|all, more| Said::new(all.zh + "," + &more.zh, all.en + ", " + &more.en))
            .unwrap_or_default()
    }

    /// The last time anybody was in contact, or the opening.
    pub fn last_contact_at(&self) -> Timestamp {
        self.contacts
            .iter()
            .map(|contact| contact.at)
            .max()
            .unwrap_or(self.opened_at)
    }
}
