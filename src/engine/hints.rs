//! Other nodes say when people have changed something: what they have paused, released or promised counts here at once and not only with
//! the next look.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::engine::Engine;
use crate::store::StoreError;
use crate::telemetry::chain;

/// Before it is tried again to listen.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Engine {
    /// Facts or rules changed: everything here looks, and the other nodes are told. Nobody waits until they are.
    pub fn ring_everywhere(&self) {
        self.bells.ring_all();
        if self.node.is_none() {
            return;
        }
        let engine = self.clone();
        tokio::spawn(async move {
            if let Err(error) = engine.store.hint(&engine.holder).await {
                debug!(error = %chain(&error), "the other nodes were not told; they look by themselves");
            }
        });
    }
}

/// Listens to the other nodes until told to stop.
pub async fn run(engine: Engine, stop: CancellationToken) {
    let hearing = async {
        loop {
            match hear(&engine).await {
                Ok(()) => {}
                Err(error) => {
                    debug!(error = %chain(&error), "the other nodes cannot be heard");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    };
    stop.run_until_cancelled(hearing).await;
}

/// Until the line is lost.
async fn hear(engine: &Engine) -> Result<(), StoreError> {
    let Some(mut hints) = engine.store.hints().await? else {
        return std::future::pending().await;
    };
    while let Some(from) = hints.next().await {
        if from != *engine.holder {
            debug!(from, "woken by another node");
            engine.look_around().await;
            engine.bells.ring_all();
        }
    }
    Ok(())
}
