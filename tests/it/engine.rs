//! Timelines through everything: from what a clerk enters to what leaves, under a clock that the test moves.

use serde_json::json;
use xixin::domain::ids::CaseId;
use xixin::domain::ladder::Way;
use xixin::engine::planner;

use crate::support::hall::Hall;
use crate::support::intake::{brief_visit, certificate, promise, resident, visit, visit_with};
use crate::support::rulebook::at;

/// After every planning: planned again, nothing more is decided.
async fn is_settled(hall: &Hall, case: &CaseId) {
    let before = hall.timeline(case).await;
    hall.sql("update cases set wake_ms = 0").await;
    hall.plan().await;
    assert_eq!(hall.timeline(case).await, before);
}

/// The part of a timeline that is about one item.
async fn of_item(hall: &Hall, case: &CaseId, item: &str) -> Vec<String> {
    let mut told: Vec<String> = hall.timeline(case).await;
    told.retain(|line| line[12..].starts_with(item));
    told
}

/// The dates of the mails that have left.
fn dates(hall: &Hall) -> Vec<String> {
    let folder = hall.dir.path().join("state/maildir/new");
    let mails = std::fs::read_dir(folder).unwrap();
    let date = |raw: String| {
        raw.lines()
            .find_map(|line| line.strip_prefix("Date: ").map(str::to_owned))
    };
    let mut dates: Vec<String> = mails
        .filter_map(|mail| date(std::fs::read_to_string(mail.unwrap().path()).unwrap()))
        .collect();
    dates.sort();
    dates
}

#[tokio::test]
pub(crate) async fn a_reminder_whose_time_was_over_when_the_case_came_in_is_dated_when_it_came_in() {
    let hall = Hall::open("2026-03-09 15:00").await;
    hall.without_digest("2026-03-09").await;
    certificate(&hall, resident(1)).await;
    hall.settle().await;
    // The rung "attention" was for 6 March; in the order of an inbox the mail would stand below that whole weekend.
    assert_eq!(dates(&hall), ["Mon, 09 Mar 2026 07:00:00 +0000"]);
}

#[tokio::test]
pub(crate) async fn a_record_that_expires_is_told_louder_and_higher_up_until_somebody_acts() {
    let hall = Hall::open("2026-02-10 15:00").await;
    let case = certificate(&hall, resident(1)).await;
    hall.run_until("2026-03-25 12:00").await;
    let told = of_item(&hall, &case, "d1").await;
    assert_eq!(
        told,
        [
            "02-14 09:00 d1 month-ahead lin email accepted",
            "03-06 09:00 d1 attention lin email accepted",
            "03-06 10:00 d1 attention-resident resident sms accepted",
            "03-13 09:00 d1 urgent gu email accepted",
            "03-13 09:00 d1 urgent lin email accepted",
            "03-13 10:00 d1 urgent-resident resident sms accepted",
            "03-17 08:30 d1 last-days gu email accepted",
            "03-17 08:30 d1 last-days lin email accepted",
            "03-18 08:30 d1 last-days gu email accepted",
            "03-18 08:30 d1 last-days lin email accepted",
            "03-19 08:30 d1 last-days gu email accepted",
            "03-19 08:30 d1 last-days lin email accepted",
            "03-19 10:00 d1 eve-resident resident sms accepted",
            "03-20 08:30 d1 last-days gu email accepted",
            "03-20 08:30 d1 last-days lin email accepted",
            "03-21 08:30 d1 lost gu email accepted",
            "03-23 08:30 d1 expired gu email accepted",
            "03-23 08:30 d1 expired shen email accepted",
            "03-24 08:30 d1 expired gu email accepted",
            "03-24 08:30 d1 expired shen email accepted",
            "03-25 08:30 d1 expired gu email accepted",
            "03-25 08:30 d1 expired shen email accepted",
        ]
    );
    assert_eq!(
        hall.take_reminders().len(),
        hall.timeline(&case).await.len(),
        "what is accepted has left, once"
    );
    is_settled(&hall, &case).await;

    hall.act("gu", &case, json!({ "do": "acknowledge", "item": "d1" }))
        .await
        .unwrap();
    hall.run_until("2026-04-01 12:00").await;
    let told = of_item(&hall, &case, "d1").await;
    assert_eq!(
        told[22..],
        [
            "03-31 08:30 d1 expired gu email accepted",
            "03-31 08:30 d1 expired shen email accepted",
            "04-01 08:30 d1 expired gu email accepted",
            "04-01 08:30 d1 expired shen email accepted",
        ],
        "an acknowledgement lasts three workdays"
    );
    hall.act("lin", &case, json!({ "do": "done", "item": "d1" }))
        .await
        .unwrap();
    hall.run_until("2026-04-10 12:00").await;
    assert_eq!(of_item(&hall, &case, "d1").await, told);
}

#[tokio::test]
pub(crate) async fn a_promise_is_due_then_overdue_then_told_to_the_supervisor_until_it_is_kept() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = promise(&hall, resident(1), "2026-03-09").await;
    hall.run_until("2026-03-12 12:00").await;
    assert_eq!(
        of_item(&hall, &case, "c2").await,
        [
            "03-09 08:30 c2 due lin email accepted",
            "03-10 08:30 c2 overdue lin email accepted",
            "03-10 08:30 c2 overdue lin none superseded",
            "03-11 08:30 c2 tell-supervisor gu email accepted",
            "03-12 08:30 c2 tell-supervisor gu email accepted",
        ]
    );
    is_settled(&hall, &case).await;
    let kept = json!({ "do": "attempt", "item": "c2", "result": "reached" });
    hall.act("lin", &case, kept).await.unwrap();
    hall.run_until("2026-03-20 12:00").await;
    assert_eq!(of_item(&hall, &case, "c2").await.len(), 5);
}

#[tokio::test]
pub(crate) async fn a_resident_who_heard_nothing_for_five_workdays_is_told_how_it_goes() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = certificate(&hall, resident(1)).await;
    hall.run_until("2026-03-12 12:00").await;
    let silent = |days: &[&str]| -> Vec<String> {
        let line = |day: &&str| format!("{day} 09:00 case silent lin email accepted");
        days.iter().map(line).collect()
    };
    let mut days = vec!["03-09"];
    assert_eq!(
        of_item(&hall, &case, "case").await,
        silent(&days),
        "one morning, then not again"
    );
    let call = json!({ "do": "contact", "direction": "out", "kind": "phone" });
    hall.act("lin", &case, call).await.unwrap();
    hall.run_until("2026-03-18 12:00").await;
    assert_eq!(
        of_item(&hall, &case, "case").await,
        silent(&days),
        "a word to them counts"
    );
    hall.run_until("2026-03-19 12:00").await;
    days.push("03-19");
    assert_eq!(of_item(&hall, &case, "case").await, silent(&days));
}

#[tokio::test]
pub(crate) async fn an_appointment_is_told_to_the_resident_a_daughter_who_agreed_and_whoever_goes_along() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let relatives = json!([
        { "name": "沈念", "relation": "女儿", "phone": "13900000009", "opted_in": true },
        { "name": "沈安", "relation": "儿子", "phone": "13900000010" },
    ]);
    let case = visit_with(&hall, resident(1), relatives, "2026-03-05 09:30").await;
    hall.run_until("2026-03-06 15:00").await;
    assert_eq!(
        hall.timeline(&case).await,
        [
            "03-02 10:00 a2 booked hao email accepted",
            "03-04 09:00 a2 day-before-staff hao email accepted",
            "03-04 10:00 a2 day-before relatives sms accepted",
            "03-04 10:00 a2 day-before resident sms accepted",
            "03-05 07:30 a2 same-day hao email accepted",
            "03-05 11:30 a2 missed lin email accepted",
            "03-06 11:30 a2 missed lin email accepted",
        ]
    );
    let sms: Vec<String> = hall
        .take_reminders()
        .into_iter()
        .filter(|left| left.way == Way::Sms)
        .map(|left| left.to)
        .collect();
    assert_eq!(sms.iter().filter(|to| *to == "13900000001").count(), 1);
    assert_eq!(sms.iter().filter(|to| *to == "13900000009").count(), 1);
    assert_eq!(sms.len(), 2);
    is_settled(&hall, &case).await;
}

/// What a clerk does between queueing and sending, and what becomes of the resident's SMS.
#[tokio::test]
pub(crate) async fn what_changes_between_queueing_and_sending_stops_or_reroutes_the_message() {
    const CALL: &[&str] = &[
        "hao email accepted (call)",
        "resident phone task",
        "resident sms cancelled",
    ];
    const NONE: &[&str] = &["resident sms cancelled"];
    let table = [
        (
            "moved",
            json!({ "do": "move_appointment", "item": "a2", "start": "2026-03-09 09:30" }),
            NONE,
        ),
        (
            "cancelled",
            json!({ "do": "cancel_appointment", "item": "a2", "reason": "居民改期" }),
            NONE,
        ),
        ("dead", json!({ "do": "change_person", "deceased": true }), NONE),
        ("opted out", json!({ "do": "change_person", "opted_out": true }), CALL),
        (
            "wrong number",
            json!({ "do": "attempt", "item": "c3", "result": "wrong_number" }),
            CALL,
        ),
        (
            "another number",
            json!({ "do": "change_person", "phone": "13900000077" }),
            &["resident sms accepted"],
        ),
    ];
    for (name, command, expected) in table {
        let hall = Hall::open("2026-03-02 10:00").await;
        let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
        let promised = json!({ "do": "promise", "words": "回电", "due": "2026-04-09" });
        hall.act("lin", &case, promised).await.unwrap();
        hall.run_until("2026-03-04 09:59").await;
        hall.take_left();
        hall.clock.set(at("2026-03-04 10:00"));
        hall.plan().await;
        assert_eq!(
            hall.rung(&case, "day-before").await,
            ["relatives none skipped", "resident sms queued"],
            "{name}"
        );
        hall.act("lin", &case, command).await.unwrap();
        hall.settle().await;
        let mut found = hall.rung(&case, "day-before").await;
        found.retain(|line| line != "relatives none skipped");
        assert_eq!(found, expected, "{name}");
        let left = hall.take_left().into_iter();
        let numbers: Vec<String> = left.filter(|left| left.way == Way::Sms).map(|left| left.to).collect();
        let expected: &[&str] = if name == "another number" {
            &["13900000077"]
        } else {
            &[]
        };
        assert_eq!(numbers, expected, "{name}");
        is_settled(&hall, &case).await;
    }
}

#[tokio::test]
pub(crate) async fn nothing_leaves_for_a_deadline_that_is_met_or_a_case_that_is_closed() {
    let table = [
        (json!({ "do": "done", "item": "d1" }), "sms cancelled: 该事项已完成"),
        (
            json!({ "do": "close", "as": "withdrawn", "reason": "居民撤回" }),
            "sms cancelled: 案件已办结",
        ),
    ];
    for (command, expected) in table {
        let hall = Hall::open("2026-02-10 15:00").await;
        let case = certificate(&hall, resident(1)).await;
        hall.run_until("2026-03-06 09:59").await;
        hall.take_left();
        hall.clock.set(at("2026-03-06 10:00"));
        hall.plan().await;
        hall.act("gu", &case, command).await.unwrap();
        hall.run_until("2026-03-12 12:00").await;
        assert_eq!(hall.reasons(&case, "attention-resident").await, [expected]);
        assert_eq!(hall.take_reminders(), []);
    }
}

#[tokio::test]
pub(crate) async fn a_resident_s_wish_in_one_case_holds_for_their_other_cases() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let first = visit(&hall, resident(1), "2026-03-05 09:30").await;
    let second = promise(&hall, resident(1), "2026-04-09").await;
    hall.run_until("2026-03-04 09:59").await;
    hall.clock.set(at("2026-03-04 10:00"));
    hall.plan().await;
    hall.act("lin", &second, json!({ "do": "change_person", "opted_out": true }))
        .await
        .unwrap();
    hall.settle().await;
    assert_eq!(
        hall.rung(&first, "day-before").await,
        [
            "hao email accepted (call)",
            "relatives none skipped",
            "resident phone task",
            "resident sms cancelled"
        ]
    );
    // Whoever comes again with the same number and name has still opted out.
    let third = visit(&hall, resident(1), "2026-03-06 09:30").await;
    hall.run_until("2026-03-05 10:00").await;
    assert_eq!(
        hall.rung(&third, "day-before").await,
        [
            "hao email accepted (call)",
            "relatives none skipped",
            "resident phone task"
        ]
    );
    assert!(
        hall.take_left()
            .iter()
            .all(|left| left.way != Way::Sms || left.to != "13900000001")
    );
}

#[tokio::test]
pub(crate) async fn a_daughter_s_consent_is_not_lost_when_her_mother_comes_again() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let daughter =
        |opted_in: bool| json!([{ "name": "沈念", "relation": "女儿", "phone": "13900000009", "opted_in": opted_in }]);
    let first = visit_with(&hall, resident(1), daughter(true), "2026-03-05 09:30").await;
    visit_with(&hall, resident(1), daughter(false), "2026-03-12 09:30").await;
    hall.run_until("2026-03-04 10:00").await;
    assert_eq!(
        hall.rung(&first, "day-before").await,
        ["relatives sms accepted", "resident sms accepted"]
    );
}

#[tokio::test]
pub(crate) async fn a_reminder_on_its_way_follows_the_case_to_its_new_owner() {
    let hall = Hall::open("2026-02-10 15:00").await;
    let case = certificate(&hall, resident(1)).await;
    hall.run_until("2026-03-13 08:59").await;
    hall.clock.set(at("2026-03-13 09:00"));
    hall.plan().await;
    hall.act("lin", &case, json!({ "do": "assign", "owner": "zhou" }))
        .await
        .unwrap();
    hall.settle().await;
    assert_eq!(
        hall.rung(&case, "urgent").await,
        ["gu email accepted", "lin email cancelled", "zhou email accepted"]
    );
}

#[tokio::test]
pub(crate) async fn a_call_follows_the_case_and_is_withdrawn_when_nobody_has_to_make_it_any_more() {
    let hall = Hall::open("2026-02-10 15:00").await;
    let old = json!({ "name": "沈怀瑾", "phone": "13900000001", "born": 1940 });
    let case = certificate(&hall, old).await;
    hall.run_until("2026-03-06 10:00").await;
    assert_eq!(
        hall.rung(&case, "attention-resident").await,
        [
            "lin email accepted (call)",
            "resident phone task",
            "resident sms accepted"
        ],
        "phone first, and a copy"
    );
    let call =
        "select assignee || ' ' || state || ' ' || reason_zh from reminders where way = 'phone' order by decided_ms";
    hall.act("lin", &case, json!({ "do": "assign", "owner": "zhou" }))
        .await
        .unwrap();
    hall.settle().await;
    assert_eq!(
        hall.column(call).await,
        ["zhou task 高龄或行动不便,先打电话;提醒“attention-resident”到时(最晚可办日 2026-03-20)"]
    );
    // A wrong date: the deadline is a year away, and nobody need be phoned about the old one.
    let found = json!({ "do": "set_trigger", "item": "d1", "trigger": "2017-03-20" });
    hall.act("zhou", &case, found).await.unwrap();
    hall.settle().await;
    assert_eq!(hall.column(call).await, ["zhou cancelled 日期已变更"]);
    is_settled(&hall, &case).await;
}

#[tokio::test]
pub(crate) async fn caps_hold_over_all_cases_of_a_resident_and_what_is_critical_says_why_it_passed() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let mut visits = Vec::new();
    for hour in ["10:30", "11:30", "15:00", "16:00"] {
        visits.push(visit(&hall, resident(1), &format!("2026-03-19 {hour}")).await);
    }
    let critical = certificate(&hall, resident(1)).await;
    hall.run_until("2026-03-18 23:00").await;
    let sms = |rows: Vec<String>| -> Vec<String> { rows.into_iter().filter(|row| row.starts_with("sms")).collect() };
    let mut states = Vec::new();
    for case in &visits {
        states.extend(sms(hall.reasons(case, "day-before").await));
    }
    let went = "sms accepted: 提醒“day-before”到时(预约 2026-03-19)";
    let waits = "sms queued: 提醒“day-before”到时(预约 2026-03-19);今天给此人的短信已到上限,明早再发";
    assert_eq!(states, [went, went, waits, waits]);

    hall.run_until("2026-03-19 12:00").await;
    let late = "sms accepted: 提醒“day-before”到时(预约 2026-03-19);今天给此人的短信已到上限,明早再发;\
                发出时晚了22小时0分钟: 等待时段、上限、暂停或服务商恢复";
    for case in &visits[2..] {
        assert_eq!(sms(hall.reasons(case, "day-before").await), [late]);
    }
    assert_eq!(
        sms(hall.reasons(&critical, "eve-resident").await),
        ["sms accepted: 提醒“eve-resident”到时(最晚可办日 2026-03-20);今天给此人的短信已到上限,因事关失权仍发出"]
    );
}

#[tokio::test]
pub(crate) async fn a_cap_that_would_hold_a_message_until_it_is_too_late_makes_a_call_of_it() {
    let hall = Hall::open("2026-03-02 10:00").await;
    // Sending hours that begin after the appointments.
    let schedule = hall.config().join("schedule.toml");
    let text = std::fs::read_to_string(&schedule).unwrap();
    std::fs::write(&schedule, text.replace("08:00-21:00", "09:50-21:00")).unwrap();
    hall.app.reload().await.unwrap();
    let mut visits = Vec::new();
    for start in ["09:00", "09:05", "09:10"] {
        visits.push(brief_visit(&hall, resident(1), &format!("2026-03-05 {start}")).await);
    }
    hall.run_until("2026-03-04 10:00").await;
    for case in &visits[..2] {
        assert_eq!(
            hall.rung(case, "day-before").await,
            ["relatives none skipped", "resident sms accepted"]
        );
    }
    assert_eq!(
        hall.reasons(&visits[2], "day-before").await,
        [
            "email accepted: 有电话要打,通知经办人",
            "none skipped: 没有同意接收的亲属",
            "phone task: 短信不成(今天给此人的短信已到上限),改用电话",
            "sms cancelled: 今天给此人的短信已到上限",
        ]
    );
}

#[tokio::test]
pub(crate) async fn the_cap_of_a_person_counts_every_way_together() {
    let hall = Hall::open("2026-03-02 10:00").await;
    // Sending hours that begin after the appointments: what is over the cap cannot wait.
    let schedule = hall.config().join("schedule.toml");
    let text = std::fs::read_to_string(&schedule).unwrap();
    std::fs::write(&schedule, text.replace("08:00-21:00", "09:50-21:00")).unwrap();
    hall.app.reload().await.unwrap();
    let mut person = resident(1);
    person["email"] = json!("lan@example.org");
    for start in ["09:00", "09:05", "09:10", "09:15", "09:20"] {
        brief_visit(&hall, person.clone(), &format!("2026-03-05 {start}")).await;
    }
    // What taking them in brings is another day's.
    hall.run_until("2026-03-04 07:00").await;
    hall.take_left();
    hall.run_until("2026-03-04 20:00").await;
    let left = hall.take_left();
    let to = |whom: &str| left.iter().filter(|left| left.to.contains(whom)).count();
    assert_eq!(
        (to("13900000001"), to("lan@example.org")),
        (2, 1),
        "two SMS, and one mail is the third message: {left:#?}"
    );
    let calls = "select reason_zh from reminders where way = 'phone' and state = 'task'";
    let calls = hall.column(calls).await;
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(
        calls.iter().all(|why| why.contains("今天给此人的信息已到上限")),
        "{calls:?}"
    );
}

#[tokio::test]
pub(crate) async fn a_pause_until_after_hours_sends_residents_theirs_in_the_morning_and_staff_theirs_at_once() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = visit(&hall, resident(1), "2026-03-05 14:00").await;
    let engine = &hall.app.engine;
    hall.run_until("2026-03-03 18:00").await;
    engine
        .store
        .pause("all", at("2026-03-03 18:00"), "gu", "演练")
        .await
        .unwrap();
    engine.look_around().await;
    hall.run_until("2026-03-04 21:00").await;
    let queued = ["relatives none skipped", "resident sms queued"];
    assert_eq!(hall.rung(&case, "day-before").await, queued);
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email queued"]);
    engine.store.resume("all").await.unwrap();
    engine.look_around().await;
    hall.settle().await;
    assert_eq!(
        hall.reasons(&case, "day-before-staff").await,
        [
            "email accepted: 提醒“day-before-staff”到时(预约 2026-03-05);发出时晚了12小时0分钟: 等待时段、上限、暂停或服务商恢复"
        ]
    );
    hall.run_until("2026-03-05 07:59").await;
    assert_eq!(hall.rung(&case, "day-before").await, queued);
    hall.run_until("2026-03-05 08:00").await;
    assert_eq!(
        hall.reasons(&case, "day-before").await[1],
        "sms accepted: 提醒“day-before”到时(预约 2026-03-05);不在可发时段,等时段开始;\
         发出时晚了22小时0分钟: 等待时段、上限、暂停或服务商恢复"
    );
}

#[tokio::test]
pub(crate) async fn one_case_that_cannot_be_read_stops_no_other() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let broken = visit(&hall, resident(1), "2026-03-05 09:30").await;
    let person = visit(&hall, resident(2), "2026-03-05 10:30").await;
    let whole = visit(&hall, resident(3), "2026-03-05 11:30").await;
    hall.run_until("2026-03-04 09:59").await;
    hall.take_left();
    let facts = hall
        .column("select facts from cases where id = '2026-000001'")
        .await
        .remove(0);
    let record = hall
        .column("select record from people where id = (select resident from cases where id = '2026-000002')")
        .await
        .remove(0);
    hall.sql("update cases set facts = '{\"id\": 沈' where id = '2026-000001'")
        .await;
    hall.sql("update people set record = '[]' where id = (select resident from cases where id = '2026-000002')")
        .await;
    hall.clock.set(at("2026-03-04 10:00"));
    let planned = planner::step(&hall.app.engine, at("2026-03-04 10:00")).await.unwrap();
    assert_eq!((planned.planned, planned.queued), (3, 1));
    hall.settle().await;
    let told = ["relatives none skipped", "resident sms accepted"];
    assert_eq!(hall.rung(&whole, "day-before").await, told);
    assert_eq!(
        hall.rung(&broken, "day-before").await.len() + hall.rung(&person, "day-before").await.len(),
        0
    );
    // Looked at again an hour later, not at once.
    let wakes = hall
        .column("select cast(wake_ms as text) from cases where id <> '2026-000003'")
        .await;
    assert_eq!(wakes, vec![at("2026-03-04 11:00").as_millisecond().to_string(); 2]);
    hall.run_until("2026-03-04 12:30").await;

    // Repaired, the cases go on from where they are.
    hall.sql(&format!("update cases set facts = '{facts}' where id = '2026-000001'"))
        .await;
    hall.sql(&format!(
        "update people set record = '{record}' where id = (select resident from cases where id = '2026-000002')"
    ))
    .await;
    hall.run_until("2026-03-04 13:00").await;
    for case in [&broken, &person] {
        assert_eq!(hall.rung(case, "day-before").await, told);
        assert!(hall.reasons(case, "day-before").await[1].contains("晚了3小时0分钟"));
    }
}

#[tokio::test]
pub(crate) async fn a_digest_goes_out_although_one_of_its_cases_cannot_be_read() {
    let hall = Hall::open("2026-03-02 08:00").await;
    promise(&hall, resident(1), "2026-03-02").await;
    let whole = promise(&hall, resident(2), "2026-03-02").await;
    hall.plan().await;
    hall.sql("update cases set facts = '{' where id = '2026-000001'").await;
    hall.run_until("2026-03-02 08:30").await;
    let left = hall.take_left();
    let digest = left
        .iter()
        .find(|left| left.to == "lin@example.org" && left.subject.contains("待办"))
        .unwrap();
    assert!(digest.text.contains(whole.as_str()), "{}", digest.text);
    assert!(
        digest.text.contains("案件记录无法读取") && digest.text.contains("2026-000001"),
        "{}",
        digest.text
    );
    assert!(
        hall.column("select id from reminders where mark like 'digest%' and state <> 'accepted'")
            .await
            .is_empty()
    );
}

#[tokio::test]
pub(crate) async fn a_reminder_whose_case_cannot_be_read_waits_until_it_can() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 09:59").await;
    hall.clock.set(at("2026-03-04 10:00"));
    hall.plan().await;
    let facts = hall.column("select facts from cases").await.remove(0);
    hall.sql("update cases set facts = '{}'").await;
    hall.send().await;
    let row = hall
        .ledger(&case)
        .await
        .into_iter()
        .find(|row| row.way == "sms")
        .unwrap();
    assert_eq!(row.state, "queued");
    assert_eq!(row.not_before_ms, at("2026-03-04 10:15").as_millisecond());
    assert!(
        row.reason_zh.ends_with("案件或人员记录无法读取,请管理员修复"),
        "{}",
        row.reason_zh
    );
    hall.sql(&format!("update cases set facts = '{facts}'")).await;
    hall.run_until("2026-03-04 10:15").await;
    assert_eq!(
        hall.rung(&case, "day-before").await,
        ["relatives none skipped", "resident sms accepted"]
    );
}
