//! A PostgreSQL of the bench's own, on a real disk and with commits that last.

use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

#[path = "../../tests/it/support/postgres.rs"]
#[allow(clippy::unwrap_used, reason = "it is the tests'")]
mod server;

use server::{Server, address};

use super::House;

/// What a machine of 24 GiB would be set to, and nothing that makes a commit less than durable.
const SETTINGS: &str = "-c shared_buffers=2GB -c max_wal_size=8GB -c checkpoint_timeout=30min -c max_connections=50";

/// A server; it ends with the bench.
pub(crate) struct Postgres(Server);

impl Postgres {
    pub(crate) fn start() -> Self {
        Self(Server::with(SETTINGS))
    }

    pub(crate) async fn database(&self) -> Database {
        Database(self.0.database().await)
    }
}

pub(crate) struct Database(PgConnectOptions);

impl Database {
    pub(crate) async fn connect(&self) -> PgConnection {
        self.0.connect().await.expect("the server answers")
    }

    /// Runs statements in a row, each in a transaction of its own.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = self.connect().await;
        for statement in sql.split(';') {
            connection
                .execute(AssertSqlSafe(statement.to_owned()))
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// What a table takes on the disk, with its indexes.
    pub(crate) async fn bytes(&self, table: &str) -> i64 {
        let size = sqlx::query_scalar("select pg_total_relation_size($1::text::regclass)").bind(table);
        size.fetch_one(&mut self.connect().await)
            .await
            .expect("the server answers")
    }

    /// A node on it, with these settings more.
    pub(crate) fn node(&self, name: &str, settings: &str) -> House {
        House::new(&format!(
            "database = \"{}\"\nnode = \"{name}\"\n{settings}",
            address(&self.0)
        ))
    }

    /// Another one, which has been given the keys of the first.
    pub(crate) fn another(&self, name: &str, settings: &str, first: &House) -> House {
        let house = self.node(name, settings);
        let state = |house: &House| house.dir.path().join("state");
        std::fs::create_dir_all(state(&house)).expect("the directory is ours");
        for key in ["xixin.key", "chain.key"] {
            copy_key(&state(first).join(key), &state(&house).join(key));
        }
        house
    }
}

fn copy_key(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
