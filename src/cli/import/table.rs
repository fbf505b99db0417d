//! A table on its way in: what it comes to, what in it is open already, and its commit.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::json;

use crate::app::App;
use crate::cli::import::caused::{self, Caused};
use crate::cli::import::rows::{Repeat, Row};
use crate::cli::import::{Args, Repeats};
use crate::domain::ids::CaseId;
use crate::domain::rulebook::Rulebook;
use crate::engine::alike::{self, Likeness};
use crate::engine::desk::Desk;
use crate::import::Found;

/// Rows that are shown; all are counted, and all stand in the JSON.
const SHOWN_MAX: usize = 200;

/// A table as it would be taken over.
pub(super) struct Table {
    found: Found,
    rows: Vec<Row>,
}

impl Table {
    /// Opens every case in thought. What the rules refuse becomes a problem at its cell.
    pub(super) fn rehearse(mut found: Found, desk: &Desk<'_>, book: &Rulebook, now: Timestamp) -> Self {
        let mut rows = Vec::with_capacity(found.taken.len());
        for index in 0..found.taken.len() {
            let one = std::slice::from_ref(&found.taken[index].case);
            match desk.rehearse(one, now).pop() {
                Some(Ok(change)) => rows.push(Row::new(index, found.taken[index].row, &change, book, now)),
                Some(Err(refusal)) => found.refused(index, &refusal),
                None => {}
            }
        }
        Self { found, rows }
    }

    pub(super) async fn look_for_repeats(&mut self, app: &App) -> anyhow::Result<()> {
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

    /// The rows that are taken over.
    fn wanted(&self, repeats: Repeats) -> impl Iterator<Item = &Row> {
        let wanted = move |row: &&Row| repeats == Repeats::Allow || row.repeats.is_none();
        self.rows.iter().filter(wanted)
    }

    fn caused(&self, repeats: Repeats) -> Caused {
        Caused::all(self.wanted(repeats).map(|row| &row.caused))
    }

    pub(super) fn may_commit(&self, repeats: Repeats) -> bool {
        self.found.problems.count() == 0 && (repeats != Repeats::Refuse || self.repeats() == 0)
    }

    pub(super) fn json(&self, args: &Args, written: Option<&[CaseId]>) -> serde_json::Value {
        json!({
            "file": args.file.display().to_string(),
            "sheet": self.found.sheet,
            "notes": self.found.notes,
            "columns": self.found.columns(),
            "rows": self.rows,
            "problems": self.found.problems.kept(),
            "problem_count": self.found.problems.count(),
            "repeat_count": self.repeats(),
            "caused": self.caused(args.repeats),
            "committed": written.is_some(),
            "cases": written,
        })
    }

    pub(super) fn text(&self, args: &Args, written: Option<&[CaseId]>, book: &Rulebook, now: Timestamp) -> String {
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
        let _ = write!(text, "\n{}", self.caused(args.repeats).text(caused::until(book, now).1));
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

    pub(super) async fn commit(
        &mut self,
        desk: &Desk<'_>,
        repeats: Repeats,
        now: Timestamp,
    ) -> anyhow::Result<Vec<CaseId>> {
        let wanted: Vec<&Row> = self.wanted(repeats).collect();
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

fn more(text: &mut String, rows: usize) {
    if rows > SHOWN_MAX {
        let rest = rows - SHOWN_MAX;
        let _ = writeln!(text, "…还有 {rest} 行 / and {rest} more rows");
    }
}
