//! A stream that stops listening to a server that does not come to an end.
//!
//! lettre collects an answer line by line and reads all of it anew after each, so endless `220-` lines would keep a core busy, and
//! one endless line would fill the memory. Nothing a server has to say takes this much: the longest greetings, EHLO answers and
//! certificate chains in use stay below half of it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a server may say between two of our words.
const BYTES_MAX: usize = 32 * 1024;
/// Line breaks among them. Encrypted bytes hold about one in 256.
const LINES_MAX: usize = 512;

/// Fails a read that would pass the limits; every write begins anew.
#[derive(Debug)]
pub(crate) struct Bounded<S> {
    inner: S,
    bytes: usize,
    lines: usize,
}

impl<S> Bounded<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            bytes: 0,
            lines: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        self.bytes += read.len();
        self.lines += read.iter().filter(|byte| **byte == b'\n').count();
        Poll::Ready(if self.bytes > BYTES_MAX || self.lines > LINES_MAX {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the answer has no end"))
        } else {
            Ok(())
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        (self.bytes, self.lines) = (0, 0);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncTokioStream + Unpin> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// How many bytes of `said` are read before the stream gives up, and whether it does.
    async fn heard(said: Vec<u8>) -> (usize, bool) {
        let (ours, mut theirs) = tokio::io::duplex(said.len() + 1);
        theirs.write_all(&said).await.unwrap();
        drop(theirs);
        let (mut stream, mut sum, mut piece) = (Bounded::new(ours), 0, [0; 64]);
        loop {
            match stream.read(&mut piece).await {
                Ok(0) => return (sum, false),
                Ok(read) => sum += read,
                Err(_) => return (sum, true),
            }
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up_by_its_length_and_by_its_lines() {
        assert_eq!(heard(vec![b'x'; BYTES_MAX]).await, (BYTES_MAX, false));
        assert_eq!(heard(vec![b'x'; BYTES_MAX + 64]).await, (BYTES_MAX, true));
        assert_eq!(heard(vec![b'\n'; LINES_MAX]).await, (LINES_MAX, false));
        assert_eq!(heard(vec![b'\n'; LINES_MAX + 64]).await, (LINES_MAX, true));
    }

    #[tokio::test]
    async fn each_word_of_ours_begins_a_new_answer() {
        let (ours, mut theirs) = tokio::io::duplex(BYTES_MAX);
        let mut stream = Bounded::new(ours);
        for _ in 0..3 {
            theirs.write_all(&vec![b'x'; BYTES_MAX]).await.unwrap();
            stream.read_exact(&mut vec![0; BYTES_MAX]).await.unwrap();
            stream.write_all(b"NOOP\r\n").await.unwrap();
        }
    }
}
