//! 冬至: the instant and the local day of the winter solstice.
//!
//! Source: Jean Meeus, Astronomical Algorithms, 2nd edition (1998), chapter 27: the mean December solstice of the years 1000 to 3000
//! and its 24 periodic terms (tables 27.B and 27.C). Between 1951 and 2050 that is good to 51 seconds, around it to a few minutes. The
//! step from the astronomers' uniform time to civil time is a forecast for the future (Espenak and Meeus, Five Millennium Canon, 2006).
//! A solstice within those minutes of local midnight may come out on the neighbouring day; everything else is exact.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Years that can be asked for: those of the calendar.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2200;

/// Julian date of 1970-01-01T00:00Z.
const UNIX_EPOCH_JD: f64 = 2_440_587.5;
/// Julian date of 2000-01-01T12:00.
const J2000_JD: f64 = 2_451_545.0;
const DAYS_PER_CENTURY: f64 = 36_525.0;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// Table 27.B: days, by powers of thousands of years since 2000.
const MEAN_DECEMBER: [f64; 5] = [2_451_900.059_52, 365_242.740_49, -0.062_23, -0.008_23, 0.000_32];

/// Table 27.C: weight, phase in degrees, degrees a century.
const PERIODIC: [(f64, f64, f64); 24] = [
    (485.0, 324.96, 1934.136),
    (203.0, 337.23, 32964.467),
    (199.0, 342.08, 20.186),
    (182.0, 27.85, 445267.112),
    (156.0, 73.14, 45036.886),
    (136.0, 171.52, 22518.443),
    (77.0, 222.54, 65928.934),
    (74.0, 296.72, 3034.906),
    (70.0, 243.58, 9037.513),
    (58.0, 119.81, 33718.147),
    (52.0, 297.17, 150.678),
    (50.0, 21.02, 2281.226),
    (45.0, 247.54, 29929.562),
    (44.0, 325.15, 31555.956),
    (29.0, 60.93, 4443.417),
    (18.0, 155.12, 67555.328),
    (17.0, 288.79, 4562.452),
    (16.0, 198.04, 62894.029),
    (14.0, 199.76, 31436.921),
    (12.0, 95.39, 14577.848),
    (12.0, 287.11, 31931.756),
    (12.0, 320.81, 34777.259),
    (9.0, 227.73, 1222.114),
    (8.0, 15.45, 16859.074),
];

/// How much uniform time is ahead of civil time, in seconds, every 50 years from 1900 on: observed to 2000, then forecast.
const AHEAD_S: [f64; 7] = [-3.0, 29.0, 64.0, 93.0, 203.0, 328.0, 442.0];

/// The local day of 冬至, e.g. 2026-12-22 in Beijing. `None` outside 1900 to 2200.
pub fn winter_solstice_day(year: i16, zone: &TimeZone) -> Option<Date> {
    winter_solstice(year).map(|at| zone.to_datetime(at).date())
}

/// The instant of the winter solstice of the northern half of the earth. `None` outside 1900 to 2200.
pub fn winter_solstice(year: i16) -> Option<Timestamp> {
    if !YEARS.contains(&year) {
        return None;
    }
    let thousands = (f64::from(year) - 2000.0) / 1000.0;
    let mean = MEAN_DECEMBER
        .iter()
        .rev()
        .fold(0.0, |sum, factor| sum * thousands + factor);
    let centuries = (mean - J2000_JD) / DAYS_PER_CENTURY;
    let anomaly = (35_999.373 * centuries - 2.47).to_radians();
    let speed = 1.0 + 0.0334 * anomaly.cos() + 0.0007 * (2.0 * anomaly).cos();
    let periodic: f64 = PERIODIC
        .iter()
        .map(|(weight, phase, turn)| weight * (phase + turn * centuries).to_radians().cos())
        .sum();
    let uniform = mean + 0.000_01 * periodic / speed;
    let seconds = (uniform - UNIX_EPOCH_JD) * SECONDS_PER_DAY - ahead_s(year);
    #[expect(clippy::cast_possible_truncation, reason = "a second of the years 1900 to 2200")]
    Timestamp::from_second(seconds.round() as i64).ok()
}

/// Between two of the values the straight line is right to a minute.
fn ahead_s(year: i16) -> f64 {
    let steps = (f64::from(year) - f64::from(*YEARS.start())) / 50.0;
    AHEAD_S
        .windows(2)
        .zip(0_u8..)
        .find(|(_, from)| steps <= f64::from(*from) + 1.0)
        .map_or(0.0, |(pair, from)| {
            pair[0] + (pair[1] - pair[0]) * (steps - f64::from(from))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn beijing() -> TimeZone {
        TimeZone::get("Asia/Shanghai").expect("the zones are built in")
    }

    /// As almanacs have them.
    #[test]
    fn winter_solstice_falls_on_the_published_day_in_beijing() {
        for (year, day) in [
            (2016, 21),
            (2017, 22),
            (2018, 22),
            (2019, 22),
            (2020, 21),
            // One minute before midnight.
            (2021, 21),
            (2022, 22),
            (2023, 22),
            (2024, 21),
            (2025, 21),
            (2026, 22),
            (2027, 22),
            (2028, 21),
        ] {
            assert_eq!(
                winter_solstice_day(year, &beijing()),
                Some(date(year, 12, day)),
                "{year}"
            );
        }
    }

    /// The instants that almanacs give, to the minute.
    #[test]
    fn winter_solstice_is_right_to_a_minute_and_a_half() {
        for published in [
            "2015-12-22T04:48Z",
            "2018-12-21T22:23Z",
            "2020-12-21T10:02Z",
            "2021-12-21T15:59Z",
            "2022-12-21T21:48Z",
            "2023-12-22T03:27Z",
            "2024-12-21T09:21Z",
            "2025-12-21T15:03Z",
        ] {
            let published: Timestamp = published.parse().expect("an instant");
            let year = TimeZone::UTC.to_datetime(published).year();
            let found = winter_solstice(year).expect("a year of the calendar");
            let apart = found.duration_since(published).abs();
            assert!(apart <= jiff::SignedDuration::from_secs(90), "{year}: {found}");
        }
    }

    #[test]
    fn every_winter_solstice_of_the_calendar_is_in_the_last_third_of_december() {
        for year in YEARS {
            let day = winter_solstice_day(year, &beijing()).expect("a year of the calendar");
            assert!((date(year, 12, 20)..=date(year, 12, 24)).contains(&day), "{day}");
        }
        assert_eq!(winter_solstice(1899), None);
        assert_eq!(winter_solstice(2201), None);
    }
}
