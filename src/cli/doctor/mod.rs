//! `xixin doctor`: looks for anything that could keep reminders from leaving. It changes nothing and sends nothing.
//!
//! Each finding is one line: ✓ good, ! look at it, ✗ reminders are at risk; the last two say what to do. Exit 1 with any ✗.

mod database;
mod files;
mod reach;

pub(super) use files::key_is_open;

use std::fmt::Write as _;

use serde::Serialize;

use crate::app::Place;
use crate::cli::{EXIT_FAILED, say};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::text::Said;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Good,
    Warning,
    Bad,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    level: Level,
    /// What was looked at, e.g. `database`.
    about: &'static str,
    zh: String,
    en: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<Said>,
}

impl Finding {
    fn good(about: &'static str, said: Said) -> Self {
        Self {
            level: Level::Good,
            about,
            zh: said.zh,
            en: said.en,
            fix: None,
        }
    }

    fn warning(about: &'static str, said: Said, fix: Said) -> Self {
        Self {
            level: Level::Warning,
            fix: Some(fix),
            ..Self::good(about, said)
        }
    }

    fn bad(about: &'static str, said: Said, fix: Said) -> Self {
        Self {
            level: Level::Bad,
            fix: Some(fix),
            ..Self::good(about, said)
        }
    }

    fn line(&self) -> String {
        let mark = match self.level {
            Level::Good => '✓',
            Level::Warning => '!',
            Level::Bad => '✗',
        };
        let mut line = format!("{mark} {}: {} / {}", self.about, self.zh, self.en);
        if let Some(fix) = &self.fix {
            let _ = write!(line, "\n    → {}", fix.zh);
            // A command is the same in every language.
            if fix.en != fix.zh {
                let _ = write!(line, "\n    → {}", fix.en);
            }
        }
        line
    }
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let findings = look(&place).await;
    let ok = findings.iter().all(|finding| finding.level != Level::Bad);
    if args.json {
        say(&serde_json::json!({ "ok": ok, "findings": findings }).to_string());
    } else {
        findings.iter().for_each(|finding| say(&finding.line()));
    }
    Ok(if ok { 0 } else { EXIT_FAILED })
}

async fn look(place: &Place) -> Vec<Finding> {
    let now = SystemClock.now();
    let mut findings = Vec::new();
    let loaded = files::configuration(place, &mut findings);
    let settings = match &loaded {
        Some(loaded) => loaded.settings.clone(),
        None => match place.settings() {
            Ok(settings) => settings,
            // The problems have been listed; nothing else can be found without the settings.
            Err(_) => return findings,
        },
    };
    if let Some(loaded) = &loaded {
        files::calendar(&loaded.rulebook, now, &mut findings);
    }
    files::permissions(place, &settings, &mut findings);
    let daemon = reach::daemon(&settings, loaded.as_ref(), &mut findings).await;
    reach::listener(&settings, daemon.is_some(), &mut findings).await;
    database::look(place, &settings, now, daemon.is_some(), &mut findings).await;
    reach::channels(place, &settings, &mut findings).await;
    findings
}
