//! A listener whose connections are few and short.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

const CONNECTIONS_MAX: usize = 32;
const LIFE: Duration = Duration::from_secs(10);

pub(super) struct Bounded {
    listener: TcpListener,
    seats: Arc<Semaphore>,
    welcome: Welcome,
}

/// Whether somebody who connects from there is heard at all.
type Welcome = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self::only(listener, Box::new(|_| true))
    }

    /// Whoever is not welcome is hung up on at once, and takes no seat from those who are.
    pub(super) fn only(listener: TcpListener, welcome: Welcome) -> Self {
        Self {
            listener,
            seats: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            welcome,
        }
    }
}

impl Listener for Bounded {
    type Io = Short;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Short, SocketAddr) {
        // While all seats are taken, the kernel keeps whoever comes next.
        let seat = Arc::clone(&self.seats)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (stream, address) = loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if (self.welcome)(address.ip()) {
                break (stream, address);
            }
        };
        let end = Box::pin(sleep(LIFE));
        let _seat = seat;
        (Short { stream, end, _seat }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that breaks off when its time is over.
pub(super) struct Short {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _seat: OwnedSemaphorePermit,
}

impl Short {
    fn over(&mut self, cx: &mut Context<'_>) -> bool {
        self.end.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for Short {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        pin!(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Short {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        pin!(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}
