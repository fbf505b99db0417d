//! The figures for Prometheus. What is in the database is measured when it is asked for, so that it costs nothing in between.
//!
//! Labels name ways, states, loops and versions: never a person, a case or a number.

use std::time::Instant;

use metrics::{describe_gauge, gauge};

use crate::domain::ladder::Way;
use crate::engine::{Engine, sender, waits};
use crate::lifecycle::Pulse;
use crate::store::StoreError;
use crate::store::queue::LIVE_STATES;
use crate::telemetry;

const WAYS: [Way; 3] = [Way::Email, Way::Sms, Way::Phone];

/// Measures, and renders everything counted and measured as text.
pub(super) async fn render(engine: &Engine, pulse: &Pulse) -> Result<String, StoreError> {
    let metrics = telemetry::metrics();
    measure(engine, pulse).await?;
    metrics.run_upkeep();
    Ok(metrics.render())
}

async fn measure(engine: &Engine, pulse: &Pulse) -> Result<(), StoreError> {
    let now_ms = engine.clock.now().as_millisecond();
    let (counts, oldest, next_wake, waits) = tokio::try_join!(
        engine.store.queue_counts(),
        engine.store.queue_waits(),
        engine.store.next_wake(),
        engine.waits()
    )?;
    let seconds_since = |ms: Option<i64>| ms.map_or(0.0, |ms| (now_ms - ms).max(0) as f64 / 1000.0);

    describe_gauge!("xixin_queue_depth", "Reminders by way and state");
    for way in WAYS {
        for state in LIVE_STATES {
            let found = counts.iter().find(|(w, s, _)| w == way.name() && s == state);
            let count = found.map_or(0, |(_, _, count)| *count);
            gauge!("xixin_queue_depth", "way" => way.name(), "state" => state).set(count as f64);
        }
    }
    describe_gauge!(
        "xixin_due_unsent_seconds_max",
        "How long the reminder that has been allowed to leave for the longest time has been waiting"
    );
    describe_gauge!(
        "xixin_oldest_due_age_seconds",
        "How long ago the oldest reminder in the queue was due, also one that waits for a retry or for the morning"
    );
    describe_gauge!(
        "xixin_sending_open",
        "1 when a way may send, 0 when it is paused or on hold"
    );
    describe_gauge!("xixin_provider_up", "0 while a provider takes nothing");
    for way in [Way::Email, Way::Sms] {
        let wait = oldest.iter().find(|wait| wait.way == way.name());
        gauge!("xixin_due_unsent_seconds_max", "way" => way.name())
            .set(seconds_since(wait.map(|wait| wait.not_before_ms)));
        gauge!("xixin_oldest_due_age_seconds", "way" => way.name()).set(seconds_since(wait.map(|wait| wait.due_ms)));
        gauge!("xixin_sending_open", "way" => way.name()).set(one_if(engine.gate.closed(way).is_none()));
        gauge!("xixin_provider_up", "way" => way.name()).set(one_if(sender::trouble(engine, way).is_none()));
    }
    describe_gauge!("xixin_gateway_up", "0 while one of several SMS gateways is out of turn");
    for gateway in engine
        .live
        .get()
        .channels
        .sms
        .iter()
        .flat_map(|gateway| gateway.providers())
    {
        gauge!("xixin_gateway_up", "gateway" => gateway.name).set(one_if(gateway.trouble.is_none()));
    }
    describe_gauge!(
        "xixin_held",
        "Messages that wait, by what for: a hold of the blast guard, a changed text, a cap of the day, a doubt about each one"
    );
    describe_gauge!("xixin_holds_open", "Reasons for which messages wait, by kind");
    for kind in waits::KINDS {
        let of = waits.iter().filter(|wait| wait.kind == kind);
        gauge!("xixin_holds_open", "kind" => kind).set(of.clone().count() as f64);
        let held: i64 = of.filter_map(|wait| wait.count).sum();
        gauge!("xixin_held", "kind" => kind).set(held as f64);
    }
    describe_gauge!(
        "xixin_canary_age_seconds",
        "How long it is that a canary got through; 0 without one"
    );
    describe_gauge!("xixin_canary_late", "1 when no canary gets through");
    let (heartbeat, settings) = (&engine.heartbeat, &engine.live.get().settings.heartbeat);
    let now = engine.clock.now();
    let age = heartbeat.age(settings, now).map_or(0.0, |age| age.as_secs_f64());
    gauge!("xixin_canary_age_seconds").set(age);
    gauge!("xixin_canary_late").set(one_if(heartbeat.is_late(settings, now)));
    describe_gauge!(
        "xixin_planner_lag_seconds",
        "How long the next case has been waiting to be planned"
    );
    gauge!("xixin_planner_lag_seconds").set(seconds_since(next_wake.map(jiff::Timestamp::as_millisecond)));
    describe_gauge!(
        "xixin_loop_age_seconds",
        "Since each loop came round; 60 and more means that it hangs"
    );
    for (name, age) in pulse.ages(Instant::now()) {
        gauge!("xixin_loop_age_seconds", "loop" => name).set(age.as_secs_f64());
    }
    describe_gauge!(
        "xixin_rules_generation",
        "Counts the different sets of rules this database has seen"
    );
    gauge!("xixin_rules_generation").set(engine.live.get().generation as f64);
    if engine.node.is_some() {
        describe_gauge!("xixin_node_info", "Always 1; the name of this node is in the label");
        gauge!("xixin_node_info", "node" => engine.store.node().to_string()).set(1.0);
        describe_gauge!("xixin_node_odd", "1 while other nodes go by newer rules");
        gauge!("xixin_node_odd").set(one_if(engine.is_odd()));
    }
    describe_gauge!("xixin_build_info", "Always 1; the version is in the label");
    gauge!("xixin_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(())
}

fn one_if(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}
