//! Aliyun SMS (Dysmsapi 2017-05-25): SendSms, signed with ACS3-HMAC-SHA256.
//!
//! It takes approved templates and parameters only, never a text. `OutId` carries our id, which its receipts repeat.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::Sms;
use super::answer::{presentable, uncertain};
use super::http::{GatewayError, fault};
use super::template::nonce;
use super::web::{self, Answer, Prepared, Web};
use crate::channel::Line;
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Fault, Outcome, Stage};
use crate::config::gateways::Aliyun;
use crate::template::Coded;

const VERSION: &str = "2017-05-25";

pub(super) struct AliyunGateway {
    name: String,
    settings: Aliyun,
    url: Url,
    secret: SecretString,
    web: Web,
}

impl AliyunGateway {
    pub(super) fn new(name: &str, settings: &Aliyun, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        let secret = settings
            .key_secret
            .read(credentials)
            .map_err(|source| GatewayError::Secret {
                name: "key_secret".to_owned(),
                source,
            })?;
        Ok(Self {
            name: name.to_owned(),
            settings: settings.clone(),
            url: GatewayError::url(&settings.url)?,
            secret,
            web: Web::new(settings.connections, settings.timeout_s).map_err(GatewayError::Client)?,
        })
    }

    /// What this cloud can say of a message.
    pub(super) fn coded<'a>(&self, sms: &'a Sms) -> Option<&'a Coded> {
        sms.coded.iter().find(|coded| coded.gateway == self.name)
    }

    pub(super) fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
        let coded = self
            .coded(sms)
            .ok_or_else(|| fault("templates", "no template is approved for this text"))?;
        let params: serde_json::Map<String, serde_json::Value> = coded
            .params
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let params = serde_json::Value::from(params).to_string();
        let query = [
            ("OutId", sms.id.as_str()),
            ("PhoneNumbers", &sms.to),
            ("SignName", self.settings.sign_name.as_ref().unwrap_or(&sms.signature)),
            ("TemplateCode", &coded.code),
            ("TemplateParam", &params),
        ];
        self.request("SendSms", &query, sms.at)
    }

    /// A signed request. `query` is in the order of its names.
    fn request(&self, action: &str, query: &[(&str, &str)], at: Timestamp) -> Result<Prepared, BuildError> {
        let query = canonical_query(query);
        let host = host(&self.url);
        let date = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let nonce = nonce();
        let body_hash = hex::encode(Sha256::digest(b""));
        let signed = [
            ("host", host.as_str()),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &body_hash),
            ("x-acs-date", &date),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", VERSION),
        ];
        let authorization = authorization(
            &self.settings.key_id,
            self.secret.expose_secret(),
            &query,
            &signed,
            &body_hash,
        );
        let mut headers = HeaderMap::new();
        for (name, value) in signed
            .iter()
            .skip(1)
            .copied()
            .chain([("authorization", authorization.as_str())])
        {
            let mut value = HeaderValue::from_str(value).map_err(|_| fault(name, "it is no header"))?;
            value.set_sensitive(true);
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault(name, "it is no header"))?,
                value,
            );
        }
        let mut url = self.url.clone();
        url.set_path("/");
        url.set_query(Some(&query));
        Ok(Prepared {
            method: Method::POST,
            url,
            headers,
            body: Vec::new(),
            is_signed: true,
        })
    }

    pub(super) async fn line(&self) -> Line<'_> {
        self.web.line().await
    }

    pub(super) async fn send_on(&self, _line: Line<'_>, prepared: &Prepared) -> Outcome {
        match self.web.ask(prepared).await {
            Ok(answer) => judge(&answer),
            Err(outcome) => outcome,
        }
    }

    pub(super) async fn probe(&self) -> Result<(), Outcome> {
        web::probe(&self.url).await
    }
}

/// The host as HTTP names it: with its port, unless it is the scheme's own.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// As RFC 3986 wants it: everything but letters, digits and `-_.~`.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn canonical_query(query: &[(&str, &str)]) -> String {
    let pairs = query
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The Authorization header of ACS3-HMAC-SHA256 for a POST to `/`. Headers are in the order of their names.
fn authorization(key_id: &str, secret: &str, query: &str, headers: &[(&str, &str)], body_hash: &str) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let request = format!("POST\n/\n{query}\n{lines}\n{names}\n{body_hash}");
    let to_sign = format!("ACS3-HMAC-SHA256\n{}", hex::encode(Sha256::digest(request)));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(to_sign.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    format!("ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={signature}")
}

fn judge(answer: &Answer) -> Outcome {
    let document = answer.json();
    let text = |name: &str| document.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let Some(code) = text("Code") else {
        return match answer.status {
            408 | 429 | 503 => of(Blame::Provider, answer, &answer.status.to_string()),
            200..=299 | 500.. => uncertain(answer.status),
            _ => of(Blame::Provider, answer, &answer.status.to_string()),
        };
    };
    if code == "OK" {
        let reference = text("BizId").and_then(|id| presentable(&id));
        return Outcome::Accepted { reference };
    }
    of(blame(&code), answer, &code)
}

/// Documented codes of SendSms; one that is not listed is judged by its family.
fn blame(code: &str) -> Blame {
    match code {
        "isv.BUSINESS_LIMIT_CONTROL" => Blame::Recipient,
        "isv.ACCOUNT_ABNORMAL"
        | "isv.ACCOUNT_NOT_EXISTS"
        | "isv.AMOUNT_NOT_ENOUGH"
        | "isv.DAY_LIMIT_CONTROL"
        | "isv.MONTH_LIMIT_CONTROL"
        | "isv.DENY_IP_RANGE"
        | "isv.OUT_OF_SERVICE"
        | "isv.PRODUCT_UN_SUBSCRIPT"
        | "isv.PRODUCT_UNSUBSCRIBE"
        | "isv.SMS_SIGNATURE_ILLEGAL"
        | "isv.SMS_SIGN_ILLEGAL"
        | "isv.SMS_SIGNATURE_SCENE_ILLEGAL"
        | "isv.SMS_TEMPLATE_ILLEGAL"
        | "isv.TEMPLATE_OUTER_ID_ILLEGAL" => Blame::Provider,
        code if code.starts_with("isv.") => Blame::Message,
        // isp.…, Throttling…, InvalidAccessKeyId…, SignatureDoesNotMatch and the like: our account or their house.
        _ => Blame::Provider,
    }
}

fn of(blame: Blame, answer: &Answer, code: &str) -> Outcome {
    let fault = Fault {
        code: Some(answer.status),
        ..Fault::new(blame, Stage::Request)
    };
    let (chinese, english) = match blame {
        Blame::Message => ("短信被阿里云拒绝", "Aliyun refused the message"),
        Blame::Recipient => ("该号码暂时不能接收", "this number cannot receive just now"),
        Blame::Provider => ("阿里云短信暂不可用", "Aliyun takes no messages just now"),
    };
    let code = presentable(code).unwrap_or_else(|| "?".to_owned());
    Outcome::of(fault, format!("{chinese}({code}) / {english} ({code})"), answer.wait())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the signature's documentation (V3 request syntax and signature, RunInstances).
    #[test]
    fn the_documented_example_has_its_signature() {
        let query = canonical_query(&[
            ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
            ("RegionId", "cn-shanghai"),
        ]);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let headers = [
            ("host", "ecs.cn-shanghai.aliyuncs.com"),
            ("x-acs-action", "RunInstances"),
            ("x-acs-content-sha256", empty),
            ("x-acs-date", "2023-10-26T10:22:32Z"),
            ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
            ("x-acs-version", "2014-05-26"),
        ];
        let signed = authorization("YourAccessKeyId", "YourAccessKeySecret", &query, &headers, empty);
        assert_eq!(
            signed,
            "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,\
             SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,\
             Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
        );
    }

    #[test]
    fn values_are_encoded_as_the_signature_demands() {
        assert_eq!(encoded("a b*~沈{\"k\":1}"), "a%20b%2A~%E6%B2%88%7B%22k%22%3A1%7D");
    }

    #[test]
    fn each_answer_is_charged_to_whom_it_concerns() {
        let table = [
            (200, r#"{"Code":"OK","BizId":"9006197469364984400"}"#, "accepted"),
            (200, r#"{"Code":"isv.BUSINESS_LIMIT_CONTROL"}"#, "recipient"),
            (200, r#"{"Code":"isv.MOBILE_NUMBER_ILLEGAL"}"#, "message"),
            (200, r#"{"Code":"isv.BLACK_KEY_CONTROL_LIMIT"}"#, "message"),
            (200, r#"{"Code":"isv.AMOUNT_NOT_ENOUGH"}"#, "provider"),
            (200, r#"{"Code":"isv.SMS_TEMPLATE_ILLEGAL"}"#, "provider"),
            (200, r#"{"Code":"isp.SYSTEM_ERROR"}"#, "provider"),
            (400, r#"{"Code":"SignatureDoesNotMatch"}"#, "provider"),
            (404, r#"{"Code":"InvalidAccessKeyId.NotFound"}"#, "provider"),
            (400, r#"{"Code":"Throttling.User"}"#, "provider"),
            (503, "", "provider"),
            (403, "<html>", "provider"),
            (200, "<html>", "uncertain"),
            (502, "", "uncertain"),
        ];
        for (status, body, expected) in table {
            let answer = Answer {
                status,
                body: Some(body.as_bytes().to_vec()),
                ..Answer::default()
            };
            let outcome = judge(&answer);
            let found = outcome.blame().map_or(outcome.name(), Blame::name);
            assert_eq!(found, expected, "{status} {body}");
        }
    }
}
