//! The streams that lettre does not make by itself: one that knows what has left, one for STARTTLS, one for TLS from the first byte.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::io::{AsyncRead as FuturesRead, AsyncWrite as FuturesWrite};
#[expect(
    deprecated,
    reason = "lettre has no other way to do TLS on a socket that we connected, which needs TCP_NODELAY"
)]
use lettre::transport::smtp::client::AsyncNetworkStream;
use lettre::transport::smtp::client::{AsyncTokioStream, TlsParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Counts how often everything written so far has been taken by the operating system. The lowest of the streams: whatever encrypts above
/// it flushes it only once it has nothing left to write.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    inner: S,
    flushed: Arc<AtomicU64>,
}

/// What a [`Watched`] stream has written.
#[derive(Debug)]
pub(crate) struct Written(Arc<AtomicU64>);

/// A place in what is written: passed as soon as what was written next has left as a whole.
#[derive(Debug)]
pub(crate) struct Mark {
    written: Arc<AtomicU64>,
    at: u64,
}

impl<S> Watched<S> {
    pub(crate) fn new(inner: S) -> (Self, Written) {
        let flushed = Arc::new(AtomicU64::new(0));
        let written = Written(Arc::clone(&flushed));
        (Self { inner, flushed }, written)
    }
}

impl Written {
    /// Just before the next thing is written, all before it having been flushed.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            at: self.0.load(Ordering::Acquire),
            written: Arc::clone(&self.0),
        }
    }
}

impl Mark {
    pub(crate) fn passed(&self) -> bool {
        self.written.load(Ordering::Acquire) > self.at
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed.fetch_add(1, Ordering::Release);
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Watched<TcpStream> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

/// First byte of a TLS handshake record (RFC 8446 5.1); no SMTP command begins with it.
const HANDSHAKE: u8 = 22;

/// Hands out one byte at a time until the TLS handshake begins.
///
/// lettre keeps its read buffer across STARTTLS, so what an attacker appends to the plain "220 go ahead" would be read as
/// the first encrypted answers (CVE-2011-0411). With nothing read ahead, the appended bytes meet the handshake and fail it.
#[derive(Debug)]
pub(crate) struct BeforeTls<S> {
    inner: S,
    plain: bool,
}

impl<S> BeforeTls<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, plain: true }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BeforeTls<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.plain || buf.remaining() == 0 {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BeforeTls<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.plain &= buf.first() != Some(&HANDSHAKE);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncTokioStream> AsyncTokioStream for BeforeTls<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

/// A connection that was encrypted before a word was said.
#[derive(Debug)]
#[expect(deprecated, reason = "see the import")]
pub(crate) struct Encrypted(AsyncNetworkStream);

#[expect(deprecated, reason = "see the import")]
impl Encrypted {
    /// The handshake; the certificate is verified against `parameters`.
    pub(crate) async fn over(
        stream: impl AsyncTokioStream + 'static,
        parameters: TlsParameters,
    ) -> Result<Self, lettre::transport::smtp::Error> {
        let mut stream = AsyncNetworkStream::use_existing_tokio1(Box::new(stream));
        stream.upgrade_tls(parameters).await?;
        Ok(Self(stream))
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(FuturesRead::poll_read(
            Pin::new(&mut self.0),
            cx,
            buf.initialize_unfilled()
        ))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        FuturesWrite::poll_write(Pin::new(&mut self.0), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        FuturesWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        FuturesWrite::poll_close(Pin::new(&mut self.0), cx)
    }
}

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

    use super::*;

    #[tokio::test]
    async fn a_mark_is_passed_only_when_all_that_was_written_after_it_has_left() {
        let (ours, mut theirs) = tokio::io::duplex(4);
        let (mut stream, written) = Watched::new(ours);
        stream.write_all(b"abc").await.unwrap();
        stream.flush().await.unwrap();
        let mark = written.mark();
        let writing = async {
            stream.write_all(b"defghi").await.unwrap();
            stream.flush().await.unwrap();
        };
        let mut writing = std::pin::pin!(writing);
        assert!(writing.as_mut().now_or_never().is_none());
        assert!(!mark.passed());
        let mut read = [0; 9];
        let (_, _) = tokio::join!(writing, theirs.read_exact(&mut read));
        assert!(mark.passed());
    }

    #[tokio::test]
    async fn nothing_said_in_the_clear_is_read_ahead_of_the_handshake() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(b"220 go ahead\r\n250 injected\r\n").await.unwrap();
        let mut reader = BufReader::new(BeforeTls::new(ours));
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        assert_eq!((line.as_str(), reader.buffer()), ("220 go ahead\r\n", &b""[..]));

        reader.get_mut().write_all(&[HANDSHAKE, 3, 1]).await.unwrap();
        let mut rest = [0; 64];
        let read = reader.get_mut().read(&mut rest).await.unwrap();
        assert_eq!(&rest[..read], b"250 injected\r\n");
    }
}
