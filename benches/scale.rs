//! A hall that has grown: a start with a million open cases, their idle cost, and a reload that plans 100,000 cases anew while others
//! fall due.
//!
//! `cargo bench --bench scale [-- CASES REPLANNED]`

mod support;

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{AT_ONCE, House, Loops, local, plan_all, promise_calls};
use xixin::app::App;
use xixin::clock::{Clock, SystemClock};
use xixin::store::commit;
use xixin::vault::Place;

const SETTINGS: &str = "[mail]\ntransport = \"maildir\"\n[sms]\ntransport = \"file\"\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nfilter = \"warn\"\n";
/// A daemon that is not ready by then will never be.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long the idle daemon is watched.
const WATCHED: Duration = Duration::from_secs(60);

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let cases = numbers.first().copied().unwrap_or(1_000_000);
    let replanned = numbers.get(1).copied().unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be made");
    runtime.block_on(async {
        idle(cases).await;
        reload(replanned).await;
    });
}

/// Starts the real binary on a database of so many planned cases, waits for READY and watches it do nothing.
async fn idle(count: usize) {
    let house = House::new(SETTINGS);
    let app = house.open(Arc::new(SystemClock)).await;
    multiply(&app, count).await;
    app.engine.store.close().await;
    // It holds the lock of the database.
    drop(app);

    let path = house.dir.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the directory is ours");
    socket.set_read_timeout(Some(READY_MAX)).expect("the time is not zero");
    let start = Instant::now();
    let daemon = Command::new(env!("CARGO_BIN_EXE_xixin"))
        .args(["--config", &house.config().display().to_string(), "serve"])
        .env("NOTIFY_SOCKET", &path)
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the binary was built");
    let daemon = Ended(daemon);
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).expect("the daemon tells when it is ready");
        if String::from_utf8_lossy(&buffer[..length]).contains("READY=1") {
            break;
        }
    }
    println!(
        "start: READY with {count} cases after {} ms",
        start.elapsed().as_millis()
    );

    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = cpu_ticks(daemon.0.id());
    tokio::time::sleep(WATCHED).await;
    let ticks = cpu_ticks(daemon.0.id()) - before;
    // USER_HZ is 100 on every Linux that Rust supports (proc(5)).
    let share = ticks as f64 / 100.0 / WATCHED.as_secs_f64() * 100.0;
    println!(
        "idle: {share:.2} % of a core over {} s, RSS {} MiB",
        WATCHED.as_secs(),
        rss_kib(daemon.0.id()) / 1024
    );
}

/// Ended with the bench.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the daemon runs");
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> = after
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // utime and stime are fields 14 and 15; the state is the first after the name and is no number.
    fields[10] + fields[11]
}

fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Opens one case through the desk, plans it, and copies its rows under other numbers.
async fn multiply(app: &App, count: usize) {
    let now = SystemClock.now();
    let due = now
        .checked_add(SignedDuration::from_hours(24 * 60))
        .expect("it is an instant");
    promise_calls(app, &[local(due)[..10].to_owned()], now).await;
    plan_all(app, now).await;
    let store = &app.engine.store;
    let first = store
        .open_after("", 1)
        .await
        .expect("the database can be read")
        .cases
        .remove(0);
    let facts = serde_json::to_string(&first.case).expect("facts are a plain document");
    let numbers: Vec<String> = (1..count).map(|n| format!("c-{n}")).collect();
    for chunk in numbers.chunks(10_000) {
        let mut tx = store.begin().await.expect("the database can be written");
        let mut rows = Vec::with_capacity(chunk.len());
        for id in chunk {
            let place = Place {
                table: "cases",
                column: "facts",
                row: id,
            };
            let facts = facts.replace(first.case.id.as_str(), id);
            let sealed = tx.seal(Some(&first.case.party.person), place, &facts).await;
            rows.push(json!({ "id": id, "facts": sealed.expect("the resident has a key") }));
        }
        for (table, sql) in COPIED {
            let done = sqlx::query(sql)
                .bind(Value::from(rows.clone()).to_string())
                .bind(first.case.id.as_str())
                .execute(tx.sqlite().expect("the benches run on SQLite"))
                .await;
            done.unwrap_or_else(|error| panic!("rows of {table} can be copied: {error}"));
        }
        commit(tx, "copy cases").await.expect("the database can be written");
    }
}

/// The rows of one case under other numbers. `json_each` has columns of its own called id and value.
const COPIED: [(&str, &str); 2] = [
    (
        "cases",
        "insert into cases (id, facts, version, wake_ms, rules_gen, agenda_sum, unit, owner, matter, resident, status, live, \
         priority, opened_ms) \
         select n.value ->> 'id', n.value ->> 'facts', c.version, c.wake_ms, c.rules_gen, c.agenda_sum, c.unit, c.owner, \
         c.matter, c.resident, c.status, c.live, c.priority, c.opened_ms \
         from cases as c, json_each($1) as n where c.id = $2",
    ),
    (
        "agenda",
        "insert into agenda (case_id, item, kind, unit, assignee, day, start_ms, end_ms, office) \
         select n.value ->> 'id', a.item, a.kind, a.unit, a.assignee, a.day, a.start_ms, a.end_ms, a.office \
         from agenda as a, json_each($1) as n where a.case_id = $2",
    ),
];

/// Reloads changed rules over so many cases; meanwhile a reminder falls due every 20 ms.
async fn reload(count: usize) {
    let house = House::new(SETTINGS);
    house.append("ladders.toml", AT_ONCE);
    let app = house.open(Arc::new(SystemClock)).await;
    multiply(&app, count).await;
    let now = SystemClock.now();
    let first = now
        .checked_add(SignedDuration::from_secs(20))
        .expect("it is an instant");
    let spread = |n: i64| {
        first
            .checked_add(SignedDuration::from_millis(n * 20))
            .expect("it is an instant")
    };
    let dues: Vec<String> = (0..200).map(|n| local(spread(n))).collect();
    promise_calls(&app, &dues, now).await;
    let loops = Loops::start(&app);
    // The reload comes just before the first of them.
    let pause = Duration::try_from(first.duration_since(SystemClock.now())).unwrap_or_default();
    tokio::time::sleep(pause.saturating_sub(Duration::from_millis(200))).await;
    house.append("ladders.toml", "# changed\n");
    let start = Instant::now();
    let generation = app.reload().await.expect("the change is sound");
    while !app
        .engine
        .store
        .take_of_other_rules(generation, 1)
        .await
        .expect("the database can be read")
        .batch
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!(
        "reload: {count} cases planned anew in {:.2} s",
        start.elapsed().as_secs_f64()
    );
    let lateness = loop {
        let rows = app
            .engine
            .store
            .ledger_between(now, Timestamp::MAX, 100_000)
            .await
            .expect("the ledger can be read");
        let sent: Vec<i64> = rows
            .iter()
            .filter(|row| row.mark.contains("|at-once|"))
            .filter_map(|row| row.sent_ms.map(|sent| sent - row.due_ms))
            .collect();
        if sent.len() >= 200 {
            break sent;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    loops.stop().await;
    println!(
        "reload: reminders that fell due meanwhile were at most {} ms late",
        lateness.iter().max().unwrap_or(&0)
    );
}
