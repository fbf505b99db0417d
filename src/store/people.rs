//! Residents and their relatives.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::ids::PersonId;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::store::cases::json;
use crate::store::{During, Store, StoreError, Tx, unreadable};

/// The residents with these ids and everybody who is their relative.
const AROUND: &str = "
    select id, relative_of, record from people where id in (select value from json_each($1))
    union all
    select id, relative_of, record from people where relative_of in (select value from json_each($1))
    order by id";

#[derive(FromRow)]
struct Row {
    id: String,
    relative_of: Option<String>,
    record: String,
}

/// The people around residents. Somebody whose record cannot be read is not somebody without a record: who relies on them has to wait.
pub type Around = HashMap<PersonId, Result<People, StoreError>>;

impl Store {
    /// The people around each of these residents, or why they cannot be read.
    pub async fn around(&self, residents: &[&PersonId]) -> Result<Around, StoreError> {
        let rows = sqlx::query_as(AROUND)
            .bind(json(&residents))
            .fetch_all(self.reader())
            .await;
        rows.during("read people").map(gather)
    }

    /// The people around each of these residents, for whoever only looks: records that cannot be read are named in the log and left out.
    pub async fn people(&self, residents: &[&PersonId]) -> Result<HashMap<PersonId, People>, StoreError> {
        let read = |(id, people): (PersonId, Result<People, StoreError>)| {
            let people = people.inspect_err(|error| tracing::error!("{error}")).ok()?;
            Some((id, people))
        };
        Ok(self.around(residents).await?.into_iter().filter_map(read).collect())
    }

    pub async fn people_of(&self, resident: &PersonId) -> Result<People, StoreError> {
        self.around(&[resident])
            .await?
            .remove(resident)
            .unwrap_or_else(|| Ok(People::default()))
    }
}

fn gather(rows: Vec<Row>) -> Around {
    let mut found = Around::with_capacity(rows.len());
    for Row {
        id,
        relative_of,
        record,
    } in rows
    {
        let resident = PersonId::from(relative_of.as_deref().unwrap_or(&id));
        let people = found.entry(resident).or_insert_with(|| Ok(People::default()));
        match (serde_json::from_str::<Person>(&record), &mut *people) {
            (Ok(person), Ok(people)) if relative_of.is_some() => people.relatives.push(person),
            (Ok(person), Ok(people)) => people.resident = Some(person),
            (Err(error), Ok(_)) => *people = Err(unreadable("people", id, &error)),
            (_, Err(_)) => {}
        }
    }
    found
}

/// How a resident who comes again is recognised: number and name.
pub type Sign = (String, String);

/// The residents with these numbers and names who have been here before, with their relatives.
pub async fn known_residents(tx: &mut Tx, signs: &[Sign]) -> Result<HashMap<Sign, People>, StoreError> {
    const RESIDENTS: &str = "
        select id, phone, record ->> 'name' from people
        where phone in (select value from json_each($1)) and relative_of is null
        order by id";
    let phones: Vec<&str> = signs.iter().map(|(phone, _)| phone.as_str()).collect();
    let rows: Vec<(String, String, String)> = sqlx::query_as(RESIDENTS)
        .bind(json(&phones))
        .fetch_all(&mut **tx)
        .await
        .during("look for known residents")?;
    let mut ids: HashMap<Sign, PersonId> = HashMap::new();
    for (id, phone, name) in rows {
        let sign = (phone, name);
        if signs.contains(&sign) {
            // The oldest record, should there be several.
            ids.entry(sign).or_insert_with(|| PersonId::from(id));
        }
    }
    let rows = sqlx::query_as(AROUND)
        .bind(json(&ids.values().collect::<Vec<_>>()))
        .fetch_all(&mut **tx)
        .await
        .during("read people")?;
    let mut around = gather(rows);
    let mut known = HashMap::with_capacity(ids.len());
    for (sign, id) in ids {
        if let Some(people) = around.remove(&id) {
            known.insert(sign, people?);
        }
    }
    Ok(known)
}

#[derive(Serialize)]
struct NewRow<'a> {
    id: &'a str,
    record: String,
    relative_of: Option<&'a str>,
    phone: Option<&'a str>,
}

/// Adds or replaces records; of several of one person the last counts.
pub async fn put(tx: &mut Tx, people: &[&Person]) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into people (id, record, relative_of, phone)
        select value ->> 'id', value ->> 'record', value ->> 'relative_of', value ->> 'phone'
        from json_each($1)
        where true
        order by key
        on conflict (id) do update
        set record = excluded.record, relative_of = excluded.relative_of, phone = excluded.phone";
    if people.is_empty() {
        return Ok(());
    }
    let rows = people.iter().map(|person| NewRow {
        id: person.id.as_str(),
        record: serde_json::to_string(person).expect("a record is a plain document"),
        relative_of: person.relative.as_ref().map(|relative| relative.of.as_str()),
        phone: person.phone.as_deref(),
    });
    let rows: Vec<NewRow<'_>> = rows.collect();
    sqlx::query(SQL)
        .bind(json(&rows))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("save people")
}
