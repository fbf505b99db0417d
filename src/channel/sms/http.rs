//! A gateway described wholly in configuration: method, URL, headers and body as templates, and rules for its answer.
//!
//! Always: templates are proved with a sample before the gateway is used; no redirect is followed and no proxy taken from
//! the environment, so that a secret goes nowhere but to the configured address; of an answer at most 64 KiB are read.
//!
//! Retries are not made here, because a gateway may have taken what it did not answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use minijinja::{Environment, Value};
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, Url};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::answer::{Answer, judge};
use super::{Sms, template};
use crate::channel::Line;
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Fault, Outcome, Stage};
use crate::config::secret::SecretError;
use crate::config::settings::SmsHttp;

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// A gateway that cannot be used as it is described. Names the key below `sms.http`.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("method: \"{0}\" is not known; GET and POST are allowed")]
    Method(String),
    #[error("{key}: {detail}")]
    Template { key: String, detail: String },
    #[error(
        "body: headers say it is JSON, but it is not for a text with quotes and line breaks; write {{{{ text|tojson }}}}, without quotes around it"
    )]
    NotJson,
    #[error("secrets.{name}")]
    Secret { name: String, source: SecretError },
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// One gateway and its connections.
pub struct HttpGateway {
    settings: SmsHttp,
    method: Method,
    environment: Environment<'static>,
    /// Values of `secret.NAME`. Never shown: no `Debug` on this type.
    secrets: Value,
    client: Client,
    permits: Semaphore,
}

/// One request, rendered.
pub(super) struct Prepared {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Prepared {
    pub(super) fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("{} {}\n", self.method, self.url));
        for (name, value) in &self.headers {
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

impl HttpGateway {
    /// Reads the secrets and renders every template once with a sample. Connects to nothing.
    pub fn new(settings: &SmsHttp, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        crate::channel::install_tls();
        let method = match settings.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            other => return Err(GatewayError::Method(other.to_owned())),
        };
        let timeout = Duration::from_secs(settings.timeout_s);
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            // Ends before the whole does: a time-out while connecting is known to have sent nothing.
            .connect_timeout(CONNECT_TIMEOUT_MAX.min(timeout / 2))
            .timeout(timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(GatewayError::Client)?;
        let gateway = Self {
            settings: settings.clone(),
            method,
            environment: template::environment(),
            // A sample must not show a real secret in an error.
            secrets: secret_values(settings.secrets.keys().map(|name| (name.clone(), "sample".to_owned()))),
            client,
            permits: Semaphore::new(settings.connections),
        };
        gateway.prove()?;

        let mut secrets = Vec::with_capacity(settings.secrets.len());
        for (name, source) in &settings.secrets {
            let secret = source.read(credentials).map_err(|source| GatewayError::Secret {
                name: name.clone(),
                source,
            })?;
            secrets.push((name.clone(), secret.expose_secret().to_owned()));
        }
        Ok(Self {
            secrets: secret_values(secrets.into_iter()),
            ..gateway
        })
    }

    /// Opens a connection to the gateway's host and closes it again. Nothing is said: there is no request that every gateway takes for
    /// a question.
    pub(super) async fn probe(&self) -> Result<(), Outcome> {
        let unreachable = || {
            Outcome::of(
                Fault::new(Blame::Provider, Stage::Connect),
                "连不上短信网关 / the SMS gateway cannot be reached".to_owned(),
                None,
            )
        };
        let url = self.prepare(&sample()).map_err(|_| unreachable())?.url;
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

    fn prove(&self) -> Result<(), GatewayError> {
        self.prove_names()?;
        let prepared = self.prepare(&sample()).map_err(|error| match error {
            BuildError::Template { key, detail } => GatewayError::Template { key, detail },
            other => GatewayError::Template {
                key: "body".to_owned(),
                detail: other.to_string(),
            },
        })?;
        let is_json = prepared
            .headers
            .get(reqwest::header::CONTENT_TYPE)
            .is_some_and(|value| {
                value
                    .as_bytes()
                    .windows(4)
                    .any(|word| word.eq_ignore_ascii_case(b"json"))
            });
        if is_json && serde_json::from_slice::<serde::de::IgnoredAny>(&prepared.body).is_err() {
            return Err(GatewayError::NotJson);
        }
        Ok(())
    }

    /// A filter such as `tojson` takes a name that is not there for nothing at all, so names are looked at before rendering.
    fn prove_names(&self) -> Result<(), GatewayError> {
        let named = |key: &str, source: &str| (key.to_owned(), source.to_owned());
        let mut sources = vec![named("url", &self.settings.url), named("body", &self.settings.body)];
        let headers = self.settings.headers.iter();
        sources.extend(headers.map(|(name, source)| named(&format!("headers.{name}"), source)));
        for (key, source) in sources {
            let wrong = |detail: String| GatewayError::Template {
                key: key.clone(),
                detail,
            };
            let template = self.environment.template_from_named_str(&key, &source);
            let names = template
                .map_err(|error| wrong(error.to_string()))?
                .undeclared_variables(true);
            let known = |name: &str| match name.strip_prefix("secret.") {
                Some(secret) => self.settings.secrets.contains_key(secret),
                None => ["to", "text", "signature", "id"].contains(&name),
            };
            if let Some(name) = names.iter().filter(|name| !known(name)).min() {
                return Err(wrong(format!("\"{name}\" is no value of an SMS")));
            }
        }
        Ok(())
    }

    pub(super) fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
        let variables = template::variables(sms, &self.secrets);
        let render = |key: &str, source: &str| {
            let rendered = self.environment.render_named_str(key, source, &variables);
            rendered.map_err(|error| fault(key, &error.to_string()))
        };
        let url = render("url", &self.settings.url)?;
        let url = Url::parse(url.trim()).map_err(|error| fault("url", &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault("url", "neither http nor https"));
        }
        let mut headers = HeaderMap::new();
        for (name, source) in &self.settings.headers {
            let key = format!("headers.{name}");
            let value = render(&key, source)?;
            let mut value = HeaderValue::from_str(value.trim()).map_err(|error| fault(&key, &error.to_string()))?;
            value.set_sensitive(true);
            let name: HeaderName = name.parse().map_err(|_| fault(&key, "not a header name"))?;
            headers.insert(name, value);
        }
        let body = render("body", &self.settings.body)?.into_bytes();
        Ok(Prepared {
            method: self.method.clone(),
            url,
            headers,
            body,
        })
    }

    /// Waits for a line: one of as many requests as may be under way.
    pub(super) async fn line(&self) -> Line<'_> {
        Line::of(&self.permits).await
    }

    pub(super) async fn send_on(&self, _line: Line<'_>, prepared: &Prepared) -> Outcome {
        let request = self
            .client
            .request(prepared.method.clone(), prepared.url.clone())
            .headers(prepared.headers.clone())
            .body(prepared.body.clone());
        match request.send().await {
            Ok(response) => self.read(response).await,
            Err(error) if error.is_connect() => Outcome::of(
                Fault::new(Blame::Provider, Stage::Connect),
                "连不上短信网关 / the SMS gateway cannot be reached".to_owned(),
                None,
            ),
            // reqwest does not say how much of the request had left.
            Err(_) => Outcome::Uncertain {
                reason: "短信已提交,但网关未答复 / the SMS was submitted, but the gateway did not answer".to_owned(),
            },
        }
    }

    async fn read(&self, mut response: Response) -> Outcome {
        let mut body = Some(Vec::new());
        // A body that breaks off or runs over is judged as one that cannot be read.
        while let Some(read) = &mut body {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if read.len() + chunk.len() <= ANSWER_MAX => read.extend_from_slice(&chunk),
                Ok(Some(_)) | Err(_) => body = None,
            }
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let answer = Answer {
            status: response.status().as_u16(),
            retry_after: header(RETRY_AFTER),
            date: header(DATE),
            body: body.as_deref(),
        };
        judge(&self.settings, &answer)
    }
}

fn sample() -> Sms {
    Sms {
        to: "13900000000".to_owned(),
        text: "【示例】\"您好\"\\\n&再见".to_owned(),
        signature: "示例".to_owned(),
        id: "sample".to_owned(),
    }
}

fn secret_values(secrets: impl Iterator<Item = (String, String)>) -> Value {
    Value::from(secrets.collect::<BTreeMap<_, _>>())
}

fn fault(key: &str, detail: &str) -> BuildError {
    BuildError::Template {
        key: key.to_owned(),
        detail: detail.to_owned(),
    }
}
