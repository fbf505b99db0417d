//! A hold: nothing leaves until a person releases it, whatever is resumed, restarted or due meanwhile.

use xixin::domain::ladder::Way;

use crate::support::hall::Hall;
use crate::support::intake::{resident, visit};
use crate::support::rulebook::at;

#[tokio::test]
pub(crate) async fn a_hold_survives_a_restart_and_a_resume_and_ends_when_it_is_released() {
    let hall = Hall::open_quiet("2026-03-04 08:50", "").await;
    hall.without_digest("2026-03-04").await;
    let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
    let store = &hall.app.engine.store;
    assert!(store.hold(at("2026-03-04 08:51"), "lin", "核对名单").await.unwrap());
    assert!(
        !store.hold(at("2026-03-04 08:52"), "gu", "other").await.unwrap(),
        "the first reason stands"
    );
    let hall = hall.crash().await;
    let (engine, store) = (&hall.app.engine, &hall.app.engine.store);
    assert!(!store.resume("all").await.unwrap());
    engine.look_around().await;
    hall.run_until("2026-03-04 10:00").await;
    assert_eq!(hall.take_left(), []);
    let why = engine.gate.closed(Way::Email).unwrap();
    assert!(why.zh.contains("lin") && why.zh.contains("核对名单"), "{}", why.zh);
    let queued = hall.rung(&case, "day-before-staff").await;
    assert_eq!(queued, ["hao email queued"], "planning goes on");

    assert!(store.release(at("2026-03-04 10:00"), "gu").await.unwrap());
    assert!(!store.release(at("2026-03-04 10:00"), "gu").await.unwrap());
    engine.look_around().await;
    hall.settle().await;
    assert_eq!(hall.rung(&case, "day-before-staff").await, ["hao email accepted"]);
    assert_eq!(hall.of_the_hall().await, ["lin sending_held", "gu sending_released"]);
}

#[tokio::test]
pub(crate) async fn a_database_keeps_its_name_over_a_restart() {
    let hall = Hall::open("2026-03-04 08:50").await;
    let name = hall.app.engine.store.incarnation().await.unwrap();
    assert_eq!(name.len(), 32);
    let hall = hall.crash().await;
    assert_eq!(hall.app.engine.store.incarnation().await.unwrap(), name);
}
