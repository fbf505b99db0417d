//! Opening the database for a verb that writes. What concerns all of it (the migrations, the first sealing, the new wrapping of keys) is
//! done by whoever holds the daemon's lock: a daemon that runs has the old keys and the old form in memory, and would find itself locked
//! out, or write what nobody takes any more.

use std::path::Path;
use std::time::Duration;

use crate::lock::{DaemonLock, LockError};
use crate::store::location::Location;
use crate::store::{Store, StoreError};
use crate::vault::Masters;

/// Whoever has the lock for a moment may be doing just this work, or be a daemon that starts, which does it, too.
const TRIES: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(
        "数据库要先升级、加密或换主密钥,而服务(进程号 {pid})还按原来的方式运行;什么也没有写入。请先重启服务(由它完成),再试一次 / the database has to be brought up to date, sealed, or wrapped by a new master key, and the daemon (pid {pid}) still runs as it was before; nothing was written. Restart the daemon first (it does that), then try again"
    )]
    RestartFirst { pid: String },
}

/// Opens the database beside a daemon; without one, and made and brought up to date, when there is work of that kind to do.
pub(super) async fn open_beside(location: &Location, lock: &Path, masters: &Masters) -> Result<Store, OpenError> {
    let mut tries = 0;
    while location.needs_the_daemon(masters).await? {
        tries += 1;
        match DaemonLock::acquire(lock) {
            Ok(_alone) => return Ok(location.open(masters).await?),
            Err(LockError::Held { pid, .. }) => {
                let answers = DaemonLock::last(lock).is_some_and(|holder| holder.control.is_some());
                if answers || tries == TRIES {
                    return Err(OpenError::RestartFirst { pid });
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(location.open(masters).await?)
}
