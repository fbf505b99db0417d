//! The tables of a database, as its own catalogue lists them: none can be forgotten. Rows go from one to the other in batches, and of each
//! table a sum is taken that both databases come to when they hold the same.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, FromRow, Row, Type};

use crate::store::StoreError;
use crate::store::db::{Connection, Value, query, query_as, query_scalar};
use crate::store::moving::MoveError;

/// So many values a statement takes at the most; SQLite knows 32,766.
const VALUES_MAX: usize = 16_000;
const ROWS_MAX: usize = 500;

/// After so many rows it is told how far the copy is.
const TOLD_EVERY: u64 = 100_000;

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<Column>,
    /// The columns of the primary key, in its order.
    key: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
}

/// How many rows a table has, and one hash of all of them in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    pub rows: u64,
    pub hash: String,
}

/// Every table but the one in which the migrations are noted, and that of the nodes: who lives is no part of what is remembered.
pub(super) async fn list(on: &mut Connection) -> Result<Vec<Table>, sqlx::Error> {
    const SQLITE: &str = "
        select t.name, c.name, lower(c.type), c.pk - 1
        from sqlite_schema as t, pragma_table_info(t.name) as c
        where t.type = 'table' and t.name not like 'sqlite%' and t.name not in ('_sqlx_migrations', 'nodes')
        order by t.name, c.name";
    const POSTGRES: &str = "
        select cast(t.relname as text), cast(c.attname as text), format_type(c.atttypid, null),
               cast(coalesce(array_position(cast(k.indkey as smallint[]), c.attnum), -1) as bigint)
        from pg_catalog.pg_class as t
        join pg_catalog.pg_attribute as c on c.attrelid = t.oid and c.attnum > 0 and not c.attisdropped
        left join pg_catalog.pg_index as k on k.indrelid = t.oid and k.indisprimary
        where t.relkind = 'r' and t.relnamespace = cast(current_schema() as regnamespace) and t.relname not in ('_sqlx_migrations', 'nodes')
        order by t.relname, c.attname";
    let catalogue = if on.is_shared() { POSTGRES } else { SQLITE };
    let rows: Vec<(String, String, String, i64)> = query_as(catalogue).fetch_all(on).await?;
    let mut tables: BTreeMap<String, (Vec<Column>, BTreeMap<i64, String>)> = BTreeMap::new();
    for (table, name, kind, place) in rows {
        let (columns, key) = tables.entry(table).or_default();
        if place >= 0 {
            key.insert(place, name.clone());
        }
        let kind = if kind == "text" { Kind::Text } else { Kind::Number };
        columns.push(Column { name, kind });
    }
    let table = |(name, (columns, key)): (String, (Vec<Column>, BTreeMap<i64, String>))| Table {
        name,
        columns,
        key: key.into_values().collect(),
    };
    Ok(tables.into_iter().map(table).collect())
}

impl Table {
    fn columns(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        names.join(", ")
    }

    /// All rows in the order of their keys.
    fn select(&self) -> String {
        let key: Vec<String> = self.key.iter().map(|name| quoted(name)).collect();
        let (columns, table, key) = (self.columns(), quoted(&self.name), key.join(", "));
        ["select", &columns, "from", &table, "order by", &key].join(" ")
    }

    /// So many rows at once.
    fn insert(&self, rows: usize) -> String {
        let width = self.columns.len();
        let row = |row: usize| {
            let values: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", values.join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        let into = format!("{} ({})", quoted(&self.name), self.columns());
        ["insert into", &into, "values", &rows.join(", ")].join(" ")
    }

    fn batch(&self) -> usize {
        (VALUES_MAX / self.columns.len()).clamp(1, ROWS_MAX)
    }

    fn failed(&self) -> impl FnOnce(sqlx::Error) -> MoveError {
        let table = self.name.clone();
        move |source| MoveError::Table {
            table,
            source: StoreError::Database {
                action: "copy a table",
                source,
            },
        }
    }

    pub(super) async fn count(&self, on: &mut Connection) -> Result<i64, MoveError> {
        let sql = ["select", "count(*) from", &quoted(&self.name)].join(" ");
        query_scalar(AssertSqlSafe(sql))
            .fetch_one(on)
            .await
            .map_err(self.failed())
    }

    /// Copies all rows, and tells what they come to and, now and then, how many are done.
    pub(super) async fn copy(
        &self,
        from: &mut Connection,
        to: &mut Connection,
        tell: &(dyn Fn(&str, u64) + Sync),
    ) -> Result<Sum, MoveError> {
        let (mut adder, mut batch) = (Adder::default(), Vec::new());
        let mut rows = query_as::<Cells>(AssertSqlSafe(self.select())).fetch(from);
        while let Some(cells) = rows.try_next().await.map_err(self.failed())? {
            let row = self.typed(cells);
            adder.add(&row);
            batch.push(row);
            if batch.len() == self.batch() {
                self.write(std::mem::take(&mut batch), to).await?;
            }
            if adder.rows.is_multiple_of(TOLD_EVERY) {
                tell(&self.name, adder.rows);
            }
        }
        if !batch.is_empty() {
            self.write(batch, to).await?;
        }
        Ok(adder.sum())
    }

    async fn write(&self, rows: Vec<Vec<Value>>, to: &mut Connection) -> Result<(), MoveError> {
        let statement = query(AssertSqlSafe(self.insert(rows.len())));
        let statement = rows
            .into_iter()
            .flatten()
            .fold(statement, |statement, value| statement.bind(value));
        let written = statement.execute(to).await;
        written.map(drop).map_err(self.failed())
    }

    /// What is in it comes to this.
    pub(super) async fn sum(&self, on: &mut Connection) -> Result<Sum, MoveError> {
        let mut adder = Adder::default();
        let mut rows = query_as::<Cells>(AssertSqlSafe(self.select())).fetch(on);
        while let Some(cells) = rows.try_next().await.map_err(self.failed())? {
            adder.add(&self.typed(cells));
        }
        Ok(adder.sum())
    }

    /// A null is one of its column.
    fn typed(&self, Cells(cells): Cells) -> Vec<Value> {
        let typed = |(cell, column): (Value, &Column)| match (cell, column.kind) {
            (Value::Number(None) | Value::Text(None), Kind::Text) => Value::Text(None),
            (cell, _) => cell,
        };
        cells.into_iter().zip(&self.columns).map(typed).collect()
    }
}

/// Names come from a catalogue, and one of them could be a word of the language.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A row of any table.
struct Cells(Vec<Value>);

impl<'r, R: Row> FromRow<'r, R> for Cells
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let cell = |index: usize| match row.try_get::<Option<i64>, _>(index) {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => row.try_get::<Option<String>, _>(index).map(Value::Text),
        };
        (0..row.len()).map(cell).collect::<Result<_, _>>().map(Self)
    }
}

/// Every value is preceded by its kind and its length, so that no two different tables come to the same bytes.
#[derive(Default)]
struct Adder {
    rows: u64,
    hash: Sha256,
}

impl Adder {
    fn add(&mut self, row: &[Value]) {
        self.rows += 1;
        for value in row {
            match value {
                Value::Number(Some(number)) => {
                    self.hash.update(b"n");
                    self.hash.update(number.to_be_bytes());
                }
                Value::Text(Some(text)) => {
                    self.hash.update(b"t");
                    self.hash
                        .update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
                    self.hash.update(text.as_bytes());
                }
                Value::Number(None) | Value::Text(None) => self.hash.update(b"0"),
                Value::Numbers(_) | Value::Texts(_) => unreachable!("no column holds arrays"),
            }
        }
    }

    fn sum(self) -> Sum {
        Sum {
            rows: self.rows,
            hash: hex::encode(self.hash.finalize()),
        }
    }
}
