//! From an address to a connection that is greeted, encrypted as configured and logged in.
//!
//! Always: TCP_NODELAY; every phase under its time-out; with TLS asked for, nothing but EHLO and STARTTLS is said in the clear, and
//! the certificate is verified. `opportunistic` takes what is offered and goes on in the clear only where nothing is; a handshake
//! that fails ends the connection there too. The password or token is read anew for each connection, so that one that was replaced
//! is in use at once; it is never logged.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;
use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::secret::{SecretError, SecretSource};
use crate::config::settings::{Smtp, SmtpAuth, SmtpTls};

use super::bounded::Bounded;
use super::failure::{Cause, Failure, StepError};
use super::outcome::Stage;
use super::stream::{BeforeTls, Encrypted, Watched, Written};

/// A mail server that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    #[error("“{0}”不是主机名 / \"{0}\" is not a host name; letters, digits, hyphens and dots are allowed")]
    Hello(String),
    #[error("用户名和密码须同时填写 / user and password belong together; give both or neither")]
    HalfCredentials,
    #[error(transparent)]
    Password(SecretError),
    #[error(
        "tls = \"{0}\" 会把密码明文发给别的机器,请用 \"starttls\" 或 \"implicit\" / tls = \"{0}\" could send the password readable to a server on another machine; use \"starttls\" or \"implicit\""
    )]
    ReadablePassword(&'static str),
    #[error("本机的根证书无法读取 / the certificate authorities of this machine cannot be read")]
    Tls(#[source] smtp::Error),
    #[error("证书文件 {path} 无法读取 / the certificates {path} cannot be read", path = path.display())]
    AuthorityFile { path: PathBuf, source: std::io::Error },
    #[error("{path} 中没有 PEM 格式的证书 / {path} holds no certificate in PEM form", path = path.display())]
    Authority { path: PathBuf },
}

impl SmtpError {
    /// The setting of the server that is to blame.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::HalfCredentials => "user",
            Self::Password(_) => "password",
            Self::ReadablePassword(_) | Self::Tls(_) => "tls",
            Self::AuthorityFile { .. } | Self::Authority { .. } => "ca",
        }
    }
}

/// How one mail server is reached.
pub(crate) struct Dialer {
    host: String,
    port: u16,
    security: Security,
    pub(super) hello: ClientId,
    login: Option<Login>,
    timeout: Duration,
}

/// A connection that is ready for a message.
pub(crate) struct Dialed {
    pub(super) connection: AsyncSmtpConnection,
    /// Whether the server takes several commands in one piece (RFC 2920).
    pub(super) pipelining: bool,
    pub(super) written: Written,
}

enum Security {
    Plain,
    Starttls(TlsParameters),
    /// STARTTLS where it is offered.
    Offered(TlsParameters),
    Implicit(TlsParameters),
}

struct Login {
    user: String,
    password: SecretSource,
    credentials: Option<PathBuf>,
    mechanisms: &'static [Mechanism],
}

impl Dialer {
    /// Connects to nothing yet. `credentials` is `$CREDENTIALS_DIRECTORY`, when set.
    pub(crate) fn new(settings: &Smtp, credentials: Option<&Path>) -> Result<Self, SmtpError> {
        let security = match settings.tls {
            SmtpTls::None => Security::Plain,
            SmtpTls::Opportunistic => Security::Offered(parameters(settings)?),
            SmtpTls::Starttls => Security::Starttls(parameters(settings)?),
            SmtpTls::Implicit => Security::Implicit(parameters(settings)?),
        };
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            security,
            hello: client_id(settings.hello.as_deref())?,
            login: Login::new(settings, credentials)?,
            timeout: Duration::from_secs(settings.timeout_s),
        })
    }

    /// Whether a password has to be right for mail to leave.
    pub(crate) fn logs_in(&self) -> bool {
        self.login.is_some()
    }

    /// Connects, greets, encrypts, learns what the server can and logs in.
    pub(crate) async fn open(&self) -> Result<Dialed, Failure> {
        let stream = self
            .within(Stage::Connect, TcpStream::connect((self.host.as_str(), self.port)))
            .await?;
        // Without it, the final dot waits 40 ms for the delayed acknowledgement of the text before it.
        stream.set_nodelay(true).map_err(|_| Failure {
            stage: Stage::Connect,
            cause: Cause::Lost,
        })?;
        let (stream, written) = Watched::new(stream);

        let mut connection = match &self.security {
            Security::Plain => self.greet(Box::new(Bounded::new(stream))).await?,
            Security::Implicit(parameters) => {
                let stream = self
                    .within(Stage::Tls, Encrypted::over(stream, parameters.clone()))
                    .await?;
                self.greet(Box::new(Bounded::new(stream))).await?
            }
            Security::Starttls(parameters) => {
                let connection = self.greet(Box::new(Bounded::new(BeforeTls::new(stream)))).await?;
                self.starttls(connection, parameters).await?
            }
            Security::Offered(parameters) => {
                let connection = self.greet(Box::new(Bounded::new(BeforeTls::new(stream)))).await?;
                if connection.can_starttls() {
                    self.starttls(connection, parameters).await?
                } else {
                    connection
                }
            }
        };
        let pipelining = self.learn_pipelining(&mut connection).await?;
        if let Some(login) = &self.login {
            self.log_in(&mut connection, login).await?;
        }
        Ok(Dialed {
            connection,
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

    async fn starttls(
        &self,
        mut connection: AsyncSmtpConnection,
        parameters: &TlsParameters,
    ) -> Result<AsyncSmtpConnection, Failure> {
        if !connection.can_starttls() {
            return Err(Failure {
                stage: Stage::Tls,
                cause: Cause::NoStarttls,
            });
        }
        self.within(Stage::Tls, connection.starttls(parameters.clone(), &self.hello))
            .await?;
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection, login: &Login) -> Result<(), Failure> {
        let refused = |cause| Failure {
            stage: Stage::Auth,
            cause,
        };
        let credentials = login.read().await.ok_or_else(|| refused(Cause::NoPassword))?;
        let answer = self
            .within(Stage::Auth, connection.auth(login.mechanisms, &credentials))
            .await?;
        // lettre takes any answer that is no refusal for a welcome.
        match answer.code().severity {
            Severity::PositiveCompletion => Ok(()),
            _ => Err(refused(Cause::Lost)),
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

impl Login {
    /// Reads the password once, so that one that is missing is told at the start.
    fn new(settings: &Smtp, credentials: Option<&Path>) -> Result<Option<Self>, SmtpError> {
        let (user, password) = match (&settings.user, &settings.password) {
            (None, None) => return Ok(None),
            (Some(user), Some(password)) => (user, password),
            _ => return Err(SmtpError::HalfCredentials),
        };
        match settings.tls {
            SmtpTls::Opportunistic => return Err(SmtpError::ReadablePassword("opportunistic")),
            SmtpTls::None if !is_this_machine(&settings.host) => return Err(SmtpError::ReadablePassword("none")),
            SmtpTls::None | SmtpTls::Starttls | SmtpTls::Implicit => {}
        }
        password.read(credentials).map_err(SmtpError::Password)?;
        Ok(Some(Self {
            user: user.clone(),
            password: password.clone(),
            credentials: credentials.map(Path::to_owned),
            mechanisms: match settings.auth {
                SmtpAuth::Auto => DEFAULT_MECHANISMS,
                SmtpAuth::Plain => &[Mechanism::Plain],
                SmtpAuth::Login => &[Mechanism::Login],
                SmtpAuth::Xoauth2 => &[Mechanism::Xoauth2],
            },
        }))
    }

    async fn read(&self) -> Option<Credentials> {
        let (password, credentials) = (self.password.clone(), self.credentials.clone());
        // The file may lie on a disk that hangs.
        let read = tokio::task::spawn_blocking(move || password.read(credentials.as_deref()));
        let secret = read.await.ok()?.ok()?;
        Some(Credentials::new(self.user.clone(), secret.expose_secret().to_owned()))
    }
}

/// Whom to trust: the authorities of this machine, or those in the file that was named and nobody else.
fn parameters(settings: &Smtp) -> Result<TlsParameters, SmtpError> {
    let builder = TlsParameters::builder(settings.host.clone());
    let Some(path) = &settings.ca else {
        return builder.build_rustls().map_err(SmtpError::Tls);
    };
    let nothing = || SmtpError::Authority { path: path.clone() };
    let pem = std::fs::read(path).map_err(|source| SmtpError::AuthorityFile {
        path: path.clone(),
        source,
    })?;
    if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Err(nothing());
    }
    let authorities = Certificate::from_pem(&pem).map_err(|_| nothing())?;
    let builder = builder.certificate_store(CertificateStore::None);
    builder
        .add_root_certificate(authorities)
        .build_rustls()
        .map_err(|_| nothing())
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

pub(crate) fn is_this_machine(host: &str) -> bool {
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
    use super::*;

    #[test]
    fn a_name_that_could_end_the_hello_is_refused() {
        for name in ["", "a b", "a\r\nMAIL FROM:<x@example.org>", "号"] {
            assert!(client_id(Some(name)).is_err(), "{name:?}");
        }
        assert!(client_id(Some("hall-3.example.org")).is_ok());
    }
}
