//! What tests share: servers that do what a test tells them, in this process, on a free port of the loopback address; a rulebook.

pub(crate) mod api;
pub(crate) mod daemon;
pub(crate) mod hall;
pub(crate) mod http_server;
pub(crate) mod intake;
pub(crate) mod mutate;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod published;
pub(crate) mod rulebook;
pub(crate) mod scenario;
pub(crate) mod shipped;
pub(crate) mod smtp_server;
pub(crate) mod story;
pub(crate) mod timeline;
pub(crate) mod worlds;

use xixin::config::problem::Problem;
use xixin::vault::{Cipher, Key, Masters};

/// A problem of a configuration as one line, its English alone: the Chinese is reviewed in tests/bad-config.
pub(crate) fn in_english(problem: &Problem) -> String {
    let Problem {
        line,
        col,
        what,
        allowed,
        ..
    } = problem;
    let key = if problem.key.is_empty() { "" } else { ": " };
    let said = what.and(allowed).en;
    format!("{}:{line}:{col}{key}{}: {said}", problem.file, problem.key)
}

/// The master key of a database that a test makes without an installation.
pub(crate) fn masters() -> Masters {
    Masters::new(Key::parse(&"5a".repeat(32)).unwrap(), Vec::new(), Cipher::default())
}
