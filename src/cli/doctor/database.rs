//! The database: version, damage, space, the clock against the ledger, and what waits in the queue.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::app::{Place, location, masters};
use crate::config::settings::Settings;
use crate::domain::text::Said;
use crate::store::inspect::{Contents, Version};
use crate::store::location::Location;

const SPACE_BAD_MIB: u64 = 64;
const SPACE_LOW_MIB: u64 = 512;
/// A reminder may wait so long for a free connection; then somebody should look.
const WAIT_LONG: SignedDuration = SignedDuration::from_mins(5);
const WAIT_BAD: SignedDuration = SignedDuration::from_hours(1);
/// Two machines' clocks differ by less.
const CLOCK_OFF: SignedDuration = SignedDuration::from_mins(1);
const CLOCK_BAD: SignedDuration = SignedDuration::from_hours(1);

pub(super) async fn look(
    place: &Place,
    settings: &Settings,
    now: Timestamp,
    daemon: bool,
    findings: &mut Vec<Finding>,
) {
    space(&settings.state_dir, findings);
    let location = match location(place, settings) {
        Ok(location) => location,
        Err(error) => {
            return findings.push(Finding::bad(
                "database",
                Said::new("口令无法读取", format!("{error:#}")),
                Said::new("核对 postgres.password", "see to postgres.password"),
            ));
        }
    };
    if location.file().is_some_and(|path| !path.exists()) {
        return findings.push(Finding::warning(
            "database",
            Said::new(
                format!("还没有数据库 {location}"),
                format!("there is no database {location} yet"),
            ),
            Said::new("首次启动服务时会自动建立", "the first start of the daemon makes it"),
        ));
    }
    let found = match location.inspect().await {
        Ok(found) => found,
        Err(error) => {
            let said = Said::new("无法读取", crate::telemetry::chain(&error));
            return findings.push(Finding::bad("database", said, unreadable(&location)));
        }
    };
    if !found.damage.is_empty() {
        findings.push(Finding::bad(
            "database",
            Said::new(
                format!("文件已损坏({}处)", found.damage.len()),
                format!("the file is damaged ({})", found.damage.join("; ")),
            ),
            Said::new(
                "停止服务,保留此文件,恢复备份",
                "stop the daemon, keep this file, restore a backup",
            ),
        ));
    }
    if let Ok(Some(departure)) = location.departure().await {
        return findings.push(left(&location, &departure.to));
    }
    findings.push(version(found.version, &location));
    if let Some(contents) = found.contents {
        returned(contents.returned, findings);
        findings.push(key(place, settings, &location).await);
        clock(&contents, now, findings);
        queue(&contents, now, daemon, findings);
    }
}

fn unreadable(location: &Location) -> Said {
    match location {
        Location::File(_) => Said::new(
            "检查磁盘与权限;必要时恢复备份,保留原文件",
            "look at the disk and the permissions; if need be restore a backup, and keep this file",
        ),
        Location::Server(_) => Said::new(
            "核对 database 与 [postgres],数据库服务器是否运行,以及 pg_hba.conf 是否允许本机登录",
            "look at database and [postgres], whether the server runs, and whether its pg_hba.conf lets this machine in",
        ),
    }
}

fn left(location: &Location, to: &str) -> Finding {
    Finding::bad(
        "database",
        Said::new(
            format!("{location} 正迁往或已迁往 {to}"),
            format!("{location} is being moved to {to}, or was"),
        ),
        Said::new(
            format!("已迁完的,写 database = \"{to}\";迁移中断的,启动服务即会核对并说明"),
            format!(
                "if it was, set database = \"{to}\"; if that was cut off, a start of the daemon finds out and says so"
            ),
        ),
    )
}

/// Whether the master key opens this database: best known before the next start.
async fn key(place: &Place, settings: &Settings, location: &Location) -> Finding {
    let opened = match masters(place, settings) {
        Ok(masters) => location.look(masters.as_ref()).await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match opened {
        Ok(store) => {
            store.close().await;
            Finding::good(
                "key",
                Said::new(
                    "主密钥与数据库相符;请确认另存有一份,且不与备份放在一起",
                    "the master key opens the database; see that a copy of it is kept, apart from the backups",
                ),
            )
        }
        Err(error) => Finding::bad(
            "key",
            Said::new("个人信息打不开", format!("{error:#}")),
            Said::new(
                "放回原来的密钥: personal_data.key 或数据目录中的 xixin.key",
                "put the key back that was used: personal_data.key, or xixin.key in state_dir",
            ),
        ),
    }
}

/// Mail that came back and that nobody could make sense of.
fn returned(count: i64, findings: &mut Vec<Finding>) {
    if count > 0 {
        findings.push(Finding::warning(
            "bounces",
            Said::new(
                format!("有{count}封看不懂的退信"),
                format!("mail that came back and was not understood: {count}"),
            ),
            Said::new(
                "用 xixin bounce list 与 show 查看,没送到的请打电话,再用 done 了结",
                "look at it with xixin bounce list and show, phone where something did not arrive, then say done",
            ),
        ));
    }
}

fn version(version: Version, location: &Location) -> Finding {
    match version {
        Version::Current => Finding::good(
            "database",
            Said::new(format!("{location} 完好"), format!("{location} is sound")),
        ),
        Version::Older { found, ours } => Finding::warning(
            "database",
            Said::new(
                format!("版本为 {found},本程序为 {ours}"),
                format!("it is of version {found}, this program of {ours}"),
            ),
            Said::new(
                "重启服务即升级,先做备份",
                "a restart of the daemon upgrades it; make a backup first",
            ),
        ),
        Version::Newer { found, ours } => Finding::bad(
            "database",
            Said::new(
                format!("由更新的程序写成(版本 {found},本程序为 {ours})"),
                format!("a newer xixin wrote it (version {found}, this program knows {ours})"),
            ),
            Said::new(
                "改用新版程序,或恢复升级前的备份",
                "start the newer program, or restore a backup from before the upgrade",
            ),
        ),
    }
}

fn space(state_dir: &Path, findings: &mut Vec<Finding>) {
    // The directory may be yet to be made: then the one it will be made in counts.
    let Some(room) = state_dir.ancestors().find_map(|dir| rustix::fs::statvfs(dir).ok()) else {
        return;
    };
    let free_mib = room.f_bavail.saturating_mul(room.f_frsize) / (1024 * 1024);
    let said = Said::new(
        format!("{} 所在磁盘剩余 {free_mib} MiB", state_dir.display()),
        format!("{free_mib} MiB are free for {}", state_dir.display()),
    );
    let fix = Said::new(
        "清理磁盘;写不进数据库就不会发送任何提醒",
        "make room; what cannot be recorded is not sent",
    );
    findings.push(if free_mib < SPACE_BAD_MIB {
        Finding::bad("space", said, fix)
    } else if free_mib < SPACE_LOW_MIB {
        Finding::warning("space", said, fix)
    } else {
        Finding::good("space", said)
    });
}

fn clock(contents: &Contents, now: Timestamp, findings: &mut Vec<Finding>) {
    let Some(newest) = contents.newest_decision else {
        return;
    };
    let behind = newest.duration_since(now);
    if behind <= CLOCK_OFF {
        return findings.push(Finding::good(
            "clock",
            Said::new("系统时间不早于已有记录", "the clock is not behind the ledger"),
        ));
    }
    let said = Said::new(
        format!("系统时间比已有记录早 {} 分钟", behind.as_mins()),
        format!("the clock is {} minutes behind the ledger", behind.as_mins()),
    );
    let fix = Said::new(
        "核对时间(timedatectl),再用 xixin ctl resume 恢复",
        "check the time (timedatectl), then xixin ctl resume",
    );
    findings.push(if behind > CLOCK_BAD {
        Finding::bad("clock", said, fix)
    } else {
        Finding::warning("clock", said, fix)
    });
}

fn queue(contents: &Contents, now: Timestamp, daemon: bool, findings: &mut Vec<Finding>) {
    for switch in &contents.paused {
        findings.push(Finding::warning(
            "sending",
            Said::new(
                format!("{} 已由{}暂停: {}", switch.name, switch.who, switch.reason),
                format!("{} is paused by {}: {}", switch.name, switch.who, switch.reason),
            ),
            Said::new(
                "问题解决后用 xixin ctl resume 恢复",
                "xixin ctl resume when the matter is settled",
            ),
        ));
    }
    let planning = contents.next_wake.map(|wake| ("planning".to_owned(), wake));
    let waits = contents.waits.iter().cloned().chain(planning);
    let oldest = waits.min_by_key(|(_, since)| *since);
    let age = oldest
        .as_ref()
        .map_or(SignedDuration::ZERO, |(_, since)| now.duration_since(*since));
    let Some((what, _)) = oldest.filter(|_| age > WAIT_LONG || (!daemon && age > SignedDuration::ZERO)) else {
        return findings.push(Finding::good(
            "queue",
            Said::new("没有积压", "nothing waits longer than it should"),
        ));
    };
    let said = Said::new(
        format!("{what} 最早的一件已等待 {} 分钟", age.as_mins()),
        format!("the oldest of {what} has been waiting for {} minutes", age.as_mins()),
    );
    let fix = if daemon {
        Said::new("用 xixin ctl status 查看原因", "xixin ctl status shows why")
    } else {
        Said::new(
            "启动服务: systemctl start xixin",
            "start the daemon: systemctl start xixin",
        )
    };
    // Paused on purpose: that has been said, and the wait follows from it.
    let explained = daemon && !contents.paused.is_empty();
    findings.push(if (age > WAIT_BAD || !daemon) && !explained {
        Finding::bad("queue", said, fix)
    } else {
        Finding::warning("queue", said, fix)
    });
}
