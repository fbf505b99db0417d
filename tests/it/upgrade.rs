//! A database that the first two migrations alone have made, with what people had put into it, is opened by the present program: nothing
//! is lost, the history holds, and work goes on where it stood.

use std::path::Path;

use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use xixin::store::backup::{backup, check};

use crate::support::hall::Hall;
use crate::support::intake::{promise, resident, visit_with};
use crate::vault::as_it_was_before;

const FIRST: [&str; 2] = ["0001_first.sql", "0002_bound.sql"];

/// What is the same before and after: everything but what is sealed since.
const KEPT: [(&str, &str); 8] = [
    (
        "cases",
        "id, version, unit, owner, matter, resident, status, priority, opened_ms, live",
    ),
    ("people", "id, relative_of"),
    (
        "reminders",
        "id, case_id, mark, recipient, way, text, state, reason_zh, due_ms, decided_ms, tries, sent_ms, closed_ms",
    ),
    (
        "attempts",
        "id, reminder_id, epoch, way, started_ms, wire_id, wire_sha256, ended_ms, outcome",
    ),
    ("events", "seq, at_ms, case_id, actor"),
    ("runs", "name, slot, claimed_ms, holder"),
    ("inbound", "id, received_ms, provider, handled_ms"),
    ("switches", "name, who, reason"),
];

async fn open(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    options.journal_mode(SqliteJournalMode::Wal).connect().await.unwrap()
}

async fn rows(connection: &mut SqliteConnection, (table, columns): (&str, &str)) -> Vec<String> {
    let quoted: Vec<String> = columns.split(", ").map(|column| format!("quote({column})")).collect();
    let sql = format!("select {} from {table} order by 1", quoted.join(" || '|' || "));
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .unwrap()
}

/// A database of those days beside the present one, with the same rows in the columns that there were.
async fn as_of_the_first_days(present: &Path, old: &Path) {
    let migrations = tempfile::tempdir().unwrap();
    for file in FIRST {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("migrations/sqlite")
            .join(file);
        std::fs::copy(shipped, migrations.path().join(file)).unwrap();
    }
    let mut connection = open(old).await;
    let migrator = sqlx::migrate::Migrator::new(migrations.path()).await.unwrap();
    migrator.run(&mut connection).await.unwrap();
    let attach = format!("attach '{}' as present", present.display());
    sqlx::raw_sql(AssertSqlSafe(attach))
        .execute(&mut connection)
        .await
        .unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select name from main.sqlite_schema where type = 'table' and name not like 'sqlite_%' and name not like '\\_%' escape '\\'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(tables.len(), 11, "{tables:?}");
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "select name from pragma_table_info('{table}', 'main')"
        )))
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let columns = columns.join(", ");
        let copy = format!("insert into main.{table} ({columns}) select {columns} from present.{table}");
        sqlx::raw_sql(AssertSqlSafe(copy))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    // What those days did not know of.
    let later = "delete from main.meta where name not like 'case_number:%' and name not like 'rules%'";
    sqlx::raw_sql(later).execute(&mut connection).await.unwrap();
    let versions: Vec<i64> = sqlx::query_scalar("select version from main._sqlx_migrations order by 1")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(versions, [1, 2]);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_database_of_the_first_days_is_brought_up_to_date_with_all_that_is_in_it() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let relatives = json!([{ "name": "沈小满", "relation": "女儿", "phone": "13900010001", "opted_in": true }]);
    let case = visit_with(&hall, resident(1), relatives, "2026-03-05 09:30").await;
    promise(&hall, resident(2), "2026-03-03").await;
    promise(&hall, resident(3), "2026-03-06").await;
    hall.run_until("2026-03-03 10:00").await;
    let left = hall.take_left().len();
    assert!(left > 2, "{left}");
    hall.sql(
        "insert into inbound (id, received_ms, provider, body, handled_ms) values ('r-1', 1, 'x', '', 2), ('r-2', 3, 'x', '1', null)",
    )
    .await;
    let store = &hall.app.engine.store;
    store.pause("sms", hall.now(), "gu", "演练").await.unwrap();
    let facts = serde_json::to_value(&store.case(&case).await.unwrap().unwrap().case).unwrap();
    as_it_was_before(&hall).await;
    let mut before = Vec::new();
    let mut connection = hall.connection().await;
    for kept in KEPT {
        before.push(rows(&mut connection, kept).await);
        assert!(!before.last().unwrap().is_empty(), "{kept:?}");
    }
    connection.close().await.unwrap();

    let hall = hall
        .crash_and(|state| async move {
            let (present, old) = (state.join("xixin.db"), state.join("old.db"));
            as_of_the_first_days(&present, &old).await;
            for entry in std::fs::read_dir(&state).unwrap() {
                let path = entry.unwrap().path();
                // Nothing that later versions keep beside it.
                if path.is_file() && !path.file_name().unwrap().to_str().unwrap().starts_with("old.db") {
                    std::fs::remove_file(path).unwrap();
                }
            }
            std::fs::rename(&old, &present).unwrap();
        })
        .await;

    let mut connection = hall.connection().await;
    for (kept, before) in KEPT.into_iter().zip(&before) {
        assert_eq!(&rows(&mut connection, kept).await, before, "{kept:?}");
    }
    connection.close().await.unwrap();
    let store = &hall.app.engine.store;
    let verdict = store.verify_events(None).await.unwrap();
    assert!(verdict.holds(), "{verdict:?}");
    let stored = store.case(&case).await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(&stored.case).unwrap(), facts);
    let people = store.people_of(&stored.case.party.person).await.unwrap();
    assert_eq!(people.resident.unwrap().phone.as_deref(), Some("13900000001"));
    assert_eq!(people.relatives[0].name, "沈小满");
    assert!(
        hall.column("select facts from cases where facts not like 'v1.%'")
            .await
            .is_empty()
    );

    // Nothing leaves a second time; what is due next goes its way, and what was paused stays so.
    hall.settle().await;
    assert_eq!(hall.take_left(), []);
    store.resume("sms").await.unwrap();
    hall.app.engine.look_around().await;
    hall.run_until("2026-03-04 10:00").await;
    assert_eq!(
        hall.rung(&case, "day-before").await,
        ["relatives sms accepted", "resident sms accepted"]
    );
    let next = promise(&hall, resident(4), "2026-03-09").await;
    assert_eq!(next.as_str(), "2026-000004", "the numbers go on");
    let file = hall.dir.path().join("backup.db");
    backup(store.path(), &file).await.unwrap();
    assert_eq!(check(&file).await.unwrap().cases, 4);
    assert!(hall.app.engine.store.verify_events(None).await.unwrap().holds());
}
