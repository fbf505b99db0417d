//! The listener for gateways that call us: `/SECRET/NAME`, by GET or POST. What they say is kept before they are told so; a call that is
//! not heard learns nothing about why.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::bounded::Bounded;
use crate::channel::sms::{Call, Unheard};
use crate::engine::{Engine, inbound};

/// Bytes of one call that are read.
const BODY_MAX: usize = 1024 * 1024;

/// Who calls.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Answers until `stop`.
pub async fn serve(listener: TcpListener, engine: Engine, stop: CancellationToken) -> std::io::Result<()> {
    let rules = engine.live.clone();
    let welcome = move |peer| {
        rules
            .get()
            .channels
            .door
            .as_ref()
            .is_some_and(|door| door.is_near(peer))
    };
    let router = Router::new()
        .route("/{secret}/{gateway}", get(hear).post(hear))
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .layer(axum::middleware::map_response(super::close))
        .with_state(engine);
    axum::serve(
        Bounded::only(listener, Box::new(welcome)),
        router.into_make_service_with_connect_info::<Peer>(),
    )
    .with_graceful_shutdown(stop.cancelled_owned())
    .await
}

async fn hear(
    State(engine): State<Engine>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // An address that is not even text.
    let Ok(Path((secret, gateway))) = path else {
        return nothing().await;
    };
    let rules = engine.live.get();
    let door = rules.channels.door.as_ref();
    // Before a byte of what strangers have to say is read.
    let Some(door) = door.filter(|door| door.knows(peer.ip(), &secret, &gateway)) else {
        return nothing().await;
    };
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "").into_response();
    };
    let named = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let call = Call {
        peer: peer.ip(),
        secret: &secret,
        gateway: &gateway,
        query: query.as_deref().unwrap_or_default(),
        content_type: named(header::CONTENT_TYPE.as_str()),
        signed: [
            named("webhook-id"),
            named("webhook-timestamp"),
            named("webhook-signature"),
        ],
        body: &body,
    };
    let now = engine.clock.now();
    let heard = match door.hear(&call, now) {
        Ok(heard) => heard,
        Err(Unheard::Nowhere) => return nothing().await,
        Err(Unheard::Unsigned) => {
            warn!("a call for gateway {gateway} is not signed as it should be; nothing was heard");
            return (StatusCode::UNAUTHORIZED, "").into_response();
        }
        Err(Unheard::Unreadable) => {
            let form = call.content_type.contains("form-urlencoded");
            let read_as = if form { "a form" } else { "JSON" };
            warn!(
                "a call for gateway {gateway} cannot be read (as {read_as}, after its content-type); compare its documentation with [sms.gateway.{gateway}.hook]"
            );
            return (StatusCode::BAD_REQUEST, "").into_response();
        }
    };
    match inbound::keep(&engine, &heard.gateway, &heard.arrivals, now).await {
        Ok(()) => {
            metrics::counter!("xixin_inbound_total", "gateway" => heard.gateway).increment(heard.arrivals.len() as u64);
            ([(header::CONTENT_TYPE, "application/json")], heard.answer).into_response()
        }
        Err(error) => {
            error!(error = %crate::telemetry::chain(&error), "what a gateway said cannot be kept; it is told to come again");
            engine.note_store_error(&error).await;
            (StatusCode::SERVICE_UNAVAILABLE, "").into_response()
        }
    }
}

async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "").into_response()
}
