//! What a system may do: open cases and carry out commands, through the one door and in its own name.
//!
//! Always: a command says by `If-Match` which version of the case it is meant for; a request with an `Idempotency-Key` is carried out
//! once, however often it comes; one that was read is carried out even when the client goes away. An answer carries numbers and ids only.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::caller::{Caller, forbidden};
use super::extract::{Document, Named};
use super::problem::Problem;
use super::read::{seen_case, tag};
use crate::config::api::Scope;
use crate::domain::command::{Command, NewCase};
use crate::domain::ids::CaseId;
use crate::domain::text::said;
use crate::engine::Engine;
use crate::engine::desk::{Desk, DeskError, Terms};
use crate::engine::document::{self, Fields};
use crate::store::requests::{Once, Receipt};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Letters of a key at the most.
pub(super) const KEY_MAX: usize = 128;

pub(super) async fn open(
    State(engine): State<Engine>,
    caller: Caller,
    headers: HeaderMap,
    Document(text): Document,
) -> Result<Response, Problem> {
    caller.may(Scope::Write)?;
    let once = once(&engine, &caller, &headers, "open", &text)?;
    let once = once.ok_or_else(|| {
        let said = said!(
            "没有键;请为每个新请求写一个新的 Idempotency-Key,重试时用同一个",
            "there is no key; give every new request an Idempotency-Key of its own, and the same one when it is tried again"
        );
        Problem::parameter("Idempotency-Key", said)
    })?;
    let new: NewCase = document::read_object(&text).map_err(Problem::malformed)?;
    let unit = new.unit.as_ref().unwrap_or(caller.unit());
    let known = caller.rules.rulebook.org.units.contains_key(unit);
    if known && !caller.sees(unit) {
        let said = said!(
            "单位 {unit} 不属于本系统",
            "the unit {unit} is not one that this system sees"
        );
        return Err(forbidden(said).at("unit"));
    }
    let doing = engine.clone();
    let done = tokio::spawn(async move {
        let actor = caller.staff();
        let desk = Desk::of_system(&doing.store, &caller.rules.rulebook, &actor, None);
        desk.open_once(new, &once, doing.clock.now()).await
    });
    answer(&engine, StatusCode::CREATED, ended(done).await).await
}

pub(super) async fn command(
    State(engine): State<Engine>,
    caller: Caller,
    Named((case, command)): Named<(CaseId, String)>,
    headers: HeaderMap,
    Document(text): Document,
) -> Result<Response, Problem> {
    caller.may(Scope::Write)?;
    let what = format!("{case} {command}");
    let once = once(&engine, &caller, &headers, &what, &text)?;
    let version = version(&headers)?;
    let command = read_command(&command, &text)?;
    seen_case(&engine, &caller, &case).await?;
    let doing = engine.clone();
    let done = tokio::spawn(async move {
        let actor = caller.staff();
        let desk = Desk::of_system(&doing.store, &caller.rules.rulebook, &actor, None);
        let once = once.as_ref();
        let done = desk
            .act_on(&case, command, Terms { version, once }, doing.clock.now())
            .await;
        done.map(|(_, receipt)| receipt)
    });
    answer(&engine, StatusCode::OK, ended(done).await).await
}

/// The fields in the body, the name of the command in the address.
fn read_command(name: &str, text: &str) -> Result<Command, Problem> {
    let Fields(mut fields) = document::read_object(text).map_err(Problem::malformed)?;
    if fields.contains_key("do") {
        let said = said!(
            "命令的名称写在地址里,请删去",
            "the name of the command stands in the address; leave it out"
        );
        return Err(Problem::parameter("do", said));
    }
    fields.insert("do".to_owned(), Value::from(name));
    document::read_command(fields).map_err(|refusal| match refusal.field.as_deref() {
        Some("do") => Problem::no_command(refusal),
        _ => Problem::malformed(refusal),
    })
}

/// For which version of the case it is meant; `None` for any.
fn version(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(given) = headers.get(header::IF_MATCH) else {
        let said = said!(
            "请在 If-Match 中写读到的 ETag,如 \"7\"(写 * 则不论版本)",
            "give in If-Match the ETag that was read, such as \"7\" (or * for any version)"
        );
        return Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "unconditional",
            "Precondition required",
            said,
        )
        .at("If-Match"));
    };
    let given = given.to_str().unwrap_or_default().trim();
    if given == "*" {
        return Ok(None);
    }
    let number = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let number = number.and_then(|number| number.parse().ok());
    number.map(Some).ok_or_else(|| {
        let said = said!(
            "这不是案件的 ETag;可用: \"7\" 或 *",
            "it is no ETag of a case; allowed: \"7\" or *"
        );
        Problem::parameter("If-Match", said)
    })
}

/// The key of a request, if it has one, with what it stands for.
fn once(
    engine: &Engine,
    caller: &Caller,
    headers: &HeaderMap,
    what: &str,
    body: &str,
) -> Result<Option<Once>, Problem> {
    let Some(given) = headers.get(KEY) else {
        return Ok(None);
    };
    let key = given.to_str().unwrap_or_default().trim().trim_matches('"');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if !(1..=KEY_MAX).contains(&key.len()) || !key.bytes().all(is_plain) {
        let said = said!(
            "可用: 1 到 {KEY_MAX} 个字母、数字和 _ . : -",
            "allowed: 1 to {KEY_MAX} letters, digits and _ . : -"
        );
        return Err(Problem::parameter("Idempotency-Key", said));
    }
    Ok(Some(Once {
        actor: caller.actor(),
        key: key.to_owned(),
        sum: engine.store.request_sum(&format!("{what}\n{body}")),
    }))
}

type Doing = tokio::task::JoinHandle<Result<Receipt, DeskError>>;

async fn ended(doing: Doing) -> Result<Receipt, DeskError> {
    match doing.await {
        Ok(done) => done,
        // It is cancelled by nobody.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn answer(engine: &Engine, status: StatusCode, done: Result<Receipt, DeskError>) -> Result<Response, Problem> {
    let (receipt, again) = match done {
        Ok(receipt) => (receipt, false),
        Err(DeskError::Before(receipt)) => (receipt, true),
        Err(error) => return Err(Problem::of_desk(engine, error).await),
    };
    engine.ring_everywhere();
    let headers = [
        (header::ETAG, tag(receipt.version)),
        (header::LOCATION, format!("/api/v1/cases/{}", receipt.case)),
    ];
    let mut response = (status, headers, Json(receipt)).into_response();
    if again {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
