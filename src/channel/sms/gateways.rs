//! Several gateways in their order: each message goes by the first one that can say it and is not in trouble.
//!
//! Three of its own faults in a row (or its wish to wait) take a gateway out of turn for a minute; then one message tries it again. A
//! message that another gateway would take now waits a second instead of a minute, and is prepared anew for that one. Only what has
//! certainly not left goes on like this: an SMS of unknown fate never does.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::http::GatewayError;
use super::smpp::{Arrived, SmppGateway};
use super::web_gateway::WebGateway;
use super::{Known, Question, Sms, Wire, WireSms, replaced};
use crate::channel::build::BuildError;
use crate::channel::outcome::{Blame, Fault, Outcome, Stage};
use crate::channel::{ChannelError, Line};
use crate::config::gateways::{Gateway as Settings, Kind};
use crate::config::settings;
use crate::domain::retry::PROVIDER_PAUSE_S;

const FAULTS_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_secs(PROVIDER_PAUSE_S);
/// When another gateway would take a message, it is prepared for that one at once.
const SOON: Duration = Duration::from_secs(1);

/// All named gateways, the first in order first.
pub struct Gateways(Vec<Named>);

struct Named {
    name: Arc<str>,
    is_reported: bool,
    adapter: Adapter,
    trust: Trust,
    pace: Option<Pace>,
}

enum Adapter {
    Web(WebGateway),
    Smpp(Box<SmppGateway>),
}

/// Which gateway a message is prepared for, and who else could take it.
pub(super) struct Chosen {
    name: Arc<str>,
    is_reported: bool,
    others: Vec<Arc<str>>,
    /// It is the one message that tries a gateway again.
    is_trial: bool,
}

impl Chosen {
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(super) fn is_reported(&self) -> bool {
        self.is_reported
    }
}

/// One gateway as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    pub name: String,
    /// What it said last, while it is out of turn.
    pub trouble: Option<String>,
}

impl Gateways {
    /// Sets all of them up; connects to none.
    pub fn new(settings: &settings::Sms, credentials: Option<&Path>) -> Result<Self, ChannelError> {
        let mut ordered: Vec<(&String, &Settings)> = settings.gateway.iter().collect();
        ordered.sort_by_key(|(name, gateway)| (gateway.order, name.as_str()));
        let mut list = Vec::with_capacity(ordered.len());
        for (name, gateway) in ordered {
            // Settings with none or several kinds are refused when they are read.
            let Some(kind) = gateway.kinds().into_iter().next() else {
                continue;
            };
            let web = |gateway: Result<WebGateway, GatewayError>| gateway.map(Adapter::Web);
            let adapter = match kind {
                Kind::Http(settings) => web(WebGateway::http(settings, credentials)),
                Kind::Aliyun(settings) => web(WebGateway::aliyun(name, settings, credentials)),
                Kind::Tencent(settings) => web(WebGateway::tencent(name, settings, credentials)),
                Kind::Kannel(settings) => web(WebGateway::kannel(settings, credentials)),
                Kind::Smpp(settings) => SmppGateway::new(settings, gateway.receipts, credentials)
                    .map(|gateway| Adapter::Smpp(Box::new(gateway))),
            };
            list.push(Named {
                name: name.as_str().into(),
                is_reported: gateway.receipts,
                adapter: adapter.map_err(|cause| {
                    let key = format!("sms.gateway.{name}.{}.{}", kind.name(), cause.key());
                    ChannelError::new(&key, cause)
                })?,
                trust: Trust::default(),
                pace: gateway.per_second.map(Pace::new),
            });
        }
        Ok(Self(list))
    }

    pub(super) fn prepare(&self, sms: &Sms) -> Result<WireSms, BuildError> {
        let able: Vec<&Named> = self.0.iter().filter(|named| named.adapter.takes(sms)).collect();
        let now = Instant::now();
        let open = able.iter().find_map(|named| Some((named, named.trust.turn(now)?)));
        let chosen = open.or_else(|| {
            let soonest = able.iter().min_by_key(|named| named.trust.until());
            soonest.map(|named| (named, Turn::Free))
        });
        let (chosen, turn) = chosen.ok_or_else(|| BuildError::Template {
            key: "sms.gateway".to_owned(),
            detail: "没有网关登记了此文本的模板 / no gateway has a template for this text".to_owned(),
        })?;
        let others = able.iter().filter(|named| named.name != chosen.name);
        let others = others.map(|named| Arc::clone(&named.name)).collect();
        let mut wire = WireSms::new(chosen.adapter.prepare(sms)?);
        wire.way = Some(Chosen {
            name: Arc::clone(&chosen.name),
            is_reported: chosen.is_reported,
            others,
            is_trial: turn == Turn::Trial,
        });
        Ok(wire)
    }

    fn named(&self, name: &str) -> Option<&Named> {
        self.0.iter().find(|named| &*named.name == name)
    }

    fn of(&self, sms: &WireSms) -> Option<&Named> {
        self.named(&sms.way.as_ref()?.name)
    }

    pub(super) async fn line(&self, sms: &WireSms) -> Line<'_> {
        let Some(named) = self.of(sms) else {
            return Line::unlimited();
        };
        let line = named.adapter.line().await;
        if let Some(pace) = &named.pace {
            pace.turn().await;
        }
        line
    }

    pub(super) async fn send_on(&self, line: Line<'_>, sms: &WireSms) -> Outcome {
        let Some(named) = self.of(sms) else {
            return replaced();
        };
        let another = || self.has_another(sms);
        let is_trial = sms.way.as_ref().is_some_and(|chosen| chosen.is_trial);
        // Others of its batch have found out in the meantime that it takes nothing.
        if !is_trial && named.trust.is_closed(Instant::now()) && another() {
            return elsewhere(&named.trust.trouble().unwrap_or_default());
        }
        let outcome = named.adapter.send_on(line, &sms.wire).await;
        named.trust.note(&outcome, Instant::now());
        match &outcome {
            Outcome::Deferred { fault, reason, .. } if fault.blame == Blame::Provider && another() => elsewhere(reason),
            _ => outcome,
        }
    }

    pub(super) fn has_another(&self, sms: &WireSms) -> bool {
        let now = Instant::now();
        let others = sms.way.iter().flat_map(|chosen| &chosen.others);
        others
            .filter_map(|name| self.named(name))
            .any(|named| !named.trust.is_closed(now))
    }

    pub(super) fn can_query(&self, name: Option<&str>) -> bool {
        let named = name.and_then(|name| self.named(name));
        named.is_some_and(|named| named.adapter.can_query())
    }

    pub(super) fn any_can_be_asked(&self) -> bool {
        self.0.iter().any(|named| named.adapter.can_query())
    }

    /// Asks the gateway that the message went by: another one knows nothing of it.
    pub(super) async fn query(&self, question: &Question) -> Known {
        match question.gateway.as_deref().and_then(|name| self.named(name)) {
            Some(named) => named.adapter.query(question).await,
            None => Known::Unclear,
        }
    }

    pub(super) async fn probe(&self) -> Result<(), Outcome> {
        for named in &self.0 {
            named.adapter.probe().await?;
        }
        Ok(())
    }

    /// Asks each one by itself.
    pub async fn probe_each(&self) -> Vec<(String, Result<(), Outcome>)> {
        let mut probes = Vec::with_capacity(self.0.len());
        for named in &self.0 {
            probes.push((named.name.to_string(), named.adapter.probe().await));
        }
        probes
    }

    /// The next thing that comes over an open line, with the name of its gateway. Holds the lines open meanwhile; never ends when no
    /// gateway has one.
    pub async fn next(&self) -> (Arc<str>, Arrived) {
        let lines = self.0.iter().filter_map(|named| match &named.adapter {
            Adapter::Smpp(gateway) => Some(Box::pin(async { (Arc::clone(&named.name), gateway.next().await) })),
            _ => None,
        });
        let lines: Vec<_> = lines.collect();
        if lines.is_empty() {
            return std::future::pending().await;
        }
        futures_util::future::select_all(lines).await.0
    }

    pub(super) fn providers(&self) -> Vec<Provider> {
        let provider = |named: &Named| Provider {
            name: named.name.to_string(),
            trouble: named.trust.trouble(),
        };
        self.0.iter().map(provider).collect()
    }
}

fn elsewhere(reason: &str) -> Outcome {
    Outcome::of(
        Fault::new(Blame::Provider, Stage::Request),
        format!("{reason};改用其他网关 / the next gateway takes over"),
        Some(SOON),
    )
}

impl Adapter {
    /// Whether it can say this message at all.
    fn takes(&self, sms: &Sms) -> bool {
        match self {
            Self::Web(gateway) => gateway.takes(sms),
            Self::Smpp(_) => true,
        }
    }

    fn prepare(&self, sms: &Sms) -> Result<Wire, BuildError> {
        match self {
            Self::Web(gateway) => gateway.prepare(sms).map(Wire::Web),
            Self::Smpp(gateway) => gateway.prepare(sms).map(Wire::Smpp),
        }
    }

    async fn line(&self) -> Line<'_> {
        match self {
            Self::Web(gateway) => gateway.line().await,
            Self::Smpp(gateway) => gateway.line().await,
        }
    }

    async fn send_on(&self, line: Line<'_>, wire: &Wire) -> Outcome {
        match (self, wire) {
            (Self::Web(gateway), Wire::Web(prepared)) => gateway.send_on(line, prepared).await,
            (Self::Smpp(gateway), Wire::Smpp(prepared)) => gateway.send_on(line, prepared).await,
            _ => replaced(),
        }
    }

    fn can_query(&self) -> bool {
        match self {
            Self::Web(gateway) => gateway.can_query(),
            // query_sm wants the name that the SMS centre gave in its answer, and what has that is in no doubt.
            Self::Smpp(_) => false,
        }
    }

    async fn query(&self, question: &Question) -> Known {
        match self {
            Self::Web(gateway) => gateway.query(question).await,
            Self::Smpp(_) => Known::Unclear,
        }
    }

    async fn probe(&self) -> Result<(), Outcome> {
        match self {
            Self::Web(gateway) => gateway.probe().await,
            Self::Smpp(gateway) => gateway.probe().await,
        }
    }
}

/// Whether a gateway is worth trying. By the steady clock: how long ago a fault was does not depend on what time it is.
#[derive(Default)]
struct Trust(Mutex<State>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Free,
    /// The one message that tries it again.
    Trial,
}

#[derive(Default)]
struct State {
    faults: u32,
    closed_until: Option<Instant>,
    trouble: Option<String>,
}

impl Trust {
    /// Whether a message may go this way. When a pause is over, the first to ask tries, and the others wait for what comes of it.
    fn turn(&self, now: Instant) -> Option<Turn> {
        let mut state = self.state();
        match state.closed_until {
            None => Some(Turn::Free),
            Some(until) if until <= now => {
                state.closed_until = Some(now + PAUSE);
                Some(Turn::Trial)
            }
            Some(_) => None,
        }
    }

    fn is_closed(&self, now: Instant) -> bool {
        self.state().closed_until.is_some_and(|until| until > now)
    }

    fn until(&self) -> Option<Instant> {
        self.state().closed_until
    }

    fn note(&self, outcome: &Outcome, now: Instant) {
        let mut state = self.state();
        let (reason, wish) = match outcome {
            // Whoever does not say what became of one message is not given the next thousand.
            Outcome::Uncertain { reason } => (reason, None),
            Outcome::Deferred {
                fault,
                reason,
                retry_after,
            } if fault.blame == Blame::Provider => (reason, *retry_after),
            _ => return *state = State::default(),
        };
        state.faults = if wish.is_some() {
            FAULTS_MAX
        } else {
            state.faults.saturating_add(1)
        };
        state.trouble = Some(reason.clone());
        if state.faults >= FAULTS_MAX {
            state.closed_until = Some(now + wish.unwrap_or(PAUSE));
        }
    }

    fn trouble(&self) -> Option<String> {
        let state = self.state();
        state.closed_until.and(state.trouble.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Not more than so many a second, evenly.
struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Self {
            gap: Duration::from_secs(1) / per_second.max(1),
            next: Mutex::default(),
        }
    }

    async fn turn(&self) {
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + self.gap);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(wish: Option<Duration>) -> Outcome {
        Outcome::of(Fault::new(Blame::Provider, Stage::Request), "x".to_owned(), wish)
    }

    #[test]
    fn three_faults_take_a_gateway_out_of_turn_and_one_message_tries_it_again() {
        let (trust, start) = (Trust::default(), Instant::now());
        for _ in 0..2 {
            trust.note(&fault(None), start);
            assert_eq!(trust.turn(start), Some(Turn::Free));
        }
        trust.note(&fault(None), start);
        assert_eq!((trust.turn(start), trust.is_closed(start)), (None, true));
        assert_eq!(trust.trouble().as_deref(), Some("x"));
        let later = start + PAUSE;
        assert_eq!((trust.turn(later), trust.turn(later)), (Some(Turn::Trial), None));
        trust.note(&Outcome::Accepted { reference: None }, later);
        assert_eq!((trust.turn(later), trust.trouble()), (Some(Turn::Free), None));
    }

    #[test]
    fn a_gateways_wish_to_wait_is_granted_at_once() {
        let (trust, start) = (Trust::default(), Instant::now());
        trust.note(&fault(Some(Duration::from_secs(300))), start);
        assert_eq!(trust.turn(start + Duration::from_secs(299)), None);
        assert_eq!(trust.turn(start + Duration::from_secs(300)), Some(Turn::Trial));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_a_second_spreads_messages_evenly() {
        let (pace, start) = (Pace::new(4), Instant::now());
        for _ in 0..9 {
            pace.turn().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(2));
    }
}
