//! A message that comes in parts: each part is kept as it comes and acknowledged, because an SMS centre may send the next one only then.
//! When all are there, or when the others have not come in time, they become one message.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use tracing::info;

use super::inbound::Kept;
use crate::channel::sms::{Part, joined};
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::inbound::{Inbound, NewInbound};

/// So long the other parts are awaited, from the first that came.
const WITHIN: SignedDuration = SignedDuration::from_mins(5);

impl Kept {
    pub(super) fn of_part(part: &Part) -> Self {
        Self::Part {
            from: part.from.clone(),
            total: part.total,
            number: part.number,
            data: hex::encode(&part.data),
            is_ucs2: part.is_ucs2,
        }
    }
}

/// The name of a part: first that of its message, then its own. Neither the number nor the text stands in it.
pub(super) fn id(gateway: &str, part: &Part) -> String {
    let message = Sha256::digest(format!("{}\n{}\n{}", part.from, part.reference, part.total));
    // References come round again: another message with the same one has other words.
    let words = Sha256::digest(&part.data);
    let (message, words) = (hex::encode(&message[..16]), hex::encode(&words[..8]));
    format!("sms:{gateway}:part:{message}:{}:{words}", part.number)
}

/// Joins a part with the others of its message. False as long as some are missing that may still come.
pub(super) async fn handle(engine: &Engine, waiting: &Inbound, now: Timestamp) -> Result<bool, StoreError> {
    let mut end = waiting.id.rsplitn(3, ':');
    let message = end.nth(2).unwrap_or_default();
    let beside = engine.store.inbound_named(&format!("{message}:")).await?;
    let mut ids: Vec<&str> = Vec::new();
    let mut parts: BTreeMap<u8, (Vec<u8>, bool)> = BTreeMap::new();
    let (mut sender, mut of) = (String::new(), 0);
    let mut since = waiting.received_ms;
    for one in &beside {
        let Ok(Kept::Part {
            from,
            total,
            number,
            data,
            is_ucs2,
        }) = serde_json::from_str(&one.body)
        else {
            continue;
        };
        // A second one of the same number belongs to a later message, which has its turn when this one is gone.
        if let Entry::Vacant(place) = parts.entry(number) {
            place.insert((hex::decode(data).unwrap_or_default(), is_ucs2));
            ids.push(&one.id);
            since = since.min(one.received_ms);
            (sender, of) = (from, total);
        }
    }
    if !ids.contains(&waiting.id.as_str()) {
        // It has just become part of a whole, or waits for its turn.
        return Ok(beside.iter().all(|one| one.id != waiting.id));
    }
    let age = SignedDuration::from_millis(now.as_millisecond() - since);
    if parts.len() < usize::from(of) {
        if age < WITHIN {
            return Ok(false);
        }
        info!(
            "{} of {of} parts of an SMS have come; the others are not awaited any longer",
            parts.len()
        );
    }
    let name = hex::encode(Sha256::digest(ids.join("\n")));
    let whole = NewInbound {
        id: format!("sms:{}:message:{name}", waiting.provider),
        provider: waiting.provider.clone(),
        body: Kept::Message {
            from: sender,
            text: joined(&parts, of),
        }
        .body(),
    };
    engine.store.join_inbound(&ids, &whole, now).await?;
    engine.bells.inbound.notify_one();
    Ok(true)
}
