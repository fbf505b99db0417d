//! The agenda: a projection of the open items, rewritten with its case.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use sqlx::FromRow;

use crate::domain::agenda::Entry;
use crate::domain::booking::Booking;
use crate::domain::case::ItemKind;
use crate::domain::ids::{CaseId, StaffId, UnitId};
use crate::store::cases::json;
use crate::store::db::{query, query_as};
use crate::store::{During, Store, StoreError, Tx, instant_of};

#[derive(Serialize)]
struct NewRow<'a> {
    case_id: &'a str,
    item: &'a str,
    kind: &'static str,
    unit: &'a str,
    assignee: &'a str,
    day: Option<Date>,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    office: Option<&'a str>,
}

/// Which item of which case.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Place {
    pub case_id: String,
    pub item: String,
}

/// Counts of one unit for a roll-up.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct UnitCounts {
    pub unit: String,
    pub overdue: i64,
    pub due_today: i64,
    pub urgent: i64,
    pub undated: i64,
}

impl Store {
    /// Whoever is bound by an appointment or an escort that is not over at `now`, soonest over first.
    pub async fn bookings(&self, now: Timestamp) -> Result<Vec<Booking>, StoreError> {
        /// More than this lie too far ahead for anybody to be asked about.
        const LIMIT: i64 = 20_000;
        const SQL: &str = "
            select
                agenda.case_id, agenda.item, agenda.assignee, cases.resident,
                agenda.start_ms, agenda.end_ms, agenda.office, agenda.kind
            from agenda
            join cases on cases.id = agenda.case_id
            where agenda.end_ms > $1
            order by agenda.end_ms, agenda.case_id, agenda.item
            limit $2";
        type Row = (String, String, String, String, i64, i64, String, String);
        let rows: Vec<Row> = query_as(SQL)
            .bind(now.as_millisecond())
            .bind(LIMIT)
            .fetch_all(self.reader())
            .await
            .during("read who is bound")?;
        let booking = |(case, item, staff, resident, from, to, office, kind): Row| Booking {
            case: case.into(),
            item: item.into(),
            staff: staff.into(),
            resident: resident.into(),
            from: instant_of(from),
            to: instant_of(to),
            office: office.into(),
            is_escort: kind == ItemKind::Escort.name(),
        };
        Ok(rows.into_iter().map(booking).collect())
    }

    /// Items assigned to any of these people that are due by `through`, most pressing first.
    pub async fn agenda_of(&self, staff: &[StaffId], through: Date, limit: i64) -> Result<Vec<Place>, StoreError> {
        const SQL: &str = "
            select case_id, item from agenda
            where assignee in (select value from json_each($1))
              and day <= $2
            order by day, start_ms nulls first, case_id, item
            limit $3";
        query_as(SQL)
            .bind(json(&staff))
            .bind(through.to_string())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read the agenda")
    }

    /// Items assigned to any of these people whose date is unknown, oldest case first.
    pub async fn undated_of(&self, staff: &[StaffId], limit: i64) -> Result<Vec<Place>, StoreError> {
        const SQL: &str = "
            select case_id, item from agenda
            where assignee in (select value from json_each($1)) and day is null
            order by case_id, item
            limit $2";
        query_as(SQL)
            .bind(json(&staff))
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read what has no date")
    }

    /// How many items these people have that are due by `through`, and how many without a date.
    pub async fn agenda_size(&self, staff: &[StaffId], through: Date) -> Result<(i64, i64), StoreError> {
        const SQL: &str = "
            select count(day), count(*) - count(day) from agenda
            where assignee in (select value from json_each($1)) and (day is null or day <= $2)";
        query_as(SQL)
            .bind(json(&staff))
            .bind(through.to_string())
            .fetch_one(self.reader())
            .await
            .during("count what is to be done")
    }

    /// Overdue items in these units, oldest first.
    pub async fn overdue_in(&self, units: &[UnitId], today: Date, limit: i64) -> Result<Vec<Place>, StoreError> {
        const SQL: &str = "
            select case_id, item from agenda
            where unit in (select value from json_each($1)) and day < $2
            order by day, start_ms nulls first, case_id, item
            limit $3";
        query_as(SQL)
            .bind(json(&units))
            .bind(today.to_string())
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read what is overdue")
    }

    /// What is overdue and due on `today` with each of these people.
    pub async fn loads_of(&self, staff: &[StaffId], today: Date) -> Result<Vec<(String, i64, i64)>, StoreError> {
        const SQL: &str = "
            select
                assignee,
                sum(case when day < $2 then 1 else 0 end),
                sum(case when day = $2 then 1 else 0 end)
            from agenda
            where assignee in (select value from json_each($1)) and day <= $2
            group by assignee
            order by assignee";
        query_as(SQL)
            .bind(json(&staff))
            .bind(today.to_string())
            .fetch_all(self.reader())
            .await
            .during("count what people have in hand")
    }

    /// What is overdue, due on `today`, due by `soon` and without a date in each of these units.
    pub async fn agenda_counts(
        &self,
        units: &[UnitId],
        today: Date,
        soon: Date,
    ) -> Result<Vec<UnitCounts>, StoreError> {
        const SQL: &str = "
            select
                unit,
                sum(case when day < $2 then 1 else 0 end) as overdue,
                sum(case when day = $2 then 1 else 0 end) as due_today,
                sum(case when day > $2 and day <= $3 then 1 else 0 end) as urgent,
                sum(case when day is null then 1 else 0 end) as undated
            from agenda
            where unit in (select value from json_each($1)) and (day is null or day <= $3)
            group by unit
            order by unit";
        query_as(SQL)
            .bind(json(&units))
            .bind(today.to_string())
            .bind(soon.to_string())
            .fetch_all(self.reader())
            .await
            .during("count the agenda")
    }
}

/// Replaces the entries of these cases.
pub async fn replace(tx: &mut Tx, cases: &[(&CaseId, &UnitId, &[Entry])]) -> Result<(), StoreError> {
    const DELETE: &str = "delete from agenda where case_id in (select value from json_each($1))";
    const INSERT: &str = "
        insert into agenda (case_id, item, kind, unit, assignee, day, start_ms, end_ms, office)
        select
            value ->> 'case_id', value ->> 'item', value ->> 'kind', value ->> 'unit',
            value ->> 'assignee', value ->> 'day', cast(value ->> 'start_ms' as bigint),
            cast(value ->> 'end_ms' as bigint), value ->> 'office'
        from jsonb_each($1)";
    if cases.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = cases.iter().map(|(id, ..)| id.as_str()).collect();
    query(DELETE)
        .bind(json(&ids))
        .execute(&mut **tx)
        .await
        .during("clear old agenda entries")?;
    let mut rows = Vec::new();
    for (case_id, unit, entries) in cases {
        rows.extend(entries.iter().map(|entry| NewRow {
            case_id: case_id.as_str(),
            item: entry.item.as_str(),
            kind: entry.kind.name(),
            unit: unit.as_str(),
            assignee: entry.assignee.as_str(),
            day: entry.day,
            start_ms: entry.start.map(Timestamp::as_millisecond),
            end_ms: entry.bound.as_ref().map(|(until, _)| until.as_millisecond()),
            office: entry.bound.as_ref().map(|(_, office)| office.as_str()),
        }));
    }
    query(INSERT)
        .bind(json(&rows))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("write agenda entries")
}
