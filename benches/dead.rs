//! One of two mail servers dies while much is due: how much later everything else is.
//!
//! `cargo bench --bench dead [-- COUNT]`; needs smtp-sink (Debian package postfix).

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::late::Lateness;
use support::{House, smtp_sink};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Lines to each server: so many messages are in the hands of the dead one.
const LINES: usize = 10;

fn main() {
    let mut count = std::env::args().filter_map(|argument| argument.parse().ok());
    let count = count.next().unwrap_or(2_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be made");
    runtime.block_on(async {
        let Some((_sink, port)) = smtp_sink() else {
            println!("smtp-sink is missing; install the Debian package postfix");
            return;
        };
        let alone = Lateness::of(&House::new(&settings(&[port])), count, 0).await;
        println!("dead: {count} reminders due within one second, one server: {alone}");
        let (dying, dead) = dying().await;
        let both = House::new(&settings(&[dying, port]));
        let beside = Lateness::of(&both, count, LINES).await;
        assert!(dead.load(Ordering::Relaxed), "no message came to the first server");
        println!("dead: the same with one before it that takes connections and says nothing: {beside}");
        println!("dead: p99 grows by {} ms", beside.p99() - alone.p99());
    });
}

fn settings(ports: &[u16]) -> String {
    let server = |(n, port): (usize, &u16)| {
        format!(
            "[[mail.server]]\nname = \"s{n}\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nconnections = {LINES}\n"
        )
    };
    let servers: String = ports.iter().enumerate().map(server).collect();
    format!("[mail]\ntransport = \"smtp\"\n{servers}[http]\nlisten = \"127.0.0.1:0\"\n[log]\nfilter = \"warn\"\n")
}

/// A server that answers until the first message comes, so that it is trusted, and nothing from then on.
async fn dying() -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.set_nonblocking(true).expect("it is a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
    let port = listener.local_addr().expect("it has an address").port();
    let dead = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&dead);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(tokio::spawn(talk(stream, Arc::clone(&told))));
        }
    });
    (port, dead)
}

async fn talk(stream: TcpStream, dead: Arc<AtomicBool>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::from("220");
    loop {
        dead.fetch_or(line.starts_with("MAIL"), Ordering::Relaxed);
        if !dead.load(Ordering::Relaxed) {
            let code = if line == "220" { "220" } else { "250" };
            stream.write_all(format!("{code} here\r\n").as_bytes()).await?;
        }
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
    }
}
