//! Reloads when somebody saves a file of the configuration, where the operators have switched that on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use notify_debouncer_full::notify::RecursiveMode;
use notify_debouncer_full::{DebounceEventResult, DebouncedEvent, new_debouncer};
use tracing::{info, warn};

use crate::app::App;
use crate::lifecycle::Lifecycle;

/// Saves that follow each other within this time are one change.
const SETTLE: Duration = Duration::from_millis(500);

/// Watches the directory rather than the files: an editor that saves by renaming replaces the file.
pub(super) fn start(app: &Arc<App>, lifecycle: &mut Lifecycle) -> anyhow::Result<()> {
    let (sender, mut changed) = tokio::sync::mpsc::channel(1);
    let told = move |result: DebounceEventResult| {
        let touches = |event: &DebouncedEvent| !event.kind.is_access();
        let reload = match result {
            Ok(events) => events.iter().any(touches),
            Err(errors) => {
                warn!(
                    "{} faults while watching the configuration; it is read again",
                    errors.len()
                );
                true
            }
        };
        if reload {
            // A full channel means that a reload is coming anyway.
            let _ = sender.try_send(());
        }
    };
    let dir = &app.place.config;
    let mut watcher = new_debouncer(SETTLE, None, told).context("reload.watch 无法启用 / cannot be switched on")?;
    watcher.watch(dir, RecursiveMode::Recursive).with_context(|| {
        format!(
            "reload.watch: 无法监视 {dir} / {dir} cannot be watched",
            dir = dir.display()
        )
    })?;
    info!("watching the configuration");
    let (app, stop) = (Arc::clone(app), lifecycle.soft());
    lifecycle.spawn("watch", async move {
        let _watcher = watcher;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                event = changed.recv() => match event {
                    Some(()) => drop(app.reload_and_tell().await),
                    None => anyhow::bail!("the watcher has gone"),
                },
            }
        }
    });
    Ok(())
}
