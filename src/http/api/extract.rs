//! What stands in a request, read strictly: an unknown parameter is a typing mistake, and is told.

use axum::body::to_bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::domain::text::said;
use crate::engine::document;

/// Letters of an address at the most, without what is asked.
const PATH_MAX: usize = 300;

/// The names in the address.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().len() > PATH_MAX {
            return Err(Problem::nowhere());
        }
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|_| Problem::nowhere())
    }
}

/// The parameters behind the question mark.
pub(super) struct Asking<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asking<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut fields = Map::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            // Whole numbers are the only values that are no text.
            let value = match value.parse::<u16>() {
                Ok(number) if name == "limit" => Value::from(number),
                _ => Value::from(value.into_owned()),
            };
            if fields.insert(name.to_string(), value).is_some() {
                return Err(Problem::parameter(&name, said!("写了两次", "it is given twice")));
            }
        }
        document::read(&Value::Object(fields).to_string())
            .map(Self)
            .map_err(Problem::malformed)
    }
}

/// The body: one JSON document, as text, so that what is wrong with it can be told with its place.
pub(super) struct Document(pub(super) String);

/// Bytes of a body at the most; a case is a page of text.
pub(super) const BODY_MAX: usize = 256 * 1024;

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let said = said!(
                "请求体应是 JSON;请写 Content-Type: application/json",
                "the body has to be JSON; send Content-Type: application/json"
            );
            let problem = Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type",
                "Unsupported media type",
                said,
            );
            return Err(problem.at("Content-Type"));
        }
        let Ok(bytes) = to_bytes(request.into_body(), BODY_MAX).await else {
            let said = said!(
                "请求体不完整,或超过 {BODY_MAX} 字节",
                "the body breaks off, or is larger than {BODY_MAX} bytes"
            );
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "Too large",
                said,
            ));
        };
        String::from_utf8(bytes.to_vec()).map(Self).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let said = said!(
                "第 {at} 字节处不是 UTF-8",
                "it is not UTF-8 at byte {at}; send it as UTF-8"
            );
            Problem::new(StatusCode::BAD_REQUEST, "malformed", "Malformed", said)
        })
    }
}
