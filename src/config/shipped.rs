//! The shipped configuration, embedded: for `xixin demo`, and for `xixin period` without an installation.
//!
//! The list is kept by hand; a test compares it with the folder `config/`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::source::Source;
use crate::domain::rulebook::Rulebook;

macro_rules! shipped {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!("../../config/", $path))),)*]
    };
}

/// Every shipped file: its path below the configuration directory, and its text.
pub const FILES: &[(&str, &str)] = shipped![
    "agencies.toml",
    "calendar/2022.toml",
    "calendar/2023.toml",
    "calendar/2024.toml",
    "calendar/2025.toml",
    "calendar/2026.toml",
    "calendar/2027.toml",
    "ladders.toml",
    "matters/cremation_certificate.toml",
    "matters/enterprise_licence.toml",
    "matters/expedited_reimbursement.toml",
    "matters/file_transfer.toml",
    "matters/funeral_benefit.toml",
    "matters/hard_case.toml",
    "matters/labour_assessment.toml",
    "matters/low_income.toml",
    "matters/medical_gap.toml",
    "matters/old_contract.toml",
    "people.toml",
    "periods.toml",
    "schedule.toml",
    "xixin.toml",
];

/// The rules of the shipped files, without anybody's settings.
pub fn shipped_rulebook() -> Rulebook {
    super::load_from(Source::Shipped, &BTreeMap::new(), &|_, _, _| true)
        .map(|loaded| loaded.rulebook)
        .expect("the shipped configuration has no problem: tests/it/config.rs loads it")
}

/// Writes the shipped files below `dir`, over files of the same names.
pub fn write_to(dir: &Path) -> io::Result<()> {
    for (path, text) in FILES {
        let file = dir.join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&file, text)?;
    }
    Ok(())
}
