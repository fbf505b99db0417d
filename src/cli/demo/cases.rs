//! The invented cases of the demo, dated around today: something is due at once, today, tomorrow and in weeks.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Span, Timestamp};
use serde_json::{Value, json};

use crate::domain::case::Case;
use crate::domain::command::{Command, NewCase};
use crate::domain::ids::OfficeId;
use crate::domain::milestone::instant;
use crate::domain::office::Office;
use crate::domain::rulebook::Rulebook;

/// A case, who takes it in and when, and what is done to it afterwards.
pub(super) struct Invented {
    pub(super) by: &'static str,
    pub(super) at: Timestamp,
    pub(super) case: NewCase,
    pub(super) then: Vec<(Then, Timestamp)>,
}

/// What is done to a case, given its facts after the opening.
type Then = fn(&Case) -> Value;

impl Invented {
    /// The commands that follow the opening.
    pub(super) fn commands(&self, case: &Case) -> anyhow::Result<Vec<(Command, Timestamp)>> {
        let read = |(then, at): &(Then, Timestamp)| Ok((serde_json::from_value(then(case))?, *at));
        self.then.iter().map(read).collect()
    }
}

/// All of them.
pub(super) fn invented(book: &Rulebook, now: Timestamp) -> anyhow::Result<Vec<Invented>> {
    let days = Days::new(book, now);
    let stories = [
        last_chance(&days),
        date_unknown(&days),
        call_due(&days),
        call_overdue(&days),
        appointment_with_daughter(&days),
        phone_first(&days),
        opted_out(&days),
        enterprise(&days),
        waiting(&days),
        estimated(&days),
    ];
    stories.into_iter().map(Story::read).collect()
}

/// A case as a document, as a clerk would hand it in.
struct Story {
    by: &'static str,
    at: Timestamp,
    case: Value,
    then: Vec<(Then, Timestamp)>,
}

impl Story {
    fn read(self) -> anyhow::Result<Invented> {
        Ok(Invented {
            by: self.by,
            at: self.at,
            case: serde_json::from_value(self.case)?,
            then: self.then,
        })
    }
}

/// Days around today, and times at which offices are open.
struct Days<'a> {
    book: &'a Rulebook,
    now: Timestamp,
    today: Date,
}

impl<'a> Days<'a> {
    fn new(book: &'a Rulebook, now: Timestamp) -> Self {
        Self {
            book,
            now,
            today: book.zone.to_datetime(now).date(),
        }
    }

    fn ago(&self, days: i64) -> Timestamp {
        self.now
            .checked_sub(SignedDuration::from_hours(24 * days))
            .unwrap_or(self.now)
    }

    fn in_days(&self, days: i64) -> Date {
        self.today.checked_add(Span::new().days(days)).unwrap_or(self.today)
    }

    /// The day so many years before the day `days` from now: a period of that many years ends then.
    fn years_before(&self, years: i64, days: i64) -> Date {
        let end = self.in_days(days);
        end.checked_sub(Span::new().years(years)).unwrap_or(end)
    }

    /// When the office next opens its doors, at least `hours` from now.
    fn opening(&self, office: &str, hours: i64) -> String {
        let from = self
            .now
            .checked_add(SignedDuration::from_hours(hours))
            .unwrap_or(self.now);
        let mut local = self.book.zone.to_datetime(from);
        let office = self.book.offices.get(&OfficeId::from(office));
        for _ in 0..30 {
            let windows = office.map_or(&[][..], |office: &Office| {
                office.windows(&self.book.calendar, local.date())
            });
            let open = windows.iter().find(|window| local.time() <= window.from);
            if let Some(window) = open {
                return local
                    .date()
                    .to_datetime(window.from)
                    .strftime("%Y-%m-%dT%H:%M")
                    .to_string();
            }
            local = local
                .date()
                .tomorrow()
                .unwrap_or(local.date())
                .to_datetime(Time::midnight());
        }
        local.strftime("%Y-%m-%dT%H:%M").to_string()
    }

    /// Half an hour from now, or, late in the evening, the next morning at nine.
    fn soon(&self) -> String {
        let soon = self.now.checked_add(SignedDuration::from_mins(30)).unwrap_or(self.now);
        let local = self.book.zone.to_datetime(soon);
        let at = if local.hour() < 20 {
            soon
        } else {
            instant(
                local.date().tomorrow().unwrap_or(local.date()),
                Time::constant(9, 0, 0, 0),
                &self.book.zone,
            )
        };
        self.book.zone.to_datetime(at).strftime("%Y-%m-%dT%H:%M").to_string()
    }
}

/// A certificate that can be re-issued for ten years only; the last safe day is near.
fn last_chance(days: &Days<'_>) -> Story {
    Story {
        by: "lin",
        at: days.ago(1),
        case: json!({
            "resident": { "name": "沈静之", "gender": "female", "phone": "13900000001", "born": 1979 },
            "matter": "cremation_certificate",
            "request": "父亲的火化证明找不到了,安葬要用。",
            "origin": "referral",
            "deadlines": [{ "kind": "cremation_reissue", "trigger": days.years_before(10, 12).to_string() }],
        }),
        then: vec![(
            |_| json!({ "do": "ask", "kind": "agency", "of": "档案室", "what": "查火化记录", "office": "crematorium_archive", "chase_workdays": 1 }),
            days.ago(1),
        )],
    }
}

/// Nobody knows yet from when the ten years count: no date may look safe.
fn date_unknown(days: &Days<'_>) -> Story {
    Story {
        by: "lin",
        at: days.ago(2),
        case: json!({
            "resident": { "name": "郑怀安", "gender": "male", "phone": "13900000002", "born": 1985 },
            "matter": "cremation_certificate",
            "request": "只记得是秋天办的,哪一年说不准。",
        }),
        then: Vec::new(),
    }
}

/// A widow was promised a call for today.
fn call_due(days: &Days<'_>) -> Story {
    Story {
        by: "zhou",
        at: days.ago(3),
        case: json!({
            "resident": { "name": "温素心", "gender": "female", "phone": "13900000003", "born": 1968, "flags": ["bereaved"] },
            "matter": "funeral_benefit",
            "request": "老伴走了,补助怎么办。",
            "flags": ["sensitive_tone"],
            "deadlines": [{ "kind": "funeral_benefit", "trigger": days.in_days(-40).to_string() }],
            "callbacks": [{ "words": "今天给您回电话,说清要带哪些材料", "due": days.today.to_string() }],
        }),
        then: Vec::new(),
    }
}

/// A promise that was not kept: it goes up to the supervisor.
fn call_overdue(days: &Days<'_>) -> Story {
    Story {
        by: "qiao",
        at: days.ago(8),
        case: json!({
            "resident": { "name": "贺东升", "gender": "male", "phone": "13900000004", "born": 1990 },
            "matter": "file_transfer",
            "request": "离职后单位一直不转档案。",
            "deadlines": [{ "kind": "file_transfer", "trigger": days.in_days(-10).to_string() }],
            "callbacks": [{ "words": "问过单位就告诉您", "due": days.in_days(-5).to_string() }],
        }),
        then: vec![
            (
                |case| json!({ "do": "attempt", "item": case.callbacks[0].id, "result": "no_answer", "note": "响了很久" }),
                days.ago(5),
            ),
            (
                |_| {
                    json!({ "do": "draft_plan", "steps": [
                        { "name": "转档案", "agency": "原单位" },
                        { "name": "申请失业保险金", "office": "social_insurance", "after": ["1"] },
                        { "name": "接上医疗保险", "office": "medical_insurance", "after": ["2"] },
                    ] })
                },
                days.ago(3),
            ),
        ],
    }
}

/// An appointment at an office, with a daughter who agreed to be told.
fn appointment_with_daughter(days: &Days<'_>) -> Story {
    Story {
        by: "yue",
        at: days.ago(4),
        case: json!({
            "resident": { "name": "欧阳文秀", "gender": "female", "phone": "13900000005", "born": 1972 },
            "relatives": [
                { "name": "欧阳晴", "relation": "女儿", "gender": "female", "phone": "13900000006", "email": "qing@example.org", "opted_in": true, "may_know": "date_only" },
            ],
            "matter": "labour_assessment",
            "request": "想做劳动能力鉴定,一个人去心里没底。",
            "flags": ["in_person"],
            "deadlines": [{ "kind": "labour_decision", "trigger": days.in_days(-20).to_string() }],
            "appointments": [{
                "what": "现场鉴定", "office": "labour_assessment", "start": days.opening("labour_assessment", 16),
                "with": "yue", "bring": ["身份证", "诊断证明", "照片两张"],
            }],
        }),
        then: Vec::new(),
    }
}

/// Eighty-one years old: fetched, accompanied and brought home; staff phone first, the SMS is only a copy.
fn phone_first(days: &Days<'_>) -> Story {
    Story {
        by: "zhou",
        at: days.ago(1),
        case: json!({
            "resident": { "name": "唐守诚", "gender": "male", "phone": "13900000007", "born": 1945, "flags": ["mobility", "empty_nest"] },
            "matter": "expedited_reimbursement",
            "request": "药费垫了几个月,实在紧张。",
            "flags": ["expedite"],
            "callbacks": [{ "words": "票据看过就打电话给您", "due": days.soon() }],
            "escorts": [{
                "what": "递交票据", "office": "medical_insurance", "visit": days.opening("medical_insurance", 14),
                "bring": ["身份证", "医保卡", "发票原件"],
            }],
        }),
        then: Vec::new(),
    }
}

/// Wants no SMS any more: reminders become calls.
fn opted_out(days: &Days<'_>) -> Story {
    Story {
        by: "qiao",
        at: days.ago(6),
        case: json!({
            "resident": { "name": "蒋若水", "gender": "female", "phone": "13900000008", "born": 1988 },
            "matter": "medical_gap",
            "request": "换工作中间断了几个月。",
            "deadlines": [{ "kind": "medical_gap", "trigger": days.in_days(-95).strftime("%Y-%m").to_string() }],
        }),
        then: vec![(|_| json!({ "do": "change_person", "opted_out": true }), days.ago(6))],
    }
}

/// An enterprise, with its contact person.
fn enterprise(days: &Days<'_>) -> Story {
    Story {
        by: "yue",
        at: days.ago(15),
        case: json!({
            "resident": { "name": "鲁思源", "phone": "13900000009", "email": "lu@example.org" },
            "enterprise": "示例小馆餐饮有限公司",
            "matter": "enterprise_licence",
            "request": "许可申请已受理,想知道何时有结果。",
            "deadlines": [{ "kind": "licence", "trigger": days.in_days(-24).to_string() }],
        }),
        then: Vec::new(),
    }
}

/// Nothing can be done here until another office has answered.
fn waiting(days: &Days<'_>) -> Story {
    Story {
        by: "lin",
        at: days.ago(11),
        case: json!({
            "resident": { "name": "尹长河", "gender": "male", "phone": "13900000010", "born": 1963 },
            "matter": "low_income",
            "request": "家里两人吃药,想申请认定。",
            "deadlines": [{ "kind": "low_income", "trigger": days.in_days(-11).to_string() }],
        }),
        then: vec![(
            |_| json!({ "do": "ask", "kind": "sub_request", "of": "民政核对中心", "what": "家庭经济状况核对", "list": ["授权书", "身份证复印件"] }),
            days.ago(9),
        )],
    }
}

/// Only the season is known: planned on the earliest day, weeks ahead.
fn estimated(days: &Days<'_>) -> Story {
    let from = days.years_before(10, 36);
    let to = days.years_before(10, 96);
    Story {
        by: "yue",
        at: days.ago(2),
        case: json!({
            "resident": { "name": "司徒云", "gender": "female", "phone": "13900000011", "born": 1981 },
            "matter": "cremation_certificate",
            "request": "外婆的证明,大概是那年冬天。",
            "deadlines": [{ "kind": "cremation_reissue", "trigger": format!("{from}..{to}") }],
        }),
        then: Vec::new(),
    }
}
