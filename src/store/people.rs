//! Residents and their relatives.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::ids::PersonId;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::store::cases::json;
use crate::store::db::{query, query_as};
use crate::store::keys::{Keys, keys_of, make_keys};
use crate::store::{During, Store, StoreError, Tx, lock, log_unreadable, unreadable};
use crate::vault::Place;

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
        let rows: Vec<Row> = query_as(AROUND)
            .bind(json(&residents))
            .fetch_all(self.reader())
            .await
            .during("read people")?;
        let keys = self.keys_of(rows.iter().map(|row| row.record.as_str())).await?;
        Ok(gather(rows, &keys))
    }

    /// The people around each of these residents, for whoever only looks: records that cannot be read are named in the log and left out.
    pub async fn people(&self, residents: &[&PersonId]) -> Result<HashMap<PersonId, People>, StoreError> {
        let read = |(id, people): (PersonId, Result<People, StoreError>)| {
            let people = people.inspect_err(log_unreadable).ok()?;
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

impl Store {
    /// Everybody with this number, residents and relatives, each with the resident they belong to. However many there are: an opt-out is
    /// for all of them.
    pub async fn people_by_number(&self, number: &str) -> Result<Vec<(PersonId, PersonId)>, StoreError> {
        const SQL: &str = "
            select id, coalesce(relative_of, id) from people
            where phone_index = $1 and phone_index is not null
            order by id";
        let found: Vec<(String, String)> = query_as(SQL)
            .bind(self.ring().phone_index(number))
            .fetch_all(self.reader())
            .await
            .during("look for a number")?;
        Ok(found
            .into_iter()
            .map(|(id, resident)| (id.into(), resident.into()))
            .collect())
    }
}

/// Where the record of a person stands.
pub(super) fn place(id: &str) -> Place<'_> {
    Place {
        table: "people",
        column: "record",
        row: id,
    }
}

fn read(id: &str, record: String, keys: &Keys) -> Result<Person, StoreError> {
    let record = keys.open(place(id), record)?;
    serde_json::from_str(&record).map_err(|error| unreadable("people", id.to_owned(), &error))
}

fn gather(rows: Vec<Row>, keys: &Keys) -> Around {
    let mut found = Around::with_capacity(rows.len());
    for Row {
        id,
        relative_of,
        record,
    } in rows
    {
        let resident = PersonId::from(relative_of.as_deref().unwrap_or(&id));
        let people = found.entry(resident).or_insert_with(|| Ok(People::default()));
        match (read(&id, record, keys), &mut *people) {
            (Ok(person), Ok(people)) if relative_of.is_some() => people.relatives.push(person),
            (Ok(person), Ok(people)) => people.resident = Some(person),
            // A relative who was erased is a relative nobody knows of.
            (Err(StoreError::Erased { .. }), Ok(_)) if relative_of.is_some() => {}
            (Err(error), Ok(_)) => *people = Err(error),
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
        select id, phone_index, name_index from people
        where phone_index in (select value from json_each($1)) and relative_of is null
        order by id";
    let ring = tx.ring();
    let index = |(phone, name): &Sign| (ring.phone_index(phone), ring.name_index(name));
    let by_index: HashMap<Sign, &Sign> = signs.iter().map(|sign| (index(sign), sign)).collect();
    let phones: Vec<&str> = by_index.keys().map(|(phone, _)| phone.as_str()).collect();
    lock::people_by_number(tx, &phones).await?;
    let rows: Vec<(String, String, String)> = query_as(RESIDENTS)
        .bind(json(&phones))
        .fetch_all(&mut **tx)
        .await
        .during("look for known residents")?;
    let mut ids: HashMap<Sign, PersonId> = HashMap::new();
    for (id, phone, name) in rows {
        if let Some(sign) = by_index.get(&(phone, name)) {
            // The oldest record, should there be several.
            ids.entry((*sign).clone()).or_insert_with(|| PersonId::from(id));
        }
    }
    let rows: Vec<Row> = query_as(AROUND)
        .bind(json(&ids.values().collect::<Vec<_>>()))
        .fetch_all(&mut **tx)
        .await
        .during("read people")?;
    let keys = keys_of(&mut **tx, &ring, rows.iter().map(|row| row.record.as_str())).await?;
    let mut around = gather(rows, &keys);
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
    phone_index: Option<String>,
    name_index: String,
}

/// Adds or replaces records; of several of one person the last counts.
pub async fn put(tx: &mut Tx, people: &[&Person]) -> Result<(), StoreError> {
    const SQL: &str = "
        insert into people (id, record, relative_of, phone_index, name_index)
        select
            value ->> 'id', value ->> 'record', value ->> 'relative_of', value ->> 'phone_index', value ->> 'name_index'
        from jsonb_each($1)
        where true
        on conflict (id) do update
        set record = excluded.record, relative_of = excluded.relative_of,
            phone_index = excluded.phone_index, name_index = excluded.name_index";
    if people.is_empty() {
        return Ok(());
    }
    // A statement of PostgreSQL does not touch a row twice.
    let people: BTreeMap<&str, &Person> = people.iter().map(|person| (person.id.as_str(), *person)).collect();
    let ids: Vec<&str> = people.keys().copied().collect();
    let keys = make_keys(tx, &ids).await?;
    let ring = tx.ring();
    let mut rows = Vec::with_capacity(people.len());
    for (id, person) in people {
        let record = serde_json::to_string(person).expect("a record is a plain document");
        rows.push(NewRow {
            id,
            record: keys.seal(id, place(id), &record)?,
            relative_of: person.relative.as_ref().map(|relative| relative.of.as_str()),
            phone_index: person.phone.as_deref().map(|phone| ring.phone_index(phone)),
            name_index: ring.name_index(&person.name),
        });
    }
    query(SQL)
        .bind(json(&rows))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("save people")
}
