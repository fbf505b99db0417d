//! SMS: a message, what is prepared of it once, and the gateways that take it.

mod aliyun;
mod alphabet;
mod answer;
mod arrival;
mod asking;
mod cloud;
mod described;
mod file;
mod gateways;
mod hook;
mod http;
mod kannel;
mod smpp;
mod template;
mod tencent;
mod web;
mod web_gateway;

use std::sync::Arc;

use jiff::Timestamp;

use super::Line;
use super::build::BuildError;
use super::outcome::{Blame, Fault, Outcome, Stage};
use crate::template::Coded;

pub use arrival::{Arrival, Incoming, Part, Report, national};
pub use file::FileGateway;
pub use gateways::{Gateways, Provider};
pub use hook::{Call, Door, Heard, Unheard};
pub use http::GatewayError;
pub use smpp::{Arrived, joined};
pub use web_gateway::WebGateway;

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
    /// When it is prepared: signatures hold the time.
    pub at: Timestamp,
    /// The same message as each cloud wants it that takes no free text.
    pub coded: Vec<Coded>,
}

/// What goes out, fixed before the attempt is recorded.
pub struct WireSms {
    wire: Wire,
    sha256: String,
    /// By which of several gateways.
    way: Option<gateways::Chosen>,
}

enum Wire {
    Web(web::Prepared),
    File(file::Prepared),
    Smpp(smpp::Prepared),
}

impl Wire {
    fn sha256(&self) -> String {
        match self {
            Self::Web(prepared) => prepared.sha256(),
            Self::File(prepared) => prepared.sha256(),
            Self::Smpp(prepared) => prepared.sha256(),
        }
    }
}

impl WireSms {
    fn new(wire: Wire) -> Self {
        let sha256 = wire.sha256();
        let way = None;
        Self { wire, sha256, way }
    }

    /// Of everything that goes out, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The name of the gateway it is prepared for, where there are several.
    pub fn gateway(&self) -> Option<Arc<str>> {
        self.way.as_ref().map(gateways::Chosen::name)
    }

    /// Whether that gateway reports what became of it.
    pub fn is_reported(&self) -> bool {
        self.way.as_ref().is_some_and(gateways::Chosen::is_reported)
    }
}

/// What is asked of a gateway about a message whose fate nobody knows.
#[derive(Debug, Clone)]
pub struct Question {
    /// The gateway it went by, where there are several.
    pub gateway: Option<String>,
    /// The id that was given to the gateway with the message. It has no other name: what got a reference is in no doubt.
    pub id: String,
    /// The number it went to.
    pub to: String,
    /// When it was sent: gateways keep their records by day.
    pub sent: Timestamp,
    /// When it is asked: signatures hold the time.
    pub at: Timestamp,
}

/// What a gateway knows of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It has taken it.
    Taken { reference: Option<String> },
    /// It has delivered it.
    Arrived { reference: Option<String> },
    /// It has taken it and has given it up; why, in an office clerk's words.
    Failed { reason: String },
    /// It shows all it took for this number on that day, and this message is not among it. Records may lag behind.
    Absent,
    /// It does not say, or does not know yet.
    Unclear,
}

impl Known {
    fn failed(code: &str) -> Self {
        let code = answer::presentable(code).unwrap_or_else(|| "?".to_owned());
        Self::Failed {
            reason: format!("短信未送达({code}) / the SMS was not delivered ({code})"),
        }
    }
}

/// How SMS leave.
pub enum SmsGateway {
    Web(WebGateway),
    File(FileGateway),
    Several(Gateways),
}

impl SmsGateway {
    /// Renders everything that will be sent; nothing leaves yet.
    pub fn prepare(&self, sms: &Sms) -> Result<WireSms, BuildError> {
        match self {
            Self::Web(gateway) => gateway.prepare(sms).map(|prepared| WireSms::new(Wire::Web(prepared))),
            Self::File(gateway) => Ok(WireSms::new(Wire::File(gateway.prepare(sms)))),
            Self::Several(gateways) => gateways.prepare(sms),
        }
    }

    /// Whether SMS could leave now, without sending any.
    pub async fn probe(&self) -> Result<(), Outcome> {
        match self {
            Self::Web(gateway) => gateway.probe().await,
            Self::File(_) => Ok(()),
            Self::Several(gateways) => gateways.probe().await,
        }
    }

    /// Whether the gateway of this name (where there are several) can be asked about a message of unknown fate.
    pub fn can_query(&self, gateway: Option<&str>) -> bool {
        match self {
            Self::Web(single) => single.can_query(),
            Self::Several(gateways) => gateways.can_query(gateway),
            Self::File(_) => true,
        }
    }

    /// Whether any of them can be asked.
    pub fn any_can_be_asked(&self) -> bool {
        match self {
            Self::Several(gateways) => gateways.any_can_be_asked(),
            Self::Web(_) | Self::File(_) => self.can_query(None),
        }
    }

    /// Asks what became of a message. Whatever goes wrong with the question itself is [`Known::Unclear`].
    pub async fn query(&self, question: &Question) -> Known {
        match self {
            Self::Web(gateway) => gateway.query(question).await,
            Self::Several(gateways) => gateways.query(question).await,
            Self::File(gateway) => gateway.query(question).await,
        }
    }

    /// One attempt, as soon as a line is free.
    pub async fn send(&self, sms: &WireSms) -> Outcome {
        self.send_on(self.line(sms).await, sms).await
    }

    /// Waits for a line to the gateway that this message is prepared for.
    pub async fn line(&self, sms: &WireSms) -> Line<'_> {
        match self {
            Self::Web(gateway) => gateway.line().await,
            Self::File(_) => Line::unlimited(),
            Self::Several(gateways) => gateways.line(sms).await,
        }
    }

    /// One attempt.
    pub async fn send_on(&self, line: Line<'_>, sms: &WireSms) -> Outcome {
        match (self, &sms.wire) {
            (Self::Web(gateway), Wire::Web(prepared)) => gateway.send_on(line, prepared).await,
            (Self::File(gateway), Wire::File(prepared)) => gateway.send(prepared).await,
            (Self::Several(gateways), _) => gateways.send_on(line, sms).await,
            _ => replaced(),
        }
    }

    /// Whether another gateway would take this message now: then the trouble of one is no reason to stop.
    pub fn has_another(&self, sms: &WireSms) -> bool {
        match self {
            Self::Web(_) | Self::File(_) => false,
            Self::Several(gateways) => gateways.has_another(sms),
        }
    }

    /// Several gateways, each with its state; nothing for a single one.
    pub fn providers(&self) -> Vec<Provider> {
        match self {
            Self::Web(_) | Self::File(_) => Vec::new(),
            Self::Several(gateways) => gateways.providers(),
        }
    }
}

/// A reload replaced the gateway between the two steps; nothing has left.
fn replaced() -> Outcome {
    Outcome::of(
        Fault::new(Blame::Provider, Stage::Request),
        "短信网关刚刚更换,将重新准备 / the SMS gateway was replaced just now; the message will be prepared anew"
            .to_owned(),
        None,
    )
}
