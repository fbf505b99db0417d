//! Every command by name, as a document: `{"do": "add_deadline", "kind": …}`. What each does stands in the file of its subject.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::case::{
    AttemptResult, CaseFlag, ContactKind, Direction, FeedbackKind, Leg, SearchAnswer, ToldWhat, Trigger,
};
use crate::domain::command::whole::whole;
use crate::domain::command::{MaterialStep, NewAppointment, NewEscort, NewHop, NewRelative, NewReply, NewStep};
use crate::domain::ids::{BenefitId, ItemId, OfficeId, PeriodId, PersonId, ReminderId, StaffId};
use crate::domain::person::{Language, MayKnow, PersonFlag};

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
    /// It was marked as done by mistake: a deadline, a to-do, a step, an answer, the last leg of an escort, an incident.
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
    /// The visit takes longer: they are home later the same day.
    HomeLater {
        item: ItemId,
        home_by: String,
        reason: String,
    },
    /// A leg is done: `pick_up`, `visit` or `drop_off`.
    CheckIn {
        item: ItemId,
        leg: Leg,
        #[serde(default)]
        at: Option<String>,
    },
    /// Says what still stands in the way of completing an escort. With `drop_off` confirmed and no incident open it is complete by itself.
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
    /// A step that was not started is not needed; those after it no longer wait for it.
    DropStep {
        item: ItemId,
        reason: String,
    },
    /// What is left out stays as it is.
    ChangeStep {
        item: ItemId,
        #[serde(default, deserialize_with = "whole")]
        takes_days: Option<u32>,
        #[serde(default)]
        after: Option<Vec<String>>,
    },
    /// The day by which the whole plan has to be done; `none`: no such day any more.
    NeededBy {
        day: String,
    },
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
                | Self::TakeOver { .. }
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
    #[serde(default, deserialize_with = "whole")]
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
    /// Why it is closed over what is still under way, when something is.
    #[serde(default)]
    pub leaving: Option<String>,
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
