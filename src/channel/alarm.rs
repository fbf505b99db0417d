//! The alarm: a word to whoever runs the machine, over a way that needs no database. It says what is wrong and where, and nothing about
//! any person.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::{error, warn};

use super::MailChannel;
use super::build::{Importance, Mail, build};
use super::outcome::Outcome;
use crate::config::settings::Settings;
use crate::domain::text::Said;

/// A command or a server may take this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is wrong. Of each kind one word is said in a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alarm {
    Full,
    Storage,
    Damage,
    Sync,
}

impl Alarm {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "disk-full",
            Self::Storage => "storage",
            Self::Damage => "database-damaged",
            Self::Sync => "sync-failed",
        }
    }
}

/// Remembers what was said when, as long as the process lives.
#[derive(Debug, Default)]
pub struct Bell(Mutex<HashMap<Alarm, Timestamp>>);

impl Bell {
    /// Says it by every way that is set up. Said again only when some time has passed.
    pub async fn ring(
        &self,
        settings: &Settings,
        mail: Option<&MailChannel>,
        kind: Alarm,
        said: &Said,
        place: &str,
        now: Timestamp,
    ) {
        let alarm = &settings.alarm;
        if !self.may_ring(kind, now, alarm.every_min) {
            return;
        }
        let text = format!("悉心报警 / xixin alarm: {said}\n{place}\n");
        if let Some((program, arguments)) = alarm.command.split_first() {
            let mut command = Command::new(program);
            command.args(arguments).env("XIXIN_ALARM", kind.name());
            told(program, run(command, text.clone()).await);
        }
        if !alarm.url.is_empty() {
            let body = serde_json::json!({ "alarm": kind.name(), "zh": said.zh, "en": said.en, "place": place });
            told("alarm.url", post(&alarm.url, body.to_string()).await);
        }
        if !alarm.mail_to.is_empty() {
            told(
                "alarm.mail_to",
                write(settings, mail, &alarm.mail_to, kind, text, now).await,
            );
        }
    }

    fn may_ring(&self, kind: Alarm, now: Timestamp, every_min: i64) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = SignedDuration::from_mins(every_min);
        // A clock that was put back must not silence it.
        let is_soon = last
            .get(&kind)
            .is_some_and(|last| now.duration_since(*last).abs() < pause);
        if !is_soon {
            last.insert(kind, now);
        }
        !is_soon
    }
}

fn told(by: &str, done: Result<(), String>) {
    match done {
        Ok(()) => warn!("an alarm was raised by {by}"),
        Err(why) => error!("an alarm could not be raised by {by}: {why}"),
    }
}

/// The text goes to its standard input.
async fn run(mut command: Command, text: String) -> Result<(), String> {
    let ran = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input is told by its name.
            let _ = stdin.write_all(text.as_bytes());
        }
        child.wait()
    });
    let ran = tokio::time::timeout(PATIENCE, ran)
        .await
        .map_err(|_| "it takes too long".to_owned())?;
    match ran.map_err(|error| error.to_string())? {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn post(url: &str, body: String) -> Result<(), String> {
    super::install_tls();
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
    let request = client.map_err(|error| error.to_string())?.post(url);
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
    to: &str,
    kind: Alarm,
    text: String,
    now: Timestamp,
) -> Result<(), String> {
    let channel = channel.ok_or("no e-mail channel is configured")?;
    let from = &settings.mail.from;
    let domain = from.rsplit_once('@').map_or("xixin.invalid", |(_, domain)| domain);
    let mail = Mail {
        message_id: format!("<alarm-{}-{}@{domain}>", kind.name(), now.as_millisecond()),
        date: now,
        from: from.clone(),
        from_name: settings.mail.from_name.clone(),
        reply_to: None,
        to: to.to_owned(),
        subject: format!("悉心报警 / xixin alarm: {}", kind.name()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_once_in_a_while() {
        let bell = Bell::default();
        let now = Timestamp::UNIX_EPOCH;
        let later = |minutes| now + SignedDuration::from_mins(minutes);
        assert!(bell.may_ring(Alarm::Full, now, 60));
        assert!(!bell.may_ring(Alarm::Full, later(59), 60));
        assert!(bell.may_ring(Alarm::Damage, later(59), 60));
        assert!(bell.may_ring(Alarm::Full, later(60), 60));
        assert!(bell.may_ring(Alarm::Full, later(-600), 60), "the clock was put back");
    }
}
