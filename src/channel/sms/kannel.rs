//! Kannel's sendsms: a GET whose answer is a line of text. Reports come to an address that is told with each message and carries our
//! id, because Kannel gives none back. It cannot be asked about a message: sendsms answers once, and afterwards there are only reports.

use std::path::Path;

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};

use super::Sms;
use super::answer::{may_have_left, uncertain};
use super::http::{GatewayError, fault};
use super::web::{Answer, Prepared, encoded, query};
use super::web_gateway::{Dialect, secret};
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Outcome};
use crate::config::gateways::Kannel;

/// Delivered, failed, and refused by the SMS centre: 1 + 2 + 16 of the mask.
const REPORTS: &str = "19";

pub(super) struct KannelDialect {
    settings: Kannel,
    url: Url,
    password: SecretString,
    report_to: Option<SecretString>,
}

impl KannelDialect {
    pub(super) fn new(settings: &Kannel, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        let secret = |name, source| secret(name, source, credentials);
        Ok(Self {
            settings: settings.clone(),
            url: GatewayError::url(&settings.url)?,
            password: secret("password", &settings.password)?,
            report_to: settings
                .report_to
                .as_ref()
                .map(|source| secret("report_to", source))
                .transpose()?,
        })
    }
}

impl Dialect for KannelDialect {
    fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
        let mut pairs = vec![
            ("username", self.settings.username.clone()),
            ("password", self.password.expose_secret().to_owned()),
            ("to", sms.to.clone()),
            ("text", sms.text.clone()),
            ("charset", "UTF-8".to_owned()),
            // UCS-2: Kannel divides a long one by itself.
            ("coding", "2".to_owned()),
        ];
        pairs.extend(self.settings.from.clone().map(|from| ("from", from)));
        pairs.extend(self.settings.smsc.clone().map(|smsc| ("smsc", smsc)));
        if let Some(report_to) = &self.report_to {
            let (base, id) = (report_to.expose_secret(), encoded(&sms.id));
            // Kannel fills in %d, and so must not see any other percent sign.
            let id = id.replace('%', "%%");
            pairs.push(("dlr-mask", REPORTS.to_owned()));
            pairs.push(("dlr-url", format!("{base}?report=%d&id={id}")));
        }
        let mut url = self.url.clone();
        url.set_query(Some(&query(&pairs)));
        if url.as_str().len() > 16_000 {
            return Err(fault("text", "it is too long for one request"));
        }
        Ok(Prepared {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            is_signed: false,
        })
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        judge(answer)
    }

    fn address(&self) -> Option<Url> {
        Some(self.url.clone())
    }
}

/// `0: Accepted for delivery` and `3: Queued for later delivery` are its two ways to say yes (user guide, sendsms replies).
fn judge(answer: &Answer) -> Outcome {
    let text = answer.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let code = text.split(':').next().unwrap_or_default().trim();
    let of = |blame, chinese, english| answer.no(blame, chinese, english, &format!("HTTP {}", answer.status));
    match (answer.status, code) {
        (200 | 202, "0" | "3") => Outcome::Accepted { reference: None },
        (status, _) if may_have_left(status) => uncertain(status),
        (400, _) => of(Blame::Message, "短信被网关拒绝", "the gateway refused the message"),
        (401 | 403, _) => of(
            Blame::Provider,
            "短信网关不接受本系统的身份",
            "the gateway does not accept this system's credentials",
        ),
        (408 | 429 | 503, _) => of(Blame::Provider, "短信网关繁忙", "the gateway is busy"),
        _ => of(
            Blame::Provider,
            "短信网关地址或设置有误",
            "the gateway's address or settings are wrong",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_one_meaning() {
        let table = [
            (202, "0: Accepted for delivery", "accepted"),
            (202, "3: Queued for later delivery", "accepted"),
            (202, "4: something else", "uncertain"),
            (200, "<html>", "uncertain"),
            (400, "Bad request", "message"),
            (403, "Authorization failed for sendsms", "provider"),
            (404, "Unknown request.", "provider"),
            (503, "Temporal failure, try again later.", "provider"),
            (500, "", "uncertain"),
            (302, "", "uncertain"),
            (524, "", "uncertain"),
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
