//! `xixin move`: everything goes over and comes back, what is due leaves once, and what cannot be moved stays where it was.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::postgres::POSTGRES;
use crate::support::daemon::{Installation, Ran};
use crate::support::hall::Hall;
use crate::support::intake::{brief_start, brief_visit, promise, resident};
use crate::support::postgres::{address, fresh};
use crate::support::rulebook::at;

const SQLITE: &str = "sqlite:xixin.db";

fn moved(config: &Path, from: &str, to: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xixin"));
    command.env_clear().env("XIXIN_CONFIG", config);
    command.args(["move", "--from", from, "--to", to, "--as", "gu", "--json"]);
    Ran::of(command.output().unwrap())
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
        hall = go_on(hall, old, |_| {}).await;
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
         insert into guard_texts values ('t', 's', 1, null, 0);",
    )
    .await;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let _back = go_on(hall, "sqlite:back.db", |config| {
        first = sums(moved(config, SQLITE, &server));
        second = sums(moved(config, &server, "sqlite:back.db"));
    })
    .await;
    let mut listed = database.connect().await.unwrap();
    let names = "select cast(tablename as text) from pg_tables where schemaname = 'public' and tablename <> '_sqlx_migrations' order by 1";
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
        let may_be_empty = ["guard_days", "nodes", "labels"];
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
    refuse(SQLITE, &to, 1, "cases 1");

    // A node elsewhere has no lock on this machine.
    let node = Installation::with(&format!("database = {to:?}\n"));
    std::fs::create_dir_all(node.state()).unwrap();
    for key in ["xixin.key", "chain.key"] {
        std::fs::copy(made.state().join(key), node.state().join(key)).unwrap();
    }
    let _daemon = node.serve();
    refuse(&to, "sqlite:new.db", 1, "connections of xixin still use");
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
