//! The start after a run that ended without saying so: what it had claimed is queued again, what it may have sent is told to a person.

use jiff::Timestamp;

use crate::channel::sms::SmsGateway;
use crate::domain::delivery::{Doubt, Resolve};
use crate::domain::ids::CaseId;
use crate::domain::ladder::Way;
use crate::domain::text::Said;
use crate::engine::Engine;
use crate::engine::instead::another_way;
use crate::engine::nodes::run_of;
use crate::engine::prepare::{context, queued};
use crate::store::interrupted::{Doubtful, Whose, settle_interrupted};
use crate::store::reminders::NewReminder;
use crate::store::{StoreError, commit, reminders};

/// An e-mail that was under way when as many runs died goes to a person instead: it may be what kills them.
const EMAIL_CRASHES_MAX: i64 = 3;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Queued again.
    pub again: u64,
    /// Held until a person releases them: three runs have died over each of them.
    pub held: usize,
    /// Of unknown fate: a person has to look at them.
    pub doubtful: usize,
}

impl Engine {
    /// Settles what earlier runs have left behind.
    pub async fn take_over(&self, now: Timestamp) -> Result<TakenOver, StoreError> {
        let (run, node) = (&*self.holder, run_of(self.store.node(), ""));
        let whose = match self.store.is_shared() {
            false => Whose::Others(run),
            true => Whose::Earlier { run, node: &node },
        };
        self.settle(whose, now).await
    }

    /// Settles what these have left behind, together with the calls that staff make instead, in one transaction.
    pub(crate) async fn settle(&self, whose: Whose<'_>, now: Timestamp) -> Result<TakenOver, StoreError> {
        // From the first start on: a text that is changed before anything was sent is a changed one all the same.
        self.know_the_day(now).await?;
        let mut tx = self.store.begin().await?;
        let sms = Doubt {
            way: Way::Sms,
            priority: 0,
            doubts: 1,
            asked: 0,
            // By which of several each one went is seen when it is asked about; where that one cannot say, it is resolved then.
            can_ask: self
                .live
                .get()
                .channels
                .sms
                .as_ref()
                .is_some_and(SmsGateway::any_can_be_asked),
            since: now,
            now,
            valid_until: Timestamp::MAX,
        };
        let ask = match sms.resolve() {
            Resolve::Ask { at } => Some(at),
            Resolve::Again { .. } | Resolve::Person => None,
        };
        let found = settle_interrupted(&mut tx, whose, EMAIL_CRASHES_MAX, ask, now).await?;
        let mut calls = self.calls(&found.doubtful, &in_doubt(), now).await?;
        calls.extend(self.calls(&found.held, &deadly(), now).await?);
        reminders::add(&mut tx, &calls.iter().collect::<Vec<_>>()).await?;
        commit(tx, "take over from the last run").await?;
        Ok(TakenOver {
            again: found.again,
            held: found.held.len(),
            doubtful: found.doubtful.len(),
        })
    }

    /// Never the same message by another way: it may have arrived.
    async fn calls(&self, doubtful: &[Doubtful], said: &Said, now: Timestamp) -> Result<Vec<NewReminder>, StoreError> {
        let rules = self.live.get();
        let ids: Vec<CaseId> = doubtful.iter().map(|found| found.row.case_id.as_str().into()).collect();
        let cases = self.store.cases(&ids.iter().collect::<Vec<_>>()).await?;
        let mut rows = Vec::new();
        for Doubtful { way, row } in doubtful {
            let way = Way::parse(way).and_then(|way| queued(row, way));
            if let (Some(queued), Some(stored)) = (way, cases.get(row.case_id.as_str())) {
                let context = context(&rules, &stored.case, row, &queued, now);
                rows.extend(another_way(row, &context, said, "", now));
            }
        }
        Ok(rows)
    }
}

fn in_doubt() -> Said {
    Said::new(
        "程序中断,不知是否已发出",
        "interrupted; nobody knows whether it went out",
    )
}

fn deadly() -> Said {
    Said::new(
        "三次处理时程序都中断,已扣留",
        "the program ended three times while it had this in hand; it is held",
    )
}
