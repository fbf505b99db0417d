//! The facts of a case: everything known, as one document. Nothing in it is derived and nothing is a plan.
//!
//! Each kind of item has a file here: its facts, and what the planner, the agenda and the digest ask of it ([`Followed`]). A new kind is
//! registered in this file: in [`Case`], [`Item`] and [`ItemKind`]; nothing else knows the kinds.

mod appointment;
mod callback;
mod care;
mod contact;
mod deadline;
mod escort;
mod facts;
mod followed;
mod incident;
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
pub use facts::{Acknowledgement, CaseFlag, Closing, Estimate, Mark, Origin, Party, PriorityLane, Status};
pub use followed::{Base, Dates, Followed, Head, Passes, Span};
pub use incident::Incident;
pub use material::{Material, MaterialState, Search, SearchAnswer};
pub use reply::{Answer, Reply, ReplyKind};
pub use step::{Approval, ServicePlan, Step, StepOf};
pub use todo::{Purpose, Todo};
pub use watch::{MatchOf, Watch};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{CaseId, ItemId, MatterId, StaffId, UnitId};
use crate::domain::milestone::Milestone;
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
        let plan = self.plan.iter().map(|plan| (plan, plan.latest_starts(rules)));
        let steps = plan.flat_map(|(plan, starts)| {
            plan.steps.iter().map(move |step| {
                let start_by = starts.get(&step.head.id).copied();
                Item::Step(StepOf { plan, step, start_by })
            })
        });
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

    /// Gives an item into other hands, where it names somebody, and returns who had it. Whoever has it now is told at once.
    pub fn pass_on(&mut self, item: &ItemId, to: &StaffId, now: Timestamp) -> Option<StaffId> {
        let callbacks = self.callbacks.iter_mut();
        let callbacks = callbacks.map(|one| (&one.id, &mut one.by, &mut one.passed_at, None));
        let appointments = self.appointments.iter_mut();
        let appointments = appointments.map(|one| (&one.id, &mut one.with, &mut one.passed_at, Some(&mut one.passes)));
        let escorts = (self.escorts.iter_mut()).map(|one| (&mut one.head, &mut one.with));
        let incidents = (self.incidents.iter_mut()).map(|one| (&mut one.head, &mut one.by));
        let todos = (self.todos.iter_mut()).map(|one| (&mut one.head, &mut one.by));
        let papers = (self.materials.iter_mut()).filter_map(|one| Some((&mut one.head, one.finder.as_mut()?)));
        let heads = escorts.chain(incidents).chain(todos).chain(papers);
        let heads = heads.map(|(head, holder)| (&head.id, holder, &mut head.passed_at, Some(&mut head.passes)));
        let mut all = callbacks.chain(appointments).chain(heads);
        let (_, holder, passed_at, passes) = all.find(|(id, ..)| *id == item)?;
        *passed_at = Some(now);
        let from = std::mem::replace(holder, to.clone());
        if let Some(passes) = passes {
            passes.pass_from(from.clone());
        }
        Some(from)
    }

    /// Whether anything of it may still ask for something, by whatever rules: a closed case that leaves nothing behind never does.
    pub fn may_ask(&self) -> bool {
        !self.is_closed()
            || self.watch.as_ref().is_some_and(|watch| !watch.tags.is_empty())
            || self.todos.iter().map(Item::Todo).any(|todo| todo.is_live(true))
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

/// The kinds of item. Each has ladders of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    Deadline,
    Callback,
    Appointment,
    Escort,
    Incident,
    Material,
    Reply,
    Step,
    Todo,
    Policy,
    /// The case as a whole.
    Case,
}

impl ItemKind {
    pub const ALL: [Self; 11] = [
        Self::Deadline,
        Self::Callback,
        Self::Appointment,
        Self::Escort,
        Self::Incident,
        Self::Material,
        Self::Reply,
        Self::Step,
        Self::Todo,
        Self::Policy,
        Self::Case,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Callback => "callback",
            Self::Appointment => "appointment",
            Self::Escort => "escort",
            Self::Incident => "incident",
            Self::Material => "material",
            Self::Reply => "reply",
            Self::Step => "step",
            Self::Todo => "todo",
            Self::Policy => "policy",
            Self::Case => "case",
        }
    }

    /// The milestones a ladder for this kind may count from.
    pub fn milestones(self) -> &'static [Milestone] {
        match self {
            Self::Deadline => deadline::MILESTONES,
            Self::Callback => callback::MILESTONES,
            Self::Appointment => appointment::MILESTONES,
            Self::Escort => escort::MILESTONES,
            Self::Incident => incident::MILESTONES,
            Self::Material => material::MILESTONES,
            Self::Reply => reply::MILESTONES,
            Self::Step => step::MILESTONES,
            Self::Todo => todo::MILESTONES,
            Self::Policy => watch::MILESTONES,
            Self::Case => care::MILESTONES,
        }
    }
}

/// One followable item of a case, whatever its kind.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    Deadline(&'a Deadline),
    Callback(&'a Callback),
    Appointment(&'a Appointment),
    Escort(&'a Escort),
    Incident(&'a Incident),
    Material(&'a Material),
    Reply(&'a Reply),
    Step(StepOf<'a>),
    Todo(&'a Todo),
    Policy(MatchOf<'a>),
    Case(CareOf<'a>),
}

impl<'a> Item<'a> {
    /// The one place that tells the kinds apart for everybody who only follows dates.
    fn followed(&self) -> &dyn Followed<'a> {
        match self {
            Self::Deadline(item) => item,
            Self::Callback(item) => item,
            Self::Appointment(item) => item,
            Self::Escort(item) => item,
            Self::Incident(item) => item,
            Self::Material(item) => item,
            Self::Reply(item) => item,
            Self::Step(item) => item,
            Self::Todo(item) => item,
            Self::Policy(item) => item,
            Self::Case(item) => item,
        }
    }

    pub fn id(&self) -> &'a ItemId {
        self.followed().base().id
    }

    pub fn kind(&self) -> ItemKind {
        self.followed().kind()
    }

    /// When its present date was entered: what would have been reminded of before then is late.
    pub fn set_at(&self) -> Timestamp {
        self.followed().base().set_at
    }

    pub fn moves(&self) -> u32 {
        self.followed().base().moves
    }

    /// How often it went into other hands.
    pub fn passes(&self) -> u32 {
        self.followed().passes().map_or(0, |passes| passes.times)
    }

    /// Who had it before it went into other hands.
    pub fn former(&self) -> Option<&'a StaffId> {
        self.followed().passes()?.from.as_ref()
    }

    pub fn is_open(&self) -> bool {
        self.followed().is_open()
    }

    pub fn is_live(&self, case_is_closed: bool) -> bool {
        self.followed().is_live(case_is_closed)
    }

    pub fn acknowledged(&self) -> Option<&'a Acknowledgement> {
        self.followed().base().acknowledged
    }

    pub fn assignee(&self) -> Option<&'a StaffId> {
        self.followed().assignee()
    }

    pub fn contact(&self) -> Option<&'a StaffId> {
        self.followed().contact()
    }

    pub fn act_by(&self) -> Milestone {
        self.followed().act_by()
    }

    pub fn span(&self) -> Option<Span<'a>> {
        self.followed().span()
    }

    pub fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        self.followed().dates(rules)
    }

    pub fn title(&self, rules: &Rulebook) -> Said {
        self.followed().title(rules)
    }

    pub fn label(&self) -> Said {
        self.followed().label()
    }

    pub fn remark(&self, rules: &Rulebook, today: Date) -> Said {
        self.followed().remark(rules, today)
    }
}
