//! Why a step of an SMTP session did not succeed, and what that makes of the message.

use lettre::transport::smtp;
use tokio::time::error::Elapsed;

use super::outcome::{Blame, Enhanced, Fault, Outcome, Stage, classify_smtp, smtp_reason};

/// Why a step did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The server said no.
    Reply {
        code: u16,
        enhanced: Option<Enhanced>,
    },
    /// Closed, reset, unreachable, or an answer that is not SMTP.
    Lost,
    TimedOut,
    Handshake,
    NoStarttls,
    NoAuthMechanism,
    NoPassword,
}

/// What a step can end with.
pub(crate) enum StepError {
    Smtp(smtp::Error),
    Io,
}

impl From<smtp::Error> for StepError {
    fn from(error: smtp::Error) -> Self {
        Self::Smtp(error)
    }
}

impl From<std::io::Error> for StepError {
    fn from(_: std::io::Error) -> Self {
        Self::Io
    }
}

impl Failure {
    /// A step's value, or the reason why there is none; `step` ran under a time-out.
    pub(crate) fn of<T, E: Into<StepError>>(stage: Stage, step: Result<Result<T, E>, Elapsed>) -> Result<T, Self> {
        let cause = match step.map(|done| done.map_err(Into::into)) {
            Ok(Ok(value)) => return Ok(value),
            Err(_) => Cause::TimedOut,
            Ok(Err(StepError::Io)) => Cause::Lost,
            Ok(Err(StepError::Smtp(error))) => match error.status() {
                Some(code) => Cause::Reply {
                    code: code.into(),
                    enhanced: std::error::Error::source(&error).and_then(|text| Enhanced::parse(&text.to_string())),
                },
                None if stage == Stage::Tls => Cause::Handshake,
                None if stage == Stage::Auth && error.is_client() => Cause::NoAuthMechanism,
                None => Cause::Lost,
            },
        };
        Err(Self { stage, cause })
    }

    /// Whether the server refused and goes on listening.
    pub(crate) fn leaves_the_line_open(&self) -> bool {
        matches!(self.cause, Cause::Reply { code, .. } if code != 421)
    }

    pub(crate) fn outcome(self) -> Outcome {
        let Self { stage, cause } = self;
        if let Cause::Reply { code, enhanced } = cause {
            let fault = classify_smtp(stage, code, enhanced);
            return Outcome::of(fault, smtp_reason(&fault), None);
        }
        if stage == Stage::Dot {
            let reason = "邮件已交出,但未收到服务器答复 / the mail was handed over, but the server did not answer";
            return Outcome::Uncertain {
                reason: reason.to_owned(),
            };
        }
        let (chinese, english) = match (stage, cause) {
            (Stage::Connect, _) => ("连不上邮件服务器", "the mail server cannot be reached"),
            (_, Cause::NoStarttls) => (
                "邮件服务器不提供加密,未发送",
                "the mail server offers no encryption; nothing was sent",
            ),
            (_, Cause::Handshake) => (
                "与邮件服务器的加密连接失败",
                "the encrypted connection to the mail server failed",
            ),
            (_, Cause::NoAuthMechanism) => (
                "邮件服务器不提供可用的登录方式",
                "the mail server offers no usable way to log in",
            ),
            (_, Cause::NoPassword) => (
                "邮件服务器的口令文件读不出",
                "the password of the mail server cannot be read",
            ),
            (_, Cause::TimedOut) => ("邮件服务器答复超时", "the mail server took too long to answer"),
            _ => ("与邮件服务器的连接中断", "the connection to the mail server was lost"),
        };
        Outcome::of(
            Fault::new(Blame::Provider, stage),
            format!("{chinese} / {english}"),
            None,
        )
    }
}
