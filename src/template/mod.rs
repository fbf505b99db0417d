//! The texts: minijinja templates that supervisors edit, below `templates/<lang>/<text>/`.

use std::path::Path;

use crate::config::problem::Problem;
use crate::domain::digest::Digest;
use crate::domain::ids::TextId;
use crate::domain::ladder::{Audience, Way};
use crate::domain::person::Language;

/// A rendered message; a way takes what it needs of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    pub subject: Option<String>,
    pub body: Option<String>,
    pub html: Option<String>,
    /// Without the signature.
    pub sms: Option<String>,
}

/// The values a text may use.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Message {
    pub language: Language,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(String);

#[derive(Debug, Default)]
pub struct Texts(());

impl Texts {
    pub fn load(_dir: &Path) -> (Self, Vec<Problem>) {
        (Self(()), Vec::new())
    }

    pub fn has(&self, _text: &TextId, _way: Way, _audience: Audience) -> bool {
        true
    }

    pub fn render(&self, _text: &TextId, _message: &Message, _way: Way) -> Result<Rendered, RenderError> {
        Ok(Rendered::default())
    }

    pub fn render_digest(&self, _digest: &Digest, _language: Language) -> Result<Rendered, RenderError> {
        Ok(Rendered::default())
    }
}
