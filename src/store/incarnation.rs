//! Which life of the database this is. A restored one knows nothing of what was sent after its backup was made: it gets another
//! name, and nothing leaves until a person has looked.

use std::collections::BTreeSet;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::domain::event::Event;
use crate::domain::ids::CaseId;
use crate::store::cases::json;
use crate::store::db::{Connection, Pool, query, query_as, query_scalar};
use crate::store::moving::departure::forget;
use crate::store::runs::set_meta;
use crate::store::switches::hold;
use crate::store::{During, Store, StoreError, Tx, events};

const NAME: &str = "incarnation";
/// So many case numbers are left out at a restore: more than were given after any backup.
const NUMBERS: i64 = 10_000;
/// What `cases::next_numbers` calls the last number of a year, before the year.
const CASE_NUMBER: &str = "case_number:";

/// Names a database that has no name yet.
pub(super) async fn give(pool: &Pool) -> Result<(), StoreError> {
    const SQL: &str = "insert into meta (name, value) values ($1, $2) on conflict (name) do nothing";
    const KNOWN: &str = "select count(*) from meta where name = $1";
    let action = "name the database";
    let known: i64 = query_scalar(KNOWN).bind(NAME).fetch_one(pool).await.during(action)?;
    if known == 0 {
        query(SQL)
            .bind(NAME)
            .bind(new_name())
            .execute(pool)
            .await
            .during(action)?;
    }
    Ok(())
}

/// A database that was put in the place of another becomes a new one, and holds everything. Returns its name.
pub async fn renew(tx: &mut Tx, now: Timestamp, who: &str, reason: &str) -> Result<String, StoreError> {
    // Wherever it was moved to: it is the one in use again.
    forget(tx).await?;
    let incarnation = rename(tx).await?;
    let restored = Event::DatabaseRestored {
        incarnation: incarnation.clone(),
    };
    events::append(tx, now, &CaseId::from(""), who, &[restored]).await?;
    hold(tx, now, who, reason).await?;
    skip_numbers(tx, now, 1).await?;
    Ok(incarnation)
}

/// Gives the database another name, and returns it.
pub(super) async fn rename(tx: &mut Connection) -> Result<String, StoreError> {
    let name = new_name();
    set_meta(tx, NAME, &name).await?;
    Ok(name)
}

/// Numbers of cases that this database has lost are on letters, in calendars and in `sent.log`: none is given a second time. Every year
/// skips so many times ten thousand of them, also one that had not begun when the backup was made.
pub async fn skip_numbers(tx: &mut Tx, now: Timestamp, times: i64) -> Result<(), StoreError> {
    skip(tx, now, NUMBERS.saturating_mul(times)).await
}

/// The same for so many numbers.
pub(super) async fn skip(tx: &mut Connection, now: Timestamp, numbers: i64) -> Result<(), StoreError> {
    const SQL: &str = "
        update meta set value = cast(cast(value as bigint) + $2 as text)
        where substr(name, 1, length($1)) = $1";
    let day = SignedDuration::from_hours(24);
    let days = [now.saturating_sub(day), Ok(now), now.saturating_add(day)];
    let years = days.into_iter().flatten();
    let years: BTreeSet<i16> = years.map(|at| Offset::UTC.to_datetime(at).year()).collect();
    let none: Vec<_> = years.iter().map(|year| (format!("{CASE_NUMBER}{year}"), 0)).collect();
    raise_numbers(tx, &none).await?;
    query(SQL)
        .bind(CASE_NUMBER)
        .bind(numbers)
        .execute(tx)
        .await
        .map(|_| ())
        .during("leave case numbers out")
}

/// The last case numbers of each year.
pub(super) async fn numbers(pool: &Pool) -> Result<Vec<(String, i64)>, StoreError> {
    const SQL: &str = "
        select name, cast(value as bigint) from meta where substr(name, 1, length($1)) = $1 order by name";
    query_as(SQL)
        .bind(CASE_NUMBER)
        .fetch_all(pool)
        .await
        .during("read the last case numbers")
}

/// From now on the numbers of each year go on after these at the least.
pub(super) async fn raise_numbers(tx: &mut Connection, numbers: &[(String, i64)]) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into meta (name, value)
        select value ->> 0, cast(value ->> 1 as text) from json_each($1)
        where true
        on conflict (name) do update set value = excluded.value
            where cast(meta.value as bigint) < cast(excluded.value as bigint)";
    query(SQL)
        .bind(json(&numbers))
        .execute(tx)
        .await
        .map(|_| ())
        .during("raise the last case numbers")
}

fn new_name() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

impl Store {
    pub async fn incarnation(&self) -> Result<String, StoreError> {
        Ok(self.meta(NAME).await?.unwrap_or_default())
    }
}
