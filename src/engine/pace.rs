//! How many reminders to claim at once: about as many as leave within two seconds, so that with a slow provider little is judged and
//! recorded long before it leaves, and with a fast one each commit carries many.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A batch should leave within this time.
const WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Pace {
    size: AtomicI64,
    max: i64,
}

impl Pace {
    /// Begins at a quarter of `max`.
    pub(crate) fn new(max: i64) -> Self {
        Self {
            size: AtomicI64::new((max / 4).max(1)),
            max,
        }
    }

    /// How many to claim now.
    pub(crate) fn size(&self) -> i64 {
        self.size.load(Ordering::Relaxed)
    }

    /// A batch is on its way. A slow one halves the next, a fast and full one doubles it.
    pub(crate) fn took(&self, claimed: usize, time: Duration) {
        let size = self.size();
        let full = i64::try_from(claimed).is_ok_and(|claimed| claimed >= size);
        if time > WITHIN {
            self.size.store((size / 2).max(1), Ordering::Relaxed);
        } else if full && time < WITHIN / 2 {
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
    bell: Arc<Notify>,
}

impl Slots {
    pub(crate) fn take(&self, pace: Arc<Pace>, claimed: usize, bell: &Arc<Notify>) -> Slot {
        self.0.fetch_add(1, Ordering::AcqRel);
        Slot {
            taken: Arc::clone(&self.0),
            pace,
            claimed,
            since: Instant::now(),
            bell: Arc::clone(bell),
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pace.took(self.claimed, self.since.elapsed());
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
        let sizes = |claimed: usize, ms: u64| {
            pace.took(claimed, Duration::from_millis(ms));
            pace.size()
        };
        assert_eq!(pace.size(), 64);
        assert_eq!([sizes(64, 10), sizes(128, 10), sizes(256, 10)], [128, 256, 256]);
        // Not full: the queue was short, which says nothing about the provider.
        assert_eq!([sizes(256, 60_000), sizes(3, 10), sizes(128, 1_500)], [128, 128, 128]);
        let slow: Vec<i64> = (0..9).map(|_| sizes(1, 3_000)).collect();
        assert_eq!(slow, [64, 32, 16, 8, 4, 2, 1, 1, 1]);
        assert_eq!(sizes(1, 5), 2);
    }
}
