//! A directory as an SMS gateway: for the demo, for tests, and for hand-over to another program.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Known, Question, Sms};
use crate::channel::outcome::Outcome;
use crate::channel::spool;

/// Each message becomes `ID.json`; a resend replaces it.
#[derive(Debug, Clone)]
pub struct FileGateway {
    dir: PathBuf,
}

pub(super) struct Prepared {
    name: String,
    bytes: Arc<[u8]>,
}

impl Prepared {
    pub(super) fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.bytes))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    id: &'a str,
    to: &'a str,
    text: &'a str,
}

impl FileGateway {
    /// The directory is made when the first message is written.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn prepare(&self, sms: &Sms) -> Prepared {
        let document = Document {
            id: &sms.id,
            to: &sms.to,
            text: &sms.text,
        };
        let bytes = serde_json::to_vec(&document).expect("three strings always serialise");
        Prepared {
            name: name(&sms.id),
            bytes: bytes.into(),
        }
    }

    pub(super) async fn send(&self, prepared: &Prepared) -> Outcome {
        let (dir, name, bytes) = (self.dir.clone(), prepared.name.clone(), Arc::clone(&prepared.bytes));
        // A reader that takes every file of the directory must not see drafts.
        let written = tokio::task::spawn_blocking(move || spool::write(&dir.join(".tmp"), &dir, &name, &bytes)).await;
        spool::outcome_of(written.unwrap_or_else(|error| Err(std::io::Error::other(error))))
    }

    /// A file that is there was written whole. One that is not may have been fetched by now, so its absence says nothing.
    pub(super) async fn query(&self, question: &Question) -> Known {
        match tokio::fs::try_exists(self.dir.join(name(&question.id))).await {
            Ok(true) => Known::Taken { reference: None },
            Ok(false) | Err(_) => Known::Unclear,
        }
    }
}

fn name(id: &str) -> String {
    format!("{}.json", spool::name_of(id))
}
