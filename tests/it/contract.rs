//! What the store promises, whichever database it is on.

use jiff::Timestamp;
use xixin::domain::ids::CaseId;
use xixin::domain::ladder::Way;
use xixin::store::Store;
use xixin::store::cases::Filter;
use xixin::store::queue::{Claim, Lease};

use crate::support::hall::Hall;
use crate::support::intake::{brief_visit, promise, resident, visit};
use crate::support::rulebook::at;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn a_row_that_cannot_be_read_is_named_without_its_content() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    let whole = visit(&hall, resident(2), "2026-03-05 10:30").await;
    hall.sql("update cases set facts = '{\"id\": \"沈怀瑾 13900000001\"}' where id = '2026-000001'")
        .await;
    let store = &hall.app.engine.store;
    let error = store.case(&case).await.unwrap_err().to_string();
    assert!(error.contains("row 2026-000001 of table cases"), "{error}");
    assert!(!error.contains('沈') && !error.contains("1390"), "{error}");
    let filter = Filter {
        limit: 10,
        ..Filter::default()
    };
    let listed: Vec<CaseId> = store
        .list_cases(&filter)
        .await
        .unwrap()
        .into_iter()
        .map(|stored| stored.case.id)
        .collect();
    assert_eq!(listed, [whole], "it hides no other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn a_list_is_as_long_as_asked_for_and_newest_first() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let mut opened = Vec::new();
    for minute in 1..=5 {
        hall.clock.set(at(&format!("2026-03-02 10:0{minute}")));
        opened.push(brief_visit(&hall, resident(minute), &format!("2026-03-05 10:{:02}", 5 * minute)).await);
    }
    let list = async |filter: Filter| -> Vec<CaseId> {
        let found = hall.app.engine.store.list_cases(&filter).await.unwrap();
        found.into_iter().map(|stored| stored.case.id).collect()
    };
    opened.reverse();
    assert_eq!(
        list(Filter {
            limit: 3,
            ..Filter::default()
        })
        .await,
        opened[..3]
    );
    assert_eq!(
        list(Filter {
            limit: 0,
            ..Filter::default()
        })
        .await,
        []
    );
    assert_eq!(
        list(Filter {
            owner: Some("lin".into()),
            limit: 99,
            ..Filter::default()
        })
        .await,
        opened
    );
    assert_eq!(
        list(Filter {
            owner: Some("zhou".into()),
            limit: 99,
            ..Filter::default()
        })
        .await,
        []
    );
    assert_eq!(
        list(Filter {
            status: Some("closed".to_owned()),
            limit: 99,
            ..Filter::default()
        })
        .await,
        []
    );
}

/// As the module describes it: the hash before, the instant, and each part after its length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn every_event_is_sealed_with_the_one_before_across_processes() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let beside = hall.beside().await;
    let case = promise(&hall, resident(1), "2026-04-09").await;
    for note in ["一", "二", "三"] {
        let contact = serde_json::json!({ "do": "contact", "direction": "in", "kind": "phone", "note": note });
        hall.act("lin", &case, contact).await.unwrap();
        promise(&hall, resident(2), "2026-04-09").await;
    }
    verify_chain(&hall, &beside.engine.store).await;
}

async fn verify_chain(hall: &Hall, store: &Store) {
    let verdict = store.verify_events(None).await.unwrap();
    assert!(verdict.holds() && verdict.head.seq >= 10, "{verdict:?}");
    assert_eq!(store.chain_head().await.unwrap(), verdict.head);
    assert_eq!(
        hall.column("select count(*) || '' from events").await,
        [verdict.head.seq.to_string()]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn two_processes_that_write_at_once_lose_and_double_nothing() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = promise(&hall, resident(1), "2026-04-09").await;
    let beside = hall.beside().await;
    let rules = hall.app.engine.live.get();
    let note = |app: &xixin::app::App, n: usize| {
        let (store, rules, case, now) = (
            app.engine.store.clone(),
            rules.clone(),
            case.clone(),
            at("2026-03-02 10:00"),
        );
        async move {
            let desk = xixin::engine::desk::Desk::new(&store, &rules.rulebook, &"lin".into()).unwrap();
            let command =
                serde_json::json!({ "do": "contact", "direction": "in", "kind": "phone", "note": format!("{n}") });
            desk.act(&case, serde_json::from_value(command).unwrap(), now).await
        }
    };
    let writers = (0..20).map(|n| tokio::spawn(note(if n % 2 == 0 { &hall.app } else { &beside }, n)));
    let done = futures_util::future::join_all(writers).await;
    let written = done.into_iter().filter(|done| done.as_ref().unwrap().is_ok()).count();
    let stored = hall.app.engine.store.case(&case).await.unwrap().unwrap();
    assert_eq!(
        stored.case.contacts.len(),
        written,
        "a refusal wrote nothing, a success was not overwritten"
    );
    assert_eq!(written, 20);
}

async fn queue(hall: &Hall, rows: &[(&str, i64, i64, &str)]) {
    for (id, priority, valid_until_ms, fallback) in rows {
        hall.sql(&format!(
            "insert into reminders (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority, due_ms, decided_ms,
                not_before_ms, valid_until_ms, fallback)
             values ('{id}', 'c', '{id}', 'staff:lin', 'email', 't', 'queued', '', '', {priority}, 0, 0, 0, {valid_until_ms}, '{fallback}')"
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn a_claim_takes_what_presses_most_a_probe_what_was_tried_least_and_a_fallback_what_has_one() {
    let hall = Hall::open("2026-03-02 10:00").await;
    queue(
        &hall,
        &[
            ("normal", 0, 100, "sms"),
            ("urgent-late", 1, 900, ""),
            ("urgent-soon", 1, 200, ""),
            ("critical", 2, 500, ""),
            ("critical-sms", 2, 600, "sms"),
        ],
    )
    .await;
    let store = &hall.app.engine.store;
    let now = Timestamp::from_millisecond(10).unwrap();
    let claim = async |claim: Claim, limit: i64| -> Vec<String> {
        let claimed = store.claim_due(Way::Email, claim, now, limit, "h", now).await.unwrap();
        hall.sql("update reminders set state = 'queued'").await;
        claimed.into_iter().map(|row| row.id).collect()
    };
    assert_eq!(claim(Claim::Due, 3).await, ["critical", "critical-sms", "urgent-soon"]);
    assert_eq!(claim(Claim::Fallback, 9).await, ["critical-sms"]);
    assert_eq!(
        store.next_fallback(Way::Email).await.unwrap(),
        Some(Timestamp::UNIX_EPOCH)
    );
    assert_eq!(store.next_fallback(Way::Sms).await.unwrap(), None);
    // Claimed by nobody so far, so each in turn; then the least tried again.
    let probes = [
        claim(Claim::Probe, 1).await,
        claim(Claim::Probe, 1).await,
        claim(Claim::Probe, 1).await,
    ]
    .concat();
    assert_eq!(probes, ["urgent-late", "normal", "critical"]);
    // What runs may have died over is handled alone, and while the provider is down only what has another way.
    hall.sql("update reminders set crashes = 1 where id in ('critical', 'critical-sms', 'normal')")
        .await;
    assert_eq!(claim(Claim::Fallback, 9).await, Vec::<String>::new());
    for (of, suspects) in [
        (Claim::Fallback, [Some("critical-sms"), None]),
        (Claim::Due, [Some("critical"), Some("critical-sms")]),
    ] {
        for expected in suspects {
            let suspect = store.claim_suspect(Way::Email, of, now, "h", now).await.unwrap();
            assert_eq!(suspect.as_ref().map(|row| row.id.as_str()), expected, "{of:?}");
        }
        hall.sql("update reminders set state = 'queued'").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn an_attempt_starts_only_from_a_live_claim_of_an_unchanged_case() {
    let hall = Hall::open("2026-03-04 08:50").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    let store = &hall.app.engine.store;
    let now = hall.leases_at("2026-03-04 09:00").await;
    let claimed = store
        .claim_due(Way::Email, Claim::Due, now, 1, "h", at("2026-03-04 09:01"))
        .await
        .unwrap()
        .remove(0);
    let version = store.case(&case).await.unwrap().unwrap().version;
    let attempt = |id: &str, epoch: i64, version: i64| xixin::store::queue::NewAttempt {
        id: id.to_owned(),
        reminder_id: claimed.id.clone(),
        epoch,
        case_version: Some(version),
        wire_id: "w".to_owned(),
        wire_sha256: "s".to_owned(),
        judged_ms: None,
        gateway: None,
        receipt_ms: None,
    };
    for (name, epoch, version) in [
        ("old lease", claimed.epoch - 1, version),
        ("changed case", claimed.epoch, version - 1),
    ] {
        let started = store
            .begin_attempts(Way::Email, &[attempt(name, epoch, version)], now)
            .await
            .unwrap();
        assert!(started.started.is_empty(), "{name}");
    }
    let late = hall.leases_at("2026-03-04 09:00:40.001").await;
    let started = store
        .begin_attempts(Way::Email, &[attempt("late", claimed.epoch, version)], late)
        .await
        .unwrap();
    assert!(started.started.is_empty(), "less than 20 s of the lease are left");
    let in_time = hall.leases_at("2026-03-04 09:00:40").await;
    let started = store
        .begin_attempts(Way::Email, &[attempt("a", claimed.epoch, version)], in_time)
        .await
        .unwrap();
    assert_eq!(started.started.into_iter().collect::<Vec<_>>(), ["a"]);
    let again = store
        .begin_attempts(Way::Email, &[attempt("b", claimed.epoch, version)], in_time)
        .await
        .unwrap();
    assert!(again.started.is_empty(), "once");
    assert_eq!(hall.column("select id from attempts").await, ["a"]);
}

/// The functions that no other test of this binary runs against a database; each prepares its SQL when it is run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn every_question_to_the_database_is_understood() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.run_until("2026-03-04 10:00").await;
    let store = &hall.app.engine.store;
    let (from, to) = (at("2026-03-01 00:00"), at("2026-03-31 00:00"));
    assert_eq!(store.waking_before(to, 10).await.unwrap().len(), 1);
    assert!(store.ledger_between(from, to, 100).await.unwrap().len() > 3);
    assert!(store.newest_decision().await.unwrap().is_some());
    let row = store.ledger_of(&case, 1).await.unwrap().remove(0);
    assert_eq!(store.ledger_row(&row.id.as_str().into()).await.unwrap(), Some(row));
    assert_eq!(
        store.open_cases_by_unit().await.unwrap(),
        [("taoranting-window".to_owned(), 1)]
    );
    assert_eq!(store.waiting_cases(&["lin".into()]).await.unwrap().len(), 0);
    assert_eq!(store.new_cases(&["lin".into()], from, to).await.unwrap().len(), 1);
    assert_eq!(store.queue_counts().await.unwrap(), []);
    assert_eq!(store.queue_waits().await.unwrap(), []);
    assert_eq!(store.doubts("nobody").await.unwrap(), 0);
    assert_eq!(store.open_tasks(&["lin".into()]).await.unwrap(), []);
    assert_eq!(store.open_calls(&[&case]).await.unwrap(), []);
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn a_claim_that_is_prolonged_is_not_put_back_and_an_old_one_cannot_be_prolonged() {
    let hall = Hall::open("2026-03-04 08:50").await;
    hall.without_digest("2026-03-04").await;
    visit(&hall, resident(1), "2026-03-05 09:30").await;
    hall.clock.set(at("2026-03-04 09:00"));
    hall.plan().await;
    let store = &hall.app.engine.store;
    let (now, minute) = (hall.leases_at("2026-03-04 09:00").await, at("2026-03-04 09:01"));
    let claimed = store
        .claim_due(Way::Email, Claim::Due, now, 10, "one", minute)
        .await
        .unwrap();
    let leases: Vec<Lease> = claimed.iter().map(Lease::of).collect();
    assert_eq!(leases.len(), 1);
    store.renew(&leases, now, at("2026-03-04 09:03")).await.unwrap();
    let released = async |time: &str| store.release_expired(hall.leases_at(time).await).await.unwrap();
    assert_eq!(released("2026-03-04 09:02").await, 0);
    assert_eq!(released("2026-03-04 09:04").await, 1);
    // Somebody else has it now.
    let (now, later) = (at("2026-03-04 09:04"), at("2026-03-04 09:05"));
    store
        .claim_due(Way::Email, Claim::Due, now, 10, "other", later)
        .await
        .unwrap();
    store.renew(&leases, now, at("2026-03-04 10:00")).await.unwrap();
    assert_eq!(released("2026-03-04 09:06").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn a_long_list_is_taken_over_as_if_case_by_case() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let case = |number: usize| {
        let case = serde_json::json!({
            "resident": { "name": format!("沈{}", number % 300), "phone": format!("1390000{:04}", number % 300) },
            "relatives": [{ "name": "沈小满", "relation": "daughter", "phone": format!("1390001{:04}", number % 300) }],
            "matter": "labour_assessment",
            "request": format!("第{number}件"),
            "callbacks": [{ "words": "办好了联系您", "due": "2026-04-09" }],
        });
        serde_json::from_value(case).unwrap()
    };
    // Everybody comes at least twice: within one chunk of the list, and in the next.
    let list: Vec<xixin::domain::command::NewCase> = (0..620).map(case).collect();
    let rules = hall.app.engine.live.get();
    let desk = xixin::engine::desk::Desk::new(&hall.app.engine.store, &rules.rulebook, &"lin".into()).unwrap();
    let ids = desk.import(list, &[], at("2026-03-02 10:00")).await.unwrap();
    assert_eq!((ids.len(), ids[0].as_str()), (620, "2026-000001"));
    assert_eq!(ids[619].as_str(), "2026-000620");
    let counts = hall
        .column(
            "select (select count(*) from cases) || ' ' || (select count(distinct resident) from cases) || ' '
                 || (select count(*) from people where relative_of is null) || ' '
                 || (select count(*) from people where relative_of is not null) || ' ' || (select count(*) from agenda)",
        )
        .await;
    assert_eq!(counts, ["620 300 300 300 1860"]);
    let store = &hall.app.engine.store;
    let cases = store.open_after("", 1000).await.unwrap().cases;
    let residents: Vec<_> = cases.iter().map(|stored| &stored.case.party.person).collect();
    let people = store.people(&residents).await.unwrap();
    for (number, stored) in cases.iter().enumerate() {
        let resident = people[&stored.case.party.person].resident.as_ref().unwrap();
        let phone = format!("1390000{:04}", number % 300);
        assert_eq!(resident.phone.as_deref(), Some(phone.as_str()), "{}", stored.case.id);
    }
    verify_chain(&hall, &hall.app.engine.store).await;
    // The next number follows.
    let next = promise(&hall, resident(1), "2026-04-09").await;
    assert_eq!(next.as_str(), "2026-000621");
}

#[tokio::test]
pub(crate) async fn what_others_say_is_stored_whatever_letters_it_has() {
    let hall = Hall::open("2026-03-02 10:00").await;
    let store = &hall.app.engine.store;
    store.pause("sms", hall.now(), "xixin", "one\0two").await.unwrap();
    let paused = store.switches().await.unwrap();
    assert_eq!(paused[0].reason, "one\u{fffd}two");
}
