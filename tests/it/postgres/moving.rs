//! `xixin move`: everything goes over and comes back, what is due leaves once, and what cannot be moved stays where it was.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use xixin::app::{App, Place};
use xixin::clock::{Clock as _, SystemClock};
use xixin::domain::event::Event;
use xixin::store::{StoreError, events};

use crate::postgres::POSTGRES;
use crate::support::daemon::{Installation, Ran};
use crate::support::hall::Hall;
use crate::support::intake::{brief_start, brief_visit, promise, resident};
use crate::support::postgres::{address, fresh};
use crate::support::rulebook::at;

const SQLITE: &str = "sqlite:xixin.db";

fn verb(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xixin"));
    command.env_clear().env("XIXIN_CONFIG", config).args(arguments);
    command
}

fn moving(config: &Path, from: &str, to: &str) -> Command {
    verb(config, &["move", "--from", from, "--to", to, "--as", "gu", "--json"])
}

fn moved(config: &Path, from: &str, to: &str) -> Ran {
    Ran::of(moving(config, from, to).output().unwrap())
}

/// The process ends, and a new one starts on this database; `before` is done between.
async fn go_on(hall: Hall, database: &str, before: impl FnOnce(&Path)) -> Hall {
    let config = hall.config();
    let settings = format!("database = {database:?}\n");
    let hall = hall
        .crash_and(|_| async move {
            before(&config);
            std::fs::write(config.join("conf.d/20-database.toml"), settings).unwrap();
        })
        .await;
    hall.app.engine.look_around().await;
    hall
}

async fn on_sqlite(state: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(state.join("xixin.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn on_server(server: &PgConnectOptions, sql: &str) {
    let mut connection = server.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn count(server: &PgConnectOptions, from: &str) -> i64 {
    let mut connection = server.connect().await.unwrap();
    let sql = format!("select count(*) from {from}");
    let count = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await;
    connection.close().await.unwrap();
    count.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_leaves_once_wherever_it_was_moved_to_and_nothing_leaves_from_where_it_was() {
    let server = address(&fresh().await);
    let hall = Hall::open_quiet("2026-03-04 08:50", "").await;
    hall.without_digest("2026-03-04").await;
    for number in 0..5 {
        brief_visit(&hall, resident(number), &brief_start(number)).await;
    }
    hall.run_until("2026-03-04 09:30").await;
    let before = hall.take_left().len();
    assert!(before > 0);
    let name = hall.app.engine.store.incarnation().await.unwrap();

    let hall = go_on(hall, &server, |config| drop(moved(config, SQLITE, &server).good())).await;
    let store = &hall.app.engine.store;
    assert_eq!(store.incarnation().await.unwrap(), name, "sent.log goes on with it");
    assert_eq!(store.switches().await.unwrap(), []);
    assert!(store.verify_events(None).await.unwrap().holds());
    hall.run_until("2026-03-04 10:10").await;
    assert_eq!(hall.take_left().len(), 5, "residents");

    let mut hall = go_on(hall, "sqlite:back.db", |config| {
        drop(moved(config, &server, "sqlite:back.db").good());
    })
    .await;
    assert_eq!(hall.app.engine.store.incarnation().await.unwrap(), name);
    assert_eq!(hall.app.engine.store.switches().await.unwrap(), []);
    hall.run_until("2026-03-04 10:30").await;
    assert_eq!(hall.take_left(), []);
    // Both that were left, in spite of what they say.
    for old in [SQLITE, server.as_str()] {
        hall.clock.set(at("2026-03-04 09:30"));
        hall = go_on(hall, old, |config| {
            drop(Ran::of(verb(config, &["move", "--return", old, "--as", "gu"]).output().unwrap()).good());
        })
        .await;
        let switches = hall.app.engine.store.switches().await.unwrap();
        let held = switches.iter().find(|switch| switch.name == "hold").unwrap();
        assert!(held.reason.contains("moved to"), "{held:?}");
        hall.run_until("2026-03-04 12:00").await;
        assert_eq!(hall.take_left(), [], "{old}");
    }
}

fn sums(ran: Ran) -> Vec<(String, i64, String)> {
    assert_eq!(ran.code, 0, "{ran:?}");
    let told: Value = ran.json();
    let tables = told["tables"].as_array().unwrap();
    let sum = |table: &Value| {
        let text = |field: &str| table[field].as_str().unwrap().to_owned();
        (text("table"), table["rows"].as_i64().unwrap(), text("sha256"))
    };
    tables.iter().map(sum).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_every_table_goes_over_and_comes_back() {
    let database = fresh().await;
    let server = address(&database);
    let hall = Hall::open("2026-03-04 08:50").await;
    for number in 0..3 {
        promise(&hall, resident(number), "2026-03-05").await;
    }
    hall.run_until("2026-03-05 12:00").await;
    // More rows than go over at once, and what no morning brings by itself.
    hall.sql(
        "with recursive n (n) as (values (1) union all select n + 1 from n where n < 1234)
         insert into runs select 'x', n, n, '钥''匙' || n from n;
         insert into holds (id, kind, key, opened_ms, reason_zh, reason_en) values ('h', 'k', '', -1, '', 'r');
         insert into inbound (id, received_ms, provider, body) values ('i', 9223372036854775807, 'p', '');
         insert into guard_alike values ('2026-03-04', 's', 3);
         insert into guard_texts values ('t', 's', 1, null, 0);
         insert into requests values ('system:x', 'k', 's', '{}', 1);
         insert into sent_earlier values ('00', 'doubtful', 'n', 1);",
    )
    .await;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let _back = go_on(hall, "sqlite:back.db", |config| {
        first = sums(moved(config, SQLITE, &server));
        second = sums(moved(config, &server, "sqlite:back.db"));
    })
    .await;
    let mut listed = database.connect().await.unwrap();
    let names = "
        select cast(tablename as text) from pg_tables
        where schemaname = 'public' and tablename not in ('_sqlx_migrations', 'nodes') order by 1";
    let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut listed).await.unwrap();
    let mut told: Vec<String> = first.iter().map(|(name, ..)| name.clone()).collect();
    told.sort();
    assert_eq!(told, names);
    for ((name, rows, sum), again) in first.iter().zip(&second) {
        assert_eq!(*name, again.0);
        match name.as_str() {
            // Each move is an event, and the kinds of database differ in what they note of themselves.
            "events" => assert_eq!(rows + 2, again.1, "released, and held again"),
            "meta" | "switches" => {}
            _ => assert_eq!((rows, sum), (&again.1, &again.2), "{name}"),
        }
        let may_be_empty = ["guard_days", "labels"];
        assert!(*rows > 0 || may_be_empty.contains(&name.as_str()), "{name} is empty");
    }
}

/// An installation with a database and a case.
fn filled() -> Installation {
    let made = Installation::new();
    let document = made.config().join("case.json");
    let case = r#"{ "resident": { "name": "测试一", "phone": "13900000001" }, "matter": "cremation_certificate", "request": "测试" }"#;
    std::fs::write(&document, case).unwrap();
    made.run(&["case", "add", document.to_str().unwrap(), "--as", "zhou"])
        .good();
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_moved_stays_where_it_was_and_nothing_is_left_in_the_target() {
    let (server, made) = (fresh().await, filled());
    let to = address(&server);
    on_sqlite(&made.state(), "insert into runs values ('x', 'y', 0, 'a' || char(0))").await;
    let refused = moved(&made.config(), SQLITE, &to);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("not the same in the copy: runs;"), "{refused:?}");
    on_sqlite(&made.state(), "update runs set holder = 'a' where name = 'x'").await;

    on_server(
        &server,
        "create function falsify() returns trigger language plpgsql as $$ begin new.holder := new.holder || '!'; return new; end $$;
         create trigger falsify before insert on runs for each row execute function falsify()",
    )
    .await;
    let refused = moved(&made.config(), SQLITE, &to);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("not the same in the copy: runs;"), "{refused:?}");
    for table in ["runs", "cases", "keys", "events", "meta where name not like 'lock:%'"] {
        assert_eq!(count(&server, table).await, 0, "{table}");
    }
    let held = made.run(&["preview"]).good();
    assert!(!held.contains("moved to"), "{held}");

    on_server(
        &server,
        "create or replace function falsify() returns trigger language plpgsql as
         $$ begin raise exception 'no room' using errcode = 'disk_full'; end $$",
    )
    .await;
    let refused = moved(&made.config(), SQLITE, &to);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("the disk is full and nothing was written"),
        "{refused:?}"
    );

    on_server(&server, "drop trigger falsify on runs").await;
    moved(&made.config(), SQLITE, &to).good();
    assert_eq!(count(&server, "cases").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_would_lose_or_double_something_is_refused_with_what_to_do() {
    let (server, made) = (fresh().await, filled());
    let to = address(&server);
    let refuse = |from: &str, to: &str, code: i32, why: &str| {
        let refused = moved(&made.config(), from, to);
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.err.contains(why), "{why}: {refused:?}");
        assert!(!refused.err.contains("sesame"), "{refused:?}");
    };
    refuse("mysql://x", &to, 1, "--from: 应为");
    refuse(
        "postgres://a:sesame@localhost/b",
        &to,
        1,
        "a password stands in the address",
    );
    refuse(SQLITE, "sqlite:./xixin.db", 1, "are the same database");
    refuse(&to, &to, 1, "are the same database");
    refuse("sqlite:none.db", &to, 1, "there is no database");
    refuse(SQLITE, "sqlite:elsewhere/new.db", 1, "copy it there as it is");
    refuse(&to, "sqlite:new.db", 78, "xixin migrate");
    assert!(!made.state().join("new.db").exists(), "nothing was made");

    let daemon = made.serve();
    refuse(SQLITE, &to, 73, "is in use by another xixin daemon");
    drop(daemon);

    let key = made.state().join("xixin.key");
    let right = std::fs::read(&key).unwrap();
    std::fs::copy(filled().state().join("xixin.key"), &key).unwrap();
    refuse(SQLITE, &to, 78, "sealed with another key");
    std::fs::write(&key, right).unwrap();

    moved(&made.config(), SQLITE, &to).good();
    refuse(
        SQLITE,
        "sqlite:new.db",
        78,
        "everything in this database was moved to postgres://",
    );
    let again = moved(&made.config(), SQLITE, &to).good();
    assert!(again.contains("already"), "{again}");
    let refused = moved(&filled().config(), SQLITE, &to);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("cases 1"), "{refused:?}");

    // A node elsewhere has no lock on this machine.
    let node = Installation::with(&format!("database = {to:?}\n"));
    std::fs::create_dir_all(node.state()).unwrap();
    for key in ["xixin.key", "chain.key"] {
        std::fs::copy(made.state().join(key), node.state().join(key)).unwrap();
    }
    let _daemon = node.serve();
    refuse(&to, "sqlite:new.db", 73, "these nodes still use");
}

/// A case that is opened by whoever had opened the database before it was moved would be nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_writes_into_a_database_that_was_left() {
    let (server, made) = (fresh().await, filled());
    let to = address(&server);
    let place = || Place::new(made.config());
    let early = App::open(place(), Arc::new(SystemClock)).await.unwrap();
    moved(&made.config(), SQLITE, &to).good();

    let mut tx = early.engine.store.begin().await.unwrap();
    let event = Event::SendingHeld { hold: "x".to_owned() };
    let refused = events::append_house(&mut tx, SystemClock.now(), "zhou", &[event]).await;
    assert!(matches!(refused, Err(StoreError::Moved { .. })), "{refused:?}");
    drop(tx);
    for arguments in [["preview", "--json"].as_slice(), &["case", "list"], &["serve"]] {
        let refused = made.run(arguments);
        assert_eq!(refused.code, 78, "{refused:?}");
        assert!(refused.err.contains("was moved to postgres://"), "{refused:?}");
    }
    let doctor = made.run(&["doctor"]);
    assert!(doctor.out.contains("is being moved to postgres://"), "{doctor:?}");
}

/// A node that is started between two steps of a move from elsewhere finds nothing in the target, and takes the database back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_a_start_has_ended_copies_nothing() {
    let (server, made) = (fresh().await, filled());
    let from = address(&server);
    moved(&made.config(), SQLITE, &from).good();
    let mut gate = server.connect().await.unwrap();
    sqlx::raw_sql("begin; lock table agenda in share mode")
        .execute(&mut gate)
        .await
        .unwrap();
    let mover = moving(&made.config(), &from, "sqlite:back.db")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let waits = "pg_locks where locktype = 'relation' and not granted";
    while count(&server, waits).await == 0 {}
    on_server(&server, "delete from meta where name = 'moved_to'").await;
    gate.close().await.unwrap();
    let refused = Ran::of(mover.wait_with_output().unwrap());
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("a node was started meanwhile"), "{refused:?}");
}

/// How far a move comes before it is killed: what stops it, the table whose rows it begins then, and whether the target is whole in the end.
const KILLED: [(&str, &str, bool); 2] = [
    (
        "create trigger wait before insert on runs for each row execute function wait()",
        "runs",
        false,
    ),
    (
        "create constraint trigger wait after insert on runs deferrable initially deferred for each row execute function wait()",
        "switches",
        true,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_next_start_says_which_of_the_two_counts() {
    for (trigger, last, is_whole) in KILLED {
        let (server, made) = (fresh().await, filled());
        on_sqlite(&made.state(), "insert into runs values ('x', 'y', 0, 'z')").await;
        let to = address(&server);
        let mut gate = server.connect().await.unwrap();
        POSTGRES.run(&mut gate).await.unwrap();
        let wait = "create function wait() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(1); return new; end $$;";
        on_server(&server, &format!("{wait} {trigger}")).await;
        sqlx::raw_sql("select pg_advisory_lock(1)")
            .execute(&mut gate)
            .await
            .unwrap();

        let mut mover = moving(&made.config(), SQLITE, &to)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(mover.stderr.take().unwrap()).lines();
        let line = format!("copying: {last} 0");
        told.map_while(Result::ok).find(|told| told.ends_with(&line)).unwrap();
        let waits = "pg_locks where locktype = 'advisory' and not granted";
        while count(&server, waits).await == 0 {}
        let refused = made.run(&["preview"]);
        assert_eq!(refused.code, 78, "{refused:?}");
        assert!(refused.err.contains("is being moved to postgres://"), "{refused:?}");
        mover.kill().unwrap();
        mover.wait().unwrap();
        gate.close().await.unwrap();

        if is_whole {
            let refused = made.run(&["serve"]);
            assert_eq!(refused.code, 78, "{refused:?}");
            assert!(refused.err.contains("was moved to postgres://"), "{refused:?}");
            made.write("conf.d/30-database.toml", &format!("database = {to:?}\n"));
        } else {
            let daemon = made.serve();
            daemon.logged("was cut off before anything was committed there");
        }
        let _daemon = is_whole.then(|| made.serve());
        let preview = made.run(&["preview"]).good();
        assert!(!preview.contains("moved to"), "{preview}");
        assert_eq!(count(&server, "cases").await, i64::from(is_whole));
    }
}

/// Where nobody can say what became of a move, nothing is sent from either, unless a person decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_beside_a_target_that_cannot_be_asked_is_refused_until_somebody_decides() {
    let made = filled();
    let note = r#"{"id":"x","to":"postgres://a@127.0.0.1:1/b","held":true,"is_done":false}"#;
    on_sqlite(
        &made.state(),
        &format!("insert into meta values ('moved_to', '{note}')"),
    )
    .await;
    made.write("conf.d/30-tls.toml", "[postgres]\ntls = \"none\"\n");
    let refused = made.run(&["serve"]);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.err.contains("the target cannot be reached"), "{refused:?}");
    made.run(&["move", "--return", SQLITE, "--as", "gu"]).good();
    let _daemon = made.serve();
    let status = made.run(&["ctl", "status"]).good();
    assert!(status.contains("back to the database from before the move"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_of_another_version_are_not_moved_and_not_moved_into() {
    let (server, made) = (fresh().await, filled());
    let to = address(&server);
    let mut connection = server.connect().await.unwrap();
    POSTGRES.run(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let newest = "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)";
    on_server(&server, newest).await;
    let refused = moved(&made.config(), SQLITE, &to);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("made by another version"), "{refused:?}");
    on_sqlite(&made.state(), newest).await;
    let refused = moved(&made.config(), SQLITE, &address(&fresh().await));
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.err.contains("then run xixin migrate"), "{refused:?}");
}
