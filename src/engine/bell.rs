//! What somebody has been called for, so that each trouble is told once, again after a while as long as it stands, and once more when it
//! is over. It lies in a file beside the database: a daemon that the service manager starts again and again does not call each time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::channel::MailChannel;
use crate::channel::alarm::{self, Alarm, Word};
use crate::config::settings::Settings;
use crate::domain::text::Said;

/// When nobody could be reached, somebody is called again this soon.
const AGAIN_MIN: i64 = 1;

/// Written over the alarms that it knows of. What cannot be written is known as long as this process lives.
#[derive(Debug, Default)]
pub struct Bell {
    known: Mutex<BTreeMap<Alarm, Known>>,
    path: Option<PathBuf>,
}

/// One trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    said: Said,
    stands: bool,
    /// When somebody was called last, whether or not they could be reached.
    called_ms: Option<i64>,
    reached: bool,
    /// Somebody was told of it and has to hear that it is over.
    owed: bool,
}

impl Bell {
    /// Remembers what an earlier process has told.
    pub fn beside(database: &Path) -> Self {
        let path = database.with_extension("alarms");
        // One that is torn or missing only makes it call once more.
        let known = std::fs::read(&path).ok();
        let known = known.and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            known: Mutex::new(known.unwrap_or_default()),
            path: Some(path),
        }
    }

    /// Something is wrong, for the first time or still.
    pub fn stands(&self, kind: Alarm, said: Said) {
        let mut known = self.known();
        let entry = known.entry(kind).or_insert_with(|| Known {
            said: Said::default(),
            stands: true,
            called_ms: None,
            reached: false,
            owed: false,
        });
        (entry.said, entry.stands) = (said, true);
    }

    /// It is not wrong any more.
    pub fn over(&self, kind: Alarm) {
        if let Some(entry) = self.known().get_mut(&kind).filter(|entry| entry.stands) {
            entry.stands = false;
        }
    }

    /// What is to be told at this instant; each counts as called for. One that comes and goes is one trouble: it is told again only
    /// after the usual while.
    pub fn due(&self, now: Timestamp, every_min: i64) -> Vec<Word> {
        let now_ms = now.as_millisecond();
        let mut due = Vec::new();
        for (kind, entry) in self.known().iter_mut() {
            let pause = if entry.reached {
                every_min
            } else {
                AGAIN_MIN.min(every_min)
            };
            // A clock that was put back must not silence it.
            let waits = entry
                .called_ms
                .is_some_and(|last| (now_ms - last).abs() < SignedDuration::from_mins(pause).as_secs() * 1000);
            let is_over = !entry.stands && entry.owed && (entry.reached || !waits);
            if (entry.stands && !waits) || is_over {
                entry.called_ms = Some(now_ms);
                // Until it is known that somebody was.
                entry.reached = false;
                due.push(Word {
                    kind: *kind,
                    is_over,
                    said: entry.said.clone(),
                });
            }
        }
        due
    }

    /// Tells whatever is to be told at this instant, by every way that is set up.
    pub async fn ring(&self, settings: &Settings, mail: Option<&MailChannel>, place: &str, now: Timestamp) {
        let due = self.due(now, settings.alarm.every_min);
        if due.is_empty() {
            return;
        }
        // Before it takes time: the process may be ended over it.
        self.keep();
        let telling = due.iter().map(|word| async move {
            if alarm::tell(settings, mail, word, place, now).await {
                self.heard(word);
            }
        });
        futures_util::future::join_all(telling).await;
        self.keep();
    }

    /// Somebody was reached with this word.
    fn heard(&self, word: &Word) {
        if let Some(entry) = self.known().get_mut(&word.kind) {
            (entry.reached, entry.owed) = (true, !word.is_over);
        }
    }

    /// A few hundred bytes.
    fn keep(&self) {
        let Some(path) = &self.path else { return };
        let text = serde_json::to_vec(&*self.known()).unwrap_or_default();
        // On a full disk the file may still be written over. It needs not be durable: at worst somebody is called once more.
        if let Err(error) = std::fs::write(path, text) {
            let path = path.display();
            warn!("{path} cannot be written: {error}; a restart will call again for what is wrong");
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Alarm, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        Said::new("磁盘已满", "the disk is full")
    }

    /// What is told at this minute, and whether somebody is reached with it.
    fn told(bell: &Bell, minute: i64, reached: bool) -> Vec<(Alarm, bool)> {
        let due = bell.due(Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute), 60);
        for word in due.iter().filter(|_| reached) {
            bell.heard(word);
        }
        due.iter().map(|word| (word.kind, word.is_over)).collect()
    }

    #[test]
    fn each_trouble_is_told_once_again_after_a_while_and_when_it_is_over() {
        let bell = Bell::default();
        assert_eq!(told(&bell, 0, true), []);
        bell.over(Alarm::Full);
        assert_eq!(told(&bell, 0, true), [], "nothing was wrong");
        bell.stands(Alarm::Full, said());
        assert_eq!(told(&bell, 0, true), [(Alarm::Full, false)]);
        bell.stands(Alarm::Full, said());
        bell.stands(Alarm::Damage, said());
        assert_eq!(told(&bell, 59, true), [(Alarm::Damage, false)], "each for itself");
        assert_eq!(told(&bell, 60, true), [(Alarm::Full, false)], "it still stands");
        assert_eq!(told(&bell, -600, true).len(), 2, "the clock was put back");
        bell.over(Alarm::Full);
        assert_eq!(told(&bell, -599, true), [(Alarm::Full, true)]);
        assert_eq!(told(&bell, -598, true), []);
    }

    #[test]
    fn what_comes_and_goes_makes_no_storm() {
        let bell = Bell::default();
        let mut words = Vec::new();
        for minute in 0..60 {
            if minute % 2 == 0 {
                bell.stands(Alarm::Storage, said());
            } else {
                bell.over(Alarm::Storage);
            }
            words.extend(told(&bell, minute, true));
        }
        assert_eq!(words, [(Alarm::Storage, false), (Alarm::Storage, true)]);
        bell.stands(Alarm::Storage, said());
        assert_eq!(told(&bell, 61, true), [(Alarm::Storage, false)]);
    }

    #[test]
    fn whoever_cannot_be_reached_is_called_again_soon_and_is_owed_no_all_clear() {
        let bell = Bell::default();
        bell.stands(Alarm::Full, said());
        assert_eq!(told(&bell, 0, false), [(Alarm::Full, false)]);
        assert_eq!(told(&bell, 0, false), []);
        assert_eq!(told(&bell, 1, false), [(Alarm::Full, false)]);
        bell.over(Alarm::Full);
        assert_eq!(told(&bell, 2, true), []);
        bell.stands(Alarm::Full, said());
        assert_eq!(told(&bell, 3, true), [(Alarm::Full, false)]);
        bell.over(Alarm::Full);
        assert_eq!(told(&bell, 4, false), [(Alarm::Full, true)]);
        assert_eq!(
            told(&bell, 5, true),
            [(Alarm::Full, true)],
            "that it is over is told again, too"
        );
        assert_eq!(told(&bell, 6, true), []);
    }

    #[test]
    fn a_daemon_that_starts_again_and_again_does_not_call_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("xixin.db");
        for minute in 0..5 {
            let bell = Bell::beside(&database);
            bell.stands(Alarm::Start, said());
            let words = told(&bell, minute, true);
            bell.keep();
            assert_eq!(words.len(), usize::from(minute == 0), "start {minute}");
        }
        let bell = Bell::beside(&database);
        bell.over(Alarm::Start);
        assert_eq!(
            told(&bell, 5, true),
            [(Alarm::Start, true)],
            "told by an earlier process"
        );
        std::fs::write(database.with_extension("alarms"), "{\"disk-f").unwrap();
        let bell = Bell::beside(&database);
        bell.stands(Alarm::Start, said());
        assert_eq!(told(&bell, 6, true).len(), 1, "a torn file");
    }
}
