//! The daily digest: exactly one per person and local workday, whatever crashes, races or is late.

use std::collections::BTreeMap;

use serde_json::json;
use xixin::engine::digests;
use xixin::store::switches::CLOCK;

use crate::support::hall::{Hall, Left};
use crate::support::rulebook::at;

async fn readers(hall: &Hall, day: &str) -> usize {
    digests::readers(&hall.app.engine.live.get().rulebook, day.parse().unwrap()).len()
}

fn digests_in(left: Vec<Left>) -> Vec<Left> {
    left.into_iter().filter(|left| left.subject.contains("待办")).collect()
}

#[tokio::test]
pub(crate) async fn everybody_gets_one_a_workday_make_up_saturdays_included_and_none_on_holidays() {
    let hall = Hall::open("2026-02-13 08:00").await;
    hall.run_until("2026-02-26 12:00").await;
    let days = hall
        .column("select slot from runs where name = 'digest' order by slot")
        .await;
    assert_eq!(
        days,
        ["2026-02-13", "2026-02-14", "2026-02-24", "2026-02-25", "2026-02-26"]
    );
    let each = hall
        .column("select mark || ' ' || count(*) || ' ' || count(distinct recipient) || ' ' || min(state) || ' ' || max(state) from reminders where case_id = '' group by mark order by mark")
        .await;
    let all = readers(&hall, "2026-02-13").await;
    let expected: Vec<String> = days
        .iter()
        .map(|day| format!("digest|{day} {all} {all} accepted accepted"))
        .collect();
    assert_eq!(each, expected);
    assert_eq!(digests_in(hall.take_left()).len(), all * days.len());
}

#[tokio::test]
pub(crate) async fn two_engines_that_race_for_a_hundred_days_send_one_each_day() {
    let hall = Hall::open("2026-03-02 08:00").await;
    let beside = hall.beside().await;
    let book = hall.app.engine.live.get();
    let mut day: jiff::civil::Date = "2026-03-02".parse().unwrap();
    for round in 0..100 {
        let now = at(&format!("{day} 08:30"));
        let (one, other) = tokio::join!(
            digests::queue(&hall.app.engine, day, now),
            digests::queue(&beside.engine, day, now)
        );
        let all = digests::readers(&book.rulebook, day).len();
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(
            (one, other) == (all, 0) || (one, other) == (0, all),
            "round {round}: {one} {other}"
        );
        day = book.rulebook.calendar.next_workday(day);
    }
    let doubled = hall
        .column("select mark from reminders group by mark, recipient having count(*) > 1")
        .await;
    assert!(doubled.is_empty());
}

#[tokio::test]
pub(crate) async fn a_crash_between_queueing_and_sending_loses_no_digest_and_doubles_none() {
    let hall = Hall::open("2026-03-02 08:30").await;
    assert!(digests::step(&hall.app.engine, at("2026-03-02 08:30")).await.unwrap() > 0);
    let hall = hall.crash().await;
    assert_eq!(
        digests::step(&hall.app.engine, at("2026-03-02 08:30")).await.unwrap(),
        0
    );
    hall.settle().await;
    let hall = hall.crash().await;
    hall.settle().await;
    let mut per_person: BTreeMap<String, usize> = BTreeMap::new();
    for left in digests_in(hall.take_left()) {
        *per_person.entry(left.to).or_default() += 1;
    }
    assert_eq!(per_person.len(), readers(&hall, "2026-03-02").await);
    assert!(per_person.values().all(|count| *count == 1), "{per_person:?}");
}

#[tokio::test]
pub(crate) async fn after_days_of_downtime_one_late_digest_says_what_was_missed() {
    let hall = Hall::open("2026-03-02 09:00").await;
    hall.run_until("2026-03-02 09:00").await;
    hall.take_left();
    // Tuesday to Thursday nothing runs; it starts again on Friday at ten.
    hall.clock.set(at("2026-03-06 10:00"));
    hall.settle().await;
    let left = digests_in(hall.take_left());
    assert_eq!(left.len(), readers(&hall, "2026-03-06").await);
    for digest in &left {
        assert!(digest.text.contains("此前有3个工作日没有发出待办"), "{}", digest.text);
        assert!(digest.text.contains("晚了1小时30分钟"), "{}", digest.text);
    }
    hall.run_until("2026-03-09 08:30").await;
    assert!(
        digests_in(hall.take_left())
            .iter()
            .all(|digest| !digest.text.contains("没有发出待办"))
    );
}

#[tokio::test]
pub(crate) async fn a_day_whose_digest_could_not_be_delivered_counts_as_missed() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let down = format!("[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\n");
    let hall = Hall::open_with("2026-03-02 08:30", "").await;
    hall.settle().await;
    hall.take_left();
    let setting = hall.config().join("conf.d/20-test.toml");
    std::fs::write(&setting, down).unwrap();
    hall.app.reload().await.unwrap();
    hall.clock.set(at("2026-03-03 08:30"));
    hall.settle().await;
    hall.clock.set(at("2026-03-04 08:20"));
    hall.settle().await;
    std::fs::write(&setting, "").unwrap();
    hall.app.reload().await.unwrap();
    hall.run_until("2026-03-04 08:30").await;
    let left = digests_in(hall.take_left());
    assert_eq!(left.len(), readers(&hall, "2026-03-04").await);
    assert!(
        left.iter()
            .all(|digest| digest.text.contains("此前有1个工作日没有发出待办")),
        "{}",
        left[0].text
    );
}

#[tokio::test]
pub(crate) async fn a_digest_that_cannot_leave_is_of_no_use_the_next_day() {
    let hall = Hall::open("2026-03-02 08:30").await;
    assert!(digests::step(&hall.app.engine, at("2026-03-02 08:30")).await.unwrap() > 0);
    hall.clock.set(at("2026-03-03 00:00"));
    hall.send().await;
    assert_eq!(
        hall.column("select distinct state || ' ' || reason_zh from reminders")
            .await,
        ["cancelled 这一天已经过去"]
    );
    assert_eq!(hall.take_left(), []);
}

#[tokio::test]
pub(crate) async fn a_clock_that_was_wrong_once_does_not_silence_the_mornings_after_it() {
    let hall = Hall::open("2027-03-02 08:30").await;
    hall.settle().await;
    hall.clock.set(at("2026-03-03 08:30"));
    hall.settle().await;
    let slots = hall
        .column("select slot from runs where name = 'digest' order by slot")
        .await;
    assert_eq!(slots, ["2026-03-03", "2027-03-02"]);
}

#[tokio::test]
pub(crate) async fn nothing_is_decided_while_the_time_is_in_doubt() {
    let hall = Hall::open("2026-03-02 08:30").await;
    let engine = &hall.app.engine;
    engine
        .store
        .pause(CLOCK, at("2026-03-02 08:30"), "xixin", "时间跳变")
        .await
        .unwrap();
    engine.look_around().await;
    let case = crate::support::intake::certificate(&hall, crate::support::intake::resident(1)).await;
    hall.settle().await;
    assert_eq!(hall.timeline(&case).await, [] as [&str; 0]);
    assert_eq!(hall.column("select slot from runs").await, [] as [&str; 0]);
    // Whoever resumes everything says that the time is right.
    assert!(engine.store.resume("all").await.unwrap());
    engine.look_around().await;
    hall.settle().await;
    assert!(!hall.timeline(&case).await.is_empty());
    assert_eq!(hall.column("select slot from runs").await, ["2026-03-02"]);
}

#[tokio::test]
pub(crate) async fn somebody_who_joins_during_the_day_begins_with_the_next_and_somebody_away_gets_none() {
    let hall = Hall::open("2026-12-21 08:30").await;
    hall.settle().await;
    let to = |left: &[Left]| left.iter().map(|left| left.to.clone()).collect::<Vec<_>>();
    let first = to(&digests_in(hall.take_left()));
    assert!(!first.contains(&"lin@example.org".to_owned()) && first.contains(&"zhou@example.org".to_owned()));
    let people = hall.config().join("people.toml");
    let text = std::fs::read_to_string(&people).unwrap();
    let joined = "\n[staff.wen]\nname = \"温如初\"\nunit = \"taoranting-window\"\nrole = \"clerk\"\nemail = \"wen@example.org\"\ndigest = true\n";
    std::fs::write(&people, text + joined).unwrap();
    hall.app.reload().await.unwrap();
    hall.run_until("2026-12-21 23:00").await;
    assert_eq!(digests_in(hall.take_left()), []);
    hall.run_until("2026-12-22 08:30").await;
    assert!(to(&digests_in(hall.take_left())).contains(&"wen@example.org".to_owned()));
}

#[tokio::test]
pub(crate) async fn what_belongs_to_somebody_who_has_gone_from_the_list_is_in_their_supervisor_s_digest() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = serde_json::json!({
        "resident": { "name": "沈怀瑾", "phone": "13900000001", "born": 1940 },
        "matter": "labour_assessment",
        "request": "询问进度",
        "owner": "hao",
        "deadlines": [{ "kind": "labour_decision", "trigger": "2026-06-01" }],
        "callbacks": [{ "words": "办好了联系您", "due": "2026-03-04", "by": "hao" }],
        "appointments": [{ "what": "递交材料", "office": "social_insurance", "start": "2026-03-04 14:00" }],
    });
    let case = hall.take_in("lin", case).await;
    hall.run_until("2026-03-03 12:00").await;
    hall.take_left();
    assert_eq!(
        hall.column("select assignee from reminders where state = 'task'").await,
        ["hao"]
    );
    let people = hall.config().join("people.toml");
    let text = std::fs::read_to_string(&people).unwrap();
    let from = text.find("[staff.hao]").unwrap();
    let to = from + text[from..].find("[staff.gu]").unwrap();
    std::fs::write(&people, format!("{}{}", &text[..from], &text[to..])).unwrap();
    hall.app.reload().await.unwrap();
    hall.run_until("2026-03-04 08:30").await;
    assert_eq!(hall.column("select distinct assignee from agenda").await, ["gu"]);
    assert_eq!(
        hall.column("select assignee from reminders where state = 'task'").await,
        ["gu"]
    );
    let left = hall.take_left();
    let digest = left
        .iter()
        .find(|left| left.to == "gu@example.org" && left.subject.contains("待办"))
        .unwrap();
    assert!(
        digest.text.contains(case.as_str()) && digest.text.contains("承诺回电"),
        "{}",
        digest.text
    );
    // The reminders as well.
    assert_eq!(hall.rung(&case, "due").await, ["gu email accepted"]);
}

#[tokio::test]
pub(crate) async fn what_has_no_date_never_pushes_out_what_is_due_and_what_is_left_out_is_counted() {
    let hall = Hall::open("2026-03-02 07:00").await;
    let case = hall
        .take_in(
            "lin",
            json!({
                "resident": { "name": "沈静之" }, "matter": "hard_case", "request": "查询",
                "callbacks": [{ "words": "给您回电话", "due": "2026-03-02" }],
            }),
        )
        .await;
    hall.plan().await;
    let mine = |days: &str, count: usize| {
        format!(
            "with recursive n (n) as (select 1 union all select n + 1 from n where n < {count})
             insert into agenda (case_id, item, kind, unit, assignee, day, start_ms)
             select case_id, item || '-{days}' || n, kind, unit, assignee, nullif('{days}', ''), null
             from agenda, n where case_id = '{case}' and item not like '%-%'"
        )
    };
    hall.sql(&mine("", 600)).await;
    hall.run_until("2026-03-02 08:30").await;
    let mail = |left: Vec<Left>| {
        let mut mine = digests_in(left).into_iter().filter(|left| left.to == "lin@example.org");
        mine.next().unwrap().text
    };
    let text = mail(hall.take_left());
    assert!(text.contains("承诺回电") && text.contains(case.as_str()), "{text}");
    assert!(
        text.contains("…另有1750项日期待核实,没有列出 / and 1750 more"),
        "{text}"
    );
    assert!(!text.contains("more that come later"), "{text}");

    hall.sql(&mine("2026-03-20", 505)).await;
    hall.run_until("2026-03-03 08:30").await;
    let text = mail(hall.take_left());
    assert!(text.contains("承诺回电"), "{text}");
    assert!(
        text.contains("…另有1018项较晚的没有列出 / and 1018 more that come later"),
        "{text}"
    );
}

#[tokio::test]
pub(crate) async fn a_digest_that_did_not_arrive_is_in_the_supervisor_s_and_names_no_resident() {
    let hall = Hall::open("2026-03-02 08:30").await;
    let case = crate::support::intake::promise(&hall, crate::support::intake::resident(1), "2026-03-02").await;
    assert!(digests::step(&hall.app.engine, at("2026-03-02 08:30")).await.unwrap() > 0);
    hall.sql(
        "update reminders set state = 'refused', reason_zh = '邮箱不存在', reason_en = 'mailbox does not exist' where recipient = 'staff:lin' and case_id = ''",
    )
    .await;
    hall.run_until("2026-03-03 08:30").await;
    let left = digests_in(hall.take_left());
    let told: Vec<&Left> = left
        .iter()
        .filter(|left| left.text.contains("2026-03-02 的每日待办没有送达: 邮箱不存在"))
        .collect();
    assert!(!told.is_empty());
    for digest in told {
        assert_ne!(digest.to, "lin@example.org");
        let line = digest.text.lines().find(|line| line.contains("没有送达: ")).unwrap();
        assert!(!line.contains(case.as_str()) && !line.contains("沈怀瑾"), "{line}");
    }
}
