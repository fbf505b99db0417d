//! The text of a mail, the final dot and the answer: the one step after which a mail may have been sent.

use std::borrow::Cow;
use std::fmt;
use std::pin::pin;

use lettre::transport::smtp::response::{Response, Severity};
use tokio::time::timeout;

use super::email::{Session, SmtpPool};
use super::failure::{Cause, Failure};
use super::outcome::Stage;

/// A text as it goes on the wire, up to and with the dot: in one piece, because a packet of its own for three bytes costs as much as
/// one for the whole text. lettre would also look at every byte once more.
struct Text<'a>(Cow<'a, str>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)?;
        f.write_str(".\r\n")
    }
}

/// Doubles a dot that begins a line (RFC 5321 4.5.2). The text ends with a line break.
fn stuffed(text: &str) -> Cow<'_, str> {
    let first = text.starts_with('.');
    if !first && !text.contains("\n.") {
        return Cow::Borrowed(text);
    }
    let rest = text.replace("\n.", "\n..");
    Cow::Owned(if first { format!(".{rest}") } else { rest })
}

impl SmtpPool {
    /// Until the operating system has taken the dot, nothing was sent; from then on only an answer tells.
    pub(super) async fn text_and_dot(&self, session: &mut Session, text: &[u8]) -> Result<Response, Failure> {
        let lost = |stage| Failure {
            stage,
            cause: Cause::Lost,
        };
        // Only what was built and checked gets here, and that is ASCII.
        let text = std::str::from_utf8(text).map_err(|_| lost(Stage::Body))?;
        let mark = session.written.mark();
        let mut sending = pin!(session.connection.command(Text(stuffed(text))));
        let answered = match timeout(self.timeout, &mut sending).await {
            Err(_) if mark.passed() => timeout(self.dot_timeout, sending).await,
            answered => answered,
        };
        let stage = if mark.passed() { Stage::Dot } else { Stage::Body };
        let response = Failure::of(stage, answered)?;
        match response.code().severity {
            Severity::PositiveCompletion => Ok(response),
            _ => Err(lost(stage)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_at_the_beginning_of_a_line_is_doubled() {
        let table = [
            ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"),
            (".a.\r\n..b\r\n", "..a.\r\n...b\r\n.\r\n"),
            ("a.b\r\n", "a.b\r\n.\r\n"),
        ];
        for (text, wire) in table {
            assert_eq!(Text(stuffed(text)).to_string(), wire);
        }
    }
}
