//! Opening a PostgreSQL. No setting leads here yet: the store keeps its contract (the tests hold it to that), but nothing above it knows
//! what to do when a server is gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::store::db::Pool;
use crate::store::{Store, StoreError, chain, incarnation, make_directory, unlock_to_write};
use crate::vault::Masters;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections of one process that read. Others write: whoever waits to write must not keep others from reading.
const READERS_MAX: u32 = 3;
const WRITERS_MAX: u32 = 4;

/// More than the store has: each is prepared once on a connection.
const STATEMENTS_MAX: usize = 500;

/// So long a statement waits for a free one of them.
const ACQUIRE_MAX: Duration = Duration::from_secs(10);

impl Store {
    /// Opens the database and brings it up to date. `beside` is where the database would be if it were a file: what lies outside of it
    /// on this machine (the key and the head of the chain of events) is in the same directory.
    pub async fn open_postgres(
        options: PgConnectOptions,
        beside: &Path,
        masters: &Masters,
    ) -> Result<Self, StoreError> {
        make_directory(beside)?;
        let name = PathBuf::from(format!(
            "postgres://{}/{}",
            options.get_host(),
            options.get_database().unwrap_or_default()
        ));
        let options = options
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        let open_error = |source| StoreError::Open {
            path: name.clone(),
            source,
        };
        let pool = |max| PgPoolOptions::new().max_connections(max).acquire_timeout(ACQUIRE_MAX);
        let writer = pool(WRITERS_MAX)
            .connect_with(options.clone())
            .await
            .map_err(open_error)?;
        migrate(&writer, &name).await?;
        let writer = Pool::Postgres(writer);
        incarnation::give(&writer).await?;
        let ring = unlock_to_write(&writer, &name, masters).await?;
        let reader = pool(READERS_MAX).connect_with(options).await.map_err(open_error)?;
        let store = Self {
            writer,
            reader: Pool::Postgres(reader),
            path: beside.to_owned(),
            ring: Arc::new(ring),
            chain: Arc::new(chain::Chain::open(beside)?),
            node: Arc::default(),
        };
        store.seal_older().await?;
        store.keep_first_head().await?;
        Ok(store)
    }
}

/// Whoever comes second waits for the lock that sqlx takes for this, and finds the work done.
async fn migrate(pool: &PgPool, name: &Path) -> Result<(), StoreError> {
    MIGRATIONS.run(pool).await.map_err(|source| match source {
        MigrateError::VersionMissing(version) => StoreError::Newer {
            path: name.to_owned(),
            version,
        },
        source => StoreError::Migrate {
            path: name.to_owned(),
            source,
        },
    })
}
