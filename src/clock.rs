//! The only reading of the wall clock. Everything else takes `now` as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A source of the current instant, handed to the edges (loops, commands) and never into the domain.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// Time that has passed since some fixed instant, whatever anybody sets the wall clock to. A machine that sleeps goes on counting.
    fn steady(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        // Milliseconds are all that the database keeps; a finer `now` would not survive a round trip.
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn steady(&self) -> Duration {
        // Not `Instant`: that stands still while the machine sleeps, so that every morning after a night of it would look like a jump.
        let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::try_from(since_boot).unwrap_or(Duration::ZERO)
    }
}

/// A clock that stands still until it is moved: for tests, `--now` and simulations.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    wall_ms: AtomicI64,
    steady_ms: AtomicI64,
}

impl ManualClock {
    pub fn new(at: Timestamp) -> Self {
        Self(Arc::new(Hands {
            wall_ms: AtomicI64::new(at.as_millisecond()),
            steady_ms: AtomicI64::new(0),
        }))
    }

    /// Sets the wall clock; no time passes.
    pub fn set(&self, at: Timestamp) {
        self.0.wall_ms.store(at.as_millisecond(), Ordering::SeqCst);
    }

    /// Time passes, of which the wall clock may show more or less.
    pub fn pass(&self, steady: Duration, shown: Duration) {
        for (hand, by) in [(&self.0.steady_ms, steady), (&self.0.wall_ms, shown)] {
            hand.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.wall_ms.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.steady_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }
}
