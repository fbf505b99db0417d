//! What will be decided about stored cases if nothing changes: the planner's own forecast over live data.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::ids::{CaseId, PersonId};
use crate::domain::plan::People;
use crate::domain::plan::forecast::{Foreseen, forecast};
use crate::domain::reminder::{Decision, Recipient, State};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::mask_name;
use crate::engine::status::zone_text;
use crate::store::cases::StoredCase;
use crate::store::{Store, StoreError};

/// A decision to come, and the case it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Ahead {
    pub case: CaseId,
    pub foreseen: Foreseen,
}

/// The decisions to come and everybody they may speak to.
#[derive(Debug, Default)]
pub struct Outlook {
    /// By time.
    pub ahead: Vec<Ahead>,
    pub people: HashMap<PersonId, People>,
}

/// Looks from `from` to `to`, both inclusive; at most `limit` decisions of each case.
pub async fn foresee(
    store: &Store,
    rules: &Rulebook,
    cases: &[StoredCase],
    span: (Timestamp, Timestamp),
    limit: usize,
) -> Result<Outlook, StoreError> {
    let ids: Vec<&CaseId> = cases.iter().map(|stored| &stored.case.id).collect();
    let residents: Vec<&PersonId> = cases.iter().map(|stored| &stored.case.party.person).collect();
    let (mut decided, people) = tokio::try_join!(store.decided(&ids), store.people(&residents))?;
    let nobody = People::default();
    let mut ahead = Vec::new();
    for StoredCase { case, .. } in cases {
        let around = people.get(&case.party.person).unwrap_or(&nobody);
        let decided = decided.remove(&case.id).unwrap_or_default();
        let foreseen = forecast(rules, case, around, decided, span, limit);
        ahead.extend(foreseen.into_iter().map(|foreseen| Ahead {
            case: case.id.clone(),
            foreseen,
        }));
    }
    ahead.sort_by(|a, b| (a.foreseen.at, &a.case).cmp(&(b.foreseen.at, &b.case)));
    Ok(Outlook { ahead, people })
}

impl Outlook {
    /// A decision as JSON.
    pub fn json(&self, book: &Rulebook, ahead: &Ahead) -> Value {
        let Decision {
            mark,
            recipient,
            way,
            verdict,
            reason,
            priority,
            text,
            due,
            not_before,
            valid_until,
            ..
        } = &ahead.foreseen.decision;
        json!({
            "at": zone_text(ahead.foreseen.at, &book.zone),
            "case": ahead.case,
            "item": mark.item,
            "ladder": mark.ladder,
            "rung": mark.rung,
            "occurrence": mark.occurrence.to_string(),
            "audience": mark.audience,
            "recipient": recipient.to_string(),
            "who": self.who(book, recipient),
            "way": way,
            "decision": State::from(*verdict),
            "text": text,
            "priority": priority,
            "due": zone_text(*due, &book.zone),
            "not_before": zone_text(*not_before, &book.zone),
            "valid_until": zone_text(*valid_until, &book.zone),
            "reason": reason,
        })
    }

    /// The recipient as a colleague would say it: staff by name, residents masked.
    pub fn who(&self, book: &Rulebook, recipient: &Recipient) -> String {
        match recipient {
            Recipient::Staff(id) => book
                .org
                .staff
                .get(id)
                .map_or_else(|| id.to_string(), |staff| staff.name.clone()),
            Recipient::Person(id) => self.masked(id),
            Recipient::Nobody => "无人 / nobody".to_owned(),
        }
    }

    fn masked(&self, id: &PersonId) -> String {
        let person = self
            .people
            .values()
            .flat_map(People::all)
            .find(|person| person.id == *id);
        person.map_or_else(|| id.to_string(), |person| mask_name(&person.name))
    }
}
