//! Whoever looks at personal data is noted before anything is shown; what cannot be noted is not shown.

use anyhow::Context as _;

use super::App;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::event::Event;
use crate::domain::house::{House, View};
use crate::domain::ids::CaseId;
use crate::store::{StoreError, commit, events};

impl App {
    /// Notes that whoever runs this process sees these cases. Always at the time it is: `--now` moves what is looked at, not the looking.
    pub async fn saw(&self, view: View, cases: &[&CaseId]) -> anyhow::Result<()> {
        let (case, seen) = House::viewed(view, cases);
        self.note_view(&case, Event::House(seen)).await
    }

    /// The same for a mail that came back and that belongs to no case.
    pub async fn saw_mail(&self, id: &str) -> anyhow::Result<()> {
        let seen = Event::House(House::Viewed {
            view: View::Returned,
            cases: 0,
            named: Vec::new(),
            mail: Some(id.to_owned()),
        });
        self.note_view(&CaseId::from(""), seen).await
    }

    async fn note_view(&self, case: &CaseId, seen: Event) -> anyhow::Result<()> {
        self.append_view(case, seen).await.context(
            "这次查看无法记录,因此不显示;请用有写权限的账号,磁盘满时先腾出空间 / this view cannot be recorded, so nothing is shown: use an account that may write the database, and free the disk if it is full",
        )
    }

    async fn append_view(&self, case: &CaseId, seen: Event) -> Result<(), StoreError> {
        let notes = self.engine.store.for_notes().await?;
        let mut tx = notes.begin().await?;
        events::append(&mut tx, SystemClock.now(), case, &self.place.who(), &[seen]).await?;
        commit(tx, "note who looked").await?;
        notes.close_writer().await;
        Ok(())
    }
}
