//! What the process says about itself: logs and metrics. Logs carry ids only, never names, numbers, addresses or bodies; neither do
//! the labels of metrics.

use std::io::IsTerminal as _;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::error;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::config::settings::{Log, LogFormat};

/// Attempts at sending, by way and outcome.
pub const ATTEMPTS: &str = "xixin_attempts_total";

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log.filter \"{filter}\" cannot be used; write it like \"info\" or \"info,xixin::engine=debug\"")]
    Filter {
        filter: String,
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("logging was started before")]
    Twice(#[from] TryInitError),
}

/// Starts logs, metrics and the report of panics. Once in a process.
pub fn start(log: &Log) -> Result<(), TelemetryError> {
    // The SMPP library logs texts and numbers; that of the daily times says nothing but that it is there.
    const QUIET: &str = "rusmpp=off,rusmppc=off,rusmpp_core=off,tokio_cron_scheduler=warn";
    let filter = EnvFilter::try_new(format!("{},{QUIET}", log.filter)).map_err(|source| TelemetryError::Filter {
        filter: log.filter.clone(),
        source,
    })?;
    tracing_subscriber::registry()
        .with(lines(log.format, is_journal(std::io::stderr())).with_filter(filter))
        .try_init()?;
    std::panic::set_hook(Box::new(report_panic));
    metrics();
    Ok(())
}

/// The metrics of this process, which begin to count with the first call.
pub fn metrics() -> &'static PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // An error means that somebody else counts already; then these stay empty.
        if metrics::set_global_recorder(recorder).is_ok() {
            metrics::describe_counter!(ATTEMPTS, "Attempts at sending, by way and outcome");
            // From the start on, so that the first one is a step and not a beginning.
            for way in ["email", "sms"] {
                for outcome in ["accepted", "refused", "deferred", "uncertain"] {
                    metrics::counter!(ATTEMPTS, "way" => way, "outcome" => outcome).increment(0);
                }
            }
        }
        handle
    })
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

/// Where log lines go: to the journal as fields when it reads us, else to standard error. The journal has clocks of its own.
fn lines(format: LogFormat, into_journal: bool) -> Box<dyn Layer<Registry> + Send + Sync> {
    let to_stderr = fmt::layer().with_writer(std::io::stderr);
    match (format, into_journal) {
        (LogFormat::Auto, true) => match tracing_journald::layer() {
            Ok(journal) => journal.boxed(),
            Err(_) => to_stderr.without_time().with_ansi(false).boxed(),
        },
        (LogFormat::Json, true) => to_stderr.json().without_time().boxed(),
        (LogFormat::Json, false) => to_stderr.json().boxed(),
        (LogFormat::Text, true) => to_stderr.without_time().with_ansi(false).boxed(),
        (LogFormat::Auto | LogFormat::Text, false) => to_stderr.with_ansi(std::io::stderr().is_terminal()).boxed(),
    }
}

/// Whether this file, standard output or standard error, is the journal's: `$JOURNAL_STREAM` is its device and inode
/// (systemd.exec(5)).
pub fn is_journal(file: impl AsFd) -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(file).is_ok_and(|file| stream == *format!("{}:{}", file.st_dev, file.st_ino))
}

/// Where it happened, and never the message: it may quote a value with somebody's name in it.
pub fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    match panic.location() {
        Some(place) => error!(thread, "panicked at {place}"),
        None => error!(thread, "panicked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open {0}")]
    struct Outer(&'static str, #[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Inner(&'static str);

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        assert_eq!(chain(&Outer("x", Inner("disk full"))), "cannot open x: disk full");
        assert_eq!(chain(&Outer("disk full", Inner("disk full"))), "cannot open disk full");
    }
}
