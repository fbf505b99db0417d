//! What a gateway's HTTP answer means: a pure function of the settings and the answer.
//!
//! The operator's error map is asked first. A clear no that the map does not know is the message's fault: the next channel
//! or a person takes over, which is safer than repeating it for ever. An answer that cannot be understood although the
//! gateway must have read the request is [`Outcome::Uncertain`], because an SMS may be on its way.

use serde_json::Value;

use super::web::Answer;

use crate::channel::outcome::{Blame, Outcome};
use crate::config::settings::{ErrorClass, SmsHttp, SmsSuccess};

pub(super) fn judge(settings: &SmsHttp, answer: &Answer) -> Outcome {
    let document = answer.json();
    let at = |pointer: &Option<String>| written(document.as_ref()?.pointer(pointer.as_deref()?)?);
    if succeeded(&settings.success, answer) {
        return Outcome::Accepted {
            reference: at(&settings.reference).and_then(|text| presentable(&text)),
        };
    }
    let code = at(&settings.success.pointer);
    if let Some((code, class)) = code.as_ref().and_then(|code| settings.errors.get_key_value(code)) {
        let (blame, chinese, english) = match class {
            ErrorClass::Message => (Blame::Message, "短信被网关拒绝", "the gateway refused the message"),
            ErrorClass::Recipient => (
                Blame::Recipient,
                "该号码暂时不能接收",
                "this number cannot receive just now",
            ),
            ErrorClass::Provider => (
                Blame::Provider,
                "短信网关暂停服务",
                "the gateway cannot take messages just now",
            ),
        };
        return answer.no(blame, chinese, english, code);
    }
    if settings.success.status.contains(&answer.status) {
        return match code {
            Some(code) => {
                let code = presentable(&code).filter(|code| !holds_number(code));
                let code = code.unwrap_or_else(|| "?".to_owned());
                answer.no(
                    Blame::Message,
                    "短信被网关拒绝,代码未登记",
                    "the gateway refused with a code that sms.http.errors does not list",
                    &code,
                )
            }
            None => uncertain(answer.status),
        };
    }
    let said = |blame, chinese, english| answer.no(blame, chinese, english, &format!("HTTP {}", answer.status));
    match answer.status {
        401 | 403 | 407 => said(
            Blame::Provider,
            "短信网关不接受本系统的身份",
            "the gateway does not accept this system's credentials",
        ),
        402 => said(Blame::Provider, "短信余额不足", "the gateway account is out of credit"),
        408 | 429 | 503 => said(Blame::Provider, "短信网关繁忙", "the gateway is busy"),
        400 | 413 | 422 => said(Blame::Message, "短信被网关拒绝", "the gateway refused the message"),
        status if may_have_left(status) => uncertain(status),
        _ => said(
            Blame::Provider,
            "短信网关地址或设置有误",
            "the gateway's address or settings are wrong",
        ),
    }
}

/// Whether an answer is the yes that the settings describe.
pub(super) fn succeeded(success: &SmsSuccess, answer: &Answer) -> bool {
    if !success.status.contains(&answer.status) {
        return false;
    }
    let Some(pointer) = &success.pointer else { return true };
    let code = answer.json().and_then(|document| written(document.pointer(pointer)?));
    match &success.equals {
        None => code.is_some(),
        Some(expected) => code.as_ref() == Some(expected),
    }
}

/// A text, or a number or truth value written as one.
pub(super) fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Somewhere behind the answering machine the request may have been carried out; a resend could be a second SMS. A status that is not
/// known means what the first of its hundred means (RFC 9110 15); of the others, "see another page" is how many programs end a form
/// that they have taken.
pub(super) fn may_have_left(status: u16) -> bool {
    match status {
        // Not implemented, not this version, and the log-in page of somebody else's network: nobody carried it out.
        501 | 503 | 505 | 511 => false,
        302 | 303 => true,
        _ => !(300..500).contains(&status),
    }
}

pub(super) fn uncertain(status: u16) -> Outcome {
    Outcome::Uncertain {
        reason: format!(
            "短信网关的答复无法判断(HTTP {status}),短信可能已发出 / the gateway's answer cannot be read (HTTP {status}); the SMS may have left"
        ),
    }
}

/// Seven digits in a row could be a phone number.
pub(super) fn holds_number(text: &str) -> bool {
    text.as_bytes().windows(7).any(|run| run.iter().all(u8::is_ascii_digit))
}

/// A code or reference as it may be kept: short and plain.
pub(super) fn presentable(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:^".contains(&byte);
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SmsHttp {
        SmsHttp {
            method: "POST".to_owned(),
            url: "http://sms.example.org/".to_owned(),
            headers: Default::default(),
            body: String::new(),
            secrets: Default::default(),
            success: SmsSuccess {
                status: vec![200],
                pointer: Some("/code".to_owned()),
                equals: Some("0".to_owned()),
            },
            reference: Some("/data/id".to_owned()),
            errors: [
                ("SENSITIVE".to_owned(), ErrorClass::Message),
                ("LIMIT".to_owned(), ErrorClass::Recipient),
                ("1001".to_owned(), ErrorClass::Provider),
            ]
            .into(),
            query: None,
            connections: 1,
            timeout_s: 1,
        }
    }

    fn judged(status: u16, body: &str) -> Outcome {
        let answer = Answer {
            status,
            body: Some(body.as_bytes().to_vec()),
            ..Answer::default()
        };
        judge(&settings(), &answer)
    }

    fn word(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Refused { .. } => "refused",
            Outcome::Deferred { fault, .. } if fault.blame == Blame::Recipient => "recipient",
            Outcome::Deferred { .. } => "provider",
            Outcome::Uncertain { .. } => "uncertain",
        }
    }

    #[test]
    fn each_answer_of_a_gateway_has_one_meaning() {
        let table = [
            (200, r#"{"code":0,"data":{"id":"a-1"}}"#, "accepted"),
            (200, r#"{"code":"0"}"#, "accepted"),
            (200, r#"{"code":"SENSITIVE"}"#, "refused"),
            (200, r#"{"code":"LIMIT"}"#, "recipient"),
            (200, r#"{"code":1001}"#, "provider"),
            (200, r#"{"code":"NEW"}"#, "refused"),
            (200, r#"{"code":null}"#, "uncertain"),
            (200, r#"{"other":1}"#, "uncertain"),
            (200, "<html>login</html>", "uncertain"),
            (200, "", "uncertain"),
            (202, r#"{"code":0}"#, "uncertain"),
            (101, "", "uncertain"),
            (301, "", "provider"),
            (302, "", "uncertain"),
            (303, "", "uncertain"),
            (307, "", "provider"),
            (308, "", "provider"),
            (400, r#"{"code":"LIMIT"}"#, "recipient"),
            (400, "", "refused"),
            (401, "", "provider"),
            (402, "", "provider"),
            (403, "", "provider"),
            (404, "", "provider"),
            (413, "", "refused"),
            (429, "", "provider"),
            (500, r#"{"code":"1001"}"#, "provider"),
            (500, "", "uncertain"),
            (502, "", "uncertain"),
            (501, "", "provider"),
            (503, "", "provider"),
            (504, "", "uncertain"),
            (505, "", "provider"),
            (507, "", "uncertain"),
            // A content network that waited in vain for the gateway behind it.
            (520, "", "uncertain"),
            (524, "", "uncertain"),
            (599, "", "uncertain"),
        ];
        for (status, body, expected) in table {
            assert_eq!(word(&judged(status, body)), expected, "{status} {body}");
        }
        assert_eq!(
            judged(200, table[0].1),
            Outcome::Accepted {
                reference: Some("a-1".to_owned())
            }
        );
    }

    #[test]
    fn a_gateways_own_words_are_not_repeated() {
        for body in [r#"{"code":"号码 13900000000 无效"}"#, r#"{"code":"bad-13900000000"}"#] {
            let Outcome::Refused { reason, .. } = judged(200, body) else {
                panic!("an unlisted code refuses");
            };
            assert!(!reason.contains("13900000000"), "{reason}");
        }
    }
}
