//! The planner, story by story. The dates of S-numbers are those of the requirements; every table was reviewed by hand.
//!
//! 2026: 02-14 and 02-28 are working Saturdays, 02-15 through 02-23 is the Spring Festival.

use jiff::SignedDuration;
use xixin::config::shipped_rulebook;
use xixin::domain::agenda;
use xixin::domain::calendar::OffDay;
use xixin::domain::case::{Due, Item};
use xixin::domain::ladder::{Audience, ItemKind, Ladder, Late, Rung, Until, Way};
use xixin::domain::person::{Person, PersonFlag};
use xixin::domain::plan::milestones::Dated;
use xixin::domain::plan::{People, plan};
use xixin::domain::reminder::{Decided, MarkText};
use xixin::domain::rulebook::Rulebook;
use xixin::domain::text::Said;

use crate::support::rulebook::{
    absent, appointment, at, callback, case, daughter, day, deadline, deadline_ending, ladder, people, resident,
    rulebook, rung,
};
use crate::support::timeline::Timeline;

use Audience::{Assignee, Director, Owner, Resident, Supervisor};
use OffDay::{Earlier, Later, Stay};
use Way::{Email, Phone, Sms};

/// The rules, with one ladder for items of `kind`.
fn with_rungs(kind: ItemKind, rungs: Vec<Rung>) -> Rulebook {
    let id = match kind {
        ItemKind::Deadline => "record_expiry",
        ItemKind::Callback => "callback",
        ItemKind::Appointment => "appointment",
        other => other.name(),
    };
    let mut rules = rulebook();
    let ladder = ladder(id, kind, Late::Now, rungs);
    rules.ladders.insert(ladder.id.clone(), ladder);
    rules
}

fn ending(rules: Rulebook, end: &str, set_at: &str) -> Timeline {
    let mut case = case(set_at);
    deadline_ending(&mut case, "cremation_reissue", end, set_at);
    Timeline::new(rules, case, set_at)
}

/// The dates of the only deadline of a case.
fn dated(timeline: &Timeline) -> Dated<'_> {
    Dated::new(&timeline.rules, Item::Deadline(&timeline.case.deadlines[0]))
}

#[test]
fn s17_a_date_that_is_found_starts_the_clock() {
    let mut case = case("2022-01-17 10:00");
    deadline(&mut case, "cremation_reissue", "unknown", "2022-01-17 10:00");
    let mut timeline = Timeline::new(rulebook(), case, "2022-01-17 10:00");
    timeline.run_until("2022-01-19 10:00");
    let items = [dated(&timeline)];
    assert_eq!(items[0].counted, None);
    assert_eq!(
        agenda::project(&timeline.rules, &timeline.case, &items)[0].day,
        None,
        "no date looks safe"
    );
    timeline.act("li", r#"{"do":"set_trigger","item":"d1","trigger":"2012-03-10"}"#);
    let end = dated(&timeline).counted.unwrap().legal_end;
    assert_eq!(end, day("2022-03-10"));
    let today = day("2022-01-19");
    assert_eq!(today.until(end).unwrap().get_days(), 50);
    assert_eq!(timeline.rules.calendar.workdays_between(today, end), 33);
    timeline.run_until("2022-02-28 10:00");
    timeline.expect(
        "2022-01-17 10:00  d1 find-date → owner li email queued
         2022-01-18 09:00  d1 find-date → owner li email queued
         2022-01-19 09:00  d1 find-date → owner li email queued
         2022-02-08 09:00  d1 month-ahead → owner li email queued
         2022-02-24 09:00  d1 attention → owner li email queued
         2022-02-24 10:00  d1 attention-resident → resident p1 sms queued",
    );
}

#[test]
fn s18_a_range_is_planned_on_its_earliest_bound_and_says_so() {
    let mut case = case("2022-01-10 10:00");
    deadline(
        &mut case,
        "cremation_reissue",
        "2012-03-01..2012-05-31",
        "2022-01-10 10:00",
    );
    let timeline = Timeline::new(rulebook(), case, "2022-01-10 10:00");
    assert_eq!(dated(&timeline).counted.unwrap().legal_end, day("2022-03-01"));
    let steps = dated(&timeline).explain(&timeline.rules);
    assert!(steps[0].zh.starts_with("估算"), "{steps:?}");
}

#[test]
fn s19_the_last_safe_day_before_a_holiday_is_the_working_sunday() {
    let mut case = case("2022-01-10 10:00");
    deadline(&mut case, "cremation_reissue", "2012-02-03", "2022-01-10 10:00");
    let mut timeline = Timeline::new(rulebook(), case, "2022-01-10 10:00");
    let counted = dated(&timeline).counted.unwrap();
    assert_eq!(
        (counted.legal_end, counted.last_safe_day),
        (day("2022-02-03"), day("2022-01-30"))
    );
    timeline.run_until("2022-02-08 10:00");
    let last = timeline
        .table()
        .into_iter()
        .filter(|row| row.starts_with("2022-01-30"))
        .collect::<Vec<_>>();
    assert_eq!(
        last,
        [
            "2022-01-30 08:30  d1 last-days → owner li email queued",
            "2022-01-30 08:30  d1 last-days → supervisor sun email queued",
        ]
    );
    // It expires in the middle of the Spring Festival; the loss is told the morning after, the escalation goes on from the first workday.
    let lost = timeline
        .table()
        .into_iter()
        .filter(|row| row.contains("lost") || row.contains("expired"))
        .collect::<Vec<_>>();
    assert_eq!(
        lost,
        [
            "2022-02-04 08:30  d1 lost → supervisor sun email queued",
            "2022-02-07 08:30  d1 expired → supervisor sun email queued",
            "2022-02-07 08:30  d1 expired → director zhao email queued",
            "2022-02-08 08:30  d1 expired → supervisor sun email queued",
            "2022-02-08 08:30  d1 expired → director zhao email queued",
        ]
    );
}

#[test]
fn s20_urgency_rises_and_the_loss_is_told_on_the_day_even_a_saturday() {
    let mut timeline = ending(rulebook(), "2026-03-20", "2026-02-02 10:00");
    timeline.run_until("2026-03-23 10:00").expect(
        // 30 days before is 02-18, in the holiday.
        "2026-02-14 09:00  d1 month-ahead → owner li email queued
         2026-03-06 09:00  d1 attention → owner li email queued
         2026-03-06 10:00  d1 attention-resident → resident p1 sms queued
         2026-03-13 09:00  d1 urgent → owner li email queued
         2026-03-13 09:00  d1 urgent → supervisor sun email queued
         2026-03-13 10:00  d1 urgent-resident → resident p1 sms queued
         2026-03-17 08:30  d1 last-days → owner li email queued
         2026-03-17 08:30  d1 last-days → supervisor sun email queued
         2026-03-18 08:30  d1 last-days → owner li email queued
         2026-03-18 08:30  d1 last-days → supervisor sun email queued
         2026-03-19 08:30  d1 last-days → owner li email queued
         2026-03-19 08:30  d1 last-days → supervisor sun email queued
         2026-03-19 10:00  d1 eve-resident → resident p1 sms queued
         2026-03-20 08:30  d1 last-days → owner li email queued
         2026-03-20 08:30  d1 last-days → supervisor sun email queued
         2026-03-21 08:30  d1 lost → supervisor sun email queued
         2026-03-23 08:30  d1 expired → supervisor sun email queued
         2026-03-23 08:30  d1 expired → director zhao email queued",
    );
}

#[test]
fn s30_a_promise_without_a_date_is_chased_up_to_the_supervisor() {
    let mut timeline = Timeline::new(rulebook(), case("2026-03-02 09:00"), "2026-03-02 09:00");
    timeline.act("wang", r#"{"do":"promise","words":"办好了联系您"}"#);
    assert_eq!(timeline.case.callbacks[0].due, Due::Day(day("2026-03-09")));
    timeline.run_until("2026-03-12 10:00").expect(
        "2026-03-09 08:30  c1 due → assignee wang email queued
         2026-03-10 08:30  c1 overdue → assignee wang email queued
         2026-03-10 08:30  c1 overdue → owner li email queued
         2026-03-11 08:30  c1 tell-supervisor → supervisor sun email queued
         2026-03-12 08:30  c1 tell-supervisor → supervisor sun email queued",
    );
    timeline.act("wang", r#"{"do":"attempt","item":"c1","result":"reached"}"#);
    let before = timeline.decisions.len();
    timeline.run_until("2026-06-30 10:00");
    assert_eq!(timeline.decisions.len(), before);
}

#[test]
fn a_call_in_vain_asks_for_another_in_the_next_window_and_the_promise_stays_due() {
    let mut timeline = Timeline::new(rulebook(), case("2026-02-12 09:00"), "2026-02-12 09:00");
    timeline.act("wang", r#"{"do":"promise","words":"查到就联系您","due":"2026-02-14"}"#);
    timeline.run_until("2026-02-14 16:00");
    timeline.act("wang", r#"{"do":"attempt","item":"c1","result":"no_answer"}"#);
    timeline.run_until("2026-02-24 10:00");
    timeline.act(
        "wang",
        r#"{"do":"attempt","item":"c1","result":"call_later","due":"2026-02-25T15:00"}"#,
    );
    timeline.run_until("2026-02-26 10:00").expect(
        "2026-02-14 08:30  c1 due → assignee wang email queued
         2026-02-24 08:30  c1 overdue → assignee wang email queued
         2026-02-24 08:30  c1 overdue → owner li email queued
         2026-02-24 08:30  c1 tell-supervisor → supervisor sun email queued
         2026-02-24 09:00  c1 retry → assignee wang email queued
         2026-02-25 08:30  c1 due → assignee wang email queued
         2026-02-26 08:30  c1 overdue → assignee wang email queued
         2026-02-26 08:30  c1 overdue → owner li email queued",
    );
}

#[test]
fn s09_s10_the_frail_are_phoned_first_and_a_daughter_who_opted_in_is_told_too() {
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "zhou", "2026-03-02 10:00", "2026-03-05 09:30");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-02 10:00");
    let frail = Person {
        born: Some(1945),
        flags: [PersonFlag::Mobility].into(),
        ..resident()
    };
    timeline.people = People {
        resident: Some(frail),
        relatives: vec![daughter()],
    };
    timeline.run_until("2026-03-05 09:00").expect(
        "2026-03-04 09:00  a1 day-before-staff → assignee zhou email queued
         2026-03-04 10:00  a1 day-before → resident p1 phone task
         2026-03-04 10:00  a1 day-before → resident zhou email queued (call notice)
         2026-03-04 10:00  a1 day-before → resident p1 sms queued
         2026-03-04 10:00  a1 day-before → relatives p2 sms queued
         2026-03-05 07:30  a1 same-day → assignee zhou email queued",
    );
}

#[test]
fn a_number_that_is_wrong_or_missing_becomes_a_call_and_a_refused_sms_too() {
    let rules = with_rungs(
        ItemKind::Appointment,
        vec![rung(
            "day-before",
            "1 days before start",
            Some("10:00"),
            Stay,
            &[Resident],
            &[Sms],
        )],
    );
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "li", "2026-03-02 10:00", "2026-03-05 09:30");
    for (change, reason) in [
        (
            Person {
                phone_is_wrong: true,
                ..resident()
            },
            "the number on record is wrong: find the right one and phone",
        ),
        (
            Person {
                phone: None,
                ..resident()
            },
            "no usable number or address: phone instead",
        ),
        (
            Person {
                phone: Some("01012345678".to_owned()),
                ..resident()
            },
            "no usable number or address: phone instead",
        ),
        (
            Person {
                opted_out: true,
                ..resident()
            },
            "opted out of SMS: phone instead",
        ),
    ] {
        let mut timeline = Timeline::new(rules.clone(), case.clone(), "2026-03-02 10:00");
        timeline.people.resident = Some(change);
        timeline.run_until("2026-03-04 12:00").expect(
            "2026-03-04 10:00  a1 day-before → resident p1 phone task
             2026-03-04 10:00  a1 day-before → resident li email queued (call notice)",
        );
        assert!(
            timeline.reasons("day-before")[0].starts_with(reason),
            "{:?}",
            timeline.reasons("day-before")
        );
    }
}

#[test]
fn appointment_reminders_are_stale_at_the_start_and_call_backs_never_are() {
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "wang", "2026-03-02 10:00", "2026-03-05 09:30");
    callback(&mut case, "wang", "2026-03-02 10:00", "2026-03-05");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-02 10:00");
    timeline.down_until("2026-03-05 10:00").expect(
        "2026-03-05 10:00  c2 due → assignee wang email queued
         2026-03-05 10:00  a1 day-before → resident nobody skipped
         2026-03-05 10:00  a1 day-before → relatives nobody skipped
         2026-03-05 10:00  a1 day-before-staff → assignee nobody skipped
         2026-03-05 10:00  a1 same-day → assignee nobody skipped",
    );
    assert_eq!(timeline.reasons("same-day"), ["too late to help"]);
    timeline.down_until("2026-07-01 10:00");
    let calls: Vec<String> = timeline
        .table()
        .into_iter()
        .filter(|row| row.starts_with("2026-07-01") && row.contains("c2"))
        .collect();
    assert_eq!(
        calls,
        [
            "2026-07-01 10:00  c2 overdue → assignee wang email queued",
            "2026-07-01 10:00  c2 overdue → owner li email queued",
            "2026-07-01 10:00  c2 tell-supervisor → supervisor sun email queued",
        ]
    );
}

#[test]
fn a_resident_is_written_to_by_day_or_the_evening_before_when_the_morning_is_too_late() {
    let hours = |n: u32| format!("{n} hours before start");
    for (when, start, sent) in [
        (hours(2), "2026-03-12 07:30", "2026-03-11 20:59"),
        (hours(2), "2026-03-12 09:30", "2026-03-12 08:00"),
        (hours(2), "2026-03-12 12:30", "2026-03-12 10:30"),
        (hours(12), "2026-03-12 09:30", "2026-03-12 08:00"),
        // All that comes in the night before goes once.
        (
            "every 1 hours from 8 hours before start".to_owned(),
            "2026-03-12 07:00",
            "2026-03-11 20:59",
        ),
    ] {
        let reminder = rung("soon", &when, None, Stay, &[Resident], &[Sms]);
        let mut case = case("2026-03-02 10:00");
        appointment(&mut case, "li", "2026-03-02 10:00", start);
        let mut timeline = Timeline::new(
            with_rungs(ItemKind::Appointment, vec![reminder]),
            case,
            "2026-03-02 10:00",
        );
        timeline
            .run_until("2026-03-12 12:00")
            .expect(&format!("{sent}  a1 soon → resident p1 sms queued"));
        // Still to be sent when its own time comes in the night, it is the same reminder.
        timeline.now = at("2026-03-12 05:00");
        assert!(
            !timeline.recheck_all()[0].contains("next time"),
            "{:?}",
            timeline.recheck_all()
        );
    }
}

#[test]
fn after_downtime_in_the_evening_a_resident_is_written_to_in_the_morning_and_staff_at_once() {
    let rungs = vec![
        rung(
            "resident",
            "3 days before last_safe_day",
            Some("10:00"),
            Stay,
            &[Resident],
            &[Sms],
        ),
        rung(
            "owner",
            "3 days before last_safe_day",
            Some("10:00"),
            Stay,
            &[Owner],
            &[Email],
        ),
    ];
    let mut timeline = ending(with_rungs(ItemKind::Deadline, rungs), "2026-03-20", "2026-03-02 10:00");
    timeline.down_until("2026-03-17 22:15");
    let not_before: Vec<_> = timeline
        .decisions
        .iter()
        .map(|(_, decision)| decision.not_before)
        .collect();
    assert_eq!(not_before, [at("2026-03-18 08:00"), at("2026-03-17 22:15")]);
}

#[test]
fn of_two_rungs_that_fall_together_before_a_holiday_the_nearer_is_sent() {
    // 8 and 7 days before 02-25 are in the holiday.
    let rungs = ["8", "7"].map(|n| {
        let when = format!("{n} days before last_safe_day");
        rung(n, &when, Some("09:00"), Earlier, &[Owner], &[Email])
    });
    let mut timeline = ending(
        with_rungs(ItemKind::Deadline, rungs.to_vec()),
        "2026-02-25",
        "2026-02-02 10:00",
    );
    timeline.run_until("2026-02-26 10:00").expect(
        "2026-02-14 09:00  d1 8 → owner nobody superseded
         2026-02-14 09:00  d1 7 → owner li email queued",
    );
}

#[test]
fn a_nearer_rung_that_is_of_no_use_any_more_supersedes_nothing() {
    let rungs = vec![
        rung(
            "look-back",
            "1 days after target_by",
            Some("09:00"),
            Stay,
            &[Owner],
            &[Email],
        ),
        rung("last-day", "on end", Some("09:00"), Stay, &[Owner], &[Email]),
    ];
    let mut timeline = ending(with_rungs(ItemKind::Deadline, rungs), "2026-03-20", "2026-03-02 10:00");
    timeline.rules.periods.get_mut("cremation_reissue").unwrap().rule.margin = Some("5wd".parse().unwrap());
    timeline.down_until("2026-03-23 10:00").expect(
        "2026-03-23 10:00  d1 look-back → owner li email queued
         2026-03-23 10:00  d1 last-day → owner nobody skipped",
    );
}

#[test]
fn a_soft_deadline_warns_after_its_day_and_never_expires() {
    let mut case = case("2026-03-02 10:00");
    deadline_ending(&mut case, "ui_apply", "2026-03-20", "2026-03-02 10:00");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-02 10:00");
    timeline.run_until("2026-06-30 10:00").expect(
        "2026-03-13 09:00  d1 soon → owner li email queued
         2026-03-23 09:00  d1 after → owner li email queued
         2026-03-24 09:00  d1 after → owner li email queued
         2026-03-25 09:00  d1 after → owner li email queued
         2026-03-26 09:00  d1 after → owner li email queued
         2026-03-27 09:00  d1 after → owner li email queued",
    );
}

#[test]
fn at_most_counts_the_times_and_not_the_days() {
    for (when, times) in [
        ("every workday from on expired at most 3 times", 3),
        ("every day from on expired at most 4 times", 4),
        ("every 5 hours from on expired at most 2 times", 2),
        // Ends with its milestone before the count is reached.
        ("every workday from 2 workdays before last_safe_day at most 9 times", 3),
        ("every 12 hours from 24 hours before last_safe_day at most 9 times", 4),
    ] {
        let rung = rung("again", when, Some("08:30"), Earlier, &[Owner], &[Email]);
        let mut timeline = ending(
            with_rungs(ItemKind::Deadline, vec![rung]),
            "2026-03-20",
            "2026-03-02 10:00",
        );
        timeline.run_until("2026-06-30 10:00");
        assert_eq!(timeline.decisions.len(), times, "{when}: {:?}", timeline.table());
    }
}

#[test]
fn what_counts_towards_an_hour_comes_before_it() {
    // 7 days of 24 hours from 03-02 08:00 run out on 03-09 at 08:00: a reminder at 09:00 of that day helps nobody.
    let mut case = case("2026-03-02 08:00");
    deadline(&mut case, "hotline", "2026-03-02T08:00", "2026-03-02 08:00");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-02 08:00");
    timeline.run_until("2026-03-10 12:00").expect(
        "2026-03-05 09:00  d1 soon → owner li email queued
         2026-03-06 09:00  d1 today → owner li email queued
         2026-03-09 09:00  d1 expired → owner li email queued
         2026-03-09 09:00  d1 expired → supervisor sun email queued
         2026-03-10 09:00  d1 expired → owner li email queued
         2026-03-10 09:00  d1 expired → supervisor sun email queued",
    );
}

#[test]
fn what_tells_of_an_hour_never_comes_before_it() {
    // It runs out at 16:30; "expired" at 09:00 comes the morning after.
    let mut case = case("2026-03-02 16:30");
    deadline(&mut case, "hotline", "2026-03-02T16:30", "2026-03-02 16:30");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-02 16:30");
    timeline.run_until("2026-03-10 12:00").expect(
        "2026-03-05 09:00  d1 soon → owner li email queued
         2026-03-09 09:00  d1 today → owner li email queued
         2026-03-10 09:00  d1 expired → owner li email queued
         2026-03-10 09:00  d1 expired → supervisor sun email queued",
    );
}

#[test]
fn a_countdown_whose_days_are_all_rest_days_comes_on_the_workday_before() {
    // The hall is open on Saturday 03-21; the two days before it hold one workday, the day itself none.
    for (when, off_day, expected) in [
        ("every workday from 1 days before last_safe_day", Stay, "2026-03-20"),
        ("every workday from 0 days before last_safe_day", Stay, "2026-03-20"),
        ("every workday from 0 days before last_safe_day", Later, "2026-03-20"),
    ] {
        let when = when.replace("from 0 days before", "from on");
        let rung = rung("count", &when, Some("08:30"), off_day, &[Owner], &[Email]);
        let mut case = case("2026-03-02 10:00");
        deadline_ending(&mut case, "cremation_reissue", "2026-03-21", "2026-03-02 10:00").office = Some("hall".into());
        let mut timeline = Timeline::new(with_rungs(ItemKind::Deadline, vec![rung]), case, "2026-03-02 10:00");
        timeline.run_until("2026-03-22 10:00");
        let dates: Vec<String> = timeline
            .decisions
            .iter()
            .map(|(_, one)| one.mark.occurrence.to_string())
            .collect();
        assert_eq!(
            dates.first().map(String::as_str),
            Some(expected),
            "{when} {off_day:?}: {dates:?}"
        );
    }
}

#[test]
fn a_reopened_case_says_once_where_it_stands() {
    let mut timeline = ending(rulebook(), "2026-06-30", "2026-03-02 10:00");
    timeline.run_until("2026-05-06 10:00");
    timeline.act("sun", r#"{"do":"close","as":"withdrawn","reason":"居民撤回"}"#);
    timeline.run_until("2026-06-24 10:00").expect("");
    timeline.act("sun", r#"{"do":"reopen"}"#);
    timeline.run_until("2026-06-24 11:00").expect(
        "2026-06-24 10:00  d1 month-ahead → owner nobody superseded
         2026-06-24 10:00  d1 attention → owner nobody superseded
         2026-06-24 10:00  d1 attention-resident → resident nobody superseded
         2026-06-24 10:00  d1 urgent → owner li email queued
         2026-06-24 10:00  d1 urgent → supervisor sun email queued
         2026-06-24 10:00  d1 urgent-resident → resident p1 sms queued",
    );
    let late = &timeline.reasons("urgent")[0];
    assert!(
        late.ends_with("1 day 1 h late: the case was closed then and reopened later"),
        "{late}"
    );
}

#[test]
fn a_deadline_entered_when_it_is_over_escalates_at_once() {
    let mut timeline = ending(rulebook(), "2026-02-27", "2026-03-03 15:00");
    timeline.run_until("2026-03-03 16:00");
    let told: Vec<String> = timeline
        .table()
        .into_iter()
        .filter(|row| row.contains("queued"))
        .collect();
    assert_eq!(
        told,
        [
            "2026-03-03 15:00  d1 expired → supervisor sun email queued",
            "2026-03-03 15:00  d1 expired → director zhao email queued",
        ]
    );
    let reason = &timeline.reasons("expired")[0];
    assert_eq!(
        reason,
        "rung \"expired\" is due (expired 2026-02-28); 6 h 30 min late: it was entered after that time"
    );
}

#[test]
fn a_kind_of_deadline_that_the_rules_no_longer_know_is_not_forgotten() {
    let mut rules = rulebook();
    rules.periods.remove("cremation_reissue");
    let mut timeline = ending(rules, "2026-03-20", "2026-03-02 08:00");
    timeline.run_until("2026-03-03 10:00").expect(
        "2026-03-02 09:00  d1 find-date → owner li email queued
         2026-03-03 09:00  d1 find-date → owner li email queued",
    );
}

#[test]
fn staff_are_told_by_the_way_they_have() {
    let mut rules = rulebook();
    rules.org.staff.get_mut("li").unwrap().email = None;
    let mut timeline = ending(rules, "2026-03-20", "2026-03-02 08:00");
    timeline.run_until("2026-03-06 09:30").expect(
        "2026-03-02 08:00  d1 month-ahead → owner li sms queued
         2026-03-06 09:00  d1 attention → owner li sms queued",
    );
}

#[test]
fn a_person_who_is_meant_twice_hears_it_once_and_in_their_first_role() {
    let rungs = vec![rung(
        "lost",
        "on expired",
        Some("08:30"),
        Stay,
        &[Supervisor, Director, Owner],
        &[Email],
    )];
    let mut rules = with_rungs(ItemKind::Deadline, rungs);
    absent(&mut rules, "sun", "2026-03-01", "2026-03-31", Some("zhao"));
    absent(&mut rules, "li", "2026-03-01", "2026-03-31", None);
    let mut timeline = ending(rules, "2026-03-20", "2026-03-02 10:00");
    timeline.run_until("2026-03-21 10:00").expect(
        "2026-03-21 08:30  d1 lost → supervisor zhao email queued
         2026-03-21 08:30  d1 lost → director zhao email superseded
         2026-03-21 08:30  d1 lost → owner zhao email superseded"
            .replace(" email superseded", " superseded")
            .as_str(),
    );
}

#[test]
fn a_phone_rung_for_a_relative_names_the_caller_of_the_item() {
    let rungs = vec![rung(
        "call",
        "1 days before start",
        Some("10:00"),
        Stay,
        &[Audience::Relatives],
        &[Phone],
    )];
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "zhou", "2026-03-02 10:00", "2026-03-05 09:30");
    let mut rules = with_rungs(ItemKind::Appointment, rungs);
    absent(&mut rules, "zhou", "2026-03-04", "2026-03-04", Some("wang"));
    let mut timeline = Timeline::new(rules, case, "2026-03-02 10:00");
    timeline.people.relatives = vec![daughter()];
    timeline.run_until("2026-03-04 12:00").expect(
        "2026-03-04 10:00  a1 call → relatives p2 phone task
         2026-03-04 10:00  a1 call → relatives wang email queued (call notice)",
    );
    assert_eq!(timeline.decisions[0].1.assignee, Some("wang".into()));
}

#[test]
fn a_provider_that_was_down_over_several_times_sends_the_last_one_only() {
    let every = rung(
        "again",
        "every workday from on expired",
        Some("08:30"),
        Earlier,
        &[Owner],
        &[Email],
    );
    let mut timeline = ending(
        with_rungs(ItemKind::Deadline, vec![every]),
        "2026-03-19",
        "2026-03-02 10:00",
    );
    timeline.run_until("2026-03-24 10:00");
    let overtaken = "again: cancel, the next time of the same rung has come";
    assert_eq!(timeline.recheck_all(), [overtaken, overtaken, "again: send"]);
}

#[test]
fn a_provider_that_was_down_over_several_rungs_sends_the_nearest_one_only() {
    let mut timeline = ending(rulebook(), "2026-12-11", "2026-11-02 10:00");
    timeline.run_until("2026-12-09 12:00");
    let sent = |timeline: &Timeline| {
        let table = timeline.recheck_all();
        let queued = timeline.table().into_iter().filter(|row| row.ends_with("queued"));
        let rows = queued.zip(table).filter(|(_, result)| result.ends_with(": send"));
        rows.map(|(row, _)| row).collect::<Vec<_>>()
    };
    assert_eq!(
        sent(&timeline),
        [
            "2026-12-04 10:00  d1 urgent-resident → resident p1 sms queued",
            "2026-12-09 08:30  d1 last-days → owner li email queued",
            "2026-12-09 08:30  d1 last-days → supervisor sun email queued",
        ]
    );
    let attention = timeline
        .recheck_all()
        .into_iter()
        .find(|row| row.starts_with("attention:"));
    assert_eq!(
        attention.as_deref(),
        Some("attention: cancel, the nearer rung \"last-days\" of the same ladder is due too; only that one is sent")
    );
    // It came; then the right was lost. Nothing asks for what cannot be done any more.
    timeline.run_until("2026-12-12 12:00");
    assert_eq!(
        sent(&timeline),
        ["2026-12-12 08:30  d1 lost → supervisor sun email queued"]
    );
}

#[test]
fn a_call_stays_open_when_a_message_comes_later() {
    let rungs = vec![
        rung(
            "call",
            "3 days before start",
            Some("10:00"),
            Stay,
            &[Resident],
            &[Phone],
        ),
        rung("write", "1 days before start", Some("10:00"), Stay, &[Resident], &[Sms]),
    ];
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "li", "2026-03-02 10:00", "2026-03-12 09:30");
    let mut timeline = Timeline::new(with_rungs(ItemKind::Appointment, rungs), case, "2026-03-02 10:00");
    timeline.run_until("2026-03-11 12:00").expect(
        "2026-03-09 10:00  a1 call → resident p1 phone task
         2026-03-09 10:00  a1 call → resident li email queued (call notice)
         2026-03-11 10:00  a1 write → resident p1 sms queued",
    );
    assert_eq!(timeline.recheck_all(), ["call: send", "write: send"]);
}

#[test]
fn a_rung_that_is_not_in_force_stands_for_no_other() {
    let mut second = rung("second", "2 days before last_safe_day", None, Stay, &[Owner], &[Email]);
    second.effective_from = Some(day("2027-01-01"));
    let rungs = vec![
        rung("first", "4 days before last_safe_day", None, Stay, &[Owner], &[Email]),
        second,
    ];
    let mut timeline = ending(with_rungs(ItemKind::Deadline, rungs), "2026-12-11", "2026-11-02 10:00");
    timeline.down_until("2026-12-10 10:00").expect(
        "2026-12-10 10:00  d1 first → owner li email queued
         2026-12-10 10:00  d1 second → owner nobody skipped",
    );
    assert_eq!(timeline.recheck_all(), ["first: send"]);
}

#[test]
fn one_unknown_date_is_asked_for_once() {
    let mut rules = rulebook();
    let mut same = rules.periods["cremation_reissue"].clone();
    same.id = "funeral_refund".into();
    rules.periods.insert(same.id.clone(), same);
    rules.periods.get_mut("hard_case").unwrap().trigger = Said::new("收到决定之日", "day the decision arrived");
    let mut case = case("2026-03-02 08:00");
    deadline(&mut case, "cremation_reissue", "unknown", "2026-03-02 08:00");
    deadline(&mut case, "funeral_refund", "unknown", "2026-03-02 08:00");
    deadline(&mut case, "hard_case", "unknown", "2026-03-02 08:00");
    let mut timeline = Timeline::new(rules, case, "2026-03-02 08:00");
    timeline.run_until("2026-03-02 12:00").expect(
        "2026-03-02 09:00  d1 find-date → owner li email queued
         2026-03-02 09:00  d2 find-date → owner li superseded
         2026-03-02 09:00  d3 find-date → owner li email queued",
    );
    // With the first out of the way, the other asks for itself.
    timeline.act("li", r#"{"do":"done","item":"d1"}"#);
    timeline.run_until("2026-03-03 09:30");
    assert_eq!(
        timeline.table()[3..],
        [
            "2026-03-03 09:00  d2 find-date → owner li email queued",
            "2026-03-03 09:00  d3 find-date → owner li email queued",
        ]
    );
}

#[test]
fn an_acknowledged_reminder_on_its_way_is_withdrawn() {
    let mut timeline = ending(rulebook(), "2026-03-20", "2026-03-16 10:00");
    timeline.run_until("2026-03-17 08:30");
    timeline.act("li", r#"{"do":"acknowledge","item":"d1"}"#);
    let last_days: Vec<String> = timeline
        .recheck_all()
        .into_iter()
        .filter(|row| row.starts_with("last-days"))
        .collect();
    assert_eq!(last_days, ["last-days: cancel, somebody has acknowledged it"; 2]);
}

#[test]
fn a_silenced_case_sleeps_until_the_acknowledgement_ends() {
    let mut timeline = ending(rulebook(), "2026-03-20", "2026-03-02 10:00");
    timeline.down_until("2026-03-23 09:00");
    timeline.act("sun", r#"{"do":"acknowledge","item":"d1"}"#);
    let planned = plan(
        &timeline.rules,
        &timeline.case,
        &people(),
        &Decided::default(),
        at("2026-03-23 09:00"),
    );
    assert_eq!(planned.wake, Some(at("2026-03-27 08:30")));
    // Only what it silences: a rung that ends with "done" goes on.
    assert_eq!(timeline.rules.ladders["record_expiry"].until, Until::Done);
}

#[test]
fn the_time_of_a_decision_may_lie_between_two_milliseconds() {
    let booked = rung(
        "again",
        "every 1 hours from on booked at most 3 times",
        None,
        Stay,
        &[Assignee],
        &[Email],
    );
    let mut case = case("2026-03-02 10:00");
    let half = SignedDuration::from_micros(500);
    appointment(&mut case, "li", "2026-03-02 10:00", "2026-03-05 09:30").set_at += half;
    let mut timeline = Timeline::new(
        with_rungs(ItemKind::Appointment, vec![booked]),
        case,
        "2026-03-02 10:00",
    );
    timeline.run_until("2026-03-03 10:00");
    let decided: Vec<_> = timeline.decisions.iter().map(|(at, _)| *at).collect();
    assert_eq!(
        decided,
        [10, 11, 12].map(|hour| at(&format!("2026-03-02 {hour}:00")) + half)
    );
}

#[test]
fn the_text_of_a_mark_is_read_back() {
    let mut timeline = ending(rulebook(), "2026-03-20", "2026-03-02 10:00");
    timeline.act("li", r#"{"do":"set_end","item":"d1","end":"2026-03-19"}"#);
    timeline.run_until("2026-03-19 12:00");
    for (_, decision) in &timeline.decisions {
        let text = decision.mark.to_string();
        let read = MarkText::parse(&text).unwrap();
        assert_eq!(
            (&read.item, &read.rung, read.occurrence),
            (&decision.mark.item, &decision.mark.rung, decision.mark.occurrence)
        );
        assert_eq!(read.anchor, decision.mark.anchor.to_string());
    }
    assert!(timeline.decisions[0].1.mark.to_string().contains("|2026-03-19~1|"));
}

#[test]
fn these_stories_run_on_the_ladders_as_shipped() {
    let (ours, shipped) = (rulebook().ladders, shipped_rulebook().ladders);
    for (id, ladder) in ours {
        let shipped = shipped.get(&id).cloned().unwrap();
        // The stories of 2022 are older than the shipped rules.
        let effective_from = ladder.effective_from;
        // What is told of a booking when it is made, moved or called off is no matter of dates: those stories are in tests/scenarios.
        let of_booking =
            |rung: &Rung| rung.if_told || ["booked", "moved-staff", "passed"].contains(&rung.name.as_str());
        let rungs = shipped.rungs.into_iter().filter(|rung| !of_booking(rung)).collect();
        assert_eq!(
            ladder,
            Ladder {
                effective_from,
                rungs,
                ..shipped
            }
        );
    }
}
