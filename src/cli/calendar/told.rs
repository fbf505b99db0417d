//! What `xixin calendar` says. Cases by their numbers, residents masked as in digests.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::{complain, say};
use crate::config::notice_json::Notice;
use crate::config::problem::Problems;
use crate::control::Answer;
use crate::domain::recount::{Moved, Settled};
use crate::domain::text::weekday_words;
use crate::engine::calendar_news::{Addressed, Found};

/// What an import did, or would do.
pub(super) struct Report<'a> {
    pub(super) notice: &'a Notice,
    pub(super) found: &'a Found,
    pub(super) addressed: &'a Addressed,
    pub(super) dry: bool,
    /// The very same file is in place already.
    pub(super) is_there: bool,
    pub(super) backup: Option<PathBuf>,
    /// What the running daemon said.
    pub(super) reloaded: Option<Answer>,
}

impl Report<'_> {
    pub(super) fn text(&self) -> String {
        let Found {
            moved,
            items,
            settled,
            unreadable,
            ..
        } = self.found;
        let mut lines = vec![notice(self.notice), String::new()];
        lines.push(format!(
            "重新计算了{items}件在办事项: {}件日期有变,{settled}件日期不变、由暂定转为确定\n\
             counted {items} open items again: dates of {} have moved; {settled} keep their dates, which are final now",
            moved.len(),
            moved.len()
        ));
        for item in moved {
            lines.push(self.item(item));
        }
        if !unreadable.is_empty() {
            let list: Vec<&str> = unreadable.iter().map(|id| id.as_str()).collect();
            let list = list.join(", ");
            lines.push(format!(
                "! 记录无法读取,没有计算: {list} / cannot be read and were not counted: {list}"
            ));
        }
        lines.extend(self.addressees());
        lines.push(String::new());
        lines.extend(self.done());
        lines.join("\n")
    }

    fn item(&self, item: &Moved) -> String {
        let who = self.found.who.get(&item.case).map_or("—", String::as_str);
        let Moved {
            case, item: id, kind, ..
        } = item;
        let mut text = format!("\n  {case} {id} · {who} · {} · {}", kind.zh, item.owner);
        if item.sooner {
            text.push_str(" [提前 / earlier]");
        }
        match item.settled {
            Settled::Newly => text.push_str(" [已确定 / now final]"),
            Settled::NotYet => text.push_str(" [仍暂定 / still provisional]"),
            Settled::Already => {}
        }
        for date in &item.dates {
            text.push_str(&format!(
                "\n    {} / {}: {} → {}",
                date.name.zh, date.name.en, date.old.zh, date.new.zh
            ));
        }
        text
    }

    fn addressees(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let Addressed { letters, out_of_reach } = self.addressed;
        if !letters.is_empty() {
            let list: Vec<String> = letters
                .iter()
                .map(|(staff, items)| format!("{staff}({})", items.len()))
                .collect();
            let list = list.join(", ");
            lines.push(if self.dry {
                format!("\n将发邮件告知 / would be told by e-mail: {list}")
            } else {
                format!("\n邮件告知,已排队 / told by e-mail, queued: {list}")
            });
        }
        if !out_of_reach.is_empty() {
            let list: Vec<&str> = out_of_reach.keys().map(|staff| staff.as_str()).collect();
            let list = list.join(", ");
            lines.push(format!(
                "! 没有邮箱,请当面告知: {list} / no e-mail address, tell them in person: {list}"
            ));
        }
        lines
    }

    fn done(&self) -> Vec<String> {
        let file = self.notice.file();
        if self.is_there {
            return vec![format!(
                "{file} 已是这些内容,不必写入 / {file} says just this already; there is nothing to write"
            )];
        }
        if self.dry {
            return vec![format!("没有写入(--dry): {file} / nothing was written (--dry): {file}")];
        }
        let mut lines = vec![format!("已写入 {file} / {file} is in place")];
        if let Some(backup) = &self.backup {
            let backup = backup.display();
            lines.push(format!("旧文件留作备份: {backup} / the old file is kept as {backup}"));
        }
        match &self.reloaded {
            Some(answer) => {
                lines.extend(problems_of(answer));
                lines.push(format!("{} / {}", answer.zh, answer.en));
            }
            None => lines.push(
                "没有运行中的服务,下次启动时生效、邮件那时发出 / no daemon is running; it takes effect and the mails leave at the next start"
                    .to_owned(),
            ),
        }
        lines
    }

    pub(super) fn json(&self) -> Value {
        let Found {
            moved,
            who,
            items,
            settled,
            unreadable,
        } = self.found;
        let rows: Vec<Value> = moved
            .iter()
            .map(|item| {
                json!({
                    "case": item.case, "item": item.item, "who": who.get(&item.case), "kind": item.kind, "owner": item.owner,
                    "dates": item.dates, "sooner": item.sooner, "settled": item.settled,
                })
            })
            .collect();
        let told: Vec<&str> = self.addressed.letters.keys().map(|staff| staff.as_str()).collect();
        json!({
            "ok": self.reloaded.as_ref().is_none_or(|answer| answer.ok),
            "dry": self.dry,
            "is_there": self.is_there,
            "notice": notice_json(self.notice),
            "items": items,
            "moved": rows,
            "settled": settled,
            "unreadable": unreadable,
            "told": told,
            "out_of_reach": self.addressed.out_of_reach.keys().collect::<Vec<_>>(),
            "file": self.notice.file(),
            "backup": self.backup,
            "reload": self.reloaded,
        })
    }
}

fn problems_of(answer: &Answer) -> Vec<String> {
    let list = answer.data["problems"].as_array();
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// What a sound file says.
pub(super) fn notice(notice: &Notice) -> String {
    let makeup: Vec<String> = notice
        .makeup_days()
        .map(|day| {
            let (zh, _) = weekday_words(day.weekday());
            format!("{day}({zh})")
        })
        .collect();
    let (off, year) = (notice.days_off(), notice.year);
    let mut lines = vec![format!(
        "{year}年放假安排没有问题: 放假{off}天,调休上班{}天 / the notice of {year} is sound: {off} days off, {} make-up workdays",
        makeup.len(),
        makeup.len()
    )];
    if !makeup.is_empty() {
        lines.push(format!("  调休上班 / make-up workdays: {}", makeup.join(", ")));
    }
    lines.extend(notice.remarks.iter().map(|said| format!("  ! {said}")));
    lines.join("\n")
}

pub(super) fn notice_json(notice: &Notice) -> Value {
    json!({
        "ok": true,
        "year": notice.year,
        "papers": notice.papers,
        "days_off": notice.days_off(),
        "makeup_days": notice.makeup_days().collect::<Vec<_>>(),
        "remarks": notice.remarks,
    })
}

/// The file itself is sound, but not beside the rest of the configuration.
pub(super) fn misfit(problems: &Problems, as_json: bool) {
    if as_json {
        say(&json!({ "ok": false, "problems": problems.iter().collect::<Vec<_>>() }).to_string());
        return;
    }
    say(&problems.to_string());
    complain(
        "放假安排本身没有问题,但与其余配置合不上;请先改好以上各处(例如值班表),什么也没有写入\n\
         the notice is sound, but does not fit the rest of the configuration; mend the places above (such as the rota) first; nothing was written",
    );
}
