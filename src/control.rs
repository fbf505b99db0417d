//! The control socket: one JSON request a line, one JSON answer a line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::domain::ladder::Way;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    Poke {
        case: Option<String>,
    },
    Reload,
    Status,
    Pause {
        channel: Option<String>,
        reason: String,
        who: String,
    },
    Resume {
        channel: Option<String>,
        who: String,
    },
    /// One test message, through the daemon's own channels.
    SendTest {
        way: Way,
        to: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub ok: bool,
    pub zh: String,
    pub en: String,
    pub data: serde_json::Value,
}

impl Answer {
    pub fn ok(zh: impl Into<String>, en: impl Into<String>, data: serde_json::Value) -> Self {
        Self {
            ok: true,
            zh: zh.into(),
            en: en.into(),
            data,
        }
    }

    pub fn refused(zh: impl Into<String>, en: impl Into<String>, data: serde_json::Value) -> Self {
        Self {
            ok: false,
            zh: zh.into(),
            en: en.into(),
            data,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no daemon answers at {path}", path = path.display())]
    Absent { path: PathBuf },
}

pub async fn serve<H, F>(
    _path: PathBuf,
    _handler: H,
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = std::io::Result<()>>>
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    Ok(async move {
        stop.cancelled().await;
        Ok(())
    })
}

pub async fn ask(path: &Path, _request: &Request, _patience: Duration) -> Result<Answer, ControlError> {
    Err(ControlError::Absent { path: path.to_owned() })
}
