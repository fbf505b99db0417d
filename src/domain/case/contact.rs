//! 联系记录: who turned to whom, when, and what was heard from other offices. Notes are private, like the request.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Case;
use crate::domain::ids::StaffId;
use crate::domain::text::Said;

/// 联系记录: one contact, with its direction: it matters who called whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    pub at: Timestamp,
    pub by: StaffId,
    pub direction: Direction,
    pub kind: ContactKind,
    /// Private, like the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The resident turned to us.
    In,
    /// We turned to the resident.
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactKind {
    Phone,
    Meeting,
    HomeVisit,
    Sms,
    Email,
    Letter,
    /// 留言、视频
    Video,
}

impl ContactKind {
    /// In words. A meeting has no direction.
    fn name(self, direction: Direction) -> Said {
        let (zh, en) = match (self, direction) {
            (Self::Phone, Direction::In) => ("来电", "calls from them"),
            (Self::Phone, Direction::Out) => ("去电", "calls from us"),
            (Self::Meeting, _) => ("面谈", "meetings"),
            (Self::HomeVisit, _) => ("上门", "home visits"),
            (Self::Sms, Direction::In) => ("来短信", "SMS from them"),
            (Self::Sms, Direction::Out) => ("发短信", "SMS from us"),
            (Self::Email, Direction::In) => ("来邮件", "e-mails from them"),
            (Self::Email, Direction::Out) => ("发邮件", "e-mails from us"),
            (Self::Letter, Direction::In) => ("来信", "letters from them"),
            (Self::Letter, Direction::Out) => ("去信", "letters from us"),
            (Self::Video, Direction::In) => ("来视频留言", "videos and messages from them"),
            (Self::Video, Direction::Out) => ("去视频留言", "videos and messages from us"),
        };
        Said::new(zh, en)
    }

    /// Two sides meet, whoever asked for it.
    fn has_direction(self) -> bool {
        !matches!(self, Self::Meeting | Self::HomeVisit)
    }
}

impl ContactKind {
    pub fn said(self) -> Said {
        match self {
            Self::Phone => Said::new("电话", "phone call"),
            Self::Meeting => Said::new("面谈", "meeting"),
            Self::HomeVisit => Said::new("上门", "home visit"),
            Self::Sms => Said::new("短信", "SMS"),
            Self::Email => Said::new("邮件", "e-mail"),
            Self::Letter => Said::new("信件", "letter"),
            Self::Video => Said::new("视频或留言", "video or message"),
        }
    }
}

/// 转接记录: one stop on the way through the departments. The next caller reads the last one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    pub at: Timestamp,
    /// Who heard it: a member of staff, or the resident before they came.
    pub heard_by: HeardBy,
    /// The office or department, e.g. 殡仪馆业务科.
    pub place: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub person: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// What they said, e.g. 不给补办,让找档案室.
    pub result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeardBy {
    Staff(StaffId),
    Resident,
}

/// 一次性告知, 说明情况: what the resident was told, by which list, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    pub at: Timestamp,
    pub by: StaffId,
    pub what: ToldWhat,
    /// How, e.g. 当面,通知单.
    pub method: String,
    /// A fingerprint of the list of materials as it was told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub list: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldWhat {
    /// 一次性告知: everything that has to be brought, at once.
    OneTimeNotice,
    /// 二次告知: the list had changed since.
    SecondNotice,
    /// 讲明情况
    Explanation,
}

impl ToldWhat {
    pub fn said(self) -> Said {
        match self {
            Self::OneTimeNotice => Said::new("一次性告知", "told everything at once"),
            Self::SecondNotice => Said::new("二次告知", "told a second time, of a changed list"),
            Self::Explanation => Said::new("讲明情况", "the matter was explained"),
        }
    }
}

/// 倾听记录, kept private; 反馈.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    pub at: Timestamp,
    pub by: StaffId,
    pub text: String,
}

/// 表扬、意见: counted; it never opens a case again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    pub at: Timestamp,
    pub by: StaffId,
    pub kind: FeedbackKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackKind {
    /// 表扬、锦旗、感谢电话
    Commendation,
    /// 意见
    Complaint,
    /// 建议
    Suggestion,
}

impl FeedbackKind {
    pub fn said(self) -> Said {
        match self {
            Self::Commendation => Said::new("表扬", "commendation"),
            Self::Complaint => Said::new("意见", "complaint"),
            Self::Suggestion => Said::new("建议", "suggestion"),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Commendation => "commendation",
            Self::Complaint => "complaint",
            Self::Suggestion => "suggestion",
        }
    }
}

impl Case {
    /// The contacts in words: 来电14次,面谈4次. Who turned to whom matters.
    pub fn contact_tally(&self) -> Said {
        let mut tally: BTreeMap<(Direction, ContactKind), u32> = BTreeMap::new();
        for contact in &self.contacts {
            let direction = if contact.kind.has_direction() {
                contact.direction
            } else {
                Direction::In
            };
            *tally.entry((direction, contact.kind)).or_default() += 1;
        }
        let words = tally.into_iter().map(|((direction, kind), n)| {
            let Said { zh, en } = kind.name(direction);
            Said::new(format!("{zh}{n}次"), format!("{en}: {n}"))
        });
        words
            .reduce(|all, more| Said::new(all.zh + "," + &more.zh, all.en + ", " + &more.en))
            .unwrap_or_default()
    }

    /// How often the resident turned to us, by whatever means.
    pub fn inbound_contacts(&self) -> usize {
        self.contacts.iter().filter(|contact| contact.is_inbound()).count()
    }

    /// The last time anybody was in contact with the resident, or the opening.
    pub fn last_contact_at(&self) -> Timestamp {
        let contacts = self.contacts.iter().map(|contact| contact.at);
        contacts.max().map_or(self.opened_at, |last| last.max(self.opened_at))
    }
}

impl Contact {
    /// The resident turned to us, or we sat together.
    pub fn is_inbound(&self) -> bool {
        self.direction == Direction::In || self.kind == ContactKind::Meeting
    }
}
