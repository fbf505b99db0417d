//! `xixin period`: the calculator that counts every deadline, with its derivation. Needs no database.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::anyhow;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;

use crate::domain::calendar::Certainty;
use crate::domain::ids::OfficeId;
use crate::domain::office::Office;
use crate::domain::period::{Counted, Mode, MonthEnd, Period, PeriodError, PeriodRule, Start, explain};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, weekday_words};

#[derive(Debug, clap::Args)]
pub struct PeriodArgs {
    /// From when it counts: 2016-02-29, 2026-05, 2026-02-14T16:30, 2026-03-01T16:30Z / 起算日或时刻
    #[arg(value_name = "START", value_parser = start)]
    start: Start,
    /// How long: 10y, 3m, 2w, 60d, 5wd, 24h, 4bh; negative counts back / 期限,负数往前数
    #[arg(value_name = "PERIOD", value_parser = period, allow_hyphen_values = true)]
    period: Period,
    /// How it is counted / 计算方式
    #[arg(long, value_parser = modes())]
    mode: Mode,
    /// Whose opening days and hours count, by its id in agencies.toml / 以哪个单位的开放日为准
    #[arg(long, value_name = "ID")]
    office: Option<String>,
    /// How long before the last safe day it should be done, such as 5wd / 预留时间
    #[arg(long, value_name = "PERIOD", value_parser = margin, allow_hyphen_values = true)]
    margin: Option<Period>,
    /// The first day counts as day one / 首日计入
    #[arg(long)]
    count_start_day: bool,
    /// What stands for a day that the last month does not have / 月末没有对应日时
    #[arg(long, value_parser = month_ends(), default_value = "clamp")]
    month_end: MonthEnd,
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
}

/// Counts by the calendar, zone, offices and business hours of `book`, and writes the answer to `out`.
pub fn run(args: &PeriodArgs, book: &Rulebook, out: &mut impl Write) -> anyhow::Result<u8> {
    let office = match &args.office {
        Some(id) => Some(find_office(book, id)?),
        None => None,
    };
    let rule = PeriodRule {
        period: args.period,
        mode: args.mode,
        margin: args.margin,
        count_start_day: args.count_start_day,
        month_end: args.month_end,
    };
    let (counted, steps) =
        explain(&args.start, &rule, &book.counting(office)).map_err(|trouble| refused(args, &trouble))?;
    let dates = Dates::new(&counted, args.mode, &book.zone);
    let text = if args.json {
        let answer = Answer {
            legal_end: dates.legal_end.machine,
            last_safe_day: dates.last_safe_day.machine,
            target_by: dates.target_by.machine,
            certainty: counted.certainty,
            derivation: steps.iter().map(Said::to_string).collect(),
        };
        serde_json::to_string_pretty(&answer)? + "\n"
    } else {
        readable(&counted, &dates, &steps, &book.zone)
    };
    // A closed pipe ends the output, not the program.
    let _ = out.write_all(text.as_bytes());
    Ok(0)
}

#[derive(Serialize)]
struct Answer {
    legal_end: String,
    last_safe_day: String,
    target_by: String,
    certainty: Certainty,
    derivation: Vec<String>,
}

/// The three dates, as machines and as people read them.
struct Dates {
    legal_end: Shown,
    last_safe_day: Shown,
    target_by: Shown,
}

struct Shown {
    machine: String,
    people: String,
}

impl Dates {
    fn new(counted: &Counted, mode: Mode, zone: &TimeZone) -> Self {
        if mode.is_in_hours() {
            Self {
                legal_end: Shown::instant(counted.end_at, zone),
                last_safe_day: Shown::instant(counted.end_at, zone),
                target_by: Shown::instant(counted.target_at, zone),
            }
        } else {
            Self {
                legal_end: Shown::day(counted.legal_end),
                last_safe_day: Shown::day(counted.last_safe_day),
                target_by: Shown::day(counted.target_by),
            }
        }
    }
}

impl Shown {
    fn day(day: Date) -> Self {
        let (zh, en) = weekday_words(day.weekday());
        Self {
            machine: day.to_string(),
            people: format!("{day} {zh} {en}"),
        }
    }

    fn instant(at: Timestamp, zone: &TimeZone) -> Self {
        let (zh, en) = weekday_words(zone.to_datetime(at).weekday());
        let machine = rfc3339(at, zone);
        Self {
            people: format!("{machine} {zh} {en}"),
            machine,
        }
    }
}

/// RFC 3339 knows whole minutes of offset only; zones had others before they kept standard time (Shanghai before 1901: +08:05:43).
fn rfc3339(at: Timestamp, zone: &TimeZone) -> String {
    let minutes = zone.to_offset(at).seconds().div_euclid(60);
    let offset = Offset::from_seconds(minutes * 60).unwrap_or(Offset::UTC);
    at.display_with_offset(offset).to_string()
}

fn readable(counted: &Counted, dates: &Dates, steps: &[Said], zone: &TimeZone) -> String {
    let certainty = match counted.certainty {
        Certainty::Final => "已定 final",
        Certainty::Provisional => "暂定 provisional",
    };
    let mut text = String::new();
    let lines = [
        ("期限届满 / legal end", dates.legal_end.people.as_str()),
        ("最晚可办 / last safe day", &dates.last_safe_day.people),
        ("目标 / target by", &dates.target_by.people),
        ("届满时刻(不含) / over at", &rfc3339(counted.end_at, zone)),
        ("确定性 / certainty", certainty),
    ];
    for (name, value) in lines {
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = writeln!(text, "推算 / how it was counted:");
    for (index, said) in steps.iter().enumerate() {
        let _ = writeln!(text, "  {}. {}\n     {}", index + 1, said.zh, said.en);
    }
    text
}

fn find_office<'a>(book: &'a Rulebook, id: &str) -> anyhow::Result<&'a Office> {
    book.offices.get(&OfficeId::from(id)).ok_or_else(|| {
        let known: Vec<&str> = book.offices.keys().map(OfficeId::as_str).collect();
        let known = if known.is_empty() {
            "-".to_owned()
        } else {
            known.join(", ")
        };
        anyhow!("--office: 没有单位“{id}”;可用: {known} / there is no office \"{id}\"; allowed: {known}")
    })
}

/// Names the argument that has to change.
fn refused(args: &PeriodArgs, trouble: &PeriodError) -> anyhow::Error {
    let argument = match trouble {
        PeriodError::Unit { .. } => format!("PERIOD {}", args.period),
        PeriodError::OutOfRange => format!("START {}, PERIOD {}", args.start, args.period),
        PeriodError::NeverOpen => format!("--office {}", args.office.as_deref().unwrap_or("-")),
        PeriodError::Margin => args
            .margin
            .map_or_else(|| "--margin".to_owned(), |margin| format!("--margin {margin}")),
    };
    anyhow!("{argument}: {}", trouble.said())
}

fn start(text: &str) -> Result<Start, String> {
    text.parse()
        .map_err(|wrong: crate::domain::period::ParseError| wrong.said().to_string())
}

fn period(text: &str) -> Result<Period, String> {
    text.parse()
        .map_err(|wrong: crate::domain::period::ParseError| wrong.said().to_string())
}

fn margin(text: &str) -> Result<Period, String> {
    let margin = period(text)?;
    if margin.n < 0 {
        return Err(PeriodError::Margin.said().to_string());
    }
    Ok(margin)
}

fn modes() -> impl clap::builder::TypedValueParser<Value = Mode> {
    let said = |mode| match mode {
        Mode::Civil => "rolls forward to a workday / 民事期间,遇休息日顺延",
        Mode::Retention => "never forward; the last open day / 保管或补办期限,不顺延",
        Mode::RetentionNextYear => "from 1 January of the next year / 自下一年1月1日起的保管期限",
        Mode::Workdays => "workdays only / 工作日",
        Mode::Elapsed => "hours on the clock / 连续计时",
        Mode::BusinessHours => "hours inside opening windows / 只计营业时间",
        Mode::InsuranceMonths => "months after the last paid one / 医保缴费月之后的自然月",
        Mode::Promise => "a promise to a resident, rolls earlier / 对居民的承诺,遇休息日提前",
    };
    PossibleValuesParser::new(Mode::ALL.map(|mode| PossibleValue::new(mode.name()).help(said(mode))))
        .try_map(|name| name.parse::<Mode>())
}

fn month_ends() -> impl clap::builder::TypedValueParser<Value = MonthEnd> {
    PossibleValuesParser::new([
        PossibleValue::new("clamp").help("the month's last day / 月末"),
        PossibleValue::new("next_day").help("the first day of the next month / 次月首日"),
    ])
    .map(|name| {
        if name == "next_day" {
            MonthEnd::NextDay
        } else {
            MonthEnd::Clamp
        }
    })
}
