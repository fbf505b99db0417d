//! How SQLite goes about every statement of the store: what runs every few seconds must not read a whole table, however large the
//! ledger grows. The statements are read from the sources, so that a new one is looked at without being listed here.

use std::path::Path;

use sqlx::Row as _;

use crate::support::hall::Hall;

/// Tables that grow with every case.
const LARGE: [&str; 8] = [
    "cases",
    "people",
    "keys",
    "agenda",
    "labels",
    "reminders",
    "attempts",
    "events",
];

/// Functions that may read all of a table, because a person asked for it or an index ends the search early.
const MAY_SCAN: [(&str, &str); 12] = [
    ("backup.rs", "COUNTED"),
    ("cases.rs", "open_cases_by_unit"),
    ("events.rs", "HEAD"),
    ("events.rs", "STATE"),
    ("events.rs", "keep_first_head"),
    ("inspect.rs", "is_sealed"),
    ("keys.rs", "unlock"),
    ("reminders.rs", "newest_decision"),
    ("sealing.rs", "seal_people"),
    ("sealing.rs", "seal_cases"),
    ("sealing.rs", "seal_wires"),
    ("verify.rs", "walk"),
];

/// `file function: statement` of every constant that holds SQL.
fn statements() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices(": &str = \"") {
            let name = text[..at].rsplit("const ").next().unwrap();
            let sql = text[at + ": &str = \"".len()..].split("\";").next().unwrap();
            let place = text[..at]
                .rsplit("fn ")
                .next()
                .and_then(|rest| rest.split(['(', '<']).next())
                .unwrap();
            let place = if text[..at].ends_with(&format!("\nconst {name}")) {
                name
            } else {
                place
            };
            let first = sql.split_ascii_whitespace().next().unwrap_or_default();
            // What only PostgreSQL understands.
            let is_other = [" for update", "now_ms()", "unnest(", "pg_"]
                .iter()
                .any(|words| sql.contains(words));
            if ["select", "update", "insert", "delete"].contains(&first) && !is_other {
                found.push((file.clone(), place.to_owned(), sql.to_owned()));
            }
        }
    }
    found
}

#[tokio::test]
async fn no_statement_of_the_store_reads_a_whole_large_table() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let partial = hall
        .column("select name from sqlite_master where type = 'index' and sql like '% where %'")
        .await;
    let statements = statements();
    for expected in [
        "claim_due",
        "next_not_before",
        "next_fallback",
        "take_due",
        "next_wake",
        "take_of_other_rules",
        "any_expired",
        "release_expired",
        "settle_interrupted",
        "queue_counts",
        "open_tasks",
        "agenda_of",
        "told_since",
        "wake_held",
        "held_counts",
        "troubles",
        "outcome_counts",
        "open_after",
        "waiting_of",
        "bookings",
        "count_labels",
        "to_greet",
        "open_cases_after",
        "touch_of",
        "touch_others_of",
    ] {
        assert!(statements.iter().any(|(_, place, _)| place == expected), "{expected}");
    }
    let mut connection = hall.connection().await;
    let mut scans = Vec::new();
    for (file, place, sql) in statements {
        if MAY_SCAN.contains(&(file.as_str(), place.as_str())) {
            continue;
        }
        let plan = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("explain query plan {sql}")))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        for step in plan {
            let step: String = step.get("detail");
            let mut words = step.split_ascii_whitespace();
            let alias = (words.next() == Some("SCAN")).then(|| words.next().unwrap_or_default());
            let Some(alias) = alias else { continue };
            let large = LARGE
                .iter()
                .any(|table| alias == *table || sql.contains(&format!("{table} as {alias}")));
            let by_partial = partial.iter().any(|index| step.ends_with(&format!(" INDEX {index}")));
            if large && !by_partial {
                scans.push(format!("{file} {place}: {step}"));
            }
        }
    }
    assert_eq!(scans, [] as [&str; 0]);
}

#[tokio::test]
async fn what_is_in_trouble_is_found_without_walking_through_the_cases() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let mut connection = hall.connection().await;
    for (function, first) in [
        ("troubles", "SEARCH r USING INDEX reminders_trouble"),
        ("outcome_counts", "SEARCH a USING INDEX attempts_ended"),
        ("release_expired", "reminders USING INDEX reminders_leased"),
        ("next_fallback", "reminders USING INDEX reminders_fallback"),
        ("take_of_other_rules", "cases USING INDEX cases_live"),
        ("bookings", "SEARCH agenda USING INDEX agenda_bound"),
        ("count_labels", "SEARCH labels USING INDEX labels_day"),
        ("to_greet", "SEARCH labels USING INDEX labels_owner"),
        ("touch_of", "SEARCH cases USING INDEX cases_resident"),
    ] {
        for (_, _, sql) in statements().into_iter().filter(|(_, place, _)| place == function) {
            let plan = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("explain query plan {sql}")))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let step: String = plan[0].get("detail");
            assert!(step.contains(first), "{function}: {step}");
        }
    }
}

#[tokio::test]
async fn what_is_claimed_next_is_read_in_its_order_and_never_sorted() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let mut connection = hall.connection().await;
    let due = statements()
        .into_iter()
        .find(|(_, place, _)| place == "claim_due")
        .unwrap()
        .2;
    assert!(due.contains("order by -priority, valid_until_ms, id"), "{due}");
    let plan = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("explain query plan {due}")))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
    assert!(
        steps
            .iter()
            .any(|step| step.contains("SEARCH reminders USING INDEX reminders_claim (way=?)")),
        "{steps:?}"
    );
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
}
