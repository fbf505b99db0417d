//! Where a secret comes from: never from the configuration file itself.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::problem::Unfit;
use crate::domain::text::{Said, said};
use crate::plain::short_text;

/// `{ credential = "name" }` (read from `$CREDENTIALS_DIRECTORY/name`) or `{ file = "/path" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    Credential(String),
    File(PathBuf),
}

const KEYS: &[&str] = &["credential", "file"];
const WAYS: &str = "{ credential = \"NAME\" } or { file = \"/PATH\" }";
const WAYS_ZH: &str = "{ credential = \"名称\" } 或 { file = \"/路径\" }";

/// What is wrong with a place for a secret, for a decoder.
fn unfit<E: Error>(what: Said) -> E {
    E::custom(Unfit::new(what, said!("可用: {WAYS_ZH}", "allowed: {WAYS}")).sealed())
}

fn not_here<E: Error>() -> E {
    unfit(said!(
        "密码等内容不能写在配置里",
        "the secret itself must not stand in the configuration"
    ))
}

/// By hand: what serde derives would repeat a password that somebody wrote here in its error, and so in the log.
impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;

        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = SecretSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{WAYS_ZH} / {WAYS}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
                let mut found = None;
                while let Some(key) = map.next_key::<String>()? {
                    let source = match key.as_str() {
                        "credential" => SecretSource::Credential(map.next_value()?),
                        "file" => SecretSource::File(map.next_value()?),
                        other => return Err(A::Error::unknown_field(other, KEYS)),
                    };
                    if found.replace(source).is_some() {
                        return Err(unfit(said!("一个密钥写了两处", "there are two places for one secret")));
                    }
                }
                found.ok_or_else(|| unfit(said!("没有写明在哪里", "no place is given")))
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<SecretSource, E> {
                Err(not_here())
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<SecretSource, E> {
                Err(not_here())
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<SecretSource, E> {
                Err(not_here())
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<SecretSource, E> {
                Err(not_here())
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<SecretSource, E> {
                Err(not_here())
            }
        }

        deserializer.deserialize_any(SourceVisitor)
    }
}

/// A secret that could not be read. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(
        "需要凭据“{name}”,但没有凭据目录;请由 systemd 单元启动并写 LoadCredential={name}:…,或改用 {{ file = \"…\" }} / credential \"{name}\" is asked for, but no credentials directory is set; start xixin from its systemd unit with LoadCredential={name}:…, or use {{ file = \"…\" }}"
    )]
    NoDirectory { name: String },
    #[error("密钥文件 {path} 无法读取 / the secret {path} cannot be read", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("密钥文件 {path} 是空的 / the secret {path} is empty", path = path.display())]
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
        let text = short_text(&path).map_err(|source| SecretError::Read {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_short_file_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large");
        std::fs::write(&large, vec![b'x'; 64 * 1024 + 1]).unwrap();
        // A device that never ends, a folder, and a pipe's relative, which would block.
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [Path::new("/dev/zero"), dir.path(), &socket, &large] {
            let refused = SecretSource::File(path.to_owned()).read(None);
            assert!(matches!(refused, Err(SecretError::Read { .. })), "{}", path.display());
        }
        std::fs::write(&large, "sesame\r\n").unwrap();
        SecretSource::File(large).read(None).unwrap();
    }
}
