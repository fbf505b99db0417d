//! 材料: a paper that the matter needs, from required to handed over, and where it was looked for. A place that said it has none is never
//! suggested again.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::reply::chase_day;
use super::{Base, Case, Dates, Followed, Head};
use crate::domain::ids::StaffId;
use crate::domain::ladder::ItemKind;
use crate::domain::milestone::{Milestone, Milestones, Moment};
use crate::domain::rulebook::Rulebook;
use crate::domain::text::Said;

pub(super) const MILESTONES: &[Milestone] = &[Milestone::Chase];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Material {
    pub head: Head,
    pub name: Said,
    /// 出具单位: who issues it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Said>,
    /// Where it may be found, in the order to ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    pub state: MaterialState,
    /// 缺件: it holds the case up, and who is finding it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finder: Option<StaffId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<Search>,
}

/// 要求 > 索要 > 取得 > 核对 > 复印 > 转交
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum MaterialState {
    Required,
    Requested { at: Timestamp, from: String },
    Obtained { at: Timestamp },
    Verified { at: Timestamp },
    Copied { at: Timestamp },
    HandedOver { at: Timestamp },
    NotNeeded { at: Timestamp, reason: String },
}

/// One place that was asked, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    pub at: Timestamp,
    pub by: StaffId,
    pub place: String,
    pub answer: SearchAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchAnswer {
    /// 在此处
    Here,
    /// 不在此处
    NotHere,
    /// 让再问别处或改日再来
    Unclear,
}

impl<'a> Followed<'a> for &'a Material {
    fn base(&self) -> Base<'a> {
        self.head.as_base()
    }

    fn kind(&self) -> ItemKind {
        ItemKind::Material
    }

    fn is_open(&self) -> bool {
        matches!(self.state, MaterialState::Required | MaterialState::Requested { .. })
    }

    fn assignee(&self) -> Option<&'a StaffId> {
        self.finder.as_ref()
    }

    fn act_by(&self) -> Milestone {
        Milestone::Chase
    }

    fn dates(&self, rules: &'a Rulebook) -> Dates<'a> {
        let chase = self.last_asked().map(|last| {
            let day = chase_day(rules, last, rules.schedule.material.chase_workdays);
            Moment::Day(day)
        });
        let milestones = Milestones::default().with_some(Milestone::Chase, chase);
        Dates::new(rules, &rules.schedule.material.ladder, milestones)
    }

    fn title(&self, _: &Rulebook) -> Said {
        let Said { zh, en } = &self.name;
        Said::new(format!("材料: {zh}"), format!("Paper: {en}"))
    }

    fn label(&self) -> Said {
        Said::new("材料", "paper")
    }

    fn remark(&self, _: &Rulebook, _: Date) -> Said {
        let from = match &self.state {
            MaterialState::Requested { from, .. } => {
                Said::new(format!("已向{from}索要"), format!("asked for at {from}"))
            }
            _ => Said::default(),
        };
        match self.places_to_ask().next() {
            Some(place) => from.and(&Said::new(format!("可以问: {place}"), format!("ask at: {place}"))),
            None => from,
        }
    }
}

impl Material {
    /// When it was last asked for, while it is being looked for.
    fn last_asked(&self) -> Option<Timestamp> {
        if !Followed::is_open(&self) {
            return None;
        }
        let requested = match &self.state {
            MaterialState::Requested { at, .. } => Some(*at),
            _ => self.finder.as_ref().map(|_| self.head.set_at),
        };
        let searched = self.search.iter().map(|search| search.at).max();
        requested.map(|at| searched.map_or(at, |last| last.max(at)))
    }

    /// Whether it is in hand, or was never needed.
    pub fn is_there(&self) -> bool {
        !Followed::is_open(&self)
    }

    pub fn is_needed(&self) -> bool {
        !matches!(self.state, MaterialState::NotNeeded { .. })
    }

    /// 缺件: what a case is waiting for that cannot go on without this paper.
    pub fn waited_as(&self) -> String {
        format!("缺件: {}", self.name.zh)
    }

    /// How far it has come.
    pub fn rank(&self) -> u8 {
        match self.state {
            MaterialState::Required => 0,
            MaterialState::Requested { .. } => 1,
            MaterialState::Obtained { .. } => 2,
            MaterialState::Verified { .. } => 3,
            MaterialState::Copied { .. } => 4,
            MaterialState::HandedOver { .. } => 5,
            MaterialState::NotNeeded { .. } => 6,
        }
    }

    /// The places that are still worth asking: none that has answered that it is not there.
    pub fn places_to_ask(&self) -> impl Iterator<Item = &str> {
        let found = self.search.iter().filter(|search| search.answer == SearchAnswer::Here);
        let found = found.map(|search| search.place.as_str());
        let others = self.places.iter().map(String::as_str);
        let open = |place: &&str| !self.was_denied(place);
        let mut seen: Vec<&str> = Vec::new();
        for place in found.chain(others).filter(open) {
            if !seen.contains(&place) {
                seen.push(place);
            }
        }
        seen.into_iter()
    }

    /// Whether a place has said that it has none, and nothing else since.
    pub fn was_denied(&self, place: &str) -> bool {
        let mut answers = self.search.iter().filter(|search| search.place == place);
        answers
            .next_back()
            .is_some_and(|last| last.answer == SearchAnswer::NotHere)
    }
}

impl MaterialState {
    pub fn said(&self) -> Said {
        match self {
            Self::Required => Said::new("待取得", "required"),
            Self::Requested { .. } => Said::new("已索要", "requested"),
            Self::Obtained { .. } => Said::new("已取得", "obtained"),
            Self::Verified { .. } => Said::new("已核对", "verified"),
            Self::Copied { .. } => Said::new("已复印", "copied"),
            Self::HandedOver { .. } => Said::new("已转交", "handed over"),
            Self::NotNeeded { .. } => Said::new("不需要", "not needed"),
        }
    }
}

impl Case {
    /// Whether every paper that is needed has arrived.
    pub fn bundle_is_complete(&self) -> bool {
        let mut needed = self.materials.iter().filter(|material| material.is_needed()).peekable();
        needed.peek().is_some() && needed.all(Material::is_there)
    }

    /// The papers by which the resident is told what to bring, as one short fingerprint: it changes when the list does.
    pub fn list_of_materials(&self) -> String {
        let names = self.materials.iter().filter(|material| material.is_needed());
        let names: Vec<&str> = names.map(|material| material.name.zh.as_str()).collect();
        names.join("|")
    }
}
