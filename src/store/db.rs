//! One body for both databases. A statement is one text with its values; it runs on whatever is at hand, a pool or a transaction of
//! SQLite or of PostgreSQL, each by its own driver of sqlx. What a row becomes derives `sqlx::FromRow`, which knows both.

use std::marker::PhantomData;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryFutureExt as _};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Arguments as _, FromRow, SqlSafeStr, SqlStr, Sqlite, Transaction};

use crate::store::held::{Connections, Held, silent};
use crate::store::server::Met;

/// What statements take. There is nothing else: instants and flags are numbers, days and documents are texts.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
    /// Lists as arrays, for what is written for PostgreSQL alone.
    Numbers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<Vec<i64>> for Value {
    fn from(numbers: Vec<i64>) -> Self {
        Self::Numbers(numbers.into_iter().map(Some).collect())
    }
}

impl From<Vec<Option<i64>>> for Value {
    fn from(numbers: Vec<Option<i64>>) -> Self {
        Self::Numbers(numbers)
    }
}

impl From<Vec<&str>> for Value {
    fn from(texts: Vec<&str>) -> Self {
        Self::Texts(texts.into_iter().map(|text| Some(text.to_owned())).collect())
    }
}

impl From<Vec<Option<&str>>> for Value {
    fn from(texts: Vec<Option<&str>>) -> Self {
        Self::Texts(texts.into_iter().map(|text| text.map(str::to_owned)).collect())
    }
}

/// What a row of either database becomes.
pub(crate) trait Read: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Read for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A node that is stopped, or cut off, while it holds rows keeps others from them for so long and no longer.
const WRITE: &str = "set local idle_in_transaction_session_timeout = '10s'";

/// Several connections to one database.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(Connections),
}

impl Pool {
    /// Begins to write. On SQLite it takes the lock at once, so that nothing it read can have changed when it commits; on PostgreSQL
    /// others write at the same time (`store::lock`).
    pub(crate) async fn write(&self) -> Result<Connection, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Connection::Sqlite(pool.begin_with("begin immediate").await?),
            Self::Postgres(pool) => Connection::Postgres(pool.write(WRITE).await?),
        })
    }

    /// The same on this server, which need not be the one that was met.
    pub(crate) async fn write_on(&self, server: &str) -> Result<Connection, sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.write().await,
            Self::Postgres(pool) => Ok(Connection::Postgres(pool.write_on(Some(server), WRITE).await?)),
        }
    }

    /// The same on whichever it is.
    pub(crate) async fn write_anywhere(&self) -> Result<Connection, sqlx::Error> {
        match self {
            Self::Sqlite(_) => self.write().await,
            Self::Postgres(pool) => Ok(Connection::Postgres(pool.write_on(None, WRITE).await?)),
        }
    }

    /// The server that was met; `None` for a file.
    pub(super) fn met(&self) -> Option<&Met> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(pool) => Some(pool.met()),
        }
    }

    /// Begins to read: everything as it is now, whoever writes meanwhile, and however long it takes.
    pub(crate) async fn snapshot(&self) -> Result<Connection, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Connection::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => Connection::Postgres(pool.snapshot().await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction; what it wrote is taken back when it is let go without [`Connection::commit`].
pub enum Connection {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Held),
}

impl Connection {
    /// For what only SQLite understands.
    pub fn sqlite(&mut self) -> Option<&mut SqliteConnection> {
        match self {
            Self::Sqlite(transaction) => Some(transaction),
            Self::Postgres(_) => None,
        }
    }

    /// Behind a pooler: whether it waits for what others hold, or begins again after a moment.
    pub(crate) async fn be_patient(&mut self, patient: bool) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(held) => held.be_patient(patient).await,
        }
    }

    /// Whether others may write at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await,
            Self::Postgres(transaction) => transaction.rollback().await,
        }
    }
}

/// What a statement runs on.
pub(crate) enum On<'c> {
    SqlitePool(&'c SqlitePool),
    Sqlite(&'c mut SqliteConnection),
    PostgresPool(&'c Connections),
    Postgres(&'c mut Held),
}

impl<'c> From<&'c Pool> for On<'c> {
    fn from(pool: &'c Pool) -> Self {
        match pool {
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
            Pool::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

impl<'c> From<&'c mut Connection> for On<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        match connection {
            Connection::Sqlite(transaction) => Self::Sqlite(transaction),
            Connection::Postgres(transaction) => Self::Postgres(transaction),
        }
    }
}

/// Expands one body for the concrete drivers, each with the values as it takes them and whether a statement is kept by its name. What
/// PostgreSQL does not answer in time has failed.
macro_rules! on_db {
    ($on:expr, $values:expr, |$executor:ident, $arguments:ident, $named:ident| $body:expr) => {{
        let (on, values): (On<'_>, Vec<Value>) = ($on.into(), $values);
        match on {
            On::SqlitePool($executor) => {
                let ($arguments, $named) = (of_sqlite(values), true);
                $body.await
            }
            On::Sqlite($executor) => {
                let ($arguments, $named) = (of_sqlite(values), true);
                $body.await
            }
            On::PostgresPool(connections) => {
                let mut held = connections.for_one().await?;
                let ($arguments, $named) = (of_postgres(values), held.keeps_names());
                let (patience, $executor) = held.begins();
                let done = tokio::time::timeout(patience, $body).await;
                let done = held.ended(done)?;
                held.part().await?;
                Ok(done)
            }
            On::Postgres(held) => {
                let ($arguments, $named) = (of_postgres(values), held.keeps_names());
                let (patience, $executor) = held.begins();
                let done = tokio::time::timeout(patience, $body).await;
                held.ended(done)
            }
        }
    }};
}

/// PostgreSQL has no U+0000 in its texts. Whoever types one is refused where it is read; what gateways and mail servers answer is
/// recorded as it can be, on either database, because an outcome that cannot be recorded would stop everything.
pub(crate) fn storable(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

/// The values as the drivers take them.
fn of_sqlite(values: Vec<Value>) -> SqliteArguments {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Number(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text.map(storable)),
            Value::Numbers(_) | Value::Texts(_) => unreachable!("SQLite has no arrays"),
        };
        added.expect(ENCODED);
    }
    arguments
}

fn of_postgres(values: Vec<Value>) -> PgArguments {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Number(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text.map(storable)),
            Value::Numbers(numbers) => arguments.add(numbers),
            Value::Texts(texts) => {
                let texts: Vec<_> = texts.into_iter().map(|text| text.map(storable)).collect();
                arguments.add(texts)
            }
        };
        added.expect(ENCODED);
    }
    arguments
}

const ENCODED: &str = "every number and every text has a form on the wire";

/// A statement that gives no rows.
pub(crate) struct Query {
    sql: SqlStr,
    values: Vec<Value>,
}

pub(crate) fn query(sql: impl SqlSafeStr) -> Query {
    Query {
        sql: sql.into_sql_str(),
        values: Vec::new(),
    }
}

impl Query {
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(crate) async fn execute<'c>(self, on: impl Into<On<'c>>) -> Result<Done, sqlx::Error> {
        let Self { sql, values } = self;
        let rows_affected: Result<u64, sqlx::Error> = on_db!(on, values, |executor, arguments, named| {
            sqlx::query_with(sql, arguments)
                .persistent(named)
                .execute(executor)
                .map_ok(|done| done.rows_affected())
        });
        rows_affected.map(|rows_affected| Done { rows_affected })
    }
}

/// What a statement did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    rows_affected: u64,
}

impl Done {
    pub(crate) fn rows_affected(self) -> u64 {
        self.rows_affected
    }
}

/// A statement whose rows become `T`.
pub(crate) struct QueryAs<T> {
    query: Query,
    row: PhantomData<T>,
}

pub(crate) fn query_as<T: Read>(sql: impl SqlSafeStr) -> QueryAs<T> {
    QueryAs {
        query: query(sql),
        row: PhantomData,
    }
}

impl<T: Read> QueryAs<T> {
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.query = self.query.bind(value);
        self
    }

    pub(crate) async fn fetch_all<'c>(self, on: impl Into<On<'c>>) -> Result<Vec<T>, sqlx::Error> {
        let Query { sql, values } = self.query;
        on_db!(on, values, |executor, arguments, named| sqlx::query_as_with(
            sql, arguments
        )
        .persistent(named)
        .fetch_all(executor))
    }

    pub(crate) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> Result<T, sqlx::Error> {
        let Query { sql, values } = self.query;
        on_db!(on, values, |executor, arguments, named| sqlx::query_as_with(
            sql, arguments
        )
        .persistent(named)
        .fetch_one(executor))
    }

    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> Result<Option<T>, sqlx::Error> {
        let Query { sql, values } = self.query;
        on_db!(on, values, |executor, arguments, named| sqlx::query_as_with(
            sql, arguments
        )
        .persistent(named)
        .fetch_optional(executor))
    }

    /// One row after the other, for what does not fit into memory.
    pub(crate) fn fetch(self, on: &mut Connection) -> Rows<'_, T>
    where
        T: 'static,
    {
        let Query { sql, values } = self.query;
        match on {
            Connection::Sqlite(transaction) => sqlx::query_as_with(sql, of_sqlite(values)).fetch(&mut **transaction),
            Connection::Postgres(held) => {
                let named = held.keeps_names();
                let (patience, connection) = held.begins();
                let rows = sqlx::query_as_with(sql, of_postgres(values)).persistent(named);
                let rows = rows.fetch(connection);
                stream::unfold(Some(rows), move |rows| next_row(rows, patience)).boxed()
            }
        }
    }
}

type Rows<'c, T> = BoxStream<'c, Result<T, sqlx::Error>>;

/// The next row of a PostgreSQL, which is to come in time; after one that does not, none comes.
async fn next_row<T>(
    rows: Option<Rows<'_, T>>,
    patience: Duration,
) -> Option<(Result<T, sqlx::Error>, Option<Rows<'_, T>>)> {
    let mut rows = rows?;
    match tokio::time::timeout(patience, rows.next()).await {
        Ok(row) => row.map(|row| (row, Some(rows))),
        Err(_) => Some((Err(silent()), None)),
    }
}

/// A statement whose rows have one column.
pub(crate) struct QueryScalar<T>(QueryAs<(T,)>);

pub(crate) fn query_scalar<T>(sql: impl SqlSafeStr) -> QueryScalar<T>
where
    (T,): Read,
{
    QueryScalar(query_as(sql))
}

impl<T> QueryScalar<T>
where
    (T,): Read,
{
    pub(crate) fn bind(self, value: impl Into<Value>) -> Self {
        Self(self.0.bind(value))
    }

    pub(crate) async fn fetch_all<'c>(self, on: impl Into<On<'c>>) -> Result<Vec<T>, sqlx::Error> {
        let rows = self.0.fetch_all(on).await?;
        Ok(rows.into_iter().map(|(value,)| value).collect())
    }

    pub(crate) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> Result<T, sqlx::Error> {
        self.0.fetch_one(on).await.map(|(value,)| value)
    }

    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> Result<Option<T>, sqlx::Error> {
        Ok(self.0.fetch_optional(on).await?.map(|(value,)| value))
    }
}
