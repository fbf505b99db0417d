//! `xixin benefit`: estimates what several insurances pay of one bill, with its formula. Needs no database.

use std::fmt::Write as _;

use anyhow::anyhow;
use serde_json::json;

use super::say;
use crate::domain::benefit::{Benefit, Estimate, Fen, NotMoney};
use crate::domain::ids::BenefitId;
use crate::domain::rulebook::Rulebook;
use crate::domain::text::{Said, shown};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which one, by its id in benefits.toml / 报销种类
    #[arg(value_name = "NAME")]
    name: String,
    /// The bill in yuan: 100000 or 1234.56 / 金额,元
    #[arg(value_name = "AMOUNT", value_parser = amount, allow_hyphen_values = true)]
    amount: Fen,
    /// Prints JSON / 输出 JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, book: &Rulebook) -> anyhow::Result<u8> {
    let benefit = find(book, &args.name)?;
    let estimate = benefit.estimate(args.amount);
    if args.json {
        say(&serde_json::to_string_pretty(&as_json(benefit, &estimate))?);
    } else {
        say(readable(benefit, &estimate).trim_end());
    }
    Ok(0)
}

fn amount(text: &str) -> Result<Fen, String> {
    text.parse().map_err(|wrong: NotMoney| wrong.said().to_string())
}

fn find<'a>(book: &'a Rulebook, name: &str) -> anyhow::Result<&'a Benefit> {
    book.benefits.get(&BenefitId::from(name)).ok_or_else(|| {
        let known: Vec<&str> = book.benefits.keys().map(BenefitId::as_str).collect();
        let known = if known.is_empty() {
            "-".to_owned()
        } else {
            known.join(", ")
        };
        let name = shown(name);
        anyhow!(
            "NAME: benefits.toml 中没有“{name}”;可用: {known} / there is no \"{name}\" in benefits.toml; allowed: {known}"
        )
    })
}

/// Amounts are whole numbers of fen.
fn as_json(benefit: &Benefit, estimate: &Estimate) -> serde_json::Value {
    let steps = benefit.layers.iter().zip(&estimate.steps).map(|(layer, step)| {
        json!({
            "layer": layer.name,
            "left_fen": step.left.get(),
            "share_basis_points": layer.share.basis_points(),
            "deductible_fen": layer.deductible.get(),
            "cap_fen": layer.cap.map(Fen::get),
            "reimbursed_fen": step.reimbursed.get(),
        })
    });
    json!({
        "benefit": benefit.id,
        "name": benefit.name,
        "amount_fen": estimate.amount.get(),
        "steps": steps.collect::<Vec<_>>(),
        "reimbursed_fen": estimate.reimbursed.get(),
        "self_paid_fen": estimate.self_paid.get(),
        "formula": estimate.formula,
        "derivation": estimate.words().iter().map(Said::to_string).collect::<Vec<_>>(),
        "source": benefit.source,
        "checked": benefit.checked,
    })
}

fn readable(benefit: &Benefit, estimate: &Estimate) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}元", benefit.name, estimate.amount);
    for (index, said) in estimate.words().iter().enumerate() {
        let _ = writeln!(text, "  {}. {}\n     {}", index + 1, said.zh, said.en);
    }
    let checked = benefit.checked.map_or_else(|| "-".to_owned(), |day| day.to_string());
    let _ = writeln!(text, "依据 / source: {}", benefit.source);
    let _ = writeln!(text, "核对日期 / checked: {checked}");
    let _ = writeln!(
        text,
        "测算结果仅供参考,以经办单位核定为准 / an estimate; the office that handles the claim decides"
    );
    text
}
