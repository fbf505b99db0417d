//! SMS gateways by name: `[sms.gateway.NAME]`. What kind one is follows from the table inside it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::inbound::Hook;
use super::secret::SecretSource;
use super::settings::SmsHttp;

/// One gateway. Exactly one of the tables `http`, `aliyun`, `tencent`, `kannel` and `smpp` says how to talk to it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The lowest is tried first.
    pub order: u32,
    /// Whether it reports what became of each SMS; then one without a report is shown after 72 hours.
    #[serde(default)]
    pub receipts: bool,
    /// SMS a second at the most, 1 to 10000; without it as many as it takes.
    pub per_second: Option<u32>,
    pub http: Option<SmsHttp>,
    pub aliyun: Option<Aliyun>,
    pub tencent: Option<Tencent>,
    pub kannel: Option<Kannel>,
    pub smpp: Option<Smpp>,
    /// What a gateway of kind http calls us with.
    pub hook: Option<Hook>,
    /// With it, only calls are heard that are signed as standard-webhooks.com has it.
    pub webhook_key: Option<SecretSource>,
}

/// Aliyun Dysmsapi 2017-05-25, signed with ACS3-HMAC-SHA256.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aliyun {
    #[serde(default = "aliyun_url")]
    pub url: String,
    pub key_id: String,
    pub key_secret: SecretSource,
    /// The approved signature; without it the unit's own.
    pub sign_name: Option<String>,
    #[serde(default = "connections")]
    pub connections: usize,
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// Longest value of a parameter, in characters.
    #[serde(default = "aliyun_param_max")]
    pub param_max: usize,
    /// The approved template of each of our texts: `TEXT` or `TEXT/READER`.
    pub templates: BTreeMap<String, NamedTemplate>,
}

/// A template whose parameters have names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedTemplate {
    pub code: String,
    /// Parameter name to the text it is filled with, such as `"{{ day }}"`.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

/// Tencent SMS 2021-01-11, signed with TC3-HMAC-SHA256.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tencent {
    #[serde(default = "tencent_url")]
    pub url: String,
    #[serde(default = "tencent_region")]
    pub region: String,
    pub app_id: String,
    pub key_id: String,
    pub key_secret: SecretSource,
    /// The approved signature; without it the unit's own.
    pub sign_name: Option<String>,
    #[serde(default = "connections")]
    pub connections: usize,
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// Longest value of a parameter, in characters.
    #[serde(default = "tencent_param_max")]
    pub param_max: usize,
    pub templates: BTreeMap<String, NumberedTemplate>,
}

/// A template whose parameters are numbered from {1}.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedTemplate {
    pub code: String,
    #[serde(default)]
    pub params: Vec<String>,
}

/// Kannel's sendsms.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kannel {
    /// Address of sendsms, e.g. `http://127.0.0.1:13013/cgi-bin/sendsms`.
    pub url: String,
    pub username: String,
    pub password: SecretSource,
    /// The number it comes from.
    pub from: Option<String>,
    /// Kannel's name of the SMS centre, when there are several.
    pub smsc: Option<String>,
    /// Where Kannel reports to: this system's `[inbound]` address with its secret path and this gateway's name.
    pub report_to: Option<SecretSource>,
    #[serde(default = "connections")]
    pub connections: usize,
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
}

/// An SMS centre that speaks SMPP 3.4.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smpp {
    pub host: String,
    pub port: u16,
    /// TLS from the first byte.
    #[serde(default)]
    pub tls: bool,
    pub system_id: String,
    pub password: SecretSource,
    #[serde(default)]
    pub system_type: String,
    /// The number it comes from; empty leaves it to the SMS centre.
    #[serde(default)]
    pub from: String,
    /// How an SMS of more than 70 characters goes out.
    #[serde(default)]
    pub long: LongSms,
    /// Submits under way at once, 1 to 100.
    #[serde(default = "connections")]
    pub connections: usize,
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// Seconds between two questions whether the line still stands, 5 to 600.
    #[serde(default = "enquire_s")]
    pub enquire_s: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongSms {
    /// In parts, each with a header that says which.
    #[default]
    Udh,
    /// As a whole, in the optional parameter message_payload.
    Payload,
}

/// Which kind of gateway one is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind<'a> {
    Http(&'a SmsHttp),
    Aliyun(&'a Aliyun),
    Tencent(&'a Tencent),
    Kannel(&'a Kannel),
    Smpp(&'a Smpp),
}

impl Kind<'_> {
    pub fn name(self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Aliyun(_) => "aliyun",
            Self::Tencent(_) => "tencent",
            Self::Kannel(_) => "kannel",
            Self::Smpp(_) => "smpp",
        }
    }
}

impl Gateway {
    /// Every kind it describes: one, or its settings are refused.
    pub fn kinds(&self) -> Vec<Kind<'_>> {
        let mut kinds = Vec::new();
        kinds.extend(self.http.as_ref().map(Kind::Http));
        kinds.extend(self.aliyun.as_ref().map(Kind::Aliyun));
        kinds.extend(self.tencent.as_ref().map(Kind::Tencent));
        kinds.extend(self.kannel.as_ref().map(Kind::Kannel));
        kinds.extend(self.smpp.as_ref().map(Kind::Smpp));
        kinds
    }
}

/// One approved template of a cloud, and what fills its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping<'a> {
    pub gateway: &'a str,
    /// The key in the settings: `TEXT` or `TEXT/READER`.
    pub key: &'a str,
    pub code: &'a str,
    /// Name (a number from 1, where they have none) and source of each parameter.
    pub params: Vec<(String, &'a str)>,
    pub param_max: usize,
}

/// All templates of the clouds, or only those for one text and its reader.
pub fn mappings<'a>(gateways: &'a BTreeMap<String, Gateway>) -> impl Iterator<Item = Mapping<'a>> {
    gateways.iter().flat_map(|(name, gateway)| {
        let named = gateway.aliyun.iter().flat_map(move |cloud| {
            cloud.templates.iter().map(move |(key, template)| Mapping {
                gateway: name,
                key,
                code: &template.code,
                params: template
                    .params
                    .iter()
                    .map(|(name, source)| (name.clone(), source.as_str()))
                    .collect(),
                param_max: cloud.param_max,
            })
        });
        let numbered = gateway.tencent.iter().flat_map(move |cloud| {
            cloud.templates.iter().map(move |(key, template)| {
                let numbers = (1..).map(|number: usize| number.to_string());
                Mapping {
                    gateway: name,
                    key,
                    code: &template.code,
                    params: numbers.zip(template.params.iter().map(String::as_str)).collect(),
                    param_max: cloud.param_max,
                }
            })
        });
        named.chain(numbered).collect::<Vec<_>>()
    })
}

fn aliyun_url() -> String {
    "https://dysmsapi.aliyuncs.com".to_owned()
}

fn tencent_url() -> String {
    "https://sms.tencentcloudapi.com".to_owned()
}

fn tencent_region() -> String {
    "ap-guangzhou".to_owned()
}

pub(super) fn connections() -> usize {
    8
}

pub(super) fn timeout_s() -> u64 {
    30
}

fn enquire_s() -> u64 {
    30
}

fn aliyun_param_max() -> usize {
    35
}

fn tencent_param_max() -> usize {
    12
}
