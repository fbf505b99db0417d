//! `periods.toml`: kinds of deadline.

use std::collections::BTreeMap;

use super::ladders::never_silent;
use super::{Heard, Kind, Ladders, Names, Read, check_id, check_known, check_ladder, check_text, check_words};
use crate::config::decode::Document;
use crate::config::files::{PeriodEntry, PeriodsFile};
use crate::domain::ids::{LadderId, OfficeId, PeriodId};
use crate::domain::ladder::ItemKind;
use crate::domain::period::{Mode, Period, PeriodRule, PeriodUnit};
use crate::domain::rulebook::{Loss, PeriodKind};
use crate::domain::text::said;

pub(in crate::config) fn periods(
    read: &Read<PeriodsFile>,
    ladders: &Ladders,
    offices: &Names,
    heard: Heard<'_>,
) -> BTreeMap<PeriodId, PeriodKind> {
    let mut kinds = BTreeMap::new();
    for (name, entry) in &read.value.period {
        check(&read.document, name, entry, ladders, offices, heard);
        let id = PeriodId::from(name.as_str());
        kinds.insert(id.clone(), kind(id, entry));
    }
    kinds
}

fn kind(id: PeriodId, entry: &PeriodEntry) -> PeriodKind {
    PeriodKind {
        id,
        name: entry.name.clone(),
        trigger: entry.trigger.clone(),
        starts: entry.starts,
        rule: PeriodRule {
            period: entry.length.0,
            mode: entry.mode,
            margin: entry.margin.as_ref().map(|margin| margin.0),
            count_start_day: entry.count_start_day,
            month_end: entry.month_end,
        },
        office: entry.office.as_deref().map(OfficeId::from),
        ladder: LadderId::from(entry.ladder.as_str()),
        loss: entry.loss,
        alternative: entry.alternative.clone(),
        source: entry.source.clone(),
        checked: entry.checked.map(|day| day.0),
    }
}

fn check(doc: &Document, name: &str, entry: &PeriodEntry, ladders: &Ladders, offices: &Names, heard: Heard<'_>) {
    let at = |key: &str| format!("period.{name}.{key}");
    check_id(doc, &format!("period.{name}"), name, heard);
    check_words(doc, &at("name"), &entry.name, heard);
    check_words(doc, &at("trigger"), &entry.trigger, heard);
    check_text(doc, &at("source"), &entry.source, heard);
    if let Some(alternative) = &entry.alternative {
        check_words(doc, &at("alternative"), alternative, heard);
    }
    if doc.is_whole(&at("mode")) {
        check_unit(doc, &at("length"), entry.length.0, entry.mode, heard);
    }
    check_length(doc, &at("length"), entry.length.0, heard);
    if let Some(margin) = entry.margin.as_ref().filter(|_| doc.is_whole(&at("length"))) {
        check_margin(doc, &at("margin"), margin.0, entry.length.0, heard);
    }
    if let Some(office) = &entry.office {
        check_known(doc, &at("office"), Kind::Office, office, offices, heard);
    }
    let (path, ladder) = (at("ladder"), entry.ladder.as_str());
    check_ladder(doc, &path, ladder, ItemKind::Deadline, ladders, heard);
    let found = ladders
        .whole
        .get(ladder)
        .filter(|ladder| ladder.item == ItemKind::Deadline);
    let silent = found.is_some_and(|ladder| !never_silent(ladder));
    if entry.loss == Loss::Irrecoverable && doc.is_whole(&at("loss")) && silent {
        let what = said!(
            "权利会永远丧失,但梯级“{ladder}”到最后没有人再催",
            "the right is lost for ever, but ladder \"{ladder}\" ends in silence"
        );
        let fix = said!(
            "请给该梯级加一级 \"every … from … expired\",不写 \"at most\",并写 until = \"acknowledged\",对象为 supervisor、director 或 district",
            "give that ladder a rung \"every … from … expired\" without \"at most\", with until = \"acknowledged\", to supervisor, director or district"
        );
        heard.push(doc.at(&path, what, fix));
    }
}

fn check_unit(doc: &Document, path: &str, length: Period, mode: Mode, heard: Heard<'_>) {
    use PeriodUnit::{BusinessHours, Days, Hours, Months, Weeks, Workdays, Years};
    let units: &[PeriodUnit] = match mode {
        Mode::Civil | Mode::Retention | Mode::Promise => &[Years, Months, Weeks, Days, Workdays],
        Mode::RetentionNextYear => &[Years, Months],
        Mode::Workdays => &[Workdays],
        Mode::Elapsed => &[Hours, Days, Weeks],
        Mode::BusinessHours => &[BusinessHours, Hours],
        Mode::InsuranceMonths => &[Months, Years],
    };
    if !units.contains(&length.unit) {
        let units: Vec<&str> = units.iter().map(|unit| unit.suffix()).collect();
        let what = said!(
            "“{length}”不能按 \"{}\" 方式计算",
            "\"{length}\" cannot be counted in mode \"{}\"",
            mode.name()
        );
        heard.push(doc.at(
            path,
            what,
            said!("可用的单位: {}", "allowed units: {}", units.join(", ")),
        ));
    }
}

fn check_length(doc: &Document, path: &str, length: Period, heard: Heard<'_>) {
    if length.n <= 0 {
        let fix = said!(
            "期限在起算之后: 请用大于0的数",
            "a deadline lies after its trigger: use a number above 0"
        );
        heard.push(doc.at(path, said!("“{length}”不是期限长度", "\"{length}\" is no length"), fix));
    } else if days(length) > DAYS_MAX {
        let what = said!("“{length}”超出日历范围", "\"{length}\" leaves the calendar");
        heard.push(doc.at(path, what, said!("可用: 最多100年", "allowed: up to 100 years")));
    }
}

/// A hundred years; the calendar ends in 2200.
const DAYS_MAX: i64 = 36_525;

fn check_margin(doc: &Document, path: &str, margin: Period, length: Period, heard: Heard<'_>) {
    if matches!(margin.unit, PeriodUnit::Hours | PeriodUnit::BusinessHours) || margin.n < 0 {
        let what = said!("“{margin}”不是预留时间", "\"{margin}\" is no margin");
        heard.push(doc.at(
            path,
            what,
            said!(
                "可用: 工作日或日,如 \"5wd\"",
                "allowed: workdays or days, such as \"5wd\""
            ),
        ));
    } else if days(margin) >= days(length) {
        let what = said!(
            "预留 {margin} 之后 {length} 就没有剩余",
            "a margin of {margin} leaves nothing of {length}"
        );
        heard.push(doc.at(
            path,
            what,
            said!("预留时间请短于期限", "use a margin shorter than the period"),
        ));
    }
}

/// About how many days, to compare lengths.
fn days(period: Period) -> i64 {
    match period.unit {
        PeriodUnit::Years => period.n * 365,
        PeriodUnit::Months => period.n * 30,
        PeriodUnit::Weeks => period.n * 7,
        PeriodUnit::Days => period.n,
        PeriodUnit::Workdays => period.n * 7 / 5,
        PeriodUnit::Hours => period.n / 24,
        PeriodUnit::BusinessHours => period.n / 8,
    }
}
