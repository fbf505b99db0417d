//! The same store on PostgreSQL. Everything that needs a server is in this module, so that it can be left out where there is none.

mod again;
mod gone;
mod known;
mod lives;
mod moving;
mod nodes;
mod pgbouncer;
mod promotion;
mod schema;
mod statements;
mod upgrade;
mod verbs;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::postgres::fresh;

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// Both databases as their migrations make them.
async fn both() -> (SqliteConnection, PgConnection) {
    let mut sqlite = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    SQLITE.run(&mut sqlite).await.unwrap();
    let mut postgres = fresh().await.connect().await.unwrap();
    POSTGRES.run(&mut postgres).await.unwrap();
    (sqlite, postgres)
}
