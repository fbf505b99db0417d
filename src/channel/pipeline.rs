//! MAIL, RCPT and DATA in one piece, for servers that offer PIPELINING (RFC 2920): one round trip instead of three.
//!
//! Nothing has an effect before the final dot, which goes out on its own after the answers are known, exactly as without pipelining. The
//! first refusal is the outcome; the answers after it are read all the same, because the next transaction must not take them for its
//! own. A server that asks for the text although it refused the sender or the recipient (RFC 2920 3.1 allows it) is hung up on: a lone
//! dot, the other way out, would be an empty message to whoever it thinks is meant.

use std::fmt;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt, Rset};

use super::build::WireMail;
use super::connect::Dialer;
use super::email::{Session, SmtpPool, State};
use super::failure::Failure;
use super::outcome::Stage;

/// What is said in one piece.
struct Group {
    reset: bool,
    mail: Mail,
    recipient: Rcpt,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reset {
            Rset.fmt(f)?;
        }
        write!(f, "{}{}{Data}", self.mail, self.recipient)
    }
}

impl Dialer {
    /// Whether the server offers PIPELINING. lettre forgets what it does not use of the greeting, so the server is greeted once more;
    /// under TLS, because what was offered in the clear is worth nothing (RFC 3207 4.2).
    pub(super) async fn learn_pipelining(&self, connection: &mut AsyncSmtpConnection) -> Result<bool, Failure> {
        let greeted = self
            .within(Stage::Hello, connection.command(Ehlo::new(self.hello.clone())))
            .await;
        match greeted {
            Ok(offers) => Ok(offers
                .message()
                .skip(1)
                .any(|offer| offer.trim_ascii().eq_ignore_ascii_case("PIPELINING"))),
            // It greets once only; the first greeting holds.
            Err(failure) if failure.leaves_the_line_open() => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

impl SmtpPool {
    /// Says who writes to whom and asks to send the text.
    pub(super) async fn announce_at_once(&self, session: &mut Session, mail: &WireMail) -> Result<(), Failure> {
        let group = Group {
            reset: session.state == State::Begun,
            mail: Mail::new(Some(mail.from().clone()), vec![]),
            recipient: Rcpt::new(mail.to().clone(), vec![]),
        };
        let mut steps = vec![Stage::Mail, Stage::Recipient, Stage::Data];
        if group.reset {
            steps.insert(0, Stage::Mail);
        }
        let connection = &mut session.connection;
        let mut refused = None;
        for (n, stage) in steps.into_iter().enumerate() {
            let code = if stage == Stage::Data { 354 } else { 250 };
            let answered = if n == 0 {
                self.expect(stage, connection.command(&group), code).await
            } else {
                self.expect(stage, connection.read_response(), code).await
            };
            match answered {
                Ok(()) if stage == Stage::Data && refused.is_some() => session.state = State::Spent,
                Ok(()) => {}
                Err(failure) if failure.leaves_the_line_open() => drop(refused.get_or_insert(failure)),
                Err(failure) => {
                    session.state = State::Spent;
                    return Err(refused.unwrap_or(failure));
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }
}
