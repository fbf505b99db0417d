//! The life of the process: signals, tasks whose failure ends it, a soft and then a hard stop, the watchdog.
//!
//! Always: handlers are installed before anything else; a task that fails, panics or ends by itself stops the whole process with an
//! error, said once; loops end at the soft stop, listeners at the hard one; the second stop signal ends the process inside its
//! handler, even when every thread hangs.

pub mod notify;
mod pulse;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook_tokio::Signals;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use pulse::{Beat, Pulse, STALE};

/// What the process is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Asked to end, or a task has failed.
    Stop,
    Reload,
    /// Write the state to the log.
    Dump,
}

/// Why the process does not end well.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    #[error("task {name} failed")]
    Failed { name: &'static str, source: anyhow::Error },
    #[error("task {name} panicked")]
    Panicked { name: &'static str },
    #[error("task {name} ended before it was told to")]
    Early { name: &'static str },
    #[error("these tasks did not end within {within_s} s and were cut off: {names}")]
    CutOff { names: String, within_s: u64 },
}

/// How long listeners may take to end.
const LISTENERS_MAX: Duration = Duration::from_secs(2);

/// Signals and tasks of this process. There is one.
pub struct Lifecycle {
    signals: Signals,
    soft: CancellationToken,
    hard: CancellationToken,
    loops: Tasks,
    listeners: Tasks,
    pulse: Pulse,
    failure: Option<LifecycleError>,
}

impl Lifecycle {
    /// Installs the handlers. Signals that come before the first call of [`Lifecycle::signal`] are kept for it.
    pub fn new() -> std::io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Handlers run in this order: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        Ok(Self {
            signals: Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?,
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            loops: Tasks::default(),
            listeners: Tasks::default(),
            pulse: Pulse::default(),
            failure: None,
        })
    }

    /// Cancelled when nothing new may be started.
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Cancelled when the loops have ended.
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// A heartbeat that a loop must keep up: at least once in [`STALE`].
    pub fn beat(&mut self, name: &'static str) -> Beat {
        self.pulse.beat(name)
    }

    /// All heartbeats, also of loops that begin later.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs a loop: it ends by itself after the soft stop.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.loops.spawn(name, task);
    }

    /// Runs a listener: it answers until the loops have ended, and ends by itself after the hard stop.
    pub fn listen(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.listeners.spawn(name, task);
    }

    /// Feeds the service manager's watchdog while every loop makes progress. Without a watchdog nothing happens.
    pub fn start_watchdog(&mut self) {
        let Some(period) = notify::watchdog_period() else {
            return;
        };
        let (pulse, stop) = (self.pulse(), self.hard());
        self.listen("watchdog", async move {
            // sd_watchdog_enabled(3) advises half of the period.
            let mut ticks = tokio::time::interval(period / 2);
            let mut said = false;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    _ = ticks.tick() => {}
                }
                let stale = pulse.stale(Instant::now());
                if stale.is_empty() {
                    notify::watchdog();
                } else if !said {
                    error!(
                        "no progress in {}; the watchdog is fed no more and will end this process",
                        stale.join(", ")
                    );
                }
                said = !stale.is_empty();
            }
        });
    }

    /// The next thing this process is asked to do. A task that ends by itself asks it to stop.
    pub async fn signal(&mut self) -> Signal {
        let ended = tokio::select! {
            signal = self.signals.next() => return match signal {
                Some(SIGHUP) => Signal::Reload,
                Some(SIGUSR1) => Signal::Dump,
                _ => Signal::Stop,
            },
            Some(ended) = self.loops.next() => ended,
            Some(ended) = self.listeners.next() => ended,
        };
        self.note(match ended {
            Ended::Well(name) => LifecycleError::Early { name },
            Ended::Badly(error) => error,
        });
        Signal::Stop
    }

    /// Ends the loops within `grace`, then the listeners, and says what went wrong first.
    pub async fn finish(mut self, grace: Duration) -> Result<(), LifecycleError> {
        self.soft.cancel();
        self.drain(Kind::Loops, grace).await;
        self.hard.cancel();
        self.drain(Kind::Listeners, LISTENERS_MAX).await;
        self.failure.map_or(Ok(()), Err)
    }

    async fn drain(&mut self, kind: Kind, within: Duration) {
        let end = tokio::time::Instant::now() + within;
        loop {
            let tasks = match kind {
                Kind::Loops => &mut self.loops,
                Kind::Listeners => &mut self.listeners,
            };
            match tokio::time::timeout_at(end, tasks.next()).await {
                Ok(Some(Ended::Badly(error))) => self.note(error),
                Ok(Some(Ended::Well(_))) => {}
                Ok(None) => return,
                Err(_) => {
                    let names = tasks.cut_off();
                    let within_s = within.as_secs();
                    return self.note(LifecycleError::CutOff { names, within_s });
                }
            }
        }
    }

    /// Logs a failure; the first one is what the process ends with.
    fn note(&mut self, failure: LifecycleError) {
        error!(error = %crate::telemetry::chain(&failure), "{failure}");
        self.failure.get_or_insert(failure);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Loops,
    Listeners,
}

/// How a task ended.
enum Ended {
    Well(&'static str),
    Badly(LifecycleError),
}

/// Named tasks.
#[derive(Default)]
struct Tasks {
    set: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// The next task that ends; `None` when none is left.
    async fn next(&mut self) -> Option<Ended> {
        let ended = self.set.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let name = self.names.remove(&id).unwrap_or("?");
        Some(match ended {
            Ok((_, Ok(()))) => Ended::Well(name),
            Ok((_, Err(source))) => Ended::Badly(LifecycleError::Failed { name, source }),
            Err(_) => Ended::Badly(LifecycleError::Panicked { name }),
        })
    }

    /// Ends what is left at once, and names it.
    fn cut_off(&mut self) -> String {
        self.set.abort_all();
        let mut names: Vec<&str> = self.names.drain().map(|(_, name)| name).collect();
        names.sort_unstable();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_loop_that_fails_panics_or_ends_by_itself_stops_the_process_with_an_error() {
        let mut failing = Lifecycle::new().unwrap();
        failing.spawn("planner", async { anyhow::bail!("no") });
        assert_eq!(failing.signal().await, Signal::Stop);
        let error = failing.finish(LONG).await.unwrap_err();
        assert_eq!(crate::telemetry::chain(&error), "task planner failed: no");

        let mut panicking = Lifecycle::new().unwrap();
        panicking.spawn("email", async { panic!("in a test") });
        assert_eq!(panicking.signal().await, Signal::Stop);
        let error = panicking.finish(LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "task email panicked");

        let mut early = Lifecycle::new().unwrap();
        early.listen("http", async { Ok(()) });
        assert_eq!(early.signal().await, Signal::Stop);
        let error = early.finish(LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "task http ended before it was told to");
    }

    #[tokio::test]
    async fn listeners_answer_until_the_loops_have_ended() {
        let mut lifecycle = Lifecycle::new().unwrap();
        let (soft, hard) = (lifecycle.soft(), lifecycle.hard());
        let still = hard.clone();
        lifecycle.spawn("sms", async move {
            soft.cancelled().await;
            anyhow::ensure!(!still.is_cancelled(), "the listeners went first");
            Ok(())
        });
        lifecycle.listen("control", async move {
            hard.cancelled().await;
            Ok(())
        });
        lifecycle.finish(LONG).await.unwrap();
    }

    #[tokio::test]
    async fn a_loop_that_does_not_end_in_time_is_cut_off_and_named() {
        let mut lifecycle = Lifecycle::new().unwrap();
        lifecycle.spawn("sms", std::future::pending());
        lifecycle.spawn("email", std::future::pending());
        let error = lifecycle.finish(Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().ends_with("cut off: email, sms"), "{error}");
    }
}
