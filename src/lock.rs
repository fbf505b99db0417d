//! One daemon per database: the lock that a second one meets.
//!
//! The kernel holds the lock (flock(2)), so it ends with the process however that ends; the file stays and says who holds it and where
//! its control socket is. A file that is not locked says nothing.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "数据库正由另一个 xixin 服务使用(进程号 {pid}) / the database is in use by another xixin daemon (pid {pid}, lock {path}); stop that one first",
        path = path.display()
    )]
    Held { pid: String, path: PathBuf },
    #[error(
        "锁文件 {path} 无法使用。请核对 xixin.toml 的 state_dir,以及运行 xixin 的用户能否写入 / the lock {path} cannot be used: check state_dir in xixin.toml, and that the user xixin runs as may write there",
        path = path.display()
    )]
    Io { path: PathBuf, source: io::Error },
}

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct DaemonLock {
    file: File,
    path: PathBuf,
}

/// The daemon that took a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `?` for the moment between locking and writing.
    pub pid: String,
    pub control: Option<PathBuf>,
}

impl DaemonLock {
    /// Takes the lock, or says who has it. Makes the directory, for its owner only, if it is missing.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(dir) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(failed)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    pid: read(&mut file).pid,
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut lock = Self {
            file,
            path: path.to_owned(),
        };
        lock.write(None)?;
        Ok(lock)
    }

    /// Makes it known where this daemon answers.
    pub fn tell_control(&mut self, control: &Path) -> Result<(), LockError> {
        self.write(Some(control))
    }

    /// What the last daemon wrote; it may have gone. Takes no lock, so it can never stand in the way of a daemon that starts.
    pub fn last(path: &Path) -> Option<Holder> {
        File::open(path).ok().map(|mut file| read(&mut file))
    }

    fn write(&mut self, control: Option<&Path>) -> Result<(), LockError> {
        let control = control.map(|control| format!("{}\n", control.display()));
        let text = format!("{}\n{}", std::process::id(), control.unwrap_or_default());
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|source| LockError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

fn read(file: &mut File) -> Holder {
    let mut text = String::new();
    // What cannot be read says as little as an empty file.
    let _ = file.take(8192).read_to_string(&mut text);
    let mut lines = text.lines();
    Holder {
        pid: lines.next().unwrap_or("?").to_owned(),
        control: lines.next().map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_daemon_is_told_the_pid_of_the_first_and_gets_the_lock_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/xixin.lock");
        let mut lock = DaemonLock::acquire(&path).unwrap();
        lock.tell_control(Path::new("/run/xixin/control.sock")).unwrap();
        let Err(LockError::Held { pid, .. }) = DaemonLock::acquire(&path) else {
            panic!("two daemons on one database");
        };
        assert_eq!(pid, std::process::id().to_string());
        let holder = DaemonLock::last(&path).unwrap();
        assert_eq!(holder.control.as_deref(), Some(Path::new("/run/xixin/control.sock")));
        drop(lock);
        DaemonLock::acquire(&path).unwrap();
    }
}
