//! A file of `calendar/`: public holidays and make-up workdays, with the span it settles.

use crate::domain::calendar::CalendarSource;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarFile {}

impl CalendarFile {
    /// (path, what is wrong, what is allowed)
    pub fn problems(&self) -> Vec<(String, String, String)> {
        Vec::new()
    }

    pub fn into_source(self, name: &str) -> CalendarSource {
        CalendarSource {
            name: name.to_owned(),
            covers: None,
            days: std::collections::BTreeMap::new(),
        }
    }
}
