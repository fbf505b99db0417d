//! The keys in the database, and the two ways through them: whatever concerns a person is sealed on its way in and opened on its way
//! out, here and nowhere else.
//!
//! The database is the authority: keys are read, wrapped, with every list and kept no longer than it takes to open it. A key that
//! another process destroyed is gone for this one, too, from its next look on.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::ids::PersonId;
use crate::store::cases::json;
use crate::store::chain::{Chain, Head};
use crate::store::db::{Connection, On, query, query_as, query_scalar};
use crate::store::{During as _, Store, StoreError};
use crate::vault::{
    Cipher, Key, Masters, Place, SealError, Wrapped, fingerprint, is_sealed, name_index, owner_of, phone_index,
};

/// Owns what belongs to no person. No person has an id like it.
pub(super) const HALL: &str = "*hall";
/// Owns the blind index.
pub(super) const INDEX: &str = "*index";

/// What an open database needs to seal and to open.
#[derive(Debug)]
pub struct Ring {
    masters: Masters,
    hall: Key,
    index: Key,
    /// Whether plain documents of older databases may still lie about.
    plain: AtomicBool,
}

impl Ring {
    pub(super) fn new(masters: Masters, hall: Key, index: Key) -> Self {
        Self {
            masters,
            hall,
            index,
            plain: AtomicBool::new(true),
        }
    }

    /// For whoever reads nothing that is sealed.
    pub(super) fn of_nobody() -> Self {
        let masters = Masters::new(Key::random(), Vec::new(), Cipher::default());
        Self::new(masters, Key::random(), Key::random())
    }

    /// From now on a plain document is one that somebody slipped in.
    pub(super) fn refuse_plain(&self) {
        self.plain.store(false, Ordering::Relaxed);
    }

    pub(super) fn phone_index(&self, number: &str) -> String {
        phone_index(&self.index, number)
    }

    pub(super) fn name_index(&self, name: &str) -> String {
        name_index(&self.index, name)
    }

    /// Of the bytes of a message, by their SHA-256.
    pub(super) fn wire_sum(&self, sha256: &str) -> String {
        fingerprint(&self.index, "wire", sha256)
    }
}

/// A transaction on the write connection, with what it takes to seal what it writes.
pub struct Tx {
    inner: Connection,
    ring: Arc<Ring>,
    pub(super) chain: Arc<Chain>,
    /// Which node writes.
    pub(super) node: Arc<str>,
    /// The head of the events as this transaction leaves it, when it wrote any.
    pub(super) head: Option<Head>,
}

impl Tx {
    pub(super) fn new(inner: Connection, ring: Arc<Ring>, chain: Arc<Chain>, node: Arc<str>) -> Self {
        Self {
            inner,
            ring,
            chain,
            node,
            head: None,
        }
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await?;
        if let Some(head) = self.head {
            // Two that commit close together may come in either order: the file may lag behind, never run ahead.
            let _ = tokio::task::spawn_blocking(move || self.chain.keep(&head)).await;
        }
        Ok(())
    }

    pub(super) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring)
    }

    /// Leaves everything as it was before. Letting it go does the same, only later.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.inner.rollback().await.during("take a write back")
    }

    /// Seals a text for this place, with the key of `person`, or with the hall's.
    pub async fn seal(
        &mut self,
        person: Option<&PersonId>,
        place: Place<'_>,
        text: &str,
    ) -> Result<String, StoreError> {
        let owner = person.map_or(HALL, PersonId::as_str);
        make_keys(self, &[owner]).await?.seal(owner, place, text)
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.inner
    }
}

/// Why a key is of no use.
#[derive(Debug, Clone, Copy)]
enum NoKey {
    Destroyed,
    Broken(SealError),
}

/// The keys of what is read or written together.
pub(super) struct Keys {
    ring: Arc<Ring>,
    found: HashMap<String, Result<Key, NoKey>>,
}

impl Keys {
    fn of(&self, owner: &str, place: Place<'_>) -> Result<&Key, StoreError> {
        match self.found.get(owner) {
            _ if owner == HALL => Ok(&self.ring.hall),
            Some(Ok(key)) => Ok(key),
            Some(Err(NoKey::Destroyed)) => Err(StoreError::Erased {
                table: place.table,
                id: place.row.to_owned(),
            }),
            Some(Err(NoKey::Broken(why))) => Err(broken(place, &format!("the key of {owner} does not open: {why}"))),
            None => Err(broken(place, &format!("there is no key of {owner}"))),
        }
    }

    pub(super) fn seal(&self, owner: &str, place: Place<'_>, text: &str) -> Result<String, StoreError> {
        let key = self.of(owner, place)?;
        Ok(self.ring.masters.cipher().seal(key, owner, place, text.as_bytes()))
    }

    pub(super) fn open(&self, place: Place<'_>, text: String) -> Result<String, StoreError> {
        if !is_sealed(&text) {
            return match self.ring.plain.load(Ordering::Relaxed) {
                true => Ok(text),
                false => Err(broken(place, &SealError::Plain.to_string())),
            };
        }
        let owner = owner_of(&text).ok_or_else(|| broken(place, &SealError::Form.to_string()))?;
        let opened = self.of(owner, place)?.open(place, &text);
        opened.map_err(|why| broken(place, &why.to_string()))
    }
}

fn broken(place: Place<'_>, why: &str) -> StoreError {
    StoreError::Corrupt {
        table: place.table,
        id: place.row.to_owned(),
        why: why.to_owned(),
    }
}

/// The keys that open these texts.
pub(super) async fn keys_of<'c>(
    on: impl Into<On<'c>>,
    ring: &Arc<Ring>,
    texts: impl IntoIterator<Item = &str>,
) -> Result<Keys, StoreError> {
    let owners: BTreeSet<&str> = texts.into_iter().filter_map(owner_of).collect();
    read_keys(on, ring, &owners).await
}

async fn read_keys<'c>(on: impl Into<On<'c>>, ring: &Arc<Ring>, owners: &BTreeSet<&str>) -> Result<Keys, StoreError> {
    const SQL: &str = "select owner, wrapped from keys where owner in (select value from json_each($1))";
    let rows: Vec<(String, Option<String>)> = if owners.iter().all(|owner| *owner == HALL) {
        Vec::new()
    } else {
        query_as(SQL)
            .bind(json(owners))
            .fetch_all(on)
            .await
            .during("read the keys of people")?
    };
    let unwrap = |(owner, wrapped): (String, Option<String>)| {
        let key = wrapped.ok_or(NoKey::Destroyed).and_then(|wrapped| {
            let opened = ring.masters.unwrap(&wrapped, &owner);
            opened.map(|(key, _)| key).map_err(NoKey::Broken)
        });
        (owner, key)
    };
    Ok(Keys {
        ring: Arc::clone(ring),
        found: rows.into_iter().map(unwrap).collect(),
    })
}

#[derive(Serialize)]
struct NewKey<'a> {
    owner: &'a str,
    wrapped: String,
}

/// The keys of these owners; whoever has none gets one. A key that was destroyed stays destroyed.
pub(super) async fn make_keys(tx: &mut Tx, owners: &[&str]) -> Result<Keys, StoreError> {
    let ring = tx.ring();
    let owners: BTreeSet<&str> = owners.iter().copied().filter(|owner| *owner != HALL).collect();
    let mut keys = read_keys(&mut **tx, &ring, &owners).await?;
    let mut rows = Vec::new();
    for owner in owners.iter().filter(|owner| !keys.found.contains_key(**owner)) {
        rows.push((*owner, Key::random()));
    }
    let made = add_keys(tx, &ring.masters, rows.iter().map(|(owner, key)| (*owner, key))).await?;
    if made < rows.len() as u64 {
        // Another node has made some of them meanwhile: those count.
        return read_keys(&mut **tx, &ring, &owners).await;
    }
    keys.found
        .extend(rows.into_iter().map(|(owner, key)| (owner.to_owned(), Ok(key))));
    Ok(keys)
}

async fn add_keys(
    connection: &mut Connection,
    masters: &Masters,
    keys: impl Iterator<Item = (&str, &Key)>,
) -> Result<u64, StoreError> {
    const SQL: &str = "
        insert into keys (owner, wrapped)
        select value ->> 'owner', value ->> 'wrapped'
        from jsonb_each($1)
        where true
        on conflict (owner) do nothing";
    let rows: Vec<NewKey<'_>> = keys
        .map(|(owner, key)| NewKey {
            owner,
            wrapped: masters.wrap(key, owner),
        })
        .collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let done = query(SQL).bind(json(&rows)).execute(connection).await;
    Ok(done.during("write the keys of people")?.rows_affected())
}

/// Why a database does not open with the master keys given.
pub(super) enum Locked {
    /// None of them fits.
    WrongKey,
    /// Nothing was ever sealed in it.
    NeverSealed,
    /// There are keys of people, but the hall's own are missing.
    Incomplete,
    Store(StoreError),
}

impl Locked {
    pub(super) fn told(self, path: &Path) -> StoreError {
        match self {
            Self::WrongKey | Self::NeverSealed => StoreError::WrongKey { path: path.to_owned() },
            Self::Incomplete => StoreError::Corrupt {
                table: "keys",
                id: HALL.to_owned(),
                why: "it is missing, so nothing in this database can be opened; restore a backup".to_owned(),
            },
            Self::Store(error) => error,
        }
    }
}

impl From<StoreError> for Locked {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The keys of the hall, and whether they were wrapped by an older master key.
pub(super) async fn unlock(connection: &mut Connection, masters: &Masters) -> Result<(Ring, Wrapped), Locked> {
    const SQL: &str = "select owner, wrapped from keys where owner in ($1, $2)";
    const ANY: &str = "select count(*) from (select 1 from keys limit 1) as one";
    let action = "read the keys of the hall";
    let rows: Vec<(String, String)> = query_as(SQL)
        .bind(HALL)
        .bind(INDEX)
        .fetch_all(&mut *connection)
        .await
        .during(action)?;
    let wrapped: HashMap<String, String> = rows.into_iter().collect();
    let (Some(hall), Some(index)) = (wrapped.get(HALL), wrapped.get(INDEX)) else {
        let any: i64 = query_scalar(ANY).fetch_one(connection).await.during(action)?;
        return Err(if any == 0 {
            Locked::NeverSealed
        } else {
            Locked::Incomplete
        });
    };
    let hall = masters.unwrap(hall, HALL);
    let index = masters.unwrap(index, INDEX);
    match (hall, index) {
        (Ok((hall, by)), Ok((index, _))) => Ok((Ring::new(masters.clone(), hall, index), by)),
        _ => Err(Locked::WrongKey),
    }
}

/// The first keys of a database in which nothing was ever sealed.
pub(super) async fn begin_sealing(connection: &mut Connection, masters: &Masters) -> Result<Ring, StoreError> {
    let (hall, index) = (Key::random(), Key::random());
    add_keys(connection, masters, [(HALL, &hall), (INDEX, &index)].into_iter()).await?;
    Ok(Ring::new(masters.clone(), hall, index))
}

/// Wraps every key anew with the current master key. What the keys have sealed stays as it is.
pub(super) async fn rewrap(connection: &mut Connection, masters: &Masters) -> Result<u64, StoreError> {
    const PAGE: &str = "
        select owner, wrapped from keys
        where owner > $1 and wrapped is not null
        order by owner
        limit 1000";
    const UPDATE: &str = "
        update keys set wrapped = new.wrapped
        from (select value ->> 'owner' as owner, value ->> 'wrapped' as wrapped from jsonb_each($1)) as new
        where keys.owner = new.owner";
    let action = "wrap the keys anew";
    let (mut after, mut done) = (String::new(), 0);
    loop {
        let page: Vec<(String, String)> = query_as(PAGE)
            .bind(&after)
            .fetch_all(&mut *connection)
            .await
            .during(action)?;
        let Some((last, _)) = page.last() else {
            return Ok(done);
        };
        after.clone_from(last);
        let mut rows = Vec::with_capacity(page.len());
        for (owner, wrapped) in &page {
            match masters.unwrap(wrapped, owner) {
                Ok((key, _)) => rows.push(NewKey {
                    owner,
                    wrapped: masters.wrap(&key, owner),
                }),
                // It did not open before either; the others must not wait for it.
                Err(why) => tracing::error!("the key of {owner} cannot be wrapped anew: {why}"),
            }
        }
        let written = query(UPDATE)
            .bind(json(&rows))
            .execute(&mut *connection)
            .await
            .during(action)?;
        done += written.rows_affected();
    }
}

/// Destroys the keys of a person and of their relatives, who are known only because of them: whatever was sealed with them reads as
/// erased from now on. Their cases count as closed, and the planner takes what was still to be done off everybody's desk. False when
/// there was no key left.
///
/// The old pages are overwritten (`secure_delete`), but the write-ahead log keeps them until [`Store::scrub`].
pub async fn destroy_keys(tx: &mut Tx, person: &PersonId, now: Timestamp) -> Result<bool, StoreError> {
    const KEYS: &str = "
        update keys set wrapped = null, destroyed_ms = $2
        where wrapped is not null
          and (owner = $1 or owner in (select id from people where relative_of = $1))";
    const PEOPLE: &str = "
        update people set phone_index = null, name_index = null
        where id = $1 or relative_of = $1";
    const CASES: &str = "
        update cases set version = version + 1, wake_ms = 0, status = 'closed', live = 0
        where resident = $1";
    let action = "destroy the key of a person";
    let done = query(KEYS)
        .bind(person.as_str())
        .bind(now.as_millisecond())
        .execute(&mut **tx)
        .await
        .during(action)?;
    for sql in [PEOPLE, CASES] {
        query(sql)
            .bind(person.as_str())
            .execute(&mut **tx)
            .await
            .during(action)?;
    }
    Ok(done.rows_affected() > 0)
}

impl Store {
    /// [`destroy_keys`], with nothing left of them in any file of the database.
    pub async fn destroy_key(&self, person: &PersonId, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let done = destroy_keys(&mut tx, person, now).await?;
        crate::store::commit(tx, "destroy the key of a person").await?;
        self.scrub().await?;
        Ok(done)
    }

    /// What the ledger keeps of a message whose bytes have this SHA-256.
    pub fn wire_sum(&self, sha256: &str) -> String {
        self.ring().wire_sum(sha256)
    }

    /// What the guard keeps of the words of a message.
    pub fn words_sum(&self, words: &str) -> String {
        fingerprint(&self.ring().index, "words", words)
    }

    /// Stands for the words of a request: they may name people, and a plain hash would give away whatever can be tried out.
    pub fn request_sum(&self, words: &str) -> String {
        fingerprint(&self.ring().index, "request", words)
    }

    /// Opens a sealed text that was read at this place.
    pub async fn unseal(&self, place: Place<'_>, text: String) -> Result<String, StoreError> {
        self.keys_of([text.as_str()]).await?.open(place, text)
    }

    pub(super) async fn keys_of(&self, texts: impl IntoIterator<Item = &str>) -> Result<Keys, StoreError> {
        keys_of(self.reader(), self.ring(), texts).await
    }
}
