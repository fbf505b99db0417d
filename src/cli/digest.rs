//! `xixin digest`: what a member of staff gets, or would get, on a day.

use crate::app::{App, Place};
use crate::cli::{EXIT_USAGE, ReadArgs, complain, say};
use crate::domain::house::View;
use crate::domain::ids::StaffId;
use crate::engine::digest_content;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose digest, by the name in people.toml / 工作人员
    #[arg(long)]
    staff: String,
    /// The day; today without it / 日期，缺省为今天
    #[arg(long, value_name = "DATE")]
    date: Option<jiff::civil::Date>,
    /// Prints the HTML of the mail / 输出邮件的 HTML
    #[arg(long, conflicts_with = "json")]
    html: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, args.read.clock()).await?;
    let rules = app.engine.live.get();
    let now = args.read.now();
    let day = args.date.unwrap_or_else(|| rules.rulebook.zone.to_datetime(now).date());
    let staff = StaffId::from(args.staff.as_str());
    let Some(digest) = digest_content::build(&app.engine, &rules, &staff, day, now).await? else {
        let known: Vec<&str> = rules.rulebook.org.staff.keys().map(StaffId::as_str).collect();
        let known = known.join(", ");
        complain(&format!(
            "没有工作人员“{staff}”,现有: {known} / there is no member of staff \"{staff}\"; known: {known}"
        ));
        return Ok(EXIT_USAGE);
    };
    app.saw(View::Digest, &[]).await?;
    if args.read.json {
        say(&serde_json::to_string(&digest)?);
        return Ok(0);
    }
    let rendered = rules.texts.render_digest(&digest)?;
    if args.html {
        say(rendered.html.unwrap_or_default().trim_end());
    } else {
        say(&format!(
            "{}\n\n{}",
            rendered.subject.unwrap_or_default(),
            rendered.body.unwrap_or_default().trim_end()
        ));
    }
    Ok(0)
}
