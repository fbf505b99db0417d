//! `xixin demo`: the daemon itself with invented cases in a folder of its own. E-mail goes into a Maildir, SMS into files; the folder's
//! `config/` is a copy of the shipped one that can be edited while it runs. Nothing leaves the machine.

mod cases;
mod told;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::Time;

use crate::app::{App, Place};
use crate::cli::{ahead, say};
use crate::clock::{Clock as _, SystemClock};
use crate::config::FILES;
use crate::domain::ids::StaffId;
use crate::domain::rulebook::Rulebook;
use crate::engine::desk::Desk;
use crate::engine::digests;
use crate::engine::foresee::foresee;
use crate::lifecycle::Lifecycle;
use crate::store::cases::Filter;
use crate::telemetry;

/// How far ahead the demo looks, in days, and how much of it it prints.
const AHEAD_DAYS: i64 = 45;
const AHEAD_MAX: usize = 12;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; a new one here, unless given. An older demo's folder goes on where it stopped / 数据文件夹
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Ends after so many seconds / 运行多少秒后结束
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<u8> {
    let lifecycle = Lifecycle::new()?;
    let clock = SystemClock;
    let now = clock.now();
    let dir = match args.dir {
        Some(dir) => dir,
        None => PathBuf::from(format!("xixin-demo-{}", now.strftime("%Y%m%d-%H%M%S"))),
    };
    let dir = furnish(&dir)?;
    let mut place = Place::new(dir.join("config"));
    // The demo is the same everywhere, whatever the surroundings say.
    place.environment.clear();
    let widened = widen_hours(&place, now)?;
    let (loaded, _) = place.load()?;
    telemetry::start(&loaded.settings.log)?;
    let app = App::open_for_service(place, Arc::new(clock)).await?;
    greet(&dir, widened);
    seed(&app, now).await?;
    early_digest(&app, now).await?;
    let telling = tokio::spawn(told::tell(app.engine.clone(), dir.clone(), now));
    let engine = app.engine.clone();
    let served = app.serve(lifecycle, args.seconds.map(Duration::from_secs)).await;
    telling.abort();
    served?;
    farewell(&dir, &engine.live.get().rulebook);
    Ok(0)
}

/// Makes the folder, or takes an older demo's; refuses any other folder that holds something.
fn furnish(dir: &Path) -> anyhow::Result<PathBuf> {
    let name = dir.display();
    let settings = dir.join("config/conf.d/demo.toml");
    let is_demo = settings.exists();
    if !is_demo && dir.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        anyhow::bail!("{name} 不是空文件夹 / {name} is not empty: name a new folder, or that of an earlier demo");
    }
    if !is_demo {
        // What is in it looks like people's data: nobody else has to read it.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("{name} 无法创建 / cannot be made"))?;
    }
    for (path, text) in FILES.iter().filter(|_| !is_demo) {
        let path = dir.join("config").join(path);
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).with_context(|| format!("{} 无法创建 / cannot be made", folder.display()))?;
        std::fs::write(&path, text).with_context(|| format!("{} 无法写入 / cannot be written", path.display()))?;
    }
    let dir = dir
        .canonicalize()
        .with_context(|| format!("{name} 无法使用 / cannot be used"))?;
    if !is_demo {
        let settings = dir.join("config/conf.d/demo.toml");
        std::fs::create_dir_all(dir.join("config/conf.d"))?;
        std::fs::write(&settings, demo_settings(&dir))
            .with_context(|| format!("{} 无法写入 / cannot be written", settings.display()))?;
    }
    Ok(dir)
}

fn demo_settings(dir: &Path) -> String {
    let dir = toml::Value::from(dir.display().to_string());
    format!(
        "# 演示: 一切留在本文件夹 / The demo: everything stays in this folder.\n\
         state_dir = {dir}\n\n\
         [http]\nlisten = \"127.0.0.1:0\"\n\n\
         [mail]\ntransport = \"maildir\"\n\n\
         [sms]\ntransport = \"file\"\n\n\
         # 改了规则文件,自动载入 / A saved file takes effect by itself.\n\
         [reload]\nwatch = true\n\n\
         [log]\nfilter = \"warn\"\n"
    )
}

/// At night no SMS would leave before morning. The demo's own schedule is widened then, so that there is something to see.
fn widen_hours(place: &Place, now: Timestamp) -> anyhow::Result<bool> {
    let (loaded, _) = place.load()?;
    let book = &loaded.rulebook;
    let hours = book.schedule.sending_hours;
    if hours.next_allowed(now, &book.zone) == now {
        return Ok(false);
    }
    let path = place.config.join("schedule.toml");
    let text = std::fs::read_to_string(&path)?;
    let line = |time: Time| time.strftime("%H:%M").to_string();
    let shipped = format!("sending = \"{}-{}\"", line(hours.from), line(hours.to));
    std::fs::write(&path, text.replace(&shipped, "sending = \"00:00-24:00\""))?;
    Ok(true)
}

fn greet(dir: &Path, widened: bool) {
    let dir = dir.display();
    say(&format!(
        "悉心演示 / xixin demo — 人名、号码、案件均为虚构 / people, numbers and cases are invented\n\
         \x20 邮件 / e-mail   {dir}/maildir/new\n\
         \x20 短信 / SMS      {dir}/sms\n\
         \x20 规则 / rules    {dir}/config  (改了即生效 / edit a file, save, and see)\n\
         \x20 另开一个终端试试 / in another terminal:\n\
         \x20   xixin --config {dir}/config case list\n\
         \x20   xixin --config {dir}/config ctl status\n\
         \x20 Ctrl-C 结束 / Ctrl-C ends it\n"
    ));
    if widened {
        say(
            "现在是夜间: 演示放宽了短信时段,正式配置为 08:00-21:00 / it is night: the demo sends SMS anyway; the shipped hours are 08:00-21:00\n",
        );
    }
}

/// Opens the invented cases, once, through the same door as every clerk.
async fn seed(app: &App, now: Timestamp) -> anyhow::Result<()> {
    let store = &app.engine.store;
    let rules = app.engine.live.get();
    let known = store
        .list_cases(&Filter {
            limit: 1,
            ..Filter::default()
        })
        .await?;
    if known.is_empty() {
        for invented in cases::invented(&rules.rulebook, now)? {
            let desk = Desk::new(store, &rules.rulebook, &StaffId::from(invented.by))?;
            let opened = desk.open(invented.case.clone(), invented.at).await?;
            for (command, at) in invented.commands(&opened.case)? {
                desk.act(&opened.case.id, command, at).await?;
            }
        }
    }
    print_ahead(app, now).await
}

/// What comes next, by the planner's own forecast.
async fn print_ahead(app: &App, now: Timestamp) -> anyhow::Result<()> {
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    let cases = app
        .engine
        .store
        .list_cases(&Filter {
            limit: 100,
            ..Filter::default()
        })
        .await?;
    let soon = now.checked_add(jiff::SignedDuration::from_mins(1)).unwrap_or(now);
    let until = now
        .checked_add(jiff::SignedDuration::from_hours(24 * AHEAD_DAYS))
        .unwrap_or(now);
    let mut outlook = foresee(&app.engine.store, book, &cases, (now, until), 200).await?;
    outlook.ahead.retain(|ahead| ahead.foreseen.at > soon);
    say(&format!(
        "{} 个案件在办;接下来 / {} open cases; what comes next:",
        cases.len(),
        cases.len()
    ));
    for ahead in outlook.ahead.iter().take(AHEAD_MAX) {
        say(&format!("  {}", ahead::line(book, &outlook, ahead)));
    }
    say(&format!(
        "  每日待办 / daily digests: {}",
        crate::cli::case::local(digests::next_digest(book, now), &book.zone)
    ));
    say("\n现在发出的 / what leaves now:");
    Ok(())
}

/// The digests of the next workday are queued at once when today's are not due: a demo need not wait until morning.
async fn early_digest(app: &App, now: Timestamp) -> anyhow::Result<()> {
    let rules = app.engine.live.get();
    let book = &rules.rulebook;
    if digests::step(&app.engine, now).await? > 0 {
        return Ok(());
    }
    let day = book.zone.to_datetime(digests::next_digest(book, now)).date();
    let queued = digests::queue(&app.engine, day, now).await?;
    if queued > 0 {
        say(&format!(
            "  (演示提前发出 {day} 的每日待办 / the demo sends the digests of {day} now)"
        ));
    }
    Ok(())
}

fn farewell(dir: &Path, book: &Rulebook) {
    let dir = dir.display();
    say(&format!(
        "\n演示结束。再看一次 / the demo has ended. To look again:\n\
         \x20 xixin demo --dir {dir}\n\
         \x20 xixin --config {dir}/config preview    (时区 / zone {})",
        book.zone.iana_name().unwrap_or("-")
    ));
}
