//! `xixin diff NEWDIR`: what a changed configuration would do to the open cases from now on. Live data, nothing is written, and the new
//! configuration takes no effect.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Span;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::app::{App, Place};
use crate::cli::case::local;
use crate::cli::{EXIT_USAGE, ReadArgs, check, complain, say};
use crate::domain::calendar::LAST_DAY;
use crate::domain::milestone::instant;
use crate::engine::diff::{BLAST, Change, Difference, Redated, Sign, Told, diff};
use crate::engine::status::zone_text;

/// Two years: whatever a rule changes shows by then.
const DAYS_MAX: i32 = 731;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The changed configuration, a whole directory / 新配置的目录
    #[arg(value_name = "NEWDIR")]
    new: PathBuf,
    /// So many local days ahead, today included / 天数
    #[arg(long, value_name = "N", default_value_t = 60)]
    days: i32,
    /// Lists so many differences of each kind; all of them are counted / 每类列出的条数
    #[arg(long, value_name = "N", default_value_t = 20)]
    list: usize,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let new_place = Place {
        config: args.new.clone(),
        environment: place.environment.clone(),
    };
    let new = match new_place.load() {
        Ok((loaded, _)) => Arc::new(loaded.rulebook),
        Err(problems) => return Ok(check::wrong(&new_place, &problems, args.read.json)),
    };
    let app = App::look(place, args.read.clock()).await?;
    let rules = app.engine.live.get();
    let old = Arc::new(rules.rulebook.clone());
    let now = app.engine.clock.now();
    let zone = &old.zone;
    let end = zone
        .to_datetime(now)
        .date()
        .checked_add(Span::new().days(args.days.clamp(0, DAYS_MAX)));
    let Some(end) = end
        .ok()
        .filter(|end| (1..=DAYS_MAX).contains(&args.days) && *end <= LAST_DAY)
    else {
        complain(&format!(
            "--days {} 不行: 1 至 {DAYS_MAX} 天,且不超出日历({LAST_DAY}) / --days {} is not possible: 1 to {DAYS_MAX} days that do not leave the calendar ({LAST_DAY})",
            args.days, args.days
        ));
        return Ok(EXIT_USAGE);
    };
    let last = instant(end, Time::midnight(), zone);
    let last = last.checked_sub(jiff::SignedDuration::from_millis(1)).unwrap_or(last);
    let found = diff(&app.engine.store, Arc::clone(&old), new, (now, last), args.list).await?;
    if args.read.json {
        say(&as_json(&found, zone).to_string());
    } else {
        say(&in_words(&found, zone, args.days));
    }
    Ok(0)
}

fn sign_words(sign: Sign) -> &'static str {
    match sign {
        Sign::AtOnce => "立即发出 / sent at once",
        Sign::New => "新增 / new",
        Sign::Moved => "改变 / moved",
        Sign::Gone => "不再有 / gone",
    }
}

fn in_words(found: &Difference, zone: &TimeZone, days: i32) -> String {
    let mut lines = Vec::new();
    for (sign, changes) in &found.changes {
        lines.extend(changes.iter().map(|change| line(change, zone)));
        let more = found.total(*sign).saturating_sub(changes.len() as u64);
        if more > 0 {
            lines.push(format!(
                "{} … 还有 {more} 条未列出(--list) / {more} more are not listed",
                sign.mark()
            ));
        }
    }
    lines.extend(found.dates.iter().map(date_line));
    let more = found.redated.saturating_sub(found.dates.len() as u64);
    if more > 0 {
        lines.push(format!("… 还有 {more} 个期限改变 / {more} more deadlines change"));
    }
    if found.unreadable > 0 {
        lines.push(format!(
            "! {} 个案件无法读取,未比较 / cases cannot be read and are not compared",
            found.unreadable
        ));
    }
    if found.is_empty() {
        lines.push(format!(
            "{} 个在办案件,今后 {days} 天没有不同 / {} open cases: nothing differs in the next {days} days",
            found.cases, found.cases
        ));
        return lines.join("\n");
    }
    lines.push("梯级 / per rung:".to_owned());
    for ((ladder, rung), signs) in &found.rungs {
        let signs: Vec<String> = signs.iter().map(|(sign, n)| format!("{}{n}", sign.mark())).collect();
        lines.push(format!("  {ladder}/{rung}: {}", signs.join(" ")));
    }
    for (sign, count) in &found.totals {
        lines.push(format!("{} {count:>8} {}", sign.mark(), sign_words(*sign)));
    }
    if found.redated > 0 {
        lines.push(format!(
            "= {:>8} 个期限的日期改变 / deadlines with other dates",
            found.redated
        ));
    }
    lines.push(format!(
        "{} 个在办案件中 {} 个受影响,今后 {days} 天 / {} of {} open cases are touched in the next {days} days",
        found.cases, found.touched, found.touched, found.cases
    ));
    if found.is_blast() {
        lines.push(format!(
            "!!! 启用后会立即发出 {} 条,超过 {BLAST} 条。请核对,或给梯级写 effective_from / {} would go at once, more than {BLAST}: look twice, or give the rungs an effective_from",
            found.total(Sign::AtOnce),
            found.total(Sign::AtOnce)
        ));
    }
    lines.join("\n")
}

fn line(change: &Change, zone: &TimeZone) -> String {
    let Change {
        sign,
        case,
        item,
        ladder,
        rung,
        before,
        after,
        ..
    } = change;
    let told = |told: &Told| {
        let way = told.way.map_or("—", |way| way.name());
        format!("{} {way} → {} [{}]", local(told.at, zone), told.who, told.text)
    };
    let both: Vec<String> = before.iter().chain(after).map(told).collect();
    format!("{} {case} {item}  {ladder}/{rung}  {}", sign.mark(), both.join("  ⇒  "))
}

fn date_line(redated: &Redated) -> String {
    let Redated {
        case,
        item,
        kind,
        before,
        after,
    } = redated;
    let day = |day: Option<Date>| day.map_or_else(|| "?".to_owned(), |day| day.to_string());
    format!(
        "= {case} {item}  {kind}  届满 / end {} ⇒ {}  最后稳妥日 / last safe day {} ⇒ {}",
        day(before.end),
        day(after.end),
        day(before.last_safe_day),
        day(after.last_safe_day)
    )
}

fn as_json(found: &Difference, zone: &TimeZone) -> Value {
    let told = |told: &Told| {
        json!({
            "at": zone_text(told.at, zone),
            "recipient": told.recipient.to_string(),
            "who": told.who,
            "way": told.way,
            "text": told.text,
        })
    };
    let change = |change: &Change| {
        json!({
            "sign": change.sign,
            "case": change.case,
            "item": change.item,
            "ladder": change.ladder,
            "rung": change.rung,
            "audience": change.audience,
            "before": change.before.as_ref().map(told),
            "after": change.after.as_ref().map(told),
        })
    };
    let changes: Vec<Value> = found.changes.values().flatten().map(change).collect();
    let rungs: Vec<Value> = found
        .rungs
        .iter()
        .map(|((ladder, rung), signs)| json!({ "ladder": ladder, "rung": rung, "counts": signs }))
        .collect();
    json!({
        "cases": found.cases,
        "touched": found.touched,
        "unreadable": found.unreadable,
        "totals": found.totals,
        "rungs": rungs,
        "changes": changes,
        "dates": found.dates,
        "dates_changed": found.redated,
        "blast": { "at_once": found.total(Sign::AtOnce), "threshold": BLAST, "warning": found.is_blast() },
    })
}
