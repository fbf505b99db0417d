//! A gateway described wholly in configuration: method, URL, headers and body as templates, and rules for its answer.
//!
//! Always: templates are proved with a sample before the gateway is used.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Environment, Value};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;

use super::answer::judge;
use super::web::{Answer, Prepared};
use super::web_gateway::{Dialect, secret};
use super::{Sms, template};
use crate::channel::build::BuildError;
use crate::channel::outcome::Outcome;
use crate::config::secret::SecretError;
use crate::config::settings::SmsHttp;

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
    #[error("url: \"{0}\" is no address of the web; start it with https://")]
    Url(String),
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl GatewayError {
    pub(super) fn url(text: &str) -> Result<Url, Self> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.ok_or_else(|| Self::Url(text.to_owned()))
    }
}

pub(super) struct HttpDialect {
    settings: SmsHttp,
    method: Method,
    environment: Environment<'static>,
    /// Values of `secret.NAME`. Never shown: no `Debug` on this type.
    secrets: Value,
}

impl HttpDialect {
    /// Reads the secrets and renders every template once with a sample. Connects to nothing.
    pub(super) fn new(settings: &SmsHttp, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        let method = match settings.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            other => return Err(GatewayError::Method(other.to_owned())),
        };
        let gateway = Self {
            settings: settings.clone(),
            method,
            environment: template::environment(),
            // A sample must not show a real secret in an error.
            secrets: secret_values(settings.secrets.keys().map(|name| (name.clone(), "sample".to_owned()))),
        };
        gateway.prove()?;

        let mut secrets = Vec::with_capacity(settings.secrets.len());
        for (name, source) in &settings.secrets {
            let secret = secret(name, source, credentials)?;
            secrets.push((name.clone(), secret.expose_secret().to_owned()));
        }
        Ok(Self {
            secrets: secret_values(secrets.into_iter()),
            ..gateway
        })
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
        // What a gateway wants encoded as a whole is called JSON, too.
        let is_plain = prepared.body.first().is_some_and(|first| b"{[\"".contains(first));
        if is_json && is_plain && serde_json::from_slice::<serde::de::IgnoredAny>(&prepared.body).is_err() {
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
                None => template::NAMES.contains(&name),
            };
            if let Some(name) = names.iter().filter(|name| !known(name)).min() {
                return Err(wrong(format!("\"{name}\" is no value of an SMS")));
            }
        }
        Ok(())
    }
}

impl Dialect for HttpDialect {
    fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
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
            is_signed: false,
        })
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        judge(&self.settings, answer)
    }

    fn address(&self) -> Option<Url> {
        self.prepare(&sample()).ok().map(|prepared| prepared.url)
    }
}

pub(super) fn sample() -> Sms {
    Sms {
        to: "13900000000".to_owned(),
        text: "【示例】\"您好\"\\\n&再见".to_owned(),
        signature: "示例".to_owned(),
        id: "sample".to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
        coded: Vec::new(),
    }
}

fn secret_values(secrets: impl Iterator<Item = (String, String)>) -> Value {
    Value::from(secrets.collect::<BTreeMap<_, _>>())
}

pub(super) fn fault(key: &str, detail: &str) -> BuildError {
    BuildError::Template {
        key: key.to_owned(),
        detail: detail.to_owned(),
    }
}
