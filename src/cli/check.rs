//! `xixin check`: every problem of every file at once, or what was read.

use std::path::PathBuf;

use serde_json::json;

use super::doctor::key_is_open;
use super::{EXIT_CONFIG, ReadArgs, say};
use crate::app::Place;
use crate::config::problem::Problems;
use crate::config::{Loaded, remarks};
use crate::domain::text::Said;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory to check, instead of --config / 要检查的目录
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) fn run(args: &Args, place: &Place) -> anyhow::Result<u8> {
    let place = Place {
        config: args.dir.clone().unwrap_or_else(|| place.config.clone()),
        environment: place.environment.clone(),
    };
    match place.load() {
        Ok((loaded, _)) => {
            let today = loaded.rulebook.zone.to_datetime(args.read.now()).date();
            let mut remarks = remarks(&loaded, today);
            remarks.extend(key_is_open(&loaded.settings));
            if args.read.json {
                say(&sound_json(&place, &loaded, &remarks).to_string());
            } else {
                say(&sound(&place, &loaded, &remarks));
            }
            Ok(0)
        }
        Err(problems) => Ok(wrong(&place, &problems, args.read.json)),
    }
}

/// Tells every problem of a configuration.
pub(super) fn wrong(place: &Place, problems: &Problems, json: bool) -> u8 {
    if json {
        say(&wrong_json(place, problems).to_string());
    } else {
        say(&problems.to_string());
    }
    EXIT_CONFIG
}

/// What was read, by its code name, with the words for people.
fn counts(loaded: &Loaded) -> [(&'static str, &'static str, usize); 10] {
    let book = &loaded.rulebook;
    [
        ("ladders", "提醒梯级", book.ladders.len()),
        ("periods", "期限种类", book.periods.len()),
        ("matters", "事项种类", book.matters.len()),
        ("benefits", "报销种类", book.benefits.len()),
        ("policies", "留意政策", book.policies.len()),
        ("notes", "知识条目", book.knowledge.notes.len()),
        ("offices", "外单位", book.offices.len()),
        ("units", "单位", book.org.units.len()),
        ("staff", "人员", book.org.staff.len()),
        ("rotas", "值班表", book.rota.stretches.len()),
    ]
}

fn sound(place: &Place, loaded: &Loaded, remarks: &[Said]) -> String {
    let mut lines = vec![format!(
        "配置没有问题 / the configuration is sound: {}",
        place.config.display()
    )];
    for (name, zh, count) in counts(loaded) {
        lines.push(format!("  {count:>4} {zh} / {name}"));
    }
    let calendar = &loaded.rulebook.calendar;
    if let (Some(from), Some(to)) = (calendar.covered_from(), calendar.covered_through()) {
        lines.push(format!("  日历 / calendar: {from}..{to}"));
    }
    lines.push(format!("  规则指纹 / fingerprint: {}", loaded.fingerprint));
    if !remarks.is_empty() {
        lines.push("提示 / remarks:".to_owned());
        lines.extend(remarks.iter().map(|said| format!("  ! {said}")));
    }
    lines.join("\n")
}

fn sound_json(place: &Place, loaded: &Loaded, remarks: &[Said]) -> serde_json::Value {
    let calendar = &loaded.rulebook.calendar;
    let counts: serde_json::Map<String, serde_json::Value> = counts(loaded)
        .into_iter()
        .map(|(name, _, count)| (name.to_owned(), json!(count)))
        .collect();
    json!({
        "ok": true,
        "directory": place.config,
        "counts": counts,
        "fingerprint": loaded.fingerprint,
        "calendar": {
            "from": calendar.covered_from(),
            "to": calendar.covered_through(),
            "gaps": calendar.gaps(),
        },
        "remarks": remarks,
    })
}

fn wrong_json(place: &Place, problems: &Problems) -> serde_json::Value {
    json!({
        "ok": false,
        "directory": place.config,
        "problems": problems.iter().collect::<Vec<_>>(),
    })
}
