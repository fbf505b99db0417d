//! The bytes that leave, fixed before the attempt is recorded. A resend is judged and rendered anew, so its words may differ; its
//! Message-ID, or the id given to the SMS gateway, is the same.

use jiff::{SignedDuration, Timestamp};

use crate::channel::build::{BuildError, Importance, Mail, WireMail, build};
use crate::channel::invitation::Invitation;
use crate::channel::sms::{Sms, WireSms};
use crate::domain::ids::UnitId;
use crate::domain::ladder::{Priority, Way};
use crate::domain::text::Said;
use crate::engine::live::Rules;
use crate::store::queue::{Claimed, NewAttempt};
use crate::template::Rendered;

/// One message, ready for its channel.
pub enum Wire {
    Mail(WireMail),
    Sms(WireSms),
}

/// So long the report on an SMS is awaited.
const RECEIPT_WITHIN: SignedDuration = SignedDuration::from_hours(72);

impl Wire {
    /// By which of several gateways it goes.
    pub(crate) fn gateway(&self) -> Option<String> {
        match self {
            Self::Sms(sms) => sms.gateway().map(|name| name.to_string()),
            Self::Mail(_) => None,
        }
    }

    /// Until when its report is awaited, where the gateway sends one.
    pub(crate) fn receipt_by(&self, now: Timestamp) -> Option<i64> {
        match self {
            Self::Sms(sms) if sms.is_reported() => now.checked_add(RECEIPT_WITHIN).ok().map(Timestamp::as_millisecond),
            Self::Sms(_) | Self::Mail(_) => None,
        }
    }
}

/// Builds the bytes that leave. An SMS is signed by the unit of its case.
pub(crate) fn wire(
    rules: &Rules,
    way: Way,
    row: &Claimed,
    to: &str,
    unit: Option<&UnitId>,
    (rendered, invitation): (Rendered, Option<Invitation>),
    now: Timestamp,
) -> Result<(Wire, NewAttempt), Said> {
    let unbuildable = |what: String| {
        Said::new(
            format!("信息无法生成: {what}"),
            format!("the message cannot be built: {what}"),
        )
    };
    let attempt = uuid::Uuid::now_v7().to_string();
    let (wire, wire_id, wire_sha256) = match way {
        Way::Email if rules.channels.mail.is_none() => {
            return Err(Said::new("未配置邮件渠道", "no e-mail channel is configured"));
        }
        Way::Email => {
            let mail =
                build(&mail(rules, row, to, rendered, invitation)).and_then(|mail| returning(rules, mail, &attempt));
            let mail = mail.map_err(|error| unbuildable(error.to_string()))?;
            let (id, sha256) = (mail.message_id().to_owned(), mail.sha256().to_owned());
            (Wire::Mail(mail), id, sha256)
        }
        Way::Sms | Way::Phone => {
            let gateway = rules.channels.sms.as_ref();
            let gateway = gateway.ok_or_else(|| Said::new("未配置短信渠道", "no SMS channel is configured"))?;
            let own = unit.and_then(|unit| rules.rulebook.org.signature_of(unit));
            let signature = own.unwrap_or(&rules.settings.sms.signature).to_owned();
            let text = format!("【{signature}】{}", rendered.sms.unwrap_or_default());
            let sms = Sms {
                to: to.to_owned(),
                text,
                signature,
                id: row.id.clone(),
                at: now,
                coded: rendered.coded,
            };
            let sms = gateway.prepare(&sms).map_err(|error| unbuildable(error.to_string()))?;
            let sha256 = sms.sha256().to_owned();
            (Wire::Sms(sms), row.id.clone(), sha256)
        }
    };
    let attempt = NewAttempt {
        id: attempt,
        reminder_id: row.id.clone(),
        epoch: row.epoch,
        case_version: None,
        wire_id,
        wire_sha256,
        judged_ms: None,
        gateway: wire.gateway(),
        receipt_ms: wire.receipt_by(now),
    };
    Ok((wire, attempt))
}

/// Where bounces are read, each attempt has a return path of its own.
fn returning(rules: &Rules, mail: WireMail, attempt: &str) -> Result<WireMail, BuildError> {
    match rules.channels.return_path.as_ref().and_then(|path| path.of(attempt)) {
        Some(path) => mail.returning_to(&path),
        None => Ok(mail),
    }
}

/// The domain that names of messages and events end in: the sender's.
pub(crate) fn domain(rules: &Rules) -> &str {
    let from = rules.settings.mail.from.rsplit_once('@');
    from.map_or("xixin.invalid", |(_, domain)| domain)
}

fn mail(rules: &Rules, row: &Claimed, to: &str, rendered: Rendered, invitation: Option<Invitation>) -> Mail {
    let settings = &rules.settings.mail;
    let domain = domain(rules);
    Mail {
        // The row's id never changes, so neither does the Message-ID of a resend.
        message_id: format!("<{}@{domain}>", row.id),
        // When it was due, or entered, if that came later: a reminder that comes late must not sink to last week in somebody's inbox. Both stay
        // the same for a resend.
        date: crate::store::instant_of(row.due_ms.max(row.decided_ms)),
        from: settings.from.clone(),
        from_name: settings.from_name.clone(),
        reply_to: settings.reply_to.clone(),
        to: to.to_owned(),
        subject: rendered.subject.unwrap_or_default(),
        text: rendered.body.unwrap_or_default(),
        html: rendered.html,
        invitation,
        // A digest comes every day: it is in a hurry to leave, but no mail program need shout.
        importance: if row.priority >= Priority::Urgent as i64 && !row.case_id.is_empty() {
            Importance::High
        } else {
            Importance::Normal
        },
    }
}
