//! What the kinds of item have in common, and what everybody who follows dates may ask of each: [`Followed`].

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Acknowledgement, ItemKind, is_zero};
use crate::domain::ids::{ItemId, LadderId, OfficeId, StaffId};
use crate::domain::ladder::Ladder;
use crate::domain::milestone::{Milestone, Milestones};
use crate::domain::period::{Counted, PeriodError};
use crate::domain::rulebook::{PeriodKind, Rulebook};
use crate::domain::text::Said;

/// What items of the newer kinds begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub id: ItemId,
    /// When its present date was entered.
    pub set_at: Timestamp,
    /// How often people have moved its date. A date that was moved back is told again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moves: u32,
    /// When it passed to whoever has it now, if it did since it was last moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Passes::is_none")]
    pub passes: Passes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

/// How often an item went into other hands, and who had it before: their calendar has to hear that it is theirs no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passes {
    pub times: u32,
    pub from: Option<StaffId>,
}

impl Passes {
    pub(super) fn is_none(&self) -> bool {
        self.times == 0
    }

    pub(super) fn pass_from(&mut self, holder: StaffId) {
        self.times = self.times.saturating_add(1);
        self.from = Some(holder);
    }
}

impl Head {
    pub fn new(id: ItemId, set_at: Timestamp) -> Self {
        Self {
            id,
            set_at,
            moves: 0,
            passed_at: None,
            passes: Passes::default(),
            acknowledged: None,
        }
    }

    /// Another date, entered at `at`. What was acknowledged was the one before.
    pub fn move_at(&mut self, at: Timestamp) {
        self.set_at = at;
        self.moves += 1;
        self.passed_at = None;
        self.acknowledged = None;
    }

    pub(super) fn as_base(&self) -> Base<'_> {
        Base {
            id: &self.id,
            set_at: self.set_at,
            moves: self.moves,
            acknowledged: self.acknowledged.as_ref(),
        }
    }
}

/// What every item has, whatever its kind.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    pub id: &'a ItemId,
    pub set_at: Timestamp,
    pub moves: u32,
    pub acknowledged: Option<&'a Acknowledgement>,
}

/// The time somebody is bound by an item, and where.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub from: Timestamp,
    pub to: Timestamp,
    pub office: &'a OfficeId,
}

/// The dates of an item as the rules see them, and the ladder that goes by them.
#[derive(Debug, Clone, Default)]
pub struct Dates<'a> {
    pub ladder: Option<&'a Ladder>,
    pub milestones: Milestones,
    /// From when on nobody needs to hear of it any more: what is called off, once it would have begun.
    pub useful_until: Option<Timestamp>,
    /// The rule of a deadline; `None` for other items and for kinds that the rules no longer know.
    pub kind: Option<&'a PeriodKind>,
    pub counted: Option<Counted>,
    /// Why a deadline has no dates although its trigger is known.
    pub trouble: Option<PeriodError>,
}

impl<'a> Dates<'a> {
    pub(super) fn new(rules: &'a Rulebook, ladder: &LadderId, milestones: Milestones) -> Self {
        Self {
            ladder: rules.ladders.get(ladder),
            milestones,
            ..Self::default()
        }
    }

    pub(super) fn useful_until(self, until: Option<Timestamp>) -> Self {
        Self {
            useful_until: until,
            ..self
        }
    }
}

/// What the planner, the agenda and the digest ask of an item.
pub trait Followed<'a> {
    fn base(&self) -> Base<'a>;

    fn kind(&self) -> ItemKind;

    /// Whether something is still to be done.
    fn is_open(&self) -> bool;

    /// Whether anybody may still have to hear of it, also when nothing is left to be done or the case is closed.
    fn is_live(&self, case_is_closed: bool) -> bool {
        self.is_open() && !case_is_closed
    }

    /// The member of staff it names; `None` is the owner of the case.
    fn assignee(&self) -> Option<&'a StaffId> {
        None
    }

    /// How often it went into other hands, and out of whose.
    fn passes(&self) -> Option<&'a Passes> {
        None
    }

    /// Somebody of another unit who owes an answer.
    fn contact(&self) -> Option<&'a StaffId> {
        None
    }

    /// The milestone by which somebody has to act: lists are sorted by it.
    fn act_by(&self) -> Milestone;

    /// When somebody is bound by it.
    fn span(&self) -> Option<Span<'a>> {
        None
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a>;

    /// What it is, for staff.
    fn title(&self, rules: &Rulebook) -> Said;

    /// The same in a word or two that may stand anywhere: nothing that people have typed.
    fn label(&self) -> Said;

    /// What staff should know at a glance, beside the date.
    fn remark(&self, _rules: &Rulebook, _today: Date) -> Said {
        Said::default()
    }
}
