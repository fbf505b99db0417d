//! Residents and their relatives.

use std::collections::HashMap;

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

/// The resident with this number and name, if they have been here before, with their relatives.
pub async fn known_resident(tx: &mut Tx, phone: &str, name: &str) -> Result<Option<People>, StoreError> {
    const RESIDENT: &str = "
        select id from people
        where phone = $1 and relative_of is null and record ->> 'name' = $2
        order by id
        limit 1";
    let id: Option<String> = sqlx::query_scalar(RESIDENT)
        .bind(phone)
        .bind(name)
        .fetch_optional(&mut **tx)
        .await
        .during("look for a known resident")?;
    let Some(id) = id.map(PersonId::from) else {
        return Ok(None);
    };
    let rows = sqlx::query_as(AROUND)
        .bind(json(&[&id]))
        .fetch_all(&mut **tx)
        .await
        .during("read people")?;
    gather(rows).remove(&id).transpose()
}

/// Adds or replaces a record.
pub async fn put(tx: &mut Tx, person: &Person) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into people (id, record, relative_of, phone) values ($1, $2, $3, $4)
        on conflict (id) do update
        set record = excluded.record, relative_of = excluded.relative_of, phone = excluded.phone";
    let relative_of = person.relative.as_ref().map(|relative| relative.of.as_str());
    sqlx::query(SQL)
        .bind(person.id.as_str())
        .bind(serde_json::to_string(person).expect("a record is a plain document"))
        .bind(relative_of)
        .bind(person.phone.as_deref())
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("save a person")
}
