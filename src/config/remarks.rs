//! What is no mistake in a configuration, but somebody should know.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::Loaded;
use super::settings::{MailTransport, SmsTransport};
use crate::domain::ids::UnitId;
use crate::domain::knowledge::{Reviewed, reviews_due};
use crate::domain::text::{Said, counted};

/// Warn this long before the settled part of the calendar ends.
const CALENDAR_AHEAD_DAYS: i32 = 60;
/// Warn this long before a window's rota ends.
const ROTA_AHEAD_DAYS: i32 = 30;
/// A rule is compared with its source at least once a year.
const CHECKED_MAX_DAYS: i32 = 366;

/// Remarks on a configuration, as of `today`.
pub fn remarks(loaded: &Loaded, today: Date) -> Vec<Said> {
    let mut said = Vec::new();
    channels(loaded, &mut said);
    said.extend(super::uncoded::remarks(loaded));
    calendar(loaded, today, &mut said);
    rota(loaded, today, &mut said);
    sources(loaded, today, &mut said);
    reviews(loaded, today, &mut said);
    staff(loaded, today, &mut said);
    for name in &loaded.ignored_variables {
        said.push(Said::new(
            format!("环境变量 {name} 不起作用;设置的写法是 XIXIN__SECTION__KEY"),
            format!("the variable {name} has no effect; settings are written XIXIN__SECTION__KEY"),
        ));
    }
    said
}

fn channels(loaded: &Loaded, said: &mut Vec<Said>) {
    if loaded.settings.mail.transport == MailTransport::None {
        said.push(Said::new(
            "mail.transport = \"none\":不发邮件,也没有每日待办",
            "mail.transport = \"none\": no e-mail leaves, and no digest",
        ));
    }
    if loaded.settings.sms.transport == SmsTransport::None {
        said.push(Said::new(
            "sms.transport = \"none\":不发短信,改为其他方式或电话任务",
            "sms.transport = \"none\": no SMS leaves; other ways or call tasks take its place",
        ));
    }
}

fn calendar(loaded: &Loaded, today: Date, said: &mut Vec<Said>) {
    let calendar = &loaded.rulebook.calendar;
    for (after, before) in calendar.gaps() {
        said.push(Said::new(
            format!("日历缺 {after} 之后至 {before} 之前的安排,其间日期标“暂定”"),
            format!("the calendar has a gap after {after} and before {before}; days in it are provisional"),
        ));
    }
    match calendar.covered_through() {
        None => said.push(Said::new(
            "日历没有任何已发布的安排,所有日期标“暂定”",
            "no calendar file settles any day; every date is provisional",
        )),
        Some(last) if days_until(today, last) < CALENDAR_AHEAD_DAYS => said.push(Said::new(
            format!("日历只到 {last};放假通知发布后请在 calendar/ 中补充,此后日期暂按推算"),
            format!("the calendar ends on {last}; add the next notice to calendar/ when it is out; later dates are provisional"),
        )),
        Some(_) => {}
    }
}

/// After its last stretch a rota says nothing any more, and nobody would notice.
fn rota(loaded: &Loaded, today: Date, said: &mut Vec<Said>) {
    let mut ends: BTreeMap<&UnitId, Date> = BTreeMap::new();
    for stretch in &loaded.rulebook.rota.stretches {
        let end = ends.entry(&stretch.unit).or_insert(stretch.to);
        *end = stretch.to.max(*end);
    }
    for (unit, end) in ends
        .into_iter()
        .filter(|(_, end)| days_until(today, *end) < ROTA_AHEAD_DAYS)
    {
        said.push(Said::new(
            format!("{unit} 的值班表只到 {end},请在 rota.toml 中续写"),
            format!("the rota of {unit} ends on {end}; continue it in rota.toml"),
        ));
    }
}

fn sources(loaded: &Loaded, today: Date, said: &mut Vec<Said>) {
    let periods = loaded.rulebook.periods.values();
    let due = |checked: Option<Date>| checked.is_none_or(|day| days_until(day, today) > CHECKED_MAX_DAYS);
    let names: Vec<&str> = periods
        .filter(|period| due(period.checked))
        .map(|period| period.id.as_str())
        .collect();
    if !names.is_empty() {
        let list = names.join(", ");
        said.push(Said::new(
            format!("{}类期限一年内未与依据核对:{list}", names.len()),
            format!(
                "{} periods were not compared with their source within a year: {list}",
                names.len()
            ),
        ));
    }
}

/// Knowledge notes alone: of the kinds of deadline `sources` tells.
fn reviews(loaded: &Loaded, today: Date, said: &mut Vec<Said>) {
    let due = reviews_due(&loaded.rulebook, today);
    let names: Vec<&str> = due
        .iter()
        .filter_map(|review| match &review.of {
            Reviewed::Note(id) => Some(id.as_str()),
            Reviewed::Period(_) => None,
        })
        .collect();
    if !names.is_empty() {
        let list = names.join(", ");
        said.push(Said::new(
            format!("{}条知识条目到了复核时间:{list}", names.len()),
            format!(
                "due for review, {}: {list}",
                counted(i64::try_from(names.len()).unwrap_or(i64::MAX), "knowledge note")
            ),
        ));
    }
}

fn staff(loaded: &Loaded, today: Date, said: &mut Vec<Said>) {
    let staff = loaded.rulebook.org.staff.values();
    for gone in staff.filter(|staff| staff.leaves.is_some_and(|last| last < today)) {
        said.push(Said::new(
            format!("{} 已离岗,事项转给上级", gone.id),
            format!("{} has left; their items pass up the line", gone.id),
        ));
    }
}

fn days_until(from: Date, to: Date) -> i32 {
    from.until(to).map_or(i32::MAX, |span| span.get_days())
}
