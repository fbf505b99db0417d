//! Reminders due at once → planned, rendered, sent by SMTP to a local sink, recorded: on SQLite with `synchronous=FULL`, beside Postfix's
//! own `smtp-source` against the same sink. The two take turns, so that whatever else the machine does hits both, and their medians are
//! compared. Then: how late 1,000 reminders are that fall due within one second.
//!
//! `cargo bench --bench send [-- COUNT [ROUNDS]]`; needs smtp-sink and smtp-source (Debian package postfix).

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use support::late::Lateness;
use support::{House, Loops, median, plan_all, promise_calls, smtp_sink, smtp_source};
use xixin::app::App;
use xixin::clock::ManualClock;
use xixin::domain::ladder::Way;

/// When the reminders are due.
const DUE: &str = "2026-03-09T08:30:00+08:00";

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let count = numbers.next().unwrap_or(10_000);
    let rounds = numbers.next().unwrap_or(3);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be made");
    runtime.block_on(async {
        let Some((_sink, port)) = smtp_sink() else {
            println!("smtp-sink is missing; install the Debian package postfix");
            return;
        };
        throughput(port, count, rounds).await;
        lateness(port).await;
    });
}

fn settings(port: u16) -> String {
    format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nconnections = 10\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[log]\nfilter = \"warn\"\n"
    )
}

async fn throughput(port: u16, count: usize, rounds: usize) {
    let bytes = mail_bytes().await;
    println!("send: a reminder is a mail of {bytes} bytes, and so is what smtp-source sends");
    let (mut ours, mut postfix) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        postfix.extend(smtp_source(port, count, bytes));
        ours.push(rush(port, count).await);
    }
    let (ours, postfix) = (median(ours), median(postfix));
    println!(
        "send: median of {rounds} rounds: {ours:.0}/s; smtp-source -d -s 10 against the same sink: {postfix:.0}/s"
    );
    println!("send: ratio {:.2}", ours / postfix);
}

/// How long one of the reminders is on the wire.
async fn mail_bytes() -> usize {
    let house = House::new("[mail]\ntransport = \"maildir\"\n[http]\nlisten = \"127.0.0.1:0\"\n");
    let app = promised(&house, 1).await;
    send(&app).await;
    let mails = std::fs::read_dir(house.dir.path().join("state/maildir/new")).expect("a mail has been sent");
    let bytes = mails.flatten().filter_map(|mail| mail.metadata().ok());
    usize::try_from(bytes.map(|file| file.len()).max().expect("a mail has been sent")).expect("a mail fits into memory")
}

/// A house with so many reminders whose time has come.
async fn promised(house: &House, count: usize) -> App {
    let before: Timestamp = "2026-03-05T09:00:00+08:00".parse().expect("it is an instant");
    let due: Timestamp = DUE.parse().expect("it is an instant");
    let clock = ManualClock::new(before);
    let app = house.open(Arc::new(clock.clone())).await;
    promise_calls(&app, &vec!["2026-03-09".to_owned(); count], before).await;
    plan_all(&app, before).await;
    app.engine.store.can_write().await.expect("the database takes writes");
    clock.set(due);
    let start = Instant::now();
    plan_all(&app, due).await;
    let planned = start.elapsed().as_secs_f64();
    println!("plan: {count} cases whose wake-up has come, read, planned, written in {planned:.2} s");
    app
}

/// Sends all of them. Returns how many seconds that took.
async fn send(app: &App) -> f64 {
    let due = DUE.parse().expect("it is an instant");
    let loops = Loops::start(app);
    let start = Instant::now();
    while !all_sent(app, due).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let elapsed = start.elapsed().as_secs_f64();
    loops.stop().await;
    elapsed
}

/// One round. Returns how many reminders a second left.
async fn rush(port: u16, count: usize) -> f64 {
    let house = House::new(&settings(port));
    let app = promised(&house, count).await;
    let elapsed = send(&app).await;
    println!("send: {count} reminders due at once, rendered, sent, recorded in {elapsed:.2} s");
    count as f64 / elapsed
}

/// 1,000 reminders whose instants are spread over one second, by the real clock.
async fn lateness(port: u16) {
    let house = House::new(&settings(port));
    let late = Lateness::of(&house, 1_000, 0).await;
    println!("late: 1,000 reminders due within one second: {late}");
}

/// Whether every case is planned up to `due` and nothing waits to be sent.
async fn all_sent(app: &App, due: Timestamp) -> bool {
    let store = &app.engine.store;
    // Counting them costs much of what is measured, so it waits until hardly anything is left to claim.
    let queued = store
        .next_not_before(Way::Email)
        .await
        .expect("the database can be read");
    if queued.is_some_and(|next| next <= due) {
        return false;
    }
    let next = store.next_wake().await.expect("the database can be read");
    let queue = store.queue_counts().await.expect("the database can be read");
    let waiting = queue
        .iter()
        .filter(|(_, state, _)| matches!(state.as_str(), "queued" | "claimed" | "attempting"));
    next.is_none_or(|next| next > due) && waiting.count() == 0
}
