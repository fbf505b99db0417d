//! A notice of holidays in the common JSON `{year, papers, days: [{name, date, isOffDay}]}`, as the holiday-cn project publishes it.
//!
//! Everything that is wrong is told at once, with its place. What comes out writes itself as a file of `calendar/`; keys that nobody
//! asked for, such as `$schema`, are left alone.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::{Date, Weekday};
use serde_json::Value;

use super::json_place::{Places, places};
use super::place::line_and_column;
use super::problem::{Problem, Problems};
use super::text_of;
use crate::domain::calendar::DayOverride;
use crate::domain::text::{Said, clean_line, counted, dated, said};

/// A notice names about 35 days.
const DAYS_MAX: usize = 100;
const PAPERS_MAX: usize = 10;
const NAME_MAX: usize = 40;
const PAPER_MAX: usize = 300;
/// The longest holiday; see `calendar_file`.
const HOLIDAY_MAX_DAYS: usize = 16;

/// A notice without a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub year: i16,
    pub papers: Vec<String>,
    pub days: BTreeMap<Date, DayOverride>,
    /// What is no mistake, but somebody should look at.
    pub remarks: Vec<Said>,
}

impl Notice {
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut heard = Vec::new();
        if !path.exists() {
            let missing = Problem::of_file(
                &name,
                said!("没有这个文件", "there is no such file"),
                said!("请给出放假安排的 JSON 文件", "name a JSON file of holidays"),
            );
            return Err(Problems::new(vec![missing]));
        }
        match text_of(folder.unwrap_or(Path::new(".")), &name, &mut heard) {
            Some(text) => Self::parse(&name, &text),
            None => Err(Problems::new(heard)),
        }
    }

    /// `name` is the name of the file in problems.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        let root: Value = serde_json::from_str(text).map_err(|error| {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            Problems::new(vec![Problem {
                line: error.line().max(1),
                col: error.column().max(1),
                ..Problem::of_file(
                    name,
                    said!("这不是 JSON: {what}", "it is no JSON: {what}"),
                    said!("格式见 xixin calendar --help", "see the shape in xixin calendar --help"),
                )
            }])
        })?;
        let mut reading = Reading {
            name,
            text,
            places: places(text),
            heard: Vec::new(),
        };
        let notice = reading.notice(&root);
        match notice {
            Some(notice) if reading.heard.is_empty() => Ok(notice),
            _ => Err(Problems::new(reading.heard)),
        }
    }

    /// Its place in the configuration directory.
    pub fn file(&self) -> String {
        format!("calendar/{}.toml", self.year)
    }

    pub fn days_off(&self) -> usize {
        self.days.values().filter(|day| !day.workday).count()
    }

    /// 调休上班
    pub fn makeup_days(&self) -> impl Iterator<Item = Date> {
        self.days.iter().filter(|(_, day)| day.workday).map(|(day, _)| *day)
    }

    /// The file of `calendar/`, commented like the shipped ones.
    pub fn to_toml(&self) -> String {
        let year = self.year;
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut text = format!(
            "# {year}年放假与调休安排 / Public holidays and make-up workdays of {year}.\n# 由 xixin calendar import 写入;只写与“周一至周五上班”不同的日子,或有名称的日子\n# / Written by xixin calendar import. Only days that differ from Monday-to-Friday, or have a name.\n\n# 本文件负责的日期,含首尾;此外的日期按推算并标“暂定”;没有通知时删去此行\n# / The days this file settles, both included; days outside are computed and marked provisional. Leave it out without a notice.\ncovers = \"{year}-01-01..{year}-12-31\"\n# 依据,经人核对 / Where it comes from, compared by a person.\nsource = {}\n\n# 日期,或“起..止” / A day, or from..to.\n[days]\n# name: 名称 / what the day is called;workday: 是否上班(调休上班为 true) / whether people work (true on make-up days)\n",
            quoted(&self.papers.join(" "))
        );
        for (from, to, day) in runs(&self.days) {
            let key = if from == to {
                from.to_string()
            } else {
                format!("\"{from}..{to}\"")
            };
            let DayOverride { workday, name } = day;
            text.push_str(&format!("{key} = {{ name = {}, workday = {workday} }}\n", quoted(name)));
        }
        text
    }
}

/// Days that follow each other and say the same.
fn runs(days: &BTreeMap<Date, DayOverride>) -> Vec<(Date, Date, &DayOverride)> {
    let mut runs: Vec<(Date, Date, &DayOverride)> = Vec::new();
    for (day, what) in days {
        match runs.last_mut() {
            Some((_, to, last)) if *last == what && to.tomorrow().is_ok_and(|next| next == *day) => *to = *day,
            _ => runs.push((*day, *day, what)),
        }
    }
    runs
}

struct Reading<'a> {
    name: &'a str,
    text: &'a str,
    places: Places,
    heard: Vec<Problem>,
}

impl Reading<'_> {
    fn notice(&mut self, root: &Value) -> Option<Notice> {
        for (path, offset) in std::mem::take(&mut self.places.twice) {
            let problem = self.place(
                offset,
                &path,
                said!("这个键写了两次", "the key is given twice"),
                said!("请只写一次", "give it once"),
            );
            self.heard.push(problem);
        }
        if !root.is_object() {
            self.say(
                "",
                said!("这不是 JSON 对象", "it is no object"),
                said!(
                    "请写成 {{ \"year\": 2027, \"papers\": […], \"days\": […] }}",
                    "write {{ \"year\": 2027, \"papers\": […], \"days\": […] }}"
                ),
            );
            return None;
        }
        let year = self.year(&root["year"]);
        let papers = self.papers(&root["papers"]);
        let days = self.days(&root["days"], year);
        let (year, days) = (year?, days?);
        if self.heard.is_empty() {
            self.look_for_missing(year, &days);
        }
        let remarks = remarks(year, &days);
        Some(Notice {
            year,
            papers,
            days,
            remarks,
        })
    }

    fn year(&mut self, value: &Value) -> Option<i16> {
        let year = value.as_i64().and_then(|year| i16::try_from(year).ok());
        let year = year.filter(|year| (1950..=2200).contains(year));
        if year.is_none() {
            let what = match value {
                Value::Null => said!("缺少这一项", "it is missing"),
                other => is_none(other, ("年份", "year")),
            };
            self.say(
                "year",
                what,
                said!(
                    "请写通知的年份,用数字,如 2027",
                    "give the year of the notice as a number, such as 2027"
                ),
            );
        }
        year
    }

    fn papers(&mut self, value: &Value) -> Vec<String> {
        let fix = said!(
            "请写依据的通知,以便有人核对日期",
            "name the notices it comes from, so that somebody can compare the days"
        );
        let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
            self.say("papers", said!("没有写任何通知", "it names no notice"), fix);
            return Vec::new();
        };
        if list.len() > PAPERS_MAX {
            let what = said!("写了{}份通知", "it names {} notices", list.len());
            self.say(
                "papers",
                what,
                said!("可用: 最多{PAPERS_MAX}份", "allowed: up to {PAPERS_MAX}"),
            );
        }
        let mut papers = Vec::new();
        for (index, paper) in list.iter().take(PAPERS_MAX).enumerate() {
            let path = format!("papers[{index}]");
            match paper.as_str().map(|text| clean_line(text, PAPER_MAX)) {
                Some(Ok(text)) if !text.is_empty() => papers.push(text),
                Some(Err(problem)) => self.say(&path, problem.what(), problem.fix()),
                Some(Ok(_)) => self.say(&path, said!("它是空的", "it is empty"), fix.clone()),
                None => self.say(&path, is_none(paper, ("文字", "text")), fix.clone()),
            }
        }
        papers
    }

    fn days(&mut self, value: &Value, year: Option<i16>) -> Option<BTreeMap<Date, DayOverride>> {
        let fix = said!(
            "请写成 [{{ \"name\": \"元旦\", \"date\": \"2027-01-01\", \"isOffDay\": true }}, …]",
            "write [{{ \"name\": \"元旦\", \"date\": \"2027-01-01\", \"isOffDay\": true }}, …]"
        );
        let Some(list) = value.as_array() else {
            self.say("days", said!("没有日期列表", "there is no list of days"), fix);
            return None;
        };
        if list.is_empty() {
            let what = said!(
                "没有任何日期: 通知似乎尚未发布",
                "it names no day: the notice has not been published, it seems"
            );
            self.say(
                "days",
                what,
                said!("请待发布后重新下载", "fetch the file again when it has"),
            );
        }
        if list.len() > DAYS_MAX {
            let what = said!("写了{}天", "it names {} days", list.len());
            self.say(
                "days",
                what,
                said!(
                    "可用: 最多{DAYS_MAX}天;一份通知约35天",
                    "allowed: up to {DAYS_MAX}; a notice names about 35"
                ),
            );
            return None;
        }
        let mut days = BTreeMap::new();
        let mut first: BTreeMap<Date, usize> = BTreeMap::new();
        for (index, entry) in list.iter().enumerate() {
            let path = format!("days[{index}]");
            if !entry.is_object() {
                self.say(&path, is_none(entry, ("日期项", "day")), fix.clone());
                continue;
            }
            let date = self.date(&path, &entry["date"], year);
            let workday = self.workday(&path, &entry["isOffDay"], date);
            let name = self.day_name(&path, &entry["name"], date, workday);
            let Some(date) = date else { continue };
            if let Some(before) = first.get(&date) {
                let what = said!(
                    "{date} 写了两次;第一次在 days[{before}]",
                    "{date} is named twice; the first time in days[{before}]"
                );
                self.say(
                    &format!("{path}.date"),
                    what,
                    said!("每天只写一次", "name each day once"),
                );
                continue;
            }
            first.insert(date, index);
            if let (Some(workday), Some(name)) = (workday, name) {
                days.insert(date, DayOverride { workday, name });
            }
        }
        for (from, to, day) in runs(&days) {
            let length = from
                .until(to)
                .map_or(0, |span| usize::try_from(span.get_days()).unwrap_or(0))
                + 1;
            if length > HOLIDAY_MAX_DAYS {
                let what = said!(
                    "“{}”长达{length}天,{from} 至 {to}",
                    "\"{}\" is {length} days long, {from} to {to}",
                    day.name
                );
                let path = first
                    .get(&from)
                    .map_or_else(String::new, |index| format!("days[{index}].date"));
                self.say(
                    &path,
                    what,
                    said!(
                        "可用: 最多{HOLIDAY_MAX_DAYS}天;月份对吗?",
                        "allowed: up to {HOLIDAY_MAX_DAYS} days; is the month right?"
                    ),
                );
            }
        }
        Some(days)
    }

    /// A notice can change the December before, never another year.
    fn date(&mut self, path: &str, value: &Value, year: Option<i16>) -> Option<Date> {
        let path = format!("{path}.date");
        let text = value.as_str().unwrap_or_default();
        let date: Option<Date> = text.parse().ok().filter(|_| text.len() == 10);
        let Some(date) = date else {
            let what = match value {
                Value::Null => said!("缺少这一项", "it is missing"),
                other => is_none(other, ("日期", "date")),
            };
            self.say(
                &path,
                what,
                said!(
                    "请写存在的日期,如 \"2027-01-01\"",
                    "write an existing date such as \"2027-01-01\""
                ),
            );
            return None;
        };
        if let Some(year) = year
            && date.year() != year
            && (date.year(), date.month()) != (year - 1, 12)
        {
            let what = said!("{date} 不在{year}年", "{date} is not in {year}");
            self.say(
                &path,
                what,
                said!(
                    "请改正日期或 year;此外只能改前一年的12月",
                    "correct the date, or year; only the December before may be changed too"
                ),
            );
            return None;
        }
        Some(date)
    }

    fn workday(&mut self, path: &str, value: &Value, date: Option<Date>) -> Option<bool> {
        let path = format!("{path}.isOffDay");
        let Some(off) = value.as_bool() else {
            let what = match value {
                Value::Null => said!("缺少这一项", "it is missing"),
                other => {
                    let Said { zh, en } = shown(other);
                    said!("{zh}不是 true 或 false", "{en} is neither true nor false")
                }
            };
            self.say(
                &path,
                what,
                said!(
                    "放假写 true,调休上班写 false",
                    "true on days off (放假), false on make-up workdays (上班)"
                ),
            );
            return None;
        };
        if let Some(date) = date.filter(|date| !off && !is_weekend(*date)) {
            let Said { zh, en } = dated(date);
            let what = said!(
                "{zh}本来就上班: 调休上班日在周末",
                "{en} is worked anyway: a make-up day falls on a weekend"
            );
            self.say(
                &path,
                what,
                said!(
                    "请改正日期、改为 true,或删去这一天",
                    "correct the date, write true, or leave the day out"
                ),
            );
        }
        Some(!off)
    }

    fn day_name(&mut self, path: &str, value: &Value, date: Option<Date>, workday: Option<bool>) -> Option<String> {
        let path = format!("{path}.name");
        let fix = said!(
            "请写这一天叫什么,如“春节”",
            "write what the day is called, such as \"春节\""
        );
        match value.as_str().map(|text| clean_line(text, NAME_MAX)) {
            Some(Ok(name)) if !name.is_empty() => return Some(name),
            Some(Err(problem)) => self.say(&path, problem.what(), problem.fix()),
            None if !value.is_null() => self.say(&path, is_none(value, ("文字", "text")), fix),
            _ => match date.filter(|date| workday == Some(false) && is_weekend(*date)) {
                Some(date) => {
                    let Said { zh, en } = dated(date);
                    let what = said!("{zh}本来就休息,又没有名称", "{en} is off anyway, and has no name");
                    self.say(
                        &path,
                        what,
                        said!(
                            "请写它属于哪个假期,或删去这一天",
                            "give the holiday it belongs to, or leave the day out"
                        ),
                    );
                }
                None => self.say(&path, said!("这一天没有名称", "the day has no name"), fix),
            },
        }
        None
    }

    /// Days off that the law gives every year (全国年节及纪念日放假办法, 2007, 2013 and 2024): a list without one has lost it.
    fn look_for_missing(&mut self, year: i16, days: &BTreeMap<Date, DayOverride>) {
        if year < 2008 {
            return;
        }
        let is_off = |date: &Date| days.get(date).is_some_and(|day| !day.workday);
        let mut fixed = vec![
            (1, 1, "元旦"),
            (5, 1, "劳动节"),
            (10, 1, "国庆节"),
            (10, 2, "国庆节"),
            (10, 3, "国庆节"),
        ];
        if year >= 2025 {
            fixed.push((5, 2, "劳动节"));
        }
        for (month, day, name) in fixed {
            let missing = Date::new(year, month, day).ok().filter(|date| !is_off(date));
            if let Some(date) = missing {
                let what = said!(
                    "{date} 是法定假日({name}),却没有",
                    "{date} is a day off by law ({name}), and is missing"
                );
                self.say(
                    "days",
                    what,
                    said!("请加上,isOffDay: true", "add it with isOffDay: true"),
                );
            }
        }
        // By the moon or the sun: their days move inside these bounds.
        let spring_days = if year >= 2025 { 4 } else { 3 };
        for (name, at_least, from, to) in [
            ("春节", spring_days, (1, 19), (3, 1)),
            ("清明", 1, (4, 4), (4, 6)),
            ("端午", 1, (5, 25), (6, 28)),
            ("中秋", 1, (9, 6), (10, 10)),
        ] {
            let bound = |(month, day)| Date::new(year, month, day).unwrap_or(Date::MIN);
            let range = days.range(bound(from)..=bound(to));
            let found = range.filter(|(_, day)| !day.workday && day.name.contains(name)).count();
            if found < at_least {
                let (from, to) = (bound(from), bound(to));
                let what = said!(
                    "{name}放假应有{at_least}天或更多,{from} 到 {to} 之间只有{found}天",
                    "{found} of the {at_least} or more days off of {name} are there, between {from} and {to}"
                );
                self.say(
                    "days",
                    what,
                    said!(
                        "请加上缺少的日期,isOffDay: true",
                        "add the missing days with isOffDay: true"
                    ),
                );
            }
        }
    }

    fn say(&mut self, path: &str, what: Said, fix: Said) {
        let mut above = path;
        let offset = loop {
            match (self.places.offsets.get(above), above.rfind(['.', '['])) {
                (Some(offset), _) => break *offset,
                (None, Some(at)) => above = &above[..at],
                (None, None) => break self.places.offsets.get("").copied().unwrap_or(0),
            }
        };
        let problem = self.place(offset, path, what, fix);
        self.heard.push(problem);
    }

    fn place(&self, offset: usize, path: &str, what: Said, fix: Said) -> Problem {
        let (line, col) = line_and_column(self.text, offset);
        Problem {
            line,
            col,
            key: path.to_owned(),
            ..Problem::of_file(self.name, what, fix)
        }
    }
}

fn remarks(year: i16, days: &BTreeMap<Date, DayOverride>) -> Vec<Said> {
    let mut said = Vec::new();
    let before: Vec<String> = days
        .keys()
        .filter(|day| day.year() < year)
        .map(ToString::to_string)
        .collect();
    if !before.is_empty() {
        let list = before.join(", ");
        said.push(Said::new(
            format!("这份通知也改了前一年12月: {list}"),
            format!("the notice changes the December before too: {list}"),
        ));
    }
    let on_weekdays = days
        .iter()
        .filter(|(day, what)| !what.workday && !is_weekend(**day))
        .count();
    let makeup = days.values().filter(|what| what.workday).count();
    let by_law = match year {
        2025.. => 13,
        2008.. => 11,
        _ => return said,
    };
    let given = i64::try_from(on_weekdays).unwrap_or(0) - i64::try_from(makeup).unwrap_or(0);
    if given != by_law {
        said.push(Said::new(
            format!("放假的周一至周五比调休上班多{given}天,法定应为{by_law}天: 是否漏了或多了一天?"),
            format!(
                "weekdays off exceed make-up workdays by {}; by law it is {by_law}: is a day missing, or one too many?",
                counted(given, "day")
            ),
        ));
    }
    said
}

fn is_weekend(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// A value that is not what it should be.
fn is_none(value: &Value, (of_zh, of_en): (&str, &str)) -> Said {
    let Said { zh, en } = shown(value);
    said!("{zh}不是{of_zh}", "{en} is no {of_en}")
}

/// A value as it may be repeated in a message.
fn shown(value: &Value) -> Said {
    match value {
        Value::Array(_) => said!("列表", "a list"),
        Value::Object(_) => said!("对象", "an object"),
        Value::String(text) => {
            let text = crate::domain::text::shown(text);
            said!("“{text}”", "\"{text}\"")
        }
        other => said!("{other} ", "{other}"),
    }
}
