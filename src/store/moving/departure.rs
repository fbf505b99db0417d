//! What a database that is moved says of itself, and of the one it goes to. Before the first row is read the source notes where
//! everything goes; from then on nobody opens it, and no event is written in it. The target names that move in the transaction that makes
//! it whole. Whoever finds the note asks the target which of the two is the one that counts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::cases::json;
use crate::store::db::{Connection, On, Pool, query, query_scalar};
use crate::store::location::Location;
use crate::store::lock::Lock;
use crate::store::runs::set_meta;
use crate::store::switches::{hold, release};
use crate::store::{During as _, Store, StoreError, Tx, commit, incarnation, inspect, reading, unreadable};
use crate::vault::Masters;

/// In the source.
pub(in crate::store) const MOVED_TO: &str = "moved_to";
/// In the target.
const MOVED_FROM: &str = "moved_from";

/// Where everything goes, or has gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    id: String,
    /// As `database` in the settings would name it.
    pub to: String,
    /// Nobody had held everything before.
    pub(super) held: bool,
    pub is_done: bool,
}

/// Which of two databases counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing was committed in the target: the source is in use as before.
    Here,
    There,
}

impl Departure {
    /// Why this database is not to be used.
    fn refusal(self) -> StoreError {
        match self.is_done {
            true => StoreError::Moved { to: self.to },
            false => StoreError::Moving { to: self.to },
        }
    }
}

impl Location {
    /// Whether somebody has moved away from here, or was about to. A database that is not there has gone nowhere.
    pub async fn departure(&self) -> Result<Option<Departure>, StoreError> {
        let Some(pool) = self.asked().await? else {
            return Ok(None);
        };
        let found = departure(&pool).await;
        pool.close().await;
        found
    }

    /// Whether this is the whole target of that move. Whoever committed it has ended by now; what the server has still in hand is
    /// waited for.
    async fn has_arrived(&self, departure: &Departure) -> Result<bool, StoreError> {
        const WAIT: &str = "lock table meta in row share mode";
        let Some(pool) = self.asked().await? else {
            return Ok(false);
        };
        let found = async {
            if !inspect::has_table(&pool, "meta").await.during(ASK)? {
                return Ok(false);
            }
            let mut snapshot = pool.snapshot().await.during(ASK)?;
            if snapshot.is_shared() {
                query(WAIT).execute(&mut snapshot).await.during(ASK)?;
            }
            let from = meta(&mut snapshot, MOVED_FROM).await?;
            Ok(from.as_ref() == Some(&departure.id))
        }
        .await;
        pool.close().await;
        found
    }

    /// Asks the target of a move which of the two counts, and notes it; `None` when nobody is moving. Whoever moves and has not ended
    /// either waits for this and finds that it is over, or is waited for.
    pub async fn settle(
        &self,
        masters: &Masters,
        target: &Location,
        (now, who): (Timestamp, &str),
    ) -> Result<Option<Settled>, StoreError> {
        self.changed(masters, async |tx| {
            Lock::Chain.hold(tx).await?;
            let Some(note) = meta(&mut **tx, MOVED_TO).await? else {
                return Ok(None);
            };
            let departure = understood(&note)?;
            if departure.is_done || target.has_arrived(&departure).await? {
                let done = Departure {
                    is_done: true,
                    ..departure
                };
                set_meta(tx, MOVED_TO, &json(&done)).await?;
                return Ok(Some(Settled::There));
            }
            forget(tx).await?;
            if departure.held {
                release(tx, now, who).await?;
            }
            Ok(Some(Settled::Here))
        })
        .await
    }

    /// Whatever became of the target, this is the database again: an older one, which knows nothing of what has left since. It holds
    /// everything until a person releases it.
    pub async fn return_to(&self, masters: &Masters, (now, who): (Timestamp, &str)) -> Result<(), StoreError> {
        let reason = "退回迁移前的数据库,核对后放行 / back to the database from before the move: look at what would leave, then release it";
        self.changed(masters, async |tx| {
            incarnation::renew(tx, now, who, reason).await.map(drop)
        })
        .await
    }

    async fn changed<T>(
        &self,
        masters: &Masters,
        change: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let looking = self.look_at_any(Some(masters)).await?;
        let changed = async {
            let store = looking.for_notes().await?;
            let changed = async {
                let mut tx = store.begin().await?;
                let done = change(&mut tx).await?;
                commit(tx, "note what became of a move").await?;
                Ok(done)
            }
            .await;
            store.close_writer().await;
            changed
        }
        .await;
        looking.close().await;
        changed
    }

    /// One connection to look; `None` when there is no file.
    async fn asked(&self) -> Result<Option<Pool>, StoreError> {
        match self {
            Self::File(path) if !path.exists() => Ok(None),
            Self::File(path) => reading(path, 1).await.map(Pool::Sqlite).map(Some),
            Self::Server(server) => server.looking().await.map(Some),
        }
    }
}

const ASK: &str = "look whether it was moved";

/// Refuses a database from which everything was moved, or was about to be.
pub(in crate::store) async fn refuse(store: &Store) -> Result<(), StoreError> {
    match departure(store.reader()).await? {
        None => Ok(()),
        Some(departure) => Err(departure.refusal()),
    }
}

/// The same for whoever has opened it before, and is about to write an event.
pub(in crate::store) fn refuse_event(note: Option<&str>) -> Result<(), StoreError> {
    match note {
        None => Ok(()),
        Some(note) => Err(understood(note)?.refusal()),
    }
}

async fn departure(pool: &Pool) -> Result<Option<Departure>, StoreError> {
    if !inspect::has_table(pool, "meta").await.during(ASK)? {
        return Ok(None);
    }
    let note = meta(pool, MOVED_TO).await?;
    note.map(|note| understood(&note)).transpose()
}

async fn meta<'c>(on: impl Into<On<'c>>, name: &str) -> Result<Option<String>, StoreError> {
    const SQL: &str = "select value from meta where name = $1";
    query_scalar(SQL).bind(name).fetch_optional(on).await.during(ASK)
}

fn understood(note: &str) -> Result<Departure, StoreError> {
    serde_json::from_str(note).map_err(|error| unreadable("meta", MOVED_TO.to_owned(), &error))
}

/// From here on everything is held, no event is written, and nobody opens this database.
pub(super) async fn leave(
    source: &Store,
    (to, database): (&Location, &str),
    (now, who): (Timestamp, &str),
) -> Result<Departure, StoreError> {
    let reason = format!("已迁往 {to} / moved to {to}");
    let mut tx = source.begin().await?;
    let held = hold(&mut tx, now, who, &reason).await?;
    let departure = Departure {
        id: uuid::Uuid::now_v7().simple().to_string(),
        to: database.to_owned(),
        held,
        is_done: false,
    };
    // Whoever is about to write an event does so before this, or finds it.
    Lock::Chain.hold(&mut tx).await?;
    set_meta(&mut tx, MOVED_TO, &json(&departure)).await?;
    commit(tx, "note where everything goes").await?;
    Ok(departure)
}

/// Whether a start has not ended this move meanwhile.
pub(super) async fn is_under_way(departure: &Departure, on: &mut Connection) -> Result<bool, StoreError> {
    Ok(meta(on, MOVED_TO).await?.as_deref() == Some(&json(departure)))
}

/// In the transaction that makes the target whole.
pub(super) async fn arrive(tx: &mut Tx, departure: &Departure, by: (Timestamp, &str)) -> Result<(), StoreError> {
    set_meta(tx, MOVED_FROM, &departure.id).await?;
    forget(tx).await?;
    if departure.held {
        release(tx, by.0, by.1).await?;
    }
    Ok(())
}

/// Takes the note away.
pub(in crate::store) async fn forget(tx: &mut Tx) -> Result<(), StoreError> {
    query("delete from meta where name = $1")
        .bind(MOVED_TO)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .during("forget where everything went")
}
