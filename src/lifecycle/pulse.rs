//! Heartbeats: whether every loop makes progress, whatever the mail server or the gateway do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Loops look around at least every 15 s; one that has not for so long hangs.
pub const STALE: Duration = Duration::from_secs(60);

/// The heartbeat of one loop.
#[derive(Debug, Clone)]
pub struct Beat {
    started: Instant,
    /// Milliseconds from the start to the last beat.
    last_ms: Arc<AtomicU64>,
}

impl Default for Beat {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            last_ms: Arc::default(),
        }
    }
}

impl Beat {
    /// The loop has come round.
    pub fn now(&self) {
        self.at(Instant::now());
    }

    fn at(&self, now: Instant) {
        let ms = now.saturating_duration_since(self.started).as_millis();
        self.last_ms
            .store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn age(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(self.started).saturating_sub(last)
    }
}

/// The heartbeats of all loops.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Mutex<Vec<(&'static str, Beat)>>>);

impl Pulse {
    pub(super) fn beat(&self, name: &'static str) -> Beat {
        let beat = Beat::default();
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.push((name, beat.clone()));
        beat
    }

    /// How long ago each loop came round.
    pub fn ages(&self, now: Instant) -> Vec<(&'static str, Duration)> {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.iter().map(|(name, beat)| (*name, beat.age(now))).collect()
    }

    /// Loops that hang.
    pub fn stale(&self, now: Instant) -> Vec<&'static str> {
        let hangs = |(name, age): (&'static str, Duration)| (age >= STALE).then_some(name);
        self.ages(now).into_iter().filter_map(hangs).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_not_come_round_in_time_is_named() {
        let pulse = Pulse::default();
        let (planner, _hangs) = (pulse.beat("planner"), pulse.beat("email"));
        let later = Instant::now() + STALE;
        planner.at(later);
        assert_eq!(pulse.stale(later), ["email"]);
        assert!(pulse.stale(Instant::now()).is_empty());
    }
}
