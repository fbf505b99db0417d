//! The canary: it goes the whole way, and only when it has got through the outside is told.

use xixin::channel::alarm::Alarm;
use xixin::engine::heartbeat;

use crate::support::hall::Hall;
use crate::support::http_server::{Act, HttpServer};
use crate::support::rulebook::at;

async fn look(hall: &Hall) {
    hall.plan().await;
    hall.send().await;
    heartbeat::step(&hall.app.engine, hall.now()).await.unwrap();
}

fn canaries(hall: &Hall) -> usize {
    let left = hall.take_left();
    left.iter().filter(|left| left.to.contains("ops@example.org")).count()
}

async fn late(hall: &Hall) -> bool {
    let waits = hall.app.engine.waits().await.unwrap();
    waits.iter().any(|wait| wait.kind == "canary")
}

#[tokio::test]
pub(crate) async fn the_outside_is_told_once_for_each_canary_that_got_through_and_never_without_one() {
    let server = HttpServer::start(Act::answer(200, "ok")).await;
    let settings = format!(
        "[heartbeat]\nto = \"ops@example.org\"\nevery_minutes = 10\nurl = \"http://127.0.0.1:{}/ping\"\n",
        server.port
    );
    // A Sunday night: no digest, no case.
    let hall = Hall::open_with("2026-03-01 01:00", &settings).await;
    let told = || server.requests().len();
    heartbeat::step(&hall.app.engine, hall.now()).await.unwrap();
    assert_eq!((told(), late(&hall).await), (0, false), "nothing has got through yet");
    look(&hall).await;
    look(&hall).await;
    assert_eq!(
        (canaries(&hall), told()),
        (1, 1),
        "one an interval, however often it is looked at"
    );
    assert!(server.requests()[0].head.starts_with("GET /ping "));
    hall.clock.set(at("2026-03-01 01:10"));
    look(&hall).await;
    assert_eq!((canaries(&hall), told()), (1, 2));

    // The mail stands still: planned all the same, but nothing gets through.
    let store = &hall.app.engine.store;
    store.pause("email", hall.now(), "gu", "维护").await.unwrap();
    hall.app.engine.look_around().await;
    for minute in ["01:20", "01:30"] {
        hall.clock.set(at(&format!("2026-03-01 {minute}")));
        look(&hall).await;
    }
    assert_eq!((canaries(&hall), told(), late(&hall).await), (0, 2, false));
    hall.clock.set(at("2026-03-01 01:31"));
    look(&hall).await;
    assert!(late(&hall).await, "two intervals without one");
    let settings = &hall.app.engine.live.get().settings.heartbeat;
    let age = hall.app.engine.heartbeat.age(settings, hall.now()).unwrap();
    assert_eq!(age.as_mins(), 21);

    store.resume("email").await.unwrap();
    hall.app.engine.look_around().await;
    look(&hall).await;
    assert!(!late(&hall).await);
    assert_eq!(told(), 3, "one word for those that came together");
    let states = "select state from reminders where text = 'canary' order by mark";
    assert_eq!(
        hall.column(states).await,
        ["accepted", "accepted", "accepted", "accepted"]
    );
}

#[tokio::test]
pub(crate) async fn old_canaries_are_cleared_away_and_a_restart_does_not_repeat_the_word() {
    let server = HttpServer::start(Act::answer(200, "ok")).await;
    let settings = format!(
        "[heartbeat]\nto = \"ops@example.org\"\nevery_minutes = 1440\nurl = \"http://127.0.0.1:{}/ping\"\n",
        server.port
    );
    let hall = Hall::open_with("2026-03-01 09:00", &settings).await;
    look(&hall).await;
    assert_eq!(server.requests().len(), 1);
    let hall = hall.crash().await;
    hall.clock.set(at("2026-03-01 09:01"));
    look(&hall).await;
    assert_eq!(server.requests().len(), 1, "the process before has told it");
    for day in 2..=5 {
        hall.clock.set(at(&format!("2026-03-0{day} 09:00")));
        look(&hall).await;
    }
    let kept = "select cast(count(*) as text) from reminders where text = 'canary'";
    assert_eq!(hall.column(kept).await, ["2"]);
    let orphans = "select cast(count(*) as text) from attempts where reminder_id not in (select id from reminders)";
    assert_eq!(hall.column(orphans).await, ["0"]);
}

#[tokio::test]
async fn somebody_is_called_when_no_canary_gets_through_in_time() {
    let settings = "[heartbeat]\nto = \"ops@example.org\"\nevery_minutes = 10\nlate_after_minutes = 25\n";
    // A Sunday night: no digest, no case. Nothing is planned, so no canary leaves.
    let hall = Hall::open_with("2026-03-01 01:00", settings).await;
    let called_for = async |time: &str| {
        hall.clock.set(at(&format!("2026-03-01 {time}")));
        let engine = &hall.app.engine;
        heartbeat::step(engine, hall.now()).await.unwrap();
        let due = engine.bell.due(hall.now(), 60);
        due.iter().map(|word| word.kind).collect::<Vec<_>>()
    };
    assert_eq!(called_for("01:00").await, []);
    assert_eq!(called_for("01:25").await, []);
    assert_eq!(called_for("01:26").await, [Alarm::Canary]);
}
