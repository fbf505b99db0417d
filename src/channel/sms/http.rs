//! A gateway described wholly in configuration: method, URL, headers and body as templates, and rules for its answer.
//!
//! Always: templates are proved with a sample before the gateway is used.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{Environment, Value as Values};
use reqwest::Url;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::answer::{judge, presentable, succeeded, written};
use super::asking::{Asking, Page, Read};
use super::described::Described;
use super::web::{Answer, Prepared};
use super::web_gateway::{Dialect, secret};
use super::{Known, Question, Sms, template};
use crate::channel::build::BuildError;
use crate::channel::outcome::Outcome;
use crate::config::secret::SecretError;
use crate::config::settings::{SmsHttp, SmsQuery};

/// A gateway that cannot be used as it is described. Names the key below `sms.http`.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("没有“{0}”这种方法,可用 GET 或 POST / \"{0}\" is not known; GET and POST are allowed")]
    Method(String),
    #[error("{detail}")]
    Template { key: String, detail: String },
    #[error(
        "请求头说是 JSON,但文字里有引号或换行时就不是;请写 {{{{ text|tojson }}}},外面不加引号 / headers say it is JSON, but it is not for a text with quotes and line breaks; write {{{{ text|tojson }}}}, without quotes around it"
    )]
    NotJson { key: String },
    #[error("{cause}")]
    Secret { key: String, cause: SecretError },
    #[error("“{0}”不是网址,请以 https:// 开头 / \"{0}\" is no address of the web; start it with https://")]
    Url(String),
    #[error("HTTP 客户端无法启用 / the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl GatewayError {
    /// The setting of the gateway that is to blame.
    pub fn key(&self) -> &str {
        match self {
            Self::Method(_) => "method",
            Self::Template { key, .. } | Self::NotJson { key } | Self::Secret { key, .. } => key,
            Self::Url(_) | Self::Client(_) => "url",
        }
    }

    pub(super) fn url(text: &str) -> Result<Url, Self> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.ok_or_else(|| Self::Url(text.to_owned()))
    }
}

pub(super) struct HttpDialect {
    settings: SmsHttp,
    sending: Described,
    asking: Option<(SmsQuery, Described)>,
    environment: Environment<'static>,
    /// Values of `secret.NAME`. Never shown: no `Debug` on this type.
    secrets: Values,
}

impl HttpDialect {
    /// Reads the secrets and renders every template once with a sample. Connects to nothing.
    pub(super) fn new(settings: &SmsHttp, credentials: Option<&Path>) -> Result<Self, GatewayError> {
        let sending = Described::new("", &settings.method, &settings.url, &settings.headers, &settings.body)?;
        let asking = settings.query.as_ref().map(|query| {
            let described = Described::new("query.", &query.method, &query.url, &query.headers, &query.body)?;
            Ok((query.clone(), described))
        });
        let gateway = Self {
            settings: settings.clone(),
            sending,
            asking: asking.transpose()?,
            environment: template::environment(),
            // A sample must not show a real secret in an error.
            secrets: secret_values(settings.secrets.keys().map(|name| (name.clone(), "sample".to_owned()))),
        };
        gateway.prove()?;

        let mut secrets = Vec::with_capacity(settings.secrets.len());
        for (name, source) in &settings.secrets {
            let secret = secret(&format!("secrets.{name}"), source, credentials)?;
            secrets.push((name.clone(), secret.expose_secret().to_owned()));
        }
        Ok(Self {
            secrets: secret_values(secrets.into_iter()),
            ..gateway
        })
    }

    fn prove(&self) -> Result<(), GatewayError> {
        let among = |names: &'static [&'static str]| {
            move |name: &str| match name.strip_prefix("secret.") {
                Some(secret) => self.settings.secrets.contains_key(secret),
                None => names.contains(&name),
            }
        };
        let sample_values = template::variables(&sample(), &self.secrets);
        self.sending
            .prove(&self.environment, &sample_values, among(&template::NAMES))?;
        if let Some((_, asking)) = &self.asking {
            let values = template::asking_variables(&sample_question(), &self.secrets);
            asking.prove(&self.environment, &values, among(&template::ASKING_NAMES))?;
        }
        self.prove_parts()
    }

    /// A text that is not encoded could end its own parameter and begin another: the number that it goes to, for one.
    fn prove_parts(&self) -> Result<(), GatewayError> {
        let parts = |text: &str| {
            let sms = Sms {
                text: text.to_owned(),
                ..sample()
            };
            let prepared = self.prepare(&sms).ok()?;
            let is_form = prepared.headers.get(reqwest::header::CONTENT_TYPE);
            let is_form = is_form.is_some_and(|value| value.as_bytes().ends_with(b"form-urlencoded"));
            let count = |query: &[u8]| query.split(|byte| *byte == b'&').count();
            let url = &prepared.url;
            let url = (
                count(url.query().unwrap_or_default().as_bytes()),
                url.fragment().is_some(),
            );
            Some((url, is_form.then(|| count(&prepared.body))))
        };
        let (tame, wild) = (parts("x"), parts("x&to=1#y"));
        let key = match (tame, wild) {
            (Some((url, _)), Some((other, _))) if url != other => "url",
            (Some((_, body)), Some((_, other))) if body != other => "body",
            _ => return Ok(()),
        };
        Err(GatewayError::Template {
            key: key.to_owned(),
            detail: "文字中有“&”时参数就变了,请写 {{ text|urlencode }} / with \"&\" in the text it has other parameters; write {{ text|urlencode }}"
                .to_owned(),
        })
    }
}

impl Dialect for HttpDialect {
    fn prepare(&self, sms: &Sms) -> Result<Prepared, BuildError> {
        let values = template::variables(sms, &self.secrets);
        self.sending.render(&self.environment, &values)
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        judge(&self.settings, answer)
    }

    fn address(&self) -> Option<Url> {
        self.prepare(&sample()).ok().map(|prepared| prepared.url)
    }

    fn asking(&self) -> Option<&dyn Asking> {
        self.asking.is_some().then_some(self)
    }
}

impl Asking for HttpDialect {
    fn question(&self, question: &Question, _page: Page) -> Result<Prepared, BuildError> {
        let values = template::asking_variables(question, &self.secrets);
        let (_, asking) = self.asking.as_ref().expect("only who has a question is asked");
        asking.render(&self.environment, &values)
    }

    fn read(&self, question: &Question, _page: Page, answer: &Answer) -> Read {
        let (rules, _) = self.asking.as_ref().expect("only who has a question is asked");
        known(rules, question, answer)
    }
}

/// What an answer says of the message that was asked about.
fn known(rules: &SmsQuery, question: &Question, answer: &Answer) -> Read {
    if !succeeded(&rules.success, answer) {
        return Read::No(format!("HTTP {}", answer.status));
    }
    let Some(document) = answer.json() else {
        return Read::No("no JSON".to_owned());
    };
    let at = |value: &Value, pointer: &str| value.pointer(pointer).and_then(written);
    let list = match &rules.list {
        None => vec![&document],
        Some(pointer) => match document.pointer(pointer).and_then(Value::as_array) {
            Some(list) => list.iter().collect(),
            None => return Read::No("no list".to_owned()),
        },
    };
    let is_ours = |value: &&&Value| match &rules.id {
        None => true,
        Some(pointer) => at(value, pointer).is_some_and(|id| id == question.id),
    };
    let Some(found) = list.iter().find(is_ours) else {
        // Without an id in it, or beside others of the same number: nobody can say that it is not there.
        let shows_all = rules.list.is_some() && rules.shows_all;
        return Read::Known(if shows_all { Known::Absent } else { Known::Unclear });
    };
    let Some(status) = at(found, &rules.status) else {
        return Read::No("no status".to_owned());
    };
    let reference = rules.reference.as_ref().and_then(|pointer| at(found, pointer));
    let reference = reference.and_then(|text| presentable(&text));
    let is_one_of = |values: &[String]| values.contains(&status);
    Read::Known(if is_one_of(&rules.delivered) {
        Known::Arrived { reference }
    } else if is_one_of(&rules.failed) {
        Known::failed(&status)
    } else if is_one_of(&rules.taken) {
        Known::Taken { reference }
    } else if is_one_of(&rules.absent) {
        Known::Absent
    } else {
        Known::Unclear
    })
}

fn sample_question() -> Question {
    Question {
        gateway: None,
        id: "sample".to_owned(),
        to: "13900000000".to_owned(),
        sent: jiff::Timestamp::UNIX_EPOCH,
        at: jiff::Timestamp::UNIX_EPOCH,
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

fn secret_values(secrets: impl Iterator<Item = (String, String)>) -> Values {
    Values::from(secrets.collect::<BTreeMap<_, _>>())
}

pub(super) fn fault(key: &str, detail: &str) -> BuildError {
    BuildError::Template {
        key: key.to_owned(),
        detail: detail.to_owned(),
    }
}
