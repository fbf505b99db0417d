//! `xixin token new`: a token for another system, shown once. What the configuration gets is its SHA-256.

use clap::Subcommand;
use jiff::Span;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use crate::cli::say;
use crate::clock::{Clock as _, SystemClock};

/// Random bytes of a token.
const BYTES: usize = 32;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes a token and prints it with its section of the configuration; nothing is written / 生成令牌
    New {
        /// What the system is called: 1 to 30 of a-z, 0-9 and - / 系统名称
        name: String,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let Verb::New { name } = &args.verb;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    anyhow::ensure!(
        (1..=30).contains(&name.len()) && name.bytes().all(plain),
        "系统名称可用1到30个 a-z、0-9 和 - / a name has 1 to 30 of a-z, 0-9 and -"
    );
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("没有随机数 / no random bytes: {error}"))?;
    let token = format!("xixin_{}", hex::encode(bytes));
    let today = SystemClock.now().to_zoned_datetime(TimeZone::UTC).date();
    let until = today.saturating_add(Span::new().years(1));
    let sum = hex::encode(Sha256::digest(&token));
    say(&format!(
        "{token}\n\n\
         # 令牌只显示这一次,请交给该系统保管。下面一段改好后写入 conf.d/api.toml,再运行 xixin ctl reload\n\
         # The token is shown this once: give it to that system. Put this into conf.d/api.toml, edit it, then run xixin ctl reload\n\
         [api.system.{name}]\n\
         token_sha256 = \"{sum}\"\n\
         scopes = [\"read\"]        # read, write, status\n\
         unit = \"\"\n\
         until = {until}"
    ));
    Ok(0)
}
