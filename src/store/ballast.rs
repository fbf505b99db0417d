//! Room kept free on the disk of the database. When the disk is full it is given up, so that what came of messages that are on the wire
//! can still be written; nothing new leaves before there is room for it again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// How far the write-ahead log grows before its pages move into the database (SQLite's `wal_autocheckpoint`, 1000 pages of 4 KiB).
const LOG_MAX: u64 = 4 << 20;
/// For what that log does not count.
const MORE: u64 = 4 << 20;
const SIZE: u64 = LOG_MAX + MORE;

/// A file that is worth nothing but its size.
#[derive(Debug)]
pub struct Ballast {
    path: Option<PathBuf>,
    /// Given up, and not taken again since.
    away: AtomicBool,
}

impl Ballast {
    /// Beside the database, on the same disk.
    pub fn beside(database: &Path) -> Self {
        Self {
            path: Some(database.with_extension("ballast")),
            away: AtomicBool::new(false),
        }
    }

    /// For a process that sends nothing.
    pub fn of_none() -> Self {
        Self {
            path: None,
            away: AtomicBool::new(false),
        }
    }

    /// Makes sure that the room is taken. What cannot be taken whole is given back. Blocks.
    pub fn keep(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if !fs::metadata(path).is_ok_and(|found| found.len() == SIZE)
            && let Err(error) = fill(path)
        {
            self.give_up()?;
            return Err(error);
        }
        self.away.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Whether it was given up and is not back yet.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }

    /// Gives the room back. Blocks.
    pub fn give_up(&self) -> io::Result<()> {
        self.away.store(self.path.is_some(), Ordering::SeqCst);
        match self.path.as_ref().map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Bytes that no file system can store in less room than they take, so no zeros; they mean nothing.
fn fill(path: &Path) -> io::Result<()> {
    let mut make = OpenOptions::new();
    let mut file = make.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut block = vec![0; 64 << 10];
    let mut left = SIZE;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            // Xorshift (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block)?;
        left -= block.len() as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_given_up_and_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::beside(&dir.path().join("xixin.db"));
        let file = dir.path().join("xixin.ballast");
        ballast.give_up().unwrap();
        ballast.keep().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().len(), SIZE);
        // Only half of it is there: a run died while it was taken.
        OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(SIZE / 2)
            .unwrap();
        ballast.keep().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().len(), SIZE);
        assert!(!ballast.is_away());
        ballast.give_up().unwrap();
        assert!(ballast.is_away() && !file.exists());
    }

    #[test]
    fn room_that_cannot_be_taken_is_not_half_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Ballast::beside(&dir.path().join("missing/xixin.db")).keep().is_err());
    }
}
