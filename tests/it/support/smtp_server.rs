//! An SMTP server that misbehaves on request and remembers what it was told.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The moments at which a script can step in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Connect,
    Ehlo,
    Starttls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// After "354", before the text is read.
    Text,
    /// After the final dot.
    Dot,
    Noop,
    Rset,
    Quit,
}

/// What the server does instead of answering properly.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Says this, with a line break after it.
    Reply(&'static str),
    /// Says this one byte per packet.
    ByteWise(&'static str),
    /// Says exactly these bytes.
    Raw(&'static [u8]),
    /// Says this again and again until the client hangs up.
    Endless(&'static str),
    Close,
    /// Takes what was said, such as a text, and closes without a word about it.
    Cut,
    /// Closes with RST.
    Reset,
    /// Holds the line and never answers.
    Silence,
    /// Holds the line and answers properly once the test lets it.
    Held,
}

/// What to do at which moment; `nth` counts from 1 within a connection, 0 is every time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    acts: Vec<(Verb, usize, Act)>,
    tls: Option<(Tls, &'static str)>,
    login: Option<&'static str>,
}

/// When encryption begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    AfterStarttls,
    FromTheFirstByte,
}

impl Script {
    pub(crate) fn polite() -> Self {
        Self::default()
    }

    pub(crate) fn on(self, verb: Verb, act: Act) -> Self {
        self.on_nth(verb, 0, act)
    }

    pub(crate) fn on_nth(mut self, verb: Verb, nth: usize, act: Act) -> Self {
        self.acts.push((verb, nth, act));
        self
    }

    /// Encrypts with this certificate of tests/data/tls.
    pub(crate) fn tls(mut self, tls: Tls, certificate: &'static str) -> Self {
        self.tls = Some((tls, certificate));
        self
    }

    /// Takes this AUTH line and no other.
    pub(crate) fn login(mut self, line: &'static str) -> Self {
        self.login = Some(line);
        self
    }

    fn act(&self, verb: Verb, nth: usize) -> Option<Act> {
        let found = self
            .acts
            .iter()
            .find(|(on, at, _)| *on == verb && (*at == 0 || *at == nth));
        found.map(|(_, _, act)| *act)
    }
}

/// A message that was taken: its final dot was answered with 250, or would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Without dot-stuffing.
    pub(crate) text: Vec<u8>,
}

#[derive(Default)]
struct Record {
    received: Mutex<Vec<Received>>,
    commands: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    silent: Notify,
    go_on: Notify,
    closed: Notify,
    took: Notify,
}

/// A running server; it takes no more connections when this is dropped.
pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    record: Arc<Record>,
    listening: tokio::task::JoinHandle<()>,
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl SmtpServer {
    /// Every connection follows the same script.
    pub(crate) async fn start(script: Script) -> Self {
        Self::start_each(vec![script]).await
    }

    /// The first connection follows the first script, and so on; further ones the last.
    pub(crate) async fn start_each(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Arc::new(Record::default());
        let shared = Arc::clone(&record);
        let listening = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let index = shared.connections.fetch_add(1, Ordering::SeqCst);
                let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
                shared.most_open.fetch_max(open, Ordering::SeqCst);
                let script = scripts[index.min(scripts.len() - 1)].clone();
                let record = Arc::clone(&shared);
                tokio::spawn(async move {
                    Talk {
                        stream: BufReader::new(Wire::Plain(stream)),
                        script,
                        said: Vec::new(),
                        cut: false,
                        record: &record,
                    }
                    .run()
                    .await;
                    record.open.fetch_sub(1, Ordering::SeqCst);
                    record.closed.notify_one();
                });
            }
        });
        Self {
            port,
            record,
            listening,
        }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.record.received.lock().unwrap().clone()
    }

    pub(crate) fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.record.received.lock().unwrap())
    }

    /// Every line said to it outside of texts.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.record.commands.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.record.connections.load(Ordering::SeqCst)
    }

    /// The most connections open at one time.
    pub(crate) fn most_open(&self) -> usize {
        self.record.most_open.load(Ordering::SeqCst)
    }

    /// Until it has taken another message.
    pub(crate) async fn took(&self) {
        self.record.took.notified().await;
    }

    /// Lets one that is held answer.
    pub(crate) fn let_go(&self) {
        self.record.go_on.notify_one();
    }

    /// Until a script's silence begins.
    pub(crate) async fn fell_silent(&self) {
        self.record.silent.notified().await;
    }

    /// Until a connection has ended.
    pub(crate) async fn closed(&self) {
        self.record.closed.notified().await;
    }
}

/// A connection before and after the handshake.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// In the handshake, or after one that failed.
    Gone,
}

impl Wire {
    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::Gone => None,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// A certificate of the tests and its key.
fn acceptor(certificate: &str) -> TlsAcceptor {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
    let chain = CertificateDer::from_pem_file(format!("{dir}/{certificate}.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{dir}/server.key")).unwrap();
    xixin::channel::install_tls();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    Arc::new(config).into()
}

struct Talk<'a> {
    stream: BufReader<Wire>,
    script: Script,
    said: Vec<Verb>,
    cut: bool,
    record: &'a Record,
}

/// The connection is over.
struct Over;

impl Talk<'_> {
    async fn run(mut self) {
        let _ = self.talk().await;
    }

    async fn talk(&mut self) -> Result<(), Over> {
        if let Some((Tls::FromTheFirstByte, certificate)) = self.script.tls {
            self.encrypt(certificate).await?;
        }
        self.answer(Verb::Connect, "220 test.example.org ESMTP").await?;
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let line = self.line().await?;
            self.record.commands.lock().unwrap().push(line.clone());
            let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "EHLO" => {
                    let offers = matches!(self.script.tls, Some((Tls::AfterStarttls, _)));
                    let plain = matches!(self.stream.get_ref(), Wire::Plain(_));
                    let starttls = if offers && plain { "250-STARTTLS\r\n" } else { "" };
                    let proper = format!("250-test.example.org\r\n{starttls}250 AUTH PLAIN LOGIN XOAUTH2");
                    self.answer(Verb::Ehlo, &proper).await?
                }
                "STARTTLS" => {
                    let proper = self.answer(Verb::Starttls, "220 go ahead").await?;
                    if let Some((_, certificate)) = self.script.tls.filter(|_| proper) {
                        self.encrypt(certificate).await?;
                    }
                    proper
                }
                "AUTH" => match self.script.login {
                    Some(login) if login != line => {
                        self.say("535 5.7.8 who are you?\r\n").await?;
                        false
                    }
                    _ => self.answer(Verb::Auth, "235 2.7.0 welcome").await?,
                },
                "MAIL" => {
                    (from, to) = (line["MAIL FROM:".len()..].to_owned(), Vec::new());
                    self.answer(Verb::Mail, "250 2.1.0 ok").await?
                }
                "RCPT" => {
                    to.push(line["RCPT TO:".len()..].to_owned());
                    self.answer(Verb::Rcpt, "250 2.1.5 ok").await?
                }
                "DATA" => {
                    if !self.answer(Verb::Data, "354 go on").await? {
                        continue;
                    }
                    self.answer(Verb::Text, "").await?;
                    let text = self.text().await?;
                    let taken = self.answer(Verb::Dot, "250 2.0.0 ok: queued as 4XyZ12abc").await;
                    if taken.as_ref().is_ok_and(|taken| *taken) || self.cut {
                        let (from, to) = (from.clone(), to.clone());
                        self.record.received.lock().unwrap().push(Received { from, to, text });
                        self.record.took.notify_one();
                    }
                    taken?
                }
                "NOOP" => self.answer(Verb::Noop, "250 2.0.0 ok").await?,
                "RSET" => self.answer(Verb::Rset, "250 2.0.0 ok").await?,
                "QUIT" => {
                    self.answer(Verb::Quit, "221 2.0.0 bye").await?;
                    return Err(Over);
                }
                _ => {
                    self.say("500 5.5.1 what?\r\n").await?;
                    false
                }
            };
        }
    }

    /// True when the answer was the proper one.
    async fn answer(&mut self, verb: Verb, proper: &str) -> Result<bool, Over> {
        self.said.push(verb);
        let nth = self.said.iter().filter(|said| **said == verb).count();
        match self.script.act(verb, nth) {
            None if proper.is_empty() => Ok(true),
            None => self.say(&format!("{proper}\r\n")).await.map(|()| true),
            Some(Act::Reply(text)) => {
                self.say(&format!("{text}\r\n")).await?;
                Ok(text.starts_with(['2', '3']))
            }
            Some(Act::ByteWise(text)) => {
                for byte in text.bytes().chain(*b"\r\n") {
                    self.write(&[byte]).await?;
                }
                Ok(true)
            }
            Some(Act::Raw(bytes)) => {
                self.write(bytes).await?;
                Ok(false)
            }
            Some(Act::Endless(text)) => {
                let many = text.repeat(64);
                loop {
                    self.say(&many).await?;
                }
            }
            Some(Act::Close) => Err(Over),
            Some(Act::Cut) => {
                self.cut = true;
                Err(Over)
            }
            Some(Act::Reset) => {
                let socket = self.stream.get_ref().socket().ok_or(Over)?;
                socket.set_zero_linger().unwrap();
                Err(Over)
            }
            Some(Act::Held) => {
                self.record.silent.notify_one();
                self.record.go_on.notified().await;
                self.say(&format!("{proper}\r\n")).await.map(|()| true)
            }
            Some(Act::Silence) => {
                self.record.silent.notify_one();
                if verb == Verb::Text {
                    std::future::pending::<()>().await;
                }
                // Ends when the client hangs up.
                while self.line().await.is_ok() {}
                Err(Over)
            }
        }
    }

    /// The handshake. Whoever does not trust the certificate hangs up.
    async fn encrypt(&mut self, certificate: &str) -> Result<(), Over> {
        let Wire::Plain(stream) = std::mem::replace(self.stream.get_mut(), Wire::Gone) else {
            return Err(Over);
        };
        let stream = acceptor(certificate).accept(stream).await.map_err(|_| Over)?;
        self.stream = BufReader::new(Wire::Tls(Box::new(stream)));
        Ok(())
    }

    async fn say(&mut self, text: &str) -> Result<(), Over> {
        self.write(text.as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await.map_err(|_| Over)?;
        stream.flush().await.map_err(|_| Over)
    }

    async fn line(&mut self) -> Result<String, Over> {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line).await.map_err(|_| Over)?;
        if read == 0 {
            return Err(Over);
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    async fn text(&mut self) -> Result<Vec<u8>, Over> {
        let mut text = Vec::new();
        loop {
            let start = text.len();
            if self.stream.read_until(b'\n', &mut text).await.map_err(|_| Over)? == 0 {
                return Err(Over);
            }
            if &text[start..] == b".\r\n" {
                text.truncate(start);
                return Ok(text);
            }
            if text[start] == b'.' {
                text.remove(start);
            }
        }
    }
}
