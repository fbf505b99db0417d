//! (being written)
pub mod build;
pub mod email;
pub mod maildir;
pub mod outcome;
pub mod sms;
