//! Looking ahead: `simulate` tells what really happens, `diff` what a changed configuration would change, and both write nothing.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use xixin::app::Place;
use xixin::engine::diff::{BLAST, Difference, Sign, diff};
use xixin::engine::simulate::{End, Happening, Tally, Told, Wanted, simulate};

use crate::support::hall::{Hall, copy_dir};
use crate::support::intake::{brief_visit, brief_visit_with, certificate, promise, resident};
use crate::support::rulebook::at;

/// What the simulation tells until a local time.
async fn simulated(hall: &Hall, wanted: &Wanted, until: &str) -> (Vec<Told>, Tally) {
    let app = hall.beside().await;
    let now = app.engine.clock.now();
    let mut told = Vec::new();
    let mut tell = |one: &Told| {
        told.push(one.clone());
        ControlFlow::Continue(())
    };
    let tally = simulate(&app.engine, wanted, (now, at(until)), &mut tell)
        .await
        .unwrap();
    (told, tally)
}

fn reminders(told: &[Told]) -> Vec<&Happening> {
    let mut found = Vec::new();
    for one in told {
        if let Told::Reminder(happening) = one {
            found.push(&**happening);
        }
    }
    found
}

/// A simulated row as the ledger would have it: case, mark, recipient, way, state, when decided and when over, why.
fn as_in_ledger(happening: &Happening) -> String {
    let row = &happening.row;
    let state = match happening.end {
        End::Sent => "accepted",
        End::Task => "task",
        End::Superseded => "superseded",
        End::Skipped => "skipped",
        End::Cancelled => "cancelled",
    };
    let sent = if happening.end == End::Sent {
        happening.at.as_millisecond()
    } else {
        0
    };
    // A call that nobody made is withdrawn when the next one comes; its reason changes with it.
    let why = if state == "task" { "" } else { &row.reason_zh };
    let ids = format!("{} {} {} {}", row.case_id, row.mark, row.recipient, row.way);
    format!("{ids} {state} decided {} sent {sent} {why}", row.decided_ms)
}

/// The real ledger in the same form, digests apart.
async fn ledger(hall: &Hall) -> Vec<String> {
    let store = &hall.app.engine.store;
    let rows = store
        .ledger_between(Timestamp::UNIX_EPOCH, Timestamp::MAX, 100_000)
        .await
        .unwrap();
    let line = |row: &xixin::store::reminders::LedgerRow| {
        let is_call = row.way == "phone";
        let state = if is_call { "task" } else { row.state.as_str() };
        let why = if is_call { "" } else { row.reason_zh.as_str() };
        let sent = row.sent_ms.filter(|_| row.state == "accepted").unwrap_or(0);
        let ids = format!("{} {} {} {}", row.case_id, row.mark, row.recipient, row.way);
        format!("{ids} {state} decided {} sent {sent} {why}", row.decided_ms)
    };
    let mut lines: Vec<String> = rows.iter().filter(|row| !row.case_id.is_empty()).map(line).collect();
    lines.sort();
    lines
}

/// A hall with something of everything: deadlines that end, several cases of one resident on one day, somebody old, relatives, visits
/// early in the morning, promises, and a case entered in the middle of its ladder.
async fn busy_hall() -> Hall {
    let hall = Hall::open("2026-02-10 15:00").await;
    for _ in 0..4 {
        certificate(&hall, resident(1)).await;
    }
    let old = json!({ "name": "沈万田", "gender": "male", "phone": "13900000002", "born": 1930 });
    for _ in 0..2 {
        certificate(&hall, old.clone()).await;
    }
    let relatives = json!([
        { "name": "沈念", "relation": "女儿", "phone": "13900000009", "opted_in": true },
        { "name": "沈安", "relation": "儿子", "phone": "13900000010", "opted_in": true },
    ]);
    for (first, second) in [
        ("09:30", "09:35"),
        ("10:00", "10:05"),
        ("09:00", "09:05"),
        ("14:00", "14:05"),
    ] {
        let (first, second) = (format!("2026-03-05 {first}"), format!("2026-03-05 {second}"));
        brief_visit_with(&hall, resident(3), relatives.clone(), &first).await;
        brief_visit(&hall, resident(4), &second).await;
    }
    promise(&hall, resident(5), "2026-03-09").await;
    let late = json!({
        "resident": resident(6),
        "matter": "cremation_certificate",
        "request": "证明遗失",
        "deadlines": [
            { "kind": "cremation_reissue", "trigger": "2016-02-13" },
            { "kind": "funeral_benefit", "trigger": "unknown" },
        ],
    });
    hall.take_in("lin", late).await;
    hall
}

/// Compares the simulation until a midnight with what the hall then really does.
async fn tells_what_happens(hall: &Hall, last: &str, midnight: &str) {
    let before = ledger(hall).await;
    let queued = hall
        .column("select id from reminders where state = 'queued' and case_id <> ''")
        .await
        .len();
    let (told, tally) = simulated(hall, &Wanted::default(), midnight).await;
    let mut foretold: Vec<String> = reminders(&told).into_iter().map(as_in_ledger).collect();
    foretold.sort();
    hall.run_until(last).await;
    let mut really = ledger(hall).await;
    // What was over before is no part of the future.
    really.retain(|line| !before.contains(line));
    assert_eq!(foretold.len(), really.len(), "{queued} were queued already");
    for (foretold, really) in foretold.iter().zip(&really) {
        assert_eq!(foretold, really);
    }
    let times: Vec<Timestamp> = told
        .iter()
        .map(|told| match told {
            Told::Digests { at, .. } => *at,
            Told::Reminder(happening) => happening.at,
        })
        .collect();
    assert!(times.is_sorted(), "it is told in the order of time");
    assert_eq!(tally.ends.values().sum::<u64>(), foretold.len() as u64);
    assert_eq!(tally.unreadable, 0);
}

#[tokio::test]
async fn a_simulation_tells_exactly_what_the_hall_then_does() {
    let hall = busy_hall().await;
    tells_what_happens(&hall, "2026-04-30 23:59", "2026-05-01 00:00").await;
    let states = hall.column("select distinct state from reminders order by state").await;
    for state in ["accepted", "skipped", "superseded"] {
        assert!(states.iter().any(|known| known == state), "{state} of {states:?}");
    }
    let capped = hall
        .column("select id from reminders where reason_zh like '%上限%'")
        .await;
    assert!(!capped.is_empty(), "the caps of the day were reached");
}

#[tokio::test]
async fn a_simulation_that_begins_in_the_middle_goes_on_from_what_is_queued_and_was_sent_today() {
    let hall = busy_hall().await;
    hall.run_until("2026-03-05 11:00").await;
    tells_what_happens(&hall, "2026-03-20 23:59", "2026-03-21 00:00").await;
    hall.run_until("2026-03-21 02:00").await;
    tells_what_happens(&hall, "2026-03-31 23:59", "2026-04-01 00:00").await;
}

#[tokio::test]
async fn what_a_cap_turns_into_calls_is_simulated_as_calls() {
    // Sending hours that begin after some of the appointments.
    let hall = busy_hall().await;
    let schedule = hall.config().join("schedule.toml");
    let text = std::fs::read_to_string(&schedule).unwrap();
    std::fs::write(&schedule, text.replace("08:00-21:00", "09:50-21:00")).unwrap();
    hall.app.reload().await.unwrap();
    let early = json!({ "name": "沈万田", "gender": "male", "phone": "13900000002", "born": 1930 });
    for (first, second) in [("09:10", "09:25"), ("09:15", "09:40"), ("09:20", "09:45")] {
        brief_visit(&hall, resident(8), &format!("2026-03-05 {first}")).await;
        brief_visit(&hall, early.clone(), &format!("2026-03-05 {second}")).await;
    }
    tells_what_happens(&hall, "2026-03-31 23:59", "2026-04-01 00:00").await;
    let calls = hall
        .column("select id from reminders where way = 'sms' and state = 'cancelled' and reason_zh = '今天给此人的短信已到上限'")
        .await;
    assert!(!calls.is_empty());
}

#[tokio::test]
async fn a_simulation_counts_the_digests_that_then_go_out() {
    let hall = busy_hall().await;
    let (told, tally) = simulated(&hall, &Wanted::default(), "2026-03-11 00:00").await;
    hall.run_until("2026-03-10 23:59").await;
    let queued = hall.column("select mark from reminders where case_id = ''").await.len() as u64;
    let foretold: u64 = told
        .iter()
        .map(|told| match told {
            Told::Digests { readers, .. } => *readers,
            Told::Reminder(_) => 0,
        })
        .sum();
    assert_eq!(foretold, queued);
    assert_eq!(tally.days.values().map(|day| day.digests).sum::<u64>(), queued);
    let (busiest, day) = tally.busiest().unwrap();
    assert!(tally.days.values().all(|other| other.load() <= day.load()), "{busiest}");
}

#[tokio::test]
async fn a_simulation_of_one_case_unit_or_person_tells_nothing_of_others() {
    let hall = busy_hall().await;
    let case = promise(&hall, resident(7), "2026-02-20").await;
    let one = Wanted {
        case: Some(case.clone()),
        ..Wanted::default()
    };
    let (told, tally) = simulated(&hall, &one, "2026-03-01 00:00").await;
    assert_eq!(tally.cases, 1);
    assert!(!told.is_empty());
    assert!(
        reminders(&told)
            .iter()
            .all(|happening| happening.row.case_id == case.as_str())
    );
    let gu = Wanted {
        staff: Some("gu".into()),
        ..Wanted::default()
    };
    let (told, tally) = simulated(&hall, &gu, "2026-04-01 00:00").await;
    assert!(!told.is_empty());
    assert!(
        reminders(&told)
            .iter()
            .all(|happening| happening.row.recipient == "staff:gu")
    );
    assert_eq!(
        tally.staff.keys().map(|staff| staff.as_str()).collect::<Vec<_>>(),
        ["gu"]
    );
}

#[tokio::test]
async fn a_simulation_ends_when_nobody_listens_any_more() {
    let hall = busy_hall().await;
    let app = hall.beside().await;
    let mut told = 0;
    let mut tell = |_: &Told| {
        told += 1;
        ControlFlow::Break(())
    };
    let span = (app.engine.clock.now(), at("2026-12-01 00:00"));
    simulate(&app.engine, &Wanted::default(), span, &mut tell)
        .await
        .unwrap();
    assert_eq!(told, 1);
}

/// A copy of the hall's configuration with one text in one file replaced.
fn changed(hall: &Hall, file: &str, from: &str, to: &str) -> PathBuf {
    let dir = hall.dir.path().join("new");
    copy_dir(&hall.config(), &dir);
    let path = dir.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    dir
}

async fn compared(hall: &Hall, new: PathBuf, until: &str) -> Difference {
    let app = hall.beside().await;
    let place = Place {
        config: new,
        environment: Default::default(),
    };
    let (new, _) = place.load().unwrap();
    let old = Arc::new(app.engine.live.get().rulebook.clone());
    let span = (app.engine.clock.now(), at(until));
    diff(&app.engine.store, old, Arc::new(new.rulebook), span, 1_000)
        .await
        .unwrap()
}

fn counts(found: &Difference, rung: &str) -> Vec<(Sign, u64)> {
    let of_rung = found.rungs.iter().filter(|((_, name), _)| name.as_str() == rung);
    of_rung
        .flat_map(|(_, signs)| signs.iter().map(|(sign, n)| (*sign, *n)))
        .collect()
}

const ATTENTION: &str = "name = \"attention\"\nwhen = \"14 days before last_safe_day\"\nat = \"09:00\"";

#[tokio::test]
async fn an_unchanged_copy_of_the_configuration_differs_in_nothing() {
    let hall = busy_hall().await;
    let new = changed(&hall, "ladders.toml", "# ", "# A remark. ");
    let found = compared(&hall, new.clone(), "2026-05-01 00:00").await;
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(found.cases, 16);
    // Also where every case is compared, because something around all of them has changed.
    let new = changed(
        &hall,
        "schedule.toml",
        "sms_per_resident_per_day = 2",
        "sms_per_resident_per_day = 9",
    );
    let found = compared(&hall, new, "2026-05-01 00:00").await;
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn a_rung_at_another_time_is_moved_from_the_old_time_to_the_new_one() {
    let hall = busy_hall().await;
    let new = changed(
        &hall,
        "ladders.toml",
        ATTENTION,
        &ATTENTION.replace("14 days", "15 days"),
    );
    let found = compared(&hall, new, "2026-05-01 00:00").await;
    assert_eq!(counts(&found, "attention"), [(Sign::Moved, 6)]);
    assert_eq!(found.totals.into_iter().collect::<Vec<_>>(), [(Sign::Moved, 6)]);
    assert_eq!(found.touched, 6);
    let change = &found.changes[&Sign::Moved][0];
    let (before, after) = (change.before.as_ref().unwrap(), change.after.as_ref().unwrap());
    assert_eq!((before.at, after.at), (at("2026-03-06 09:00"), at("2026-03-05 09:00")));
}

#[tokio::test]
async fn another_recipient_of_a_rung_is_new_and_one_who_is_left_out_is_gone() {
    let hall = busy_hall().await;
    let rung = format!("{ATTENTION}\noff_day = \"earlier\"\nto = [\"owner\"]");
    let both = rung.replace("[\"owner\"]", "[\"owner\", \"supervisor\"]");
    let new = changed(&hall, "ladders.toml", &rung, &both);
    let found = compared(&hall, new, "2026-05-01 00:00").await;
    assert_eq!(found.totals.into_iter().collect::<Vec<_>>(), [(Sign::New, 6)]);
}

#[tokio::test]
async fn a_rung_that_is_deleted_is_gone_and_nothing_else() {
    let hall = busy_hall().await;
    let text = std::fs::read_to_string(hall.config().join("ladders.toml")).unwrap();
    let rung = text
        .split_inclusive("\n\n")
        .find(|part| part.contains(ATTENTION))
        .unwrap()
        .to_owned();
    let new = changed(&hall, "ladders.toml", &rung, "");
    let found = compared(&hall, new, "2026-05-01 00:00").await;
    assert_eq!(counts(&found, "attention"), [(Sign::Gone, 6)]);
    assert_eq!(found.totals.into_iter().collect::<Vec<_>>(), [(Sign::Gone, 6)]);
}

/// A rung whose time has passed: the last safe day of a certificate is 2026-03-20.
const PAST: &str = "[[ladder.record_expiry.rung]]\nname = \"past\"\nwhen = \"40 days before last_safe_day\"\nto = [\"owner\"]\nby = [\"email\"]\ntext = \"deadline\"\n";

#[tokio::test]
async fn a_new_rung_whose_time_has_passed_goes_at_once_and_many_of_them_are_a_blast() {
    let hall = Hall::open("2026-02-11 15:00").await;
    for number in 0..=BLAST {
        certificate(&hall, resident(u32::try_from(number).unwrap())).await;
    }
    hall.settle().await;
    let rung = format!("effective_from = 2026-01-01\n\n{PAST}");
    let new = changed(&hall, "ladders.toml", "effective_from = 2026-01-01\n", &rung);
    let found = compared(&hall, new.clone(), "2026-02-13 00:00").await;
    assert_eq!(counts(&found, "past"), [(Sign::AtOnce, BLAST + 1)]);
    assert!(found.is_blast());
    let told = verb(
        &hall,
        &[
            "diff",
            new.to_str().unwrap(),
            "--now",
            "2026-02-11T15:00:00+08:00",
            "--list",
            "2",
        ],
    );
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("record_expiry/past: !51"), "{told}");
    assert!(told.contains("!!! 启用后会立即发出 51 条"), "{told}");
    assert!(told.contains("49 more are not listed"), "{told}");
    // What the new rules would really do.
    hall.sql("update cases set wake_ms = 0").await;
    let path = hall.config().join("ladders.toml");
    std::fs::copy(new.join("ladders.toml"), path).unwrap();
    hall.app.reload().await.unwrap();
    hall.settle().await;
    let states = hall
        .column("select state from reminders where mark like '%|past|%' order by state")
        .await;
    assert_eq!(states.len(), 51);
    assert_eq!(
        states.last().map(String::as_str),
        Some("held"),
        "what diff warns of, the guard holds"
    );
    assert!(states.iter().all(|state| state == "accepted" || state == "held"));
}

#[tokio::test]
async fn deadlines_that_get_other_dates_are_listed_with_both() {
    let hall = busy_hall().await;
    let text = std::fs::read_to_string(hall.config().join("periods.toml")).unwrap();
    let table = text.split("[period.cremation_reissue]").nth(1).unwrap();
    let length = table.lines().find(|line| line.starts_with("length")).unwrap();
    let new = changed(&hall, "periods.toml", length, "length = \"11y\"");
    let found = compared(&hall, new, "2026-05-01 00:00").await;
    assert_eq!(found.redated, 7);
    let first = &found.dates[0];
    assert_eq!(first.kind.as_str(), "cremation_reissue");
    let years = |dates: xixin::engine::diff::Dates| dates.end.unwrap().year();
    assert_eq!((years(first.before), years(first.after)), (2026, 2027));
    assert!(found.total(Sign::Gone) > 0);
}

fn verb(hall: &Hall, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xixin"));
    command.arg("--config").arg(hall.config()).args(words).env_clear();
    command.output().unwrap()
}

#[tokio::test]
async fn a_broken_new_configuration_tells_every_problem_as_check_does() {
    let hall = Hall::open("2026-02-10 15:00").await;
    let new = changed(&hall, "ladders.toml", "14 days before", "14 dyas before");
    let path = new.join("schedule.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        path,
        text.replace("sms_per_topic_per_day = 1", "sms_per_topic_per_day = \"one\""),
    )
    .unwrap();
    let new = new.to_str().unwrap();
    let (diff, check) = (verb(&hall, &["diff", new]), verb(&hall, &["check", new]));
    assert_eq!(diff.status.code(), Some(78));
    assert_eq!(diff.stdout, check.stdout);
    let told = String::from_utf8(diff.stdout).unwrap();
    assert!(
        told.contains("ladders.toml:") && told.contains("schedule.toml:"),
        "{told}"
    );
    assert_eq!(
        verb(&hall, &["diff", new, "--json"]).stdout,
        verb(&hall, &["check", new, "--json"]).stdout
    );
}

#[tokio::test]
async fn the_verbs_print_words_or_one_json_document_and_write_nothing() {
    let hall = busy_hall().await;
    hall.settle().await;
    let new = changed(
        &hall,
        "ladders.toml",
        ATTENTION,
        &ATTENTION.replace("14 days", "15 days"),
    );
    let new = new.to_str().unwrap();
    let now = ["--now", "2026-02-10T15:00:00+08:00"];
    let tables = [
        "cases",
        "people",
        "agenda",
        "reminders",
        "attempts",
        "events",
        "runs",
        "switches",
        "meta",
    ];
    let mut before = Vec::new();
    for table in tables {
        before.push(
            hall.column(&format!("select cast(count(*) as text) from {table}"))
                .await,
        );
    }
    let changes = hall
        .column("select sum(version) || ' ' || sum(coalesce(wake_ms, 0)) || ' ' || sum(rules_gen) from cases")
        .await;
    let bytes = std::fs::read(hall.app.engine.store.path()).unwrap();

    let told = verb(&hall, &[&["simulate", "--days", "60", "--json"], &now[..]].concat());
    assert_eq!(told.status.code(), Some(0));
    let document: Value = serde_json::from_slice(&told.stdout).unwrap();
    let lines = document["timeline"].as_array().unwrap();
    let sent = lines.iter().filter(|line| line["end"] == "sent").count();
    assert!(sent > 0);
    assert_eq!(document["totals"]["decisions"]["sent"], sent);
    assert_eq!(document["totals"]["days"].as_object().unwrap().len(), 60);
    assert!(
        !String::from_utf8(told.stdout).unwrap().contains("怀瑾"),
        "residents are masked"
    );

    let words = verb(&hall, &[&["simulate", "--days", "60"], &now[..]].concat());
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.contains("2026-03-06 09:00") && words.contains("record_expiry/attention"),
        "{words}"
    );
    let summary = verb(&hall, &[&["simulate", "--days", "60", "--summary"], &now[..]].concat());
    let summary = String::from_utf8(summary.stdout).unwrap();
    assert!(words.ends_with(&summary) && summary.contains("最忙的一天"), "{summary}");
    let empty = verb(
        &hall,
        &[&["simulate", "--days", "60", "--summary", "--json"], &now[..]].concat(),
    );
    let empty: Value = serde_json::from_slice(&empty.stdout).unwrap();
    assert_eq!(empty["totals"], document["totals"]);
    assert_eq!(empty["timeline"], json!([]));

    let differs = verb(&hall, &[&["diff", new, "--json"], &now[..]].concat());
    let differs: Value = serde_json::from_slice(&differs.stdout).unwrap();
    assert_eq!(differs["totals"], json!({ "moved": 6 }));
    assert_eq!(differs["blast"]["warning"], false);

    for (table, before) in tables.iter().zip(&before) {
        // That somebody looked at residents' cases is noted, four times here, and nothing else is written.
        let looks = if *table == "events" { 4 } else { 0 };
        let before: u64 = before[0].parse().unwrap();
        let after = hall
            .column(&format!("select cast(count(*) as text) from {table}"))
            .await;
        assert_eq!(after, [(before + looks).to_string()], "{table}");
    }
    let after = hall
        .column("select sum(version) || ' ' || sum(coalesce(wake_ms, 0)) || ' ' || sum(rules_gen) from cases")
        .await;
    assert_eq!(after, changes);
    assert_eq!(
        std::fs::read(hall.app.engine.store.path()).unwrap(),
        bytes,
        "not a byte"
    );
}

#[tokio::test]
async fn what_cannot_be_simulated_is_refused_with_what_can() {
    let hall = Hall::open("2026-02-10 15:00").await;
    let now = ["--now", "2026-02-10T15:00:00+08:00"];
    for (words, code, told) in [
        (vec!["simulate", "--days", "0"], 2, "1 to 3653 days"),
        (vec!["simulate", "--from", "2026-02-09"], 2, "has passed"),
        (vec!["simulate", "--unit", "nowhere"], 2, "there is no unit"),
        (vec!["simulate", "--staff", "nobody"], 2, "no member of staff"),
        (vec!["simulate", "--case", "2026-999999"], 1, "2026-999999"),
    ] {
        let done = verb(&hall, &[&words[..], &now[..]].concat());
        assert_eq!(done.status.code(), Some(code), "{words:?}");
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains(told), "{words:?}: {said}");
    }
}
