//! The caps of the day: how many SMS one resident gets, over all cases.

use jiff::Timestamp;
use jiff::civil::Time;

use crate::domain::ladder::{Priority, Way};
use crate::domain::milestone::instant;
use crate::domain::reminder::{MarkText, Recipient, State};
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::engine::prepare::Context;
use crate::engine::settle::{Judged, settle, wait};
use crate::store::queue::Claimed;

/// What the caps of the day say about a message.
pub(crate) enum Cap {
    Free,
    /// Over the cap, but it goes for the reason given.
    Passed(Said),
    Closed(Box<Judged>),
}

/// At most so many SMS a day to one resident, over all cases, and one per topic. What is critical goes through and says so, and so does
/// what puts right an earlier message: whoever was told of a time must not wait for it in vain. The rest waits for the morning, or
/// becomes a call when the morning is too late.
pub(crate) fn cap(
    rules: &Rules,
    way: Way,
    row: &Claimed,
    sms_today: &mut Vec<(String, String)>,
    context: &Context,
    now: Timestamp,
) -> Cap {
    if way != Way::Sms || !matches!(context.recipient, Recipient::Person(_)) {
        return Cap::Free;
    }
    let schedule = &rules.rulebook.schedule;
    let count = |keep: &dyn Fn(&(String, String)) -> bool| {
        u32::try_from(sms_today.iter().filter(|sent| keep(sent)).count()).unwrap_or(u32::MAX)
    };
    let all = count(&|sent| sent.0 == row.recipient);
    let topic = count(&|sent| sent.0 == row.recipient && sent.1 == row.case_id);
    let over = all >= schedule.sms_per_resident_per_day || topic >= schedule.sms_per_topic_per_day;
    let critical = row.priority >= Priority::Critical as i64;
    if !over || critical || puts_right(rules, row) {
        sms_today.push((row.recipient.clone(), row.case_id.clone()));
        let said = if critical {
            Said::new(
                "今天给此人的短信已到上限,因事关失权仍发出",
                "this person's SMS of the day are used up; it goes all the same, because a right can be lost",
            )
        } else {
            Said::new(
                "今天给此人的短信已到上限,因更正此前告知的时间仍发出",
                "this person's SMS of the day are used up; it goes all the same, because it puts right what they were told",
            )
        };
        return if over { Cap::Passed(said) } else { Cap::Free };
    }
    let zone = &rules.rulebook.zone;
    let today = zone.to_datetime(now).date();
    let midnight = instant(today.tomorrow().unwrap_or(today), Time::midnight(), zone);
    let until = schedule.sending_hours.next_allowed(midnight, zone);
    if until.as_millisecond() < row.valid_until_ms {
        let said = Said::new(
            "今天给此人的短信已到上限,明早再发",
            "this person's SMS of the day are used up; it waits for the morning",
        );
        return Cap::Closed(Box::new(wait(row, until, said)));
    }
    let said = Said::new("今天给此人的短信已到上限", "this person's SMS of the day are used up");
    let verdict = settle(row, State::Cancelled, said.clone(), now);
    Cap::Closed(Box::new(Judged::Settled {
        verdict,
        next: Some((context.clone(), said)),
    }))
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
