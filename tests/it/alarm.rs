//! The alarm reaches whoever runs the machine by each way that is set up, while the database is of no use; once per trouble, and once more
//! when it is over.

use std::sync::Arc;

use serde_json::Value;
use xixin::app::App;
use xixin::clock::ManualClock;
use xixin::domain::ladder::Way;
use xixin::engine::{heartbeat, sender};
use xixin::store::StoreError;

use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::http_server::{self, HttpServer};
use crate::support::intake::{brief_start, brief_visit, resident};
use crate::support::rulebook::at;
use crate::support::smtp_server::{Script, SmtpServer, Tls};

/// As programs read it: `disk-full standing`.
fn words(server: &HttpServer) -> Vec<String> {
    let body = |request: http_server::Request| -> Value { serde_json::from_str(&request.body).unwrap() };
    let told = server.requests().into_iter().map(body);
    told.map(|told| {
        format!(
            "{} {}",
            told["alarm"].as_str().unwrap(),
            told["state"].as_str().unwrap()
        )
    })
    .collect()
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

fn by_url(server: &HttpServer) -> String {
    format!(
        "[alarm]\nurl = \"http://127.0.0.1:{}/alarm?key=51\"\nevery_min = 60\n",
        server.port
    )
}

/// SQLite says that it is full as soon as it may not grow any more.
async fn may_grow_to(hall: &Hall, pages: &str) {
    let mut tx = hall.app.engine.store.begin().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("pragma max_page_count = {pages}")))
        .execute(tx.sqlite().unwrap())
        .await
        .unwrap();
    tx.rollback().await.unwrap();
}

/// A hall in which 60 messages are due, and no room to record that they are sent.
async fn full(settings: &str) -> Hall {
    let hall = Hall::open_quiet("2026-03-04 08:50", settings).await;
    hall.without_digest("2026-03-04").await;
    for number in 0..60 {
        brief_visit(&hall, resident(number), &brief_start(number)).await;
    }
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    may_grow_to(&hall, "1").await;
    hall
}

async fn cannot_record(hall: &Hall) {
    let failed = sender::step(&hall.app.engine, Way::Email, &hall.recorder, hall.now()).await;
    assert!(failed.as_ref().is_err_and(StoreError::is_full), "{failed:?}");
}

#[tokio::test]
async fn by_url_a_trouble_is_told_once_again_after_a_while_and_when_it_is_over() {
    let server = HttpServer::start(http_server::Act::answer(200, "ok")).await;
    let hall = full(&by_url(&server)).await;
    let engine = &hall.app.engine;
    cannot_record(&hall).await;
    until(|| server.requests().len() == 1).await;
    let told = &server.requests()[0];
    assert!(told.head.starts_with("POST /alarm?key=51 "), "{}", told.head);
    assert!(
        told.head
            .to_ascii_lowercase()
            .contains("content-type: application/json")
    );
    let body: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!(body["zh"], "磁盘已满,暂停发送");
    assert!(body["place"].as_str().unwrap().ends_with("xixin.db"), "{body}");
    assert!(!told.body.contains("怀瑾") && !told.body.contains("1390000"), "{body}");
    // The database stays full; the look is taken every few seconds.
    hall.recorder.flush().await;
    let ballast = hall.dir.path().join("state/xixin.ballast");
    std::fs::create_dir(&ballast).unwrap();
    for minute in ["09:01", "09:30", "09:59"] {
        hall.clock.set(at(&format!("2026-03-04 {minute}")));
        engine.look_around().await;
        engine.look_at_alarms().await;
    }
    assert_eq!(words(&server), ["disk-full standing"]);
    hall.clock.set(at("2026-03-04 10:00"));
    engine.look_around().await;
    engine.look_at_alarms().await;
    assert_eq!(words(&server), ["disk-full standing", "disk-full standing"]);

    std::fs::remove_dir(&ballast).unwrap();
    may_grow_to(&hall, "1000000").await;
    engine.look_around().await;
    assert!(engine.gate.closed(Way::Email).is_none());
    for _ in 0..2 {
        engine.look_at_alarms().await;
    }
    assert_eq!(words(&server)[2..], ["disk-full over"]);
}

#[tokio::test]
async fn an_address_that_does_not_take_it_is_asked_again_soon() {
    for act in [
        http_server::Act::answer(500, "no"),
        http_server::Act::Drop,
        // What follows a redirection would turn the POST into a question.
        http_server::Act::Answer {
            status: 302,
            headers: "Location: /elsewhere\r\n",
            body: String::new(),
        },
    ] {
        let server = HttpServer::start(act).await;
        let hall = full(&by_url(&server)).await;
        cannot_record(&hall).await;
        until(|| server.requests().len() == 1).await;
        hall.app.engine.call().await;
        assert_eq!(server.requests().len(), 1);
        hall.clock.set(at("2026-03-04 09:01"));
        // The first call may not have come to its end yet: it has marked what it tells.
        hall.app.engine.call().await;
        assert_eq!(words(&server), ["disk-full standing", "disk-full standing"]);
    }
}

fn mail(port: u16, password: &std::path::Path) -> String {
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/ca.pem");
    let password = password.display();
    format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"starttls\"\nca = \"{ca}\"\n\
         user = \"hall\"\npassword = {{ file = \"{password}\" }}\ntimeout_s = 5\n"
    )
}

#[tokio::test]
async fn by_mail_it_is_told_encrypted_and_with_the_password_while_the_database_is_damaged() {
    let server = SmtpServer::start(
        Script::polite()
            .tls(Tls::AfterStarttls, "right")
            .login("AUTH PLAIN AGhhbGwAc2VzYW1l"),
    )
    .await;
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "sesame\n").unwrap();
    let settings = format!(
        "{}[alarm]\nmail_to = \"ops@example.org\"\n",
        mail(server.port, &password)
    );
    let hall = Hall::open_with("2026-03-04 08:50", &settings).await;
    let (place, clock) = (hall.place(), ManualClock::new(hall.now()));
    hall.app.engine.store.close().await;
    let database = hall.app.engine.store.path().to_owned();
    drop((hall.app, hall.recorder));
    // The daemon finds a file that is no database any more.
    let whole = std::fs::read(&database).unwrap();
    let mut torn = whole.clone();
    torn[..4096].fill(0xff);
    std::fs::write(&database, torn).unwrap();
    for start in 0..3 {
        let refused = App::open_for_service(place.clone(), Arc::new(clock.clone())).await;
        assert!(refused.is_err(), "start {start}");
    }
    let received = server.received();
    assert_eq!(received.len(), 1, "once, however often it is started");
    assert!(received[0].to[0].contains("ops@example.org"));
    let text = String::from_utf8(received[0].text.clone()).unwrap();
    assert!(
        text.contains("Importance: high") || text.contains("X-Priority"),
        "{text}"
    );
    let said = server.commands();
    let place_of = |verb: &str| said.iter().position(|line| line.starts_with(verb)).unwrap();
    assert!(
        place_of("STARTTLS") < place_of("AUTH") && place_of("AUTH") < place_of("MAIL"),
        "{said:?}"
    );

    // It is mended: whoever was told hears of it.
    std::fs::write(&database, whole).unwrap();
    let app = App::open_for_service(place, Arc::new(clock)).await.unwrap();
    app.engine.look_at_alarms().await;
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_mail_server_that_shows_another_certificate_hears_nothing_and_keeps_no_other_way_from_telling() {
    let server = SmtpServer::start(Script::polite().tls(Tls::AfterStarttls, "untrusted")).await;
    let told = HttpServer::start(http_server::Act::answer(204, "")).await;
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "sesame\n").unwrap();
    let settings = format!(
        "{}{}mail_to = \"ops@example.org\"\n",
        mail(server.port, &password),
        by_url(&told)
    );
    let hall = Hall::open_with("2026-03-04 08:50", &settings).await;
    let ballast = hall.dir.path().join("state/xixin.ballast");
    std::fs::create_dir(&ballast).unwrap();
    hall.app.engine.look_at_ballast().await;
    until(|| !told.requests().is_empty() && server.connections() > 0).await;
    assert_eq!(words(&told), ["disk-full standing"]);
    hall.app.engine.call().await;
    let said = server.commands().join("\n");
    assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
    assert_eq!(server.received(), []);
}

#[tokio::test]
async fn a_command_that_hangs_delays_no_other_way() {
    let told = HttpServer::start(http_server::Act::answer(200, "")).await;
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let settings = format!("{}command = [\"/bin/cat\", \"{}\"]\n", by_url(&told), fifo.display());
    let hall = Hall::open_with("2026-03-04 08:50", &settings).await;
    std::fs::create_dir(hall.dir.path().join("state/xixin.ballast")).unwrap();
    hall.app.engine.look_at_ballast().await;
    until(|| words(&told) == ["disk-full standing"]).await;
    // Opened for writing and closed: the command comes to its end.
    drop(std::fs::OpenOptions::new().write(true).open(&fifo).unwrap());
}

#[tokio::test]
async fn a_canary_that_does_not_get_through_calls_also_when_the_database_cannot_be_read() {
    let server = HttpServer::start(http_server::Act::answer(200, "ok")).await;
    let settings = format!(
        "[heartbeat]\nto = \"ops@example.org\"\nevery_minutes = 10\nlate_after_minutes = 25\n{}",
        by_url(&server)
    );
    // A Sunday night: no digest, no case.
    let hall = Hall::open_with("2026-03-01 01:00", &settings).await;
    let engine = &hall.app.engine;
    let look = async |time: &str| {
        hall.clock.set(at(&format!("2026-03-01 {time}")));
        let looked = heartbeat::step(engine, hall.now()).await;
        engine.look_at_alarms().await;
        looked
    };
    hall.plan().await;
    hall.send().await;
    look("01:00").await.unwrap();
    engine
        .store
        .pause("email", hall.now(), "gu", "维护,找顾主任")
        .await
        .unwrap();
    engine.look_around().await;
    look("01:25").await.unwrap();
    assert_eq!(words(&server), [""; 0], "not late yet");
    look("01:26").await.unwrap();
    until(|| server.requests().len() == 1).await;
    let told = &server.requests()[0].body;
    assert!(told.contains("已暂停") && !told.contains("顾主任"), "{told}");
    for time in ["01:40", "02:00", "02:25"] {
        look(time).await.unwrap();
    }
    assert_eq!(words(&server), ["canary-late standing"]);
    look("02:26").await.unwrap();
    assert_eq!(words(&server), ["canary-late standing"; 2], "it still stands");

    engine.store.resume("email").await.unwrap();
    engine.look_around().await;
    hall.plan().await;
    hall.send().await;
    look("02:27").await.unwrap();
    assert_eq!(words(&server)[2..], ["canary-late over"]);

    // From here on the ledger cannot be read.
    hall.sql("alter table reminders rename to reminders_away").await;
    assert!(look("02:50").await.is_err());
    assert_eq!(words(&server).len(), 3);
    assert!(look("03:27").await.is_err());
    until(|| words(&server).len() == 4).await;
    assert_eq!(words(&server)[3], "canary-late standing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_cannot_start_says_so_once_and_that_it_runs_again() {
    let server = HttpServer::start(http_server::Act::answer(200, "ok")).await;
    let installation = Installation::with(&by_url(&server));
    let database = installation.state().join("xixin.db");
    installation.run(&["migrate"]).good();
    let whole = std::fs::read(&database).unwrap();
    // No database any more.
    std::fs::write(&database, [0x5a; 8192]).unwrap();
    for _ in 0..2 {
        let started = tokio::task::block_in_place(|| installation.run(&["serve"]));
        assert_ne!(started.code, 0, "{started:?}");
    }
    let told = words(&server);
    assert_eq!(told.len(), 1, "{told:?}");
    let kind = told[0].strip_suffix(" standing").unwrap();
    assert!(["database-damaged", "cannot-start"].contains(&kind), "{kind}");
    std::fs::write(&database, whole).unwrap();
    let daemon = tokio::task::block_in_place(|| installation.serve());
    until(|| words(&server).len() == 2).await;
    assert_eq!(words(&server)[1], format!("{kind} over"));
    drop(daemon);
}
