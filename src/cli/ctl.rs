//! `xixin ctl status|pause|resume|hold|holds|release|nodes|reload`: speaks to the running daemon. It works while a rule file is broken, as long as the
//! operators' settings can be read or `--socket` says where the daemon answers.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::app::{Place, control_to_ask};
use crate::cli::{EXIT_CONFIG, EXIT_FAILED, say};
use crate::control::{self, Answer, Request};

/// How long the daemon may take; a reload renders every text.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Where the daemon answers, when the settings do not tell / 控制套接字
    #[arg(long, global = true, value_name = "PATH", env = "XIXIN_SOCKET")]
    socket: Option<PathBuf>,
    /// Prints JSON / 输出 JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What the daemon is doing / 运行状态
    Status,
    /// Stops sending until it is resumed; planning goes on, nothing is lost / 暂停发送
    Pause {
        /// One way only / 只暂停一个渠道
        #[arg(long, value_parser = ["email", "sms"])]
        channel: Option<String>,
        /// Why, for everybody who looks / 理由
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        who: Who,
    },
    /// Lets sending go on / 恢复发送
    Resume {
        /// One way only / 只恢复一个渠道
        #[arg(long, value_parser = ["email", "sms"])]
        channel: Option<String>,
        #[command(flatten)]
        who: Who,
    },
    /// Holds everything until somebody releases it; planning goes on, nothing is lost / 扣留全部发送
    Hold {
        /// Why, for everybody who looks / 理由
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        who: Who,
    },
    /// Everything that keeps messages from leaving: holds, caps, pauses / 暂扣了什么
    Holds,
    /// Lets what is held leave: after a restore, or after a hold; what the blast guard holds takes two supervisors / 放行
    Release {
        /// One hold of the blast guard, as `ctl holds` names it / 批量保护的单号
        #[arg(requires = "reason")]
        id: Option<String>,
        /// Why, for everybody who looks / 理由
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        who: Who,
    },
    /// Which nodes share the database, and what is odd about them / 有哪些节点
    Nodes,
    /// Reads the configuration again; a bad one changes nothing / 重新载入配置
    Reload,
}

#[derive(Debug, clap::Args)]
struct Who {
    /// Who does it; the login name when left out / 经办人
    #[arg(long = "as", env = "XIXIN_AS", value_name = "NAME")]
    who: Option<String>,
}

impl Who {
    fn name(self, place: &Place) -> String {
        name(self.who, place)
    }
}

/// Who does it: as said, else by the login.
pub(super) fn name(who: Option<String>, place: &Place) -> String {
    let login = ["SUDO_USER", "LOGNAME", "USER"]
        .into_iter()
        .find_map(|name| place.environment.get(name).filter(|value| !value.is_empty()));
    who.or_else(|| login.cloned()).unwrap_or_else(|| "operator".to_owned())
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let socket = match args.socket {
        Some(socket) => socket,
        None => socket_of(&place)?,
    };
    let status = matches!(args.verb, Verb::Status);
    let request = match args.verb {
        Verb::Status => Request::Status,
        Verb::Reload => Request::Reload,
        Verb::Pause { channel, reason, who } => Request::Pause {
            channel,
            reason,
            who: who.name(&place),
        },
        Verb::Resume { channel, who } => Request::Resume {
            channel,
            who: who.name(&place),
        },
        Verb::Hold { reason, who } => Request::Hold {
            reason,
            who: who.name(&place),
        },
        Verb::Release { id, reason, who } => Request::Release {
            id,
            reason,
            who: who.name(&place),
        },
        Verb::Holds => Request::Holds,
        Verb::Nodes => Request::Nodes,
    };
    let answer = control::ask(&socket, &request, PATIENCE).await?;
    if args.json {
        say(&json!(answer).to_string());
    } else {
        say(&in_words(&answer, status));
    }
    Ok(code_of(&answer))
}

/// Under systemd the runtime directory tells, and no file has to be read for it.
pub(super) fn socket_of(place: &Place) -> anyhow::Result<PathBuf> {
    if let Some(socket) = place.runtime_control().filter(|socket| socket.exists()) {
        return Ok(socket);
    }
    Ok(control_to_ask(&place.settings()?))
}

fn code_of(answer: &Answer) -> u8 {
    match (answer.ok, answer.data.get("problems")) {
        (true, _) => 0,
        (false, Some(_)) => EXIT_CONFIG,
        (false, None) => EXIT_FAILED,
    }
}

fn in_words(answer: &Answer, status: bool) -> String {
    let mut text = String::new();
    // systemd's ExecReload asks too, and its journal is no place for what may be somebody's number.
    if !crate::telemetry::is_journal(std::io::stdout()) {
        for problem in list(&answer.data, "problems") {
            let _ = writeln!(text, "{}", word(problem));
        }
    }
    let _ = write!(text, "{} / {}", answer.zh, answer.en);
    if status && answer.ok {
        text.push_str(&status_in_words(&answer.data));
    }
    for wait in list(&answer.data, "holds") {
        let _ = write!(text, "\n{}", wait_in_words(wait));
    }
    for node in list(&answer.data, "nodes") {
        let _ = write!(text, "\n{}", node_in_words(node));
    }
    text
}

fn node_in_words(node: &Value) -> String {
    let rules = word(&node["rules"]);
    let (life_zh, life_en) = match node["alive"].as_bool() {
        Some(true) => ("在运行", "alive"),
        _ if node["state"] == "stopped" => ("已停止", "stopped"),
        _ => ("失去联系", "not seen"),
    };
    let mut text = format!(
        "  {} — {life_zh} / {life_en}; 启动 / since {}; {} {}; 规则 / rules {}; 在手 / in hand {}",
        word(&node["name"]),
        word(&node["started"]),
        word(&node["place"]),
        word(&node["version"]),
        rules.get(..12).unwrap_or(&rules),
        word(&node["in_hand"]),
    );
    for odd in list(node, "odd") {
        let _ = write!(text, "\n    ! {}", word(odd));
    }
    text
}

fn status_in_words(data: &Value) -> String {
    let mut text = String::new();
    let mut line = |zh: &str, en: &str, value: &str| {
        let _ = write!(text, "\n  {zh} / {en}: {value}");
    };
    line(
        "版本",
        "version",
        &format!("{} (pid {})", word(&data["version"]), word(&data["pid"])),
    );
    if data["node"].is_string() {
        line("节点", "node", &word(&data["node"]));
    }
    line("数据库", "database", &word(&data["database"]));
    line("配置", "configuration", &word(&data["config"]));
    let rules = word(&data["rules"]);
    let rules = rules.get(..12).unwrap_or(&rules);
    line(
        "规则",
        "rules",
        &format!("{rules} (generation {})", word(&data["generation"])),
    );
    line(
        "健康检查",
        "health and metrics",
        &format!("http://{}", word(&data["http"])),
    );
    line("下次计划", "next planning", &word(&data["next_wake"]));
    line("下次每日待办", "next digests", &word(&data["next_digest"]));
    for count in list(data, "queue") {
        let value = format!(
            "{} {} {}",
            word(&count["way"]),
            word(&count["state"]),
            word(&count["count"])
        );
        line("队列", "queue", &value);
    }
    for wait in list(data, "waits") {
        line("暂扣", "held", wait_in_words(wait).trim_start());
    }
    for provider in list(data, "providers").filter(|provider| !provider["trouble"].is_null()) {
        let (way, name) = (word(&provider["way"]), word(&provider["name"]));
        let value = format!("{way} {name}: {}", word(&provider["trouble"]));
        line("服务商故障", "provider in trouble", &value);
    }
    for name in list(data, "hanging") {
        line("没有进展", "makes no progress", &word(name));
    }
    if let Some(fault) = data["storage_fault"].as_str() {
        line("数据库不能写入", "the database cannot be written", fault);
    }
    text
}

/// One reason for which messages wait, as `ctl status` and `ctl holds` show it.
fn wait_in_words(wait: &Value) -> String {
    let mut text = format!("  {}", word(&wait["id"]));
    if let Some(count) = wait["count"].as_i64() {
        let _ = write!(text, "  {count}条");
    }
    let (zh, en) = (word(&wait["zh"]), word(&wait["en"]));
    match wait["who"].as_str() {
        Some(who) if wait["kind"] == "paused" => {
            let _ = write!(text, " — {who}: {zh}");
            return text;
        }
        Some(who) => {
            let _ = write!(text, " — {who} 已核准,还须另一位 / has agreed, a second one is needed");
        }
        None => {}
    }
    let _ = write!(text, " — {zh} / {en}");
    text
}

fn list<'a>(data: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    data[key].as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
