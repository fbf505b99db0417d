//! The key file that a first start makes when the operator has named no other place: readable by its owner only, complete or not there.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::key::Key;
use crate::durable;

#[derive(Debug, thiserror::Error)]
#[error("密钥文件 {path} 无法建立 / the key file {path} cannot be made", path = path.display())]
pub struct KeyFileError {
    path: PathBuf,
    source: io::Error,
}

/// Makes a key file with a new key, durably. One that is there already, or that somebody else makes at this moment, is left as it is.
pub fn make(path: &Path) -> Result<(), KeyFileError> {
    let failed = |source| KeyFileError {
        path: path.to_owned(),
        source,
    };
    durable::make_once(path, format!("{}\n", *Key::random().to_hex()).as_bytes()).map_err(failed)
}

/// Whether anybody but the owner may read or change a file; false when it cannot be told.
pub fn open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xixin.key");
        make(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        Key::parse(&text).unwrap();
        assert!(!open_to_others(&path));
        make(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "never another key");
        let names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["xixin.key"], "nothing else is left");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(open_to_others(&path));
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nowhere/xixin.key");
        let told = make(&path).unwrap_err().to_string();
        assert!(told.contains("nowhere/xixin.key"), "{told}");
    }
}
