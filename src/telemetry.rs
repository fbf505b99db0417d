//! What the process says about itself: logs and metric names. Logs carry ids only, never names, numbers, addresses or bodies.

use crate::config::settings::Log;

/// Attempts at sending, by way and outcome.
pub const ATTEMPTS: &str = "xixin_attempts_total";

#[derive(Debug, thiserror::Error)]
#[error("log.filter cannot be used")]
pub struct TelemetryError(#[from] tracing_subscriber::filter::ParseError);

pub fn start(_log: &Log) -> Result<(), TelemetryError> {
    Ok(())
}

/// An error with its causes, each said once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
