//! Writing a message to a directory so that a reader sees all of it or nothing, and a power cut loses nothing.

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::outcome::{Blame, Fault, Outcome, Stage};
use crate::durable;

/// As a file is made by anybody; the umask decides (the unit sets 0077).
const READABLE: u32 = 0o666;

/// Writes `bytes` under `tmp`, makes them durable and moves them to `target`, replacing what is there.
/// Both directories are made if they are missing; they must be on one file system. Blocks.
pub(crate) fn write(tmp: &Path, target: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(tmp)?;
    fs::create_dir_all(target)?;
    durable::replace(&tmp.join(name), &target.join(name), bytes, READABLE)
}

/// A file name for an id that may hold anything: the same id always gives the same name.
pub(crate) fn name_of(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !id.is_empty() && id.len() <= 100 && id.bytes().all(plain) {
        return id.to_owned();
    }
    format!("h-{}", hex::encode(Sha256::digest(id)))
}

/// A directory that cannot be written is the provider's fault: it concerns every message alike.
pub(crate) fn outcome_of(written: io::Result<()>) -> Outcome {
    match written {
        Ok(()) => Outcome::Accepted { reference: None },
        Err(error) => Outcome::of(
            Fault::new(Blame::Provider, Stage::Spool),
            format!("无法写入目录 / the directory cannot be written: {error}"),
            None,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_can_leave_the_directory() {
        for id in ["", "..", "../x", "/etc/x", "a/b", "a\0b", ".x", "a b", "号"] {
            let name = name_of(id);
            assert!(name.starts_with("h-") && name.len() == 66, "{id:?} {name}");
        }
        assert_eq!(name_of("0198c0de-7a11"), "0198c0de-7a11");
    }
}
