//! What a system may see. Whoever looks at personal data is noted before anything is shown.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::Caller;
use super::extract::{Asking, Named};
use super::problem::Problem;
use crate::config::api::Scope;
use crate::domain::case::{Case, Status};
use crate::domain::house::View;
use crate::domain::ids::{CaseId, MatterId, PersonId, ReminderId, StaffId, UnitId};
use crate::domain::text::{said, shown};
use crate::engine::Engine;
use crate::engine::case_page::CasePage;
use crate::engine::digest_content;
use crate::engine::status::status;
use crate::store::StoreError;
use crate::store::cases::{Asked, StoredCase};

/// Cases on a page when nobody says.
const PAGE: u16 = 50;
pub(super) const PAGE_MAX: u16 = 200;
/// Decisions about one case.
const DECISIONS_MAX: i64 = 1_000;

/// Which cases are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    unit: Option<UnitId>,
    owner: Option<StaffId>,
    status: Option<StatusName>,
    limit: Option<u16>,
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusName {
    Open,
    Waiting,
    Closed,
}

impl StatusName {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Closed => "closed",
        }
    }
}

/// A case in a list: whose it is and how it stands, nothing that anybody said.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Summary {
    case: CaseId,
    version: i64,
    matter: MatterId,
    unit: UnitId,
    owner: StaffId,
    status: String,
    opened_at: Timestamp,
    /// Whether it is sorted first.
    priority: bool,
    resident: PersonId,
}

impl Summary {
    fn of(StoredCase { case, version, .. }: &StoredCase) -> Self {
        let status = match case.status {
            Status::Open => StatusName::Open,
            Status::Waiting { .. } => StatusName::Waiting,
            Status::Closed { .. } => StatusName::Closed,
        };
        Self {
            case: case.id.clone(),
            version: *version,
            matter: case.matter.clone(),
            unit: case.unit.clone(),
            owner: case.owner.clone(),
            status: status.name().to_owned(),
            opened_at: case.opened_at,
            priority: case.priority.is_some(),
            resident: case.party.person.clone(),
        }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    cases: Vec<Summary>,
    /// With it as `cursor` comes the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) async fn cases(
    State(engine): State<Engine>,
    caller: Caller,
    Asking(list): Asking<List>,
) -> Result<Json<Cases>, Problem> {
    caller.may(Scope::Read)?;
    let limit = list.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::parameter(
            "limit",
            said!(
                "{limit} 超出范围;可用: 1 到 {PAGE_MAX}",
                "{limit} is out of range; allowed: 1 to {PAGE_MAX}"
            ),
        ));
    }
    let mut units = caller.units();
    if let Some(unit) = &list.unit {
        let org = &caller.rules.rulebook.org;
        units.retain(|one| org.is_within(one, unit));
    }
    let asked = Asked {
        units: &units,
        owner: list.owner.as_ref(),
        status: list.status.map(StatusName::name),
        before: list.cursor.as_deref(),
        limit: i64::from(limit),
    };
    let found = engine.store.page_of_cases(&asked).await;
    let (found, next) = or_problem(&engine, found).await?;
    let seen: Vec<&CaseId> = found.iter().map(|stored| &stored.case.id).collect();
    note(&engine, &caller, View::List, &seen).await?;
    Ok(Json(Cases {
        cases: found.iter().map(Summary::of).collect(),
        next: next.map(|id| id.to_string()),
    }))
}

pub(super) async fn case(
    State(engine): State<Engine>,
    caller: Caller,
    Named(id): Named<CaseId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let book = &caller.rules.rulebook;
    let now = engine.clock.now();
    let page = CasePage::read(&engine.store, book, &id, now).await;
    let page = or_problem(&engine, page).await?;
    let page = page.filter(|page| caller.sees(&page.stored.case.unit));
    let page = page.ok_or_else(|| Problem::no_case(&id))?;
    let tag = tag(page.stored.version);
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    note(&engine, &caller, View::Case, &[&id]).await?;
    Ok(([(header::ETAG, tag)], Json(page.json(book))).into_response())
}

/// The version of a case as an entity tag.
pub(super) fn tag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Every decision about a case, with its attempts.
pub(super) async fn reminders(
    State(engine): State<Engine>,
    caller: Caller,
    Named(id): Named<CaseId>,
) -> Result<Json<Value>, Problem> {
    caller.may(Scope::Read)?;
    seen_case(&engine, &caller, &id).await?;
    note(&engine, &caller, View::Ledger, &[&id]).await?;
    let decisions = or_problem(&engine, decisions(&engine, &id).await).await?;
    Ok(Json(json!({ "case": id, "decisions": decisions })))
}

async fn decisions(engine: &Engine, id: &CaseId) -> Result<Vec<Value>, StoreError> {
    let mut decisions = Vec::new();
    for row in engine.store.ledger_of(id, DECISIONS_MAX).await? {
        let attempts = engine.store.attempts_of(&ReminderId::from(row.id.as_str())).await?;
        decisions.push(json!({ "reminder": row, "attempts": attempts }));
    }
    Ok(decisions)
}

/// The case, when it is there for this system.
pub(super) async fn seen_case(engine: &Engine, caller: &Caller, id: &CaseId) -> Result<Case, Problem> {
    let stored = or_problem(engine, engine.store.case(id).await).await?;
    let stored = stored.filter(|stored| caller.sees(&stored.case.unit));
    stored.map(|stored| stored.case).ok_or_else(|| Problem::no_case(id))
}

/// Of which day.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfDay {
    date: Option<Date>,
}

/// What a member of staff has to do on a day, as their digest has it.
pub(super) async fn digest(
    State(engine): State<Engine>,
    caller: Caller,
    Named(staff): Named<StaffId>,
    Asking(of): Asking<OfDay>,
) -> Result<Json<Value>, Problem> {
    caller.may(Scope::Read)?;
    let nobody = || {
        let staff = shown(staff.as_str());
        let said = said!(
            "没有工作人员“{staff}”,或不属于本系统的单位",
            "there is no member of staff \"{staff}\", or they belong to a unit that this system does not see"
        );
        Problem::new(StatusCode::NOT_FOUND, "no-staff", "No such member of staff", said).at("staff")
    };
    let rules = &caller.rules;
    let member = rules.rulebook.org.staff.get(&staff);
    if !member.is_some_and(|member| caller.sees(&member.unit)) {
        return Err(nobody());
    }
    let now = engine.clock.now();
    let day = of.date.unwrap_or_else(|| rules.rulebook.zone.to_datetime(now).date());
    let digest = digest_content::build(&engine, rules, &staff, day, now).await;
    let digest = or_problem(&engine, digest).await?.ok_or_else(nobody)?;
    note(&engine, &caller, View::Digest, &[]).await?;
    Ok(Json(json!(digest)))
}

/// How the daemon is.
pub(super) async fn state(State(engine): State<Engine>, caller: Caller) -> Result<Json<Value>, Problem> {
    caller.may(Scope::Status)?;
    let status = or_problem(&engine, status(&engine).await).await?;
    let mut all = json!(status);
    all["version"] = json!(env!("CARGO_PKG_VERSION"));
    Ok(Json(all))
}

async fn note(engine: &Engine, caller: &Caller, view: View, cases: &[&CaseId]) -> Result<(), Problem> {
    let now = engine.clock.now();
    let noted = engine.note_view(&caller.actor(), view, cases, now).await;
    or_problem(engine, noted).await
}

pub(super) async fn or_problem<T>(engine: &Engine, done: Result<T, StoreError>) -> Result<T, Problem> {
    match done {
        Ok(done) => Ok(done),
        Err(error) => Err(Problem::of_store(engine, &error).await),
    }
}
