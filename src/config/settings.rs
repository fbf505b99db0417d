//! The operators' file, `xixin.toml`: database, addresses, mail and SMS providers, intervals.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::decode::Document;
use super::problem::Problem;
use super::secret::SecretSource;

/// `xixin.toml` merged with `conf.d/*.toml` and `XIXIN__…` variables over the built-in defaults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// IANA name of the zone in which halls keep their clocks. Boot-only.
    pub zone: String,
    /// Where the database, the lock and the control socket live; empty takes `$STATE_DIRECTORY`, else `/var/lib/xixin`. Boot-only.
    pub state_dir: PathBuf,
    /// `sqlite:FILE`, relative to `state_dir`. Boot-only.
    pub database: String,
    pub http: Http,
    pub mail: Mail,
    pub sms: Sms,
    pub reload: Reload,
    pub log: Log,
}

/// The administrative listener (/healthz, /readyz, /metrics). Boot-only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    pub transport: MailTransport,
    /// The address reminders come from.
    pub from: String,
    /// The display name beside it.
    pub from_name: String,
    pub reply_to: Option<String>,
    pub smtp: Smtp,
    pub maildir: Directory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    Smtp,
    Maildir,
    /// No mail leaves; e-mail is treated as a channel nobody has.
    None,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    /// The name given in EHLO.
    pub hello: Option<String>,
    pub user: Option<String>,
    pub password: Option<SecretSource>,
    /// Connections kept open to this server at the most, 1 to 50.
    pub connections: usize,
    /// Seconds for each phase but the last, 1 to 600.
    pub timeout_s: u64,
    /// Seconds to wait for the answer after the final dot (RFC 5321 4.5.3.2.6 asks for 600).
    pub dot_timeout_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// TLS from the first byte (port 465).
    Implicit,
    /// STARTTLS, required: no mail without it (port 587).
    Starttls,
    /// No encryption: a relay on this machine.
    None,
}

/// A directory, relative to `state_dir`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    pub dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    pub transport: SmsTransport,
    /// The 【…】 signature put before every text, without the brackets.
    pub signature: String,
    pub file: Directory,
    pub http: Option<SmsHttp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsTransport {
    Http,
    /// Each message becomes a file: for the demo and for hand-over to another program.
    File,
    None,
}

/// A gateway described wholly in configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsHttp {
    /// `GET` or `POST`.
    pub method: String,
    /// A template, like `body` and the header values: minijinja with `to`, `text`, `signature`, `id`, `secret.NAME` and the filters
    /// md5, sha256, hmac_sha256(key), base64, urlencode, tojson.
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    pub success: SmsSuccess,
    /// JSON pointer to the provider's reference in a successful answer.
    pub reference: Option<String>,
    /// What an error code found at `success.pointer` means.
    #[serde(default)]
    pub errors: BTreeMap<String, ErrorClass>,
    /// Requests under way at once at the most, 1 to 100.
    pub connections: usize,
    /// Seconds for one request, 1 to 300.
    pub timeout_s: u64,
}

/// An answer counts as success when the status is in `status` and, if a pointer is given, the value there equals `equals`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsSuccess {
    pub status: Vec<u16>,
    pub pointer: Option<String>,
    pub equals: Option<String>,
}

/// Who is to blame for a fault, and so what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// This message will never pass: next channel or a call task.
    Message,
    /// This recipient cannot take it now: retry.
    Recipient,
    /// The provider cannot take anything now: wait, charging nobody.
    Provider,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reload {
    /// Watch the configuration directory and reload by itself.
    pub watch: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `auto` (journald when it reads us, else text), `text` or `json`.
    pub format: LogFormat,
    /// A tracing filter, e.g. `info` or `info,xixin::engine=debug`.
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

/// The shipped file is also the built-in default of every key.
const DEFAULTS: &str = include_str!("../../config/xixin.toml");

/// Layers the defaults, `xixin.toml`, `conf.d/*.toml` in order, and `XIXIN__SECTION__KEY` variables. Each file is checked on its own
/// first, so that a problem is shown where it stands.
pub(super) fn load(dir: &Path, environment: &BTreeMap<String, String>, heard: &mut Vec<Problem>) -> Option<Settings> {
    let before = heard.len();
    let mut names = vec!["xixin.toml".to_owned()];
    if dir.join("conf.d").is_dir() {
        names.extend(
            super::list(dir, "conf.d", heard)
                .into_iter()
                .map(|name| format!("conf.d/{name}.toml")),
        );
    }
    let mut layers = layer(config::Config::builder(), DEFAULTS);
    for name in &names {
        if name == "xixin.toml" && !dir.join(name).exists() {
            continue;
        }
        let Some(text) = super::text_of(dir, name, heard) else {
            continue;
        };
        check_alone(name, &text, heard);
        layers = layer(layers, &text);
    }
    if heard.len() > before {
        return None;
    }
    let variables: config::Map<String, String> = environment
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let variables = config::Environment::with_prefix("XIXIN")
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .source(Some(variables));
    let merged = layers.add_source(variables).build();
    match merged.and_then(config::Config::try_deserialize::<Settings>) {
        Ok(mut settings) => {
            if let Some(state) = environment
                .get("STATE_DIRECTORY")
                .filter(|_| settings.state_dir.as_os_str().is_empty())
            {
                settings.state_dir = PathBuf::from(state);
            }
            if settings.state_dir.as_os_str().is_empty() {
                settings.state_dir = PathBuf::from("/var/lib/xixin");
            }
            let origin = Origin::read(dir, &names);
            weigh(&settings, &origin, heard);
            (heard.len() == before).then_some(settings)
        }
        Err(error) => {
            heard.push(Problem {
                file: "environment".to_owned(),
                line: 1,
                col: 1,
                key: String::new(),
                what: error.to_string(),
                allowed: "mend or unset the XIXIN__… variable".to_owned(),
            });
            None
        }
    }
}

type Layers = config::ConfigBuilder<config::builder::DefaultState>;

fn layer(layers: Layers, text: &str) -> Layers {
    layers.add_source(config::File::from_str(text, config::FileFormat::Toml))
}

fn check_alone(name: &str, text: &str, heard: &mut Vec<Problem>) {
    let document = Document::new(name, text);
    let table: toml::Table = match document.parse() {
        Ok(table) => table,
        Err(problem) => return heard.push(problem),
    };
    let Ok(mut merged) = DEFAULTS.parse::<toml::Table>() else {
        return;
    };
    lay_over(&mut merged, table);
    if let Err(problems) = document.decode_table::<Settings>(merged) {
        heard.extend(problems);
    }
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => lay_over(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Where each setting was last written.
struct Origin(Vec<Document>);

impl Origin {
    fn read(dir: &Path, names: &[String]) -> Self {
        let document = |name: &String| {
            std::fs::read_to_string(dir.join(name))
                .ok()
                .map(|text| Document::new(name, &text))
        };
        Self(names.iter().filter_map(document).collect())
    }

    fn problem(&self, path: &str, what: &str, allowed: &str) -> Problem {
        let written = self.0.iter().rev().find(|document| document.has(path));
        match written.or(self.0.first()) {
            Some(document) => document.at(path, what, allowed),
            None => Document::new("environment", "").at(path, what, allowed),
        }
    }
}

/// What serde cannot judge: ranges, names and what belongs together.
fn weigh(settings: &Settings, origin: &Origin, heard: &mut Vec<Problem>) {
    let mut wrong = |path: &str, what: String, allowed: &str| heard.push(origin.problem(path, &what, allowed));
    if zone(settings).is_none() {
        wrong(
            "zone",
            format!("there is no time zone \"{}\"", settings.zone),
            "allowed: an IANA name, such as \"Asia/Shanghai\"",
        );
    }
    if !settings.database.starts_with("sqlite:") || settings.database.len() == "sqlite:".len() {
        let what = format!("\"{}\" is no database this version can open", settings.database);
        wrong("database", what, "allowed: \"sqlite:FILE\", relative to state_dir");
    }
    if !settings.http.listen.ip().is_loopback() {
        let what = format!("{} is not a loopback address", settings.http.listen.ip());
        wrong(
            "http.listen",
            what,
            "allowed: 127.0.0.1:PORT or [::1]:PORT; put a reverse proxy in front for others",
        );
    }
    let smtp = &settings.mail.smtp;
    for (path, value, low, high) in [
        ("mail.smtp.connections", smtp.connections as u64, 1, 50),
        ("mail.smtp.timeout_s", smtp.timeout_s, 1, 600),
        ("mail.smtp.dot_timeout_s", smtp.dot_timeout_s, 1, 1800),
    ] {
        if !(low..=high).contains(&value) {
            wrong(
                path,
                format!("{value} is out of range"),
                &format!("allowed: {low} to {high}"),
            );
        }
    }
    if settings.mail.transport == MailTransport::Smtp && smtp.host.trim().is_empty() {
        wrong(
            "mail.smtp.host",
            "no mail server is named".to_owned(),
            "give its name, such as \"mail.example.org\"",
        );
    }
    if smtp.user.is_some() != smtp.password.is_some() {
        let what = "user and password belong together".to_owned();
        wrong("mail.smtp.user", what, "give both, or neither");
    }
    for (path, address) in [
        ("mail.from", Some(&settings.mail.from)),
        ("mail.reply_to", settings.mail.reply_to.as_ref()),
    ] {
        if let Some(address) = address.filter(|address| !super::rules::plausible_email(address)) {
            wrong(
                path,
                format!("\"{address}\" is no e-mail address"),
                "write it like name@example.org",
            );
        }
    }
    let signature = &settings.sms.signature;
    if signature.is_empty() || signature.chars().count() > 30 || signature.contains(['【', '】']) {
        wrong(
            "sms.signature",
            "it is no signature".to_owned(),
            "1 to 30 characters, without the brackets 【】",
        );
    }
    match (&settings.sms.transport, &settings.sms.http) {
        (SmsTransport::Http, None) => {
            wrong(
                "sms.transport",
                "\"http\" needs a gateway".to_owned(),
                "describe it in [sms.http]",
            );
        }
        (SmsTransport::Http, Some(gateway)) => {
            if !["GET", "POST"].contains(&gateway.method.as_str()) {
                wrong(
                    "sms.http.method",
                    format!("\"{}\" is no method", gateway.method),
                    "allowed: GET, POST",
                );
            }
            if !gateway.url.starts_with("http://") && !gateway.url.starts_with("https://") {
                wrong(
                    "sms.http.url",
                    "it is no address of the web".to_owned(),
                    "start it with https:// (or http:// inside the hall)",
                );
            }
            for (path, value, high) in [
                ("sms.http.connections", gateway.connections as u64, 100),
                ("sms.http.timeout_s", gateway.timeout_s, 300),
            ] {
                if !(1..=high).contains(&value) {
                    wrong(
                        path,
                        format!("{value} is out of range"),
                        &format!("allowed: 1 to {high}"),
                    );
                }
            }
        }
        _ => {}
    }
}

/// The zone of the halls; `None` when the name is not known.
pub fn zone(settings: &Settings) -> Option<jiff::tz::TimeZone> {
    jiff::tz::TimeZone::get(&settings.zone).ok()
}
