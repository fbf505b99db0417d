//! What somebody reads and then writes by. On SQLite whoever writes holds everything, and there is nothing to do here. On PostgreSQL
//! several nodes write at once: each holds the rows it decides by until it commits, and what it reads after that stands.
//!
//! Whoever holds several takes them in this order, so that no two ever wait for each other: a [`Lock`], people, cases, what came in,
//! reminders, attempts, the counts of the guard, and last and shortly the head of the chain of events. Many of one kind are taken in the order of their ids, or
//! passed over while another node has them.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::{CaseId, PersonId};
use crate::store::cases::json;
use crate::store::db::{Connection, Value, query};
use crate::store::{During as _, Store, StoreError, Tx};

/// What no single row stands for: a row of `meta` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// The first keys of a database.
    Keys,
    /// Which rules are in force.
    Rules,
    /// What goes because its period is over.
    Purge,
    /// Who comes for the first time, and what is asked for already.
    Openings,
    /// Who is bound when, over all cases.
    Bookings,
    /// Who is told in the place of somebody else.
    Heirs,
    /// Counts that come near to what is allowed, and holds that begin. After reminders and attempts.
    Guard,
    /// The newest event. The last that is taken.
    Chain,
}

impl Lock {
    fn row(self) -> &'static str {
        match self {
            Self::Keys => "lock:keys",
            Self::Rules => "lock:rules",
            Self::Purge => "lock:purge",
            Self::Openings => "lock:openings",
            Self::Bookings => "lock:bookings",
            Self::Heirs => "lock:heirs",
            Self::Guard => "lock:guard",
            Self::Chain => "lock:chain",
        }
    }

    pub(crate) async fn hold(self, tx: &mut Connection) -> Result<(), StoreError> {
        const SQL: &str = "select value from meta where name = $1 for update";
        hold(tx, SQL, self.row()).await
    }
}

/// So long it is tried to hold what a write begins with.
const PATIENCE: Duration = Duration::from_secs(10);

/// Begins a write that reads on other connections once it holds these.
pub(crate) async fn begin(store: &Store, locks: &[Lock], of: Option<&CaseId>) -> Result<Tx, StoreError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match begun(store, locks, of).await {
            Err(error) if store.is_pooled() && error.is_busy() && Instant::now() < end => {}
            done => return done,
        }
    }
}

async fn begun(store: &Store, locks: &[Lock], of: Option<&CaseId>) -> Result<Tx, StoreError> {
    let action = "begin to hold what is decided by";
    let mut tx = store.begin().await?;
    tx.be_patient(false).await.during(action)?;
    for lock in locks {
        lock.hold(&mut tx).await?;
    }
    if let Some(id) = of {
        case(&mut tx, id).await?;
    }
    tx.be_patient(true).await.during(action)?;
    Ok(tx)
}

async fn hold(tx: &mut Connection, sql: &'static str, of: impl Into<Value>) -> Result<(), StoreError> {
    if !tx.is_shared() {
        return Ok(());
    }
    let held = query(sql).bind(of).execute(tx).await;
    held.map(|_| ()).during("hold what is decided by")
}

/// The resident of a case, whose record and whose other cases a command may change, and the case.
async fn case(tx: &mut Connection, id: &CaseId) -> Result<(), StoreError> {
    const RESIDENT: &str = "
        select people.id from people join cases on cases.resident = people.id where cases.id = $1 for update of people";
    const CASE: &str = "select id from cases where id = $1 for update";
    hold(tx, RESIDENT, id.as_str()).await?;
    hold(tx, CASE, id.as_str()).await
}

/// These people, and with them all that is changed only by whoever holds them: the cases of residents.
pub(crate) async fn people(tx: &mut Connection, ids: &[&str]) -> Result<(), StoreError> {
    const SQL: &str = "select id from people where id in (select value from json_each($1)) order by id for update";
    hold(tx, SQL, json(&ids)).await
}

/// Residents with one of these numbers, by their keyed hashes.
pub(crate) async fn people_by_number(tx: &mut Connection, hashes: &[&str]) -> Result<(), StoreError> {
    const SQL: &str = "
        select id from people
        where phone_index in (select value from json_each($1)) and relative_of is null
        order by id
        for update";
    hold(tx, SQL, json(&hashes)).await
}

/// A resident, their cases, and every message about them that may still leave: none of them begins to leave from now on.
pub(crate) async fn household(tx: &mut Connection, resident: &PersonId) -> Result<(), StoreError> {
    const CASES: &str = "select id from cases where resident = $1 order by id for update";
    const MESSAGES: &str = "
        select id from reminders
        where case_id in (select id from cases where resident = $1)
          and state in ('queued', 'claimed', 'attempting', 'held', 'task')
        order by id
        for update";
    people(tx, &[resident.as_str()]).await?;
    hold(tx, CASES, resident.as_str()).await?;
    hold(tx, MESSAGES, resident.as_str()).await
}

/// An attempt and its reminder.
pub(crate) async fn attempt(tx: &mut Connection, id: &str) -> Result<(), StoreError> {
    const REMINDER: &str = "
        select reminders.id from reminders join attempts on attempts.reminder_id = reminders.id
        where attempts.id = $1
        for update of reminders";
    const ATTEMPT: &str = "select id from attempts where id = $1 for update";
    hold(tx, REMINDER, id).await?;
    hold(tx, ATTEMPT, id).await
}
