//! The caps of the day: how many messages one resident gets, over all cases, and how many of them are SMS.

use jiff::Timestamp;
use jiff::civil::Time;

use crate::domain::ladder::{Priority, Way};
use crate::domain::milestone::instant;
use crate::domain::reminder::{MarkText, Recipient, State};
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::engine::prepare::Context;
use crate::engine::settle::{Judged, settle, wait_for};
use crate::store::holds::CAP;
use crate::store::queue::{Claimed, Told};

/// What the caps of the day say about a message.
pub(crate) enum Cap {
    Free,
    /// Over the cap, but it goes for the reason given.
    Passed(Said),
    Closed(Box<Judged>),
}

/// At most so many messages a day to one resident, fewer of them SMS, and one SMS per topic. What is critical goes through and says so,
/// and so does what puts right an earlier message: whoever was told of a time must not wait for it in vain. The rest waits for the
/// morning, or becomes a call when the morning is too late.
pub(crate) fn cap(
    rules: &Rules,
    way: Way,
    row: &Claimed,
    told_today: &mut Vec<Told>,
    context: &Context,
    now: Timestamp,
) -> Cap {
    if !matches!(context.recipient, Recipient::Person(_)) {
        return Cap::Free;
    }
    let schedule = &rules.rulebook.schedule;
    let count = |keep: &dyn Fn(&Told) -> bool| {
        let kept = told_today.iter().filter(|told| told.recipient == row.recipient);
        u32::try_from(kept.filter(|told| keep(told)).count()).unwrap_or(u32::MAX)
    };
    let is_sms = |told: &Told| told.way == Way::Sms.name();
    let sms = || count(&is_sms) >= schedule.sms_per_resident_per_day;
    let topic = || count(&|told| is_sms(told) && told.case_id == row.case_id) >= schedule.sms_per_topic_per_day;
    let over_all = count(&|_| true) >= schedule.messages_per_resident_per_day;
    let over = over_all || (way == Way::Sms && (sms() || topic()));
    let used_up = used_up(way, over_all);
    let critical = row.priority >= Priority::Critical as i64;
    if !over || critical || puts_right(rules, row) {
        told_today.push(Told {
            recipient: row.recipient.clone(),
            case_id: row.case_id.clone(),
            way: way.name().to_owned(),
        });
        let all_the_same = if critical {
            (
                ",因事关失权仍发出",
                "; it goes all the same, because a right can be lost",
            )
        } else {
            (
                ",因更正此前告知的时间仍发出",
                "; it goes all the same, because it puts right what they were told",
            )
        };
        return if over {
            Cap::Passed(adding(&used_up, all_the_same))
        } else {
            Cap::Free
        };
    }
    let zone = &rules.rulebook.zone;
    let today = zone.to_datetime(now).date();
    let midnight = instant(today.tomorrow().unwrap_or(today), Time::midnight(), zone);
    let until = schedule.sending_hours.next_allowed(midnight, zone);
    if until.as_millisecond() < row.valid_until_ms {
        let said = adding(&used_up, (",明早再发", "; it waits for the morning"));
        return Cap::Closed(Box::new(wait_for(row, until, &said, CAP.to_owned())));
    }
    let verdict = settle(row, State::Cancelled, used_up.clone(), now);
    Cap::Closed(Box::new(Judged::Settled {
        verdict,
        next: Some((context.clone(), used_up)),
    }))
}

fn used_up(way: Way, over_all: bool) -> Said {
    if way == Way::Sms && !over_all {
        Said::new("今天给此人的短信已到上限", "this person's SMS of the day are used up")
    } else {
        Said::new(
            "今天给此人的信息已到上限",
            "this person's messages of the day are used up",
        )
    }
}

fn adding(said: &Said, (zh, en): (&str, &str)) -> Said {
    Said::new(format!("{}{zh}", said.zh), format!("{}{en}", said.en))
}

/// Whether it goes only to those who have heard of the matter before.
fn puts_right(rules: &Rules, row: &Claimed) -> bool {
    let Some(mark) = MarkText::parse(&row.mark) else {
        return false;
    };
    let ladder = rules.rulebook.ladders.get(&mark.ladder);
    let mut rungs = ladder.into_iter().flat_map(|ladder| &ladder.rungs);
    rungs.any(|rung| rung.name == mark.rung && rung.if_told)
}
