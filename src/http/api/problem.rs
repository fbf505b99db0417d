//! What went wrong, as `application/problem+json` (RFC 9457): in both languages, with the field that is to blame.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::domain::command::Refusal;
use crate::domain::ids::CaseId;
use crate::domain::text::{Said, said, shown};
use crate::engine::Engine;
use crate::engine::desk::DeskError;
use crate::store::StoreError;

pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// After so many seconds it is worth trying again.
const RETRY_AFTER_S: &str = "5";

/// An answer that says what is wrong and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    code: StatusCode,
    /// Tells programs what kind of problem it is.
    name: &'static str,
    title: &'static str,
    said: Said,
    /// The field, parameter or header that is to blame.
    field: Option<String>,
}

impl Problem {
    pub(super) fn new(code: StatusCode, name: &'static str, title: &'static str, said: Said) -> Self {
        Self {
            code,
            name,
            title,
            said,
            field: None,
        }
    }

    pub(super) fn document(&self) -> Value {
        let Said { zh, en } = &self.said;
        let mut document = json!({
            "type": format!("urn:xixin:problem:{}", self.name), "title": self.title, "status": self.code.as_u16(),
            "detail": self.said.to_string(), "detail_zh": zh, "detail_en": en,
        });
        if let Some(field) = &self.field {
            document["field"] = json!(field);
        }
        document
    }

    #[must_use]
    pub(super) fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// What was given cannot be read: it is not of the form that the description asks for.
    pub(super) fn malformed(refusal: Refusal) -> Self {
        Self::of_refusal(StatusCode::BAD_REQUEST, "malformed", "Malformed", refusal)
    }

    fn of_refusal(code: StatusCode, name: &'static str, title: &'static str, refusal: Refusal) -> Self {
        let Refusal { field, what, fix } = refusal;
        let problem = Self::new(code, name, title, what.and(&fix));
        Self { field, ..problem }
    }

    /// A query parameter or header that cannot be used.
    pub(super) fn parameter(name: &str, said: Said) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed", said).at(name)
    }

    pub(super) fn no_case(id: &CaseId) -> Self {
        let id = shown(id.as_str());
        let said = said!(
            "没有案件 {id},或它不属于本系统的单位",
            "there is no case {id}, or it belongs to a unit that this system does not see"
        );
        Self::new(StatusCode::NOT_FOUND, "no-case", "No such case", said).at("case")
    }

    pub(super) fn no_command(refusal: Refusal) -> Self {
        let problem = Self::of_refusal(StatusCode::NOT_FOUND, "no-command", "No such command", refusal);
        problem.at("command")
    }

    pub(super) fn nowhere() -> Self {
        let said = said!(
            "没有这个地址,见 /api/v1/openapi.json",
            "there is nothing at this address; see /api/v1/openapi.json"
        );
        Self::new(StatusCode::NOT_FOUND, "nowhere", "Not found", said)
    }

    /// The database could not be asked; whoever watches the storage is told.
    pub(super) async fn of_store(engine: &Engine, error: &StoreError) -> Self {
        engine.note_store_error(error).await;
        if let StoreError::Erased { .. } = error {
            let said = said!("个人信息已应要求删除", "the personal data was erased on request");
            return Self::new(StatusCode::GONE, "erased", "Erased", said);
        }
        tracing::error!(error = %crate::telemetry::chain(error), "a request of another system cannot be answered");
        let said = said!(
            "数据库暂时无法读写,请稍后再试",
            "the database cannot be used at present; try again later"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", said)
    }

    pub(super) async fn of_desk(engine: &Engine, error: DeskError) -> Self {
        match error {
            DeskError::Refused(refusal) => {
                Self::of_refusal(StatusCode::UNPROCESSABLE_ENTITY, "refused", "Refused", refusal)
            }
            DeskError::NoCase(id) => Self::no_case(&id),
            DeskError::Store(error) => Self::of_store(engine, &error).await,
            DeskError::Changed { .. } => {
                let said = lines(&error);
                Self::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile", said).at("If-Match")
            }
            DeskError::KeyTaken => {
                let said = lines(&error);
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key-taken", "Key taken", said).at("Idempotency-Key")
            }
            error @ (DeskError::Repeated(_) | DeskError::Before(_)) => {
                let said = lines(&error);
                Self::new(StatusCode::CONFLICT, "conflict", "Conflict", said)
            }
        }
    }
}

/// What an error says on two lines, Chinese first.
fn lines(error: &DeskError) -> Said {
    let text = error.to_string();
    let (zh, en) = text.split_once('\n').unwrap_or((&text, &text));
    Said::new(zh, en)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.document().to_string();
        let mut response = (self.code, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        let headers = response.headers_mut();
        match self.code {
            StatusCode::UNAUTHORIZED => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"xixin\""),
                );
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            _ => {}
        }
        response
    }
}
