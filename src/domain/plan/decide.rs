//! Decides what becomes of every rung of one item whose time has come: exactly one decision per recipient and way, with its reason.

use jiff::Timestamp;

use crate::domain::case::{Case, CaseFlag, Item, Trigger};
use crate::domain::ids::{ItemId, RungName};
use crate::domain::ladder::{Audience, Late, Priority, Way, When};
use crate::domain::milestone::Milestone;
use crate::domain::org::Staff;
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::recipients::{Reach, caller, resolve, staff_ways};
use crate::domain::plan::release::{Applied, Released, into_sending_hours};
use crate::domain::plan::words;
use crate::domain::reminder::{Decided, Decision, MarkWords, Recipient, Verdict};
use crate::domain::rulebook::{PeriodKind, Rulebook};
use crate::domain::text::Said;

/// The text that tells staff to phone somebody.
pub const CALL_TASK: &str = "call_task";

/// Everything a decision may look at.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub rules: &'a Rulebook,
    pub case: &'a Case,
    pub people: &'a People,
    pub now: Timestamp,
}

/// Appends the decisions that are due for one item and returns the next instant at which there can be more.
pub fn decide(
    scene: &Scene<'_>,
    dated: &Dated<'_>,
    decided: &Decided,
    scratch: &mut String,
    due: &mut Vec<Decision>,
) -> Option<Timestamp> {
    let ladder = dated.ladder?;
    let mut wake: Option<Timestamp> = None;
    for (index, rung) in ladder.rungs.iter().enumerate() {
        let Some(applied) = Applied::new(scene.rules, scene.case, dated, rung) else {
            continue;
        };
        let comings = applied.comings(scene.now);
        for &audience in &rung.to {
            let release = applied.release(audience, &comings, scene.now);
            wake = wake.into_iter().chain(release.next).min();
            let Some(released) = release.last else { continue };
            let candidate = Candidate {
                applied,
                index,
                audience,
                released,
            };
            if !decided.contains(candidate.mark(), scratch) {
                decide_one(scene, &candidate, decided, scratch, due);
            }
        }
    }
    wake
}

/// A coming of a rung for one audience whose time has come.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    applied: Applied<'a>,
    /// The rung's place in its ladder.
    index: usize,
    audience: Audience,
    released: Released,
}

impl Candidate<'_> {
    fn mark(&self) -> MarkWords<'_> {
        MarkWords {
            item: self.applied.dated.item.id(),
            anchor: self.applied.anchor,
            ladder: &self.applied.ladder.id,
            rung: &self.applied.rung.name,
            occurrence: self.released.coming.occurrence,
            audience: self.audience,
        }
    }
}

fn decide_one(
    scene: &Scene<'_>,
    candidate: &Candidate<'_>,
    decided: &Decided,
    scratch: &mut String,
    due: &mut Vec<Decision>,
) {
    let Candidate {
        applied,
        released,
        audience,
        ..
    } = *candidate;
    let valid_until = applied.valid_until(released, scene.now);
    let proto = Decision {
        mark: candidate.mark().to_mark(),
        recipient: Recipient::Nobody,
        way: None,
        verdict: Verdict::Skipped,
        reason: Said::default(),
        priority: applied.rung.priority,
        text: applied.rung.text.clone(),
        due: released.at,
        not_before: scene.now,
        valid_until,
        fallback: Vec::new(),
        assignee: None,
    };
    if let Some((verdict, reason)) = verdict_for_all(scene, candidate) {
        return due.push(Decision {
            verdict,
            reason,
            ..proto
        });
    }
    let missed = applied.missed_before(released.coming, |coming| {
        let earlier = Candidate {
            released: Released { coming, ..released },
            ..*candidate
        };
        decided.contains(earlier.mark(), scratch)
    });
    let why = words::when_due(&applied, released, missed, scene.now);
    let today = scene.rules.zone.to_datetime(scene.now).date();
    let mut reached = resolve(
        scene.rules,
        scene.case,
        applied.dated.item,
        scene.people,
        audience,
        today,
    );
    if reached.is_empty() {
        let reason = words::nobody(audience);
        return due.push(Decision { reason, ..proto });
    }
    if applied.rung.if_told {
        reached.retain(|reach| decided.was_told(applied.dated.item.id(), &reach.recipient()));
        if reached.is_empty() {
            let reason = Said::new(
                "此前没有告知过,无需更正",
                "nothing had been told before, so nothing is put right",
            );
            return due.push(Decision { reason, ..proto });
        }
    }
    for reach in reached {
        let proto = Decision {
            recipient: reach.recipient(),
            ..proto.clone()
        };
        if is_told_already(due, &proto) {
            let reason = Said::new(
                "同一人已按另一身份收到同一条",
                "the same person gets it already in another role",
            );
            due.push(Decision {
                verdict: Verdict::Superseded,
                reason,
                ..proto
            });
            continue;
        }
        if asks_for_one_date_twice(scene, &applied, due, &proto) {
            let reason = Said::new(
                "同一日期已在另一事项中询问",
                "the same date is asked for with another item",
            );
            due.push(Decision {
                verdict: Verdict::Superseded,
                reason,
                ..proto
            });
            continue;
        }
        match reach {
            Reach::Staff(staff) => {
                let why = why.and(&words::stands_in(&applied, audience, staff));
                due.push(tell_staff(staff, &applied.rung.by, why, proto));
            }
            Reach::Person(person) => tell_person(scene, &applied, person, &why, &proto, due),
        }
    }
}

/// Whether this plan tells the same thing to the same recipient already.
fn is_told_already(due: &[Decision], new: &Decision) -> bool {
    due.iter().any(|told| {
        told.recipient == new.recipient
            && told.text == new.text
            && matches!(told.verdict, Verdict::Queued | Verdict::Task)
            && told.mark.item == new.mark.item
            && told.mark.rung == new.mark.rung
            && told.mark.occurrence == new.mark.occurrence
    })
}

/// Whether this plan asks the same recipient at the same time for the date that this item counts from, with another item: the same words
/// mean the same date, and one answer sets both. Only a rung that asks again may leave it to the other item's message, which may not be
/// sent after all.
fn asks_for_one_date_twice(scene: &Scene<'_>, applied: &Applied<'_>, due: &[Decision], new: &Decision) -> bool {
    let point = applied.rung.when.point();
    let asks_again = matches!(applied.rung.when, When::Every { at_most: None, .. });
    if point.milestone != Milestone::VerifyDate || !asks_again {
        return false;
    }
    let Some(kind) = asked_for(scene, &new.mark.item) else {
        return false;
    };
    due.iter().any(|told| {
        told.verdict == Verdict::Queued
            && told.recipient == new.recipient
            && told.text == new.text
            && told.due == new.due
            && told.mark.item != new.mark.item
            && asked_for(scene, &told.mark.item).is_some_and(|other| other.trigger == kind.trigger)
    })
}

/// The kind of a deadline whose date nobody knows.
fn asked_for<'a>(scene: &Scene<'a>, item: &ItemId) -> Option<&'a PeriodKind> {
    match scene.case.item(scene.rules, item)? {
        Item::Deadline(deadline) if deadline.trigger == Trigger::Unknown && deadline.fixed_end.is_none() => {
            scene.rules.periods.get(&deadline.kind)
        }
        _ => None,
    }
}

/// What is decided about a rung whoever it is for.
fn verdict_for_all(scene: &Scene<'_>, candidate: &Candidate<'_>) -> Option<(Verdict, Said)> {
    let Candidate {
        applied,
        index,
        audience,
        released,
    } = *candidate;
    let skipped = |said: Said| (Verdict::Skipped, said);
    if let Some(said) = history(&applied, released) {
        return Some(skipped(said));
    }
    if let Some(later) = later_rung(&applied, index, audience, released.at, scene.now) {
        return Some((Verdict::Superseded, words::nearer(later)));
    }
    too_late(&applied, released, scene.now).map(skipped)
}

/// What came before xixin, or the rule, was there.
fn history(applied: &Applied<'_>, released: Released) -> Option<Said> {
    if applied.case.imported_at.is_some_and(|imported| released.at < imported) {
        return Some(Said::new("导入的历史记录,不补发", "imported as history; never sent"));
    }
    let from = applied.ladder.in_force_from(applied.rung);
    let day = applied.rules.zone.to_datetime(released.at).date();
    (day < from).then(|| {
        Said::new(
            format!("规则自{from}起生效,此前不补发"),
            format!("the rule is in force from {from} only"),
        )
    })
}

/// What nobody is told any more, by the rule of the ladder or because it is of no use.
fn too_late(applied: &Applied<'_>, released: Released, now: Timestamp) -> Option<Said> {
    let (ladder, item) = (applied.ladder, applied.dated.item);
    if ladder.late == Late::Skip && started_before(applied, item.set_at()) {
        return Some(Said::new(
            "录入时该梯级已经开始,不从中间发起",
            "the ladder had begun before the item was entered; it never starts midway",
        ));
    }
    if ladder.late != Late::Now && released.at < applied.case.taken_up_at(item) {
        return Some(Said::new(
            "录入或重开时此提醒的时间已过,等下一级",
            "its time had passed when the item was entered or reopened; the next rung comes",
        ));
    }
    (now >= applied.valid_until(released, now)).then(|| Said::new("为时已晚,提醒已无用", "too late to help"))
}

/// Whether any rung of the ladder had come before `at`.
fn started_before(applied: &Applied<'_>, at: Timestamp) -> bool {
    let just_before = at.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(at);
    rungs(applied).any(|(_, other)| other.comings(just_before).last.is_some())
}

/// A rung for the same audience that came later than the one at `index`, which came at `at`, is due as well and is told. Of two that
/// come at the same instant, such as before a long holiday, the one further down the ladder is the nearer.
pub(super) fn later_rung<'a>(
    applied: &Applied<'a>,
    index: usize,
    audience: Audience,
    at: Timestamp,
    now: Timestamp,
) -> Option<&'a RungName> {
    // What only those hear who had been told may be told to nobody.
    let stands = |rung: &Applied<'_>| rung.rung.to.contains(&audience) && !rung.rung.if_told;
    let others = rungs(applied).filter(|(other, rung)| *other != index && stands(rung));
    let later = others.filter_map(|(other, rung)| {
        let released = rung.release(audience, &rung.comings(now), now).last?;
        let is_nearer = (released.at, other) > (at, index);
        let is_told = || history(&rung, released).is_none() && too_late(&rung, released, now).is_none();
        (is_nearer && is_told()).then_some((released.at, other, &rung.rung.name))
    });
    let nearest = later.max_by_key(|(at, other, _)| (*at, *other));
    nearest.map(|(_, _, name)| name)
}

/// The rungs of the ladder that apply to the item, with their places.
fn rungs<'a>(applied: &Applied<'a>) -> impl Iterator<Item = (usize, Applied<'a>)> + use<'a> {
    let Applied {
        rules,
        case,
        dated,
        ladder,
        ..
    } = *applied;
    ladder
        .rungs
        .iter()
        .enumerate()
        .filter_map(move |(index, rung)| Some((index, Applied::new(rules, case, dated, rung)?)))
}

fn tell_staff(staff: &Staff, asked: &[Way], why: Said, proto: Decision) -> Decision {
    let ways = staff_ways(staff, asked);
    match ways.split_first() {
        Some((&way, rest)) => queued(way, rest.to_vec(), why, &proto),
        None => Decision {
            reason: Said::new("没有可用的邮箱或手机号", "no address is known"),
            ..proto
        },
    }
}

/// In writing, or by a call of staff where writing is not possible, not wanted or not enough.
fn tell_person(
    scene: &Scene<'_>,
    applied: &Applied<'_>,
    person: &Person,
    why: &Said,
    proto: &Decision,
    due: &mut Vec<Decision>,
) {
    let rung = applied.rung;
    let ways: Vec<Way> = rung
        .by
        .iter()
        .copied()
        .filter(|way| person.reachable_by(*way))
        .collect();
    let written: Vec<Way> = ways.iter().copied().filter(|way| *way != Way::Phone).collect();
    // 退订 turns what would have been an SMS into a call; it does not push the message into another channel.
    let opted_out = person.opted_out && rung.by.contains(&Way::Sms);
    if opted_out || ways.is_empty() {
        return call(scene, applied, words::no_way(person).and(why), proto, due);
    }
    let Some((&way, fallback)) = written.split_first().filter(|_| ways[0] != Way::Phone) else {
        let asked = Said::new("规则要求电话告知", "the rule asks for a call");
        return call(scene, applied, asked.and(why), proto, due);
    };
    let not_before = into_sending_hours(scene.rules, scene.now, Some(proto.valid_until)).max(scene.now);
    let proto = Decision {
        not_before,
        ..proto.clone()
    };
    if let Some(first) = phone_first(scene, person) {
        call(scene, applied, first.and(why), &proto, due);
        let copy = Said::new("电话之外的文字副本", "a copy beside the call");
        due.push(queued(way, fallback.to_vec(), copy.and(why), &proto));
    } else {
        // The list goes on to the call where the rung has one.
        let fallback = ways.into_iter().filter(|other| *other != way).collect();
        due.push(queued(way, fallback, why.clone(), &proto));
    }
}

/// Why this person is phoned first, if so: age and frailty, or a heavy heart (人们流着泪上门).
fn phone_first(scene: &Scene<'_>, person: &Person) -> Option<Said> {
    let year = scene.rules.zone.to_datetime(scene.now).year();
    if person.phone_first(year, scene.rules.schedule.phone_first_from_age) {
        return Some(Said::new("高龄或行动不便,先打电话", "phone first: age or frailty"));
    }
    let sensitive = scene.case.flags.contains(&CaseFlag::SensitiveTone) && person.relative.is_none();
    sensitive.then(|| Said::new("情绪敏感,先打电话", "phone first: a heavy heart"))
}

fn queued(way: Way, fallback: Vec<Way>, reason: Said, proto: &Decision) -> Decision {
    Decision {
        way: Some(way),
        verdict: Verdict::Queued,
        reason,
        fallback,
        ..proto.clone()
    }
}

/// A call task, and the message that tells the caller about it. One message is enough for all calls to one
/// audience.
fn call(scene: &Scene<'_>, applied: &Applied<'_>, reason: Said, proto: &Decision, due: &mut Vec<Decision>) {
    let today = scene.rules.zone.to_datetime(scene.now).date();
    let caller = caller(scene.rules, scene.case, applied.dated.item, today);
    due.push(Decision {
        way: Some(Way::Phone),
        verdict: Verdict::Task,
        reason,
        not_before: scene.now,
        assignee: caller.map(|staff| staff.id.clone()),
        ..proto.clone()
    });
    let Some(staff) = caller else { return };
    let notice = Decision {
        recipient: Recipient::Staff(staff.id.clone()),
        text: CALL_TASK.into(),
        not_before: scene.now,
        ..proto.clone()
    };
    let is_same =
        |told: &Decision| told.recipient == notice.recipient && told.text == notice.text && told.mark == notice.mark;
    if !due.iter().any(is_same) {
        let reason = Said::new("有电话要打,通知经办人", "tells whoever makes the call");
        // Whoever stands beside somebody who has fallen reads no mail.
        let asked_for = applied.rung.by.as_slice() == [Way::Phone];
        let ways = if asked_for && notice.priority >= Priority::Urgent {
            [Way::Sms, Way::Email]
        } else {
            [Way::Email, Way::Sms]
        };
        due.push(tell_staff(staff, &ways, reason, notice));
    }
}
