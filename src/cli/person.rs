//! `xixin person export|erase`: everything that is kept about somebody, for whoever asks to see it; and forgetting them for good.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;

use crate::app::{App, Place};
use crate::cli::case::{Actor, local};
use crate::cli::{say, show, show_item};
use crate::clock::SystemClock;
use crate::domain::ids::{PersonId, StaffId};
use crate::domain::person::Person;
use crate::domain::plan::People;
use crate::domain::rulebook::Rulebook;
use crate::engine::audit;
use crate::engine::person::erase::erase;
use crate::engine::person::export::{Dossier, Happened, export};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Everything kept about a person, as a page and as JSON / 导出某人的全部信息
    Export {
        /// As `case show` tells it, p-… / 编号
        person: String,
        /// Who asked for it, and why / 谁要求、为何
        #[arg(long)]
        reason: String,
        /// Writes person-ID.txt and person-ID.json into this folder, for the owner only / 写入文件夹
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Prints JSON instead of the page / 输出 JSON
        #[arg(long, conflicts_with = "out")]
        json: bool,
        #[command(flatten)]
        actor: Actor,
    },
    /// Forgets a person for good; refused while a case of theirs is open / 永久删除某人的信息
    Erase {
        /// As `case show` tells it, p-… / 编号
        person: String,
        /// Who asked for it, and why / 谁要求、为何
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        actor: Actor,
    },
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::open(place, Arc::new(SystemClock)).await?;
    let (person, reason, out, json, actor) = match args.verb {
        Verb::Export {
            person,
            reason,
            out,
            json,
            actor,
        } => (person, reason, out, json, actor),
        Verb::Erase { person, reason, actor } => return forget(&app, person, &reason, &actor).await,
    };
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let by = audit::supervisor(book, &StaffId::from(actor.actor.as_str()), &reason)?;
    let id = PersonId::from(person);
    let now = app.engine.clock.now();
    let dossier = export(&app.engine.store, book, &id, by, &reason, now).await?;
    match out {
        Some(folder) => {
            make(&folder)?;
            for (end, text) in [
                ("json", serde_json::to_string_pretty(&dossier)?),
                ("txt", page(book, &dossier)),
            ] {
                let file = folder.join(format!("person-{id}.{end}"));
                write(&file, &text)?;
                say(&format!("已写入 {0} / written to {0}", file.display()));
            }
        }
        None if json => say(&serde_json::to_string(&dossier)?),
        None => say(page(book, &dossier).trim_end()),
    }
    Ok(0)
}

async fn forget(app: &App, person: String, reason: &str, actor: &Actor) -> anyhow::Result<u8> {
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let by = audit::supervisor(book, &StaffId::from(actor.actor.as_str()), reason)?;
    let id = PersonId::from(person);
    let cases = erase(&app.engine.store, book, &id, by, reason, app.engine.clock.now()).await?;
    say(&format!(
        "已删除 {id} 的个人信息,涉及 {cases} 个案件;编号、单位、事项和日期保留 / erased {id}, cases: {cases}; numbers, units, matters and days stay"
    ));
    say(
        "旧备份中仍有此人: 备份到期即应销毁,恢复时会自动再次删除 / older backups still hold them: destroy these when they expire; a restore erases them again by itself",
    );
    Ok(0)
}

/// The folder itself, where there is none yet: for its owner only as well.
fn make(folder: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let name = folder.display();
    made.with_context(|| format!("{name} 无法建立;请换一个文件夹 / cannot be made; name another folder"))
}

/// For its owner only, and never over something that is there.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut make = std::fs::OpenOptions::new();
    let made = make.write(true).create_new(true).mode(0o600).open(file);
    let name = file.display();
    made.and_then(|mut made| writeln!(made, "{text}"))
        .with_context(|| format!("{name} 无法写入;请换一个文件夹 / cannot be written; name another folder"))
}

fn page(book: &Rulebook, dossier: &Dossier) -> String {
    let mut text = format!("{} 的全部记录 / everything kept about {0}\n", dossier.id);
    if let Some(person) = &dossier.person {
        text.push_str(&told(person));
    }
    if let Some(resident) = &dossier.relative_of {
        let _ = writeln!(text, "  是 {resident} 的亲属 / is a relative of {resident}");
    }
    for relative in &dossier.relatives {
        text.push_str(&told(relative));
    }
    for case in &dossier.cases {
        let _ = writeln!(text, "\n■ {}", show::head(book, case, &People::default()).trim_end());
        text.push_str(&show_item::work(book, case));
        let today = book.zone.to_datetime(case.opened_at).date();
        for item in case.items(book) {
            text.push_str(&show_item::text(book, item, today));
        }
        for contact in &case.contacts {
            let note = contact.note.as_str();
            let _ = writeln!(text, "  {}  {note}", local(contact.at, &book.zone));
        }
    }
    if !dossier.reminders.is_empty() {
        text.push_str("\n■ 提醒记录 / reminders\n");
    }
    for message in &dossier.reminders {
        text.push_str(&crate::cli::ledger::row_text(&message.reminder, book));
    }
    for (head, list) in [
        ("经过 / history", &dossier.events),
        ("谁查看过 / who looked", &dossier.views),
    ] {
        if !list.is_empty() {
            let _ = writeln!(text, "\n■ {head}");
        }
        for happened in list {
            let _ = writeln!(text, "{}", line(book, happened));
        }
    }
    text
}

fn line(book: &Rulebook, happened: &Happened) -> String {
    let what = happened.what.as_ref().map_or_else(
        || "内容已清除 / its words were taken away".to_owned(),
        |event| event.said(&book.zone).to_string(),
    );
    let Happened { at, case, who, .. } = happened;
    format!("  {}  {case}  {who}  {what}", local(*at, &book.zone))
}

fn told(person: &Person) -> String {
    let mut text = format!("  姓名 / name: {} ({})\n", person.name, person.id);
    let born = person.born.map(|born| born.to_string());
    for (word, value) in [
        ("电话 / phone", person.phone.as_deref()),
        ("邮箱 / e-mail", person.email.as_deref()),
        ("出生 / born", born.as_deref()),
        (
            "关系 / relation",
            person.relative.as_ref().map(|relative| relative.relation.as_str()),
        ),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "  {word}: {value}");
        }
    }
    for (word, is) in [
        ("已退订 / opted out", person.opted_out),
        ("号码有误 / the number is wrong", person.phone_is_wrong),
        ("已故 / deceased", person.deceased),
    ] {
        if is {
            let _ = writeln!(text, "  {word}");
        }
    }
    text
}
