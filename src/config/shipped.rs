//! The shipped configuration, embedded: for `xixin demo`, for `xixin period` without an installation.

use crate::domain::rulebook::Rulebook;

/// Every shipped file: its path below the configuration directory, and its text.
pub const FILES: &[(&str, &str)] = &[];

pub fn shipped_rulebook() -> Rulebook {
    unimplemented!()
}
