//! SMS due at once → planned, rendered, sent through the HTTP gateway to a local server, recorded: on SQLite with `synchronous=FULL`.
//! Asked are 5,000 a second.
//!
//! `cargo bench --bench sms [-- COUNT]`

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use support::{House, plan_all, promise_calls};
use tokio_util::sync::CancellationToken;
use xixin::app::App;
use xixin::clock::ManualClock;
use xixin::domain::ladder::Way;
use xixin::engine::recorder::Recorder;
use xixin::engine::sender;
use xixin::lifecycle::Beat;

const ASKED: f64 = 5_000.0;

/// At the very instant of a promise its resident gets an SMS.
const AT_ONCE: &str = "
[[ladder.callback.rung]]
name = \"bench-sms\"
when = \"on due\"
to = [\"resident\"]
by = [\"sms\", \"phone\"]
text = \"callback_due\"
";

fn main() {
    let count = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(10_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be made");
    runtime.block_on(throughput(count));
}

/// A gateway on a free port that says yes to every request, with a thread for each connection.
fn gateway() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || answer(stream, &counted));
        }
    });
    (port, taken)
}

fn answer(stream: TcpStream, taken: &AtomicUsize) {
    const YES: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{\"code\":0}";
    stream.set_nodelay(true).expect("it is a TCP stream");
    let mut stream = BufReader::new(stream);
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        taken.fetch_add(1, Ordering::Relaxed);
        if stream.get_mut().write_all(YES).is_err() {
            return;
        }
    }
}

async fn throughput(count: usize) {
    let (port, taken) = gateway();
    let house = House::new(&format!(
        "[sms]\ntransport = \"gateways\"\n[sms.gateway.county]\norder = 1\n[sms.gateway.county.http]\nmethod = \"POST\"\n\
         url = \"http://127.0.0.1:{port}/send\"\nheaders = {{ \"Content-Type\" = \"application/json\" }}\n\
         body = '{{\"mobile\": {{{{ to|tojson }}}}, \"content\": {{{{ text|tojson }}}}, \"ref\": {{{{ id|tojson }}}}}}'\n\
         success = {{ status = [200], pointer = \"/code\", equals = \"0\" }}\nconnections = 32\ntimeout_s = 30\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[log]\nfilter = \"warn\"\n"
    ));
    house.append("ladders.toml", AT_ONCE);
    let before: Timestamp = "2026-03-05T09:00:00+08:00".parse().expect("it is an instant");
    let due: Timestamp = "2026-03-09T10:00:00+08:00".parse().expect("it is an instant");
    let clock = ManualClock::new(before);
    let app = house.open(Arc::new(clock.clone())).await;
    promise_calls(&app, &vec!["2026-03-09T10:00".to_owned(); count], before).await;
    plan_all(&app, before).await;
    clock.set(due);
    plan_all(&app, due).await;
    app.engine.store.can_write().await.expect("the database takes writes");

    let stop = CancellationToken::new();
    let (recorder, recording) = Recorder::new(app.engine.clone());
    let recording = tokio::spawn(recording);
    let start = Instant::now();
    let sending = tokio::spawn(sender::run(
        app.engine.clone(),
        Way::Sms,
        recorder,
        Beat::default(),
        stop.clone(),
    ));
    while !all_sent(&app).await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let elapsed = start.elapsed().as_secs_f64();
    stop.cancel();
    sending.await.expect("the sender ended well");
    recording.await.expect("the recorder ended well");
    let taken = taken.load(Ordering::Relaxed);
    let rate = taken as f64 / elapsed;
    println!(
        "sms: {taken} through the HTTP gateway, rendered, sent, recorded in {elapsed:.2} s = {rate:.0}/s; asked {ASKED:.0}/s, ratio {:.2}",
        rate / ASKED
    );
}

/// Whether no SMS waits or is under way.
async fn all_sent(app: &App) -> bool {
    let store = &app.engine.store;
    // Counting them costs much of what is measured, so it waits until nothing is left to claim.
    let queued = store.next_not_before(Way::Sms).await.expect("the database can be read");
    if queued.is_some() {
        return false;
    }
    let counts = store.queue_counts().await.expect("the database can be read");
    !counts
        .iter()
        .any(|(way, state, _)| way == "sms" && matches!(state.as_str(), "queued" | "claimed" | "attempting"))
}
