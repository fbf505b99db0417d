//! The door for gateways that call us: who may, and what they say. Receipts and messages of Aliyun, Tencent and Kannel as they document
//! them, those of a generic gateway as its settings say.
//!
//! The clouds do not sign what they send, so a secret stands in the path and callers come from known networks. Where a gateway signs (as
//! standard-webhooks.com has it), nothing unsigned, stale or altered is heard.

mod clouds;
mod described;
mod form;
mod signed;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::answer::{presentable, written};
use super::arrival::{Arrival, Incoming};
use crate::channel::ChannelError;
use crate::config::gateways::Kind;
use crate::config::inbound::{Hook, Network};
use crate::config::secret::SecretSource;
use crate::config::settings::Settings;

/// Longest text of one message that is kept, in characters.
const TEXT_MAX: usize = 2_000;
/// Reports in one call at the most; gateways send some hundreds.
const LIST_MAX: usize = 5_000;

/// Everything that decides whether a call is heard.
pub struct Door {
    secret: [u8; 32],
    allow: Vec<Network>,
    gateways: BTreeMap<String, Caller>,
}

struct Caller {
    kind: CallerKind,
    key: Option<SecretString>,
}

enum CallerKind {
    Aliyun,
    Tencent,
    Kannel,
    Hook(Box<Hook>),
}

/// A call as it came.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub peer: IpAddr,
    pub secret: &'a str,
    pub gateway: &'a str,
    pub query: &'a str,
    pub content_type: &'a str,
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    pub signed: [&'a str; 3],
    pub body: &'a [u8],
}

/// What a call says, and what its gateway wants to hear when that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub gateway: String,
    pub arrivals: Vec<Arrival>,
    pub answer: &'static str,
}

/// Why a call is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheard {
    /// Not from a known network, not with the secret, or of no gateway: all the same to the caller.
    Nowhere,
    /// Not signed, or stale.
    Unsigned,
    /// It cannot be read.
    Unreadable,
}

impl Door {
    /// Nothing when no address listens.
    pub fn open(settings: &Settings, credentials: Option<&Path>) -> Result<Option<Self>, ChannelError> {
        let inbound = &settings.inbound;
        let (Some(_), Some(secret)) = (inbound.listen, &inbound.secret) else {
            return Ok(None);
        };
        let read = |key: &str, source: &SecretSource| {
            let read = source.read(credentials);
            read.map_err(|cause| ChannelError::new(key, cause))
        };
        let secret = read("inbound.secret", secret)?;
        let mut gateways = BTreeMap::new();
        for (name, gateway) in &settings.sms.gateway {
            let kind = match gateway.kinds().into_iter().next() {
                Some(Kind::Aliyun(_)) => CallerKind::Aliyun,
                Some(Kind::Tencent(_)) => CallerKind::Tencent,
                Some(Kind::Kannel(_)) => CallerKind::Kannel,
                Some(Kind::Http(_)) => match &gateway.hook {
                    Some(hook) => CallerKind::Hook(Box::new(hook.clone())),
                    None => continue,
                },
                // It calls over its own line.
                Some(Kind::Smpp(_)) | None => continue,
            };
            let place = format!("sms.gateway.{name}.webhook_key");
            let key = gateway
                .webhook_key
                .as_ref()
                .map(|source| read(&place, source))
                .transpose()?;
            gateways.insert(name.clone(), Caller { kind, key });
        }
        Ok(Some(Self {
            secret: Sha256::digest(secret.expose_secret()).into(),
            allow: inbound.allow.clone(),
            gateways,
        }))
    }

    /// Whether this is in one of the networks that may call.
    pub fn is_near(&self, peer: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(peer))
    }

    /// Whether a call is for one of our gateways, with the secret and from where it may come.
    pub fn knows(&self, peer: IpAddr, secret: &str, gateway: &str) -> bool {
        self.caller(peer, secret, gateway).is_some()
    }

    fn caller(&self, peer: IpAddr, secret: &str, gateway: &str) -> Option<&Caller> {
        // By their hashes, so that the time it takes says nothing about the secret.
        let knows_secret = self.secret == <[u8; 32]>::from(Sha256::digest(secret));
        let is_known = knows_secret && self.is_near(peer);
        self.gateways.get(gateway).filter(|_| is_known)
    }

    /// What a call says.
    pub fn hear(&self, call: &Call<'_>, now: Timestamp) -> Result<Heard, Unheard> {
        let caller = self
            .caller(call.peer, call.secret, call.gateway)
            .ok_or(Unheard::Nowhere)?;
        if let Some(key) = &caller.key {
            signed::check(key.expose_secret(), call, now).ok_or(Unheard::Unsigned)?;
        }
        let document = form::document(call).ok_or(Unheard::Unreadable)?;
        let arrivals = match &caller.kind {
            CallerKind::Aliyun => each(&document, clouds::aliyun),
            CallerKind::Tencent => each(&document, clouds::tencent),
            CallerKind::Kannel => clouds::kannel(call.query, &document).map(|one| vec![one]),
            CallerKind::Hook(hook) => described::read(hook, &document),
        };
        Ok(Heard {
            gateway: call.gateway.to_owned(),
            arrivals: arrivals.ok_or(Unheard::Unreadable)?,
            answer: match caller.kind {
                CallerKind::Aliyun => r#"{"code":0,"msg":"OK"}"#,
                CallerKind::Tencent => r#"{"result":0,"errmsg":"OK"}"#,
                // Kannel would send any text back as an SMS.
                CallerKind::Kannel => "",
                CallerKind::Hook(_) => r#"{"code":0}"#,
            },
        })
    }
}

/// A list of them, or a single one.
fn each(document: &Value, read: fn(&Value) -> Option<Arrival>) -> Option<Vec<Arrival>> {
    match document {
        Value::Array(list) => readable(list, read),
        one => read(one).map(|one| vec![one]),
    }
}

/// Those of a list that can be read: one that cannot, and never will, takes nobody else's answer with it. Nothing when none can.
fn readable<T>(list: &[T], read: impl Fn(&T) -> Option<Arrival>) -> Option<Vec<Arrival>> {
    if list.len() > LIST_MAX {
        return None;
    }
    let read: Vec<Arrival> = list.iter().filter_map(read).collect();
    let left_out = list.len() - read.len();
    if left_out > 0 && !read.is_empty() {
        tracing::warn!(
            "{left_out} of {} things in a call of a gateway cannot be read; the others are kept",
            list.len()
        );
    }
    (list.is_empty() || !read.is_empty()).then_some(read)
}

/// A text, or a number or truth value written as one.
fn text(value: &Value, name: &str) -> Option<String> {
    written(value.get(name)?)
}

/// A name of the gateway's or of ours, as it may be kept.
fn name_in(value: &Value, name: &str) -> Option<String> {
    text(value, name).and_then(|text| presentable(&text))
}

fn message(from: String, text: &str, id: Option<String>) -> Arrival {
    let text = text.chars().take(TEXT_MAX).collect();
    Arrival::Message(Incoming { from, text, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_that_cannot_be_read_takes_nothing_else_with_it() {
        let heard = |list: &str| {
            let list = serde_json::from_str(list).expect("JSON");
            each(&list, clouds::aliyun).map(|read| read.len())
        };
        let reply = r#"{"phone_number":"13900000000","content":"T","sequence_id":"1"}"#;
        assert_eq!(heard(&format!("[{reply}, {{\"new\": 1}}, null, {reply}]")), Some(2));
        assert_eq!(heard("[]"), Some(0));
        assert_eq!(heard("[{}, 1]"), None);
        let many = vec!["{}"; LIST_MAX + 1].join(",");
        assert_eq!(heard(&format!("[{many}]")), None);
    }
}
