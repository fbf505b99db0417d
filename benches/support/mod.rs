//! What the benches share: the shipped configuration in a temporary directory, cases by the thousand, and other programs to measure
//! against.

#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod late;
pub(crate) mod postgres;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use xixin::app::{App, Place};
use xixin::clock::Clock;
use xixin::domain::command::NewCase;
use xixin::domain::ids::StaffId;
use xixin::domain::ladder::Way;
use xixin::engine::desk::Desk;
use xixin::engine::recorder::Recorder;
use xixin::engine::{planner, sender};
use xixin::lifecycle::Beat;

/// A directory with the shipped configuration and more settings on top (TOML).
pub(crate) struct House {
    pub(crate) dir: TempDir,
}

impl House {
    /// In the target directory, on a real disk: a temporary directory may lie in memory, where a commit costs nothing.
    pub(crate) fn new(settings: &str) -> Self {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let dir = tempfile::tempdir_in(target).expect("the target directory is writable");
        copy(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("config"),
            &dir.path().join("config"),
        );
        // What is measured is a rush of the same words to many, which the blast guard would hold.
        let schedule = dir.path().join("config/schedule.toml");
        let mut text = std::fs::read_to_string(&schedule).expect("the file is shipped");
        for (shipped, measured) in [
            ("run_min = 50\n", "run_min = 1000000\n"),
            ("same_text = 100\n", "same_text = 1000000\n"),
        ] {
            assert!(
                text.contains(shipped),
                "the key of the guard has another value now: {shipped}"
            );
            text = text.replace(shipped, measured);
        }
        std::fs::write(&schedule, text).expect("the directory is ours");
        let conf = dir.path().join("config/conf.d");
        std::fs::create_dir_all(&conf).expect("the directory is ours");
        let state = dir.path().join("state");
        let text = format!("state_dir = {:?}\n{settings}", state.display().to_string());
        std::fs::write(conf.join("bench.toml"), text).expect("the directory is ours");
        Self { dir }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            config: self.config(),
            environment: BTreeMap::new(),
        }
    }

    /// Adds text to the end of a file of the configuration.
    pub(crate) fn append(&self, name: &str, text: &str) {
        let path = self.config().join(name);
        let before = std::fs::read_to_string(&path).expect("the file is shipped");
        std::fs::write(&path, before + text).expect("the directory is ours");
    }

    pub(crate) async fn open(&self, clock: Arc<dyn Clock>) -> App {
        App::open_for_service(self.place(), clock)
            .await
            .expect("the shipped configuration is sound")
    }
}

/// A local time to the millisecond, as commands take it.
pub(crate) fn local(at: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("the zone is bundled");
    at.to_zoned_datetime(zone).strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

/// A rung that comes at the very instant of a promise.
pub(crate) const AT_ONCE: &str = "
[[ladder.callback.rung]]
name = \"at-once\"
when = \"on due\"
to = [\"assignee\"]
by = [\"email\"]
text = \"callback_due\"
";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the directory is ours");
    for entry in std::fs::read_dir(from)
        .expect("the shipped configuration is there")
        .flatten()
    {
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("the directory is ours");
        }
    }
}

/// Opens one case for each of these local days or times, at which a call is promised.
pub(crate) async fn promise_calls(app: &App, dues: &[String], now: Timestamp) {
    let rules = app.engine.live.get();
    let desk = Desk::new(&app.engine.store, &rules.rulebook, &StaffId::from("zhou")).expect("zhou is on the list");
    for (start, dues) in dues.chunks(1_000).enumerate() {
        let case = |(n, due): (usize, &String)| {
            let n = start * 1_000 + n;
            let case = json!({
                "resident": { "name": format!("示例{n}"), "phone": format!("139{n:08}"), "born": 1980 },
                "matter": "hard_case",
                "request": "请帮我问一问。",
                "callbacks": [{ "words": "问到就告诉您", "due": due }],
            });
            serde_json::from_value::<NewCase>(case).expect("the document is a case")
        };
        let new = dues.iter().enumerate().map(case).collect();
        desk.open_all(new, false, now).await.expect("the cases are sound");
    }
}

/// Plans whatever is to be planned at this instant.
pub(crate) async fn plan_all(app: &App, now: Timestamp) {
    while planner::step(&app.engine, now).await.expect("planning works").planned > 0 {}
}

pub(crate) fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Another program, ended with the bench.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Postfix's sink on a free port, or `None` when it is not installed.
pub(crate) fn smtp_sink() -> Option<(Running, u16)> {
    let port = TcpListener::bind(("127.0.0.1", 0)).ok()?.local_addr().ok()?.port();
    let child = Command::new(tool("smtp-sink"))
        .args(["-u", "nobody", &format!("127.0.0.1:{port}"), "1000"])
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    let running = Running(child);
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some((running, port));
        }
        std::thread::yield_now();
    }
    None
}

/// Messages a second of Postfix's `smtp-source -d -s 10` against a sink.
pub(crate) fn smtp_source(port: u16, count: usize, bytes: usize) -> Option<f64> {
    let start = Instant::now();
    let status = Command::new(tool("smtp-source"))
        .args(["-d", "-s", "10", "-m", &count.to_string(), "-l", &bytes.to_string()])
        .args([
            "-f",
            "a@example.org",
            "-t",
            "b@example.org",
            &format!("127.0.0.1:{port}"),
        ])
        .status()
        .ok()?;
    status.success().then(|| count as f64 / start.elapsed().as_secs_f64())
}

fn tool(name: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(name);
    if sbin.exists() { sbin } else { PathBuf::from(name) }
}

/// The planner and the sender of e-mail, as the daemon runs them.
pub(crate) struct Loops {
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Loops {
    pub(crate) fn start(app: &App) -> Self {
        let stop = CancellationToken::new();
        let engine = &app.engine;
        let (recorder, recording) = Recorder::new(engine.clone());
        let tasks = vec![
            tokio::spawn(recording),
            tokio::spawn(planner::run(engine.clone(), Beat::default(), stop.clone())),
            tokio::spawn(sender::run(
                engine.clone(),
                Way::Email,
                recorder,
                Beat::default(),
                stop.clone(),
            )),
        ];
        Self { stop, tasks }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.expect("the loop ended well");
        }
    }

    /// Does not wait for what is still under way.
    pub(crate) fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.abort();
        }
    }
}
