//! `[api]`: where other systems ask and act, and which systems may.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::civil::Date;
use serde::Deserialize;
use serde::de::Deserializer;

use super::layers::Origin;
use super::problem::{Problem, Unfit, allowed};
use super::settings::Settings;
use super::values::{Day, read};
use super::weigh::Wrong;
use crate::domain::ids::UnitId;
use crate::domain::org::Org;
use crate::domain::text::said;

/// The API for other systems. Whatever they do, they do in their own name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Its address; without it nothing listens. Boot-only.
    pub listen: Option<Listen>,
    /// By name.
    #[serde(default)]
    pub system: BTreeMap<String, System>,
}

/// A system with a token.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// SHA-256 of its token, in hex: the token itself is with that system only.
    pub token_sha256: String,
    pub scopes: BTreeSet<Scope>,
    /// Cases of this unit and of those below it are all that it sees and changes.
    pub unit: UnitId,
    /// The last day on which it is heard, in the zone of the halls.
    #[serde(deserialize_with = "day")]
    pub until: Date,
}

/// What a system may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See cases, digests and decisions.
    Read,
    /// Open cases and carry out commands.
    Write,
    /// See how the daemon is: nothing about people.
    Status,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Status];

    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Status => "status",
        }
    }
}

/// Where a listener opens: an address, or a socket in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            Unfit::new(
                said!("“{text}”不是监听地址", "\"{text}\" is no address to listen on"),
                said!(
                    "可用: 地址:端口,如 \"127.0.0.1:8788\",或 \"unix:/路径\"",
                    "allowed: address:port such as \"127.0.0.1:8788\", or \"unix:/PATH\""
                ),
            )
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(&String::deserialize(deserializer)?)
    }
}

fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    Day::deserialize(deserializer).map(|Day(day)| day)
}

/// A token crosses the wire with every request, and personal data comes back.
pub(super) fn weigh_api(settings: &Settings, wrong: Wrong<'_>) {
    let api = &settings.api;
    if let Some(Listen::Tcp(address)) = &api.listen {
        if !address.ip().is_loopback() {
            let fix = said!(
                "可用: 127.0.0.1:端口、[::1]:端口或 unix:/路径;要让别的机器访问,请在前面放 TLS 反向代理",
                "allowed: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH; put a TLS proxy in front for others"
            );
            let what = said!("{} 不是本机地址", "{} is not a loopback address", address.ip());
            wrong("api.listen", what, fix);
        }
        let others = [Some(settings.http.listen), settings.inbound.listen];
        if address.port() != 0 && others.contains(&Some(*address)) {
            wrong(
                "api.listen",
                said!("这个地址已有别的用处", "another listener has the same address"),
                said!("请换一个端口", "give another port"),
            );
        }
    }
    let mut tokens = BTreeMap::new();
    for (name, system) in &api.system {
        weigh_system(name, system, wrong);
        if let Some(other) = tokens.insert(&system.token_sha256, name) {
            wrong(
                &format!("api.system.{name}.token_sha256"),
                said!("与“{other}”的令牌相同", "\"{other}\" has the same token"),
                said!(
                    "请用 xixin token new 为它另生成一个",
                    "make one of its own with xixin token new"
                ),
            );
        }
    }
}

fn weigh_system(name: &str, system: &System, wrong: Wrong<'_>) {
    let key = format!("api.system.{name}");
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 30 || !name.bytes().all(plain) {
        wrong(
            &key,
            said!("“{name}”不是系统名称", "\"{name}\" is no name of a system"),
            said!("可用: 1到30个 a-z、0-9 和 -", "allowed: 1 to 30 of a-z, 0-9 and -"),
        );
    }
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if system.token_sha256.len() != 64 || !system.token_sha256.bytes().all(hex) {
        wrong(
            &format!("{key}.token_sha256"),
            said!("这不是 SHA-256", "it is no SHA-256"),
            said!(
                "请写 xixin token new {name} 给出的 64 个十六进制数字(小写),绝不写令牌本身",
                "give the 64 hexadecimal digits (lower case) that xixin token new {name} prints, never the token itself"
            ),
        );
    }
    if system.scopes.is_empty() {
        let names = Scope::ALL.map(Scope::name).join(", ");
        wrong(
            &format!("{key}.scopes"),
            said!("它什么也不能做", "it may do nothing"),
            said!("可用: {names}", "allowed: {names}"),
        );
    }
}

/// Units of systems stand in another file.
pub(super) fn weigh_units(settings: &Settings, org: &Org, origin: &Origin, heard: &mut Vec<Problem>) {
    for (name, System { unit, .. }) in &settings.api.system {
        if !org.units.contains_key(unit) {
            heard.push(origin.problem(
                &format!("api.system.{name}.unit"),
                said!("没有单位“{unit}”", "there is no unit \"{unit}\""),
                allowed(unit.as_str(), org.units.keys().map(UnitId::as_str)),
            ));
        }
    }
}
