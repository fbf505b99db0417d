//! Nodes that live, die, come back, differ, and share what may leave.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use xixin::app::App;
use xixin::domain::command::NewCase;
use xixin::domain::ladder::Way;
use xixin::engine::desk::Desk;
use xixin::engine::recorder::Recorder;
use xixin::engine::takeover::TakenOver;
use xixin::engine::{nodes, planner, sender};
use xixin::store::queue::{Claim, Claimed, EndedAttempt, NewAttempt, Verdict, record};

use crate::postgres::nodes::at_once;
use crate::support::hall::{Hall, copy_dir};
use crate::support::intake::{brief_start, brief_visit, promise, resident};
use crate::support::rulebook::at;

/// Time passes for both the nodes and the server.
async fn pass(hall: &Hall, from: &str, seconds: i64) -> Timestamp {
    let passed = Duration::from_secs(u64::try_from(seconds).unwrap());
    hall.clock.pass(passed, passed);
    hall.server_at(at(from) + SignedDuration::from_secs(seconds)).await
}

async fn claim(app: &App, way: Way, now: Timestamp) -> Vec<Claimed> {
    let until = now + SignedDuration::from_secs(60);
    let holder = &app.engine.holder;
    app.engine
        .store
        .claim_due(way, Claim::Due, now, 10, holder, until)
        .await
        .unwrap()
}

fn attempt(row: &Claimed) -> NewAttempt {
    NewAttempt {
        id: format!("a-{}", row.id),
        reminder_id: row.id.clone(),
        epoch: row.epoch,
        case_version: None,
        wire_id: "w".to_owned(),
        wire_sha256: "s".to_owned(),
        judged_ms: None,
        gateway: None,
        receipt_ms: None,
    }
}

fn accepted(row: &Claimed) -> Verdict {
    Verdict {
        id: row.id.clone(),
        epoch: row.epoch,
        state: "accepted",
        not_before_ms: None,
        reason_zh: None,
        reason_en: None,
        charged: 1,
        closed_ms: Some(1),
        attempt: Some(EndedAttempt {
            id: format!("a-{}", row.id),
            ended_ms: 1,
            outcome: "accepted",
            blame: None,
            reference: None,
            reason: None,
            provider: None,
            ask_ms: None,
        }),
    }
}

async fn queue(hall: &Hall, ids: &[&str]) {
    for id in ids {
        hall.sql(&format!(
            "insert into reminders (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority, due_ms, decided_ms,
                not_before_ms, valid_until_ms, fallback)
             values ('{id}', '', '{id}', 'staff:lin', 'email', 't', 'queued', '', '', 0, 0, 0, 0, 9, '')"
        ))
        .await;
    }
}

async fn states(hall: &Hall) -> Vec<String> {
    hall.column("select id || ' ' || state || ' ' || crashes from reminders order by id")
        .await
}

#[tokio::test]
async fn what_a_dead_node_had_in_hand_is_settled_and_what_it_says_late_still_counts() {
    const START: &str = "2026-03-02 10:00";
    let hall = Hall::on_postgres(START).await;
    let other = hall.node("b").await;
    let (mine, theirs) = (&hall.app.engine, &other.engine);
    let now = hall.server_at(at(START)).await;
    queue(&hall, &["claimed", "known", "unknown"]).await;
    mine.sign_of_life().await.unwrap();
    theirs.sign_of_life().await.unwrap();
    let claimed = claim(&other, Way::Email, now).await;
    let begun: Vec<Claimed> = claimed.into_iter().filter(|row| row.id != "claimed").collect();
    let attempts: Vec<NewAttempt> = begun.iter().map(attempt).collect();
    assert_eq!(
        theirs
            .store
            .begin_attempts(Way::Email, &attempts, now)
            .await
            .unwrap()
            .started
            .len(),
        2
    );
    // It is seen for the last time after 30 seconds, and lives for 45 more.
    pass(&hall, START, 30).await;
    theirs.sign_of_life().await.unwrap();
    mine.sign_of_life().await.unwrap();
    hall.clock.pass(Duration::from_secs(40), Duration::from_secs(40));
    hall.server_at(at(START) + SignedDuration::from_secs(70)).await;
    mine.sign_of_life().await.unwrap();
    assert_eq!(
        mine.settle_dead(hall.now()).await.unwrap(),
        TakenOver::default(),
        "it lives"
    );
    hall.clock.pass(Duration::from_secs(6), Duration::from_secs(6));
    hall.server_at(at(START) + SignedDuration::from_secs(76)).await;
    let settled = mine.settle_dead(hall.now()).await.unwrap();
    assert_eq!((settled.again, settled.held, settled.doubtful), (3, 0, 0));
    assert_eq!(
        states(&hall).await,
        ["claimed queued 1", "known queued 1", "unknown queued 1"]
    );
    // What the dead one knows it says when it comes back: nobody has taken that message on yet.
    let known: Vec<Verdict> = begun.iter().filter(|row| row.id == "known").map(accepted).collect();
    let mut tx = theirs.store.begin().await.unwrap();
    record(&mut tx, &known).await.unwrap();
    xixin::store::commit(tx, "record").await.unwrap();
    assert_eq!(
        states(&hall).await,
        ["claimed queued 1", "known accepted 0", "unknown queued 1"]
    );
    let outcomes = "select id || ' ' || outcome from attempts order by id";
    assert_eq!(hall.column(outcomes).await, ["a-known accepted", "a-unknown uncertain"]);
    // The other one is on its way once more before it is told of: then only the attempt moves.
    let again = mine
        .store
        .claim_suspect(Way::Email, Claim::Due, hall.now(), "h", hall.now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.id, "claimed");
    let again = mine
        .store
        .claim_suspect(Way::Email, Claim::Due, hall.now(), "h", hall.now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.id, "unknown");
    let late: Vec<Verdict> = begun.iter().filter(|row| row.id == "unknown").map(accepted).collect();
    let mut tx = theirs.store.begin().await.unwrap();
    record(&mut tx, &late).await.unwrap();
    xixin::store::commit(tx, "record").await.unwrap();
    assert_eq!(states(&hall).await[2], "unknown claimed 1");
    assert_eq!(hall.column(outcomes).await, ["a-known accepted", "a-unknown accepted"]);
}

#[tokio::test]
async fn whoever_comes_back_to_the_database_waits_for_the_others_before_it_takes_them_for_dead() {
    const START: &str = "2026-03-02 10:00";
    let hall = Hall::on_postgres(START).await;
    let other = hall.node("b").await;
    let mine = &hall.app.engine;
    let now = hall.server_at(at(START)).await;
    queue(&hall, &["r"]).await;
    mine.sign_of_life().await.unwrap();
    other.engine.sign_of_life().await.unwrap();
    assert_eq!(claim(&other, Way::Email, now).await.len(), 1);
    // The database was gone for ten minutes, for both.
    pass(&hall, START, 600).await;
    for (seconds, again) in [(600, 0), (629, 0), (630, 1)] {
        let passed = (hall.now().duration_since(at(START))).as_secs();
        let more = Duration::from_secs(u64::try_from(seconds - passed).unwrap());
        hall.clock.pass(more, more);
        hall.server_at(at(START) + SignedDuration::from_secs(seconds)).await;
        mine.sign_of_life().await.unwrap();
        assert_eq!(mine.settle_dead(hall.now()).await.unwrap().again, again, "{seconds}");
    }
}

#[tokio::test]
async fn a_node_that_may_be_taken_for_dead_begins_to_send_nothing() {
    const START: &str = "2026-03-02 10:00";
    let hall = Hall::on_postgres(START).await;
    let engine = &hall.app.engine;
    hall.server_at(at(START)).await;
    engine.sign_of_life().await.unwrap();
    assert!(engine.gate.closed(Way::Email).is_none());
    hall.clock.pass(Duration::from_secs(25), Duration::from_secs(25));
    assert!(engine.gate.closed(Way::Email).is_none());
    let recorded = Duration::from_secs(25);
    hall.clock.pass(Duration::from_secs(1), Duration::from_secs(1));
    assert!(
        engine.gate.closed(Way::Sms).is_some(),
        "others may soon take over what it has in hand"
    );
    hall.server_at(at("2026-03-02 10:00:26")).await;
    engine.sign_of_life().await.unwrap();
    assert!(engine.gate.closed(Way::Sms).is_none() && engine.gate.has_lived_since(recorded));
    // It is stopped for two minutes and wakes up: it sends again, but nothing of what it had recorded before.
    hall.clock.pass(Duration::from_secs(120), Duration::from_secs(120));
    hall.server_at(at("2026-03-02 10:02:26")).await;
    engine.sign_of_life().await.unwrap();
    assert!(engine.gate.closed(Way::Sms).is_none());
    assert!(!engine.gate.has_lived_since(recorded) && engine.gate.has_lived_since(Duration::from_secs(146)));
}

#[tokio::test]
async fn two_nodes_never_have_one_name() {
    const START: &str = "2026-03-02 10:00";
    let hall = Hall::on_postgres(START).await;
    hall.server_at(at(START)).await;
    let first = hall.node("b").await;
    first.engine.sign_of_life().await.unwrap();
    let second = hall.node_in("b", "elsewhere").await;
    let refused = second.engine.sign_of_life().await.unwrap_err().to_string();
    assert!(
        refused.contains("node called b") && refused.contains("名为 b 的节点"),
        "{refused}"
    );
    // Once the first is dead, its name is free.
    pass(&hall, START, 46).await;
    second.engine.sign_of_life().await.unwrap();
    assert!(first.engine.sign_of_life().await.is_err());
}

#[tokio::test]
async fn the_rules_noted_last_count_and_whoever_has_others_says_so_and_plans_nothing() {
    const START: &str = "2026-03-02 10:00";
    let hall = Hall::on_postgres(START).await;
    hall.server_at(at(START)).await;
    let engine = &hall.app.engine;
    engine.sign_of_life().await.unwrap();
    let changed = hall.dir.path().join("changed");
    copy_dir(&hall.config(), &changed);
    let schedule = std::fs::read_to_string(changed.join("schedule.toml")).unwrap();
    std::fs::write(changed.join("schedule.toml"), format!("{schedule}\n# changed\n")).unwrap();
    let other = hall.node_of("b", &changed).await;
    other.engine.sign_of_life().await.unwrap();
    engine.sign_of_life().await.unwrap();
    assert!(engine.is_odd() && !other.engine.is_odd());
    promise(&hall, resident(1), "2026-04-09").await;
    assert_eq!(planner::step(engine, hall.now()).await.unwrap().planned, 0);
    assert_eq!(planner::step(&other.engine, hall.now()).await.unwrap().planned, 1);
    let shown = nodes::list(engine).await.unwrap();
    let odd: Vec<usize> = shown.iter().map(|node| node.odd.len()).collect();
    assert_eq!(odd.iter().sum::<usize>(), 1, "{shown:?}");
    // Nobody goes by those rules any more: the ones that are left count.
    other.engine.end_life().await;
    engine.sign_of_life().await.unwrap();
    assert!(!engine.is_odd());
    assert_eq!(
        planner::step(engine, hall.now()).await.unwrap().planned,
        1,
        "planned by other rules before"
    );
    assert_eq!(
        planner::step(engine, hall.now()).await.unwrap().planned,
        0,
        "and not for ever"
    );
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_and_by_more_than_a_minute_nothing_is_sent() {
    const START: &str = "2026-03-02 10:00";
    let hall = Hall::on_postgres(START).await;
    let engine = &hall.app.engine;
    for (server, odd, sends) in [
        ("10:00:00", 0, true),
        ("10:00:30", 1, true),
        ("09:58:59", 1, false),
        ("09:59:58", 0, true),
    ] {
        hall.server_at(at(&format!("2026-03-02 {server}"))).await;
        engine.sign_of_life().await.unwrap();
        // The others hear of it with the next sign.
        engine.sign_of_life().await.unwrap();
        let shown = nodes::list(engine).await.unwrap();
        assert_eq!(
            (shown[0].odd.len(), engine.gate.closed(Way::Email).is_none()),
            (odd, sends),
            "{server}"
        );
    }
}

#[tokio::test]
async fn what_one_node_holds_no_other_begins_to_send() {
    let hall = Hall::on_postgres("2026-03-02 10:00").await;
    let other = hall.node("b").await;
    brief_visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.plan().await;
    let (recorder, recording) = Recorder::new(other.engine.clone());
    tokio::spawn(recording);
    assert!(hall.app.engine.store.hold(hall.now(), "gu", "核对").await.unwrap());
    let done = sender::step(&other.engine, Way::Email, &recorder, hall.now())
        .await
        .unwrap();
    assert!(done.claimed > 0 && done.started == 0, "{done:?}");
    assert!(other.engine.gate.closed(Way::Email).is_some());
    assert_eq!(hall.column("select count(*) || '' from attempts").await, ["0"]);
    hall.app.engine.store.release(hall.now(), "gu").await.unwrap();
    other.engine.look_around().await;
    let done = sender::step(&other.engine, Way::Email, &recorder, hall.now())
        .await
        .unwrap();
    assert!(done.started > 0);
}

/// Sends on both nodes at the same time until neither has anything.
async fn send_on_both(hall: &Hall, other: &App) {
    let (recorder, recording) = Recorder::new(other.engine.clone());
    tokio::spawn(recording);
    let now = hall.now();
    let send = |app: &App, recorder: Recorder| {
        let engine = app.engine.clone();
        async move {
            // What was judged by counts of before is judged again.
            for _ in 0..200 {
                let mut claimed = 0;
                for way in [Way::Email, Way::Sms] {
                    claimed += sender::step(&engine, way, &recorder, now).await.unwrap().claimed;
                }
                if claimed == 0 {
                    return;
                }
            }
        }
    };
    at_once(send(&hall.app, hall.recorder.clone()), send(other, recorder)).await;
    hall.send().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_let_no_more_leave_on_a_day_than_one_would() {
    let hall = Hall::on_postgres("2026-03-02 10:00").await;
    let other = hall.node("b").await;
    for number in 0..60 {
        brief_visit(&hall, resident(number), &brief_start(number)).await;
    }
    hall.plan().await;
    send_on_both(&hall, &other).await;
    let left = "select count(distinct reminder_id) || '' from attempts join reminders on reminders.id = reminder_id where case_id <> ''";
    assert_eq!(hall.column(left).await, ["50"]);
    assert_eq!(
        hall.column("select kind from holds where released_ms is null").await,
        ["run"]
    );
    assert_eq!(hall.column("select count(*) || '' from reminders where state = 'queued' and hold is null and not_before_ms <= 1772416800000").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_send_nobody_more_than_the_cap_of_the_day() {
    let hall = Hall::on_postgres("2026-03-02 10:00").await;
    let other = hall.node("b").await;
    // Six cases of one resident, each with a visit of which they are told the day before.
    let rules = hall.app.engine.live.get();
    let desk = Desk::new(&hall.app.engine.store, &rules.rulebook, &"lin".into()).unwrap();
    for number in 0..6 {
        let case: NewCase = serde_json::from_value(json!({
            "resident": resident(1), "matter": "labour_assessment", "request": "陪同办理",
            "appointments": [{ "what": "递交材料", "office": "social_insurance", "start": brief_start(12 * number),
                "end": brief_start(12 * number + 1).replace(' ', "T"), "with": "hao" }],
        }))
        .unwrap();
        desk.open(case, hall.now()).await.unwrap();
    }
    hall.clock.set(at("2026-03-04 10:00"));
    hall.plan().await;
    send_on_both(&hall, &other).await;
    let told = "select way || ' ' || count(*) from reminders where recipient like 'person:%' and sent_ms is not null group by way";
    assert_eq!(hall.column(told).await, ["sms 2"]);
}
