//! The server becomes another one: a standby that lacks the last writes, or one that lacks nothing.

use xixin::app::App;
use xixin::domain::ladder::Way;
use xixin::engine::recorder::Recorder;
use xixin::engine::sender;

use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::intake::{brief_visit, resident};
use crate::support::postgres::{Server, address};
use crate::support::rulebook::at;

const NOW: &str = "2026-03-02 10:00";

/// A hall with a second node, both of which live.
async fn two(server: &Server) -> (Hall, App) {
    let hall = Hall::on_server(server, NOW).await;
    hall.server_at(at(NOW)).await;
    let other = hall.node("b").await;
    for app in [&hall.app, &other] {
        app.engine.sign_of_life().await.unwrap();
    }
    (hall, other)
}

async fn switches(hall: &Hall) -> Vec<String> {
    hall.column("select name from switches order by name").await
}

/// Sends what another node may send; returns how much it began.
async fn send(app: &App) -> usize {
    let (recorder, recording) = Recorder::new(app.engine.clone());
    tokio::spawn(recording);
    let mut started = 0;
    for way in [Way::Email, Way::Sms] {
        // What was judged by switches of before is judged again.
        loop {
            let done = sender::step(&app.engine, way, &recorder, app.engine.now())
                .await
                .unwrap();
            started += done.started;
            if done.claimed == 0 {
                break;
            }
        }
    }
    started
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_before_the_last_writes_were_lost_does_not_leave_again_whichever_node_has_it() {
    let mut server = Server::start();
    let (hall, other) = two(&server).await;
    let known = brief_visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.plan().await;
    server.tell("copy");
    hall.send().await;
    assert!(!hall.take_left().is_empty());
    let lost = brief_visit(&hall, resident(2), "2026-03-05 14:30").await;

    server.tell("standby");
    let refused = other.engine.sign_of_life().await.unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("备库") && why.contains("the server is a standby"), "{why}");
    server.tell("promote");
    // Whatever comes there first finds another server, and writes nothing.
    assert!(other.engine.store.begin().await.is_err());
    other.engine.sign_of_life().await.unwrap();
    assert_eq!(switches(&hall).await, ["server"]);
    assert_eq!(send(&other).await, 0, "the other node has not told what it had sent");
    hall.app.engine.sign_of_life().await.unwrap();
    assert_eq!(switches(&hall).await, ["hold"]);
    let why = hall.column("select reason from switches").await.remove(0);
    assert!(
        why.contains("messages that node") && why.contains("enter it again"),
        "{why}"
    );
    other.engine.look_around().await;
    assert_eq!(send(&other).await, 0, "a person has to look");

    // A number that was given is not given again.
    assert!(hall.app.engine.store.case(&lost).await.unwrap().is_none());
    let later = brief_visit(&hall, resident(3), "2026-03-05 15:30").await;
    assert!(later > lost, "{later} {lost}");

    assert!(hall.app.engine.store.release(hall.now(), "gu").await.unwrap());
    for app in [&hall.app, &other] {
        app.engine.look_around().await;
    }
    assert_eq!(send(&other).await, 0, "all of it had left");
    hall.send().await;
    assert_eq!(hall.take_left(), []);
    let rows = format!(
        "select distinct state || ' ' || reason_en from reminders where case_id = '{known}' and sent_ms is null and way in ('email', 'sms')"
    );
    let rows = hall.column(&rows).await;
    assert!(
        !rows.is_empty()
            && rows
                .iter()
                .all(|row| row.starts_with("accepted") && row.contains("it had left before")),
        "{rows:?}"
    );
    let told = hall.of_the_hall().await;
    for expected in ["xixin sending_held", "gu sending_released"] {
        assert!(told.iter().any(|line| line == expected), "{expected}: {told:?}");
    }
    // What is new leaves.
    hall.plan().await;
    assert!(send(&other).await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promotion_that_loses_nothing_heals_by_itself_once_all_have_compared() {
    let mut server = Server::start();
    let (hall, other) = two(&server).await;
    brief_visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.plan().await;
    hall.send().await;
    let before = hall.take_left().len();
    assert!(before > 0);
    let life = hall.app.engine.store.incarnation().await.unwrap();
    server.tell("standby");
    server.tell("promote");
    hall.app.engine.sign_of_life().await.unwrap();
    assert_eq!(switches(&hall).await, ["server"]);
    hall.app.engine.wait_for_nodes().await.unwrap();
    let why = hall.column("select reason from switches").await.remove(0);
    assert!(
        why.contains("节点 b") && why.contains("the nodes b have not told"),
        "{why}"
    );
    other.engine.sign_of_life().await.unwrap();
    assert!(switches(&hall).await.is_empty());
    assert_ne!(hall.app.engine.store.incarnation().await.unwrap(), life);
    hall.app.engine.look_around().await;
    assert!(hall.app.engine.gate.closed(Way::Email).is_none());
    hall.send().await;
    assert_eq!(hall.take_left(), [], "nothing twice");
    brief_visit(&hall, resident(2), "2026-03-05 14:30").await;
    hall.plan().await;
    assert!(send(&other).await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_dead_is_waited_for_until_it_has_told_or_a_person_goes_on_without_it() {
    for comes_back in [true, false] {
        let mut server = Server::start();
        let (hall, other) = two(&server).await;
        brief_visit(&hall, resident(1), "2026-03-05 09:30").await;
        hall.plan().await;
        other.engine.store.close().await;
        drop(other);
        server.tell("standby");
        server.tell("promote");
        let engine = &hall.app.engine;
        engine.sign_of_life().await.unwrap();
        engine.wait_for_nodes().await.unwrap();
        hall.send().await;
        assert_eq!(hall.take_left(), []);
        let _again = if comes_back {
            Some(hall.node("b").await)
        } else {
            assert!(engine.store.release(hall.now(), "gu").await.unwrap());
            None
        };
        assert!(switches(&hall).await.is_empty());
        engine.look_around().await;
        hall.send().await;
        assert!(!hall.take_left().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_on_a_standby_says_so_and_ends() {
    let mut server = Server::start();
    let database = server.database().await;
    let node = Installation::with(&format!("database = {:?}\n", address(&database)));
    node.run(&["migrate"]).good();
    server.tell("standby");
    let refused = node.run(&["serve"]);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.err.contains("the server is a standby"), "{refused:?}");
    server.tell("promote");
    node.run(&["migrate"]).good();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_that_were_lost_are_known_from_the_log() {
    let mut server = Server::start();
    let (hall, _other) = two(&server).await;
    brief_visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.plan().await;
    hall.send().await;
    let left = hall.take_left().len();
    // Written on the server before, and lost with it: how each attempt ended.
    hall.sql("update reminders set state = 'attempting', holder = (select instance from nodes where name <> 'b') where sent_ms is not null")
        .await;
    hall.sql("update attempts set outcome = 'attempting', ended_ms = null")
        .await;
    server.tell("standby");
    server.tell("promote");
    hall.app.engine.sign_of_life().await.unwrap();
    let states =
        "select distinct state || ' ' || outcome from reminders join attempts on attempts.reminder_id = reminders.id";
    assert_eq!(hall.column(states).await, ["accepted accepted"]);
    assert_eq!(hall.column("select id from attempts").await.len(), left);
}
