//! The server goes away, in the middle of work or without a word, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use xixin::domain::ladder::Way;
use xixin::engine::{planner, sender};

use crate::support::daemon::{Installation, http};
use crate::support::hall::Hall;
use crate::support::intake::{promise, resident};
use crate::support::postgres::{PASSWORD, Server, address};

/// A case with a right that was lost long ago: the supervisor is told at once.
const LOST: &str = r#"{ "resident": { "name": "测试一" }, "matter": "cremation_certificate", "request": "测试",
                        "deadlines": [{ "kind": "cremation_reissue", "trigger": "2010-03-01" }] }"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_gone_nothing_leaves_and_when_it_is_back_everything_does_by_itself() {
    let mut server = Server::start();
    let database = server.database().await;
    let alarms = tempfile::tempdir().unwrap();
    let told = alarms.path().join("told.sh");
    std::fs::write(
        &told,
        format!("#!/bin/sh\ncat >> {}\n", alarms.path().join("told").display()),
    )
    .unwrap();
    let node = Installation::with(&format!(
        "database = {:?}\n[alarm]\ncommand = [\"/bin/sh\", {told:?}]\n",
        address(&database)
    ));
    let document = node.config().join("case.json");
    std::fs::write(&document, LOST).unwrap();
    let add = || node.run(&["case", "add", document.to_str().unwrap(), "--as", "zhou"]);
    let mut daemon = node.serve();
    for mode in ["immediate", "fast"] {
        server.tell(mode);
        // Whatever wakes it finds nobody.
        assert_eq!(add().code, 69);
        daemon.logged("cannot read what is paused");
        let (status, _) = http(&daemon.http, "GET", "/readyz");
        assert_eq!(status, 503, "{mode}");
        server.tell("start");
        daemon.logged("the database can be written again");
        add().good();
        daemon.logged("by email: accepted");
    }
    let said = std::fs::read_to_string(alarms.path().join("told")).unwrap();
    assert!(said.contains("does not answer"), "{said}");
    daemon.signal(&["TERM"]);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_meets_a_server_that_is_gone_and_the_next_one_goes_on() {
    let mut server = Server::start();
    let hall = Hall::on_server(&server, "2026-03-02 10:00").await;
    promise(&hall, resident(1), "2026-04-09").await;
    let engine = &hall.app.engine;
    server.tell("immediate");
    let error = planner::step(engine, hall.now()).await.unwrap_err();
    assert!(
        error.is_gone() && error.is_storage_fault() && !error.is_busy(),
        "{error:?}"
    );
    let error = sender::step(engine, Way::Email, &hall.recorder, hall.now())
        .await
        .unwrap_err();
    assert!(error.is_gone(), "{error:?}");
    let error = engine.store.begin().await.map(drop).unwrap_err();
    assert!(error.is_gone(), "{error:?}");
    engine.look_around().await;
    assert!(engine.gate.closed(Way::Email).is_some(), "the gate is closed");
    server.tell("start");
    engine.look_around().await;
    assert!(
        engine.gate.closed(Way::Email).is_none(),
        "and open again at the next look"
    );
    assert_eq!(planner::step(engine, hall.now()).await.unwrap().planned, 1);
}

/// Between a node and its server, until it swallows everything without a word.
async fn line_to(port: u16) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap().port();
    let swallows = Arc::new(AtomicBool::new(false));
    let hole = Arc::clone(&swallows);
    tokio::spawn(async move {
        while let Ok((node, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ((from_node, to_node), (from_server, to_server)) = (node.into_split(), server.into_split());
            tokio::spawn(carry(from_node, to_server, Arc::clone(&hole)));
            tokio::spawn(carry(from_server, to_node, Arc::clone(&hole)));
        }
    });
    (at, swallows)
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, swallows: Arc<AtomicBool>) {
    let mut bytes = vec![0; 1 << 16];
    let mut is_lost = false;
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        is_lost |= swallows.load(Ordering::SeqCst);
        if !is_lost && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    // A line that has swallowed anything stays silent, also about its end.
    if is_lost {
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_silent_keeps_nobody_waiting_for_ever() {
    let server = Server::start();
    let database = server.database().await;
    let (port, swallows) = line_to(database.get_port()).await;
    let (user, name) = (database.get_username(), database.get_database().unwrap());
    let hall = Hall::open_edited("2026-03-02 10:00", |config| {
        let password = config.join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let settings = format!(
            "database = \"postgres://{user}@127.0.0.1:{port}/{name}\"\n[postgres]\npassword = {{ file = {password:?} }}\n\
             statement_timeout_s = 1\n"
        );
        std::fs::write(config.join("conf.d/20-test.toml"), settings).unwrap();
    })
    .await;
    let store = &hall.app.engine.store;
    // A transaction in the middle of its work, and everything that comes after it.
    let mut transaction = store.begin().await.unwrap();
    swallows.store(true, Ordering::SeqCst);
    let place = xixin::vault::Place {
        table: "cases",
        column: "facts",
        row: "x",
    };
    let error = transaction.seal(Some(&"p-x".into()), place, "x").await.unwrap_err();
    assert!(error.is_gone(), "{error:?}");
    drop(transaction);
    for error in [store.ping().await.unwrap_err(), store.can_write().await.unwrap_err()] {
        assert!(error.is_gone(), "{error:?}");
    }
    swallows.store(false, Ordering::SeqCst);
    store.ping().await.unwrap();
    store.can_write().await.unwrap();
}
