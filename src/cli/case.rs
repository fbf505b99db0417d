//! `xixin case add|show|list|do`: facts in and out. JSON or `key=value` in; words or JSON out.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::app::{App, Place, poke};
use crate::cli::{ReadArgs, SaidArgs, say};
use crate::clock::SystemClock;
use crate::domain::command::{Change, NewCase, Refusal};
use crate::domain::house::View;
use crate::domain::ids::{CaseId, StaffId, UnitId};
use crate::domain::text::shown;
use crate::engine::desk::Desk;
use crate::engine::document::{self, Fields};
use crate::store::cases::Filter;

/// The fields of commands that are whole numbers.
const NUMBERS: [&str; 3] = ["born", "chase_workdays", "takes_days"];
/// A case document may be this large, in bytes.
const DOCUMENT_MAX: u64 = 256 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Opens a case from a JSON document / 立案
    Add {
        /// The document; - reads standard input. A field that is not known is answered with those there are, and a missing one is named
        /// / 文件,- 表示标准输入;字段写错会列出可用的,缺少的会指出
        file: PathBuf,
        #[command(flatten)]
        actor: Actor,
        #[command(flatten)]
        said: SaidArgs,
    },
    /// Everything about a case / 查看
    Show {
        case: String,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Cases, newest first / 列表
    List {
        #[arg(long)]
        unit: Option<String>,
        #[arg(long)]
        owner: Option<String>,
        /// open, waiting or closed
        #[arg(long, value_parser = ["open", "waiting", "closed"])]
        status: Option<String>,
        /// At most so many, 1 to 10000
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Carries out a command: `do CASE add_deadline kind=cremation_reissue trigger=2016-12-20` / 办理
    Do {
        case: String,
        /// The command, e.g. promise, attempt, done, close; any other word lists them all, a wrong key those of the command / 命令;写错会列出全部命令或该命令的参数
        command: String,
        /// key=value pairs, or one JSON object; - reads it from standard input and @FILE from a file: write names, numbers and notes
        /// there, since a command line is seen by every user of the machine / 参数;含个人信息时用 - 或 @文件
        values: Vec<String>,
        #[command(flatten)]
        actor: Actor,
        #[command(flatten)]
        said: SaidArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Actor {
    /// Who does it: a name from people.toml / 经办人
    #[arg(long = "as", env = "XIXIN_AS", value_name = "STAFF")]
    pub(super) actor: String,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    match args.verb {
        Verb::Add { file, actor, said } => add(&file, &actor, &said, place).await,
        Verb::Show { case, read } => crate::cli::show::run(&case, &read, place).await,
        Verb::List {
            unit,
            owner,
            status,
            limit,
            read,
        } => {
            let filter = Filter {
                unit: unit.map(UnitId::from),
                owner: owner.map(StaffId::from),
                status,
                limit: i64::from(limit),
            };
            list(&filter, &read, place).await
        }
        Verb::Do {
            case,
            command,
            values,
            actor,
            said,
        } => act(&case, &command, &values, &actor, &said, place).await,
    }
}

async fn add(file: &Path, actor: &Actor, said: &SaidArgs, place: Place) -> anyhow::Result<u8> {
    let text = text_of(file)?;
    let new: NewCase = document::read_object(&text)?;
    let app = App::open(place, Arc::new(SystemClock)).await?;
    let rules = app.engine.live.get();
    let desk = Desk::new(&app.engine.store, &rules.rulebook, &StaffId::from(actor.actor.as_str()))?;
    let now = app.engine.clock.now();
    let change = desk.open(new, now).await?;
    finish(&app, &change, said, now).await
}

async fn act(
    case: &str,
    command: &str,
    values: &[String],
    actor: &Actor,
    said: &SaidArgs,
    place: Place,
) -> anyhow::Result<u8> {
    let command = document::read_command(command_fields(command, values)?)?;
    let app = App::open(place, Arc::new(SystemClock)).await?;
    let rules = app.engine.live.get();
    let desk = Desk::new(&app.engine.store, &rules.rulebook, &StaffId::from(actor.actor.as_str()))?;
    let now = app.engine.clock.now();
    let change = desk.act(&CaseId::from(case), command, now).await?;
    finish(&app, &change, said, now).await
}

async fn finish(app: &App, change: &Change, said: &SaidArgs, now: Timestamp) -> anyhow::Result<u8> {
    poke(app, Some(change.case.id.to_string())).await;
    if said.json {
        say(&json!({ "case": change.case, "events": change.events }).to_string());
    } else {
        say(&crate::cli::show::summary(app, change, now).await?);
    }
    Ok(0)
}

async fn list(filter: &Filter, read: &ReadArgs, place: Place) -> anyhow::Result<u8> {
    let app = App::look(place, read.clock()).await?;
    let found = app.engine.store.list_cases(filter).await?;
    app.saw(
        View::List,
        &found.iter().map(|stored| &stored.case.id).collect::<Vec<_>>(),
    )
    .await?;
    let rules = app.engine.live.get();
    if read.json {
        let cases: Vec<Value> = found.iter().map(|stored| json!(stored.case)).collect();
        say(&json!({ "cases": cases }).to_string());
        return Ok(0);
    }
    if found.is_empty() {
        say("没有案件 / no cases");
    }
    for stored in &found {
        say(&crate::cli::show::line(&rules.rulebook, &stored.case));
    }
    Ok(0)
}

/// Reads a document, refusing what cannot be one.
fn text_of(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let name = file.display();
    let too_large = || {
        anyhow::anyhow!(
            "{name}: 超过 {DOCUMENT_MAX} 字节 / it is larger than {DOCUMENT_MAX} bytes; a case is a page of text"
        )
    };
    if file.as_os_str() == "-" {
        std::io::stdin().take(DOCUMENT_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        let open = std::fs::File::open(file).with_context(|| format!("{name} 无法读取 / cannot be read"))?;
        open.take(DOCUMENT_MAX + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("{name} 无法读取 / cannot be read"))?;
    }
    if bytes.len() as u64 > DOCUMENT_MAX {
        return Err(too_large());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!("{name}: 第 {at} 字节处不是 UTF-8 / it is not UTF-8 at byte {at}; save it as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// `key=value` pairs or one JSON object, as a command document. Values that look like JSON lists, objects, booleans or null are taken
/// as such; everything else is text, so that phone numbers and dates stay what they are.
fn command_fields(command: &str, values: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut map = Map::new();
    if let Some(object) = whole_object(values)? {
        let Fields(given) = document::read(&object)?;
        map = given;
    } else {
        for pair in values {
            let (key, value) = pair
                .split_once('=')
                .with_context(|| format!("“{0}” 应写成 key=value / write \"{0}\" as key=value", shown(pair)))?;
            let value = match value.chars().next() {
                Some('[' | '{') => document::read(value).map_err(|refusal| within(refusal, key))?,
                _ if matches!(value, "true" | "false" | "null") => {
                    document::read(value).map_err(|refusal| within(refusal, key))?
                }
                _ if NUMBERS.contains(&key) => document::read(value).map_err(|refusal| within(refusal, key))?,
                _ => Value::String(value.to_owned()),
            };
            if map.insert(key.to_owned(), value).is_some() {
                anyhow::bail!("{0} 写了两次 / {0} is given twice", shown(key));
            }
        }
    }
    map.insert("do".to_owned(), Value::String(command.replace('-', "_")));
    Ok(map)
}

/// The values as one JSON object: as such, from standard input or from a file.
fn whole_object(values: &[String]) -> anyhow::Result<Option<Cow<'_, str>>> {
    let [single] = values else {
        return Ok(None);
    };
    if single == "-" {
        return Ok(Some(text_of(Path::new("-"))?.into()));
    }
    if let Some(file) = single.strip_prefix('@') {
        return Ok(Some(text_of(Path::new(file))?.into()));
    }
    Ok(single.trim_start().starts_with('{').then(|| single.into()))
}

fn within(refusal: Refusal, key: &str) -> Refusal {
    let field = Some(shown(key));
    Refusal { field, ..refusal }
}

/// An instant in the zone of the halls.
pub(super) fn local(at: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    at.to_zoned_datetime(zone.clone())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}
