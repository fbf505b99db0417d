//! One HTTP exchange with a gateway: a request that has been prepared, and its answer, read with care.
//!
//! No redirect is followed and no proxy taken from the environment, so that a secret goes nowhere but to the configured address; of an
//! answer at most 64 KiB are read. Nothing is retried here, because a gateway may have taken what it did not answer.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, Response, Url};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::channel::Line;
use crate::channel::outcome::{Blame, Fault, Outcome, Stage};

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// A gateway's address book: its client, and how many requests may be under way.
pub(super) struct Web {
    client: Client,
    permits: Semaphore,
}

/// One request, ready.
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Its headers hold a signature over the time: a copy of the same message has others.
    pub(super) is_signed: bool,
}

/// An answer, as far as it matters.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    /// The answer's own Date: a Retry-After date counts from it, so that neither clock needs to be right.
    pub(super) date: Option<String>,
    /// `None` when it was larger than what is read.
    pub(super) body: Option<Vec<u8>>,
}

impl Prepared {
    pub(super) fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("{} {}\n", self.method, self.url));
        for (name, value) in self.headers.iter().filter(|_| !self.is_signed) {
            digest.update(name.as_str());
            digest.update(b": ");
            digest.update(value.as_bytes());
            digest.update(b"\n");
        }
        digest.update(b"\n");
        digest.update(&self.body);
        hex::encode(digest.finalize())
    }
}

impl Answer {
    /// A no, with what it says in brackets: a code or a status.
    pub(super) fn no(&self, blame: Blame, chinese: &str, english: &str, detail: &str) -> Outcome {
        let fault = Fault {
            code: Some(self.status),
            ..Fault::new(blame, Stage::Request)
        };
        Outcome::of(
            fault,
            format!("{chinese}({detail}) / {english} ({detail})"),
            self.wait(),
        )
    }

    pub(super) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(self.body.as_deref()?).ok()
    }

    /// Retry-After in either form (RFC 9110 10.2.3), kept within 1 second and 1 hour.
    pub(super) fn wait(&self) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        let seconds = match text.parse::<u64>() {
            Ok(seconds) => seconds,
            Err(_) => {
                let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
                let from = jiff::fmt::rfc2822::parse(self.date.as_deref()?.trim())
                    .ok()?
                    .timestamp();
                u64::try_from(until.as_second() - from.as_second()).unwrap_or(0)
            }
        };
        Some(Duration::from_secs(seconds.clamp(1, 3600)))
    }
}

impl Web {
    pub(super) fn new(connections: usize, timeout_s: u64) -> Result<Self, reqwest::Error> {
        crate::channel::install_tls();
        let timeout = Duration::from_secs(timeout_s);
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            // Ends before the whole does: a time-out while connecting is known to have sent nothing.
            .connect_timeout(CONNECT_TIMEOUT_MAX.min(timeout / 2))
            .timeout(timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self {
            client,
            permits: Semaphore::new(connections),
        })
    }

    /// Waits for a line: one of as many requests as may be under way.
    pub(super) async fn line(&self) -> Line<'_> {
        Line::of(&self.permits).await
    }

    /// The answer, or what it means that there is none.
    pub(super) async fn ask(&self, prepared: &Prepared) -> Result<Answer, Outcome> {
        let request = self
            .client
            .request(prepared.method.clone(), prepared.url.clone())
            .headers(prepared.headers.clone())
            .body(prepared.body.clone());
        match request.send().await {
            Ok(response) => Ok(read(response).await),
            Err(error) if error.is_connect() => Err(unreachable()),
            // reqwest does not say how much of the request had left.
            Err(_) => Err(Outcome::Uncertain {
                reason: "短信已提交,但网关未答复 / the SMS was submitted, but the gateway did not answer".to_owned(),
            }),
        }
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

/// Pairs in their order, each name and value encoded.
pub(super) fn query<V: AsRef<str>>(pairs: &[(&str, V)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value.as_ref())));
    pairs.collect::<Vec<_>>().join("&")
}

/// Opens a connection to the host of an address and closes it again. Nothing is said: there is no request that every gateway takes for a
/// question.
pub(super) async fn probe(url: &Url) -> Result<(), Outcome> {
    let host = url
        .host_str()
        .ok_or_else(unreachable)?
        .trim_matches(['[', ']'])
        .to_owned();
    let port = url.port_or_known_default().ok_or_else(unreachable)?;
    let connecting = tokio::net::TcpStream::connect((host, port));
    match tokio::time::timeout(CONNECT_TIMEOUT_MAX, connecting).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(unreachable()),
    }
}

pub(super) fn unreachable() -> Outcome {
    Outcome::of(
        Fault::new(Blame::Provider, Stage::Connect),
        "连不上短信网关 / the SMS gateway cannot be reached".to_owned(),
        None,
    )
}

async fn read(mut response: Response) -> Answer {
    let mut body = Some(Vec::new());
    // A body that breaks off or runs over is judged as one that cannot be read.
    while let Some(read) = &mut body {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if read.len() + chunk.len() <= ANSWER_MAX => read.extend_from_slice(&chunk),
            Ok(Some(_)) | Err(_) => body = None,
        }
    }
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    Answer {
        status: response.status().as_u16(),
        retry_after: header(RETRY_AFTER),
        date: header(DATE),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_as_signatures_demand() {
        assert_eq!(encoded("a b*~沈{\"k\":1}"), "a%20b%2A~%E6%B2%88%7B%22k%22%3A1%7D");
    }

    #[test]
    fn retry_after_is_honoured_in_both_forms_from_a_second_to_an_hour() {
        let date = Some("Tue, 24 Nov 2026 08:00:00 GMT");
        let table = [
            (Some("30"), date, Some(30)),
            (Some("0"), date, Some(1)),
            (Some("86400"), date, Some(3600)),
            (Some("Tue, 24 Nov 2026 08:05:00 GMT"), date, Some(300)),
            (Some("Tue, 24 Nov 2026 07:00:00 GMT"), date, Some(1)),
            (Some("Tue, 24 Nov 2026 08:05:00 GMT"), None, None),
            (Some("soon"), date, None),
            (Some("-5"), date, None),
            (None, date, None),
        ];
        for (retry_after, date, expected) in table {
            let answer = Answer {
                status: 429,
                retry_after: retry_after.map(str::to_owned),
                date: date.map(str::to_owned),
                body: None,
            };
            assert_eq!(answer.wait(), expected.map(Duration::from_secs), "{retry_after:?}");
        }
    }
}
