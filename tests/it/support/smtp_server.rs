//! An SMTP server that misbehaves on request and remembers what it was told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

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
}

/// What the server does instead of answering properly.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Says this, with a line break after it.
    Reply(&'static str),
    /// Says this one byte per packet.
    ByteWise(&'static str),
    Close,
    /// Closes with RST.
    Reset,
    /// Holds the line and never answers.
    Silence,
}

/// What to do at which moment; `nth` counts from 1 within a connection, 0 is every time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Vec<(Verb, usize, Act)>);

impl Script {
    pub(crate) fn polite() -> Self {
        Self::default()
    }

    pub(crate) fn on(self, verb: Verb, act: Act) -> Self {
        self.on_nth(verb, 0, act)
    }

    pub(crate) fn on_nth(mut self, verb: Verb, nth: usize, act: Act) -> Self {
        self.0.push((verb, nth, act));
        self
    }

    fn act(&self, verb: Verb, nth: usize) -> Option<Act> {
        let found = self
            .0
            .iter()
            .find(|(on, at, _)| *on == verb && (*at == 0 || *at == nth));
        found.map(|(_, _, act)| *act)
    }
}

/// A message whose final dot was answered with 250.
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
    closed: Notify,
}

/// A running server; it ends with the test's runtime.
pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    record: Arc<Record>,
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
        tokio::spawn(async move {
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
                        stream: BufReader::new(stream),
                        script,
                        said: Vec::new(),
                        record: &record,
                    }
                    .run()
                    .await;
                    record.open.fetch_sub(1, Ordering::SeqCst);
                    record.closed.notify_one();
                });
            }
        });
        Self { port, record }
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

    /// Until a script's silence begins.
    pub(crate) async fn fell_silent(&self) {
        self.record.silent.notified().await;
    }

    /// Until a connection has ended.
    pub(crate) async fn closed(&self) {
        self.record.closed.notified().await;
    }
}

struct Talk<'a> {
    stream: BufReader<TcpStream>,
    script: Script,
    said: Vec<Verb>,
    record: &'a Record,
}

/// The connection is over.
struct Over;

impl Talk<'_> {
    async fn run(mut self) {
        let _ = self.talk().await;
    }

    async fn talk(&mut self) -> Result<(), Over> {
        self.answer(Verb::Connect, "220 test.example.org ESMTP").await?;
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let line = self.line().await?;
            self.record.commands.lock().unwrap().push(line.clone());
            let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "EHLO" => {
                    self.answer(Verb::Ehlo, "250-test.example.org\r\n250 AUTH PLAIN LOGIN")
                        .await?
                }
                "STARTTLS" => self.answer(Verb::Starttls, "220 go ahead").await?,
                "AUTH" => self.answer(Verb::Auth, "235 2.7.0 welcome").await?,
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
                    let taken = self.answer(Verb::Dot, "250 2.0.0 ok: queued as 4XyZ12abc").await?;
                    if taken {
                        let (from, to) = (from.clone(), to.clone());
                        self.record.received.lock().unwrap().push(Received { from, to, text });
                    }
                    taken
                }
                "NOOP" => self.answer(Verb::Noop, "250 2.0.0 ok").await?,
                "RSET" => self.answer(Verb::Rset, "250 2.0.0 ok").await?,
                "QUIT" => {
                    self.say("221 2.0.0 bye\r\n").await?;
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
            Some(Act::Close) => Err(Over),
            Some(Act::Reset) => {
                self.stream.get_ref().set_zero_linger().unwrap();
                Err(Over)
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

    async fn say(&mut self, text: &str) -> Result<(), Over> {
        self.write(text.as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.stream.get_mut().write_all(bytes).await.map_err(|_| Over)
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
