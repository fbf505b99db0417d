//! How late reminders are taken by a mail server, by the real clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use xixin::app::App;
use xixin::clock::{Clock, SystemClock};

use super::{AT_ONCE, House, Loops, local, promise_calls};

/// How many milliseconds each took from when it was due until the server had said yes; in order.
pub(crate) struct Lateness(Vec<i64>);

impl Lateness {
    /// Of so many reminders whose instants are spread over one second. All are waited for but `stuck`, which a dead server keeps.
    pub(crate) async fn of(house: &House, count: usize, stuck: usize) -> Self {
        house.append("ladders.toml", AT_ONCE);
        let app = Box::pin(house.open(Arc::new(SystemClock))).await;
        let now = SystemClock.now();
        let after = |ms: i64| {
            let at = now.checked_add(SignedDuration::from_millis(ms));
            at.expect("it is an instant")
        };
        let spread = |n: usize| after(20_000 + i64::try_from(n * 1_000 / count).unwrap_or(0));
        let dues: Vec<String> = (0..count).map(|n| local(spread(n))).collect();
        Box::pin(promise_calls(&app, &dues, now)).await;
        let loops = Loops::start(&app);
        let late = loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if SystemClock.now() < after(21_000) {
                continue;
            }
            if let Some(late) = Box::pin(taken(&app, count - stuck)).await {
                break late;
            }
        };
        loops.end();
        Self(late)
    }

    pub(crate) fn p99(&self) -> i64 {
        self.at(990)
    }

    fn at(&self, share: usize) -> i64 {
        let place = (self.0.len() * share / 1_000).min(self.0.len().saturating_sub(1));
        self.0.get(place).copied().unwrap_or(0)
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99, max) = (self.at(500), self.p99(), self.at(1_000));
        write!(f, "p50 {p50} ms, p99 {p99} ms, max {max} ms")
    }
}

/// What the ledger has as taken so far, in order. It is asked seldom: that is work, too.
async fn taken(app: &App, count: usize) -> Option<Vec<i64>> {
    let store = &app.engine.store;
    let rows = store.ledger_between(Timestamp::MIN, Timestamp::MAX, 1_000_000).await;
    let rows = rows.expect("the database can be read").into_iter();
    let taken: Vec<_> = rows
        .filter(|row| row.state == "accepted" && row.mark.contains("|at-once|"))
        .collect();
    if taken.len() < count {
        return None;
    }
    let mut late = Vec::with_capacity(taken.len());
    for row in taken {
        let attempts = store.attempts_of(&row.id.as_str().into()).await;
        let attempts = attempts.expect("the database can be read").into_iter();
        let accepted = attempts.filter(|attempt| attempt.outcome == "accepted");
        late.extend(accepted.filter_map(|attempt| attempt.ended_ms.map(|ended| ended - row.due_ms)));
    }
    late.sort_unstable();
    Some(late)
}
