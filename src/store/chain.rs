//! The chain of events: how a row is hashed, and the keyed head by which a missing end shows.
//!
//! The head stands in two places, each with a keyed hash: in `meta`, written in the transaction that writes the events, and in a file
//! beside the database, written after it. A part of the database alone cannot be set back without one of them saying so. The file is there before the first event is, so that its absence
//! always means that somebody took it away.

use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::store::StoreError;
use crate::{durable, plain};

/// The hash before the first event.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The form in which rows are hashed now; older rows have form 1.
pub(super) const FORM: i64 = 2;

/// Where `meta` keeps the keyed head.
pub(super) const META_HEAD: &str = "chain_head";

pub(super) const KEY_FILE: &str = "chain.key";
const HEAD_FILE: &str = "chain.head";
/// So many digits of the hash stand in a digest: 64 bits, more than anybody can try through.
const SHORT: usize = 16;

/// The number of the newest event, which is also how many there are, and its hash: it stands for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    pub hash: String,
}

impl Head {
    /// Before the first event.
    pub(super) fn genesis() -> Self {
        Self {
            seq: 0,
            hash: GENESIS.to_owned(),
        }
    }

    /// As a digest prints it and `audit verify --head` takes it: `1234-0123456789abcdef`.
    pub fn short(&self) -> String {
        format!("{}-{}", self.seq, self.hash.get(..SHORT).unwrap_or(&self.hash))
    }
}

/// What is hashed of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link<'a> {
    pub(super) seq: i64,
    pub(super) at_ms: i64,
    pub(super) kind: &'a str,
    pub(super) case: &'a str,
    pub(super) actor: &'a str,
    pub(super) proof: &'a str,
    /// As it is stored.
    pub(super) body: &'a str,
}

impl Link<'_> {
    /// The hash of the row by itself.
    pub(super) fn leaf(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"xixin event 2\0");
        hash.update(self.seq.to_be_bytes());
        hash.update(self.at_ms.to_be_bytes());
        for part in [self.kind, self.case, self.actor, self.proof, self.body] {
            put(&mut hash, part);
        }
        hex::encode(hash.finalize())
    }

    /// The hash of a row of the first form, over the one before.
    pub(super) fn old(&self, before: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(before.as_bytes());
        hash.update(self.at_ms.to_be_bytes());
        for part in [self.case, self.actor, self.body] {
            put(&mut hash, part);
        }
        hex::encode(hash.finalize())
    }
}

/// The hash of a row of the first form.
pub(super) fn seal_old(before: &str, at_ms: i64, case: &str, actor: &str, body: &str) -> String {
    let row = Link {
        seq: 0,
        at_ms,
        kind: "fact",
        case,
        actor,
        proof: "",
        body,
    };
    row.old(before)
}

/// Every part is preceded by its length, so that no two different rows can be read as the same bytes.
fn put(hash: &mut Sha256, part: &str) {
    hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(part.as_bytes());
}

/// The hash of a row of the present form, over the one before.
pub(super) fn link(before: &str, leaf: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"xixin link 2\0");
    hash.update(before.as_bytes());
    hash.update(leaf.as_bytes());
    hex::encode(hash.finalize())
}

/// What a purge took away, as one hash: of every row what is left of it, and the hash of what it was.
#[derive(Debug, Clone)]
pub(super) struct Sum {
    pub(super) rows: i64,
    hash: Sha256,
}

impl Default for Sum {
    fn default() -> Self {
        let mut hash = Sha256::new();
        hash.update(b"xixin purge 2\0");
        Self { rows: 0, hash }
    }
}

impl Sum {
    /// In the order of their numbers.
    pub(super) fn add(&mut self, rest: &Link<'_>, leaf: &str) {
        self.rows += 1;
        put(&mut self.hash, &rest.leaf());
        put(&mut self.hash, leaf);
    }

    pub(super) fn text(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }
}

/// What was found of the head outside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing is known there.
    Absent,
    Head(Head),
    /// Not written by us with this key.
    Forged,
}

/// The key of the head, and the place outside the database.
#[derive(Clone)]
pub(super) struct Chain {
    dir: PathBuf,
    key: Option<Zeroizing<[u8; 32]>>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Chain {
    /// For a database that is written: the key is made when there is none.
    pub(super) fn open(database: &Path) -> Result<Self, StoreError> {
        let chain = Self::look(database)?;
        durable::clear_drafts(&chain.head_file());
        durable::clear_drafts(&chain.key_file());
        if chain.key.is_some() {
            return Ok(chain);
        }
        let path = chain.key_file();
        make_key(&path).map_err(|source| StoreError::ChainKey { path, source })?;
        Self::look(database)
    }

    /// For a database that is read: nothing is made.
    pub(super) fn look(database: &Path) -> Result<Self, StoreError> {
        let dir = database.parent().unwrap_or(Path::new("")).to_owned();
        let path = dir.join(KEY_FILE);
        let key = match plain::short_text(&path).map(Zeroizing::new) {
            Ok(text) => {
                let mut key = Zeroizing::new([0; 32]);
                if hex::decode_to_slice(text.trim(), key.as_mut_slice()).is_err() {
                    let source = std::io::Error::new(
                        std::io::ErrorKind::InvalidData,
                        "应为64个十六进制数字,请从备份恢复此文件 / it should be 64 hexadecimal digits; put the file back from a backup",
                    );
                    return Err(StoreError::ChainKey { path, source });
                }
                Some(key)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(StoreError::ChainKey { path, source }),
        };
        Ok(Self { dir, key })
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn head_file(&self) -> PathBuf {
        self.dir.join(HEAD_FILE)
    }

    pub(super) fn key_file(&self) -> PathBuf {
        self.dir.join(KEY_FILE)
    }

    /// What tells this key from others and says nothing of it; `None` without a key.
    pub(super) fn mark(&self) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_ref()?.as_slice()).ok()?;
        mac.update(b"xixin chain key\0");
        Some(hex::encode(mac.finalize().into_bytes()))
    }

    fn mac(&self, seq: i64, hash: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_ref()?.as_slice()).ok()?;
        mac.update(b"xixin head\0");
        mac.update(&seq.to_be_bytes());
        mac.update(hash.as_bytes());
        Some(mac)
    }

    /// `NUMBER HASH MAC`. Without a key (nothing is written then) no head is ever sealed.
    pub(super) fn seal(&self, head: &Head) -> String {
        let mac = self.mac(head.seq, &head.hash);
        let mac = mac.map(|mac| hex::encode(mac.finalize().into_bytes()));
        format!("{} {} {}", head.seq, head.hash, mac.unwrap_or_default())
    }

    /// Reads a sealed head back.
    pub(super) fn read(&self, text: &str) -> Known {
        let text = text.trim();
        if text.is_empty() {
            return Known::Absent;
        }
        let head = || {
            let mut words = text.split(' ');
            let (seq, hash) = (words.next()?.parse().ok()?, words.next()?);
            let mac = hex::decode(words.next()?).ok()?;
            let right = self.mac(seq, hash)?.verify_slice(&mac).is_ok();
            (right && words.next().is_none()).then(|| Head {
                seq,
                hash: hash.to_owned(),
            })
        };
        head().map_or(Known::Forged, Known::Head)
    }

    /// The head that is known outside the database. What cannot be read says nothing, but is not nothing.
    pub(super) fn outside(&self) -> Known {
        match plain::short_text(&self.head_file()) {
            Ok(text) => self.read(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Known::Absent,
            Err(_) => Known::Forged,
        }
    }

    /// Notes the head outside the database, in one step. The chain itself is durable without it, so a failure only leaves the older
    /// head there; a file without its content would look like somebody's work. Blocks.
    pub(super) fn keep(&self, head: &Head) {
        let file = self.head_file();
        let sealed = self.seal(head) + "\n";
        if let Err(error) = durable::replace(&durable::aside(&file), &file, sealed.as_bytes(), durable::PRIVATE) {
            tracing::warn!("the head of the events cannot be noted beside the database: {error}");
        }
    }
}

/// Several processes may come at once: the first key counts.
fn make_key(path: &Path) -> std::io::Result<()> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(std::io::Error::other)?;
    durable::make_once(path, Zeroizing::new(hex::encode(key.as_slice()) + "\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_head_is_read_back_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("xixin.db");
        assert!(!Chain::look(&database).unwrap().has_key());
        let left_by_a_kill = dir.path().join("chain.head.018bcfe568007000b0fae3d7a8e0f7c1");
        std::fs::write(&left_by_a_kill, "1 ab").unwrap();
        let chain = Chain::open(&database).unwrap();
        assert!(!left_by_a_kill.exists());
        let head = Head {
            seq: 7,
            hash: "ab".repeat(32),
        };
        let sealed = chain.seal(&head);
        assert_eq!(chain.read(&sealed), Known::Head(head.clone()));
        assert_eq!(Chain::open(&database).unwrap().read(&sealed), Known::Head(head.clone()));
        assert_eq!(chain.read(&sealed.replacen('7', "6", 1)), Known::Forged);
        assert_eq!(chain.read(&format!("{sealed} ")), Known::Head(head.clone()));
        assert_eq!(chain.read(&format!("{sealed} more")), Known::Forged);
        assert_eq!(chain.read(""), Known::Absent);
        chain.keep(&head);
        assert_eq!(chain.outside(), Known::Head(head.clone()));
        assert_eq!(head.short(), "7-abababababababab");
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Chain::open(&elsewhere.path().join("xixin.db")).unwrap();
        assert_eq!(other.read(&sealed), Known::Forged, "another key");
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(KEY_FILE), "钥匙").unwrap();
        let refused = Chain::open(&dir.path().join("xixin.db")).unwrap_err().to_string();
        assert!(refused.contains("chain.key"), "{refused}");
        assert_eq!(std::fs::read_to_string(dir.path().join(KEY_FILE)).unwrap(), "钥匙");
    }

    /// A socket stands for a pipe: neither is an ordinary file, but a pipe would stop the test that fails.
    #[test]
    fn what_is_no_ordinary_file_is_no_key_and_a_forged_head() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("xixin.db");
        let chain = Chain::open(&database).unwrap();
        let _head = std::os::unix::net::UnixListener::bind(dir.path().join(HEAD_FILE)).unwrap();
        assert_eq!(chain.outside(), Known::Forged);
        std::fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
        let _key = std::os::unix::net::UnixListener::bind(dir.path().join(KEY_FILE)).unwrap();
        let refused = Chain::open(&database).unwrap_err();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(why.contains("ordinary file"), "{why}");
    }
}
