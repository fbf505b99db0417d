//! A request that operators describe: method, address, headers and body, each but the first a template.
//!
//! Always: proved with a sample before it is used. Nothing here knows what the request is for.

use std::collections::BTreeMap;

use minijinja::{Environment, Value};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::http::{GatewayError, fault};
use super::web::Prepared;
use crate::channel::build::BuildError;

pub(super) struct Described {
    /// Before the key in a complaint: nothing, or the table inside the gateway's.
    place: &'static str,
    method: Method,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Described {
    pub(super) fn new(
        place: &'static str,
        method: &str,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: &str,
    ) -> Result<Self, GatewayError> {
        let method = match method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            other => return Err(GatewayError::Method(other.to_owned())),
        };
        Ok(Self {
            place,
            method,
            url: url.to_owned(),
            headers: headers.clone(),
            body: body.to_owned(),
        })
    }

    /// Renders it with a sample. `knows` says which names a template may use: a filter such as `tojson` takes one that is not there for
    /// nothing at all, so names are looked at before rendering.
    pub(super) fn prove(
        &self,
        environment: &Environment<'_>,
        sample: &Value,
        knows: impl Fn(&str) -> bool,
    ) -> Result<(), GatewayError> {
        for (key, source) in self.sources() {
            let wrong = |detail: String| GatewayError::Template {
                key: key.clone(),
                detail,
            };
            let template = environment.template_from_named_str(&key, source);
            let names = template
                .map_err(|error| wrong(error.to_string()))?
                .undeclared_variables(true);
            if let Some(name) = names.iter().filter(|name| !knows(name)).min() {
                return Err(wrong(format!(
                    "“{name}”不是短信的值 / \"{name}\" is no value of an SMS"
                )));
            }
        }
        let prepared = self.render(environment, sample).map_err(|error| match error {
            BuildError::Template { key, detail } => GatewayError::Template { key, detail },
            other => GatewayError::Template {
                key: self.key("body"),
                detail: other.to_string(),
            },
        })?;
        if says_json(&prepared) && serde_json::from_slice::<serde::de::IgnoredAny>(&prepared.body).is_err() {
            return Err(GatewayError::NotJson { key: self.key("body") });
        }
        Ok(())
    }

    pub(super) fn render(&self, environment: &Environment<'_>, values: &Value) -> Result<Prepared, BuildError> {
        let render = |key: &str, source: &str| {
            let rendered = environment.render_named_str(key, source, values);
            rendered.map_err(|error| fault(key, &error.to_string()))
        };
        let key = self.key("url");
        let url = render(&key, &self.url)?;
        let url = Url::parse(url.trim()).map_err(|error| fault(&key, &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault(&key, "neither http nor https"));
        }
        let mut headers = HeaderMap::new();
        for (name, source) in &self.headers {
            let key = self.key(&format!("headers.{name}"));
            let value = render(&key, source)?;
            let mut value = HeaderValue::from_str(value.trim()).map_err(|error| fault(&key, &error.to_string()))?;
            value.set_sensitive(true);
            let name: HeaderName = name.parse().map_err(|_| fault(&key, "not a header name"))?;
            headers.insert(name, value);
        }
        Ok(Prepared {
            method: self.method.clone(),
            url,
            headers,
            body: render(&self.key("body"), &self.body)?.into_bytes(),
            is_signed: false,
        })
    }

    fn sources(&self) -> Vec<(String, &str)> {
        let mut sources = vec![(self.key("url"), self.url.as_str()), (self.key("body"), &self.body)];
        let headers = self.headers.iter();
        sources.extend(headers.map(|(name, source)| (self.key(&format!("headers.{name}")), source.as_str())));
        sources
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }
}

/// Whether its body has to be JSON. What a gateway wants encoded as a whole is called JSON, too.
fn says_json(prepared: &Prepared) -> bool {
    let is_plain = prepared.body.first().is_some_and(|first| b"{[\"".contains(first));
    let says_json = prepared.headers.get(CONTENT_TYPE).is_some_and(|value| {
        let mut words = value.as_bytes().windows(4);
        words.any(|word| word.eq_ignore_ascii_case(b"json"))
    });
    says_json && is_plain
}
