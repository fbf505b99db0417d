//! Invented values that every template is rendered with when it is loaded: full ones, bare ones, and every case in between that a text
//! may tell apart.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::date;
use minijinja::{Value, context};

use super::blocks::Block;
use super::value;
use super::values::{Brief, Call, Detail, Message, Reader, Words};
use crate::domain::digest::{Digest, Line, Month, RollUp, StaffLoad, UnitLoad, Urgency};
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::Milestone;
use crate::domain::notice::{LastDay, Place, Sheet};
use crate::domain::person::Language;
use crate::domain::recount::{Letter, LetterLine, MovedDate};
use crate::domain::text::{Said, day_words};

/// What one sample is about, besides its kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twist {
    None,
    Irrecoverable,
    Soft,
    Expired,
    Marked,
    Gentle,
}

const TWISTS: [Twist; 6] = [
    Twist::None,
    Twist::Irrecoverable,
    Twist::Soft,
    Twist::Expired,
    Twist::Marked,
    Twist::Gentle,
];
const KINDS: [ItemKind; 11] = ItemKind::ALL;

/// The values of every sample message. They are the same for all templates of a reader and a language, so a load makes them once.
pub(super) struct Samples(BTreeMap<(Reader, Language), Sampled>);

/// For one reader in one language.
pub(super) struct Sampled {
    /// What an SMS and a subject are given.
    pub(super) brief: Vec<Value>,
    /// What a body is given.
    pub(super) full: Vec<Value>,
}

impl Samples {
    pub(super) fn new() -> Self {
        let mut all = BTreeMap::new();
        for reader in Reader::ALL {
            let messages = Message::samples(reader);
            for language in Language::ALL {
                let sampled = Sampled {
                    brief: messages.iter().map(|message| super::brief(message, language)).collect(),
                    full: messages.iter().map(|message| super::full(message, language)).collect(),
                };
                all.insert((reader, language), sampled);
            }
        }
        Self(all)
    }

    pub(super) fn of(&self, reader: Reader, language: Language) -> &Sampled {
        &self.0[&(reader, language)]
    }
}

impl Message {
    /// One message with every value.
    pub(super) fn sample() -> Self {
        message(Reader::Staff, ItemKind::Appointment, Twist::None, Fill::Full)
    }

    /// Every kind of item, with every twist, with and without the values that may be missing.
    fn samples(reader: Reader) -> Vec<Self> {
        let mut samples = Vec::new();
        for kind in KINDS {
            for twist in TWISTS {
                for fill in [Fill::Full, Fill::Bare] {
                    samples.push(message(reader, kind, twist, fill));
                }
            }
        }
        samples
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Full,
    /// Only what is always known.
    Bare,
}

fn message(reader: Reader, kind: ItemKind, twist: Twist, fill: Fill) -> Message {
    let words = |language| Words {
        brief: brief(language, reader, kind, twist, fill),
        detail: match fill {
            Fill::Full => detail(language, reader),
            Fill::Bare => Detail::default(),
        },
    };
    Message {
        reader,
        language: Language::Chinese,
        zh: words(Language::Chinese),
        en: words(Language::English),
    }
}

fn brief(language: Language, reader: Reader, kind: ItemKind, twist: Twist, fill: Fill) -> Brief {
    let pick = |zh: &str, en: &str| match language {
        Language::Chinese => zh.to_owned(),
        Language::English => en.to_owned(),
    };
    let full = fill == Fill::Full;
    let maybe = |text: String| if full { text } else { String::new() };
    let relative = reader == Reader::Relative;
    Brief {
        greeting: maybe(pick("沈女士", "Ms Shen")),
        matter: if relative {
            maybe(pick("证明补办", "your certificate"))
        } else {
            pick("证明补办", "your certificate")
        },
        case: if relative {
            String::new()
        } else {
            "2026-000017".to_owned()
        },
        item: if relative { String::new() } else { "d1".to_owned() },
        kind: kind.name(),
        about: pick("期限", "deadline"),
        milestone: kind.milestones()[0].name(),
        day: pick("3月5日(周四)", "5 March (Thursday)"),
        time: maybe(pick("9点30分", "9:30")),
        when: pick("3月5日(周四)9点30分", "5 March (Thursday) at 9:30"),
        left: maybe(pick("还剩5天(3个工作日)", "5 days left (3 workdays)")),
        bring: if full {
            vec![pick("身份证", "identity card"), pick("户口本", "household register")]
        } else {
            Vec::new()
        },
        bring_more: full,
        unit: pick("陶然亭街道政务服务中心", "Taoranting service centre"),
        unit_short: "陶然亭".to_owned(),
        hall_phone: "010-00000000".to_owned(),
        irrecoverable: twist == Twist::Irrecoverable,
        soft: twist == Twist::Soft,
        expired: twist == Twist::Expired,
        estimated: twist == Twist::Marked,
        provisional: twist == Twist::Marked,
        gentle: twist == Twist::Gentle,
    }
}

fn detail(language: Language, reader: Reader) -> Detail {
    let pick = |zh: &str, en: &str| match language {
        Language::Chinese => zh.to_owned(),
        Language::English => en.to_owned(),
    };
    let public = Detail {
        what: "递交材料".to_owned(),
        bring_all: vec![pick("身份证", "identity card"), pick("户口本", "household register")],
        materials: vec![
            pick("身份证", "identity card"),
            pick("存档证明(单位)", "file certificate (from: employer)"),
        ],
        office: pick("示例档案室", "Sample archive"),
        office_address: "示例街2号".to_owned(),
        office_route: "地铁示例线A口".to_owned(),
        office_contact: "档案室".to_owned(),
        office_phone: "010-00000002".to_owned(),
        office_hours: pick("工作日 9:00-17:00", "workdays 9:00-17:00"),
        ..Detail::default()
    };
    if reader != Reader::Staff {
        return public;
    }
    Detail {
        who: "沈**".to_owned(),
        matter_full: pick("证明补办(档案)", "certificate from the archive"),
        deadline: pick("补办期限", "re-issue window"),
        trigger: pick("登记日期", "date of record"),
        legal_end: pick("3月6日(周五)", "6 March (Friday)"),
        alternative: pick("查档证明", "extract from the archive"),
        derivation: vec![pick("自2016-03-06起10年", "10 years from 2016-03-06")],
        title: pick("催办: 示例档案室", "Chase: sample archive"),
        remark: pick("上次联系3月2日(周一)", "last asked on 2 March (Monday)"),
        legs: vec![
            pick("上门接 9:00", "pick-up 9:00"),
            pick("送回 12:00前", "drop-off by 12:00"),
        ],
        list: vec![pick("介绍信", "letter of introduction")],
        hops: vec![pick(
            "3月2日(周一) 示例科室: 让找档案室",
            "2 March (Monday) sample department: ask the archive",
        )],
        tries: 2,
        calls: vec![Call {
            who: "沈**".to_owned(),
            phone: "139****0000".to_owned(),
            why: pick("先打电话", "phone first"),
            task: "0198c0de-0000-7000-8000-000000000001".to_owned(),
        }],
        reason: pick("提醒到时", "the rung is due"),
        me: "li".to_owned(),
        ..public
    }
}

/// The values of the HTML frame.
pub(super) fn layout(blocks: &[Block<'_>]) -> Value {
    let blocks = value(blocks);
    let parts = vec![
        context! { lang => "zh-CN", blocks => blocks.clone(), html => "" },
        context! { lang => "en", blocks => blocks, html => Value::from_safe_string("<p>x</p>".to_owned()) },
    ];
    context! { lang => "zh-CN", subject => "[悉心听][陶然亭] 示例", parts }
}

/// Items that moved to both sides, and one that did so alone.
pub(super) fn letters() -> Vec<Letter> {
    let date = MovedDate {
        milestone: Milestone::LastSafeDay,
        name: Said::new("最晚可办日", "last safe day"),
        old: Said::new("2027-02-12(周五)", "2027-02-12 (Friday)"),
        new: Said::new("2027-02-13(周六)", "2027-02-13 (Saturday)"),
    };
    let line = LetterLine {
        case: "2026-000017".into(),
        item: "d1".into(),
        who: "沈**".to_owned(),
        kind: Said::new("火化证明补办", "Re-issue of a cremation certificate"),
        dates: vec![date],
        sooner: false,
        newly_settled: true,
        provisional: false,
    };
    let sooner = LetterLine {
        sooner: true,
        newly_settled: false,
        provisional: true,
        ..line.clone()
    };
    let letter = Letter {
        year: 2027,
        staff_name: "林若安".to_owned(),
        unit_short: "陶然亭".to_owned(),
        lines: vec![line, sooner.clone()],
        more: 3,
    };
    let short = Letter {
        lines: vec![sooner],
        more: 0,
        ..letter.clone()
    };
    vec![letter, short]
}

/// A full day, a supervisor's day before a holiday, an empty day.
pub(super) fn digests() -> Vec<Digest> {
    let line = |urgency| Line {
        case: "2026-000017".into(),
        item: Some("d1".into()),
        task: None,
        who: "沈**".to_owned(),
        what: Said::new("证明补办", "Certificate"),
        detail: Said::new("最晚3月5日(周四),还剩5天", "by 5 March (Thursday), 5 days left"),
        time: None,
        phone: None,
        owner: None,
        urgency,
        priority: false,
        provisional: false,
        estimated: false,
        sort_at: Timestamp::UNIX_EPOCH,
    };
    let marked = Line {
        item: None,
        task: Some("0198c0de-0000-7000-8000-000000000001".to_owned()),
        time: Some("09:30".to_owned()),
        phone: Some("139****0000".to_owned()),
        owner: Some("李示例".to_owned()),
        priority: true,
        provisional: true,
        estimated: true,
        ..line(Urgency::Critical)
    };
    let all = vec![
        line(Urgency::Overdue),
        marked,
        line(Urgency::High),
        line(Urgency::Attention),
        line(Urgency::Calm),
    ];
    let empty = Digest {
        staff: "li".into(),
        staff_name: "李示例".to_owned(),
        date: date(2026, 3, 5),
        unit_short: "陶然亭".to_owned(),
        unit_name: "陶然亭街道政务服务中心".to_owned(),
        unit_name_en: "Taoranting service centre".to_owned(),
        unit_phone: "010-00000000".to_owned(),
        late: None,
        missed_days: 0,
        through: date(2026, 3, 6),
        overdue: Vec::new(),
        today: Vec::new(),
        calls: Vec::new(),
        deadlines: Vec::new(),
        waiting: Vec::new(),
        ahead: Vec::new(),
        new_cases: Vec::new(),
        often: Vec::new(),
        greetings: Vec::new(),
        reviews: Vec::new(),
        on_duty: None,
        more: 0,
        more_undated: 0,
        roll_up: None,
        chain_head: String::new(),
    };
    let full = Digest {
        late: Some(Said::new("40分钟", "40 min")),
        missed_days: 2,
        through: date(2026, 3, 9),
        overdue: all.clone(),
        today: all.clone(),
        calls: all.clone(),
        deadlines: all.clone(),
        waiting: all.clone(),
        ahead: all.clone(),
        new_cases: all.clone(),
        often: all.clone(),
        greetings: all.clone(),
        reviews: vec![Said::new(
            "示例规定: 与依据核对",
            "sample rule: compare with its source",
        )],
        on_duty: Some(UnitLoad {
            unit: "陶然亭".to_owned(),
            open_cases: 12,
            overdue: 1,
            due_today: 2,
            urgent: 3,
            undated: 1,
        }),
        more: 3,
        more_undated: 12,
        chain_head: "1234-0123456789abcdef".to_owned(),
        ..empty.clone()
    };
    let supervisor = Digest {
        roll_up: Some(RollUp {
            units: vec![UnitLoad {
                unit: "陶然亭".to_owned(),
                open_cases: 12,
                overdue: 1,
                due_today: 2,
                urgent: 3,
                undated: 1,
            }],
            exceptions: all,
            troubles: vec![Said::new("2026-000017 短信: 号码有误", "2026-000017 sms: wrong number")],
            staff: vec![StaffLoad {
                name: "李示例".to_owned(),
                on_duty: true,
                open_cases: 7,
                overdue: 1,
                due_today: 2,
            }],
            leaving: vec![Said::new("李示例 3月31日离岗", "李示例 leaves on 31 March")],
            month: Some(Month {
                name: Said::new("2026年3月", "March 2026"),
                obstacles: vec![("证明遗失".to_owned(), 3)],
                feedback: vec![(Said::new("表扬", "commendation"), 2)],
                closed: 9,
                closed_without_trips: 8,
            }),
            sent: 20,
            failed: 1,
            calendar_ends: Some(day_words(date(2026, 12, 31))),
        }),
        ..full.clone()
    };
    let quiet = Digest {
        roll_up: Some(RollUp {
            units: Vec::new(),
            exceptions: Vec::new(),
            troubles: Vec::new(),
            staff: Vec::new(),
            leaving: Vec::new(),
            month: None,
            sent: 0,
            failed: 0,
            calendar_ends: None,
        }),
        ..empty.clone()
    };
    vec![full, supervisor, quiet, empty]
}

/// A sheet with everything, and one with only what it cannot do without.
pub(super) fn sheets() -> Vec<Sheet> {
    let last = LastDay::new(Some(date(2026, 3, 5)), date(2026, 3, 2));
    let full = Sheet {
        case: "2026-000017".into(),
        greeting: Said::new("沈女士", "Ms Shen"),
        matter: Said::new("证明补办", "your certificate"),
        materials: vec![
            Said::new("身份证", "identity card"),
            Said::new("户口本", "household register"),
        ],
        office: Place {
            name: Said::new("示例档案室", "Sample archive"),
            address: "示例街2号".to_owned(),
            route: "地铁示例线A口".to_owned(),
            contact: "档案室".to_owned(),
            phone: "010-00000002".to_owned(),
            hours: Said::new("工作日 9:00-17:00", "workdays 9:00-17:00"),
        },
        dates: vec![
            LastDay {
                irrecoverable: true,
                ..last.clone()
            },
            LastDay {
                soft: true,
                ..last.clone()
            },
            LastDay {
                over: true,
                ..last.clone()
            },
            LastDay {
                provisional: true,
                estimated: true,
                ..last
            },
            LastDay::new(None, date(2026, 3, 2)),
        ],
        visits: vec![Said::new(
            "3月5日(周四)9点30分 示例档案室",
            "5 March (Thursday) at 9:30, Sample archive",
        )],
        centre: Said::new("陶然亭街道政务服务中心", "Taoranting service centre"),
        centre_address: "示例路1号".to_owned(),
        centre_phone: "010-00000000".to_owned(),
        printed: date(2026, 3, 2),
    };
    let bare = Sheet {
        greeting: Said::default(),
        materials: Vec::new(),
        dates: Vec::new(),
        visits: Vec::new(),
        ..full.clone()
    };
    vec![full, bare]
}
