//! Which of several mail servers takes the next message, and when one that failed is asked again.
//!
//! The first one in the order of the settings that is trusted and has a free line. What certainly was not sent goes on to the next
//! server within the same attempt. A server whose lines have all been silent for half a second is passed over from then on until it
//! says something, so that a dead one delays nobody by more. No message is risked on a server of which nothing is known while another could take it, nor on one that wants a
//! password: it is probed first - connect, log in, NOOP - and once a minute as long as it is not trusted.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tracing::{info, warn};

use crate::channel::build::WireMail;
use crate::channel::outcome::{Outcome, Stage};
use crate::channel::{Line, MailServer};
use crate::domain::ladder::Way;
use crate::engine::breaker::{Breaker, Flow};
use crate::engine::live::Rules;
use crate::engine::sender::Leave;
use crate::engine::{Engine, POLL};

/// A server that answers none of its lines for this long is passed over.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of each mail server, by its name in the settings.
#[derive(Debug, Default)]
pub struct Mailers(Mutex<Vec<(String, Arc<Breaker>)>>);

impl Mailers {
    /// Those of these rules; what is known of them stays known.
    pub(crate) fn keep(&self, rules: &Rules) {
        let servers = rules.channels.mail.as_ref().map_or(&[][..], |mail| mail.servers());
        let mut known = self.list();
        *known = servers
            .iter()
            .map(|server| {
                let old = known.iter().find(|(name, _)| name == server.name());
                let breaker = old.map(|(_, breaker)| Arc::clone(breaker)).unwrap_or_else(|| {
                    let careful = server.logs_in() || servers.len() > 1;
                    Arc::new(if careful {
                        Breaker::unproven()
                    } else {
                        Breaker::default()
                    })
                });
                (server.name().to_owned(), breaker)
            })
            .collect();
    }

    /// Whoever mended the settings wants them tried now.
    pub fn forget(&self) {
        self.list().clear();
    }

    pub fn of(&self, name: &str) -> Option<Arc<Breaker>> {
        let list = self.list();
        list.iter()
            .find(|(known, _)| known == name)
            .map(|(_, breaker)| Arc::clone(breaker))
    }

    /// What may be tried at this instant by any of them.
    pub fn flow(&self, now: Timestamp) -> Flow {
        let list = self.list();
        if list.is_empty() || list.iter().any(|(_, breaker)| breaker.flow(now) == Flow::Free) {
            return Flow::Free;
        }
        if list.iter().any(|(_, breaker)| breaker.is_unproven()) {
            return Flow::Probe;
        }
        let later = now.checked_add(POLL).unwrap_or(Timestamp::MAX);
        let asked_again = list.iter().filter(|(_, breaker)| !breaker.is_probing());
        let until = asked_again.map(|(_, breaker)| match breaker.flow(now) {
            Flow::Until(until) => until,
            Flow::Free | Flow::Probe => now,
        });
        Flow::Until(until.min().unwrap_or(later))
    }

    /// What the first said last, while none of them is trusted.
    pub fn trouble(&self) -> Option<String> {
        let list = self.list();
        let troubles: Option<Vec<String>> = list.iter().map(|(_, breaker)| breaker.trouble()).collect();
        troubles.and_then(|troubles| troubles.into_iter().next())
    }

    /// Each by name, with what it said last while it is not trusted.
    pub fn troubles(&self) -> Vec<(String, Option<String>)> {
        let list = self.list();
        list.iter()
            .map(|(name, breaker)| (name.clone(), breaker.trouble()))
            .collect()
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(String, Arc<Breaker>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The probes that are due now, each to be driven to its end: servers do not wait for one another.
pub(crate) fn probes(engine: &Engine, now: Timestamp) -> Vec<impl Future<Output = ()> + Send + use<>> {
    let rules = engine.live.get();
    let servers = rules.channels.mail.as_ref().map_or(0, |mail| mail.servers().len());
    let due = (0..servers).filter_map(|index| {
        let server = rules.channels.mail.as_ref()?.servers().get(index)?;
        let breaker = engine.breakers.email.of(server.name())?;
        breaker.take_probe(now).then_some((index, breaker))
    });
    let due: Vec<_> = due.collect();
    let probe = |(index, breaker)| probe(engine.clone(), Arc::clone(&rules), index, breaker);
    due.into_iter().map(probe).collect()
}

async fn probe(engine: Engine, rules: Arc<Rules>, index: usize, breaker: Arc<Breaker>) {
    let server = rules.channels.mail.as_ref().and_then(|mail| mail.servers().get(index));
    let Some(server) = server else { return };
    match server.probe().await {
        Ok(()) => {
            if breaker.trouble().is_some() {
                info!(
                    provider = server.name(),
                    "the mail server {} takes mail again",
                    server.name()
                );
            }
            breaker.answered();
        }
        Err(outcome) => note(&breaker, server, &outcome, engine.clock.now()),
    }
    engine.bells.email.notify_one();
}

/// What was sent by whom.
pub(crate) struct Sent {
    pub(crate) outcome: Outcome,
    /// The server that was asked last; `None` when none was.
    pub(crate) by: Option<String>,
}

/// One attempt: by the first server that can, and on to the next as long as it certainly was not sent. `begun` is told when a line is
/// found, or there is none to wait for. `None`: a stop or a pause came before anything was tried.
pub(crate) async fn send(
    engine: &Engine,
    rules: &Rules,
    mail: &WireMail,
    begun: impl FnOnce(),
    leave: Leave<'_>,
) -> Option<Sent> {
    let servers = rules.channels.mail.as_ref().map_or(&[][..], |mail| mail.servers());
    let mut begun = Some(begun);
    let mut tried = Vec::new();
    let mut last = Sent {
        outcome: Outcome::provider_down(
            "邮件服务器暂时不可用,稍后再试 / no mail server takes mail now; it will be tried again".to_owned(),
        ),
        by: None,
    };
    loop {
        let found = line(engine, servers, &tried).await;
        if let Some(begun) = begun.take() {
            begun();
        }
        let interrupted = leave.is_over(engine, Way::Email);
        match found {
            _ if interrupted => return last.by.is_some().then_some(last),
            None => return Some(last),
            Some((server, breaker, line)) => {
                let outcome = server.send_on(line, mail).await;
                note(&breaker, server, &outcome, engine.clock.now());
                let goes_on = outcome.provider_fault().is_some();
                last = Sent {
                    outcome,
                    by: Some(server.name().to_owned()),
                };
                if !goes_on {
                    return Some(last);
                }
                tried.push(server.name());
            }
        }
    }
}

/// Learns from an outcome whether the server is to be trusted.
fn note(breaker: &Breaker, server: &MailServer, outcome: &Outcome, now: Timestamp) {
    let opened = match outcome {
        // Whoever does not say what became of one message is not given the next thousand.
        Outcome::Uncertain { reason } => breaker.fault(now, reason),
        Outcome::Deferred { fault, reason, .. } if outcome.provider_fault().is_some() => {
            // A login that was refused is refused to everybody.
            if fault.stage == Stage::Auth && fault.code.is_some() {
                breaker.shut(now, reason)
            } else {
                breaker.fault(now, reason)
            }
        }
        _ => {
            breaker.answered();
            false
        }
    };
    if opened {
        let (name, reason) = (server.name(), outcome.reason().unwrap_or_default());
        warn!(
            provider = name,
            reason, "the mail server {name} takes nothing; it is asked once a minute: {reason}"
        );
    }
}

/// A free line of the first trusted server that has not been tried: at once where there is one, else as soon as one comes free.
async fn line<'a>(
    engine: &Engine,
    servers: &'a [MailServer],
    tried: &[&str],
) -> Option<(&'a MailServer, Arc<Breaker>, Line<'a>)> {
    let is_trusted = |breaker: &Breaker| breaker.flow(engine.clock.now()) == Flow::Free;
    'look: loop {
        let trusted = |server: &'a MailServer| {
            let breaker = engine.breakers.email.of(server.name())?;
            let usable = is_trusted(&breaker) && !tried.contains(&server.name());
            usable.then_some((server, breaker))
        };
        let usable: Vec<_> = servers.iter().filter_map(trusted).collect();
        let last = usable.len().checked_sub(1)?;
        for (index, (server, breaker)) in usable.into_iter().enumerate() {
            // Waited for in one go, so that a message keeps its turn among those that wait.
            let mut line = pin!(server.line());
            loop {
                let before = server.answers();
                // What one message has waited for in vain, the next need not.
                let patience = if index < last && breaker.is_silent() {
                    Duration::ZERO
                } else {
                    PATIENCE
                };
                match tokio::time::timeout(patience, &mut line).await {
                    Ok(line) if is_trusted(&breaker) => return Some((server, breaker, line)),
                    // It turned out to be down while this message waited.
                    Ok(_) => continue 'look,
                    Err(_) if !is_trusted(&breaker) => continue 'look,
                    Err(_) if index < last && server.answers() == before => {
                        breaker.fell_silent();
                        break;
                    }
                    Err(_) => {}
                }
            }
        }
    }
}
