//! What happened to a case: written once, never changed. Events carry ids and dates, never names, numbers or words of residents.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::case::{AttemptResult, CaseFlag, ContactKind, Direction, Origin};
use crate::domain::ids::{ItemId, MatterId, OfficeId, PeriodId, PersonId, ReminderId, StaffId, UnitId};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    CaseOpened {
        matter: MatterId,
        unit: UnitId,
        owner: StaffId,
        origin: Origin,
    },
    CaseImported {
        matter: MatterId,
        unit: UnitId,
        owner: StaffId,
    },
    DeadlineAdded {
        item: ItemId,
        kind: PeriodId,
    },
    TriggerSet {
        item: ItemId,
        trigger: String,
    },
    EndFixed {
        item: ItemId,
        end: Date,
    },
    ItemDone {
        item: ItemId,
    },
    ItemReopened {
        item: ItemId,
    },
    Acknowledged {
        item: ItemId,
        until: Timestamp,
    },
    CallbackPromised {
        item: ItemId,
        by: StaffId,
        due: String,
    },
    CallbackAttempted {
        item: ItemId,
        result: AttemptResult,
    },
    CallbackKept {
        item: ItemId,
    },
    CallbackMoved {
        item: ItemId,
        due: String,
    },
    CallbackPassed {
        item: ItemId,
        from: StaffId,
        to: StaffId,
    },
    AppointmentBooked {
        item: ItemId,
        office: OfficeId,
        start: Timestamp,
        with: StaffId,
    },
    AppointmentMoved {
        item: ItemId,
        start: Timestamp,
    },
    AppointmentAttended {
        item: ItemId,
    },
    AppointmentCancelled {
        item: ItemId,
    },
    Contacted {
        direction: Direction,
        kind: ContactKind,
    },
    OwnerChanged {
        from: StaffId,
        to: StaffId,
    },
    PriorityGranted {
        by: StaffId,
    },
    PriorityWithdrawn,
    FlagSet {
        flag: CaseFlag,
    },
    FlagCleared {
        flag: CaseFlag,
    },
    WaitingSince {
        at: Timestamp,
    },
    Resumed,
    CaseClosed {
        r#as: String,
    },
    CaseReopened,
    TaskDone {
        reminder: ReminderId,
        result: AttemptResult,
    },
    PersonChanged {
        person: PersonId,
        fields: Vec<String>,
    },
    RelativeAdded {
        person: PersonId,
        opted_in: bool,
    },
    /// A message was refused for good, and staff were asked to phone instead.
    MessageRefused {
        reminder: ReminderId,
    },
}
