//! What users of comparable systems complained about, as rules with the number of the trap. The tables were reviewed by hand.
//!
//! 2026: 02-14 and 02-28 are working Saturdays, 02-15 through 02-23 is the Spring Festival.

use jiff::tz::TimeZone;
use xixin::domain::calendar::OffDay;
use xixin::domain::ladder::{Audience, ItemKind, Late, Rung, Until, Way};
use xixin::domain::person::Person;
use xixin::domain::plan::People;
use xixin::domain::rulebook::Rulebook;

use crate::support::rulebook::{
    absent, appointment, at, at_in, callback, case, daughter, day, deadline_ending, ladder, resident, rulebook, rung,
};
use crate::support::timeline::Timeline;

use Audience::{Owner, Resident, Supervisor};
use OffDay::{Earlier, Stay};
use Way::{Email, Sms};

/// The rules, with one ladder for deadlines of kind `cremation_reissue`.
fn with_rungs(late: Late, rungs: Vec<Rung>) -> Rulebook {
    let mut rules = rulebook();
    let ladder = ladder("record_expiry", ItemKind::Deadline, late, rungs);
    rules.ladders.insert(ladder.id.clone(), ladder);
    rules
}

fn owner_rung(name: &str, when: &str) -> Rung {
    rung(name, when, Some("09:00"), Earlier, &[Owner], &[Email])
}

/// A week and a day before the last safe day.
fn two_rungs(late: Late) -> Rulebook {
    let rungs = vec![
        owner_rung("week", "7 days before last_safe_day"),
        owner_rung("eve", "1 days before last_safe_day"),
    ];
    with_rungs(late, rungs)
}

fn ending(rules: Rulebook, end: &str, set_at: &str) -> Timeline {
    let mut case = case(set_at);
    deadline_ending(&mut case, "cremation_reissue", end, set_at);
    Timeline::new(rules, case, set_at)
}

#[test]
fn trap_01_a_moved_date_rearms_and_an_unmoved_one_never_repeats() {
    let mut timeline = ending(two_rungs(Late::Now), "2026-03-20", "2026-03-02 10:00");
    timeline.run_until("2026-03-14 10:00");
    timeline.act("li", r#"{"do":"set_end","item":"d1","end":"2026-03-26"}"#);
    timeline.run_until("2026-03-30 10:00");
    timeline.expect(
        "2026-03-13 09:00  d1 week → owner li email queued
         2026-03-19 09:00  d1 week → owner li email queued
         2026-03-25 09:00  d1 eve → owner li email queued",
    );
    // The same date entered in another way is no move.
    let mut unmoved = ending(two_rungs(Late::Now), "2026-03-20", "2026-03-02 10:00");
    unmoved.run_until("2026-03-14 10:00");
    unmoved.act("li", r#"{"do":"set_trigger","item":"d1","trigger":"2016-03-20"}"#);
    unmoved.run_until("2026-03-30 10:00");
    unmoved.expect(
        "2026-03-13 09:00  d1 week → owner li email queued
         2026-03-19 09:00  d1 eve → owner li email queued",
    );
}

#[test]
fn trap_01_a_date_that_was_moved_back_is_told_again() {
    let mut timeline = ending(two_rungs(Late::Now), "2026-03-20", "2026-03-02 10:00");
    timeline.run_until("2026-03-14 10:00");
    timeline.act("li", r#"{"do":"set_end","item":"d1","end":"2026-03-19"}"#);
    timeline.run_until("2026-03-14 11:00");
    timeline.act("li", r#"{"do":"set_end","item":"d1","end":"2026-03-20"}"#);
    timeline.run_until("2026-03-30 10:00");
    timeline.expect(
        "2026-03-13 09:00  d1 week → owner li email queued
         2026-03-14 10:00  d1 week → owner li email queued
         2026-03-14 11:00  d1 week → owner li email queued
         2026-03-19 09:00  d1 eve → owner li email queued",
    );
}

#[test]
fn trap_02_a_new_rule_says_nothing_about_the_time_before_it() {
    let mut rules = two_rungs(Late::Now);
    rules.ladders.get_mut("record_expiry").unwrap().effective_from = day("2026-03-16");
    let mut timeline = ending(rules, "2026-03-20", "2026-03-02 10:00");
    timeline.down_until("2026-03-16 08:00").run_until("2026-03-30 10:00");
    timeline.expect(
        "2026-03-16 08:00  d1 week → owner nobody skipped
         2026-03-19 09:00  d1 eve → owner li email queued",
    );
    assert_eq!(timeline.reasons("week"), ["the rule is in force from 2026-03-16 only"]);
}

#[test]
fn trap_02_a_rung_added_later_says_nothing_about_the_time_before_it() {
    let mut rules = two_rungs(Late::Now);
    rules.ladders.get_mut("record_expiry").unwrap().rungs[0].effective_from = Some(day("2026-03-16"));
    let mut timeline = ending(rules, "2026-03-20", "2026-03-02 10:00");
    timeline.run_until("2026-03-30 10:00");
    timeline.expect(
        "2026-03-13 09:00  d1 week → owner nobody skipped
         2026-03-19 09:00  d1 eve → owner li email queued",
    );
    assert_eq!(timeline.reasons("week"), ["the rule is in force from 2026-03-16 only"]);
}

#[test]
fn trap_03_an_import_never_sends_for_the_past() {
    let mut case = case("2026-03-02 10:00");
    case.imported_at = Some(at("2026-03-02 10:00"));
    deadline_ending(&mut case, "cremation_reissue", "2020-05-08", "2026-03-02 10:00");
    deadline_ending(&mut case, "cremation_reissue", "2026-03-20", "2026-03-02 10:00");
    callback(&mut case, "li", "2026-03-02 10:00", "2026-01-12");
    let mut timeline = Timeline::new(two_rungs(Late::Now), case, "2026-03-02 10:00");
    let expired = rung(
        "expired",
        "every workday from on expired",
        Some("08:30"),
        Earlier,
        &[Supervisor],
        &[Email],
    );
    timeline
        .rules
        .ladders
        .get_mut("record_expiry")
        .unwrap()
        .rungs
        .push(expired);
    timeline.run_until("2026-03-22 10:00");
    timeline.expect(
        "2026-03-02 10:00  d1 week → owner nobody skipped
         2026-03-02 10:00  d1 eve → owner nobody skipped
         2026-03-02 10:00  d1 expired → supervisor nobody skipped
         2026-03-02 10:00  c3 due → assignee nobody skipped
         2026-03-02 10:00  c3 overdue → assignee nobody skipped
         2026-03-02 10:00  c3 overdue → owner nobody skipped
         2026-03-02 10:00  c3 tell-supervisor → supervisor nobody skipped
         2026-03-13 09:00  d2 week → owner li email queued
         2026-03-19 09:00  d2 eve → owner li email queued",
    );
}

#[test]
fn trap_04_nothing_leaves_after_a_cancellation_a_move_or_a_closing() {
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "wang", "2026-03-02 10:00", "2026-03-12 09:30");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-02 10:00");
    timeline.run_until("2026-03-11 10:00");
    assert_eq!(timeline.recheck_all(), ["day-before-staff: send", "day-before: send"]);
    let booked = timeline.case.clone();

    timeline.act(
        "li",
        r#"{"do":"move_appointment","item":"a1","start":"2026-03-12T10:00"}"#,
    );
    let moved = "cancel, the date has moved";
    assert_eq!(
        timeline.recheck_all(),
        [format!("day-before-staff: {moved}"), format!("day-before: {moved}")]
    );

    timeline.case = booked;
    timeline.act(
        "li",
        r#"{"do":"cancel_appointment","item":"a1","reason":"单位通知改期"}"#,
    );
    let done = "cancel, the item is done";
    assert_eq!(
        timeline.recheck_all(),
        [format!("day-before-staff: {done}"), format!("day-before: {done}")]
    );

    timeline.act("li", r#"{"do":"close","as":"withdrawn","reason":"居民撤回"}"#);
    // Those who had heard of it still hear that it is called off, so the item outlives its case; what was queued before does not.
    assert_eq!(
        timeline.recheck_all(),
        [format!("day-before-staff: {done}"), format!("day-before: {done}")]
    );
    let before = timeline.decisions.len();
    timeline.run_until("2026-04-30 10:00");
    assert_eq!(timeline.decisions.len(), before);
}

#[test]
fn trap_05_what_is_entered_inside_a_window_follows_the_ladder() {
    for (late, expected) in [
        (
            Late::Now,
            "2026-03-16 10:00  d1 week → owner li email queued
             2026-03-19 09:00  d1 eve → owner li email queued",
        ),
        (
            Late::Next,
            "2026-03-16 10:00  d1 week → owner nobody skipped
             2026-03-19 09:00  d1 eve → owner li email queued",
        ),
        (
            Late::Skip,
            "2026-03-16 10:00  d1 week → owner nobody skipped
             2026-03-19 09:00  d1 eve → owner nobody skipped",
        ),
    ] {
        let mut timeline = ending(two_rungs(late), "2026-03-20", "2026-03-16 10:00");
        timeline.run_until("2026-03-30 10:00");
        timeline.expect(expected);
    }
}

#[test]
fn trap_06_an_edited_rule_changes_what_comes_and_loses_nothing() {
    let mut timeline = ending(two_rungs(Late::Now), "2026-03-20", "2026-03-02 10:00");
    timeline.run_until("2026-03-10 10:00");
    // The week becomes ten days, which have begun; the eve moves to the afternoon.
    let rungs = vec![
        owner_rung("week", "10 days before last_safe_day"),
        rung(
            "eve",
            "1 days before last_safe_day",
            Some("15:00"),
            Earlier,
            &[Owner],
            &[Email],
        ),
    ];
    timeline.rules = with_rungs(Late::Now, rungs);
    timeline.run_until("2026-03-18 10:00");
    // And back, when the new one has been sent: it is the same reminder.
    timeline.rules = two_rungs(Late::Now);
    timeline.run_until("2026-03-30 10:00");
    timeline.expect(
        "2026-03-10 10:00  d1 week → owner li email queued
         2026-03-19 09:00  d1 eve → owner li email queued",
    );
}

#[test]
fn trap_07_what_fell_due_while_the_daemon_was_down_is_not_lost() {
    let mut case = case("2026-03-02 10:00");
    deadline_ending(&mut case, "cremation_reissue", "2026-03-20", "2026-03-02 10:00");
    deadline_ending(&mut case, "cremation_reissue", "2026-03-13", "2026-03-02 10:00");
    callback(&mut case, "wang", "2026-03-02 10:00", "2026-03-09");
    let mut timeline = Timeline::new(two_rungs(Late::Now), case, "2026-03-02 10:00");
    let expired = rung("expired", "on expired", Some("08:30"), Stay, &[Supervisor], &[Email]);
    timeline
        .rules
        .ladders
        .get_mut("record_expiry")
        .unwrap()
        .rungs
        .push(expired);
    timeline.run_until("2026-03-05 10:00");
    timeline.down_until("2026-03-19 10:00");
    timeline.expect(
        // Of d1 the nearest; the loss of d2 at once and no warning of it; the call-back that nobody made, up to the supervisor.
        "2026-03-19 10:00  d1 week → owner nobody superseded
         2026-03-19 10:00  d1 eve → owner li email queued
         2026-03-19 10:00  d2 week → owner nobody skipped
         2026-03-19 10:00  d2 eve → owner nobody skipped
         2026-03-19 10:00  d2 expired → supervisor sun email queued
         2026-03-19 10:00  c3 due → assignee nobody superseded
         2026-03-19 10:00  c3 overdue → assignee wang email queued
         2026-03-19 10:00  c3 overdue → owner li email queued
         2026-03-19 10:00  c3 tell-supervisor → supervisor sun email queued",
    );
    assert_eq!(
        timeline.reasons("expired"),
        [
            "rung \"expired\" is due (expired 2026-03-14); 5 days 1 h late: the daemon was not running then, or the rules changed later"
        ]
    );
    assert_eq!(
        timeline.reasons("tell-supervisor"),
        [
            "rung \"tell-supervisor\" is due (overdue 2026-03-10); 1 h 30 min late: the daemon was not running then, or the rules \
          changed later; stands for 6 earlier times"
        ]
    );
}

#[test]
fn trap_08_however_often_it_is_planned_it_is_decided_once() {
    let mut timeline = ending(two_rungs(Late::Now), "2026-03-20", "2026-03-02 10:00");
    for hour in 0..24 {
        timeline.down_until(&format!("2026-03-13 {hour:02}:00"));
    }
    timeline.expect("2026-03-13 09:00  d1 week → owner li email queued");
    let mut nothing = Timeline::new(rulebook(), case("2026-03-02 10:00"), "2026-03-02 10:00");
    nothing.run_until("2026-12-31 10:00").expect("");
}

#[test]
fn trap_09_a_ladder_ends_with_what_it_waits_for() {
    let every = "every workday from 3 workdays before last_safe_day";
    let rules = with_rungs(Late::Now, vec![owner_rung("last-days", every)]);
    let mut timeline = ending(rules, "2026-03-20", "2026-03-02 10:00");
    timeline.run_until("2026-03-18 12:00");
    timeline.act("li", r#"{"do":"done","item":"d1"}"#);
    timeline.run_until("2026-04-30 10:00");
    timeline.expect(
        "2026-03-17 09:00  d1 last-days → owner li email queued
         2026-03-18 09:00  d1 last-days → owner li email queued",
    );
}

#[test]
fn trap_10_a_series_never_starts_midway_unless_told_to() {
    let please_attend = rung(
        "please-attend",
        "2 days before last_safe_day",
        Some("09:00"),
        Stay,
        &[Resident],
        &[Sms],
    );
    let did_you = rung(
        "did-you-attend",
        "1 days after last_safe_day",
        Some("09:00"),
        Stay,
        &[Resident],
        &[Sms],
    );
    let rules = with_rungs(Late::Skip, vec![please_attend, did_you]);
    let mut early = ending(rules.clone(), "2026-03-20", "2026-03-02 10:00");
    early.run_until("2026-03-30 10:00").expect(
        "2026-03-18 09:00  d1 please-attend → resident p1 sms queued
         2026-03-21 09:00  d1 did-you-attend → resident p1 sms queued",
    );
    let mut midway = ending(rules, "2026-03-20", "2026-03-19 10:00");
    midway.run_until("2026-03-30 10:00").expect(
        "2026-03-19 10:00  d1 please-attend → resident nobody skipped
         2026-03-21 09:00  d1 did-you-attend → resident nobody skipped",
    );
}

#[test]
fn trap_11_who_opted_out_died_or_never_agreed_is_not_written_to() {
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "wang", "2026-03-02 10:00", "2026-03-12 09:30");
    let visit = |change: &dyn Fn(&mut Timeline)| {
        let mut timeline = Timeline::new(rulebook(), case.clone(), "2026-03-11 09:30");
        change(&mut timeline);
        timeline.run_until("2026-03-11 11:00");
        let public = |row: &String| !row.contains("day-before-staff");
        timeline.table().into_iter().filter(public).collect::<Vec<_>>()
    };
    let opted_out = visit(&|timeline| {
        timeline.act("li", r#"{"do":"change_person","opted_out":true}"#);
        timeline.people.relatives.push(daughter());
    });
    assert_eq!(
        opted_out,
        [
            "2026-03-11 10:00  a1 day-before → resident p1 phone task",
            "2026-03-11 10:00  a1 day-before → resident wang email queued (call notice)",
            "2026-03-11 10:00  a1 day-before → relatives p2 sms queued",
        ]
    );
    let dead = visit(&|timeline| {
        timeline.act("li", r#"{"do":"change_person","deceased":true}"#);
        timeline.people.relatives.push(daughter());
        timeline.act("li", r#"{"do":"change_person","person":"p2","opted_in":false}"#);
    });
    assert_eq!(
        dead,
        [
            "2026-03-11 10:00  a1 day-before → resident nobody skipped",
            "2026-03-11 10:00  a1 day-before → relatives nobody skipped",
        ]
    );
}

#[test]
fn trap_13_an_appointment_is_at_the_office_s_own_time() {
    let mut timeline = Timeline::new(rulebook(), case("2026-03-02 10:00"), "2026-03-02 10:00");
    timeline.act(
        "li",
        r#"{"do":"book","what":"交材料","office":"crematorium","start":"2026-03-12 09:30"}"#,
    );
    assert_eq!(timeline.case.appointments[0].start.to_string(), "2026-03-12T01:30:00Z");
    timeline.run_until("2026-03-12 08:00").expect(
        "2026-03-11 09:00  a1 day-before-staff → assignee li email queued
         2026-03-11 10:00  a1 day-before → resident p1 sms queued
         2026-03-11 10:00  a1 day-before → relatives nobody skipped
         2026-03-12 07:30  a1 same-day → assignee li email queued",
    );
}

#[test]
fn trap_14_a_daylight_saving_change_neither_drops_nor_doubles() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let daily = |time: &str| {
        let rung = rung(
            "daily",
            "every day from 3 days before last_safe_day",
            Some(time),
            Stay,
            &[Owner],
            &[Email],
        );
        let mut rules = with_rungs(Late::Now, vec![rung]);
        rules.zone = berlin.clone();
        rules
    };
    // 2026-03-29 02:00 to 03:00 does not exist there; 2026-10-25 02:00 to 03:00 comes twice.
    for (end, time, instants) in [
        (
            "2026-03-30",
            "02:30",
            [
                "03-27T01:30:00Z",
                "03-28T01:30:00Z",
                "03-29T01:00:00Z",
                "03-30T00:30:00Z",
            ],
        ),
        (
            "2026-10-26",
            "02:30",
            [
                "10-23T00:30:00Z",
                "10-24T00:30:00Z",
                "10-25T00:30:00Z",
                "10-26T01:30:00Z",
            ],
        ),
    ] {
        let mut timeline = ending(daily(time), end, "2026-01-02 10:00");
        timeline.now = at_in("2026-01-02 10:00", &berlin);
        timeline.run_until("2026-12-01 10:00");
        let decided: Vec<String> = timeline.decisions.iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(decided, instants.map(|at| format!("2026-{at}")));
        let dates: Vec<String> = timeline
            .decisions
            .iter()
            .map(|(_, one)| one.mark.occurrence.to_string())
            .collect();
        assert_eq!(dates, instants.map(|at| format!("2026-{}", &at[..5])));
    }
}

#[test]
fn trap_15_months_are_always_counted_from_the_date_itself() {
    let months = ["3", "2", "1"].map(|n| {
        rung(
            n,
            &format!("{n} months before last_safe_day"),
            None,
            Stay,
            &[Owner],
            &[Email],
        )
    });
    let mut timeline = ending(with_rungs(Late::Now, months.to_vec()), "2026-08-31", "2026-03-02 10:00");
    timeline.run_until("2026-09-30 10:00").expect(
        "2026-05-31 09:00  d1 3 → owner li email queued
         2026-06-30 09:00  d1 2 → owner li email queued
         2026-07-31 09:00  d1 1 → owner li email queued",
    );
}

#[test]
fn trap_16_nobody_is_escalated_to_at_night_or_on_a_rest_day() {
    let mut case = case("2026-02-02 10:00");
    // Over at midnight before the holiday; the working Saturday counts, the Spring Festival does not.
    deadline_ending(&mut case, "funeral_benefit", "2026-02-13", "2026-02-02 10:00");
    let mut timeline = Timeline::new(rulebook(), case, "2026-02-12 10:00");
    timeline.run_until("2026-02-25 10:00");
    let escalated: Vec<String> = timeline
        .table()
        .into_iter()
        .filter(|row| row.contains("expired"))
        .collect();
    assert_eq!(
        escalated,
        [
            "2026-02-14 08:30  d1 expired → supervisor sun email queued",
            "2026-02-24 08:30  d1 expired → supervisor sun email queued",
            "2026-02-25 08:30  d1 expired → supervisor sun email queued",
        ]
    );
}

#[test]
fn trap_16_what_tells_of_a_state_never_comes_before_it() {
    // The end is a Friday, so it expires on a Saturday; "earlier" would be the last good day.
    for (off_day, expected) in [
        (Earlier, "2026-03-23 08:30  d1 expired → supervisor sun email queued"),
        (
            OffDay::Later,
            "2026-03-23 08:30  d1 expired → supervisor sun email queued",
        ),
        (Stay, "2026-03-21 08:30  d1 expired → supervisor sun email queued"),
    ] {
        let once = rung("expired", "on expired", Some("08:30"), off_day, &[Supervisor], &[Email]);
        let mut timeline = ending(with_rungs(Late::Now, vec![once]), "2026-03-20", "2026-03-02 10:00");
        timeline.run_until("2026-03-31 10:00").expect(expected);
    }
}

#[test]
fn trap_17_there_is_a_warning_before_and_an_escalation_after_a_date_set_by_hand() {
    let mut timeline = ending(rulebook(), "2026-03-20", "2026-02-02 10:00");
    timeline.run_until("2026-03-24 10:00");
    let rungs: Vec<&str> = timeline
        .decisions
        .iter()
        .map(|(_, one)| one.mark.rung.as_str())
        .collect();
    let first_and_last = (rungs.first().copied(), rungs.last().copied());
    assert_eq!(first_and_last, (Some("month-ahead"), Some("expired")));
}

#[test]
fn trap_18_after_an_acknowledgement_one_summary_comes_in_the_morning() {
    let mut timeline = ending(rulebook(), "2026-03-20", "2026-02-02 10:00");
    timeline.down_until("2026-03-23 09:00");
    let before = timeline.decisions.len();
    timeline.act("sun", r#"{"do":"acknowledge","item":"d1"}"#);
    timeline.run_until("2026-03-27 12:00");
    timeline.decisions.drain(..before);
    timeline.expect(
        "2026-03-27 08:30  d1 expired → supervisor sun email queued
         2026-03-27 08:30  d1 expired → director zhao email queued",
    );
    assert_eq!(
        timeline.reasons("expired")[0],
        "rung \"expired\" is due (expired 2026-03-21); stands for 3 earlier times"
    );
}

#[test]
fn trap_18_a_rung_that_came_while_acknowledged_is_told_when_the_acknowledgement_ends() {
    // Asks on Monday, Wednesday and never again; Monday's was seen, Wednesday's fell silent.
    let asks = Rung {
        until: Some(Until::Acknowledged),
        ..rung(
            "asks",
            "every 48 hours from on expired at most 2 times",
            Some("08:30"),
            Earlier,
            &[Owner],
            &[Email],
        )
    };
    let mut timeline = ending(with_rungs(Late::Now, vec![asks]), "2026-03-22", "2026-03-02 10:00");
    timeline.run_until("2026-03-23 09:00");
    timeline.act("sun", r#"{"do":"acknowledge","item":"d1"}"#);
    timeline.run_until("2026-04-30 12:00").expect(
        "2026-03-23 08:30  d1 asks → owner li email queued
         2026-03-27 08:30  d1 asks → owner li email queued",
    );
    assert_eq!(
        timeline.reasons("asks")[1],
        "rung \"asks\" is due (expired 2026-03-23); what sun acknowledged is still open"
    );
}

#[test]
fn trap_20_nothing_stays_with_somebody_who_is_away() {
    let week = |change: &dyn Fn(&mut Rulebook)| {
        let mut rules = two_rungs(Late::Now);
        change(&mut rules);
        let mut timeline = ending(rules, "2026-03-20", "2026-03-02 10:00");
        timeline.run_until("2026-03-13 10:00");
        timeline.table().remove(0)
    };
    let march = |rules: &mut Rulebook, who: &str, substitute: Option<&str>| {
        absent(rules, who, "2026-03-09", "2026-03-31", substitute);
    };
    let told = |who: &str| format!("2026-03-13 09:00  d1 week → owner {who} email queued");
    assert_eq!(week(&|rules| march(rules, "li", Some("wang"))), told("wang"));
    // The chain goes on.
    assert_eq!(
        week(&|rules| {
            march(rules, "li", Some("wang"));
            march(rules, "wang", Some("zhou"));
        }),
        told("zhou")
    );
    // It breaks, or turns back: up the line.
    assert_eq!(week(&|rules| march(rules, "li", None)), told("sun"));
    assert_eq!(
        week(&|rules| {
            march(rules, "li", Some("wang"));
            march(rules, "wang", Some("li"));
        }),
        told("sun")
    );
    // Left for good, without an address, or gone from the file.
    assert_eq!(
        week(&|rules| rules.org.staff.get_mut("li").unwrap().leaves = Some(day("2026-03-01"))),
        told("sun")
    );
    assert_eq!(
        week(&|rules| {
            let li = rules.org.staff.get_mut("li").unwrap();
            (li.email, li.mobile) = (None, None);
        }),
        told("sun")
    );
    assert_eq!(week(&|rules| drop(rules.org.staff.remove("li"))), told("sun"));
    // Everybody is away: one who is away is better than nobody.
    assert_eq!(
        week(&|rules| {
            for who in ["li", "sun", "zhao", "chen"] {
                march(rules, who, None);
            }
        }),
        told("sun")
    );
}

#[test]
fn trap_20_a_reminder_on_its_way_follows_the_case_to_its_new_owner() {
    let mut timeline = ending(two_rungs(Late::Now), "2026-03-20", "2026-03-02 10:00");
    timeline.run_until("2026-03-13 09:00");
    assert_eq!(timeline.recheck_all(), ["week: send"]);
    timeline.act("sun", r#"{"do":"assign","owner":"wang"}"#);
    assert_eq!(timeline.recheck_all(), ["week: pass on to wang"]);
    absent(&mut timeline.rules, "wang", "2026-03-13", "2026-03-31", Some("zhou"));
    assert_eq!(timeline.recheck_all(), ["week: pass on to zhou"]);
}

#[test]
fn trap_20_a_role_that_nobody_holds_goes_up_the_line_with_its_reason() {
    let lost = rung("lost", "on expired", Some("08:30"), Stay, &[Supervisor], &[Email]);
    let mut rules = with_rungs(Late::Now, vec![lost]);
    rules.org.staff.remove("sun");
    let mut timeline = ending(rules, "2026-03-20", "2026-03-02 10:00");
    timeline
        .run_until("2026-03-21 10:00")
        .expect("2026-03-21 08:30  d1 lost → supervisor zhao email queued");
    assert_eq!(
        timeline.reasons("lost"),
        ["rung \"lost\" is due (expired 2026-03-21); no supervisor is there to be reached, so zhao is told"]
    );
}

#[test]
fn trap_23_a_reminder_of_the_old_date_does_not_leave() {
    let mut timeline = ending(two_rungs(Late::Now), "2026-03-20", "2026-03-02 10:00");
    timeline.run_until("2026-03-13 09:00");
    timeline.act("li", r#"{"do":"set_end","item":"d1","end":"2026-03-23"}"#);
    assert_eq!(timeline.recheck_all(), ["week: cancel, the date has moved"]);
}

#[test]
fn trap_24_everybody_concerned_is_told_once() {
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "li", "2026-03-02 10:00", "2026-03-12 09:30");
    let mut rules = rulebook();
    absent(&mut rules, "li", "2026-03-09", "2026-03-31", Some("sun"));
    for rung in &mut rules.ladders.get_mut("appointment").unwrap().rungs {
        if rung.name.as_str() == "day-before-staff" {
            rung.to = vec![Audience::Assignee, Owner, Supervisor];
        }
    }
    let mut timeline = Timeline::new(rules, case, "2026-03-11 08:00");
    let son = Person {
        id: "p3".into(),
        ..daughter()
    };
    timeline.people.relatives = vec![daughter(), son];
    timeline.run_until("2026-03-11 12:00").expect(
        "2026-03-11 09:00  a1 day-before-staff → assignee sun email queued
         2026-03-11 09:00  a1 day-before-staff → owner sun superseded
         2026-03-11 09:00  a1 day-before-staff → supervisor sun superseded
         2026-03-11 10:00  a1 day-before → resident p1 sms queued
         2026-03-11 10:00  a1 day-before → relatives p2 sms queued
         2026-03-11 10:00  a1 day-before → relatives p3 sms queued",
    );
}

#[test]
fn trap_24_several_calls_to_one_audience_are_announced_to_the_caller_once() {
    let mut case = case("2026-03-02 10:00");
    appointment(&mut case, "wang", "2026-03-02 10:00", "2026-03-12 09:30");
    let mut timeline = Timeline::new(rulebook(), case, "2026-03-11 09:30");
    let without_phone = |id: &str| Person {
        id: id.into(),
        phone: None,
        ..daughter()
    };
    timeline.people = People {
        resident: Some(Person {
            born: Some(1945),
            ..resident()
        }),
        relatives: vec![without_phone("p2"), without_phone("p3")],
    };
    timeline.run_until("2026-03-11 12:00");
    let rows = timeline.table();
    assert_eq!(
        rows[rows.len() - 6..],
        [
            "2026-03-11 10:00  a1 day-before → resident p1 phone task",
            "2026-03-11 10:00  a1 day-before → resident wang email queued (call notice)",
            "2026-03-11 10:00  a1 day-before → resident p1 sms queued",
            "2026-03-11 10:00  a1 day-before → relatives p2 phone task",
            "2026-03-11 10:00  a1 day-before → relatives wang email queued (call notice)",
            "2026-03-11 10:00  a1 day-before → relatives p3 phone task",
        ]
    );
}

#[test]
fn trap_27_one_person_who_has_seen_it_does_not_mute_a_right_until_it_is_lost() {
    let mut timeline = ending(rulebook(), "2026-12-11", "2026-11-02 10:00");
    timeline.run_until("2026-12-08 09:00");
    let before = timeline.decisions.len();
    timeline.act("li", r#"{"do":"acknowledge","item":"d1"}"#);
    timeline.run_until("2026-12-11 12:00");
    timeline.decisions.drain(..before);
    timeline.expect(
        "2026-12-10 08:30  d1 last-days → owner li email queued
         2026-12-10 08:30  d1 last-days → supervisor sun email queued
         2026-12-10 10:00  d1 eve-resident → resident p1 sms queued
         2026-12-11 08:30  d1 last-days → owner li email queued
         2026-12-11 08:30  d1 last-days → supervisor sun email queued",
    );
}

#[test]
fn trap_27_a_silence_that_was_stored_ends_before_the_last_days_all_the_same() {
    // The office closes earlier than it did when the clerk acknowledged.
    let mut timeline = ending(rulebook(), "2026-12-11", "2026-11-02 10:00");
    timeline.run_until("2026-12-08 09:00");
    timeline.act("li", r#"{"do":"acknowledge","item":"d1"}"#);
    timeline.case.deadlines[0].fixed_end = Some(day("2026-12-10"));
    timeline.run_until("2026-12-09 12:00");
    assert_eq!(
        timeline.table().last().unwrap(),
        "2026-12-09 10:00  d1 eve-resident → resident p1 sms queued"
    );
    assert!(
        timeline
            .table()
            .contains(&"2026-12-09 08:30  d1 last-days → supervisor sun email queued".to_owned()),
        "{:#?}",
        timeline.table()
    );
}

#[test]
fn trap_27_an_acknowledgement_ends_and_is_never_for_what_comes_later() {
    let mut timeline = ending(rulebook(), "2026-03-20", "2026-02-02 10:00");
    timeline.run_until("2026-03-19 09:00");
    let before = timeline.decisions.len();
    // A supervisor has silenced the last days; nobody has seen the loss.
    timeline.act(
        "sun",
        r#"{"do":"acknowledge","item":"d1","reason":"家属已另行取得证明"}"#,
    );
    timeline.run_until("2026-03-24 10:00");
    timeline.decisions.drain(..before);
    timeline.expect(
        "2026-03-19 10:00  d1 eve-resident → resident p1 sms queued
         2026-03-21 08:30  d1 lost → supervisor sun email queued
         2026-03-23 08:30  d1 expired → supervisor sun email queued
         2026-03-23 08:30  d1 expired → director zhao email queued
         2026-03-24 08:30  d1 expired → supervisor sun email queued
         2026-03-24 08:30  d1 expired → director zhao email queued",
    );
}
