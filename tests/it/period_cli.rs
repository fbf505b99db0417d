//! `xixin period` as it is typed: the order of arguments, the JSON, the words, and what it says about bad input.

use std::process::{Command, Output};

use clap::Parser as _;
use serde_json::Value;
use xixin::cli::period::{PeriodArgs, run};
use xixin::domain::rulebook::Rulebook;

use crate::office::{own_weekdays, saturday_service};
use crate::period_vectors::vectors;
use crate::support::published;

#[derive(Debug, clap::Parser)]
#[command(name = "period", no_binary_name = true)]
struct Typed {
    #[command(flatten)]
    args: PeriodArgs,
}

fn rules() -> Rulebook {
    let mut rules = published::rulebook();
    rules.offices.insert("saturday".into(), saturday_service());
    rules.offices.insert("mondays".into(), own_weekdays());
    rules
}

/// What is printed, or the error; words are separated by single spaces.
fn typed(line: &str) -> Result<String, String> {
    typed_with(&rules(), line)
}

fn typed_with(rules: &Rulebook, line: &str) -> Result<String, String> {
    let typed = Typed::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    match run(&typed.args, rules, &mut out) {
        Ok(0) => Ok(String::from_utf8(out).unwrap()),
        Ok(code) => Err(format!("exit code {code}")),
        Err(error) => Err(error.to_string()),
    }
}

fn json(line: &str) -> Value {
    serde_json::from_str(&typed(&format!("{line} --json")).unwrap()).unwrap()
}

#[test]
fn the_json_has_exactly_the_five_keys_in_order() {
    let text = typed("2026-01-15 1m --mode civil --json").unwrap();
    let positions: Vec<usize> = ["legal_end", "last_safe_day", "target_by", "certainty", "derivation"]
        .iter()
        .map(|key| text.find(&format!("\"{key}\"")).unwrap())
        .collect();
    assert!(positions.is_sorted());
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 5);
    assert_eq!(value["legal_end"], "2026-02-24");
    assert_eq!(value["last_safe_day"], "2026-02-24");
    assert_eq!(value["target_by"], "2026-02-14");
    assert_eq!(value["certainty"], "final");
    assert_eq!(value["derivation"].as_array().unwrap().len(), 3);
    assert_eq!(json("2024-02-29 4y --mode civil")["certainty"], "provisional");
}

#[test]
fn hours_are_answered_with_instants_in_the_zone_of_the_hall() {
    let value = json("2026-02-14T16:30 24h --mode elapsed --margin 2h");
    assert_eq!(value["legal_end"], "2026-02-15T16:30:00+08:00");
    assert_eq!(value["last_safe_day"], "2026-02-15T16:30:00+08:00");
    assert_eq!(value["target_by"], "2026-02-15T14:30:00+08:00");
    let value = json("2026-02-13T08:00Z 4bh --mode business_hours");
    assert_eq!(value["legal_end"], "2026-02-14T12:00:00+08:00");
    // RFC 3339 has no seconds in offsets; the instant is kept all the same.
    let value = json("1900-06-01T00:00Z 0h --mode elapsed");
    let text = value["legal_end"].as_str().unwrap();
    assert_eq!(
        text.parse::<jiff::Timestamp>().unwrap(),
        "1900-06-01T00:00Z".parse().unwrap()
    );
    assert_eq!(text, "1900-06-01T08:05:00+08:05");
}

#[test]
fn negative_periods_are_taken_wherever_they_stand() {
    for line in [
        "2026-09-30 -30d --mode civil",
        "--mode civil 2026-09-30 -30d",
        "2026-09-30 --mode civil -30d",
        "2026-09-30 --mode=civil -- -30d",
        "--json --mode civil 2026-09-30 -30d",
        "2026-09-30 -30d --json --mode civil",
    ] {
        let text = typed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(text.contains("2026-08-31"), "{line}: {text}");
    }
    let with_json = typed("2026-09-30 --json -30d --mode civil").unwrap();
    assert!(with_json.starts_with('{'), "{with_json}");
}

#[test]
fn every_option_reaches_the_count() {
    for (line, key, expected) in [
        ("2016-03-07 10y --mode retention", "last_safe_day", "2026-03-06"),
        (
            "2016-03-07 10y --mode retention --office saturday",
            "last_safe_day",
            "2026-03-07",
        ),
        (
            "2016-03-07 10y --mode retention --office mondays",
            "last_safe_day",
            "2026-03-05",
        ),
        (
            "2016-10-07 10y --mode retention --margin 5wd",
            "target_by",
            "2026-09-22",
        ),
        (
            "2026-03-02 10d --mode civil --count-start-day",
            "legal_end",
            "2026-03-11",
        ),
        ("2026-01-31 1m --mode retention", "legal_end", "2026-02-28"),
        (
            "2026-01-31 1m --mode retention --month-end next_day",
            "legal_end",
            "2026-03-01",
        ),
        ("2015-05-10 10y --mode retention_next_year", "legal_end", "2025-12-31"),
        ("2026-05 3m --mode insurance_months", "legal_end", "2026-08-31"),
        ("2026-03-02 5wd --mode promise", "legal_end", "2026-03-09"),
        ("2026-01-20 20wd --mode workdays", "legal_end", "2026-02-24"),
    ] {
        assert_eq!(json(line)[key], expected, "{line}");
    }
}

/// The rows of the vectors that can be typed, under the shipped rules: nothing between the files and the answer is left out.
#[test]
fn the_vectors_come_out_as_expected_when_typed() {
    let shipped = xixin::config::shipped_rulebook();
    let mut typed_rows = 0;
    for vector in vectors() {
        let (mode, key) = match (vector.mode.as_str(), vector.params.as_str()) {
            ("period_end(no roll)" | "event_date_from_utc", _) => ("retention", "legal_end"),
            ("civil", _) => ("civil", "legal_end"),
            ("retention", "roll=backward; margin=5 workdays") => ("retention --margin 5wd", "target_by"),
            ("retention", _) => ("retention", "last_safe_day"),
            ("workdays", _) => ("workdays", "legal_end"),
            ("elapsed_hours", _) => ("elapsed", "legal_end"),
            ("business_hours", _) => ("business_hours", "legal_end"),
            ("insurance_gap", _) => ("insurance_months", "legal_end"),
            ("retention_year_end", _) => ("retention_next_year", "legal_end"),
            // Counted back in days, a civil period moves earlier as a reminder to staff does.
            ("reminder_before", "staff; shift=earlier") => ("civil", "legal_end"),
            ("deadline_instant" | "reminder_before" | "quiet_hours", _) => continue,
            (other, _) => panic!("row {}: unknown mode {other}", vector.id),
        };
        let period = vector.period.replace(" calendar months", "m");
        let line = format!("{} {period} --mode {mode} --json", vector.start);
        let answer: Value = serde_json::from_str(&typed_with(&shipped, &line).unwrap()).unwrap();
        let expected = if vector.expected.contains('T') {
            format!("{}:00+08:00", vector.expected)
        } else {
            vector.expected.clone()
        };
        assert_eq!(answer[key], expected, "row {}: {line}", vector.id);
        let provisional = answer["certainty"] == "provisional";
        assert!(
            provisional || vector.params != "status=PROVISIONAL",
            "row {}",
            vector.id
        );
        typed_rows += 1;
    }
    assert_eq!(typed_rows, 84);
}

#[test]
fn people_read_the_dates_first_and_then_every_step() {
    let text = typed("2016-03-08 10y --mode retention --office saturday --margin 5wd").unwrap();
    assert_eq!(
        text,
        "\
期限届满 / legal end: 2026-03-08 周日 Sunday
最晚可办 / last safe day: 2026-03-07 周六 Saturday
目标 / target by: 2026-03-02 周一 Monday
届满时刻(不含) / over at: 2026-03-09T00:00:00+08:00
确定性 / certainty: 已定 final
推算 / how it was counted:
  1. 2016-03-08(周二) 加10年(首日不计): 2026-03-08(周日)
     2016-03-08 (Tuesday) plus 10 years, the first day not counted: 2026-03-08 (Sunday)
  2. 2026-03-08 当日仍有效,次日起就晚了;遇休息日不顺延
     2026-03-08 itself is still in time, the day after is too late; it never rolls forward
  3. 示例单位 2026-03-08 不办公,最晚可办日: 2026-03-07(周六)
     the sample office is closed on 2026-03-08; the last safe day: 2026-03-07 (Saturday)
  4. 预留5个工作日: 目标日 2026-03-02(周一)
     a margin of 5 workdays: target by 2026-03-02 (Monday)
"
    );
}

#[test]
fn bad_input_names_the_argument_what_is_wrong_and_what_is_allowed() {
    for (line, needles) in [
        (
            "2026-02-30 1d --mode civil",
            &[
                "<START>",
                "没有 2026-02-30 这一天",
                "there is no day 2026-02-30",
                "2016-02-29",
            ][..],
        ),
        (
            "tomorrow 1d --mode civil",
            &["<START>", "\"tomorrow\" is no day or time", "allowed"],
        ),
        (
            "2026-03-02 5x --mode civil",
            &["<PERIOD>", "“5x”不是期限", "\"5x\" is no period", "60d"],
        ),
        ("2026-03-02 -x --mode civil", &["-x"]),
        ("2026-03-02 999999999999d --mode civil", &["<PERIOD>", "up to 100000"]),
        (
            "2026-03-02 5d --mode civl",
            &["--mode", "civl", "retention_next_year", "civil"],
        ),
        ("2026-03-02 5d", &["--mode"]),
        ("2026-03-02", &["<PERIOD>"]),
        (
            "2026-03-02 5d --mode civil --margin 5x",
            &["--margin", "\"5x\" is no period"],
        ),
        (
            "2026-03-02 5d --mode civil --margin -5wd",
            &["--margin", "不能为负", "not negative"],
        ),
        (
            "2026-03-02 5d --mode civil --month-end last",
            &["--month-end", "clamp", "next_day"],
        ),
        (
            "2026-03-02 5d --mode civil --office nowhere",
            &["--office", "没有单位“nowhere”", "\"nowhere\"", "saturday"],
        ),
        (
            "2026-03-02 5d --mode workdays",
            &["PERIOD 5d", "workdays 方式不能用单位 d", "allowed: wd"],
        ),
        ("2026-03-02 5h --mode civil", &["PERIOD 5h", "allowed: y, m, w, d, wd"]),
        (
            "2026-03-02 5d --mode civil --margin 2h",
            &["--margin 2h", "allowed: wd, d, w, m, y"],
        ),
        (
            "2199-03-02 10y --mode retention",
            &["START 2199-03-02, PERIOD 10y", "1900-01-01 to 2200-12-31"],
        ),
        (
            "0001-01-01 10y --mode civil",
            &["START 0001-01-01", "1900-01-01 至 2200-12-31"],
        ),
        (
            "9999-12-31 10y --mode civil",
            &["START 9999-12-31", "1900-01-01 to 2200-12-31"],
        ),
    ] {
        let error = typed(line).expect_err(line);
        for needle in needles {
            assert!(error.contains(needle), "{line}: no {needle} in {error}");
        }
    }
}

fn xixin(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xixin"))
        .args(args)
        .env_remove("XIXIN_CONFIG")
        .output()
        .unwrap()
}

#[test]
fn exit_codes_are_as_documented() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let done = xixin(&[
        "--config",
        config,
        "period",
        "2016-02-29",
        "10y",
        "--mode",
        "retention",
        "--json",
    ]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(answer["last_safe_day"], "2026-02-28");
    assert!(done.stderr.is_empty());
    let usage = xixin(&["--config", config, "period", "2016-02-30", "10y", "--mode", "retention"]);
    assert_eq!(usage.status.code(), Some(2));
    let refused = xixin(&["--config", config, "period", "2199-02-28", "10y", "--mode", "retention"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("2200-12-31"));
    assert!(usage.stdout.is_empty() && refused.stdout.is_empty());
}

/// Without an installation the shipped calendars count; a directory that was named must exist.
#[test]
fn the_shipped_rules_count_where_none_are_installed() {
    let missing = tempfile::tempdir().unwrap().path().join("none");
    let named = xixin(&[
        "--config",
        missing.to_str().unwrap(),
        "period",
        "2026-01-15",
        "1m",
        "--mode",
        "civil",
    ]);
    assert_eq!(
        named.status.code(),
        Some(78),
        "{}",
        String::from_utf8_lossy(&named.stderr)
    );
    if !std::path::Path::new("/etc/xixin").exists() {
        let plain = xixin(&["period", "2026-01-15", "1m", "--mode", "civil", "--json"]);
        let answer: Value = serde_json::from_slice(&plain.stdout).unwrap();
        assert_eq!(answer["legal_end"], "2026-02-24");
    }
}
