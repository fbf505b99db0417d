//! SMTP through kept-open connections, with the stage of every attempt known.
//!
//! lettre speaks the protocol; this module drives its connection one command at a time, because its own `send` does not
//! tell a refusal before the final dot from silence after it. Always: what fails before the dot was not sent; what is
//! unanswered after it is [`Outcome::Uncertain`]; a connection whose state is not known is closed, never re-used; with TLS
//! asked for, nothing but EHLO and STARTTLS is said in the clear. Bodies and credentials are never logged.
//!
//! It does not retry a message, with one exception that cannot send twice: a connection found closed when it is used again.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::config::settings::{Smtp, SmtpTls};

use super::Line;
use super::build::WireMail;
use super::failure::{Cause, Failure, StepError};
use super::outcome::{Outcome, Stage};
use super::stream::{BeforeTls, Encrypted, Watched, Written};

/// A connection idle for longer is not used again: firewalls forget it without telling.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A mail server that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    #[error("hello: \"{0}\" is not a host name; letters, digits, hyphens and dots are allowed")]
    Hello(String),
    #[error("user and password belong together; give both or neither")]
    HalfCredentials,
    #[error(
        "tls = \"none\" would send the password readable to a server on another machine; use \"starttls\" or \"implicit\""
    )]
    ReadablePassword,
    #[error("the certificate authorities of this machine cannot be read")]
    Tls(#[source] smtp::Error),
}

/// The connections to one mail server, at most as many as configured.
pub struct SmtpPool {
    host: String,
    port: u16,
    security: Security,
    hello: ClientId,
    credentials: Option<Credentials>,
    pub(super) timeout: Duration,
    pub(super) dot_timeout: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
}

enum Security {
    Plain,
    Starttls(TlsParameters),
    Implicit(TlsParameters),
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
    /// Connects to nothing yet.
    pub fn new(settings: &Smtp, password: Option<SecretString>) -> Result<Self, SmtpError> {
        super::install_tls();
        let parameters = || TlsParameters::new_rustls(settings.host.clone()).map_err(SmtpError::Tls);
        let security = match settings.tls {
            SmtpTls::None => Security::Plain,
            SmtpTls::Starttls => Security::Starttls(parameters()?),
            SmtpTls::Implicit => Security::Implicit(parameters()?),
        };
        let credentials = match (&settings.user, password) {
            (None, None) => None,
            (Some(_), Some(_)) if settings.tls == SmtpTls::None && !is_this_machine(&settings.host) => {
                return Err(SmtpError::ReadablePassword);
            }
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.expose_secret().to_owned())),
            _ => return Err(SmtpError::HalfCredentials),
        };
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            security,
            hello: client_id(settings.hello.as_deref())?,
            credentials,
            timeout: Duration::from_secs(settings.timeout_s),
            dot_timeout: Duration::from_secs(settings.dot_timeout_s),
            permits: Semaphore::new(settings.connections),
            idle: Mutex::new(Vec::new()),
        })
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
        let _line = self.line().await;
        let probed = async {
            let mut session = self.open().await?;
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
        let stream = self
            .within(Stage::Connect, TcpStream::connect((self.host.as_str(), self.port)))
            .await?;
        let lost = |_| Failure {
            stage: Stage::Connect,
            cause: Cause::Lost,
        };
        // Without it, the final dot waits 40 ms for the delayed acknowledgement of the text before it.
        stream.set_nodelay(true).map_err(lost)?;
        let (stream, written) = Watched::new(stream);

        let mut connection = match &self.security {
            Security::Plain => self.greet(Box::new(stream)).await?,
            Security::Implicit(parameters) => {
                let stream = self
                    .within(Stage::Tls, Encrypted::over(stream, parameters.clone()))
                    .await?;
                self.greet(Box::new(stream)).await?
            }
            Security::Starttls(parameters) => {
                let mut connection = self.greet(Box::new(BeforeTls::new(stream))).await?;
                if !connection.can_starttls() {
                    return Err(Failure {
                        stage: Stage::Tls,
                        cause: Cause::NoStarttls,
                    });
                }
                self.within(Stage::Tls, connection.starttls(parameters.clone(), &self.hello))
                    .await?;
                connection
            }
        };
        let pipelining = self.learn_pipelining(&mut connection, &self.hello).await?;
        if let Some(credentials) = &self.credentials {
            self.within(Stage::Auth, connection.auth(DEFAULT_MECHANISMS, credentials))
                .await?;
        }
        Ok(Session {
            connection,
            used: Instant::now(),
            state: State::Clean,
            pipelining,
            written,
        })
    }

    async fn greet(&self, stream: Box<dyn AsyncTokioStream>) -> Result<AsyncSmtpConnection, Failure> {
        self.within(
            Stage::Hello,
            AsyncSmtpConnection::connect_with_transport(stream, &self.hello),
        )
        .await
    }

    /// One transaction; keeps the connection if its state is known afterwards.
    async fn attempt(&self, mut session: Session, mail: &WireMail) -> Result<Response, Failure> {
        let done = self.transact(&mut session, mail).await;
        match &done {
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

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The configured name, else this machine's, else an address literal (RFC 5321 4.1.4).
fn client_id(hello: Option<&str>) -> Result<ClientId, SmtpError> {
    let plain = |name: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !name.is_empty() && name.len() <= 255 && name.bytes().all(letters)
    };
    match hello {
        Some(name) if plain(name) => Ok(ClientId::Domain(name.to_owned())),
        Some(name) => Err(SmtpError::Hello(name.to_owned())),
        None => Ok(match ClientId::default() {
            ClientId::Domain(name) if !plain(&name) => ClientId::Ipv4(Ipv4Addr::LOCALHOST),
            found => found,
        }),
    }
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
        let settings = Smtp {
            host: "127.0.0.1".to_owned(),
            port,
            tls: SmtpTls::None,
            hello: None,
            user: None,
            password: None,
            connections: 1,
            timeout_s: 30,
            dot_timeout_s: 30,
        };
        let pool = SmtpPool::new(&settings, None).unwrap();
        let mut session = pool.open().await.unwrap();
        pool.text_and_dot(&mut session, text).await.unwrap();
        assert_eq!(
            server.await.unwrap(),
            "..\r\n...\r\n..a\r\na.\r\n\r\n..\r\nend\r\n.\r\n"
        );
    }

    #[test]
    fn a_name_that_could_end_the_hello_is_refused() {
        for name in ["", "a b", "a\r\nMAIL FROM:<x@example.org>", "号"] {
            assert!(client_id(Some(name)).is_err(), "{name:?}");
        }
        assert!(client_id(Some("hall-3.example.org")).is_ok());
    }
}
