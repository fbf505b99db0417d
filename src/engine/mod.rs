//! Where facts, rules, the ledger and the channels meet. Every loop is *wait, then a public step*; the step is what tests call.
//!
//! ```text
//! desk ── commands ──→ facts        planner ── decisions ──→ ledger        sender ── attempts ──→ channels
//!                                   digests ── one a day ──→ ledger        recorder ←── outcomes ──┘
//! ```

pub mod alike;
pub mod asker;
pub mod audit;
pub mod bell;
pub mod bounces;
pub mod breaker;
pub mod calendar_news;
mod calls;
mod cap;
pub mod case_page;
pub mod desk;
pub mod diff;
pub mod digest_content;
pub mod digests;
pub mod document;
mod earlier;
pub mod foresee;
pub mod forms;
pub mod gate;
mod gather;
pub mod guard;
mod guard_notice;
pub mod hand_over;
pub mod heartbeat;
pub mod hints;
pub mod inbound;
mod instead;
mod invite;
mod joining;
pub mod live;
pub mod lookout;
pub mod mailers;
pub mod message;
mod next;
pub mod nodes;
mod open_cases;
mod pace;
pub mod person;
mod place;
pub mod planner;
pub mod prepare;
pub mod reconcile;
pub mod recorder;
mod replies;
mod resend;
pub mod retention;
pub mod sender;
mod settle;
pub mod simulate;
mod staff_mail;
pub mod status;
pub mod takeover;
pub mod test_message;
pub mod ticker;
pub(crate) mod trouble;
pub mod waits;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::event::Event;
use crate::domain::house::{House, View};
use crate::domain::ids::{CaseId, PersonId, ReminderId};
use crate::domain::ladder::Way;
use crate::store::ballast::Ballast;
use crate::store::sent::SentLog;
use crate::store::{Store, StoreError, commit, events};
use live::Live;

/// Between two looks at the database when nothing else wakes a loop.
pub const POLL: Duration = Duration::from_secs(15);
/// The same where other nodes queue and hold, which ring no bell here.
const POLL_SHARED: Duration = Duration::from_secs(5);

/// What every loop shares.
#[derive(Clone)]
pub struct Engine {
    pub store: Store,
    pub live: Live,
    pub clock: Arc<dyn Clock>,
    /// Names this run in leases.
    pub holder: Arc<str>,
    pub bells: Arc<Bells>,
    pub gate: Arc<gate::Gate>,
    pub breakers: Arc<Breakers>,
    /// One at a time, of both ways: what a run may have died over is handled alone, so that the next death has one name.
    alone: Arc<tokio::sync::Semaphore>,
    /// What has left, outside the database.
    pub sent: Arc<SentLog>,
    ballast: Arc<Ballast>,
    pub bell: Arc<bell::Bell>,
    pub guard: Arc<guard::Guard>,
    pub heartbeat: Arc<heartbeat::Heartbeat>,
    /// Held from counting a resident's messages of the day until the next attempts are recorded, so that two batches cannot both find
    /// room under the same cap.
    told_count: Arc<tokio::sync::Mutex<()>>,
    /// What this node knows of itself among others; `None` where it is alone.
    pub node: Option<Arc<nodes::Node>>,
}

/// One breaker per provider.
#[derive(Debug, Default)]
pub struct Breakers {
    pub email: mailers::Mailers,
    pub sms: breaker::Breaker,
}

impl Engine {
    /// An engine at rest; its loops are started by whoever runs it.
    pub fn new(
        store: Store,
        rules: live::Rules,
        clock: Arc<dyn Clock>,
        sent: SentLog,
        ballast: Ballast,
        bell: bell::Bell,
    ) -> Self {
        let run = format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple());
        let holder = nodes::run_of(store.node(), &run);
        let node = store.is_shared().then(|| Arc::new(nodes::Node::new(&rules.settings)));
        let breakers = Breakers::default();
        breakers.email.keep(&rules);
        Self {
            store,
            live: Live::new(rules),
            clock,
            holder: holder.into(),
            bells: Arc::default(),
            gate: Arc::default(),
            breakers: Arc::new(breakers),
            alone: Arc::new(tokio::sync::Semaphore::new(1)),
            sent: Arc::new(sent),
            ballast: Arc::new(ballast),
            bell: Arc::new(bell),
            guard: Arc::default(),
            heartbeat: Arc::default(),
            told_count: Arc::default(),
            node,
        }
    }

    /// The longest wait between two looks at the database.
    pub(crate) fn poll(&self) -> Duration {
        if self.node.is_some() { POLL_SHARED } else { POLL }
    }

    /// The instant by which a loop acts now. A clock that jumped is noticed here, before anything is decided by it.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        if let Some(jump) = self.gate.look_at_clock(now, self.clock.steady()) {
            let jump_s = jump.as_secs();
            tracing::error!(
                jump_s,
                "the clock jumped by {jump_s} s; nothing is planned or sent until somebody confirms the time with `xixin ctl resume`"
            );
        }
        now
    }

    /// Notes that `who` sees these cases, before anything is shown: what cannot be noted is not shown.
    pub async fn note_view(&self, who: &str, view: View, cases: &[&CaseId], now: Timestamp) -> Result<(), StoreError> {
        let (case, seen) = House::viewed(view, cases);
        let mut tx = self.store.begin().await?;
        events::append(&mut tx, now, &case, who, &[Event::House(seen)]).await?;
        commit(tx, "note who looked").await
    }

    /// Notes outside the database whether a provider took these. Before the database is told: once a row is queued again it may be on
    /// its way, and the log would say of it that it never left.
    pub(crate) async fn note_ends(&self, ends: Vec<(crate::store::sent::Key, bool)>) {
        if ends.is_empty() {
            return;
        }
        let log = Arc::clone(&self.sent);
        let noted = tokio::task::spawn_blocking(move || log.ended(&ends)).await;
        if let Err(error) = noted.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            let path = self.sent.path().display();
            tracing::warn!("outcomes cannot be noted in {path}: {error}; after a restore a person is asked about them");
        }
    }
}

impl Engine {
    /// What was noted of outcomes outlives the power as well: the database cannot be told of them now.
    pub(crate) async fn keep_ends(&self) {
        if !self.sent.is_written() {
            return;
        }
        let log = Arc::clone(&self.sent);
        let kept = tokio::task::spawn_blocking(move || log.make_durable()).await;
        if let Err(error) = kept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            self.react_to_log(&error).await;
        }
    }
}

/// What wakes the loops before their time.
#[derive(Debug, Default)]
pub struct Bells {
    /// Facts or rules changed.
    pub planner: Notify,
    /// Something was queued.
    pub email: Arc<Notify>,
    pub sms: Arc<Notify>,
    /// The day's digests may be due.
    pub digests: Notify,
    /// Something came in, or the gateways are others.
    pub inbound: Notify,
}

impl Bells {
    pub fn ring_all(&self) {
        self.planner.notify_one();
        self.digests.notify_one();
        self.inbound.notify_one();
        self.ring_senders();
    }

    /// The one that wakes a way's sender.
    pub(crate) fn of(&self, way: Way) -> &Arc<Notify> {
        if way == Way::Email { &self.email } else { &self.sms }
    }

    pub fn ring_senders(&self) {
        self.email.notify_one();
        self.sms.notify_one();
    }
}

/// Ids are given at the edge; the domain never makes them up.
pub fn new_reminder() -> ReminderId {
    ReminderId::from(uuid::Uuid::now_v7().to_string())
}

pub fn new_person() -> PersonId {
    PersonId::from(format!("p-{}", uuid::Uuid::now_v7().simple()))
}
