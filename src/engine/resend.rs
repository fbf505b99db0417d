//! A message that may have gone out already goes again as it was: with the same bytes under the same name, so that a mail program or a
//! gateway can tell the copy. Where its words have changed meanwhile, because the facts have or because another day has begun and it says
//! how many are left, it is another message: it gets another name, and the ledger says so.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use jiff::Timestamp;

use crate::channel::invitation::Invitation;
use crate::domain::ids::{CaseId, TextId};
use crate::domain::ladder::Way;
use crate::domain::plan::People;
use crate::domain::plan::decide::{CALL_TASK, Scene};
use crate::domain::plan::recheck::{Recheck, recheck};
use crate::domain::text::Said;
use crate::engine::invite::invitation;
use crate::engine::live::Rules;
use crate::engine::prepare::{Ready, address, of_no_case, queued, with_codes};
use crate::engine::settle::Judged;
use crate::engine::wire::{Wire, domain, wire};
use crate::engine::{Engine, message};
use crate::store::StoreError;
use crate::store::doubts::Before;
use crate::store::queue::{Claimed, NewAttempt};
use crate::template::Rendered;

/// Gives those that may have gone out before the name under which they went, or another one when their words have changed.
pub(crate) async fn as_before(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    mut ready: Vec<Ready>,
    now: Timestamp,
) -> Result<Vec<Ready>, StoreError> {
    let tried = ready.iter().filter(|ready| ready.claimed.tries > 0);
    let tried: Vec<&str> = tried.map(|ready| ready.claimed.id.as_str()).collect();
    let mut doubted = engine.store.doubted(&tried).await?;
    for ready in &mut ready {
        let Some(before) = doubted.remove(&ready.claimed.id) else {
            continue;
        };
        let is_same = |attempt: &NewAttempt| engine.store.wire_sum(&attempt.wire_sha256) == before.wire_sum;
        if is_same(&ready.attempt) {
            continue;
        }
        let row = ready.claimed.clone();
        let last = named_as(&row, &before);
        if last.id != row.id
            && let Some((wire, attempt)) = rebuild(engine, rules, way, &last, now).await?
            && is_same(&attempt)
        {
            put(ready, wire, attempt);
            continue;
        }
        let another = Claimed {
            id: format!("{}-{}", row.id, row.tries + 1),
            ..row
        };
        if let Some((wire, attempt)) = rebuild(engine, rules, way, &another, now).await? {
            put(ready, wire, attempt);
            let said = Said::new(
                "内容已变,作为新信息再发一次",
                "its words have changed, so it goes once more as a new message",
            );
            ready.context.note = ready.context.note.and(&said);
        }
    }
    Ok(ready)
}

/// The row under the name by which the last copy went: `ID` or `ID-2`.
fn named_as(row: &Claimed, before: &Before) -> Claimed {
    let name = before.wire_id.trim_start_matches('<').split(['@', '>']).next();
    let id = name.filter(|name| name.starts_with(&row.id)).unwrap_or(&row.id);
    Claimed {
        id: id.to_owned(),
        ..row.clone()
    }
}

fn put(ready: &mut Ready, wire: Wire, attempt: NewAttempt) {
    ready.wire = wire;
    ready.attempt.wire_id = attempt.wire_id;
    ready.attempt.wire_sha256 = attempt.wire_sha256;
    ready.attempt.gateway = attempt.gateway;
    ready.attempt.receipt_ms = attempt.receipt_ms;
}

/// The message under the name of this row; `None` when it cannot be made. A fault of this program in here is no reason not to send.
async fn rebuild(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    row: &Claimed,
    at: Timestamp,
) -> Result<Option<(Wire, NewAttempt)>, StoreError> {
    let built = AssertUnwindSafe(build(engine, rules, way, row, at))
        .catch_unwind()
        .await;
    built.unwrap_or(Ok(None))
}

async fn build(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    row: &Claimed,
    at: Timestamp,
) -> Result<Option<(Wire, NewAttempt)>, StoreError> {
    if row.case_id.is_empty() {
        let Judged::Go { rendered, to, .. } = of_no_case(engine, rules, way, row, at).await? else {
            return Ok(None);
        };
        return Ok(wire(rules, way, row, &to, None, (rendered, None), at).ok());
    }
    let case = CaseId::from(row.case_id.as_str());
    let cases = engine.store.cases(&[&case]).await?;
    let (Some(stored), Some(queued)) = (cases.get(&case), queued(row, way)) else {
        return Ok(None);
    };
    let resident = &stored.case.party.person;
    let around = engine.store.around(&[resident]).await?;
    let none = People::default();
    let people = match around.get(resident) {
        Some(Ok(people)) => people,
        Some(Err(_)) => return Ok(None),
        None => &none,
    };
    let scene = Scene {
        rules: &rules.rulebook,
        case: &stored.case,
        people,
        now: at,
    };
    let Recheck::Send(dated) = recheck(&scene, &queued) else {
        return Ok(None);
    };
    let tasks = if row.text == CALL_TASK {
        engine.store.tasks_of(&[&case]).await?
    } else {
        Vec::new()
    };
    let calls: Vec<_> = tasks.iter().filter(|task| task.mark == row.mark).collect();
    let message = message::for_reminder(&scene, &dated, &queued, row, &calls);
    let rendered = rules.texts.render(&TextId::from(row.text.as_str()), &message, way);
    let (Some(to), Ok(rendered)) = (address(rules, people, &queued), rendered) else {
        return Ok(None);
    };
    let invitation = invitation(&scene, &dated, &queued, domain(rules)).filter(|_| way == Way::Email);
    let rendered = with_codes(rules, way, row, &message, rendered);
    let content: (Rendered, Option<Invitation>) = (rendered, invitation);
    Ok(wire(rules, way, row, &to, Some(&stored.case.unit), content, at).ok())
}
