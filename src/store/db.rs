//! One body for both databases. A statement is one text with its values; it runs on whatever is at hand, a pool or a transaction of
//! SQLite or of PostgreSQL, each by its own driver of sqlx. What a row becomes derives `sqlx::FromRow`, which knows both.

use std::marker::PhantomData;

use futures_util::stream::BoxStream;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Arguments as _, Database, Encode, FromRow, Postgres, SqlSafeStr, SqlStr, Sqlite, Transaction, Type};

/// What statements take. There is nothing else: instants and flags are numbers, days and documents are texts.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
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

/// What a row of either database becomes.
pub(crate) trait Read: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Read for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A node that is stopped, or cut off, while it holds rows keeps others from them for so long and no longer.
const WRITE: &str = "begin; set local idle_in_transaction_session_timeout = '10s'; set local lock_timeout = '10s'";

/// Several connections to one database.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// Begins to write. On SQLite it takes the lock at once, so that nothing it read can have changed when it commits; on PostgreSQL
    /// others write at the same time (`store::lock`).
    pub(crate) async fn write(&self) -> Result<Connection, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Connection::Sqlite(pool.begin_with("begin immediate").await?),
            Self::Postgres(pool) => Connection::Postgres(pool.begin_with(WRITE).await?),
        })
    }

    /// Begins to read: everything as it is now, whoever writes meanwhile.
    pub(crate) async fn snapshot(&self) -> Result<Connection, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Connection::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => Connection::Postgres(
                pool.begin_with("begin isolation level repeatable read, read only")
                    .await?,
            ),
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
    Postgres(Transaction<'static, Postgres>),
}

impl Connection {
    /// For what only SQLite understands.
    pub fn sqlite(&mut self) -> Option<&mut SqliteConnection> {
        match self {
            Self::Sqlite(transaction) => Some(transaction),
            Self::Postgres(_) => None,
        }
    }

    /// For what PostgreSQL does in its own way.
    pub(crate) fn postgres(&mut self) -> Option<&mut PgConnection> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(transaction) => Some(transaction),
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
    PostgresPool(&'c PgPool),
    Postgres(&'c mut PgConnection),
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

/// Expands one body for the concrete drivers, each with the values as it takes them.
macro_rules! on_db {
    ($on:expr, $values:expr, |$executor:ident, $arguments:ident| $body:expr) => {{
        let (on, values): (On<'_>, Vec<Value>) = ($on.into(), $values);
        match on {
            On::SqlitePool($executor) => {
                let $arguments = arguments::<Sqlite>(values);
                $body
            }
            On::Sqlite($executor) => {
                let $arguments = arguments::<Sqlite>(values);
                $body
            }
            On::PostgresPool($executor) => {
                let $arguments = arguments::<Postgres>(values);
                $body
            }
            On::Postgres($executor) => {
                let $arguments = arguments::<Postgres>(values);
                $body
            }
        }
    }};
}

/// The values as a driver takes them.
fn arguments<D: Database>(values: Vec<Value>) -> D::Arguments
where
    Option<i64>: for<'q> Encode<'q, D> + Type<D>,
    Option<String>: for<'q> Encode<'q, D> + Type<D>,
{
    let mut arguments = D::Arguments::default();
    for value in values {
        let added = match value {
            Value::Number(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
        };
        added.expect("every number and every text has a form on the wire");
    }
    arguments
}

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
        let rows_affected = on_db!(on, values, |executor, arguments| {
            sqlx::query_with(sql, arguments)
                .execute(executor)
                .await?
                .rows_affected()
        });
        Ok(Done { rows_affected })
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
        on_db!(on, values, |executor, arguments| sqlx::query_as_with(sql, arguments)
            .fetch_all(executor)
            .await)
    }

    pub(crate) async fn fetch_one<'c>(self, on: impl Into<On<'c>>) -> Result<T, sqlx::Error> {
        let Query { sql, values } = self.query;
        on_db!(on, values, |executor, arguments| sqlx::query_as_with(sql, arguments)
            .fetch_one(executor)
            .await)
    }

    pub(crate) async fn fetch_optional<'c>(self, on: impl Into<On<'c>>) -> Result<Option<T>, sqlx::Error> {
        let Query { sql, values } = self.query;
        on_db!(on, values, |executor, arguments| sqlx::query_as_with(sql, arguments)
            .fetch_optional(executor)
            .await)
    }

    /// One row after the other, for what does not fit into memory.
    pub(crate) fn fetch<'c>(self, on: impl Into<On<'c>>) -> BoxStream<'c, Result<T, sqlx::Error>>
    where
        T: 'c,
    {
        let Query { sql, values } = self.query;
        on_db!(on, values, |executor, arguments| sqlx::query_as_with(sql, arguments)
            .fetch(executor))
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
