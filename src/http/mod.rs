//! The administrative listener on loopback: /healthz, /readyz, /metrics. It only reads: nothing is sent, planned or changed here.
//!
//! One request a connection, and a connection lives ten seconds at the most, so that no client can use up the daemon's descriptors.

pub mod api;
mod bounded;
mod door;
pub mod health;
pub mod inbound;
mod metrics;

pub use door::Door;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::engine::Engine;
use crate::lifecycle::Pulse;

#[derive(Clone)]
pub struct AdminState {
    pub engine: Engine,
    pub pulse: Pulse,
}

/// Answers until `stop`.
pub async fn serve(listener: TcpListener, state: AdminState, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(bounded::Bounded::new(listener), router(state))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

fn router(state: AdminState) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .fallback(elsewhere)
        .method_not_allowed_fallback(elsewhere)
        .layer(axum::middleware::map_response(close))
        .with_state(state)
}

/// The process answers; nothing more is claimed.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(state): State<AdminState>) -> Response {
    let health = health::health(&state.engine, &state.pulse).await;
    let status = if health.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let json = serde_json::to_string(&health).expect("plain structures always serialise");
    (status, [(header::CONTENT_TYPE, "application/json")], json + "\n").into_response()
}

async fn scrape(State(state): State<AdminState>) -> Response {
    match metrics::render(&state.engine, &state.pulse).await {
        // The text format 0.0.4 of Prometheus.
        Ok(text) => (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            text,
        )
            .into_response(),
        Err(error) => {
            warn!(error = %crate::telemetry::chain(&error), "the queue cannot be measured");
            (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be read\n").into_response()
        }
    }
}

async fn elsewhere(method: Method) -> (StatusCode, &'static str) {
    if method == Method::GET || method == Method::HEAD {
        (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n")
    } else {
        (StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n")
    }
}

async fn close(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
