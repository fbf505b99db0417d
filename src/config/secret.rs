//! Where a secret comes from: never from the configuration file itself.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

/// `{ credential = "name" }` (read from `$CREDENTIALS_DIRECTORY/name`) or `{ file = "/path" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SecretSource {
    Credential(String),
    File(PathBuf),
}

/// A secret that could not be read. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(
        "credential \"{name}\" is asked for, but no credentials directory is set; start xixin from its systemd unit with LoadCredential={name}:…, or use {{ file = \"…\" }}"
    )]
    NoDirectory { name: String },
    #[error("secret {path} cannot be read", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("secret {path} is empty", path = path.display())]
    Empty { path: PathBuf },
}

impl SecretSource {
    /// Reads the secret; one trailing line break is dropped. `credentials` is `$CREDENTIALS_DIRECTORY`, when set.
    pub fn read(&self, credentials: Option<&Path>) -> Result<SecretString, SecretError> {
        let path = match self {
            Self::File(path) => path.clone(),
            Self::Credential(name) => credentials
                .ok_or_else(|| SecretError::NoDirectory { name: name.clone() })?
                .join(name),
        };
        let text = std::fs::read_to_string(&path).map_err(|source| SecretError::Read {
            path: path.clone(),
            source,
        })?;
        let secret = text.strip_suffix('\n').unwrap_or(&text);
        let secret = secret.strip_suffix('\r').unwrap_or(secret);
        if secret.is_empty() {
            return Err(SecretError::Empty { path });
        }
        Ok(SecretString::from(secret.to_owned()))
    }
}
