//! SMS: a message, what is prepared of it once, and the gateways that take it.

mod answer;
mod file;
mod http;
mod template;

use jiff::Timestamp;

use super::Line;
use super::build::BuildError;
use super::outcome::{Blame, Fault, Outcome, Stage};

pub use file::FileGateway;
pub use http::{GatewayError, HttpGateway};

/// A rendered message to one number.
#[derive(Clone)]
pub struct Sms {
    /// Digits, with a leading + if the gateway wants it so.
    pub to: String,
    /// The whole text, signature included.
    pub text: String,
    /// The signature alone, without brackets: some gateways want it as a field of its own.
    pub signature: String,
    /// The id that the gateway may use to tell a resend: the same for every attempt at one delivery.
    pub id: String,
}

/// What goes out, fixed before the attempt is recorded.
pub struct WireSms {
    wire: Wire,
    sha256: String,
}

enum Wire {
    Http(http::Prepared),
    File(file::Prepared),
}

impl WireSms {
    /// Of everything that goes out, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// What is asked of a gateway about a message whose fate nobody knows.
#[derive(Debug, Clone)]
pub struct Question {
    /// The id that was given to the gateway with the message.
    pub id: String,
    /// The number it went to.
    pub to: String,
    /// When it was sent: gateways keep their records by day.
    pub sent: Timestamp,
}

/// What a gateway knows of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It has taken it.
    Taken { reference: Option<String> },
    /// It has taken it and has given it up; why, in an office clerk's words.
    Failed { reason: String },
    /// It has certainly not taken it and never will: the message can be sent again.
    NotTaken,
    /// It does not say, or does not know yet.
    Unclear,
}

/// How SMS leave.
pub enum SmsGateway {
    Http(Box<HttpGateway>),
    File(FileGateway),
}

impl SmsGateway {
    /// Renders everything that will be sent; nothing leaves yet.
    pub fn prepare(&self, sms: &Sms) -> Result<WireSms, BuildError> {
        let (wire, sha256) = match self {
            Self::Http(gateway) => {
                let prepared = gateway.prepare(sms)?;
                let sha256 = prepared.sha256();
                (Wire::Http(prepared), sha256)
            }
            Self::File(gateway) => {
                let prepared = gateway.prepare(sms);
                let sha256 = prepared.sha256();
                (Wire::File(prepared), sha256)
            }
        };
        Ok(WireSms { wire, sha256 })
    }

    /// Whether SMS could leave now, without sending any.
    pub async fn probe(&self) -> Result<(), Outcome> {
        match self {
            Self::Http(gateway) => gateway.probe().await,
            Self::File(_) => Ok(()),
        }
    }

    /// Whether this gateway can be asked about a message of unknown fate.
    pub fn can_query(&self) -> bool {
        match self {
            Self::Http(_) => false,
            Self::File(_) => true,
        }
    }

    /// Asks what became of a message. Whatever goes wrong with the question itself is [`Known::Unclear`].
    pub async fn query(&self, question: &Question) -> Known {
        match self {
            Self::Http(_) => Known::Unclear,
            Self::File(gateway) => gateway.query(question).await,
        }
    }

    /// One attempt, as soon as a line is free.
    pub async fn send(&self, sms: &WireSms) -> Outcome {
        self.send_on(self.line().await, sms).await
    }

    /// Waits for a line.
    pub async fn line(&self) -> Line<'_> {
        match self {
            Self::Http(gateway) => gateway.line().await,
            Self::File(_) => Line::unlimited(),
        }
    }

    /// One attempt.
    pub async fn send_on(&self, line: Line<'_>, sms: &WireSms) -> Outcome {
        match (self, &sms.wire) {
            (Self::Http(gateway), Wire::Http(prepared)) => gateway.send_on(line, prepared).await,
            (Self::File(gateway), Wire::File(prepared)) => gateway.send(prepared).await,
            // A reload replaced the gateway between the two steps; nothing has left.
            _ => Outcome::of(
                Fault::new(Blame::Provider, Stage::Request),
                "短信网关刚刚更换,将重新准备 / the SMS gateway was replaced just now; the message will be prepared anew".to_owned(),
                None,
            ),
        }
    }
}
