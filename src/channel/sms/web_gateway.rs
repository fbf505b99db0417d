//! A gateway of the web: an SMS goes out as one request, and what came of it stands in the answer. What differs from house to house is
//! its [`Dialect`]: how it wants a request written and signed, and what its answers mean.

use std::path::Path;

use reqwest::Url;
use secrecy::SecretString;

use tracing::warn;

use super::aliyun::AliyunDialect;
use super::asking::{Asking, PAGES_MAX, Page, Read};
use super::http::{GatewayError, HttpDialect};
use super::kannel::KannelDialect;
use super::tencent::TencentDialect;
use super::web::{self, Answer, Prepared, Web};
use super::{Known, Question, Sms};
use crate::channel::Line;
use crate::channel::build::BuildError;
use crate::channel::outcome::Outcome;
use crate::config::gateways::{Aliyun, Kannel, Tencent};
use crate::config::secret::SecretSource;
use crate::config::settings::SmsHttp;

/// How one kind of gateway is spoken to. It does nothing by itself.
pub(super) trait Dialect: Send + Sync {
    /// Whether it can say this message at all: clouds know approved templates only.
    fn takes(&self, _sms: &Sms) -> bool {
        true
    }

    /// The whole request, signature included.
    fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError>;

    /// What an answer means.
    fn judge(&self, answer: &Answer) -> Outcome;

    /// Where it is to be found, for a probe.
    fn address(&self) -> Option<Url>;

    /// How it is asked what became of a message, if it can be.
    fn asking(&self) -> Option<&dyn Asking> {
        None
    }
}

/// One gateway and its connections.
pub struct WebGateway {
    dialect: Box<dyn Dialect>,
    web: Web,
}

impl WebGateway {
    /// One described wholly in the settings. Reads the secrets and renders every template once with a sample; connects to nothing.
    pub fn http(settings: &SmsHttp, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        let dialect = HttpDialect::new(settings, credentials)?;
        Self::new(dialect, settings.connections, settings.timeout_s)
    }

    pub(super) fn aliyun(name: &str, settings: &Aliyun, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        let dialect = AliyunDialect::new(name, settings, credentials)?;
        Self::new(dialect, settings.connections, settings.timeout_s)
    }

    pub(super) fn tencent(name: &str, settings: &Tencent, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        let dialect = TencentDialect::new(name, settings, credentials)?;
        Self::new(dialect, settings.connections, settings.timeout_s)
    }

    pub(super) fn kannel(settings: &Kannel, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        let dialect = KannelDialect::new(settings, credentials)?;
        Self::new(dialect, settings.connections, settings.timeout_s)
    }

    fn new(dialect: impl Dialect + 'static, connections: usize, timeout_s: u64) -> Result<Self, GatewayError> {
        Ok(Self {
            dialect: Box::new(dialect),
            web: Web::new(connections, timeout_s).map_err(GatewayError::Client)?,
        })
    }

    pub(super) fn takes(&self, sms: &Sms) -> bool {
        self.dialect.takes(sms)
    }

    pub(super) fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
        self.dialect.prepare(sms)
    }

    /// Waits for a line: one of as many requests as may be under way.
    pub(super) async fn line(&self) -> Line<'_> {
        self.web.line().await
    }

    pub(super) async fn send_on(&self, _line: Line<'_>, prepared: &Prepared) -> Outcome {
        match self.web.ask(prepared).await {
            Ok(answer) => self.dialect.judge(&answer),
            Err(outcome) => outcome,
        }
    }

    pub(super) fn can_query(&self) -> bool {
        self.dialect.asking().is_some()
    }

    /// Asks page after page until the message is found or nothing is left to ask.
    pub(super) async fn query(&self, question: &Question) -> Known {
        let Some(asking) = self.dialect.asking() else {
            return Known::Unclear;
        };
        let mut page = Page::default();
        for _ in 0..PAGES_MAX {
            let read = match asking.question(question, page) {
                Ok(prepared) => match self.web.ask(&prepared).await {
                    Ok(answer) => asking.read(question, page, &answer),
                    Err(_) => Read::No("no answer".to_owned()),
                },
                Err(error) => Read::No(error.to_string()),
            };
            match read {
                Read::Known(known) => return known,
                Read::More(next) => page = next,
                Read::No(why) => {
                    let gateway = question.gateway.as_deref().unwrap_or("http");
                    warn!(
                        "the gateway {gateway} does not say what became of {}: {why}",
                        question.id
                    );
                    return Known::Unclear;
                }
            }
        }
        Known::Unclear
    }

    pub(super) async fn probe(&self) -> Result<(), Outcome> {
        match self.dialect.address() {
            Some(url) => web::probe(&url).await,
            None => Err(web::unreachable()),
        }
    }
}

/// A secret of a gateway, named by its key in the settings when it cannot be read.
pub(super) fn secret(
    key: &str,
    source: &SecretSource,
    credentials: Option<&Path>,
) -> Result<SecretString, GatewayError> {
    source.read(credentials).map_err(|cause| GatewayError::Secret {
        key: key.to_owned(),
        cause,
    })
}
