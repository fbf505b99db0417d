//! The reasons of decisions, in words.

use jiff::{SignedDuration, Span, SpanRound, Timestamp, Unit};

use crate::domain::ids::RungName;
use crate::domain::ladder::Audience;
use crate::domain::org::Staff;
use crate::domain::person::Person;
use crate::domain::plan::release::{Applied, Released};
use crate::domain::text::Said;

/// Why a rung is not sent: a nearer one is due.
pub(super) fn nearer(later: &RungName) -> Said {
    Said::new(
        format!("同一提醒梯级中较近的“{later}”也已到时,只发较近的一条"),
        format!("the nearer rung \"{later}\" of the same ladder is due too; only that one is sent"),
    )
}

/// Why a rung comes now: what it counts from, what kept it, how late it is, what it stands for.
pub(super) fn when_due(applied: &Applied<'_>, released: Released, missed: u32, now: Timestamp) -> Said {
    let milestone = applied.rung.when.point().milestone;
    let day = applied.anchor.moment.day(&applied.rules.zone);
    let rung = &applied.rung.name;
    let said = Said::new(
        format!("提醒“{rung}”到时({} {day})", milestone.name_zh()),
        format!("rung \"{rung}\" is due ({milestone} {day})"),
    );
    let said = said
        .and(&kept(applied, released))
        .and(&lateness(applied, released.at, now));
    if missed == 0 {
        return said;
    }
    said.and(&Said::new(
        format!("代替此前{missed}次"),
        match missed {
            1 => "stands for one earlier time".to_owned(),
            _ => format!("stands for {missed} earlier times"),
        },
    ))
}

/// What kept a rung from coming at its own time.
fn kept(applied: &Applied<'_>, released: Released) -> Said {
    let own = released.coming.at;
    if released.at < own {
        return Said::new(
            "时段外等到早上就晚了,提前发",
            "the morning would be too late, so it goes before the night",
        );
    }
    let silence = applied.silence(released.at);
    match silence.filter(|(_, until)| released.at > own && own < *until && *until <= released.at) {
        Some((mark, _)) => Said::new(
            format!("{} 的“已知悉”到期,再次提醒", mark.by),
            format!("what {} acknowledged is still open", mark.by),
        ),
        None if released.at > own => Said::new("避开静默时段", "kept until sending hours"),
        None => Said::default(),
    }
}

/// How late a decision is and why, when it is late enough to say so.
fn lateness(applied: &Applied<'_>, released_at: Timestamp, now: Timestamp) -> Said {
    let limit = SignedDuration::from_mins(i64::from(applied.rules.schedule.late_after_minutes));
    let late = now.duration_since(released_at);
    if late <= limit {
        return Said::default();
    }
    let how = duration_words(late.as_secs());
    let case = applied.case;
    let why = if released_at < applied.dated.item.set_at() {
        Said::new("录入时已过此时", "it was entered after that time")
    } else if case.reopened_at.is_some_and(|reopened| released_at < reopened) {
        Said::new("当时案件已办结,后来重开", "the case was closed then and reopened later")
    } else {
        Said::new(
            "服务当时未运行或规则后来改变",
            "the daemon was not running then, or the rules changed later",
        )
    };
    Said::new(
        format!("晚了{}: {}", how.zh, why.zh),
        format!("{} late: {}", how.en, why.en),
    )
}

/// A length of time, e.g. 3小时5分钟.
pub(crate) fn duration_words(seconds: i64) -> Said {
    let rounded = Span::new()
        .try_seconds(seconds)
        .and_then(|span| span.round(SpanRound::new().largest(Unit::Hour).smallest(Unit::Minute)))
        .unwrap_or_default();
    let (hours, minutes) = (rounded.get_hours(), rounded.get_minutes());
    match (hours / 24, hours % 24) {
        (0, 0) => Said::new(format!("{minutes}分钟"), format!("{minutes} min")),
        (0, h) => Said::new(format!("{h}小时{minutes}分钟"), format!("{h} h {minutes} min")),
        (1, h) => Said::new(format!("1天{h}小时"), format!("1 day {h} h")),
        (d, h) => Said::new(format!("{d}天{h}小时"), format!("{d} days {h} h")),
    }
}

/// Says so when `staff` is not whom the rung names.
pub(super) fn stands_in(applied: &Applied<'_>, audience: Audience, staff: &Staff) -> Said {
    let named = match audience {
        Audience::Owner => &applied.case.owner,
        Audience::Contact => applied.dated.item.contact().unwrap_or(&applied.case.owner),
        Audience::Assignee => applied.dated.item.assignee().unwrap_or(&applied.case.owner),
        _ if audience.role().is_some_and(|role| role != staff.role) => {
            let name = audience.name();
            return Said::new(
                format!("没有在岗可联系的 {name},由 {} 接收", staff.id),
                format!("no {name} is there to be reached, so {} is told", staff.id),
            );
        }
        _ => return Said::default(),
    };
    if *named == staff.id {
        return Said::default();
    }
    Said::new(
        format!("{named} 不在岗或无法联系,由 {} 代收", staff.id),
        format!("{named} is away or cannot be reached, so {} is told", staff.id),
    )
}

pub(super) fn nobody(audience: Audience) -> Said {
    match audience {
        Audience::Relatives => Said::new("没有同意接收的亲属", "no relative has opted in"),
        Audience::Resident => Said::new("居民已故或无记录", "the resident has died or is not on record"),
        _ => Said::new(
            "此职及各级主管都无人可联系,请检查 people.toml",
            "nobody of this role or up the line can be reached; look at people.toml",
        ),
    }
}

pub(super) fn no_way(person: &Person) -> Said {
    if person.opted_out {
        Said::new("已退订短信,改打电话", "opted out of SMS: phone instead")
    } else if person.phone_is_wrong {
        Said::new(
            "登记的号码不对,先查号码再打",
            "the number on record is wrong: find the right one and phone",
        )
    } else {
        Said::new(
            "没有可用的手机号或邮箱,改打电话",
            "no usable number or address: phone instead",
        )
    }
}
