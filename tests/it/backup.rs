//! Backups made while the daemon works, and what leaves after each of them was restored: nothing before a person has released it, and
//! nothing twice.

use std::path::{Path, PathBuf};

use xixin::domain::ladder::Way;
use xixin::engine::sender;
use xixin::store::backup::{BackupError, backup, check, restore};
use xixin::vault::{Cipher, Key, Masters};

use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::intake::{brief_start, brief_visit, promise, resident};
use crate::support::rulebook::at;

const NINE: &str = "2026-03-04 09:00";
const TEN: &str = "2026-03-04 10:00";
const CASES: u32 = 60;

/// A morning with many visits on the next day: staff hear of them at nine, residents at ten.
async fn busy() -> Hall {
    let hall = Hall::open_quiet("2026-03-04 08:50", "").await;
    hall.without_digest("2026-03-04").await;
    for number in 0..CASES {
        brief_visit(&hall, resident(number), &brief_start(number)).await;
    }
    hall
}

fn database(state: &Path) -> PathBuf {
    state.join("xixin.db")
}

/// By the key that the first start has made.
fn masters(state: &Path) -> Masters {
    let key = std::fs::read_to_string(state.join("xixin.key")).unwrap();
    Masters::new(Key::parse(&key).unwrap(), Vec::new(), Cipher::default())
}

/// Backups at many instants of a morning's work: between claims, attempts, outcomes and plans, whatever is under way.
async fn work_and_back_up(hall: &Hall, count: usize) -> Vec<PathBuf> {
    let (path, dir) = (hall.app.engine.store.path().to_owned(), hall.dir.path().to_owned());
    let backing_up = tokio::spawn(async move {
        let mut files = Vec::new();
        for number in 0..count {
            let file = dir.join(format!("backup-{number}.db"));
            backup(&path, &file).await.unwrap();
            files.push(file);
        }
        files
    });
    for (time, way) in [(NINE, Way::Email), (TEN, Way::Sms)] {
        hall.clock.set(at(time));
        hall.plan().await;
        while sender::step(&hall.app.engine, way, &hall.recorder, at(time))
            .await
            .unwrap()
            .claimed
            > 0
        {}
    }
    backing_up.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_backup_of_a_busy_morning_is_restored_nothing_leaves_twice() {
    let hall = busy().await;
    // `XIXIN_BACKUPS` asks for more of them, such as 100.
    let count = std::env::var("XIXIN_BACKUPS").ok().and_then(|text| text.parse().ok());
    let files = work_and_back_up(&hall, count.unwrap_or(20)).await;
    let left = hall.take_left().len();
    assert!(left >= 2 * usize::try_from(CASES).unwrap(), "{left}");
    let mut hall = hall;
    let mut saw = std::collections::BTreeSet::new();
    for file in files {
        let sent = check(&file).await.unwrap().attempts;
        saw.insert(sent);
        hall = hall
            .crash_and(|state| async move {
                restore(&database(&state), &file, &masters(&state), (at(TEN), "lin"))
                    .await
                    .unwrap();
            })
            .await;
        hall.app.engine.look_around().await;
        hall.run_until("2026-03-04 10:30").await;
        assert_eq!(hall.take_left(), [], "held");
        assert!(hall.app.engine.store.release(at(TEN), "gu").await.unwrap());
        hall.app.engine.look_around().await;
        hall.run_until("2026-03-04 10:40").await;
        assert_eq!(hall.take_left(), [], "a backup with {sent} attempts");
        let queued = "select id from reminders where state in ('queued', 'claimed', 'attempting')";
        assert_eq!(hall.column(queued).await, Vec::<String>::new());
        hall.clock.set(at(TEN));
    }
    assert!(saw.len() > 1, "the backups were made at different instants: {saw:?}");
}

#[tokio::test]
async fn without_the_log_nothing_leaves_before_somebody_has_looked() {
    let hall = busy().await;
    let file = hall.dir.path().join("before.db");
    backup(hall.app.engine.store.path(), &file).await.unwrap();
    hall.run_until(TEN).await;
    assert!(!hall.take_left().is_empty());
    let hall = hall
        .crash_and(|state| async move {
            restore(&database(&state), &file, &masters(&state), (at(TEN), "lin"))
                .await
                .unwrap();
            std::fs::remove_file(state.join("sent.log")).unwrap();
        })
        .await;
    hall.app.engine.look_around().await;
    hall.run_until("2026-03-04 12:00").await;
    assert_eq!(hall.take_left(), []);
    let why = hall.app.engine.gate.closed(Way::Sms).unwrap();
    assert!(why.en.contains("restored from a backup"), "{}", why.en);
}

/// As somebody does who knows nothing of `xixin restore`.
fn copy_by_hand(file: &Path, state: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(state.join(format!("xixin.db{end}")));
    }
    std::fs::copy(file, database(state)).unwrap();
}

#[tokio::test]
async fn an_old_copy_that_somebody_put_in_place_by_hand_is_noticed_and_held() {
    let hall = busy().await;
    let name = hall.app.engine.store.incarnation().await.unwrap();
    let file = hall.dir.path().join("before.db");
    backup(hall.app.engine.store.path(), &file).await.unwrap();
    hall.run_until(TEN).await;
    hall.take_left();
    let hall = hall
        .crash_and(|state| async move {
            copy_by_hand(&file, &state);
        })
        .await;
    assert_ne!(hall.app.engine.store.incarnation().await.unwrap(), name);
    hall.run_until("2026-03-04 10:30").await;
    assert_eq!(hall.take_left(), []);
    hall.app.engine.store.release(at(TEN), "gu").await.unwrap();
    hall.app.engine.look_around().await;
    hall.settle().await;
    assert_eq!(hall.take_left(), []);
}

#[tokio::test]
async fn an_old_copy_put_in_place_without_the_log_is_held_all_the_same() {
    let hall = busy().await;
    let earlier = hall.dir.path().join("before.db");
    hall.run_until("2026-03-04 09:30").await;
    backup(hall.app.engine.store.path(), &earlier).await.unwrap();
    let had_sent = hall.app.engine.store.sent_serial().await.unwrap();
    assert!(had_sent > 0, "something had left before the copy was made");
    hall.run_until(TEN).await;
    hall.take_left();
    let hall = hall
        .crash_and(|state| async move {
            copy_by_hand(&earlier, &state);
            std::fs::remove_file(state.join("sent.log")).unwrap();
        })
        .await;
    hall.app.engine.look_around().await;
    hall.run_until("2026-03-04 12:00").await;
    assert_eq!(hall.take_left(), []);
    let why = hall.app.engine.gate.closed(Way::Sms).unwrap();
    assert!(why.en.contains("sent.log is gone"), "{}", why.en);
}

#[tokio::test]
async fn what_may_have_left_before_the_restore_goes_to_a_person() {
    let hall = busy().await;
    let file = hall.dir.path().join("before.db");
    backup(hall.app.engine.store.path(), &file).await.unwrap();
    hall.run_until(TEN).await;
    hall.take_left();
    let hall = hall
        .crash_and(|state| async move {
            restore(&database(&state), &file, &masters(&state), (at(TEN), "lin"))
                .await
                .unwrap();
            // The power went before any outcome was noted.
            let log = std::fs::read_to_string(state.join("sent.log")).unwrap();
            let starts: String = log
                .lines()
                .filter(|line| !line.starts_with('='))
                .map(|line| format!("{line}\n"))
                .collect();
            std::fs::write(state.join("sent.log"), starts).unwrap();
        })
        .await;
    hall.app.engine.store.release(at(TEN), "gu").await.unwrap();
    hall.app.engine.look_around().await;
    hall.settle().await;
    // Only the word to whoever has to phone instead leaves.
    assert!(
        hall.take_left().iter().all(|left| left.subject.contains("电话")),
        "no message a second time"
    );
    let count = |sql: &'static str| hall.column(sql);
    let doubts = count("select cast(count(*) as text) from reminders where way = 'sms' and state = 'uncertain'").await;
    assert_eq!(doubts, [CASES.to_string()]);
    let calls = count("select cast(count(*) as text) from reminders where way = 'phone' and state = 'task'").await;
    assert_eq!(calls, [CASES.to_string()]);
}

#[tokio::test]
async fn a_file_that_is_no_sound_backup_changes_nothing() {
    let hall = busy().await;
    let path = hall.app.engine.store.path().to_owned();
    let dir = hall.dir.path().to_owned();
    let good = dir.join("good.db");
    backup(&path, &good).await.unwrap();
    let again = backup(&path, &good).await;
    assert!(matches!(again, Err(BackupError::Exists { .. })), "{again:?}");

    let bytes = std::fs::read(&good).unwrap();
    let mut torn = bytes.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 4096].fill(0x5a);
    for (name, content) in [
        ("torn.db", torn),
        ("short.db", bytes[..bytes.len() / 2].to_vec()),
        ("text.db", b"hello".to_vec()),
    ] {
        let file = dir.join(name);
        std::fs::write(&file, content).unwrap();
        let refused = restore(&path, &file, &masters(path.parent().unwrap()), (at(TEN), "lin")).await;
        assert!(
            matches!(refused, Err(BackupError::Unsound { .. })),
            "{name}: {refused:?}"
        );
    }
    let hall = hall.crash().await;
    assert_eq!(
        hall.column("select id from cases").await.len(),
        usize::try_from(CASES).unwrap()
    );
    assert_eq!(hall.app.engine.store.switches().await.unwrap(), []);
}

#[test]
fn the_verbs_back_up_a_working_daemon_and_restore_only_when_it_is_down() {
    let installation = Installation::new();
    let mut daemon = installation.serve();
    let file = installation.state().join("backup.db");
    let file = file.to_str().unwrap();
    let told = installation.run(&["backup", file]).good();
    assert!(told.contains("backed up to") && told.contains("0 cases"), "{told}");
    let again = installation.run(&["backup", file]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(
        again.err.contains("已存在") && again.err.contains("not overwritten"),
        "{again:?}"
    );
    assert_eq!(installation.run(&["restore", file]).code, 73);
    daemon.signal(&["TERM"]);
    daemon.ended();
    let told = installation.run(&["restore", file, "--as", "lin"]).good();
    assert!(told.contains("the database that was there is kept as"), "{told}");
    let _daemon = installation.serve();
    let status = installation.run(&["ctl", "status"]).good();
    assert!(status.contains("hold — lin: 由备份恢复"), "{status}");
    let released = installation.run(&["ctl", "release", "--as", "gu"]).good();
    assert!(released.contains("released"), "{released}");
}

#[test]
fn a_backup_says_that_the_chain_of_events_in_it_does_not_hold_and_is_made_nevertheless() {
    let installation = Installation::new();
    let case = r#"{ "resident": { "name": "沈怀瑾", "phone": "13900000001" }, "matter": "labour_assessment", "request": "询问进度",
        "callbacks": [{ "words": "办好了联系您" }] }"#;
    installation.write("case.json", case);
    let case = installation.config().join("case.json");
    installation
        .run(&["case", "add", case.to_str().unwrap(), "--as", "lin"])
        .good();
    let (first, second) = (installation.state().join("1.db"), installation.state().join("2.db"));
    let back_up = |file: &Path| installation.run(&["backup", file.to_str().unwrap(), "--json"]);
    assert_eq!(back_up(&first).json()["chain"], serde_json::Value::Null);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database(&installation.state()));
    let edit = async {
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let sql = "update events set actor = 'nobody' where seq = 1";
        let done = sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        sqlx::Connection::close(connection).await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(edit);
    let told = back_up(&second);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.out.contains("event 1 was changed") && told.err.contains("does not hold"),
        "{told:?}"
    );
    assert!(
        second.exists(),
        "what was done to the history is no reason to have no backup"
    );

    // It is not put back without a word.
    let database = database(&installation.state());
    let before = std::fs::read(&database).unwrap();
    let restore = |more: &[&str]| installation.run(&[&["restore", second.to_str().unwrap()], more].concat());
    let refused = restore(&["--as", "gu"]);
    assert!(
        refused.code == 1 && refused.err.contains("event 1 was changed") && refused.err.contains("nothing was changed"),
        "{refused:?}"
    );
    let clerk = restore(&["--as", "lin", "--despite-chain", "只有这一份"]);
    assert!(
        clerk.code == 1 && clerk.err.contains("this takes a supervisor"),
        "{clerk:?}"
    );
    let silent = restore(&["--as", "gu", "--despite-chain", " "]);
    assert!(
        silent.code == 1 && silent.err.contains("a reason is needed"),
        "{silent:?}"
    );
    assert_eq!(std::fs::read(&database).unwrap(), before);
    restore(&["--as", "gu", "--despite-chain", "只有这一份"]).good();
    let told = installation.run(&["audit", "verify", "--json"]);
    assert!(
        told.out.contains("event 1 was changed"),
        "what was done to it still shows: {told:?}"
    );
    let accepted = async {
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let sql = "select actor from events where proof = 'accepted'";
        sqlx::query_scalar::<_, String>(sql)
            .fetch_all(&mut connection)
            .await
            .unwrap()
    };
    assert_eq!(tokio::runtime::Runtime::new().unwrap().block_on(accepted), ["gu"]);
    // The one from before it holds, and needs no word.
    installation
        .run(&["restore", first.to_str().unwrap(), "--as", "lin"])
        .good();
    installation.run(&["audit", "verify"]).good();
}

/// A case number that the lost database gave is in letters, calendars and `sent.log`.
#[tokio::test]
async fn a_restored_database_gives_no_case_number_a_second_time() {
    let hall = Hall::open_quiet("2026-03-04 08:50", "").await;
    let file = hall.dir.path().join("before.db");
    backup(hall.app.engine.store.path(), &file).await.unwrap();
    let mut given = std::collections::BTreeSet::new();
    let mut hall = hall;
    for life in 0..4 {
        for number in 0..2 {
            let case = promise(&hall, resident(2 * life + number), "2026-03-05").await;
            assert!(given.insert(case.to_string()), "{case} was given before: {given:?}");
        }
        let file = file.clone();
        hall = hall
            .crash_and(|state| async move {
                // Once the database that is replaced cannot be read.
                if life == 1 {
                    std::fs::write(database(&state), b"damaged").unwrap();
                }
                restore(&database(&state), &file, &masters(&state), (at(NINE), "lin"))
                    .await
                    .unwrap();
            })
            .await;
    }
    assert!(
        given.contains("2026-000001") && given.contains("2026-010003"),
        "{given:?}"
    );
}
