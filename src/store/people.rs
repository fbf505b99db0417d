//! Residents and their relatives.

use std::collections::HashMap;

use crate::domain::ids::PersonId;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::store::cases::json;
use crate::store::{During, Store, StoreError, Tx};

/// The residents with these ids and everybody who is their relative.
const AROUND: &str = "
    select id, record from people where id in (select value from json_each($1))
    union all
    select id, record from people where relative_of in (select value from json_each($1))
    order by id";

impl Store {
    /// The people around each of these residents.
    pub async fn people(&self, residents: &[&PersonId]) -> Result<HashMap<PersonId, People>, StoreError> {
        let rows = sqlx::query_as(AROUND)
            .bind(json(&residents))
            .fetch_all(self.reader())
            .await
            .during("read people")?;
        gather(rows)
    }

    pub async fn people_of(&self, resident: &PersonId) -> Result<People, StoreError> {
        Ok(self.people(&[resident]).await?.remove(resident).unwrap_or_default())
    }
}

fn gather(rows: Vec<(String, String)>) -> Result<HashMap<PersonId, People>, StoreError> {
    let mut found: HashMap<PersonId, People> = HashMap::with_capacity(rows.len());
    for (id, record) in rows {
        let person: Person = serde_json::from_str(&record).map_err(|error| StoreError::Corrupt {
            table: "people",
            id,
            why: format!(
                "the record is no valid document (line {}, column {})",
                error.line(),
                error.column()
            ),
        })?;
        match person.relative.as_ref().map(|relative| relative.of.clone()) {
            Some(of) => found.entry(of).or_default().relatives.push(person),
            None => {
                let id = person.id.clone();
                found.entry(id).or_default().resident = Some(person);
            }
        }
    }
    Ok(found)
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
    let rows: Vec<(String, String)> = sqlx::query_as(AROUND)
        .bind(json(&[&id]))
        .fetch_all(&mut **tx)
        .await
        .during("read people")?;
    Ok(gather(rows)?.remove(&id))
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
