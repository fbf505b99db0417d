//! The facts of a case: everything known, as one document. Nothing in it is derived and nothing is a plan.
//!
//! Each kind of item has a file here: its facts, and what the planner, the agenda and the digest ask of it ([`Followed`]). A new kind is
//! registered in `item.rs` ([`Item`]) and here ([`Case`]); nothing else knows the kinds.

mod appointment;
mod callback;
mod care;
mod contact;
mod deadline;
mod escort;
mod incident;
mod item;
mod material;
mod reply;
mod step;
mod todo;
mod watch;

pub use appointment::{Appointment, AppointmentState};
pub use callback::{Attempt, AttemptResult, Callback, Due};
pub use care::{Care, CareOf};
pub use contact::{Contact, ContactKind, Direction, Feedback, FeedbackKind, HeardBy, Hop, Note, Told, ToldWhat};
pub use deadline::{Deadline, Trigger};
pub use escort::{CheckIn, Escort, EscortState, Leg};
pub use incident::Incident;
pub use item::{Base, Dates, Followed, Head, Item, Span};
pub use material::{Material, MaterialState, Search, SearchAnswer};
pub use reply::{Answer, Reply, ReplyKind};
pub use step::{Approval, ServicePlan, Step, StepOf};
pub use todo::{Purpose, Todo};
pub use watch::{MatchOf, Watch};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{BenefitId, CaseId, ItemId, MatterId, PersonId, StaffId, UnitId};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

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
    /// Who brought them here, e.g. 综合窗口 3 号.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referred_by: Option<String>,
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
    pub escorts: Vec<Escort>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<Material>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<Reply>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<ServicePlan>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub todos: Vec<Todo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    #[serde(default, skip_serializing_if = "Care::is_empty")]
    pub care: Care,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// What was heard from other offices, ours and the resident's own tries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// 倾听记录: private, never part of a digest or a message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listening: Vec<Note>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback: Vec<Feedback>,
    /// 难点、痛点、堵点, each with the day it was noted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub obstacles: BTreeMap<String, Date>,
    /// 跑动: how often the resident had to go somewhere.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resident_trips: u32,
    /// The body that is responsible, when it is not ours: we coordinate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<String>,
    /// What a benefit is estimated on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
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
    /// 视频或留言
    Message,
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
    /// 节日问候: the household likes to hear from us; a to-do for staff, never a message.
    KeepInTouch,
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

impl CaseFlag {
    pub fn name(self) -> &'static str {
        match self {
            Self::OutOfScope => "out_of_scope",
            Self::InPerson => "in_person",
            Self::SensitiveTone => "sensitive_tone",
            Self::Expedite => "expedite",
            Self::KeepInTouch => "keep_in_touch",
        }
    }
}

impl Origin {
    pub fn said(self) -> Said {
        match self {
            Self::WalkIn => Said::new("到窗口", "came to the window"),
            Self::Phone => Said::new("来电", "phoned"),
            Self::Referral => Said::new("转介", "was brought by a colleague"),
            Self::Web => Said::new("网上提交", "wrote on-line"),
            Self::Email => Said::new("来邮件", "sent an e-mail"),
            Self::Letter => Said::new("来信", "sent a letter"),
            Self::HomeVisit => Said::new("上门得知", "was visited at home"),
            Self::Message => Said::new("留言或视频", "left a message"),
            Self::Import => Said::new("旧记录", "older records"),
        }
    }
}

/// A benefit, and the amount it is estimated on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    pub benefit: BenefitId,
    /// In yuan, as [`Fen`](crate::domain::benefit::Fen) writes it.
    pub amount: String,
}

/// What a case begins with: whose it is, where, and what they ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Beginning {
    pub id: CaseId,
    pub opened_at: Timestamp,
    pub party: Party,
    pub unit: UnitId,
    pub owner: StaffId,
    pub matter: MatterId,
    pub request: String,
}

impl Case {
    /// An open case of which nothing else is known yet.
    pub fn new(beginning: Beginning) -> Self {
        let Beginning {
            id,
            opened_at,
            party,
            unit,
            owner,
            matter,
            request,
        } = beginning;
        Self {
            id,
            opened_at,
            party,
            unit,
            owner,
            matter,
            request,
            origin: Origin::WalkIn,
            referred_by: None,
            priority: None,
            flags: BTreeSet::new(),
            status: Status::Open,
            imported_at: None,
            reopened_at: None,
            deadlines: Vec::new(),
            callbacks: Vec::new(),
            appointments: Vec::new(),
            escorts: Vec::new(),
            incidents: Vec::new(),
            materials: Vec::new(),
            replies: Vec::new(),
            plan: None,
            todos: Vec::new(),
            watch: None,
            care: Care::default(),
            contacts: Vec::new(),
            hops: Vec::new(),
            told: Vec::new(),
            listening: Vec::new(),
            feedback: Vec::new(),
            obstacles: BTreeMap::new(),
            resident_trips: 0,
            responsible: None,
            estimate: None,
            next_item: 1,
        }
    }

    /// Every item, those that only the rules bring about included: a policy that fits the household, the case as a whole.
    pub fn items<'a>(&'a self, rules: &'a Rulebook) -> impl Iterator<Item = Item<'a>> {
        let deadlines = self.deadlines.iter().map(Item::Deadline);
        let callbacks = self.callbacks.iter().map(Item::Callback);
        let appointments = self.appointments.iter().map(Item::Appointment);
        let escorts = self.escorts.iter().map(Item::Escort);
        let incidents = self.incidents.iter().map(Item::Incident);
        let materials = self.materials.iter().map(Item::Material);
        let replies = self.replies.iter().map(Item::Reply);
        let plan = self.plan.iter();
        let steps = plan.flat_map(|plan| plan.steps.iter().map(move |step| Item::Step(StepOf { plan, step })));
        let todos = self.todos.iter().map(Item::Todo);
        let watch = self.watch.iter();
        let policies = watch.flat_map(|watch| watch.matches(rules).map(Item::Policy));
        deadlines
            .chain(callbacks)
            .chain(appointments)
            .chain(escorts)
            .chain(incidents)
            .chain(materials)
            .chain(replies)
            .chain(steps)
            .chain(todos)
            .chain(policies)
            .chain([Item::Case(CareOf(self))])
    }

    /// The names of the items that people have entered.
    pub fn item_ids(&self) -> impl Iterator<Item = &ItemId> {
        let steps = self.plan.iter().flat_map(|plan| &plan.steps);
        (self.deadlines.iter().map(|item| &item.id))
            .chain(self.callbacks.iter().map(|item| &item.id))
            .chain(self.appointments.iter().map(|item| &item.id))
            .chain(self.escorts.iter().map(|item| &item.head.id))
            .chain(self.incidents.iter().map(|item| &item.head.id))
            .chain(self.materials.iter().map(|item| &item.head.id))
            .chain(self.replies.iter().map(|item| &item.head.id))
            .chain(steps.map(|item| &item.head.id))
            .chain(self.todos.iter().map(|item| &item.head.id))
    }

    /// The items that are still followed.
    pub fn live_items<'a>(&'a self, rules: &'a Rulebook) -> impl Iterator<Item = Item<'a>> {
        let closed = self.is_closed();
        self.items(rules).filter(move |item| item.is_live(closed))
    }

    pub fn item<'a>(&'a self, rules: &'a Rulebook, id: &ItemId) -> Option<Item<'a>> {
        self.items(rules).find(|item| item.id() == id)
    }

    /// Notes down that somebody has seen what an item asks; false when there is no such item.
    pub fn acknowledge(&mut self, rules: &Rulebook, id: &ItemId, mark: Acknowledgement) -> bool {
        if *CareOf(self).base().id == *id {
            self.care.acknowledged = Some(mark);
            return true;
        }
        if let Some(policy) = rules.policies.values().find(|policy| policy.item == *id) {
            let watch = self.watch.as_mut();
            return watch
                .map(|watch| watch.acknowledged.insert(policy.id.clone(), mark))
                .is_some();
        }
        let deadlines = self.deadlines.iter_mut().map(|item| (&item.id, &mut item.acknowledged));
        let callbacks = self.callbacks.iter_mut().map(|item| (&item.id, &mut item.acknowledged));
        let appointments = self
            .appointments
            .iter_mut()
            .map(|item| (&item.id, &mut item.acknowledged));
        let steps = self
            .plan
            .iter_mut()
            .flat_map(|plan| &mut plan.steps)
            .map(|item| &mut item.head);
        let heads = (self.escorts.iter_mut().map(|item| &mut item.head))
            .chain(self.incidents.iter_mut().map(|item| &mut item.head))
            .chain(self.materials.iter_mut().map(|item| &mut item.head))
            .chain(self.replies.iter_mut().map(|item| &mut item.head))
            .chain(self.todos.iter_mut().map(|item| &mut item.head))
            .chain(steps)
            .map(|head| (&head.id, &mut head.acknowledged));
        let mut all = deadlines.chain(callbacks).chain(appointments).chain(heads);
        match all.find(|(known, _)| *known == id) {
            Some((_, place)) => {
                *place = Some(mark);
                true
            }
            None => false,
        }
    }

    /// Whether anything of it may still ask for something, by whatever rules: a closed case that leaves nothing behind never does.
    pub fn may_ask(&self) -> bool {
        !self.is_closed() || self.watch.is_some() || self.todos.iter().map(Item::Todo).any(|todo| todo.is_live(true))
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.status, Status::Closed { .. })
    }

    /// From when on the dates of an item are watched: what would have been reminded of before then is late.
    pub fn taken_up_at(&self, item: Item<'_>) -> Timestamp {
        self.reopened_at
            .map_or(item.set_at(), |reopened| reopened.max(item.set_at()))
    }
}
