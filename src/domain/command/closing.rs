//! Commands on the case as a whole: contacts, ownership, priority, waiting, closing.

use crate::domain::case::{
    Appointment, AppointmentState, AttemptResult, Case, CaseFlag, Closing, Contact, ContactKind, Deadline, Direction,
    EscortState, Purpose, Reply, ReplyKind, Status, Todo,
};
use crate::domain::command::callbacks::{log_call, mark_number_wrong};
use crate::domain::command::open::{grant, known_staff};
use crate::domain::command::people::known_person;
use crate::domain::command::{Change, Close, CloseAs, Context, Refusal, fields, incidents, plans, replies, todos};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, PersonId, ReminderId, StaffId};
use crate::domain::plan::People;
use crate::domain::rulebook::{Loss, PeriodKind};
use crate::domain::text::Said;

/// A case with more contacts than this has become something else.
const CONTACTS_MAX: usize = 2_000;

pub(super) fn contact(
    change: &mut Change,
    context: &Context<'_>,
    direction: Direction,
    kind: ContactKind,
    note: String,
    at: Option<String>,
) -> Result<(), Refusal> {
    if change.case.contacts.len() >= CONTACTS_MAX {
        return Err(Refusal::new(
            Said::new(
                format!("联系记录已有{CONTACTS_MAX}条"),
                format!("there are {CONTACTS_MAX} contacts already"),
            ),
            Said::new("请另立案件继续", "go on in another case"),
        ));
    }
    let at = match at {
        Some(text) => fields::parse_local("at", &text, &context.rules.zone)?,
        None => context.now,
    };
    if at > context.now {
        return Err(Refusal::at(
            "at",
            Said::new("联系时间在将来", "the contact lies in the future"),
            Said::new(
                "填写实际时间,或省略",
                "give the time it really happened, or leave it out",
            ),
        ));
    }
    let note = fields::note("note", &note)?;
    change.case.contacts.push(Contact {
        at,
        by: context.actor.id.clone(),
        direction,
        kind,
        note,
    });
    change.events.push(Event::Contacted { direction, kind });
    recap_when_asked_often(change, context)
}

/// Whoever asks about one thing again and again is never told off: a summary on paper helps them more than the next answer.
fn recap_when_asked_often(change: &mut Change, context: &Context<'_>) -> Result<(), Refusal> {
    let calls = change.case.contacts.iter();
    let calls = calls.filter(|one| one.direction == Direction::In && one.kind == ContactKind::Phone);
    let enough = calls.count() >= context.rules.schedule.care.recap_after_calls;
    let suggested = change.case.todos.iter().any(|todo| todo.purpose == Purpose::Recap);
    if !enough || suggested || change.case.is_closed() {
        return Ok(());
    }
    todos::add(change, context, todos::New::of(Purpose::Recap))
}

/// A call task that was carried out.
pub(super) struct TaskCall {
    pub task: ReminderId,
    pub result: AttemptResult,
    pub note: String,
    pub person: Option<PersonId>,
}

pub(super) fn task_done(
    change: &mut Change,
    people: &People,
    context: &Context<'_>,
    call: TaskCall,
) -> Result<(), Refusal> {
    let TaskCall {
        task,
        result,
        note,
        person,
    } = call;
    let note = fields::note("note", &note)?;
    log_call(change, context, note);
    if result == AttemptResult::WrongNumber {
        let called = known_person(change, people, person.as_ref())?;
        mark_number_wrong(change, called);
    }
    change.events.push(Event::TaskDone {
        reminder: task.clone(),
        result,
    });
    if result == AttemptResult::Reached {
        change.tasks_done.push(task);
    }
    Ok(())
}

pub(super) fn assign(change: &mut Change, context: &Context<'_>, owner: StaffId) -> Result<(), Refusal> {
    known_staff("owner", &owner, context)?;
    let from = std::mem::replace(&mut change.case.owner, owner.clone());
    if from == owner {
        return Err(Refusal::at(
            "owner",
            Said::new("经办人没有变化", "the owner is the same as before"),
            Said::new("无需转交", "there is nothing to hand over"),
        ));
    }
    change.events.push(Event::OwnerChanged { from, to: owner });
    Ok(())
}

pub(super) fn prioritise(change: &mut Change, context: &Context<'_>, reason: String) -> Result<(), Refusal> {
    let lane = grant("reason", &reason, context)?;
    change.events.push(Event::PriorityGranted {
        by: lane.granted_by.clone(),
    });
    change.case.priority = Some(lane);
    Ok(())
}

pub(super) fn deprioritise(change: &mut Change) -> Result<(), Refusal> {
    if change.case.priority.take().is_none() {
        return Err(Refusal::new(
            Said::new("本案没有优先办理", "the case has no priority"),
            Said::new("无需撤销", "there is nothing to withdraw"),
        ));
    }
    change.events.push(Event::PriorityWithdrawn);
    Ok(())
}

pub(super) fn set_flag(change: &mut Change, context: &Context<'_>, flag: CaseFlag) {
    if !change.case.flags.insert(flag) {
        return;
    }
    change.events.push(Event::FlagSet { flag });
    if flag == CaseFlag::Expedite {
        plans::expedite_open(change);
        replies::expedite_open(change, context);
    }
}

pub(super) fn clear_flag(change: &mut Change, flag: CaseFlag) {
    if change.case.flags.remove(&flag) {
        change.events.push(Event::FlagCleared { flag });
    }
}

pub(super) fn wait(change: &mut Change, context: &Context<'_>, on: String) -> Result<(), Refusal> {
    let on = fields::line("on", &on, fields::SHORT_MAX)?;
    let since = match &change.case.status {
        Status::Waiting { since, .. } => *since,
        _ => context.now,
    };
    change.case.status = Status::Waiting { on, since };
    change.events.push(Event::WaitingSince { at: since });
    Ok(())
}

pub(super) fn resume(change: &mut Change) -> Result<(), Refusal> {
    if !matches!(change.case.status, Status::Waiting { .. }) {
        return Err(Refusal::new(
            Said::new("本案没有在等待", "the case is not waiting"),
            Said::new("无需恢复", "there is nothing to resume"),
        ));
    }
    change.case.status = Status::Open;
    change.events.push(Event::Resumed);
    Ok(())
}

/// What the case waited for has come. It goes on, unless another paper is missing or another third party still owes one.
pub(super) fn go_on(change: &mut Change) {
    let case = &mut change.case;
    let mut papers = case.materials.iter();
    let paper = papers.find(|one| !one.is_there() && one.finder.is_some());
    let paper = paper.map(|one| (one.waited_as(), one.head.set_at));
    let asked = |one: &&Reply| one.kind == ReplyKind::SubRequest && one.answered.is_none();
    let third = || {
        case.replies
            .iter()
            .find(asked)
            .map(|one| (one.of.clone(), one.asked_at))
    };
    match paper.or_else(third) {
        Some((on, since)) => {
            case.status = Status::Waiting { on, since };
            change.events.push(Event::WaitingSince { at: since });
        }
        None => {
            case.status = Status::Open;
            change.events.push(Event::Resumed);
        }
    }
}

pub(super) fn close(change: &mut Change, context: &Context<'_>, close: Close) -> Result<(), Refusal> {
    nothing_left_open(&change.case, context)?;
    incidents::none_open(change)?;
    todos::none_binding(change)?;
    let (leaving, left) = what_is_left(&change.case, close.leaving.as_deref())?;
    let closing = match close.r#as {
        CloseAs::Done => Closing::Done {
            outcome: fields::line("outcome", &close.outcome, fields::SHORT_MAX)?,
        },
        CloseAs::Withdrawn => Closing::Withdrawn {
            reason: fields::line("reason", &close.reason, fields::SHORT_MAX)?,
        },
        CloseAs::Transferred => Closing::Transferred {
            to: fields::line("to", &close.to, fields::SHORT_MAX)?,
        },
        CloseAs::Refused => refused(context, &close)?,
    };
    let name = match close.r#as {
        CloseAs::Done => "done",
        CloseAs::Withdrawn => "withdrawn",
        CloseAs::Transferred => "transferred",
        CloseAs::Refused => "refused",
    };
    change.case.status = Status::Closed {
        at: context.now,
        by: context.actor.id.clone(),
        closing,
    };
    change.events.push(Event::CaseClosed {
        r#as: name.to_owned(),
        leaving,
        left,
    });
    // Whoever was helped is asked some days later whether it is really done.
    if close.r#as == CloseAs::Done {
        todos::add(change, context, todos::New::of(Purpose::Revisit))?;
    }
    Ok(())
}

/// A closed case reminds nobody: what is still owed to the resident comes first.
fn nothing_left_open(case: &Case, context: &Context<'_>) -> Result<(), Refusal> {
    let list = |open: Vec<&ItemId>| open.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    let promised = list(
        case.callbacks
            .iter()
            .filter(|one| one.kept.is_none())
            .map(|one| &one.id)
            .collect(),
    );
    if !promised.is_empty() {
        return Err(Refusal::new(
            Said::new(
                format!("还有没兑现的回电承诺 {promised}"),
                format!("a promised call-back is still open: {promised}"),
            ),
            Said::new(
                "先给居民回电并用 attempt 登记",
                "phone the resident and record it with \"attempt\" first",
            ),
        ));
    }
    let booked = |one: &&Appointment| one.state == AppointmentState::Booked;
    let appointments = case.appointments.iter().filter(booked).map(|one| &one.id);
    let escorts = case.escorts.iter().filter(|one| one.state == EscortState::Booked);
    let booked = list(appointments.chain(escorts.map(|one| &one.head.id)).collect());
    if !booked.is_empty() {
        return Err(Refusal::new(
            Said::new(
                format!("还有没了结的预约 {booked}"),
                format!("an appointment is still open: {booked}"),
            ),
            Said::new(
                "先用 attended、cancel_appointment、check_in 或 cancel_escort 登记",
                "record it with \"attended\", \"cancel_appointment\", \"check_in\" or \"cancel_escort\" first",
            ),
        ));
    }
    // Of two clocks on one record the second no longer matters once the first was met.
    let met_otherwise = |kind: &PeriodKind| {
        let met = case.deadlines.iter().filter(|other| other.done.is_some());
        met.filter_map(|other| context.rules.periods.get(&other.kind))
            .any(|other| other.trigger == kind.trigger)
    };
    let can_be_lost = |one: &&Deadline| {
        let at_stake = |kind: &PeriodKind| kind.loss == Loss::Irrecoverable && !met_otherwise(kind);
        one.done.is_none() && context.rules.periods.get(&one.kind).is_none_or(at_stake)
    };
    let at_risk = list(case.deadlines.iter().filter(can_be_lost).map(|one| &one.id).collect());
    if !at_risk.is_empty() && !context.actor.role.is_supervisory() {
        return Err(Refusal::new(
            Said::new(
                format!("期限 {at_risk} 过期即失权,还没有办完"),
                format!("deadline {at_risk} is not met, and the right may be lost for ever"),
            ),
            Said::new(
                "已办完的用 done 登记;确不需要的,由主管用自己的身份(--as)关闭",
                "record it with \"done\" if it was met; otherwise a supervisor closes the case under their own name (--as)",
            ),
        ));
    }
    Ok(())
}

/// Work that others have in hand is never dropped without a word: whoever closes over it says why, and both stand in the record.
fn what_is_left(case: &Case, leaving: Option<&str>) -> Result<(Option<String>, Vec<ItemId>), Refusal> {
    let under_way = under_way(case);
    if under_way.is_empty() {
        return Ok((None, Vec::new()));
    }
    if let Some(reason) = leaving {
        let reason = fields::line("leaving", reason, fields::SHORT_MAX)?;
        return Ok((Some(reason), under_way.into_iter().map(|(id, _)| id.clone()).collect()));
    }
    let list = |pick: fn(&Said) -> &String| {
        let named = under_way.iter().map(|(id, name)| format!("{id} ({})", pick(name)));
        named.collect::<Vec<_>>().join(", ")
    };
    Err(Refusal::at(
        "leaving",
        Said::new(
            format!("还有没办完的事: {}", list(|name| &name.zh)),
            format!("something is still under way: {}", list(|name| &name.en)),
        ),
        Said::new(
            "先办完并登记;确需就此办结的,用 leaving 写明原因",
            "finish it and record it first; to close all the same, give the reason with leaving",
        ),
    ))
}

/// What somebody has begun and not finished: steps, questions, papers that are looked for, decisions of supervisors.
fn under_way(case: &Case) -> Vec<(&ItemId, Said)> {
    let steps = case.plan.iter().flat_map(|plan| &plan.steps);
    let steps = steps.filter(|step| step.started.is_some() && step.done.is_none());
    let replies = case.replies.iter().filter(|reply| reply.answered.is_none());
    let papers = case.materials.iter();
    let papers = papers.filter(|paper| !paper.is_there() && paper.finder.is_some());
    let asks =
        |todo: &&Todo| todo.done.is_none() && matches!(todo.purpose, Purpose::SecondNotice | Purpose::ApprovePlan);
    let todos = case.todos.iter().filter(asks);
    (steps.map(|step| (&step.head.id, step.name.clone())))
        .chain(replies.map(|reply| (&reply.head.id, reply.kind.said())))
        .chain(papers.map(|paper| (&paper.head.id, paper.name.clone())))
        .chain(todos.map(|todo| (&todo.head.id, todo.purpose.said())))
        .collect()
}

/// 不予办理 needs a supervisor's word, a reason and another way to go.
fn refused(context: &Context<'_>, close: &Close) -> Result<Closing, Refusal> {
    let ask = Said::new(
        "由主管用自己的身份(--as)关闭,并写明 reason 与 alternative",
        "a supervisor closes it under their own name (--as), with reason and alternative",
    );
    if !context.actor.role.is_supervisory() {
        return Err(Refusal::at(
            "approved_by",
            Said::new(
                "不轻易对居民说“不”:不予办理须由主管批准",
                "a refusal needs a supervisor",
            ),
            ask,
        ));
    }
    if close
        .approved_by
        .as_ref()
        .is_some_and(|approver| *approver != context.actor.id)
    {
        return Err(Refusal::at(
            "approved_by",
            Said::new("批准人须本人操作", "the approver has to act in person"),
            ask,
        ));
    }
    Ok(Closing::Refused {
        reason: fields::line("reason", &close.reason, fields::SHORT_MAX)?,
        alternative: fields::line("alternative", &close.alternative, fields::SHORT_MAX)?,
        approved_by: context.actor.id.clone(),
    })
}

pub(super) fn reopen(change: &mut Change, context: &Context<'_>) -> Result<(), Refusal> {
    if !change.case.is_closed() {
        return Err(Refusal::new(
            Said::new("案件没有办结", "the case is not closed"),
            Said::new("无需重开", "there is nothing to reopen"),
        ));
    }
    change.case.status = Status::Open;
    change.case.reopened_at = Some(context.now);
    todos::settle(change, context, Purpose::Revisit, None);
    change.events.push(Event::CaseReopened);
    Ok(())
}
