//! Ordinary files. A pipe in the place of one would keep the daemon waiting, deaf to every signal, and a device would never end: both are
//! refused before they are read.

use std::fs;
use std::io;
use std::path::Path;

/// Far more than any password, token or key.
const SHORT_MAX: u64 = 64 * 1024;

/// Reads a short text.
pub(crate) fn short_text(path: &Path) -> io::Result<String> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > SHORT_MAX {
        return Err(refused(
            "应为不超过64 KiB的普通文件 / it should be an ordinary file of 64 KiB at the most",
        ));
    }
    fs::read_to_string(path)
}

/// Refuses what is there and is no ordinary file.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(refused("应为普通文件 / it should be an ordinary file")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
