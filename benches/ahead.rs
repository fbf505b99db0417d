//! Looking ahead over a hall that has grown: a year simulated over 10,000 open cases, and a changed configuration compared over 100,000.
//!
//! `cargo bench --bench ahead [-- SIMULATED COMPARED]`

mod support;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use support::{House, local, plan_all};
use xixin::app::{App, Place};
use xixin::clock::ManualClock;
use xixin::domain::command::NewCase;
use xixin::domain::ids::StaffId;
use xixin::engine::desk::Desk;
use xixin::engine::diff::diff;
use xixin::engine::simulate::{Wanted, simulate};

const SETTINGS: &str = "[mail]\ntransport = \"maildir\"\n[sms]\ntransport = \"file\"\n[log]\nfilter = \"warn\"\n";
/// A Monday morning.
const NOW: &str = "2026-03-02T02:00:00Z";

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let simulated = numbers.first().copied().unwrap_or(10_000);
    let compared = numbers.get(1).copied().unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be made");
    runtime.block_on(async {
        year(simulated).await;
        change(compared).await;
    });
}

fn after(days: i64) -> Timestamp {
    let now: Timestamp = NOW.parse().expect("an instant");
    now.checked_add(SignedDuration::from_hours(24 * days))
        .expect("it is an instant")
}

/// A hall with so many open cases: three deadlines and a promised call each, their dates spread over a year.
async fn filled(house: &House, count: usize) -> App {
    let now = after(0);
    let app = house.open(Arc::new(ManualClock::new(now))).await;
    let rules = app.engine.live.get();
    let desk = Desk::new(&app.engine.store, &rules.rulebook, &StaffId::from("zhou")).expect("zhou is on the list");
    let start = Instant::now();
    for first in (0..count).step_by(1_000) {
        let case = |n: usize| {
            let spread = i64::try_from(n % 365).expect("less than a year");
            let (earlier, due) = (local(after(spread - 3_650)), local(after(1 + spread)));
            let case = json!({
                "resident": { "name": format!("示例{n}"), "phone": format!("139{n:08}"), "born": 1940 + n % 60 },
                "matter": "cremation_certificate",
                "request": "证明遗失",
                "deadlines": [
                    { "kind": "cremation_reissue", "trigger": &earlier[..10] },
                    { "kind": "cremation_archive", "trigger": &earlier[..10] },
                ],
                "callbacks": [{ "words": "问到就告诉您", "due": &due[..10] }],
            });
            serde_json::from_value::<NewCase>(case).expect("the document is a case")
        };
        let new = (first..count.min(first + 1_000)).map(case).collect();
        desk.open_all(new, false, now).await.expect("the cases are sound");
    }
    plan_all(&app, now).await;
    println!(
        "{count} cases opened and planned in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    app
}

async fn year(count: usize) {
    let house = House::new(SETTINGS);
    let app = filled(&house, count).await;
    let start = Instant::now();
    let mut told = 0_u64;
    let mut tell = |_: &xixin::engine::simulate::Told| {
        told += 1;
        ControlFlow::Continue(())
    };
    let tally = simulate(&app.engine, &Wanted::default(), (after(0), after(365)), &mut tell)
        .await
        .expect("the database can be read");
    println!(
        "simulate: 365 days over {count} cases in {:.1} s, {told} lines, {:?}, busiest {:?}, peak RSS {} MiB",
        start.elapsed().as_secs_f64(),
        tally.ends,
        tally.busiest(),
        peak_kib() / 1024
    );
}

async fn change(count: usize) {
    let house = House::new(SETTINGS);
    let app = filled(&house, count).await;
    let new = house.dir.path().join("new");
    for (what, file, from, to) in [
        ("nothing", "ladders.toml", "# ", "# # "),
        (
            "one rung",
            "ladders.toml",
            "\"14 days before last_safe_day\"",
            "\"15 days before last_safe_day\"",
        ),
        (
            "what every case rests on",
            "schedule.toml",
            "sms_per_resident_per_day = 2",
            "sms_per_resident_per_day = 3",
        ),
    ] {
        copy(&house.config(), &new);
        let path = new.join(file);
        let text = std::fs::read_to_string(&path).expect("the file is shipped");
        assert!(text.contains(from), "{file} has {from}");
        std::fs::write(path, text.replacen(from, to, 1)).expect("the directory is ours");
        let place = Place {
            config: new.clone(),
            ..house.place()
        };
        let start = Instant::now();
        let (loaded, _) = place.load().expect("the change is sound");
        let old = Arc::new(app.engine.live.get().rulebook.clone());
        let found = diff(
            &app.engine.store,
            old,
            Arc::new(loaded.rulebook),
            (after(0), after(60)),
            20,
        )
        .await
        .expect("the database can be read");
        println!(
            "diff: {what} changed, 60 days over {count} cases in {:.1} s, {} touched, {:?}, peak RSS {} MiB",
            start.elapsed().as_secs_f64(),
            found.touched,
            found.totals,
            peak_kib() / 1024
        );
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the directory is ours");
    for entry in std::fs::read_dir(from).expect("it is a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the directory is ours");
        }
    }
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}
