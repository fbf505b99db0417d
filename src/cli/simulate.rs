//! `xixin simulate`: everything that would happen over the next days, in the order of time, and what it adds up to. Live data, nothing is
//! written. Lines come while the virtual clock runs: neither the cases nor the lines are held in memory.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

use jiff::civil::{Date, Time};
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use crate::app::{App, Place};
use crate::cli::case::local;
use crate::cli::{EXIT_USAGE, ReadArgs, ahead, complain};
use crate::domain::calendar::{FIRST_DAY, LAST_DAY};
use crate::domain::house::View;
use crate::domain::ladder::Way;
use crate::domain::milestone::instant;
use crate::domain::reminder::MarkText;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;
use crate::engine::desk::DeskError;
use crate::engine::simulate::{Day, End, Happening, Tally, Told, Wanted, simulate};
use crate::engine::status::zone_text;
use crate::store::instant_of;

/// Ten years: further ahead the calendar is guesswork.
const DAYS_MAX: i32 = 3_653;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// So many local days, the first included / 天数
    #[arg(long, value_name = "N", default_value_t = 60)]
    days: i32,
    /// Tells from this local day on; today, unless given. The clock starts now all the same / 从哪天起显示
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Cases of this unit and the units below it only / 只看某单位
    #[arg(long, conflicts_with_all = ["case"])]
    unit: Option<String>,
    /// What reaches this member of staff only / 只看发给某人的
    #[arg(long)]
    staff: Option<String>,
    /// One case only / 只看一个案件
    #[arg(long)]
    case: Option<String>,
    /// The totals only / 只看合计
    #[arg(long)]
    summary: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, args.read.clock()).await?;
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let now = app.engine.clock.now();
    let Some(span) = span(&args, book, now) else {
        return Ok(EXIT_USAGE);
    };
    if let Some(code) = ahead::unknown_name(book, args.unit.as_deref(), args.staff.as_deref()) {
        return Ok(code);
    }
    let wanted = Wanted {
        unit: args.unit.as_deref().map(Into::into),
        staff: args.staff.as_deref().map(Into::into),
        case: args.case.as_deref().map(Into::into),
    };
    if let Some(case) = &wanted.case
        && app.engine.store.case(case).await?.is_none()
    {
        return Err(DeskError::NoCase(case.clone()).into());
    }
    let paused: Vec<Said> = [Way::Email, Way::Sms]
        .into_iter()
        .filter_map(|way| {
            let said = app.engine.gate.closed(way)?;
            Some(Said::new(way.name(), way.name()).and(&said))
        })
        .collect();
    let mut page = Page {
        out: BufWriter::new(io::stdout().lock()),
        book,
        json: args.read.json,
        lines: !args.summary,
        told: 0,
        closed: false,
    };
    app.saw(View::Outlook, &wanted.case.iter().collect::<Vec<_>>()).await?;
    page.begin(span, &paused);
    let tally = simulate(&app.engine, &wanted, span, &mut |told| page.tell(told)).await?;
    page.end(&tally);
    Ok(0)
}

/// From the first instant that is told to the midnight after the last day; complains when it is not possible.
fn span(args: &Args, book: &Rulebook, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let today = book.zone.to_datetime(now).date();
    let from = args.from.unwrap_or(today);
    if from < today {
        complain(&format!(
            "--from {from} 已经过去;过去的记录请用 why 查询 / --from {from} has passed; `why` tells what has happened"
        ));
        return None;
    }
    let end = from.checked_add(Span::new().days(args.days.clamp(0, DAYS_MAX))).ok();
    let reaches = end.filter(|end| from >= FIRST_DAY && *end <= LAST_DAY);
    let Some(end) = reaches.filter(|_| (1..=DAYS_MAX).contains(&args.days)) else {
        complain(&format!(
            "--days {} 不行: 1 至 {DAYS_MAX} 天,且不超出日历({LAST_DAY}) / --days {} is not possible: 1 to {DAYS_MAX} days that do not leave the calendar ({LAST_DAY})",
            args.days, args.days
        ));
        return None;
    };
    let midnight = |day| instant(day, Time::midnight(), &book.zone);
    Some((midnight(from).max(now), midnight(end)))
}

/// What is printed, as it comes.
struct Page<'a> {
    out: BufWriter<io::StdoutLock<'static>>,
    book: &'a Rulebook,
    json: bool,
    lines: bool,
    told: u64,
    /// Whoever read it has gone.
    closed: bool,
}

impl Page<'_> {
    fn put(&mut self, text: &str) {
        self.closed |= self.out.write_all(text.as_bytes()).is_err();
    }

    fn begin(&mut self, (from, to): (Timestamp, Timestamp), paused: &[Said]) {
        let zone = &self.book.zone;
        if self.json {
            let head = json!({ "from": zone_text(from, zone), "to": zone_text(to, zone), "paused": paused });
            let head = head.to_string();
            // The document is written as it comes, so its end is still open.
            self.put(head.trim_end_matches('}'));
            self.put(",\"timeline\":[");
        } else {
            for said in paused {
                self.put(&format!(
                    "! 现已暂停,模拟时按已恢复计算 / paused now; it is simulated as if it were resumed: {said}\n"
                ));
            }
        }
    }

    fn tell(&mut self, told: &Told) -> ControlFlow<()> {
        if self.lines {
            let line = match (told, self.json) {
                (Told::Digests { at, readers }, false) => {
                    format!(
                        "{}  每日待办 / daily digest → {readers} 人 / readers\n",
                        local(*at, &self.book.zone)
                    )
                }
                (Told::Digests { at, readers }, true) => {
                    json!({ "at": zone_text(*at, &self.book.zone), "digests": readers }).to_string()
                }
                (Told::Reminder(happening), false) => line(self.book, happening),
                (Told::Reminder(happening), true) => line_json(self.book, happening).to_string(),
            };
            if self.json {
                self.put(if self.told == 0 { "\n" } else { ",\n" });
            }
            self.put(&line);
            self.told += 1;
        }
        if self.closed {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn end(&mut self, tally: &Tally) {
        if self.json {
            self.put(&format!("\n],\"totals\":{}}}\n", totals_json(tally)));
        } else {
            let text = totals(tally);
            self.put(&text);
        }
        // Whoever read it may have gone.
        let _ = self.out.flush();
    }
}

/// `(ladder, rung)` of a row.
fn rung(happening: &Happening) -> (String, String, String) {
    let mark = MarkText::parse(&happening.row.mark);
    mark.map(|mark| (mark.item.to_string(), mark.ladder.to_string(), mark.rung.to_string()))
        .unwrap_or_default()
}

fn line(book: &Rulebook, happening: &Happening) -> String {
    let Happening { at, end, who, row } = happening;
    let (item, ladder, rung) = rung(happening);
    let way = if row.way == "none" { "—" } else { row.way };
    format!(
        "{}  {} {item}  {ladder}/{rung}  {} {way} → {who}  [{}]\n      {}\n",
        local(*at, &book.zone),
        row.case_id,
        end.name(),
        row.text,
        Said::new(row.reason_zh.as_str(), row.reason_en.as_str()),
    )
}

fn line_json(book: &Rulebook, happening: &Happening) -> Value {
    let Happening { at, end, who, row } = happening;
    let zone = &book.zone;
    let mark = MarkText::parse(&row.mark);
    let (item, ladder, rung) = rung(happening);
    json!({
        "at": zone_text(*at, zone),
        "case": row.case_id,
        "item": item,
        "ladder": ladder,
        "rung": rung,
        "occurrence": mark.as_ref().map(|mark| mark.occurrence.to_string()),
        "audience": mark.map(|mark| mark.audience),
        "recipient": row.recipient,
        "who": who,
        "way": Way::parse(row.way),
        "end": end,
        "text": row.text,
        "due": zone_text(happening.due(), zone),
        "decided": zone_text(instant_of(row.decided_ms), zone),
        "assignee": row.assignee,
        "reason": Said::new(row.reason_zh.as_str(), row.reason_en.as_str()),
    })
}

fn totals(tally: &Tally) -> String {
    let mut lines = vec![format!("合计 / totals: {} 个在办案件 / open cases", tally.cases)];
    lines.push("按今后无人办理、渠道全部正常计算 / as if nobody acted and every provider took everything".to_owned());
    if tally.unreadable > 0 {
        lines.push(format!(
            "! {} 个案件无法读取,未计入 / cases cannot be read and are left out",
            tally.unreadable
        ));
    }
    lines.push("每日 / per day (邮件 email · 短信 SMS · 电话 calls · 不发 not sent · 待办 digests):".to_owned());
    for (date, day) in tally.days.iter().filter(|(_, day)| **day != Day::default()) {
        let Day {
            email,
            sms,
            calls,
            not_sent,
            digests,
        } = day;
        lines.push(format!(
            "  {date}  {email:>6} {sms:>6} {calls:>6} {not_sent:>6} {digests:>6}"
        ));
    }
    lines.push("渠道 / per way:".to_owned());
    lines.extend(tally.ways.iter().map(|(way, n)| format!("  {n:>8} {}", way.name())));
    lines.push("决定 / per decision:".to_owned());
    lines.extend(
        tally
            .ends
            .iter()
            .map(|(end, n)| format!("  {n:>8} {}", end_words(*end))),
    );
    lines.push("梯级 / per rung:".to_owned());
    for ((ladder, rung), ends) in &tally.rungs {
        let ends: Vec<String> = ends.iter().map(|(end, n)| format!("{} {n}", end.name())).collect();
        lines.push(format!("  {ladder}/{rung}: {}", ends.join(", ")));
    }
    lines.push("人员 / per member of staff:".to_owned());
    lines.extend(tally.staff.iter().map(|(staff, n)| format!("  {n:>8} {staff}")));
    lines.push(match tally.busiest() {
        Some((date, day)) => format!("最忙的一天 / the busiest day: {date} ({})", day.load()),
        None => "这段时间没有要发的提醒 / no reminder comes in this time".to_owned(),
    });
    lines.join("\n") + "\n"
}

fn end_words(end: End) -> &'static str {
    match end {
        End::Sent => "发出 / sent",
        End::Task => "电话任务 / task",
        End::Superseded => "由较近的代替 / superseded",
        End::Skipped => "不发 / skipped",
        End::Cancelled => "取消 / cancelled",
    }
}

fn totals_json(tally: &Tally) -> Value {
    let rungs: Vec<Value> = tally
        .rungs
        .iter()
        .map(|((ladder, rung), ends)| json!({ "ladder": ladder, "rung": rung, "decisions": ends }))
        .collect();
    let busiest = tally
        .busiest()
        .map(|(date, day)| json!({ "date": date, "messages_and_calls": day.load() }));
    json!({
        "cases": tally.cases,
        "unreadable": tally.unreadable,
        "days": tally.days,
        "ways": tally.ways,
        "decisions": tally.ends,
        "rungs": rungs,
        "staff": tally.staff,
        "busiest": busiest,
    })
}
