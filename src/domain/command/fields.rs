//! Checks what people typed: names, numbers, addresses, local times. Each refusal names the field and the fix.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::domain::case::Due;
use crate::domain::command::{Context, Refusal};
use crate::domain::milestone::instant;
use crate::domain::person::is_mobile;
use crate::domain::text::{Said, clean_line, clean_text};

pub(crate) const NAME_MAX: usize = 60;
pub(crate) const SHORT_MAX: usize = 200;
pub(crate) const LONG_MAX: usize = 4_000;
/// No number is longer, however it is spaced.
const PHONE_MAX: usize = 40;
/// RFC 5321 4.5.3.1.3, less the angle brackets.
const EMAIL_MAX: usize = 254;

/// A single-line text that must say something.
pub(crate) fn line(field: &str, text: &str, max: usize) -> Result<String, Refusal> {
    let text = optional_line(field, text, max)?;
    if text.is_empty() { Err(empty(field)) } else { Ok(text) }
}

fn empty(field: &str) -> Refusal {
    Refusal::at(
        field,
        Said::new("不能为空", "it is empty"),
        Said::new("请填写", "fill it in"),
    )
}

pub(crate) fn optional_line(field: &str, text: &str, max: usize) -> Result<String, Refusal> {
    clean_line(text, max).map_err(|problem| Refusal::at(field, problem.what(), problem.fix()))
}

/// A text of several lines; line ends are normalised to `\n`.
pub(crate) fn note(field: &str, text: &str) -> Result<String, Refusal> {
    clean_text(text, LONG_MAX).map_err(|problem| Refusal::at(field, problem.what(), problem.fix()))
}

/// The name of a person: a line with at least one letter in it. `0` and `-` are what programs write where there is no name.
pub(crate) fn name(field: &str, text: &str) -> Result<String, Refusal> {
    let name = line(field, text, NAME_MAX)?;
    if name.chars().any(char::is_alphabetic) {
        return Ok(name);
    }
    Err(Refusal::at(
        field,
        Said::new("不是姓名", "it is no name"),
        Said::new(
            "填写姓名;不知道时写称呼,如“王女士”",
            "give the name, or how the person is called",
        ),
    ))
}

/// A text of several lines that must say something.
pub(crate) fn required_note(field: &str, text: &str) -> Result<String, Refusal> {
    let text = note(field, text)?;
    if text.is_empty() { Err(empty(field)) } else { Ok(text) }
}

/// Digits of a mainland mobile, landline with area code or 400 number; full-width digits, spaces, hyphens and +86 are taken.
pub(crate) fn phone(field: &str, text: &str) -> Result<String, Refusal> {
    let text = optional_line(field, text, PHONE_MAX)?;
    let mut digits = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' => digits.push(letter),
            '０'..='９' => digits.push(char::from(b'0' + u8::try_from(u32::from(letter) - 0xFF10).unwrap_or(0))),
            ' ' | '-' | '－' | '(' | ')' | '（' | '）' | '\u{3000}' | '\u{a0}' => {}
            '+' | '＋' if digits.is_empty() => {}
            _ => return Err(bad_phone(field)),
        }
    }
    let local = match digits.strip_prefix("0086").or_else(|| digits.strip_prefix("86")) {
        Some(rest) if is_mobile(rest) || text.starts_with(['+', '＋']) => rest,
        _ => digits.as_str(),
    };
    let landline = local.starts_with('0') && (10..=12).contains(&local.len());
    let service = local.starts_with("400") && local.len() == 10;
    if is_mobile(local) || landline || service {
        Ok(local.to_owned())
    } else {
        Err(bad_phone(field))
    }
}

fn bad_phone(field: &str) -> Refusal {
    Refusal::at(
        field,
        Said::new("不是可用的电话号码", "it is no usable phone number"),
        Said::new(
            "请填11位手机号,或带区号的固定电话,如 010-00000000",
            "give a mobile number of 11 digits or a landline with its area code, such as 010-00000000",
        ),
    )
}

/// An address that a mail server could take: one @, a domain with a dot, nothing but visible ASCII before the domain.
pub(crate) fn email(field: &str, text: &str) -> Result<String, Refusal> {
    let text = optional_line(field, text, EMAIL_MAX)?;
    let plausible = text.len() <= EMAIL_MAX
        && text.split_once('@').is_some_and(|(local, domain)| {
            let local_ok = !local.is_empty()
                && local.len() <= 64
                && local
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte))
                && !local.starts_with('.')
                && !local.ends_with('.')
                && !local.contains("..");
            let label_ok = |label: &str| {
                !label.is_empty()
                    && label.len() <= 63
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            local_ok && domain.contains('.') && domain.split('.').all(label_ok)
        });
    if plausible {
        return Ok(text);
    }
    Err(Refusal::at(
        field,
        Said::new("不是可用的邮箱地址", "it is no usable e-mail address"),
        Said::new("形如 name@example.org", "write it like name@example.org"),
    ))
}

/// A year in which somebody alive can have been born.
pub(crate) fn year_of_birth(field: &str, born: i16, this_year: i16) -> Result<i16, Refusal> {
    let first = this_year - 130;
    if (first..=this_year).contains(&born) {
        return Ok(born);
    }
    Err(Refusal::at(
        field,
        Said::new(
            format!("出生年份{born}不可信"),
            format!("the year of birth {born} cannot be right"),
        ),
        Said::new(
            format!("应在{first}至{this_year}之间"),
            format!("give a year from {first} to {this_year}"),
        ),
    ))
}

/// A local date and time (`2026-03-05T09:30` or `2026-03-05 09:30`), or an instant with its offset.
pub fn parse_local(field: &str, text: &str, zone: &TimeZone) -> Result<Timestamp, Refusal> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return in_range(field, zone.to_datetime(at).date()).map(|_| at);
    }
    match text.replace(' ', "T").parse::<DateTime>() {
        Ok(local) if text.len() > 10 => {
            in_range(field, local.date())?;
            Ok(instant(local.date(), local.time(), zone))
        }
        _ => Err(Refusal::at(
            field,
            Said::new("不是日期时间", "it is no date and time"),
            Said::new(
                "形如 2026-03-05T09:30(当地时间)",
                "write it like 2026-03-05T09:30 (local time)",
            ),
        )),
    }
}

/// A day (`2026-03-09`) or a local date and time.
pub fn parse_due(field: &str, text: &str, zone: &TimeZone) -> Result<Due, Refusal> {
    let text = text.trim();
    if text.len() > 10 {
        return parse_local(field, text, zone).map(Due::At);
    }
    match text.parse::<Date>() {
        Ok(day) => in_range(field, day).map(Due::Day),
        Err(_) => Err(Refusal::at(
            field,
            Said::new("不是日期", "it is no date"),
            Said::new(
                "形如 2026-03-09 或 2026-03-09T15:00",
                "write it like 2026-03-09 or 2026-03-09T15:00",
            ),
        )),
    }
}

/// When something happened: now, or the local time given, which cannot lie in the future. A day stands for its beginning.
pub(crate) fn past(field: &str, text: Option<&str>, context: &Context<'_>) -> Result<Timestamp, Refusal> {
    let zone = &context.rules.zone;
    let at = match text.map(|text| parse_due(field, text, zone)).transpose()? {
        None => context.now,
        Some(Due::At(at)) => at,
        Some(Due::Day(day)) => instant(day, jiff::civil::Time::midnight(), zone),
    };
    if at <= context.now {
        return Ok(at);
    }
    Err(Refusal::at(
        field,
        Said::new("时间在将来", "it lies in the future"),
        Said::new("填写实际时间,或省略", "give the time it really was, or leave it out"),
    ))
}

/// A day from today on.
pub(crate) fn day_to_come(field: &str, text: &str, context: &Context<'_>) -> Result<Date, Refusal> {
    let zone = &context.rules.zone;
    let day = match parse_due(field, text, zone)? {
        Due::Day(day) => day,
        Due::At(at) => zone.to_datetime(at).date(),
    };
    if day >= zone.to_datetime(context.now).date() {
        return Ok(day);
    }
    Err(Refusal::at(
        field,
        Said::new("日期已经过去", "the day has passed"),
        Said::new("填写今天或以后的日期", "give today or a day to come"),
    ))
}

/// Several lines, each of which says something.
pub(crate) fn lines(field: &str, list: &[String]) -> Result<Vec<String>, Refusal> {
    const LINES_MAX: usize = 40;
    if list.len() > LINES_MAX {
        return Err(Refusal::at(
            field,
            Said::new(format!("最多{LINES_MAX}项"), format!("at most {LINES_MAX} fit")),
            Said::new("请减少", "give fewer"),
        ));
    }
    let one = |(index, text): (usize, &String)| line(&format!("{field}[{index}]"), text, SHORT_MAX);
    list.iter().enumerate().map(one).collect()
}

/// A number from `low` through `high`.
pub(crate) fn within(field: &str, n: u32, low: u32, high: u32) -> Result<u32, Refusal> {
    if (low..=high).contains(&n) {
        return Ok(n);
    }
    Err(Refusal::at(
        field,
        Said::new(format!("{n}超出范围"), format!("{n} is out of range")),
        Said::new(format!("应在{low}至{high}之间"), format!("give {low} to {high}")),
    ))
}

/// Days outside 1900 to 2200 are typing mistakes.
pub(crate) fn in_range(field: &str, day: Date) -> Result<Date, Refusal> {
    if (1900..=2200).contains(&day.year()) {
        return Ok(day);
    }
    Err(Refusal::at(
        field,
        Said::new(
            format!("年份{}不可信", day.year()),
            format!("the year {} cannot be right", day.year()),
        ),
        Said::new("年份应在1900至2200之间", "years go from 1900 to 2200"),
    ))
}
