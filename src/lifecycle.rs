//! Signals, soft and hard stop, sd_notify, watchdog.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Stop,
    Reload,
    Dump,
}

/// Tells the watchdog that a loop makes progress.
#[derive(Debug, Clone, Default)]
pub struct Beat(());

impl Beat {
    pub fn now(&self) {}
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LifecycleError(String);

pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Lifecycle {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
        })
    }

    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    pub fn beat(&mut self, _name: &'static str) -> Beat {
        Beat::default()
    }

    pub fn spawn(&mut self, _name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        tokio::spawn(task);
    }

    pub fn start_watchdog(&mut self) {}

    pub async fn signal(&mut self) -> Signal {
        std::future::pending().await
    }

    pub async fn finish(self, _grace: Duration) -> Result<(), LifecycleError> {
        Ok(())
    }
}

pub mod notify {
    pub fn ready(_status: &str) {}
    pub fn stopping() {}
    pub fn reloading() {}
}
