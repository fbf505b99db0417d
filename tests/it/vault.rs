//! Personal data at rest: sealed with one key per person, opened by the master key only, gone for good when a key is destroyed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use xixin::app::App;
use xixin::domain::ids::{CaseId, PersonId};
use xixin::store::{Store, StoreError};

use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::intake::{promise, resident, visit, visit_with};
use crate::support::rulebook::at;

const NEW_KEY: &str = "0f0e0d0c0b0a090807060504030201000f0e0d0c0b0a09080706050403020100";

/// Every file of the database, as whoever steals the disk reads it.
fn bytes_of(database: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(database).unwrap();
    for suffix in ["-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        bytes.extend(std::fs::read(name).unwrap_or_default());
    }
    bytes
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

fn case_file(installation: &Installation) -> String {
    let file = installation.config().join("case.json");
    let case = json!({
        "resident": { "name": "沈怀瑾", "phone": "13900000001" },
        "matter": "labour_assessment",
        "request": "询问进度",
        "callbacks": [{ "words": "办好了联系您" }],
    });
    std::fs::write(&file, case.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// A data directory in which a case was taken in.
fn with_case(settings: &str) -> Installation {
    let installation = Installation::with(settings);
    let file = case_file(&installation);
    installation.run(&["case", "add", &file, "--as", "lin"]).good();
    installation
}

fn request_of(installation: &Installation) -> Value {
    let listed = installation.run(&["case", "list", "--json"]).json();
    listed["cases"][0]["request"].clone()
}

#[test]
fn the_first_start_makes_a_key_for_its_owner_only_and_the_next_ones_use_it() {
    let installation = with_case("");
    let key = installation.state().join("xixin.key");
    let made = std::fs::read_to_string(&key).unwrap();
    assert_eq!(made.trim().len(), 64);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    installation.serve();
    assert_eq!(std::fs::read_to_string(&key).unwrap(), made);
    assert_eq!(request_of(&installation), "询问进度");
}

/// Brings the write-ahead log into the database.
fn settle(database: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
    let settled = async {
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let truncate = sqlx::raw_sql("pragma wal_checkpoint(truncate)");
        truncate.execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(settled);
}

#[test]
fn a_wrong_key_is_refused_by_every_verb_and_changes_nothing() {
    let installation = with_case("");
    let key = installation.state().join("xixin.key");
    let right = std::fs::read_to_string(&key).unwrap();
    // What the last verb left in the write-ahead log is settled by whoever comes next.
    installation.run(&["audit", "verify"]).good();
    settle(&installation.state().join("xixin.db"));
    let before = std::fs::read(installation.state().join("xixin.db")).unwrap();
    std::fs::write(&key, NEW_KEY).unwrap();
    for verb in [
        &["serve"][..],
        &["case", "list"],
        &["migrate"],
        &["case", "show", "2026-000001"],
    ] {
        let refused = installation.run(verb);
        assert_eq!(refused.code, 78, "{verb:?} {refused:?}");
        assert!(
            refused.err.contains("是用别的密钥加密的") && refused.err.contains("was sealed with another key"),
            "{refused:?}"
        );
        assert!(!refused.err.contains(NEW_KEY) && !refused.err.contains(right.trim()));
    }
    let doctor = installation.run(&["doctor"]);
    assert!(doctor.out.contains("✗ key: 个人信息打不开"), "{doctor:?}");
    assert_eq!(std::fs::read(installation.state().join("xixin.db")).unwrap(), before);
    std::fs::write(&key, right).unwrap();
    assert_eq!(request_of(&installation), "询问进度");
    let doctor = installation.run(&["doctor"]);
    assert!(doctor.out.contains("✓ key: 主密钥与数据库相符"), "{doctor:?}");
}

#[test]
fn a_file_that_holds_no_key_stops_the_daemon_for_good() {
    let installation = with_case("");
    let key = installation.state().join("xixin.key");
    std::fs::write(&key, "not a key").unwrap();
    let refused = installation.run(&["serve"]);
    // The service manager starts it again after any other code.
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.err.contains("openssl rand -hex 32"), "{refused:?}");
}

#[test]
fn a_missing_key_is_told_and_never_replaced_by_a_new_one() {
    let installation = with_case("");
    let key = installation.state().join("xixin.key");
    let kept = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    for verb in [&["serve"][..], &["case", "list"], &["migrate"]] {
        let refused = installation.run(verb);
        assert_eq!(refused.code, 78, "{verb:?} {refused:?}");
        assert!(
            refused.err.contains("却没有密钥") && refused.err.contains("there is no key"),
            "{refused:?}"
        );
        assert!(!key.exists(), "{verb:?}");
    }
    std::fs::write(&key, kept).unwrap();
    assert_eq!(request_of(&installation), "询问进度");
}

#[test]
fn what_is_no_key_is_refused_with_its_place_and_the_form_of_one() {
    let installation = with_case("");
    let key = installation.state().join("xixin.key");
    std::fs::write(&key, "hunter2hunter2").unwrap();
    let refused = installation.run(&["case", "list"]);
    assert_ne!(refused.code, 0);
    assert!(
        refused.err.contains("xixin.key") && refused.err.contains("openssl rand -hex 32"),
        "{refused:?}"
    );
    assert!(!refused.err.contains("hunter2"), "{refused:?}");
}

#[test]
fn a_new_master_key_takes_over_from_the_old_one_and_the_old_one_opens_nothing_any_more() {
    let installation = with_case("");
    let (old, new) = (
        installation.config().join("old.key"),
        installation.config().join("new.key"),
    );
    std::fs::rename(installation.state().join("xixin.key"), &old).unwrap();
    std::fs::write(&new, NEW_KEY).unwrap();
    let file = |key: &Path| format!("{{ file = {:?} }}", key.to_str().unwrap());
    let settings = format!("[personal_data]\nkey = {}\nold_keys = [{}]\n", file(&new), file(&old));
    installation.write("conf.d/30-keys.toml", &settings);
    // Reading alone changes nothing, and works with either.
    assert_eq!(request_of(&installation), "询问进度");
    let sealed = bytes_of(&installation.state().join("xixin.db"));
    installation.run(&["migrate"]).good();
    installation.write(
        "conf.d/30-keys.toml",
        &format!("[personal_data]\nkey = {}\n", file(&new)),
    );
    assert_eq!(request_of(&installation), "询问进度");
    installation.write(
        "conf.d/30-keys.toml",
        &format!("[personal_data]\nkey = {}\n", file(&old)),
    );
    assert_eq!(installation.run(&["case", "list"]).code, 78);
    assert_ne!(bytes_of(&installation.state().join("xixin.db")), sealed);
}

#[test]
fn no_verb_wraps_the_keys_anew_under_a_daemon_that_has_only_the_old_one() {
    let installation = with_case("");
    let (old, new) = (
        installation.config().join("old.key"),
        installation.config().join("new.key"),
    );
    let mut daemon = installation.serve();
    std::fs::rename(installation.state().join("xixin.key"), &old).unwrap();
    std::fs::write(&new, NEW_KEY).unwrap();
    let file = |key: &Path| format!("{{ file = {:?} }}", key.to_str().unwrap());
    let settings = format!("[personal_data]\nkey = {}\nold_keys = [{}]\n", file(&new), file(&old));
    installation.write("conf.d/30-keys.toml", &settings);
    let case = case_file(&installation);
    for verb in [&["case", "add", &case, "--as", "lin"][..], &["migrate"]] {
        let refused = installation.run(verb);
        assert_eq!(refused.code, 73, "{verb:?} {refused:?}");
        let pid = format!("pid {}", daemon.pid());
        assert!(
            refused.err.contains("请先重启服务")
                && refused.err.contains("Restart the daemon first")
                && refused.err.contains(&pid),
            "{refused:?}"
        );
    }
    assert_eq!(request_of(&installation), "询问进度", "whoever reads needs no restart");
    daemon.signal(&["TERM"]);
    assert!(daemon.ended().success());
    let only_old = format!("[personal_data]\nkey = {}\n", file(&old));
    installation.write("conf.d/30-keys.toml", &only_old);
    assert_eq!(request_of(&installation), "询问进度", "nothing was wrapped");
    // The start does it, and then the verbs work.
    installation.write("conf.d/30-keys.toml", &settings);
    let _daemon = installation.serve();
    installation.run(&["case", "add", &case, "--as", "lin"]).good();
    installation.write("conf.d/30-keys.toml", &only_old);
    assert_eq!(installation.run(&["case", "list"]).code, 78);
}

#[tokio::test]
async fn no_verb_seals_an_older_database_under_the_daemon_that_wrote_it() {
    let hall = Hall::open("2026-03-02 10:00").await;
    promise(&hall, resident(1), "2026-03-05").await;
    as_it_was_before(&hall).await;
    // As a daemon that serves tells it.
    let lock = hall.app.engine.store.path().with_file_name("xixin.lock");
    let pid = std::process::id();
    std::fs::write(lock, format!("{pid}\n/run/xixin/control.sock\n")).unwrap();
    let opened = App::open(hall.place(), Arc::new(hall.clock.clone())).await;
    let refused = opened.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("Restart the daemon first"), "{refused}");
    let plain = "select facts from cases where substr(facts, 1, 3) <> 'v1.'";
    assert_eq!(hall.column(plain).await.len(), 1, "nothing was sealed");
    // The restart seals it, and whoever comes then may write.
    let hall = hall.crash().await;
    assert_eq!(hall.column(plain).await, Vec::<String>::new());
    hall.beside().await;
}

#[test]
fn a_key_that_others_may_read_is_told_by_check_and_doctor() {
    let installation = with_case("");
    let key = installation.state().join("xixin.key");
    let sound = installation.run(&["check"]).good();
    assert!(!sound.contains("主密钥"), "{sound}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let remarked = installation.run(&["check"]).good();
    assert!(
        remarked.contains("主密钥") && remarked.contains("is open to others"),
        "{remarked}"
    );
    let doctor = installation.run(&["doctor"]);
    assert_eq!(doctor.code, 1);
    assert!(
        doctor.out.contains(&format!("chmod 600 {}", key.display())),
        "{doctor:?}"
    );
}

#[tokio::test]
async fn both_ciphers_seal_and_stand_side_by_side() {
    let hall = Hall::open_with("2026-03-02 10:00", "[personal_data]\ncipher = \"sm4-gcm\"\n").await;
    let case = promise(&hall, resident(1), "2026-03-05").await;
    for sql in [
        "select facts from cases",
        "select record from people",
        "select body from events",
    ] {
        let found = hall.column(sql).await;
        assert!(
            !found.is_empty() && found.iter().all(|text| text.starts_with("v1.sm4g.p-")),
            "{sql}: {found:?}"
        );
    }
    std::fs::write(hall.config().join("conf.d/20-test.toml"), "").unwrap();
    let hall = hall.crash().await;
    let other = promise(&hall, resident(1), "2026-03-05").await;
    let facts = hall.column("select substr(facts, 1, 7) from cases order by id").await;
    assert_eq!(facts, ["v1.sm4g", "v1.c20p"]);
    let cases = hall.app.engine.store.cases(&[&case, &other]).await.unwrap();
    assert_eq!(
        cases[&case].case.party.person, cases[&other].case.party.person,
        "the same resident was recognised"
    );
}

#[tokio::test]
async fn a_record_that_was_moved_changed_or_slipped_in_is_refused() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    visit(&hall, resident(2), "2026-03-05 10:30").await;
    let store = &hall.app.engine.store;
    let one = store.case(&case).await.unwrap().unwrap().case.party.person;
    let [first, other]: [String; 2] = hall
        .column("select record from people order by id")
        .await
        .try_into()
        .unwrap();
    let plain = "{\"id\":\"p\",\"name\":\"甲\"}".to_owned();
    let cut = first[..first.len() - 4].to_owned();
    for (record, why) in [(other, "there is no"), (plain, "not sealed"), (cut, "changed, moved")] {
        hall.sql(&format!("update people set record = '{record}' where id = '{one}'"))
            .await;
        let refused = store.people_of(&one).await.unwrap_err();
        let StoreError::Corrupt { table, id, why: told } = &refused else {
            panic!("{refused}");
        };
        assert_eq!((*table, id.as_str()), ("people", one.as_str()));
        assert!(told.contains(why) || told.contains("changed, moved"), "{told}");
        assert!(!refused.to_string().contains('甲'), "{refused}");
    }
    hall.sql(&format!("update people set record = '{first}' where id = '{one}'"))
        .await;
    assert!(store.people_of(&one).await.unwrap().resident.is_some());
}

/// As the module of events describes it.
fn chain(events: &[(i64, String, String, String, String)]) -> Vec<String> {
    let mut head = "0".repeat(64);
    let link = |(at_ms, case, actor, body, _): &(i64, String, String, String, String)| {
        let mut hash = Sha256::new();
        hash.update(&head);
        hash.update(at_ms.to_be_bytes());
        for part in [case, actor, body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        head = hex::encode(hash.finalize());
        head.clone()
    };
    events.iter().map(link).collect()
}

async fn chain_holds(hall: &Hall) {
    let verdict = hall.app.engine.store.verify_events(None).await.unwrap();
    assert!(verdict.holds() && verdict.head.seq > 0, "{verdict:?}");
}

/// Writes everything back as it stood before anything was sealed, with the chain of those days. Returns its head.
pub(crate) async fn as_it_was_before(hall: &Hall) -> String {
    let store = &hall.app.engine.store;
    let cases = store.open_after("", 1000).await.unwrap().cases;
    let residents: Vec<&PersonId> = cases.iter().map(|stored| &stored.case.party.person).collect();
    let people = store.people(&residents).await.unwrap();
    let mut events = Vec::new();
    for stored in &cases {
        events.extend(store.events_of(&stored.case.id, 1000).await.unwrap());
    }
    events.sort_by_key(|event| event.seq);
    let plain = |event: &xixin::store::events::Sealed| {
        (
            event.at_ms,
            event.case_id.clone(),
            event.actor.clone(),
            event.body.clone().unwrap(),
            String::new(),
        )
    };
    let hashes = chain(&events.iter().map(plain).collect::<Vec<_>>());
    let mut connection = hall.connection().await;
    // Those days knew one form only, and no head.
    let older = "update events set form = 1, kind = 'fact', proof = ''; delete from meta where name = 'chain_head'";
    sqlx::raw_sql(older).execute(&mut connection).await.unwrap();
    std::fs::remove_file(store.path().with_file_name("chain.head")).unwrap();
    for stored in &cases {
        sqlx::query("update cases set facts = $1 where id = $2")
            .bind(serde_json::to_string(&stored.case).unwrap())
            .bind(stored.case.id.as_str())
            .execute(&mut connection)
            .await
            .unwrap();
    }
    for around in people.values() {
        for person in around.resident.iter().chain(&around.relatives) {
            sqlx::query(
                "update people set record = $1, phone = $2, phone_index = null, name_index = null where id = $3",
            )
            .bind(serde_json::to_string(person).unwrap())
            .bind(person.phone.as_deref())
            .bind(person.id.as_str())
            .execute(&mut connection)
            .await
            .unwrap();
        }
    }
    for (event, hash) in events.iter().zip(&hashes) {
        sqlx::query("update events set body = $1, hash = $2 where seq = $3")
            .bind(event.body.as_deref())
            .bind(hash)
            .bind(event.seq)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    hall.sql("update labels set value = '系统不认旧证' where kind = 'obstacle'")
        .await;
    hall.sql("delete from keys; delete from meta where name = 'sealing'")
        .await;
    hashes.last().unwrap().clone()
}

#[tokio::test]
async fn an_older_database_is_sealed_at_the_first_start_and_nothing_plain_is_left_in_its_files() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let relatives = json!([{ "name": "沈小满", "relation": "女儿", "phone": "13900010001", "opted_in": true }]);
    let case = visit_with(&hall, resident(1), relatives, "2026-03-05 09:30").await;
    hall.act("lin", &case, json!({ "do": "obstacle", "tag": "系统不认旧证" }))
        .await
        .unwrap();
    promise(&hall, resident(2), "2026-03-05").await;
    let old_head = as_it_was_before(&hall).await;
    let path = hall.app.engine.store.path().to_owned();
    let words = [
        "沈怀瑾",
        "13900000001",
        "沈小满",
        "13900010001",
        "陪同办理",
        "appointment_booked",
    ];
    for word in words {
        assert!(
            holds(&bytes_of(&path), word),
            "{word} is looked for in vain: the search itself is wrong"
        );
    }
    let hall = hall.crash().await;
    for word in words {
        assert!(!holds(&bytes_of(&path), word), "{word} is still there");
    }
    let store = &hall.app.engine.store;
    assert_eq!(store.meta("chain_before_sealing").await.unwrap(), Some(old_head));
    chain_holds(&hall).await;
    let stored = store.case(&case).await.unwrap().unwrap();
    assert_eq!(stored.case.request, "陪同办理");
    let people = store.people_of(&stored.case.party.person).await.unwrap();
    assert_eq!(people.resident.unwrap().phone.as_deref(), Some("13900000001"));
    assert_eq!(people.relatives[0].name, "沈小满");
    assert!(
        store
            .events_of(&case, 10)
            .await
            .unwrap()
            .iter()
            .all(|event| event.body.is_some())
    );
    let units = ["taoranting-window".into()];
    let month = ("2026-03-01".parse().unwrap(), "2026-03-31".parse().unwrap());
    let counts = store.count_labels(&units, month.0, month.1).await.unwrap();
    assert_eq!(counts, [("obstacle".to_owned(), "系统不认旧证".to_owned(), 1)]);
    // Whoever comes again is known, and the reminders go on.
    let again = promise(&hall, resident(1), "2026-03-06").await;
    let again = store.case(&again).await.unwrap().unwrap();
    assert_eq!(again.case.party.person, stored.case.party.person);
    hall.run_until("2026-03-04 10:00").await;
    assert_eq!(
        hall.rung(&case, "day-before").await,
        ["relatives sms accepted", "resident sms accepted"]
    );
}

#[tokio::test]
async fn a_chain_that_was_broken_before_it_was_sealed_is_not_made_whole_in_silence() {
    let hall = Hall::open("2026-03-02 10:00").await;
    promise(&hall, resident(1), "2026-03-05").await;
    promise(&hall, resident(2), "2026-03-05").await;
    as_it_was_before(&hall).await;
    hall.sql("update events set actor = 'zhou' where seq = 2").await;
    let hall = hall.crash().await;
    let told = hall.app.engine.store.meta("chain_before_sealing").await.unwrap();
    assert_eq!(told.as_deref(), Some("broken at 2"));
}

#[tokio::test]
async fn sealing_goes_on_where_it_was_interrupted() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = promise(&hall, resident(1), "2026-03-05").await;
    promise(&hall, resident(2), "2026-03-05").await;
    let sealed = hall
        .column("select facts from cases where id = '2026-000002'")
        .await
        .remove(0);
    let keys = hall
        .column("select 'insert into keys values (''' || owner || ''', ''' || wrapped || ''', null)' from keys")
        .await;
    as_it_was_before(&hall).await;
    // It had come as far as the second case, and no further.
    for key in keys {
        hall.sql(&key).await;
    }
    hall.sql(&format!("update cases set facts = '{sealed}' where id = '2026-000002'"))
        .await;
    let hall = hall.crash().await;
    let plain = "select cast((select count(*) from cases where facts not like 'v1.%') + (select count(*) from people where record not like 'v1.%')
                 + (select count(*) from events where body not like 'v1.%') as text)";
    assert_eq!(hall.column(plain).await, ["0"]);
    chain_holds(&hall).await;
    let store = &hall.app.engine.store;
    let both = store.cases(&[&case, &CaseId::from("2026-000002")]).await.unwrap();
    assert_eq!(both.len(), 2);
}

#[tokio::test]
async fn who_was_erased_is_gone_and_stops_nobody_else() {
    let hall = Hall::open("2026-03-02 10:00").await;
    hall.without_digest("2026-03-04").await;
    let relatives = json!([{ "name": "沈小满", "relation": "女儿", "phone": "13900010001", "opted_in": true }]);
    let gone = visit_with(&hall, resident(1), relatives, "2026-03-05 09:30").await;
    let stays = visit(&hall, resident(2), "2026-03-05 10:30").await;
    hall.clock.set(at("2026-03-04 10:00"));
    hall.plan().await;
    hall.take_left();
    let store = &hall.app.engine.store;
    let person = store.case(&gone).await.unwrap().unwrap().case.party.person;
    let wrapped = hall
        .column(&format!("select wrapped from keys where owner = '{person}'"))
        .await
        .remove(0);
    assert!(store.destroy_key(&person, at("2026-03-04 10:00")).await.unwrap());
    assert!(
        !store.destroy_key(&person, at("2026-03-04 10:00")).await.unwrap(),
        "once"
    );
    assert!(
        !holds(&bytes_of(store.path()), &wrapped[..60]),
        "the key is in no file any more"
    );

    // What was queued is cancelled, with the reason; everybody else is told as before.
    hall.run_until("2026-03-04 10:30").await;
    let told = ["relatives none skipped", "resident sms accepted"];
    assert_eq!(hall.rung(&stays, "day-before").await, told);
    let reasons = hall.reasons(&gone, "day-before").await;
    assert_eq!(reasons, ["sms cancelled: 个人信息已应要求删除"; 2]);
    assert!(
        hall.take_left()
            .iter()
            .all(|left| left.to != "13900000001" && left.to != "13900010001")
    );

    // Reading says so; lists leave it out; nothing of it is on a desk.
    let refused = store.case(&gone).await.unwrap_err();
    assert!(matches!(refused, StoreError::Erased { .. }), "{refused}");
    assert!(refused.to_string().contains("已应要求删除") && refused.to_string().contains("erased on request"));
    let refused = hall
        .act(
            "lin",
            &gone,
            json!({ "do": "contact", "direction": "in", "kind": "phone" }),
        )
        .await;
    assert!(refused.unwrap_err().to_string().contains("已应要求删除"));
    assert_eq!(
        hall.column("select distinct case_id from agenda").await,
        [stays.as_str()]
    );
    let open: Vec<CaseId> = store
        .open_after("", 10)
        .await
        .unwrap()
        .cases
        .into_iter()
        .map(|one| one.case.id)
        .collect();
    assert_eq!(open, [stays]);
    assert!(
        store
            .events_of(&gone, 10)
            .await
            .unwrap()
            .iter()
            .all(|event| event.body.is_none())
    );
    chain_holds(&hall).await;

    // Who comes again is somebody new.
    let again = promise(&hall, resident(1), "2026-03-09").await;
    let again = store.case(&again).await.unwrap().unwrap().case.party.person;
    assert_ne!(again, person);
    let hall = hall.crash().await;
    let refused = hall.app.engine.store.case(&gone).await.unwrap_err();
    assert!(matches!(refused, StoreError::Erased { .. }), "after a restart, too");
}

#[tokio::test]
async fn calls_about_somebody_who_was_erased_are_on_nobodys_desk() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = visit(
        &hall,
        json!({ "name": "沈怀瑾", "phone": "01063510001" }),
        "2026-03-05 09:30",
    )
    .await;
    hall.run_until("2026-03-04 10:00").await;
    let store = &hall.app.engine.store;
    assert_eq!(store.open_calls(&[&case]).await.unwrap().len(), 1);
    let person = store.case(&case).await.unwrap().unwrap().case.party.person;
    store.destroy_key(&person, at("2026-03-04 10:00")).await.unwrap();
    hall.plan().await;
    assert_eq!(store.open_calls(&[&case]).await.unwrap(), []);
    let reasons = hall.reasons(&case, "day-before").await;
    assert!(
        reasons.contains(&"phone cancelled: 个人信息已应要求删除".to_owned()),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_relative_who_was_erased_is_one_that_nobody_knows_of() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let relatives = json!([{ "name": "沈小满", "relation": "女儿", "phone": "13900010001", "opted_in": true }]);
    let case = visit_with(&hall, resident(1), relatives, "2026-03-05 09:30").await;
    let store = &hall.app.engine.store;
    let resident = store.case(&case).await.unwrap().unwrap().case.party.person;
    let daughter = store.people_of(&resident).await.unwrap().relatives[0].id.clone();
    store.destroy_key(&daughter, at("2026-03-02 10:00")).await.unwrap();
    let people = store.people_of(&resident).await.unwrap();
    assert!(people.resident.is_some() && people.relatives.is_empty());
    hall.run_until("2026-03-04 10:00").await;
    assert_eq!(
        hall.rung(&case, "day-before").await,
        ["relatives none skipped", "resident sms accepted"]
    );
}

#[tokio::test]
async fn somebody_is_found_by_their_number_however_it_is_written_until_they_are_erased() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let relatives = json!([{ "name": "沈小满", "relation": "女儿", "phone": "13900010001", "opted_in": true }]);
    let case = visit_with(&hall, resident(1), relatives, "2026-03-05 09:30").await;
    let store = &hall.app.engine.store;
    let resident = store.case(&case).await.unwrap().unwrap().case.party.person;
    let daughter = store.people_of(&resident).await.unwrap().relatives[0].id.clone();
    for (number, person) in [("+86 139 0000 0001", &resident), ("13900010001", &daughter)] {
        let found = store.people_by_number(number).await.unwrap();
        assert_eq!(found, [(person.clone(), resident.clone())], "{number}");
    }
    assert_eq!(store.people_by_number("13900000009").await.unwrap(), []);
    store.destroy_key(&resident, at("2026-03-02 10:00")).await.unwrap();
    assert_eq!(store.people_by_number("13900000001").await.unwrap(), []);
}

/// A database is opened without a key only to look whether it has one.
#[tokio::test]
async fn whether_a_database_is_sealed_can_be_told_without_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = dir.path().join("xixin.db");
    assert!(!Store::is_sealed(&nothing).await.unwrap());
    assert!(!nothing.exists());
    let hall = Hall::open("2026-03-02 10:00").await;
    let path = hall.app.engine.store.path();
    assert!(Store::is_sealed(path).await.unwrap());
    let refused = Store::look(path, None).await.unwrap_err();
    assert!(matches!(refused, StoreError::NoKey { .. }), "{refused}");
}

#[tokio::test]
async fn no_hash_in_the_database_gives_a_number_away_to_whoever_lacks_the_key() {
    let hall = Hall::open("2026-03-04 08:50").await;
    visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 10:00").await;
    let store = &hall.app.engine.store;
    let wires = hall.column("select wire_sha256 from attempts where way = 'sms'").await;
    let alike = hall.column("select sum from guard_alike").await;
    let mut sent = 0;
    for entry in std::fs::read_dir(hall.dir.path().join("state/sms")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let bytes = std::fs::read(path).unwrap();
        let sum = hex::encode(Sha256::digest(&bytes));
        assert!(wires.contains(&store.wire_sum(&sum)), "what left is not what was noted");
        assert!(!wires.contains(&sum), "whoever tries out all numbers finds it");
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let (_, words) = document["text"].as_str().unwrap().split_once('】').unwrap();
        assert!(alike.contains(&store.words_sum(words)), "{words} was not counted");
        let plain = hex::encode(Sha256::digest(words));
        assert!(!alike.iter().any(|sum| plain.starts_with(sum.as_str())));
        sent += 1;
    }
    assert!(sent > 0 && sent == wires.len(), "{sent} {wires:?}");
}

#[tokio::test]
async fn a_line_of_the_erased_that_was_torn_takes_no_other_with_it() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let store = &hall.app.engine.store;
    let mut people = Vec::new();
    for number in [1, 2] {
        let case = promise(&hall, resident(number), "2026-03-05").await;
        people.push(store.case(&case).await.unwrap().unwrap().case.party.person);
    }
    let file = store.path().with_file_name("erased.log");
    std::fs::write(&file, "2026-03-02T02:00:00Z p-torn").unwrap();
    for person in &people {
        store.note_erased(person, hall.now()).unwrap();
    }
    people.sort();
    assert_eq!(store.to_erase_again().await.unwrap(), people);
}
