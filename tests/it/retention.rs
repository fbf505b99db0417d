//! Records whose period is over go, with proof; what is open or planned stays.

use serde_json::json;
use xixin::domain::ids::CaseId;
use xixin::engine::retention::{self, Counts};
use xixin::vault::{Cipher, Key, Masters};

use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::intake::{promise, resident};
use crate::support::rulebook::at;

async fn verified(hall: &Hall) -> i64 {
    let verdict = hall.app.engine.store.verify_events(None).await.unwrap();
    assert!(verdict.holds(), "{verdict:?}");
    verdict.blanked
}

async fn count(hall: &Hall, what: &str) -> String {
    hall.column(&format!("select count(*) || '' from {what}"))
        .await
        .remove(0)
}

/// A case that is done with: closed, and everything that follows closing is over too.
async fn closed(hall: &Hall, number: u32) -> CaseId {
    let case =
        json!({ "resident": resident(number), "matter": "hard_case", "request": "x", "unit": "taoranting-window" });
    let case = hall.take_in("lin", case).await;
    let close = json!({ "do": "close", "as": "withdrawn", "reason": "居民撤回" });
    hall.act("lin", &case, close).await.unwrap();
    case
}

#[tokio::test]
pub(crate) async fn closed_cases_go_when_their_period_is_over_and_open_ones_never() {
    let hall = Hall::open_with("2026-03-02 10:00", "[retention]\nclosed_cases_days = 30\n").await;
    let gone = closed(&hall, 1).await;
    let open = promise(&hall, resident(2), "2027-12-01").await;
    hall.run_until("2026-03-20 12:00").await;
    // What follows the closing is done with, too.
    for item in hall.column("select case_id || ' ' || item from agenda").await {
        if let Some(item) = item.strip_prefix(&format!("{gone} ")) {
            hall.act("lin", &gone, json!({ "do": "done", "item": item }))
                .await
                .unwrap();
        }
    }
    hall.run_until("2026-03-30 12:00").await;
    let engine = &hall.app.engine;
    let early = retention::preview(engine, at("2026-03-30 12:00")).await.unwrap();
    assert_eq!(early.closed_cases, 0, "{early:?}");
    let now = at("2026-06-10 12:00");
    hall.sql(&format!(
        "update reminders set state = 'cancelled' where case_id = '{gone}' and state in ('queued', 'task', 'held')"
    ))
    .await;
    let counts = retention::preview(engine, now).await.unwrap();
    assert_eq!(counts.closed_cases, 1, "{counts:?}");
    let done = retention::run(engine, "gu", now).await.unwrap();
    assert_eq!(done, counts);
    assert_eq!(hall.column("select id from cases").await, [open.to_string()]);
    assert_eq!(count(&hall, "people").await, "1", "who has no case left goes with it");
    for table in ["reminders", "agenda", "labels"] {
        assert_eq!(
            count(&hall, &format!("{table} where case_id = '{gone}'")).await,
            "0",
            "{table}"
        );
    }
    assert_eq!(
        count(&hall, "attempts where reminder_id not in (select id from reminders)").await,
        "0"
    );
    assert_eq!(
        count(
            &hall,
            &format!("events where case_id = '{gone}' and kind = 'fact' and body <> ''")
        )
        .await,
        "0",
        "the words of its events are gone, the events are not"
    );
    assert!(verified(&hall).await > 0);
    let proofs = hall
        .column("select proof from events where kind = 'proof' order by seq")
        .await;
    assert!(
        proofs.iter().any(|proof| proof.starts_with("purged closed_cases 1 ")),
        "{proofs:?}"
    );
    assert_eq!(
        retention::run(engine, "gu", now).await.unwrap(),
        Counts::default(),
        "nothing is left to take"
    );
    hall.plan().await;
}

#[tokio::test]
pub(crate) async fn old_attempts_go_but_the_decisions_of_their_cases_stay() {
    let hall = Hall::open_with(
        "2026-03-02 08:00",
        "[retention]\nclosed_cases_days = 0\ndeliveries_days = 30\n",
    )
    .await;
    promise(&hall, resident(1), "2026-03-05").await;
    hall.run_until("2026-03-06 12:00").await;
    let (attempts, decisions) = (
        count(&hall, "attempts").await,
        count(&hall, "reminders where case_id <> ''").await,
    );
    assert_ne!(attempts, "0");
    let of_open = count(
        &hall,
        "attempts where reminder_id in (select id from reminders where case_id <> '')",
    )
    .await;
    let now = at("2026-06-10 12:00");
    retention::run(&hall.app.engine, "gu", now).await.unwrap();
    assert_eq!(count(&hall, "attempts").await, of_open, "of open cases they stay");
    assert_eq!(count(&hall, "reminders where case_id <> ''").await, decisions);
    assert_eq!(
        count(&hall, "reminders where case_id = ''").await,
        "0",
        "digests go with their attempts"
    );
    assert_eq!(verified(&hall).await, 0);
}

#[tokio::test]
pub(crate) async fn the_daily_run_happens_once_a_day_and_not_while_the_time_is_in_doubt() {
    let hall = Hall::open_with("2026-03-02 02:00", "[retention]\ninbound_days = 30\n").await;
    let engine = &hall.app.engine;
    let text = |id: &str| {
        format!("insert into inbound (id, received_ms, provider, body, handled_ms) values ('{id}', 0, 'x', '退订', 1)")
    };
    hall.sql(&text("1")).await;
    hall.sql("insert into inbound (id, received_ms, provider, body) values ('2', 0, 'x', '1')")
        .await;
    assert_eq!(
        retention::step(engine, at("2026-03-02 02:00")).await.unwrap().total(),
        0,
        "too early"
    );
    engine
        .store
        .pause("clock", at("2026-03-02 02:00"), "xixin", "x")
        .await
        .unwrap();
    engine.look_around().await;
    assert_eq!(
        retention::step(engine, at("2026-03-02 04:00")).await.unwrap().total(),
        0,
        "in doubt"
    );
    hall.sql("delete from switches").await;
    engine.look_around().await;
    let returned = engine
        .store
        .keep_returned(b"Subject: x\r\n\r\n", at("2026-01-30 04:00"), 9);
    assert!(returned.await.unwrap().is_some());
    let done = retention::step(engine, at("2026-03-02 04:00")).await.unwrap();
    assert_eq!(
        done.inbound, 2,
        "what waits for somebody stays, except mail nobody made sense of: {done:?}"
    );
    assert_eq!(engine.store.returned_count().await.unwrap(), 0);
    hall.sql(&text("3")).await;
    assert_eq!(
        retention::step(engine, at("2026-03-02 05:00")).await.unwrap().total(),
        0,
        "once a day"
    );
    assert_eq!(
        retention::step(engine, at("2026-03-03 03:30")).await.unwrap().inbound,
        1
    );
    assert_eq!(verified(&hall).await, 0);
}

#[tokio::test]
async fn what_strangers_wrote_goes_when_its_period_is_over_with_a_proof() {
    let hall = Hall::open_with("2026-03-02 02:00", "[retention]\ninbox_days = 30\n").await;
    let wrote = |id: &str, day: &str, looked: &str| {
        let ms = at(&format!("{day} 09:00")).as_millisecond();
        format!(
            "insert into inbound (id, received_ms, provider, body, look_ms) values ('{id}', {ms}, 'x', '我是谁', {looked})"
        )
    };
    hall.sql(&wrote("old", "2026-01-30", "null")).await;
    hall.sql(&wrote("new", "2026-02-27", "null")).await;
    hall.sql(&wrote("not handled yet", "2026-01-30", "9999999999999")).await;
    let (engine, now) = (&hall.app.engine, at("2026-03-02 04:00"));
    let counts = retention::preview(engine, now).await.unwrap();
    assert_eq!((counts.inbox, counts.total()), (1, 1), "{counts:?}");
    assert_eq!(retention::step(engine, now).await.unwrap(), counts);
    assert_eq!(
        hall.column("select id from inbound order by id").await,
        ["new", "not handled yet"]
    );
    let proofs = hall.column("select proof from events where kind = 'proof'").await;
    assert!(
        proofs
            .iter()
            .any(|proof| proof.starts_with("purged texts_from_strangers 1 ")),
        "{proofs:?}"
    );
    assert_eq!(verified(&hall).await, 0);
}

#[tokio::test]
async fn views_lose_who_looked_and_a_change_to_what_is_left_is_found() {
    let hall = Installation::new();
    let case = r#"{"unit":"taoranting-window","matter":"hard_case","request":"x","resident":{"name":"沈小兰"}}"#;
    hall.write("case.json", case);
    let file = hall.config().join("case.json");
    let added = hall
        .run(&["case", "add", file.to_str().unwrap(), "--as", "lin", "--json"])
        .json();
    let id = added["case"]["id"].as_str().unwrap();
    for verb in [&["case", "show", id][..], &["case", "list"], &["why", id], &["preview"]] {
        let ran = hall.command(verb).env("XIXIN_AS", "lin").output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }
    let database = hall.state().join("xixin.db");
    let key = std::fs::read_to_string(hall.state().join("xixin.key")).unwrap();
    let masters = Masters::new(Key::parse(&key).unwrap(), Vec::new(), Cipher::default());
    let store = xixin::store::Store::open(&database, &masters).await.unwrap();
    let now = at("2030-01-01 00:00");
    let mut tx = store.begin().await.unwrap();
    let rows = xixin::store::blank::blank_access(&mut tx, now, 3, "gu", now)
        .await
        .unwrap();
    xixin::store::commit(tx, "test").await.unwrap();
    assert_eq!(rows, 3);
    let verdict = store.verify_events(None).await.unwrap();
    assert!(verdict.holds() && verdict.blanked == 3, "{verdict:?}");
    store.close().await;
    let ran = hall.run(&["audit", "verify"]).good();
    assert!(ran.contains("of 3 of them") || ran.contains("words of 3"), "{ran}");
    for edit in [
        "update events set at_ms = at_ms + 1 where seq = (select min(seq) from events where purge = 1)",
        "update events set actor = 'lin' where seq = (select min(seq) from events where purge = 1)",
        "update events set purge = 2 where seq = (select min(seq) from events where purge = 1)",
    ] {
        let before = std::fs::read(&database).unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&database);
        let mut db = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{edit}; pragma wal_checkpoint(truncate)")))
            .execute(&mut db)
            .await
            .unwrap();
        sqlx::Connection::close(db).await.unwrap();
        assert_eq!(hall.run(&["audit", "verify"]).code, 1, "{edit}");
        std::fs::write(&database, before).unwrap();
    }
    assert_eq!(hall.run(&["audit", "verify"]).code, 0);
}

#[test]
fn periods_that_are_too_short_are_refused_by_name_and_run_takes_a_supervisor() {
    let hall = Installation::with("[retention]\naccess_days = 90\n");
    let ran = hall.run(&["check"]);
    assert_eq!(ran.code, 78);
    assert!(
        (ran.out.clone() + &ran.err).contains("retention.access_days"),
        "{ran:?}"
    );
    let hall = Installation::new();
    assert_eq!(hall.run(&["migrate"]).code, 0);
    let ran = hall.run(&["retention", "run", "--as", "lin", "--reason", "x"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("this takes a supervisor"), "{ran:?}");
    let ran = hall.run(&["retention", "run", "--as", "gu", "--reason", "演练"]);
    assert!(ran.good().contains("closed cases: 0"));
    let ran = hall.run(&["retention", "preview", "--json"]);
    assert_eq!(ran.json()["access"], 0);
}
