//! Labels: what the monthly summary counts of a case, each with its day. A projection, rewritten with its case.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::case::{Case, CaseFlag, Closing, Status};

/// One thing to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub kind: LabelKind,
    /// The tag of an obstacle, the kind of feedback, how a case was closed, the number of trips.
    pub value: String,
    pub day: Date,
    /// Tells two of the same day apart.
    pub number: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelKind {
    /// 难点、痛点、堵点
    Obstacle,
    Feedback,
    Closed,
    /// How often the resident had to go somewhere, noted at closing.
    Trips,
    /// The household may be greeted.
    Greet,
}

impl LabelKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Obstacle => "obstacle",
            Self::Feedback => "feedback",
            Self::Closed => "closed",
            Self::Trips => "trips",
            Self::Greet => "greet",
        }
    }
}

pub fn labels(case: &Case, zone: &TimeZone) -> Vec<Label> {
    let day = |at| zone.to_datetime(at).date();
    let label = |kind, value: &str, day, number| Label {
        kind,
        value: value.to_owned(),
        day,
        number,
    };
    let mut all: Vec<Label> = Vec::new();
    all.extend(
        case.obstacles
            .iter()
            .map(|(tag, day)| label(LabelKind::Obstacle, tag, *day, 0)),
    );
    let feedback = case.feedback.iter().enumerate();
    all.extend(feedback.map(|(n, one)| label(LabelKind::Feedback, one.kind.name(), day(one.at), n)));
    if case.flags.contains(&CaseFlag::KeepInTouch) {
        all.push(label(LabelKind::Greet, "", day(case.opened_at), 0));
    }
    if let Status::Closed { at, closing, .. } = &case.status {
        let how = match closing {
            Closing::Done { .. } => "done",
            Closing::Withdrawn { .. } => "withdrawn",
            Closing::Transferred { .. } => "transferred",
            Closing::Refused { .. } => "refused",
        };
        all.push(label(LabelKind::Closed, how, day(*at), 0));
        all.push(label(LabelKind::Trips, &case.resident_trips.to_string(), day(*at), 0));
    }
    all
}
