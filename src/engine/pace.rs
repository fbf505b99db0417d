//! How many reminders to claim at once: about as many as leave within two seconds, so that with a slow provider little is judged and
//! recorded long before it leaves, and with a fast one each commit carries many.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

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

    /// A batch has left. A slow one halves the next, a fast and full one doubles it.
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

#[cfg(test)]
mod tests {
    use super::*;

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
