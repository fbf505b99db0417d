//! Escorts that cannot be, and escorts that go wrong on the way: refused with what stands in the way and who could go instead, or told
//! until somebody knows that the person is home.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use xixin::domain::ids::CaseId;

use crate::support::hall::Hall;

const XU: &str = r#"
[staff.xu]
name = "徐可安"
unit = "taoranting"
role = "extended_hours_staff"
email = "xu@example.org"
mobile = "13900000108"
digest = false
"#;

/// Hao and Xu are the extended-hours staff of the hall; An has left.
async fn hall(now: &str) -> Hall {
    hall_with(now, "").await
}

async fn hall_with(now: &str, more: &str) -> Hall {
    let add = |config: &Path| {
        let file = config.join("people.toml");
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replacen("[staff.an]\n", "[staff.an]\nleaves = 2026-01-01\n", 1);
        fs::write(file, format!("{text}\n{XU}{more}")).unwrap();
    };
    Hall::open_edited(now, add).await
}

async fn case_of(hall: &Hall, name: &str, phone: &str) -> CaseId {
    let case = json!({
        "resident": { "name": name, "gender": "male", "phone": phone, "born": 1980 },
        "matter": "hard_case", "request": "要人陪着去",
    });
    hall.take_in("lin", case).await
}

fn escort(visit: &str, with: Option<&str>) -> Value {
    let mut command = json!({
        "do": "book_escort", "what": "办手续", "office": "social_insurance", "visit": visit,
    });
    if let Some(with) = with {
        command["with"] = json!(with);
    }
    command
}

async fn refused(hall: &Hall, staff: &str, case: &CaseId, command: Value) -> String {
    hall.act(staff, case, command).await.unwrap_err().to_string()
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[tokio::test]
pub(crate) async fn nobody_is_at_two_places_and_the_clash_is_named_with_who_is_free() {
    let hall = hall("2026-03-02 09:00").await;
    let (first, second) = (
        case_of(&hall, "贺东升", "13900000001").await,
        case_of(&hall, "温素心", "13900000002").await,
    );
    // 09:00 to 11:30.
    hall.act("lin", &first, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    let said = refused(&hall, "lin", &second, escort("2026-03-05 11:00", Some("hao"))).await;
    says(
        &said,
        &[
            "with: hao 时间冲突",
            first.as_str(),
            "e2 2026-03-05 09:00-",
            "那时有空: xu (徐可安)",
            "free then: xu",
        ],
    );
    // An appointment binds whoever goes along just as much.
    let book = json!({
        "do": "book", "what": "递交材料", "office": "social_insurance", "start": "2026-03-05 10:00", "with": "hao",
    });
    says(
        &refused(&hall, "lin", &second, book).await,
        &["hao 时间冲突", first.as_str()],
    );
    // Nobody named: whoever is free.
    hall.act("lin", &second, escort("2026-03-05 09:30", None))
        .await
        .unwrap();
    // And then nobody is any more.
    let third = case_of(&hall, "尹长河", "13900000003").await;
    says(
        &refused(&hall, "lin", &third, escort("2026-03-05 09:30", None)).await,
        &[
            "那时没有空闲的延时服务人员",
            "nobody of the extended-hours staff is free then",
        ],
    );
    // The case itself is no exception.
    says(
        &refused(&hall, "lin", &first, escort("2026-03-05 10:00", Some("hao"))).await,
        &["时间冲突"],
    );
}

#[tokio::test]
pub(crate) async fn what_was_called_off_no_longer_stands_in_the_way() {
    let hall = hall("2026-03-02 09:00").await;
    let (first, second) = (
        case_of(&hall, "贺东升", "13900000001").await,
        case_of(&hall, "温素心", "13900000002").await,
    );
    hall.act("lin", &first, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    let cancel = json!({ "do": "cancel_escort", "item": "e2", "reason": "不去了" });
    hall.act("lin", &first, cancel.clone()).await.unwrap();
    hall.act("lin", &second, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    // It cannot come back by being moved, nor be called off twice.
    let moved = json!({ "do": "move_escort", "item": "e2", "visit": "2026-03-06 09:30" });
    says(&refused(&hall, "lin", &first, moved).await, &["e2"]);
    says(&refused(&hall, "lin", &first, cancel).await, &["e2"]);
}

#[tokio::test]
pub(crate) async fn a_move_is_checked_like_a_booking_and_leaves_everything_as_it_was_when_refused() {
    let hall = hall("2026-03-02 09:00").await;
    let (first, second) = (
        case_of(&hall, "贺东升", "13900000001").await,
        case_of(&hall, "温素心", "13900000002").await,
    );
    hall.act("lin", &first, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    hall.act("lin", &second, escort("2026-03-05 14:30", Some("hao")))
        .await
        .unwrap();
    let to = |visit: &str| json!({ "do": "move_escort", "item": "e2", "visit": visit });
    says(
        &refused(&hall, "lin", &second, to("2026-03-05 10:00")).await,
        &["hao 时间冲突", first.as_str()],
    );
    says(
        &refused(&hall, "lin", &second, to("2026-03-05 14:30")).await,
        &["时间没有变化"],
    );
    says(
        &refused(&hall, "lin", &second, to("2026-03-07 14:30")).await,
        &["那时不开门"],
    );
    says(
        &refused(&hall, "lin", &second, to("2026-03-02 09:20")).await,
        &["上门接的时间已经过去"],
    );
    let kept = hall.app.engine.store.case(&second).await.unwrap().unwrap().case;
    assert_eq!((kept.escorts[0].head.moves, kept.escorts.len()), (0, 1));
    // By a quarter of an hour it is in its own way no more than anybody's.
    hall.act("lin", &second, to("2026-03-05 14:45")).await.unwrap();
}

#[tokio::test]
pub(crate) async fn nobody_goes_who_is_away_has_left_or_is_off_duty() {
    let away = "\n[[staff.xu.absence]]\nfrom = 2026-03-05\nto = 2026-03-06\n";
    let hall = hall_with("2026-02-24 09:00", away).await;
    let case = case_of(&hall, "贺东升", "13900000001").await;
    says(
        &refused(&hall, "lin", &case, escort("2026-03-05 09:30", Some("xu"))).await,
        &["xu 2026-03-05至2026-03-06不在岗", "那时有空: hao"],
    );
    // Extended hours end at 20:00 and begin at 7:30; others are there on workdays.
    let late = json!({
        "do": "book_escort", "what": "办手续", "office": "social_insurance", "visit": "2026-03-04 16:30", "home_by": "2026-03-04 20:30", "with": "xu",
    });
    says(&refused(&hall, "lin", &case, late).await, &["xu 那时不上班"]);
    let centre = |day: &str, with: &str| json!({ "do": "book_escort", "what": "办手续", "office": "taoranting_centre", "visit": format!("{day} 10:00"), "with": with });
    says(
        &refused(&hall, "lin", &case, centre("2026-03-07", "zhou")).await,
        &["zhou 那时不上班", "那时有空: hao"],
    );
    hall.act("lin", &case, centre("2026-03-07", "hao")).await.unwrap();
    // The make-up Saturday is a workday of everybody.
    hall.act("lin", &case, centre("2026-02-28", "zhou")).await.unwrap();
    says(
        &refused(&hall, "lin", &case, escort("2026-03-03 09:30", Some("nobody"))).await,
        &["配置中没有“nobody”"],
    );
}

#[tokio::test]
pub(crate) async fn an_office_that_is_closed_and_times_out_of_order_are_refused() {
    let hall = hall("2026-03-02 09:00").await;
    let case = case_of(&hall, "贺东升", "13900000001").await;
    for (visit, expected) in [
        ("2026-03-07 09:30", "那时不开门"),
        ("2026-03-05 12:30", "当天开门时间 09:00-12:00, 13:30-17:00"),
        ("2026-03-05 17:00", "那时不开门"),
        ("2026-04-06 09:30", "那时不开门"),
        ("2026-02-27 09:30", "上门接的时间已经过去"),
        ("2026-03-02 09:30", "上门接的时间已经过去"),
    ] {
        says(
            &refused(&hall, "lin", &case, escort(visit, Some("hao"))).await,
            &[expected],
        );
    }
    let legs = |pick_up: &str, home_by: &str| {
        json!({
            "do": "book_escort", "what": "办手续", "office": "social_insurance", "visit": "2026-03-05 09:30",
            "pick_up": format!("2026-03-05 {pick_up}"), "home_by": format!("2026-03-05 {home_by}"),
        })
    };
    says(
        &refused(&hall, "lin", &case, legs("09:30", "12:00")).await,
        &["pick_up: 三程的时间先后不对"],
    );
    says(
        &refused(&hall, "lin", &case, legs("10:00", "12:00")).await,
        &["pick_up: 三程的时间先后不对"],
    );
    says(
        &refused(&hall, "lin", &case, legs("09:00", "09:30")).await,
        &["home_by: 三程的时间先后不对"],
    );
    hall.act("lin", &case, legs("09:00", "12:00")).await.unwrap();
}

#[tokio::test]
pub(crate) async fn between_two_offices_there_is_time_for_the_way() {
    let hall = hall("2026-03-02 09:00").await;
    let (first, second) = (
        case_of(&hall, "贺东升", "13900000001").await,
        case_of(&hall, "温素心", "13900000002").await,
    );
    let legs = |office: &str, pick_up: &str, visit: &str, home_by: &str| {
        let at = |time: &str| format!("2026-03-05 {time}");
        json!({
            "do": "book_escort", "what": "办手续", "office": office, "with": "hao",
            "pick_up": at(pick_up), "visit": at(visit), "home_by": at(home_by),
        })
    };
    hall.act("lin", &first, legs("social_insurance", "09:00", "09:30", "11:00"))
        .await
        .unwrap();
    says(
        &refused(&hall, "lin", &second, legs("civil_affairs", "11:05", "11:20", "12:30")).await,
        &["hao 路上时间不够", first.as_str(), "那时有空: xu"],
    );
    // The way counts in both directions.
    says(
        &refused(&hall, "lin", &second, legs("civil_affairs", "08:00", "09:00", "08:50")).await,
        &["三程的时间先后不对"],
    );
    hall.act("lin", &second, legs("civil_affairs", "13:00", "14:00", "15:00"))
        .await
        .unwrap();
    says(
        &refused(
            &hall,
            "lin",
            &first,
            legs("social_insurance", "11:30", "11:45", "12:45"),
        )
        .await,
        &["hao 路上时间不够", second.as_str()],
    );
    hall.act("lin", &first, legs("social_insurance", "11:30", "11:45", "12:30"))
        .await
        .unwrap();
}

#[tokio::test]
pub(crate) async fn one_resident_is_not_expected_at_two_places_whoever_goes_along() {
    let hall = hall("2026-03-02 09:00").await;
    // Two cases of the same person.
    let (first, second) = (
        case_of(&hall, "贺东升", "13900000001").await,
        case_of(&hall, "贺东升", "13900000001").await,
    );
    hall.act("lin", &first, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    let said = refused(&hall, "lin", &second, escort("2026-03-05 10:00", Some("xu"))).await;
    says(&said, &["居民那时已有安排", first.as_str(), "先改期或取消 e2"]);
}

#[tokio::test]
pub(crate) async fn a_leg_is_confirmed_once_and_never_before_its_day_or_in_the_future() {
    let hall = hall("2026-03-04 09:00").await;
    let case = case_of(&hall, "贺东升", "13900000001").await;
    hall.act("lin", &case, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    let check = |leg: &str| json!({ "do": "check_in", "item": "e2", "leg": leg });
    // On the wrong escort, it would end what has not begun: nobody would be missed tomorrow.
    says(
        &refused(&hall, "hao", &case, check("drop_off")).await,
        &["还没到那一天"],
    );
    hall.run_until("2026-03-05 08:55").await;
    let ahead = json!({ "do": "check_in", "item": "e2", "leg": "pick_up", "at": "2026-03-05 09:00" });
    says(&refused(&hall, "hao", &case, ahead).await, &["at:"]);
    // A little early is early, not wrong.
    hall.act("hao", &case, check("pick_up")).await.unwrap();
    says(
        &refused(&hall, "hao", &case, check("pick_up")).await,
        &["这一程已经确认过"],
    );
    let moved = json!({ "do": "move_escort", "item": "e2", "visit": "2026-03-06 09:30" });
    says(&refused(&hall, "lin", &case, moved).await, &["已经出发,不能改期"]);
    let cancel = json!({ "do": "cancel_escort", "item": "e2", "reason": "不去了" });
    says(
        &refused(&hall, "lin", &case, cancel.clone()).await,
        &["人已接上,还没有确认到家"],
    );
    let close = json!({ "do": "close", "as": "withdrawn", "reason": "不办了" });
    says(&refused(&hall, "gu", &case, close).await, &["还有没了结的预约 e2"]);
    hall.run_until("2026-03-05 11:00").await;
    hall.act("hao", &case, check("drop_off")).await.unwrap();
    says(&refused(&hall, "hao", &case, cancel).await, &["e2"]);
}

#[tokio::test]
pub(crate) async fn a_leg_nobody_confirmed_is_asked_for_once_and_the_visit_stands_for_the_pick_up() {
    let hall = hall("2026-03-04 09:30").await;
    let case = case_of(&hall, "贺东升", "13900000001").await;
    hall.act("lin", &case, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    hall.run_until("2026-03-05 09:29").await;
    assert_eq!(hall.rung(&case, "leg-overdue").await, Vec::<String>::new());
    hall.run_until("2026-03-05 09:45").await;
    // The pick-up of 9:00, and half an hour of grace.
    assert_eq!(
        hall.rung(&case, "leg-overdue").await,
        ["hao sms accepted", "lin sms accepted"]
    );
    let visit = json!({ "do": "check_in", "item": "e2", "leg": "visit" });
    hall.act("hao", &case, visit).await.unwrap();
    hall.run_until("2026-03-05 11:30").await;
    assert_eq!(hall.rung(&case, "leg-overdue").await.len(), 2);
    // The visit is not the way home.
    hall.run_until("2026-03-05 13:59").await;
    let not_home = hall.rung(&case, "not-home").await;
    assert_eq!(not_home, ["gu sms accepted", "hao sms accepted", "lin sms accepted"]);
    let told: Vec<String> = hall.timeline(&case).await;
    assert!(
        told.iter().any(|line| line.contains("03-05 11:30 e2 not-home gu")),
        "{told:?}"
    );
}

#[tokio::test]
pub(crate) async fn while_an_incident_is_open_the_escort_is_not_over_and_one_elsewhere_is_no_matter() {
    let hall = hall("2026-03-05 08:30").await;
    let case = case_of(&hall, "贺东升", "13900000001").await;
    hall.act("lin", &case, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    hall.run_until("2026-03-05 10:20").await;
    let incident = |escort: Option<&str>| json!({ "do": "incident", "what": "摔倒", "escort": escort });
    says(
        &refused(&hall, "hao", &case, incident(Some("e9"))).await,
        &["escort: 本案没有这样的事项 e9"],
    );
    hall.act("hao", &case, incident(Some("e2"))).await.unwrap();
    hall.act("hao", &case, incident(Some("e2"))).await.unwrap();
    hall.act("lin", &case, incident(None)).await.unwrap();
    let state = |case: &xixin::domain::case::Case| serde_json::to_value(&case.escorts[0].state).unwrap()["is"].clone();
    let now = async || state(&hall.app.engine.store.case(&case).await.unwrap().unwrap().case);
    let check = json!({ "do": "check_in", "item": "e2", "leg": "drop_off" });
    hall.act("hao", &case, check).await.unwrap();
    assert_eq!(now().await, "booked");
    // Two happened on the way: both have to be over, the third has nothing to do with it.
    let items: Vec<String> = {
        let case = hall.app.engine.store.case(&case).await.unwrap().unwrap().case;
        case.incidents.iter().map(|one| one.head.id.to_string()).collect()
    };
    let recovered = |item: &str| json!({ "do": "recovered", "item": item });
    hall.act("hao", &case, recovered(&items[0])).await.unwrap();
    assert_eq!(now().await, "booked");
    says(
        &refused(&hall, "hao", &case, json!({ "do": "complete_escort", "item": "e2" })).await,
        &["途中的突发情况还没有了结"],
    );
    hall.act("hao", &case, recovered(&items[1])).await.unwrap();
    assert_eq!(now().await, "completed");
    says(
        &refused(&hall, "hao", &case, recovered(&items[1])).await,
        &[items[1].as_str()],
    );
    // Home was confirmed: nobody is alarmed about that.
    hall.run_until("2026-03-05 20:00").await;
    assert_eq!(hall.rung(&case, "not-home").await, Vec::<String>::new());
    // The open one keeps the case.
    let close = json!({ "do": "close", "as": "withdrawn", "reason": "不办了" });
    says(&refused(&hall, "gu", &case, close).await, &[items[2].as_str()]);
}

#[tokio::test]
pub(crate) async fn an_escort_passes_only_to_somebody_who_can_go_and_they_hear_of_it_at_once() {
    let hall = hall("2026-03-02 09:00").await;
    let (first, second) = (
        case_of(&hall, "贺东升", "13900000001").await,
        case_of(&hall, "温素心", "13900000002").await,
    );
    hall.act("lin", &first, escort("2026-03-05 09:30", Some("hao")))
        .await
        .unwrap();
    hall.act("lin", &second, escort("2026-03-05 10:00", Some("xu")))
        .await
        .unwrap();
    let pass = |to: &str| json!({ "do": "pass", "item": "e2", "to": to });
    says(
        &refused(&hall, "gu", &first, pass("xu")).await,
        &["to: xu 时间冲突", second.as_str()],
    );
    // Nor by handing everything over at once; what stands in the way is named.
    let all = json!({ "do": "take_over", "from": "hao", "to": "xu" });
    says(
        &refused(&hall, "gu", &first, all).await,
        &["e2: xu 时间冲突", "先用 pass 转给别人"],
    );
    hall.run_until("2026-03-05 08:00").await;
    hall.act(
        "lin",
        &second,
        json!({ "do": "cancel_escort", "item": "e2", "reason": "不去了" }),
    )
    .await
    .unwrap();
    hall.take_left();
    // An hour before it begins.
    hall.act("gu", &first, pass("xu")).await.unwrap();
    hall.run_until("2026-03-05 08:01").await;
    let left = hall.take_reminders();
    let to_xu = left
        .iter()
        .filter(|left| left.to == "xu@example.org" && left.subject.contains("已约好"));
    let about = to_xu.filter(|left| left.text.contains(first.as_str()));
    assert_eq!(about.count(), 1, "{left:?}");
}
