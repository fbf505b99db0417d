//! Files that a power cut leaves whole or not at all. What is written without a sync may be empty afterwards although its name is there,
//! and a name is certain only once its directory is synced (fsync(2)). Everything here blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// For the owner's eyes only.
pub(crate) const PRIVATE: u32 = 0o600;

/// Writes a file, over what is there under that name. Durable, but its name may not be yet.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut make = OpenOptions::new();
    let mut file = make.write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts a file in the place of `target` in one step: whoever reads sees the old one or the new one. `draft` is where it is written
/// first, on the same file system.
pub(crate) fn replace(draft: &Path, target: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let placed = write(draft, bytes, mode).and_then(|()| fs::rename(draft, target));
    if placed.is_err() {
        let _ = fs::remove_file(draft);
    }
    placed?;
    sync_dir_of(target)
}

/// Makes a private file that is never changed again. One that is there already, or that somebody else makes at this moment, is left as
/// it is; the name appears only when all of the content is on the disk.
pub(crate) fn make_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = aside(path);
    let made = write(&draft, bytes, PRIVATE).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    // Another name of the file, or one that nobody will use.
    let _ = fs::remove_file(&draft);
    made?;
    sync_dir_of(path)
}

/// A name beside `path` that nobody else uses.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", Uuid::now_v7().simple()));
    path.with_file_name(name)
}

/// A draft that was begun this long ago is nobody's any more.
const DRAFT_S: u64 = 60;

/// Takes the drafts of `path` away that a killed process has left. What cannot be taken away hurts nobody.
pub(crate) fn clear_drafts(path: &Path) {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let now = begun_s(Uuid::now_v7());
    let is_stale = |file: &str| {
        let id = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        let id = id.filter(|id| id.len() == 32).and_then(|id| Uuid::try_parse(id).ok());
        id.is_some_and(|id| begun_s(id) + DRAFT_S <= now)
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_stale) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// When an id was made.
fn begun_s(id: Uuid) -> u64 {
    id.get_timestamp().map_or(u64::MAX / 2, |at| at.to_unix().0)
}

/// Makes the names in the directory of `path` durable.
pub(crate) fn sync_dir_of(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    sync_dir(dir.unwrap_or(Path::new(".")))
}

pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<std::ffi::OsString> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_was_made_once_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        make_once(&path, b"first").unwrap();
        make_once(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(dir.path()), ["a.key"], "nothing else is left");
    }

    #[test]
    fn what_a_killed_process_was_about_to_put_in_place_is_taken_away_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain.head");
        let at = |seconds| Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0));
        let long_ago = at(1_700_000_000).simple().to_string();
        let fresh = aside(&path).file_name().unwrap().to_str().unwrap().to_owned();
        let stays = [
            fresh.as_str(),
            "chain.head",
            "chain.head.old",
            "chain.head.00000000000040008000000000000000",
            &format!("other.{long_ago}"),
        ];
        for name in stays.iter().chain([&format!("chain.head.{long_ago}").as_str()]) {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        clear_drafts(&path);
        let mut stays = stays.map(std::ffi::OsString::from).to_vec();
        stays.sort();
        assert_eq!(names(dir.path()), stays);
    }

    #[test]
    fn a_file_is_replaced_in_one_step_and_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head");
        for text in ["one", "two"] {
            replace(&aside(&path), &path, text.as_bytes(), PRIVATE).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(dir.path()), ["head"]);
        let taken = dir.path().join("folder");
        fs::create_dir(&taken).unwrap();
        replace(&aside(&taken), &taken, b"x", PRIVATE).unwrap_err();
        assert_eq!(
            names(dir.path()),
            ["folder", "head"],
            "a draft that was not placed is taken away"
        );
    }
}
