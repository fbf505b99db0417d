//! Commands on the case as a whole: contacts, ownership, priority, waiting, people, closing.

use crate::domain::case::{AttemptResult, CaseFlag, Closing, Contact, ContactKind, Direction, Status};
use crate::domain::command::items::{log_call, mark_number_wrong};
use crate::domain::command::open::{grant, known_staff};
use crate::domain::command::{Change, Close, CloseAs, Context, PersonChange, Refusal, fields};
use crate::domain::event::Event;
use crate::domain::ids::{ReminderId, StaffId};
use crate::domain::plan::People;
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
    Ok(())
}

pub(super) fn task_done(
    change: &mut Change,
    people: &People,
    context: &Context<'_>,
    task: ReminderId,
    result: AttemptResult,
    note: String,
) -> Result<(), Refusal> {
    let note = fields::note("note", &note)?;
    log_call(change, context, note);
    if result == AttemptResult::WrongNumber {
        mark_number_wrong(change, people);
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

pub(super) fn set_flag(change: &mut Change, flag: CaseFlag) {
    if change.case.flags.insert(flag) {
        change.events.push(Event::FlagSet { flag });
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

pub(super) fn change_person(
    change: &mut Change,
    people: &People,
    context: &Context<'_>,
    new: PersonChange,
) -> Result<(), Refusal> {
    let wanted = new.person.as_ref().unwrap_or(&change.case.party.person);
    let Some(person) = people.all().find(|person| person.id == *wanted) else {
        let known: Vec<String> = people.all().map(|person| person.id.to_string()).collect();
        let list = known.join(", ");
        return Err(Refusal::at(
            "person",
            Said::new("本案没有此人", "the case has no such person"),
            Said::new(format!("现有: {list}"), format!("there are: {list}")),
        ));
    };
    let mut person = person.clone();
    let mut fields_changed = Vec::new();
    let mut changed = |name: &str| fields_changed.push(name.to_owned());
    if let Some(name) = new.name {
        person.name = fields::line("name", &name, fields::NAME_MAX)?;
        changed("name");
    }
    if let Some(phone) = new.phone {
        person.phone = if phone.trim().is_empty() {
            None
        } else {
            Some(fields::phone("phone", &phone)?)
        };
        person.phone_is_wrong = false;
        changed("phone");
    }
    if let Some(email) = new.email {
        person.email = if email.trim().is_empty() {
            None
        } else {
            Some(fields::email("email", &email)?)
        };
        changed("email");
    }
    if let Some(born) = new.born {
        let this_year = context.rules.zone.to_datetime(context.now).year();
        person.born = Some(fields::year_of_birth("born", born, this_year)?);
        changed("born");
    }
    if let Some(opted_out) = new.opted_out {
        person.opted_out = opted_out;
        changed("opted_out");
    }
    if let Some(deceased) = new.deceased {
        person.deceased = deceased;
        changed("deceased");
    }
    if let Some(opted_in) = new.opted_in {
        let Some(relative) = person.relative.as_mut() else {
            return Err(Refusal::at(
                "opted_in",
                Said::new("只有亲属需要同意接收", "only relatives opt in"),
                Said::new(
                    "用 person 指明亲属;居民退订用 opted_out",
                    "name the relative with person; residents use opted_out",
                ),
            ));
        };
        relative.opted_in = opted_in;
        changed("opted_in");
    }
    if fields_changed.is_empty() {
        return Err(Refusal::new(
            Said::new("没有要改的内容", "there is nothing to change"),
            Said::new("至少给出一个字段,如 phone", "give at least one field, such as phone"),
        ));
    }
    change.events.push(Event::PersonChanged {
        person: person.id.clone(),
        fields: fields_changed,
    });
    change.people.push(person);
    Ok(())
}

pub(super) fn close(change: &mut Change, context: &Context<'_>, close: Close) -> Result<(), Refusal> {
    let open: Vec<&str> = change
        .case
        .callbacks
        .iter()
        .filter(|callback| callback.kept.is_none())
        .map(|callback| callback.id.as_str())
        .collect();
    if !open.is_empty() {
        let list = open.join(", ");
        return Err(Refusal::new(
            Said::new(
                format!("还有没兑现的回电承诺 {list}"),
                format!("a promised call-back is still open: {list}"),
            ),
            Said::new(
                "先给居民回电并用 attempt 登记",
                "phone the resident and record it with \"attempt\" first",
            ),
        ));
    }
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
    change.events.push(Event::CaseClosed { r#as: name.to_owned() });
    Ok(())
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

pub(super) fn reopen(change: &mut Change) -> Result<(), Refusal> {
    if !change.case.is_closed() {
        return Err(Refusal::new(
            Said::new("案件没有办结", "the case is not closed"),
            Said::new("无需重开", "there is nothing to reopen"),
        ));
    }
    change.case.status = Status::Open;
    change.events.push(Event::CaseReopened);
    Ok(())
}
