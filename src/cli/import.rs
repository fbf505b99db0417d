//! `xixin import`: shows what a file would come to; with `--commit` takes it over, all or nothing.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::json;

use crate::app::{App, Place, poke};
use crate::cli::case::{Actor, local};
use crate::cli::{ReadArgs, say};
use crate::clock::SystemClock;
use crate::domain::calendar::Certainty;
use crate::domain::case::{Due, Item};
use crate::domain::command::Change;
use crate::domain::ids::{CaseId, StaffId};
use crate::domain::plan::milestones::Dated;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, day_words, mask_name, mask_phone};
use crate::engine::alike::{self, Likeness};
use crate::engine::desk::Desk;
use crate::import::{self, Assignment, Found, Limits, Order};

/// Rows that are shown; all are counted, and all stand in the JSON.
const SHOWN_MAX: usize = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A CSV or XLSX file / CSV 或 XLSX 文件
    file: PathBuf,
    /// Names a column by hand: a header or letters, e.g. resident.phone=联系电话 or matter=B / 指定列
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    assigned: Vec<Assignment>,
    /// The sheet of a workbook, by number (from 1) or name / 工作表
    #[arg(long, value_name = "SHEET")]
    sheet: Option<String>,
    /// Takes the cases over; without it nothing is written / 正式写入
    #[arg(long)]
    commit: bool,
    /// What to do with rows whose request seems to be open already / 疑似重复的行
    #[arg(long, value_enum, default_value_t = Repeats::Refuse)]
    repeats: Repeats,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    read: ReadArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Repeats {
    /// Writes nothing while there are any / 有重复就不写入
    Refuse,
    /// Leaves them out / 跳过
    Skip,
    /// Takes them over as well / 照样写入
    Allow,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::open(place.clone(), Arc::new(SystemClock)).await?;
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let now = args.read.now();
    let desk = Desk::new(&app.engine.store, book, &StaffId::from(args.actor.actor.as_str()))?;
    let order = Order {
        path: args.file.clone(),
        sheet: args.sheet.clone(),
        assigned: args.assigned.clone(),
        limits: Limits::default(),
    };
    let reading = Arc::clone(&rules);
    // The readers of foreign formats may stop on a file made to harm them; that ends the reading, not the program.
    let found = tokio::task::spawn_blocking(move || import::read(&order, &reading.rulebook, now))
        .await
        .context("文件已损坏,无法解析。请在 Excel 中打开后另存。 / the file is damaged and cannot be read; open it in Excel and save it again")??;
    let mut table = rehearse(found, &desk, book, now);
    table.look_for_repeats(&app).await?;

    let written = if args.commit && table.may_commit(args.repeats) {
        Some(table.commit(&desk, args.repeats, now).await?)
    } else {
        None
    };
    if written.is_some() {
        poke(&rules.settings, None).await;
    }
    if args.read.json {
        say(&table.json(&args, written.as_deref()).to_string());
    } else {
        say(&table.text(&args, written.as_deref(), book, now));
    }
    Ok(u8::from(!table.may_commit(args.repeats)))
}

/// A table as it would be taken over.
struct Table {
    found: Found,
    rows: Vec<Row>,
}

/// A case that would be opened, without what a person on the other side of the counter should not read.
#[derive(Debug, Serialize)]
struct Row {
    row: u32,
    resident: String,
    phone: Option<String>,
    matter: String,
    unit: String,
    owner: String,
    deadlines: Vec<Deadline>,
    callbacks: Vec<String>,
    appointments: Vec<String>,
    #[serde(skip)]
    index: usize,
    #[serde(skip)]
    likeness: Option<Likeness>,
    repeats: Option<Repeat>,
}

#[derive(Debug, Serialize)]
struct Deadline {
    kind: String,
    name: String,
    trigger: String,
    last_safe_day: Option<Date>,
    legal_end: Option<Date>,
    past: bool,
    provisional: bool,
    /// What can still be done when it is past.
    alternative: Option<Said>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Repeat {
    /// An open case.
    Case(CaseId),
    /// An earlier row of the file.
    Row(u32),
}

fn rehearse(mut found: Found, desk: &Desk<'_>, book: &Rulebook, now: Timestamp) -> Table {
    let today = book.zone.to_datetime(now).date();
    let mut rows = Vec::with_capacity(found.taken.len());
    for index in 0..found.taken.len() {
        let one = std::slice::from_ref(&found.taken[index].case);
        match desk.rehearse(one, now).pop() {
            Some(Ok(change)) => rows.push(Row::new(index, found.taken[index].row, &change, book, today)),
            Some(Err(refusal)) => found.refused(index, &refusal),
            None => {}
        }
    }
    Table { found, rows }
}

impl Row {
    fn new(index: usize, row: u32, change: &Change, book: &Rulebook, today: Date) -> Self {
        let case = &change.case;
        let resident = change.people.iter().find(|person| person.relative.is_none());
        let due = |due: &Due| match due {
            Due::Day(day) => day.to_string(),
            Due::At(at) => local(*at, &book.zone),
        };
        Self {
            row,
            resident: resident.map_or_else(String::new, |person| mask_name(&person.name)),
            phone: resident.and_then(|person| person.phone.as_deref()).map(mask_phone),
            matter: book
                .matters
                .get(&case.matter)
                .map_or_else(String::new, |matter| matter.name.to_string()),
            unit: case.unit.to_string(),
            owner: case.owner.to_string(),
            deadlines: case.items().filter_map(|item| deadline(book, item, today)).collect(),
            callbacks: case.callbacks.iter().map(|callback| due(&callback.due)).collect(),
            appointments: case
                .appointments
                .iter()
                .map(|visit| local(visit.start, &book.zone))
                .collect(),
            index,
            likeness: Likeness::of(change),
            repeats: None,
        }
    }
}

fn more(text: &mut String, rows: usize) {
    if rows > SHOWN_MAX {
        let rest = rows - SHOWN_MAX;
        let _ = writeln!(text, "…还有 {rest} 行 / and {rest} more rows");
    }
}

impl Row {
    fn text(&self, today: Date) -> String {
        let Self {
            row,
            resident,
            matter,
            unit,
            owner,
            ..
        } = self;
        let phone = self.phone.as_deref().unwrap_or("-");
        let mut text = format!("{row:>6}  {resident} {phone}  {matter}  {unit}, {owner}\n");
        match &self.repeats {
            Some(Repeat::Case(case)) => {
                let _ = writeln!(
                    text,
                    "        ! 疑似重复: {case} 未办结 / probably a repeat of the open case {case}"
                );
            }
            Some(Repeat::Row(row)) => {
                let _ = writeln!(
                    text,
                    "        ! 疑似重复: 与第{row}行相同 / probably a repeat of row {row}"
                );
            }
            None => {}
        }
        for deadline in &self.deadlines {
            let _ = writeln!(text, "        {}", deadline.text(today));
        }
        for due in &self.callbacks {
            let _ = writeln!(text, "        承诺回电 / promised call-back: {due}");
        }
        for start in &self.appointments {
            let _ = writeln!(text, "        预约 / appointment: {start}");
        }
        text
    }
}

impl Deadline {
    fn text(&self, today: Date) -> String {
        let name = &self.name;
        let Some(day) = self.last_safe_day else {
            return format!("{name}: 起算日不明,需核实 / without a trigger date: it has to be found");
        };
        let (year, words) = (day.year(), day_words(day));
        let left = today.until(day).map_or(0, |left| left.get_days());
        let state = if self.past {
            let other = self.alternative.as_ref();
            other.map_or_else(
                || Said::new("已过", "past"),
                |other| {
                    Said::new(
                        format!("已过,可改走: {}", other.zh),
                        format!("past; instead: {}", other.en),
                    )
                },
            )
        } else {
            Said::new(format!("还有{left}天"), format!("{left} days left"))
        };
        let mark = if self.provisional {
            Said::new(",暂定", ", provisional")
        } else {
            Said::default()
        };
        format!(
            "{name}: 最晚可办日 {year}年{},{}{} / last safe day {} {year}, {}{}",
            words.zh, state.zh, mark.zh, words.en, state.en, mark.en
        )
    }
}

fn deadline(book: &Rulebook, item: Item<'_>, today: Date) -> Option<Deadline> {
    let Item::Deadline(deadline) = item else { return None };
    let dated = Dated::new(book, item);
    let kind = dated.kind;
    let past = dated.counted.is_some_and(|counted| counted.last_safe_day < today);
    Some(Deadline {
        kind: deadline.kind.to_string(),
        name: kind.map_or_else(String::new, |kind| kind.name.to_string()),
        trigger: deadline.trigger.to_string(),
        last_safe_day: dated.counted.map(|counted| counted.last_safe_day),
        legal_end: dated.counted.map(|counted| counted.legal_end),
        past,
        provisional: dated
            .counted
            .is_some_and(|counted| counted.certainty == Certainty::Provisional),
        alternative: kind
            .and_then(|kind| kind.alternative.as_ref())
            .filter(|_| past)
            .cloned(),
    })
}

impl Table {
    async fn look_for_repeats(&mut self, app: &App) -> anyhow::Result<()> {
        let mut first: HashMap<&Likeness, u32> = HashMap::new();
        let mut within = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            let Some(likeness) = &row.likeness else { continue };
            match first.get(likeness) {
                Some(earlier) => within.push((at, *earlier)),
                None => drop(first.insert(likeness, row.row)),
            }
        }
        for (at, earlier) in within {
            self.rows[at].repeats = Some(Repeat::Row(earlier));
        }
        let looked_at = self.rows.iter().enumerate();
        let (at, likenesses): (Vec<usize>, Vec<Likeness>) = looked_at
            .filter_map(|(at, row)| Some((at, row.likeness.clone()?)))
            .unzip();
        for (index, case) in alike::already_open(&app.engine.store, &likenesses).await? {
            self.rows[at[index]].repeats = Some(Repeat::Case(case));
        }
        Ok(())
    }

    fn repeats(&self) -> usize {
        self.rows.iter().filter(|row| row.repeats.is_some()).count()
    }

    fn may_commit(&self, repeats: Repeats) -> bool {
        self.found.problems.count() == 0 && (repeats != Repeats::Refuse || self.repeats() == 0)
    }

    fn json(&self, args: &Args, written: Option<&[CaseId]>) -> serde_json::Value {
        json!({
            "file": args.file.display().to_string(),
            "sheet": self.found.sheet,
            "notes": self.found.notes,
            "columns": self.found.columns(),
            "rows": self.rows,
            "problems": self.found.problems.kept(),
            "problem_count": self.found.problems.count(),
            "repeat_count": self.repeats(),
            "committed": written.is_some(),
            "cases": written,
        })
    }

    fn text(&self, args: &Args, written: Option<&[CaseId]>, book: &Rulebook, now: Timestamp) -> String {
        let today = book.zone.to_datetime(now).date();
        let mut text = args.file.display().to_string();
        if let Some(sheet) = &self.found.sheet {
            let _ = write!(text, " [{sheet}]");
        }
        for note in &self.found.notes {
            let _ = write!(text, "\n  · {note}");
        }
        let _ = write!(
            text,
            "\n  · 读取的列 / columns taken: {}",
            self.found.columns().join("; ")
        );
        text.push('\n');
        for row in self.rows.iter().take(SHOWN_MAX) {
            text.push_str(&row.text(today));
        }
        more(&mut text, self.rows.len());
        let problems = &self.found.problems;
        if problems.count() > 0 {
            text.push_str("\n需要改正 / to be mended\n");
        }
        for problem in problems.kept() {
            let _ = writeln!(text, "  {problem}");
        }
        if problems.count() > problems.kept().len() {
            let rest = problems.count() - problems.kept().len();
            let _ = writeln!(text, "  …还有 {rest} 处 / and {rest} more");
        }
        let _ = write!(text, "\n{}", self.sum(problems.count()));
        let _ = write!(text, "\n{}", self.verdict(args, written));
        text
    }

    fn sum(&self, problems: usize) -> String {
        let deadlines = || self.rows.iter().flat_map(|row| &row.deadlines);
        let (all, past) = (
            deadlines().count(),
            deadlines().filter(|deadline| deadline.past).count(),
        );
        let unknown = deadlines().filter(|deadline| deadline.last_safe_day.is_none()).count();
        let (rows, repeats) = (self.rows.len(), self.repeats());
        format!(
            "可立案 {rows} 行,问题 {problems} 处,疑似重复 {repeats} 行;期限 {all} 个: 已过 {past},起算日不明 {unknown}\n\
             {rows} rows can be taken over, {problems} problems, {repeats} probable repeats; {all} deadlines: {past} past, {unknown} without a date"
        )
    }

    fn verdict(&self, args: &Args, written: Option<&[CaseId]>) -> String {
        if let Some(cases) = written {
            let range = match cases {
                [] => String::new(),
                [only] => format!(": {only}"),
                [first, .., last] => format!(": {first} – {last}"),
            };
            let n = cases.len();
            return format!(
                "已写入 {n} 个案件{range};已过的提醒不补发\n{n} cases were taken over{range}; nothing is sent for the past"
            );
        }
        if self.found.problems.count() > 0 {
            return "没有写入: 先改正以上问题,再重新导入\nnothing was written: mend the problems above, then import again".to_owned();
        }
        if !self.may_commit(args.repeats) {
            return "没有写入: 有疑似重复的行。用 --repeats skip 跳过它们,或用 --repeats allow 照样写入\n\
                    nothing was written: there are probable repeats; leave them out with --repeats skip, or take them over with --repeats allow"
                .to_owned();
        }
        "这是预览,没有写入。核对后加 --commit 写入\nthis is a preview, nothing was written; when it is right, add --commit".to_owned()
    }

    async fn commit(&mut self, desk: &Desk<'_>, repeats: Repeats, now: Timestamp) -> anyhow::Result<Vec<CaseId>> {
        let wanted: Vec<&Row> = self
            .rows
            .iter()
            .filter(|row| repeats == Repeats::Allow || row.repeats.is_none())
            .collect();
        let unless: Vec<Likeness> = match repeats {
            Repeats::Allow => Vec::new(),
            _ => wanted.iter().filter_map(|row| row.likeness.clone()).collect(),
        };
        let new = wanted
            .iter()
            .map(|row| self.found.taken[row.index].case.clone())
            .collect();
        Ok(desk.import(new, &unless, now).await?)
    }
}
