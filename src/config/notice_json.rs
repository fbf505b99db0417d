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
use crate::domain::text::{Said, clean_line, counted, weekday_words};

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
            let missing = file_problem(&name, "there is no such file", "name a JSON file of holidays");
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
                ..file_problem(
                    name,
                    &format!("it is no JSON: {what}"),
                    "see the shape in xixin calendar --help",
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
            "# {year}年放假与调休安排 / Public holidays and make-up workdays of {year}.\n\
             # 由 xixin calendar import 写入;只写与“周一至周五上班”不同的日子,或有名称的日子\n\
             # / Written by xixin calendar import. Only days that differ from Monday-to-Friday, or have a name.\n\n\
             # 本文件负责的日期,含首尾;此外的日期按推算并标“暂定”;没有通知时删去此行\n\
             # / The days this file settles, both included; days outside are computed and marked provisional. Leave it out without a notice.\n\
             covers = \"{year}-01-01..{year}-12-31\"\n\
             # 依据,经人核对 / Where it comes from, compared by a person.\n\
             source = {}\n\n\
             # 日期,或“起..止” / A day, or from..to.\n\
             [days]\n\
             # name: 名称 / what the day is called;workday: 是否上班(调休上班为 true) / whether people work (true on make-up days)\n",
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
            let problem = self.place(offset, &path, "the key is given twice", "give it once");
            self.heard.push(problem);
        }
        if !root.is_object() {
            self.say(
                "",
                "it is no object",
                "write { \"year\": 2027, \"papers\": […], \"days\": […] }",
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
                Value::Null => "it is missing".to_owned(),
                other => format!("{} is no year", shown(other)),
            };
            self.say("year", &what, "give the year of the notice as a number, such as 2027");
        }
        year
    }

    fn papers(&mut self, value: &Value) -> Vec<String> {
        let fix = "name the notices it comes from, so that somebody can compare the days";
        let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
            self.say("papers", "it names no notice", fix);
            return Vec::new();
        };
        if list.len() > PAPERS_MAX {
            let what = format!("it names {} notices", list.len());
            self.say("papers", &what, &format!("allowed: up to {PAPERS_MAX}"));
        }
        let mut papers = Vec::new();
        for (index, paper) in list.iter().take(PAPERS_MAX).enumerate() {
            let path = format!("papers[{index}]");
            match paper.as_str().map(|text| clean_line(text, PAPER_MAX)) {
                Some(Ok(text)) if !text.is_empty() => papers.push(text),
                Some(Err(problem)) => self.say(&path, &problem.what().en, &problem.fix().en),
                Some(Ok(_)) => self.say(&path, "it is empty", fix),
                None => self.say(&path, &format!("{} is no text", shown(paper)), fix),
            }
        }
        papers
    }

    fn days(&mut self, value: &Value, year: Option<i16>) -> Option<BTreeMap<Date, DayOverride>> {
        let fix = "write [{ \"name\": \"元旦\", \"date\": \"2027-01-01\", \"isOffDay\": true }, …]";
        let Some(list) = value.as_array() else {
            self.say("days", "there is no list of days", fix);
            return None;
        };
        if list.is_empty() {
            let what = "it names no day: the notice has not been published, it seems";
            self.say("days", what, "fetch the file again when it has");
        }
        if list.len() > DAYS_MAX {
            let what = format!("it names {} days", list.len());
            self.say(
                "days",
                &what,
                &format!("allowed: up to {DAYS_MAX}; a notice names about 35"),
            );
            return None;
        }
        let mut days = BTreeMap::new();
        let mut first: BTreeMap<Date, usize> = BTreeMap::new();
        for (index, entry) in list.iter().enumerate() {
            let path = format!("days[{index}]");
            if !entry.is_object() {
                self.say(&path, &format!("{} is no day", shown(entry)), fix);
                continue;
            }
            let date = self.date(&path, &entry["date"], year);
            let workday = self.workday(&path, &entry["isOffDay"], date);
            let name = self.day_name(&path, &entry["name"], date, workday);
            let Some(date) = date else { continue };
            if let Some(before) = first.get(&date) {
                let what = format!("{date} is named twice; the first time in days[{before}]");
                self.say(&format!("{path}.date"), &what, "name each day once");
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
                let what = format!("\"{}\" is {length} days long, {from} to {to}", day.name);
                let path = first
                    .get(&from)
                    .map_or_else(String::new, |index| format!("days[{index}].date"));
                self.say(
                    &path,
                    &what,
                    &format!("allowed: up to {HOLIDAY_MAX_DAYS} days; is the month right?"),
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
                Value::Null => "it is missing".to_owned(),
                other => format!("{} is no date", shown(other)),
            };
            self.say(&path, &what, "write an existing date such as \"2027-01-01\"");
            return None;
        };
        if let Some(year) = year
            && date.year() != year
            && (date.year(), date.month()) != (year - 1, 12)
        {
            let what = format!("{date} is not in {year}");
            self.say(
                &path,
                &what,
                "correct the date, or year; only the December before may be changed too",
            );
            return None;
        }
        Some(date)
    }

    fn workday(&mut self, path: &str, value: &Value, date: Option<Date>) -> Option<bool> {
        let path = format!("{path}.isOffDay");
        let Some(off) = value.as_bool() else {
            let what = match value {
                Value::Null => "it is missing".to_owned(),
                other => format!("{} is neither true nor false", shown(other)),
            };
            self.say(
                &path,
                &what,
                "true on days off (放假), false on make-up workdays (上班)",
            );
            return None;
        };
        if let Some(date) = date.filter(|date| !off && !is_weekend(*date)) {
            let what = format!(
                "{} is worked anyway: a make-up day falls on a weekend",
                with_weekday(date)
            );
            self.say(&path, &what, "correct the date, write true, or leave the day out");
        }
        Some(!off)
    }

    fn day_name(&mut self, path: &str, value: &Value, date: Option<Date>, workday: Option<bool>) -> Option<String> {
        let path = format!("{path}.name");
        let fix = "write what the day is called, such as \"春节\"";
        match value.as_str().map(|text| clean_line(text, NAME_MAX)) {
            Some(Ok(name)) if !name.is_empty() => return Some(name),
            Some(Err(problem)) => self.say(&path, &problem.what().en, &problem.fix().en),
            None if !value.is_null() => self.say(&path, &format!("{} is no text", shown(value)), fix),
            _ => match date.filter(|date| workday == Some(false) && is_weekend(*date)) {
                Some(date) => {
                    let what = format!("{} is off anyway, and has no name", with_weekday(date));
                    self.say(&path, &what, "give the holiday it belongs to, or leave the day out");
                }
                None => self.say(&path, "the day has no name", fix),
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
                let what = format!("{date} is a day off by law ({name}), and is missing");
                self.say("days", &what, "add it with isOffDay: true");
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
                let what = format!(
                    "{found} of the {at_least} or more days off of {name} are there, between {} and {}",
                    bound(from),
                    bound(to)
                );
                self.say("days", &what, "add the missing days with isOffDay: true");
            }
        }
    }

    fn say(&mut self, path: &str, what: &str, fix: &str) {
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

    fn place(&self, offset: usize, path: &str, what: &str, fix: &str) -> Problem {
        let (line, col) = line_and_column(self.text, offset);
        Problem {
            line,
            col,
            key: path.to_owned(),
            ..file_problem(self.name, what, fix)
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

fn file_problem(name: &str, what: &str, fix: &str) -> Problem {
    Problem {
        file: name.to_owned(),
        line: 1,
        col: 1,
        key: String::new(),
        what: what.to_owned(),
        allowed: fix.to_owned(),
    }
}

fn is_weekend(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

fn with_weekday(day: Date) -> String {
    let (zh, en) = weekday_words(day.weekday());
    format!("{day} ({zh} / {en})")
}

/// A value as it may be repeated in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("\"{}\"", crate::domain::text::shown(text)),
        other => other.to_string(),
    }
}
