//! Aliyun SMS (Dysmsapi 2017-05-25): SendSms, signed with ACS3-HMAC-SHA256.
//!
//! It takes approved templates and parameters only, never a text. `OutId` carries our id, which its receipts repeat.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::Sms;
use super::answer::presentable;
use super::cloud::{House, coded, headers, must_be_coded};
use super::http::GatewayError;
use super::template::nonce;
use super::web::{self, Answer, Prepared};
use super::web_gateway::{Dialect, secret};
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Outcome};
use crate::config::gateways::Aliyun;

const VERSION: &str = "2017-05-25";
const ALIYUN: House = House {
    zh: "阿里云",
    en: "Aliyun",
};

pub(super) struct AliyunDialect {
    name: String,
    settings: Aliyun,
    url: Url,
    secret: SecretString,
}

impl AliyunDialect {
    pub(super) fn new(name: &str, settings: &Aliyun, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        Ok(Self {
            name: name.to_owned(),
            settings: settings.clone(),
            url: GatewayError::url(&settings.url)?,
            secret: secret("key_secret", &settings.key_secret, credentials)?,
        })
    }

    /// A signed request. `query` is in the order of its names.
    fn request(&self, action: &str, query: &[(&str, &str)], at: Timestamp) -> Result<Prepared, BuildError> {
        let query = web::query(query);
        let host = web::host(&self.url);
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
        let signed = signed.into_iter().skip(1);
        let headers = headers(signed.chain([("authorization", authorization.as_str())]))?;
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
}

impl Dialect for AliyunDialect {
    fn takes(&self, sms: &Sms) -> bool {
        coded(sms, &self.name).is_some()
    }

    fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
        let coded = must_be_coded(sms, &self.name)?;
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

    fn judge(&self, answer: &Answer) -> Outcome {
        judge(answer)
    }

    fn address(&self) -> Option<Url> {
        Some(self.url.clone())
    }
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
    let text = |name: &str| document.as_ref()?.get(name)?.as_str();
    match text("Code") {
        None => ALIYUN.by_status(answer),
        Some("OK") => Outcome::Accepted {
            reference: text("BizId").and_then(presentable),
        },
        Some(code) => ALIYUN.no(blame(code), answer, code),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the signature's documentation (V3 request syntax and signature, RunInstances).
    #[test]
    fn the_documented_example_has_its_signature() {
        let query = web::query(&[
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
