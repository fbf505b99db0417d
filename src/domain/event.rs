//! What happened to a case: written once, never changed. Events carry ids and dates, never names, numbers or words of residents.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::case::{AttemptResult, CaseFlag, ContactKind, Direction, Origin};
use crate::domain::ids::{ItemId, MatterId, OfficeId, PeriodId, PersonId, ReminderId, StaffId, UnitId};
use crate::domain::text::Said;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    CaseOpened {
        matter: MatterId,
        unit: UnitId,
        owner: StaffId,
        origin: Origin,
    },
    CaseImported {
        matter: MatterId,
        unit: UnitId,
        owner: StaffId,
    },
    DeadlineAdded {
        item: ItemId,
        kind: PeriodId,
    },
    TriggerSet {
        item: ItemId,
        trigger: String,
    },
    EndFixed {
        item: ItemId,
        end: Date,
    },
    ItemDone {
        item: ItemId,
    },
    ItemReopened {
        item: ItemId,
    },
    Acknowledged {
        item: ItemId,
        until: Timestamp,
    },
    CallbackPromised {
        item: ItemId,
        by: StaffId,
        due: String,
    },
    CallbackAttempted {
        item: ItemId,
        result: AttemptResult,
    },
    CallbackKept {
        item: ItemId,
    },
    CallbackMoved {
        item: ItemId,
        due: String,
    },
    CallbackPassed {
        item: ItemId,
        from: StaffId,
        to: StaffId,
    },
    AppointmentBooked {
        item: ItemId,
        office: OfficeId,
        start: Timestamp,
        with: StaffId,
    },
    AppointmentMoved {
        item: ItemId,
        start: Timestamp,
    },
    AppointmentAttended {
        item: ItemId,
    },
    AppointmentCancelled {
        item: ItemId,
    },
    Contacted {
        direction: Direction,
        kind: ContactKind,
    },
    OwnerChanged {
        from: StaffId,
        to: StaffId,
    },
    PriorityGranted {
        by: StaffId,
    },
    PriorityWithdrawn,
    FlagSet {
        flag: CaseFlag,
    },
    FlagCleared {
        flag: CaseFlag,
    },
    WaitingSince {
        at: Timestamp,
    },
    Resumed,
    CaseClosed {
        r#as: String,
    },
    CaseReopened,
    TaskDone {
        reminder: ReminderId,
        result: AttemptResult,
    },
    PersonChanged {
        person: PersonId,
        fields: Vec<String>,
    },
    RelativeAdded {
        person: PersonId,
        opted_in: bool,
    },
    /// A message was refused for good, and staff were asked to phone instead.
    MessageRefused {
        reminder: ReminderId,
    },
}

impl Event {
    /// What happened, for people; instants in the zone of the halls.
    pub fn said(&self, zone: &TimeZone) -> Said {
        let at = |at: &Timestamp| zone.to_datetime(*at).strftime("%Y-%m-%d %H:%M").to_string();
        let (zh, en) = match self {
            Self::CaseOpened { unit, owner, .. } => (
                format!("立案,{unit},经办人 {owner}"),
                format!("case opened at {unit}, owner {owner}"),
            ),
            Self::CaseImported { unit, owner, .. } => (
                format!("由旧记录导入,{unit},经办人 {owner}"),
                format!("case imported at {unit}, owner {owner}"),
            ),
            Self::DeadlineAdded { item, kind } => (
                format!("{item} 增加期限 {kind}"),
                format!("{item} deadline {kind} added"),
            ),
            Self::TriggerSet { item, trigger } => (
                format!("{item} 起算日定为 {trigger}"),
                format!("{item} counts from {trigger}"),
            ),
            Self::EndFixed { item, end } => (format!("{item} 期限定为 {end}"), format!("{item} ends {end}")),
            Self::ItemDone { item } => (format!("{item} 办完"), format!("{item} done")),
            Self::ItemReopened { item } => (format!("{item} 撤销办完"), format!("{item} not done after all")),
            Self::Acknowledged { item, until } => {
                let until = at(until);
                (
                    format!("{item} 已知悉,至 {until} 不再提醒"),
                    format!("{item} acknowledged, quiet until {until}"),
                )
            }
            Self::CallbackPromised { item, by, due } => (
                format!("{item} {by} 承诺 {due} 前回电"),
                format!("{item} {by} promised to call by {due}"),
            ),
            Self::CallbackAttempted { item, result } => {
                let result = result.said();
                (
                    format!("{item} 打过电话: {}", result.zh),
                    format!("{item} phoned: {}", result.en),
                )
            }
            Self::CallbackKept { item } => (format!("{item} 承诺已兑现"), format!("{item} promise kept")),
            Self::CallbackMoved { item, due } => (format!("{item} 改到 {due}"), format!("{item} moved to {due}")),
            Self::CallbackPassed { item, from, to } => (
                format!("{item} 由 {from} 转给 {to}"),
                format!("{item} passed from {from} to {to}"),
            ),
            Self::AppointmentBooked {
                item,
                office,
                start,
                with,
            } => {
                let start = at(start);
                (
                    format!("{item} 预约 {office} {start},{with}"),
                    format!("{item} booked at {office} for {start}, with {with}"),
                )
            }
            Self::AppointmentMoved { item, start } => {
                let start = at(start);
                (format!("{item} 预约改到 {start}"), format!("{item} moved to {start}"))
            }
            Self::AppointmentAttended { item } => (format!("{item} 已赴约"), format!("{item} attended")),
            Self::AppointmentCancelled { item } => (format!("{item} 预约取消"), format!("{item} cancelled")),
            Self::Contacted { direction, kind } => contacted(*direction, *kind),
            Self::OwnerChanged { from, to } => (
                format!("经办人由 {from} 转为 {to}"),
                format!("owner changed from {from} to {to}"),
            ),
            Self::PriorityGranted { by } => (format!("{by} 批准优先办理"), format!("{by} granted priority")),
            Self::PriorityWithdrawn => ("撤销优先办理".to_owned(), "priority withdrawn".to_owned()),
            Self::FlagSet { flag } => (format!("标记 {}", flag.name()), format!("flag {} set", flag.name())),
            Self::FlagCleared { flag } => (
                format!("去掉标记 {}", flag.name()),
                format!("flag {} cleared", flag.name()),
            ),
            Self::WaitingSince { at: since } => {
                let since = at(since);
                (format!("自 {since} 起等待"), format!("waiting since {since}"))
            }
            Self::Resumed => ("恢复办理".to_owned(), "resumed".to_owned()),
            Self::CaseClosed { r#as: how } => (format!("办结({how})"), format!("closed as {how}")),
            Self::CaseReopened => ("重开".to_owned(), "reopened".to_owned()),
            Self::TaskDone { result, .. } => {
                let result = result.said();
                (format!("电话任务: {}", result.zh), format!("call task: {}", result.en))
            }
            Self::PersonChanged { person, fields } => {
                let fields = fields.join(", ");
                (format!("{person} 更改 {fields}"), format!("{person} changed: {fields}"))
            }
            Self::RelativeAdded { person, opted_in } => {
                let (zh, en) = if *opted_in {
                    ("同意接收", "opted in")
                } else {
                    ("未同意接收", "not opted in")
                };
                (
                    format!("增加亲属 {person}({zh})"),
                    format!("relative {person} added, {en}"),
                )
            }
            Self::MessageRefused { reminder } => (
                format!("提醒 {reminder} 被拒收,改打电话"),
                format!("reminder {reminder} was refused: phone instead"),
            ),
        };
        Said::new(zh, en)
    }

    /// The item it is about, if any.
    pub fn item(&self) -> Option<&ItemId> {
        match self {
            Self::DeadlineAdded { item, .. }
            | Self::TriggerSet { item, .. }
            | Self::EndFixed { item, .. }
            | Self::ItemDone { item }
            | Self::ItemReopened { item }
            | Self::Acknowledged { item, .. }
            | Self::CallbackPromised { item, .. }
            | Self::CallbackAttempted { item, .. }
            | Self::CallbackKept { item }
            | Self::CallbackMoved { item, .. }
            | Self::CallbackPassed { item, .. }
            | Self::AppointmentBooked { item, .. }
            | Self::AppointmentMoved { item, .. }
            | Self::AppointmentAttended { item }
            | Self::AppointmentCancelled { item } => Some(item),
            _ => None,
        }
    }
}

fn contacted(direction: Direction, kind: ContactKind) -> (String, String) {
    let kind = kind.said();
    match direction {
        Direction::In => (format!("居民{}", kind.zh), format!("{} from the resident", kind.en)),
        Direction::Out => (format!("我方{}", kind.zh), format!("{} from us", kind.en)),
    }
}
