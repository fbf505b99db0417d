//! Commands on what others owe an answer to: asking, asking again, the answer, and what was heard on the way through the departments.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::case::{Answer, CaseFlag, Head, HeardBy, Hop, Reply, ReplyKind, Status};
use crate::domain::command::items::{already_over, count_from_now, known_office, next_id, no_item};
use crate::domain::command::open::{known_staff, too_many};
use crate::domain::command::whole::whole;
use crate::domain::command::{Change, Context, Refusal, closing, fields, plans};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, OfficeId, StaffId};
use crate::domain::text::Said;

/// A question to somebody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewReply {
    pub kind: ReplyKind,
    /// Who is asked, e.g. 档案室.
    pub of: String,
    /// What for.
    pub what: String,
    #[serde(default)]
    pub office: Option<OfficeId>,
    /// The member of staff of another unit who has it in hand.
    #[serde(default)]
    pub contact: Option<StaffId>,
    /// What they want to see for it.
    #[serde(default)]
    pub list: Vec<String>,
    #[serde(default)]
    pub participants: Vec<String>,
    /// The day by which they should answer; else as long as `schedule.toml` says.
    #[serde(default)]
    pub due: Option<String>,
    /// The day it was asked or posted, when it was not today.
    #[serde(default)]
    pub asked_on: Option<String>,
    /// Asked again after so many workdays.
    #[serde(default, deserialize_with = "whole")]
    pub chase_workdays: Option<u32>,
}

/// A stop on the way through the departments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHop {
    pub place: String,
    #[serde(default)]
    pub person: String,
    #[serde(default)]
    pub phone: String,
    /// What they said.
    pub result: String,
    /// The resident heard it before they came to us.
    #[serde(default)]
    pub by_resident: bool,
    #[serde(default)]
    pub at: Option<String>,
}

/// A case with more stops than this has become something else.
const HOPS_MAX: usize = 500;
/// Nobody is asked again after longer than this.
const CHASE_MAX: u32 = 60;

pub(super) fn ask(change: &mut Change, context: &Context<'_>, new: NewReply) -> Result<(), Refusal> {
    let rules = context.rules;
    let of = fields::line("of", &new.of, fields::SHORT_MAX)?;
    let what = fields::required_note("what", &new.what)?;
    known_office(context, new.office.as_ref())?;
    if let Some(contact) = &new.contact {
        known_staff("contact", contact, context)?;
    }
    let chase = new
        .chase_workdays
        .map(|n| fields::within("chase_workdays", n, 1, CHASE_MAX))
        .transpose()?;
    let rule = rules.schedule.replies.get(&new.kind);
    let usual = rule.and_then(|rule| rule.chase_workdays);
    let usual = if change.case.flags.contains(&CaseFlag::Expedite) {
        expedited(context, usual)
    } else {
        usual
    };
    let asked_at = match &new.asked_on {
        Some(text) => fields::past("asked_on", Some(text), context)?,
        None => context.now,
    };
    let due = match &new.due {
        Some(text) => fields::day_to_come("due", text, context)?,
        None => usual_due(
            &Context {
                now: asked_at,
                ..*context
            },
            new.kind,
        )?,
    };
    if due < rules.zone.to_datetime(context.now).date() && new.due.is_none() {
        return Err(Refusal::at(
            "asked_on",
            Said::new(
                format!("从那天算,{due}就该有答复了"),
                format!("counted from that day, the answer was due {due}"),
            ),
            Said::new(
                "核对日期,或用 due 写明现在等到哪天",
                "check the day, or give the day you wait for now as due",
            ),
        ));
    }
    let id = next_id(change, 'r')?;
    change.events.push(Event::Asked {
        item: id.clone(),
        kind: new.kind,
        due,
    });
    // A third party with a list of its own: the case waits on it.
    if new.kind == ReplyKind::SubRequest && matches!(change.case.status, Status::Open) {
        change.case.status = Status::Waiting {
            on: of.clone(),
            since: context.now,
        };
        change.events.push(Event::WaitingSince { at: context.now });
    }
    change.case.replies.push(Reply {
        head: Head::new(id, context.now),
        kind: new.kind,
        of,
        office: new.office,
        contact: new.contact,
        what,
        list: fields::lines("list", &new.list)?,
        participants: fields::lines("participants", &new.participants)?,
        asked_at,
        due,
        last_contact: asked_at,
        chase_workdays: chase.or(usual),
        answered: None,
    });
    Ok(())
}

/// The case has become urgent: whoever has not answered yet is asked again as soon as for an expedited step.
pub(super) fn expedite_open(change: &mut Change, context: &Context<'_>) {
    for reply in change.case.replies.iter_mut().filter(|reply| reply.answered.is_none()) {
        reply.chase_workdays = expedited(context, reply.chase_workdays);
    }
}

/// What is asked again at all is asked again sooner.
fn expedited(context: &Context<'_>, usual: Option<u32>) -> Option<u32> {
    let sooner = context.rules.schedule.step.chase_expedited_workdays;
    usual.map(|usual| usual.min(sooner))
}

/// Somebody was asked again, about an answer or a step, and had none yet.
pub(super) fn chased(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    hop: Option<NewHop>,
) -> Result<(), Refusal> {
    if item.as_str().starts_with('s') {
        plans::contacted(change, context, item)?;
    } else {
        open_reply(change, item)?.last_contact = context.now;
    }
    change.events.push(Event::AskedAgain { item: item.clone() });
    match hop {
        Some(hop) => note_hop(change, context, hop),
        None => Ok(()),
    }
}

pub(super) fn answered(change: &mut Change, context: &Context<'_>, item: &ItemId, result: &str) -> Result<(), Refusal> {
    let result = fields::required_note("result", result)?;
    let reply = open_reply(change, item)?;
    reply.answered = Some(Answer {
        at: context.now,
        by: context.actor.id.clone(),
        result,
    });
    let (kind, of) = (reply.kind, reply.of.clone());
    change.events.push(Event::Answered { item: item.clone() });
    let waited = matches!(&change.case.status, Status::Waiting { on, .. } if *on == of);
    if kind == ReplyKind::SubRequest && waited {
        closing::go_on(change);
    }
    Ok(())
}

pub(super) fn note_hop(change: &mut Change, context: &Context<'_>, new: NewHop) -> Result<(), Refusal> {
    if change.case.hops.len() >= HOPS_MAX {
        return Err(too_many("place", HOPS_MAX));
    }
    let heard_by = if new.by_resident {
        HeardBy::Resident
    } else {
        HeardBy::Staff(context.actor.id.clone())
    };
    change.case.hops.push(Hop {
        at: fields::past("at", new.at.as_deref(), context)?,
        heard_by,
        place: fields::line("place", &new.place, fields::SHORT_MAX)?,
        person: fields::optional_line("person", &new.person, fields::NAME_MAX)?,
        phone: fields::optional_line("phone", &new.phone, fields::NAME_MAX)?,
        result: fields::required_note("result", &new.result)?,
    });
    change.events.push(Event::HopNoted);
    Ok(())
}

fn usual_due(context: &Context<'_>, kind: ReplyKind) -> Result<Date, Refusal> {
    let rules = context.rules;
    let today = rules.zone.to_datetime(context.now).date();
    let Some(rule) = rules.schedule.replies.get(&kind) else {
        return Ok(rules.calendar.next_workday(today));
    };
    let end = count_from_now(context, &rule.period)?;
    // `end` is exclusive: the answer is due on the day before it.
    let last = end.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(end);
    Ok(rules.zone.to_datetime(last).date())
}

fn open_reply<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Reply, Refusal> {
    let refusal = no_item(&change.case, item);
    let mut replies = change.case.replies.iter_mut();
    let reply = replies.find(|one| one.head.id == *item).ok_or(refusal)?;
    if reply.answered.is_some() {
        Err(already_over(item))
    } else {
        Ok(reply)
    }
}
