//! An SMS centre that speaks SMPP 3.4: `submit_sm` with UCS-2 text over one line that is kept open, receipts and messages over the same
//! line.
//!
//! An SMS of several parts asks for a receipt with its last part, whose name stands for the whole. When a later part is refused, earlier
//! ones have left: that is an SMS of unknown fate, not one to be sent again.

mod parts;
mod receipt;
mod session;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rusmpp::CommandStatus;
use rusmpp::pdus::SubmitSm;
use rusmpp::tlvs::MessageSubmissionRequestTlvValue;
use rusmpp::types::{AnyOctetString, COctetString, OctetString};
use rusmpp::values::{DataCoding, EsmClass, MessagePayload, Npi, RegisteredDelivery, Ton};
use rusmppc::error::Error;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::Sms;
use super::answer::presentable;
use super::http::{GatewayError, fault};
use super::web_gateway::secret;
use crate::channel::Line;
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Fault, Outcome, Stage};
use crate::config::gateways::{LongSms, Smpp};
use session::Session;

pub use parts::joined;
pub use session::Arrived;

const UDHI: u8 = 0x40;

pub(super) struct SmppGateway {
    settings: Smpp,
    is_reported: bool,
    session: Arc<Session>,
    permits: Semaphore,
    /// What the next long SMS is told by on the phone. It begins anywhere: after a restart the last one may still be under way.
    next_reference: AtomicU8,
}

pub(super) struct Prepared {
    parts: Vec<SubmitSm>,
    sha256: String,
}

impl Prepared {
    pub(super) fn sha256(&self) -> String {
        self.sha256.clone()
    }
}

impl SmppGateway {
    pub(super) fn new(settings: &Smpp, is_reported: bool, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        crate::channel::install_tls();
        let password = secret("password", &settings.password, credentials)?;
        Ok(Self {
            settings: settings.clone(),
            is_reported,
            session: Arc::new(Session::new(settings.clone(), password)),
            permits: Semaphore::new(settings.connections),
            next_reference: AtomicU8::new(anywhere()),
        })
    }

    pub(super) fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
        let digest = Sha256::digest(format!("{}\n{}\n{}", self.settings.from, sms.to, sms.text));
        let units: Vec<u16> = sms.text.encode_utf16().collect();
        let whole = parts::bytes(&units);
        let parts = if self.settings.long == LongSms::Payload && whole.len() > 140 {
            vec![whole]
        } else {
            let reference = || self.next_reference.fetch_add(1, Ordering::Relaxed);
            parts::divide(&sms.text, reference).ok_or_else(|| fault("text", "it is too long"))?
        };
        let count = parts.len();
        let submit = |(index, data): (usize, Vec<u8>)| {
            let reports = self.is_reported && index + 1 == count;
            self.submit(&sms.to, data, count > 1, reports)
        };
        Ok(Prepared {
            parts: parts.into_iter().enumerate().map(submit).collect::<Result<_, _>>()?,
            sha256: hex::encode(digest),
        })
    }

    fn submit(&self, to: &str, data: Vec<u8>, is_part: bool, reports: bool) -> Result<SubmitSm, BuildError> {
        let address = |key: &str, number: &str| {
            COctetString::from_vec(format!("{number}\0").into_bytes())
                .map_err(|_| fault(key, "it is no number for SMPP"))
        };
        // What the library takes for a default sets a bit (delivery acknowledgement), so every class is written out.
        let class = EsmClass::from(if is_part { UDHI } else { 0 });
        let base = SubmitSm::builder()
            .source_addr_ton(ton(&self.settings.from))
            .source_addr_npi(npi(&self.settings.from))
            .source_addr(address("from", &self.settings.from)?)
            .dest_addr_ton(ton(to))
            .dest_addr_npi(npi(to))
            .destination_addr(address("to", to.trim_start_matches('+'))?)
            .esm_class(class)
            .registered_delivery(RegisteredDelivery::from(u8::from(reports)))
            .data_coding(DataCoding::Ucs2);
        if data.len() <= 140 {
            let data = OctetString::from_vec(data).map_err(|_| fault("text", "it is too long"))?;
            return Ok(base.short_message(data).build());
        }
        let payload = MessagePayload::new(AnyOctetString::from_vec(data));
        Ok(base
            .push_tlv(MessageSubmissionRequestTlvValue::MessagePayload(payload))
            .build())
    }

    pub(super) async fn line(&self) -> Line<'_> {
        Line::of(&self.permits).await
    }

    pub(super) async fn send_on(&self, _line: Line<'_>, prepared: &Prepared) -> Outcome {
        let client = match self.session.client().await {
            Ok(client) => client,
            Err(outcome) => return outcome,
        };
        let mut reference = None;
        for (index, part) in prepared.parts.iter().enumerate() {
            match client.submit_sm(part.clone()).await {
                Ok(response) => reference = presentable(response.message_id().as_str()),
                Err(error) => {
                    let outcome = outcome(&error);
                    return if index == 0 { outcome } else { torn() };
                }
            }
        }
        Outcome::Accepted { reference }
    }

    /// Binds, and keeps the line.
    pub(super) async fn probe(&self) -> Result<(), Outcome> {
        self.session.client().await.map(drop)
    }

    /// The next receipt or message; holds the line open meanwhile, binding again whenever it breaks.
    pub(super) async fn next(&self) -> Arrived {
        self.session.next().await
    }
}

fn anywhere() -> u8 {
    let mut byte = [0];
    getrandom::fill(&mut byte).expect("the system gives random bytes");
    byte[0]
}

/// International with a plus, else unknown: the SMS centre knows its own numbers.
fn ton(number: &str) -> Ton {
    if number.starts_with('+') {
        Ton::International
    } else {
        Ton::Unknown
    }
}

fn npi(number: &str) -> Npi {
    if number.is_empty() { Npi::Unknown } else { Npi::Isdn }
}

fn torn() -> Outcome {
    Outcome::Uncertain {
        reason: "长短信只发出了一部分 / only some parts of a long SMS have left".to_owned(),
    }
}

fn outcome(error: &Error) -> Outcome {
    match error {
        Error::UnexpectedResponse { response } => refused(response.status()),
        Error::Encode(_) => Outcome::of(
            Fault::new(Blame::Message, Stage::Request),
            "短信无法编码 / the SMS cannot be encoded".to_owned(),
            None,
        ),
        _ => Outcome::Uncertain {
            reason: "短信已提交,但短信中心未答复 / the SMS was submitted, but the SMS centre did not answer".to_owned(),
        },
    }
}

/// What an SMS centre's no means (SMPP 3.4, 5.1.3); one that is not listed is the message's fault.
fn refused(status: CommandStatus) -> Outcome {
    use CommandStatus as S;
    let code = u32::from(status);
    let blame = match status {
        S::EsmeRthrottled
        | S::EsmeRmsgqful
        | S::EsmeRsyserr
        | S::EsmeRinvbndsts
        | S::EsmeRinvsrcadr
        | S::EsmeRinvcmdid
        | S::EsmeRinvsertyp
        | S::EsmeRbindfail
        | S::EsmeRinvpaswd
        | S::EsmeRinvsysid
        | S::EsmeRalybnd
        | S::EsmeRinvsystyp => Blame::Provider,
        S::EsmeRsubmitfail | S::EsmeRxTAppn | S::EsmeRdeliveryfailure => Blame::Recipient,
        _ => Blame::Message,
    };
    let (chinese, english) = match blame {
        Blame::Provider => ("短信中心暂不可用", "the SMS centre takes no messages just now"),
        Blame::Recipient => ("该号码暂时不能接收", "this number cannot receive just now"),
        Blame::Message => ("短信被短信中心拒绝", "the SMS centre refused the message"),
    };
    let reason = format!("{chinese}(0x{code:08x}) / {english} (0x{code:08x})");
    Outcome::of(Fault::new(blame, Stage::Request), reason, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_long_sms_has_a_reference_of_its_own_and_the_same_words_the_same_sum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "geheim").unwrap();
        let settings = format!(
            "host = \"127.0.0.1\"\nport = 2775\nsystem_id = \"xixin\"\npassword = {{ file = {:?} }}",
            file.path()
        );
        let gateway = SmppGateway::new(&toml::from_str(&settings).unwrap(), false, None).unwrap();
        let sms = Sms {
            to: "13900000001".to_owned(),
            text: "沈".repeat(71),
            signature: "示例".to_owned(),
            id: "d-1".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            coded: Vec::new(),
        };
        let prepared = [(); 300].map(|()| gateway.prepare(&sms).unwrap());
        let references = prepared.each_ref().map(|prepared| {
            let of = |part: &SubmitSm| part.short_message().as_ref()[3];
            assert_eq!(of(&prepared.parts[0]), of(&prepared.parts[1]));
            of(&prepared.parts[0])
        });
        assert!(references.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
        assert!(prepared.iter().all(|one| one.sha256() == prepared[0].sha256()));
    }

    #[test]
    fn each_no_is_charged_to_whom_it_concerns() {
        let table = [
            (0x0b, "message"),
            (0x01, "message"),
            (0x0400, "message"),
            (0x58, "provider"),
            (0x14, "provider"),
            (0x08, "provider"),
            (0x0e, "provider"),
            (0x45, "recipient"),
            (0x64, "recipient"),
        ];
        for (code, expected) in table {
            let outcome = refused(CommandStatus::from(code));
            assert_eq!(outcome.blame().map(Blame::name), Some(expected), "{code:#x}");
        }
    }
}
