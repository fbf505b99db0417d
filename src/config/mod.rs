//! Configuration: what operators (`xixin.toml`) and supervisors (everything else) edit, read into values that have been checked.

pub mod secret;
pub mod settings;
