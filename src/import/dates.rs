//! Dates as people and programs write them. Only forms that begin with the year are taken: 03/04/2026 means two different days.

use jiff::civil::{Date, DateTime, Time};

use crate::domain::case::Trigger;
use crate::domain::period::Start;
use crate::domain::text::shown;
use crate::import::cell::{Cell, Fault, half_width};

/// A date with as much of it as was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Day(Date),
    Month { year: i16, month: i8 },
    At(DateTime),
}

impl Written {
    pub(super) fn first_day(self) -> Date {
        match self {
            Self::Day(day) => day,
            Self::Month { year, month } => jiff::civil::date(year, month, 1),
            Self::At(at) => at.date(),
        }
    }

    fn last_day(self) -> Date {
        match self {
            Self::Month { .. } => self.first_day().last_of_month(),
            other => other.first_day(),
        }
    }
}

/// Serial numbers without a date format are taken from here on (1927), so that a year or a number of days is not read as a date.
const SERIAL_MIN: f64 = 10_000.0;
/// 2200-12-31.
const SERIAL_MAX: f64 = 109_940.0;

/// The civil time of an Excel serial number. The 1900 system counts a 29 February 1900 that never was, so days before March 1900 are
/// not taken (ECMA-376 part 1, 18.17.4.1).
pub(super) fn serial(number: f64, is_1904: bool) -> Option<DateTime> {
    let (epoch, first) = if is_1904 {
        (jiff::civil::date(1904, 1, 1), 0.0)
    } else {
        (jiff::civil::date(1899, 12, 30), 61.0)
    };
    if !(first..=SERIAL_MAX).contains(&number) {
        return None;
    }
    // In range, so the casts lose nothing.
    let seconds = (number * 86_400.0).round() as i64;
    epoch
        .to_datetime(Time::midnight())
        .checked_add(jiff::SignedDuration::from_secs(seconds))
        .ok()
}

/// The date in a cell; `None` when it is empty.
pub(super) fn moment(cell: &Cell) -> Result<Option<Written>, Fault> {
    if let Cell::Moment(at) = cell {
        return Ok(Some(of_datetime(*at)));
    }
    cell.text()?.map(|text| written(&text)).transpose()
}

/// From when a period counts: a date, a month, a range (`2012年3月至5月`), or 不详.
pub(super) fn trigger(cell: &Cell) -> Result<Option<Trigger>, Fault> {
    const UNKNOWN: [&str; 8] = ["unknown", "不详", "未知", "不明", "不清楚", "待核实", "待查", "?"];
    if let Cell::Moment(at) = cell {
        return Ok(Some(Trigger::Known(start(of_datetime(*at)))));
    }
    let Some(text) = cell.text()? else { return Ok(None) };
    let text = half_width(&text);
    let text = text.trim();
    if UNKNOWN.contains(&text.to_lowercase().as_str()) {
        return Ok(Some(Trigger::Unknown));
    }
    let bounds = ["..", "至", "到", "~", "—"]
        .iter()
        .find_map(|mark| text.split_once(mark));
    let Some((from, to)) = bounds else {
        // Instants with an offset are taken as commands take them.
        let known = written(text)
            .map(start)
            .or_else(|fault| text.parse().map_err(|_| fault))?;
        return Ok(Some(Trigger::Known(known)));
    };
    let from = written(from)?;
    let to = match to.trim_start().split_once('月') {
        // 2012年3月至5月
        Some((month, _)) if month.len() <= 2 => written(&format!("{}年{}", from.first_day().year(), to.trim()))?,
        _ => written(to)?,
    };
    let (from, to) = (from.first_day(), to.last_day());
    if from > to {
        return Err(Fault::new(
            format!("范围的开始 {from} 晚于结束 {to}"),
            format!("the range starts on {from}, after its end {to}"),
            "对调前后日期",
            "swap the two dates",
        ));
    }
    Ok(Some(Trigger::Range { from, to }))
}

fn start(written: Written) -> Start {
    match written {
        Written::Day(day) => Start::Day(day),
        Written::Month { year, month } => Start::Month { year, month },
        Written::At(at) => Start::Local(at),
    }
}

fn of_datetime(at: DateTime) -> Written {
    if at.time() == Time::midnight() {
        Written::Day(at.date())
    } else {
        Written::At(at)
    }
}

/// 2016-12-20, 2016/12/20, 2016.12.20, 2016年12月20日, 20161220, 42724 (Excel), each with a time behind it if need be; 2016-12.
pub(super) fn written(text: &str) -> Result<Written, Fault> {
    let text = half_width(text);
    let text = text.trim();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.matches('.').count() < 2;
    if is_number && let Some(found) = digits(text) {
        return found;
    }
    let plain: String = text
        .chars()
        .map(|letter| match letter {
            '年' | '月' | '/' | '.' => '-',
            '日' | '号' | 'T' => ' ',
            letter => letter,
        })
        .collect();
    let plain = plain.replace("- ", "-").replace(" -", "-");
    let (day, time) = match plain.split_once(char::is_whitespace) {
        Some((day, time)) => (day, time.trim()),
        None => (plain.as_str(), ""),
    };
    let parts: Vec<&str> = day.trim_end_matches('-').split('-').collect();
    if !parts
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(no_date(text));
    }
    match (parts.as_slice(), time) {
        ([year, month], "") => of_month(text, year, month),
        ([year, month, day], time) => {
            let Written::Day(day) = of_day(text, year, month, day)? else {
                return Err(no_date(text));
            };
            if time.is_empty() {
                return Ok(Written::Day(day));
            }
            let time = of_time(time).ok_or_else(|| no_date(text))?;
            Ok(of_datetime(day.to_datetime(time)))
        }
        _ => Err(no_date(text)),
    }
}

/// Digits alone: 20161220, 201612, or the serial number that Excel keeps a date as.
fn digits(text: &str) -> Option<Result<Written, Fault>> {
    // 42724.0 is a number that lost its format on the way through another program.
    let whole = text.strip_suffix(".0").unwrap_or(text);
    match whole.len() {
        8 if whole.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(of_day(text, &whole[..4], &whole[4..6], &whole[6..]))
        }
        6 if whole.bytes().all(|byte| byte.is_ascii_digit()) => Some(of_month(text, &whole[..4], &whole[4..])),
        4 if whole.bytes().all(|byte| byte.is_ascii_digit()) => Some(Err(Fault::new(
            format!("“{whole}”只有年份"),
            format!("\"{whole}\" is only a year"),
            format!("写明日期,或写成范围 {whole}-01-01..{whole}-12-31"),
            format!("give the day, or a range {whole}-01-01..{whole}-12-31"),
        ))),
        _ => {
            let number: f64 = text.parse().ok()?;
            if number < SERIAL_MIN {
                return None;
            }
            serial(number, false).map(|at| Ok(of_datetime(at)))
        }
    }
}

fn of_day(text: &str, year: &str, month: &str, day: &str) -> Result<Written, Fault> {
    if year.len() != 4 {
        return Err(if day.len() == 4 {
            day_first(text)
        } else {
            short_year(text)
        });
    }
    let (Ok(y), Ok(m), Ok(d)) = (year.parse(), month.parse(), day.parse()) else {
        return Err(no_date(text));
    };
    Date::new(y, m, d).map(Written::Day).map_err(|_| no_such_day(text))
}

fn of_month(text: &str, year: &str, month: &str) -> Result<Written, Fault> {
    if year.len() != 4 {
        return Err(short_year(text));
    }
    let (Ok(year), Ok(month)) = (year.parse(), month.parse()) else {
        return Err(no_date(text));
    };
    Date::new(year, month, 1)
        .map(|_| Written::Month { year, month })
        .map_err(|_| no_such_day(text))
}

/// 9:30, 9:30:15, 9点, 9点30分, 9时30分, 上午9:30, 下午3点.
fn of_time(text: &str) -> Option<Time> {
    let (text, afternoon) = match text.strip_prefix("下午") {
        Some(text) => (text, true),
        None => (text.strip_prefix("上午").unwrap_or(text), false),
    };
    let text = text.trim().replace(['点', '时'], ":").replace(['分', '秒'], "");
    let mut parts = text.trim_end_matches(':').split(':');
    let hour: i8 = parts.next()?.parse().ok()?;
    let mut next = || parts.next().map_or(Some(0), |part| part.parse().ok());
    let (minute, second): (i8, i8) = (next()?, next()?);
    let hour = if afternoon && hour < 12 { hour + 12 } else { hour };
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

fn no_date(text: &str) -> Fault {
    let text = shown(text);
    Fault::new(
        format!("“{text}”不是能识别的日期"),
        format!("\"{text}\" is no date that can be read"),
        "写成 2016-12-20、2016年12月20日 或 20161220",
        "write it like 2016-12-20 or 20161220, the year first",
    )
}

fn day_first(text: &str) -> Fault {
    let text = shown(text);
    Fault::new(
        format!("“{text}”分不清月和日"),
        format!("in \"{text}\" month and day could be either"),
        "年份写在前面,如 2016-12-20",
        "write the year first, such as 2016-12-20",
    )
}

fn short_year(text: &str) -> Fault {
    let text = shown(text);
    Fault::new(
        format!("“{text}”的年份不是四位"),
        format!("the year in \"{text}\" has not four digits"),
        "写全年份,如 2016-12-20",
        "write the whole year, such as 2016-12-20",
    )
}

fn no_such_day(text: &str) -> Fault {
    let text = shown(text);
    Fault::new(
        format!("没有“{text}”这一天"),
        format!("there is no such day as \"{text}\""),
        "请核对日期",
        "check the date",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_in_every_form_that_begins_with_the_year() {
        for text in [
            "2016-12-20",
            "2016/12/20",
            "2016.12.20",
            "2016年12月20日",
            "2016年12月20号",
            "2016 年 12 月 20 日",
            "20161220",
            "２０１６－１２－２０",
            "42724",
            "42724.0",
            "2016-12-20T00:00:00",
            "2016/12/20 0:00",
        ] {
            assert_eq!(written(text), Ok(Written::Day("2016-12-20".parse().unwrap())), "{text}");
        }
        for text in [
            "2016-3-5 9:30",
            "2016年3月5日9点30分",
            "2016/03/05 上午9:30",
            "2016-03-05T09:30:00",
        ] {
            assert_eq!(
                written(text),
                Ok(Written::At("2016-03-05T09:30".parse().unwrap())),
                "{text}"
            );
        }
        assert_eq!(
            written("2016.3.5 下午3点"),
            Ok(Written::At("2016-03-05T15:00".parse().unwrap()))
        );
        for text in ["2016-12", "2016年12月", "201612", "2016/12"] {
            assert_eq!(written(text), Ok(Written::Month { year: 2016, month: 12 }), "{text}");
        }
    }

    #[test]
    fn what_could_be_two_days_or_none_is_refused_with_the_reason() {
        for (text, reason) in [
            ("12/20/2016", "either"),
            ("20.12.2016", "either"),
            ("16-12-20", "four digits"),
            ("2016", "only a year"),
            ("2026-02-29", "no such day"),
            ("20261301", "no such day"),
            ("去年冬天", "no date"),
            ("2016-12-20 25:00", "no date"),
            ("2016-12-20-01", "no date"),
            ("99", "no date"),
            ("-", "no date"),
            ("2016--20", "no date"),
            ("12月20日", "four digits"),
        ] {
            let fault = written(text).unwrap_err();
            assert!(fault.what.en.contains(reason), "{text}: {}", fault.what.en);
        }
    }

    #[test]
    fn serial_numbers_follow_the_system_of_their_workbook() {
        let day = |text: &str| Some(text.parse::<Date>().unwrap().to_datetime(Time::midnight()));
        assert_eq!(serial(42_724.0, false), day("2016-12-20"));
        assert_eq!(serial(41_262.0, true), day("2016-12-20"));
        assert_eq!(serial(61.0, false), day("1900-03-01"));
        assert_eq!(serial(60.0, false), None, "29 February 1900 never was");
        assert_eq!(
            serial(42_724.395_833_333, false),
            Some("2016-12-20T09:30".parse().unwrap())
        );
        for number in [f64::NAN, f64::INFINITY, -1.0, 1e12] {
            assert_eq!(serial(number, false), None);
        }
    }

    #[test]
    fn a_trigger_may_be_a_range_or_unknown() {
        let read = |text: &str| trigger(&Cell::Text(text.to_owned())).unwrap().unwrap().to_string();
        assert_eq!(read("2012年3月至5月"), "2012-03-01..2012-05-31");
        assert_eq!(read("2012年3月到2012年5月"), "2012-03-01..2012-05-31");
        assert_eq!(read("2012.3.1~2012.3.15"), "2012-03-01..2012-03-15");
        assert_eq!(read("2012-03-01..2012-05-31"), "2012-03-01..2012-05-31");
        assert_eq!(read("2026-05"), "2026-05");
        assert_eq!(read("2026-02-14T16:30+08:00"), "2026-02-14T08:30:00Z");
        for text in ["不详", "未知", "Unknown", "？"] {
            assert_eq!(read(text), "unknown");
        }
        assert!(trigger(&Cell::Text("2012年5月至3月".to_owned())).is_err());
        assert_eq!(trigger(&Cell::Empty), Ok(None));
    }
}
