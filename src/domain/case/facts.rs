//! What is known of a case as a whole: whose it is, how it came, how it stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{BenefitId, PersonId, StaffId};
use crate::domain::text::Said;

/// Whose matter it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// The resident, or the contact person of an enterprise.
    pub person: PersonId,
    /// The name of the enterprise; `None` for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<String>,
}

/// How the matter reached the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    #[default]
    WalkIn,
    Phone,
    Referral,
    Web,
    Email,
    Letter,
    HomeVisit,
    /// 视频或留言
    Message,
    Import,
}

/// 优先办理: sorts first, with the reason and who granted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorityLane {
    pub reason: String,
    pub granted_by: StaffId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseFlag {
    /// 分外之事: accepted although it is not our job.
    OutOfScope,
    /// 须本人到场
    InPerson,
    /// 丧亲或情绪敏感: texts without cheerful words.
    SensitiveTone,
    /// 加急
    Expedite,
    /// 节日问候: the household likes to hear from us; a to-do for staff, never a message.
    KeepInTouch,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Status {
    Open,
    /// Nothing can be done here until somebody else has acted.
    Waiting {
        on: String,
        since: Timestamp,
    },
    Closed {
        at: Timestamp,
        by: StaffId,
        closing: Closing,
    },
}

/// 办结的方式
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
pub enum Closing {
    Done {
        outcome: String,
    },
    Withdrawn {
        reason: String,
    },
    Transferred {
        to: String,
    },
    /// 不予办理: only with a supervisor, a reason and another way.
    Refused {
        reason: String,
        alternative: String,
        approved_by: StaffId,
    },
}

/// Who did it, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    pub at: Timestamp,
    pub by: StaffId,
}

/// "I have seen it": silences what asks for it until `until`, then asks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    pub at: Timestamp,
    pub by: StaffId,
    pub until: Timestamp,
    /// Why it may stay silent; empty when nothing was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl CaseFlag {
    pub fn name(self) -> &'static str {
        match self {
            Self::OutOfScope => "out_of_scope",
            Self::InPerson => "in_person",
            Self::SensitiveTone => "sensitive_tone",
            Self::Expedite => "expedite",
            Self::KeepInTouch => "keep_in_touch",
        }
    }
}

impl Origin {
    pub fn said(self) -> Said {
        match self {
            Self::WalkIn => Said::new("到窗口", "came to the window"),
            Self::Phone => Said::new("来电", "phoned"),
            Self::Referral => Said::new("转介", "was brought by a colleague"),
            Self::Web => Said::new("网上提交", "wrote on-line"),
            Self::Email => Said::new("来邮件", "sent an e-mail"),
            Self::Letter => Said::new("来信", "sent a letter"),
            Self::HomeVisit => Said::new("上门得知", "was visited at home"),
            Self::Message => Said::new("留言或视频", "left a message"),
            Self::Import => Said::new("旧记录", "older records"),
        }
    }
}

/// A benefit, and the amount it is estimated on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    pub benefit: BenefitId,
    /// In yuan, as [`Fen`](crate::domain::benefit::Fen) writes it.
    pub amount: String,
}
