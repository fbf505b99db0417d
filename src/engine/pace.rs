//! How many reminders to claim at once. Each message of a batch is in doubt from the moment its attempt is recorded until it is answered,
//! also while it waits for a line; a crash leaves all of them so. A batch is therefore about as large as finds its lines within a
//! moment: with a slow provider hardly more than there are lines, and with a fast one each commit carries many.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// From the record of the attempts until the last one has a line.
const WAITING: Duration = Duration::from_millis(200);
/// From the claim until then: judging and rendering may take longer than the provider.
const WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Pace {
    size: AtomicI64,
    max: i64,
}

impl Pace {
    /// Begins with few: nothing is known of the provider yet.
    pub(crate) fn new(max: i64) -> Self {
        Self {
            size: AtomicI64::new((max / 16).max(1)),
            max,
        }
    }

    /// How many to claim now.
    pub(crate) fn size(&self) -> i64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Every message of a batch has a line: so long after the claim, and after the record. A slow one halves the next, a fast and full
    /// one doubles it.
    fn took(&self, claimed: usize, whole: Duration, waiting: Duration) {
        let size = self.size();
        let full = i64::try_from(claimed).is_ok_and(|claimed| claimed >= size);
        if whole > WITHIN || waiting > WAITING {
            self.size.store((size / 2).max(1), Ordering::Relaxed);
        } else if full && whole < WITHIN / 2 && waiting < WAITING / 2 {
            self.size.store((size * 2).min(self.max), Ordering::Relaxed);
        }
    }
}

/// The batches of one way that still have something to begin.
#[derive(Debug, Default)]
pub(crate) struct Slots(Arc<AtomicUsize>);

/// A batch of which not every message has begun; when it is dropped, there is room for another.
#[derive(Debug)]
pub(crate) struct Slot {
    taken: Arc<AtomicUsize>,
    pace: Arc<Pace>,
    claimed: usize,
    since: Instant,
    recorded: Option<Instant>,
    bell: Arc<Notify>,
}

impl Slot {
    /// Its attempts are on record; from now on they are in doubt.
    pub(crate) fn recorded(&mut self) {
        self.recorded = Some(Instant::now());
    }
}

impl Slots {
    pub(crate) fn take(&self, pace: Arc<Pace>, claimed: usize, bell: &Arc<Notify>) -> Slot {
        self.0.fetch_add(1, Ordering::AcqRel);
        Slot {
            taken: Arc::clone(&self.0),
            pace,
            claimed,
            since: Instant::now(),
            recorded: None,
            bell: Arc::clone(bell),
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let waiting = self.recorded.map(|recorded| recorded.elapsed());
        self.pace
            .took(self.claimed, self.since.elapsed(), waiting.unwrap_or_default());
        self.taken.fetch_sub(1, Ordering::AcqRel);
        self.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_batch_makes_room_when_its_last_message_has_begun() {
        let (slots, pace, bell) = (Slots::default(), Arc::new(Pace::new(8)), Arc::new(Notify::new()));
        let first = Arc::new(slots.take(Arc::clone(&pace), 2, &bell));
        let second = slots.take(Arc::clone(&pace), 2, &bell);
        assert_eq!(slots.taken(), 2);
        let message = Arc::clone(&first);
        drop(first);
        assert_eq!(slots.taken(), 2);
        drop(message);
        assert_eq!(slots.taken(), 1);
        bell.notified().await;
        drop(second);
        assert_eq!(slots.taken(), 0);
    }

    #[test]
    fn a_slow_provider_is_given_little_at_a_time_and_a_fast_one_much() {
        let pace = Pace::new(256);
        let ms = Duration::from_millis;
        let sizes = |claimed: usize, waiting: u64| {
            pace.took(claimed, ms(waiting + 50), ms(waiting));
            pace.size()
        };
        assert_eq!(pace.size(), 16);
        let fast: Vec<i64> = [16, 32, 64, 128, 256].map(|claimed| sizes(claimed, 10)).into();
        assert_eq!(fast, [32, 64, 128, 256, 256]);
        // Not full: the queue was short, which says nothing about the provider.
        assert_eq!([sizes(256, 6_000), sizes(3, 10), sizes(128, 150)], [128, 128, 128]);
        let slow: Vec<i64> = (0..9).map(|_| sizes(1, 300)).collect();
        assert_eq!(slow, [64, 32, 16, 8, 4, 2, 1, 1, 1]);
        assert_eq!(sizes(1, 5), 2);
    }

    #[test]
    fn what_takes_long_to_render_is_claimed_little_at_a_time_too() {
        let pace = Pace::new(256);
        pace.took(16, Duration::from_secs(3), Duration::ZERO);
        assert_eq!(pace.size(), 8);
        // A slow disk is no reason for small batches: each of them costs as many commits.
        pace.took(8, Duration::from_millis(900), Duration::ZERO);
        assert_eq!(pace.size(), 16);
    }
}
