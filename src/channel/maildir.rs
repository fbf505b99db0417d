//! A Maildir as a mail channel: for the demo, for tests, and for hand-over to another program.
//!
//! The file name derives from the Message-ID, so a resend replaces the message and a reader never sees it twice.

use std::path::PathBuf;

use super::build::WireMail;
use super::outcome::Outcome;
use super::spool;

/// A directory with `tmp`, `new` and `cur`.
#[derive(Debug, Clone)]
pub struct Maildir {
    dir: PathBuf,
}

impl Maildir {
    /// Directories are made when the first message is written.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Accepted means durable. Dropping the future does not stop the write; writing twice is writing once.
    pub async fn send(&self, mail: &WireMail) -> Outcome {
        let dir = self.dir.clone();
        let name = spool::name_of(mail.message_id());
        let bytes = mail.shared_bytes();
        let written = tokio::task::spawn_blocking(move || {
            // Readers expect all three directories (maildir(5)).
            std::fs::create_dir_all(dir.join("cur"))?;
            spool::write(&dir.join("tmp"), &dir.join("new"), &name, &bytes)
        })
        .await;
        spool::outcome_of(written.unwrap_or_else(|error| Err(std::io::Error::other(error))))
    }
}
