//! Plans a queued reminder once more at the moment of sending. This, not a cancel call somewhere, is what stops a reminder for a
//! closed case, a moved date, a withdrawn consent or a changed rule.

use jiff::Timestamp;

use crate::domain::ids::{ItemId, LadderId, RungName, StaffId};
use crate::domain::ladder::{Audience, Rung, Way};
use crate::domain::plan::decide::{Scene, later_rung};
use crate::domain::plan::milestones::Dated;
use crate::domain::plan::recipients::{Reach, caller, resolve, staff_ways};
use crate::domain::plan::release::{Applied, into_sending_hours};
use crate::domain::plan::words;
use crate::domain::reminder::{Occurrence, Recipient};
use crate::domain::text::Said;

/// What a queued row says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    pub item: ItemId,
    /// The anchor value in its text form.
    pub anchor: String,
    pub ladder: LadderId,
    pub rung: RungName,
    pub occurrence: Occurrence,
    pub audience: Audience,
    pub recipient: Recipient,
    pub way: Way,
    /// Tells a member of staff about a call task, rather than the audience itself.
    pub is_call_notice: bool,
    pub due: Timestamp,
    pub valid_until: Timestamp,
}

/// Whether a queued reminder may go now.
#[derive(Debug)]
pub enum Recheck<'a> {
    /// Still true: here is the item as it is now.
    Send(Box<Dated<'a>>),
    /// True, but not at this hour.
    Wait { until: Timestamp },
    /// No longer true, allowed or useful.
    Cancel(Said),
    /// True, but for somebody else by now: the owner has changed or is away.
    PassOn { heirs: Vec<Heir>, said: Said },
    /// The way is closed by now: another one has to be found.
    Unreachable(Said),
}

/// A member of staff who is told instead, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heir {
    pub staff: StaffId,
    pub way: Way,
    pub fallback: Vec<Way>,
}

/// Judges one queued reminder against today's facts and rules.
pub fn recheck<'a>(scene: &Scene<'a>, queued: &Queued) -> Recheck<'a> {
    let Scene {
        rules,
        case,
        people,
        now,
    } = *scene;
    if now >= queued.valid_until {
        return Recheck::Cancel(Said::new("为时已晚,提醒已无用", "too late to help"));
    }
    let Some(item) = case.item(rules, &queued.item) else {
        return Recheck::Cancel(Said::new(
            "该事项已不在案件中",
            "the item is no longer part of the case",
        ));
    };
    if !item.is_live(case.is_closed()) {
        return Recheck::Cancel(if case.is_closed() {
            Said::new("案件已办结", "the case is closed")
        } else {
            Said::new("该事项已完成", "the item is done")
        });
    }
    let dated = Dated::new(rules, item);
    let Some(ladder) = dated.ladder.filter(|ladder| ladder.id == queued.ladder) else {
        return Recheck::Cancel(Said::new("规则已改用另一梯级", "the rules now use another ladder"));
    };
    let Some(index) = ladder.rungs.iter().position(|rung| rung.name == queued.rung) else {
        return Recheck::Cancel(Said::new("规则中已无此提醒", "the rules no longer have this rung"));
    };
    let rung = &ladder.rungs[index];
    let applied = Applied::new(rules, case, &dated, rung);
    let Some(applied) = applied.filter(|applied| applied.anchor.to_string() == queued.anchor) else {
        return Recheck::Cancel(if item.is_open() {
            Said::new("日期已变更", "the date has moved")
        } else {
            Said::new("该事项已完成", "the item is done")
        });
    };
    if applied.silenced_until(now).is_some() {
        return Recheck::Cancel(Said::new("已有人确认", "somebody has acknowledged it"));
    }
    if applied
        .comings(now)
        .last
        .is_some_and(|last| last.occurrence > queued.occurrence)
    {
        return Recheck::Cancel(Said::new(
            "下一次提醒也已到时",
            "the next time of the same rung has come",
        ));
    }
    if is_message(queued)
        && let Some(later) = later_rung(&applied, index, queued.audience, queued.due, now)
    {
        return Recheck::Cancel(words::nearer(later));
    }
    let today = rules.zone.to_datetime(now).date();
    let reached = if queued.is_call_notice {
        caller(rules, case, item, today).map(Reach::Staff).into_iter().collect()
    } else {
        resolve(rules, case, item, people, queued.audience, today)
    };
    let Some(reach) = reached.iter().find(|reach| reach.recipient() == queued.recipient) else {
        return no_longer_meant(&reached, rung);
    };
    if !reach.reachable_by(queued.way) {
        return Recheck::Unreachable(Said::new("此渠道已不可用", "this way is closed by now"));
    }
    if matches!(reach, Reach::Person(_)) {
        let until = into_sending_hours(rules, now, Some(queued.valid_until));
        if until > now {
            return Recheck::Wait { until };
        }
    }
    Recheck::Send(Box::new(dated))
}

/// Whether it is the reminder itself. A call stays open until somebody has made it, and so does the notice about it: a message that
/// came later is no call.
fn is_message(queued: &Queued) -> bool {
    queued.way != Way::Phone && !queued.is_call_notice
}

/// What was meant for staff goes to whoever is meant by now; a resident who is no longer meant has died or withdrew consent.
fn no_longer_meant<'a>(reached: &[Reach<'_>], rung: &Rung) -> Recheck<'a> {
    let heir = |reach: &Reach<'_>| {
        let Reach::Staff(staff) = reach else { return None };
        let mut ways = staff_ways(staff, &rung.by).into_iter();
        let way = ways.next()?;
        Some(Heir {
            staff: staff.id.clone(),
            way,
            fallback: ways.collect(),
        })
    };
    let heirs: Vec<Heir> = reached.iter().filter_map(heir).collect();
    if heirs.is_empty() {
        return Recheck::Cancel(Said::new(
            "收件人已故、无记录或不再同意接收",
            "the recipient has died, is not on record or withdrew consent",
        ));
    }
    let names: Vec<&str> = heirs.iter().map(|heir| heir.staff.as_str()).collect();
    let names = names.join(", ");
    Recheck::PassOn {
        heirs,
        said: Said::new(
            format!("原收件人已不负责或不在岗,改由 {names} 接收"),
            format!("whoever it was for is no longer in charge or away, so {names} is told"),
        ),
    }
}
