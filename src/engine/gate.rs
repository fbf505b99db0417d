//! Whether anything may be sent at all: pauses that people set, and the hold that xixin sets itself when it cannot be sure of the
//! time or of its storage.

use std::sync::Mutex;
use std::time::Instant;

use jiff::Timestamp;

use crate::domain::ladder::Way;
use crate::domain::text::Said;
use crate::store::switches::{ALL, Switch};

/// Kept in memory; the switches themselves are rows, so that they survive a restart and show in every process.
#[derive(Debug, Default)]
pub struct Gate {
    switches: Mutex<Vec<Switch>>,
    /// Set when a write failed: nothing is sent that cannot be recorded.
    storage_fault: Mutex<Option<String>>,
    last_look: Mutex<Option<(Timestamp, Instant)>>,
}

impl Gate {
    pub fn set_switches(&self, switches: Vec<Switch>) {
        *lock(&self.switches) = switches;
    }

    pub fn set_storage_fault(&self, fault: Option<String>) {
        *lock(&self.storage_fault) = fault;
    }

    pub fn storage_fault(&self) -> Option<String> {
        lock(&self.storage_fault).clone()
    }

    /// Why nothing may leave this way now; `None` when it is open.
    pub fn closed(&self, way: Way) -> Option<Said> {
        if lock(&self.storage_fault).is_some() {
            return Some(Said::new(
                "数据库不能写入,暂停发送",
                "the database cannot be written, so nothing is sent",
            ));
        }
        let switches = lock(&self.switches);
        let switch = switches
            .iter()
            .find(|switch| switch.name == ALL || switch.name == way.name())?;
        Some(Said::new(
            format!("已由{}暂停: {}", switch.who, switch.reason),
            format!("paused by {}: {}", switch.who, switch.reason),
        ))
    }

    /// How far the wall clock has moved away from the steady clock since the last look, when that is more than is believable.
    pub fn clock_jump(&self, now: Timestamp, steady: Instant) -> Option<jiff::SignedDuration> {
        let mut last = lock(&self.last_look);
        let before = last.replace((now, steady))?;
        let wall = now.duration_since(before.0);
        let real = jiff::SignedDuration::try_from(steady.duration_since(before.1)).unwrap_or(jiff::SignedDuration::MAX);
        let jump = wall.saturating_sub(real);
        // More than an hour: somebody has to say which time is right.
        let limit = jiff::SignedDuration::from_hours(1);
        (jump.abs() > limit).then_some(jump)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
