//! The configuration in force. A reload builds a whole new one aside and swaps it in once; whoever holds the old one finishes with it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::channel::Channels;
use crate::config::settings::Settings;
use crate::domain::rulebook::Rulebook;
use crate::template::Texts;

/// Everything a step works by, as one value: rules and texts can never be of different reloads.
pub struct Rules {
    pub settings: Settings,
    pub rulebook: Rulebook,
    pub texts: Texts,
    pub channels: Channels,
    /// SHA-256 over all rule files.
    pub fingerprint: String,
    /// Counts the different sets of rules this database has seen.
    pub generation: i64,
}

/// A handle on the rules in force.
#[derive(Clone)]
pub struct Live(Arc<ArcSwap<Rules>>);

impl Live {
    pub fn new(rules: Rules) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(rules)))
    }

    /// The rules in force now; one step takes them once and keeps to them.
    pub fn get(&self) -> Arc<Rules> {
        self.0.load_full()
    }

    pub fn swap(&self, rules: Rules) {
        self.0.store(Arc::new(rules));
    }
}
