//! A hall that other systems can ask, over a listener of its own.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use xixin::domain::ids::CaseId;
use xixin::http::Door;

use super::hall::Hall;

/// Tokens of the systems below.
pub(crate) const HOTLINE: &str = "xixin_hotline";
pub(crate) const MONITOR: &str = "xixin_monitor";
pub(crate) const NEIGHBOUR: &str = "xixin_neighbour";
pub(crate) const FORMER: &str = "xixin_former";
/// May only see.
pub(crate) const WALL: &str = "xixin_wall";

fn systems() -> String {
    let system = |name: &str, token: &str, scopes: &str, unit: &str, until: &str| {
        let sum = hex::encode(Sha256::digest(token));
        format!(
            "[api.system.{name}]\ntoken_sha256 = \"{sum}\"\nscopes = {scopes}\nunit = \"{unit}\"\nuntil = {until}\n"
        )
    };
    [
        system("hotline", HOTLINE, "[\"read\", \"write\"]", "taoranting", "2026-03-31"),
        system("monitor", MONITOR, "[\"status\"]", "district", "2026-03-31"),
        system(
            "neighbour",
            NEIGHBOUR,
            "[\"read\", \"write\"]",
            "tianqiao",
            "2026-03-31",
        ),
        system("former", FORMER, "[\"read\"]", "taoranting", "2026-03-03"),
        system("wall", WALL, "[\"read\"]", "taoranting", "2026-03-31"),
    ]
    .concat()
}

/// A hall that other systems can ask.
pub(crate) struct World {
    pub(crate) hall: Hall,
    door: SocketAddr,
    stop: CancellationToken,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) text: String,
    /// `null` where the text is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// A refusal of this kind that names this field, in both languages.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, kind: &str, field: Option<&str>) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        assert_eq!(self.body["type"], format!("urn:xixin:problem:{kind}"), "{self:?}");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body.get("field").and_then(Value::as_str), field, "{self:?}");
        let chinese = self.body["detail_zh"].as_str().unwrap();
        assert!(chinese.chars().any(|letter| letter > '\u{4e00}'), "{self:?}");
        let english = self.body["detail_en"].as_str().unwrap();
        assert!(
            !english.is_empty() && english.chars().all(|letter| letter < '\u{4e00}'),
            "{self:?}"
        );
    }
}

impl World {
    pub(crate) async fn open(now: &str) -> Self {
        let hall = Hall::open_with(now, &systems()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = xixin::http::api::serve(Door::Tcp(listener), hall.app.engine.clone(), stop.clone());
        tokio::spawn(serving);
        Self { hall, door, stop }
    }

    /// A request of a system with these headers and this body.
    pub(crate) async fn ask(&self, token: &str, request: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        if !token.is_empty() {
            text += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(self.door).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_owned(),
            text: body.to_owned(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(token, &format!("GET /api/v1{path}"), &[], "").await
    }

    /// A case of the window of Taoranting, taken in by its clerk.
    pub(crate) async fn case(&self) -> CaseId {
        self.hall.take_in("lin", a_case("沈静之")).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn a_case(name: &str) -> Value {
    json!({
        "resident": { "name": name, "phone": "13900000021", "born": 1979 },
        "matter": "cremation_certificate",
        "request": "父亲的火化证明找不到了",
        "deadlines": [{ "kind": "cremation_reissue", "trigger": "2016-12-12" }],
        "callbacks": [{ "words": "问过档案室就给您回电话" }],
    })
}
