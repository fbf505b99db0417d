//! The place of a message in the counts of the blast guard.

use std::sync::Arc;

use crate::domain::ladder::Way;
use crate::engine::guard::Guard;
use crate::store::holds::Counted;

/// Given back when it is dropped before the attempt is recorded: whatever goes wrong between the judgement and the attempt, a message
/// that does not leave must not keep others from leaving.
pub struct Place {
    guard: Arc<Guard>,
    way: Way,
    counted: Counted,
    is_begun: bool,
}

impl Place {
    pub(crate) fn new(guard: &Arc<Guard>, way: Way, counted: Counted) -> Self {
        Self {
            guard: Arc::clone(guard),
            way,
            counted,
            is_begun: false,
        }
    }

    pub(crate) fn counted(&self) -> &Counted {
        &self.counted
    }

    /// Its attempt is recorded, and the counts with it: from now on it is under way until it has ended.
    pub(crate) fn begun(&mut self) {
        self.is_begun = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_begun {
            self.guard.give_back(self.way, &self.counted);
        }
    }
}
