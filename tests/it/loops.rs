//! The loops themselves, running: what falls due leaves without anybody stepping, and a stop ends them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xixin::domain::ids::CaseId;
use xixin::domain::ladder::Way;
use xixin::engine::test_message::send_test;
use xixin::engine::{digests, lookout, planner, sender};
use xixin::lifecycle::Beat;

use crate::support::hall::Hall;
use crate::support::intake::{brief_visit, resident, visit};
use crate::support::rulebook::at;
use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};

fn start(hall: &Hall) -> (JoinSet<()>, CancellationToken) {
    let (engine, stop) = (&hall.app.engine, CancellationToken::new());
    let mut loops = JoinSet::new();
    loops.spawn(planner::run(engine.clone(), Beat::default(), stop.clone()));
    loops.spawn(digests::run(engine.clone(), Beat::default(), stop.clone()));
    let looking = lookout::run(engine.clone(), Beat::default(), stop.clone());
    loops.spawn(async { looking.await.unwrap() });
    for way in [Way::Email, Way::Sms] {
        let recorder = hall.recorder.clone();
        loops.spawn(sender::run(
            engine.clone(),
            way,
            recorder,
            Beat::default(),
            stop.clone(),
        ));
    }
    (loops, stop)
}

/// Looks again and again; a loop that never does what it should is a failure, not an endless test.
async fn until(hall: &Hall, case: &CaseId, rung: &str, states: &[&str]) {
    let looks = async {
        while hall.rung(case, rung).await != states {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looks).await.unwrap();
}

#[tokio::test]
pub(crate) async fn what_falls_due_leaves_and_a_stop_ends_every_loop() {
    let hall = Hall::open_quiet("2026-03-04 09:59", "").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.clock.set(at("2026-03-04 10:00"));
    let (mut loops, stop) = start(&hall);
    until(
        &hall,
        &case,
        "day-before",
        &["relatives none skipped", "resident sms accepted"],
    )
    .await;
    while !hall
        .column("select id from reminders where case_id = '' and state <> 'accepted'")
        .await
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    while let Some(ended) = loops.join_next().await {
        ended.unwrap();
    }
    assert!(hall.take_left().len() > 10, "the SMS and the digests");
}

#[tokio::test]
pub(crate) async fn a_changed_case_is_planned_as_soon_as_the_bell_rings() {
    let hall = Hall::open_quiet("2026-03-04 08:00", "").await;
    let (mut loops, stop) = start(&hall);
    let case = crate::support::intake::certificate(&hall, resident(1)).await;
    hall.app.engine.bells.ring_all();
    until(&hall, &case, "month-ahead", &["lin email accepted"]).await;
    stop.cancel();
    while loops.join_next().await.is_some() {}
}

#[tokio::test]
pub(crate) async fn a_clock_that_jumps_while_the_daemon_runs_stops_everything_until_somebody_resumes() {
    let hall = Hall::open_quiet("2026-03-04 08:00", "").await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    let engine = Arc::new(hall.app.engine.clone());
    let (mut loops, stop) = start(&hall);
    while engine
        .store
        .next_wake()
        .await
        .unwrap()
        .is_none_or(|wake| wake <= at("2026-03-04 08:00"))
    {
        tokio::task::yield_now().await;
    }
    // Ten years on: nothing may be decided by such a time.
    hall.clock.set(at("2036-03-04 10:00"));
    while !engine.gate.time_in_doubt() {
        engine.bells.ring_all();
        tokio::task::yield_now().await;
    }
    engine.look_around().await;
    assert_eq!(engine.store.switches().await.unwrap()[0].name, "clock");
    assert_eq!(hall.timeline(&case).await, [] as [&str; 0]);
    hall.clock.set(at("2026-03-04 09:00"));
    engine.store.resume("all").await.unwrap();
    engine.look_around().await;
    engine.bells.ring_all();
    while engine.gate.time_in_doubt() || hall.rung(&case, "day-before-staff").await != ["hao email accepted"] {
        // The way back is a jump as well, and is confirmed the same way.
        engine.look_around().await;
        engine.store.resume("all").await.unwrap();
        engine.look_around().await;
        engine.bells.ring_all();
        tokio::task::yield_now().await;
    }
    stop.cancel();
    while loops.join_next().await.is_some() {}
}

#[tokio::test]
pub(crate) async fn a_stop_waits_for_the_message_on_the_wire_and_starts_no_other() {
    let server = SmtpServer::start_each(vec![Script::polite().on(Verb::Dot, Act::Silence), Script::polite()]).await;
    let settings = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\nconnections = 1\ntimeout_s = 1\ndot_timeout_s = 1\n",
        server.port
    );
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings).await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.clock.set(at("2026-03-04 09:00"));
    let (mut loops, stop) = start(&hall);
    server.fell_silent().await;
    stop.cancel();
    while loops.join_next().await.is_some() {}
    hall.recorder.flush().await;
    // Its fate is known to be unknown, and that is on record.
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email queued"]);
    assert_eq!(hall.column("select outcome from attempts").await, ["uncertain"]);
}

#[tokio::test]
pub(crate) async fn what_waits_for_a_line_when_the_stop_comes_is_not_begun_and_leaves_after_the_next_start() {
    let server = SmtpServer::start_each(vec![Script::polite().on(Verb::Dot, Act::Silence), Script::polite()]).await;
    let settings = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\nconnections = 1\ntimeout_s = 1\ndot_timeout_s = 1\n",
        server.port
    );
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings).await;
    hall.without_digest("2026-03-04").await;
    for number in 1..=3 {
        brief_visit(&hall, resident(number), &format!("2026-03-05 10:{:02}", 5 * number)).await;
    }
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    let (mut loops, stop) = start(&hall);
    server.fell_silent().await;
    stop.cancel();
    while loops.join_next().await.is_some() {}
    hall.recorder.flush().await;
    let fates = "select state || ' ' || tries from reminders where way = 'email' order by tries";
    assert_eq!(hall.column(fates).await, ["queued 0", "queued 0", "queued 1"]);
    let attempts = "select outcome || ' ' || coalesce(blame, 'nobody') from attempts order by outcome";
    assert_eq!(
        hall.column(attempts).await,
        ["deferred nobody", "deferred nobody", "uncertain nobody"]
    );
    let hall = hall.crash().await;
    hall.run_until("2026-03-04 09:05").await;
    assert_eq!(hall.column(fates).await, ["accepted 1", "accepted 1", "accepted 2"]);
}

#[tokio::test]
pub(crate) async fn a_test_message_does_not_pass_a_pause() {
    let hall = Hall::open_quiet("2026-03-04 09:00", "").await;
    let engine = &hall.app.engine;
    let store = &engine.store;
    store
        .pause("email", at("2026-03-04 08:00"), "lin", "邮箱迁移")
        .await
        .unwrap();
    let tested = send_test(engine, Way::Email, "nobody@example.org").await.unwrap();
    assert!(!tested.sent && tested.said.zh.contains("邮箱迁移"), "{tested:?}");
    assert_eq!(hall.take_left(), []);
    assert_eq!(hall.column("select id from attempts").await, [] as [&str; 0]);
    assert!(store.resume("email").await.unwrap());
    assert!(send_test(engine, Way::Email, "nobody@example.org").await.unwrap().sent);
    assert_eq!(hall.take_left().len(), 1);
}

#[tokio::test]
pub(crate) async fn a_mail_server_that_may_be_back_is_asked_without_a_message() {
    let server = SmtpServer::start(Script::polite().on(Verb::Noop, Act::Silence)).await;
    let settings = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntimeout_s = 1\ndot_timeout_s = 1\n",
        server.port
    );
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings).await;
    hall.without_digest("2026-03-04").await;
    for number in 1..=4 {
        brief_visit(&hall, resident(number), &format!("2026-03-05 10:{:02}", 5 * number)).await;
    }
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    let breaker = hall.app.engine.breakers.email.of("smtp").unwrap();
    for _ in 0..3 {
        breaker.fault(at("2026-03-04 08:59"), "x");
    }
    let (mut loops, stop) = start(&hall);
    server.fell_silent().await;
    server.closed().await;
    stop.cancel();
    while loops.join_next().await.is_some() {}
    hall.recorder.flush().await;
    assert_eq!(server.connections(), 1);
    assert_eq!(hall.column("select outcome from attempts").await, [""; 0]);
}
