//! The chain of events: what somebody does to it behind our back is found, and nothing else is.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;
use xixin::domain::event::Event;
use xixin::domain::house::{House, View};
use xixin::domain::ids::{CaseId, ItemId};
use xixin::store::verify::{Fault, Noted, Verdict};
use xixin::store::{Store, commit, events};

use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::intake::{promise, resident};
use crate::support::masters;

const OLD: i64 = 12;
const EVENTS: i64 = 48;

/// A database with events of both forms, and every head it has had.
struct Made {
    dir: TempDir,
    heads: Vec<String>,
}

fn old_seal(before: &str, at_ms: i64, parts: [&str; 3]) -> String {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(at_ms.to_be_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// As `src/store/chain.rs` describes it, written a second time.
fn new_seal(before: &str, row: &Row) -> String {
    let mut leaf = Sha256::new();
    leaf.update(b"xixin event 2\0");
    leaf.update(row.seq.to_be_bytes());
    leaf.update(row.at_ms.to_be_bytes());
    for part in [&row.kind, &row.case_id, &row.actor, &row.proof, &row.body] {
        leaf.update((part.len() as u64).to_be_bytes());
        leaf.update(part);
    }
    let mut hash = Sha256::new();
    hash.update(b"xixin link 2\0");
    hash.update(before);
    hash.update(hex::encode(leaf.finalize()));
    hex::encode(hash.finalize())
}

#[derive(Debug, Clone, sqlx::FromRow)]
struct Row {
    seq: i64,
    at_ms: i64,
    kind: String,
    case_id: String,
    actor: String,
    proof: String,
    body: String,
    form: i64,
    hash: String,
}

async fn connect(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database);
    // What a test does behind our back need not outlive a power cut.
    let options = options.synchronous(sqlx::sqlite::SqliteSynchronous::Off);
    options.connect().await.unwrap()
}

async fn sql(connection: &mut SqliteConnection, sql: String) {
    let sql = sqlx::AssertSqlSafe(sql);
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

async fn rows(connection: &mut SqliteConnection) -> Vec<Row> {
    sqlx::query_as("select seq, at_ms, kind, case_id, actor, proof, body, form, hash from events order by seq")
        .fetch_all(connection)
        .await
        .unwrap()
}

fn event(n: i64) -> Event {
    match n % 5 {
        0 => Event::House(House::Viewed {
            view: View::List,
            cases: 3,
            named: Vec::new(),
            mail: None,
        }),
        1 => Event::BundleComplete,
        n => Event::ItemDone {
            item: ItemId::from(format!("d{n}")),
        },
    }
}

async fn write_one(store: &Store, n: i64) {
    let at = Timestamp::from_millisecond(1_770_000_000_000 + n * 60_000).unwrap();
    let case = CaseId::from(format!("2026-{:06}", n % 7));
    let mut tx = store.begin().await.unwrap();
    events::append(&mut tx, at, &case, "lin", &[event(n)]).await.unwrap();
    commit(tx, "test").await.unwrap();
}

impl Made {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("xixin.db");
        let store = Store::open(&database, &masters()).await.unwrap();
        let mut connection = connect(&database).await;
        let mut head = "0".repeat(64);
        for n in 1..=OLD {
            let (at, body) = (1_760_000_000_000 + n, "{\"event\":\"bundle_complete\"}");
            head = old_seal(&head, at, ["2025-000001", "lin", body]);
            let insert = format!(
                "insert into events (at_ms, case_id, actor, body, hash) values ({at}, '2025-000001', 'lin', '{body}', '{head}')"
            );
            sql(&mut connection, insert).await;
        }
        let mut heads = Vec::new();
        for n in OLD + 1..=EVENTS {
            write_one(&store, n).await;
            heads.push(store.meta("chain_head").await.unwrap().unwrap());
        }
        sql(&mut connection, "pragma wal_checkpoint(truncate)".to_owned()).await;
        connection.close().await.unwrap();
        store.close().await;
        Self { dir, heads }
    }

    /// A copy of all three files, to be tampered with.
    fn copy(&self) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        for name in ["xixin.db", "chain.key", "chain.head"] {
            std::fs::copy(self.dir.path().join(name), dir.path().join(name)).unwrap();
        }
        Copy { dir }
    }
}

struct Copy {
    dir: TempDir,
}

impl Copy {
    fn database(&self) -> PathBuf {
        self.dir.path().join("xixin.db")
    }

    async fn connect(&self) -> SqliteConnection {
        connect(&self.database()).await
    }

    async fn verify(&self, noted: Option<&str>) -> Verdict {
        let store = Store::look(&self.database(), Some(&masters())).await.unwrap();
        let noted = noted.map(|text| text.parse::<Noted>().unwrap());
        let verdict = store.verify_events(noted.as_ref()).await.unwrap();
        store.close().await;
        verdict
    }
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn seq(&mut self, first: i64, last: i64) -> i64 {
        first + i64::try_from(self.below(usize::try_from(last - first + 1).unwrap())).unwrap()
    }
}

const KINDS: usize = 9;

/// Tampers in one of the ways; says how, and at which event it has to show when that can be said.
async fn tamper(kind: usize, dice: &mut Dice, made: &Made, db: &mut SqliteConnection) -> (String, Option<i64>) {
    let seq = dice.seq(1, EVENTS);
    match kind {
        // An edit of any column.
        0 => {
            let edits = [
                "at_ms = at_ms + 1",
                "case_id = case_id || '0'",
                "actor = 'hao'",
                "body = body || ' '",
                "body = cast(body as blob)",
                "hash = replace(replace(hash, 'a', 'b'), '1', '2')",
                "kind = kind || 's'",
                "proof = 'accepted'",
                "form = 3 - form",
                "leaf = hash",
                "purge = 1",
            ];
            let edit = edits[dice.below(edits.len())];
            sql(db, format!("update events set {edit} where seq = {seq}")).await;
            (format!("{edit} at {seq}"), Some(seq))
        }
        // A deletion, not at the end.
        1 => {
            let seq = dice.seq(1, EVENTS - 1);
            let through = (seq + dice.seq(0, 4)).min(EVENTS - 1);
            sql(db, format!("delete from events where seq between {seq} and {through}")).await;
            (format!("delete {seq} to {through}"), Some(seq))
        }
        // Two rows change places, their hashes with them.
        2 => {
            let first = dice.seq(1, EVENTS - 1);
            let second = dice.seq(first + 1, EVENTS);
            sql(
                db,
                format!(
                    "update events set seq = -1 where seq = {first}; update events set seq = {first} where seq = {second};
                     update events set seq = {second} where seq = -1"
                ),
            )
            .await;
            (format!("swap {first} and {second}"), Some(first))
        }
        // A row is put in between, a copy of another.
        3 => {
            let other = dice.seq(1, EVENTS);
            sql(
                db,
                format!(
                    "update events set seq = -seq - 1 where seq >= {seq}; update events set seq = -seq where seq < 0;
                     insert into events (seq, at_ms, case_id, actor, kind, proof, body, form, hash)
                     select {seq}, at_ms, case_id, actor, kind, proof, body, form, hash from events where seq = {other} + ({other} >= {seq})"
                ),
            )
            .await;
            (format!("insert {other} at {seq}"), None)
        }
        // A row is added at the end, with the hash it should have.
        4 => {
            let mut row = rows(db).await.pop().unwrap();
            let before = row.hash.clone();
            row.seq += 1;
            row.at_ms += i64::from(u8::try_from(dice.below(100)).unwrap());
            let hash = new_seal(&before, &row);
            sql(
                db,
                format!(
                    "insert into events (seq, at_ms, case_id, actor, kind, proof, body, form, hash)
                     select {}, {}, case_id, actor, kind, proof, body, form, '{hash}' from events where seq = {EVENTS}",
                    row.seq, row.at_ms
                ),
            )
            .await;
            (format!("append after {}", row.at_ms), None)
        }
        // The end is cut off.
        5 => {
            sql(db, format!("delete from events where seq >= {seq}")).await;
            (format!("cut from {seq}"), None)
        }
        // The end is cut off, and the head of that time is put back.
        6 => {
            let seq = dice.seq(OLD + 2, EVENTS);
            let head = &made.heads[usize::try_from(seq - OLD - 2).unwrap()];
            sql(
                db,
                format!(
                    "delete from events where seq >= {seq}; update meta set value = '{head}' where name = 'chain_head'"
                ),
            )
            .await;
            (format!("cut from {seq}, head put back"), None)
        }
        // A row is edited, and every hash after it is made anew.
        7 => {
            let mut head = "0".repeat(64);
            let mut edits = "begin;".to_owned();
            for mut row in rows(db).await {
                if row.seq == seq {
                    row.actor = "hao".to_owned();
                }
                head = match row.form {
                    1 => old_seal(&head, row.at_ms, [&row.case_id, &row.actor, &row.body]),
                    _ => new_seal(&head, &row),
                };
                let (actor, seq) = (&row.actor, row.seq);
                edits += &format!("update events set actor = '{actor}', hash = '{head}' where seq = {seq};");
            }
            sql(db, edits + "commit").await;
            (format!("rewrite from {seq}"), None)
        }
        // The head itself.
        _ => {
            let edits = [
                "delete from meta where name = 'chain_head'",
                "update meta set value = '' where name = 'chain_head'",
                "update meta set value = replace(value, ' ', '  ') where name = 'chain_head'",
                "update meta set value = '1' || value where name = 'chain_head'",
                "delete from events",
                "update events set seq = seq + 1 where seq = (select max(seq) from events)",
            ];
            let edit = edits[dice.below(edits.len())];
            sql(db, edit.to_owned()).await;
            (edit.to_owned(), None)
        }
    }
}

/// The number of the event at which a fault shows.
fn place(fault: &Fault) -> Option<i64> {
    match fault {
        Fault::Altered { seq } => Some(*seq),
        Fault::Missing { from, .. } => Some(*from),
        _ => None,
    }
}

#[tokio::test]
async fn a_thousand_tamperings_of_every_kind_are_found_and_untouched_copies_pass() {
    let made = Made::new().await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut found = [0; KINDS];
    for n in 0..1000 {
        let copy = made.copy();
        if n % 10 == 0 {
            let verdict = copy.verify(None).await;
            assert!(verdict.holds() && verdict.head.seq == EVENTS, "{verdict:?}");
        }
        let kind = n % KINDS;
        let mut db = copy.connect().await;
        let (how, at) = tamper(kind, &mut dice, &made, &mut db).await;
        db.close().await.unwrap();
        let verdict = copy.verify(None).await;
        assert!(!verdict.holds(), "not found: {how}");
        if at.is_some() {
            assert_eq!(verdict.faults.first().and_then(place), at, "{how}: {verdict:?}");
        }
        found[kind] += 1;
    }
    assert!(found.iter().all(|count| *count >= 100), "{found:?}");
}

#[tokio::test]
async fn a_cut_with_everything_set_back_is_found_by_the_record_of_a_digest() {
    let made = Made::new().await;
    let copy = made.copy();
    let record = copy.verify(None).await.head.short();
    assert!(copy.verify(Some(&record)).await.holds());
    let hash = record.split_once('-').unwrap().1.to_owned();
    assert!(copy.verify(Some(&hash)).await.holds(), "as older digests print it");
    let mut db = copy.connect().await;
    let head = &made.heads[made.heads.len() - 5];
    sql(
        &mut db,
        format!(
            "delete from events where seq > {}; update meta set value = '{head}' where name = 'chain_head'",
            EVENTS - 4
        ),
    )
    .await;
    db.close().await.unwrap();
    std::fs::write(copy.dir.path().join("chain.head"), format!("{head}\n")).unwrap();
    assert!(copy.verify(None).await.holds(), "nothing on this machine knows better");
    let verdict = copy.verify(Some(&record)).await;
    assert_eq!(verdict.faults, [Fault::NotedUnknown { noted: record }]);
    assert!("1234".parse::<Noted>().is_err() && "x-0123456789abcdef".parse::<Noted>().is_err());
}

#[tokio::test]
async fn what_is_written_after_a_cut_does_not_hide_it_until_a_supervisor_has_explained_it() {
    for both in [false, true] {
        let made = Made::new().await;
        let copy = made.copy();
        let mut db = copy.connect().await;
        sql(&mut db, format!("delete from events where seq > {}", EVENTS - 4)).await;
        if both {
            let head = &made.heads[made.heads.len() - 5];
            sql(
                &mut db,
                format!("update meta set value = '{head}' where name = 'chain_head'"),
            )
            .await;
        }
        db.close().await.unwrap();
        let store = Store::open(&copy.database(), &masters()).await.unwrap();
        write_one(&store, 100).await;
        write_one(&store, 101).await;
        let verdict = store.verify_events(None).await.unwrap();
        let at = EVENTS - 3;
        let expected = Fault::Broken {
            at,
            seq: EVENTS.to_string(),
        };
        assert_eq!(verdict.faults, [expected], "both heads set back: {both}");
        assert_eq!(verdict.head.seq, EVENTS - 1, "told once");
        let mut tx = store.begin().await.unwrap();
        let reason = "恢复了备份".to_owned();
        let accepted = [Event::House(House::Accepted { reason })];
        events::append_house(&mut tx, Timestamp::UNIX_EPOCH, "gu", &accepted)
            .await
            .unwrap();
        commit(tx, "test").await.unwrap();
        assert!(store.verify_events(None).await.unwrap().holds());
    }
}

#[tokio::test]
async fn a_restore_that_is_noted_explains_the_cut_it_makes_and_no_other() {
    let made = Made::new().await;
    let copy = made.copy();
    let cut = |seq: i64| format!("delete from events where seq > {seq}");
    let mut db = copy.connect().await;
    sql(&mut db, cut(EVENTS - 4)).await;
    let store = Store::open(&copy.database(), &masters()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let now = Timestamp::UNIX_EPOCH;
    xixin::store::incarnation::renew(&mut tx, now, "gu", "磁盘坏了")
        .await
        .unwrap();
    commit(tx, "test").await.unwrap();
    let verdict = store.verify_events(None).await.unwrap();
    assert!(verdict.holds(), "{verdict:?}");
    sql(&mut db, cut(verdict.head.seq - 1)).await;
    write_one(&store, 100).await;
    let verdict = store.verify_events(None).await.unwrap();
    assert!(!verdict.holds(), "{verdict:?}");
    db.close().await.unwrap();
}

/// A crash between the first event and its head would otherwise look like a theft.
#[tokio::test]
async fn the_head_beside_the_database_is_there_before_the_first_event() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("xixin.db");
    let store = Store::open(&database, &masters()).await.unwrap();
    let first = std::fs::read(dir.path().join("chain.head")).unwrap();
    write_one(&store, 1).await;
    std::fs::write(dir.path().join("chain.head"), first).unwrap();
    let verdict = store.verify_events(None).await.unwrap();
    assert!(verdict.holds(), "{verdict:?}");
}

#[tokio::test]
async fn a_lost_key_and_a_lost_head_are_named() {
    let made = Made::new().await;
    let copy = made.copy();
    std::fs::remove_file(copy.dir.path().join("chain.head")).unwrap();
    // Opening it for writing does not make the loss unseen.
    let opened = Store::open(&copy.database(), &masters()).await.unwrap();
    assert!(!opened.verify_events(None).await.unwrap().holds());
    let verdict = copy.verify(None).await;
    assert!(
        matches!(verdict.faults.as_slice(), [Fault::OutsideForged { .. }]),
        "{verdict:?}"
    );
    std::fs::remove_file(copy.dir.path().join("chain.key")).unwrap();
    let verdict = copy.verify(None).await;
    assert!(
        matches!(verdict.faults.as_slice(), [Fault::NoKey { .. }]),
        "{verdict:?}"
    );
    assert!(!copy.dir.path().join("chain.key").exists(), "looking makes nothing");
}

#[tokio::test]
async fn the_digest_prints_the_record_that_verify_takes() {
    let hall = Hall::open("2026-03-02 08:00").await;
    promise(&hall, resident(1), "2026-04-09").await;
    hall.run_until("2026-03-02 10:00").await;
    let left = hall.take_left();
    let digest = left.iter().find(|left| left.subject.contains("待办")).unwrap();
    let record = digest.text.split("记录号 / record ").nth(1).unwrap().trim().to_owned();
    assert!(record.contains('-'), "{record}");
    let store = &hall.app.engine.store;
    promise(&hall, resident(2), "2026-04-09").await;
    let verdict = store.verify_events(Some(&record.parse().unwrap())).await.unwrap();
    assert!(verdict.holds(), "{verdict:?}");
    assert_ne!(verdict.head.short(), record, "more has happened since");
}

#[tokio::test]
async fn verify_and_accept_are_told_by_exit_codes_and_in_both_languages() {
    let hall = Installation::new();
    let ran = hall.run(&["audit", "verify"]);
    assert_ne!(ran.code, 0, "there is no database yet");
    assert_eq!(hall.run(&["migrate"]).code, 0);
    let ran = hall.run(&["audit", "verify"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("0 events"), "{}", ran.out);
    let ran = hall.run(&["audit", "accept", "--as", "lin", "--reason", "x"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("this takes a supervisor"), "{}", ran.err);
    let ran = hall.run(&["audit", "accept", "--as", "gu", "--reason", "换了机器"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut db = connect(&hall.state().join("xixin.db")).await;
    sql(&mut db, "delete from events".to_owned()).await;
    db.close().await.unwrap();
    let ran = hall.run(&["audit", "verify"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("the chain of events is not whole"), "{}", ran.out);
    assert!(ran.out.contains("xixin audit accept"), "{}", ran.out);
    let ran = hall.run(&["audit", "verify", "--head", "nonsense"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    let ran = hall.run(&["audit", "accept", "--as", "gu", "--reason", "演练"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(hall.run(&["audit", "verify"]).code, 0);
}
