//! What the house notes of itself in the chain of events: who looked at or took out personal data, what was taken away, and what was
//! found about the chain. They carry ids, counts and hashes; the reason a person gives is the only free text.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{CaseId, PersonId};
use crate::domain::text::Said;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "house", rename_all = "snake_case")]
pub enum House {
    /// Somebody saw personal data.
    Viewed {
        view: View,
        /// Of how many cases; a single one is named by the event itself.
        cases: u64,
        /// Which, as far as they are named.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        named: Vec<CaseId>,
        /// A mail that belongs to no case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mail: Option<String>,
    },
    /// Everything kept about a person was handed out.
    PersonExported { person: PersonId, reason: String },
    /// Everything that names a person was destroyed.
    PersonErased {
        person: PersonId,
        reason: String,
        cases: u64,
        /// Once more, because the database had been restored from before.
        #[serde(default)]
        again: bool,
    },
    /// Records whose period is over were taken away.
    Purged {
        of: Kept,
        rows: u64,
        days: u32,
        sum: String,
    },
    /// The words of earlier events were taken away; what is left of them is proved by `sum`.
    Blanked { purge: i64, rows: i64, sum: String },
    /// The chain does not contain what was known to be its head.
    Broken { seq: i64, hash: String },
    /// A supervisor explained what had been found of the chain, e.g. after a restore.
    Accepted { reason: String },
}

/// By what somebody saw personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// `case show`
    Case,
    /// `case list`
    List,
    /// `why`, `why-not`
    Ledger,
    /// `notice`
    Notice,
    /// `preview`, `simulate`
    Outlook,
    /// `digest`
    Digest,
    /// `inbox`
    Inbox,
    /// `bounce show`
    Returned,
}

/// What has a period after which it is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    ClosedCases,
    Deliveries,
    Inbound,
    Inbox,
    Access,
}

impl Kept {
    pub fn said(self) -> Said {
        match self {
            Self::ClosedCases => Said::new("办结的案件", "closed cases"),
            Self::Deliveries => Said::new("发送记录", "delivery records"),
            Self::Inbound => Said::new("收到的短信和回执", "inbound texts and receipts"),
            Self::Inbox => Said::new("陌生号码的来信", "texts from strangers"),
            Self::Access => Said::new("查看记录", "records of views"),
        }
    }
}

impl View {
    pub fn said(self) -> Said {
        match self {
            Self::Case => Said::new("案件", "the case"),
            Self::List => Said::new("案件列表", "a list of cases"),
            Self::Ledger => Said::new("提醒记录", "records of reminders"),
            Self::Notice => Said::new("通知单", "a notice sheet"),
            Self::Outlook => Said::new("将来的提醒", "reminders to come"),
            Self::Digest => Said::new("每日待办", "a daily digest"),
            Self::Inbox => Said::new("陌生号码的来信", "SMS from unknown numbers"),
            Self::Returned => Said::new("退回的邮件", "a mail that came back"),
        }
    }
}

/// Of a long list so many cases are named; of the rest the number.
const NAMED_MAX: usize = 50;

impl House {
    /// That somebody sees these cases, and to which case that belongs: a single one is named by the event itself.
    pub fn viewed(view: View, cases: &[&CaseId]) -> (CaseId, Self) {
        let (case, named) = match cases {
            [case] => ((*case).clone(), Vec::new()),
            cases => (
                CaseId::from(""),
                cases.iter().take(NAMED_MAX).map(|case| (*case).clone()).collect(),
            ),
        };
        let viewed = Self::Viewed {
            view,
            cases: cases.len() as u64,
            named,
            mail: None,
        };
        (case, viewed)
    }

    /// How events of this sort are kept apart: who looked (`access`), and what proves something (`proof`).
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Viewed { .. } | Self::PersonExported { .. } => "access",
            _ => "proof",
        }
    }

    /// What an auditor reads without any key; empty when there is nothing to prove.
    pub fn proof(&self) -> String {
        match self {
            Self::Blanked { purge, rows, sum } => format!("purge {purge} {rows} {sum}"),
            Self::Broken { seq, hash } => format!("broken {seq} {hash}"),
            Self::Accepted { .. } => "accepted".to_owned(),
            Self::Purged { of, rows, sum, .. } => format!("purged {} {rows} {sum}", of.said().en.replace(' ', "_")),
            Self::PersonErased { person, .. } => format!("erased {person}"),
            Self::Viewed { .. } | Self::PersonExported { .. } => String::new(),
        }
    }

    pub fn said(&self) -> Said {
        match self {
            Self::Viewed {
                view, mail: Some(mail), ..
            } => {
                let view = view.said();
                Said::new(
                    format!("查看{} {mail}", view.zh),
                    format!("looked at {} {mail}", view.en),
                )
            }
            Self::Viewed { view, cases, .. } => {
                let view = view.said();
                Said::new(
                    format!("查看{}({cases}件)", view.zh),
                    format!("looked at {}, cases: {cases}", view.en),
                )
            }
            Self::PersonExported { person, reason } => Said::new(
                format!("导出 {person} 的全部信息: {reason}"),
                format!("exported everything about {person}: {reason}"),
            ),
            Self::PersonErased {
                person, reason, again, ..
            } => {
                let (zh, en) = if *again {
                    ("(恢复备份后再次)", " again, after a restore")
                } else {
                    ("", "")
                };
                Said::new(
                    format!("删除 {person} 的个人信息{zh}: {reason}"),
                    format!("erased {person}{en}: {reason}"),
                )
            }
            Self::Purged { of, rows, days, .. } => {
                let of = of.said();
                Said::new(
                    format!("保存期{days}天已过,清除{} {rows}条", of.zh),
                    format!("purged {} after {days} days, rows: {rows}", of.en),
                )
            }
            Self::Blanked { rows, .. } => Said::new(
                format!("清除{rows}条早先记录的内容"),
                format!("took away the words of earlier events: {rows}"),
            ),
            Self::Broken { seq, .. } => Said::new(
                format!("发现记录链与第{seq}条处已知的不符"),
                format!("found that the chain is not what was known of it at event {seq}"),
            ),
            Self::Accepted { reason } => Said::new(
                format!("主管已说明记录链的情况: {reason}"),
                format!("a supervisor explained the chain: {reason}"),
            ),
        }
    }
}
