//! What is followed beyond deadlines and calls: escorts, incidents, papers, answers, plans, to-dos, policies. One rule, one small story.
//!
//! 2026-03-02 is a Monday. The ladders are those that are shipped, what is queued is taken as sent at once.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::json;
use xixin::config::load;
use xixin::domain::booking::Booking;
use xixin::domain::calendar::OffDay;
use xixin::domain::case::{Case, CaseFlag, EscortState, Purpose, StepOf};
use xixin::domain::command::{Command, Refusal};
use xixin::domain::event::Event;
use xixin::domain::ids::ItemId;
use xixin::domain::ids::StaffId;
use xixin::domain::ladder::{Audience, ItemKind, Late, Way};
use xixin::domain::milestone::Milestone;
use xixin::domain::notice::materials_of;
use xixin::domain::org::Role;
use xixin::domain::plan::milestones::Dated;

use crate::support::hall::Hall;
use crate::support::intake::{self, visit};
use crate::support::rulebook::{
    SHIPPED, absent, appointment, at, at_in, callback, case, daughter, day, deadline_ending, ladder, rung,
};
use crate::support::shipped::write_rules;
use crate::support::timeline::Timeline;
use crate::support::worlds::every_kind;

const OPENED: &str = "2026-03-02 10:00";

/// The case of `li` at eleven on Monday.
fn desk(case: Case) -> Timeline {
    let mut rules = every_kind();
    rules.ladders = SHIPPED.ladders.clone();
    (
        rules.schedule.escort.travel_minutes,
        rules.schedule.escort.grace_minutes,
    ) = (30, 20);
    Timeline::new(rules, case, "2026-03-02 11:00")
}

fn refused(timeline: &Timeline, who: &str, command: &str) -> Refusal {
    let command: Command = serde_json::from_str(command).unwrap();
    timeline.try_act(who, command).expect_err("it should be refused")
}

/// The rows about an item whose rung begins with `rung`.
fn rows(timeline: &Timeline, item: &str, rung: &str) -> Vec<String> {
    let begins = format!("  {item} {rung}");
    timeline
        .table()
        .into_iter()
        .filter(|row| row.contains(&begins))
        .collect()
}

fn booked(staff: &str, resident: &str, office: &str, from: &str, to: &str) -> Booking {
    Booking {
        case: "2026-000009".into(),
        item: "e1".into(),
        staff: staff.into(),
        resident: resident.into(),
        from: at(from),
        to: at(to),
        office: office.into(),
        is_escort: true,
    }
}

/// Fetched at 9:00, at the office at 9:30, home by 11:00; nobody worries before twenty minutes have passed.
const ESCORT: &str = r#"{"do":"book_escort","what":"鉴定","office":"labour","visit":"2026-03-05T09:30"}"#;

fn check(timeline: &mut Timeline, when: &str, leg: &str) {
    timeline.run_until(when);
    timeline.act("zhou", &format!(r#"{{"do":"check_in","item":"e1","leg":"{leg}"}}"#));
}

#[test]
fn safe_home_is_asked_for_until_the_last_leg_is_confirmed() {
    let mut timeline = desk(case(OPENED));
    timeline.act("li", ESCORT);
    check(&mut timeline, "2026-03-05 09:05", "pick_up");
    check(&mut timeline, "2026-03-05 09:40", "visit");
    timeline.run_until("2026-03-05 12:30");
    let asked = [
        "2026-03-05 11:20  e1 not-home → assignee zhou sms queued",
        "2026-03-05 11:20  e1 not-home → owner li sms queued",
        "2026-03-05 11:20  e1 not-home → supervisor sun sms queued",
    ];
    assert_eq!(rows(&timeline, "e1", "not-home"), asked);
    let hourly = [
        "2026-03-05 12:20  e1 still-not-home → assignee zhou sms queued",
        "2026-03-05 12:20  e1 still-not-home → supervisor sun sms queued",
        "2026-03-05 12:20  e1 still-not-home → director zhao sms queued",
    ];
    assert_eq!(rows(&timeline, "e1", "still-not-home"), hourly);
    check(&mut timeline, "2026-03-05 13:00", "drop_off");
    timeline.run_until("2026-03-06 18:00");
    assert_eq!(rows(&timeline, "e1", "still-not-home"), hourly);
    assert!(matches!(timeline.case.escorts[0].state, EscortState::Completed { .. }));
}

#[test]
fn a_leg_that_nobody_confirms_is_asked_for_after_its_grace() {
    let mut timeline = desk(case(OPENED));
    timeline.act("li", ESCORT);
    timeline.run_until("2026-03-05 09:30");
    let asked = [
        "2026-03-05 09:20  e1 leg-overdue → assignee zhou sms queued",
        "2026-03-05 09:20  e1 leg-overdue → owner li sms queued",
    ];
    assert_eq!(rows(&timeline, "e1", "leg-overdue"), asked);
}

#[test]
fn an_escort_is_not_over_while_an_incident_on_it_is_open() {
    let mut timeline = desk(case(OPENED));
    timeline.act("li", ESCORT);
    check(&mut timeline, "2026-03-05 09:05", "pick_up");
    timeline.act(
        "zhou",
        r#"{"do":"incident","what":"下楼时摔倒","escort":"e1","leg":"pick_up"}"#,
    );
    check(&mut timeline, "2026-03-05 10:30", "drop_off");
    assert_eq!(timeline.case.escorts[0].state, EscortState::Booked);
    let refusal = refused(&timeline, "zhou", r#"{"do":"complete_escort","item":"e1"}"#);
    assert!(
        refusal.what.en.contains("an incident on the way is still open"),
        "{refusal}"
    );
    timeline.act("zhou", r#"{"do":"recovered","item":"i2"}"#);
    assert!(matches!(timeline.case.escorts[0].state, EscortState::Completed { .. }));
    let wellbeing = timeline
        .case
        .todos
        .iter()
        .filter(|todo| todo.purpose == Purpose::Wellbeing);
    assert_eq!(wellbeing.count(), 1);
}

#[test]
fn a_case_does_not_close_over_an_incident() {
    let mut timeline = desk(case(OPENED));
    timeline.act("li", r#"{"do":"incident","what":"在大厅晕倒"}"#);
    let close = r#"{"do":"close","as":"done","outcome":"办结"}"#;
    let refusal = refused(&timeline, "li", close);
    assert!(refusal.what.en.contains("an incident is still open: i1"), "{refusal}");
    timeline.act("li", r#"{"do":"recovered","item":"i1"}"#).act("li", close);
    assert!(timeline.case.is_closed());
}

#[test]
fn whoever_goes_along_is_at_one_place_whatever_the_case() {
    let mut timeline = desk(case(OPENED));
    timeline.busy = vec![booked("zhou", "p8", "labour", "2026-03-05 10:00", "2026-03-05 12:00")];
    let refusal = refused(&timeline, "li", ESCORT);
    assert!(
        refusal.what.en.contains("nobody of the extended-hours staff is free"),
        "{refusal}"
    );
    let named = ESCORT.replace('}', r#","with":"zhou"}"#);
    let refusal = refused(&timeline, "li", &named);
    assert!(
        refusal.what.en.contains("2026-000009 e1 2026-03-05 10:00-12:00"),
        "{refusal}"
    );
    // Another day is no clash.
    timeline.act("li", &named.replace("03-05", "03-06"));
}

#[test]
fn a_resident_is_at_one_place_whoever_goes_along() {
    let mut timeline = desk(case(OPENED));
    timeline.busy = vec![booked("wang", "p1", "labour", "2026-03-05 09:00", "2026-03-05 10:00")];
    let refusal = refused(&timeline, "li", ESCORT);
    assert!(
        refusal.what.en.contains("the resident is expected elsewhere then"),
        "{refusal}"
    );
    timeline.busy[0].resident = "p8".into();
    timeline.act("li", ESCORT);
}

#[test]
fn there_is_time_for_the_way_between_two_offices() {
    let mut timeline = desk(case(OPENED));
    timeline.busy = vec![booked("zhou", "p8", "hall", "2026-03-05 07:30", "2026-03-05 08:45")];
    let named = ESCORT.replace('}', r#","with":"zhou"}"#);
    let refusal = refused(&timeline, "li", &named);
    assert!(refusal.what.en.contains("too little time for the way"), "{refusal}");
    assert!(timeline.try_act("li", serde_json::from_str(ESCORT).unwrap()).is_err());
    // An escort ends at somebody's home: there is a way to go from the same office too. After an appointment there, there is none.
    timeline.busy[0].office = "labour".into();
    assert!(timeline.try_act("li", serde_json::from_str(&named).unwrap()).is_err());
    timeline.busy[0].is_escort = false;
    timeline.busy[0].to = at("2026-03-05 09:00");
    let visit = r#"{"do":"book","what":"鉴定","office":"labour","start":"2026-03-05T09:00","with":"zhou"}"#;
    timeline.act("li", visit);
}

#[test]
fn whoever_is_away_goes_nowhere() {
    let mut timeline = desk(case(OPENED));
    absent(&mut timeline.rules, "zhou", "2026-03-04", "2026-03-06", None);
    let refusal = refused(&timeline, "li", &ESCORT.replace('}', r#","with":"zhou"}"#));
    assert!(
        refusal.what.en.contains("zhou is away from 2026-03-04 to 2026-03-06"),
        "{refusal}"
    );
    assert!(timeline.try_act("li", serde_json::from_str(ESCORT).unwrap()).is_err());
}

#[test]
fn only_whoever_had_been_told_hears_of_a_move_and_of_the_end_once_each() {
    let mut case = case(OPENED);
    appointment(&mut case, "wang", OPENED, "2026-03-12 09:30");
    let mut timeline = desk(case);
    timeline.people.relatives.push(daughter());
    timeline.run_until("2026-03-03 10:00");
    timeline.act(
        "li",
        r#"{"do":"move_appointment","item":"a1","start":"2026-03-13T09:30"}"#,
    );
    timeline.run_until("2026-03-12 10:30");
    assert_eq!(
        rows(&timeline, "a1", "moved"),
        [
            "2026-03-03 10:00  a1 moved → resident nobody skipped",
            "2026-03-03 10:00  a1 moved → relatives nobody skipped",
            "2026-03-03 10:00  a1 moved-staff → assignee wang email queued",
        ]
    );
    timeline.decisions.clear();
    timeline.act(
        "li",
        r#"{"do":"move_appointment","item":"a1","start":"2026-03-18T09:30"}"#,
    );
    timeline.run_until("2026-03-12 11:00");
    timeline.act("li", r#"{"do":"cancel_appointment","item":"a1","reason":"单位停办"}"#);
    timeline.run_until("2026-03-31 10:00");
    // The day before the visit and its hour bring nothing any more.
    assert_eq!(
        rows(&timeline, "a1", ""),
        [
            "2026-03-12 10:30  a1 moved → resident p1 sms queued",
            "2026-03-12 10:30  a1 moved → relatives p2 sms queued",
            "2026-03-12 10:30  a1 moved-staff → assignee wang email queued",
            "2026-03-12 11:00  a1 called-off → resident p1 sms queued",
            "2026-03-12 11:00  a1 called-off → relatives p2 sms queued",
            "2026-03-12 11:00  a1 called-off-staff → assignee wang email queued",
        ]
    );
}

#[test]
fn a_place_that_said_no_is_never_suggested_again() {
    let mut timeline = desk(case(OPENED));
    timeline.act(
        "li",
        r#"{"do":"add_material","name":"火化证","places":["殡仪馆","档案室"]}"#,
    );
    timeline.act(
        "li",
        r#"{"do":"searched","item":"m1","place":"殡仪馆","answer":"not_here"}"#,
    );
    let places: Vec<&str> = timeline.case.materials[0].places_to_ask().collect();
    assert_eq!(places, ["档案室"]);
    let refusal = refused(
        &timeline,
        "li",
        r#"{"do":"request_material","item":"m1","from":"殡仪馆"}"#,
    );
    assert!(refusal.fix.zh.contains("还可以问: 档案室"), "{refusal}");
}

#[test]
fn the_papers_are_handed_over_together_and_it_is_asked_for_once() {
    let mut timeline = desk(case(OPENED));
    let obtained = |item: &str| format!(r#"{{"do":"material","item":"{item}","state":"obtained"}}"#);
    timeline.act("li", r#"{"do":"add_material","name":"身份证"}"#);
    timeline.act("li", r#"{"do":"add_material","name":"户口本"}"#);
    timeline.act("li", &obtained("m1"));
    let refusal = refused(&timeline, "li", r#"{"do":"hand_over"}"#);
    assert!(refusal.what.zh.contains("m2 (户口本)"), "{refusal}");
    timeline.act("li", &obtained("m2"));
    timeline.act("li", r#"{"do":"done","item":"t1"}"#);
    timeline.act("li", r#"{"do":"material","item":"m1","state":"verified"}"#);
    let asked = timeline
        .case
        .todos
        .iter()
        .filter(|todo| todo.purpose == Purpose::Handover);
    assert_eq!(asked.count(), 1);
}

#[test]
fn nothing_of_a_plan_starts_before_two_people_agreed_nor_before_its_turn() {
    let mut timeline = desk(case(OPENED));
    let start = |item: &str| format!(r#"{{"do":"start_step","item":"{item}"}}"#);
    timeline.act(
        "li",
        r#"{"do":"draft_plan","steps":[{"name":"转档案"},{"name":"申请失业保险金","after":["1"]}]}"#,
    );
    assert!(refused(&timeline, "li", &start("s1")).what.en.contains("not approved"));
    timeline.act("sun", r#"{"do":"approve_plan"}"#);
    assert!(refused(&timeline, "li", &start("s1")).what.en.contains("not approved"));
    timeline.run_until("2026-03-03 12:00");
    assert_eq!(rows(&timeline, "s1", "ready"), Vec::<String>::new());
    timeline.act("zhao", r#"{"do":"approve_plan"}"#);
    assert!(
        refused(&timeline, "li", &start("s2"))
            .what
            .en
            .contains("are not done: s1")
    );
    timeline
        .act("li", &start("s1"))
        .act("li", r#"{"do":"step_done","item":"s1"}"#);
    timeline.act("li", &start("s2"));
}

#[test]
fn the_latest_start_is_counted_backwards_from_the_day_it_is_needed() {
    let mut timeline = desk(case(OPENED));
    timeline.act(
        "li",
        r#"{"do":"draft_plan","needed_by":"2026-03-20","steps":[{"name":"转档案","takes_days":2},
            {"name":"申请失业保险金","after":["1"],"takes_days":3}]}"#,
    );
    let plan = timeline.case.plan.as_ref().unwrap();
    let starts = plan.latest_starts(&timeline.rules);
    let latest = |item: &str| starts.get(&ItemId::from(item)).map(ToString::to_string);
    assert_eq!(latest("s2").as_deref(), Some("2026-03-17"));
    assert_eq!(latest("s1").as_deref(), Some("2026-03-13"));
    let of = StepOf {
        plan,
        step: &plan.steps[0],
        start_by: starts.get(&plan.steps[0].head.id).copied(),
    };
    assert_eq!(of.slack_workdays(&timeline.rules, day("2026-03-10")), Some(3));
}

#[test]
fn an_expedited_step_is_chased_sooner() {
    for (expedite, chased) in [(false, "2026-03-04"), (true, "2026-03-03")] {
        let mut timeline = desk(case(OPENED));
        let draft = format!(r#"{{"do":"draft_plan","steps":[{{"name":"报销","expedite":{expedite}}}]}}"#);
        timeline.act("li", &draft);
        timeline
            .act("sun", r#"{"do":"approve_plan"}"#)
            .act("zhao", r#"{"do":"approve_plan"}"#);
        timeline
            .act("li", r#"{"do":"start_step","item":"s1"}"#)
            .run_until("2026-03-05 12:00");
        let row = format!("{chased} 09:00  s1 chase → owner li email queued");
        assert_eq!(rows(&timeline, "s1", "chase")[0], row);
    }
}

#[test]
fn the_next_chaser_counts_from_the_last_contact() {
    let mut timeline = desk(case(OPENED));
    timeline.act("li", r#"{"do":"ask","kind":"agency","of":"档案室","what":"查档"}"#);
    timeline
        .run_until("2026-03-04 15:00")
        .act("li", r#"{"do":"chased","item":"r1"}"#);
    timeline.run_until("2026-03-06 12:00");
    assert_eq!(
        rows(&timeline, "r1", "chase"),
        [
            "2026-03-04 09:00  r1 chase → owner li email queued",
            "2026-03-06 09:00  r1 chase → owner li email queued",
        ]
    );
}

#[test]
fn what_is_owed_after_closing_is_asked_for_after_closing() {
    let mut timeline = desk(case(OPENED));
    timeline.act("li", r#"{"do":"watch","tags":["低收入"]}"#);
    timeline.act("li", r#"{"do":"close","as":"done","outcome":"办结"}"#);
    timeline.run_until("2026-10-12 12:00");
    let revisit = rows(&timeline, "t1", "due");
    assert_eq!(revisit, ["2026-03-05 08:30  t1 due → assignee li email queued"]);
    let policy = rows(&timeline, "w-heating_subsidy", "matched");
    assert_eq!(
        policy,
        ["2026-10-12 09:00  w-heating_subsidy matched → owner li email queued"]
    );
    timeline.act("li", r#"{"do":"done","item":"w-heating_subsidy"}"#);
}

#[test]
fn only_a_policy_that_concerns_the_household_and_that_they_have_not_heard_of_is_told() {
    let mut timeline = desk(case(OPENED));
    let done = r#"{"do":"done","item":"w-care_subsidy"}"#;
    timeline.act("li", r#"{"do":"watch","tags":["低收入"]}"#);
    assert!(refused(&timeline, "li", done).what.en.contains("no such item"));
    timeline.act("li", r#"{"do":"watch","tags":["重残"]}"#).act("li", done);
    assert!(refused(&timeline, "li", done).what.en.contains("over already"));
}

#[test]
fn a_promise_is_kept_when_they_were_reached_not_when_it_was_tried() {
    let mut case = case(OPENED);
    callback(&mut case, "li", OPENED, "2026-03-09");
    let mut timeline = desk(case);
    timeline.act("li", r#"{"do":"attempt","item":"c1","result":"no_answer"}"#);
    assert_eq!(timeline.case.callbacks[0].kept, None);
    timeline.run_until("2026-03-10 12:00");
    let overdue = [
        "2026-03-10 08:30  c1 overdue → assignee li email queued",
        "2026-03-10 08:30  c1 overdue → owner li superseded",
    ];
    let told = rows(&timeline, "c1", "overdue");
    assert_eq!(told.len(), overdue.len(), "{told:?}");
    assert_eq!(told[0], overdue[0]);
    let close = refused(&timeline, "sun", r#"{"do":"close","as":"done","outcome":"办结"}"#);
    assert!(close.what.en.contains("call-back is still open: c1"), "{close}");
}

#[test]
fn when_substitutes_turn_in_a_circle_the_supervisor_is_told() {
    let mut case = case(OPENED);
    callback(&mut case, "li", OPENED, "2026-03-03");
    let mut timeline = desk(case);
    absent(&mut timeline.rules, "li", "2026-03-03", "2026-03-03", Some("wang"));
    absent(&mut timeline.rules, "wang", "2026-03-03", "2026-03-03", Some("li"));
    let stands_in = timeline.rules.org.acting_for(&StaffId::from("li"), day("2026-03-03"));
    assert_eq!(stands_in.map(|staff| staff.id.as_str()), Some("sun"));
    timeline.run_until("2026-03-03 12:00");
    let due = rows(&timeline, "c1", "due");
    assert_eq!(due, ["2026-03-03 08:30  c1 due → assignee sun email queued"]);
}

#[test]
fn a_heavy_heart_is_phoned_first_and_the_message_is_a_copy() {
    let mut case = case(OPENED);
    case.flags.insert(CaseFlag::SensitiveTone);
    appointment(&mut case, "wang", OPENED, "2026-03-12 09:30");
    let mut timeline = desk(case);
    timeline.run_until("2026-03-11 12:00");
    assert_eq!(
        rows(&timeline, "a1", "day-before →"),
        [
            "2026-03-11 10:00  a1 day-before → resident p1 phone task",
            "2026-03-11 10:00  a1 day-before → resident wang email queued (call notice)",
            "2026-03-11 10:00  a1 day-before → resident p1 sms queued",
            "2026-03-11 10:00  a1 day-before → relatives nobody skipped",
        ]
    );
}

/// 2026-10-25 02:00 to 03:00 comes twice in Berlin.
#[test]
fn in_the_hour_that_comes_twice_a_daily_reminder_comes_once() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let mut rules = every_kind();
    rules.zone = berlin.clone();
    let when = "every day from 3 days before last_safe_day";
    let daily = rung(
        "daily",
        when,
        Some("02:30"),
        OffDay::Stay,
        &[Audience::Owner],
        &[Way::Email],
    );
    let ladder = ladder("record_expiry", ItemKind::Deadline, Late::Now, vec![daily]);
    rules.ladders.insert(ladder.id.clone(), ladder);
    let mut case = case(OPENED);
    deadline_ending(&mut case, "cremation_reissue", "2026-10-26", OPENED);
    let mut timeline = Timeline::new(rules, case, OPENED);
    timeline.now = at_in("2026-10-24 12:00", &berlin);
    // Looked at every half an hour, as a daemon that is woken for other reasons does.
    for _ in 0..72 {
        timeline.look();
        timeline.now += jiff::SignedDuration::from_mins(30);
    }
    let days: Vec<String> = rows(&timeline, "d1", "daily")
        .iter()
        .map(|row| row[..10].to_owned())
        .collect();
    assert_eq!(days, ["2026-10-24", "2026-10-25"]);
}

#[test]
fn nothing_that_was_queued_leaves_after_the_case_is_closed() {
    let mut case = case(OPENED);
    deadline_ending(&mut case, "hard_case", "2026-03-06", OPENED);
    let mut timeline = desk(case);
    timeline.run_until("2026-03-04 10:00");
    assert_eq!(timeline.recheck_all(), ["soon: send"]);
    timeline.act("li", r#"{"do":"close","as":"withdrawn","reason":"居民撤回"}"#);
    assert_eq!(timeline.recheck_all(), ["soon: cancel, the case is closed"]);
}

#[test]
fn what_is_of_no_use_any_more_does_not_leave() {
    let mut case = case(OPENED);
    appointment(&mut case, "wang", OPENED, "2026-03-12 09:30");
    let mut timeline = desk(case);
    timeline.run_until("2026-03-11 10:00");
    timeline
        .decisions
        .retain(|(_, decision)| decision.mark.audience == Audience::Resident);
    for (now, told) in [
        ("2026-03-12 09:29", "day-before: send"),
        ("2026-03-12 09:30", "day-before: cancel, too late to help"),
    ] {
        timeline.now = at(now);
        assert_eq!(timeline.recheck_all(), [told], "{now}");
    }
}

#[test]
fn whoever_waits_for_others_is_not_reminded_of_silence() {
    let mut timeline = desk(case(OPENED));
    let silent = |timeline: &Timeline| {
        let dated: Vec<Dated<'_>> = timeline
            .case
            .items(&timeline.rules)
            .map(|item| Dated::new(&timeline.rules, item))
            .collect();
        dated
            .iter()
            .find_map(|dated| dated.at(Milestone::Silent))
            .map(|moment| moment.to_string())
    };
    assert_eq!(silent(&timeline).as_deref(), Some("2026-03-09"));
    // Nothing else would ask about what the case waits for: it is not forgotten.
    timeline.act("li", r#"{"do":"wait","on":"区民政局"}"#);
    assert_eq!(silent(&timeline).as_deref(), Some("2026-03-09"));
    timeline.act(
        "li",
        r#"{"do":"ask","kind":"agency","of":"区民政局","what":"核对结果"}"#,
    );
    assert_eq!(silent(&timeline), None);
    timeline.run_until("2026-03-20 12:00");
    assert_eq!(rows(&timeline, "case", "silent"), Vec::<String>::new());
}

#[tokio::test]
pub(crate) async fn a_resident_gets_no_more_sms_a_day_than_the_cap_allows() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let mut told = 0;
    let mut visits = Vec::new();
    for hour in ["10:00", "14:00", "16:00"] {
        visits.push(visit(&hall, intake::resident(1), &format!("2026-03-19 {hour}")).await);
    }
    hall.run_until("2026-03-18 12:00").await;
    for case in &visits {
        let rows = hall.rung(case, "day-before").await;
        told += rows.iter().filter(|row| *row == "resident sms accepted").count();
    }
    assert_eq!(told, 2);
}

#[test]
fn a_workday_without_anybody_on_duty_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write_rules(folder.path());
    let rota = folder.path().join("rota.toml");
    let text = std::fs::read_to_string(&rota).unwrap();
    let makeup_day = "[[rota.taoranting-2026.day]]\nday = 2026-02-14\nstaff = \"zhou\"\n";
    assert!(text.contains(makeup_day));
    std::fs::write(&rota, text.replace(makeup_day, "")).unwrap();
    let problems = load(folder.path(), &BTreeMap::new(), &|_, _, _| true).expect_err("the rota has a gap");
    let told: String = problems.iter().map(ToString::to_string).collect();
    assert!(told.contains("nobody is on duty on 2026-02-14"), "{told}");
}

#[test]
fn a_case_closes_over_what_is_under_way_only_with_a_reason_that_is_kept() {
    let mut timeline = desk(case(OPENED));
    timeline.act("li", r#"{"do":"add_material","name":"火化证"}"#);
    timeline.act("li", r#"{"do":"missing","item":"m1","finder":"wang"}"#);
    timeline.act("li", r#"{"do":"ask","kind":"sub_request","of":"档案室","what":"查档"}"#);
    timeline.act(
        "li",
        r#"{"do":"draft_plan","steps":[{"name":"转档案"},{"name":"补办"}]}"#,
    );
    timeline
        .act("sun", r#"{"do":"approve_plan"}"#)
        .act("zhao", r#"{"do":"approve_plan"}"#);
    timeline.act("li", r#"{"do":"start_step","item":"s2"}"#);
    timeline.act("li", r#"{"do":"needed_by","day":"2026-04-10"}"#);
    let words = "s2 (转档案), r1 (索要材料), m1 (火化证), t6 (方案待审批)";
    for (who, close) in [
        ("li", r#"{"do":"close","as":"done","outcome":"办结"}"#),
        ("zhao", r#"{"do":"close","as":"withdrawn","reason":"居民撤回"}"#),
        ("li", r#"{"do":"close","as":"transferred","to":"区民政局"}"#),
        (
            "sun",
            r#"{"do":"close","as":"refused","reason":"不归我们管","alternative":"找单位"}"#,
        ),
    ] {
        let refusal = refused(&timeline, who, close);
        assert_eq!(refusal.field.as_deref(), Some("leaving"), "{refusal}");
        assert!(refusal.what.zh.ends_with(words), "{refusal}");
    }
    let closing = |leaving: &str| {
        let close = format!(r#"{{"do":"close","as":"done","outcome":"办结","leaving":"{leaving}"}}"#);
        timeline.try_act("li", serde_json::from_str(&close).unwrap())
    };
    assert_eq!(closing(" ").unwrap_err().field.as_deref(), Some("leaving"));
    let change = closing("家属自行办理").unwrap();
    let closed = &change.events[0];
    let Event::CaseClosed { leaving, left, .. } = closed else {
        panic!("{closed:?}")
    };
    assert_eq!(leaving.as_deref(), Some("家属自行办理"));
    let left: Vec<&str> = left.iter().map(|id| id.as_str()).collect();
    assert_eq!(left, ["s2", "r1", "m1", "t6"]);
    let old: Event = serde_json::from_str(r#"{"event":"case_closed","as":"done"}"#).unwrap();
    assert!(matches!(old, Event::CaseClosed { leaving: None, .. }), "{old:?}");
}

#[test]
fn a_paper_that_is_added_holds_the_hand_over_back_until_it_is_there() {
    let mut timeline = desk(case(OPENED));
    let obtained = |item: &str| format!(r#"{{"do":"material","item":"{item}","state":"obtained"}}"#);
    timeline
        .act("li", r#"{"do":"add_material","name":"身份证"}"#)
        .act("li", &obtained("m1"));
    let open = |timeline: &Timeline| {
        let todos = timeline.case.todos.iter();
        let open = todos.filter(|todo| todo.purpose == Purpose::Handover && todo.done.is_none());
        open.map(|todo| todo.head.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(open(&timeline), ["t1"]);
    timeline.act("li", r#"{"do":"add_material","name":"户口本"}"#);
    assert_eq!(open(&timeline), Vec::<String>::new());
    timeline.act("li", &obtained("m2"));
    assert_eq!(open(&timeline), ["t2"]);
}

#[test]
fn whoever_is_told_a_second_time_has_been_told() {
    let mut timeline = desk(case(OPENED));
    let tell = r#"{"do":"tell","what":"one_time_notice","method":"当面"}"#;
    timeline
        .act("li", r#"{"do":"add_material","name":"身份证"}"#)
        .act("li", tell);
    timeline.act("li", r#"{"do":"add_material","name":"户口本"}"#);
    let asked = |timeline: &Timeline| {
        let todos = timeline.case.todos.iter();
        let asked = todos.filter(|todo| todo.purpose == Purpose::SecondNotice);
        asked.map(|todo| todo.done.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(asked(&timeline), [false]);
    timeline.act("li", tell);
    assert_eq!(asked(&timeline), [true]);
}

#[test]
fn an_appointment_that_only_ends_at_another_hour_is_no_move() {
    let mut case = case(OPENED);
    appointment(&mut case, "wang", OPENED, "2026-03-10 09:30");
    let mut timeline = desk(case);
    let before = timeline.case.appointments[0].clone();
    timeline.act(
        "li",
        r#"{"do":"move_appointment","item":"a1","start":"2026-03-10T09:30","end":"2026-03-10T11:00"}"#,
    );
    let after = timeline.case.appointments[0].clone();
    assert_eq!((after.moves, after.set_at), (0, before.set_at));
    assert_eq!(after.end, at("2026-03-10 11:00"));
}

#[test]
fn a_household_may_have_tags_before_a_policy_uses_them_and_after() {
    let mut timeline = desk(case(OPENED));
    let watch = r#"{"do":"watch","tags":["重残","独居"]}"#;
    let refusal = refused(&timeline, "li", watch);
    assert!(refusal.fix.zh.contains("重残"), "{refusal}");
    timeline.rules.tags.insert("独居".to_owned());
    timeline.act("li", watch);
    timeline.rules.tags.clear();
    timeline.rules.policies.clear();
    timeline.act("li", r#"{"do":"watch","tags":["重残"]}"#);
}

#[test]
fn a_plan_that_changes_is_approved_again() {
    let mut timeline = desk(case(OPENED));
    timeline.act(
        "li",
        r#"{"do":"draft_plan","needed_by":"2026-03-20","steps":[{"name":"查档"},{"name":"转档案","after":["1"]},
            {"name":"补办","after":["1","2"],"takes_days":3}]}"#,
    );
    let approve = |timeline: &mut Timeline| {
        timeline
            .act("sun", r#"{"do":"approve_plan"}"#)
            .act("zhao", r#"{"do":"approve_plan"}"#);
        assert!(timeline.case.plan.as_ref().unwrap().approved_at().is_some());
    };
    let is_draft = |timeline: &Timeline| timeline.case.plan.as_ref().unwrap().approved_at().is_none();
    approve(&mut timeline);
    timeline.act("li", r#"{"do":"start_step","item":"s1"}"#);
    let drop = |item: &str| format!(r#"{{"do":"drop_step","item":"{item}","reason":"不需要"}}"#);
    assert!(
        refused(&timeline, "li", &drop("s1"))
            .what
            .en
            .contains("has been started")
    );
    timeline.act("li", &drop("s2"));
    assert!(is_draft(&timeline));
    let plan = timeline.case.plan.as_ref().unwrap();
    let after: Vec<&str> = plan
        .step(&"s3".into())
        .unwrap()
        .after
        .iter()
        .map(|id| id.as_str())
        .collect();
    assert_eq!(after, ["s1"]);
    approve(&mut timeline);
    timeline.act("li", r#"{"do":"change_step","item":"s3","takes_days":9,"after":[]}"#);
    assert!(is_draft(&timeline));
    let circle = refused(&timeline, "li", r#"{"do":"change_step","item":"s3","after":["s3"]}"#);
    assert_eq!(circle.field.as_deref(), Some("after"));
    assert!(
        refused(&timeline, "li", r#"{"do":"change_step","item":"s3"}"#)
            .what
            .en
            .contains("same as before")
    );
    approve(&mut timeline);
    timeline.act("li", r#"{"do":"needed_by","day":"none"}"#);
    assert!(is_draft(&timeline));
    assert_eq!(timeline.case.plan.as_ref().unwrap().needed_by, None);
}

#[test]
fn a_consultation_that_drags_on_is_our_own_supervisors() {
    let mut timeline = desk(case(OPENED));
    timeline.act(
        "li",
        r#"{"do":"ask","kind":"consult","of":"区民政局","what":"会商","due":"2026-03-04"}"#,
    );
    timeline.run_until("2026-03-06 12:00");
    let told = rows(&timeline, "r1", "");
    assert_eq!(
        told,
        [
            "2026-03-04 09:00  r1 asked → owner li email queued",
            "2026-03-05 09:00  r1 overdue → owner li email queued",
            "2026-03-06 09:00  r1 overdue → owner li email queued",
            "2026-03-06 09:00  r1 tell-supervisor → supervisor sun email queued",
        ]
    );
}

#[test]
fn where_nobody_serves_extended_hours_somebody_is_named() {
    let mut timeline = desk(case(OPENED));
    timeline
        .rules
        .org
        .staff
        .retain(|_, staff| staff.role != Role::ExtendedHoursStaff);
    let refusal = refused(&timeline, "li", ESCORT);
    assert_eq!(refusal.field.as_deref(), Some("with"));
    assert!(
        refusal.fix.en.contains("no extended-hours staff at this centre"),
        "{refusal}"
    );
}

#[test]
fn the_list_of_papers_is_whole_and_says_what_the_hall_has() {
    let mut timeline = desk(case(OPENED));
    for name in ["身份证", "户口本", "照片"] {
        timeline.act("li", &format!(r#"{{"do":"add_material","name":"{name}"}}"#));
    }
    timeline.act("li", r#"{"do":"material","item":"m1","state":"obtained"}"#);
    timeline.act("li", r#"{"do":"not_needed","item":"m3","reason":"已有"}"#);
    let listed = materials_of(&timeline.case, None);
    let listed: Vec<String> = listed.iter().map(|said| said.to_string()).collect();
    assert_eq!(listed, ["身份证(我们已有) / 身份证 (we have it)", "户口本 / 户口本"]);
}

#[tokio::test]
pub(crate) async fn a_household_to_be_greeted_is_known_from_the_opening_on() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let case = json!({
        "resident": { "name": "沈小兰", "gender": "female", "phone": "13900000001" },
        "matter": "cremation_certificate", "request": "补办。", "flags": ["keep_in_touch"],
    });
    hall.take_in("lin", case).await;
    let greeted = hall.app.engine.store.to_greet(&["lin".into()], 10).await.unwrap();
    assert_eq!(greeted, ["2026-000001"]);
}
