//! What the lines of `sent.log` come to.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};

use jiff::civil::Date;

use super::{Earlier, Key, Unknown};

/// What a log file holds.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The names in it, in order.
    pub(super) names: Vec<String>,
    /// The highest number of a batch below the last name.
    pub(super) serial: i64,
    /// All that was written below names before the last one.
    pub(super) earlier: HashMap<Key, Entry>,
    /// The same below the last name.
    pub(super) current: HashMap<Key, Entry>,
    /// The days of each name, as its place in `names`, with the highest number of a batch on each. `None`: before any day was written.
    pub(super) days: BTreeMap<(usize, Option<Date>), i64>,
    /// Through which batch, and before which day, what the database with this name sent has been taken away.
    pub(super) forgotten: BTreeMap<String, (i64, Date)>,
    /// The day and the batch of the lines that are read now.
    day: Option<Date>,
    batch: i64,
    /// Whether the last line is whole.
    pub(super) whole: bool,
}

/// What is known of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) trace: Trace,
    /// When that was last written; `None` before any day was written.
    pub(super) day: Option<Date>,
    /// The batch in which it was last about to be sent; after lines were taken together, the last of its day.
    pub(super) serial: i64,
}

/// What the lines about one message come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    Sent,
    /// So many attempts have no end.
    Open(u32),
}

impl Trace {
    pub(super) fn earlier(self) -> Earlier {
        match self {
            Self::Sent => Earlier::Sent,
            Self::Open(_) => Earlier::Doubtful,
        }
    }
}

/// One more attempt, or as many.
fn open(traces: &mut HashMap<Key, Entry>, key: Key, more: u32, (day, serial): (Option<Date>, i64)) {
    let before = match traces.get(&key).map(|entry| entry.trace) {
        Some(Trace::Open(count)) => count,
        Some(Trace::Sent) | None => 0,
    };
    let trace = Trace::Open(before.saturating_add(more));
    traces.insert(key, Entry { trace, day, serial });
}

/// One attempt was not taken. False when nothing is known of any.
fn close(traces: &mut HashMap<Key, Entry>, key: &Key, day: Option<Date>) -> bool {
    match traces.get_mut(key) {
        Some(Entry {
            trace: Trace::Open(count),
            day: written,
            ..
        }) if *count > 1 => {
            *count -= 1;
            *written = day;
        }
        Some(_) => drop(traces.remove(key)),
        None => return false,
    }
    true
}

pub(super) fn read(file: &mut File) -> io::Result<Read> {
    let mut found = Read {
        whole: true,
        ..Read::default()
    };
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file.take(u64::MAX));
    let mut raw = Vec::new();
    while reader.read_until(b'\n', &mut raw)? > 0 {
        found.whole = raw.pop_if(|last| *last == b'\n').is_some();
        if found.whole
            && let Ok(text) = std::str::from_utf8(&raw)
        {
            found.take(text);
        }
        raw.clear();
    }
    Ok(found)
}

impl Read {
    /// Lines that nobody can read are those that a power cut left.
    fn take(&mut self, text: &str) {
        let mut letters = text.chars();
        let (sign, rest) = (letters.next(), letters.as_str());
        match sign {
            Some('@') => {
                self.names.push(rest.to_owned());
                self.serial = 0;
                self.turn();
            }
            Some('#') => self.count(rest.parse().unwrap_or(0)),
            Some('%') => self.turn_to(rest),
            Some('~') => self.forget(rest),
            Some(sign @ ('+' | '=' | '-')) => {
                let mut key = Key::default();
                if hex::decode_to_slice(rest, &mut key).is_err() {
                    return;
                }
                let (day, trace) = (self.day, Trace::Sent);
                match sign {
                    '+' => open(&mut self.current, key, 1, (day, self.batch)),
                    '=' => {
                        // An outcome comes when other batches have begun.
                        let serial = self.current.get(&key).map_or(self.batch, |entry| entry.serial);
                        self.current.insert(key, Entry { trace, day, serial });
                    }
                    // What an earlier database could not send, this one may.
                    _ => drop(close(&mut self.current, &key, day) || close(&mut self.earlier, &key, day)),
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, serial: i64) {
        self.batch = serial;
        self.serial = self.serial.max(serial);
        let highest = self.days.entry((self.names.len(), self.day)).or_default();
        *highest = (*highest).max(serial);
    }

    fn turn_to(&mut self, day: &str) {
        let Ok(day) = day.parse::<Date>() else { return };
        if self.day.is_none() {
            // What an earlier version wrote is not older than the day on which this one began.
            let entries = self.earlier.values_mut().chain(self.current.values_mut());
            entries.for_each(|entry| entry.day = Some(day));
            let days = std::mem::take(&mut self.days).into_iter();
            self.days = days.map(|((name, _), serial)| ((name, Some(day)), serial)).collect();
        }
        self.day = Some(day);
    }

    /// `17 2026-01-02 NAME`
    fn forget(&mut self, line: &str) {
        let mut words = line.splitn(3, ' ');
        let (Some(serial), Some(day), Some(name)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        if let (Ok(serial), Ok(day)) = (serial.parse(), day.parse()) {
            self.forgotten.insert(name.to_owned(), (serial, day));
        }
    }

    /// What the database of the last name did was done by one before from now on.
    pub(super) fn turn(&mut self) {
        for (key, entry) in std::mem::take(&mut self.current) {
            match entry.trace {
                Trace::Sent => drop(self.earlier.insert(key, entry)),
                Trace::Open(count) => open(&mut self.earlier, key, count, (entry.day, entry.serial)),
            }
        }
    }

    /// What a database does not know of that has recorded `serial` batches. They are numbered on from one life of it to the next.
    pub(super) fn unknown_to(mut self, serial: i64) -> Unknown {
        let last = self.days.values().copied().max().unwrap_or(0);
        let last = last.max(self.forgotten.values().map(|(through, _)| *through).max().unwrap_or(0));
        let gaps = self.forgotten.values().filter(|(through, _)| *through > serial);
        let gap = gaps.map(|(_, day)| *day).max();
        self.turn();
        let later = self.earlier.into_iter().filter(|(_, entry)| entry.serial > serial);
        Unknown {
            left: later.map(|(key, entry)| (key, entry.trace.earlier())).collect(),
            serial: last,
            gap,
        }
    }

    /// The newest day of all: a clock may have been put back.
    pub(super) fn newest_day(&self) -> Option<Date> {
        self.days.keys().filter_map(|(_, day)| *day).max()
    }

    /// Since when it knows all that left, if it does not know all that left after the database of this name had recorded `serial`.
    pub(super) fn gap(&self, name: &str, serial: i64) -> Option<Date> {
        let (through, day) = self.forgotten.get(name)?;
        (*through > serial).then_some(*day)
    }
}
