//! Hands everything that one person has to another, case by case: each case passes as a whole, in its own transaction, with its events.

use jiff::Timestamp;

use crate::domain::command::{Command, Refusal};
use crate::domain::ids::{CaseId, StaffId};
use crate::domain::text::{Said, shown};
use crate::engine::desk::{Desk, DeskError};
use crate::store::Store;

/// What has passed, and what has not and why.
#[derive(Debug, Default)]
pub struct HandedOver {
    pub passed: Vec<CaseId>,
    pub refused: Vec<(CaseId, String)>,
}

/// Only whoever hands over or a supervisor may do it.
pub async fn hand_over(
    store: &Store,
    desk: &Desk<'_>,
    from: &StaffId,
    to: &StaffId,
    now: Timestamp,
) -> Result<HandedOver, DeskError> {
    let actor = desk.actor();
    if actor.id != *from && !actor.role.is_supervisory() {
        return Err(DeskError::Refused(Refusal {
            field: Some("--as".to_owned()),
            what: Said::new("只能交接自己的事项", "only one's own cases can be handed over"),
            fix: Said::new(
                "由本人或主管用自己的身份(--as)交接",
                "whoever hands over does it, or a supervisor, under their own name (--as)",
            ),
        }));
    }
    let mut done = HandedOver::default();
    for id in store.cases_with(from).await? {
        let command = Command::TakeOver {
            from: from.clone(),
            to: to.clone(),
        };
        match desk.act(&id, command, now).await {
            Ok(_) => done.passed.push(id),
            // Somebody else has done it meanwhile, or what is left does not pass: the others do all the same.
            Err(DeskError::Refused(refusal)) if done.passed.is_empty() && refusal.field.as_deref() == Some("to") => {
                return Err(DeskError::Refused(refusal));
            }
            Err(DeskError::Refused(refusal)) => done.refused.push((id, refusal.to_string())),
            Err(other) => return Err(other),
        }
    }
    if done.passed.is_empty() && done.refused.is_empty() {
        return Err(DeskError::Refused(Refusal {
            field: Some("--from".to_owned()),
            what: Said::new(
                format!("“{}”没有在办的事项", shown(from.as_str())),
                format!("\"{}\" has nothing in hand", shown(from.as_str())),
            ),
            fix: Said::new("核对 people.toml 中的名称", "check the name in people.toml"),
        }));
    }
    Ok(done)
}
