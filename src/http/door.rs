//! A listener for clients that ask again and again. A connection is kept open while it is used; connections are few, none lives for
//! ever, and whoever says nothing is put out.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

const CONNECTIONS_MAX: usize = 256;
/// So long a client may take for the head of a request, and stay silent between two.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// After so long a connection ends with the answer that is under way.
const LIFE: Duration = Duration::from_secs(300);
/// So long that answer may take.
const LAST_MAX: Duration = Duration::from_secs(10);
/// While no connection can be taken: out of file descriptors, most likely. It passes.
const BREATH: Duration = Duration::from_millis(200);

/// Where clients come in.
#[derive(Debug)]
pub enum Door {
    Tcp(TcpListener),
    /// With the path that goes when nobody listens any more.
    Unix(UnixListener, PathBuf),
}

impl Door {
    async fn enter(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Small answers must not wait for the acknowledgement of what was sent before.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::new(stream))
            }
        }
    }
}

type Stream = Box<dyn Both>;

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

/// Answers until `stop`; then every connection ends with the answer that is under way.
pub(super) async fn serve(door: Door, router: Router, stop: CancellationToken) -> io::Result<()> {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut guests = JoinSet::new();
    loop {
        while guests.try_join_next().is_some() {}
        // While all seats are taken, the kernel keeps whoever comes next.
        let entered = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            let seat = seat.expect("the semaphore is never closed");
            (door.enter().await, seat)
        };
        tokio::select! {
            () = stop.cancelled() => break,
            (stream, seat) = entered => match stream {
                Ok(stream) => {
                    guests.spawn(attend(stream, router.clone(), stop.clone(), seat));
                }
                Err(error) => {
                    warn!("no connection can be taken: {error}");
                    sleep(BREATH).await;
                }
            },
        }
    }
    while guests.join_next().await.is_some() {}
    match door {
        Door::Unix(_, path) => std::fs::remove_file(path),
        Door::Tcp(_) => Ok(()),
    }
}

async fn attend(stream: Stream, router: Router, stop: CancellationToken, _seat: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                debug!("a client went away: {error}");
            }
            return;
        }
        () = stop.cancelled() => {}
        () = sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    // What is cut off is the client's loss.
    let _ = timeout(LAST_MAX, connection).await;
}
