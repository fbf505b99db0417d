//! The one door for changes. A command is a pure function of (case, rules, actor, now) that returns new facts and events, or a
//! refusal that says why and what to do.

mod appointments;
mod callbacks;
mod closing;
mod deadlines;
mod escorts;
pub(crate) mod fields;
mod household;
mod incidents;
mod items;
mod materials;
mod open;
mod passing;
mod people;
mod plans;
mod replies;
mod todos;

pub use escorts::NewEscort;
pub use fields::{parse_due, parse_local};
pub use materials::MaterialStep;
pub use open::{NewAppointment, NewCallback, NewCase, NewDeadline, NewPerson, NewRelative, Opened, open};
pub use plans::NewStep;
pub use replies::{NewHop, NewReply};

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::booking::Booking;
use crate::domain::case::{
    AttemptResult, Case, CaseFlag, ContactKind, Direction, FeedbackKind, Leg, Mark, SearchAnswer, ToldWhat, Trigger,
};
use crate::domain::event::Event;
use crate::domain::ids::{BenefitId, ItemId, OfficeId, PeriodId, PersonId, ReminderId, StaffId};
use crate::domain::org::Staff;
use crate::domain::person::{Language, MayKnow, Person, PersonFlag};
use crate::domain::plan::People;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

/// Everything that can be done to an open case. The JSON form is `{"do": "add_deadline", "kind": …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// A deadline of a kind in `periods.toml`. `trigger` is a date, a month, a range `A..B` or `unknown`.
    AddDeadline {
        kind: PeriodId,
        #[serde(default)]
        trigger: Option<Trigger>,
        #[serde(default)]
        office: Option<OfficeId>,
    },
    /// The date a period counts from became known, or was wrong.
    SetTrigger {
        item: ItemId,
        trigger: Trigger,
    },
    /// A date agreed with somebody replaces the computed end.
    SetEnd {
        item: ItemId,
        end: Date,
    },
    /// It is done: a deadline was met, a to-do was carried out, a household was told of a policy.
    Done {
        item: ItemId,
    },
    /// A deadline was marked as met by mistake.
    Undone {
        item: ItemId,
    },
    /// "I have seen it": silences what asks for it, for as long as the schedule says. The last days of a right that is lost for ever
    /// fall silent only for a supervisor who gives a reason.
    Acknowledge {
        item: ItemId,
        #[serde(default)]
        reason: String,
    },
    /// A call-back is promised. Without `due`, the schedule's period decides.
    Promise {
        words: String,
        #[serde(default)]
        due: Option<String>,
        #[serde(default)]
        by: Option<StaffId>,
    },
    /// A try at keeping a promise. `call_later` needs `due`.
    Attempt {
        item: ItemId,
        result: AttemptResult,
        #[serde(default)]
        due: Option<String>,
        #[serde(default)]
        note: String,
    },
    /// A promise, an appointment, an escort or a to-do passes to somebody else by name.
    #[serde(alias = "pass_callback")]
    Pass {
        item: ItemId,
        to: StaffId,
    },
    /// Everything that `from` has in this case passes to `to`: the case itself, promises, appointments, escorts, to-dos.
    TakeOver {
        from: StaffId,
        to: StaffId,
    },
    /// An appointment with an outside office.
    Book(NewAppointment),
    MoveAppointment {
        item: ItemId,
        start: String,
        #[serde(default)]
        end: Option<String>,
    },
    Attended {
        item: ItemId,
    },
    CancelAppointment {
        item: ItemId,
        reason: String,
    },
    /// 陪同: fetched, accompanied, brought home.
    BookEscort(NewEscort),
    MoveEscort {
        item: ItemId,
        visit: String,
        #[serde(default)]
        pick_up: Option<String>,
        #[serde(default)]
        home_by: Option<String>,
    },
    /// A leg is done: `pick_up`, `visit` or `drop_off`.
    CheckIn {
        item: ItemId,
        leg: Leg,
        #[serde(default)]
        at: Option<String>,
    },
    CompleteEscort {
        item: ItemId,
    },
    CancelEscort {
        item: ItemId,
        reason: String,
    },
    /// 突发情况. `what` stays on the case page.
    Incident {
        what: String,
        #[serde(default)]
        escort: Option<ItemId>,
        #[serde(default)]
        leg: Option<Leg>,
        #[serde(default)]
        action: String,
        #[serde(default)]
        told: Vec<String>,
        #[serde(default)]
        at: Option<String>,
    },
    /// An incident is over.
    Recovered {
        item: ItemId,
    },
    AddMaterial {
        name: String,
        #[serde(default)]
        issuer: Option<String>,
        #[serde(default)]
        places: Vec<String>,
    },
    /// 缺件: the case waits for this paper, and somebody looks for it.
    Missing {
        item: ItemId,
        #[serde(default)]
        finder: Option<StaffId>,
    },
    RequestMaterial {
        item: ItemId,
        from: String,
    },
    /// A place was asked for a paper: `here`, `not_here` or `unclear`.
    Searched {
        item: ItemId,
        place: String,
        answer: SearchAnswer,
    },
    /// A paper has come further: `obtained`, `verified`, `copied`, `handed_over`.
    Material {
        item: ItemId,
        state: MaterialStep,
    },
    NotNeeded {
        item: ItemId,
        reason: String,
    },
    /// 一次性转交: every paper at once.
    HandOver,
    /// A question to somebody else: `agency`, `sub_request`, `mail`, `escalation` or `consult`.
    Ask(NewReply),
    /// Somebody was asked again and had no answer yet; `hop` notes what they said.
    Chased {
        item: ItemId,
        #[serde(default)]
        hop: Option<NewHop>,
    },
    Answered {
        item: ItemId,
        result: String,
    },
    /// What another office said, on the way through the departments.
    Hop(NewHop),
    /// Drafts a plan: these steps, else those that the matter usually takes.
    DraftPlan {
        #[serde(default)]
        steps: Option<Vec<NewStep>>,
        #[serde(default)]
        needed_by: Option<String>,
    },
    AddStep(NewStep),
    ApprovePlan,
    StartStep {
        item: ItemId,
    },
    StepDone {
        item: ItemId,
    },
    Expedite {
        item: ItemId,
        #[serde(default = "yes")]
        on: bool,
    },
    /// Something to do by a day.
    Todo {
        words: String,
        #[serde(default)]
        due: Option<String>,
        #[serde(default)]
        by: Option<StaffId>,
    },
    /// 一次性告知 (`one_time_notice`) or 讲明情况 (`explanation`), with how it was told.
    Tell {
        what: ToldWhat,
        method: String,
    },
    /// 倾听记录: private, never part of a digest or a message.
    Listen {
        note: String,
    },
    /// Praise or a complaint: counted, never a reason to open the case again.
    Feedback {
        kind: FeedbackKind,
        #[serde(default)]
        note: String,
    },
    /// 难点、痛点、堵点
    Obstacle {
        tag: String,
    },
    NoObstacle {
        tag: String,
    },
    /// The resident had to go somewhere.
    Trip,
    /// Another body is responsible; we coordinate.
    Responsible {
        body: String,
    },
    /// Watches new policies for the household, also after closing. No tags end it.
    Watch {
        tags: Vec<String>,
    },
    /// What a benefit is estimated on, in yuan.
    Estimate {
        #[serde(default)]
        benefit: Option<BenefitId>,
        amount: String,
    },
    /// A contact with the resident, with its direction.
    Contact {
        direction: Direction,
        kind: ContactKind,
        #[serde(default)]
        note: String,
        #[serde(default)]
        at: Option<String>,
    },
    /// A call task was carried out. Unless somebody was reached it stays open.
    TaskDone {
        task: ReminderId,
        result: AttemptResult,
        #[serde(default)]
        note: String,
        /// Who was called, when it was not the resident: whose number a wrong number is.
        #[serde(default)]
        person: Option<PersonId>,
    },
    Assign {
        owner: StaffId,
    },
    /// Sorts the case first, with a reason. Needs a supervisor.
    Prioritise {
        reason: String,
    },
    Deprioritise,
    SetFlag {
        flag: CaseFlag,
    },
    ClearFlag {
        flag: CaseFlag,
    },
    /// Nothing can be done until somebody else has acted.
    Wait {
        on: String,
    },
    Resume,
    /// Changes how the resident or a relative may be reached. Absent fields stay as they are.
    ChangePerson(PersonChange),
    AddRelative(NewRelative),
    /// Closes the case. `as` is done, withdrawn, transferred or refused.
    Close(Close),
    Reopen,
}

fn yes() -> bool {
    true
}

impl Command {
    /// Whether it binds somebody for a time, so that it matters who is bound already.
    pub fn books(&self) -> bool {
        matches!(
            self,
            Self::Book(_)
                | Self::MoveAppointment { .. }
                | Self::BookEscort(_)
                | Self::MoveEscort { .. }
                | Self::Pass { .. }
        )
    }
}

/// New values for a person's record; `None` leaves a field alone, an empty text clears it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonChange {
    /// The resident of the case, unless a relative is named.
    #[serde(default)]
    pub person: Option<PersonId>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub phone: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub born: Option<i16>,
    #[serde(default)]
    pub opted_out: Option<bool>,
    #[serde(default)]
    pub deceased: Option<bool>,
    /// For relatives: whether they agreed to be told.
    #[serde(default)]
    pub opted_in: Option<bool>,
    /// For relatives: how much they may be told.
    #[serde(default)]
    pub may_know: Option<MayKnow>,
    /// Replaces all flags.
    #[serde(default)]
    pub flags: Option<BTreeSet<PersonFlag>>,
    #[serde(default)]
    pub language: Option<Language>,
}

/// How a case ends. Which fields are needed depends on `as`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    pub r#as: CloseAs,
    /// What came of it (done).
    #[serde(default)]
    pub outcome: String,
    /// Why (withdrawn, refused).
    #[serde(default)]
    pub reason: String,
    /// Who carries on (transferred).
    #[serde(default)]
    pub to: String,
    /// The other way the resident can go (refused).
    #[serde(default)]
    pub alternative: String,
    /// The supervisor who agreed (refused).
    #[serde(default)]
    pub approved_by: Option<StaffId>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseAs {
    #[default]
    Done,
    Withdrawn,
    Transferred,
    Refused,
}

/// Who asks, by which rules, and when.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub rules: &'a Rulebook,
    pub actor: &'a Staff,
    pub now: Timestamp,
    /// A person id never given before.
    pub new_person: &'a (dyn Fn() -> PersonId + Sync),
    /// Appointments and escorts of all cases that are not over.
    pub busy: &'a [Booking],
}

impl Context<'_> {
    /// Who does it, and when.
    fn mark(&self) -> Mark {
        Mark {
            at: self.now,
            by: self.actor.id.clone(),
        }
    }
}

/// What a command changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub case: Case,
    /// Records of people that were added or changed.
    pub people: Vec<Person>,
    pub events: Vec<Event>,
    /// Call tasks that are done with.
    pub tasks_done: Vec<ReminderId>,
}

impl Change {
    /// The resident of a newly opened case has been here before: the case joins their record, so that consent, opt-out and caps count
    /// over all their cases. What was said this time completes the record; what they withdrew before stays withdrawn.
    pub fn adopt(&mut self, known: &People) {
        let Some(resident) = &known.resident else { return };
        for person in &mut self.people {
            let same = match &mut person.relative {
                None => Some(resident),
                Some(relative) => {
                    relative.of = resident.id.clone();
                    known
                        .relatives
                        .iter()
                        .find(|old| old.name == person.name && old.phone == person.phone)
                }
            };
            if let Some(old) = same {
                person.complete(old);
            }
        }
        self.case.party.person = resident.id.clone();
    }
}

/// Why a command was not carried out, and what to do instead. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field that is wrong, in the JSON form of the command.
    pub field: Option<String>,
    pub what: Said,
    pub fix: Said,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { field, what, fix } = self;
        let place = field.as_deref().map(|field| format!("{field}: ")).unwrap_or_default();
        write!(f, "{place}{}。{}。\n{place}{}; {}.", what.zh, fix.zh, what.en, fix.en)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    pub(crate) fn new(what: Said, fix: Said) -> Self {
        Self { field: None, what, fix }
    }

    pub(crate) fn at(field: &str, what: Said, fix: Said) -> Self {
        Self {
            field: Some(field.to_owned()),
            what,
            fix,
        }
    }
}

/// Carries out one command on a case, or says why not.
pub fn apply(case: &Case, people: &People, command: Command, context: &Context<'_>) -> Result<Change, Refusal> {
    // People still call about a closed case, and what they say about themselves holds for their other cases too.
    let of_closed = match &command {
        Command::Reopen
        | Command::Contact { .. }
        | Command::ChangePerson(_)
        | Command::Feedback { .. }
        | Command::Listen { .. }
        | Command::Watch { .. }
        | Command::TakeOver { .. } => true,
        // What outlives the case: a call after closing, a policy they should hear of.
        Command::Done { item } | Command::Pass { item, .. } | Command::Acknowledge { item, .. } => {
            case.item(context.rules, item).is_some_and(|item| item.is_live(true))
        }
        _ => false,
    };
    if case.is_closed() && !of_closed {
        return Err(Refusal::new(
            Said::new("案件已办结", "the case is closed"),
            Said::new("如确需继续,先用 reopen 重开", "reopen it first with \"reopen\""),
        ));
    }
    let mut change = Change {
        case: case.clone(),
        people: Vec::new(),
        events: Vec::new(),
        tasks_done: Vec::new(),
    };
    match command {
        Command::AddDeadline { kind, trigger, office } => {
            deadlines::add_deadline(&mut change, context, kind, trigger, office)?;
        }
        Command::SetTrigger { item, trigger } => deadlines::set_trigger(&mut change, context, &item, trigger)?,
        Command::SetEnd { item, end } => deadlines::set_end(&mut change, context, &item, end)?,
        Command::Done { item } => items::done(&mut change, context, &item)?,
        Command::Undone { item } => deadlines::undone(&mut change, context, &item)?,
        Command::Acknowledge { item, reason } => items::acknowledge(&mut change, context, &item, &reason)?,
        Command::Promise { words, due, by } => callbacks::promise(&mut change, context, words, due, by)?,
        Command::Attempt {
            item,
            result,
            due,
            note,
        } => {
            callbacks::attempt(&mut change, people, context, &item, result, due, note)?;
        }
        Command::Pass { item, to } => passing::pass(&mut change, context, &item, to)?,
        Command::TakeOver { from, to } => passing::take_over(&mut change, context, &from, to)?,
        Command::Book(new) => appointments::book(&mut change, context, new)?,
        Command::MoveAppointment { item, start, end } => {
            appointments::move_appointment(&mut change, context, &item, &start, end.as_deref())?;
        }
        Command::Attended { item } => appointments::attended(&mut change, context, &item)?,
        Command::CancelAppointment { item, reason } => appointments::cancel(&mut change, context, &item, reason)?,
        Command::BookEscort(new) => escorts::book(&mut change, context, new)?,
        Command::MoveEscort {
            item,
            visit,
            pick_up,
            home_by,
        } => {
            let times = (visit.as_str(), pick_up.as_deref(), home_by.as_deref());
            escorts::move_to(&mut change, context, &item, times)?;
        }
        Command::CheckIn { item, leg, at } => escorts::check_in(&mut change, context, &item, leg, at.as_deref())?,
        Command::CompleteEscort { item } => escorts::complete(&mut change, context, &item)?,
        Command::CancelEscort { item, reason } => escorts::cancel(&mut change, context, &item, &reason)?,
        Command::Incident {
            what,
            escort,
            leg,
            action,
            told,
            at,
        } => {
            let noted = incidents::Noted {
                what,
                escort,
                leg,
                action,
                told,
                at,
            };
            incidents::note(&mut change, context, noted)?;
        }
        Command::Recovered { item } => incidents::recovered(&mut change, context, &item)?,
        Command::AddMaterial { name, issuer, places } => {
            materials::add(&mut change, context, &name, issuer.as_deref(), &places)?;
        }
        Command::Missing { item, finder } => materials::missing(&mut change, context, &item, finder)?,
        Command::RequestMaterial { item, from } => materials::request(&mut change, context, &item, &from)?,
        Command::Searched { item, place, answer } => {
            materials::searched(&mut change, context, &item, &place, answer)?;
        }
        Command::Material { item, state } => materials::advance(&mut change, context, &item, state)?,
        Command::NotNeeded { item, reason } => materials::not_needed(&mut change, context, &item, &reason)?,
        Command::HandOver => materials::hand_over(&mut change, context)?,
        Command::Ask(new) => replies::ask(&mut change, context, new)?,
        Command::Chased { item, hop } => replies::chased(&mut change, context, &item, hop)?,
        Command::Answered { item, result } => replies::answered(&mut change, context, &item, &result)?,
        Command::Hop(new) => replies::note_hop(&mut change, context, new)?,
        Command::DraftPlan { steps, needed_by } => plans::draft(&mut change, context, steps, needed_by.as_deref())?,
        Command::AddStep(new) => plans::add_step(&mut change, context, new)?,
        Command::ApprovePlan => plans::approve(&mut change, context)?,
        Command::StartStep { item } => plans::start(&mut change, context, &item)?,
        Command::StepDone { item } => plans::done(&mut change, context, &item)?,
        Command::Expedite { item, on } => plans::expedite(&mut change, &item, on)?,
        Command::Todo { words, due, by } => todos::note(&mut change, context, &words, due.as_deref(), by)?,
        Command::Tell { what, method } => household::tell(&mut change, context, what, &method)?,
        Command::Listen { note } => household::listen(&mut change, context, &note)?,
        Command::Feedback { kind, note } => household::feedback(&mut change, context, kind, &note)?,
        Command::Obstacle { tag } => household::obstacle(&mut change, context, &tag)?,
        Command::NoObstacle { tag } => household::no_obstacle(&mut change, &tag)?,
        Command::Trip => household::trip(&mut change),
        Command::Responsible { body } => household::responsible(&mut change, &body)?,
        Command::Watch { tags } => household::watch(&mut change, context, &tags)?,
        Command::Estimate { benefit, amount } => household::estimate(&mut change, context, benefit, &amount)?,
        Command::Contact {
            direction,
            kind,
            note,
            at,
        } => {
            closing::contact(&mut change, context, direction, kind, note, at)?;
        }
        Command::TaskDone {
            task,
            result,
            note,
            person,
        } => {
            let call = closing::TaskCall {
                task,
                result,
                note,
                person,
            };
            closing::task_done(&mut change, people, context, call)?;
        }
        Command::Assign { owner } => closing::assign(&mut change, context, owner)?,
        Command::Prioritise { reason } => closing::prioritise(&mut change, context, reason)?,
        Command::Deprioritise => closing::deprioritise(&mut change)?,
        Command::SetFlag { flag } => closing::set_flag(&mut change, flag),
        Command::ClearFlag { flag } => closing::clear_flag(&mut change, flag),
        Command::Wait { on } => closing::wait(&mut change, context, on)?,
        Command::Resume => closing::resume(&mut change)?,
        Command::ChangePerson(new) => people::change_person(&mut change, people, context, new)?,
        Command::AddRelative(new) => open::add_relative(&mut change, context, new)?,
        Command::Close(close) => closing::close(&mut change, context, close)?,
        Command::Reopen => closing::reopen(&mut change, context)?,
    }
    Ok(change)
}
