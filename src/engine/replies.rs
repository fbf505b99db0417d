//! Answers to SMS: whose they are, which case they belong to, and what they ask for.
//!
//! The number is looked up among residents and relatives; of several people with one number all are meant. An answer belongs to the case
//! of the last SMS that went to any of them, else to their newest case. One from a number that nobody knows is kept for a person (`xixin inbox`).

use jiff::Timestamp;
use tracing::{info, warn};

use crate::channel::sms::national;
use crate::domain::case::{Case, ContactKind, Direction};
use crate::domain::command::{Command, PersonChange};
use crate::domain::ids::{CaseId, StaffId, UnitId};
use crate::domain::org::{Role, Staff};
use crate::domain::sms_reply::Reply;
use crate::domain::text::{clean_text, mask_phone};
use crate::engine::Engine;
use crate::engine::desk::{Desk, DeskError};
use crate::engine::live::Rules;
use crate::store::inbound::{leave_for_people, mark_handled};
use crate::store::{StoreError, commit};

/// Letters of an answer that are kept; an SMS of ten parts has 670.
const WORDS_MAX: usize = 700;
/// Of one case so many texts wait as to-dos at the most: a number can be forged, and whoever reads the first finds the others beside it.
const UNREAD_MAX: usize = 20;
const ASKS_FOR_A_CALL: &str = "居民短信回复 2,请回电 / answered 2: asks to be called";
const WROTE: &str = "居民来短信,请阅处 / an SMS came:";

/// Carries out what somebody answered. False when it has to be tried again.
pub(crate) async fn handle(
    engine: &Engine,
    inbound: &str,
    from: &str,
    text: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let number = national(from);
    let people = engine.store.people_by_number(&number).await?;
    let mut told = Vec::new();
    let mut last = None;
    for (person, resident) in people {
        if let Some((case, when)) = engine.store.case_of_last_sms(&person, &resident).await? {
            last = last.max(Some((when, case.clone())));
            told.push((person, case));
        }
    }
    let Some((_, case)) = last else {
        info!(
            "an SMS came from a number that no case knows ({}); a person has to look",
            mask_phone(&number)
        );
        let mut tx = engine.store.begin().await?;
        leave_for_people(&mut tx, inbound).await?;
        commit(tx, "leave an SMS to people").await?;
        return Ok(true);
    };
    let rules = engine.live.get();
    let reply = Reply::read(text);
    if reply == Reply::OptOut {
        // Everybody who has this number; saying it twice changes nothing.
        let mut broken = None;
        for (person, case) in &told {
            let change = PersonChange {
                person: Some(person.clone()),
                opted_out: Some(true),
                ..PersonChange::default()
            };
            match act(engine, &rules, case, Command::ChangePerson(change), None, now).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!("{case}: an opt-out cannot be noted: {error}"),
                // Nothing is sent to whoever was erased.
                Err(StoreError::Erased { .. }) => {}
                // The others are opted out all the same; for this one it is tried again.
                Err(error @ StoreError::Corrupt { .. }) => broken = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = broken {
            return Err(error);
        }
    }
    let Some(stored) = engine.store.case(&case).await? else {
        return finish(engine, inbound, now).await;
    };
    let owner = reader_of(&rules, &stored.case.owner, &stored.case.unit);
    let command = if is_asked_already(&stored.case, reply) {
        contact(&shown(text))
    } else {
        command(reply, text, owner)
    };
    let done = match act(engine, &rules, &case, command, Some(inbound), now).await? {
        Ok(()) => true,
        // A closed case takes no new work, but what they wrote is noted.
        Err(error) => {
            info!("{case}: an answer by SMS is noted only: {error}");
            act(engine, &rules, &case, contact(&shown(text)), Some(inbound), now)
                .await?
                .is_ok()
        }
    };
    if !done {
        warn!("{case}: an answer by SMS can be neither carried out nor noted; it is left aside");
        return finish(engine, inbound, now).await;
    }
    engine.bells.planner.notify_one();
    Ok(true)
}

/// Whether the case asks for the same already: one more message is noted, but is no more work.
fn is_asked_already(case: &Case, reply: Reply) -> bool {
    match reply {
        Reply::Confirmed | Reply::OptOut => false,
        Reply::Call => {
            let mut open = case.callbacks.iter().filter(|callback| callback.kept.is_none());
            open.any(|callback| callback.words == ASKS_FOR_A_CALL)
        }
        Reply::Words => {
            let open = case.todos.iter().filter(|todo| todo.done.is_none());
            open.filter(|todo| todo.words.starts_with(WROTE)).count() >= UNREAD_MAX
        }
    }
}

fn command(reply: Reply, text: &str, owner: Option<StaffId>) -> Command {
    match reply {
        Reply::Confirmed => contact("短信回复 1(已知悉) / answered 1 (has read it)"),
        Reply::OptOut => contact("短信回复退订 / opted out of SMS"),
        Reply::Call => Command::Promise {
            words: ASKS_FOR_A_CALL.to_owned(),
            due: None,
            by: owner,
        },
        Reply::Words => Command::Todo {
            words: format!("{WROTE} {}", shown(text)),
            due: None,
            by: owner,
        },
    }
}

fn contact(note: &str) -> Command {
    Command::Contact {
        direction: Direction::In,
        kind: ContactKind::Sms,
        note: note.to_owned(),
        at: None,
    }
}

/// As people may read it: nothing invisible, not endless.
pub(super) fn shown(text: &str) -> String {
    let visible: String = text
        .chars()
        .filter(|letter| !letter.is_control() || *letter == '\n')
        .collect();
    let cut: String = visible.trim().chars().take(WORDS_MAX).collect();
    clean_text(&cut, WORDS_MAX).unwrap_or_else(|_| {
        let plain = |letter: &char| letter.is_alphanumeric() || letter.is_ascii_punctuation() || *letter == ' ';
        cut.chars().filter(plain).collect()
    })
}

/// Who reads it: the owner, else a supervisor of the unit.
fn reader_of(rules: &Rules, owner: &StaffId, unit: &UnitId) -> Option<StaffId> {
    let org = &rules.rulebook.org;
    if org.staff.contains_key(owner) {
        return Some(owner.clone());
    }
    org.with_role(unit, Role::BusinessSupervisor)
        .next()
        .map(|staff| staff.id.clone())
}

/// In xixin's own name: nobody of the staff did this.
async fn act(
    engine: &Engine,
    rules: &Rules,
    case: &CaseId,
    command: Command,
    inbound: Option<&str>,
    now: Timestamp,
) -> Result<Result<(), DeskError>, StoreError> {
    let Some(stored) = engine.store.case(case).await? else {
        return Ok(Err(DeskError::NoCase(case.clone())));
    };
    let actor = Staff {
        id: StaffId::from("xixin"),
        name: "悉心".to_owned(),
        unit: stored.case.unit.clone(),
        role: Role::Clerk,
        email: None,
        mobile: None,
        digest: false,
        leaves: None,
        absences: Vec::new(),
    };
    let desk = Desk::of_system(&engine.store, &rules.rulebook, &actor, inbound);
    match desk.act(case, command, now).await {
        Ok(_) => Ok(Ok(())),
        Err(DeskError::Store(error)) => Err(error),
        Err(error) => Ok(Err(error)),
    }
}

async fn finish(engine: &Engine, inbound: &str, now: Timestamp) -> Result<bool, StoreError> {
    let mut tx = engine.store.begin().await?;
    mark_handled(&mut tx, inbound, now).await?;
    commit(tx, "note what has been handled").await?;
    Ok(true)
}
