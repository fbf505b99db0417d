//! A word between nodes: something has changed, look before your time. Nothing rests on it; whoever misses one looks a little later.

use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::store::db::query;
use crate::store::location::Location;
use crate::store::{During as _, Store, StoreError};

const CHANNEL: &str = "xixin";

/// A line on which nothing was heard for so long may be dead.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// What other nodes say.
pub struct Hints(PgListener);

impl Hints {
    /// Who spoke last; `None` when the line was lost, or may have been.
    pub async fn next(&mut self) -> Option<String> {
        self.0.eager_reconnect(false);
        let heard = tokio::time::timeout(SILENT_MAX, self.0.try_recv()).await;
        Some(heard.ok()?.ok()??.payload().to_owned())
    }
}

impl Store {
    /// Says to the other nodes that something has changed.
    pub async fn hint(&self, from: &str) -> Result<(), StoreError> {
        const SAY: &str = "select pg_notify('xixin', $1)";
        if !self.is_shared() {
            return Ok(());
        }
        let said = query(SAY).bind(from).execute(self.reader()).await;
        said.map(drop).during("wake the other nodes")
    }

    /// Listens to them; `None` where there are none, or where a pooler is in between.
    pub async fn hints(&self) -> Result<Option<Hints>, StoreError> {
        let Location::Server(server) = &self.location else {
            return Ok(None);
        };
        let listener = server.listener(CHANNEL).await.during("listen to the other nodes")?;
        Ok(listener.map(Hints))
    }
}
