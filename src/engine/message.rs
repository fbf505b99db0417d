//! What a text may say about a reminder: facts, already masked and put into words.

use crate::domain::person::Language;
use crate::domain::plan::decide::Scene;
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::recheck::Queued;
use crate::store::queue::Claimed;
use crate::template::Message;

pub fn for_reminder(_scene: &Scene<'_>, _dated: &Dated<'_>, _queued: &Queued, _row: &Claimed) -> Message {
    Message {
        language: Language::Chinese,
    }
}
