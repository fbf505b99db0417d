//! A compact rulebook and small builders of facts, for tests that need rules but no files.
//!
//! One district with three centres and a window, eleven invented people, three offices, the 2022 and 2026 notices, the ladders as
//! shipped. What a test says about people or dates it says itself, on top of this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use xixin::config::shipped_rulebook;
use xixin::domain::calendar::{Calendar, CalendarSource, DayOverride, OffDay};
use xixin::domain::case::{
    Appointment, AppointmentState, Beginning, Callback, Case, Deadline, Due, Party, Passes, Trigger,
};
use xixin::domain::guard::GuardRule;
use xixin::domain::knowledge::Knowledge;
use xixin::domain::ladder::{Audience, ItemKind, Ladder, Late, Priority, Rung, Until, Way};
use xixin::domain::office::{Office, OfficeDays, Window};
use xixin::domain::org::{Absence, Org, Role, Staff, Unit, UnitKind};
use xixin::domain::period::{Mode, PeriodRule};
use xixin::domain::person::{Gender, Language, MayKnow, Person, Relative};
use xixin::domain::plan::People;
use xixin::domain::quiet::SendingHours;
use xixin::domain::rota::Rota;
use xixin::domain::rulebook::{Loss, Material, Matter, PeriodKind, Rulebook, Schedule, Starts};
use xixin::domain::text::Said;

use Audience::{Assignee, Director, Owner, Relatives, Resident, Supervisor};
use OffDay::{Earlier, Later, Stay};
use Way::{Email, Phone, Sms};

/// A civil date from its text.
pub(crate) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// An instant from Beijing time, `2026-02-14 09:00`.
pub(crate) fn at(text: &str) -> Timestamp {
    at_in(text, &TimeZone::get("Asia/Shanghai").unwrap())
}

/// An instant from the local time of a zone.
pub(crate) fn at_in(text: &str, zone: &TimeZone) -> Timestamp {
    let local: jiff::civil::DateTime = text.replace(' ', "T").parse().unwrap();
    zone.to_timestamp(local).unwrap()
}

/// The rules most tests start from.
pub(crate) fn rulebook() -> Rulebook {
    Rulebook {
        zone: TimeZone::get("Asia/Shanghai").unwrap(),
        calendar: Calendar::new(&[notice_2022(), notice_2026()]),
        offices: offices(),
        periods: periods(),
        ladders: ladders(),
        matters: matters(),
        benefits: BTreeMap::new(),
        policies: BTreeMap::new(),
        tags: BTreeSet::new(),
        knowledge: Knowledge::default(),
        org: org(),
        rota: Rota::default(),
        schedule: schedule(),
    }
}

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

/// Reading the files takes longer than most tests.
pub(crate) static SHIPPED: LazyLock<Rulebook> = LazyLock::new(shipped_rulebook);

pub(crate) fn schedule() -> Schedule {
    Schedule {
        digest_at: time("08:30"),
        digest_when_empty: true,
        sending_hours: SendingHours {
            from: time("08:00"),
            to: time("21:00"),
        },
        sms_per_resident_per_day: 2,
        sms_per_topic_per_day: 1,
        messages_per_resident_per_day: 3,
        guard: GuardRule {
            run_min: 50,
            run_times: 5,
            same_text: 100,
            first: 20,
            failures_percent: 20,
            new_text_first: 5,
            new_text_wait_minutes: 10,
        },
        phone_first_from_age: 65,
        late_after_minutes: 15,
        acknowledgement_lasts: "3wd".parse().unwrap(),
        callback_period: PeriodRule::simple("5wd".parse().unwrap(), Mode::Promise),
        callback_ladder: "callback".into(),
        appointment_ladder: "appointment".into(),
        business_hours: (time("09:00"), time("17:00")),
        // What these tests are not about stands as it is shipped.
        ..SHIPPED.schedule.clone()
    }
}

/// 国办发明电〔2025〕7号, the days that differ from weekday logic.
pub(crate) fn notice_2026() -> CalendarSource {
    notice(
        2026,
        "元旦 01-01 01-02 01-03 +01-04 春节 +02-14 02-15 02-16 02-17 02-18 02-19 02-20 02-21 02-22 02-23 +02-28 \
         清明节 04-04 04-05 04-06 劳动节 05-01 05-02 05-03 05-04 05-05 +05-09 端午节 06-19 06-20 06-21 \
         中秋节 09-25 09-26 09-27 国庆节 +09-20 10-01 10-02 10-03 10-04 10-05 10-06 10-07 +10-10",
    )
}

pub(crate) fn notice_2022() -> CalendarSource {
    notice(
        2022,
        "元旦 01-01 01-02 01-03 春节 +01-29 +01-30 01-31 02-01 02-02 02-03 02-04 02-05 02-06 \
         清明节 +04-02 04-03 04-04 04-05 +04-24 劳动节 04-30 05-01 05-02 05-03 05-04 +05-07 端午节 06-03 06-04 06-05 \
         中秋节 09-10 09-11 09-12 国庆节 10-01 10-02 10-03 10-04 10-05 10-06 10-07 +10-08 +10-09",
    )
}

/// Names followed by their days; `+` marks a make-up workday.
fn notice(year: i16, text: &str) -> CalendarSource {
    let mut name = String::new();
    let mut days = BTreeMap::new();
    for word in text.split_whitespace() {
        let (workday, date) = match word.strip_prefix('+') {
            Some(date) => (true, date),
            None => (false, word),
        };
        match format!("{year}-{date}").parse::<Date>() {
            Ok(date) => {
                let name = name.clone();
                days.insert(date, DayOverride { workday, name });
            }
            Err(_) => name = word.to_owned(),
        }
    }
    CalendarSource {
        name: year.to_string(),
        covers: Some((Date::new(year, 1, 1).unwrap(), Date::new(year, 12, 31).unwrap())),
        days,
    }
}

fn unit(id: &str, kind: UnitKind, short: &str, parent: Option<&str>) -> Unit {
    Unit {
        id: id.into(),
        kind,
        name: format!("{short}政务服务中心"),
        short: short.to_owned(),
        name_en: format!("{id} service centre"),
        parent: parent.map(Into::into),
        phone: "010-00000000".to_owned(),
        address: "示例路1号".to_owned(),
        signature: None,
    }
}

fn staff(id: &str, name: &str, unit: &str, role: Role) -> Staff {
    Staff {
        id: id.into(),
        name: name.to_owned(),
        unit: unit.into(),
        role,
        email: Some(format!("{id}@example.org")),
        mobile: Some("13900000001".to_owned()),
        digest: true,
        leaves: None,
        absences: Vec::new(),
    }
}

/// District `district`; centres `taoranting` (with window `taoranting-1`), `tianqiao`, `guangwai`.
///
/// `li` and `wang` are clerks of Taoranting, `zhou` serves extended hours there; `sun` supervises it, `zhao` directs it. `qian` and
/// `wu` are the clerks of Tianqiao and Guangwai, `zheng` and `feng` their supervisors; `chen` leads the district.
pub(crate) fn org() -> Org {
    let units = [
        unit("district", UnitKind::District, "西城区", None),
        unit("taoranting", UnitKind::Centre, "陶然亭", Some("district")),
        unit("taoranting-1", UnitKind::Window, "陶然亭悉心听", Some("taoranting")),
        unit("tianqiao", UnitKind::Centre, "天桥", Some("district")),
        unit("guangwai", UnitKind::Centre, "广外", Some("district")),
    ];
    let staff = [
        staff("li", "李敏", "taoranting-1", Role::Clerk),
        staff("wang", "王静", "taoranting-1", Role::Clerk),
        staff("zhou", "周强", "taoranting", Role::ExtendedHoursStaff),
        staff("sun", "孙红", "taoranting", Role::BusinessSupervisor),
        staff("zhao", "赵刚", "taoranting", Role::Director),
        staff("qian", "钱芳", "tianqiao", Role::Clerk),
        staff("zheng", "郑伟", "tianqiao", Role::BusinessSupervisor),
        staff("wu", "吴丽", "guangwai", Role::Clerk),
        staff("feng", "冯军", "guangwai", Role::BusinessSupervisor),
        staff("chen", "陈明", "district", Role::DistrictLead),
        staff("chu", "褚华", "district", Role::DistrictDept),
    ];
    Org {
        units: units.into_iter().map(|unit| (unit.id.clone(), unit)).collect(),
        staff: staff.into_iter().map(|staff| (staff.id.clone(), staff)).collect(),
    }
}

/// Sends somebody away, both days inclusive.
pub(crate) fn absent(rules: &mut Rulebook, who: &str, from: &str, to: &str, substitute: Option<&str>) {
    let absence = Absence {
        from: day(from),
        to: day(to),
        substitute: substitute.map(Into::into),
    };
    rules.org.staff.get_mut(who).unwrap().absences.push(absence);
}

fn office(id: &str, name: &str, days: OfficeDays) -> Office {
    Office {
        id: id.into(),
        name: name.to_owned(),
        name_en: format!("office {id}"),
        address: "示例街2号".to_owned(),
        route: "地铁示例线,A口出".to_owned(),
        contact: "档案室".to_owned(),
        phone: "010-00000002".to_owned(),
        travel_minutes: None,
        days,
        closures: Vec::new(),
        extra: BTreeMap::new(),
    }
}

/// `crematorium` and `labour` keep workdays; `hall` serves ordinary Saturdays 09:00-13:00 as well.
fn offices() -> BTreeMap<xixin::domain::ids::OfficeId, Office> {
    let window = |from: &str, to: &str| Window {
        from: time(from),
        to: time(to),
    };
    let day_windows = vec![window("09:00", "12:00"), window("13:30", "17:00")];
    let saturday = vec![window("09:00", "13:00")];
    let offices = [
        office("crematorium", "火葬场档案室", OfficeDays::Workdays(day_windows.clone())),
        office("labour", "劳动能力鉴定中心", OfficeDays::Workdays(day_windows.clone())),
        office(
            "hall",
            "区政务服务大厅",
            OfficeDays::WorkdaysAndSaturday(day_windows, saturday),
        ),
    ];
    offices.into_iter().map(|office| (office.id.clone(), office)).collect()
}

fn period(id: &str, period: &str, mode: Mode, office: Option<&str>, ladder: &str, loss: Loss) -> PeriodKind {
    PeriodKind {
        id: id.into(),
        name: Said::new(format!("{id}期限"), format!("period {id}")),
        trigger: Said::new("起算日", "trigger date"),
        starts: Starts::Given,
        rule: PeriodRule::simple(period.parse().unwrap(), mode),
        office: office.map(Into::into),
        ladder: ladder.into(),
        loss,
        alternative: (loss == Loss::Irrecoverable).then(|| Said::new("查档证明", "an extract from the archive")),
        source: "示例,以当地规定为准".to_owned(),
        checked: Some(day("2026-01-05")),
    }
}

/// One kind of deadline per mode: `cremation_reissue` (retention, irrecoverable), `funeral_benefit` (civil), `hard_case` (workdays),
/// `hotline` (elapsed), `counter` (business hours), `medical_gap` (insurance months), `acct_archive` (next year), `ui_apply` (soft).
fn periods() -> BTreeMap<xixin::domain::ids::PeriodId, PeriodKind> {
    use Loss::{Irrecoverable, Recoverable, Soft};
    let periods = [
        period(
            "cremation_reissue",
            "10y",
            Mode::Retention,
            Some("crematorium"),
            "record_expiry",
            Irrecoverable,
        ),
        period("funeral_benefit", "60d", Mode::Civil, None, "claim", Irrecoverable),
        period("hard_case", "5wd", Mode::Workdays, None, "handling", Recoverable),
        period("hotline", "7d", Mode::Elapsed, None, "handling", Recoverable),
        period("counter", "4bh", Mode::BusinessHours, None, "handling", Recoverable),
        period("medical_gap", "3m", Mode::InsuranceMonths, None, "claim", Recoverable),
        period(
            "acct_archive",
            "10y",
            Mode::RetentionNextYear,
            None,
            "record_expiry",
            Irrecoverable,
        ),
        period("ui_apply", "60d", Mode::Civil, None, "soft", Soft),
    ];
    periods.into_iter().map(|kind| (kind.id.clone(), kind)).collect()
}

/// `cremation` (bereaved, offers `cremation_reissue`), `labour` and `enterprise` (offer nothing).
fn matters() -> BTreeMap<xixin::domain::ids::MatterId, Matter> {
    let matter = |id: &str, deadlines: &[&str], office: Option<&str>, bereaved: bool| Matter {
        id: id.into(),
        name: Said::new(format!("{id}事项"), format!("matter {id}")),
        public_name: Said::new("证明补办", "your certificate"),
        materials: vec![Material {
            name: Said::new("身份证", "identity card"),
            issuer: None,
            places: Vec::new(),
        }],
        deadlines: deadlines.iter().map(|id| (*id).into()).collect(),
        agencies: office.map(Into::into).into_iter().collect(),
        office: office.map(Into::into),
        bereaved,
        steps: Vec::new(),
        suits: BTreeSet::new(),
        benefit: None,
    };
    let matters = [
        matter("cremation", &["cremation_reissue"], Some("crematorium"), true),
        matter("labour", &[], Some("labour"), false),
        matter("enterprise", &[], Some("hall"), false),
    ];
    matters.into_iter().map(|matter| (matter.id.clone(), matter)).collect()
}

/// A rung that asks for nothing special: normal priority, text `deadline`, no `until` of its own.
pub(crate) fn rung(name: &str, when: &str, time: Option<&str>, off_day: OffDay, to: &[Audience], by: &[Way]) -> Rung {
    Rung {
        name: name.into(),
        when: when.parse().unwrap(),
        at: time.map(|text| text.parse().unwrap()),
        off_day,
        to: to.to_vec(),
        by: by.to_vec(),
        text: "deadline".into(),
        until: None,
        priority: Priority::Normal,
        if_told: false,
        effective_from: None,
    }
}

pub(crate) fn ladder(id: &str, item: ItemKind, late: Late, rungs: Vec<Rung>) -> Ladder {
    Ladder {
        id: id.into(),
        item,
        until: Until::Done,
        late,
        effective_from: day("2020-01-01"),
        rungs,
    }
}

fn until_acknowledged(rung: Rung) -> Rung {
    Rung {
        until: Some(Until::Acknowledged),
        ..rung
    }
}

fn with(priority: Priority, text: &str, rung: Rung) -> Rung {
    Rung {
        priority,
        text: text.into(),
        ..rung
    }
}

/// The shipped ladders: `record_expiry`, `claim`, `handling`, `soft`, `callback`, `appointment`.
fn ladders() -> BTreeMap<xixin::domain::ids::LadderId, Ladder> {
    let staff = [Email, Sms];
    let public = [Sms, Email, Phone];
    let find_date = |priority: Priority, when: &str| {
        let rung = rung("find-date", when, Some("09:00"), Earlier, &[Owner], &[Email]);
        until_acknowledged(with(priority, "verify_date", rung))
    };
    let expired = |priority: Priority, when: &str, time: &str, to: &[Audience], by: &[Way]| {
        let rung = rung("expired", when, Some(time), Earlier, to, by);
        until_acknowledged(with(priority, "deadline_expired", rung))
    };
    let urgent = |rung: Rung| with(Priority::Urgent, "deadline_urgent", rung);
    let critical = |rung: Rung| with(Priority::Critical, "deadline_urgent", rung);
    let safe = |n: u32, unit: &str| format!("{n} {unit} before last_safe_day");
    let nine = Some("09:00");
    let ten = Some("10:00");
    let record_expiry = vec![
        rung("month-ahead", &safe(30, "days"), nine, Earlier, &[Owner], &[Email]),
        rung("attention", &safe(14, "days"), nine, Earlier, &[Owner], &[Email]),
        rung("attention-resident", &safe(14, "days"), ten, Stay, &[Resident], &public),
        urgent(rung(
            "urgent",
            &safe(7, "days"),
            nine,
            Earlier,
            &[Owner, Supervisor],
            &[Email],
        )),
        urgent(rung(
            "urgent-resident",
            &safe(7, "days"),
            ten,
            Stay,
            &[Resident],
            &public,
        )),
        until_acknowledged(critical(rung(
            "last-days",
            "every workday from 3 workdays before last_safe_day",
            Some("08:30"),
            Earlier,
            &[Owner, Supervisor],
            &staff,
        ))),
        critical(rung("eve-resident", &safe(1, "days"), ten, Stay, &[Resident], &public)),
        with(
            Priority::Urgent,
            "deadline_expired",
            rung("lost", "on expired", Some("08:30"), Stay, &[Supervisor], &staff),
        ),
        expired(
            Priority::Urgent,
            "every workday from on expired",
            "08:30",
            &[Supervisor, Director],
            &staff,
        ),
        find_date(Priority::Urgent, "every workday from on verify_date"),
    ];
    let claim = vec![
        rung("attention", &safe(10, "days"), nine, Earlier, &[Owner], &[Email]),
        urgent(rung(
            "urgent",
            &safe(3, "workdays"),
            nine,
            Earlier,
            &[Owner, Supervisor],
            &[Email],
        )),
        urgent(rung(
            "urgent-resident",
            &safe(3, "workdays"),
            ten,
            Stay,
            &[Resident],
            &public,
        )),
        critical(rung(
            "last-day",
            "on last_safe_day",
            Some("08:30"),
            Earlier,
            &[Owner],
            &staff,
        )),
        expired(
            Priority::Urgent,
            "every workday from on expired",
            "08:30",
            &[Supervisor],
            &[Email],
        ),
        find_date(Priority::Normal, "every workday from on verify_date"),
    ];
    let handling = vec![
        rung("soon", &safe(2, "workdays"), nine, Earlier, &[Owner], &[Email]),
        urgent(rung("today", "on last_safe_day", nine, Earlier, &[Owner], &[Email])),
        expired(
            Priority::Normal,
            "every workday from on expired at most 10 times",
            "09:00",
            &[Owner, Supervisor],
            &[Email],
        ),
        find_date(Priority::Normal, "every workday from on verify_date at most 5 times"),
    ];
    let after = "every workday from 1 workday after last_safe_day at most 5 times";
    let soft = vec![
        rung("soon", &safe(7, "days"), nine, Earlier, &[Owner], &[Email]),
        until_acknowledged(rung("after", after, nine, Earlier, &[Owner], &[Email])),
        find_date(Priority::Normal, "every workday from on verify_date at most 5 times"),
    ];
    let overdue = |rung: Rung| with(Priority::Urgent, "callback_overdue", rung);
    let callback = vec![
        with(
            Priority::Normal,
            "callback_due",
            rung("due", "on due", Some("08:30"), Earlier, &[Assignee], &[Email]),
        ),
        with(
            Priority::Normal,
            "callback_due",
            rung("retry", "on retry", None, Stay, &[Assignee], &[Email]),
        ),
        overdue(rung(
            "overdue",
            "on overdue",
            Some("08:30"),
            Later,
            &[Assignee, Owner],
            &staff,
        )),
        until_acknowledged(overdue(rung(
            "tell-supervisor",
            "every workday from 1 workdays after overdue",
            Some("08:30"),
            Earlier,
            &[Supervisor],
            &[Email],
        ))),
    ];
    let visit = |priority: Priority, rung: Rung| with(priority, "appointment", rung);
    let missed = "every workday from 1 hours after missed at most 5 times";
    let appointment = vec![
        visit(
            Priority::Urgent,
            rung(
                "day-before",
                "1 days before start",
                ten,
                Stay,
                &[Resident, Relatives],
                &public,
            ),
        ),
        visit(
            Priority::Normal,
            rung(
                "day-before-staff",
                "1 workdays before start",
                nine,
                Earlier,
                &[Assignee],
                &[Email],
            ),
        ),
        visit(
            Priority::Urgent,
            rung("same-day", "2 hours before start", None, Stay, &[Assignee], &staff),
        ),
        until_acknowledged(with(
            Priority::Normal,
            "appointment_missed",
            rung("missed", missed, None, Stay, &[Owner], &[Email]),
        )),
    ];
    let ladders = [
        ladder("record_expiry", ItemKind::Deadline, Late::Now, record_expiry),
        ladder("claim", ItemKind::Deadline, Late::Now, claim),
        ladder("handling", ItemKind::Deadline, Late::Next, handling),
        ladder("soft", ItemKind::Deadline, Late::Now, soft),
        ladder("callback", ItemKind::Callback, Late::Now, callback),
        ladder("appointment", ItemKind::Appointment, Late::Now, appointment),
    ];
    ladders.into_iter().map(|ladder| (ladder.id.clone(), ladder)).collect()
}

/// An open case of `li` at the window of Taoranting, opened at `opened`.
pub(crate) fn case(opened: &str) -> Case {
    Case::new(Beginning {
        id: "2026-000001".into(),
        opened_at: at(opened),
        party: Party {
            person: "p1".into(),
            enterprise: None,
        },
        unit: "taoranting-1".into(),
        owner: "li".into(),
        matter: "cremation".into(),
        request: "补办证明".to_owned(),
    })
}

/// A resident of 50 with a mobile and an e-mail address.
pub(crate) fn resident() -> Person {
    Person {
        id: "p1".into(),
        name: "沈小兰".to_owned(),
        gender: Some(Gender::Female),
        phone: Some("13900001234".to_owned()),
        email: Some("shen@example.org".to_owned()),
        born: Some(1976),
        flags: BTreeSet::new(),
        language: Language::Chinese,
        deceased: false,
        opted_out: false,
        phone_is_wrong: false,
        relative: None,
    }
}

/// Her daughter, who opted in to dates.
pub(crate) fn daughter() -> Person {
    Person {
        id: "p2".into(),
        name: "沈晓".to_owned(),
        phone: Some("13900005678".to_owned()),
        born: None,
        email: None,
        relative: Some(Relative {
            of: "p1".into(),
            relation: "女儿".to_owned(),
            opted_in: true,
            may_know: MayKnow::DateOnly,
        }),
        ..resident()
    }
}

pub(crate) fn people() -> People {
    People {
        resident: Some(resident()),
        relatives: Vec::new(),
    }
}

fn next_id(case: &mut Case, letter: char) -> xixin::domain::ids::ItemId {
    let n = case.next_item;
    case.next_item += 1;
    format!("{letter}{n}").into()
}

/// Adds a deadline of `kind` whose trigger reads as in commands: a date, a range `A..B`, `unknown`.
pub(crate) fn deadline<'a>(case: &'a mut Case, kind: &str, trigger: &str, set_at: &str) -> &'a mut Deadline {
    let trigger: Trigger = trigger.parse().unwrap();
    let id = next_id(case, 'd');
    case.deadlines.push(Deadline {
        id,
        kind: kind.into(),
        trigger,
        fixed_end: None,
        office: None,
        set_at: at(set_at),
        moves: 0,
        done: None,
        acknowledged: None,
    });
    case.deadlines.last_mut().unwrap()
}

/// A deadline whose end somebody fixed.
pub(crate) fn deadline_ending<'a>(case: &'a mut Case, kind: &str, end: &str, set_at: &str) -> &'a mut Deadline {
    let deadline = deadline(case, kind, "unknown", set_at);
    deadline.fixed_end = Some(day(end));
    deadline
}

/// A call-back promised by `by`, due on a day.
pub(crate) fn callback<'a>(case: &'a mut Case, by: &str, promised: &str, due: &str) -> &'a mut Callback {
    let id = next_id(case, 'c');
    case.callbacks.push(Callback {
        id,
        promised_at: at(promised),
        by: by.into(),
        words: "办好了联系您".to_owned(),
        due: Due::Day(day(due)),
        set_at: at(promised),
        moves: 0,
        attempts: Vec::new(),
        next_try: None,
        passed_at: None,
        kept: None,
        acknowledged: None,
    });
    case.callbacks.last_mut().unwrap()
}

/// An hour at the crematorium's archive, with `with`.
pub(crate) fn appointment<'a>(case: &'a mut Case, with: &str, booked: &str, start: &str) -> &'a mut Appointment {
    let id = next_id(case, 'a');
    let start = at(start);
    case.appointments.push(Appointment {
        id,
        what: "交材料".to_owned(),
        office: "crematorium".into(),
        start,
        end: start + jiff::SignedDuration::from_hours(1),
        with: with.into(),
        bring: vec!["身份证".to_owned()],
        set_at: at(booked),
        moves: 0,
        passed_at: None,
        passes: Passes::default(),
        state: AppointmentState::Booked,
        acknowledged: None,
    });
    case.appointments.last_mut().unwrap()
}
