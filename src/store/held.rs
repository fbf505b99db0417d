//! Connections of a PostgreSQL. A server that has gone without a word must not keep anybody waiting: every statement, and every
//! connection that is given back, has its time, after which the connection is let go and another one is made.
//!
//! Behind a pooler that gives a server to each transaction (pgbouncer, `pool_mode = transaction`) nothing outlives a transaction: there
//! every statement runs in one, without a name, and what a session would be set to is set in each. Whoever waits for a lock there keeps one of
//! few servers, perhaps the one that the holder needs to read by before it goes on: it waits for moments, and begins again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Postgres, Row as _, SqlSafeStr};

use crate::store::server::{self, IDENTITY, Met};

/// So long whoever wants a connection waits for one.
const ACQUIRE_MAX: Duration = Duration::from_secs(5);

/// So long it is tried once more to reach a server, to hear why there is no connection.
const WHY_MAX: Duration = Duration::from_secs(2);

/// So long a connection that is given back may take to finish what was begun on it.
const GIVE_BACK_MAX: Duration = Duration::from_secs(5);

/// Beyond the time that the server gives a statement: it says better why.
const LATER: Duration = Duration::from_secs(5);

/// So long whoever has a server of a pooler waits for what somebody else holds.
const MOMENT: &str = "set local lock_timeout = '50ms'";

/// read_only_sql_transaction.
const READ_ONLY: &str = "25006";

/// Several connections to one server.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pool: PgPool,
    /// So long a statement may take.
    patience: Duration,
    is_pooled: bool,
    /// What follows each `begin`.
    settings: Arc<str>,
    met: Met,
}

impl Connections {
    /// `statement` is the time that the server gives a statement. Behind a pooler, `settings` are those of each transaction.
    pub(super) fn new(
        pool: PgPoolOptions,
        options: PgConnectOptions,
        statement: Duration,
        settings: Option<String>,
    ) -> Self {
        Self {
            pool: pool.acquire_timeout(ACQUIRE_MAX).connect_lazy_with(options),
            patience: statement + LATER,
            is_pooled: settings.is_some(),
            settings: settings.unwrap_or_default().into(),
            met: Met::default(),
        }
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    /// A connection for one statement, in a transaction of its own where it has to be.
    pub(super) async fn for_one(&self) -> Result<Held, sqlx::Error> {
        match self.is_pooled {
            true => self.begin("").await,
            false => self.acquire().await,
        }
    }

    async fn acquire(&self) -> Result<Held, sqlx::Error> {
        match self.pool.acquire().await {
            Ok(connection) => Ok(Held {
                connection: Some(connection),
                patience: self.patience,
                settings: self.is_pooled.then(|| Arc::clone(&self.settings)),
                is_open: false,
                is_under_way: false,
                is_refused: false,
            }),
            Err(sqlx::Error::PoolTimedOut) => Err(self.why().await),
            Err(error) => Err(error),
        }
    }

    /// Begins a transaction that writes, in which more is set: on the server that was met.
    pub(super) async fn write(&self, more: &str) -> Result<Held, sqlx::Error> {
        self.write_on(self.met.get().as_deref(), more).await
    }

    /// The same on this one, or on any.
    pub(super) async fn write_on(&self, server: Option<&str>, more: &str) -> Result<Held, sqlx::Error> {
        let mut held = self.acquire().await?;
        held.is_open = true;
        let found = held
            .ask(format!("begin; {}; {more}; {IDENTITY}", self.settings))
            .await?;
        server::check(found, server)?;
        Ok(held)
    }

    pub(super) fn met(&self) -> &Met {
        &self.met
    }

    /// Begins a transaction, in which more is set.
    pub(super) async fn begin(&self, more: &str) -> Result<Held, sqlx::Error> {
        self.begin_by(format!("begin; {}; {more}", self.settings)).await
    }

    /// Begins to read everything as it is now, however long that takes.
    pub(super) async fn snapshot(&self) -> Result<Held, sqlx::Error> {
        const BEGIN: &str = "begin isolation level repeatable read, read only";
        self.begin_by(format!("{BEGIN}; {}; set local statement_timeout = 0", self.settings))
            .await
    }

    async fn begin_by(&self, sql: String) -> Result<Held, sqlx::Error> {
        let mut held = self.acquire().await?;
        held.is_open = true;
        held.say(sqlx::AssertSqlSafe(sql)).await?;
        Ok(held)
    }

    /// A pool tells that it has no connection in time, and not why: all may be in use, or the server does not answer.
    async fn why(&self) -> sqlx::Error {
        match tokio::time::timeout(WHY_MAX, PgConnection::connect_with(&self.pool.connect_options())).await {
            Ok(Ok(_)) => sqlx::Error::PoolTimedOut,
            Ok(Err(error)) => error,
            Err(_) => silent(),
        }
    }

    pub(super) async fn close(&self) {
        // Those that hang on a silent server end with the process.
        let _ = tokio::time::timeout(GIVE_BACK_MAX, self.pool.close()).await;
    }
}

/// A connection for one transaction, or for one statement.
pub struct Held {
    connection: Option<PoolConnection<Postgres>>,
    patience: Duration,
    /// Those of each transaction, where a pooler gives the connection to others afterwards.
    settings: Option<Arc<str>>,
    /// A transaction has begun.
    is_open: bool,
    /// Whoever gives up a statement leaves its answer on the wire, for nobody.
    is_under_way: bool,
    /// A statement was refused, and the server with it takes back all of its transaction, whatever it is told afterwards.
    is_refused: bool,
}

impl Held {
    /// For a statement, with the time it may take. [`Held::ended`] has to hear what came of it.
    pub(super) fn begins(&mut self) -> (Duration, &mut PgConnection) {
        self.is_under_way = true;
        let connection = self
            .connection
            .as_mut()
            .expect("it is given back only when it is dropped");
        (self.patience, connection)
    }

    pub(super) fn ended<T>(
        &mut self,
        done: Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>,
    ) -> Result<T, sqlx::Error> {
        let done = done.unwrap_or_else(|_| Err(silent()));
        self.is_under_way = match &done {
            // An error of the wire leaves a connection that is of no use; so does a server that has become another one's standby.
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => true,
            Err(sqlx::Error::Database(error)) => error.code().as_deref() == Some(READ_ONLY),
            _ => false,
        };
        self.is_refused |= matches!(done, Err(sqlx::Error::Database(_)));
        done
    }

    /// Whether a statement keeps its name on this connection.
    pub(super) fn keeps_names(&self) -> bool {
        self.settings.is_none()
    }

    /// Waits for what others hold as long as the settings say, or, behind a pooler, for a moment.
    pub(super) async fn be_patient(&mut self, patient: bool) -> Result<(), sqlx::Error> {
        match &self.settings {
            None => Ok(()),
            Some(_) if !patient => self.say(MOMENT).await,
            Some(settings) => self.say(sqlx::AssertSqlSafe(settings.to_string())).await,
        }
    }

    async fn say(&mut self, sql: impl SqlSafeStr) -> Result<(), sqlx::Error> {
        let (patience, connection) = self.begins();
        let said = tokio::time::timeout(patience, sqlx::raw_sql(sql).execute(connection)).await;
        self.ended(said).map(drop)
    }

    /// Says several things, of which the last is a question with one answer.
    async fn ask(&mut self, sql: String) -> Result<String, sqlx::Error> {
        let (patience, connection) = self.begins();
        let asked = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(connection);
        let answers = tokio::time::timeout(patience, asked).await;
        let answers = self.ended(answers)?;
        answers.last().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if self.is_refused {
            let why = "a statement of this transaction was refused, so that none of it can be committed";
            return Err(sqlx::Error::Protocol(why.to_owned()));
        }
        self.is_open = false;
        self.say("commit").await
    }

    /// The end of one statement.
    pub(super) async fn part(self) -> Result<(), sqlx::Error> {
        match self.is_open {
            true => self.commit().await,
            false => Ok(()),
        }
    }

    pub(super) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.is_open = false;
        self.say("rollback").await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let runtime = tokio::runtime::Handle::try_current();
        let (Ok(runtime), false) = (runtime, self.is_under_way) else {
            // Closed without a word: what is said to it now would follow upon what it has not answered yet.
            drop(connection.detach());
            return;
        };
        let is_open = self.is_open;
        runtime.spawn(tokio::time::timeout(GIVE_BACK_MAX, async move {
            if is_open && sqlx::raw_sql("rollback").execute(&mut *connection).await.is_err() {
                drop(connection.detach());
                return;
            }
            connection.return_to_pool().await;
        }));
    }
}

pub(super) fn silent() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the server does not answer").into()
}
