//! A hall at work: the shipped configuration in a temporary directory, the real store, planner, digests and senders, and a clock that
//! stands still until the test moves it. What leaves goes into a Maildir and a folder of SMS, from where tests read it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;
use xixin::app::{App, Place};
use xixin::clock::{Clock as _, ManualClock};
use xixin::domain::command::{Command, NewCase};
use xixin::domain::ids::{CaseId, StaffId};
use xixin::domain::ladder::Way;
use xixin::engine::breaker::Flow;
use xixin::engine::desk::{Desk, DeskError};
use xixin::engine::recorder::Recorder;
use xixin::engine::{asker, digests, planner, sender};
use xixin::store::reminders::LedgerRow;

use super::rulebook::at;
use super::{pgbouncer, postgres};

/// The shipped configuration.
pub(crate) fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// Copies a directory and everything below it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a hall keeps its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Sqlite,
    Postgres,
    /// The same behind a pgbouncer.
    Pooled,
}

thread_local! {
    /// Of the halls that this thread opens.
    static BASE: Cell<Base> = const { Cell::new(Base::Sqlite) };
}

/// Runs a test of a hall that takes more than the usual stack.
pub(crate) fn on_sqlite(test: fn()) {
    on(Base::Sqlite, test);
}

/// Runs a test of a hall in one that has a PostgreSQL.
pub(crate) fn on_postgres(test: fn()) {
    on(Base::Postgres, test);
}

/// Runs a test of a hall in one that reaches its PostgreSQL through a pooler.
pub(crate) fn behind_a_pooler(test: fn()) {
    on(Base::Pooled, test);
}

/// In a thread of its own: unoptimised, the futures of a whole story and of a driver of PostgreSQL fill the usual two MiB.
fn on(base: Base, test: fn()) {
    let run = move || {
        BASE.set(base);
        test();
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

const STACK: usize = 16 * 1024 * 1024;

pub(crate) struct Hall {
    pub(crate) dir: Arc<TempDir>,
    pub(crate) app: App,
    pub(crate) clock: ManualClock,
    pub(crate) recorder: Recorder,
    /// When it is no SQLite.
    postgres: Option<PgConnectOptions>,
}

/// A message that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) way: Way,
    pub(crate) to: String,
    /// Of an e-mail; empty for an SMS.
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) id: String,
}

impl Hall {
    /// Opens at a local time, such as `2026-03-02 08:00`.
    pub(crate) async fn open(now: &str) -> Self {
        Self::open_with(now, "").await
    }

    /// The same, with more settings on top (TOML).
    pub(crate) async fn open_with(now: &str, settings: &str) -> Self {
        Self::open_edited(now, |config| {
            std::fs::write(config.join("conf.d/20-test.toml"), settings).unwrap();
        })
        .await
    }

    /// The same, where nobody is told of an appointment when it is booked, and any number may leave on a day: for tests that count what
    /// is due the day before.
    pub(crate) async fn open_quiet(now: &str, settings: &str) -> Self {
        Self::open_edited(now, |config| {
            std::fs::write(config.join("conf.d/20-test.toml"), settings).unwrap();
            let ladders = config.join("ladders.toml");
            let text = std::fs::read_to_string(&ladders).unwrap();
            let booked = "[[ladder.appointment.rung]]\nname = \"booked\"";
            let (before, rest) = text.split_once(booked).unwrap();
            let (_, after) = rest.split_once("\n\n").unwrap();
            std::fs::write(ladders, format!("{before}{after}")).unwrap();
            let schedule = config.join("schedule.toml");
            let text = std::fs::read_to_string(&schedule).unwrap();
            std::fs::write(schedule, text.replace("run_min = 50", "run_min = 1000000")).unwrap();
        })
        .await
    }

    /// The same on a PostgreSQL.
    pub(crate) async fn on_postgres(now: &str) -> Self {
        Self::on_database_of(postgres::fresh().await, now).await
    }

    /// The same on this server.
    pub(crate) async fn on_server(server: &postgres::Server, now: &str) -> Self {
        Self::on_database_of(server.database().await, now).await
    }

    /// The same by these settings, which name the database.
    pub(crate) async fn on_server_with(
        server: &postgres::Server,
        now: &str,
        settings: impl FnOnce(&PgConnectOptions) -> String,
    ) -> Self {
        let database = server.database().await;
        let settings = settings(&database);
        Self::on_database_with(database, now, &settings).await
    }

    pub(crate) async fn on_database_with(database: PgConnectOptions, now: &str, settings: &str) -> Self {
        Self::on_database(Some(database), settings, now, |_| ()).await
    }

    async fn on_database_of(database: PgConnectOptions, now: &str) -> Self {
        let settings = format!("database = {:?}\n", postgres::address(&database));
        Self::on_database(Some(database), &settings, now, |_| ()).await
    }

    async fn on_database(
        database: Option<PgConnectOptions>,
        settings: &str,
        now: &str,
        edit: impl FnOnce(&Path),
    ) -> Self {
        let dir = Self::dir(|config| {
            std::fs::write(config.join("conf.d/15-database.toml"), settings).unwrap();
            edit(config);
        });
        Self::start(dir, ManualClock::new(at(now)), database).await
    }

    /// The same after `edit` has changed the files of the configuration in this directory.
    pub(crate) async fn open_edited(now: &str, edit: impl FnOnce(&Path)) -> Self {
        let base = BASE.get();
        let database = match base {
            Base::Sqlite => None,
            Base::Postgres | Base::Pooled => Some(postgres::fresh().await),
        };
        let settings = match (base, &database) {
            (Base::Pooled, Some(database)) => {
                let address = pgbouncer::address(database);
                format!("database = {address:?}\n[postgres]\npooler = \"transaction\"\n")
            }
            (_, Some(database)) => format!("database = {:?}\n", postgres::address(database)),
            (_, None) => String::new(),
        };
        Self::on_database(database, &settings, now, edit).await
    }

    fn dir(edit: impl FnOnce(&Path)) -> Arc<TempDir> {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let config = dir.path().join("config");
        copy_dir(&shipped(), &config);
        std::fs::create_dir_all(config.join("conf.d")).unwrap();
        let state = dir.path().join("state");
        let base = format!(
            "state_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[mail]\ntransport = \"maildir\"\n[sms]\ntransport = \"file\"\n",
            state.to_str().unwrap()
        );
        std::fs::write(config.join("conf.d/10-test.toml"), base).unwrap();
        edit(&config);
        dir
    }

    async fn start(dir: Arc<TempDir>, clock: ManualClock, postgres: Option<PgConnectOptions>) -> Self {
        // What a failing test has to say. An error means that another test has set it up already.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_test_writer()
            .try_init();
        let place = Place {
            config: dir.path().join("config"),
            environment: BTreeMap::new(),
        };
        let app = App::open_for_service(place, Arc::new(clock.clone())).await.unwrap();
        app.engine.take_over(clock.now()).await.unwrap();
        let (recorder, recording) = Recorder::new(app.engine.clone());
        tokio::spawn(recording);
        Self {
            dir,
            app,
            clock,
            recorder,
            postgres,
        }
    }

    /// The process dies and a new one starts on the same data and configuration. Nothing is recorded or said goodbye to.
    pub(crate) async fn crash(self) -> Self {
        let Self {
            dir,
            app,
            clock,
            recorder,
            postgres,
        } = self;
        app.engine.store.close().await;
        // With the process goes its lock.
        drop((app, recorder));
        Self::start(dir, clock, postgres).await
    }

    /// The process dies, `mend` is done to the files it leaves, and a new one starts on them.
    pub(crate) async fn crash_and<F: Future<Output = ()>>(self, mend: impl FnOnce(PathBuf) -> F) -> Self {
        let Self {
            dir,
            app,
            clock,
            recorder,
            postgres,
        } = self;
        app.engine.store.close().await;
        drop((app, recorder));
        mend(dir.path().join("state")).await;
        Self::start(dir, clock, postgres).await
    }

    /// Another node of this name: the same PostgreSQL and configuration, a state directory of its own with a copy of the keys.
    pub(crate) async fn node(&self, name: &str) -> App {
        self.node_in(name, &format!("{name}-state")).await
    }

    /// The same with a state directory of this name.
    pub(crate) async fn node_in(&self, name: &str, state: &str) -> App {
        self.start_node(name, state, &self.config()).await
    }

    /// The same by another configuration.
    pub(crate) async fn node_of(&self, name: &str, config: &Path) -> App {
        self.start_node(name, &format!("{name}-state"), config).await
    }

    async fn start_node(&self, name: &str, state: &str, from: &Path) -> App {
        assert!(self.postgres.is_some(), "several nodes share a PostgreSQL");
        let (config, state) = (self.dir.path().join(name), self.dir.path().join(state));
        copy_dir(from, &config);
        let base = config.join("conf.d/10-test.toml");
        let own = self.dir.path().join("state");
        let text = std::fs::read_to_string(&base).unwrap();
        std::fs::write(&base, text.replace(own.to_str().unwrap(), state.to_str().unwrap())).unwrap();
        std::fs::create_dir_all(&state).unwrap();
        for key in ["xixin.key", "chain.key"] {
            std::fs::copy(own.join(key), state.join(key)).unwrap();
        }
        std::fs::write(config.join("conf.d/30-node.toml"), format!("node = {name:?}\n")).unwrap();
        let place = Place {
            config,
            environment: BTreeMap::new(),
        };
        App::open_for_service(place, Arc::new(self.clock.clone()))
            .await
            .unwrap()
    }

    /// The time by which leases run: that of whoever asks, and on PostgreSQL that of the server, which then stands still.
    pub(crate) async fn leases_at(&self, time: &str) -> Timestamp {
        self.server_at(at(time)).await
    }

    /// The same for an instant.
    pub(crate) async fn server_at(&self, time: Timestamp) -> Timestamp {
        if self.postgres.is_some() {
            let ms = time.as_millisecond();
            let clock = "create or replace function now_ms() returns bigint language sql stable as";
            self.sql(&format!("{clock} $$ select cast({ms} as bigint) $$")).await;
        }
        time
    }

    /// Another process that looks at the same data by the same configuration.
    pub(crate) async fn beside(&self) -> App {
        App::open(self.place(), Arc::new(self.clock.clone())).await.unwrap()
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            config: self.config(),
            environment: BTreeMap::new(),
        }
    }

    /// The database itself, for what no command of this system would do to it.
    pub(crate) async fn sql(&self, sql: &str) -> u64 {
        if let Some(options) = &self.postgres {
            let mut connection = options.connect().await.unwrap();
            let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await;
            return done.unwrap().rows_affected();
        }
        let options = SqliteConnectOptions::new()
            .filename(self.app.engine.store.path())
            .busy_timeout(Duration::from_secs(10));
        let mut connection = options.connect().await.unwrap();
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await;
        connection.close().await.unwrap();
        done.unwrap().rows_affected()
    }

    /// A connection of one's own to the database.
    pub(crate) async fn connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.app.engine.store.path());
        options.connect().await.unwrap()
    }

    /// The first column of what a query finds.
    pub(crate) async fn column(&self, sql: &str) -> Vec<String> {
        if let Some(options) = &self.postgres {
            let mut connection = options.connect().await.unwrap();
            let found = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
            return found.fetch_all(&mut connection).await.unwrap();
        }
        let mut connection = self.connection().await;
        let found = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await;
        connection.close().await.unwrap();
        found.unwrap()
    }

    /// What happened to the hall as a whole, oldest first: `gu sending_released`.
    pub(crate) async fn of_the_hall(&self) -> Vec<String> {
        let events = self.app.engine.store.events_of(&CaseId::from(""), 1000).await.unwrap();
        let told = events.into_iter().rev().map(|event| {
            let body: Value = serde_json::from_str(&event.body.unwrap()).unwrap();
            format!("{} {}", event.actor, body["event"].as_str().unwrap())
        });
        told.collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    pub(crate) async fn take_in(&self, staff: &str, case: Value) -> CaseId {
        let new: NewCase = serde_json::from_value(case).unwrap();
        let rules = self.app.engine.live.get();
        let desk = Desk::new(&self.app.engine.store, &rules.rulebook, &StaffId::from(staff)).unwrap();
        desk.open(new, self.clock.now()).await.unwrap().case.id
    }

    pub(crate) async fn act(&self, staff: &str, case: &CaseId, command: Value) -> Result<(), DeskError> {
        let command: Command = serde_json::from_value(command).unwrap();
        let rules = self.app.engine.live.get();
        let desk = Desk::new(&self.app.engine.store, &rules.rulebook, &StaffId::from(staff)).unwrap();
        desk.act(case, command, self.clock.now()).await.map(drop)
    }

    /// The digests of this day count as sent: for tests that are about something else.
    pub(crate) async fn without_digest(&self, day: &str) {
        self.sql(&format!(
            "insert into runs (name, slot, claimed_ms, holder) values ('digest', '{day}', 0, 'test')"
        ))
        .await;
    }

    /// Plans everything whose time has come, without sending.
    pub(crate) async fn plan(&self) {
        let engine = &self.app.engine;
        while planner::step(engine, self.clock.now()).await.unwrap().planned > 0 {}
    }

    /// Sends everything that may go now.
    pub(crate) async fn send(&self) {
        // What does not get through by one way goes on by the other, so both are asked until neither has anything.
        while self.send_by(Way::Email).await + self.send_by(Way::Sms).await > 0 {}
    }

    /// Sends what may go one way now; returns how many were claimed.
    pub(crate) async fn send_by(&self, way: Way) -> usize {
        let sent = sender::step(&self.app.engine, way, &self.recorder, self.clock.now()).await;
        sent.unwrap().claimed
    }

    /// Everything the daemon would do at this instant.
    pub(crate) async fn settle(&self) {
        self.plan().await;
        digests::step(&self.app.engine, self.clock.now()).await.unwrap();
        asker::step(&self.app.engine, self.clock.now()).await.unwrap();
        self.send().await;
    }

    /// Lets the time pass to `until`, doing at each instant what the daemon would do then.
    pub(crate) async fn run_until(&self, until: &str) {
        let end = at(until);
        self.settle().await;
        while let Some(next) = self.next_event().await.filter(|next| *next <= end) {
            self.clock.set(next.max(self.clock.now()));
            self.settle().await;
        }
        self.clock.set(end);
        self.settle().await;
    }

    /// The next instant at which the daemon would do something.
    pub(crate) async fn next_event(&self) -> Option<Timestamp> {
        let engine = &self.app.engine;
        let now = self.clock.now();
        let wake = engine.store.next_wake().await.unwrap();
        let mail = engine.store.next_not_before(Way::Email).await.unwrap();
        let sms = engine.store.next_not_before(Way::Sms).await.unwrap();
        let question = engine.store.next_question().await.unwrap();
        let digest = digests::next_digest(&engine.live.get().rulebook, now);
        let flows = [engine.breakers.email.flow(now), engine.breakers.sms.flow(now)];
        let back = flows.map(|flow| match flow {
            Flow::Until(until) => Some(until),
            Flow::Free | Flow::Probe => None,
        });
        [wake, mail, sms, question, Some(digest)]
            .into_iter()
            .chain(back)
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// What has left so far and was not taken before, e-mail first, each in the order of their ids.
    pub(crate) fn take_left(&self) -> Vec<Left> {
        let state = self.dir.path().join("state");
        let mut left: Vec<Left> = files(&state.join("maildir/new"))
            .iter()
            .map(|path| read_mail(path))
            .collect();
        left.extend(files(&state.join("sms")).iter().map(|path| read_sms(path)));
        for path in files(&state.join("maildir/new"))
            .iter()
            .chain(&files(&state.join("sms")))
        {
            std::fs::remove_file(path).unwrap();
        }
        left
    }

    /// The same without digests.
    pub(crate) fn take_reminders(&self) -> Vec<Left> {
        self.take_left()
            .into_iter()
            .filter(|left| !left.subject.contains("待办"))
            .collect()
    }

    /// The states of a case's rows of one rung, by recipient and way: `lin email accepted`.
    pub(crate) async fn rung(&self, case: &CaseId, rung: &str) -> Vec<String> {
        let lines = self.timeline(case).await;
        let of = |line: &String| {
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            (words[3] == rung).then(|| words[4].to_owned())
        };
        let mut found: Vec<String> = lines.iter().filter_map(of).collect();
        found.sort();
        found
    }

    /// Why the rows of one rung are as they are: `sms accepted: reason`.
    pub(crate) async fn reasons(&self, case: &CaseId, rung: &str) -> Vec<String> {
        let rows = self.ledger(case).await.into_iter();
        let rows = rows.filter(|row| row.mark.split('|').nth(3) == Some(rung));
        let mut told: Vec<String> = rows
            .map(|row| format!("{} {}: {}", row.way, row.state, row.reason_zh))
            .collect();
        told.sort();
        told
    }

    pub(crate) async fn ledger(&self, case: &CaseId) -> Vec<LedgerRow> {
        self.app.engine.store.ledger_of(case, 1000).await.unwrap()
    }

    /// The ledger of a case as people would tell it: when it was decided, which rung, for whom, how, what became of it.
    pub(crate) async fn timeline(&self, case: &CaseId) -> Vec<String> {
        let zone = self.app.engine.live.get().rulebook.zone.clone();
        let rows = self.ledger(case).await;
        let line = |row: &LedgerRow| {
            let at = Timestamp::from_millisecond(row.decided_ms)
                .unwrap()
                .to_zoned_datetime(zone.clone());
            let mark: Vec<&str> = row.mark.split('|').collect();
            let who = match row.recipient.split_once(':') {
                Some(("staff", id)) => id,
                _ => mark[5],
            };
            let call = if row.text == "call_task" { " (call)" } else { "" };
            format!(
                "{} {} {} {who} {} {}{call}",
                at.strftime("%m-%d %H:%M"),
                mark[0],
                mark[3],
                row.way,
                row.state
            )
        };
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        lines.sort();
        lines
    }

    /// `rung way state` of a case's ledger, oldest first, for comparing at a glance.
    pub(crate) async fn decisions(&self, case: &CaseId) -> Vec<String> {
        let mut rows = self.ledger(case).await;
        rows.sort_by(|a, b| (a.decided_ms, &a.id).cmp(&(b.decided_ms, &b.id)));
        let rung = |mark: &str| mark.split('|').nth(3).unwrap_or_default().to_owned();
        rows.iter()
            .map(|row| {
                format!(
                    "{} {} {} {}",
                    rung(&row.mark),
                    row.recipient.split(':').next().unwrap(),
                    row.way,
                    row.state
                )
            })
            .collect()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
}

fn read_sms(path: &Path) -> Left {
    let sms: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let field = |name: &str| sms[name].as_str().unwrap().to_owned();
    Left {
        way: Way::Sms,
        to: field("to"),
        subject: String::new(),
        text: field("text"),
        id: field("id"),
    }
}

/// Reads what this system writes: ASCII headers with RFC 2047 base64 words, base64 bodies, the plain text first.
fn read_mail(path: &Path) -> Left {
    let raw = std::fs::read_to_string(path).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ");
    let header = |name: &str| {
        let line = head.lines().find(|line| line.starts_with(&format!("{name}: ")));
        decode_words(line.map_or("", |line| &line[name.len() + 2..]))
    };
    let encoded = match body.split_once("\r\n\r\n") {
        Some((_, part)) if body.starts_with("--") => part.split("\r\n--").next().unwrap(),
        _ => body,
    };
    let encoded: String = encoded.split_ascii_whitespace().collect();
    let text = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    Left {
        way: Way::Email,
        to: header("To"),
        subject: header("Subject"),
        text: String::from_utf8(text).unwrap(),
        id: header("Message-ID"),
    }
}

fn decode_words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("=?utf-8?b?") {
        let (word, after) = after.split_once("?=").unwrap();
        if !before.trim().is_empty() {
            out.push_str(before);
        }
        let bytes = base64::engine::general_purpose::STANDARD.decode(word).unwrap();
        out.push_str(std::str::from_utf8(&bytes).unwrap());
        rest = after;
    }
    out.push_str(rest);
    out
}
