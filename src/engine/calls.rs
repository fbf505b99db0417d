//! Open calls follow their case: one that nobody has to make any more is withdrawn, one in the wrong hands is passed on.

use crate::domain::ladder::Way;
use crate::domain::plan::decide::Scene;
use crate::domain::plan::recheck::{Recheck, recheck};
use crate::domain::plan::recipients::caller;
use crate::engine::prepare::queued;
use crate::store::calls::{CallChange, OpenCall, Withdrawn};

/// What becomes of a call that has not been made yet: nothing, when it is still meant and still in the right hands.
pub(crate) fn follow(scene: &Scene<'_>, call: &OpenCall) -> Option<CallChange> {
    let id = call.row.id.clone();
    let queued = queued(&call.row, Way::Phone)?;
    match recheck(scene, &queued) {
        Recheck::Cancel(said) => Some(CallChange {
            id,
            withdrawn: Some(Withdrawn {
                zh: said.zh,
                en: said.en,
                at_ms: scene.now.as_millisecond(),
            }),
            assignee: None,
        }),
        Recheck::Send(_) | Recheck::Wait { .. } | Recheck::PassOn { .. } | Recheck::Unreachable(_) => {
            let Scene { rules, case, now, .. } = *scene;
            let item = case.item(scene.rules, &queued.item)?;
            let named = item.assignee().unwrap_or(&case.owner);
            let caller = caller(rules, case, item, rules.zone.to_datetime(now).date())?;
            let kept = call.assignee.as_deref();
            let is_known = rules.org.staff.contains_key(named);
            let right = (is_known && kept == Some(named.as_str())) || kept == Some(caller.id.as_str());
            (!right).then(|| CallChange {
                id,
                withdrawn: None,
                assignee: Some(caller.id.to_string()),
            })
        }
    }
}
