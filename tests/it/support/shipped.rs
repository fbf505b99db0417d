//! The shipped configuration without its texts, for tests that do not read them.

use std::fs;
use std::path::Path;

use xixin::config::FILES;

/// Writes the shipped settings and rules below `dir`.
pub(crate) fn write_rules(dir: &Path) {
    for (path, text) in FILES.iter().filter(|(path, _)| !path.starts_with("templates/")) {
        let file = dir.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}
