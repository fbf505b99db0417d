//! Whether reminders leave as they should: the database answers, every loop makes progress, nothing is on hold.
//!
//! Every local user may ask: nothing here repeats what people wrote, such as the reason of a pause.
//!
//! A provider that is down does not count against xixin (the queue waits for it); it is named as a warning.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::domain::ladder::Way;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::lifecycle::Pulse;

/// A database that takes longer to answer is not reachable.
const DATABASE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    pub ready: bool,
    /// What keeps reminders from leaving.
    pub problems: Vec<Trouble>,
    pub warnings: Vec<Trouble>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// `database`, `loop`, `sending`, `provider` or `canary`.
    pub what: &'static str,
    /// The loop or the way; empty for the database.
    pub which: &'static str,
    pub zh: String,
    pub en: String,
}

/// Looks now.
pub async fn health(engine: &Engine, pulse: &Pulse) -> Health {
    let mut problems = Vec::new();
    let reached = tokio::time::timeout(DATABASE_MAX, engine.store.ping()).await;
    if !matches!(reached, Ok(Ok(()))) {
        problems.push(trouble(
            "database",
            "",
            Said::new("数据库无法读取", "the database cannot be read"),
        ));
    }
    for name in pulse.stale(Instant::now()) {
        let said = Said::new(
            format!("{name} 循环没有进展"),
            format!("the {name} loop makes no progress"),
        );
        problems.push(trouble("loop", name, said));
    }
    let mut warnings = Vec::new();
    for way in [Way::Email, Way::Sms] {
        if let Some(said) = engine.gate.closed_in_public(way) {
            problems.push(trouble("sending", way.name(), said));
        }
        if crate::engine::sender::trouble(engine, way).is_some() {
            let said = Said::new(
                "服务商没有接收,稍后再试",
                "the provider takes nothing; it is tried again",
            );
            warnings.push(trouble("provider", way.name(), said));
        }
    }
    let settings = &engine.live.get().settings.heartbeat;
    if engine.heartbeat.is_late(settings, engine.clock.now()) {
        let said = Said::new("自检信息没有送出", "no canary gets through");
        warnings.push(trouble("canary", "", said));
    }
    Health {
        ready: problems.is_empty(),
        problems,
        warnings,
    }
}

fn trouble(what: &'static str, which: &'static str, said: Said) -> Trouble {
    Trouble {
        what,
        which,
        zh: said.zh,
        en: said.en,
    }
}
