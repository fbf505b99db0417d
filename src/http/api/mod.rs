//! The API for other systems: what they may see and do, as JSON, in their own name.
//!
//! ```text
//! token → system, scopes, unit        a query → the store → noted as seen → JSON
//!                                     a command → the one door (`engine::desk`) → a receipt
//! ```
//!
//! Always: a system sees and changes only cases of its unit and of those below it; it acts as a clerk, so that what takes a supervisor
//! stays with people; every refusal is `application/problem+json` in both languages.

mod caller;
mod extract;
mod openapi;
mod pages;
mod problem;
mod read;
mod write;

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use super::door::{self, Door};
use crate::domain::text::said;
use crate::engine::Engine;
use problem::Problem;

/// So long a request may take.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Answers until `stop`.
pub async fn serve(door: Door, engine: Engine, stop: CancellationToken) -> std::io::Result<()> {
    door::serve(door, router(engine), stop).await
}

fn router(engine: Engine) -> Router {
    let v1 = Router::new()
        .route("/cases", get(read::cases).post(write::open))
        .route("/cases/{case}", get(read::case))
        .route("/cases/{case}/reminders", get(read::reminders))
        .route("/cases/{case}/commands/{command}", post(write::command))
        .route("/staff/{staff}/digest", get(read::digest))
        .route("/status", get(read::state))
        .route("/openapi.json", get(pages::description))
        .route("/docs", get(pages::front))
        .route("/docs/{name}", get(pages::file))
        .with_state(engine);
    Router::new()
        .nest("/api/v1", v1)
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn(within_time))
        .layer(middleware::map_response(for_nobody_else))
}

async fn nowhere() -> Problem {
    Problem::nowhere()
}

async fn not_so() -> Problem {
    let said = said!(
        "这个地址不接受这种方法,见 Allow",
        "this address does not take that method; see Allow"
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed", said)
}

async fn within_time(request: Request, next: Next) -> Response {
    let Ok(response) = tokio::time::timeout(REQUEST_MAX, next.run(request)).await else {
        let said = said!(
            "没有及时办完;请带同一个 Idempotency-Key 再试",
            "it took too long; try again with the same Idempotency-Key"
        );
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "slow", "Too slow", said).into_response();
    };
    response
}

/// Answers are about people: nobody in between keeps them, and nobody takes them for anything else.
async fn for_nobody_else(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
