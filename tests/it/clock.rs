//! The clock of the machine is set forward and back, sleeps, runs too fast or too slow: nothing is lost, nothing leaves twice, and
//! what no clock should do holds everything until a person has looked.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use xixin::clock::Clock as _;
use xixin::domain::ids::CaseId;
use xixin::domain::ladder::Way;
use xixin::engine::{digests, planner, sender};
use xixin::store::switches::CLOCK;

use crate::support::hall::Hall;
use crate::support::intake::{resident, visit};
use crate::support::rulebook::at;

/// Between two looks of the loops. They look more often, but what they see is the same.
const LOOK: Duration = Duration::from_mins(5);
const OPENED: &str = "2026-03-04 08:50";

/// A hall by a clock that goes on by itself, and the true time beside it.
struct Watched {
    hall: Hall,
    case: CaseId,
    truth: Timestamp,
}

impl Watched {
    /// An e-mail falls due at 09:00, an SMS at 10:00.
    async fn open() -> Self {
        let hall = Hall::open_quiet(OPENED, "").await;
        hall.without_digest("2026-03-04").await;
        let case = visit(&hall, resident(1), "2026-03-05 09:30").await;
        Self {
            hall,
            case,
            truth: at(OPENED),
        }
    }

    /// What the loops do when they look.
    async fn look(&self) {
        let engine = &self.hall.app.engine;
        engine.now();
        engine.look_around().await;
        let now = engine.clock.now();
        while planner::step(engine, now).await.unwrap().planned > 0 {}
        digests::step(engine, now).await.unwrap();
        for way in [Way::Email, Way::Sms] {
            while sender::step(engine, way, &self.hall.recorder, now)
                .await
                .unwrap()
                .claimed
                > 0
            {}
        }
    }

    /// Time passes until it truly is then; of every minute the clock shows so many thousandths.
    async fn pass(&mut self, until: &str, speed: u32) {
        while self.truth < at(until) {
            self.hall.clock.pass(LOOK, LOOK * speed / 1000);
            self.truth += SignedDuration::try_from(LOOK).unwrap();
            self.look().await;
        }
    }

    async fn step(&self, by: SignedDuration) {
        self.hall.clock.set(self.hall.clock.now() + by);
        self.look().await;
    }

    async fn is_held(&self) -> bool {
        let switches = self.hall.app.engine.store.switches().await.unwrap();
        switches.iter().any(|switch| switch.name == CLOCK)
    }

    /// The operator sets the clock right and confirms it.
    async fn put_right(&self) {
        self.hall.clock.set(self.truth);
        self.look().await;
        self.hall.app.engine.store.resume("all").await.unwrap();
        self.look().await;
    }

    /// How often each of the two messages left.
    fn left(&self) -> [usize; 2] {
        let left = self.hall.take_left();
        [Way::Email, Way::Sms].map(|way| left.iter().filter(|one| one.way == way).count())
    }
}

fn steps() -> Vec<SignedDuration> {
    let minute = 60;
    let day = 24 * 60 * minute;
    let sizes = [1, 59 * minute, 61 * minute, day, 31 * day, 3653 * day];
    sizes
        .into_iter()
        .flat_map(|size| [size, -size])
        .map(SignedDuration::from_secs)
        .collect()
}

#[tokio::test]
pub(crate) async fn a_clock_that_is_set_at_any_moment_by_anything_from_a_second_to_ten_years_loses_and_repeats_nothing()
{
    // Before anything is due, between the two, just before the second, and after everything has left.
    for moment in [
        "2026-03-04 08:55",
        "2026-03-04 09:05",
        "2026-03-04 09:55",
        "2026-03-04 10:05",
    ] {
        for step in steps() {
            let mut watched = Watched::open().await;
            watched.pass(moment, 1000).await;
            watched.step(step).await;
            let must_hold = step.abs() > SignedDuration::from_hours(1);
            assert_eq!(watched.is_held().await, must_hold, "{moment} {step:?}");
            let before = watched.hall.timeline(&watched.case).await;
            watched.pass("2026-03-04 10:20", 1000).await;
            if must_hold {
                assert_eq!(watched.hall.timeline(&watched.case).await, before, "{moment} {step:?}");
            }
            watched.put_right().await;
            watched.pass("2026-03-04 10:40", 1000).await;
            assert!(!watched.is_held().await, "{moment} {step:?}");
            assert_eq!(watched.left(), [1, 1], "{moment} {step:?}");
        }
    }
}

#[tokio::test]
pub(crate) async fn a_clock_that_is_set_back_by_less_than_an_hour_and_stays_wrong_is_merely_late() {
    let mut watched = Watched::open().await;
    watched.pass("2026-03-04 09:30", 1000).await;
    watched.step(SignedDuration::from_mins(-59)).await;
    watched.pass("2026-03-04 10:55", 1000).await;
    assert_eq!(watched.left(), [1, 0]);
    watched.pass("2026-03-04 11:05", 1000).await;
    assert_eq!(watched.left(), [0, 1]);
    assert!(!watched.is_held().await);
}

#[tokio::test]
pub(crate) async fn a_machine_that_slept_over_what_was_due_sends_it_when_it_wakes_and_holds_nothing() {
    let mut watched = Watched::open().await;
    // Without a look before it there would be nothing to compare the next one with.
    watched.pass("2026-03-04 08:55", 1000).await;
    // The clock has gone on meanwhile, and so has the time since the start.
    let asleep = Duration::from_hours(8);
    watched.hall.clock.pass(asleep, asleep);
    watched.truth += SignedDuration::try_from(asleep).unwrap();
    watched.look().await;
    assert!(!watched.is_held().await);
    assert_eq!(watched.left(), [1, 1]);
    watched.pass("2026-03-04 17:00", 1000).await;
    assert_eq!(watched.left(), [0, 0]);
}

#[tokio::test]
pub(crate) async fn a_clock_that_runs_too_fast_or_too_slow_is_followed() {
    // NTP corrects at half a thousandth; these are clocks that are broken.
    for speed in [1001, 999, 1200, 800] {
        let mut watched = Watched::open().await;
        watched.pass("2026-03-04 11:00", speed).await;
        assert!(!watched.is_held().await, "{speed}");
        assert_eq!(watched.left(), [1, 1], "{speed}");
    }
}

#[tokio::test]
pub(crate) async fn a_start_by_a_clock_that_lies_behind_the_ledger_holds() {
    let mut watched = Watched::open().await;
    watched.pass("2026-03-04 09:30", 1000).await;
    let Watched { hall, case, truth } = watched;
    hall.clock.set(at("2016-03-04 09:30"));
    let hall = hall.crash().await;
    hall.app.take_over().await.unwrap();
    let watched = Watched { hall, case, truth };
    assert!(watched.is_held().await);
    watched.look().await;
    assert_eq!(watched.left(), [1, 0]);
    watched.put_right().await;
    let mut watched = watched;
    watched.pass("2026-03-04 10:05", 1000).await;
    assert_eq!(watched.left(), [0, 1]);
}

/// The clock the daemon itself goes by.
#[test]
fn the_steady_clock_of_the_machine_goes_forward() {
    let clock = xixin::clock::SystemClock;
    let first = clock.steady();
    assert!(first > Duration::ZERO);
    assert!(clock.steady() >= first);
}
