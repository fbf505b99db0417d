//! The desk: where commands from every entrance are carried out. Facts, events, agenda and the wake-up change in one transaction, or
//! nothing does.

use jiff::Timestamp;

use crate::domain::agenda::{self, Entry};
use crate::domain::booking::Booking;
use crate::domain::case::Case;
use crate::domain::command::{self, Change, Command, Context, NewCase, Refusal};
use crate::domain::event::Event;
use crate::domain::ids::{CaseId, ItemId, PersonId, StaffId};
use crate::domain::org::Staff;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::reminder::Recipient;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, shown};
use crate::engine::alike::{self, Likeness};
use crate::engine::new_person;
use crate::store::lock::{self, Lock};
use crate::store::people::Sign;
use crate::store::requests::{self, Known, Once, Receipt};
use crate::store::{
    Store, StoreError, Tx, agenda as agenda_rows, calls, cases, commit, events, inbound, labels, people,
};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("{0}")]
    Refused(Refusal),
    #[error("没有案件 {id}。用 xixin case list 查看。\nthere is no case {id}; see xixin case list", id = shown(.0.as_str()))]
    NoCase(CaseId),
    #[error(
        "同样的诉求已经立案({0}),刚刚由别人录入。没有写入;请重新预览。\n\
         the same request is open already ({0}): somebody else has just entered it; nothing was written, look at the preview again"
    )]
    Repeated(CaseId),
    #[error(
        "案件 {case} 已被别人改过,现在是第 {version} 版。什么也没有写入;请重新读取后再办。\n\
         case {case} was changed by somebody else and is at version {version} now; nothing was written: read it again, then repeat"
    )]
    Changed { case: CaseId, version: i64 },
    /// Nothing more was done.
    #[error("这个请求先前已办理({0:?})。\nthis request was carried out before ({0:?})")]
    Before(Receipt),
    #[error(
        "这个键已用于另一个请求。什么也没有写入;每个新请求请用新的键。\n\
         the key stands for another request; nothing was written: give every new request a key of its own"
    )]
    KeyTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refusal> for DeskError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// On which terms a command is carried out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// On this version of the case and on no other.
    pub version: Option<i64>,
    /// Once, however often it comes.
    pub once: Option<&'a Once>,
}

/// Carries out commands for one member of staff.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    store: &'a Store,
    rules: &'a Rulebook,
    actor: &'a Staff,
    /// What came in from outside, done with by the next command.
    inbound: Option<&'a str>,
}

/// How often a command is tried again when somebody else changed the same case at the same moment, or when the server gave it up for
/// somebody else.
const TRIES: usize = 5;

impl<'a> Desk<'a> {
    pub fn new(store: &'a Store, rules: &'a Rulebook, actor: &StaffId) -> Result<Self, DeskError> {
        let Some(actor) = rules.org.staff.get(actor) else {
            let actor = shown(actor.as_str());
            let known: Vec<&str> = rules.org.staff.keys().map(StaffId::as_str).collect();
            return Err(DeskError::Refused(Refusal {
                field: Some("--as".to_owned()),
                what: Said::new(
                    format!("没有工作人员“{actor}”"),
                    format!("there is no member of staff \"{actor}\""),
                ),
                fix: Said::new(
                    format!("可用的有: {}", known.join(", ")),
                    format!("known are: {}", known.join(", ")),
                ),
            }));
        };
        let inbound = None;
        Ok(Self {
            store,
            rules,
            actor,
            inbound,
        })
    }

    /// For what no member of staff does. With `inbound`, the command and the note that it is done with are one transaction, and a second
    /// time nothing is done.
    pub fn of_system(store: &'a Store, rules: &'a Rulebook, actor: &'a Staff, inbound: Option<&'a str>) -> Self {
        Self {
            store,
            rules,
            actor,
            inbound,
        }
    }

    /// In whose name it works.
    pub fn actor(&self) -> &'a Staff {
        self.actor
    }

    /// Opens a case and returns its number.
    pub async fn open(&self, new: NewCase, now: Timestamp) -> Result<Change, DeskError> {
        let mut opened = self.open_all(vec![new], false, now).await?;
        Ok(opened.remove(0))
    }

    /// Opens a case once, however often the request comes.
    pub async fn open_once(&self, new: NewCase, once: &Once, now: Timestamp) -> Result<Receipt, DeskError> {
        for _ in 1..TRIES {
            match self.try_open_once(new.clone(), once, now).await {
                Err(DeskError::Store(error)) if is_passing(&error) => {}
                done => return done,
            }
        }
        self.try_open_once(new, once, now).await
    }

    async fn try_open_once(&self, new: NewCase, once: &Once, now: Timestamp) -> Result<Receipt, DeskError> {
        let mut tx = self.begin_opening(std::slice::from_ref(&new)).await?;
        never_before(&mut tx, once).await?;
        let opened = self.open_chunk(&mut tx, vec![new], false, now).await?;
        let change = &opened[0];
        let receipt = receipt(&change.case, None, 1, self.rules);
        noted(&mut tx, once, &receipt, now).await?;
        self.tell(&mut tx, &[(&change.case.id, &change.events)], now).await?;
        commit(tx, "open a case").await?;
        Ok(receipt)
    }

    /// Opens many cases, all or none. `imported` marks them as history: nothing that was due before now is ever sent.
    pub async fn open_all(&self, new: Vec<NewCase>, imported: bool, now: Timestamp) -> Result<Vec<Change>, DeskError> {
        for _ in 1..TRIES {
            match self.try_open_all(new.clone(), imported, now).await {
                Err(DeskError::Store(error)) if error.is_given_up() => {}
                done => return done,
            }
        }
        self.try_open_all(new, imported, now).await
    }

    async fn try_open_all(&self, new: Vec<NewCase>, imported: bool, now: Timestamp) -> Result<Vec<Change>, DeskError> {
        let mut tx = self.begin_opening(&new).await?;
        let mut opened = Vec::with_capacity(new.len());
        for chunk in chunks(new) {
            opened.extend(self.open_chunk(&mut tx, chunk, imported, now).await?);
        }
        let told = opened.iter().map(|change| (&change.case.id, change.events.as_slice()));
        self.tell(&mut tx, &told.collect::<Vec<_>>(), now).await?;
        commit(tx, "open cases").await?;
        Ok(opened)
    }

    /// Takes cases over as history, all or none, and returns their numbers. Refuses when one of `unless` is open already: somebody
    /// else may have taken the same list over since it was looked through.
    pub async fn import(
        &self,
        new: Vec<NewCase>,
        unless: &[Likeness],
        now: Timestamp,
    ) -> Result<Vec<CaseId>, DeskError> {
        let mut tx = self.begin_opening(&new).await?;
        if let Some((_, case)) = alike::repeated(self.store, &mut tx, unless).await?.first() {
            return Err(DeskError::Repeated(case.clone()));
        }
        let mut opened = Vec::with_capacity(new.len());
        for chunk in chunks(new) {
            let changes = self.open_chunk(&mut tx, chunk, true, now).await?;
            opened.extend(changes.into_iter().map(|change| (change.case.id, change.events)));
        }
        let told = opened.iter().map(|(id, events)| (id, events.as_slice()));
        self.tell(&mut tx, &told.collect::<Vec<_>>(), now).await?;
        commit(tx, "take cases over").await?;
        Ok(opened.into_iter().map(|(id, _)| id).collect())
    }

    /// Who comes for the first time, and who is bound when, stands until the cases are written.
    async fn begin_opening(&self, new: &[NewCase]) -> Result<Tx, StoreError> {
        let locks: &[Lock] = match new.iter().any(books) {
            true => &[Lock::Openings, Lock::Bookings],
            false => &[Lock::Openings],
        };
        lock::begin(self.store, locks, None).await
    }

    /// Writes the events of many cases, after everything else.
    async fn tell(&self, tx: &mut Tx, told: &[(&CaseId, &[Event])], now: Timestamp) -> Result<(), StoreError> {
        for told in told.chunks(CHUNK) {
            events::append_all(tx, now, self.actor.id.as_str(), told).await?;
        }
        Ok(())
    }

    /// Opens some cases with a few statements in all, as if one after the other. What happened is told afterwards.
    async fn open_chunk(
        &self,
        tx: &mut Tx,
        new: Vec<NewCase>,
        imported: bool,
        now: Timestamp,
    ) -> Result<Vec<Change>, DeskError> {
        let year = self.rules.zone.to_datetime(now).year();
        let ids = cases::next_numbers(tx, year, new.len()).await?;
        let busy = self.busy(new.iter().any(books), now).await?;
        let context = self.context(now, &busy);
        let open = |(id, new)| command::open(id, new, imported, &context);
        let mut changes: Vec<Change> = ids.into_iter().zip(new).map(open).collect::<Result<_, _>>()?;
        let signs: Vec<Sign> = changes.iter().filter_map(sign).collect();
        let mut known = people::known_residents(tx, &signs).await?;
        for change in &mut changes {
            let Some(sign) = sign(change) else { continue };
            let people = known.entry(sign).or_default();
            change.adopt(people);
            // Whoever comes twice in one list has been here before, the second time.
            remember(people, &change.people);
        }
        let opened: Vec<&Case> = changes.iter().map(|change| &change.case).collect();
        cases::insert(tx, &opened).await?;
        people::put(
            tx,
            &changes.iter().flat_map(|change| &change.people).collect::<Vec<_>>(),
        )
        .await?;
        let residents: Vec<&PersonId> = opened.iter().map(|case| &case.party.person).collect();
        let ids: Vec<&CaseId> = opened.iter().map(|case| &case.id).collect();
        cases::touch_others_of(tx, &residents, &ids).await?;
        let entries: Vec<Vec<Entry>> = opened.iter().map(|case| self.entries(case)).collect();
        let rows = opened.iter().zip(&entries);
        let rows: Vec<_> = rows
            .map(|(case, entries)| (&case.id, &case.unit, entries.as_slice()))
            .collect();
        agenda_rows::replace(tx, &rows).await?;
        // A case may be opened with something to be counted; most have nothing, and imports are long.
        for case in &opened {
            labels::insert(tx, case, &self.rules.zone).await?;
        }
        Ok(changes)
    }

    /// The agenda of a case.
    fn entries(&self, case: &Case) -> Vec<Entry> {
        let live = case.live_items(self.rules);
        let items: Vec<Dated<'_>> = live.map(|item| Dated::new(self.rules, item)).collect();
        agenda::project(self.rules, case, &items)
    }

    /// Who is bound when, for what books somebody; nothing for everything else.
    async fn busy(&self, books: bool, now: Timestamp) -> Result<Vec<Booking>, StoreError> {
        if books {
            self.store.bookings(now).await
        } else {
            Ok(Vec::new())
        }
    }

    /// What opening these cases would come to, without writing anything: one answer per case.
    pub fn rehearse(&self, new: &[NewCase], now: Timestamp) -> Vec<Result<Change, Refusal>> {
        let open = |new: &NewCase| command::open(CaseId::from("preview"), new.clone(), true, &self.context(now, &[]));
        new.iter().map(open).collect()
    }

    /// Carries out one command on a case.
    pub async fn act(&self, id: &CaseId, command: Command, now: Timestamp) -> Result<Change, DeskError> {
        let (change, _) = self.act_on(id, command, Terms::default(), now).await?;
        Ok(change)
    }

    /// The same on certain terms.
    pub async fn act_on(
        &self,
        id: &CaseId,
        command: Command,
        terms: Terms<'_>,
        now: Timestamp,
    ) -> Result<(Change, Receipt), DeskError> {
        let mut last = None;
        for _ in 0..TRIES {
            match self.try_act(id, command.clone(), terms, now).await {
                Err(DeskError::Store(error)) if is_passing(&error) => last = Some(error),
                done => return done,
            }
        }
        Err(last.map_or_else(|| DeskError::NoCase(id.clone()), DeskError::Store))
    }

    async fn try_act(
        &self,
        id: &CaseId,
        command: Command,
        terms: Terms<'_>,
        now: Timestamp,
    ) -> Result<(Change, Receipt), DeskError> {
        // Held first: what is read now nobody else can change before the commit.
        let locks: &[Lock] = if command.books() { &[Lock::Bookings] } else { &[] };
        let mut tx = lock::begin(self.store, locks, Some(id)).await?;
        if let Some(once) = terms.once {
            never_before(&mut tx, once).await?;
        }
        let stored = self
            .store
            .case(id)
            .await?
            .ok_or_else(|| DeskError::NoCase(id.clone()))?;
        if terms.version.is_some_and(|version| version != stored.version) {
            let (case, version) = (id.clone(), stored.version);
            return Err(DeskError::Changed { case, version });
        }
        let around = self.store.people_of(&stored.case.party.person).await?;
        let command = self.with_whom_it_called(command).await?;
        let busy = self.busy(command.books(), now).await?;
        let change = command::apply(&stored.case, &around, command, &self.context(now, &busy))?;
        let receipt = receipt(&change.case, Some(&stored.case), stored.version + 1, self.rules);
        if let Some(inbound) = self.inbound
            && !inbound::mark_handled(&mut tx, inbound, now).await?
        {
            return Ok((change, receipt));
        }
        cases::save(&mut tx, &change.case, stored.version).await?;
        if let Some(once) = terms.once {
            noted(&mut tx, once, &receipt, now).await?;
        }
        self.write_rest(&mut tx, &change, now).await?;
        commit(tx, "carry out a command").await?;
        Ok((change, receipt))
    }

    /// A call task knows whom it was for; a wrong number is theirs.
    async fn with_whom_it_called(&self, mut command: Command) -> Result<Command, DeskError> {
        if let Command::TaskDone {
            task,
            person: person @ None,
            ..
        } = &mut command
        {
            let row = self.store.ledger_row(task).await?;
            let recipient = row.and_then(|row| Recipient::parse(&row.recipient));
            if let Some(Recipient::Person(id)) = recipient {
                *person = Some(id);
            }
        }
        Ok(command)
    }

    async fn write_rest(&self, tx: &mut Tx, change: &Change, now: Timestamp) -> Result<(), DeskError> {
        let case = &change.case;
        people::put(tx, &change.people.iter().collect::<Vec<_>>()).await?;
        if !change.people.is_empty() {
            cases::touch_of(tx, &case.party.person, &case.id).await?;
        }
        for task in &change.tasks_done {
            if !calls::close_task(tx, task, &case.id, now).await? {
                return Err(DeskError::Refused(Refusal {
                    field: Some("task".to_owned()),
                    what: Said::new("本案没有这样的待打电话", "the case has no such open call task"),
                    fix: Said::new("用 xixin case show 查看", "see xixin case show"),
                }));
            }
        }
        let entries = self.entries(case);
        agenda_rows::replace(tx, &[(&case.id, &case.unit, entries.as_slice())]).await?;
        labels::replace(tx, case, &self.rules.zone).await?;
        events::append(tx, now, &case.id, self.actor.id.as_str(), &change.events).await?;
        Ok(())
    }

    fn context<'b>(&'b self, now: Timestamp, busy: &'b [Booking]) -> Context<'b> {
        let new_person: &'static (dyn Fn() -> PersonId + Sync) = &new_person;
        Context {
            rules: self.rules,
            actor: self.actor,
            now,
            new_person,
            busy,
        }
    }
}

/// Whether the same command may succeed the next time, because somebody else was at it.
fn is_passing(error: &StoreError) -> bool {
    error.is_given_up() || matches!(error, StoreError::Conflict { .. })
}

/// Refuses a request that came before, with what came of it.
async fn never_before(tx: &mut Tx, once: &Once) -> Result<(), DeskError> {
    match requests::known(tx, once).await? {
        None => Ok(()),
        Some(Known::Done(receipt)) => Err(DeskError::Before(receipt)),
        Some(Known::Taken) => Err(DeskError::KeyTaken),
    }
}

async fn noted(tx: &mut Tx, once: &Once, receipt: &Receipt, now: Timestamp) -> Result<(), StoreError> {
    if requests::note(tx, once, receipt, now).await? {
        return Ok(());
    }
    // The next try finds it.
    let id = receipt.case.to_string();
    Err(StoreError::Conflict { id })
}

/// What a change came to. What is derived (the case itself, policies) is no item of it.
fn receipt(case: &Case, before: Option<&Case>, version: i64, rules: &Rulebook) -> Receipt {
    let is_numbered = |id: &ItemId| id.as_str().get(1..).is_some_and(|number| number.parse::<u32>().is_ok());
    let is_new = |id: &ItemId| before.is_none_or(|before| before.item(rules, id).is_none());
    let items = case.items(rules).map(|item| item.id().clone());
    Receipt {
        case: case.id.clone(),
        version,
        items: items.filter(|id| is_numbered(id) && is_new(id)).collect(),
    }
}

/// Whether a new case brings along something that binds somebody.
fn books(new: &NewCase) -> bool {
    !new.appointments.is_empty() || !new.escorts.is_empty()
}

/// So many cases are opened at once: lists of thousands, without a statement for every row and without holding all of it as text.
const CHUNK: usize = 500;

fn chunks(new: Vec<NewCase>) -> impl Iterator<Item = Vec<NewCase>> {
    let mut rest = new.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<NewCase> = rest.by_ref().take(CHUNK).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// By what the resident of a new case is recognised, if they have been here before.
fn sign(change: &Change) -> Option<Sign> {
    let resident = change.people.iter().find(|person| person.relative.is_none())?;
    Some((resident.phone.clone()?, resident.name.clone()))
}

/// What has been recorded of these people is known from now on.
fn remember(known: &mut People, people: &[Person]) {
    for person in people {
        if person.relative.is_none() {
            known.resident = Some(person.clone());
            continue;
        }
        match known.relatives.iter_mut().find(|old| old.id == person.id) {
            Some(old) => *old = person.clone(),
            None => known.relatives.push(person.clone()),
        }
    }
    known.relatives.sort_by(|a, b| a.id.cmp(&b.id));
}
