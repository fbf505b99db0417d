//! The ways out of the house: e-mail and SMS. A channel takes finished bytes and says what came of them.
//!
//! Always: one recipient per message; the bytes are fixed before the first attempt, so that a resend is identical; an
//! attempt ends in exactly one [`outcome::Outcome`]. A channel never retries by itself, keeps no queue and records nothing.

pub mod build;
mod dot;
pub mod email;
mod failure;
pub mod invitation;
pub mod maildir;
pub mod outcome;
pub(crate) mod ping;
mod pipeline;
pub mod sms;
mod spool;
mod stream;

use std::path::Path;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::secret::SecretError;
use crate::config::settings::{MailTransport, Settings, SmsTransport};

use build::WireMail;
use email::{SmtpError, SmtpPool};
use maildir::Maildir;
use outcome::Outcome;
use sms::{FileGateway, GatewayError, HttpGateway, SmsGateway};

/// The channels that the operators have set up; `None` is a channel nobody has.
pub struct Channels {
    pub mail: Option<MailChannel>,
    pub sms: Option<SmsGateway>,
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

/// How mail leaves.
pub enum MailChannel {
    Smtp(Box<SmtpPool>),
    Maildir(Maildir),
}

impl MailChannel {
    /// One attempt, as soon as a line is free.
    pub async fn send(&self, mail: &WireMail) -> Outcome {
        self.send_on(self.line().await, mail).await
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

    /// Whether mail could leave now, without sending any: what `xixin doctor` asks.
    pub async fn probe(&self) -> Result<(), Outcome> {
        match self {
            Self::Smtp(pool) => pool.probe().await,
            Self::Maildir(_) => Ok(()),
        }
    }
}

/// A channel that cannot be set up as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("mail.smtp.password cannot be used")]
    Password(#[source] SecretError),
    #[error("mail.smtp cannot be used")]
    Smtp(#[from] SmtpError),
    #[error("sms.transport is \"http\", but there is no [sms.http]; describe the gateway there")]
    NoGateway,
    #[error("sms.http cannot be used")]
    Gateway(#[from] GatewayError),
}

impl Channels {
    /// No way out: for whoever only looks.
    pub fn none() -> Self {
        Self { mail: None, sms: None }
    }

    /// Sets the channels up without connecting anywhere. Relative directories lie in `state_dir`; `credentials` is
    /// `$CREDENTIALS_DIRECTORY`, when set.
    pub fn open(settings: &Settings, state_dir: &Path, credentials: Option<&Path>) -> Result<Self, ChannelError> {
        install_tls();
        let mail = match settings.mail.transport {
            MailTransport::None => None,
            MailTransport::Maildir => Some(MailChannel::Maildir(Maildir::new(
                state_dir.join(&settings.mail.maildir.dir),
            ))),
            MailTransport::Smtp => {
                let password = settings
                    .mail
                    .smtp
                    .password
                    .as_ref()
                    .map(|source| source.read(credentials));
                let password = password.transpose().map_err(ChannelError::Password)?;
                Some(MailChannel::Smtp(Box::new(SmtpPool::new(
                    &settings.mail.smtp,
                    password,
                )?)))
            }
        };
        let sms = match settings.sms.transport {
            SmsTransport::None => None,
            SmsTransport::File => Some(SmsGateway::File(FileGateway::new(
                state_dir.join(&settings.sms.file.dir),
            ))),
            SmsTransport::Http => {
                let gateway = settings.sms.http.as_ref().ok_or(ChannelError::NoGateway)?;
                Some(SmsGateway::Http(Box::new(HttpGateway::new(gateway, credentials)?)))
            }
        };
        Ok(Self { mail, sms })
    }
}

/// Makes ring the process's TLS provider. Calling it again changes nothing.
pub fn install_tls() {
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
