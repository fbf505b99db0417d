//! The master key: where the settings say, else a file in the data directory that the first start makes.

use std::path::PathBuf;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use crate::app::{OpenError, Place, database_path};
use crate::config::secret::SecretSource;
use crate::config::settings::Settings;
use crate::store::location::Location;
use crate::store::{StoreError, make_directory};
use crate::vault::{Key, Masters, make};

/// The name of the key file in the data directory.
const FILE: &str = "xixin.key";

/// The file that holds the master key; `None` when the service manager keeps it.
pub fn key_file(settings: &Settings) -> Option<PathBuf> {
    match &settings.personal_data.key {
        None => Some(settings.state_dir.join(FILE)),
        Some(SecretSource::File(path)) => Some(path.clone()),
        Some(SecretSource::Credential(_)) => None,
    }
}

/// The master keys for whoever writes. A database in which nothing was ever sealed gets a key file when it has none; in the place of
/// one that is missing, no other is ever made. `location` is the database that is going to be opened.
pub async fn masters_to_write(
    place: &Place,
    settings: &Settings,
    location: &Location,
) -> anyhow::Result<(Masters, FreshKey)> {
    if let Some(masters) = masters(place, settings)? {
        return Ok((masters, FreshKey(None)));
    }
    if location.is_sealed().await? {
        return Err(location.without_key().into());
    }
    make_directory(&database_path(settings))?;
    let file = settings.state_dir.join(FILE);
    make(&file)?;
    tracing::warn!(
        "made the key file {}: keep a copy of it apart from the backups; without it the personal data cannot be recovered",
        file.display()
    );
    let made = masters(place, settings)?;
    let made = made.with_context(|| format!("{} was taken away at this very moment", file.display()))?;
    Ok((made, FreshKey(Some(file))))
}

/// The key file that was made a moment ago, if one was.
pub struct FreshKey(Option<PathBuf>);

impl FreshKey {
    /// Another node has made the first key at the same moment: this one has sealed nothing, and would only stand where that one belongs.
    pub(super) fn give_up(&self, error: &StoreError) {
        if let (StoreError::KeyOfNodes { key, .. }, Some(file)) = (error, &self.0)
            && key == file
        {
            let _ = std::fs::remove_file(file);
        }
    }

    pub(super) fn give_up_on(&self, error: &OpenError) {
        if let OpenError::Store(error) = error {
            self.give_up(error);
        }
    }
}

/// The master keys; `None` when the settings name none and the data directory has no key file yet.
pub fn masters(place: &Place, settings: &Settings) -> anyhow::Result<Option<Masters>> {
    let keys = &settings.personal_data;
    let file = SecretSource::File(settings.state_dir.join(FILE));
    let current = match &keys.key {
        Some(source) => read(place, source, "personal_data.key")?,
        None => match &file {
            SecretSource::File(path) if !path.exists() => return Ok(None),
            source => read(place, source, "personal_data.key")?,
        },
    };
    let old = keys.old_keys.iter().enumerate();
    let old = old.map(|(index, source)| read(place, source, &format!("personal_data.old_keys[{index}]")));
    Ok(Some(Masters::new(current, old.collect::<Result<_, _>>()?, keys.cipher)))
}

fn read(place: &Place, source: &SecretSource, key: &str) -> anyhow::Result<Key> {
    let secret = source
        .read(place.credentials().as_deref())
        .with_context(|| format!("{key}: 主密钥无法读取 / the master key cannot be read"))?;
    Key::parse(secret.expose_secret()).with_context(|| match source {
        SecretSource::File(path) => format!("{key}: {}", path.display()),
        SecretSource::Credential(name) => format!("{key}: credential {name}"),
    })
}
