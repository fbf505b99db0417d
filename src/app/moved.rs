//! A move that was cut off (`store::moving`): the target is asked which of the two databases counts, and the other one says so.

use anyhow::Context as _;
use jiff::Timestamp;
use tracing::warn;

use crate::app::{Place, location};
use crate::config::settings::Settings;
use crate::store::location::Location;
use crate::store::moving::departure::Settled;
use crate::vault::Masters;

/// Finds out what came of a move from `source`, and notes it; `None` when nobody has moved. Tells where to.
pub async fn settle_move(
    place: &Place,
    settings: &Settings,
    (source, masters): (&Location, &Masters),
    by: (Timestamp, &str),
) -> anyhow::Result<Option<(Settled, String)>> {
    let Some(departure) = source.departure().await? else {
        return Ok(None);
    };
    let to = departure.to;
    if departure.is_done {
        return Ok(Some((Settled::There, to)));
    }
    let target = location(place, &settings.on(&to))?;
    let settled = source.settle(masters, &target, by).await.with_context(|| {
        format!(
            "从 {source} 迁往 {to} 中断了,目标无法访问,不知哪一个有效;请让它可以访问后再启动,或用 xixin move --return 退回原库 / \
             a move from {source} to {to} was cut off, and the target cannot be reached, so that nobody knows which of the two counts: \
             see that it can be reached, then start again; to go back to the old one whatever became of it there is xixin move --return"
        )
    })?;
    if settled == Some(Settled::Here) {
        warn!("a move to {to} was cut off before anything was committed there; this database is in use as before");
    }
    Ok(settled.map(|settled| (settled, to)))
}
