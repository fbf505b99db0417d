//! The hot path on PostgreSQL, with commits that last: claim → begin → record in batches over a channel that does nothing, beside a raw
//! drain of a queue by two statements on the same server; the same with five million cases asleep and with two nodes; the planner; how
//! late reminders are at a thousand a second.
//!
//! `cargo bench --bench postgres [-- REMINDERS [ASLEEP [ROUNDS]]] [plan] [drain] [nodes] [asleep] [late]`, all parts when none is named;
//! needs PostgreSQL (initdb, pg_ctl) and, for the last figure, smtp-sink (Debian package postfix). The server lies in the directory for
//! temporary files, which has to be on a disk.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sqlx::Connection as _;
use support::late::Lateness;
use support::postgres::{Database, Postgres};
use support::{House, median, plan_all, promise_calls, smtp_sink};
use tokio_util::sync::CancellationToken;
use xixin::app::App;
use xixin::clock::ManualClock;
use xixin::domain::ladder::Way;
use xixin::engine::planner;
use xixin::lifecycle::Beat;
use xixin::store::Store;
use xixin::store::commit;
use xixin::store::queue::{Claim, Claimed, EndedAttempt, NewAttempt, Verdict, record};

const SETTINGS: &str = "[mail]\ntransport = \"maildir\"\n[http]\nlisten = \"127.0.0.1:0\"\n[log]\nfilter = \"warn\"\n";
/// Rows a raw drain takes at once: the best of these counts.
const RAW_BATCHES: [i64; 4] = [250, 500, 1_000, 2_000];
/// Reminders a node takes at once.
const BATCH: i64 = 1_000;
/// Batches under way at once: those of the raw drain run on as many connections.
const ABREAST: usize = 2;
/// Cases whose reminders are drained.
const CASES: usize = 1_000;
const NOW: &str = "2026-03-05T09:00:00+08:00";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse().ok());
    let size = Size {
        count: numbers.next().unwrap_or(100_000),
        asleep: numbers.next().unwrap_or(5_000_000),
        rounds: numbers.next().unwrap_or(3),
    };
    let named: Vec<&str> = PARTS
        .into_iter()
        .filter(|part| arguments.iter().any(|argument| argument == part))
        .collect();
    let wants = |part: &str| named.is_empty() || named.contains(&part);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads can be made");
    runtime.block_on(async {
        let server = Postgres::start();
        if wants("plan") {
            plan(&server, 20_000).await;
        }
        let hall = Hall::new(&server).await;
        if wants("drain") {
            beside_raw(&server, &hall, size).await;
        }
        if wants("nodes") {
            two_nodes(&hall, size).await;
        }
        if wants("asleep") {
            asleep_beside(&hall, size).await;
        }
        if wants("late") {
            lateness(&server).await;
        }
    });
}

const PARTS: [&str; 5] = ["plan", "drain", "nodes", "asleep", "late"];

#[derive(Clone, Copy)]
struct Size {
    count: usize,
    asleep: usize,
    rounds: usize,
}

fn now() -> Timestamp {
    NOW.parse().expect("it is an instant")
}

/// A database with some open cases, and a node on it.
struct Hall {
    database: Database,
    house: House,
    app: App,
}

impl Hall {
    async fn new(server: &Postgres) -> Self {
        let database = server.database().await;
        let house = database.node("one", SETTINGS);
        let app = house.open(Arc::new(ManualClock::new(now()))).await;
        promise_calls(&app, &vec!["2026-03-09".to_owned(); CASES], now()).await;
        plan_all(&app, now()).await;
        Self { database, house, app }
    }

    fn store(&self) -> Arc<Store> {
        Arc::new(self.app.engine.store.clone())
    }

    /// In place of whatever was in the queue: so many reminders by e-mail that are due, spread over the cases.
    async fn queue(&self, count: usize) {
        self.database
            .run(&format!(
                "truncate reminders, attempts;
                 insert into reminders (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority, due_ms,
                                        decided_ms, not_before_ms, valid_until_ms, fallback)
                 select '019cbbf0-' || lpad(to_hex(n / 4096), 4, '0') || '-7' || lpad(to_hex(n % 4096), 3, '0') || substr(gen_random_uuid()::text, 19),
                        numbered.id, 'd1|2026-03-09|deadline|' || n || '|0|assignee', 'staff:zhou', 'email',
                        'deadline_soon', 'queued', '还有三天到期', 'due in three days', 1, {now} - n, {now}, {now} - n,
                        {now} + 86400000, 'phone'
                 from generate_series(1, {count}) as n
                 join (select id, row_number() over (order by id) as place from cases where live = 1 limit {CASES}) as numbered
                   on numbered.place = n % {CASES} + 1;
                 vacuum analyze reminders; vacuum analyze attempts; checkpoint",
                now = now().as_millisecond()
            ))
            .await;
    }
}

/// Rows a second of the raw drain and of a node, in turns, so that whatever else the machine does hits both.
async fn beside_raw(server: &Postgres, hall: &Hall, size: Size) {
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    let database = server.database().await;
    for _ in 0..size.rounds {
        let mut best = 0.0_f64;
        for batch in RAW_BATCHES {
            let rate = raw_drain(&database, size.count, batch).await;
            println!("raw: {rate:.0}/s with {batch} rows at once over {ABREAST} connections");
            best = best.max(rate);
        }
        raw.push(best);
        hall.queue(size.count).await;
        ours.push(drain(&[hall.store()], size.count).await);
        println!("drain: {:.0}/s", ours.last().copied().unwrap_or(f64::NAN));
    }
    let bytes = hall.database.bytes("reminders").await + hall.database.bytes("attempts").await;
    println!(
        "size: a reminder with its attempt takes {} bytes",
        bytes / size.count as i64
    );
    let (raw, ours) = (median(raw), median(ours));
    let ratio = ours / raw;
    println!("drain: {ours:.0}/s by one node; raw two statements at their best batch: {raw:.0}/s; ratio {ratio:.2}");
}

/// The least that a queue can be: a narrow table, one index, one statement that takes and one that completes.
async fn raw_drain(database: &Database, count: usize, batch: i64) -> f64 {
    const TAKE: &str = "
        with next as materialized (
            select id from queue where state = 0 and due_ms <= $1 order by due_ms limit $2 for update skip locked
        )
        update queue set state = 1 from next where queue.id = next.id returning queue.id, queue.body";
    const COMPLETE: &str = "update queue set state = 2 where id = any($1)";
    database
        .run(&format!(
            "drop table if exists queue;
             create table queue (id bigint primary key, state smallint not null, due_ms bigint not null, body text not null);
             insert into queue select n, 0, n, repeat('x', 200) from generate_series(1, {count}) as n;
             create index queue_due on queue (due_ms) where state = 0;
             vacuum analyze queue; checkpoint"
        ))
        .await;
    let start = Instant::now();
    let workers = (0..ABREAST).map(|_| async {
        let mut connection = database.connect().await;
        loop {
            let taken: Vec<(i64, String)> = sqlx::query_as(TAKE)
                .bind(i64::MAX)
                .bind(batch)
                .fetch_all(&mut connection)
                .await
                .expect("the server answers");
            if taken.is_empty() {
                break;
            }
            let ids: Vec<i64> = taken.into_iter().map(|(id, _)| id).collect();
            let done = sqlx::query(COMPLETE).bind(ids).execute(&mut connection).await;
            done.expect("the server answers");
        }
        connection.close().await.expect("the server answers");
    });
    futures_util::future::join_all(workers).await;
    count as f64 / start.elapsed().as_secs_f64()
}

/// Reminders a second that these nodes claim, begin and record as accepted, until none is left.
async fn drain(nodes: &[Arc<Store>], count: usize) -> f64 {
    let done = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers = nodes
        .iter()
        .flat_map(|store| (0..ABREAST).map(|_| tokio::spawn(work(Arc::clone(store), Arc::clone(&done), count))));
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("the worker ended well");
    }
    assert_eq!(done.load(Ordering::Relaxed), count, "every reminder leaves once");
    count as f64 / start.elapsed().as_secs_f64()
}

async fn work(store: Arc<Store>, done: Arc<AtomicUsize>, count: usize) {
    let lease = now()
        .checked_add(SignedDuration::from_secs(60))
        .expect("it is an instant");
    loop {
        let claimed = store
            .claim_due(Way::Email, Claim::Due, now(), BATCH, "bench", lease)
            .await
            .expect("the server answers");
        if claimed.is_empty() {
            if done.load(Ordering::Relaxed) == count {
                return;
            }
            tokio::task::yield_now().await;
            continue;
        }
        let attempts: Vec<NewAttempt> = claimed.iter().map(attempt).collect();
        let begun = store
            .begin_attempts(Way::Email, &attempts, now())
            .await
            .expect("the server answers");
        let verdicts: Vec<Verdict> = claimed
            .iter()
            .zip(attempts)
            .filter(|(_, attempt)| begun.started.contains(&attempt.id))
            .map(|(claimed, attempt)| accepted(claimed, attempt))
            .collect();
        let mut tx = store.begin().await.expect("the server answers");
        record(&mut tx, &verdicts).await.expect("the server answers");
        commit(tx, "record outcomes").await.expect("the server answers");
        done.fetch_add(verdicts.len(), Ordering::Relaxed);
    }
}

fn attempt(claimed: &Claimed) -> NewAttempt {
    NewAttempt {
        id: uuid::Uuid::now_v7().to_string(),
        reminder_id: claimed.id.clone(),
        epoch: claimed.epoch,
        case_version: Some(1),
        wire_id: format!("{}@bench", claimed.id),
        wire_sha256: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".to_owned(),
        judged_ms: Some(now().as_millisecond()),
        gateway: None,
        receipt_ms: None,
    }
}

fn accepted(claimed: &Claimed, attempt: NewAttempt) -> Verdict {
    Verdict {
        id: claimed.id.clone(),
        epoch: claimed.epoch,
        state: "accepted",
        not_before_ms: None,
        reason_zh: None,
        reason_en: None,
        charged: 1,
        closed_ms: Some(now().as_millisecond()),
        attempt: Some(EndedAttempt {
            id: attempt.id,
            ended_ms: now().as_millisecond(),
            outcome: "accepted",
            blame: None,
            reference: Some("250 2.0.0 Ok: queued".to_owned()),
            reason: None,
            provider: Some("mail".to_owned()),
            ask_ms: None,
        }),
    }
}

async fn two_nodes(hall: &Hall, size: Size) {
    let house = hall.database.another("two", SETTINGS, &hall.house);
    let other = house.open(Arc::new(ManualClock::new(now()))).await;
    let other = Arc::new(other.engine.store.clone());
    let (mut single, mut double) = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        hall.queue(size.count).await;
        single.push(drain(&[hall.store()], size.count).await);
        hall.queue(size.count).await;
        double.push(drain(&[hall.store(), Arc::clone(&other)], size.count).await);
    }
    let (single, double) = (median(single), median(double));
    println!(
        "nodes: {double:.0}/s by two together, {single:.0}/s by one; ratio {:.2}",
        double / single
    );
}

/// The rate without and with so many cases that wait for their day, each with what it waits for. Their facts are copies that only their
/// first owner's key opens: nobody reads them here.
async fn asleep_beside(hall: &Hall, size: Size) {
    let Size { asleep, .. } = size;
    let mut awake = Vec::new();
    for _ in 0..size.rounds {
        hall.queue(size.count).await;
        awake.push(drain(&[hall.store()], size.count).await);
    }
    let start = Instant::now();
    hall.database
        .run(&format!(
            "insert into cases (id, facts, version, wake_ms, rules_gen, agenda_sum, unit, owner, matter, resident, status, live,
                                priority, opened_ms)
             select 'z-' || n, c.facts, c.version, c.wake_ms + 31536000000 + n, c.rules_gen, c.agenda_sum, c.unit, c.owner, c.matter,
                    c.resident, c.status, c.live, c.priority, c.opened_ms
             from (select * from cases order by id limit 1) as c, generate_series(1, {asleep}) as n;
             insert into agenda (case_id, item, kind, unit, assignee, day, start_ms, end_ms, office)
             select 'z-' || n, a.item, a.kind, a.unit, a.assignee, a.day, a.start_ms, a.end_ms, a.office
             from agenda as a, generate_series(1, {asleep}) as n
             where a.case_id = (select id from cases order by id limit 1);
             vacuum analyze cases; vacuum analyze agenda; checkpoint"
        ))
        .await;
    println!(
        "asleep: {asleep} cases put in within {:.0} s",
        start.elapsed().as_secs_f64()
    );
    let mut beside = Vec::new();
    for _ in 0..size.rounds {
        hall.queue(size.count).await;
        beside.push(drain(&[hall.store()], size.count).await);
    }
    let (awake, beside) = (median(awake), median(beside));
    println!(
        "asleep: {beside:.0}/s with {asleep} cases asleep, {awake:.0}/s without; ratio {:.2}",
        beside / awake
    );
}

/// Cases whose wake-up has come → read, planned, decided, written. The ledger has a history, and the statistics know of it.
async fn plan(server: &Postgres, count: usize) {
    let database = server.database().await;
    let house = database.node("planner", SETTINGS);
    let clock = ManualClock::new(now());
    let app = house.open(Arc::new(clock.clone())).await;
    promise_calls(&app, &vec!["2026-03-09".to_owned(); count], now()).await;
    plan_all(&app, now()).await;
    database
        .run(
            "insert into reminders (id, case_id, mark, recipient, way, text, state, reason_zh, reason_en, priority, due_ms,
                                    decided_ms, not_before_ms, valid_until_ms, fallback)
             select gen_random_uuid()::text, cases.id, 'd1|2026-01-09|deadline|' || n || '|0|assignee', 'staff:zhou', 'email',
                    'deadline_soon', 'accepted', '还有三天到期', 'due in three days', 1, 0, 0, 0, 1, ''
             from cases, generate_series(1, 3) as n;
             vacuum analyze; checkpoint",
        )
        .await;
    let due: Timestamp = "2026-03-09T08:30:00+08:00".parse().expect("it is an instant");
    clock.set(due);
    let stop = CancellationToken::new();
    let start = Instant::now();
    let planning = tokio::spawn(planner::run(app.engine.clone(), Beat::default(), stop.clone()));
    while app
        .engine
        .store
        .next_wake()
        .await
        .expect("the server answers")
        .is_some_and(|next| next <= due)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let elapsed = start.elapsed().as_secs_f64();
    stop.cancel();
    planning.await.expect("the planner ended well");
    println!(
        "plan: {:.0} cases a second from wake-up to decided",
        count as f64 / elapsed
    );
    let mut bytes = 0;
    for table in ["cases", "agenda", "people", "keys", "events"] {
        bytes += database.bytes(table).await;
    }
    println!(
        "size: an open case with its resident, key and first events takes {} bytes",
        bytes / count as i64
    );
}

async fn lateness(server: &Postgres) {
    let Some((_sink, port)) = smtp_sink() else {
        println!("late: smtp-sink is missing; install the Debian package postfix");
        return;
    };
    let database = server.database().await;
    let smtp = format!(
        "[mail]\ntransport = \"smtp\"\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nconnections = 10\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[log]\nfilter = \"warn\"\n"
    );
    let house = database.node("late", &smtp);
    let late = Lateness::of(&house, 1_000, 0).await;
    println!("late: 1,000 reminders due within one second: {late}");
}
