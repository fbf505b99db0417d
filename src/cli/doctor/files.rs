//! The configuration, the calendar's reach, and who may read what.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use jiff::{Span, Timestamp};

use super::Finding;
use crate::app::{Place, database_path, key_file};
use crate::config::Loaded;
use crate::config::secret::SecretSource;
use crate::config::settings::Settings;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::vault::open_to_others;

/// A calendar that ends sooner cannot count the usual periods of 60 days.
const CALENDAR_DAYS_MIN: i64 = 60;

pub(super) fn configuration(place: &Place, findings: &mut Vec<Finding>) -> Option<Loaded> {
    match place.load() {
        Ok((loaded, _)) => {
            let rules = &loaded.fingerprint[..12];
            findings.push(Finding::good(
                "config",
                Said::new(
                    format!("配置无误(规则 {rules})"),
                    format!("no problems (rules {rules})"),
                ),
            ));
            Some(loaded)
        }
        Err(problems) => {
            let fix = Said::new(
                "改正后用 xixin check 再查",
                "mend it, then check again with xixin check",
            );
            findings.extend(
                problems
                    .iter()
                    .map(|problem| Finding::bad("config", Said::new("有误", problem.to_string()), fix.clone())),
            );
            None
        }
    }
}

pub(super) fn calendar(rules: &Rulebook, now: Timestamp, findings: &mut Vec<Finding>) {
    let today = rules.zone.to_datetime(now).date();
    let wanted = today.checked_add(Span::new().days(CALENDAR_DAYS_MIN)).unwrap_or(today);
    let fix = Said::new(
        "国务院放假通知发布后,在 calendar/ 中加入下一年的文件",
        "when the State Council's notice is out, add the next year's file to calendar/",
    );
    findings.push(match rules.calendar.covered_through() {
        Some(through) if through >= wanted => Finding::good(
            "calendar",
            Said::new(
                format!("节假日安排到 {through}"),
                format!("public holidays are known through {through}"),
            ),
        ),
        Some(through) => Finding::warning(
            "calendar",
            Said::new(
                format!("节假日安排只到 {through},之后的工作日期限只是暂定"),
                format!("public holidays are known only through {through}; workday periods beyond are provisional"),
            ),
            fix,
        ),
        None => Finding::warning(
            "calendar",
            Said::new("没有节假日安排", "no public holidays are known"),
            fix,
        ),
    });
}

pub(super) fn permissions(place: &Place, settings: &Settings, findings: &mut Vec<Finding>) {
    let before = findings.len();
    for path in [settings.state_dir.clone(), database_path(settings)] {
        // The directory keeps others away from everything in it.
        if mode(&settings.state_dir).is_some_and(|mode| mode & 0o077 == 0) {
            break;
        }
        if mode(&path).is_some_and(|mode| mode & 0o007 != 0) {
            let shown = path.display();
            findings.push(Finding::warning(
                "permissions",
                Said::new(
                    format!("{shown} 含个人信息,却人人可读"),
                    format!("{shown} holds people's data and is open to everybody"),
                ),
                Said::new(format!("chmod o= {shown}"), format!("chmod o= {shown}")),
            ));
        }
    }
    owners(settings, findings);
    if let Some(path) = writable_by_all(&place.config) {
        let path = path.display();
        findings.push(Finding::bad(
            "permissions",
            Said::new(
                format!("{path} 人人可改,任何人都能改变收件人"),
                format!("{path} can be changed by everybody, and with it who is told what"),
            ),
            Said::new(format!("chmod o-w {path}"), format!("chmod o-w {path}")),
        ));
    }
    key_file_finding(settings, findings);
    for path in secret_files(settings) {
        if mode(path).is_some_and(|mode| mode & 0o007 != 0) {
            let path = path.display();
            findings.push(Finding::bad(
                "permissions",
                Said::new(
                    format!("口令文件 {path} 人人可读"),
                    format!("the secret {path} is open to everybody"),
                ),
                Said::new(format!("chmod o= {path}"), format!("chmod o= {path}")),
            ));
        }
    }
    if findings.len() == before {
        findings.push(Finding::good(
            "permissions",
            Said::new("文件权限合适", "files are open to those who need them only"),
        ));
    }
}

/// The key opens every name and number, in the database and in every backup.
fn key_file_finding(settings: &Settings, findings: &mut Vec<Finding>) {
    if let Some(said) = key_is_open(settings) {
        let path = key_file(settings).unwrap_or_default();
        let fix = format!("chmod 600 {}", path.display());
        findings.push(Finding::bad("permissions", said, Said::new(fix.clone(), fix)));
    }
}

/// What is wrong with who may read the key file.
pub(in crate::cli) fn key_is_open(settings: &Settings) -> Option<Said> {
    let path = key_file(settings).filter(|path| open_to_others(path))?;
    let path = path.display();
    Some(Said::new(
        format!("主密钥 {path} 可被属主以外的人读取或改动;它能解开全部个人信息"),
        format!("the master key {path} is open to others than its owner; it opens all personal data"),
    ))
}

/// A database that root made by running a verb is closed to the daemon's own user.
fn owners(settings: &Settings, findings: &mut Vec<Finding>) {
    let owner = |path: &Path| fs::metadata(path).ok().map(|meta| meta.uid());
    let path = database_path(settings);
    let Some(dir) = owner(&settings.state_dir) else {
        return;
    };
    let made_by_us = settings
        .personal_data
        .key
        .is_none()
        .then(|| key_file(settings))
        .flatten();
    for path in std::iter::once(path).chain(made_by_us) {
        if owner(&path).is_none_or(|file| file == dir) {
            continue;
        }
        let (path, dir_path) = (path.display(), settings.state_dir.display());
        let fix = format!("chown --reference={dir_path} {path}*");
        findings.push(Finding::bad(
            "permissions",
            Said::new(
                format!("{path} 与目录 {dir_path} 的属主不同,服务可能无法写入"),
                format!("{path} belongs to another user than {dir_path}; the daemon may not be able to write it"),
            ),
            Said::new(fix.clone(), fix),
        ));
    }
}

fn secret_files(settings: &Settings) -> Vec<&Path> {
    let gateway = settings.sms.http.iter().flat_map(|gateway| gateway.secrets.values());
    let mail = settings
        .mail
        .servers()
        .iter()
        .filter_map(|server| server.password.as_ref());
    let bounces = settings.mail.bounces.iter().map(|bounces| &bounces.key);
    let postgres = settings.postgres.password.iter();
    let sources = mail.chain(bounces).chain(gateway).chain(postgres);
    sources
        .filter_map(|source| match source {
            SecretSource::File(path) => Some(path.as_path()),
            SecretSource::Credential(_) => None,
        })
        .collect()
}

fn mode(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|meta| meta.permissions().mode())
}

/// The first path below `dir`, itself included, that everybody may write.
fn writable_by_all(dir: &Path) -> Option<std::path::PathBuf> {
    let is_open = |path: &Path| mode(path).is_some_and(|mode| mode & 0o002 != 0);
    if is_open(dir) {
        return Some(dir.to_owned());
    }
    let entries: io::Result<Vec<_>> = fs::read_dir(dir).and_then(Iterator::collect);
    entries.unwrap_or_default().into_iter().find_map(|entry| {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => writable_by_all(&path),
            Ok(kind) if kind.is_file() => is_open(&path).then_some(path),
            _ => None,
        }
    })
}
