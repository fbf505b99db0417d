//! Decides what becomes of every rung of one item whose time has come: exactly one decision per recipient and way, with its reason.

use std::fmt::Write as _;

use jiff::{Span, SpanRound, Timestamp, Unit};

use crate::domain::case::Case;
use crate::domain::ladder::{Audience, Ladder, Late, Rung, Until, Way};
use crate::domain::milestone::{Milestone, Moment, instant};
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::occurrence::{Coming, Comings, comings};
use crate::domain::plan::recipients::{Reach, caller, resolve};
use crate::domain::reminder::{Decided, Decision, Mark, Recipient, Verdict};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

/// Everything a decision may look at.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub rules: &'a Rulebook,
    pub case: &'a Case,
    pub people: &'a People,
    pub now: Timestamp,
}

/// How long a reminder without a natural end stays worth sending, in days.
const DEFAULT_VALIDITY_DAYS: i64 = 14;

/// Appends the decisions that are due for one item and returns the next instant at which there can be more.
pub fn decide(scene: &Scene<'_>, dated: &Dated<'_>, decided: &Decided, due: &mut Vec<Decision>) -> Option<Timestamp> {
    let ladder = dated.ladder?;
    let mut wake: Option<Timestamp> = None;
    let mut text = String::new();
    for rung in &ladder.rungs {
        let milestone = rung.when.point().milestone;
        let Some(moment) = dated.at(milestone) else { continue };
        let comings = comings(scene.rules, rung, moment, scene.now);
        for &audience in &rung.to {
            let at = Release::new(scene, audience, rung, moment, &comings);
            if let Some(next) = at.next {
                wake = Some(wake.map_or(next, |wake| wake.min(next)));
            }
            let Some(last) = at.last else { continue };
            if is_silenced(dated, ladder, rung, scene.now) {
                continue;
            }
            text.clear();
            let mark = Mark {
                item: dated.item.id().clone(),
                anchor: moment,
                ladder: ladder.id.clone(),
                rung: rung.name.clone(),
                occurrence: last.occurrence,
                audience,
            };
            write!(text, "{mark}").expect("writing to a string cannot fail");
            if decided.contains(&text) {
                continue;
            }
            let candidate = Candidate {
                ladder,
                rung,
                moment,
                mark,
                coming: last,
                earlier: comings.earlier,
            };
            decide_one(scene, dated, &candidate, due);
        }
    }
    wake
}

/// When a rung is released to an audience: at its time, or inside sending hours for residents and relatives.
struct Release {
    last: Option<Coming>,
    next: Option<Timestamp>,
}

impl Release {
    fn new(scene: &Scene<'_>, audience: Audience, rung: &Rung, moment: Moment, comings: &Comings) -> Self {
        if !audience.is_public() {
            return Self {
                last: comings.last,
                next: comings.next.map(|coming| coming.at),
            };
        }
        let limit = useful_until(scene, rung, moment);
        let shifted = |coming: Coming| Coming {
            at: into_sending_hours(scene.rules, coming.at, limit),
            ..coming
        };
        let last = comings.last.map(shifted);
        let next = comings.next.map(shifted);
        match (last, next) {
            // Deferred into the morning: not yet.
            (Some(coming), next) if coming.at > scene.now => Self {
                last: None,
                next: Some(next.map_or(coming.at, |next| next.at.min(coming.at))),
            },
            // Sent earlier because the morning would be too late.
            (_, Some(coming)) if coming.at <= scene.now => Self {
                last: Some(coming),
                next: comings.next.map(|next| next.at).filter(|at| *at > scene.now),
            },
            (last, next) => Self {
                last,
                next: next.map(|coming| coming.at),
            },
        }
    }
}

/// The instant a message to a resident may go: now, else the next morning, else, when that is too late, the evening before.
pub fn into_sending_hours(rules: &Rulebook, at: Timestamp, limit: Option<Timestamp>) -> Timestamp {
    let hours = &rules.schedule.sending_hours;
    let next = hours.next_allowed(at, &rules.zone);
    match limit {
        Some(limit) if next >= limit => hours.last_allowed_before(at, &rules.zone),
        _ => next,
    }
}

/// Whether the item's or the rung's `until` holds now.
pub fn is_silenced(dated: &Dated<'_>, ladder: &Ladder, rung: &Rung, now: Timestamp) -> bool {
    let until = rung.until.unwrap_or(ladder.until);
    until == Until::Acknowledged
        && dated
            .item
            .acknowledged()
            .is_some_and(|mark| mark.at <= now && now < mark.until)
}

/// The instant from which a rung is of no use any more; `None` when it never goes stale by itself.
fn useful_until(scene: &Scene<'_>, rung: &Rung, moment: Moment) -> Option<Timestamp> {
    let zone = &scene.rules.zone;
    match rung.when.point().milestone {
        Milestone::TargetBy | Milestone::LastSafeDay | Milestone::End if rung.when.point().amount <= 0 => {
            Some(match moment {
                Moment::Instant(at) => at,
                Moment::Day(day) => instant(day.tomorrow().unwrap_or(day), jiff::civil::Time::midnight(), zone),
            })
        }
        Milestone::Start => Some(moment.starts_at(zone)),
        _ => None,
    }
}

/// What a deadline reminder counted from the target day is good for: until the period is really over.
fn valid_until(scene: &Scene<'_>, dated: &Dated<'_>, candidate: &Candidate<'_>) -> Timestamp {
    let milestone = candidate.rung.when.point().milestone;
    let by_item = match milestone {
        Milestone::TargetBy | Milestone::LastSafeDay | Milestone::End | Milestone::Opened => {
            dated.counted.as_ref().map(|counted| counted.end_at)
        }
        Milestone::Booked => dated
            .at(Milestone::Start)
            .map(|start| start.starts_at(&scene.rules.zone)),
        _ => useful_until(scene, candidate.rung, candidate.moment),
    };
    by_item.unwrap_or_else(|| {
        let span = Span::new().hours(24 * DEFAULT_VALIDITY_DAYS);
        let from = candidate.coming.at.max(scene.now);
        from.checked_add(span).unwrap_or(Timestamp::MAX)
    })
}

struct Candidate<'a> {
    ladder: &'a Ladder,
    rung: &'a Rung,
    moment: Moment,
    mark: Mark,
    coming: Coming,
    /// Comings of the same rung before this one.
    earlier: u32,
}

fn decide_one(scene: &Scene<'_>, dated: &Dated<'_>, candidate: &Candidate<'_>, due: &mut Vec<Decision>) {
    let valid_until = valid_until(scene, dated, candidate);
    let proto = Decision {
        mark: candidate.mark.clone(),
        recipient: Recipient::Nobody,
        way: None,
        verdict: Verdict::Skipped,
        reason: Said::default(),
        priority: candidate.rung.priority,
        text: candidate.rung.text.clone(),
        due: candidate.coming.at,
        not_before: scene.now,
        valid_until,
        fallback: Vec::new(),
        assignee: None,
    };
    if let Some((verdict, reason)) = verdict_for_all(scene, dated, candidate, valid_until) {
        due.push(Decision {
            verdict,
            reason,
            ..proto
        });
        return;
    }
    let today = scene.rules.zone.to_datetime(scene.now).date();
    let reached = resolve(
        scene.rules,
        scene.case,
        dated.item,
        scene.people,
        candidate.mark.audience,
        today,
    );
    if reached.is_empty() {
        due.push(Decision {
            reason: nobody(candidate.mark.audience),
            ..proto
        });
        return;
    }
    for reach in reached {
        decide_for(scene, dated, candidate, &reach, &proto, due);
    }
}

/// What is decided about a rung whoever it is for.
fn verdict_for_all(
    scene: &Scene<'_>,
    dated: &Dated<'_>,
    candidate: &Candidate<'_>,
    valid_until: Timestamp,
) -> Option<(Verdict, Said)> {
    let at = candidate.coming.at;
    let day = scene.rules.zone.to_datetime(at).date();
    if scene.case.imported_at.is_some_and(|imported| at < imported) {
        return Some((
            Verdict::Skipped,
            Said::new("导入的历史记录,不补发", "imported as history; never sent"),
        ));
    }
    if day < candidate.ladder.effective_from {
        let from = candidate.ladder.effective_from;
        return Some((
            Verdict::Skipped,
            Said::new(
                format!("规则自{from}起生效,此前不补发"),
                format!("the rule is in force from {from} only"),
            ),
        ));
    }
    if let Some(later) = later_rung(scene, dated, candidate) {
        return Some((
            Verdict::Superseded,
            Said::new(
                format!("同一提醒梯级中较近的“{later}”也已到时,只发较近的一条"),
                format!("the nearer rung \"{later}\" of the same ladder is due too; only that one is sent"),
            ),
        ));
    }
    if candidate.ladder.late == Late::Skip && started_before(scene, dated, candidate.ladder) {
        return Some((
            Verdict::Skipped,
            Said::new(
                "录入时该梯级已经开始,不从中间发起",
                "the ladder had begun before the item was entered; it never starts midway",
            ),
        ));
    }
    if at < dated.item.set_at() && candidate.ladder.late == Late::Next {
        return Some((
            Verdict::Skipped,
            Said::new(
                "录入时此提醒的时间已过,等下一级",
                "its time had passed when the item was entered; the next rung comes",
            ),
        ));
    }
    if scene.now >= valid_until {
        return Some((Verdict::Skipped, Said::new("为时已晚,提醒已无用", "too late to help")));
    }
    None
}

/// Whether any rung of the ladder had come before the item was entered.
fn started_before(scene: &Scene<'_>, dated: &Dated<'_>, ladder: &Ladder) -> bool {
    ladder.rungs.iter().any(|rung| {
        let moment = dated.at(rung.when.point().milestone);
        moment.is_some_and(|moment| comings(scene.rules, rung, moment, dated.item.set_at()).last.is_some())
    })
}

/// The name of a rung for the same audience that came later and is due as well.
fn later_rung(scene: &Scene<'_>, dated: &Dated<'_>, candidate: &Candidate<'_>) -> Option<String> {
    let mut nearest: Option<(Timestamp, &Rung)> = None;
    for rung in &candidate.ladder.rungs {
        if rung.name == candidate.rung.name || !rung.to.contains(&candidate.mark.audience) {
            continue;
        }
        let Some(moment) = dated.at(rung.when.point().milestone) else {
            continue;
        };
        let comings = comings(scene.rules, rung, moment, scene.now);
        let Some(last) = Release::new(scene, candidate.mark.audience, rung, moment, &comings).last else {
            continue;
        };
        if last.at > candidate.coming.at
            && last.at <= scene.now
            && nearest.is_none_or(|(at, _)| last.at > at)
            && !is_silenced(dated, candidate.ladder, rung, scene.now)
        {
            nearest = Some((last.at, rung));
        }
    }
    nearest.map(|(_, rung)| rung.name.as_str().to_owned())
}

fn decide_for(
    scene: &Scene<'_>,
    dated: &Dated<'_>,
    candidate: &Candidate<'_>,
    reach: &Reach<'_>,
    proto: &Decision,
    due: &mut Vec<Decision>,
) {
    let recipient = match reach {
        Reach::Staff(staff) => Recipient::Staff(staff.id.clone()),
        Reach::Person(person) => Recipient::Person(person.id.clone()),
    };
    let same_rung = |decision: &Decision| {
        decision.recipient == recipient
            && decision.mark.rung == candidate.mark.rung
            && decision.mark.item == candidate.mark.item
            && decision.mark.occurrence == candidate.mark.occurrence
    };
    if due.iter().any(same_rung) {
        let reason = Said::new(
            "同一人已按另一身份收到同一条",
            "the same person gets it already in another role",
        );
        due.push(Decision {
            recipient,
            verdict: Verdict::Superseded,
            reason,
            ..proto.clone()
        });
        return;
    }
    let ways: Vec<Way> = candidate
        .rung
        .by
        .iter()
        .copied()
        .filter(|way| reach.reachable_by(*way))
        .collect();
    let phone_first = match reach {
        Reach::Staff(_) => false,
        Reach::Person(person) => {
            let year = scene.rules.zone.to_datetime(scene.now).year();
            person.phone_first(year, scene.rules.schedule.phone_first_from_age)
        }
    };
    let reason = lateness(scene, candidate, dated);
    match ways.split_first() {
        Some((&Way::Phone, _)) | None if matches!(reach, Reach::Person(_)) => {
            let why = if ways.is_empty() {
                no_way(reach)
            } else {
                Said::new("规则要求电话告知", "the rule asks for a call")
            };
            task(scene, dated, &recipient, why.and(&reason), proto, due);
        }
        None => {
            let why = Said::new("没有可用的邮箱或手机号", "no address is known");
            due.push(Decision {
                recipient,
                verdict: Verdict::Skipped,
                reason: why.and(&reason),
                ..proto.clone()
            });
        }
        Some((&way, rest)) if phone_first => {
            let why = Said::new("高龄或行动不便,先打电话", "phone first: age or frailty");
            task(scene, dated, &recipient, why.and(&reason), proto, due);
            let copy = Said::new("电话之外的文字副本", "a copy beside the call");
            let fallback = rest.iter().copied().filter(|way| *way != Way::Phone).collect();
            due.push(queued(recipient, way, fallback, copy.and(&reason), proto));
        }
        Some((&way, rest)) => {
            let why = when_due(scene, candidate);
            due.push(queued(recipient, way, rest.to_vec(), why.and(&reason), proto));
        }
    }
}

fn queued(recipient: Recipient, way: Way, fallback: Vec<Way>, reason: Said, proto: &Decision) -> Decision {
    Decision {
        recipient,
        way: Some(way),
        verdict: Verdict::Queued,
        reason,
        fallback,
        ..proto.clone()
    }
}

/// A call task, and the e-mail that tells the caller about it.
fn task(
    scene: &Scene<'_>,
    dated: &Dated<'_>,
    recipient: &Recipient,
    reason: Said,
    proto: &Decision,
    due: &mut Vec<Decision>,
) {
    let today = scene.rules.zone.to_datetime(scene.now).date();
    let caller = caller(&scene.rules.org, scene.case, dated.item, today);
    due.push(Decision {
        recipient: recipient.clone(),
        way: Some(Way::Phone),
        verdict: Verdict::Task,
        reason,
        assignee: caller.map(|staff| staff.id.clone()),
        ..proto.clone()
    });
    if let Some(staff) = caller {
        let mut ways = [Way::Email, Way::Sms]
            .into_iter()
            .filter(|way| Reach::Staff(staff).reachable_by(*way));
        if let Some(way) = ways.next() {
            let reason = Said::new("有电话要打,通知经办人", "tells whoever makes the call");
            let mut notice = queued(Recipient::Staff(staff.id.clone()), way, ways.collect(), reason, proto);
            notice.text = CALL_TASK.into();
            due.push(notice);
        }
    }
}

/// The text that tells staff to phone somebody.
pub const CALL_TASK: &str = "call_task";

fn when_due(scene: &Scene<'_>, candidate: &Candidate<'_>) -> Said {
    let milestone = candidate.rung.when.point().milestone;
    let day = candidate.moment.day(&scene.rules.zone);
    let rung = &candidate.rung.name;
    Said::new(
        format!("提醒“{rung}”到时({milestone} {day})"),
        format!("rung \"{rung}\" is due ({milestone} {day})"),
    )
}

/// How late a decision is and why, when it is late enough to say so.
fn lateness(scene: &Scene<'_>, candidate: &Candidate<'_>, dated: &Dated<'_>) -> Said {
    let limit_s = i64::from(scene.rules.schedule.late_after_minutes) * 60;
    let late_s = scene.now.as_second() - candidate.coming.at.as_second();
    let mut said = Said::default();
    if late_s > limit_s {
        let how = duration_words(late_s);
        let why = if candidate.coming.at < dated.item.set_at() {
            Said::new("录入时已过此时", "it was entered after that time")
        } else if scene.case.opened_at > candidate.coming.at {
            Said::new("立案时已过此时", "the case was opened after that time")
        } else {
            Said::new(
                "服务当时未运行或规则后来改变",
                "the daemon was not running then, or the rules changed later",
            )
        };
        said = Said::new(
            format!("晚了{}: {}", how.zh, why.zh),
            format!("{} late: {}", how.en, why.en),
        );
    }
    if candidate.earlier > 0 && late_s > limit_s {
        let n = candidate.earlier;
        said = said.and(&Said::new(
            format!("代替此前{n}次"),
            format!("stands for {n} earlier times"),
        ));
    }
    said
}

fn duration_words(seconds: i64) -> Said {
    let rounded = Span::new()
        .try_seconds(seconds)
        .and_then(|span| span.round(SpanRound::new().largest(Unit::Hour).smallest(Unit::Minute)))
        .unwrap_or_default();
    let (hours, minutes) = (rounded.get_hours(), rounded.get_minutes());
    match (hours / 24, hours % 24) {
        (0, 0) => Said::new(format!("{minutes}分钟"), format!("{minutes} minutes")),
        (0, h) => Said::new(format!("{h}小时{minutes}分钟"), format!("{h} h {minutes} min")),
        (d, h) => Said::new(format!("{d}天{h}小时"), format!("{d} days {h} h")),
    }
}

fn nobody(audience: Audience) -> Said {
    match audience {
        Audience::Relatives => Said::new("没有同意接收的亲属", "no relative has opted in"),
        Audience::Resident => Said::new("居民已故或无记录", "the resident has died or is not on record"),
        _ => Said::new("当天无人在岗担任此职", "nobody holds this role on that day"),
    }
}

fn no_way(reach: &Reach<'_>) -> Said {
    match reach {
        Reach::Person(person) if person.opted_out => {
            Said::new("已退订短信,改打电话", "opted out of SMS: phone instead")
        }
        Reach::Person(person) if person.phone_is_wrong => Said::new(
            "登记的号码不对,先查号码再打",
            "the number on record is wrong: find the right one and phone",
        ),
        _ => Said::new(
            "没有可用的手机号或邮箱,改打电话",
            "no usable number or address: phone instead",
        ),
    }
}
