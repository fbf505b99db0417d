//! What happened to a case: written once, never changed. Events carry ids and dates, never names, numbers or words of residents.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::case::{
    AttemptResult, CaseFlag, ContactKind, Direction, FeedbackKind, Leg, Origin, Purpose, ReplyKind, SearchAnswer,
    ToldWhat,
};
use crate::domain::house::House;
use crate::domain::ids::{BenefitId, ItemId, MatterId, OfficeId, PeriodId, PersonId, ReminderId, StaffId, UnitId};
use crate::domain::org::Role;
use crate::domain::text::Said;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Of the house itself, not of a case.
    House(House),
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
        /// Why it was closed over what was still under way; nothing was in older records.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaving: Option<String>,
        /// What was still under way.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<ItemId>,
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
    /// Nothing leaves until a person releases it. Belongs to no case, as the next two.
    SendingHeld {
        hold: String,
    },
    SendingReleased {
        hold: String,
    },
    /// A backup took the place of the database.
    DatabaseRestored {
        incarnation: String,
    },
    /// A message was refused for good, and staff were asked to phone instead.
    MessageRefused {
        reminder: ReminderId,
    },
    ItemPassed {
        item: ItemId,
        from: StaffId,
        to: StaffId,
    },
    EscortBooked {
        item: ItemId,
        office: OfficeId,
        pick_up: Timestamp,
        with: StaffId,
    },
    EscortMoved {
        item: ItemId,
        pick_up: Timestamp,
    },
    HomeLater {
        item: ItemId,
        home_by: Timestamp,
    },
    LegConfirmed {
        item: ItemId,
        leg: Leg,
    },
    EscortCompleted {
        item: ItemId,
    },
    EscortCancelled {
        item: ItemId,
    },
    IncidentNoted {
        item: ItemId,
        #[serde(default)]
        escort: Option<ItemId>,
    },
    IncidentOver {
        item: ItemId,
    },
    MaterialAdded {
        item: ItemId,
    },
    MaterialMissing {
        item: ItemId,
        finder: StaffId,
    },
    MaterialIs {
        item: ItemId,
        state: String,
    },
    Searched {
        item: ItemId,
        answer: SearchAnswer,
    },
    BundleComplete,
    BundleHandedOver,
    Asked {
        item: ItemId,
        kind: ReplyKind,
        due: Date,
    },
    AskedAgain {
        item: ItemId,
    },
    Answered {
        item: ItemId,
    },
    PlanDrafted {
        steps: u32,
    },
    PlanApproved {
        role: Role,
    },
    StepAdded {
        item: ItemId,
    },
    StepDropped {
        item: ItemId,
        /// Why, in the words of whoever dropped it.
        reason: String,
    },
    StepChanged {
        item: ItemId,
    },
    /// The day by which everything has to be done; `None`: no such day any more.
    NeededBy {
        day: Option<Date>,
    },
    StepStarted {
        item: ItemId,
    },
    StepExpedited {
        item: ItemId,
        on: bool,
    },
    TodoAdded {
        item: ItemId,
        purpose: Purpose,
        by: StaffId,
        due: Date,
    },
    Told {
        what: ToldWhat,
    },
    HopNoted,
    Listened,
    FeedbackReceived {
        kind: FeedbackKind,
    },
    ObstacleNoted {
        tag: String,
    },
    ObstacleRemoved {
        tag: String,
    },
    TripNoted {
        trips: u32,
    },
    ResponsibleNoted,
    Watching,
    WatchEnded,
    Estimated {
        benefit: BenefitId,
    },
}

impl Event {
    /// How it is kept: what happened to a case is a `fact`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::House(house) => house.kind(),
            Self::DatabaseRestored { .. } => "proof",
            _ => "fact",
        }
    }

    /// What an auditor reads of it without any key.
    pub fn proof(&self) -> String {
        match self {
            Self::House(house) => house.proof(),
            Self::DatabaseRestored { incarnation } => format!("restored {incarnation}"),
            _ => String::new(),
        }
    }

    /// What happened, for people; instants in the zone of the halls.
    pub fn said(&self, zone: &TimeZone) -> Said {
        let at = |at: &Timestamp| zone.to_datetime(*at).strftime("%Y-%m-%d %H:%M").to_string();
        let (zh, en) = match self {
            Self::House(house) => return house.said(),
            Self::CaseOpened {
                unit, owner, origin, ..
            } => {
                let origin = origin.said();
                (
                    format!("立案({}),{unit},经办人 {owner}", origin.zh),
                    format!("case opened at {unit} ({}), owner {owner}", origin.en),
                )
            }
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
            Self::CaseClosed {
                r#as: how,
                leaving,
                left,
            } => closed(how, leaving.as_deref(), left),
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
            Self::SendingHeld { hold } => (format!("扣留发送({hold})"), format!("sending held ({hold})")),
            Self::SendingReleased { hold } => (format!("放行({hold})"), format!("released ({hold})")),
            Self::DatabaseRestored { incarnation } => (
                format!("数据库由备份恢复({incarnation})"),
                format!("the database was restored from a backup ({incarnation})"),
            ),
            Self::MessageRefused { reminder } => (
                format!("提醒 {reminder} 被拒收,改打电话"),
                format!("reminder {reminder} was refused: phone instead"),
            ),
            other => return other.said_of_work(zone),
        };
        Said::new(zh, en)
    }

    /// The same for what is done beyond dates and calls: escorts, papers, answers, plans.
    fn said_of_work(&self, zone: &TimeZone) -> Said {
        let at = |at: &Timestamp| zone.to_datetime(*at).strftime("%Y-%m-%d %H:%M").to_string();
        let (zh, en) = match self {
            Self::ItemPassed { item, from, to } => (
                format!("{item} 由 {from} 转给 {to}"),
                format!("{item} passed from {from} to {to}"),
            ),
            Self::EscortBooked {
                item,
                office,
                pick_up,
                with,
            } => {
                let pick_up = at(pick_up);
                (
                    format!("{item} 陪同 {office},{pick_up} 上门接,{with}"),
                    format!("{item} escort to {office}, pick-up {pick_up}, with {with}"),
                )
            }
            Self::EscortMoved { item, pick_up } => {
                let pick_up = at(pick_up);
                (
                    format!("{item} 陪同改到 {pick_up} 上门接"),
                    format!("{item} moved, pick-up {pick_up}"),
                )
            }
            Self::HomeLater { item, home_by } => {
                let home_by = at(home_by);
                (
                    format!("{item} 改为{home_by}前到家"),
                    format!("{item} home later, by {home_by}"),
                )
            }
            Self::LegConfirmed { item, leg } => {
                let leg = leg.said();
                (
                    format!("{item} {}已确认", leg.zh),
                    format!("{item} {} confirmed", leg.en),
                )
            }
            Self::EscortCompleted { item } => (format!("{item} 陪同完成"), format!("{item} completed")),
            Self::EscortCancelled { item } => (format!("{item} 陪同取消"), format!("{item} cancelled")),
            Self::IncidentNoted { item, .. } => (format!("{item} 突发情况"), format!("{item} incident")),
            Self::IncidentOver { item } => (format!("{item} 已恢复"), format!("{item} is over")),
            Self::MaterialAdded { item } => (format!("{item} 增加材料"), format!("{item} paper added")),
            Self::MaterialMissing { item, finder } => (
                format!("{item} 缺件,{finder} 在找"),
                format!("{item} is missing; {finder} is looking for it"),
            ),
            Self::MaterialIs { item, state } => (format!("{item} 材料: {state}"), format!("{item} paper: {state}")),
            Self::Searched { item, answer } => {
                let (zh, en) = match answer {
                    SearchAnswer::Here => ("在此处", "it is there"),
                    SearchAnswer::NotHere => ("不在此处", "not there"),
                    SearchAnswer::Unclear => ("没有准信", "no clear answer"),
                };
                (
                    format!("{item} 问过一处: {zh}"),
                    format!("{item} asked for at one place: {en}"),
                )
            }
            Self::BundleComplete => ("材料已齐".to_owned(), "all papers are there".to_owned()),
            Self::BundleHandedOver => (
                "材料一次性转交".to_owned(),
                "all papers were handed over together".to_owned(),
            ),
            Self::Asked { item, kind, due } => {
                let kind = kind.said();
                (
                    format!("{item} {},{due}前应有答复", kind.zh),
                    format!("{item} {}: an answer is due by {due}", kind.en),
                )
            }
            Self::AskedAgain { item } => (format!("{item} 又催了一次"), format!("{item} asked again")),
            Self::Answered { item } => (format!("{item} 有了答复"), format!("{item} answered")),
            Self::PlanDrafted { steps } => (format!("起草方案,{steps}步"), format!("plan drafted, steps: {steps}")),
            Self::PlanApproved { role } => {
                let role = role.said();
                (
                    format!("{}批准方案", role.zh),
                    format!("plan approved by the {}", role.en),
                )
            }
            Self::StepAdded { item } => (format!("{item} 增加步骤"), format!("{item} step added")),
            Self::StepDropped { item, reason } => (
                format!("{item} 去掉这一步: {reason}"),
                format!("{item} step dropped: {reason}"),
            ),
            Self::StepChanged { item } => (format!("{item} 步骤改了"), format!("{item} step changed")),
            Self::NeededBy { day: Some(day) } => (
                format!("方案须在{day}前办完"),
                format!("the plan has to be done by {day}"),
            ),
            Self::NeededBy { day: None } => (
                "方案不再有最晚日期".to_owned(),
                "the plan has no last day any more".to_owned(),
            ),
            Self::StepStarted { item } => (format!("{item} 开始办理"), format!("{item} started")),
            Self::StepExpedited { item, on: true } => (format!("{item} 加急"), format!("{item} expedited")),
            Self::StepExpedited { item, on: false } => {
                (format!("{item} 取消加急"), format!("{item} no longer expedited"))
            }
            Self::TodoAdded { item, purpose, by, due } => {
                let what = purpose.said();
                (
                    format!("{item} {},{by} 在{due}前", what.zh),
                    format!("{item} {}, {by} by {due}", what.en),
                )
            }
            Self::Told { what } => match what {
                ToldWhat::OneTimeNotice => ("已一次性告知".to_owned(), "told everything at once".to_owned()),
                ToldWhat::SecondNotice => (
                    "二次告知".to_owned(),
                    "told a second time, of a changed list".to_owned(),
                ),
                ToldWhat::Explanation => ("已讲明情况".to_owned(), "the matter was explained".to_owned()),
            },
            Self::HopNoted => (
                "记录一次转接".to_owned(),
                "what another office said was noted".to_owned(),
            ),
            Self::Listened => ("记录倾听".to_owned(), "a listening note was made".to_owned()),
            Self::FeedbackReceived { kind } => {
                let kind = kind.said();
                (format!("收到{}", kind.zh), format!("{} received", kind.en))
            }
            Self::ObstacleNoted { tag } => (format!("堵点: {tag}"), format!("obstacle: {tag}")),
            Self::ObstacleRemoved { tag } => (format!("去掉堵点: {tag}"), format!("obstacle removed: {tag}")),
            Self::TripNoted { trips } => (format!("居民跑动第{trips}次"), format!("trip {trips} of the resident")),
            Self::ResponsibleNoted => (
                "职责在外单位,由我方协调".to_owned(),
                "another body is responsible; we coordinate".to_owned(),
            ),
            Self::Watching => ("政策留意".to_owned(), "new policies are watched for them".to_owned()),
            Self::WatchEnded => (
                "不再留意政策".to_owned(),
                "policies are no longer watched for them".to_owned(),
            ),
            Self::Estimated { benefit } => (format!("估算 {benefit}"), format!("estimated: {benefit}")),
            // Told above.
            _ => (String::new(), String::new()),
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
            | Self::AppointmentCancelled { item }
            | Self::ItemPassed { item, .. }
            | Self::EscortBooked { item, .. }
            | Self::EscortMoved { item, .. }
            | Self::HomeLater { item, .. }
            | Self::LegConfirmed { item, .. }
            | Self::EscortCompleted { item }
            | Self::EscortCancelled { item }
            | Self::IncidentNoted { item, .. }
            | Self::IncidentOver { item }
            | Self::MaterialAdded { item }
            | Self::MaterialMissing { item, .. }
            | Self::MaterialIs { item, .. }
            | Self::Searched { item, .. }
            | Self::Asked { item, .. }
            | Self::AskedAgain { item }
            | Self::Answered { item }
            | Self::StepAdded { item }
            | Self::StepStarted { item }
            | Self::StepExpedited { item, .. }
            | Self::TodoAdded { item, .. } => Some(item),
            _ => None,
        }
    }
}

fn closed(how: &str, leaving: Option<&str>, left: &[ItemId]) -> (String, String) {
    let (mut zh, mut en) = (format!("办结({how})"), format!("closed as {how}"));
    if let Some(reason) = leaving {
        let left: Vec<&str> = left.iter().map(ItemId::as_str).collect();
        let left = left.join(", ");
        zh.push_str(&format!(",未办完 {left}: {reason}"));
        en.push_str(&format!(", leaving {left}: {reason}"));
    }
    (zh, en)
}

fn contacted(direction: Direction, kind: ContactKind) -> (String, String) {
    let kind = kind.said();
    match direction {
        Direction::In => (format!("居民{}", kind.zh), format!("{} from the resident", kind.en)),
        Direction::Out => (format!("我方{}", kind.zh), format!("{} from us", kind.en)),
    }
}
