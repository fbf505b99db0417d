//! The administrative listener on loopback: /healthz, /readyz, /metrics.

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

#[derive(Clone)]
pub struct AdminState {
    #[expect(dead_code, reason = "placeholder")]
    engine: Engine,
}

pub fn admin_state(engine: &Engine) -> AdminState {
    AdminState { engine: engine.clone() }
}

pub async fn serve(_listener: TcpListener, _state: AdminState, stop: CancellationToken) -> std::io::Result<()> {
    stop.cancelled().await;
    Ok(())
}
