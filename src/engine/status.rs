//! What the daemon says about itself: `ctl status`, /readyz, and the log on SIGUSR1.

use serde::Serialize;

use crate::engine::Engine;
use crate::engine::live::Rules;
use crate::engine::waits::Wait;
use crate::store::StoreError;
use crate::store::switches::Switch;

#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub holder: String,
    /// Which of several nodes this is.
    pub node: Option<String>,
    pub pid: u32,
    pub database: String,
    pub rules: String,
    pub generation: i64,
    pub next_wake: Option<String>,
    pub next_digest: String,
    pub queue: Vec<QueueCount>,
    /// Pauses by name, who and why.
    pub paused: Vec<Switch>,
    /// Everything that keeps messages from leaving, the pauses included.
    pub waits: Vec<Wait>,
    pub storage_fault: Option<String>,
    pub providers: Vec<Provider>,
}

#[derive(Debug, Clone, Serialize)]
pub struct QueueCount {
    pub way: String,
    pub state: String,
    pub count: i64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Provider {
    pub way: &'static str,
    /// As the settings call it.
    pub name: String,
    /// What it said last, while it is not trusted.
    pub trouble: Option<String>,
}

/// The state of this daemon, read now.
pub async fn status(engine: &Engine) -> Result<Status, StoreError> {
    let rules = engine.live.get();
    let zone = &rules.rulebook.zone;
    let local = |at: jiff::Timestamp| zone_text(at, zone);
    let queue = engine.store.queue_counts().await?;
    Ok(Status {
        holder: engine.holder.to_string(),
        node: engine.node.as_ref().map(|_| engine.store.node().to_string()),
        pid: std::process::id(),
        database: engine.store.location().to_string(),
        rules: rules.fingerprint.clone(),
        generation: rules.generation,
        next_wake: engine.store.next_wake().await?.map(local),
        next_digest: local(crate::engine::digests::next_digest(&rules.rulebook, engine.clock.now())),
        queue: queue
            .into_iter()
            .map(|(way, state, count)| QueueCount { way, state, count })
            .collect(),
        paused: engine.store.switches().await?,
        waits: engine.waits().await?,
        storage_fault: engine.gate.storage_fault(),
        providers: providers(engine, &rules),
    })
}

fn providers(engine: &Engine, rules: &Rules) -> Vec<Provider> {
    let mail = engine.breakers.email.troubles().into_iter();
    let mail = mail.map(|(name, trouble)| Provider {
        way: "email",
        name,
        trouble,
    });
    let gateways = rules.channels.sms.iter().flat_map(|gateway| gateway.providers());
    let gateways = gateways.map(|gateway| Provider {
        way: "sms",
        name: gateway.name,
        trouble: gateway.trouble,
    });
    let sms = Provider {
        way: "sms",
        name: "sms".to_owned(),
        trouble: engine.breakers.sms.trouble(),
    };
    mail.chain(std::iter::once(sms)).chain(gateways).collect()
}

/// A local time with its offset, as people and programs read it.
pub fn zone_text(at: jiff::Timestamp, zone: &jiff::tz::TimeZone) -> String {
    at.to_zoned_datetime(zone.clone())
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}
