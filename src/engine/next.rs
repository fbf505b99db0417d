//! Where a reminder goes after an attempt: nowhere, once more, by another way, to whoever can be asked, or to a person.

use std::time::Duration;

use jiff::Timestamp;

use crate::channel::outcome::{Blame, Outcome};
use crate::domain::delivery::{Doubt, Resolve};
use crate::domain::ladder::Priority;
use crate::domain::reminder::State;
use crate::domain::retry::{PROVIDER_PAUSE_S, next_try};
use crate::domain::text::Said;
use crate::engine::prepare::Context;
use crate::store::instant_of;
use crate::store::queue::Claimed;

/// Whatever can be tried again this soon needs no other way: another gateway takes it.
const SOON: Duration = Duration::from_secs(5);

/// What is known of a message beside its last outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// Attempts before this one that ended in doubt.
    pub(crate) doubts: i64,
    /// Whether the provider can be asked.
    pub(crate) can_ask: bool,
}

/// Where a reminder goes after an attempt.
pub(crate) enum Next {
    Sent,
    Retry {
        at: Timestamp,
        charged: bool,
    },
    AnotherWay {
        state: State,
        said: Said,
    },
    /// Nobody knows whether it went out; the provider may.
    Ask {
        at: Timestamp,
        said: Said,
    },
    /// Nobody knows whether it went out: never sent again by itself, a person looks at it.
    Doubt {
        said: Said,
    },
}

pub(crate) fn judge(claimed: &Claimed, context: &Context, outcome: &Outcome, before: Before, now: Timestamp) -> Next {
    match outcome {
        Outcome::Accepted { .. } => Next::Sent,
        Outcome::Refused { reason, .. } => Next::AnotherWay {
            state: State::Refused,
            said: Said::parse(reason),
        },
        Outcome::Deferred {
            fault,
            reason,
            retry_after,
        } => {
            let charged = fault.blame != Blame::Provider;
            let at = retry_at(claimed, charged, *retry_after, now);
            // What is critical does not wait for a provider when there is another way now.
            let soon = retry_after.is_some_and(|asked| asked <= SOON);
            let critical =
                claimed.priority >= Priority::Critical as i64 && !charged && !soon && !claimed.fallback.is_empty();
            if at.as_millisecond() >= claimed.valid_until_ms || critical {
                let late = Said::new("等不到下次重试", "the next try would come too late");
                return Next::AnotherWay {
                    state: State::Refused,
                    said: Said::parse(reason).and(&late),
                };
            }
            Next::Retry { at, charged }
        }
        Outcome::Uncertain { reason } => {
            let doubt = Doubt {
                way: context.way,
                priority: claimed.priority,
                doubts: before.doubts.saturating_add(1),
                asked: 0,
                can_ask: before.can_ask,
                since: now,
                now,
                valid_until: instant_of(claimed.valid_until_ms),
            };
            let said = Said::parse(reason);
            match doubt.resolve() {
                Resolve::Again { at } => Next::Retry { at, charged: true },
                Resolve::Ask { at } => {
                    let said = said.and(&asking());
                    Next::Ask { at, said }
                }
                Resolve::Person => Next::Doubt { said },
            }
        }
    }
}

/// What the ledger says as long as the provider is asked.
fn asking() -> Said {
    Said::new("正在向短信平台查询", "the gateway is being asked")
}

/// A fault of the provider is tried again when it may be back, one of the recipient by the retry policy.
fn retry_at(claimed: &Claimed, charged: bool, asked: Option<Duration>, now: Timestamp) -> Timestamp {
    let tries = u32::try_from(claimed.tries + 1).unwrap_or(u32::MAX);
    let asked = if charged {
        asked
    } else {
        Some(asked.unwrap_or(Duration::from_secs(PROVIDER_PAUSE_S)))
    };
    next_try(now, tries, asked, seed(&claimed.id))
}

fn seed(id: &str) -> u64 {
    id.bytes().fold(0, |seed, byte| seed.rotate_left(5) ^ u64::from(byte))
}
