//! What a database before this one has sent already: after a restore, or on another server, the planner decides again what the database
//! does not know any more, and nothing of it may leave a second time.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::domain::ids::CaseId;
use crate::domain::ladder::Way;
use crate::domain::reminder::State;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::engine::live::Rules;
use crate::engine::prepare::{Context, Settled, context, queued};
use crate::engine::settle::{adding, settle};
use crate::store::StoreError;
use crate::store::queue::Claimed;
use crate::store::sent::{Earlier, Key, key};

/// The key of a claimed row in `sent.log`.
pub(crate) fn key_of(row: &Claimed, way: Way) -> Key {
    key(&row.case_id, &row.mark, &row.recipient, way.name())
}

impl Engine {
    /// Whether anything had left that the ledger does not know.
    pub(crate) fn knows_earlier(&self) -> bool {
        match &self.node {
            Some(node) => node.knows_earlier(),
            None => self.sent.earlier_count() > 0,
        }
    }

    /// What is known of these outside the ledger: from what all nodes have told, or from `sent.log` where there is only one.
    pub(crate) async fn sent_earlier(&self, keys: &[Key]) -> Result<HashMap<Key, Earlier>, StoreError> {
        if !self.knows_earlier() {
            return Ok(HashMap::new());
        }
        if self.node.is_some() {
            return self.store.sent_earlier(keys).await;
        }
        let known = keys.iter().filter_map(|key| Some((*key, self.sent.earlier(key)?)));
        Ok(known.collect())
    }
}

/// Takes out of a batch what was sent before the restore, or may have been: the latter goes to a person, never out again by itself.
pub(crate) async fn sent_before(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    claimed: Vec<Claimed>,
    now: Timestamp,
) -> Result<(Vec<Settled>, Vec<Claimed>), StoreError> {
    let keys: Vec<Key> = claimed.iter().map(|row| key_of(row, way)).collect();
    let known = engine.sent_earlier(&keys).await?;
    let (mut settled, mut rest) = (Vec::new(), Vec::new());
    for (row, key) in claimed.into_iter().zip(keys) {
        match known.get(&key) {
            None => rest.push(row),
            Some(Earlier::Sent) => {
                let said = Said::new("恢复前已发出", "it had left before the restore");
                let verdict = settle(&row, State::Accepted, adding(&row, &said), now);
                settled.push(Settled {
                    verdict,
                    next: None,
                    heirs: Vec::new(),
                    held: None,
                });
            }
            Some(Earlier::Doubtful) => {
                let said = Said::new(
                    "恢复前可能已发出,请人工核实",
                    "it may have left before the restore; please check",
                );
                let verdict = settle(&row, State::Uncertain, said.clone(), now);
                let next = context_of(engine, rules, way, &row, now).await?.map(|context| {
                    // Never the same message by another way: it may have arrived.
                    let row = Claimed {
                        fallback: String::new(),
                        ..row
                    };
                    Box::new((row, context, said))
                });
                settled.push(Settled {
                    verdict,
                    next,
                    heirs: Vec::new(),
                    held: None,
                });
            }
        }
    }
    Ok((settled, rest))
}

/// Who phones instead. Nobody does for messages of no case.
async fn context_of(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    row: &Claimed,
    now: Timestamp,
) -> Result<Option<Context>, StoreError> {
    let case = CaseId::from(row.case_id.as_str());
    let cases = engine.store.cases(&[&case]).await?;
    let found = cases.get(&case).zip(queued(row, way));
    Ok(found.map(|(stored, queued)| context(rules, &stored.case, row, &queued, now)))
}
