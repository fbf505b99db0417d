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
    "benefits.toml",
    "calendar/2022.toml",
    "calendar/2023.toml",
    "calendar/2024.toml",
    "calendar/2025.toml",
    "calendar/2026.toml",
    "calendar/2027.toml",
    "knowledge.toml",
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
    "policies.toml",
    "rota.toml",
    "schedule.toml",
    "templates/README.md",
    "templates/both/calendar_changed/body.txt",
    "templates/both/calendar_changed/subject.txt",
    "templates/both/digest/body.html",
    "templates/both/digest/body.txt",
    "templates/both/digest/subject.txt",
    "templates/en/appointment/relative/body.txt",
    "templates/en/appointment/relative/sms.txt",
    "templates/en/appointment/relative/subject.txt",
    "templates/en/appointment/resident/body.txt",
    "templates/en/appointment/resident/sms.txt",
    "templates/en/appointment/resident/subject.txt",
    "templates/en/appointment/staff/body.txt",
    "templates/en/appointment/staff/sms.txt",
    "templates/en/appointment/staff/subject.txt",
    "templates/en/appointment_missed/staff/body.txt",
    "templates/en/appointment_missed/staff/sms.txt",
    "templates/en/appointment_missed/staff/subject.txt",
    "templates/en/call_task/staff/body.txt",
    "templates/en/call_task/staff/sms.txt",
    "templates/en/call_task/staff/subject.txt",
    "templates/en/callback_due/resident/body.txt",
    "templates/en/callback_due/resident/sms.txt",
    "templates/en/callback_due/resident/subject.txt",
    "templates/en/callback_due/staff/body.txt",
    "templates/en/callback_due/staff/sms.txt",
    "templates/en/callback_due/staff/subject.txt",
    "templates/en/callback_overdue/staff/body.txt",
    "templates/en/callback_overdue/staff/sms.txt",
    "templates/en/callback_overdue/staff/subject.txt",
    "templates/en/deadline/relative/body.txt",
    "templates/en/deadline/relative/sms.txt",
    "templates/en/deadline/relative/subject.txt",
    "templates/en/deadline/resident/body.txt",
    "templates/en/deadline/resident/sms.txt",
    "templates/en/deadline/resident/subject.txt",
    "templates/en/deadline/staff/body.txt",
    "templates/en/deadline/staff/sms.txt",
    "templates/en/deadline/staff/subject.txt",
    "templates/en/deadline_expired/staff/body.txt",
    "templates/en/deadline_expired/staff/sms.txt",
    "templates/en/deadline_expired/staff/subject.txt",
    "templates/en/deadline_urgent/relative/body.txt",
    "templates/en/deadline_urgent/relative/sms.txt",
    "templates/en/deadline_urgent/relative/subject.txt",
    "templates/en/deadline_urgent/resident/body.txt",
    "templates/en/deadline_urgent/resident/sms.txt",
    "templates/en/deadline_urgent/resident/subject.txt",
    "templates/en/deadline_urgent/staff/body.txt",
    "templates/en/deadline_urgent/staff/sms.txt",
    "templates/en/deadline_urgent/staff/subject.txt",
    "templates/en/notice/body.html",
    "templates/en/notice/body.txt",
    "templates/en/verify_date/staff/body.txt",
    "templates/en/verify_date/staff/sms.txt",
    "templates/en/verify_date/staff/subject.txt",
    "templates/layout.html",
    "templates/zh-CN/appointment/relative/body.txt",
    "templates/zh-CN/appointment/relative/sms.txt",
    "templates/zh-CN/appointment/relative/subject.txt",
    "templates/zh-CN/appointment/resident/body.txt",
    "templates/zh-CN/appointment/resident/sms.txt",
    "templates/zh-CN/appointment/resident/subject.txt",
    "templates/zh-CN/appointment/staff/body.txt",
    "templates/zh-CN/appointment/staff/sms.txt",
    "templates/zh-CN/appointment/staff/subject.txt",
    "templates/zh-CN/appointment_missed/staff/body.txt",
    "templates/zh-CN/appointment_missed/staff/sms.txt",
    "templates/zh-CN/appointment_missed/staff/subject.txt",
    "templates/zh-CN/call_task/staff/body.txt",
    "templates/zh-CN/call_task/staff/sms.txt",
    "templates/zh-CN/call_task/staff/subject.txt",
    "templates/zh-CN/callback_due/resident/body.txt",
    "templates/zh-CN/callback_due/resident/sms.txt",
    "templates/zh-CN/callback_due/resident/subject.txt",
    "templates/zh-CN/callback_due/staff/body.txt",
    "templates/zh-CN/callback_due/staff/sms.txt",
    "templates/zh-CN/callback_due/staff/subject.txt",
    "templates/zh-CN/callback_overdue/staff/body.txt",
    "templates/zh-CN/callback_overdue/staff/sms.txt",
    "templates/zh-CN/callback_overdue/staff/subject.txt",
    "templates/zh-CN/deadline/relative/body.txt",
    "templates/zh-CN/deadline/relative/sms.txt",
    "templates/zh-CN/deadline/relative/subject.txt",
    "templates/zh-CN/deadline/resident/body.txt",
    "templates/zh-CN/deadline/resident/sms.txt",
    "templates/zh-CN/deadline/resident/subject.txt",
    "templates/zh-CN/deadline/staff/body.txt",
    "templates/zh-CN/deadline/staff/sms.txt",
    "templates/zh-CN/deadline/staff/subject.txt",
    "templates/zh-CN/deadline_expired/staff/body.txt",
    "templates/zh-CN/deadline_expired/staff/sms.txt",
    "templates/zh-CN/deadline_expired/staff/subject.txt",
    "templates/zh-CN/deadline_urgent/relative/body.txt",
    "templates/zh-CN/deadline_urgent/relative/sms.txt",
    "templates/zh-CN/deadline_urgent/relative/subject.txt",
    "templates/zh-CN/deadline_urgent/resident/body.txt",
    "templates/zh-CN/deadline_urgent/resident/sms.txt",
    "templates/zh-CN/deadline_urgent/resident/subject.txt",
    "templates/zh-CN/deadline_urgent/staff/body.txt",
    "templates/zh-CN/deadline_urgent/staff/sms.txt",
    "templates/zh-CN/deadline_urgent/staff/subject.txt",
    "templates/zh-CN/notice/body.html",
    "templates/zh-CN/notice/body.txt",
    "templates/zh-CN/verify_date/staff/body.txt",
    "templates/zh-CN/verify_date/staff/sms.txt",
    "templates/zh-CN/verify_date/staff/subject.txt",
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
