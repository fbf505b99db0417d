//! What a database before this one has sent already: after a restore the planner decides again what the backup does not know, and
//! nothing of it may leave a second time.

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

/// Takes out of a batch what was sent before the restore, or may have been: the latter goes to a person, never out again by itself.
pub(crate) async fn sent_before(
    engine: &Engine,
    rules: &Rules,
    way: Way,
    claimed: Vec<Claimed>,
    now: Timestamp,
) -> Result<(Vec<Settled>, Vec<Claimed>), StoreError> {
    if engine.sent.earlier_count() == 0 {
        return Ok((Vec::new(), claimed));
    }
    let (mut settled, mut rest) = (Vec::new(), Vec::new());
    for row in claimed {
        match engine.sent.earlier(&key_of(&row, way)) {
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
