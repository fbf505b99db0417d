//! Everything about a case as a page shows it, for people and for programs: facts, dates with their derivation, what comes next and why,
//! what was decided.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::domain::advice::advice;
use crate::domain::case::Item;
use crate::domain::ids::CaseId;
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::Rulebook;
use crate::engine::foresee::{Outlook, foresee};
use crate::store::cases::StoredCase;
use crate::store::events::Sealed;
use crate::store::reminders::LedgerRow;
use crate::store::{Store, StoreError};

/// How far ahead a case page looks, in days.
const AHEAD_DAYS: i64 = 400;
const UPCOMING_MAX: usize = 12;
/// Of decisions and of events the newest.
const NEWEST: i64 = 20;

#[derive(Debug)]
pub struct CasePage {
    pub stored: StoredCase,
    pub people: People,
    pub ledger: Vec<LedgerRow>,
    pub events: Vec<Sealed>,
    pub next: Outlook,
    pub today: Date,
}

impl CasePage {
    /// As of `now`; `None` when there is no such case.
    pub async fn read(store: &Store, book: &Rulebook, id: &CaseId, now: Timestamp) -> Result<Option<Self>, StoreError> {
        let Some(stored) = store.case(id).await? else {
            return Ok(None);
        };
        let people = store.people_of(&stored.case.party.person).await?;
        let (ledger, events) = tokio::try_join!(store.ledger_of(id, NEWEST), store.events_of(id, NEWEST))?;
        let next = next_of(store, book, &stored, now, UPCOMING_MAX).await?;
        Ok(Some(Self {
            stored,
            people,
            ledger,
            events,
            next,
            today: book.zone.to_datetime(now).date(),
        }))
    }

    pub fn json(&self, book: &Rulebook) -> Value {
        let case = &self.stored.case;
        let items: Vec<_> = case.items(book).map(|item| item_json(book, item)).collect();
        let upcoming: Vec<_> = self.next.ahead.iter().map(|one| self.next.json(book, one)).collect();
        json!({
            "case": case, "version": self.stored.version, "resident": self.people.resident, "relatives": self.people.relatives,
            "items": items, "advice": advice(book, case, &self.people, self.today), "upcoming": upcoming,
            "ledger": self.ledger, "events": self.events,
        })
    }
}

/// What will be decided about a case if nothing changes.
pub async fn next_of(
    store: &Store,
    book: &Rulebook,
    stored: &StoredCase,
    now: Timestamp,
    limit: usize,
) -> Result<Outlook, StoreError> {
    let until = now
        .checked_add(SignedDuration::from_hours(24 * AHEAD_DAYS))
        .unwrap_or(Timestamp::MAX);
    foresee(store, book, std::slice::from_ref(stored), (now, until), limit).await
}

/// How the dates of a deadline were found, step by step.
pub fn derivation(book: &Rulebook, item: Item<'_>) -> Vec<String> {
    let dated = Dated::new(book, item);
    let mut steps: Vec<String> = dated.explain(book).iter().map(ToString::to_string).collect();
    if let Some(counted) = &dated.counted {
        steps.push(format!(
            "期满 / legal end {}; 最晚可办日 / last safe day {}; 目标日 / target by {}",
            counted.legal_end, counted.last_safe_day, counted.target_by
        ));
    } else if let Some(trouble) = &dated.trouble {
        steps.push(format!("算不出日期 / no date can be counted: {}", trouble.said()));
    } else if matches!(item, Item::Deadline(_)) {
        steps.push(
            "起算日不明: 任何日期都不能当作安全 / the trigger date is unknown: no date may be taken as safe".to_owned(),
        );
    }
    steps
}

fn item_json(book: &Rulebook, item: Item<'_>) -> Value {
    let dated = Dated::new(book, item);
    let milestones: Map<String, Value> = dated
        .all()
        .map(|(milestone, moment)| (milestone.name().to_owned(), json!(moment.to_string())))
        .collect();
    json!({
        "item": item.id(), "kind": item.kind(), "open": item.is_open(), "milestones": milestones,
        "derivation": derivation(book, item),
    })
}
