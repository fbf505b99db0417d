//! Nodes are upgraded one after the other: those of before go on beside a newer one as long as they may.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;
use xixin::engine::lookout;
use xixin::lifecycle::Beat;
use xixin::store::StoreError;

use crate::postgres::POSTGRES;
use crate::support::daemon::Installation;
use crate::support::hall::Hall;
use crate::support::postgres::{Server, address, fresh};

/// A newer xixin has brought it up to date.
const NEWER: &str = "
    insert into _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
    values (9999, 'later', now(), true, '\\x00', 0)";
/// And older ones may not write any more.
const ONLY_NEWER: &str = "insert into meta (name, value) values ('min_writer_version', '9999')";

fn node(database: &PgConnectOptions) -> Installation {
    Installation::with(&format!(
        "database = {:?}\n[postgres]\nlock_timeout_s = 1\n",
        address(database)
    ))
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_node_goes_on_beside_a_newer_one_until_it_may_no_longer_write() {
    let database = fresh().await;
    let node = node(&database);
    node.run(&["migrate"]).good();
    let mut connection = database.connect().await.unwrap();
    run(&mut connection, NEWER).await;
    for verb in [&["migrate"][..], &["case", "list"], &["audit", "verify"]] {
        node.run(verb).good();
    }
    drop(node.serve());
    run(&mut connection, ONLY_NEWER).await;
    for verb in [&["migrate"][..], &["case", "list"], &["serve"]] {
        let refused = node.run(verb);
        assert_eq!(refused.code, 78, "{refused:?}");
        assert!(refused.err.contains("written by a newer xixin"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_may_no_longer_write_ends() {
    let server = Server::start();
    let hall = Hall::on_server(&server, "2026-03-02 10:00").await;
    hall.sql(NEWER).await;
    hall.app.engine.store.check_version().await.unwrap();
    hall.sql(ONLY_NEWER).await;
    let ended = lookout::run(hall.app.engine.clone(), Beat::default(), CancellationToken::new()).await;
    assert!(
        matches!(ended, Err(StoreError::Newer { version: 9999, .. })),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_waits_a_little_for_what_is_in_use_and_leaves_all_as_it_was() {
    let database = fresh().await;
    let node = node(&database);
    let mut connection = database.connect().await.unwrap();
    let last = POSTGRES.iter().map(|one| one.version).max().unwrap();
    POSTGRES.run_to(last - 1, &mut connection).await.unwrap();
    let mut work = connection.begin().await.unwrap();
    // Nobody may note a migration meanwhile.
    run(&mut work, "lock table _sqlx_migrations in share mode").await;
    let busy = node.run(&["migrate"]);
    assert_eq!(busy.code, 75, "{busy:?}");
    work.rollback().await.unwrap();
    let newest: i64 = sqlx::query_scalar("select max(version) from _sqlx_migrations")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(newest, last - 1);
    node.run(&["migrate"]).good();
}
