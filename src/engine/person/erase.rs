//! Somebody is forgotten, for good (个人信息保护法 47). A database that is restored later is brought to the same state before it is used.

use jiff::Timestamp;

use crate::channel::bounce;
use crate::domain::case::{Case, Status};
use crate::domain::event::Event;
use crate::domain::house::House;
use crate::domain::ids::{CaseId, PersonId};
use crate::domain::org::Staff;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::engine::audit::Denied;
use crate::engine::person::export::{PersonError, may, unknown};
use crate::store::cases::StoredCase;
use crate::store::inbound::mark_handled;
use crate::store::{Store, StoreError, Tx, bounces, commit, erase, events, lock};

/// Who notes that somebody was forgotten once more.
const ACTOR: &str = "xixin";

/// Forgets a person. Refused while anything of theirs is open. Returns how many cases lost their words.
pub async fn erase(
    store: &Store,
    book: &Rulebook,
    id: &PersonId,
    by: &Staff,
    reason: &str,
    now: Timestamp,
) -> Result<u64, PersonError> {
    let household = store.household_of(id).await?.ok_or_else(|| unknown(id))?;
    // Held first: no case is opened or reopened meanwhile, and no message begins to leave.
    let mut tx = store.begin().await?;
    lock::household(&mut tx, &household).await?;
    let stored = cases_of(store, &household).await?;
    let cases: Vec<&Case> = stored.iter().map(|stored| &stored.case).collect();
    may(book, by, &cases)?;
    let is_open = |case: &&&Case| !matches!(case.status, Status::Closed { .. });
    let open: Vec<&str> = cases.iter().filter(is_open).map(|case| case.id.as_str()).collect();
    if !open.is_empty() {
        let open = open.join(", ");
        let what = Said::new(
            format!("还有未办结的案件: {open}"),
            format!("cases are still open: {open}"),
        );
        return Err(Denied::new(what, Said::new("先办结或转交,再删除", "close or transfer them first")).into());
    }
    if erase::on_the_way(&mut tx, &household).await? > 0 {
        let what = Said::new("有消息正在发出", "a message is on its way");
        return Err(Denied::new(what, Said::new("一分钟后再试", "try again in a minute")).into());
    }
    let forgotten = forget(
        store,
        &mut tx,
        id,
        &household,
        (by.id.as_str(), reason.trim(), false),
        now,
    )
    .await?;
    // Before the commit: should that fail, the next start does what was asked for.
    store.note_erased(id, now)?;
    commit(tx, "forget a person").await?;
    store.scrub().await?;
    Ok(forgotten)
}

/// Forgets again whoever a restored database still knows. Returns how many. One who cannot be forgotten is told in the log and must not
/// keep the others' reminders from leaving.
pub async fn again(store: &Store, now: Timestamp) -> Result<usize, StoreError> {
    let mut done = 0;
    for id in store.to_erase_again().await? {
        match once_more(store, &id, now).await {
            Ok(()) => {
                tracing::warn!(person.id = %id, "{id} was erased after this database was saved, and is erased again");
                done += 1;
            }
            Err(error) => {
                let error = crate::telemetry::chain(&error);
                tracing::error!(person.id = %id, error, "{id} was erased, is in this database and cannot be erased again");
            }
        }
    }
    if done > 0 {
        store.scrub().await?;
    }
    Ok(done)
}

async fn once_more(store: &Store, id: &PersonId, now: Timestamp) -> Result<(), StoreError> {
    // Of somebody whose record went with their last case only the key is left.
    let household = store.household_of(id).await?.unwrap_or_else(|| id.clone());
    let mut tx = store.begin().await?;
    lock::household(&mut tx, &household).await?;
    let reason = "已恢复的数据库仍有此人 / the restored database still knew them";
    forget(store, &mut tx, id, &household, (ACTOR, reason, true), now).await?;
    commit(tx, "forget a person again").await
}

/// What came in and waits, from whoever is forgotten or about them: it says their number or their address.
async fn about(store: &Store, id: &PersonId, household: &PersonId) -> Result<Vec<String>, StoreError> {
    // Nothing is left of somebody whose key is gone already.
    let people = store.people_of(household).await.unwrap_or_default();
    let forgotten = people.all().filter(|person| id == household || person.id == *id);
    let words: Vec<String> = forgotten
        .flat_map(|person| person.phone.iter().chain(&person.email))
        .map(|word| word.to_lowercase())
        .collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let waiting = store.inbound_unhandled().await?;
    let is_about = |body: &str| {
        let text = body.to_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    let mut found: Vec<String> = waiting
        .into_iter()
        .filter(|(_, body)| is_about(body))
        .map(|(id, _)| id)
        .collect();
    // Of mail also what its parts say once they are decoded.
    for returned in store.returned_waiting(i64::MAX).await? {
        let raw = store.returned(&returned.id).await?.unwrap_or_default();
        if is_about(&bounce::shown(&raw)) {
            found.push(bounces::row(&returned.id));
        }
    }
    Ok(found)
}

async fn cases_of(store: &Store, household: &PersonId) -> Result<Vec<StoredCase>, StoreError> {
    let ids: Vec<CaseId> = store
        .cases_of_resident(household)
        .await?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let mut found = store.cases(&ids.iter().collect::<Vec<_>>()).await?;
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

async fn forget(
    store: &Store,
    tx: &mut Tx,
    id: &PersonId,
    household: &PersonId,
    (by, reason, again): (&str, &str, bool),
    now: Timestamp,
) -> Result<u64, StoreError> {
    // As long as their numbers and addresses can still be read.
    for inbound in about(store, id, household).await? {
        mark_handled(tx, &inbound, now).await?;
    }
    let cases = erase::forget(tx, id, household, by, now).await?;
    let erased = Event::House(House::PersonErased {
        person: id.clone(),
        reason: reason.to_owned(),
        cases,
        again,
    });
    events::append_house(tx, now, by, &[erased]).await?;
    Ok(cases)
}
