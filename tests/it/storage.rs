//! A database that stops taking writes: nothing is sent that cannot be recorded, and everything goes on by itself afterwards.

use std::os::unix::fs::FileExt as _;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _};
use xixin::domain::ladder::Way;
use xixin::engine::sender;
use xixin::store::inspect::Version;
use xixin::store::{Store, StoreError};

use crate::support::hall::Hall;
use crate::support::intake::{brief_start, brief_visit, resident, visit};
use crate::support::masters;
use crate::support::rulebook::at;
use crate::support::smtp_server::{Act, Script, SmtpServer, Verb};

async fn due(settings: &str) -> (Hall, xixin::domain::ids::CaseId) {
    let hall = Hall::open_with("2026-03-04 08:50", settings).await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    (hall, case)
}

#[tokio::test]
async fn an_attempt_that_cannot_be_recorded_is_not_made_and_the_gate_closes_until_it_can() {
    let (hall, case) = due("").await;
    let engine = &hall.app.engine;
    let queued = ["hao email queued"];
    hall.sql("alter table attempts rename to attempts_away").await;
    assert!(
        sender::step(engine, Way::Email, &hall.recorder, at("2026-03-04 09:00"))
            .await
            .is_err()
    );
    hall.recorder.flush().await;
    assert!(engine.gate.closed(Way::Email).is_some());
    assert_eq!(
        hall.rung(&case, "day-before-staff").await,
        queued,
        "the batch has gone back"
    );
    assert_eq!(hall.send_by(Way::Email).await, 0);
    engine.look_around().await;
    assert!(
        engine.gate.closed(Way::Email).is_some(),
        "the probe writes what sending writes"
    );
    assert_eq!(hall.take_left(), []);

    hall.sql("alter table attempts_away rename to attempts").await;
    engine.look_around().await;
    assert!(engine.gate.closed(Way::Email).is_none());
    hall.send().await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
    assert_eq!(hall.take_left().len(), 1);
}

/// As a full disk does (SQLite's `raise(rollback)` ends the transaction in the same way).
#[tokio::test]
async fn a_transaction_that_the_database_itself_rolled_back_does_not_stop_the_next() {
    let (hall, case) = due("").await;
    let engine = &hall.app.engine;
    hall.sql("create trigger full before insert on attempts begin select raise(rollback, 'full'); end")
        .await;
    let failed = sender::step(engine, Way::Email, &hall.recorder, at("2026-03-04 09:00")).await;
    assert!(failed.is_err());
    hall.sql("drop trigger full").await;
    hall.recorder.flush().await;
    engine.look_around().await;
    assert!(engine.gate.closed(Way::Email).is_none());
    hall.send().await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_closes_the_gate_and_is_recorded_afterwards() {
    let server = SmtpServer::start_each(vec![Script::polite().on(Verb::Dot, Act::Silence), Script::polite()]).await;
    let settings = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntimeout_s = 1\ndot_timeout_s = 1\n",
        server.port
    );
    let (hall, case) = due(&settings).await;
    let engine = hall.app.engine.clone();
    let sending = tokio::spawn({
        let (engine, recorder) = (engine.clone(), hall.recorder.clone());
        async move {
            sender::step(&engine, Way::Email, &recorder, at("2026-03-04 09:00"))
                .await
                .unwrap()
        }
    });
    server.fell_silent().await;
    hall.sql("alter table attempts rename to attempts_away").await;
    while engine.gate.closed(Way::Email).is_none() {
        tokio::task::yield_now().await;
    }
    engine.look_around().await;
    assert!(engine.gate.closed(Way::Email).is_some());
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email attempting"]);
    hall.sql("alter table attempts_away rename to attempts").await;
    sending.await.unwrap();
    assert!(engine.gate.closed(Way::Email).is_none());
    assert_eq!(
        hall.rung(&case, "day-before-staff").await,
        ["hao email queued"],
        "in doubt: once more in a minute"
    );
    hall.run_until("2026-03-04 09:01").await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
}

#[tokio::test]
async fn a_writer_that_holds_the_database_for_a_while_only_delays() {
    let (hall, case) = due("").await;
    // A second process in the middle of a long write.
    let beside = hall.beside().await;
    let long = beside.engine.store.begin().await.unwrap();
    let engine = hall.app.engine.clone();
    let recorder = hall.recorder.clone();
    let sending =
        tokio::spawn(async move { sender::step(&engine, Way::Email, &recorder, at("2026-03-04 09:00")).await });
    tokio::task::yield_now().await;
    assert_eq!(
        hall.rung(&case, "day-before-staff").await,
        ["hao email queued"],
        "reading goes on"
    );
    drop(long);
    assert_eq!(sending.await.unwrap().unwrap().started, 1);
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
}

#[tokio::test]
async fn a_database_that_stays_busy_is_asked_again_and_does_not_close_the_gate() {
    let (hall, case) = due("").await;
    let engine = &hall.app.engine;
    // The one connection that writes gives up at once, instead of after ten seconds.
    let mut tx = engine.store.begin().await.unwrap();
    sqlx::query("pragma busy_timeout = 0")
        .execute(tx.sqlite().unwrap())
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    let beside = hall.beside().await;
    let long = beside.engine.store.begin().await.unwrap();
    let busy = sender::step(engine, Way::Email, &hall.recorder, at("2026-03-04 09:00"))
        .await
        .unwrap_err();
    assert!(busy.is_busy() && !busy.is_storage_fault(), "{busy:?}");
    assert!(engine.gate.closed(Way::Email).is_none());
    // Waited for: one that is only dropped ends a moment later.
    long.rollback().await.unwrap();
    hall.send().await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
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

#[tokio::test]
async fn a_full_disk_costs_the_ballast_holds_sending_and_is_told_without_the_database() {
    let told = tempfile::tempdir().unwrap();
    let file = told.path().join("alarm.txt");
    let settings = format!(
        "[alarm]\ncommand = [\"/bin/sh\", \"-c\", \"echo $XIXIN_ALARM >> {0}; cat >> {0}; : > {0}.done\"]\n",
        file.display()
    );
    let hall = Hall::open_quiet("2026-03-04 08:50", &settings).await;
    hall.without_digest("2026-03-04").await;
    for number in 0..60 {
        brief_visit(&hall, resident(number), &brief_start(number)).await;
    }
    let engine = &hall.app.engine;
    let ballast = hall.dir.path().join("state/xixin.ballast");
    assert!(engine.keeps_ballast().await && ballast.exists());
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    may_grow_to(&hall, "1").await;
    // So many attempts need pages that the disk has no room for.
    let failed = sender::step(engine, Way::Email, &hall.recorder, at("2026-03-04 09:00")).await;
    assert!(failed.as_ref().is_err_and(StoreError::is_full), "{failed:?}");
    assert_eq!(hall.take_left(), [], "nothing leaves that cannot be recorded");
    assert!(!ballast.exists(), "given up");
    let done = told.path().join("alarm.txt.done");
    while !done.exists() {
        tokio::task::yield_now().await;
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("disk-full\n") && text.contains("磁盘已满"), "{text}");
    assert!(!text.contains("怀瑾") && !text.contains("1390000"), "{text}");

    // A folder in its place: the ballast cannot be taken again.
    hall.recorder.flush().await;
    std::fs::create_dir(&ballast).unwrap();
    engine.look_around().await;
    assert!(engine.gate.closed(Way::Email).is_some());
    assert_eq!(hall.send_by(Way::Email).await, 0);
    std::fs::remove_dir(&ballast).unwrap();
    may_grow_to(&hall, "1000000").await;
    engine.look_around().await;
    assert!(engine.gate.closed(Way::Email).is_none() && ballast.exists());
    hall.settle().await;
    assert_eq!(hall.take_left().len(), 60);
}

#[tokio::test]
async fn a_damaged_database_holds_everything_and_its_file_is_left_as_it_is() {
    let (hall, _) = due("").await;
    let roots = "select cast(rootpage as text) from sqlite_master where name in ('reminders_queue', 'reminders_claim')";
    let roots = hall.column(roots).await;
    let size: u64 = hall
        .column("select cast(page_size as text) from pragma_page_size")
        .await[0]
        .parse()
        .unwrap();
    let hall = hall
        .crash_and(|state| async move {
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(state.join("xixin.db"))
                .unwrap();
            for root in roots {
                let page: u64 = root.parse().unwrap();
                file.write_all_at(&vec![0xff; usize::try_from(size).unwrap()], (page - 1) * size)
                    .unwrap();
            }
        })
        .await;
    let engine = &hall.app.engine;
    let failed = sender::step(engine, Way::Email, &hall.recorder, at("2026-03-04 09:00")).await;
    assert!(failed.as_ref().is_err_and(StoreError::is_damage), "{failed:?}");
    engine.look_around().await;
    let why = engine.gate.closed(Way::Email).unwrap();
    assert!(why.en.contains("damaged"), "{}", why.en);
    assert_eq!(hall.take_left(), []);
    let held = engine.store.switches().await.unwrap();
    assert_eq!((held[0].name.as_str(), held[0].who.as_str()), ("hold", "xixin"));
    let hall = hall.crash().await;
    assert!(
        hall.app.engine.gate.closed(Way::Email).is_some(),
        "also after a restart"
    );
    assert!(hall.app.engine.store.path().exists());
}

#[tokio::test]
async fn a_disk_without_room_for_the_ballast_holds_sending_and_is_told() {
    let told = tempfile::tempdir().unwrap();
    let file = told.path().join("alarm.txt");
    let settings = format!(
        "[alarm]\ncommand = [\"/bin/sh\", \"-c\", \"echo $XIXIN_ALARM > {0}; : > {0}.done\"]\n",
        file.display()
    );
    let (hall, _) = due(&settings).await;
    let engine = &hall.app.engine;
    let ballast = hall.dir.path().join("state/xixin.ballast");
    // A folder in its place: it cannot be taken.
    std::fs::create_dir(&ballast).unwrap();
    engine.look_at_ballast().await;
    assert!(engine.gate.closed(Way::Email).is_some());
    let done = told.path().join("alarm.txt.done");
    while !done.exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "disk-full\n");
}

/// A machine that lost its power during the very first start: SQLite has begun to write the file, and its journal says what to take back.
#[tokio::test]
async fn a_database_that_died_while_it_was_made_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (living, dead) = (dir.path().join("living.db"), dir.path().join("xixin.db"));
    let options = SqliteConnectOptions::new().filename(&living).create_if_missing(true);
    let mut connection = options.journal_mode(SqliteJournalMode::Delete).connect().await.unwrap();
    // More than fits into the cache goes to the file before it is committed.
    let half = "
        create table first (x);
        pragma cache_size = 1;
        begin immediate;
        create table keys (x);
        insert into keys select hex(randomblob(500)) from json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]');";
    sqlx::raw_sql(half).execute(&mut connection).await.unwrap();
    std::fs::copy(&living, &dead).unwrap();
    std::fs::copy(
        dir.path().join("living.db-journal"),
        dir.path().join("xixin.db-journal"),
    )
    .unwrap();
    connection.close().await.unwrap();
    let masters = masters();
    assert!(!Store::is_sealed(&dead).await.unwrap());
    assert!(Store::needs_the_daemon(&dead, &masters).await.unwrap());
    let found = xixin::store::inspect::inspect(&dead).await.unwrap();
    assert!(matches!(found.version, Version::Older { found: 0, .. }), "{found:?}");
    let looked = Store::look(&dead, Some(&masters)).await.unwrap_err();
    assert!(matches!(looked, StoreError::Older { .. }), "{looked}");
    Store::open(&dead, &masters).await.unwrap();
    let found = xixin::store::inspect::inspect(&dead).await.unwrap();
    assert!(matches!(found.version, Version::Current), "{found:?}");
}
