//! The door for gateways that call us: who may, and what they say. Receipts and messages of Aliyun, Tencent and Kannel as they document
//! them, those of a generic gateway as its settings say.
//!
//! The clouds do not sign what they send, so a secret stands in the path and callers come from known networks. Where a gateway signs (as
//! standard-webhooks.com has it), nothing unsigned, stale or altered is heard.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::answer::{presentable, written};
use super::arrival::{Arrival, Incoming, Report};
use super::http::GatewayError;
use crate::config::gateways::Kind;
use crate::config::inbound::{Hook, Messages, Network, Reports};
use crate::config::secret::SecretSource;
use crate::config::settings::Settings;
use crate::domain::delivery::Fate;

/// A signature older or newer than this is a replay.
const SIGNED_WITHIN_S: i64 = 5 * 60;
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
    pub fn open(settings: &Settings, credentials: Option<&Path>) -> Result<Option<Self>, (String, GatewayError)> {
        let inbound = &settings.inbound;
        let (Some(_), Some(secret)) = (inbound.listen, &inbound.secret) else {
            return Ok(None);
        };
        let read = |key: &str, name: &str, source: &SecretSource| {
            source.read(credentials).map_err(|source| {
                let name = name.to_owned();
                (key.to_owned(), GatewayError::Secret { name, source })
            })
        };
        let secret = read("inbound", "secret", secret)?;
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
            let place = format!("sms.gateway.{name}");
            let key = gateway
                .webhook_key
                .as_ref()
                .map(|source| read(&place, "webhook_key", source))
                .transpose()?;
            gateways.insert(name.clone(), Caller { kind, key });
        }
        Ok(Some(Self {
            secret: Sha256::digest(secret.expose_secret()).into(),
            allow: inbound.allow.clone(),
            gateways,
        }))
    }

    /// What a call says.
    pub fn hear(&self, call: &Call<'_>, now: Timestamp) -> Result<Heard, Unheard> {
        // By their hashes, so that the time it takes says nothing about the secret.
        let knows_secret = self.secret == <[u8; 32]>::from(Sha256::digest(call.secret));
        let is_near = self.allow.iter().any(|network| network.contains(call.peer));
        let caller = self
            .gateways
            .get(call.gateway)
            .filter(|_| knows_secret && is_near)
            .ok_or(Unheard::Nowhere)?;
        if let Some(key) = &caller.key {
            check_signature(key.expose_secret(), call, now).ok_or(Unheard::Unsigned)?;
        }
        let document = document(call).ok_or(Unheard::Unreadable)?;
        let arrivals = match &caller.kind {
            CallerKind::Aliyun => each(&document, aliyun),
            CallerKind::Tencent => each(&document, tencent),
            CallerKind::Kannel => kannel(&document).map(|one| vec![one]),
            CallerKind::Hook(hook) => hooked(hook, &document),
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

/// Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, in base64, one or more of them behind `v1,`.
fn check_signature(key: &str, call: &Call<'_>, now: Timestamp) -> Option<()> {
    let [id, at, signatures] = call.signed;
    let seconds: i64 = at.parse().ok()?;
    if id.is_empty() || (now.as_second() - seconds).abs() > SIGNED_WITHIN_S {
        return None;
    }
    let key = match key.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => key.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(call.body);
    let is_ours = |signature: &str| {
        let encoded = signature.strip_prefix("v1,").unwrap_or_default();
        let given = STANDARD.decode(encoded).unwrap_or_default();
        mac.clone().verify_slice(&given).is_ok()
    };
    signatures.split_ascii_whitespace().any(is_ours).then_some(())
}

/// Query, form or JSON as one document.
fn document(call: &Call<'_>) -> Option<Value> {
    let form = |text: &str| -> Value {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), Value::from(decoded(value)))
        });
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    if call.body.is_empty() {
        return (!call.query.is_empty()).then(|| form(call.query));
    }
    if call.content_type.contains("form-urlencoded") {
        return std::str::from_utf8(call.body).ok().map(form);
    }
    serde_json::from_slice(call.body).ok()
}

/// A value of a form or a query: `+` is a space, `%e4` a byte.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| hex::decode(pair).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                plain.extend(byte);
                at += 3;
                continue;
            }
            (b'+', _) => plain.push(b' '),
            (byte, _) => plain.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// A list of them, or a single one.
fn each(document: &Value, read: fn(&Value) -> Option<Arrival>) -> Option<Vec<Arrival>> {
    match document {
        Value::Array(list) if list.len() <= LIST_MAX => list.iter().map(read).collect(),
        Value::Array(_) => None,
        one => read(one).map(|one| vec![one]),
    }
}

/// A text, or a number or truth value written as one.
fn text(value: &Value, name: &str) -> Option<String> {
    written(value.get(name)?)
}

fn name_in(value: &Value, name: &str) -> Option<String> {
    text(value, name).and_then(|text| presentable(&text))
}

fn message(from: String, text: &str, id: Option<String>) -> Arrival {
    let text = text.chars().take(TEXT_MAX).collect();
    Arrival::Message(Incoming { from, text, id })
}

/// SmsReport and SmsUp.
fn aliyun(value: &Value) -> Option<Arrival> {
    if let Some(content) = text(value, "content") {
        let id = name_in(value, "sequence_id").or_else(|| text(value, "send_time"));
        return Some(message(text(value, "phone_number")?, &content, id));
    }
    let is_there = match text(value, "success")?.as_str() {
        "true" => true,
        "false" => false,
        _ => return None,
    };
    Some(Arrival::Report(Report {
        reference: name_in(value, "biz_id"),
        id: name_in(value, "out_id"),
        fate: Some(if is_there { Fate::Delivered } else { Fate::Bounced }),
        code: name_in(value, "err_code"),
    }))
}

/// Status reports and replies.
fn tencent(value: &Value) -> Option<Arrival> {
    if let Some(said) = text(value, "text") {
        return Some(message(text(value, "mobile")?, &said, text(value, "time")));
    }
    let status = text(value, "report_status")?;
    Some(Arrival::Report(Report {
        reference: name_in(value, "sid"),
        id: None,
        fate: match status.as_str() {
            "SUCCESS" => Some(Fate::Delivered),
            "FAIL" => Some(Fate::Bounced),
            _ => None,
        },
        code: name_in(value, "errmsg"),
    }))
}

/// `report=%d&id=…` of our own dlr-url, or `from=%p&text=%b&id=%I` of a get-url.
fn kannel(value: &Value) -> Option<Arrival> {
    if let Some(said) = text(value, "text") {
        return Some(message(text(value, "from")?, &said, name_in(value, "id")));
    }
    let report = text(value, "report")?;
    Some(Arrival::Report(Report {
        reference: None,
        id: Some(name_in(value, "id")?),
        fate: match report.as_str() {
            "1" => Some(Fate::Delivered),
            "2" | "16" => Some(Fate::Bounced),
            _ => None,
        },
        code: presentable(&report),
    }))
}

fn hooked(hook: &Hook, document: &Value) -> Option<Vec<Arrival>> {
    let list = |pointer: &Option<String>| -> Option<Vec<Value>> {
        match pointer {
            None => Some(vec![document.clone()]),
            Some(pointer) => document
                .pointer(pointer)?
                .as_array()
                .filter(|list| list.len() <= LIST_MAX)
                .cloned(),
        }
    };
    if let Some(messages) = &hook.messages
        && let Some(found) = list(&messages.list)
        && let Some(arrivals) = found
            .iter()
            .map(|one| hooked_message(messages, one))
            .collect::<Option<Vec<_>>>()
    {
        return Some(arrivals);
    }
    let reports = hook.reports.as_ref()?;
    list(&reports.list)?
        .iter()
        .map(|one| hooked_report(reports, one))
        .collect()
}

fn hooked_message(messages: &Messages, value: &Value) -> Option<Arrival> {
    let at = |pointer: &str| value.pointer(pointer).and_then(written);
    let id = messages.id.as_deref().and_then(at).and_then(|id| presentable(&id));
    Some(message(at(&messages.from)?, &at(&messages.text)?, id))
}

fn hooked_report(reports: &Reports, value: &Value) -> Option<Arrival> {
    let at = |pointer: &str| value.pointer(pointer).and_then(written);
    let name = |pointer: &Option<String>| pointer.as_deref().and_then(at).and_then(|text| presentable(&text));
    let (reference, id) = (name(&reports.reference), name(&reports.id));
    let status = at(&reports.status)?;
    if reference.is_none() && id.is_none() {
        return None;
    }
    Some(Arrival::Report(Report {
        reference,
        id,
        fate: if reports.delivered.contains(&status) {
            Some(Fate::Delivered)
        } else if reports.failed.contains(&status) {
            Some(Fate::Bounced)
        } else {
            None
        },
        code: presentable(&status),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reference: Option<&str>, id: Option<&str>, fate: Option<Fate>, code: Option<&str>) -> Arrival {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Arrival::Report(Report {
            reference: own(reference),
            id: own(id),
            fate,
            code: own(code),
        })
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn reports_and_messages_are_read_as_each_cloud_documents_them() {
        let ali = json(
            r#"[{"phone_number":"13900000000","send_time":"2026-03-09 09:02:03","report_time":"2026-03-09 09:02:05","success":true,"err_code":"DELIVERED","err_msg":"x","sms_size":"1","biz_id":"900619746936498440^0","out_id":"d-1"},
                {"phone_number":"13900000000","success":false,"err_code":"MK:0001","biz_id":"9^1","out_id":"d-2"}]"#,
        );
        assert_eq!(
            each(&ali, aliyun),
            Some(vec![
                report(
                    Some("900619746936498440^0"),
                    Some("d-1"),
                    Some(Fate::Delivered),
                    Some("DELIVERED")
                ),
                report(Some("9^1"), Some("d-2"), Some(Fate::Bounced), Some("MK:0001")),
            ])
        );
        let tx = json(
            r#"[{"user_receive_time":"2026-03-09 09:02:05","nationcode":"86","mobile":"13900000000","report_status":"SUCCESS","errmsg":"DELIVRD","description":"x","sid":"5000:1045710669157053657849499619"}]"#,
        );
        assert_eq!(
            each(&tx, tencent),
            Some(vec![report(
                Some("5000:1045710669157053657849499619"),
                None,
                Some(Fate::Delivered),
                Some("DELIVRD")
            )])
        );
        let reply =
            json(r#"{"extend":"01","mobile":"13900000000","nationcode":"86","sign":"x","text":"2","time":1773018123}"#);
        let Some(Arrival::Message(message)) = tencent(&reply) else {
            panic!("it is a message");
        };
        assert_eq!(
            (message.from.as_str(), message.text.as_str(), message.id.as_deref()),
            ("13900000000", "2", Some("1773018123"))
        );
        let dlr = json(r#"{"report":"16","id":"d-1"}"#);
        assert_eq!(
            kannel(&dlr),
            Some(report(None, Some("d-1"), Some(Fate::Bounced), Some("16")))
        );
        assert_eq!(
            kannel(&json(r#"{"report":"8","id":"d-1"}"#)),
            Some(report(None, Some("d-1"), None, Some("8")))
        );
        assert_eq!(kannel(&json(r#"{"report":"1"}"#)), None);
    }

    #[test]
    fn forms_are_decoded_and_broken_ones_do_no_harm() {
        for (text, expected) in [
            ("%E9%80%80%E8%AE%A2", "退订"),
            ("a+b%20c", "a b c"),
            ("100%", "100%"),
            ("%zz%f", "%zz%f"),
            ("", ""),
        ] {
            assert_eq!(decoded(text), expected);
        }
    }

    /// The example of the specification's reference libraries.
    #[test]
    fn a_signed_call_is_heard_when_it_is_fresh_and_unaltered() {
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let call = |signature: &'static str, body: &'static str| Call {
            peer: IpAddr::from([127, 0, 0, 1]),
            secret: "",
            gateway: "",
            query: "",
            content_type: "",
            signed: [id, at, signature],
            body: body.as_bytes(),
        };
        let now = Timestamp::from_second(1_614_265_330).expect("an instant");
        let later = |seconds: i64| Timestamp::from_second(1_614_265_330 + seconds).expect("an instant");
        assert_eq!(check_signature(key, &call(signature, body), now), Some(()));
        assert_eq!(
            check_signature(
                key,
                &call("v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", body),
                now
            ),
            Some(())
        );
        assert_eq!(check_signature(key, &call(signature, body), later(300)), Some(()));
        assert_eq!(check_signature(key, &call(signature, body), later(301)), None);
        assert_eq!(check_signature(key, &call(signature, body), later(-301)), None);
        assert_eq!(
            check_signature(key, &call(signature, r#"{"test": 2432232315}"#), now),
            None
        );
        assert_eq!(check_signature(key, &call("v1,", body), now), None);
        assert_eq!(check_signature("whsec_AAAA", &call(signature, body), now), None);
    }
}
