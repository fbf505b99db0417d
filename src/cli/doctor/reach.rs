//! What has to answer: the daemon, its listener's port, the mail server, the SMS gateway.

use std::path::Path;
use std::time::Duration;

use rustix::fs::Access;
use tokio::net::TcpListener;

use super::Finding;
use crate::app::{Place, control_to_ask, lock_path};
use crate::channel::outcome::Outcome;
use crate::channel::sms::SmsGateway;
use crate::channel::{MailChannel, MailServer};
use crate::config::Loaded;
use crate::config::settings::{MailTransport, Settings, SmsTransport, Smtp};
use crate::control::{self, Request};
use crate::domain::text::Said;

const PATIENCE: Duration = Duration::from_secs(10);

/// What the running daemon says of itself; `None` when none answers.
pub(super) async fn daemon(
    settings: &Settings,
    loaded: Option<&Loaded>,
    findings: &mut Vec<Finding>,
) -> Option<serde_json::Value> {
    let asked = control::ask(&control_to_ask(settings), &Request::Status, PATIENCE).await;
    let answer = match asked {
        Ok(answer) if answer.ok => answer,
        Ok(answer) => {
            findings.push(Finding::bad(
                "daemon",
                Said::new(answer.zh, answer.en),
                Said::new("查看日志: journalctl -u xixin", "read the log: journalctl -u xixin"),
            ));
            return None;
        }
        Err(error) => {
            let error = error.to_string();
            let (zh, en) = error.split_once(" / ").unwrap_or(("没有运行中的服务", &error));
            findings.push(Finding::warning(
                "daemon",
                Said::new(zh, en),
                Said::new("systemctl start xixin", "systemctl start xixin"),
            ));
            return None;
        }
    };
    let status = answer.data;
    let (pid, lock) = (&status["pid"], lock_path(settings));
    findings.push(Finding::good(
        "daemon",
        Said::new(
            format!("服务运行中,进程号 {pid}"),
            format!("it runs with pid {pid} and holds {}", lock.display()),
        ),
    ));
    if let Some(loaded) = loaded
        && status["rules"].as_str() != Some(loaded.fingerprint.as_str())
    {
        findings.push(Finding::warning(
            "daemon",
            Said::new(
                "配置文件改过,但服务仍按旧规则运行",
                "files were changed since it read them; it works by the old rules",
            ),
            Said::new("xixin ctl reload", "xixin ctl reload"),
        ));
    }
    for name in status["hanging"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        findings.push(Finding::bad(
            "daemon",
            Said::new(
                format!("{name} 循环没有进展"),
                format!("the {name} loop makes no progress"),
            ),
            Said::new("systemctl restart xixin", "systemctl restart xixin"),
        ));
    }
    Some(status)
}

/// A port that somebody else uses keeps the daemon from starting.
pub(super) async fn listener(settings: &Settings, daemon: bool, findings: &mut Vec<Finding>) {
    let address = settings.http.listen;
    if daemon {
        return;
    }
    match TcpListener::bind(address).await {
        Ok(_) => findings.push(Finding::good(
            "http",
            Said::new(format!("{address} 可用"), format!("{address} is free")),
        )),
        Err(error) => findings.push(Finding::bad(
            "http",
            Said::new(
                format!("{address} 无法监听"),
                format!("{address} cannot be listened on ({error})"),
            ),
            Said::new(
                "停止占用它的程序,或改 http.listen",
                "stop the program that uses it, or change http.listen",
            ),
        )),
    }
}

/// Connects, greets and hangs up. No message leaves.
pub(super) async fn channels(place: &Place, settings: &Settings, findings: &mut Vec<Finding>) {
    let channels = match place.channels(settings) {
        Ok(channels) => channels,
        Err(error) => {
            let (key, what) = (&error.key, error.what());
            return findings.push(Finding::bad(
                "channels",
                Said::new(format!("{key}: {}", what.zh), format!("{key}: {}", what.en)),
                Said::new(
                    "改正 xixin.toml;凭据只有 root 或服务自己能读",
                    "mend xixin.toml; credentials can be read by root and by the daemon only",
                ),
            ));
        }
    };
    for (index, server) in channels.mail.iter().flat_map(MailChannel::servers).enumerate() {
        findings.push(match server {
            MailServer::Smtp(_) => {
                let Smtp { host, port, .. } = &settings.mail.servers()[index];
                probed("email", &format!("{host}:{port}"), server.probe().await)
            }
            MailServer::Maildir(_) => spool("email", &settings.state_dir.join(&settings.mail.maildir.dir)),
        });
    }
    if channels.mail.is_none() {
        let on_purpose = settings.mail.transport == MailTransport::None;
        findings.push(off("email", "mail.transport", on_purpose));
    }
    if let Some(SmsGateway::Several(gateways)) = &channels.sms {
        for (name, probe) in gateways.probe_each().await {
            findings.push(probed("sms", &format!("sms.gateway.{name}"), probe));
        }
        return;
    }
    findings.push(match (&channels.sms, settings.sms.transport) {
        (Some(gateway), SmsTransport::Http) => probed("sms", "sms.http.url", gateway.probe().await),
        (Some(_), _) => spool("sms", &settings.state_dir.join(&settings.sms.file.dir)),
        (None, transport) => off("sms", "sms.transport", transport == SmsTransport::None),
    });
}

fn probed(about: &'static str, who: &str, probe: Result<(), Outcome>) -> Finding {
    match probe {
        Ok(()) => Finding::good(about, Said::new(format!("{who} 有应答"), format!("{who} answers"))),
        Err(outcome) => {
            let (zh, en) = match &outcome {
                Outcome::Refused { reason, .. } | Outcome::Deferred { reason, .. } | Outcome::Uncertain { reason } => {
                    reason.split_once(" / ").unwrap_or((reason, reason))
                }
                Outcome::Accepted { .. } => ("", ""),
            };
            Finding::bad(
                about,
                Said::new(format!("{who}: {zh}"), format!("{who}: {en}")),
                Said::new(
                    "检查地址、网络和登录;在此期间提醒留在队列中",
                    "check the address, the network and the login; meanwhile reminders wait in the queue",
                ),
            )
        }
    }
}

fn spool(about: &'static str, dir: &Path) -> Finding {
    // It may be yet to be made: then the one it will be made in counts.
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    if rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        let shown = dir.display();
        return Finding::good(about, Said::new(format!("写入 {shown}"), format!("goes to {shown}")));
    }
    let there = there.display();
    Finding::bad(
        about,
        Said::new(format!("{there} 不可写"), format!("{there} cannot be written")),
        Said::new("检查属主与权限", "check its owner and permissions"),
    )
}

fn off(about: &'static str, key: &str, on_purpose: bool) -> Finding {
    let said = if on_purpose {
        Said::new(
            format!("{key} = \"none\",此渠道不发送"),
            format!("{key} is \"none\": nothing leaves this way"),
        )
    } else {
        Said::new("没有设置", "it is not set up")
    };
    Finding::warning(
        about,
        said,
        Said::new(
            format!("在 xixin.toml 中设置 {key}"),
            format!("set {key} in xixin.toml"),
        ),
    )
}
