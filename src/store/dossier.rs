//! Everything that is kept about one person: where it lies.

use crate::domain::ids::{CaseId, PersonId};
use crate::store::cases::json;
use crate::store::db::{query_as, query_scalar};
use crate::store::events::Sealed;
use crate::store::reminders::LedgerRow;
use crate::store::{During, Store, StoreError};

impl Store {
    /// Whose household a person belongs to: their own, or that of the resident they are a relative of. `None` for somebody unknown.
    pub async fn household_of(&self, person: &PersonId) -> Result<Option<PersonId>, StoreError> {
        const SQL: &str = "select coalesce(relative_of, id) from people where id = $1";
        let found: Option<String> = query_scalar(SQL)
            .bind(person.as_str())
            .fetch_optional(self.reader())
            .await
            .during("look for a person")?;
        Ok(found.map(PersonId::from))
    }

    /// The cases of a resident and whether each is closed with nothing that may still come.
    pub async fn cases_of_resident(&self, resident: &PersonId) -> Result<Vec<(CaseId, String)>, StoreError> {
        const SQL: &str = "
            select id, status from cases
            where resident = $1
            order by id";
        let found: Vec<(String, String)> = query_as(SQL)
            .bind(resident.as_str())
            .fetch_all(self.reader())
            .await
            .during("find the cases of a person")?;
        Ok(found
            .into_iter()
            .map(|(id, status)| (CaseId::from(id), status))
            .collect())
    }

    /// Every decision of these cases, oldest first.
    pub async fn whole_ledger_of(&self, cases: &[&CaseId]) -> Result<Vec<LedgerRow>, StoreError> {
        const SQL: &str = "
            select id, case_id, mark, recipient, way, text, state, reason_zh, reason_en,
                   due_ms, decided_ms, not_before_ms, assignee, tries, sent_ms
            from reminders
            where case_id in (select value from json_each($1))
            order by decided_ms, id";
        query_as(SQL)
            .bind(json(&cases))
            .fetch_all(self.reader())
            .await
            .during("read the ledger of a person")
    }

    /// Who looked at these cases one by one, oldest first.
    pub async fn views_of(&self, cases: &[&CaseId]) -> Result<Vec<Sealed>, StoreError> {
        const SQL: &str = "
            select seq, at_ms, case_id, actor, body as sealed, hash from events
            where case_id in (select value from json_each($1)) and kind = 'access'
            order by seq";
        let mut events: Vec<Sealed> = query_as(SQL)
            .bind(json(&cases))
            .fetch_all(self.reader())
            .await
            .during("read who looked")?;
        self.open_events(&mut events).await?;
        Ok(events)
    }
}
