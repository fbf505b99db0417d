//! `xixin send-test`: one test message. A running daemon sends it with its own secrets; without one this process does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::app::{App, Place, control_to_ask};
use crate::cli::{EXIT_FAILED, EXIT_USAGE, complain, say};
use crate::clock::SystemClock;
use crate::control::{self, ControlError, Request};
use crate::domain::ladder::Way;
use crate::domain::text::Said;
use crate::engine::test_message::send_test;

/// How long a mail server may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A member of staff, by the name in people.toml / 工作人员
    #[arg(long, required_unless_present = "to", conflicts_with = "to")]
    staff: Option<String>,
    /// An e-mail address or a mobile number instead / 邮箱或手机号
    #[arg(long)]
    to: Option<String>,
    /// The channel / 渠道
    #[arg(long, value_parser = ["email", "sms"], default_value = "email")]
    by: String,
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, place: Place) -> anyhow::Result<u8> {
    let (loaded, _) = place.load()?;
    let way = Way::parse(&args.by).unwrap_or(Way::Email);
    let to = match address(&args, way, &loaded.rulebook) {
        Ok(to) => to,
        Err(said) => {
            complain(&said.to_string());
            return Ok(EXIT_USAGE);
        }
    };
    let request = Request::SendTest { way, to: to.clone() };
    let (sent, said) = match control::ask(&control_to_ask(&loaded.settings), &request, PATIENCE).await {
        Ok(answer) => (answer.ok, Said::new(answer.zh, answer.en)),
        Err(ControlError::Absent { .. }) => {
            let app = App::open_for_service(place, Arc::new(SystemClock)).await?;
            let tested = send_test(&app.engine, way, &to).await?;
            (tested.sent, tested.said)
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        say(&json!({ "sent": sent, "by": way, "reason": said }).to_string());
    } else {
        say(&format!("{} {said}", if sent { "✓" } else { "✗" }));
    }
    Ok(if sent { 0 } else { EXIT_FAILED })
}

fn address(args: &Args, way: Way, book: &crate::domain::rulebook::Rulebook) -> Result<String, Said> {
    if let Some(to) = &args.to {
        return Ok(to.clone());
    }
    let name = args.staff.as_deref().unwrap_or_default();
    let staff = book.org.staff.get(name).ok_or_else(|| {
        let known: Vec<&str> = book.org.staff.keys().map(|id| id.as_str()).collect();
        let known = known.join(", ");
        Said::new(
            format!("没有工作人员“{name}”,现有: {known}"),
            format!("there is no member of staff \"{name}\"; known: {known}"),
        )
    })?;
    let found = if way == Way::Email { &staff.email } else { &staff.mobile };
    found.clone().ok_or_else(|| {
        Said::new(
            format!("people.toml 中 {name} 没有此渠道的地址"),
            format!("people.toml gives no address of that kind for {name}"),
        )
    })
}
