//! What becomes of a claimed row that is not sent now: it ends, waits, or goes on by another way. Always with a reason.

use jiff::{SignedDuration, Timestamp};

use crate::channel::invitation::Invitation;
use crate::domain::reminder::State;
use crate::domain::text::Said;
use crate::engine::prepare::Context;
use crate::store::StoreError;
use crate::store::holds::Hold;
use crate::store::queue::{Claimed, Verdict};
use crate::store::reminders::NewReminder;
use crate::template::Rendered;

/// How long a reminder waits that could not be judged, in minutes.
const UNJUDGED_MIN: i64 = 15;

/// What a judgement comes to.
pub(crate) enum Judged {
    Settled {
        verdict: Verdict,
        next: Option<(Context, Said)>,
    },
    /// It waits, and people can see for what.
    Held {
        verdict: Verdict,
        held: Held,
        heirs: Vec<NewReminder>,
    },
    /// Somebody else is meant by now.
    PassedOn { verdict: Verdict, heirs: Vec<NewReminder> },
    Go {
        rendered: Rendered,
        /// For mails about something that binds the reader.
        invitation: Option<Box<Invitation>>,
        to: String,
        context: Context,
        version: Option<i64>,
    },
}

/// What a reminder waits for.
pub struct Held {
    /// The id of a hold, or the name of a rule that lets it go on by itself.
    pub(crate) why: String,
    /// The hold, which may be new.
    pub(crate) opened: Option<Hold>,
}

pub(crate) fn settle(row: &Claimed, state: State, said: Said, now: Timestamp) -> Verdict {
    Verdict {
        id: row.id.clone(),
        epoch: row.epoch,
        state: state.name(),
        not_before_ms: None,
        reason_zh: Some(said.zh),
        reason_en: Some(said.en),
        charged: 0,
        closed_ms: Some(now.as_millisecond()),
        attempt: None,
    }
}

pub(crate) fn cancel(row: &Claimed, said: Said, now: Timestamp) -> Judged {
    Judged::Settled {
        verdict: settle(row, State::Cancelled, said, now),
        next: None,
    }
}

pub(crate) fn wait(row: &Claimed, until: Timestamp, said: Said) -> Judged {
    let verdict = waiting(row, until, &said);
    Judged::Settled { verdict, next: None }
}

/// As `wait`, and people can see for what.
pub(crate) fn wait_for(row: &Claimed, until: Timestamp, said: &Said, why: String) -> Judged {
    Judged::Held {
        verdict: waiting(row, until, said),
        held: Held { why, opened: None },
        heirs: Vec::new(),
    }
}

fn waiting(row: &Claimed, until: Timestamp, said: &Said) -> Verdict {
    Verdict {
        not_before_ms: Some(until.as_millisecond()),
        closed_ms: None,
        ..settle(row, State::Queued, adding(row, said), until)
    }
}

/// The reason of a row with one more thing said, once.
pub(crate) fn adding(row: &Claimed, said: &Said) -> Said {
    let reason = Said::new(row.reason_zh.as_str(), row.reason_en.as_str());
    if said.zh.is_empty() || row.reason_zh.contains(&said.zh) {
        reason
    } else {
        reason.and(said)
    }
}

/// This program failed over one reminder.
pub(crate) fn failed(row: &Claimed, now: Timestamp) -> Judged {
    let verdict = put_off(row, now);
    Judged::Settled { verdict, next: None }
}

/// What becomes of it then.
pub(crate) fn put_off(row: &Claimed, now: Timestamp) -> Verdict {
    tracing::error!(reminder.id = %row.id, "reminder {} makes the program fail; it waits, the others go on", row.id);
    later(
        row,
        Said::new(
            "处理时程序出错,稍后再试",
            "the program failed over it; it is tried again later",
        ),
        now,
    )
}

/// The facts that a reminder is judged by cannot be read.
pub(crate) fn unjudged(row: &Claimed, error: &StoreError, now: Timestamp) -> Judged {
    if let StoreError::Erased { .. } = error {
        return cancel(row, erased_said(), now);
    }
    tracing::error!(reminder.id = %row.id, "reminder {} cannot be judged: {error}", row.id);
    let said = Said::new(
        "案件或人员记录无法读取,请管理员修复",
        "the record of the case or of a person cannot be read; an administrator has to repair it",
    );
    let verdict = later(row, said, now);
    Judged::Settled { verdict, next: None }
}

/// Why nothing is sent, and nobody phones, about somebody whose data was erased.
pub(crate) fn erased_said() -> Said {
    Said::new("个人信息已应要求删除", "the personal data was erased on request")
}

/// Waits a little; when that would be too late, it is a trouble that people see.
fn later(row: &Claimed, said: Said, now: Timestamp) -> Verdict {
    let until = now
        .checked_add(SignedDuration::from_mins(UNJUDGED_MIN))
        .unwrap_or(Timestamp::MAX);
    if until.as_millisecond() < row.valid_until_ms {
        return waiting(row, until, &said);
    }
    settle(row, State::Refused, said, now)
}
