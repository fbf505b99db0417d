//! Cases as clerks take them in, for tests of the whole engine. Everybody is invented.

use serde_json::{Value, json};
use xixin::domain::ids::CaseId;

use super::hall::Hall;

/// Somebody who is written to first, with the number 1390000NNNN.
pub(crate) fn resident(number: u32) -> Value {
    json!({ "name": "沈怀瑾", "gender": "female", "phone": format!("1390000{number:04}"), "born": 1980 })
}

/// A lost certificate whose re-issue ends on 2026-03-20.
pub(crate) async fn certificate(hall: &Hall, resident: Value) -> CaseId {
    let case = json!({
        "resident": resident,
        "matter": "cremation_certificate",
        "request": "证明遗失",
        "deadlines": [
            { "kind": "cremation_reissue", "trigger": "2016-03-20" },
            { "kind": "cremation_archive", "trigger": "2016-03-20" },
        ],
    });
    hall.take_in("lin", case).await
}

/// A visit to the social insurance office, where hao goes along. The case has nothing else to follow until July.
pub(crate) async fn visit(hall: &Hall, resident: Value, start: &str) -> CaseId {
    visit_with(hall, resident, json!([]), start).await
}

pub(crate) async fn visit_with(hall: &Hall, resident: Value, relatives: Value, start: &str) -> CaseId {
    visit_until(hall, resident, relatives, start, None).await
}

/// The start of the n-th of up to 72 brief visits of 2026-03-05 while the office is open.
pub(crate) fn brief_start(number: u32) -> String {
    let hour = [9, 10, 11, 14, 15, 16][usize::try_from(number / 12).unwrap()];
    format!("2026-03-05 {hour:02}:{:02}", number % 12 * 5)
}

/// A visit that is over in five minutes, so that hao can go along to many in one morning: nobody is sent to two places at once.
pub(crate) async fn brief_visit(hall: &Hall, resident: Value, start: &str) -> CaseId {
    brief_visit_with(hall, resident, json!([]), start).await
}

pub(crate) async fn brief_visit_with(hall: &Hall, resident: Value, relatives: Value, start: &str) -> CaseId {
    let begins: jiff::civil::DateTime = start.parse().unwrap();
    let over = (begins + jiff::Span::new().minutes(5)).to_string();
    visit_until(hall, resident, relatives, start, Some(over)).await
}

async fn visit_until(hall: &Hall, resident: Value, relatives: Value, start: &str, end: Option<String>) -> CaseId {
    let case = json!({
        "resident": resident,
        "relatives": relatives,
        "matter": "labour_assessment",
        "request": "陪同办理",
        "deadlines": [{ "kind": "labour_decision", "trigger": "2026-06-01" }],
        "appointments": [{ "what": "递交材料", "office": "social_insurance", "start": start, "end": end, "with": "hao" }],
    });
    hall.take_in("lin", case).await
}

/// A call-back that lin promised for this day.
pub(crate) async fn promise(hall: &Hall, resident: Value, due: &str) -> CaseId {
    let case = json!({
        "resident": resident,
        "matter": "labour_assessment",
        "request": "询问进度",
        "deadlines": [{ "kind": "labour_decision", "trigger": "2026-06-01" }],
        "callbacks": [{ "words": "办好了联系您", "due": due }],
    });
    hall.take_in("lin", case).await
}
