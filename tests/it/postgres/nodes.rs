//! Several nodes on one database: whatever two of them do at the same moment comes to what one after the other would have come to.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;
use xixin::app::App;
use xixin::domain::command::{Command, NewCase};
use xixin::domain::delivery::Fate;
use xixin::domain::ids::{CaseId, StaffId};
use xixin::domain::ladder::Way;
use xixin::engine::alike::Likeness;
use xixin::engine::desk::{Desk, DeskError};
use xixin::engine::person::erase;
use xixin::engine::{digests, hints, planner};
use xixin::store::fate::note_fate;
use xixin::store::inbound::NewInbound;
use xixin::store::queue::{Claim, NewAttempt};
use xixin::store::{Store, retention};

use crate::support::hall::Hall;
use crate::support::intake::{promise, resident};
use crate::support::rulebook::at;

const NOW: &str = "2026-03-02 10:00";

/// A hall with a second node.
async fn two() -> (Hall, App) {
    let hall = Hall::on_postgres(NOW).await;
    let other = hall.node("b").await;
    (hall, other)
}

/// Both begin at the same moment.
pub(super) async fn at_once<A: Send + 'static, B: Send + 'static>(
    one: impl Future<Output = A> + Send + 'static,
    two: impl Future<Output = B> + Send + 'static,
) -> (A, B) {
    let start = Arc::new(Barrier::new(2));
    let other = Arc::clone(&start);
    let one = tokio::spawn(async move {
        start.wait().await;
        one.await
    });
    let two = tokio::spawn(async move {
        other.wait().await;
        two.await
    });
    (one.await.unwrap(), two.await.unwrap())
}

fn act(app: &App, case: &CaseId, command: Value) -> impl Future<Output = Result<(), DeskError>> + Send + 'static {
    let (store, rules, case) = (app.engine.store.clone(), app.engine.live.get(), case.clone());
    async move {
        let command: Command = serde_json::from_value(command).unwrap();
        let desk = Desk::new(&store, &rules.rulebook, &"lin".into()).unwrap();
        desk.act(&case, command, at(NOW)).await.map(drop)
    }
}

fn open(app: &App, case: Value) -> impl Future<Output = Result<CaseId, DeskError>> + Send + 'static {
    let (store, rules) = (app.engine.store.clone(), app.engine.live.get());
    async move {
        let new: NewCase = serde_json::from_value(case).unwrap();
        let desk = Desk::new(&store, &rules.rulebook, &"lin".into()).unwrap();
        desk.open(new, at(NOW)).await.map(|change| change.case.id)
    }
}

async fn queue(hall: &Hall, count: usize) {
    hall.sql(&format!(
        "insert into reminders (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority, due_ms, decided_ms,
            not_before_ms, valid_until_ms, fallback)
         select 'r' || n, '', 'm' || n, 'staff:lin', 'email', 't', 'queued', '', '', n % 3, 0, 0, 0, 9, '' from generate_series(1, {count}) as n"
    ))
    .await;
}

async fn claim_all(store: Store, holder: &'static str) -> Vec<String> {
    let (mut all, now) = (Vec::new(), at(NOW));
    loop {
        let until = now + SignedDuration::from_secs(60);
        let claimed = store
            .claim_due(Way::Email, Claim::Due, now, 7, holder, until)
            .await
            .unwrap();
        if claimed.is_empty() {
            return all;
        }
        all.extend(claimed.into_iter().map(|row| row.id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_has_claimed_no_other_claims() {
    let (hall, other) = two().await;
    queue(&hall, 500).await;
    let (mine, theirs) = at_once(
        claim_all(hall.app.engine.store.clone(), "a"),
        claim_all(other.engine.store.clone(), "b"),
    )
    .await;
    assert_eq!(mine.len() + theirs.len(), 500);
    assert_eq!(mine.iter().chain(&theirs).collect::<BTreeSet<_>>().len(), 500);
    assert_eq!(hall.column("select max(epoch) || '' from reminders").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_digests_that_two_nodes_race_for_each_is_queued_once() {
    let (hall, other) = two().await;
    let readers = digests::readers(&hall.app.engine.live.get().rulebook, "2026-03-02".parse().unwrap()).len();
    let mut day: Date = "2026-03-02".parse().unwrap();
    let queue = |app: &App, day: Date| {
        let engine = app.engine.clone();
        async move { digests::queue(&engine, day, at(NOW)).await.unwrap() }
    };
    let mut queued = 0;
    for _ in 0..1_000 {
        let (one, two) = at_once(queue(&hall.app, day), queue(&other, day)).await;
        assert!(one == 0 || two == 0, "{day}: {one} and {two}");
        queued += one + two;
        day = day.tomorrow().unwrap();
    }
    assert!(readers > 0 && queued >= 1_000);
    let kept =
        "select count(*) || ' ' || count(distinct mark) || ' ' || count(distinct mark || recipient) from reminders";
    assert_eq!(hall.column(kept).await, [format!("{queued} 1000 {queued}")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_comes_to_two_nodes_at_once_is_one_person() {
    let (hall, other) = two().await;
    let case = |number: u32| {
        json!({ "resident": resident(number), "matter": "labour_assessment", "request": "询问进度",
            "deadlines": [{ "kind": "labour_decision", "trigger": "2026-06-01" }] })
    };
    for number in 0..20 {
        let (one, two) = at_once(open(&hall.app, case(number)), open(&other, case(number))).await;
        assert_ne!(one.unwrap(), two.unwrap(), "two numbers");
    }
    let counts = "select (select count(*) from cases) || ' ' || (select count(*) from people) || ' ' || (select count(distinct resident) from cases)";
    assert_eq!(hall.column(counts).await, ["40 20 20"]);
    assert!(hall.app.engine.store.verify_events(None).await.unwrap().holds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_two_nodes_take_over_at_once_is_taken_over_once() {
    let (hall, other) = two().await;
    let import = |app: &App, number: u32| {
        let (store, rules) = (app.engine.store.clone(), app.engine.live.get());
        async move {
            let case = json!({ "resident": resident(number), "matter": "labour_assessment", "request": "询问进度" });
            let new: NewCase = serde_json::from_value(case).unwrap();
            let desk = Desk::new(&store, &rules.rulebook, &"lin".into()).unwrap();
            let looked = desk.rehearse(std::slice::from_ref(&new), at(NOW)).remove(0).unwrap();
            desk.import(vec![new], &[Likeness::of(&looked).unwrap()], at(NOW)).await
        }
    };
    for number in 0..20 {
        let (one, two) = at_once(import(&hall.app, number), import(&other, number)).await;
        let repeated = |done: &Result<_, DeskError>| matches!(done, Err(DeskError::Repeated(_)));
        assert!(
            one.is_ok() && repeated(&two) || two.is_ok() && repeated(&one),
            "{one:?} {two:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_bound_twice_by_two_nodes() {
    let (hall, other) = two().await;
    let one = promise(&hall, resident(1), "2026-04-09").await;
    let two = promise(&hall, resident(2), "2026-04-09").await;
    let book = |day: u32| json!({ "do": "book", "what": "递交材料", "office": "social_insurance", "start": format!("2026-03-{day:02} 09:30"), "with": "hao" });
    for day in [3, 4, 5, 6, 9, 10, 11, 12, 13] {
        let (one, two) = at_once(act(&hall.app, &one, book(day)), act(&other, &two, book(day))).await;
        let refused = |done: &Result<(), DeskError>| matches!(done, Err(DeskError::Refused(_)));
        assert!(
            one.is_ok() && refused(&two) || two.is_ok() && refused(&one),
            "{day}: {one:?} {two:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_nodes_note_of_one_person_in_two_cases_is_both_kept() {
    let (hall, other) = two().await;
    for number in 0..10 {
        let one = promise(&hall, resident(number), "2026-04-09").await;
        let two = promise(&hall, resident(number), "2026-04-09").await;
        let born = json!({ "do": "change_person", "born": 1951 });
        let mail = json!({ "do": "change_person", "email": "a@example.org" });
        let (one_done, two_done) = at_once(act(&hall.app, &one, born), act(&other, &two, mail)).await;
        one_done.unwrap();
        two_done.unwrap();
        let store = &hall.app.engine.store;
        let case = store.case(&one).await.unwrap().unwrap();
        let known = store
            .people_of(&case.case.party.person)
            .await
            .unwrap()
            .resident
            .unwrap();
        assert_eq!(
            (known.born, known.email.as_deref()),
            (Some(1951), Some("a@example.org"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_write_at_once_lose_nothing_and_the_chain_holds() {
    let (hall, other) = two().await;
    let one = promise(&hall, resident(1), "2026-04-09").await;
    let two = promise(&hall, resident(2), "2026-04-09").await;
    let note = |n: usize| json!({ "do": "contact", "direction": "in", "kind": "phone", "note": n.to_string() });
    for round in 0..30 {
        // The same case every third time.
        let other_case = if round % 3 == 0 { &one } else { &two };
        let done = at_once(
            act(&hall.app, &one, note(round)),
            act(&other, other_case, note(100 + round)),
        )
        .await;
        done.0.unwrap();
        done.1.unwrap();
    }
    let store = &hall.app.engine.store;
    let contacts = async |case: &CaseId| store.case(case).await.unwrap().unwrap().case.contacts.len();
    assert_eq!((contacts(&one).await, contacts(&two).await), (40, 20));
    let verdict = other.engine.store.verify_events(None).await.unwrap();
    assert!(verdict.holds(), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_case_is_planned_by_one_node() {
    let (hall, other) = two().await;
    for number in 0..40 {
        promise(&hall, resident(number), "2026-04-09").await;
    }
    // Each case by itself, so that both have much to do at the same time.
    let plan = |app: &App| {
        let engine = app.engine.clone();
        async move {
            let mut planned = 0;
            for _ in 0..20 {
                planned += planner::step(&engine, at(NOW)).await.unwrap().planned;
            }
            planned
        }
    };
    let (mine, theirs) = at_once(plan(&hall.app), plan(&other)).await;
    hall.plan().await;
    let asleep = "select count(*) || '' from cases where wake_ms > 0 and rules_gen > 0";
    assert_eq!(hall.column(asleep).await, ["40"]);
    assert!(mine + theirs <= 40, "{mine} and {theirs}: none is planned twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parts_of_an_sms_become_one_message_whichever_nodes_join_them() {
    let (hall, other) = two().await;
    let inbound = |id: String| NewInbound {
        id,
        provider: "g".to_owned(),
        body: "{}".to_owned(),
    };
    for round in 0..20 {
        let parts: Vec<String> = (0..3).map(|part| format!("part:{round}:{part}")).collect();
        let all: Vec<NewInbound> = parts.iter().cloned().map(inbound).collect();
        hall.app.engine.store.keep_inbound(&all, at(NOW)).await.unwrap();
        let join = |app: &App, of: usize| {
            let (store, parts) = (app.engine.store.clone(), parts[..of].to_vec());
            async move {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let whole = inbound(format!("whole:{round}:{of}"));
                store.join_inbound(&parts, &whole, at(NOW)).await.unwrap();
            }
        };
        at_once(join(&hall.app, 2), join(&other, 3)).await;
    }
    let whole = "select count(*) || '' from inbound where id like 'whole:%'";
    assert_eq!(hall.column(whole).await, ["20"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_furthest_news_of_an_attempt_wins_whichever_nodes_hear_it() {
    let (hall, other) = two().await;
    queue(&hall, 20).await;
    hall.sql("update reminders set state = 'accepted'").await;
    hall.sql(
        "insert into attempts (id, reminder_id, epoch, way, started_ms, wire_id, wire_sha256, outcome)
         select id, id, 1, 'email', 0, 'w', 's', 'accepted' from reminders",
    )
    .await;
    for number in 1..=20 {
        let note = |app: &App, fate: Fate| {
            let store = app.engine.store.clone();
            async move {
                let mut tx = store.begin().await.unwrap();
                note_fate(&mut tx, &format!("r{number}"), fate, None, at(NOW))
                    .await
                    .unwrap();
                xixin::store::commit(tx, "note").await.unwrap();
            }
        };
        at_once(note(&hall.app, Fate::Delivered), note(&other, Fate::Bounced)).await;
    }
    let states =
        "select distinct state || ' ' || outcome from reminders join attempts on attempts.reminder_id = reminders.id";
    assert_eq!(hall.column(states).await, ["bounced bounced"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_nodes_take_away_at_once_is_counted_once() {
    let (hall, other) = two().await;
    hall.sql(
        "insert into inbound (id, received_ms, provider, body, handled_ms)
         select 'i' || n, 1, 'g', '', 1 from generate_series(1, 400) as n",
    )
    .await;
    let purge = |app: &App| {
        let store = app.engine.store.clone();
        async move {
            let mut gone = 0;
            loop {
                let mut tx = store.begin().await.unwrap();
                let taken = retention::take_inbound(&mut tx, Timestamp::from_second(9).unwrap(), 50)
                    .await
                    .unwrap();
                xixin::store::commit(tx, "purge").await.unwrap();
                gone += taken.rows;
                if taken.rows == 0 {
                    return gone;
                }
            }
        }
    };
    let (one, two) = at_once(purge(&hall.app), purge(&other)).await;
    assert_eq!(one + two, 400);
}

/// Whatever two nodes have under way: each numbers its own batches, and counts beside the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_numbers_its_own_batches() {
    let (hall, other) = two().await;
    queue(&hall, 30).await;
    let begin = |app: &App, holder: &'static str| {
        let store = app.engine.store.clone();
        async move {
            let (now, until) = (at(NOW), at(NOW) + SignedDuration::from_secs(60));
            for _ in 0..5 {
                let claimed = store
                    .claim_due(Way::Email, Claim::Due, now, 3, holder, until)
                    .await
                    .unwrap();
                let attempts: Vec<NewAttempt> = claimed
                    .iter()
                    .map(|row| NewAttempt {
                        id: format!("{}-{}", row.id, row.epoch),
                        reminder_id: row.id.clone(),
                        epoch: row.epoch,
                        case_version: None,
                        wire_id: String::new(),
                        wire_sha256: String::new(),
                        judged_ms: None,
                        gateway: None,
                        receipt_ms: None,
                    })
                    .collect();
                store.begin_attempts(Way::Email, &attempts, now).await.unwrap();
            }
        }
    };
    at_once(begin(&hall.app, "a"), begin(&other, "b")).await;
    assert_eq!(hall.app.engine.store.sent_serial().await.unwrap(), 5);
    assert_eq!(other.engine.store.sent_serial().await.unwrap(), 5);
    assert_eq!(hall.column("select count(*) || '' from attempts").await, ["30"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_forgets_does_not_begin_to_leave_by_another() {
    let (hall, other) = two().await;
    for number in 0..20 {
        let case = json!({ "resident": resident(number), "matter": "labour_assessment", "request": "询问进度" });
        let case = hall.take_in("lin", case).await;
        let close = json!({ "do": "close", "as": "withdrawn", "reason": "居民撤回" });
        hall.act("lin", &case, close).await.unwrap();
        let stored = hall.app.engine.store.case(&case).await.unwrap().unwrap();
        let person = stored.case.party.person.clone();
        hall.sql(&format!(
            "insert into reminders (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority, due_ms, decided_ms,
                not_before_ms, valid_until_ms, fallback)
             values ('f{number}', '{case}', 'm', 'person:{person}', 'sms', 't', 'queued', '', '', 0, 0, 0, 0, 9, '')"
        ))
        .await;
        let forget = {
            let (store, rules) = (other.engine.store.clone(), other.engine.live.get());
            async move {
                let by = &rules.rulebook.org.staff[&StaffId::from("gu")];
                let erased = erase::erase(&store, &rules.rulebook, &person, by, "本人要求", at(NOW)).await;
                erased.is_ok()
            }
        };
        let claim = {
            let store = hall.app.engine.store.clone();
            async move {
                let until = at(NOW) + SignedDuration::from_secs(60);
                let claimed = store
                    .claim_due(Way::Sms, Claim::Due, at(NOW), 1, "a", until)
                    .await
                    .unwrap();
                !claimed.is_empty()
            }
        };
        let (claimed, forgotten) = at_once(claim, forget).await;
        assert!(
            !(claimed && forgotten),
            "{number}: either it is on its way, or they are forgotten"
        );
        hall.sql("delete from reminders where way = 'sms'").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_pause_at_one_node_stands_at_another_before_it_looks_by_itself() {
    let (hall, other) = two().await;
    let engine = other.engine.clone();
    assert!(engine.gate.closed(Way::Email).is_none());
    let paused = hall.app.engine.store.pause("all", at(NOW), "gu", "测试").await;
    paused.unwrap();
    let stop = CancellationToken::new();
    let hearing = tokio::spawn(hints::run(engine.clone(), stop.clone()));
    // It says so until the other has begun to listen.
    tokio::select! {
        () = engine.bells.planner.notified() => {}
        () = async { loop { hall.app.engine.store.hint(&hall.app.engine.holder).await.unwrap() } } => {}
    }
    assert!(engine.gate.closed(Way::Email).is_some());
    stop.cancel();
    hearing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_changes_something_is_heard_by_name() {
    let (hall, other) = two().await;
    let mut heard = other.engine.store.hints().await.unwrap().unwrap();
    hall.app.engine.ring_everywhere();
    assert_eq!(heard.next().await.as_deref(), Some(&*hall.app.engine.holder));
}
