//! Which system asks, by its token, and what it may.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use crate::config::api::{Scope, System};
use crate::domain::ids::{StaffId, UnitId};
use crate::domain::org::{Role, Staff};
use crate::domain::text::{Said, said};
use crate::engine::Engine;
use crate::engine::live::Rules;

/// A system that has shown its token, and the rules by which this request is answered.
pub(super) struct Caller {
    pub rules: Arc<Rules>,
    name: String,
    system: System,
}

impl FromRequestParts<Engine> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Problem> {
        let rules = engine.live.get();
        let given = parts.headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = given
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else {
            return Err(unknown(said!(
                "没有令牌;请在 Authorization 中写 Bearer 令牌",
                "there is no token; send Authorization: Bearer TOKEN"
            )));
        };
        let shown = hex::encode(Sha256::digest(token.trim()));
        let known = rules.settings.api.system.iter();
        let mut known = known.filter(|(_, system)| is_same(&system.token_sha256, &shown));
        let Some((name, system)) = known.next() else {
            return Err(unknown(said!("没有系统用这个令牌", "no system has this token")));
        };
        let today = rules.rulebook.zone.to_datetime(engine.clock.now()).date();
        if today > system.until {
            return Err(unknown(said!(
                "令牌已于 {0} 到期,请换新的",
                "the token was good until {0}; ask for another one",
                system.until
            )));
        }
        let (name, system) = (name.clone(), system.clone());
        Ok(Self { rules, name, system })
    }
}

fn unknown(said: Said) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorised", "Unauthorised", said).at("Authorization")
}

/// In the same time wherever they differ.
fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differences == 0
}

impl Caller {
    pub(super) fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.system.scopes.contains(&scope) {
            return Ok(());
        }
        let scope = scope.name();
        Err(forbidden(said!(
            "令牌没有权限“{scope}”",
            "the token lacks the scope \"{scope}\""
        )))
    }

    /// Who it is in the history of a case.
    pub(super) fn actor(&self) -> String {
        format!("system:{}", self.name)
    }

    /// It acts in its own name, as a clerk of its unit: what takes a supervisor is for people.
    pub(super) fn staff(&self) -> Staff {
        Staff {
            id: StaffId::from(self.actor()),
            name: self.name.clone(),
            unit: self.system.unit.clone(),
            role: Role::Clerk,
            email: None,
            mobile: None,
            digest: false,
            leaves: None,
            absences: Vec::new(),
        }
    }

    pub(super) fn sees(&self, unit: &UnitId) -> bool {
        self.rules.rulebook.org.is_within(unit, &self.system.unit)
    }

    /// Its own unit and those below it.
    pub(super) fn units(&self) -> Vec<UnitId> {
        let units = self.rules.rulebook.org.units.keys();
        units.filter(|unit| self.sees(unit)).cloned().collect()
    }

    pub(super) fn unit(&self) -> &UnitId {
        &self.system.unit
    }
}

pub(super) fn forbidden(said: Said) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", said)
}
