//! Asking a gateway of the web what became of a message whose fate nobody knows.

use super::web::{Answer, Prepared};
use super::{Known, Question};
use crate::channel::build::BuildError;

/// Requests for one question at the most: to one number there is never more than a page or two in a day.
pub(super) const PAGES_MAX: usize = 10;

/// What part of its records a gateway is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Of the days that come into question, from 0.
    pub(super) day: usize,
    /// On that day, from 0.
    pub(super) number: usize,
}

/// What one answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Known(Known),
    /// It may stand on another page.
    More(Page),
    /// It gives no answer; why, without anybody's number or words.
    No(String),
}

/// How one kind of gateway is asked.
pub(super) trait Asking: Send + Sync {
    fn question(&self, question: &Question, page: Page) -> Result<Prepared, BuildError>;

    fn read(&self, question: &Question, page: Page, answer: &Answer) -> Read;
}
