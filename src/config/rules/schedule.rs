//! `schedule.toml`: digests, hours, caps, and the ladders of items that have no period of their own.

use jiff::SignedDuration;

use super::{Heard, Ladders, Read, check_ladder};
use crate::config::files::ScheduleFile;
use crate::domain::ids::LadderId;
use crate::domain::ladder::ItemKind;
use crate::domain::period::{Mode, PeriodRule, PeriodUnit};
use crate::domain::quiet::SendingHours;
use crate::domain::rulebook::Schedule;

/// Residents can be written to for at least so long a day, else messages pile up from day to day.
const SENDING_MIN: SignedDuration = SignedDuration::from_hours(1);

pub(in crate::config) fn schedule(read: &Read<ScheduleFile>, ladders: &Ladders, heard: Heard<'_>) -> Schedule {
    let file = &read.value;
    check_numbers(read, heard);
    check_workdays(read, heard);
    for (path, name, kind) in [
        ("callback.ladder", &file.callback.ladder, ItemKind::Callback),
        ("appointment.ladder", &file.appointment.ladder, ItemKind::Appointment),
    ] {
        check_ladder(&read.document, path, name, kind, ladders, heard);
    }
    let (sending, business) = (file.hours.sending.0, file.hours.business.0);
    if sending.from.duration_until(sending.to) < SENDING_MIN {
        heard.push(read.document.at(
            "hours.sending",
            "it is too short for messages to leave",
            "allowed: at least one hour, such as \"08:00-21:00\"",
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
        phone_first_from_age: file.people.phone_first_from_age,
        late_after_minutes: file.hours.late_after_minutes,
        acknowledgement_lasts: file.people.acknowledgement_lasts.0,
        callback_period: PeriodRule::simple(file.callback.period.0, Mode::Promise),
        callback_ladder: LadderId::from(file.callback.ladder.as_str()),
        appointment_ladder: LadderId::from(file.appointment.ladder.as_str()),
        business_hours: (business.from, business.to),
    }
}

fn check_numbers(read: &Read<ScheduleFile>, heard: Heard<'_>) {
    let ScheduleFile {
        caps, hours, people, ..
    } = &read.value;
    for (path, value, low, high) in [
        ("caps.sms_per_resident_per_day", caps.sms_per_resident_per_day, 1, 20),
        ("caps.sms_per_topic_per_day", caps.sms_per_topic_per_day, 1, 20),
        ("hours.late_after_minutes", hours.late_after_minutes, 1, 1440),
        (
            "people.phone_first_from_age",
            u32::from(people.phone_first_from_age),
            1,
            150,
        ),
    ] {
        if !(low..=high).contains(&value) {
            let (what, fix) = (format!("{value} is out of range"), format!("allowed: {low} to {high}"));
            heard.push(read.document.at(path, &what, &fix));
        }
    }
}

fn check_workdays(read: &Read<ScheduleFile>, heard: Heard<'_>) {
    for (path, period, most) in [
        (
            "people.acknowledgement_lasts",
            read.value.people.acknowledgement_lasts.0,
            30,
        ),
        ("callback.period", read.value.callback.period.0, 250),
    ] {
        if period.unit != PeriodUnit::Workdays || !(1..=most).contains(&period.n) {
            let fix = format!("allowed: 1wd to {most}wd (workdays), such as \"3wd\"");
            heard.push(read.document.at(path, &format!("\"{period}\" does not fit here"), &fix));
        }
    }
}
