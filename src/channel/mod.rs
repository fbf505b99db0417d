//! The ways out of the house: e-mail and SMS. A channel takes finished bytes and says what came of them.
//!
//! Always: one recipient per message; the bytes are fixed before the first attempt, so that a resend is identical; an
//! attempt ends in exactly one [`outcome::Outcome`]. A channel never retries by itself, keeps no queue and records nothing.

pub mod alarm;
pub mod bounce;
mod bounded;
pub mod build;
mod connect;
mod dot;
pub mod email;
mod failure;
pub mod invitation;
mod logins;
pub mod maildir;
pub mod outcome;
pub(crate) mod ping;
mod pipeline;
pub mod sms;
mod spool;
mod stream;
pub mod verp;

use std::path::Path;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::secret::SecretError;
use crate::config::settings::{MailTransport, Settings, SmsTransport, Smtp};
use crate::domain::text::Said;

use build::WireMail;
use email::{SmtpError, SmtpPool};
use maildir::Maildir;
use outcome::Outcome;
use sms::{Door, FileGateway, GatewayError, Gateways, SmsGateway, WebGateway};
use verp::ReturnPath;

/// The channels that the operators have set up; `None` is a channel nobody has.
pub struct Channels {
    pub mail: Option<MailChannel>,
    pub sms: Option<SmsGateway>,
    /// Where mail comes back to when it cannot be delivered; `None`: to the sender's address, and no report is read.
    pub return_path: Option<ReturnPath>,
    /// Where gateways call us.
    pub door: Option<Door>,
}

/// A free line to a provider, of as many as the settings allow at one time. Whoever holds one need not wait to be sent.
pub struct Line<'a>(
    #[expect(dead_code, reason = "held for what it stands for: the provider's limit")] Option<SemaphorePermit<'a>>,
);

impl<'a> Line<'a> {
    async fn of(permits: &'a Semaphore) -> Self {
        Self(Some(permits.acquire().await.expect("the semaphore is never closed")))
    }

    /// Of a way that takes any number at one time.
    fn unlimited() -> Self {
        Self(None)
    }
}

/// How mail leaves: by the first of these that works.
pub struct MailChannel(Vec<MailServer>);

/// One way out for mail.
pub enum MailServer {
    Smtp(Box<SmtpPool>),
    Maildir(Maildir),
}

impl MailChannel {
    /// In the order in which they are used.
    pub fn servers(&self) -> &[MailServer] {
        &self.0
    }

    /// One test message, by the first server that can be reached and logged in to now, whatever was known of it before.
    pub async fn send_test(&self, mail: &WireMail) -> Outcome {
        let mut outcome = Outcome::provider_down("未配置邮件服务器 / no mail server is configured".to_owned());
        for server in &self.0 {
            outcome = match server.probe().await {
                Ok(()) => server.send_on(server.line().await, mail).await,
                Err(fault) => fault,
            };
            if outcome.provider_fault().is_none() {
                break;
            }
        }
        outcome
    }
}

impl MailServer {
    /// As attempts, logs and metrics call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Smtp(pool) => pool.name(),
            Self::Maildir(_) => "maildir",
        }
    }

    /// Whether it has to be looked at before a message is risked on it.
    pub fn logs_in(&self) -> bool {
        match self {
            Self::Smtp(pool) => pool.logs_in(),
            Self::Maildir(_) => false,
        }
    }

    /// Waits for a line.
    pub async fn line(&self) -> Line<'_> {
        match self {
            Self::Smtp(pool) => pool.line().await,
            Self::Maildir(_) => Line::unlimited(),
        }
    }

    /// One attempt.
    pub async fn send_on(&self, line: Line<'_>, mail: &WireMail) -> Outcome {
        match self {
            Self::Smtp(pool) => pool.send_on(line, mail).await,
            Self::Maildir(maildir) => maildir.send(mail).await,
        }
    }

    /// Whether mail could leave now, without sending any: connects anew, logs in and says NOOP.
    pub async fn probe(&self) -> Result<(), Outcome> {
        match self {
            Self::Smtp(pool) => pool.probe().await,
            Self::Maildir(_) => Ok(()),
        }
    }

    /// Counts what it has answered: while this stands still, it does not.
    pub fn answers(&self) -> u64 {
        match self {
            Self::Smtp(pool) => pool.answers(),
            Self::Maildir(_) => 0,
        }
    }
}

/// A channel that cannot be set up as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("{key}")]
pub struct ChannelError {
    /// The setting that is to blame.
    pub key: String,
    source: Cause,
}

/// Each says in both languages what is wrong.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Cause {
    Smtp(#[from] SmtpError),
    Secret(#[from] SecretError),
    Gateway(GatewayError),
}

impl From<GatewayError> for Cause {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Secret { cause, .. } => Self::Secret(cause),
            other => Self::Gateway(other),
        }
    }
}

impl ChannelError {
    fn new(key: &str, cause: impl Into<Cause>) -> Self {
        Self {
            key: key.to_owned(),
            source: cause.into(),
        }
    }

    /// What is wrong with the setting.
    pub fn what(&self) -> Said {
        let mut said = Said::parse(&self.source.to_string());
        let mut cause = std::error::Error::source(&self.source);
        while let Some(deeper) = cause {
            said = Said::new(format!("{}: {deeper}", said.zh), format!("{}: {deeper}", said.en));
            cause = deeper.source();
        }
        said
    }
}

impl Channels {
    /// No way out: for whoever only looks.
    pub fn none() -> Self {
        Self {
            mail: None,
            sms: None,
            return_path: None,
            door: None,
        }
    }

    /// Sets the channels up without connecting anywhere. Relative directories lie in `state_dir`; `credentials` is
    /// `$CREDENTIALS_DIRECTORY`, when set.
    pub fn open(settings: &Settings, state_dir: &Path, credentials: Option<&Path>) -> Result<Self, ChannelError> {
        install_tls();
        let mail = match settings.mail.transport {
            MailTransport::None => None,
            MailTransport::Maildir => {
                let maildir = Maildir::new(state_dir.join(&settings.mail.maildir.dir));
                Some(MailChannel(vec![MailServer::Maildir(maildir)]))
            }
            MailTransport::Smtp => {
                let open = |(index, server): (usize, &Smtp)| match SmtpPool::new(server, credentials) {
                    Ok(pool) => Ok(MailServer::Smtp(Box::new(pool))),
                    Err(cause) => {
                        let key = format!("{}.{}", settings.mail.key_of(index), cause.key());
                        Err(ChannelError::new(&key, cause))
                    }
                };
                let servers: Result<_, _> = settings.mail.servers().iter().enumerate().map(open).collect();
                Some(MailChannel(servers?))
            }
        };
        let sms = match settings.sms.transport {
            SmsTransport::None => None,
            SmsTransport::File => Some(SmsGateway::File(FileGateway::new(
                state_dir.join(&settings.sms.file.dir),
            ))),
            SmsTransport::Http => {
                let open = |gateway| WebGateway::http(gateway, credentials);
                // Without a description of it, the settings are refused when they are read.
                let gateway = settings.sms.http.as_ref().map(open).transpose();
                let gateway =
                    gateway.map_err(|cause| ChannelError::new(&format!("sms.http.{}", cause.key()), cause))?;
                gateway.map(SmsGateway::Web)
            }
            SmsTransport::Gateways => Some(SmsGateway::Several(Gateways::new(&settings.sms, credentials)?)),
        };
        let return_path = settings.mail.bounces.as_ref();
        let return_path = return_path
            .map(|bounces| ReturnPath::new(bounces, credentials))
            .transpose();
        Ok(Self {
            mail,
            sms,
            return_path: return_path.map_err(|cause| ChannelError::new("mail.bounces.key", cause))?,
            door: Door::open(settings, credentials)?,
        })
    }
}

/// Makes ring the process's TLS provider. Calling it again changes nothing.
pub fn install_tls() {
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
