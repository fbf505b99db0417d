//! A few ticks in UTC that only wake loops. tokio-cron-scheduler keeps time zones as fixed offsets, forgets missed runs, and breaks
//! for good when a few hundred jobs are due together, so nothing is scheduled here: the loops ask the database what is due.

use std::time::Duration;

use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tracing::debug;

use crate::engine::Engine;

/// Every ten seconds: look again, in case a wake-up was lost.
const TICK: &str = "*/10 * * * * *";
/// The scheduler's actors can hang; starting them may take this long.
const START_MAX: Duration = Duration::from_secs(5);

/// The running ticks; dropping them stops nothing, `stop` does.
pub struct Ticker(JobScheduler);

/// Why the ticks could not start. The loops go on without them: each also looks by itself every fifteen seconds.
#[derive(Debug, thiserror::Error)]
pub enum TickerError {
    #[error("the ticks cannot be scheduled")]
    Scheduler(#[from] JobSchedulerError),
    #[error("the scheduler did not start within {} s", START_MAX.as_secs())]
    TimedOut,
}

impl Ticker {
    pub async fn start(engine: &Engine) -> Result<Self, TickerError> {
        tokio::time::timeout(START_MAX, start(engine))
            .await
            .map_err(|_| TickerError::TimedOut)?
    }

    pub async fn stop(mut self) {
        if let Err(error) = self.0.shutdown().await {
            debug!("the ticks did not stop cleanly: {error}");
        }
    }
}

async fn start(engine: &Engine) -> Result<Ticker, TickerError> {
    let scheduler = JobScheduler::new().await?;
    let bells = engine.bells.clone();
    scheduler
        .add(Job::new_async(TICK, move |_, _| {
            let bells = bells.clone();
            Box::pin(async move { bells.ring_all() })
        })?)
        .await?;
    scheduler.start().await?;
    Ok(Ticker(scheduler))
}
