//! A database on a PostgreSQL, which several nodes share. What is not in it lies in the data directory of each node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::config::postgres as config;
use crate::config::postgres::{Host, Pooler, PostgresTls};
use crate::store::chain::{Chain, Known};
use crate::store::db::{Pool, query, query_scalar};
use crate::store::held::{Connections, silent};
use crate::store::inspect::{self, Inspection};
use crate::store::location::Location;
use crate::store::{
    During as _, Store, StoreError, incarnation, look_by, make_directory, needs_all, server, unlock_to_write,
};
use crate::vault::Masters;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections that write: whoever waits to write must not keep others from reading.
const WRITERS_MAX: u32 = 4;

/// More than the store has: each is prepared once on a connection.
const STATEMENTS_MAX: usize = 500;

/// What is in work at one time lies in memory or on a disk that needs no seeking: a batch is found by its ids, whatever else is there.
/// The default would read the whole of a ledger of a hundred thousand rows for a batch of a thousand.
const PROBE: (&str, &str) = ("random_page_cost", "1.1");

/// So often a migration is tried again that found what it changes in use.
const MIGRATE_TRIES: u32 = 3;

/// So long the first connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How a server is reached, and where on this machine lies what belongs to the database and is not in it.
#[derive(Debug, Clone)]
pub struct Server {
    options: PgConnectOptions,
    /// What is set in each transaction behind a pooler.
    at_begin: Option<String>,
    name: PathBuf,
    beside: PathBuf,
    readers: u32,
    /// Which of the nodes this one is.
    node: String,
    statement: Duration,
    lock_s: u64,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

impl Server {
    /// `beside` is where the database would be if it were a file.
    pub fn new(
        (place, settings): (&config::Server, &config::Postgres),
        password: Option<&str>,
        beside: &Path,
        node: String,
    ) -> Self {
        let config::Server { user, host, port, name } = place;
        let tls = settings.tls.unwrap_or(match place.is_here() {
            true => PostgresTls::None,
            false => PostgresTls::VerifyFull,
        });
        let options = PgConnectOptions::new_without_pgpass();
        let options = match host {
            Host::Name(host) => options.host(host),
            Host::Socket(dir) => options.socket(dir),
        };
        let options = options.port(*port).username(user).database(name);
        let options = options.ssl_mode(match tls {
            PostgresTls::VerifyFull => PgSslMode::VerifyFull,
            PostgresTls::VerifyCa => PgSslMode::VerifyCa,
            PostgresTls::None => PgSslMode::Disable,
        });
        let options = match &settings.ca {
            Some(ca) => options.ssl_root_cert(ca),
            None => options,
        };
        let options = match password {
            Some(password) => options.password(password),
            None => options,
        };
        let limits = [
            ("statement_timeout", settings.statement_timeout_s),
            ("idle_in_transaction_session_timeout", settings.statement_timeout_s),
            ("lock_timeout", settings.lock_timeout_s),
        ];
        let limits = limits.map(|(name, seconds)| (name, format!("{seconds}s")));
        let set: Vec<(&str, String)> = limits.into_iter().chain([(PROBE.0, PROBE.1.to_owned())]).collect();
        let options = options.application_name("xixin").disable_statement_logging();
        let (options, at_begin) = match settings.pooler {
            Pooler::None => (options.options(set).statement_cache_capacity(STATEMENTS_MAX), None),
            Pooler::Transaction => {
                let set = set.iter().map(|(name, value)| format!("set local {name} = '{value}'"));
                let options = options.extra_float_digits(None).statement_cache_capacity(0);
                (options, Some(set.collect::<Vec<_>>().join("; ")))
            }
        };
        Self {
            options,
            at_begin,
            name: place.to_string().into(),
            beside: beside.to_owned(),
            readers: settings.connections,
            node,
            statement: Duration::from_secs(settings.statement_timeout_s),
            lock_s: settings.lock_timeout_s,
        }
    }

    pub(super) fn beside(&self) -> &Path {
        &self.beside
    }

    pub(super) fn name(&self) -> PathBuf {
        self.name.clone()
    }

    /// Opens the database, made and brought up to date.
    pub(super) async fn open(&self, masters: &Masters) -> Result<Store, StoreError> {
        make_directory(&self.beside)?;
        let writer = self.tried(WRITERS_MAX, Access::Write).await?;
        server::refuse_standby(&writer).await?;
        self.bring_up_to_date(&writer).await?;
        incarnation::give(&writer).await?;
        let met = server::meet(&writer, &self.node).await?;
        if let Some(writer) = writer.met() {
            writer.set(met.server);
        }
        let unlocked = unlock_to_write(&writer, &self.name, masters).await;
        let ring = unlocked.map_err(|error| self.of_nodes(error))?;
        let chain = self.chain(&writer).await?;
        let store = Store {
            writer,
            reader: self.pool(self.readers, Access::Write),
            location: Location::Server(Box::new(self.clone())),
            ring: Arc::new(ring),
            chain: Arc::new(chain),
            node: self.node.as_str().into(),
        };
        store.seal_older().await?;
        store.keep_first_head().await?;
        Ok(store)
    }

    /// Opens it to read: it has to be of this version, and every write fails.
    pub(super) async fn look(&self, masters: Option<&Masters>) -> Result<Store, StoreError> {
        let pool = self.tried(self.readers, Access::Read).await?;
        let location = Location::Server(Box::new(self.clone()));
        look_by(pool, location, masters)
            .await
            .map_err(|error| self.of_nodes(error))
    }

    pub(super) async fn needs_the_daemon(&self, masters: &Masters) -> Result<bool, StoreError> {
        let pool = self.looking().await?;
        let found = needs_all(&pool, masters).await;
        pool.close().await;
        found
    }

    pub(super) async fn is_sealed(&self) -> Result<bool, StoreError> {
        let pool = self.looking().await?;
        let sealed = inspect::is_sealed(&pool).await;
        pool.close().await;
        sealed
    }

    pub(super) async fn inspect(&self) -> Result<Inspection, StoreError> {
        let pool = self.looking().await?;
        let found = inspect::look(&pool, Location::Server(Box::new(self.clone())), Vec::new()).await;
        pool.close().await;
        found
    }

    /// Its name among the nodes of one database.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) async fn version(&self) -> Result<inspect::Version, StoreError> {
        let pool = self.looking().await?;
        let version = inspect::version(&pool).await;
        pool.close().await;
        version
    }

    /// One connection that writes, to the tables of this version: made if they are missing.
    pub(super) async fn made(&self) -> Result<Pool, StoreError> {
        let writer = self.tried(1, Access::Write).await?;
        self.bring_up_to_date(&writer).await?;
        Ok(writer)
    }

    /// One connection that reads.
    pub(super) async fn looking(&self) -> Result<Pool, StoreError> {
        self.tried(1, Access::Read).await
    }

    /// The nodes that work on it.
    pub(super) async fn living(&self) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "select name from nodes where alive_until_ms >= now_ms() order by name limit 100";
        let action = "look which nodes live";
        let pool = self.looking().await?;
        let living = match inspect::has_table(&pool, "nodes").await.during(action) {
            Ok(true) => query_scalar(SQL).fetch_all(&pool).await.during(action),
            Ok(false) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        pool.close().await;
        living
    }

    /// One connection that writes, and what seals the events.
    pub(super) async fn writer(&self) -> Result<(Pool, Arc<Chain>), StoreError> {
        let writer = self.pool(1, Access::Write);
        let chain = Arc::new(self.chain(&writer).await?);
        Ok((writer, chain))
    }

    /// A connection by itself that hears what nodes say to each other; `None` behind a pooler, which would give its server away.
    pub(super) async fn listener(&self, channel: &str) -> Result<Option<PgListener>, sqlx::Error> {
        if self.at_begin.is_some() {
            return Ok(None);
        }
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_MAX);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with(self.options.clone())).await?;
        listener.listen(channel).await?;
        Ok(Some(listener))
    }

    fn unopened(&self, source: sqlx::Error) -> StoreError {
        StoreError::Open {
            path: self.name(),
            source,
        }
    }

    /// One connection by itself.
    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let connected = tokio::time::timeout(CONNECT_MAX, PgConnection::connect_with(&self.options)).await;
        connected
            .unwrap_or_else(|_| Err(silent()))
            .map_err(|source| self.unopened(source))
    }

    async fn part_with(&self, connection: PgConnection) -> Result<(), StoreError> {
        connection.close().await.map_err(|source| self.unopened(source))
    }

    fn pool(&self, max: u32, access: Access) -> Pool {
        const READ: &str = "set transaction read only";
        let (mut options, mut at_begin) = (self.options.clone(), self.at_begin.clone());
        match (access, &mut at_begin) {
            (Access::Write, _) => {}
            (Access::Read, Some(at_begin)) => *at_begin = format!("{at_begin}; {READ}"),
            (Access::Read, None) => options = options.options([("default_transaction_read_only", "on")]),
        }
        let pool = PgPoolOptions::new().max_connections(max);
        Pool::Postgres(Connections::new(pool, options, self.statement, at_begin))
    }

    /// Connections to a server that answers: a pool would try again and again, and not say why it has none.
    async fn tried(&self, max: u32, access: Access) -> Result<Pool, StoreError> {
        let first = self.connect().await?;
        self.part_with(first).await?;
        Ok(self.pool(max, access))
    }

    /// Nodes that are upgraded at once come here together: the first does it, the others wait for it and find it done.
    async fn bring_up_to_date(&self, writer: &Pool) -> Result<(), StoreError> {
        let mut tries = 1;
        loop {
            match inspect::version(writer).await? {
                inspect::Version::Current => return Ok(()),
                inspect::Version::Newer { found, .. } => {
                    return Err(StoreError::Newer {
                        path: self.name(),
                        version: found,
                    });
                }
                inspect::Version::Older { .. } => {}
            }
            let migrated = self.migrate().await.map_err(|source| StoreError::Migrate {
                path: self.name(),
                source,
            });
            match migrated {
                Err(error) if error.is_busy() && tries < MIGRATE_TRIES => tries += 1,
                done => done?,
            }
        }
    }

    /// All of it or nothing, in one transaction. The lock saves double work; it is the unique version of each migration that keeps two
    /// nodes from doing one twice. Nobody's work waits behind it for longer than the lock timeout.
    async fn migrate(&self) -> Result<(), MigrateError> {
        const LOCK: &str = "select pg_advisory_xact_lock(7888777)";
        // Names that it leaves behind on a server of a pooler would be in the way of the next one.
        const FORGET: &str = "deallocate all";
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let mut tx = connection.begin().await?;
        let lock_timeout = format!("set local lock_timeout = '{}s'", self.lock_s);
        let patient = "set local statement_timeout = 0; set local lock_timeout = 0";
        for sql in [FORGET, patient, LOCK, &lock_timeout] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
                .execute(&mut *tx)
                .await?;
        }
        let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
        migrator.set_locking(false);
        migrator.run(&mut *tx).await?;
        sqlx::raw_sql(FORGET).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The key of the chain of events, which is one for all nodes: the first one makes it, and the database remembers its mark.
    /// A node that is new takes the head of the events over from them.
    async fn chain(&self, writer: &Pool) -> Result<Chain, StoreError> {
        const KNOWN: &str = "select value from meta where name = 'chain_key'";
        const NOTE: &str = "insert into meta (name, value) values ('chain_key', $1) on conflict (name) do nothing";
        const HEAD: &str = "select value from meta where name = 'chain_head'";
        let action = "compare the key of the chain of events";
        let known = async || {
            query_scalar::<String>(KNOWN)
                .fetch_optional(writer)
                .await
                .during(action)
        };
        let head: Option<String> = query_scalar(HEAD).fetch_optional(writer).await.during(action)?;
        let mut mark = known().await?;
        let chain = match (&mark, &head) {
            (None, None) => Chain::open(&self.beside)?,
            _ => Chain::look(&self.beside)?,
        };
        let head = chain.read(head.as_deref().unwrap_or_default());
        let ours = chain.mark().filter(|_| mark.is_some() || head != Known::Forged);
        if let (None, Some(ours)) = (&mark, &ours) {
            query(NOTE).bind(ours).execute(writer).await.during(action)?;
            mark = known().await?;
        }
        if ours.is_none() || ours != mark {
            return Err(self.needs_keys(chain.key_file()));
        }
        if let (Known::Absent, Known::Head(head)) = (chain.outside(), head) {
            chain.keep(&head);
        }
        Ok(chain)
    }

    /// A key that does not fit is, on a server, most likely one that this node has made for itself.
    fn of_nodes(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::WrongKey { .. } | StoreError::NoKey { .. } => self.without_key(),
            error => error,
        }
    }

    pub(super) fn without_key(&self) -> StoreError {
        self.needs_keys(self.beside.with_file_name("xixin.key"))
    }

    fn needs_keys(&self, key: PathBuf) -> StoreError {
        StoreError::KeyOfNodes { path: self.name(), key }
    }
}
