//! A PostgreSQL as the database: where it is, `postgres://USER@HOST:PORT/NAME`, and the section on how it is spoken to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::secret::SecretSource;
use crate::domain::text::{Said, said};

/// How a PostgreSQL is spoken to. Boot-only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// `None` where the server asks for none, such as over a socket.
    pub password: Option<SecretSource>,
    /// `None`: `verify_full` to another machine, `none` on this one.
    pub tls: Option<PostgresTls>,
    /// A file of authorities, in PEM form, that may vouch for the server beside those of this machine.
    pub ca: Option<PathBuf>,
    /// Connections that read, 1 to 50; up to four more write, one hears the other nodes.
    pub connections: u32,
    /// What stands between, and hands connections out.
    pub pooler: Pooler,
    /// Seconds after which a statement is given up, 1 to 3600.
    pub statement_timeout_s: u64,
    /// Seconds that a statement waits for what another one has locked, 1 to 600.
    pub lock_timeout_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostgresTls {
    /// Encrypted, to a server whose certificate is good for its name.
    VerifyFull,
    /// Encrypted, to any server with a good certificate.
    VerifyCa,
    /// No encryption.
    None,
}

/// A program between nodes and server that shares connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooler {
    None,
    /// One that gives a connection for each transaction, such as pgbouncer with `pool_mode = transaction`.
    Transaction,
}

/// Where a server is, and which of its databases is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub user: String,
    pub host: Host,
    pub port: u16,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Name(String),
    /// The directory of its socket on this machine.
    Socket(PathBuf),
}

/// What is wrong with the address of a server, and what it should be. The address itself is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub what: Said,
    pub fix: Said,
}

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const PORT: u16 = 5432;

/// A fault of the form.
macro_rules! fault {
    ($zh:literal, $en:literal) => {
        Fault {
            what: said!($zh, $en),
            fix: said!(
                "写成 \"postgres://用户@主机:端口/库名\",套接字写成 \"postgres://用户@%2Frun%2Fpostgresql/库名\";其余写在 [postgres] 里",
                "write \"postgres://USER@HOST:PORT/NAME\", or \"postgres://USER@%2Frun%2Fpostgresql/NAME\" for a socket; everything else stands in [postgres]"
            ),
        }
    };
}

impl Server {
    /// `None` when the text means no PostgreSQL.
    pub fn parse(text: &str) -> Option<Result<Self, Fault>> {
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme))?;
        Some(parse(rest))
    }

    /// Whether it is reached without a network.
    pub fn is_here(&self) -> bool {
        match &self.host {
            Host::Socket(_) => true,
            Host::Name(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port, name } = self;
        match host {
            Host::Name(host) if host.contains(':') => write!(f, "postgres://{user}@[{host}]:{port}/{name}"),
            Host::Name(host) => write!(f, "postgres://{user}@{host}:{port}/{name}"),
            Host::Socket(dir) => write!(f, "postgres://{user}@{}:{port}/{name}", dir.display()),
        }
    }
}

fn parse(rest: &str) -> Result<Server, Fault> {
    let no_user = || fault!("没有写登录的用户", "it does not say as whom to log in");
    let no_name = || fault!("没有写用哪个库", "it does not say which database of the server");
    let no_host = || fault!("没有写服务器在哪里", "it does not say where the server is");
    let (user, rest) = rest.rsplit_once('@').ok_or_else(no_user)?;
    if user.contains(':') {
        return Err(Fault {
            what: said!(
                "地址里写了口令,能读设置的人都看得到",
                "a password stands in the address, where everybody who may read the settings reads it"
            ),
            fix: said!(
                "请从地址中去掉并改掉这个口令,再写明它在哪里: [postgres] password = {{ credential = \"名称\" }} 或 {{ file = \"/路径\" }}",
                "leave it out of the address, change it, and name its place: [postgres] password = {{ credential = \"NAME\" }} or {{ file = \"/PATH\" }}"
            ),
        });
    }
    let (host, name) = rest.split_once('/').ok_or_else(no_name)?;
    if name.contains(['?', '#', '/']) {
        return Err(fault!("库名后面还有别的", "something follows the name of the database"));
    }
    let no_port = || fault!("端口不是 1 至 65535 的数", "the port is no number between 1 and 65535");
    let (host, port) = split_port(host).ok_or_else(no_port)?;
    let decoded = |text: &str| decode(text).filter(|text| !text.is_empty() && !text.contains(char::is_control));
    let host = decoded(host).ok_or_else(no_host)?;
    if host.contains(',') {
        return Err(fault!("写了不止一台主机", "there is more than one host"));
    }
    Ok(Server {
        user: decoded(user).ok_or_else(no_user)?,
        host: if host.starts_with('/') {
            Host::Socket(host.into())
        } else {
            Host::Name(host)
        },
        port,
        name: decoded(name).ok_or_else(no_name)?,
    })
}

/// The host, without the brackets of an IPv6 address, and the port.
fn split_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|port| *port > 0))?;
    Some((host, port))
}

/// `%2F` and its like; `None` where that is no text.
fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_who_where_and_which() {
        for (text, told, here) in [
            (
                "postgres://xixin@db.example.org/xixin",
                "postgres://xixin@db.example.org:5432/xixin",
                false,
            ),
            (
                "postgresql://xixin@10.0.0.7:6432/hall",
                "postgres://xixin@10.0.0.7:6432/hall",
                false,
            ),
            (
                "postgres://xixin@[::1]/xixin",
                "postgres://xixin@[::1]:5432/xixin",
                true,
            ),
            (
                "postgres://a%40b@localhost:5433/x",
                "postgres://a@b@localhost:5433/x",
                true,
            ),
            (
                "postgres://xixin@%2Frun%2Fpostgresql/xixin",
                "postgres://xixin@/run/postgresql:5432/xixin",
                true,
            ),
        ] {
            let server = Server::parse(text).unwrap().unwrap();
            assert_eq!((server.to_string().as_str(), server.is_here()), (told, here));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        assert_eq!(Server::parse("sqlite:xixin.db"), None);
        for (text, what) in [
            ("postgres://xixin:sesame@h/x", "a password"),
            ("postgres://h/x", "as whom"),
            ("postgres://@h/x", "as whom"),
            ("postgres://xixin@/x", "where the server is"),
            ("postgres://xixin@a,b/x", "more than one host"),
            ("postgres://xixin@h", "which database"),
            ("postgres://xixin@h/", "which database"),
            ("postgres://xixin@h/x?sslmode=disable", "follows the name"),
            ("postgres://xixin@h:0/x", "the port"),
            ("postgres://xixin@h:x/x", "the port"),
            ("postgres://xixin@%2/x", "where the server is"),
        ] {
            let fault = Server::parse(text).unwrap().unwrap_err();
            assert!(fault.what.en.contains(what), "{text}: {fault:?}");
            assert!(!format!("{fault:?}").contains("sesame"));
        }
    }
}
