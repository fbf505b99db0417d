//! Puts one file of the configuration in the place of another: readers see the old one or the new one, whole, at every moment.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::civil::DateTime;

use crate::durable;

/// Holidays are no secret, and the daemon may run as somebody else.
const MODE: u32 = 0o644;

/// Whether a file of the configuration says just this.
pub(super) fn holds(config: &Path, file: &str, text: &str) -> bool {
    fs::read(config.join(file)).is_ok_and(|found| found == text.as_bytes())
}

/// A new file, written beside its place.
#[derive(Debug)]
pub(super) struct Swap {
    target: PathBuf,
    fresh: PathBuf,
    backup: PathBuf,
}

/// What has been put in place.
#[derive(Debug)]
pub(super) struct Placed {
    target: PathBuf,
    /// The file that was there before, under a name that is not read as configuration.
    pub(super) backup: Option<PathBuf>,
}

impl Swap {
    /// Writes the text durably beside `file`, below the configuration directory. The names of both companions are read by nobody.
    pub(super) fn prepare(config: &Path, file: &str, text: &str, now: &DateTime) -> anyhow::Result<Self> {
        let target = config.join(file);
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fresh = target.with_file_name(format!(".{name}.{}.new", std::process::id()));
        let backup = target.with_file_name(format!("{name}.{}.bak", now.strftime("%Y%m%dT%H%M%S")));
        durable::write(&fresh, text.as_bytes(), MODE)
            .and_then(|()| fs::set_permissions(&fresh, Permissions::from_mode(MODE)))
            .with_context(|| cannot("写入", "written", &fresh))?;
        Ok(Self { target, fresh, backup })
    }

    /// Keeps the old file as a backup and puts the new one in its place.
    pub(super) fn make(self) -> anyhow::Result<Placed> {
        let had_one = self.target.exists();
        if had_one {
            fs::copy(&self.target, &self.backup)
                .and_then(|_| File::open(&self.backup)?.sync_all())
                .with_context(|| cannot("写入", "written", &self.backup))?;
        }
        let placed = Placed {
            target: self.target.clone(),
            backup: had_one.then(|| self.backup.clone()),
        };
        if let Err(error) = fs::rename(&self.fresh, &self.target) {
            // The old file is where it was; a backup of it would say otherwise.
            let _ = placed.backup.as_ref().map(fs::remove_file);
            return Err(error).with_context(|| cannot("替换", "replaced", &self.target));
        }
        sync(&self.target)?;
        Ok(placed)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // After the rename it is not there any more.
        let _ = fs::remove_file(&self.fresh);
    }
}

impl Placed {
    /// As if nothing had happened.
    pub(super) fn take_back(self) -> anyhow::Result<()> {
        match &self.backup {
            Some(backup) => fs::rename(backup, &self.target),
            None => fs::remove_file(&self.target),
        }
        .with_context(|| cannot("还原", "put back", &self.target))?;
        sync(&self.target)
    }
}

fn sync(file: &Path) -> anyhow::Result<()> {
    durable::sync_dir_of(file).with_context(|| cannot("写入", "written", file))
}

fn cannot(zh: &str, en: &str, path: &Path) -> String {
    let path = path.display();
    format!(
        "无法{zh} {path};请用能改配置目录的账号运行 / {path} cannot be {en}; run it as an account that may change the configuration"
    )
}
