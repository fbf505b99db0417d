//! One item of a case, and the work around it, as the case page shows them: unmasked, for whoever works on the case.

use std::fmt::Write as _;

use jiff::civil::Date;

use crate::cli::case::local;
use crate::domain::benefit::Fen;
use crate::domain::calendar::days_left;
use crate::domain::case::{Case, HeardBy, Item, Leg, MaterialState, SearchAnswer};
use crate::domain::milestone::Moment;
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::mute;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::engine::case_page::derivation;

/// One item with everything that is known of it.
pub(super) fn text(book: &Rulebook, item: Item<'_>, today: Date) -> String {
    let mut text = String::from("\n");
    let done = if item.is_open() { "" } else { "  ✓ 已结束 / over" };
    match item {
        Item::Deadline(deadline) => {
            let kind = book.periods.get(&deadline.kind);
            let name = kind.map_or_else(|| deadline.kind.to_string(), |kind| kind.name.to_string());
            let _ = writeln!(text, "{}  期限 / deadline: {name}{done}", deadline.id);
            let trigger = kind.map_or_else(String::new, |kind| kind.trigger.to_string());
            let _ = writeln!(text, "  起算 / from: {trigger} {}", deadline.trigger);
            for step in derivation(book, item) {
                let _ = writeln!(text, "  · {step}");
            }
            if let Some(left) = left(book, item, today) {
                let _ = writeln!(text, "  {left}");
            }
        }
        Item::Callback(callback) => {
            let due = crate::domain::milestone::Moment::from(callback.due);
            let due = match due {
                crate::domain::milestone::Moment::Day(day) => day.to_string(),
                crate::domain::milestone::Moment::Instant(at) => local(at, &book.zone),
            };
            let _ = writeln!(
                text,
                "{}  承诺回电 / promised call-back by {}: {due}{done}",
                callback.id, callback.by
            );
            let _ = writeln!(text, "  “{}”", callback.words);
            for attempt in &callback.attempts {
                let _ = writeln!(
                    text,
                    "  · {} {} {}",
                    local(attempt.at, &book.zone),
                    attempt.by,
                    attempt.result.said()
                );
            }
        }
        Item::Appointment(appointment) => {
            let office = book
                .offices
                .get(&appointment.office)
                .map_or_else(|| appointment.office.to_string(), |office| office.name.clone());
            let _ = writeln!(
                text,
                "{}  预约 / appointment: {} {office}{done}",
                appointment.id,
                local(appointment.start, &book.zone)
            );
            let _ = writeln!(
                text,
                "  {}; 陪同 / with {}; 携带 / bring {}",
                appointment.what,
                appointment.with,
                appointment.bring.join(", ")
            );
        }
        other => {
            let dated = Dated::new(book, item);
            let (title, remark) = (other.title(book), other.remark(book, today));
            let by = other.assignee().map_or_else(String::new, |staff| format!("  {staff}"));
            let when = dated.act_by().map_or_else(String::new, |moment| match moment {
                Moment::Day(day) => format!("  {day}"),
                Moment::Instant(at) => format!("  {}", local(at, &book.zone)),
            });
            let _ = writeln!(text, "{}  {title}{when}{by}{done}", other.id());
            if !remark.zh.is_empty() {
                let _ = writeln!(text, "  {remark}");
            }
            text.push_str(&more(book, other));
        }
    }
    if let Some(mark) = item.acknowledged() {
        let until = local(mark.until, &book.zone);
        let _ = writeln!(text, "  已由 {} 确认,至 {until} / acknowledged until then", mark.by);
        if mute::ends_by(book, &Dated::new(book, item), mark).is_some_and(|limit| limit <= mark.until) {
            let _ = writeln!(
                text,
                "  过期即失权,最后几天照常提醒;须主管写明理由才停 / the last days are told all the same, unless a supervisor gives a reason"
            );
        }
        if !mark.reason.is_empty() {
            let _ = writeln!(text, "  理由 / reason: {}", mark.reason);
        }
    }
    text
}

/// How long an open deadline still has: who has just entered a date wants to know before the digest of the next morning.
fn left(book: &Rulebook, item: Item<'_>, today: Date) -> Option<Said> {
    let dated = Dated::new(book, item);
    let last = dated.counted.as_ref()?.last_safe_day;
    (item.is_open() && last >= today).then(|| days_left(&book.calendar, today, last))
}

/// What only some kinds have.
fn more(book: &Rulebook, item: Item<'_>) -> String {
    let mut text = String::new();
    match item {
        Item::Escort(escort) => {
            for leg in Leg::ALL {
                let at = local(escort.time_of(leg), &book.zone);
                let check = escort.checks.iter().find(|check| check.leg == leg);
                let check = check.map_or_else(String::new, |check| {
                    format!("  ✓ {} {}", local(check.at, &book.zone), check.by)
                });
                let _ = writeln!(text, "  · {} {at}{check}", leg.said());
            }
            if !escort.from.is_empty() {
                let _ = writeln!(text, "  接送地点 / from: {}", escort.from);
            }
            if !escort.bring.is_empty() {
                let _ = writeln!(text, "  携带 / bring: {}", escort.bring.join(", "));
            }
        }
        Item::Incident(incident) => {
            let _ = writeln!(text, "  {} {}", local(incident.at, &book.zone), incident.what);
            if !incident.action.is_empty() {
                let _ = writeln!(text, "  处置 / action: {}", incident.action);
            }
            if !incident.told.is_empty() {
                let _ = writeln!(text, "  已告知 / told: {}", incident.told.join(", "));
            }
        }
        Item::Material(material) => {
            let _ = writeln!(text, "  {}", material.state.said());
            if let Some(issuer) = &material.issuer {
                let _ = writeln!(text, "  出具单位: {} / issued by: {}", issuer.zh, issuer.en);
            }
            if let MaterialState::NotNeeded { reason, .. } = &material.state {
                let _ = writeln!(text, "  {reason}");
            }
            for search in &material.search {
                let answer = match search.answer {
                    SearchAnswer::Here => Said::new("在此处", "it is there"),
                    SearchAnswer::NotHere => Said::new("不在此处", "not there"),
                    SearchAnswer::Unclear => Said::new("没有准信", "no clear answer"),
                };
                let _ = writeln!(text, "  · {} {} {answer}", local(search.at, &book.zone), search.place);
            }
        }
        Item::Reply(reply) => {
            let _ = writeln!(text, "  {}", reply.what);
            if !reply.list.is_empty() {
                let _ = writeln!(text, "  对方要求 / they want: {}", reply.list.join(", "));
            }
            if !reply.participants.is_empty() {
                let _ = writeln!(text, "  参与人 / with: {}", reply.participants.join(", "));
            }
            if let Some(answer) = &reply.answered {
                let _ = writeln!(
                    text,
                    "  答复 / answer: {} {}",
                    local(answer.at, &book.zone),
                    answer.result
                );
            }
        }
        Item::Step(of) => {
            let after: Vec<&str> = of.step.after.iter().map(crate::domain::ids::ItemId::as_str).collect();
            if !after.is_empty() {
                let _ = writeln!(text, "  先办 / after: {}", after.join(", "));
            }
            if let Some(day) = of.start_by {
                let _ = writeln!(text, "  最晚开始 / latest start: {day}");
            }
        }
        Item::Todo(todo) if !todo.words.is_empty() => {
            let _ = writeln!(text, "  {}", todo.words);
        }
        Item::Policy(of) => {
            let _ = writeln!(text, "  {}", of.policy.what);
        }
        _ => {}
    }
    text
}

/// What is known of the matter beyond its items: papers told of, stops on the way, the plan, the estimate.
pub(super) fn work(book: &Rulebook, case: &Case) -> String {
    let mut text = String::new();
    if let Some(plan) = &case.plan {
        let state = match plan.approved_at() {
            Some(at) => format!("{} 批准 / approved", local(at, &book.zone)),
            None => "草稿,待批准 / draft, waits for approval".to_owned(),
        };
        let needed = plan
            .needed_by
            .map_or_else(String::new, |day| format!(";{day}前办完 / needed by then"));
        let _ = writeln!(text, "  方案 / plan: {state}{needed}");
    }
    if let Some(estimate) = &case.estimate
        && let Some(benefit) = book.benefits.get(&estimate.benefit)
        && let Ok(amount) = estimate.amount.parse::<Fen>()
    {
        let _ = writeln!(text, "  报销估算 / estimate: {} {amount}", benefit.name);
        for line in benefit.estimate(amount).words() {
            let _ = writeln!(text, "  · {line}");
        }
    }
    if !case.obstacles.is_empty() {
        let tags: Vec<&str> = case.obstacles.keys().map(String::as_str).collect();
        let _ = writeln!(text, "  堵点 / obstacles: {}", tags.join(", "));
    }
    if let Some(watch) = &case.watch {
        let tags: Vec<&str> = watch.tags.iter().map(String::as_str).collect();
        let _ = writeln!(text, "  政策留意 / watched for: {}", tags.join(", "));
    }
    if case.resident_trips > 0 || case.is_closed() {
        let trips = case.resident_trips;
        let _ = writeln!(text, "  居民跑动{trips}次 / trips of the resident: {trips}");
    }
    for told in &case.told {
        let _ = writeln!(
            text,
            "  {}: {} {} {}",
            told.what.said(),
            local(told.at, &book.zone),
            told.by,
            told.method
        );
        if !told.list.is_empty() {
            let _ = writeln!(text, "    当时的清单 / the list then: {}", told.list.replace('|', ", "));
        }
    }
    for hop in case.hops.iter().rev() {
        let by = match &hop.heard_by {
            HeardBy::Resident => "居民 / resident".to_owned(),
            HeardBy::Staff(staff) => staff.to_string(),
        };
        let _ = writeln!(
            text,
            "  转接 / hop: {} {by} → {} {} {}: {}",
            local(hop.at, &book.zone),
            hop.place,
            hop.person,
            hop.phone,
            hop.result
        );
    }
    for note in &case.listening {
        let _ = writeln!(
            text,
            "  倾听(保密) / listening note, private: {} {} {}",
            local(note.at, &book.zone),
            note.by,
            note.text
        );
    }
    for feedback in &case.feedback {
        let _ = writeln!(
            text,
            "  反馈 / feedback: {} {} {}",
            local(feedback.at, &book.zone),
            feedback.kind.said(),
            feedback.note
        );
    }
    text
}
