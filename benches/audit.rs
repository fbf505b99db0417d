//! `xixin audit verify` over a chain that has grown: how long it takes, and that its memory does not grow with it.
//!
//! `cargo bench --bench audit [-- EVENTS]`

mod support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{House, promise_calls};
use xixin::app::App;
use xixin::clock::{Clock, SystemClock};
use xixin::domain::event::Event;
use xixin::domain::ids::{CaseId, ItemId};
use xixin::store::{commit, events};

/// Events in one commit.
const CHUNK: usize = 10_000;

fn main() {
    let mut count = std::env::args().filter_map(|argument| argument.parse().ok());
    let count: usize = count.next().unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be made");
    let house = House::new("[http]\nlisten = \"127.0.0.1:0\"\n[log]\nfilter = \"warn\"\n");
    for count in [CHUNK, count] {
        runtime.block_on(async {
            let app = house.open(Arc::new(SystemClock)).await;
            grow(&app, count).await;
            app.engine.store.close().await;
        });
        let (elapsed, peak_kib) = verify(&house);
        let (seconds, mib) = (elapsed.as_secs_f64(), peak_kib / 1024);
        println!("audit: {count} events verified in {seconds:.2} s, RSS at most {mib} MiB");
    }
}

/// Appends events of one case until there are about so many.
async fn grow(app: &App, count: usize) {
    let now = SystemClock.now();
    let store = &app.engine.store;
    if store.chain_head().await.expect("the database can be read").seq == 0 {
        promise_calls(app, &["2030-03-08".to_owned()], now).await;
    }
    let cases = store.open_after("", 1).await.expect("the database can be read").cases;
    let case: CaseId = cases.first().expect("a case was opened").case.id.clone();
    let item = ItemId::from("c1");
    let events = vec![Event::ItemDone { item }; CHUNK];
    while store.chain_head().await.expect("the database can be read").seq < i64::try_from(count).unwrap_or(i64::MAX) {
        let mut tx = store.begin().await.expect("the database can be written");
        let written = events::append(&mut tx, now, &case, "zhou", &events).await;
        written.expect("the database can be written");
        commit(tx, "grow").await.expect("the database can be written");
    }
}

/// How long the command takes, and its peak memory in KiB.
fn verify(house: &House) -> (Duration, u64) {
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xixin"))
        .args(["--config", &house.config().display().to_string(), "audit", "verify"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary was built");
    let mut peak = 0;
    let status = loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", command.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(found.unwrap_or(0));
        if let Some(status) = command.try_wait().expect("it was started") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "the chain is whole");
    (start.elapsed(), peak)
}
