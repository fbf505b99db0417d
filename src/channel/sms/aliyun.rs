//! Aliyun SMS (Dysmsapi 2017-05-25): SendSms, signed with ACS3-HMAC-SHA256.
//!
//! It takes approved templates and parameters only, never a text. `OutId` carries our id, which its receipts repeat, and so do its records
//! (QuerySendDetails): of one number on one day, in pages.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, tz};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::answer::{presentable, written};
use super::asking::{Asking, Page, Read};
use super::cloud::{House, coded, headers, must_be_coded};
use super::http::{GatewayError, fault};
use super::template::nonce;
use super::web::{self, Answer, Prepared};
use super::web_gateway::{Dialect, secret};
use super::{Known, Question, Sms};
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Outcome};
use crate::config::gateways::Aliyun;

const VERSION: &str = "2017-05-25";
/// Records on a page, of which 50 are allowed.
const PAGE_SIZE: usize = 50;
/// Its clock and ours.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);
/// Records go after 30 days.
const KEPT: SignedDuration = SignedDuration::from_hours(29 * 24);
/// `SendStatus`, from least to most: failed, waiting for the report, delivered.
const FURTHEST: [&str; 3] = ["2", "1", "3"];
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
        let params: serde_json::Map<String, Value> = coded
            .params
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        let params = Value::from(params).to_string();
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

    fn asking(&self) -> Option<&dyn Asking> {
        Some(self)
    }
}

impl Asking for AliyunDialect {
    fn question(&self, question: &Question, page: Page) -> Result<Prepared, BuildError> {
        let day = days(question.sent)
            .get(page.day)
            .map(|day| day.strftime("%Y%m%d").to_string());
        let query = [
            ("CurrentPage", (page.number + 1).to_string()),
            ("PageSize", PAGE_SIZE.to_string()),
            ("PhoneNumber", question.to.clone()),
            (
                "SendDate",
                day.ok_or_else(|| fault("SendDate", "there is no such day"))?,
            ),
        ];
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.request("QuerySendDetails", &query, question.at)
    }

    fn read(&self, question: &Question, page: Page, answer: &Answer) -> Read {
        read(question, page, answer)
    }
}

/// The days in Beijing on which the cloud may have noted it, whose clock is not ours: nearly always one.
fn days(sent: Timestamp) -> Vec<Date> {
    let beijing = tz::offset(8).to_time_zone();
    let near = [-CLOCKS_APART, CLOCKS_APART].map(|apart| sent.saturating_add(apart).unwrap_or(sent));
    let mut days = near.map(|at| beijing.to_datetime(at).date()).to_vec();
    days.dedup();
    days
}

/// Its records are kept for 30 days, and an answer without ours is believed only while they must be there.
fn read(question: &Question, page: Page, answer: &Answer) -> Read {
    let Some(document) = answer.json() else {
        return Read::No(format!("HTTP {}", answer.status));
    };
    match document.get("Code").and_then(Value::as_str) {
        Some("OK") => {}
        code => {
            return Read::No(
                code.and_then(presentable)
                    .unwrap_or_else(|| format!("HTTP {}", answer.status)),
            );
        }
    }
    let list = document
        .pointer("/SmsSendDetailDTOs/SmsSendDetailDTO")
        .and_then(Value::as_array);
    let (Some(list), Some(total)) = (list, document.get("TotalCount").and_then(written)) else {
        return Read::No("no list".to_owned());
    };
    let Ok(total) = total.parse::<usize>() else {
        return Read::No("no count".to_owned());
    };
    let is_ours = |detail: &&Value| detail.get("OutId").and_then(Value::as_str) == Some(question.id.as_str());
    // A copy of it has the same name; what arrived once has arrived.
    let ours = list.iter().filter(is_ours);
    if let Some(detail) = ours.max_by_key(|detail| FURTHEST.iter().position(|status| *status == status_of(detail))) {
        let reference = None;
        return Read::Known(match status_of(detail).as_str() {
            "1" => Known::Taken { reference },
            "2" => Known::failed(detail.get("ErrCode").and_then(Value::as_str).unwrap_or_default()),
            "3" => Known::Arrived { reference },
            _ => Known::Unclear,
        });
    }
    let number = page.number + 1;
    if number * PAGE_SIZE < total && !list.is_empty() {
        return Read::More(Page { number, ..page });
    }
    let day = page.day + 1;
    if day < days(question.sent).len() {
        return Read::More(Page { day, number: 0 });
    }
    let is_kept = question.at.duration_since(question.sent) < KEPT;
    Read::Known(if is_kept { Known::Absent } else { Known::Unclear })
}

fn status_of(detail: &Value) -> String {
    detail.get("SendStatus").and_then(written).unwrap_or_default()
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
