//! Residents and their relatives.

use std::collections::HashMap;

use crate::domain::ids::PersonId;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::store::cases::json;
use crate::store::{During, Store, StoreError, Tx};

impl Store {
    /// The people around each of these residents.
    pub async fn people(&self, residents: &[&PersonId]) -> Result<HashMap<PersonId, People>, StoreError> {
        const SQL: &str = "
            select id, record from people where id in (select value from json_each($1))
            union all
            select id, record from people where relative_of in (select value from json_each($1))
            order by id";
        let rows: Vec<(String, String)> = sqlx::query_as(SQL)
            .bind(json(&residents))
            .fetch_all(self.reader())
            .await
            .during("read people")?;
        let mut found: HashMap<PersonId, People> = HashMap::with_capacity(residents.len());
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

    pub async fn people_of(&self, resident: &PersonId) -> Result<People, StoreError> {
        Ok(self.people(&[resident]).await?.remove(resident).unwrap_or_default())
    }
}

/// Adds or replaces a record.
pub async fn put(tx: &mut Tx, person: &Person) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into people (id, record, relative_of) values ($1, $2, $3)
        on conflict (id) do update set record = excluded.record, relative_of = excluded.relative_of";
    let relative_of = person.relative.as_ref().map(|relative| relative.of.as_str());
    sqlx::query(SQL)
        .bind(person.id.as_str())
        .bind(serde_json::to_string(person).expect("a record is a plain document"))
        .bind(relative_of)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("save a person")
}
