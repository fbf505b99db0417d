//! The simulated past of one case: the marks that its next planning can still ask for.

use crate::domain::reminder::{Decided, Mark};

/// The last comings of each rung for each audience. A planning asks for the last coming, and counts back from it over those that were
/// never decided until it meets one that was; with time that only goes forward, older ones are never asked for.
#[derive(Debug, Default)]
pub(super) struct Past(Vec<Mark>);

/// So many comings of one rung and audience are kept.
const KEPT: usize = 2;

impl Past {
    /// Notes a decision; later ones come later.
    pub(super) fn note(&mut self, mark: &Mark) {
        let is_same_rung = |known: &Mark| {
            known.item == mark.item
                && known.rung == mark.rung
                && known.audience == mark.audience
                && known.ladder == mark.ladder
                && known.anchor == mark.anchor
        };
        // Several recipients make several decisions of one mark.
        if self.0.iter().any(|known| known == mark) {
            return;
        }
        if self.0.iter().filter(|known| is_same_rung(known)).count() >= KEPT
            && let Some(oldest) = self.0.iter().position(is_same_rung)
        {
            self.0.remove(oldest);
        }
        self.0.push(mark.clone());
    }

    pub(super) fn add_to(&self, decided: &mut Decided) {
        for mark in &self.0 {
            decided.insert(mark.to_string());
        }
    }
}
