//! The operators' file, `xixin.toml`: database, addresses, mail and SMS providers, intervals.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::api::Api;
use super::gateways::{self, Gateway};
use super::inbound::Inbound;
use super::postgres::{Postgres, Server};
use super::secret::SecretSource;
use crate::domain::ladder::Way;
use crate::vault::Cipher;

/// `xixin.toml` merged with `conf.d/*.toml` and `XIXIN__…` variables over the built-in defaults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// IANA name of the zone in which halls keep their clocks. Boot-only.
    pub zone: String,
    /// Where the database, the lock and the control socket live; empty takes `$STATE_DIRECTORY`, else `/var/lib/xixin`. Boot-only.
    pub state_dir: PathBuf,
    /// `sqlite:FILE`, relative to `state_dir`, or `postgres://USER@HOST:PORT/NAME`. Boot-only.
    pub database: String,
    pub postgres: Postgres,
    /// What this node is called among those that share a PostgreSQL; empty takes the host's name. Boot-only.
    pub node: String,
    pub personal_data: PersonalData,
    pub http: Http,
    pub inbound: Inbound,
    pub api: Api,
    pub mail: Mail,
    pub sms: Sms,
    pub heartbeat: Heartbeat,
    pub alarm: Alarm,
    pub retention: Retention,
    pub reload: Reload,
    pub log: Log,
}

impl Settings {
    /// The server of the database; `None` where it is a file.
    pub fn server(&self) -> Option<Server> {
        Server::parse(&self.database)?.ok()
    }

    /// The same, with another database.
    pub fn on(&self, database: &str) -> Self {
        Self {
            database: database.to_owned(),
            ..self.clone()
        }
    }
}

/// How what is known of people is sealed at rest. Boot-only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonalData {
    pub cipher: Cipher,
    /// Where the master key is; `None`: a file of its own in `state_dir`, made at the first start.
    pub key: Option<SecretSource>,
    /// Master keys of before, to go over to the present one.
    pub old_keys: Vec<SecretSource>,
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
    /// The mail server where there is one only.
    pub smtp: Smtp,
    /// Several mail servers: the first that works is used. With any of them, `smtp` is not.
    #[serde(default)]
    pub server: Vec<Smtp>,
    /// Where mail comes back to that cannot be delivered.
    pub bounces: Option<Bounces>,
    pub maildir: Directory,
}

/// The return address of every mail, with a token for each attempt, and the key that makes the tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounces {
    /// `NAME@DOMAIN`; mail to `NAME+TOKEN@DOMAIN` is piped into `xixin bounce`.
    pub address: String,
    pub key: SecretSource,
}

impl Mail {
    /// The mail servers, in the order in which they are used.
    pub fn servers(&self) -> &[Smtp] {
        if self.server.is_empty() {
            std::slice::from_ref(&self.smtp)
        } else {
            &self.server
        }
    }

    /// Where one of them is described.
    pub fn key_of(&self, index: usize) -> String {
        if self.server.is_empty() {
            "mail.smtp".to_owned()
        } else {
            format!("mail.server[{index}]")
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    Smtp,
    Maildir,
    /// No mail leaves; e-mail is treated as a channel nobody has.
    None,
}

/// One mail server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// What it is called in attempts, logs and metrics.
    #[serde(default = "smtp_name")]
    pub name: String,
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    /// A file of the authorities that may vouch for the server, in PEM form; without it those of this machine.
    pub ca: Option<PathBuf>,
    /// The name given in EHLO.
    pub hello: Option<String>,
    pub user: Option<String>,
    pub password: Option<SecretSource>,
    #[serde(default)]
    pub auth: SmtpAuth,
    /// Connections kept open to this server at the most, 1 to 50.
    #[serde(default = "connections")]
    pub connections: usize,
    /// Messages by one connection at the most; 0 is any number.
    #[serde(default)]
    pub per_connection: u32,
    /// Seconds for each phase but the last, 1 to 600.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// Seconds to wait for the answer after the final dot (RFC 5321 4.5.3.2.6 asks for 600).
    #[serde(default = "dot_timeout_s")]
    pub dot_timeout_s: u64,
}

fn smtp_name() -> String {
    "smtp".to_owned()
}

fn connections() -> usize {
    4
}

fn timeout_s() -> u64 {
    60
}

fn dot_timeout_s() -> u64 {
    600
}

impl Smtp {
    /// A relay without password or encryption, everything else by default.
    pub fn plain(host: &str, port: u16) -> Self {
        Self {
            name: smtp_name(),
            host: host.to_owned(),
            port,
            tls: SmtpTls::None,
            ca: None,
            hello: None,
            user: None,
            password: None,
            auth: SmtpAuth::default(),
            connections: connections(),
            per_connection: 0,
            timeout_s: timeout_s(),
            dot_timeout_s: dot_timeout_s(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// TLS from the first byte (port 465).
    Implicit,
    /// STARTTLS, required: no mail without it (port 587).
    Starttls,
    /// STARTTLS where the server offers it, else in the clear: never with a password.
    Opportunistic,
    /// No encryption: a relay on this machine.
    None,
}

/// How this system proves who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpAuth {
    /// PLAIN, else LOGIN.
    #[default]
    Auto,
    Plain,
    Login,
    /// `password` names the file of an access token, which somebody else keeps fresh.
    Xoauth2,
}

/// After how many days records go; 0 keeps them for ever.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Since anything last happened to a closed case.
    pub closed_cases_days: u32,
    /// Since an attempt at sending ended.
    pub deliveries_days: u32,
    /// Since an inbound text or receipt that has been dealt with came.
    pub inbound_days: u32,
    /// Since an SMS came from a number that no case knows, whether or not anybody has looked at it.
    pub inbox_days: u32,
    /// Since somebody looked.
    pub access_days: u32,
    /// So long `sent.log` remembers what has left: older backups are not to be restored.
    pub sent_log_days: u32,
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
    /// Gateways by name, for transport = "gateways".
    #[serde(default)]
    pub gateway: BTreeMap<String, Gateway>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsTransport {
    Http,
    /// Those of `[sms.gateway.NAME]`, in their order.
    Gateways,
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
    /// A template, like `body` and the header values: minijinja with `to`, `text`, `signature`, `id`, `nonce`, `now(format)`, `secret.NAME` and the filters
    /// md5, sha256, hmac_sha256(key), hmac_md5(key), base64, hex_to_base64, urlencode, tojson.
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
    /// How it is asked what became of an SMS whose fate nobody knows; without it, it is not asked.
    pub query: Option<SmsQuery>,
    /// Requests under way at once at the most, 1 to 100.
    #[serde(default = "gateways::connections")]
    pub connections: usize,
    /// Seconds for one request, 1 to 300.
    #[serde(default = "gateways::timeout_s")]
    pub timeout_s: u64,
}

/// A question to a gateway about one SMS, and how to read the answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsQuery {
    pub method: String,
    /// A template, like `body` and the header values: with `to`, `id`, `nonce`, `now(format)`, `sent(format)`, `secret.NAME` and the
    /// filters of sending.
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: String,
    pub success: SmsSuccess,
    /// JSON pointer to the list of SMS in the answer; without it the answer is about this one.
    pub list: Option<String>,
    /// Where an element of the list (or the answer) carries our id.
    pub id: Option<String>,
    /// Where it carries the gateway's reference.
    pub reference: Option<String>,
    /// Where it carries the status.
    pub status: String,
    /// Statuses of an SMS that is on its way.
    #[serde(default)]
    pub taken: Vec<String>,
    #[serde(default)]
    pub delivered: Vec<String>,
    #[serde(default)]
    pub failed: Vec<String>,
    /// Statuses that say that it never had this SMS.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Whether the list always shows every SMS to the number that it took, so that one that is not there never came.
    #[serde(default)]
    pub shows_all: bool,
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

/// A reminder to an address of one's own that proves that reminders leave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// An e-mail address or a number of the operators; empty for none.
    pub to: String,
    pub every_minutes: u32,
    /// So long none may get through before somebody is called; two intervals when nothing is said.
    pub late_after_minutes: Option<u32>,
    /// Asked for whenever one has got through.
    pub url: Option<String>,
}

impl Heartbeat {
    /// In minutes.
    pub fn late_after(&self) -> i64 {
        i64::from(self.late_after_minutes.unwrap_or(self.every_minutes.saturating_mul(2)))
    }

    /// The way canaries go; `None` when nobody wants one.
    pub fn way(&self) -> Option<Way> {
        match self.to.as_str() {
            "" => None,
            address if address.contains('@') => Some(Way::Email),
            _ => Some(Way::Sms),
        }
    }
}

/// Whom to tell when the storage fails, without the database.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// A program and its arguments; the text comes on its standard input. Empty: none.
    pub command: Vec<String>,
    /// Takes a POST of JSON. Empty: none.
    pub url: String,
    /// An address that is written to through the mail channel. Empty: none.
    pub mail_to: String,
    /// Minutes between two words about the same thing, 1 to 1440.
    pub every_min: i64,
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

/// The zone of the halls; `None` when the name is not known.
pub fn zone(settings: &Settings) -> Option<jiff::tz::TimeZone> {
    jiff::tz::TimeZone::get(&settings.zone).ok()
}
