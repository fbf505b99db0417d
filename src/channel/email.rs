//! SMTP through kept-open connections, with the stage of every attempt known.
//!
//! lettre speaks the protocol; this module drives its connection one command at a time, because its own `send` does not
//! tell a refusal before the final dot from silence after it. Always: what fails before the dot was not sent; what is
//! unanswered after it is [`Outcome::Uncertain`]; a connection whose state is not known is closed, never re-used; with TLS
//! asked for, nothing but EHLO and STARTTLS is said in the clear. Bodies and credentials are never logged.
//!
//! It does not retry a message, with one exception that cannot send twice: a connection found closed when it is used again.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt, Rset};
use lettre::transport::smtp::response::Response;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::config::settings::Smtp;

use super::Line;
use super::build::WireMail;
use super::connect::{Dialed, Dialer};
use super::failure::{Cause, Failure, StepError};
use super::logins::Logins;
use super::outcome::{Outcome, Stage};
use super::stream::Written;

pub use super::connect::SmtpError;

/// A connection idle for longer is not used again: firewalls forget it without telling.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A probe waits this long for one of the lines.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// The connections to one mail server, at most as many as configured.
pub struct SmtpPool {
    name: String,
    dialer: Dialer,
    logins: Logins,
    /// Messages by one connection at the most.
    per_connection: u32,
    answers: AtomicU64,
    pub(super) timeout: Duration,
    pub(super) dot_timeout: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
}

/// One open, greeted and authenticated connection.
pub(super) struct Session {
    pub(super) connection: AsyncSmtpConnection,
    /// When it was last answered.
    used: Instant,
    pub(super) state: State,
    /// Whether the server takes several commands in one piece (RFC 2920).
    pipelining: bool,
    pub(super) written: Written,
    /// Messages that may still go by it.
    left: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Clean,
    /// A transaction was refused half-way: RSET before the next one.
    Begun,
    /// The server waits for a text that will not come: of no more use.
    Spent,
}

impl SmtpPool {
    /// Connects to nothing yet. `credentials` is `$CREDENTIALS_DIRECTORY`, when set.
    pub fn new(settings: &Smtp, credentials: Option<&Path>) -> Result<Self, SmtpError> {
        super::install_tls();
        Ok(Self {
            name: settings.name.clone(),
            dialer: Dialer::new(settings, credentials)?,
            logins: Logins::default(),
            per_connection: match settings.per_connection {
                0 => u32::MAX,
                most => most,
            },
            answers: AtomicU64::new(0),
            timeout: Duration::from_secs(settings.timeout_s),
            dot_timeout: Duration::from_secs(settings.dot_timeout_s),
            permits: Semaphore::new(settings.connections),
            idle: Mutex::new(Vec::new()),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a password has to be right for mail to leave.
    pub fn logs_in(&self) -> bool {
        self.dialer.logs_in()
    }

    /// How many attempts the server has answered, whatever it said.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// One attempt, as soon as a line is free.
    pub async fn send(&self, mail: &WireMail) -> Outcome {
        self.send_on(self.line().await, mail).await
    }

    /// Waits for a line: one of as many connections as are configured.
    pub async fn line(&self) -> Line<'_> {
        Line::of(&self.permits).await
    }

    /// One attempt. Dropping the future closes its connection; past the dot the outcome is then unknown.
    pub async fn send_on(&self, _line: Line<'_>, mail: &WireMail) -> Outcome {
        if let Some(session) = self.take_idle() {
            match self.attempt(session, mail).await {
                // The server closed it between two messages; this one was not begun.
                Err(Failure {
                    stage: Stage::Mail,
                    cause: Cause::Lost | Cause::Reply { code: 421, .. },
                }) => {}
                done => return outcome(done),
            }
        }
        outcome(match self.open().await {
            Ok(session) => self.attempt(session, mail).await,
            Err(failure) => Err(failure),
        })
    }

    /// Connects anew, authenticates and says NOOP: whether the server would take mail now.
    pub async fn probe(&self) -> Result<(), Outcome> {
        // Where every line hangs in a server that is dead, it is asked by one more.
        let _line = timeout(PROBE_PATIENCE, self.line()).await;
        let probed = async {
            let mut session = self.session(self.logins.again(&self.dialer).await?);
            self.expect(Stage::Probe, session.connection.command(Noop), 250).await?;
            self.put_back(session, State::Clean);
            Ok(())
        };
        probed.await.map_err(|failure: Failure| failure.outcome())
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| session.used.elapsed() < IDLE_LIMIT);
        idle.pop()
    }

    fn put_back(&self, session: Session, state: State) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Session {
            used: Instant::now(),
            state,
            ..session
        });
    }

    async fn open(&self) -> Result<Session, Failure> {
        // Boxed, because it is seldom needed and large: a message would carry the room for it along wherever it is handed on.
        Ok(self.session(Box::pin(self.logins.open(&self.dialer)).await?))
    }

    fn session(&self, dialed: Dialed) -> Session {
        let Dialed {
            connection,
            pipelining,
            written,
        } = dialed;
        Session {
            connection,
            used: Instant::now(),
            state: State::Clean,
            pipelining,
            written,
            left: self.per_connection,
        }
    }

    /// One transaction; keeps the connection if its state is known afterwards.
    async fn attempt(&self, mut session: Session, mail: &WireMail) -> Result<Response, Failure> {
        session.left = session.left.saturating_sub(1);
        let done = self.transact(&mut session, mail).await;
        let answered = match &done {
            Ok(_) => true,
            Err(failure) => matches!(failure.cause, Cause::Reply { .. }),
        };
        self.answers.fetch_add(u64::from(answered), Ordering::Relaxed);
        match &done {
            _ if session.left == 0 => {}
            Ok(_) => self.put_back(session, State::Clean),
            Err(failure) if failure.leaves_the_line_open() && session.state != State::Spent => {
                self.put_back(session, State::Begun);
            }
            Err(_) => {}
        }
        done
    }

    async fn transact(&self, session: &mut Session, mail: &WireMail) -> Result<Response, Failure> {
        if session.pipelining {
            self.announce_at_once(session, mail).await?;
            return self.text_and_dot(session, mail.bytes()).await;
        }
        let connection = &mut session.connection;
        if session.state == State::Begun {
            self.expect(Stage::Mail, connection.command(Rset), 250).await?;
        }
        // The bytes are ASCII, so neither BODY=8BITMIME nor SMTPUTF8 is needed.
        self.expect(
            Stage::Mail,
            connection.command(Mail::new(Some(mail.from().clone()), vec![])),
            250,
        )
        .await?;
        self.expect(
            Stage::Recipient,
            connection.command(Rcpt::new(mail.to().clone(), vec![])),
            250,
        )
        .await?;
        self.expect(Stage::Data, connection.command(Data), 354).await?;
        self.text_and_dot(session, mail.bytes()).await
    }

    /// A command and its one right answer, any 2yz standing for 250.
    pub(super) async fn expect(
        &self,
        stage: Stage,
        answer: impl Future<Output = Result<Response, smtp::Error>>,
        code: u16,
    ) -> Result<(), Failure> {
        let answered = u16::from(self.within(stage, answer).await?.code());
        if answered == code || (code == 250 && answered / 100 == 2) {
            Ok(())
        } else {
            Err(Failure {
                stage,
                cause: Cause::Lost,
            })
        }
    }

    pub(super) async fn within<T, E: Into<StepError>>(
        &self,
        stage: Stage,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        Failure::of(stage, timeout(self.timeout, step).await)
    }
}

fn outcome(done: Result<Response, Failure>) -> Outcome {
    match done {
        Ok(response) => Outcome::Accepted {
            reference: response.message().find_map(reference),
        },
        Err(failure) => failure.outcome(),
    }
}

/// The queue id in the two common forms, `queued as 4XyZ` (Postfix) and `id=1abc-00` (Exim); nothing else of the text is kept.
fn reference(line: &str) -> Option<String> {
    let after = line.split_once("queued as ").or_else(|| line.split_once("id="))?.1;
    let end = after
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .unwrap_or(after.len());
    // An address would go on with one of these.
    let id = &after[..end];
    let whole = !after[end..].starts_with(['@', '.', '_', '+', '%']);
    (whole && (4..=64).contains(&id.len())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_reference_is_a_queue_id_and_never_an_address() {
        let table = [
            ("2.0.0 Ok: queued as 4XyZ12abc", Some("4XyZ12abc")),
            ("OK id=1abcde-0001Ab-Cd", Some("1abcde-0001Ab-Cd")),
            ("queued as li@example.org", None),
            ("queued as li.lei@example.org", None),
            ("queued as x", None),
            ("OK", None),
        ];
        for (line, expected) in table {
            assert_eq!(reference(line).as_deref(), expected, "{line}");
        }
    }

    #[tokio::test]
    async fn a_line_that_begins_with_a_dot_arrives_as_it_is() {
        let text = b".\r\n..\r\n.a\r\na.\r\n\r\n.\r\nend\r\n";
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            stream.get_mut().write_all(b"220 x\r\n").await.unwrap();
            for _ in 0..2 {
                stream.read_line(&mut String::new()).await.unwrap();
                stream.get_mut().write_all(b"250 x\r\n").await.unwrap();
            }
            let mut lines = String::new();
            while !lines.ends_with("\r\n.\r\n") {
                stream.read_line(&mut lines).await.unwrap();
            }
            stream.get_mut().write_all(b"250 x\r\n").await.unwrap();
            lines
        });
        let settings = Smtp::plain("127.0.0.1", port);
        let pool = SmtpPool::new(&settings, None).unwrap();
        let mut session = pool.open().await.unwrap();
        pool.text_and_dot(&mut session, text).await.unwrap();
        assert_eq!(
            server.await.unwrap(),
            "..\r\n...\r\n..a\r\na.\r\n\r\n..\r\nend\r\n.\r\n"
        );
    }
}
