//! `schedule.toml`: digests, hours, caps, and the ladders of items that have no period of their own.

use jiff::SignedDuration;

use super::{Heard, Ladders, Read, check_ladder, check_range};
use crate::config::decode::Document;
use crate::config::files::{GuardSection, ReplySection, ScheduleFile, TodoSection};
use crate::domain::case::{Purpose, ReplyKind};
use crate::domain::guard::GuardRule;
use crate::domain::ids::LadderId;
use crate::domain::ladder::ItemKind;
use crate::domain::period::{Mode, PeriodRule, PeriodUnit};
use crate::domain::quiet::SendingHours;
use crate::domain::rulebook::{CareRule, ChaseRule, EscortRule, ReplyRule, Schedule, StepRule, TodoRule};
use crate::domain::text::said;

/// Residents can be written to for at least so long a day, else messages pile up from day to day.
const SENDING_MIN: SignedDuration = SignedDuration::from_hours(1);

pub(in crate::config) fn schedule(read: &Read<ScheduleFile>, ladders: &Ladders, heard: Heard<'_>) -> Schedule {
    let file = &read.value;
    check_numbers(read, heard);
    check_workdays(read, heard);
    check_ladders(read, ladders, heard);
    check_windows(read, heard);
    let (sending, business) = (file.hours.sending.0, file.hours.business.0);
    if sending.from.duration_until(sending.to) < SENDING_MIN {
        heard.push(read.document.at(
            "hours.sending",
            said!("太短,信息发不出去", "it is too short for messages to leave"),
            said!(
                "可用: 至少一小时,如 \"08:00-21:00\"",
                "allowed: at least one hour, such as \"08:00-21:00\""
            ),
        ));
    }
    Schedule {
        digest_at: file.digest.at.0,
        digest_when_empty: file.digest.when_empty,
        sending_hours: SendingHours {
            from: sending.from,
            to: sending.to,
        },
        sms_per_resident_per_day: file.caps.sms_per_resident_per_day,
        sms_per_topic_per_day: file.caps.sms_per_topic_per_day,
        messages_per_resident_per_day: file.caps.messages_per_resident_per_day,
        guard: guard(&file.guard),
        phone_first_from_age: file.people.phone_first_from_age,
        late_after_minutes: file.hours.late_after_minutes,
        acknowledgement_lasts: file.people.acknowledgement_lasts.0,
        callback_period: PeriodRule::simple(file.callback.period.0, Mode::Promise),
        callback_ladder: LadderId::from(file.callback.ladder.as_str()),
        callback_attempts_max: file.callback.attempts_max as usize,
        callback_windows: file.callback.windows.iter().map(|hours| hours.0).collect(),
        appointment_ladder: LadderId::from(file.appointment.ladder.as_str()),
        escort: EscortRule {
            ladder: LadderId::from(file.escort.ladder.as_str()),
            travel_minutes: file.escort.travel_minutes,
            grace_minutes: file.escort.grace_minutes,
        },
        incident_ladder: LadderId::from(file.incident.ladder.as_str()),
        material: ChaseRule {
            ladder: LadderId::from(file.material.ladder.as_str()),
            chase_workdays: file.material.chase_workdays,
        },
        step: StepRule {
            ladder: LadderId::from(file.step.ladder.as_str()),
            chase_workdays: file.step.chase_workdays,
            chase_expedited_workdays: file.step.chase_expedited_workdays,
        },
        replies: file
            .reply
            .iter()
            .map(|(kind, section)| (*kind, reply(section)))
            .collect(),
        todos: file
            .todo
            .iter()
            .map(|(purpose, section)| (*purpose, todo(section)))
            .collect(),
        policy_ladder: LadderId::from(file.policy.ladder.as_str()),
        care: CareRule {
            ladder: LadderId::from(file.case.ladder.as_str()),
            silent_after_workdays: file.case.silent_after_workdays,
            recap_after_calls: file.case.recap_after_calls as usize,
            pressing_after_contacts: file.case.pressing_after_contacts as usize,
        },
        greetings: file.greeting.on.clone(),
        extended_hours: (file.hours.extended.0.from, file.hours.extended.0.to),
        business_hours: (business.from, business.to),
    }
}

fn guard(section: &GuardSection) -> GuardRule {
    GuardRule {
        run_min: section.run_min,
        run_times: section.run_times,
        same_text: section.same_text,
        first: section.first,
        failures_percent: section.failures_percent,
        new_text_first: section.new_text_first,
        new_text_wait_minutes: section.new_text_wait_minutes,
    }
}

fn reply(section: &ReplySection) -> ReplyRule {
    ReplyRule {
        ladder: LadderId::from(section.ladder.as_str()),
        period: PeriodRule::simple(section.period.0, Mode::Promise),
        chase_workdays: section.chase_workdays,
    }
}

fn todo(section: &TodoSection) -> TodoRule {
    TodoRule {
        ladder: LadderId::from(section.ladder.as_str()),
        period: PeriodRule::simple(section.period.0, Mode::Promise),
    }
}

/// Every kind of item has a ladder of its own kind, and every kind of reply and to-do its section.
fn check_ladders(read: &Read<ScheduleFile>, ladders: &Ladders, heard: Heard<'_>) {
    let (doc, file) = (&read.document, &read.value);
    for (path, name, kind) in [
        ("callback.ladder", &file.callback.ladder, ItemKind::Callback),
        ("appointment.ladder", &file.appointment.ladder, ItemKind::Appointment),
        ("escort.ladder", &file.escort.ladder, ItemKind::Escort),
        ("incident.ladder", &file.incident.ladder, ItemKind::Incident),
        ("material.ladder", &file.material.ladder, ItemKind::Material),
        ("step.ladder", &file.step.ladder, ItemKind::Step),
        ("policy.ladder", &file.policy.ladder, ItemKind::Policy),
        ("case.ladder", &file.case.ladder, ItemKind::Case),
    ] {
        check_ladder(doc, path, name, kind, ladders, heard);
    }
    for kind in ReplyKind::ALL {
        let path = format!("reply.{}", kind.name());
        match file.reply.get(&kind) {
            Some(section) => check_ladder(
                doc,
                &format!("{path}.ladder"),
                &section.ladder,
                ItemKind::Reply,
                ladders,
                heard,
            ),
            None => missing(doc, &path, heard),
        }
    }
    for purpose in Purpose::ALL {
        let path = format!("todo.{}", purpose.name());
        match file.todo.get(&purpose) {
            Some(section) => check_ladder(
                doc,
                &format!("{path}.ladder"),
                &section.ladder,
                ItemKind::Todo,
                ladders,
                heard,
            ),
            None => missing(doc, &path, heard),
        }
    }
}

fn missing(doc: &Document, path: &str, heard: Heard<'_>) {
    if doc.is_whole("") {
        let what = said!(
            "缺少这一节: 没有人会得到提醒",
            "this section is missing: nobody would be reminded of it"
        );
        heard.push(doc.at(
            path,
            what,
            said!(
                "请加上 [{path}],写明 period 和 ladder,参照随附的 schedule.toml",
                "add [{path}] with period and ladder, as in the shipped schedule.toml"
            ),
        ));
    }
}

/// In order and apart: the next try comes in the next one.
fn check_windows(read: &Read<ScheduleFile>, heard: Heard<'_>) {
    let (doc, windows) = (&read.document, &read.value.callback.windows);
    if windows.is_empty() && doc.is_whole("callback.windows") {
        let fix = said!(
            "请至少写一个时段,如 [\"09:00-11:30\", \"14:00-17:00\"]",
            "give at least one window, such as [\"09:00-11:30\", \"14:00-17:00\"]"
        );
        heard.push(doc.at(
            "callback.windows",
            said!("永远不会再试", "there would never be another try"),
            fix,
        ));
    }
    for (index, pair) in windows.windows(2).enumerate() {
        if pair[1].0.from < pair[0].0.to && doc.is_whole("callback.windows") {
            let fix = said!(
                "时段请按先后写且不重叠,如 [\"09:00-11:30\", \"14:00-17:00\"]",
                "write windows in order and apart, such as [\"09:00-11:30\", \"14:00-17:00\"]"
            );
            heard.push(doc.at(
                &format!("callback.windows[{}]", index + 1),
                said!("与前一个时段重叠", "it overlaps the window before"),
                fix,
            ));
        }
    }
}

fn check_numbers(read: &Read<ScheduleFile>, heard: Heard<'_>) {
    let ScheduleFile {
        caps,
        guard,
        hours,
        people,
        callback,
        escort,
        material,
        step,
        case,
        reply,
        ..
    } = &read.value;
    for (kind, section) in reply {
        if let Some(workdays) = section.chase_workdays {
            let path = format!("reply.{}.chase_workdays", kind.name());
            check_range(&read.document, &path, workdays, (1, 60), heard);
        }
    }
    for (path, value, low, high) in [
        ("callback.attempts_max", callback.attempts_max, 1, 20),
        ("escort.travel_minutes", escort.travel_minutes, 0, 480),
        ("escort.grace_minutes", escort.grace_minutes, 0, 240),
        ("material.chase_workdays", material.chase_workdays, 1, 60),
        ("step.chase_workdays", step.chase_workdays, 1, 60),
        ("step.chase_expedited_workdays", step.chase_expedited_workdays, 1, 60),
        ("case.silent_after_workdays", case.silent_after_workdays, 1, 250),
        ("case.recap_after_calls", case.recap_after_calls, 1, 100),
        ("case.pressing_after_contacts", case.pressing_after_contacts, 1, 1000),
        ("caps.sms_per_resident_per_day", caps.sms_per_resident_per_day, 1, 20),
        ("caps.sms_per_topic_per_day", caps.sms_per_topic_per_day, 1, 20),
        (
            "caps.messages_per_resident_per_day",
            caps.messages_per_resident_per_day,
            1,
            20,
        ),
        ("guard.run_min", guard.run_min, 1, 1_000_000),
        ("guard.run_times", guard.run_times, 1, 100),
        ("guard.same_text", guard.same_text, 1, 1_000_000),
        ("guard.first", guard.first, 5, 200),
        ("guard.failures_percent", guard.failures_percent, 1, 100),
        ("guard.new_text_first", guard.new_text_first, 1, 100),
        ("guard.new_text_wait_minutes", guard.new_text_wait_minutes, 1, 1440),
        ("hours.late_after_minutes", hours.late_after_minutes, 1, 1440),
        (
            "people.phone_first_from_age",
            u32::from(people.phone_first_from_age),
            1,
            150,
        ),
    ] {
        check_range(&read.document, path, value, (low, high), heard);
    }
}

fn check_workdays(read: &Read<ScheduleFile>, heard: Heard<'_>) {
    let ScheduleFile {
        people,
        callback,
        reply,
        todo,
        ..
    } = &read.value;
    let replies = reply
        .iter()
        .map(|(kind, section)| (format!("reply.{}.period", kind.name()), section.period.0, 250));
    let todos = todo
        .iter()
        .map(|(purpose, section)| (format!("todo.{}.period", purpose.name()), section.period.0, 250));
    let single = [
        (
            "people.acknowledgement_lasts".to_owned(),
            people.acknowledgement_lasts.0,
            30,
        ),
        ("callback.period".to_owned(), callback.period.0, 250),
    ];
    for (path, period, most) in single.into_iter().chain(replies).chain(todos) {
        if period.unit != PeriodUnit::Workdays || !(1..=most).contains(&period.n) {
            let fix = said!(
                "可用: 1wd 到 {most}wd(工作日),如 \"3wd\"",
                "allowed: 1wd to {most}wd (workdays), such as \"3wd\""
            );
            heard.push(read.document.at(
                &path,
                said!("此处不能用“{period}”", "\"{period}\" does not fit here"),
                fix,
            ));
        }
    }
}
