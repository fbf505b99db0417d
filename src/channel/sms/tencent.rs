//! Tencent SMS (2021-01-11): SendSms, signed with TC3-HMAC-SHA256.
//!
//! It takes approved templates and numbered parameters only. Its receipts name the message by `SerialNo`.
//!
//! Asked about a number (PullSmsSendStatusByPhoneNumber), it tells how deliveries ended, not what is on its way: that a message is not
//! there says nothing. One whose sending was not answered has no SerialNo that we know, so it is found by `SessionContext`, which
//! Tencent repeats for accounts that have asked for it; without that, messages of one number cannot be told apart.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::{presentable, uncertain};
use super::asking::{Asking, Page, Read};
use super::cloud::{House, coded, headers, must_be_coded};
use super::http::GatewayError;
use super::web::{Answer, Prepared, host};
use super::web_gateway::{Dialect, secret};
use super::{Known, Question, Sms};
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Outcome};
use crate::config::gateways::Tencent;

const SERVICE: &str = "sms";
const VERSION: &str = "2021-01-11";
const CONTENT_TYPE: &str = "application/json; charset=utf-8";
/// Its clock and ours.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);
/// Statuses in an answer at the most.
const LIMIT: u32 = 100;
const TENCENT: House = House {
    zh: "腾讯云",
    en: "Tencent",
};

pub(super) struct TencentDialect {
    name: String,
    settings: Tencent,
    url: Url,
    secret: SecretString,
}

impl TencentDialect {
    pub(super) fn new(name: &str, settings: &Tencent, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        Ok(Self {
            name: name.to_owned(),
            settings: settings.clone(),
            url: GatewayError::url(&settings.url)?,
            secret: secret("key_secret", &settings.key_secret, credentials)?,
        })
    }

    fn request(&self, action: &str, payload: &Value, at: Timestamp) -> Result<Prepared, BuildError> {
        let payload = payload.to_string();
        let host = host(&self.url);
        let signed = [("content-type", CONTENT_TYPE), ("host", host.as_str())];
        let key = Key {
            id: &self.settings.key_id,
            secret: self.secret.expose_secret(),
            service: SERVICE,
        };
        let authorization = key.authorization(&payload, &signed, at);
        let seconds = at.as_second().to_string();
        let headers = headers([
            ("content-type", CONTENT_TYPE),
            ("authorization", &authorization),
            ("x-tc-action", action),
            ("x-tc-version", VERSION),
            ("x-tc-timestamp", &seconds),
            ("x-tc-region", &self.settings.region),
        ])?;
        let mut url = self.url.clone();
        url.set_path("/");
        Ok(Prepared {
            method: Method::POST,
            url,
            headers,
            body: payload.into_bytes(),
            is_signed: true,
        })
    }
}

impl Dialect for TencentDialect {
    fn takes(&self, sms: &Sms) -> bool {
        coded(sms, &self.name).is_some()
    }

    fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
        let coded = must_be_coded(sms, &self.name)?;
        let params: Vec<&str> = coded.params.iter().map(|(_, value)| value.as_str()).collect();
        let payload = json!({
            "PhoneNumberSet": [international(&sms.to)],
            "SmsSdkAppId": self.settings.app_id,
            "SignName": self.settings.sign_name.as_ref().unwrap_or(&sms.signature),
            "TemplateId": coded.code,
            "TemplateParamSet": params,
            "SessionContext": sms.id,
        });
        self.request("SendSms", &payload, sms.at)
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        judge(answer)
    }

    fn address(&self) -> Option<Url> {
        Some(self.url.clone())
    }

    fn asking(&self) -> Option<&dyn Asking> {
        Some(self)
    }
}

impl Asking for TencentDialect {
    fn question(&self, question: &Question, _page: Page) -> Result<Prepared, BuildError> {
        let begin = question.sent.saturating_sub(CLOCKS_APART).unwrap_or(question.sent);
        let payload = json!({
            "SmsSdkAppId": self.settings.app_id,
            "PhoneNumber": international(&question.to),
            "BeginTime": begin.as_second(),
            "EndTime": question.at.as_second(),
            // The documentation has it fixed at 0, so there is one page only: 100 are more than one number gets in an hour.
            "Offset": 0,
            "Limit": LIMIT,
        });
        self.request("PullSmsSendStatusByPhoneNumber", &payload, question.at)
    }

    fn read(&self, question: &Question, _page: Page, answer: &Answer) -> Read {
        read(question, answer)
    }
}

fn read(question: &Question, answer: &Answer) -> Read {
    let document = answer.json().unwrap_or_default();
    if let Some(code) = document.pointer("/Response/Error/Code").and_then(Value::as_str) {
        return Read::No(presentable(code).unwrap_or_else(|| "?".to_owned()));
    }
    let list = document
        .pointer("/Response/PullSmsSendStatusSet")
        .and_then(Value::as_array);
    let Some(list) = list else {
        return Read::No(format!("HTTP {}", answer.status));
    };
    let text = |status: &Value, name: &str| status.get(name).and_then(Value::as_str).map(str::to_owned);
    let ours = list
        .iter()
        .filter(|status| text(status, "SessionContext").as_ref() == Some(&question.id));
    // A copy of it has the same name; what arrived once has arrived.
    let found = ours.max_by_key(|status| text(status, "ReportStatus").as_deref() == Some("SUCCESS"));
    let Some(found) = found else {
        return Read::Known(Known::Unclear);
    };
    let reference = text(found, "SerialNo").as_deref().and_then(presentable);
    Read::Known(match text(found, "ReportStatus").as_deref() {
        Some("SUCCESS") => Known::Arrived { reference },
        Some("FAIL") => Known::failed(&text(found, "Description").unwrap_or_default()),
        _ => Known::Unclear,
    })
}

/// E.164, which the API asks for.
fn international(number: &str) -> String {
    if number.starts_with('+') {
        number.to_owned()
    } else {
        format!("+86{number}")
    }
}

struct Key<'a> {
    id: &'a str,
    secret: &'a str,
    service: &'a str,
}

impl Key<'_> {
    /// The Authorization header of TC3-HMAC-SHA256 for a POST to `/`. Headers are in the order of their names.
    fn authorization(&self, payload: &str, headers: &[(&str, &str)], at: Timestamp) -> String {
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let request = format!("POST\n/\n\n{lines}\n{names}\n{}", hex::encode(Sha256::digest(payload)));
        let day = at.strftime("%Y-%m-%d").to_string();
        let scope = format!("{day}/{}/tc3_request", self.service);
        let seconds = at.as_second();
        let hash = hex::encode(Sha256::digest(request));
        let to_sign = format!("TC3-HMAC-SHA256\n{seconds}\n{scope}\n{hash}");
        let key = hmac(format!("TC3{}", self.secret).as_bytes(), &day);
        let key = hmac(&hmac(&key, self.service), "tc3_request");
        let signature = hex::encode(hmac(&key, &to_sign));
        let id = self.id;
        format!("TC3-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn judge(answer: &Answer) -> Outcome {
    let document = answer.json();
    let at = |pointer: &str| document.as_ref()?.pointer(pointer)?.as_str();
    let code = at("/Response/SendStatusSet/0/Code").or_else(|| at("/Response/Error/Code"));
    let Some(code) = code else {
        return TENCENT.by_status(answer);
    };
    match code {
        "Ok" => Outcome::Accepted {
            reference: at("/Response/SendStatusSet/0/SerialNo").and_then(presentable),
        },
        // Their house failed while it had our request in hand.
        code if code.starts_with("InternalError") => uncertain(answer.status),
        code => TENCENT.no(blame(code), answer, code),
    }
}

/// Documented codes of SendSms; one that is not listed is judged by its family.
fn blame(code: &str) -> Blame {
    match code {
        code if code.starts_with("LimitExceeded.PhoneNumber") => Blame::Recipient,
        "LimitExceeded.DeliveryFrequencyLimit" => Blame::Recipient,
        "FailedOperation.InsufficientBalanceInSmsPackage"
        | "FailedOperation.SignatureIncorrectOrUnapproved"
        | "FailedOperation.TemplateIncorrectOrUnapproved"
        | "FailedOperation.TemplateUnapprovedOrNotExist"
        | "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"
        | "FailedOperation.MissingSignature"
        | "FailedOperation.MissingTemplateToModify"
        | "InvalidParameterValue.SdkAppIdNotExist"
        | "InvalidParameter.AppidAndBizId" => Blame::Provider,
        code if ["FailedOperation", "InvalidParameter", "MissingParameter"]
            .iter()
            .any(|family| code.starts_with(family)) =>
        {
            Blame::Message
        }
        // AuthFailure, UnauthorizedOperation, RequestLimitExceeded, LimitExceeded of the account, UnsupportedOperation …
        _ => Blame::Provider,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the signature's documentation (Signature v3, DescribeInstances); its secrets hold the asterisks.
    #[test]
    fn the_documented_example_has_its_signature() {
        let key = Key {
            id: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******",
            secret: "Gu5t9xGARNpq86cd98joQYCN3*******",
            service: "cvm",
        };
        let payload = r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
        let headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("host", "cvm.tencentcloudapi.com"),
        ];
        let at = Timestamp::from_second(1_551_113_065).expect("an instant");
        assert_eq!(
            key.authorization(payload, &headers, at),
            "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, \
             SignedHeaders=content-type;host, \
             Signature=2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"
        );
    }

    #[test]
    fn each_answer_is_charged_to_whom_it_concerns() {
        let status =
            |code: &str| format!(r#"{{"Response":{{"SendStatusSet":[{{"Code":"{code}","SerialNo":"5000:1"}}]}}}}"#);
        let error = |code: &str| format!(r#"{{"Response":{{"Error":{{"Code":"{code}"}}}}}}"#);
        let table = [
            (200, status("Ok"), "accepted"),
            (200, status("LimitExceeded.PhoneNumberDailyLimit"), "recipient"),
            (200, status("LimitExceeded.AppDailyLimit"), "provider"),
            (200, status("FailedOperation.ContainSensitiveWord"), "message"),
            (200, status("FailedOperation.PhoneNumberInBlacklist"), "message"),
            (200, status("InvalidParameterValue.IncorrectPhoneNumber"), "message"),
            (
                200,
                status("FailedOperation.InsufficientBalanceInSmsPackage"),
                "provider",
            ),
            (200, status("FailedOperation.TemplateIncorrectOrUnapproved"), "provider"),
            (200, error("AuthFailure.SignatureFailure"), "provider"),
            (200, error("RequestLimitExceeded"), "provider"),
            (200, error("InternalError.Timeout"), "uncertain"),
            (200, "{}".to_owned(), "uncertain"),
            (429, String::new(), "provider"),
            (500, String::new(), "uncertain"),
        ];
        for (status, body, expected) in table {
            let answer = Answer {
                status,
                body: Some(body.clone().into_bytes()),
                ..Answer::default()
            };
            let outcome = judge(&answer);
            let found = outcome.blame().map_or(outcome.name(), Blame::name);
            assert_eq!(found, expected, "{status} {body}");
        }
    }
}
