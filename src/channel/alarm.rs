//! The alarm: a word to whoever runs the machine, over ways that need no database. It says what is wrong and where, and nothing about
//! any person. When it is said, and how often, is `engine::bell`.

use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::MailChannel;
use super::build::{Importance, Mail, build};
use super::outcome::Outcome;
use crate::config::settings::Settings;
use crate::domain::text::Said;

/// A command or a server may take this long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether a command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alarm {
    #[serde(rename = "disk-full")]
    Full,
    Storage,
    #[serde(rename = "database-damaged")]
    Damage,
    /// The database came to a server that lacks the last writes.
    #[serde(rename = "database-behind")]
    Behind,
    #[serde(rename = "sync-failed")]
    Sync,
    /// The daemon does not start: its database cannot be opened.
    #[serde(rename = "cannot-start")]
    Start,
    /// No canary gets through.
    #[serde(rename = "canary-late")]
    Canary,
}

impl Alarm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "disk-full",
            Self::Storage => "storage",
            Self::Damage => "database-damaged",
            Self::Behind => "database-behind",
            Self::Sync => "sync-failed",
            Self::Start => "cannot-start",
            Self::Canary => "canary-late",
        }
    }
}

/// What somebody is called for, or may stop to worry about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub kind: Alarm,
    pub is_over: bool,
    pub said: Said,
}

impl Word {
    /// As programs read it.
    fn state(&self) -> &'static str {
        if self.is_over { "over" } else { "standing" }
    }

    fn title(&self) -> String {
        let name = self.kind.name();
        if self.is_over {
            format!("悉心报警解除 / xixin all clear: {name}")
        } else {
            format!("悉心报警 / xixin alarm: {name}")
        }
    }

    fn text(&self, place: &str) -> String {
        let Self { said, .. } = self;
        if self.is_over {
            format!("悉心报警解除 / xixin all clear: {said}\n{place}\n")
        } else {
            format!("悉心报警 / xixin alarm: {said}\n{place}\n")
        }
    }
}

/// Says it by every way that is set up, all at once: one that hangs delays no other. Returns whether anybody was reached, or nobody wants
/// to be.
pub async fn tell(settings: &Settings, mail: Option<&MailChannel>, word: &Word, place: &str, now: Timestamp) -> bool {
    let alarm = &settings.alarm;
    let text = word.text(place);
    let command = async {
        let (program, arguments) = alarm.command.split_first()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("XIXIN_ALARM", word.kind.name())
            .env("XIXIN_ALARM_STATE", word.state());
        Some(told(program, run(command, text.clone()).await))
    };
    let url = async {
        let (name, state, said) = (word.kind.name(), word.state(), &word.said);
        let body = serde_json::json!({ "alarm": name, "state": state, "zh": said.zh, "en": said.en, "place": place });
        let is_wanted = !alarm.url.is_empty();
        if is_wanted {
            Some(told("alarm.url", post(&alarm.url, body.to_string()).await))
        } else {
            None
        }
    };
    let letter = async {
        let is_wanted = !alarm.mail_to.is_empty();
        if is_wanted {
            Some(told(
                "alarm.mail_to",
                write(settings, mail, word, text.clone(), now).await,
            ))
        } else {
            None
        }
    };
    let (command, url, letter) = tokio::join!(command, url, letter);
    let tried: Vec<bool> = [command, url, letter].into_iter().flatten().collect();
    tried.is_empty() || tried.contains(&true)
}

fn told(by: &str, done: Result<(), String>) -> bool {
    match &done {
        Ok(()) => warn!("an alarm was raised by {by}"),
        Err(why) => error!("an alarm could not be raised by {by}: {why}"),
    }
    done.is_ok()
}

/// The text goes to its standard input. One that does not end is ended.
async fn run(mut command: Command, text: String) -> Result<(), String> {
    let ran = tokio::task::spawn_blocking(move || -> std::io::Result<ExitStatus> {
        use std::io::Write as _;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input is told by its name. Shorter than a pipe, so that this never waits.
            let _ = stdin.write_all(text.as_bytes());
        }
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if begun.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(LOOK);
        }
    });
    match ran.await.map_err(|error| error.to_string())? {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn post(url: &str, body: String) -> Result<(), String> {
    super::install_tls();
    // Whoever answers with another address has not taken it.
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let client = client.map_err(|error| error.without_url().to_string())?;
    let request = client.post(url);
    let sent = request
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await;
    // The address may hold a secret.
    let answer = sent.map_err(|error| error.without_url().to_string())?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(answer.status().to_string())
    }
}

async fn write(
    settings: &Settings,
    channel: Option<&MailChannel>,
    word: &Word,
    text: String,
    now: Timestamp,
) -> Result<(), String> {
    let channel = channel.ok_or("no e-mail channel is configured")?;
    let from = &settings.mail.from;
    let domain = from.rsplit_once('@').map_or("xixin.invalid", |(_, domain)| domain);
    let mail = Mail {
        message_id: format!("<alarm-{}-{}@{domain}>", word.kind.name(), now.as_millisecond()),
        date: now,
        from: from.clone(),
        from_name: settings.mail.from_name.clone(),
        reply_to: None,
        to: settings.alarm.mail_to.clone(),
        subject: word.title(),
        text,
        html: None,
        invitation: None,
        importance: Importance::High,
    };
    let mail = build(&mail).map_err(|error| error.to_string())?;
    match tokio::time::timeout(PATIENCE, channel.send_test(&mail)).await {
        Ok(Outcome::Accepted { .. }) => Ok(()),
        Ok(outcome) => Err(outcome.reason().unwrap_or_default().to_owned()),
        Err(_) => Err("it takes too long".to_owned()),
    }
}
