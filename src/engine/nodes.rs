//! This node among others that share the database. It says that it lives, every few seconds; whoever has not done so for a while is taken
//! for dead, and what it had in hand is settled by the others. There is no leader: every node does all of it.
//!
//! A node that may have been taken for dead begins to send nothing: it stops well before the others may think so. One whose clock or whose
//! rules differ says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::settings::Settings;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::engine::gate::Life;
use crate::engine::live::Rules;
use crate::engine::reconcile::MeetError;
use crate::engine::status::zone_text;
use crate::engine::takeover::TakenOver;
use crate::lifecycle::Beat;
use crate::store::interrupted::Whose;
use crate::store::nodes::Sign;
use crate::store::{StoreError, instant_of};
use crate::telemetry::chain;

/// Between two signs of life.
const EVERY: Duration = Duration::from_secs(5);
/// So long a node lives after its last one.
const LEASE: Duration = Duration::from_secs(45);
/// So long before its end it begins to send nothing more: what is on the wire then has time to come to its end.
const MARGIN: Duration = Duration::from_secs(20);
/// Whoever has just come back to the database is not the only one: the others have so long to say that they live, before any is taken
/// for dead.
const UNBROKEN: Duration = Duration::from_secs(30);
/// A clock that differs by more is told.
const AHEAD_TOLD: SignedDuration = SignedDuration::from_secs(5);
/// By more, and nothing is sent by it.
const AHEAD_MAX: SignedDuration = SignedDuration::from_secs(60);

/// What a run is called in leases. Those of one node begin alike.
pub(crate) fn run_of(node: &str, run: &str) -> String {
    match node {
        "" => run.to_owned(),
        node => format!("{node}/{run}"),
    }
}

/// What this node knows of itself.
#[derive(Debug)]
pub struct Node {
    /// Machine and data directory.
    place: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Until when it lives, and since when it has without a break, by the steady clock.
    until: Option<Duration>,
    since: Duration,
    ahead: SignedDuration,
    /// The generation of its rules, as the database counts it now.
    generation: i64,
    /// Others go by newer rules.
    is_odd: bool,
    /// Something had left that the ledger does not know.
    knows_earlier: bool,
}

impl Node {
    pub(crate) fn new(settings: &Settings) -> Self {
        let dir = std::path::absolute(&settings.state_dir).unwrap_or_else(|_| settings.state_dir.clone());
        Self {
            place: format!("{}:{}", host(), dir.display()),
            known: Mutex::default(),
        }
    }

    pub(crate) fn knows_earlier(&self) -> bool {
        self.known().knows_earlier
    }

    pub(crate) fn set_knows_earlier(&self, knows: bool) {
        self.known().knows_earlier = knows;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of this machine.
pub fn host() -> String {
    hostname::get().unwrap_or_default().to_string_lossy().into_owned()
}

/// Another node has the name of this one.
#[derive(Debug, thiserror::Error)]
#[error(
    "已有一个名为 {0} 的节点在运行(见 xixin ctl nodes)。请在 xixin.toml 用 node 给每个节点不同的名字;若那个节点刚刚异常退出,一分钟后再启动 / \
     a node called {0} is running already (see xixin ctl nodes). Give each node a name of its own: node in xixin.toml; if that one has just died, start again in a minute"
)]
pub struct NameTaken(String);

/// Why a sign of life was not given.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    NameTaken(NameTaken),
    #[error(transparent)]
    Meet(#[from] MeetError),
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        Self::Meet(error.into())
    }
}

impl Engine {
    /// Whether other nodes go by newer rules, so that this one plans nothing.
    pub fn is_odd(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.known().is_odd)
    }

    /// The generation that is written with what is planned by these rules.
    pub(crate) fn generation(&self, rules: &Rules) -> i64 {
        let known = self.node.as_ref().map_or(0, |node| node.known().generation);
        known.max(rules.generation)
    }

    /// Says that this node lives, on the server it has met. Nothing where it is alone.
    pub async fn sign_of_life(&self) -> Result<(), NodeError> {
        let Some(node) = &self.node else { return Ok(()) };
        self.meet_server().await?;
        let rules = self.live.get();
        let sign = Sign {
            name: self.store.node(),
            instance: &self.holder,
            place: &node.place,
            rules: &rules.fingerprint,
            state: "serving",
            ahead_ms: i64::try_from(node.known().ahead.as_millis()).unwrap_or(i64::MAX),
        };
        let (steady, wall) = (self.clock.steady(), self.clock.now());
        let lease_ms = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let Some(server_ms) = self.store.sign_of_life(&sign, lease_ms).await? else {
            return Err(NodeError::NameTaken(NameTaken(self.store.node().to_string())));
        };
        let answered = self.clock.steady();
        let took = answered.saturating_sub(steady);
        self.lives(node, steady, answered);
        // What was recorded before can begin no more.
        self.gate.set_comparing(false);
        // The server was asked somewhere between.
        let asked = wall.checked_add(took / 2).unwrap_or(wall);
        self.compare_clocks(node, asked.duration_since(instant_of(server_ms)));
        self.compare_rules(node, &rules).await?;
        Ok(())
    }

    /// This run ends: what it could not finish the others need not wait for.
    pub async fn end_life(&self) {
        if self.node.is_some()
            && let Err(error) = self.store.end_life(&self.holder).await
        {
            warn!(error = %chain(&error), "the other nodes are not told that this one ends; they find out soon");
        }
    }

    /// What was recorded up to now does not begin any more.
    pub(crate) fn lives_anew(&self) {
        if let Some(node) = &self.node {
            node.known().until = None;
        }
    }

    /// It was asked for at one instant and granted before the other.
    fn lives(&self, node: &Node, asked: Duration, answered: Duration) {
        let mut known = node.known();
        if known.until.is_none_or(|until| until < answered) {
            known.since = answered;
        }
        known.until = Some(asked + LEASE);
        self.gate.live(Life {
            clock: Arc::clone(&self.clock),
            since: known.since,
            until: asked + (LEASE - MARGIN),
        });
    }

    fn compare_clocks(&self, node: &Node, ahead: SignedDuration) {
        let before = std::mem::replace(&mut node.known().ahead, ahead);
        let seconds = ahead.as_secs_f64();
        if ahead.abs() > AHEAD_TOLD && before.abs() <= AHEAD_TOLD {
            warn!(
                seconds,
                "the clock of this node is {seconds:.1} s ahead of that of the database server: set both by NTP"
            );
        }
        let said = (ahead.abs() > AHEAD_MAX).then(|| {
            Said::new(
                format!("本机时间与数据库服务器相差{seconds:.0}秒,暂停发送,请校准时间"),
                format!("the clock of this node is {seconds:.0} s ahead of that of the database server, so it sends nothing: set both by NTP"),
            )
        });
        if said.is_some() && before.abs() <= AHEAD_MAX {
            error!(
                "the clock of this node is {seconds:.0} s ahead of that of the database server: it sends nothing until both agree"
            );
        }
        self.gate.set_clock_off(said);
    }

    /// The rules that were noted last count, as long as anybody goes by them. Whoever goes by others says so and plans nothing.
    async fn compare_rules(&self, node: &Node, rules: &Rules) -> Result<(), StoreError> {
        let in_force = self.store.rules_in_force().await?;
        let (is_odd, generation) = match in_force {
            Some((generation, fingerprint)) if fingerprint == rules.fingerprint => (false, generation),
            Some((_, fingerprint)) if self.lives_by(&fingerprint).await? => (true, 0),
            _ => (false, self.store.rules_generation(&rules.fingerprint).await?),
        };
        let was = {
            let mut known = node.known();
            known.generation = generation;
            std::mem::replace(&mut known.is_odd, is_odd)
        };
        match (was, is_odd) {
            (false, true) => error!(
                "other nodes go by newer rules than this one: it plans nothing and queues no digests until its configuration is the same and was reloaded; see `xixin ctl nodes`"
            ),
            (true, false) => info!("this node goes by the rules in force again"),
            _ => {}
        }
        Ok(())
    }

    /// Whether another node that lives goes by these rules.
    async fn lives_by(&self, fingerprint: &str) -> Result<bool, StoreError> {
        let nodes = self.store.nodes().await?;
        let mut others = nodes
            .iter()
            .filter(|node| node.left_ms >= 0 && node.instance != *self.holder);
        Ok(others.any(|node| node.rules == fingerprint))
    }

    /// Settles what is left behind by nodes that live no longer, once all had the time to say that they do.
    pub async fn settle_dead(&self, now: Timestamp) -> Result<TakenOver, StoreError> {
        let Some(node) = &self.node else {
            return Ok(TakenOver::default());
        };
        let steady = self.clock.steady();
        let is_sure = {
            let known = node.known();
            known.until.is_some_and(|until| steady < until) && steady.saturating_sub(known.since) >= UNBROKEN
        };
        if !is_sure || !self.store.any_left_behind().await? {
            return Ok(TakenOver::default());
        }
        self.settle(Whose::Dead, now).await
    }
}

/// Says that this node lives and settles what others have left behind, until told to stop.
pub async fn run(engine: Engine, beat: Beat, stop: CancellationToken) {
    loop {
        beat.now();
        match engine.sign_of_life().await {
            Ok(()) => settle(&engine).await,
            Err(error) => {
                error!(error = %chain(&error), "this node cannot say that it lives; it begins to send nothing soon");
                match &error {
                    NodeError::Meet(MeetError::Store(error)) => engine.note_store_error(error).await,
                    NodeError::Meet(MeetError::Log(error)) => engine.react_to_log(error).await,
                    NodeError::NameTaken(_) => {}
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn settle(engine: &Engine) {
    if let Err(error) = engine.wait_for_nodes().await {
        error!(error = %chain(&error), "it cannot be seen which nodes have told what left");
        engine.note_store_error(&error).await;
    }
    match engine.settle_dead(engine.clock.now()).await {
        Ok(TakenOver {
            again: 0,
            held: 0,
            doubtful: 0,
        }) => {}
        Ok(TakenOver { again, held, doubtful }) => {
            warn!(
                again,
                held,
                doubtful,
                "another node has died: {again} of its reminders queued again, {held} held because runs die over them, \
                 {doubtful} messages need a person's eyes"
            );
            engine.bells.ring_senders();
        }
        Err(error) => {
            error!(error = %chain(&error), "what other nodes have left behind cannot be settled");
            engine.note_store_error(&error).await;
        }
    }
}

/// A node, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub name: String,
    pub alive: bool,
    pub state: String,
    pub started: String,
    pub place: String,
    pub version: String,
    pub rules: String,
    pub in_hand: i64,
    /// What is odd about it, in both languages.
    pub odd: Vec<String>,
}

/// All nodes; none where the database is a file.
pub async fn list(engine: &Engine) -> Result<Vec<Shown>, StoreError> {
    if engine.node.is_none() {
        return Ok(Vec::new());
    }
    let in_force = engine.store.rules_in_force().await?.map(|(_, fingerprint)| fingerprint);
    let zone = engine.live.get().rulebook.zone.clone();
    let shown = |node: crate::store::nodes::Node| {
        let alive = node.left_ms >= 0;
        let ahead = SignedDuration::from_millis(node.ahead_ms);
        let mut odd = Vec::new();
        if alive && in_force.as_ref() != Some(&node.rules) {
            odd.push("规则与其他节点不同,不作计划;请统一配置后 ctl reload / other rules than in force: it plans nothing; make the configuration the same, then ctl reload".to_owned());
        }
        if alive && node.version != env!("CARGO_PKG_VERSION") {
            odd.push("版本不同 / another version".to_owned());
        }
        if alive && ahead.abs() > AHEAD_TOLD {
            let seconds = ahead.as_secs_f64();
            odd.push(format!(
                "时间与数据库服务器相差 {seconds:.1} 秒 / its clock is {seconds:.1} s ahead of the database server"
            ));
        }
        if node.owed.is_some() {
            odd.push(
                "数据库换了服务器,尚未报告已发出的,其他节点在等它 / has not told what it had sent before the database came to another server: the others wait for it"
                    .to_owned(),
            );
        }
        Shown {
            alive,
            started: zone_text(instant_of(node.started_ms), &zone),
            name: node.name,
            state: node.state,
            place: node.place,
            version: node.version,
            rules: node.rules,
            in_hand: node.in_hand,
            odd,
        }
    };
    Ok(engine.store.nodes().await?.into_iter().map(shown).collect())
}
