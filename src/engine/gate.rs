//! Whether anything may be sent at all: pauses that people set, and the hold that xixin sets itself when it cannot be sure of the
//! time or of its storage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::domain::ladder::Way;
use crate::domain::text::Said;
use crate::store::switches::{CLOCK, HOLD, Switch};

/// More than an hour: somebody has to say which time is right.
const CLOCK_JUMP_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Kept in memory; the switches themselves are rows, so that they survive a restart and show in every process.
#[derive(Debug, Default)]
pub struct Gate {
    switches: Mutex<Vec<Switch>>,
    /// Set when the database failed: nothing is sent that cannot be recorded.
    storage_fault: Mutex<Option<String>>,
    /// Set while outcomes wait to be written. Only the recorder knows when they are.
    outcomes_waiting: Mutex<Option<String>>,
    /// Set for the rest of this process: the database is damaged.
    damaged: AtomicBool,
    /// Set for the rest of this process, which ends: the disk did not make durable what was written.
    unsynced: AtomicBool,
    last_look: Mutex<Option<(Timestamp, Duration)>>,
    /// A jump of the clock that has not become a switch yet.
    clock_jump: Mutex<Option<SignedDuration>>,
    /// Where other nodes share the database: until when this one may begin to send, and by what clock.
    life: Mutex<Option<Life>>,
    /// The time of this node and that of the server are too far apart.
    clock_off: Mutex<Option<Said>>,
    /// The database came to another server, and what this node has sent is being compared with it.
    comparing: AtomicBool,
}

/// How long this node may rely on not being taken for dead.
pub struct Life {
    pub clock: Arc<dyn Clock>,
    /// Without a break, by the steady hand of the clock.
    pub since: Duration,
    pub until: Duration,
}

impl Life {
    fn is_over(&self) -> bool {
        self.clock.steady() > self.until
    }
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Gate {
    pub fn set_switches(&self, switches: Vec<Switch>) {
        *lock(&self.switches) = switches;
    }

    /// From now on nothing begins to leave outside of this.
    pub fn live(&self, life: Life) {
        *lock(&self.life) = Some(life);
    }

    /// Whether this node has not been taken for dead since an instant of its steady clock: what was recorded before a break belongs to
    /// whoever has settled it.
    pub fn has_lived_since(&self, begun: Duration) -> bool {
        lock(&self.life).as_ref().is_none_or(|life| life.since <= begun)
    }

    pub fn set_clock_off(&self, said: Option<Said>) {
        *lock(&self.clock_off) = said;
    }

    pub fn set_comparing(&self, is_comparing: bool) {
        self.comparing.store(is_comparing, Ordering::SeqCst);
    }

    pub fn set_storage_fault(&self, fault: Option<String>) {
        *lock(&self.storage_fault) = fault;
    }

    pub fn set_outcomes_waiting(&self, fault: Option<String>) {
        *lock(&self.outcomes_waiting) = fault;
    }

    /// Nothing leaves any more as long as this process lives: what the database says cannot be believed.
    pub fn set_damaged(&self) {
        self.damaged.store(true, Ordering::SeqCst);
    }

    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::SeqCst)
    }

    /// Whether everything waits until a person has looked.
    pub fn is_held(&self) -> bool {
        self.has(HOLD)
    }

    /// Whether this switch is set.
    pub fn has(&self, name: &str) -> bool {
        lock(&self.switches).iter().any(|switch| switch.name == name)
    }

    /// Nothing leaves any more as long as this process lives, whatever a second fsync says.
    pub fn set_unsynced(&self) {
        self.unsynced.store(true, Ordering::SeqCst);
    }

    pub fn is_unsynced(&self) -> bool {
        self.unsynced.load(Ordering::SeqCst)
    }

    pub fn storage_fault(&self) -> Option<String> {
        let waiting = lock(&self.outcomes_waiting).clone();
        waiting.or_else(|| lock(&self.storage_fault).clone())
    }

    /// Why nothing may leave this way now; `None` when it is open.
    pub fn closed(&self, way: Way) -> Option<Said> {
        self.broken().or_else(|| {
            let switches = lock(&self.switches);
            let switch = switches.iter().find(|switch| switch.stops(way))?;
            Some(Said::new(
                format!("已由{}暂停: {}", switch.who, switch.reason),
                format!("paused by {}: {}", switch.who, switch.reason),
            ))
        })
    }

    /// The same for everybody: without the words of whoever paused it.
    pub fn closed_in_public(&self, way: Way) -> Option<Said> {
        self.broken().or_else(|| {
            let paused = lock(&self.switches).iter().any(|switch| switch.stops(way));
            paused.then(|| Said::new("已暂停", "paused"))
        })
    }

    /// What xixin itself holds sending for.
    fn broken(&self) -> Option<Said> {
        if self.is_damaged() {
            return Some(Said::new(
                "数据库损坏,暂停发送,请由备份恢复",
                "the database is damaged, so nothing is sent; restore a backup",
            ));
        }
        if self.is_unsynced() || self.storage_fault().is_some() {
            return Some(Said::new(
                "数据库不能写入,暂停发送",
                "the database cannot be written, so nothing is sent",
            ));
        }
        if self.comparing.load(Ordering::SeqCst) {
            return Some(Said::new(
                "数据库换了服务器,正在核对已发出的,暂停发送",
                "the database came to another server: this node compares what has left, and sends nothing meanwhile",
            ));
        }
        if lock(&self.life).as_ref().is_some_and(Life::is_over) {
            return Some(Said::new(
                "本节点与数据库失去联系,别的节点可能已接手,暂停发送",
                "this node has lost the database, and others may have taken over what it had in hand: it sends nothing",
            ));
        }
        if let Some(said) = lock(&self.clock_off).clone() {
            return Some(said);
        }
        if lock(&self.clock_jump).is_some() {
            return Some(Said::new(
                "系统时间跳变,暂停发送",
                "the clock jumped, so nothing is sent",
            ));
        }
        None
    }

    /// Whether the time is in doubt. Then nothing is decided by it either: what is decided once stays decided.
    pub fn time_in_doubt(&self) -> bool {
        lock(&self.clock_jump).is_some() || self.has(CLOCK)
    }

    /// Compares the wall clock with the steady clock since the last look. Returns how far it jumped, when that is more than can be
    /// believed; from then on the time is in doubt.
    pub fn look_at_clock(&self, now: Timestamp, steady: Duration) -> Option<SignedDuration> {
        let before = lock(&self.last_look).replace((now, steady))?;
        let wall = now.duration_since(before.0);
        let real = SignedDuration::try_from(steady.saturating_sub(before.1)).unwrap_or(SignedDuration::MAX);
        let jump = wall.saturating_sub(real);
        if jump.abs() <= CLOCK_JUMP_MAX {
            return None;
        }
        *lock(&self.clock_jump) = Some(jump);
        Some(jump)
    }

    /// A jump that has still to be stored as a switch.
    pub fn unstored_jump(&self) -> Option<SignedDuration> {
        *lock(&self.clock_jump)
    }

    /// The jump is stored as a switch now, which a person takes back.
    pub fn jump_is_stored(&self) {
        *lock(&self.clock_jump) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaves_the_steady_one_by_more_than_an_hour_is_in_doubt() {
        let (start, steady) = (Timestamp::UNIX_EPOCH, Duration::from_secs(7));
        let looks = [
            // (wall clock, steady clock, in doubt), in seconds since the first look
            (10, 10, false),
            (3_610, 10, false),
            (7_211, 10, true),
            (7_221, 20, false),
            (3_620, 20, true),
            (90_020, 86_420, false),
        ];
        let gate = Gate::default();
        assert_eq!(gate.look_at_clock(start, steady), None);
        for (wall, real, doubted) in looks {
            let now = start + SignedDuration::from_secs(wall);
            let jump = gate.look_at_clock(now, steady + Duration::from_secs(real));
            assert_eq!(
                (jump.is_some(), gate.time_in_doubt()),
                (doubted, doubted),
                "{wall} {real}"
            );
            gate.jump_is_stored();
        }
    }

    #[test]
    fn what_was_not_made_durable_keeps_the_gate_closed_whatever_a_probe_says() {
        let gate = Gate::default();
        gate.set_unsynced();
        gate.set_storage_fault(None);
        gate.set_outcomes_waiting(None);
        assert!(gate.closed(Way::Email).is_some() && gate.closed_in_public(Way::Sms).is_some());
    }

    #[test]
    fn outcomes_that_wait_keep_the_gate_closed_whatever_a_probe_says() {
        let gate = Gate::default();
        gate.set_outcomes_waiting(Some("x".to_owned()));
        gate.set_storage_fault(None);
        assert!(gate.closed(Way::Email).is_some());
        gate.set_outcomes_waiting(None);
        assert!(gate.closed(Way::Email).is_none());
    }
}
