//! Labels of cases: what the monthly summary counts, and who may be greeted. Obstacles are named in people's own words: those are
//! sealed like the facts they are taken from, and counted after they were opened.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::domain::case::Case;
use crate::domain::ids::{StaffId, UnitId};
use crate::domain::label::{LabelKind, labels};
use crate::store::cases::json;
use crate::store::db::{query, query_as, query_scalar};
use crate::store::keys::make_keys;
use crate::store::{During, Store, StoreError, Tx, log_unreadable};
use crate::vault::Place;

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

/// Where the words of a case's obstacles stand.
pub(super) fn place(case: &str) -> Place<'_> {
    Place {
        table: "labels",
        column: "value",
        row: case,
    }
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
            where kind in ('closed', 'feedback', 'trips')
              and day between $2 and $3
              and unit in (select value from json_each($1))
            group by kind, value
            order by kind, value";
        let mut counts: Vec<(String, String, i64)> = query_as(SQL)
            .bind(json(&units))
            .bind(from.to_string())
            .bind(to.to_string())
            .fetch_all(self.reader())
            .await
            .during("count labels")?;
        counts.extend(self.count_obstacles(units, from, to).await?);
        counts.sort_by(|a, b| (&a.0, -a.2, &a.1).cmp(&(&b.0, -b.2, &b.1)));
        Ok(counts)
    }

    async fn count_obstacles(
        &self,
        units: &[UnitId],
        from: Date,
        to: Date,
    ) -> Result<Vec<(String, String, i64)>, StoreError> {
        const SQL: &str = "
            select case_id, value from labels
            where kind = $4
              and day between $2 and $3
              and unit in (select value from json_each($1))
            order by case_id, value";
        let kind = LabelKind::Obstacle.name();
        let rows: Vec<(String, String)> = query_as(SQL)
            .bind(json(&units))
            .bind(from.to_string())
            .bind(to.to_string())
            .bind(kind)
            .fetch_all(self.reader())
            .await
            .during("count obstacles")?;
        let keys = self.keys_of(rows.iter().map(|(_, value)| value.as_str())).await?;
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for (case, value) in rows {
            match keys.open(place(&case), value) {
                Ok(tag) => *counts.entry(tag).or_default() += 1,
                // One that cannot be read must not hide the others; one that was erased is not counted any more.
                Err(error) => log_unreadable(&error),
            }
        }
        let row = |(tag, count)| (kind.to_owned(), tag, count);
        Ok(counts.into_iter().map(row).collect())
    }

    /// The cases of these people whose households may be greeted, in the order of their numbers.
    pub async fn to_greet(&self, staff: &[StaffId], limit: i64) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "
            select case_id from labels
            where kind = $2 and owner in (select value from json_each($1))
            order by case_id
            limit $3";
        query_scalar(SQL)
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
    query(DELETE)
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
            value ->> 'case_id', value ->> 'kind', value ->> 'value', cast(value ->> 'number' as bigint), value ->> 'unit',
            value ->> 'owner', value ->> 'day'
        from jsonb_each($1)";
    let labels = labels(case, zone);
    if labels.is_empty() {
        return Ok(());
    }
    let person = case.party.person.as_str();
    let keys = make_keys(tx, &[person]).await?;
    let mut rows = Vec::with_capacity(labels.len());
    for label in labels {
        let value = match label.kind {
            LabelKind::Obstacle => keys.seal(person, place(case.id.as_str()), &label.value)?,
            _ => label.value,
        };
        rows.push(NewRow {
            case_id: case.id.as_str(),
            kind: label.kind.name(),
            value,
            number: label.number,
            unit: case.unit.as_str(),
            owner: case.owner.as_str(),
            day: label.day,
        });
    }
    query(INSERT)
        .bind(json(&rows))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("write labels")
}
