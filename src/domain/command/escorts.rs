//! Commands on escorts: three legs, agreed with a third party. What does not fit is refused with what stands in the way and who is free.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::booking::{Agenda, Wish, nobody_to_go, travel_minutes};
use crate::domain::case::{CheckIn, Escort, EscortState, Head, Leg};
use crate::domain::command::appointments::{DEFAULT_VISIT_MIN, office_is_open, things_to_bring};
use crate::domain::command::items::{already_over, known_office, next_id, no_item};
use crate::domain::command::open::known_staff;
use crate::domain::command::{Change, Context, Refusal, fields};
use crate::domain::event::Event;
use crate::domain::ids::{ItemId, OfficeId, StaffId};
use crate::domain::text::Said;

/// An escort as it is asked for. Times are local; what is left out follows from the visit and the usual way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEscort {
    /// What for, in words that may be told.
    pub what: String,
    pub office: OfficeId,
    /// When the visit at the office begins.
    pub visit: String,
    #[serde(default)]
    pub pick_up: Option<String>,
    #[serde(default)]
    pub home_by: Option<String>,
    /// Who goes along; whoever of the extended-hours staff is free, unless somebody is named.
    #[serde(default)]
    pub with: Option<StaffId>,
    /// Where they are fetched; stays on the case page.
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub bring: Vec<String>,
}

/// Nobody is fetched so much earlier than was agreed.
const EARLY: SignedDuration = SignedDuration::from_hours(2);

/// The three times of an escort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    pick_up: Timestamp,
    visit: Timestamp,
    home_by: Timestamp,
}

pub(super) fn book(change: &mut Change, context: &Context<'_>, new: NewEscort) -> Result<(), Refusal> {
    let what = fields::line("what", &new.what, fields::SHORT_MAX)?;
    known_office(context, Some(&new.office))?;
    let times = times(
        context,
        &new.office,
        &new.visit,
        new.pick_up.as_deref(),
        new.home_by.as_deref(),
    )?;
    let with = who_goes(change, context, &new, times)?;
    let from = fields::optional_line("from", &new.from, fields::SHORT_MAX)?;
    let bring = things_to_bring(&new.bring)?;
    let id = next_id(change, 'e')?;
    change.events.push(Event::EscortBooked {
        item: id.clone(),
        office: new.office.clone(),
        pick_up: times.pick_up,
        with: with.clone(),
    });
    change.case.escorts.push(Escort {
        head: Head::new(id, context.now),
        what,
        office: new.office,
        with,
        pick_up: times.pick_up,
        visit: times.visit,
        home_by: times.home_by,
        from,
        bring,
        checks: Vec::new(),
        state: EscortState::Booked,
    });
    Ok(())
}

pub(super) fn move_to(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    (visit, pick_up, home_by): (&str, Option<&str>, Option<&str>),
) -> Result<(), Refusal> {
    let escort = open_escort(change, item)?;
    if !escort.checks.is_empty() {
        return Err(Refusal::at(
            "item",
            Said::new("已经出发,不能改期", "it is under way and cannot be moved"),
            Said::new(
                "送回后登记 drop_off,另约下一次",
                "confirm drop_off when they are home, and book another one",
            ),
        ));
    }
    let (office, with) = (escort.office.clone(), escort.with.clone());
    let times = times(context, &office, visit, pick_up, home_by)?;
    allowed(change, context, Some(item), (&office, &with), times)?;
    let escort = open_escort(change, item)?;
    if times
        == (Times {
            pick_up: escort.pick_up,
            visit: escort.visit,
            home_by: escort.home_by,
        })
    {
        return Err(Refusal::at(
            "visit",
            Said::new("时间没有变化", "it is the same as before"),
            Said::new("无需改期", "there is nothing to move"),
        ));
    }
    // Who is fetched and received at the same times as before has nothing to be told of.
    let is_moved = (escort.pick_up, escort.visit) != (times.pick_up, times.visit);
    escort.pick_up = times.pick_up;
    escort.visit = times.visit;
    escort.home_by = times.home_by;
    if is_moved {
        escort.head.move_at(context.now);
    }
    change.events.push(Event::EscortMoved {
        item: item.clone(),
        pick_up: times.pick_up,
    });
    Ok(())
}

/// The visit takes longer: they are home later the same day. Nobody else is told; the alarm waits.
pub(super) fn home_later(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    home_by: &str,
    reason: &str,
) -> Result<(), Refusal> {
    fields::line("reason", reason, fields::SHORT_MAX)?;
    let zone = &context.rules.zone;
    let home_by = fields::parse_local("home_by", home_by, zone)?;
    let escort = open_escort(change, item)?;
    let same_day = zone.to_datetime(home_by).date() == zone.to_datetime(escort.visit).date();
    if home_by <= context.now || home_by <= escort.visit || !same_day {
        return Err(Refusal::at(
            "home_by",
            Said::new("不是当天还没到的时间", "it is no time still to come on that day"),
            Said::new("填写当天稍后的时间", "give a later time of the same day"),
        ));
    }
    escort.home_by = home_by;
    change.events.push(Event::HomeLater {
        item: item.clone(),
        home_by,
    });
    Ok(())
}

/// The last confirmation was a mistake.
pub(super) fn undone(change: &mut Change, item: &ItemId) -> Result<(), Refusal> {
    let refusal = no_item(&change.case, item);
    let mut escorts = change.case.escorts.iter_mut();
    let escort = escorts.find(|one| one.head.id == *item).ok_or(refusal)?;
    let is_off = matches!(escort.state, EscortState::Cancelled { .. });
    if is_off || escort.checks.pop().is_none() {
        return Err(Refusal::at(
            "item",
            Said::new("没有可撤销的确认", "there is no confirmation to take back"),
            Said::new("取消了的另约一次", "book another one if it was called off"),
        ));
    }
    escort.state = EscortState::Booked;
    change.events.push(Event::ItemReopened { item: item.clone() });
    Ok(())
}

/// A leg is done. Whoever is home again has completed the escort, unless something happened on the way that is still open.
pub(super) fn check_in(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
    leg: Leg,
    at: Option<&str>,
) -> Result<(), Refusal> {
    let at = fields::past("at", at, context)?;
    let escort = open_escort(change, item)?;
    let day = |at: Timestamp| context.rules.zone.to_datetime(at).date();
    // Confirmed by mistake for another one, it would never be watched over.
    if day(at) < day(escort.pick_up) {
        return Err(Refusal::at(
            "item",
            Said::new("还没到那一天", "its day has not come yet"),
            Said::new(
                "看清是哪一次陪同;日子变了先用 move_escort 改期",
                "look which escort is meant; if the day has changed, move it with move_escort first",
            ),
        ));
    }
    if escort.checks.iter().any(|check| check.leg == leg) {
        return Err(Refusal::at(
            "leg",
            Said::new("这一程已经确认过", "that leg was confirmed before"),
            Said::new("无需重复登记", "there is nothing to confirm"),
        ));
    }
    if at < escort.pick_up.checked_sub(EARLY).unwrap_or(escort.pick_up) {
        return Err(Refusal::at(
            "at",
            Said::new("还没到上门接的时间", "it is long before the pick-up"),
            Said::new(
                "填写实际时间;改了时间先用 move_escort",
                "give the time it really was; use move_escort if the time has changed",
            ),
        ));
    }
    let was_out = escort.is_checked(Leg::PickUp) || at >= escort.visit;
    if leg == Leg::DropOff && !was_out {
        return Err(Refusal::at(
            "leg",
            Said::new("还没有接到人,谈不上送回", "nobody has been fetched yet"),
            Said::new(
                "先登记 pick_up;不去了用 cancel_escort",
                "record pick_up first; if it is off, use cancel_escort",
            ),
        ));
    }
    escort.checks.push(CheckIn {
        leg,
        at,
        by: context.actor.id.clone(),
    });
    change.events.push(Event::LegConfirmed {
        item: item.clone(),
        leg,
    });
    if leg == Leg::DropOff && !has_open_incident(change, item) {
        completed(change, context, item)?;
    }
    Ok(())
}

pub(super) fn complete(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    if !open_escort(change, item)?.is_checked(Leg::DropOff) {
        return Err(Refusal::at(
            "item",
            Said::new("还没有确认安全到家", "nobody has confirmed that they are home"),
            Said::new(
                "到家后用 check_in leg=drop_off 登记",
                "record it with check_in leg=drop_off when they are",
            ),
        ));
    }
    if has_open_incident(change, item) {
        return Err(Refusal::at(
            "item",
            Said::new("途中的突发情况还没有了结", "an incident on the way is still open"),
            Said::new(
                "恢复后用 recovered 登记,再完成",
                "record \"recovered\" when it is over, then complete it",
            ),
        ));
    }
    completed(change, context, item)
}

pub(super) fn cancel(change: &mut Change, context: &Context<'_>, item: &ItemId, reason: &str) -> Result<(), Refusal> {
    let reason = fields::line("reason", reason, fields::SHORT_MAX)?;
    let escort = open_escort(change, item)?;
    // From then on somebody may be on the way, and nobody would ask whether they are home.
    let may_be_out = escort.pick_up <= context.now && !escort.is_checked(Leg::DropOff);
    if may_be_out && !escort.is_checked(Leg::PickUp) && !context.actor.role.is_supervisory() {
        return Err(Refusal::at(
            "item",
            Said::new(
                "上门接的时间已过,没有人确认接没接到",
                "the time of the pick-up has passed, and nobody has said whether they were fetched",
            ),
            Said::new(
                "接到了就用 check_in 登记;确实没去接,由主管用自己的身份(--as)取消",
                "if they were, record it with check_in; if nobody went, a supervisor cancels it under their own name (--as)",
            ),
        ));
    }
    if escort.is_checked(Leg::PickUp) && !escort.is_checked(Leg::DropOff) {
        return Err(Refusal::at(
            "item",
            Said::new(
                "人已接上,还没有确认到家",
                "they were fetched, and nobody has confirmed that they are home",
            ),
            Said::new(
                "先送回,用 check_in leg=drop_off 登记",
                "bring them home and record check_in leg=drop_off",
            ),
        ));
    }
    escort.state = EscortState::Cancelled {
        at: context.now,
        by: context.actor.id.clone(),
        reason,
    };
    change.events.push(Event::EscortCancelled { item: item.clone() });
    Ok(())
}

fn completed(change: &mut Change, context: &Context<'_>, item: &ItemId) -> Result<(), Refusal> {
    let state = EscortState::Completed {
        at: context.now,
        by: context.actor.id.clone(),
    };
    open_escort(change, item)?.state = state;
    change.events.push(Event::EscortCompleted { item: item.clone() });
    Ok(())
}

/// After the last open incident of an escort whose people are home, it is complete.
pub(super) fn complete_after_incident(
    change: &mut Change,
    context: &Context<'_>,
    item: &ItemId,
) -> Result<(), Refusal> {
    let waits = |escort: &Escort| escort.state == EscortState::Booked && escort.is_checked(Leg::DropOff);
    let is_home = change
        .case
        .escorts
        .iter()
        .any(|escort| escort.head.id == *item && waits(escort));
    if is_home && !has_open_incident(change, item) {
        completed(change, context, item)?;
    }
    Ok(())
}

fn has_open_incident(change: &Change, escort: &ItemId) -> bool {
    let mut incidents = change.case.incidents.iter();
    incidents.any(|incident| incident.recovered.is_none() && incident.escort.as_ref() == Some(escort))
}

fn who_goes(change: &Change, context: &Context<'_>, new: &NewEscort, times: Times) -> Result<StaffId, Refusal> {
    if let Some(with) = &new.with {
        known_staff("with", with, context)?;
        allowed(change, context, None, (&new.office, with), times)?;
        return Ok(with.clone());
    }
    let agenda = Agenda::new(context.rules, &change.case, context.busy);
    let wish = Wish {
        case: &change.case,
        item: None,
        staff: &change.case.owner,
        office: &new.office,
        from: times.pick_up,
        to: times.home_by,
        is_escort: true,
    };
    let free = agenda.free(&wish);
    if agenda.has_nobody_for(&change.case.unit) {
        let what = Said::new("不知道由谁陪同", "nobody is named who goes along");
        return Err(Refusal::at("with", what, nobody_to_go()));
    }
    let Some(first) = free.first() else {
        return Err(Refusal::at(
            "with",
            Said::new(
                "那时没有空闲的延时服务人员",
                "nobody of the extended-hours staff is free then",
            ),
            Said::new(
                "另选时间,或用 with 指明由谁陪同",
                "choose another time, or name who goes along with \"with\"",
            ),
        ));
    };
    allowed(change, context, None, (&new.office, &first.id), times)?;
    Ok(first.id.clone())
}

fn allowed(
    change: &Change,
    context: &Context<'_>,
    item: Option<&ItemId>,
    (office, staff): (&OfficeId, &StaffId),
    times: Times,
) -> Result<(), Refusal> {
    let wish = Wish {
        case: &change.case,
        item,
        staff,
        office,
        from: times.pick_up,
        to: times.home_by,
        is_escort: true,
    };
    let allowed = Agenda::new(context.rules, &change.case, context.busy).allows(&wish);
    allowed.map_err(|refusal| match refusal.field.as_deref() {
        Some("start") => Refusal {
            field: Some("visit".to_owned()),
            ..refusal
        },
        _ => refusal,
    })
}

fn times(
    context: &Context<'_>,
    office: &OfficeId,
    visit: &str,
    pick_up: Option<&str>,
    home_by: Option<&str>,
) -> Result<Times, Refusal> {
    let rules = context.rules;
    let visit = fields::parse_local("visit", visit, &rules.zone)?;
    let travel = i64::from(travel_minutes(rules, rules.offices.get(office)));
    let after = |at: Timestamp, minutes: i64| at.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(at);
    let pick_up = match pick_up {
        Some(text) => fields::parse_local("pick_up", text, &rules.zone)?,
        None => after(visit, -travel),
    };
    let home_by = match home_by {
        Some(text) => fields::parse_local("home_by", text, &rules.zone)?,
        None => after(visit, DEFAULT_VISIT_MIN + travel),
    };
    if pick_up <= context.now {
        return Err(Refusal::at(
            "pick_up",
            Said::new("上门接的时间已经过去", "the pick-up lies in the past"),
            Said::new("填写将来的时间", "give a time to come"),
        ));
    }
    let wrong = |field: &str| {
        Refusal::at(
            field,
            Said::new("三程的时间先后不对", "the three legs are not in order"),
            Said::new(
                "先上门接(pick_up),再办理(visit),最后送回(home_by)",
                "first pick_up, then visit, then home_by",
            ),
        )
    };
    if pick_up >= visit {
        return Err(wrong("pick_up"));
    }
    if home_by <= visit {
        return Err(wrong("home_by"));
    }
    let day = |at: Timestamp| rules.zone.to_datetime(at).date();
    for (field, at) in [("pick_up", pick_up), ("home_by", home_by)] {
        if day(at) != day(visit) {
            return Err(Refusal::at(
                field,
                Said::new("和办理不在同一天", "it is on another day than the visit"),
                Said::new("三程应在同一天", "the three legs belong to one day"),
            ));
        }
    }
    office_is_open(context, office, "visit", visit)?;
    Ok(Times {
        pick_up,
        visit,
        home_by,
    })
}

pub(super) fn open_escort<'a>(change: &'a mut Change, item: &ItemId) -> Result<&'a mut Escort, Refusal> {
    let refusal = no_item(&change.case, item);
    let escort = change
        .case
        .escorts
        .iter_mut()
        .find(|one| one.head.id == *item)
        .ok_or(refusal)?;
    if escort.state == EscortState::Booked {
        Ok(escort)
    } else {
        Err(already_over(item))
    }
}
