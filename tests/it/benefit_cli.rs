//! `xixin benefit` as it is typed, with the shipped examples.

use std::process::{Command, Output};

use serde_json::Value;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

fn typed(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xixin"))
        .args(["benefit", "--config", CONFIG])
        .args(line.split(' '))
        .output()
        .unwrap()
}

fn said(line: &str) -> String {
    let output = typed(line);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_formula_is_shown_in_both_languages_with_every_amount() {
    let expected = "\
医药费二次报销 / medical bill, reimbursed twice: 100000元
  1. 基本医疗保险: 100000 × 0.80 = 80000
     basic medical insurance: 100000 × 0.80 = 80000
  2. 医疗救助: 20000 × 0.95 = 19000
     medical aid: 20000 × 0.95 = 19000
  3. 合计报销 99000元,个人负担 1000元
     reimbursed 99000 yuan in all, self-paid 1000 yuan
  4. 合计比例: 0.80 + 0.20 × 0.95 = 0.99
     combined share: 0.80 + 0.20 × 0.95 = 0.99
依据 / source: 示例，以当地规定为准;虚构比例
核对日期 / checked: 2026-11-24
测算结果仅供参考,以经办单位核定为准 / an estimate; the office that handles the claim decides
";
    assert_eq!(said("expedited 100000"), expected);
}

#[test]
fn the_json_tells_whole_fen() {
    let value: Value = serde_json::from_str(&said("expedited 100000 --json")).unwrap();
    assert_eq!(value["amount_fen"], 10_000_000);
    assert_eq!(value["steps"][0]["reimbursed_fen"], 8_000_000);
    assert_eq!(value["steps"][1]["reimbursed_fen"], 1_900_000);
    assert_eq!(value["steps"][1]["share_basis_points"], 9_500);
    assert_eq!(value["reimbursed_fen"], 9_900_000);
    assert_eq!(value["self_paid_fen"], 100_000);
    assert_eq!(value["formula"], "0.80 + 0.20 × 0.95 = 0.99");
}

#[test]
fn a_deductible_and_a_cap_leave_no_combined_share() {
    let value: Value = serde_json::from_str(&said("serious_illness 1000000 --json")).unwrap();
    // (1000000 − 1800) × 0.80 is above the cap of 500000; (500000 − 15000) × 0.60 = 291000.
    assert_eq!(value["steps"][0]["reimbursed_fen"], 50_000_000);
    assert_eq!(value["steps"][1]["reimbursed_fen"], 29_100_000);
    assert_eq!(value["self_paid_fen"], 20_900_000);
    assert_eq!(value["formula"], Value::Null);
}

#[test]
fn a_mistake_names_its_place_in_both_languages() {
    for (line, code, parts) in [
        (
            "expedited 1,000",
            2,
            ["AMOUNT", "“1,000”不是金额", "\"1,000\" is no amount"],
        ),
        ("expedited -5", 2, ["AMOUNT", "“-5”不是金额", "\"-5\" is no amount"]),
        (
            "expedite 5",
            1,
            ["NAME", "没有“expedite”;可用: expedited", "there is no \"expedite\""],
        ),
    ] {
        let output = typed(line);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}
