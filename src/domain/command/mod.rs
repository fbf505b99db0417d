//! The one door for changes. A command is a pure function of (case, rules, actor, now) that returns new facts and events, or a
//! refusal that says why and what to do.

mod appointments;
mod callbacks;
mod catalogue;
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
mod whole;

pub use catalogue::{Close, CloseAs, Command, PersonChange};
pub use escorts::NewEscort;
pub use fields::{parse_due, parse_local};
pub use materials::MaterialStep;
pub use open::{NewAppointment, NewCallback, NewCase, NewDeadline, NewPerson, NewRelative, Opened, open};
pub use plans::{NewStep, STEPS_MAX};
pub use replies::{NewHop, NewReply};

use jiff::Timestamp;

use crate::domain::booking::Booking;
use crate::domain::case::{Case, Mark};
use crate::domain::event::Event;
use crate::domain::ids::{PersonId, ReminderId};
use crate::domain::org::Staff;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

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
        Command::Undone { item } => items::undone(&mut change, context, &item)?,
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
        Command::HomeLater { item, home_by, reason } => {
            escorts::home_later(&mut change, context, &item, &home_by, &reason)?;
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
        Command::DropStep { item, reason } => plans::drop_step(&mut change, context, &item, &reason)?,
        Command::ChangeStep {
            item,
            takes_days,
            after,
        } => plans::change_step(&mut change, context, &item, takes_days, after)?,
        Command::NeededBy { day } => plans::needed_by(&mut change, context, &day)?,
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
        Command::SetFlag { flag } => closing::set_flag(&mut change, context, flag),
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
