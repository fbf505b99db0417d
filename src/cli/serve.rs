//! `xixin serve`: the daemon.

use std::sync::Arc;

use crate::app::{App, Place};
use crate::clock::SystemClock;
use crate::lifecycle::Lifecycle;
use crate::telemetry;

pub(super) async fn run(place: Place) -> anyhow::Result<u8> {
    // Handlers come first: a SIGHUP before them would end the process.
    let lifecycle = Lifecycle::new()?;
    let (loaded, texts) = place.load()?;
    telemetry::start(&loaded.settings.log)?;
    let app = App::for_service(place, loaded, texts, Arc::new(SystemClock)).await?;
    app.serve(lifecycle, None).await?;
    Ok(0)
}
