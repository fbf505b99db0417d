//! Timelines through everything: from what a clerk enters to what leaves, under a clock that the test moves.

use serde_json::json;
use xixin::domain::ids::CaseId;

use crate::support::hall::Hall;

/// Somebody who is written to first.
fn resident() -> serde_json::Value {
    json!({ "name": "沈怀瑾", "gender": "female", "phone": "13900000001", "born": 1980 })
}

async fn lost_certificate(hall: &Hall) -> CaseId {
    let case = json!({
        "resident": resident(),
        "matter": "cremation_certificate",
        "request": "火化证明遗失",
        "deadlines": [
            { "kind": "cremation_reissue", "trigger": "2016-03-20" },
            { "kind": "cremation_archive", "trigger": "2016-03-20" },
        ],
    });
    hall.take_in("lin", case).await
}

#[tokio::test]
async fn a_record_that_expires_is_told_louder_and_higher_up_until_somebody_acts() {
    let hall = Hall::open("2026-02-10 15:00").await;
    let case = lost_certificate(&hall).await;
    hall.run_until("2026-03-26 12:00").await;
    println!("{:#?}", hall.timeline(&case).await);
    println!("{:#?}", hall.take_reminders());
    panic!();
}
