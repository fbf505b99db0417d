//! Providers that are absent, slow, refusing or lying, through the whole engine: who is charged, what is tried again and when, and
//! by which way a message goes on.

use serde_json::json;
use xixin::clock::Clock as _;
use xixin::domain::ids::{CaseId, ReminderId};
use xixin::domain::ladder::Way;
use xixin::engine::sender;

use crate::support::hall::Hall;
use crate::support::http_server::{self, HttpServer};
use crate::support::intake::{brief_visit, certificate, promise, resident, visit};
use crate::support::rulebook::at;
use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};

fn smtp(port: u16) -> String {
    format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nconnections = 1\ntimeout_s = 1\ndot_timeout_s = 1\n"
    )
}

fn gateway(port: u16) -> String {
    format!(
        r#"
[sms]
transport = "http"
[sms.http]
method = "POST"
url = "http://127.0.0.1:{port}/send"
headers = {{ "Content-Type" = "application/json" }}
body = '{{"to": {{{{ to|tojson }}}}, "text": {{{{ text|tojson }}}}, "ref": {{{{ id|tojson }}}}}}'
success = {{ status = [200], pointer = "/code", equals = "0" }}
errors = {{ "1001" = "message", "2001" = "provider" }}
connections = 1
timeout_s = 1
"#
    )
}

/// Five visits of tomorrow, so that five e-mails to hao fall due at 09:00.
async fn five_visits(settings: &str) -> (Hall, Vec<CaseId>) {
    let hall = Hall::open_quiet("2026-03-04 08:50", settings).await;
    hall.without_digest("2026-03-04").await;
    let mut cases = Vec::new();
    for number in 1..=5 {
        cases.push(brief_visit(&hall, resident(number), &format!("2026-03-05 10:{:02}", 5 * number)).await);
    }
    (hall, cases)
}

async fn states(hall: &Hall, cases: &[CaseId], rung: &str) -> Vec<String> {
    let mut states = Vec::new();
    for case in cases {
        states.extend(hall.rung(case, rung).await);
    }
    states
}

/// `minutes since the first, outcome, blame` of every attempt at one message.
async fn attempts(hall: &Hall, case: &CaseId, rung: &str) -> Vec<(i64, String, Option<String>)> {
    let row = hall
        .ledger(case)
        .await
        .into_iter()
        .find(|row| row.mark.split('|').nth(3) == Some(rung))
        .unwrap();
    let attempts = hall
        .app
        .engine
        .store
        .attempts_of(&ReminderId::from(row.id.as_str()))
        .await
        .unwrap();
    let first = attempts.first().map_or(0, |attempt| attempt.started_ms);
    let told = |attempt: xixin::store::reminders::AttemptRow| {
        ((attempt.started_ms - first) / 60_000, attempt.outcome, attempt.blame)
    };
    attempts.into_iter().map(told).collect()
}

#[tokio::test]
pub(crate) async fn a_server_that_fails_in_any_phase_charges_nobody_and_everything_is_delivered_when_it_is_back() {
    let phases = [
        (Verb::Connect, Act::Close),
        (Verb::Connect, Act::Reply("421 4.3.2 closing")),
        (Verb::Ehlo, Act::Reset),
        (Verb::Mail, Act::Reply("421 4.3.2 closing")),
        (Verb::Rcpt, Act::Reply("421 4.7.0 too many")),
        (Verb::Data, Act::Close),
        (Verb::Connect, Act::Silence),
    ];
    for (verb, act) in phases {
        let bad = Script::polite().on(verb, act);
        let server = SmtpServer::start_each(vec![bad.clone(), bad.clone(), bad, Script::polite()]).await;
        let (hall, cases) = five_visits(&smtp(server.port)).await;
        hall.clock.set(at("2026-03-04 09:00"));
        hall.plan().await;
        assert_eq!(hall.send_by(Way::Email).await, 5, "{verb:?}");
        assert!(
            hall.app.engine.breakers.email.trouble().is_some(),
            "three faults close it: {verb:?} {act:?}"
        );
        assert_eq!(
            states(&hall, &cases, "day-before-staff").await,
            vec!["hao email queued"; 5]
        );
        let tries = hall
            .column("select cast(sum(tries) as text) from reminders where way = 'email'")
            .await;
        assert_eq!(tries, ["0"], "{verb:?}");

        hall.clock
            .set(at("2026-03-04 09:00") + jiff::SignedDuration::from_secs(59));
        assert_eq!(hall.send_by(Way::Email).await, 0, "nothing before the minute is over");
        // It is asked without a message, and then everything goes.
        hall.clock.set(at("2026-03-04 09:01"));
        assert_eq!(hall.send_by(Way::Email).await, 5);
        assert_eq!(
            states(&hall, &cases, "day-before-staff").await,
            vec!["hao email accepted"; 5]
        );
        assert_eq!(server.received().len(), 5);
        let tries = hall
            .column("select distinct cast(tries as text) from reminders where way = 'email'")
            .await;
        assert_eq!(tries, ["1"], "{verb:?}");
    }
}

#[tokio::test]
async fn a_recipient_who_cannot_take_it_now_is_tried_after_1_5_15_30_minutes_then_about_hourly_until_a_nearer_one_is_due()
 {
    let server = SmtpServer::start(Script::polite().on(Verb::Rcpt, Act::Reply("450 4.2.1 later"))).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &smtp(server.port)).await;
    hall.without_digest("2026-03-04").await;
    hall.without_digest("2026-03-05").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until("2026-03-05 10:00").await;
    let attempts = attempts(&hall, &case, "day-before-staff").await;
    let minutes: Vec<i64> = attempts.iter().map(|attempt| attempt.0).collect();
    assert_eq!(minutes[..5], [0, 1, 6, 21, 51]);
    let gaps: Vec<i64> = minutes[4..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.len() >= 18 && gaps.iter().all(|gap| (48..=73).contains(gap)),
        "{gaps:?}"
    );
    assert!(
        gaps.iter().any(|gap| *gap != gaps[0]),
        "spread, so that not all come back together: {gaps:?}"
    );
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.1 == "deferred" && attempt.2.as_deref() == Some("recipient"))
    );
    let told = hall.reasons(&case, "day-before-staff").await;
    let nearer = "email cancelled: 同一提醒梯级中较近的“same-day”也已到时,只发较近的一条";
    assert_eq!(told, [nearer]);
    assert!(
        hall.app.engine.breakers.email.trouble().is_none(),
        "the server itself is well"
    );
}

#[tokio::test]
pub(crate) async fn a_retry_that_would_come_too_late_becomes_a_call_while_there_is_time() {
    let server = SmtpServer::start(Script::polite().on_nth(Verb::Rcpt, 0, Act::Reply("452 4.2.2 full"))).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &smtp(server.port)).await;
    let person = json!({ "name": "沈怀瑾", "email": "shen@example.org", "born": 1980 });
    let case = visit(&hall, person, "2026-03-05 09:30").await;
    hall.run_until("2026-03-05 09:29").await;
    let rows = hall.rung(&case, "day-before").await;
    assert!(
        rows.contains(&"resident email refused".to_owned()) && rows.contains(&"resident phone task".to_owned()),
        "{rows:?}"
    );
    let task = hall
        .ledger(&case)
        .await
        .into_iter()
        .find(|row| row.state == "task")
        .unwrap();
    assert!(task.decided_ms < at("2026-03-05 09:30").as_millisecond());
    assert!(task.reason_zh.contains("等不到下次重试"), "{}", task.reason_zh);
}

#[tokio::test]
pub(crate) async fn what_is_refused_goes_on_by_the_next_way_and_ends_with_a_call() {
    let server = SmtpServer::start(Script::polite().on(Verb::Rcpt, Act::Reply("550 5.1.1 nobody"))).await;
    let sms = HttpServer::start(http_server::Act::answer(200, r#"{"code": "1001"}"#)).await;
    let settings = smtp(server.port) + &gateway(sms.port);
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings).await;
    let person = json!({ "name": "沈怀瑾", "phone": "13900000001", "email": "shen@example.org", "born": 1980 });
    let case = visit(&hall, person, "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 10:00").await;
    assert_eq!(
        hall.reasons(&case, "day-before").await,
        [
            "email refused: 邮箱不存在(550 5.1.1)",
            "email refused: 邮箱不存在(550 5.1.1)",
            "none skipped: 没有同意接收的亲属",
            "phone task: 邮件不成(邮箱不存在(550 5.1.1)),改用电话",
            "sms refused: 短信被网关拒绝(1001)",
            "sms refused: 短信被网关拒绝(1001)",
        ],
        "the resident's SMS and e-mail, the call, and the notice of it to whoever calls"
    );
    let events = hall.app.engine.store.events_of(&case, 100).await.unwrap();
    let by_itself = events.into_iter().filter(|event| event.actor == "xixin");
    let story: Vec<String> = by_itself.filter_map(|event| event.body).collect();
    assert_eq!(story.len(), 1);
    assert!(story[0].contains("message_refused"), "{story:?}");
    assert_eq!(sms.requests().len(), 2);
}

#[tokio::test]
pub(crate) async fn staff_are_told_by_sms_when_their_mailbox_is_gone() {
    let server = SmtpServer::start(Script::polite().on(Verb::Rcpt, Act::Reply("550 5.1.1 nobody"))).await;
    let hall = Hall::open_quiet("2026-03-09 09:00", &smtp(server.port)).await;
    let case = promise(&hall, resident(1), "2026-03-09").await;
    hall.run_until("2026-03-10 08:30").await;
    assert_eq!(
        hall.rung(&case, "overdue").await,
        ["lin email refused", "lin none superseded", "lin sms accepted"]
    );
    assert_eq!(hall.take_left()[0].to, "13900000101");
}

#[tokio::test]
pub(crate) async fn what_is_critical_does_not_wait_for_a_provider_when_there_is_another_way() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let hall = Hall::open_quiet("2026-03-16 18:00", &smtp(port)).await;
    hall.without_digest("2026-03-16").await;
    hall.without_digest("2026-03-17").await;
    let first = certificate(&hall, resident(1)).await;
    let second = certificate(&hall, resident(2)).await;
    hall.plan().await;
    hall.clock.set(at("2026-03-17 08:30"));
    hall.plan().await;
    hall.send().await;
    let by_sms = [
        "gu email refused",
        "gu sms accepted",
        "lin email refused",
        "lin sms accepted",
    ];
    assert_eq!(hall.rung(&first, "last-days").await, by_sms);
    assert_eq!(hall.rung(&second, "last-days").await, by_sms);
    assert!(hall.app.engine.breakers.email.trouble().is_some());

    // While the provider is known to be down, new critical ones do not wait for the next probe; what is not critical does.
    hall.clock
        .set(at("2026-03-17 08:30") + jiff::SignedDuration::from_secs(20));
    let third = certificate(&hall, resident(3)).await;
    promise(&hall, resident(4), "2026-03-17").await;
    hall.plan().await;
    hall.send().await;
    assert_eq!(hall.rung(&third, "last-days").await, by_sms);
    let waiting = hall
        .column("select distinct priority || ' ' || state from reminders where way = 'email' and state = 'queued'")
        .await;
    assert_eq!(waiting, ["0 queued"]);
}

#[tokio::test]
pub(crate) async fn a_gateway_s_answer_is_believed_only_when_it_says_yes() {
    let task = &[
        "hao email accepted (call)",
        "relatives none skipped",
        "resident phone task",
        "resident sms refused",
    ][..];
    let doubt = &[
        "hao email accepted (call)",
        "relatives none skipped",
        "resident phone task",
        "resident sms uncertain",
    ][..];
    let waits = &["relatives none skipped", "resident sms queued"][..];
    let yes = &["relatives none skipped", "resident sms accepted"][..];
    let answer = http_server::Act::answer;
    let table = [
        ("yes", answer(200, r#"{"code": "0", "id": "m1"}"#), yes, 1),
        ("a bad number", answer(200, r#"{"code": "1001"}"#), task, 1),
        ("a code nobody listed", answer(200, r#"{"code": "777"}"#), task, 1),
        ("no balance", answer(200, r#"{"code": "2001"}"#), waits, 2),
        ("busy", answer(429, ""), waits, 2),
        ("HTML", answer(200, "<html>维护中</html>"), doubt, 1),
        ("an error page", answer(502, "<html>"), doubt, 1),
        ("nothing", http_server::Act::Drop, doubt, 1),
        ("silence", http_server::Act::Silence, doubt, 1),
    ];
    for (name, act, expected, requests) in table {
        let server = HttpServer::start(act).await;
        let hall = Hall::open_quiet("2026-03-04 08:50", &gateway(server.port)).await;
        hall.without_digest("2026-03-04").await;
        let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
        hall.run_until("2026-03-04 10:01").await;
        assert_eq!(hall.rung(&case, "day-before").await, expected, "{name}");
        assert_eq!(server.requests().len(), requests, "{name}");
        let charged = hall
            .column("select cast(tries as text) from reminders where way = 'sms'")
            .await;
        assert_eq!(charged, [if expected == waits { "0" } else { "1" }], "{name}");
    }
}

#[tokio::test]
pub(crate) async fn an_sms_in_doubt_is_never_sent_again_and_a_gateway_that_talks_nonsense_is_not_given_them_all() {
    let server = HttpServer::start(http_server::Act::answer(200, "<html>维护中</html>")).await;
    let (hall, cases) = {
        let hall = Hall::open_quiet("2026-03-04 08:50", &gateway(server.port)).await;
        hall.without_digest("2026-03-04").await;
        let mut cases = Vec::new();
        for number in 1..=8 {
            cases.push(brief_visit(&hall, resident(number), &format!("2026-03-05 14:{:02}", 5 * number)).await);
        }
        (hall, cases)
    };
    hall.run_until("2026-03-04 10:00").await;
    let sms: Vec<String> = states(&hall, &cases, "day-before")
        .await
        .into_iter()
        .filter(|line| line.contains(" sms "))
        .collect();
    assert_eq!(
        sms.iter().filter(|line| line.ends_with("uncertain")).count(),
        3,
        "{sms:?}"
    );
    assert_eq!(sms.iter().filter(|line| line.ends_with("queued")).count(), 5, "{sms:?}");
    // One a minute finds out whether it has come to its senses; what was in doubt stays with people.
    hall.run_until("2026-03-04 10:03").await;
    assert_eq!(server.requests().len(), 6);
    let mut asked: Vec<String> = server.requests().into_iter().map(|request| request.body).collect();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 6);
}

#[tokio::test]
pub(crate) async fn an_e_mail_in_doubt_is_sent_once_more_with_the_same_bytes_and_then_told_to_a_person() {
    let server = SmtpServer::start(Script::polite().on(Verb::Dot, Act::Close)).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &smtp(server.port)).await;
    hall.without_digest("2026-03-04").await;
    let person = json!({ "name": "沈怀瑾", "email": "shen@example.org", "born": 1980 });
    let case = visit(&hall, person, "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 09:59").await;
    hall.app.engine.breakers.email.of("smtp").unwrap().answered();
    hall.run_until("2026-03-04 12:00").await;
    let rows = hall.rung(&case, "day-before").await;
    assert!(
        rows.contains(&"resident email uncertain".to_owned()) && rows.contains(&"resident phone task".to_owned()),
        "{rows:?}"
    );
    let sent = hall
        .column("select wire_id || ' ' || wire_sha256 from attempts join reminders on reminders.id = reminder_id where recipient like 'person:%'")
        .await;
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
}

#[tokio::test]
pub(crate) async fn greylisting_first_does_not_use_up_the_second_try_of_a_message_in_doubt() {
    let scripts = vec![
        Script::polite()
            .on_nth(Verb::Rcpt, 1, Act::Reply("451 4.7.1 greylisted"))
            .on(Verb::Dot, Act::Close),
        Script::polite(),
    ];
    let server = SmtpServer::start_each(scripts).await;
    let hall = Hall::open_quiet("2026-03-04 08:50", &smtp(server.port)).await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 09:59").await;
    let outcomes: Vec<String> = attempts(&hall, &case, "day-before-staff")
        .await
        .into_iter()
        .map(|attempt| attempt.1)
        .collect();
    assert_eq!(outcomes, ["deferred", "uncertain", "accepted"]);
}

#[tokio::test]
pub(crate) async fn without_a_mail_channel_an_e_mail_goes_on_by_the_next_way_at_once() {
    let hall = Hall::open_quiet("2026-03-09 09:00", "[mail]\ntransport = \"none\"\n").await;
    let case = promise(&hall, resident(1), "2026-03-09").await;
    hall.run_until("2026-03-10 08:30").await;
    assert_eq!(
        hall.rung(&case, "overdue").await,
        ["lin email refused", "lin none superseded", "lin sms accepted"]
    );
    assert_eq!(hall.reasons(&case, "overdue").await[0], "email refused: 未配置邮件渠道");
}

fn servers(list: &[(&str, u16, &str)]) -> String {
    let mut text = "[mail]\ntransport = \"smtp\"\n".to_owned();
    for (name, port, more) in list {
        text += &format!(
            "[[mail.server]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nconnections = 1\ntimeout_s = 1\ndot_timeout_s = 1\n{more}\n"
        );
    }
    text
}

#[tokio::test]
pub(crate) async fn the_first_mail_server_that_works_is_used_and_each_attempt_names_it() {
    let (first, second) = (
        SmtpServer::start(Script::polite()).await,
        SmtpServer::start(Script::polite()).await,
    );
    let (hall, cases) = five_visits(&servers(&[("zhu", first.port, ""), ("bei", second.port, "")])).await;
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    assert_eq!(hall.send_by(Way::Email).await, 5);
    assert_eq!((first.received().len(), second.received().len()), (5, 0));
    assert_eq!(hall.column("select distinct provider from attempts").await, ["zhu"]);

    // What certainly was not sent goes on to the next one within the same attempt, whatever went wrong before the dot.
    for verb in [Verb::Connect, Verb::Mail, Verb::Rcpt, Verb::Data] {
        let broken = SmtpServer::start(Script::polite().on(verb, Act::Reply("421 4.3.2 closing"))).await;
        let second = SmtpServer::start(Script::polite()).await;
        let (hall, cases) = five_visits(&servers(&[("zhu", broken.port, ""), ("bei", second.port, "")])).await;
        hall.clock.set(at("2026-03-04 09:00"));
        hall.plan().await;
        assert_eq!(hall.send_by(Way::Email).await, 5, "{verb:?}");
        assert_eq!((broken.received().len(), second.received().len()), (0, 5), "{verb:?}");
        assert_eq!(
            states(&hall, &cases, "day-before-staff").await,
            vec!["hao email accepted"; 5]
        );
        let attempts = hall
            .column("select distinct outcome || ' ' || provider from attempts")
            .await;
        assert_eq!(attempts, ["accepted bei"], "{verb:?}");
        let troubles = hall.app.engine.breakers.email.troubles();
        assert!(troubles[0].1.is_some() && troubles[1].1.is_none(), "{troubles:?}");
        assert!(hall.app.engine.breakers.email.trouble().is_none(), "mail leaves");
    }
    drop(cases);
}

#[tokio::test]
pub(crate) async fn a_mail_in_doubt_does_not_go_on_to_another_server_by_itself() {
    let first = SmtpServer::start(Script::polite().on(Verb::Dot, Act::Close)).await;
    let second = SmtpServer::start(Script::polite()).await;
    let (hall, _) = five_visits(&servers(&[("zhu", first.port, ""), ("bei", second.port, "")])).await;
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    hall.send_by(Way::Email).await;
    let doubts = hall
        .column("select distinct outcome || ' ' || provider from attempts order by 1")
        .await;
    assert_eq!(doubts, ["accepted bei", "uncertain zhu"]);
    // Three in a row close it; the other two went by the second server.
    assert_eq!(second.received().len(), 2);
    let open = hall.column("select state from reminders where way = 'email'").await;
    assert_eq!(open.iter().filter(|state| *state == "queued").count(), 3);
}

#[tokio::test]
pub(crate) async fn a_server_that_swallows_everything_delays_nobody_who_could_go_by_another() {
    let hole = SmtpServer::start(Script::polite().on(Verb::Mail, Act::Silence)).await;
    let second = SmtpServer::start(Script::polite()).await;
    let patient = "timeout_s = 600\n";
    let settings = servers(&[("zhu", hole.port, ""), ("bei", second.port, "")]).replacen("timeout_s = 1\n", patient, 1);
    let (hall, _) = five_visits(&settings).await;
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    let (recorder, engine) = (hall.recorder.clone(), hall.app.engine.clone());
    let now = hall.clock.now();
    let sending = tokio::spawn(async move { sender::step(&engine, Way::Email, &recorder, now).await.map(drop) });
    // One hangs in the silent server for ten minutes; the others do not wait for it.
    while second.received().len() < 4 {
        second.took().await;
    }
    assert!(!sending.is_finished());
    sending.abort();
    assert_eq!(hole.received().len(), 0);
}

#[tokio::test]
pub(crate) async fn with_a_wrong_password_nothing_is_charged_one_login_a_minute_is_tried_and_all_leave_after_the_fix() {
    const MESSAGES: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "wrong").unwrap();
    let server = SmtpServer::start(Script::polite().login("AUTH PLAIN AGhhbGwAc2VzYW1l")).await;
    let settings = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\nconnections = 10\nuser = \"hall\"\npassword = {{ file = {password:?} }}\n",
        server.port
    );
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings).await;
    hall.without_digest("2026-03-04").await;
    hall.without_digest("2026-03-05").await;
    let start = at("2026-03-04 09:00");
    hall.sql(&queued(MESSAGES, start)).await;
    let tried = |server: &SmtpServer| server.commands().iter().filter(|line| line.starts_with("AUTH")).count();

    for minute in 0..24 * 60 {
        hall.clock.set(start + jiff::SignedDuration::from_mins(minute));
        hall.send_by(Way::Email).await;
        // Also half a minute later, when it is not asked again.
        hall.clock
            .set(start + jiff::SignedDuration::from_secs(60 * minute + 30));
        hall.send_by(Way::Email).await;
        let asked = usize::try_from(minute).unwrap() + 1;
        assert!(tried(&server) <= asked, "{} logins in {asked} minutes", tried(&server));
    }
    assert_eq!(tried(&server), 24 * 60, "it is asked every minute all the same");
    let charged =
        "select cast(count(*) as text) from attempts union all select cast(sum(tries) as text) from reminders";
    assert_eq!(hall.column(charged).await, ["0", "0"]);
    assert_eq!(server.received().len(), 0);

    std::fs::write(&password, "sesame").unwrap();
    hall.clock.set(start + jiff::SignedDuration::from_hours(24));
    while hall.send_by(Way::Email).await > 0 {}
    assert_eq!(server.received().len(), MESSAGES);
    let states = hall
        .column("select distinct state || ' ' || tries from reminders where way = 'email'")
        .await;
    assert_eq!(states, ["accepted 1"]);
}

/// Digests of many days to one member of staff, due at `due` and of use for days.
fn queued(count: usize, due: jiff::Timestamp) -> String {
    let due = due.as_millisecond();
    let valid = due + 10 * 86_400_000;
    format!(
        "with recursive number(n) as (select 1 union all select n + 1 from number where n < {count})
         insert into reminders (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority, due_ms,
             decided_ms, not_before_ms, valid_until_ms, fallback)
         select printf('00000000-0000-7000-8000-%012d', n), '', 'digest|' || date('2026-03-04', '+' || n || ' days'), 'staff:lin', 'email', 'digest', 'queued', '', '', 0,
             {due}, {due}, {due}, {valid}, ''
         from number"
    )
}

/// The key of a resident goes while the message is on the wire, and the provider refuses it.
async fn refused_while(key_becomes: &str) -> (Hall, CaseId, CaseId) {
    let server = SmtpServer::start(Script::polite().on(Verb::Rcpt, Act::Reply("550 5.1.1 nobody"))).await;
    let hall = Hall::open_quiet("2026-03-04 09:10", &smtp(server.port)).await;
    hall.without_digest("2026-03-04").await;
    let person = |name: &str| json!({ "name": name, "email": "shen@example.org", "born": 1980 });
    let gone = visit(&hall, person("沈怀瑾"), "2026-03-05 09:30").await;
    let other = visit(&hall, person("顾明"), "2026-03-05 10:30").await;
    hall.clock.set(at("2026-03-04 10:00"));
    hall.plan().await;
    hall.sql("update reminders set state = 'cancelled' where state = 'queued' and recipient like 'staff:%'")
        .await;
    let resident = hall
        .app
        .engine
        .store
        .case(&gone)
        .await
        .unwrap()
        .unwrap()
        .case
        .party
        .person;
    hall.sql(&format!(
        "create trigger gone after insert on attempts
         begin update keys set wrapped = {key_becomes} where owner = '{resident}'; end"
    ))
    .await;
    assert_eq!(hall.send_by(Way::Email).await, 2);
    assert!(hall.app.engine.gate.closed(Way::Email).is_none());
    (hall, gone, other)
}

#[tokio::test]
pub(crate) async fn an_outcome_of_somebody_who_was_erased_meanwhile_stops_nobody() {
    let (hall, gone, other) = refused_while("null").await;
    let refused = ["relatives none skipped", "resident email refused"];
    assert_eq!(hall.rung(&gone, "day-before").await, refused, "nobody phones");
    let rows = hall.rung(&other, "day-before").await;
    assert!(rows.contains(&"resident phone task".to_owned()), "{rows:?}");
    let told = hall
        .column("select case_id from events where actor = 'xixin' and case_id <> ''")
        .await;
    assert_eq!(told, [other.as_str()]);
}

#[tokio::test]
pub(crate) async fn an_outcome_whose_event_cannot_be_sealed_is_recorded_without_it() {
    let (hall, gone, other) = refused_while("'v1.broken'").await;
    for case in [&gone, &other] {
        let rows = hall.rung(case, "day-before").await;
        assert!(rows.contains(&"resident email refused".to_owned()), "{rows:?}");
        assert!(rows.contains(&"resident phone task".to_owned()), "{rows:?}");
    }
    let told = hall
        .column("select case_id from events where actor = 'xixin' and case_id <> ''")
        .await;
    assert_eq!(told, [other.as_str()]);
}
