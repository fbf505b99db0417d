//! `sent.log`: what has left, outside the database, so that a database restored from a backup sends nothing a second time.
//!
//! Before a batch has any effect, the key of each of its messages is appended and made durable, once for the batch; what came of them
//! follows without haste, because a lost outcome only means that a person asks. A key is a hash of what makes a reminder the same
//! reminder (case, mark, recipient, way): nothing in the file tells whom it was for or what it said.
//!
//! ```text
//! @0199…         the database with this name begins to send
//! #17            the 17th batch of that database
//! +9f86d081…     is about to be sent
//! =9f86d081…     was taken by the provider
//! -9f86d081…     was not taken: it may be sent again
//! %2026-03-04    from here on it was this day (UTC)
//! ~17 2026-01-02 0199…   what the database with this name sent through its 17th batch, before this day, has been taken away
//! ```
//!
//! Each `-` is the end of one `+`: an attempt in doubt has no end, so a later one that was refused leaves the message in doubt.
//!
//! The number of the last batch is in the database as well, written with the attempts. A database that knows of fewer batches than the
//! log is an older one that somebody has put in its place, however that was done.
//!
//! What is needed by no backup that may still be restored is taken away (`sent::compact`); what was, is known by its number.

mod compact;
mod read;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use sha2::{Digest as _, Sha256};

use crate::{durable, plain};
use read::{Entry, Read, read};

/// Half of a SHA-256: enough that no two keys of one hall are ever the same.
pub type Key = [u8; 16];

/// The key of a message.
pub fn key(case: &str, mark: &str, recipient: &str, way: &str) -> Key {
    let mut hash = Sha256::new();
    for part in [case, mark, recipient, way] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut key = Key::default();
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

/// What the log says of a message that a database before this one sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// A provider took it.
    Sent,
    /// It was about to be sent; nothing says what became of it.
    Doubtful,
}

/// How the log and the database that is opened now go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// This database wrote the end of the log, or there was none.
    Same,
    /// A database with another name did: this one was restored.
    Restored,
    /// This database did, but it does not know of the last batches: an older copy of it was put in its place.
    Older,
    /// This database has sent, but the log says nothing of it: nobody can tell whether it is an older copy.
    Lost,
}

/// The disk did not make durable what was written to it.
#[derive(Debug, thiserror::Error)]
#[error("it was not made durable: {0}")]
struct Unsynced(io::Error);

/// Whether an error is that of a disk that did not make durable what was written.
pub fn is_sync_failure(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unsynced>())
}

/// The log of a process that sends.
#[derive(Debug)]
pub struct SentLog {
    path: PathBuf,
    /// `None` in a process that sends nothing: there every attempt to send fails.
    out: Option<Mutex<Out>>,
    earlier: HashMap<Key, Earlier>,
    /// How many names were in it.
    lives: i64,
    /// The day since which it knows all that left, when it does not know all of it that this database does not.
    gap: Option<Date>,
}

/// What the log holds that a database does not know of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// What left in later batches, or may have.
    pub left: Vec<(Key, Earlier)>,
    /// The last batch.
    pub serial: i64,
    /// The day since which all of it is known, when some of it has been taken away.
    pub gap: Option<Date>,
}

/// What became of everything that the log knows of.
#[derive(Debug, Default)]
pub struct Known(HashMap<Key, Entry>);

impl Known {
    /// `None` when nothing of it left, or nothing is known of it.
    pub fn get(&self, key: &Key) -> Option<Earlier> {
        self.0.get(key).map(|entry| entry.trace.earlier())
    }
}

/// The file that is written to.
#[derive(Debug)]
struct Out {
    file: File,
    /// The last day that was written.
    day: Option<Date>,
    /// The last name.
    name: Option<String>,
}

impl SentLog {
    /// For a process that looks and writes, but sends nothing.
    pub fn of_none() -> Self {
        Self {
            path: PathBuf::new(),
            out: None,
            earlier: HashMap::new(),
            lives: 0,
            gap: None,
        }
    }

    /// Opens the log for the database that is called `incarnation` and has recorded `serial` batches. Nothing is written yet.
    pub fn open(path: &Path, incarnation: &str, serial: i64) -> io::Result<(Self, Fit)> {
        plain::check(path)?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let mut read = read(&mut file)?;
        if !read.whole {
            // A power cut tore the last line: what is written next must not become part of it.
            file.write_all(b"\n")?;
        }
        let fit = match read.names.last() {
            None if serial > 0 => Fit::Lost,
            None => Fit::Same,
            Some(last) if last == incarnation && read.serial <= serial => Fit::Same,
            Some(_) if read.names.iter().any(|name| name == incarnation) => Fit::Older,
            Some(_) => Fit::Restored,
        };
        let gap = read.gap(incarnation, serial).filter(|_| fit == Fit::Older);
        if fit != Fit::Same {
            read.turn();
        }
        let log = Self {
            path: path.to_owned(),
            gap,
            out: Some(Mutex::new(Out {
                file,
                day: None,
                name: read.names.last().cloned(),
            })),
            lives: i64::try_from(read.names.len()).unwrap_or(i64::MAX),
            earlier: read
                .earlier
                .iter()
                .map(|(key, entry)| (*key, entry.trace.earlier()))
                .collect(),
        };
        if read.names.is_empty() {
            // The database will say that something was sent: a log that a power cut makes vanish would hold everything.
            durable::sync_dir_of(path)?;
        }
        if read.names.is_empty() && fit == Fit::Same {
            log.name(incarnation)?;
        }
        Ok((log, fit))
    }

    /// From here on it is the database with this name that sends.
    pub fn name(&self, incarnation: &str) -> io::Result<()> {
        let mut out = self.out()?;
        out.append(&format!("@{incarnation}\n"), true)?;
        out.name = Some(incarnation.to_owned());
        Ok(())
    }

    /// Whether it is the database with this name that sends.
    pub fn is_of(&self, incarnation: &str) -> bool {
        self.out().is_ok_and(|out| out.name.as_deref() == Some(incarnation))
    }

    /// Whether this process was started to send.
    pub fn is_written(&self) -> bool {
        self.out.is_some()
    }

    /// What a database does not know of that has recorded `serial` batches. Blocks.
    pub fn unknown_to(&self, serial: i64) -> io::Result<Unknown> {
        Ok(self.reread()?.unknown_to(serial))
    }

    /// Blocks.
    pub fn known(&self) -> io::Result<Known> {
        let mut found = self.reread()?;
        found.turn();
        Ok(Known(found.earlier))
    }

    /// Nothing is noted meanwhile.
    fn reread(&self) -> io::Result<Read> {
        let _out = self.out()?;
        read(&mut File::open(&self.path)?)
    }

    /// Makes the outcomes durable that were noted without haste. Blocks.
    pub fn make_durable(&self) -> io::Result<()> {
        self.out()?.sync()
    }

    /// How many databases had sent before this one was opened.
    pub fn lives(&self) -> i64 {
        self.lives
    }

    /// Of an older copy that was put in place by hand: what had left before this day and after the copy was made, nobody knows any more.
    pub fn gap(&self) -> Option<Date> {
        self.gap
    }

    /// How many messages databases before this one have sent, or may have.
    pub fn earlier_count(&self) -> usize {
        self.earlier.len()
    }

    /// What became of a message in a database before this one.
    pub fn earlier(&self, key: &Key) -> Option<Earlier> {
        self.earlier.get(key).copied()
    }

    /// Notes durably that these are about to be sent. Blocks.
    pub fn starting(&self, now: Timestamp, serial: i64, keys: &[Key]) -> io::Result<()> {
        let mut out = self.out()?;
        let today = Offset::UTC.to_datetime(now).date();
        let mut text = String::new();
        if out.day != Some(today) {
            text = format!("%{today}\n");
        }
        text += &format!("#{serial}\n");
        for key in keys {
            line(&mut text, '+', key);
        }
        out.append(&text, true)?;
        out.day = Some(today);
        Ok(())
    }

    /// Notes what came of messages: whether a provider took them. Blocks.
    pub fn ended(&self, ends: &[(Key, bool)]) -> io::Result<()> {
        let mut text = String::new();
        for (key, taken) in ends {
            line(&mut text, if *taken { '=' } else { '-' }, key);
        }
        self.append(&text, false)
    }

    /// Whether the log takes what sending has to note.
    pub fn probe(&self) -> io::Result<()> {
        self.append("\n", true)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, text: &str, durably: bool) -> io::Result<()> {
        self.out()?.append(text, durably)
    }

    fn out(&self) -> io::Result<MutexGuard<'_, Out>> {
        let out = self.out.as_ref().ok_or_else(|| {
            io::Error::other("this process was not started to send, so it has no sent.log to note messages in")
        })?;
        Ok(out.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Out {
    fn append(&mut self, text: &str, durably: bool) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        if durably { self.sync() } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(unsynced)
    }
}

fn unsynced(error: io::Error) -> io::Error {
    io::Error::other(Unsynced(error))
}

/// The day since which the log at `path` knows all that left, when a backup of the database with this name, made at batch `serial`, is
/// older than that; `None` when the log reaches back to it.
pub fn gap(path: &Path, incarnation: &str, serial: i64) -> io::Result<Option<Date>> {
    plain::check(path)?;
    match File::open(path) {
        Ok(mut file) => Ok(read(&mut file)?.gap(incarnation, serial)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn line(text: &mut String, sign: char, key: &Key) {
    text.push(sign);
    text.push_str(&hex::encode(key));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ordinary_file_is_refused_before_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let refused = SentLog::open(&path, "a", 0).unwrap_err();
        assert!(refused.to_string().contains("ordinary file"), "{refused}");
        let refused = gap(&path, "a", 0).unwrap_err();
        assert!(refused.to_string().contains("ordinary file"), "{refused}");
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn k(name: &str) -> Key {
        key("2026-000001", name, "person:p-1", "sms")
    }

    #[test]
    fn only_what_another_database_sent_counts_as_sent_earlier() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let (log, fit) = SentLog::open(&path, "one", 0).unwrap();
        assert_eq!(fit, Fit::Same);
        log.starting(NOW, 1, &[k("sent"), k("cut"), k("refused")]).unwrap();
        log.ended(&[(k("sent"), true), (k("refused"), false)]).unwrap();
        // The same database again: what it has sent is in its own ledger.
        let (log, fit) = SentLog::open(&path, "one", 1).unwrap();
        assert_eq!((fit, log.earlier(&k("sent"))), (Fit::Same, None));

        let (log, fit) = SentLog::open(&path, "two", 0).unwrap();
        assert_eq!(fit, Fit::Restored);
        log.name("two").unwrap();
        for log in [log, SentLog::open(&path, "two", 0).unwrap().0] {
            assert_eq!(log.earlier(&k("sent")), Some(Earlier::Sent));
            assert_eq!(log.earlier(&k("cut")), Some(Earlier::Doubtful));
            assert_eq!(log.earlier(&k("refused")), None);
            assert_eq!(log.earlier(&k("never")), None);
        }
    }

    #[test]
    fn a_refusal_does_not_end_the_doubt_of_an_attempt_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let (log, _) = SentLog::open(&path, "one", 0).unwrap();
        let both = [k("doubt"), k("asked"), k("bounced")];
        log.starting(NOW, 1, &both).unwrap();
        log.starting(NOW, 2, &both).unwrap();
        log.ended(&[(k("doubt"), false), (k("asked"), false), (k("bounced"), true)])
            .unwrap();
        log.ended(&[(k("bounced"), false)]).unwrap();
        let (log, _) = SentLog::open(&path, "two", 0).unwrap();
        log.name("two").unwrap();
        // The gateway is asked by the restored database about what one before it had sent.
        log.ended(&[(k("asked"), false)]).unwrap();
        let (log, _) = SentLog::open(&path, "three", 0).unwrap();
        assert_eq!(log.earlier(&k("doubt")), Some(Earlier::Doubtful));
        assert_eq!(log.earlier(&k("asked")), None);
        assert_eq!(log.earlier(&k("bounced")), None, "it came back");
    }

    #[test]
    fn a_database_that_knows_of_fewer_batches_than_the_log_is_an_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let (log, _) = SentLog::open(&path, "one", 0).unwrap();
        log.starting(NOW, 1, &[k("a")]).unwrap();
        log.starting(NOW, 2, &[k("b")]).unwrap();
        assert_eq!(
            SentLog::open(&path, "one", 3).unwrap().1,
            Fit::Same,
            "the last batch was never noted"
        );
        assert_eq!(SentLog::open(&path, "one", 2).unwrap().1, Fit::Same);
        let (log, fit) = SentLog::open(&path, "one", 1).unwrap();
        assert_eq!((fit, log.earlier(&k("b"))), (Fit::Older, Some(Earlier::Doubtful)));
        // The database that was put aside comes back.
        log.name("two").unwrap();
        assert_eq!(SentLog::open(&path, "one", 2).unwrap().1, Fit::Older);
    }

    #[test]
    fn a_database_that_lacks_the_last_batches_is_told_what_left_in_them_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let (log, _) = SentLog::open(&path, "one", 0).unwrap();
        log.starting(NOW, 1, &[k("known"), k("again")]).unwrap();
        log.ended(&[(k("known"), true), (k("again"), false)]).unwrap();
        log.starting(NOW, 2, &[k("again"), k("cut"), k("refused")]).unwrap();
        log.ended(&[(k("again"), true), (k("refused"), false)]).unwrap();
        let unknown = |serial| {
            let mut unknown = log.unknown_to(serial).unwrap();
            unknown.left.sort_unstable_by_key(|(key, _)| *key == k("cut"));
            unknown
        };
        let left = vec![(k("again"), Earlier::Sent), (k("cut"), Earlier::Doubtful)];
        let expected = Unknown {
            left,
            serial: 2,
            gap: None,
        };
        assert_eq!(unknown(1), expected);
        assert!(unknown(2).left.is_empty());
        // It is told again in the next life, in which nothing was sent yet.
        assert!(log.is_of("one") && !log.is_of("two"));
        log.name("two").unwrap();
        assert!(log.is_of("two"));
        assert_eq!(unknown(1), expected);
        let known = log.known().unwrap();
        assert_eq!(known.get(&k("known")), Some(Earlier::Sent));
        assert_eq!(known.get(&k("cut")), Some(Earlier::Doubtful));
        assert_eq!(known.get(&k("refused")), None);
    }

    #[test]
    fn a_log_that_is_gone_or_garbled_is_not_taken_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let (log, fit) = SentLog::open(&path, "one", 0).unwrap();
        assert_eq!(fit, Fit::Same, "nothing was ever sent");
        log.starting(NOW, 1, &[k("a")]).unwrap();
        for rest in [None, Some(&b""[..]), Some(b"\0\0\0\0\n\xff\n")] {
            std::fs::remove_file(&path).unwrap();
            if let Some(rest) = rest {
                std::fs::write(&path, rest).unwrap();
            }
            for _ in 0..2 {
                let (_, fit) = SentLog::open(&path, "one", 1).unwrap();
                assert_eq!(fit, Fit::Lost, "until it is named anew");
            }
            SentLog::open(&path, "one", 1).unwrap().0.name("one").unwrap();
            assert_eq!(SentLog::open(&path, "one", 1).unwrap().1, Fit::Same);
        }
    }

    #[test]
    fn a_torn_end_costs_its_own_line_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let (log, _) = SentLog::open(&path, "one", 0).unwrap();
        log.starting(NOW, 1, &[k("a"), k("b")]).unwrap();
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (log, _) = SentLog::open(&path, "two", 0).unwrap();
            log.name("two").unwrap();
            log.starting(NOW, 1, &[k("c")]).unwrap();
            let (log, _) = SentLog::open(&path, "three", 0).unwrap();
            assert_eq!(log.earlier(&k("c")), Some(Earlier::Doubtful), "cut at {cut}");
        }
    }

    #[test]
    fn a_process_that_was_not_started_to_send_cannot() {
        assert!(SentLog::of_none().starting(NOW, 1, &[k("a")]).is_err());
    }

    #[test]
    fn parts_of_a_key_cannot_run_into_each_other() {
        assert_ne!(key("ab", "c", "", ""), key("a", "bc", "", ""));
    }
}
