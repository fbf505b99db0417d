//! Somebody is forgotten: their keys are destroyed, the words of their events are taken away, and what stands in columns beside is written
//! over. What stays of a case is its number, its unit, its matter and its days.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::domain::ids::{CaseId, PersonId};
use crate::domain::reminder::Recipient;
use crate::store::blank::blank_cases;
use crate::store::cases::json;
use crate::store::db::{query, query_scalar};
use crate::store::keys::destroy_keys;
use crate::store::{During, Store, StoreError, Tx};
use crate::{durable, plain};

pub(super) const ERASED_FILE: &str = "erased.log";

impl Store {
    /// The list, outside the database, of whoever was forgotten: a database that is restored is brought to it again.
    fn erased_file(&self) -> PathBuf {
        self.path().with_file_name(ERASED_FILE)
    }

    /// Notes durably, outside the database, that somebody is forgotten: their id and nothing else.
    pub fn note_erased(&self, person: &PersonId, now: Timestamp) -> Result<(), StoreError> {
        let path = self.erased_file();
        if let Err(source) = plain::check(&path) {
            return Err(StoreError::ErasedList { path, source });
        }
        // A line that a power cut has torn must not take this one with it.
        let whole = std::fs::read(&path).map_or(true, |text| text.last().is_none_or(|last| *last == b'\n'));
        let end = if whole { "" } else { "\n" };
        let mut open = std::fs::OpenOptions::new();
        let opened = open.create(true).append(true).mode(0o600).open(&path);
        let written = opened.and_then(|mut file| {
            writeln!(file, "{end}{now} {person}")?;
            file.sync_all()?;
            durable::sync_dir_of(&path)
        });
        written.map_err(|source| StoreError::ErasedList { path, source })
    }

    /// Whoever is on the list and not forgotten in this database. A line that a power cut has torn names nobody.
    pub async fn to_erase_again(&self) -> Result<Vec<PersonId>, StoreError> {
        const SQL: &str = "
            select owner from keys
            where wrapped is not null and owner in (select value from json_each($1))
            order by owner";
        let path = self.erased_file();
        let text = match plain::check(&path).and_then(|()| std::fs::read_to_string(&path)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::ErasedList { path, source }),
        };
        let listed: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(_, id)| id)
            .collect();
        let found: Vec<String> = query_scalar(SQL)
            .bind(json(&listed))
            .fetch_all(self.reader())
            .await
            .during("look for who was forgotten")?;
        Ok(found.into_iter().map(PersonId::from).collect())
    }
}

/// How many messages about a household are on their way at this moment.
pub async fn on_the_way(tx: &mut Tx, household: &PersonId) -> Result<i64, StoreError> {
    const SQL: &str = "
        select count(*) from reminders
        where state in ('claimed', 'attempting')
          and case_id in (select id from cases where resident = $1)";
    query_scalar(SQL)
        .bind(household.as_str())
        .fetch_one(&mut **tx)
        .await
        .during("look for messages on their way")
}

/// Forgets a resident with their relatives, who are known only because of them, or one relative alone. Returns how many cases lose
/// their words.
pub async fn forget(
    tx: &mut Tx,
    person: &PersonId,
    household: &PersonId,
    by: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    const CASES: &str = "select id from cases where resident = $1 order by id";
    const RELATIVE: &str = "delete from people where id = $1 and relative_of is not null";
    const RELATIVES: &str = "delete from people where relative_of = $1";
    const REST: [&str; 3] = [
        "update cases set status = 'closed', live = 0, wake_ms = null where resident = $1",
        "delete from agenda where case_id in (select id from cases where resident = $1)",
        "delete from labels where kind = 'greet' and case_id in (select id from cases where resident = $1)",
    ];
    let action = "forget a person";
    let is_resident = person == household;
    let whom = if is_resident {
        "%".to_owned()
    } else {
        Recipient::Person(person.clone()).to_string()
    };
    clear_messages(tx, household, &whom, now).await?;
    destroy_keys(tx, person, now).await?;
    if !is_resident {
        let done = query(RELATIVE).bind(person.as_str()).execute(&mut **tx).await;
        return done.map(|_| 0).during(action);
    }
    for sql in [RELATIVES].into_iter().chain(REST) {
        let done = query(sql).bind(person.as_str()).execute(&mut **tx).await;
        done.during(action)?;
    }
    let cases: Vec<String> = query_scalar(CASES)
        .bind(person.as_str())
        .fetch_all(&mut **tx)
        .await
        .during(action)?;
    let cases: Vec<CaseId> = cases.into_iter().map(CaseId::from).collect();
    blank_cases(tx, &cases.iter().collect::<Vec<_>>(), by, now).await?;
    Ok(cases.len() as u64)
}

/// Nothing more is sent, and what a mail server or a gateway has answered is written over: it may name the number or the address.
async fn clear_messages(tx: &mut Tx, household: &PersonId, whom: &str, now: Timestamp) -> Result<(), StoreError> {
    const CANCEL: &str = "
        update reminders set state = 'cancelled', holder = null, lease_until_ms = null, closed_ms = $3
        where case_id in (select id from cases where resident = $1)
          and recipient like $2
          and state in ('queued', 'claimed', 'attempting', 'held', 'task')";
    const REASONS: &str = "
        update reminders set reason_zh = '已删除', reason_en = 'erased'
        where case_id in (select id from cases where resident = $1) and recipient like $2";
    const ATTEMPTS: &str = "
        update attempts set reason = null, reference = null
        where reminder_id in (
            select id from reminders
            where case_id in (select id from cases where resident = $1) and recipient like $2)";
    let action = "clear the messages of a person";
    let cancelled = query(CANCEL)
        .bind(household.as_str())
        .bind(whom)
        .bind(now.as_millisecond())
        .execute(&mut **tx)
        .await;
    cancelled.during(action)?;
    for sql in [REASONS, ATTEMPTS] {
        let done = query(sql).bind(household.as_str()).bind(whom).execute(&mut **tx).await;
        done.during(action)?;
    }
    Ok(())
}
