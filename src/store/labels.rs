//! Labels of cases: what the monthly summary counts, and who may be greeted.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::domain::case::Case;
use crate::domain::ids::{StaffId, UnitId};
use crate::domain::label::{LabelKind, labels};
use crate::store::cases::json;
use crate::store::{During, Store, StoreError, Tx};

#[derive(Serialize)]
struct NewRow<'a> {
    case_id: &'a str,
    kind: &'static str,
    value: String,
    number: usize,
    unit: &'a str,
    owner: &'a str,
    day: Date,
}

impl Store {
    /// How often each kind and value of label was noted from `from` through `to`, by unit.
    pub async fn count_labels(
        &self,
        units: &[UnitId],
        from: Date,
        to: Date,
    ) -> Result<Vec<(String, String, i64)>, StoreError> {
        const SQL: &str = "
            select kind, value, count(*) from labels
            where kind in ('closed', 'feedback', 'obstacle', 'trips')
              and day between $2 and $3
              and unit in (select value from json_each($1))
            group by kind, value
            order by kind, count(*) desc, value";
        sqlx::query_as(SQL)
            .bind(json(&units))
            .bind(from.to_string())
            .bind(to.to_string())
            .fetch_all(self.reader())
            .await
            .during("count labels")
    }

    /// The cases of these people whose households may be greeted, in the order of their numbers.
    pub async fn to_greet(&self, staff: &[StaffId], limit: i64) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "
            select case_id from labels
            where kind = $2 and owner in (select value from json_each($1))
            order by case_id
            limit $3";
        sqlx::query_scalar(SQL)
            .bind(json(&staff))
            .bind(LabelKind::Greet.name())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("find whom to greet")
    }
}

/// Replaces the labels of a case.
pub async fn replace(tx: &mut Tx, case: &Case, zone: &TimeZone) -> Result<(), StoreError> {
    const DELETE: &str = "delete from labels where case_id = $1";
    sqlx::query(DELETE)
        .bind(case.id.as_str())
        .execute(&mut **tx)
        .await
        .during("clear old labels")?;
    insert(tx, case, zone).await
}

/// Writes the labels of a case that has none yet.
pub async fn insert(tx: &mut Tx, case: &Case, zone: &TimeZone) -> Result<(), StoreError> {
    const INSERT: &str = "
        insert into labels (case_id, kind, value, number, unit, owner, day)
        select
            value ->> 'case_id', value ->> 'kind', value ->> 'value', value ->> 'number', value ->> 'unit',
            value ->> 'owner', value ->> 'day'
        from json_each($1)";
    let labels = labels(case, zone);
    if labels.is_empty() {
        return Ok(());
    }
    let rows = labels.into_iter().map(|label| NewRow {
        case_id: case.id.as_str(),
        kind: label.kind.name(),
        value: label.value,
        number: label.number,
        unit: case.unit.as_str(),
        owner: case.owner.as_str(),
        day: label.day,
    });
    let rows: Vec<NewRow<'_>> = rows.collect();
    sqlx::query(INSERT)
        .bind(json(&rows))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("write labels")
}
