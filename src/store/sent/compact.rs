//! Keeping `sent.log` small. What left so long ago that no backup from before it may be restored any more is taken away, and of the
//! rest one line per message is enough. The new file gets the name at once and whole, so that a crash leaves the old one or the new one.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::read::{Entry, Read, Trace, read};
use super::{Key, Out, SentLog, line, unsynced};
use crate::durable;

/// A rewritten log that is not smaller by this much is not worth it: three quarters of what it was.
const SMALLER: (u64, u64) = (3, 4);

impl SentLog {
    /// Takes away what left more than `days` before the newest day in it, once that makes it a good deal smaller; 0 days take nothing
    /// away. Returns how many bytes it has lost. Nothing is noted meanwhile. Blocks.
    pub fn compact(&self, days: u32) -> io::Result<u64> {
        let Some(out) = &self.out else { return Ok(0) };
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = File::open(&self.path)?;
        let before = file.metadata()?.len();
        let mut found = read(&mut file)?;
        if !found.whole {
            // Somebody else writes to it.
            return Ok(0);
        }
        if let Some(since) = since(&found, days) {
            found.drop_before(since);
        }
        let text = found.text();
        let after = text.len() as u64;
        if after * SMALLER.1 > before * SMALLER.0 {
            return Ok(0);
        }
        let draft = self.draft();
        // One that a crash has left.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let made = write(&draft, &text);
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                // It is worth nothing; the old log stands.
                let _ = fs::remove_file(&draft);
                return Err(error);
            }
        };
        fs::rename(&draft, &self.path)?;
        // From here on lines go into the new file: a name that is not durable would lose them with the power.
        let name = out.name.take();
        *out = Out {
            file: made,
            day: None,
            name,
        };
        durable::sync_dir_of(&self.path).map_err(unsynced)?;
        Ok(before - after)
    }

    fn draft(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        name.into()
    }
}

fn write(draft: &Path, text: &str) -> io::Result<File> {
    let mut make = OpenOptions::new();
    let mut file = make.append(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(file)
}

/// Counted from the newest day in the log, not from today: a clock that is wrong takes nothing away.
fn since(found: &Read, days: u32) -> Option<Date> {
    if days == 0 {
        return None;
    }
    let newest = found.newest_day()?;
    newest.checked_sub(i64::from(days).days()).ok()
}

/// What is written of one day below one name.
#[derive(Default)]
struct Day {
    serial: i64,
    keys: Vec<(Key, Trace)>,
}

impl Read {
    /// Takes away what was last written before this day, and remembers through which batch.
    fn drop_before(&mut self, since: Date) {
        let is_old = |day: &Option<Date>| day.is_some_and(|day| day < since);
        self.earlier.retain(|_, entry| !is_old(&entry.day));
        self.current.retain(|_, entry| !is_old(&entry.day));
        let names = &self.names;
        let old: Vec<(usize, i64)> = self
            .days
            .iter()
            .filter(|((_, day), _)| is_old(day))
            .map(|((name, _), serial)| (*name, *serial))
            .collect();
        self.days.retain(|(_, day), _| !is_old(day));
        for (name, serial) in old {
            // Batches are numbered below a name.
            let Some(name) = name.checked_sub(1).and_then(|place| names.get(place)) else {
                continue;
            };
            let through = self.forgotten.get(name).map_or(0, |(through, _)| *through);
            self.forgotten.insert(name.clone(), (through.max(serial), since));
        }
    }

    /// The shortest log that says the same.
    fn text(&self) -> String {
        let mut text = String::new();
        let last = self.names.len();
        for place in 0..=last {
            if let Some(name) = place.checked_sub(1).and_then(|place| self.names.get(place)) {
                text += &format!("@{name}\n");
            }
            let days = self.days.iter().filter(|((name, _), _)| *name == place);
            let mut groups: BTreeMap<Option<Date>, Day> = BTreeMap::new();
            for ((_, day), serial) in days {
                groups.entry(*day).or_default().serial = *serial;
            }
            // All that was written below earlier names may stand below the one before the last.
            let none = HashMap::new();
            let entries = if place == last {
                &self.current
            } else if place + 1 == last {
                &self.earlier
            } else {
                &none
            };
            for (key, Entry { trace, day, .. }) in entries {
                groups.entry(*day).or_default().keys.push((*key, *trace));
            }
            for (day, Day { serial, mut keys }) in groups {
                if let Some(day) = day {
                    text += &format!("%{day}\n");
                }
                if serial > 0 {
                    text += &format!("#{serial}\n");
                }
                keys.sort_unstable_by_key(|(key, _)| *key);
                for (key, trace) in keys {
                    match trace {
                        Trace::Sent => line(&mut text, '=', &key),
                        Trace::Open(count) => (0..count).for_each(|_| line(&mut text, '+', &key)),
                    }
                }
            }
            if place == last {
                for (name, (through, day)) in &self.forgotten {
                    text += &format!("~{through} {day} {name}\n");
                }
            }
        }
        // What is written next without a day is of no earlier one.
        if let Some(day) = self.newest_day() {
            text += &format!("%{day}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::super::{Earlier, Fit, gap, key};
    use super::*;

    const DAYS: u32 = 30;

    fn day(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * number)
    }

    fn k(name: &str) -> Key {
        key("2026-000001", name, "person:p-1", "sms")
    }

    /// A year of one message a day, all taken; two were cut off, of which one is old.
    fn year(path: &Path) -> SentLog {
        let (log, _) = SentLog::open(path, "one", 0).unwrap();
        for number in 0..365 {
            let name = k(&number.to_string());
            log.starting(day(number), number + 1, &[name]).unwrap();
            if ![3, 360].contains(&number) {
                log.ended(&[(name, true)]).unwrap();
            }
        }
        log
    }

    #[test]
    fn what_is_old_goes_what_is_not_stays_and_the_log_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let log = year(&path);
        assert!(log.compact(0).unwrap() > 0, "one line per message is enough");
        assert_eq!(log.compact(0).unwrap(), 0, "it is as small as it gets");
        let before = fs::metadata(&path).unwrap().len();
        let lost = log.compact(DAYS).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), before - lost);
        assert_eq!(log.compact(DAYS).unwrap(), 0);
        log.starting(day(365), 366, &[k("later")]).unwrap();

        let (again, fit) = SentLog::open(&path, "one", 366).unwrap();
        assert_eq!((fit, again.gap()), (Fit::Same, None));
        let (again, fit) = SentLog::open(&path, "two", 300).unwrap();
        assert_eq!(fit, Fit::Restored);
        let known = |number: i64| again.earlier(&k(&number.to_string()));
        for number in 0..365 {
            let expected = match number {
                ..334 => None,
                360 => Some(Earlier::Doubtful),
                _ => Some(Earlier::Sent),
            };
            assert_eq!(known(number), expected, "{number}");
        }
        assert_eq!(again.earlier(&k("later")), Some(Earlier::Doubtful));
    }

    #[test]
    fn a_backup_that_is_older_than_the_log_is_known_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        year(&path).compact(DAYS).unwrap();
        let since: Date = "1970-12-01".parse().unwrap();
        // Day 334 is the first that is kept: 334 batches were before it.
        assert_eq!(gap(&path, "one", 333).unwrap(), Some(since));
        assert_eq!(gap(&path, "one", 334).unwrap(), None);
        assert_eq!(gap(&path, "another", 1).unwrap(), None);
        let (log, fit) = SentLog::open(&path, "one", 333).unwrap();
        assert_eq!((fit, log.gap()), (Fit::Older, Some(since)));
        // It stays known when more is taken away, and under later names.
        log.name("two").unwrap();
        log.starting(day(800), 1, &[k("x")]).unwrap();
        log.compact(DAYS).unwrap();
        assert_eq!(gap(&path, "one", 364).unwrap(), Some("1972-02-10".parse().unwrap()));
        assert_eq!(gap(&path, "two", 0).unwrap(), None);
        assert_eq!(gap(&dir.path().join("none"), "one", 0).unwrap(), None);
    }

    #[test]
    fn what_an_earlier_version_wrote_counts_from_the_day_this_one_began() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sent.log");
        let (log, _) = SentLog::open(&path, "one", 0).unwrap();
        let mut old = String::from("@one\n");
        for number in 0..50 {
            old += &format!("#{}\n", number + 1);
            line(&mut old, '+', &k(&number.to_string()));
            line(&mut old, '=', &k(&number.to_string()));
        }
        fs::write(&path, &old).unwrap();
        assert!(log.compact(DAYS).unwrap() > 0);
        log.starting(day(1000), 51, &[k("new")]).unwrap();
        log.compact(DAYS).unwrap();
        let (log, _) = SentLog::open(&path, "two", 0).unwrap();
        assert_eq!(log.earlier_count(), 51, "none of them may be older than thirty days");
    }

    /// At every step of a compaction the power may go: after it the old log is there or the new one, and either keeps everything that
    /// is not old from leaving again.
    #[test]
    fn a_crash_at_any_step_leaves_the_old_log_or_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, draft) = (dir.path().join("sent.log"), dir.path().join("sent.log.new"));
        drop(year(&path));
        let old = fs::read(&path).unwrap();
        SentLog::open(&path, "one", 365).unwrap().0.compact(DAYS).unwrap();
        let new = fs::read(&path).unwrap();
        // What the disk may hold: while the draft is written it is of any length, even with its name gone; then one of both.
        let torn = (0..=new.len())
            .step_by(97)
            .map(|cut| (old.as_slice(), Some(&new[..cut])));
        let images = torn.chain([
            (old.as_slice(), None),
            (old.as_slice(), Some(new.as_slice())),
            (new.as_slice(), None),
        ]);
        for (log, left) in images {
            fs::write(&path, log).unwrap();
            match left {
                Some(left) => fs::write(&draft, left).unwrap(),
                None => drop(fs::remove_file(&draft)),
            }
            // The same database goes on, compacts and sends; then it is lost, and a backup of the last month takes its place.
            let (again, fit) = SentLog::open(&path, "one", 365).unwrap();
            assert_eq!((fit, again.gap()), (Fit::Same, None));
            again.compact(DAYS).unwrap();
            assert_eq!(fs::read(&path).unwrap(), new);
            assert!(!draft.exists() || left.is_some());
            again.starting(day(365), 366, &[k("after")]).unwrap();
            let (restored, _) = SentLog::open(&path, "two", 340).unwrap();
            for number in 340..365 {
                assert!(restored.earlier(&k(&number.to_string())).is_some(), "{number}");
            }
            assert_eq!(restored.earlier(&k("after")), Some(Earlier::Doubtful));
        }
    }

    /// A log that was compacted says the same as one that was not, whatever is written afterwards.
    #[test]
    fn nothing_that_is_written_afterwards_is_understood_otherwise() {
        let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..300 {
            let dir = tempfile::tempdir().unwrap();
            let (one, two) = (dir.path().join("one.log"), dir.path().join("two.log"));
            let mut lines = |count: u64, names: bool| {
                let mut text = String::new();
                for _ in 0..count {
                    let name = k(&random(6).to_string());
                    match random(if names { 12 } else { 9 }) {
                        0..4 => line(&mut text, '+', &name),
                        4..6 => line(&mut text, '=', &name),
                        6..8 => line(&mut text, '-', &name),
                        8 => text += &format!("#{}\n", random(40)),
                        9 => text += &format!("@{}\n", random(4)),
                        _ => text += &format!("%2026-03-0{}\n", 1 + random(9)),
                    }
                }
                text
            };
            let (before, after) = (lines(60, true), lines(10, false));
            fs::write(&one, format!("@first\n{before}")).unwrap();
            fs::copy(&one, &two).unwrap();
            let name = "last";
            SentLog::open(&two, name, 0).unwrap().0.compact(0).unwrap();
            let known = |path: &Path| {
                let mut text = fs::read_to_string(path).unwrap();
                text += &after;
                fs::write(path, text).unwrap();
                let mut read = read(&mut File::open(path).unwrap()).unwrap();
                read.turn();
                let mut keys: Vec<(Key, Trace)> = read.earlier.iter().map(|(key, entry)| (*key, entry.trace)).collect();
                keys.sort_unstable_by_key(|(key, _)| *key);
                (read.names, read.serial, keys)
            };
            assert_eq!(known(&one), known(&two), "{before}");
        }
    }
}
