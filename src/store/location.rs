//! Where the database is: a file of SQLite, or a PostgreSQL. Whoever opens it or looks at it begins here.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::store::inspect::{self, Inspection};
use crate::store::moving::departure;
use crate::store::postgres::Server;
use crate::store::{Store, StoreError};
use crate::vault::Masters;

#[derive(Debug, Clone)]
pub enum Location {
    File(PathBuf),
    Server(Box<Server>),
}

impl Location {
    /// The file, or where it would be: what belongs to the database on this machine lies beside it.
    pub fn beside(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Server(server) => server.beside(),
        }
    }

    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }

    /// What this node is called there; empty where there is only one.
    pub(super) fn node(&self) -> &str {
        match self {
            Self::File(_) => "",
            Self::Server(server) => server.node(),
        }
    }

    /// What people call it.
    pub fn name(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Server(server) => server.name(),
        }
    }

    /// [`Store::open`], unless everything was moved away.
    pub async fn open(&self, masters: &Masters) -> Result<Store, StoreError> {
        let store = match self {
            Self::File(path) => Store::open(path, masters).await,
            Self::Server(server) => server.open(masters).await,
        }?;
        unless_moved(store).await
    }

    /// [`Store::look`], unless everything was moved away.
    pub async fn look(&self, masters: Option<&Masters>) -> Result<Store, StoreError> {
        unless_moved(self.look_at_any(masters).await?).await
    }

    pub(super) async fn look_at_any(&self, masters: Option<&Masters>) -> Result<Store, StoreError> {
        match self {
            Self::File(path) => Store::look(path, masters).await,
            Self::Server(server) => server.look(masters).await,
        }
    }

    /// [`Store::needs_the_daemon`].
    pub async fn needs_the_daemon(&self, masters: &Masters) -> Result<bool, StoreError> {
        match self {
            Self::File(path) => Store::needs_the_daemon(path, masters).await,
            Self::Server(server) => server.needs_the_daemon(masters).await,
        }
    }

    /// [`Store::is_sealed`].
    pub async fn is_sealed(&self) -> Result<bool, StoreError> {
        match self {
            Self::File(path) => Store::is_sealed(path).await,
            Self::Server(server) => server.is_sealed().await,
        }
    }

    /// What is told where it is sealed and there is no key.
    pub fn without_key(&self) -> StoreError {
        match self {
            Self::File(path) => StoreError::NoKey { path: path.clone() },
            Self::Server(server) => server.without_key(),
        }
    }

    /// Looks at it without changing anything; a file has to exist.
    pub async fn inspect(&self) -> Result<Inspection, StoreError> {
        match self {
            Self::File(path) => inspect::inspect(path).await,
            Self::Server(server) => server.inspect().await,
        }
    }
}

async fn unless_moved(store: Store) -> Result<Store, StoreError> {
    if let Err(refused) = departure::refuse(&store).await {
        store.close().await;
        return Err(refused);
    }
    Ok(store)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().display().fmt(f)
    }
}
