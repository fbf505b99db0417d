//! What somebody else owes an answer to: an agency that is chased, a third party with a list of its own, a letter on its way, a matter
//! taken up the line, a consultation. One shape; what differs is how long each takes and who is told (`schedule.toml`).

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Base, Dates, Followed, Head};
use crate::domain::calendar::OffDay;
use crate::domain::ids::{OfficeId, StaffId};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, day_words_on};

pub(super) const MILESTONES: &[Milestone] = &[Milestone::Chase, Milestone::Due, Milestone::Overdue];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub head: Head,
    pub kind: ReplyKind,
    /// Who owes it, e.g. 档案室 or 区民政局.
    pub of: String,
    /// The outside office, when it is one of `agencies.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<OfficeId>,
    /// The member of staff of another unit who has it in hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<StaffId>,
    /// What was asked for.
    pub what: String,
    /// What they want to see for it, each thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<String>,
    /// Who takes part, for consultations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<String>,
    pub asked_at: Timestamp,
    pub due: Date,
    /// The last time they were asked; the next chaser counts from it.
    pub last_contact: Timestamp,
    /// Asked again after so many workdays; `None` is never before it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chase_workdays: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyKind {
    /// 催办外单位
    Agency,
    /// 向第三方要材料,对方另有清单和期限
    SubRequest,
    /// 邮寄
    Mail,
    /// 报请/上报
    Escalation,
    /// 会商
    Consult,
}

impl ReplyKind {
    pub const ALL: [Self; 5] = [
        Self::Agency,
        Self::SubRequest,
        Self::Mail,
        Self::Escalation,
        Self::Consult,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Agency => "agency",
            Self::SubRequest => "sub_request",
            Self::Mail => "mail",
            Self::Escalation => "escalation",
            Self::Consult => "consult",
        }
    }

    pub fn said(self) -> Said {
        match self {
            Self::Agency => Said::new("催办", "Chase"),
            Self::SubRequest => Said::new("索要材料", "Ask for papers"),
            Self::Mail => Said::new("邮寄", "Letter on its way"),
            Self::Escalation => Said::new("报请", "Taken up the line"),
            Self::Consult => Said::new("会商", "Consultation"),
        }
    }
}

impl fmt::Display for ReplyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub at: Timestamp,
    pub by: StaffId,
    pub result: String,
}

impl<'a> Followed<'a> for &'a Reply {
    fn base(&self) -> Base<'a> {
        self.head.as_base()
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Reply
    }

    fn is_open(&self) -> bool {
        self.answered.is_none()
    }

    fn contact(&self) -> Option<&'a StaffId> {
        self.contact.as_ref()
    }

    fn act_by(&self) -> Milestone {
        if self.chase_workdays.is_some() {
            Milestone::Chase
        } else {
            Milestone::Due
        }
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let due = Moment::Day(self.due);
        let chase = self.chase_workdays.map(|n| chase_day(rules, self.last_contact, n));
        let milestones = Milestones::default()
            .with_some(Milestone::Chase, chase.map(Moment::Day))
            .with(Milestone::Due, due)
            .with(Milestone::Overdue, due.day_after(&rules.zone));
        let rule = rules.schedule.replies.get(&self.kind);
        Dates {
            ladder: rule.and_then(|rule| rules.ladders.get(&rule.ladder)),
            milestones,
            ..Dates::default()
        }
    }

    fn title(&self, _: &Rulebook) -> Said {
        let (kind, of) = (self.kind.said(), &self.of);
        Said::new(format!("{}: {of}", kind.zh), format!("{}: {of}", kind.en))
    }

    fn label(&self) -> Said {
        self.kind.said()
    }

    fn remark(&self, rules: &Rulebook, today: Date) -> Said {
        let words_of = |at| day_words_on(today, rules.zone.to_datetime(at).date());
        let due = day_words_on(today, self.due);
        if self.kind == ReplyKind::Mail {
            let posted = words_of(self.asked_at);
            return Said::new(
                format!("{}寄出,应在{}前收到", posted.zh, due.zh),
                format!("posted {}, expected by {}", posted.en, due.en),
            );
        }
        let since = words_of(self.last_contact);
        Said::new(
            format!("上次联系{},应在{}前答复", since.zh, due.zh),
            format!("last asked {}, answer due by {}", since.en, due.en),
        )
    }
}

/// The day to ask again: so many workdays after the last time.
pub(super) fn chase_day(rules: &Rulebook, last: Timestamp, workdays: u32) -> Date {
    let day = rules.zone.to_datetime(last).date();
    let next = rules.calendar.add_workdays(day, i64::from(workdays.max(1)));
    next.unwrap_or_else(|_| rules.calendar.shift(day, OffDay::Later))
}
