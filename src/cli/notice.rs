//! `xixin notice`: the sheet a resident takes along.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::app::{App, Place};
use crate::cli::{EXIT_FAILED, ReadArgs, complain, say};
use crate::domain::house::View;
use crate::domain::ids::CaseId;
use crate::domain::notice::{Missing, sheet};
use crate::domain::person::Language;
use crate::engine::desk::DeskError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    case: String,
    /// A page for the printer instead of plain text / 打印用的 HTML
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Writes to this file instead of standard output / 写入文件
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, args.read.clock()).await?;
    let id = CaseId::from(args.case.as_str());
    let store = &app.engine.store;
    let stored = store.case(&id).await?.ok_or(DeskError::NoCase(id.clone()))?;
    let people = store.people_of(&stored.case.party.person).await?;
    let rules = app.engine.live.get();
    let resident = people.resident.as_ref();
    let sheet = match sheet(&rules.rulebook, &stored.case, resident, args.read.now()) {
        Ok(sheet) => sheet,
        Err(missing) => {
            complain(&refusal(&missing));
            return Ok(EXIT_FAILED);
        }
    };
    app.saw(View::Notice, &[&id]).await?;
    let language = resident.map_or(Language::Chinese, |person| person.language);
    let text = if args.read.json {
        serde_json::to_string(&sheet)?
    } else {
        let rendered = rules.texts.render_notice(&sheet, language)?;
        let text = if args.html { rendered.html } else { rendered.body };
        text.unwrap_or_default().trim_end().to_owned()
    };
    match &args.out {
        None => say(&text),
        Some(file) => {
            let name = file.display();
            std::fs::write(file, format!("{text}\n"))
                .with_context(|| format!("{name} 无法写入 / cannot be written"))?;
            say(&format!("已写入 {name} / written to {name}"));
        }
    }
    Ok(0)
}

/// A sheet without the way there would send somebody on a trip for nothing.
fn refusal(missing: &[Missing]) -> String {
    let mut text = String::from("通知单还不完整,不打印 / the notice sheet is not complete and is not made:");
    for Missing { what, fix } in missing {
        text.push_str(&format!("\n  {};{}\n  {}; {}", what.zh, fix.zh, what.en, fix.en));
    }
    text
}
