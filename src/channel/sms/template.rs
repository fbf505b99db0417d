//! Templates of a gateway's request: minijinja, strict about what is undefined, bounded in what it may compute.
//!
//! Errors are shown with `{}` only: minijinja's other forms print the values of variables, which are numbers, texts and
//! secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value, context};
use sha2::{Digest as _, Sha256};

use super::{Question, Sms};

/// Work one template may do, where an instruction or 64 bytes are a unit; a request needs some dozens.
const FUEL: u64 = 50_000;

/// What a template may name, besides `secret.NAME`.
pub(super) const NAMES: [&str; 6] = ["to", "text", "signature", "id", "nonce", "now"];

/// What a template of a question may name.
pub(super) const ASKING_NAMES: [&str; 5] = ["to", "id", "nonce", "now", "sent"];

pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("md5", |text: String| hex::encode(Md5::digest(text)));
    environment.add_filter("sha256", |text: String| hex::encode(Sha256::digest(text)));
    environment.add_filter("hmac_sha256", |text: String, key: String| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    });
    environment.add_filter("hmac_md5", |text: String, key: String| {
        let mut mac = Hmac::<Md5>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    });
    environment.add_filter("base64", |text: String| STANDARD.encode(text));
    // For gateways that want a digest in base64: `… |hmac_sha256(secret.key)|hex_to_base64`.
    environment.add_filter("hex_to_base64", |text: String| {
        let bytes = hex::decode(text).map_err(|_| Error::new(ErrorKind::InvalidOperation, "not hexadecimal"))?;
        Ok::<_, Error>(STANDARD.encode(bytes))
    });
    environment.add_function("now", |state: &State<'_, '_>, format: String, zone: Option<String>| {
        time("at_ms", state, &format, zone.as_deref())
    });
    environment.add_function("sent", |state: &State<'_, '_>, format: String, zone: Option<String>| {
        time("sent_ms", state, &format, zone.as_deref())
    });
    environment
}

/// The instant at which the request was prepared, or the message was sent that is asked about: `now("%Y%m%d%H%M%S")` in Beijing time,
/// `now("%s")`, `sent("%FT%TZ", "UTC")`.
fn time(name: &str, state: &State<'_, '_>, format: &str, zone: Option<&str>) -> Result<String, Error> {
    let wrong = |what: &'static str| Error::new(ErrorKind::InvalidOperation, what);
    let at_ms = state.lookup(name).and_then(|value| i64::try_from(value).ok());
    let at = at_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.ok_or_else(|| wrong("no time is known"))?;
    let zone = jiff::tz::TimeZone::get(zone.unwrap_or("Asia/Shanghai")).map_err(|_| wrong("no such zone"))?;
    let zoned = at.to_zoned_datetime(zone);
    jiff::fmt::strtime::format(format, &zoned).map_err(|_| wrong("no such format of time"))
}

/// Sixteen random bytes, for gateways that refuse a request they have seen before.
pub(super) fn nonce() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    hex::encode(bytes)
}

pub(super) fn variables(sms: &Sms, secret: &Value) -> Value {
    context! {
        to => &sms.to,
        text => &sms.text,
        signature => &sms.signature,
        id => &sms.id,
        nonce => nonce(),
        at_ms => sms.at.as_millisecond(),
        secret => secret,
    }
}

pub(super) fn asking_variables(question: &Question, secret: &Value) -> Value {
    context! {
        to => &question.to,
        id => &question.id,
        nonce => nonce(),
        at_ms => question.at.as_millisecond(),
        sent_ms => question.sent.as_millisecond(),
        secret => secret,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn render(source: &str) -> Result<String, String> {
        let sms = Sms {
            to: "13900000000".to_owned(),
            text: "【示例】您好 & \"再见\"".to_owned(),
            signature: "示例".to_owned(),
            id: "d-1".to_owned(),
            at: "2026-03-09T01:02:03Z".parse().expect("an instant"),
            coded: Vec::new(),
        };
        let secret = Value::from(BTreeMap::from([("key", "k")]));
        environment()
            .render_named_str("body", source, variables(&sms, &secret))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn filters_give_the_digests_that_gateways_ask_for() {
        let table = [
            ("{{ 'abc'|md5 }}", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "{{ 'abc'|sha256 }}",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            // RFC 4231, test case 2.
            (
                "{{ 'what do ya want for nothing?'|hmac_sha256('Jefe') }}",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            // RFC 2202, test case 2.
            (
                "{{ 'what do ya want for nothing?'|hmac_md5('Jefe') }}",
                "750c783e6ab0b503eaa86e310a5db738",
            ),
            ("{{ '00ff10'|hex_to_base64 }}", "AP8Q"),
            ("{{ now('%Y%m%d%H%M%S') }}", "20260309090203"),
            ("{{ now('%s') }}", "1773018123"),
            ("{{ now('%FT%TZ', 'UTC') }}", "2026-03-09T01:02:03Z"),
            ("{{ nonce|length }}", "32"),
            ("{{ signature|base64 }}", "56S65L6L"),
            ("{{ id ~ secret.key }}", "d-1k"),
            (
                "{{ text|urlencode }}",
                "%E3%80%90%E7%A4%BA%E4%BE%8B%E3%80%91%E6%82%A8%E5%A5%BD%20%26%20%22%E5%86%8D%E8%A7%81%22",
            ),
        ];
        for (source, expected) in table {
            assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn undefined_names_and_endless_work_are_errors_that_show_no_values() {
        for source in [
            "{{ secret.missing }}",
            "{{ nobody }}",
            "{% for i in range(100000) %}{{ i }}{% endfor %}",
            "{{ text|int }}",
            "{{ text|hex_to_base64 }}",
            "{{ now('%!') }}",
            "{{ now('%s', 'Nowhere/None') }}",
        ] {
            let error = render(source).expect_err(source);
            assert!(!error.contains("13900000000") && !error.contains("再见"), "{error}");
        }
    }
}
