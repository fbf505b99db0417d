//! `xixin hand-over --from A --to B`: everything one person has, in every case, passes to another. What cannot pass is named and stays
//! with its substitute or goes up the line; nothing is lost on the way.

use std::sync::Arc;

use serde_json::json;

use crate::app::{App, Place, poke};
use crate::cli::case::Actor;
use crate::cli::{EXIT_FAILED, SaidArgs, say};
use crate::clock::SystemClock;
use crate::domain::ids::StaffId;
use crate::engine::desk::Desk;
use crate::engine::hand_over::hand_over;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who hands over: a name from people.toml / 交出人
    #[arg(long, value_name = "STAFF")]
    from: String,
    /// Who takes over / 接手人
    #[arg(long, value_name = "STAFF")]
    to: String,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    said: SaidArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::open(place, Arc::new(SystemClock)).await?;
    let rules = app.engine.live.get();
    let desk = Desk::new(
        &app.engine.store,
        &rules.rulebook,
        &StaffId::from(args.actor.actor.as_str()),
    )?;
    let (from, to) = (StaffId::from(args.from), StaffId::from(args.to));
    let done = hand_over(&app.engine.store, &desk, &from, &to, app.engine.clock.now()).await?;
    poke(&app, None).await;
    let failed = u8::from(!done.refused.is_empty()) * EXIT_FAILED;
    if args.said.json {
        let refused: Vec<_> = done
            .refused
            .iter()
            .map(|(id, why)| json!({ "case": id, "why": why }))
            .collect();
        say(&json!({ "passed": done.passed, "refused": refused }).to_string());
        return Ok(failed);
    }
    let passed = done.passed.len();
    say(&format!(
        "{from} → {to}: 已交接{passed}个案件 / cases handed over: {passed}"
    ));
    for id in &done.passed {
        say(&format!("  ✓ {id}"));
    }
    for (id, why) in &done.refused {
        say(&format!("  ! {id}: {why}"));
    }
    Ok(failed)
}
