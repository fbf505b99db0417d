//! Cases: facts as one document, saved only over the version that was read.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};

use crate::domain::case::{Case, Status};
use crate::domain::ids::{CaseId, PersonId, StaffId, UnitId};
use crate::store::db::{Connection, Pool, query, query_as, query_scalar, storable};
use crate::store::keys::{Keys, Ring, make_keys};
use crate::store::{During, Store, StoreError, Tx, instant_of, log_unreadable, unreadable};
use crate::vault::Place;

/// A case as it stands in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCase {
    pub case: Case,
    pub version: i64,
    pub wake: Option<Timestamp>,
    pub agenda_sum: i64,
}

#[derive(FromRow)]
struct Row {
    id: String,
    facts: String,
    version: i64,
    wake_ms: Option<i64>,
    agenda_sum: i64,
}

/// Where the facts of a case stand.
pub(super) fn place(id: &str) -> Place<'_> {
    Place {
        table: "cases",
        column: "facts",
        row: id,
    }
}

impl Row {
    fn read(self, keys: &Keys) -> Result<StoredCase, StoreError> {
        let facts = keys.open(place(&self.id), self.facts)?;
        match serde_json::from_str(&facts) {
            Ok(case) => Ok(StoredCase {
                case,
                version: self.version,
                wake: self.wake_ms.map(instant_of),
                agenda_sum: self.agenda_sum,
            }),
            Err(error) => Err(unreadable("cases", self.id, &error)),
        }
    }
}

/// The cases of a list that can be read. One that cannot must not hide the others: it is named in the log and left out.
fn readable(rows: Vec<Row>, keys: &Keys) -> Vec<StoredCase> {
    let read = |row: Row| row.read(keys).inspect_err(log_unreadable).ok();
    rows.into_iter().filter_map(read).collect()
}

/// Cases to plan.
#[derive(Debug, Default)]
pub struct ToPlan {
    pub cases: Vec<StoredCase>,
    /// Those whose facts cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// Cases to plan, and where several nodes plan, what holds them.
pub struct Turn {
    pub batch: ToPlan,
    pub tx: Option<Tx>,
}

/// A case that cannot be planned as it stands.
#[derive(Debug)]
pub struct Unreadable {
    pub id: CaseId,
    pub version: i64,
    pub agenda_sum: i64,
    pub why: StoreError,
}

/// A page of open cases.
#[derive(Debug, Default)]
pub struct OpenPage {
    pub cases: Vec<StoredCase>,
    /// Those whose facts cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// After which the next page begins; `None` when there is nothing more.
    pub last: Option<CaseId>,
}

impl ToPlan {
    fn read(rows: Vec<Row>, keys: &Keys) -> Self {
        let mut found = Self::default();
        for row in rows {
            let (id, version, agenda_sum) = (CaseId::from(row.id.as_str()), row.version, row.agenda_sum);
            match row.read(keys) {
                Ok(stored) => found.cases.push(stored),
                Err(why) => found.unreadable.push(Unreadable {
                    id,
                    version,
                    agenda_sum,
                    why,
                }),
            }
        }
        found
    }

    pub fn is_empty(&self) -> bool {
        self.cases.is_empty() && self.unreadable.is_empty()
    }
}

/// What a planning of one case leaves behind in its row.
#[derive(Debug, serde::Serialize)]
pub struct Planned<'a> {
    pub id: &'a CaseId,
    pub version: i64,
    pub wake_ms: Option<i64>,
    pub agenda_sum: i64,
}

/// A page of a list of cases: of these units, and if given of one owner and one status, from the one before `before` on.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    pub units: &'a [UnitId],
    pub owner: Option<&'a StaffId>,
    pub status: Option<&'a str>,
    pub before: Option<&'a str>,
    pub limit: i64,
}

/// Filters of `case list`. Empty fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub unit: Option<UnitId>,
    pub owner: Option<StaffId>,
    pub status: Option<String>,
    pub limit: i64,
}

impl Store {
    async fn readable(&self, rows: Vec<Row>) -> Result<Vec<StoredCase>, StoreError> {
        let keys = self.keys_of(rows.iter().map(|row| row.facts.as_str())).await?;
        Ok(readable(rows, &keys))
    }

    async fn to_plan(&self, rows: Vec<Row>) -> Result<ToPlan, StoreError> {
        let keys = self.keys_of(rows.iter().map(|row| row.facts.as_str())).await?;
        Ok(ToPlan::read(rows, &keys))
    }

    pub async fn case(&self, id: &CaseId) -> Result<Option<StoredCase>, StoreError> {
        const SQL: &str = "select id, facts, version, wake_ms, agenda_sum from cases where id = $1";
        let row = query_as::<Row>(SQL)
            .bind(id.as_str())
            .fetch_optional(self.reader())
            .await;
        let Some(row) = row.during("read a case")? else {
            return Ok(None);
        };
        let keys = self.keys_of([row.facts.as_str()]).await?;
        row.read(&keys).map(Some)
    }

    /// The cases with these ids, by id. Unknown ids are left out, and those that cannot be read.
    pub async fn cases(&self, ids: &[&CaseId]) -> Result<HashMap<CaseId, StoredCase>, StoreError> {
        const SQL: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where id in (select value from json_each($1))";
        let rows = query_as::<Row>(SQL).bind(json(&ids)).fetch_all(self.reader()).await;
        let rows = self.readable(rows.during("read cases")?).await?;
        Ok(rows
            .into_iter()
            .map(|stored| (stored.case.id.clone(), stored))
            .collect())
    }

    /// The cases whose wake-up has come, longest waiting first, to be planned. Where several nodes plan, each takes others, and what it
    /// took is its own until it has written the plan or let go of it.
    pub async fn take_due(&self, now: Timestamp, limit: i64) -> Result<Turn, StoreError> {
        const SQL: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where wake_ms <= $1
            order by wake_ms, id
            limit $2";
        const SHARED: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where wake_ms <= $1
            order by wake_ms, id
            limit $2
            for update skip locked";
        self.take((SQL, SHARED), now.as_millisecond(), limit, "find the cases to plan")
            .await
    }

    /// The same of open cases last planned by other rules than generation `gen_now`.
    pub async fn take_of_other_rules(&self, gen_now: i64, limit: i64) -> Result<Turn, StoreError> {
        const SQL: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where rules_gen < $1 and live = 1
            order by rules_gen
            limit $2";
        const SHARED: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where rules_gen < $1 and live = 1
            order by rules_gen
            limit $2
            for update skip locked";
        let action = "find the cases planned by older rules";
        self.take((SQL, SHARED), gen_now, limit, action).await
    }

    async fn take(
        &self,
        (alone, shared): (&'static str, &'static str),
        below: i64,
        limit: i64,
        action: &'static str,
    ) -> Result<Turn, StoreError> {
        let mut tx = match self.writer {
            Pool::Sqlite(_) => None,
            Pool::Postgres(_) => Some(self.begin().await?),
        };
        let rows = match &mut tx {
            None => {
                query_as::<Row>(alone)
                    .bind(below)
                    .bind(limit)
                    .fetch_all(self.reader())
                    .await
            }
            Some(tx) => {
                query_as::<Row>(shared)
                    .bind(below)
                    .bind(limit)
                    .fetch_all(&mut **tx)
                    .await
            }
        };
        let batch = self.to_plan(rows.during(action)?).await?;
        Ok(Turn { batch, tx })
    }

    /// The cases that wake up before `end`, earliest first.
    pub async fn waking_before(&self, end: Timestamp, limit: i64) -> Result<Vec<StoredCase>, StoreError> {
        const SQL: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where wake_ms < $1
            order by wake_ms, id
            limit $2";
        let rows = query_as::<Row>(SQL)
            .bind(end.as_millisecond())
            .bind(limit)
            .fetch_all(self.reader())
            .await;
        self.readable(rows.during("find the cases that wake up")?).await
    }

    /// The next open cases by id, after `after` (empty: from the first). One statement reads a page, whatever lies before it.
    pub async fn open_after(&self, after: &str, limit: i64) -> Result<OpenPage, StoreError> {
        const SQL: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where id > $1 and status <> 'closed'
            order by id
            limit $2";
        let rows = query_as::<Row>(SQL)
            .bind(after)
            .bind(limit)
            .fetch_all(self.reader())
            .await
            .during("read the open cases")?;
        let last = rows.last().map(|row| CaseId::from(row.id.as_str()));
        let ToPlan { cases, unreadable } = self.to_plan(rows).await?;
        Ok(OpenPage {
            cases,
            unreadable,
            last,
        })
    }

    /// Open cases in the order of their numbers, from the one after `after` on; the empty text is before all.
    pub async fn open_cases_after(&self, after: &str, limit: i64) -> Result<ToPlan, StoreError> {
        const SQL: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where id > $1 and live = 1
            order by id
            limit $2";
        let rows = query_as::<Row>(SQL)
            .bind(after)
            .bind(limit)
            .fetch_all(self.reader())
            .await;
        self.to_plan(rows.during("walk through the open cases")?).await
    }

    /// The next wake-up. One that comes at once counts from the last event of its case.
    pub async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "
            select case wake_ms
                when 0 then coalesce((select at_ms from events where case_id = cases.id and kind <> 'access' order by seq desc limit 1), 0)
                else wake_ms
            end
            from cases where wake_ms is not null order by wake_ms limit 1";
        let wake = query_scalar::<i64>(SQL).fetch_optional(self.reader()).await;
        Ok(wake.during("find the next wake-up")?.map(instant_of))
    }

    /// Every case in which somebody has anything to do: their own, and those with an item of theirs.
    pub async fn cases_with(&self, staff: &StaffId) -> Result<Vec<CaseId>, StoreError> {
        const SQL: &str = "
            select id from cases where owner = $1 and status in ('open', 'waiting')
            union
            select case_id from agenda where assignee = $1
            order by 1";
        let ids: Vec<String> = query_scalar(SQL)
            .bind(staff.as_str())
            .fetch_all(self.reader())
            .await
            .during("find the cases of somebody")?;
        Ok(ids.into_iter().map(CaseId::from).collect())
    }

    /// How many open cases each of these people owns.
    pub async fn open_cases_by_owner(&self, staff: &[StaffId]) -> Result<Vec<(String, i64)>, StoreError> {
        const SQL: &str = "
            select owner, count(*) from cases
            where owner in (select value from json_each($1)) and status in ('open', 'waiting')
            group by owner
            order by owner";
        query_as(SQL)
            .bind(json(&staff))
            .fetch_all(self.reader())
            .await
            .during("count the open cases of people")
    }

    pub async fn list_cases(&self, filter: &Filter) -> Result<Vec<StoredCase>, StoreError> {
        // Only the filters that are given: an index is of no use to `$1 is null or ...`.
        let given = [
            ("unit", filter.unit.as_ref().map(UnitId::as_str)),
            ("owner", filter.owner.as_ref().map(StaffId::as_str)),
            ("status", filter.status.as_deref()),
        ];
        let given = given.into_iter().filter_map(|(column, value)| Some((column, value?)));
        let (columns, values): (Vec<&str>, Vec<&str>) = given.unzip();
        let mut sql = "select id, facts, version, wake_ms, agenda_sum from cases where true".to_owned();
        for (place, column) in columns.iter().enumerate() {
            sql += &format!(" and {column} = ${}", place + 1);
        }
        sql += &format!(
            " order by priority desc, opened_ms desc, id limit ${}",
            columns.len() + 1
        );
        let found = values
            .into_iter()
            .fold(query_as::<Row>(AssertSqlSafe(sql)), |found, value| found.bind(value));
        let rows = found.bind(filter.limit).fetch_all(self.reader()).await;
        self.readable(rows.during("list cases")?).await
    }

    /// Cases by their numbers, the newest first, and after which the next page begins. One statement reads a page, whatever lies
    /// before it.
    pub async fn page_of_cases(&self, asked: &Asked<'_>) -> Result<(Vec<StoredCase>, Option<CaseId>), StoreError> {
        let given = [
            ("owner =", asked.owner.map(StaffId::as_str)),
            ("status =", asked.status),
            ("id <", asked.before),
        ];
        let given = given.into_iter().filter_map(|(test, value)| Some((test, value?)));
        let (tests, values): (Vec<&str>, Vec<&str>) = given.unzip();
        let mut sql = "select id, facts, version, wake_ms, agenda_sum from cases
            where unit in (select value from json_each($1))"
            .to_owned();
        for (place, test) in tests.iter().enumerate() {
            sql += &format!(" and {test} ${}", place + 2);
        }
        sql += &format!(" order by id desc limit ${}", tests.len() + 2);
        let found = query_as::<Row>(AssertSqlSafe(sql)).bind(json(&asked.units));
        let found = values.into_iter().fold(found, |found, value| found.bind(value));
        let rows = found.bind(asked.limit).fetch_all(self.reader()).await;
        let rows = rows.during("read a page of cases")?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == asked.limit);
        let last = rows.last().filter(|_| is_full).map(|row| CaseId::from(row.id.as_str()));
        Ok((self.readable(rows).await?, last))
    }

    /// Cases of these owners that wait for somebody else, longest first.
    pub async fn waiting_cases(&self, owners: &[StaffId]) -> Result<Vec<StoredCase>, StoreError> {
        const SQL: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where status = 'waiting' and owner in (select value from json_each($1))
            order by opened_ms, id
            limit 500";
        let rows = query_as::<Row>(SQL).bind(json(&owners)).fetch_all(self.reader()).await;
        self.readable(rows.during("find the waiting cases")?).await
    }

    /// Cases of these owners opened in `[from, to)`.
    pub async fn new_cases(
        &self,
        owners: &[StaffId],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredCase>, StoreError> {
        const SQL: &str = "
            select id, facts, version, wake_ms, agenda_sum from cases
            where owner in (select value from json_each($1))
              and status in ('open', 'waiting')
              and opened_ms >= $2 and opened_ms < $3
            order by opened_ms, id
            limit 500";
        let rows = query_as::<Row>(SQL)
            .bind(json(&owners))
            .bind(from.as_millisecond())
            .bind(to.as_millisecond())
            .fetch_all(self.reader())
            .await;
        self.readable(rows.during("find the new cases")?).await
    }

    /// How many open cases each unit has.
    pub async fn open_cases_by_unit(&self) -> Result<Vec<(String, i64)>, StoreError> {
        const SQL: &str = "
            select unit, count(*) from cases
            where status in ('open', 'waiting')
            group by unit
            order by unit";
        query_as(SQL)
            .fetch_all(self.reader())
            .await
            .during("count the open cases")
    }
}

/// An open case and how its resident is recognised: the same request may be made twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCase {
    pub id: String,
    pub matter: String,
    pub known_by: KnownBy,
}

/// By what a resident is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KnownBy {
    Phone(String),
    /// Of somebody without a number.
    Name(String),
}

/// The open cases of residents with one of these numbers, and of residents without a number who have one of these names.
pub async fn open_cases_of(
    connection: &mut Connection,
    ring: &Ring,
    known: &[KnownBy],
) -> Result<Vec<OpenCase>, StoreError> {
    const BY_PHONE: &str = "
        select cases.id, cases.matter, people.phone_index
        from people
        join cases on cases.resident = people.id
        where people.phone_index in (select value from json_each($1))
          and people.relative_of is null
          and cases.status <> 'closed'
        order by cases.id";
    const BY_NAME: &str = "
        select cases.id, cases.matter, people.name_index
        from people
        join cases on cases.resident = people.id
        where people.name_index in (select value from json_each($1))
          and people.phone_index is null
          and people.relative_of is null
          and cases.status <> 'closed'
        order by cases.id";
    let (mut phones, mut names) = (HashMap::new(), HashMap::new());
    for one in known {
        match one {
            KnownBy::Phone(phone) => phones.insert(ring.phone_index(phone), one),
            KnownBy::Name(name) => names.insert(ring.name_index(name), one),
        };
    }
    let mut found = Vec::new();
    for (sql, by) in [(BY_PHONE, phones), (BY_NAME, names)] {
        if by.is_empty() {
            continue;
        }
        let rows: Vec<(String, String, String)> = query_as(sql)
            .bind(json(&by.keys().collect::<Vec<_>>()))
            .fetch_all(&mut *connection)
            .await
            .during("look for open cases of the same residents")?;
        let open = |(id, matter, index): (String, String, String)| {
            let known_by = (*by.get(&index)?).clone();
            Some(OpenCase { id, matter, known_by })
        };
        found.extend(rows.into_iter().filter_map(open));
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// A wake-up that has come whatever the clock says: the clock of the process that wrote may be ahead of the planner's.
const AT_ONCE_MS: i64 = 0;

#[derive(serde::Serialize)]
struct NewRow<'a> {
    id: &'a str,
    facts: String,
    unit: &'a str,
    owner: &'a str,
    matter: &'a str,
    resident: &'a str,
    status: &'static str,
    live: i64,
    priority: i64,
    opened_ms: i64,
}

/// New cases; they wake at once, whatever the clock says.
pub async fn insert(tx: &mut Tx, cases: &[&Case]) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into cases
            (id, facts, version, wake_ms, rules_gen, agenda_sum, unit, owner, matter, resident, status, live,
             priority, opened_ms)
        select
            value ->> 'id', value ->> 'facts', 1, 0, 0, 0, value ->> 'unit', value ->> 'owner', value ->> 'matter',
            value ->> 'resident', value ->> 'status', cast(value ->> 'live' as bigint), cast(value ->> 'priority' as bigint),
            cast(value ->> 'opened_ms' as bigint)
        from jsonb_each($1)";
    let residents: Vec<&str> = cases.iter().map(|case| case.party.person.as_str()).collect();
    let keys = make_keys(tx, &residents).await?;
    let mut rows = Vec::with_capacity(cases.len());
    for case in cases {
        rows.push(NewRow {
            id: case.id.as_str(),
            facts: facts(case, &keys)?,
            unit: case.unit.as_str(),
            owner: case.owner.as_str(),
            matter: case.matter.as_str(),
            resident: case.party.person.as_str(),
            status: status(case),
            live: i64::from(case.may_ask()),
            priority: i64::from(case.priority.is_some()),
            opened_ms: case.opened_at.as_millisecond(),
        });
    }
    query(SQL)
        .bind(json(&rows))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("add cases")
}

/// New facts over exactly the version that was read; the case wakes at once.
pub async fn save(tx: &mut Tx, case: &Case, version: i64) -> Result<(), StoreError> {
    const SQL: &str = "
        update cases
        set facts = $1, version = version + 1, wake_ms = $2, unit = $3, owner = $4, status = $5, live = $6, priority = $7
        where id = $8 and version = $9";
    let keys = make_keys(tx, &[case.party.person.as_str()]).await?;
    let done = query(SQL)
        .bind(facts(case, &keys)?)
        .bind(AT_ONCE_MS)
        .bind(case.unit.as_str())
        .bind(case.owner.as_str())
        .bind(status(case))
        .bind(i64::from(case.may_ask()))
        .bind(i64::from(case.priority.is_some()))
        .bind(case.id.as_str())
        .bind(version)
        .execute(&mut **tx)
        .await
        .during("save a case")?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Conflict {
            id: case.id.to_string(),
        })
    }
}

/// What is known of a resident changed: every other open case of theirs is planned anew, and an attempt that was judged by the old
/// record does not start.
pub async fn touch_of(tx: &mut Tx, resident: &PersonId, except: &CaseId) -> Result<(), StoreError> {
    const SQL: &str = "
        update cases set version = version + 1, wake_ms = $3
        where resident = $1 and id <> $2 and live = 1";
    query(SQL)
        .bind(resident.as_str())
        .bind(except.as_str())
        .bind(AT_ONCE_MS)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("wake the other cases of a resident")
}

/// The same for many residents, because of these new cases.
pub async fn touch_others_of(tx: &mut Tx, residents: &[&PersonId], new: &[&CaseId]) -> Result<(), StoreError> {
    const SQL: &str = "
        update cases set version = version + 1, wake_ms = 0
        where resident in (select value from json_each($1))
          and id not in (select value from json_each($2))
          and live = 1";
    query(SQL)
        .bind(json(&residents))
        .bind(json(&new))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("wake the other cases of residents")
}

/// Notes that cases were planned; returns those that had not changed in the meantime. The others keep their wake-up.
pub async fn planned(tx: &mut Tx, planned: &[Planned<'_>], gen_now: i64) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "
        update cases
        set wake_ms = plan.wake_ms, rules_gen = $2, agenda_sum = plan.agenda_sum
        from (
            select
                value ->> 'id' as id,
                cast(value ->> 'version' as bigint) as version,
                cast(value ->> 'wake_ms' as bigint) as wake_ms,
                cast(value ->> 'agenda_sum' as bigint) as agenda_sum
            from jsonb_each($1)
        ) as plan
        where cases.id = plan.id and cases.version = plan.version
        returning cases.id";
    query_scalar(SQL)
        .bind(json(&planned))
        .bind(gen_now)
        .fetch_all(&mut **tx)
        .await
        .during("note that cases were planned")
}

/// The next `count` numbers of the year, e.g. `2026-000017`. A number is never given twice.
pub async fn next_numbers(tx: &mut Tx, year: i16, count: usize) -> Result<Vec<CaseId>, StoreError> {
    const SQL: &str = "
        insert into meta (name, value) values ($1, cast(cast($2 as bigint) as text))
        on conflict (name) do update set value = cast(cast(meta.value as bigint) + cast($2 as bigint) as text)
        returning cast(value as bigint)";
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let last: i64 = query_scalar(SQL)
        .bind(format!("case_number:{year}"))
        .bind(count)
        .fetch_one(&mut **tx)
        .await
        .during("take the next case numbers")?;
    let numbers = last - count + 1..=last;
    Ok(numbers
        .map(|number| CaseId::from(format!("{year}-{number:06}")))
        .collect())
}

/// The facts as they are stored: sealed with the key of the resident.
fn facts(case: &Case, keys: &Keys) -> Result<String, StoreError> {
    let plain = serde_json::to_string(case).expect("facts are maps with text keys, lists and values");
    keys.seal(case.party.person.as_str(), place(case.id.as_str()), &plain)
}

fn status(case: &Case) -> &'static str {
    match case.status {
        Status::Open => "open",
        Status::Waiting { .. } => "waiting",
        Status::Closed { .. } => "closed",
    }
}

/// A list as one bind: SQLite opens it with `json_each`, and with `jsonb_each` where it holds objects, which are then not written out and
/// parsed again for each of their columns.
pub(crate) fn json<T: serde::Serialize>(list: &T) -> String {
    let text = serde_json::to_string(list).expect("lists of plain values");
    if !text.contains(r"\u0000") {
        return text;
    }
    let mut value = serde_json::from_str(&text).expect("it was written a moment ago");
    without_nul(&mut value);
    value.to_string()
}

/// See [`storable`](crate::store::db::storable).
fn without_nul(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = storable(std::mem::take(text)),
        serde_json::Value::Array(list) => list.iter_mut().for_each(without_nul),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(without_nul),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_nothing_that_one_of_the_databases_cannot_store() {
        assert_eq!(json(&["a\0b", r"a\u0000b"]), "[\"a\u{fffd}b\",\"a\\\\u0000b\"]");
        assert_eq!(json(&[("k", Some("\0"), 1)]), "[[\"k\",\"\u{fffd}\",1]]");
    }
}
