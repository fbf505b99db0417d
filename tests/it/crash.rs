//! The process dies at each point between a claim and its record. Nothing is lost, and nothing is sent twice by carelessness.

use serde_json::json;
use xixin::domain::ids::CaseId;
use xixin::domain::ladder::Way;
use xixin::engine::sender;
use xixin::store::queue::Claim;

use crate::support::hall::Hall;
use crate::support::http_server::{Act as HttpAct, HttpServer};
use crate::support::intake::{resident, visit};
use crate::support::rulebook::at;
use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};

const NINE: &str = "2026-03-04 09:00";
const TEN: &str = "2026-03-04 10:00";

async fn due(settings: &str, person: serde_json::Value, now: &str) -> (Hall, CaseId) {
    let hall = Hall::open_quiet("2026-03-04 08:50", settings).await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, person, "2026-03-05 09:30").await;
    hall.run_until(now).await;
    (hall, case)
}

/// Begins to send and dies as soon as the provider has the message and says nothing.
async fn die_while_sending(hall: Hall, way: Way, silent: impl Future<Output = ()>) -> Hall {
    let (engine, recorder, now) = (
        hall.app.engine.clone(),
        hall.recorder.clone(),
        hall.app.engine.clock.now(),
    );
    let sending = tokio::spawn(async move { sender::step(&engine, way, &recorder, now).await });
    silent.await;
    sending.abort();
    let _ = sending.await;
    hall.crash().await
}

#[tokio::test]
pub(crate) async fn what_was_only_claimed_is_sent_once_by_the_next_run() {
    let (hall, case) = due("", resident(1), "2026-03-04 08:59").await;
    hall.clock.set(at(NINE));
    hall.plan().await;
    let lease = at("2026-03-04 09:01");
    let engine = &hall.app.engine;
    let claimed = engine
        .store
        .claim_due(Way::Email, Claim::Due, at(NINE), 10, &engine.holder, lease)
        .await
        .unwrap();
    assert_eq!(claimed.len(), 1);
    let hall = hall.crash().await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email queued"]);
    hall.settle().await;
    hall.settle().await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
    assert_eq!(hall.take_left().len(), 1);
    assert_eq!(hall.column("select id from attempts").await.len(), 1);
}

#[tokio::test]
pub(crate) async fn what_was_recorded_is_never_sent_again() {
    let (hall, case) = due("", resident(1), TEN).await;
    let before = hall.timeline(&case).await;
    assert_eq!(hall.take_left().len(), 2);
    let hall = hall.crash().await;
    hall.settle().await;
    assert_eq!(hall.timeline(&case).await, before);
    assert_eq!(hall.take_left(), []);
}

#[tokio::test]
pub(crate) async fn an_e_mail_under_way_is_sent_again_with_the_same_bytes_under_the_same_message_id() {
    let server = SmtpServer::start_each(vec![Script::polite().on(Verb::Dot, Act::Silence), Script::polite()]).await;
    let settings = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\n",
        server.port
    );
    let (hall, case) = due(&settings, resident(1), "2026-03-04 08:59").await;
    hall.clock.set(at(NINE));
    hall.plan().await;
    let hall = die_while_sending(hall, Way::Email, server.fell_silent()).await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email queued"]);
    hall.settle().await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
    let wires = hall
        .column("select wire_id || ' ' || wire_sha256 from attempts order by started_ms, id")
        .await;
    assert_eq!(wires.len(), 2);
    assert_eq!(wires[0], wires[1]);
    assert_eq!(
        hall.column("select outcome from attempts order by id").await,
        ["uncertain", "accepted"]
    );
    let received = server.received();
    assert_eq!(received.len(), 1);
    let id = wires[0].split(' ').next().unwrap();
    assert!(String::from_utf8_lossy(&received[0].text).contains(&format!("Message-ID: {id}")));
}

#[tokio::test]
pub(crate) async fn an_sms_under_way_is_in_doubt_and_a_person_is_asked_to_phone() {
    let server = HttpServer::start(HttpAct::Silence).await;
    let settings = format!(
        "[sms]\ntransport = \"http\"\n[sms.http]\nmethod = \"POST\"\nurl = \"http://127.0.0.1:{}/\"\nbody = \"{{{{ to }}}}\"\n\
         success = {{ status = [200] }}\nconnections = 2\ntimeout_s = 60\n",
        server.port
    );
    let (hall, case) = due(&settings, resident(1), "2026-03-04 09:59").await;
    hall.take_left();
    hall.clock.set(at(TEN));
    hall.plan().await;
    let hall = die_while_sending(hall, Way::Sms, server.fell_silent()).await;
    let doubt = [
        "relatives none skipped",
        "resident phone task",
        "resident sms uncertain",
    ];
    assert_eq!(hall.rung(&case, "day-before").await[1..], doubt);
    hall.run_until("2026-03-04 20:00").await;
    assert_eq!(hall.rung(&case, "day-before").await[0], "hao email accepted (call)");
    assert_eq!(hall.rung(&case, "day-before").await[1..], doubt);
    assert_eq!(server.requests().len(), 1, "never again by itself");
    let reasons = hall.reasons(&case, "day-before").await;
    assert!(
        reasons
            .iter()
            .any(|reason| reason == "phone task: 短信不成(程序中断,不知是否已发出),改用电话"),
        "{reasons:?}"
    );
}

#[tokio::test]
pub(crate) async fn an_e_mail_that_three_runs_died_over_is_left_to_a_person() {
    let server = SmtpServer::start(Script::polite().on(Verb::Dot, Act::Silence)).await;
    let settings = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\n",
        server.port
    );
    let person = json!({ "name": "沈怀瑾", "email": "shen@example.org", "born": 1980 });
    let hall = Hall::open_quiet("2026-03-04 09:10", &settings).await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, person, "2026-03-05 09:30").await;
    hall.clock.set(at(TEN));
    hall.plan().await;
    // Only the message to the resident is on its way.
    hall.sql("update reminders set state = 'cancelled' where state = 'queued' and recipient like 'staff:%'")
        .await;
    let mut hall = hall;
    for _ in 0..3 {
        assert_eq!(
            hall.rung(&case, "day-before").await,
            ["relatives none skipped", "resident email queued"]
        );
        hall = die_while_sending(hall, Way::Email, server.fell_silent()).await;
    }
    assert_eq!(
        hall.rung(&case, "day-before").await,
        [
            "hao email queued (call)",
            "relatives none skipped",
            "resident email uncertain",
            "resident phone task"
        ]
    );
}

#[tokio::test]
pub(crate) async fn a_claim_that_nobody_follows_up_is_released_when_its_lease_is_over() {
    let (hall, case) = due("", resident(1), "2026-03-04 08:59").await;
    hall.clock.set(at(NINE));
    hall.plan().await;
    let engine = &hall.app.engine;
    let (now, lease) = (hall.leases_at(NINE).await, at("2026-03-04 09:01"));
    let claimed = engine
        .store
        .claim_due(Way::Email, Claim::Due, now, 10, &engine.holder, lease)
        .await
        .unwrap();
    assert_eq!(claimed.len(), 1);
    let released = async |time: &str| engine.store.release_expired(hall.leases_at(time).await).await.unwrap();
    assert_eq!(released("2026-03-04 09:01").await, 0);
    assert_eq!(released("2026-03-04 09:02").await, 1);
    hall.clock.set(at("2026-03-04 09:02"));
    hall.settle().await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
    // Whoever comes late with the old lease may not start any more.
    let attempt = xixin::store::queue::NewAttempt {
        id: "late".to_owned(),
        reminder_id: claimed[0].id.clone(),
        epoch: claimed[0].epoch,
        case_version: None,
        wire_id: "x".to_owned(),
        wire_sha256: "x".to_owned(),
        judged_ms: None,
        gateway: None,
        receipt_ms: None,
    };
    let started = engine
        .store
        .begin_attempts(Way::Email, &[attempt], at("2026-03-04 09:03"))
        .await
        .unwrap();
    assert!(started.started.is_empty());
}

#[tokio::test]
pub(crate) async fn a_test_message_whose_run_died_is_settled() {
    let (hall, _) = due("", resident(1), TEN).await;
    hall.sql(
        "insert into reminders (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority, due_ms, decided_ms,
            not_before_ms, valid_until_ms, fallback)
         values ('t', '', 'test|t', 'test', 'sms', 'test', 'attempting', '', '', 0, 0, 0, 0, 0, '')",
    )
    .await;
    let hall = hall.crash().await;
    assert_eq!(
        hall.column("select state from reminders where id = 't'").await,
        ["uncertain"]
    );
}

/// A critical SMS to a resident that three runs died over right after they had claimed it.
async fn deadly() -> (Hall, CaseId) {
    let (hall, case) = due("", resident(1), "2026-03-04 09:59").await;
    hall.take_left();
    hall.clock.set(at(TEN));
    hall.plan().await;
    // It had waited for a cap once.
    hall.sql("update reminders set priority = 2, hold = 'cap' where way = 'sms' and state = 'queued'")
        .await;
    let mut hall = hall;
    for _ in 0..3 {
        let lease = at("2026-03-04 10:01");
        let engine = hall.app.engine.clone();
        let first = engine
            .store
            .claim_due(Way::Sms, Claim::Due, at(TEN), 10, &engine.holder, lease)
            .await;
        if first.unwrap().is_empty() {
            let again = engine
                .store
                .claim_suspect(Way::Sms, Claim::Due, at(TEN), &engine.holder, lease)
                .await;
            assert!(again.unwrap().is_some());
        }
        drop(engine);
        hall = hall.crash().await;
    }
    (hall, case)
}

#[tokio::test]
pub(crate) async fn what_three_runs_died_over_is_told_by_a_person_meanwhile() {
    let (hall, case) = deadly().await;
    let rows = hall.rung(&case, "day-before").await;
    assert!(rows.contains(&"resident sms held".to_owned()), "{rows:?}");
    assert!(rows.contains(&"resident phone task".to_owned()), "{rows:?}");
    let reasons = hall.reasons(&case, "day-before").await;
    assert!(
        reasons.contains(&"phone task: 短信不成(三次处理时程序都中断,已扣留),改用电话".to_owned()),
        "{reasons:?}"
    );
}

#[tokio::test]
pub(crate) async fn what_three_runs_died_over_is_not_woken_by_itself_because_it_once_waited_for_a_cap() {
    let (hall, _) = deadly().await;
    assert_eq!(
        hall.app.engine.store.wake_held(at("2026-03-05 09:00")).await.unwrap(),
        0
    );
    let held = "select state || ' ' || coalesce(hold, '') from reminders where way = 'sms'";
    assert_eq!(hall.column(held).await, ["held "]);
}

#[tokio::test]
pub(crate) async fn a_message_that_comes_through_waits_for_nothing_any_more() {
    let (hall, case) = due("", resident(1), "2026-03-04 09:59").await;
    hall.clock.set(at(TEN));
    hall.plan().await;
    hall.sql("update reminders set hold = 'cap' where way = 'sms' and state = 'queued'")
        .await;
    hall.send().await;
    assert!(
        hall.rung(&case, "day-before")
            .await
            .contains(&"resident sms accepted".to_owned())
    );
    assert_eq!(
        hall.column("select id from reminders where hold is not null").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
pub(crate) async fn what_runs_may_have_died_over_is_handled_alone_also_while_the_provider_is_down() {
    let hall = Hall::open_quiet("2026-03-04 09:10", "").await;
    hall.without_digest("2026-03-04").await;
    for number in 1..=2 {
        visit(&hall, resident(number), &format!("2026-03-05 {}:30", 9 + number)).await;
    }
    hall.clock.set(at(TEN));
    hall.plan().await;
    hall.sql(
        "update reminders set priority = 2, fallback = 'email', crashes = 1 where way = 'sms' and state = 'queued'",
    )
    .await;
    for _ in 0..3 {
        hall.app.engine.breakers.sms.fault(at(TEN), "down");
    }
    let left = "select id from reminders where way = 'sms' and state = 'queued' and crashes = 1";
    for waiting in [2, 1, 0] {
        assert_eq!(hall.column(left).await.len(), waiting);
        assert_eq!(hall.send_by(Way::Sms).await, usize::from(waiting > 0));
    }
}
