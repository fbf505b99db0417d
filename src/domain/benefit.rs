//! What several insurances pay of one bill: an estimate that shows its formula.
//!
//! Layers follow one another, and each reimburses a share of what those before it left: of 100000 yuan 80 % are 80000, and 95 % of the
//! remaining 20000 are 19000; together 99 %, not 175 %. Always: exact whole numbers in fen; what is reimbursed and what is paid by
//! oneself add up to the bill; a part of a fen is not promised (rounded down). It estimates, it does not decide: the local rule does.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::domain::ids::BenefitId;
use crate::domain::text::{Said, shown};

/// Layers of one benefit; so many keep the combined share an exact number.
pub const LAYERS_MAX: usize = 8;

/// A kind of reimbursement, as `benefits.toml` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Benefit {
    pub id: BenefitId,
    pub name: Said,
    /// In the order in which they pay; 1 to [`LAYERS_MAX`].
    pub layers: Vec<Layer>,
    pub source: String,
    /// When somebody last compared it with its source.
    pub checked: Option<Date>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub name: Said,
    pub share: Share,
    /// Of what the layers before left, so much is not counted.
    pub deductible: Fen,
    /// It pays at most so much.
    pub cap: Option<Fen>,
}

/// An amount of money in fen, never negative, at most [`Fen::MAX`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fen(u64);

impl Fen {
    /// 9,999,999,999.99 yuan.
    pub const MAX: Self = Self(999_999_999_999);

    pub fn get(self) -> u64 {
        self.0
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// A share in basis points, 1 to 10000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u16);

impl Share {
    const WHOLE: u16 = 10_000;

    pub fn basis_points(self) -> u16 {
        self.0
    }

    fn of(self, amount: Fen) -> Fen {
        Fen(amount.0 * u64::from(self.0) / u64::from(Self::WHOLE))
    }
}

/// What a benefit pays of one bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    pub amount: Fen,
    pub steps: Vec<Step>,
    pub reimbursed: Fen,
    pub self_paid: Fen,
    /// The combined share, `0.80 + 0.20 × 0.95 = 0.99`; `None` where a deductible or a cap makes it depend on the amount.
    pub formula: Option<String>,
}

/// What one layer pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the layers before left.
    pub left: Fen,
    pub reimbursed: Fen,
    /// How it was counted.
    pub words: Said,
}

impl Benefit {
    pub fn estimate(&self, amount: Fen) -> Estimate {
        let mut left = amount;
        let mut steps = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let step = layer.pay(left);
            left = left.minus(step.reimbursed);
            steps.push(step);
        }
        Estimate {
            amount,
            steps,
            reimbursed: amount.minus(left),
            self_paid: left,
            formula: self.formula(),
        }
    }

    fn formula(&self) -> Option<String> {
        let plain = |layer: &Layer| layer.deductible == Fen::default() && layer.cap.is_none();
        if !self.layers.iter().all(plain) || self.layers.len() > LAYERS_MAX {
            return None;
        }
        let whole = u128::from(Share::WHOLE);
        let (mut terms, mut rests) = (Vec::new(), Vec::new());
        // What is left, in parts of 10000 to the power of the number of layers so far.
        let (mut left, mut parts) = (1_u128, 1_u128);
        for layer in &self.layers {
            let share = u128::from(layer.share.0);
            let mut factors = rests.clone();
            factors.push(decimal(share, whole));
            terms.push(factors.join(" × "));
            rests.push(decimal(whole - share, whole));
            left *= whole - share;
            parts *= whole;
        }
        Some(format!("{} = {}", terms.join(" + "), decimal(parts - left, parts)))
    }
}

impl Layer {
    fn pay(&self, left: Fen) -> Step {
        let counted = left.minus(self.deductible);
        let full = self.share.of(counted);
        let reimbursed = self.cap.map_or(full, |cap| full.min(cap));
        let share = decimal(u128::from(self.share.0), u128::from(Share::WHOLE));
        let deductible = self.deductible;
        let base = match (deductible == Fen::default(), deductible >= left) {
            (true, _) => Said::new(left.to_string(), left.to_string()),
            (_, true) => Said::new(
                format!("({left},未超过起付线{deductible},计 0)"),
                format!("({left}, not above the deductible of {deductible}: 0)"),
            ),
            _ => Said::new(
                format!("({left} − 起付线{deductible})"),
                format!("({left} − deductible {deductible})"),
            ),
        };
        let capped = match self.cap.filter(|cap| *cap < full) {
            Some(cap) => Said::new(format!(",封顶 {cap}"), format!(", capped at {cap}")),
            None => Said::default(),
        };
        let words = Said::new(
            format!("{}: {} × {share} = {full}{}", self.name.zh, base.zh, capped.zh),
            format!("{}: {} × {share} = {full}{}", self.name.en, base.en, capped.en),
        );
        Step {
            left,
            reimbursed,
            words,
        }
    }
}

impl Estimate {
    /// Step by step, with the sum and the combined share.
    pub fn words(&self) -> Vec<Said> {
        let mut words: Vec<Said> = self.steps.iter().map(|step| step.words.clone()).collect();
        let (reimbursed, self_paid) = (self.reimbursed, self.self_paid);
        words.push(Said::new(
            format!("合计报销 {reimbursed}元,个人负担 {self_paid}元"),
            format!("reimbursed {reimbursed} yuan in all, self-paid {self_paid} yuan"),
        ));
        if let Some(formula) = &self.formula {
            words.push(Said::new(
                format!("合计比例: {formula}"),
                format!("combined share: {formula}"),
            ));
        }
        words
    }
}

/// `part / whole` as a decimal with at least two places; `whole` is a power of 10 above 10.
fn decimal(part: u128, whole: u128) -> String {
    let places = whole.ilog10() as usize;
    let mut text = format!("{}.{:0places$}", part / whole, part % whole);
    while text.ends_with('0') && text.len() - text.find('.').unwrap_or(0) > 3 {
        text.pop();
    }
    text
}

/// In yuan, with fen only where there are any.
impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (yuan, fen) = (self.0 / 100, self.0 % 100);
        if fen == 0 {
            write!(f, "{yuan}")
        } else {
            write!(f, "{yuan}.{fen:02}")
        }
    }
}

/// Not an amount or a share, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotMoney(Said);

impl NotMoney {
    pub fn said(&self) -> &Said {
        &self.0
    }
}

impl fmt::Display for NotMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.en)
    }
}

impl std::error::Error for NotMoney {}

impl FromStr for Fen {
    type Err = NotMoney;

    /// Yuan: `100000` or `1234.56`.
    fn from_str(text: &str) -> Result<Self, NotMoney> {
        hundredths(text, 10).map(Self).ok_or_else(|| {
            let text = shown(text);
            NotMoney(Said::new(
                format!("“{text}”不是金额;可写: 以元为单位的数,如 100000 或 1234.56,不超过百亿"),
                format!("\"{text}\" is no amount; allowed: yuan, such as 100000 or 1234.56, below 10000000000"),
            ))
        })
    }
}

impl FromStr for Share {
    type Err = NotMoney;

    /// `80%` or `62.5%`.
    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let share = text
            .strip_suffix('%')
            .and_then(|number| hundredths(number, 3))
            .and_then(|share| u16::try_from(share).ok())
            .filter(|share| (1..=Self::WHOLE).contains(share));
        share.map(Self).ok_or_else(|| {
            let text = shown(text);
            NotMoney(Said::new(
                format!("“{text}”不是报销比例;可写: 0.01% 至 100%,如 \"80%\""),
                format!("\"{text}\" is no share; allowed: 0.01% to 100%, such as \"80%\""),
            ))
        })
    }
}

/// A plain decimal with at most two places, in hundredths.
fn hundredths(text: &str, digits_max: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let plain = |digits: &str, max: usize| {
        (1..=max).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !plain(whole, digits_max) || !plain(part, 2) {
        return None;
    }
    let part: u64 = format!("{part:0<2}").parse().ok()?;
    Some(whole.parse::<u64>().ok()? * 100 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(share: &str, deductible: &str, cap: Option<&str>) -> Layer {
        Layer {
            name: Said::new("一层", "a layer"),
            share: share.parse().unwrap(),
            deductible: deductible.parse().unwrap(),
            cap: cap.map(|cap| cap.parse().unwrap()),
        }
    }

    fn benefit(layers: Vec<Layer>) -> Benefit {
        Benefit {
            id: "sample".into(),
            name: Said::new("示例", "sample"),
            layers,
            source: "示例".to_owned(),
            checked: None,
        }
    }

    fn paid(layers: Vec<Layer>, amount: &str) -> (Vec<String>, String, Option<String>) {
        let estimate = benefit(layers).estimate(amount.parse().unwrap());
        let steps = estimate.steps.iter().map(|step| step.reimbursed.to_string()).collect();
        (steps, estimate.self_paid.to_string(), estimate.formula)
    }

    #[test]
    fn each_layer_pays_of_what_those_before_it_left() {
        let two = || vec![layer("80%", "0", None), layer("95%", "0", None)];
        let formula = Some("0.80 + 0.20 × 0.95 = 0.99".to_owned());
        let steps = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            paid(two(), "100000"),
            (steps(&["80000", "19000"]), "1000".to_owned(), formula.clone())
        );
        assert_eq!(paid(two(), "0"), (steps(&["0", "0"]), "0".to_owned(), formula.clone()));
        // 0.07 → 0.056 is 0.05; of 0.02 0.019 is 0.01: no part of a fen is promised.
        assert_eq!(
            paid(two(), "0.07"),
            (steps(&["0.05", "0.01"]), "0.01".to_owned(), formula)
        );
        let three = vec![
            layer("62.5%", "0", None),
            layer("50%", "0", None),
            layer("100%", "0", None),
        ];
        let formula = "0.625 + 0.375 × 0.50 + 0.375 × 0.50 × 1.00 = 1.00";
        assert_eq!(paid(three, "8").2.as_deref(), Some(formula));
    }

    #[test]
    fn a_deductible_and_a_cap_are_counted_and_named() {
        let layers = vec![layer("80%", "1800", Some("50000")), layer("60%", "30404", None)];
        let estimate = benefit(layers).estimate("100000".parse().unwrap());
        assert_eq!(estimate.formula, None);
        let words: Vec<String> = estimate.words().iter().map(Said::to_string).collect();
        let expected = [
            "一层: (100000 − 起付线1800) × 0.80 = 78560,封顶 50000 / a layer: (100000 − deductible 1800) × 0.80 = 78560, capped at 50000",
            "一层: (50000 − 起付线30404) × 0.60 = 11757.60 / a layer: (50000 − deductible 30404) × 0.60 = 11757.60",
            "合计报销 61757.60元,个人负担 38242.40元 / reimbursed 61757.60 yuan in all, self-paid 38242.40 yuan",
        ];
        assert_eq!(words, expected);
        let below = benefit(vec![layer("80%", "1800", None)]).estimate("1800".parse().unwrap());
        assert_eq!((below.reimbursed, below.self_paid), (Fen(0), Fen(180_000)));
    }

    #[test]
    fn nothing_is_lost_or_invented_and_no_amount_is_too_large() {
        let layers: Vec<Layer> = (0..LAYERS_MAX).map(|_| layer("33.33%", "0", None)).collect();
        for fen in (0..2_000).chain([Fen::MAX.get()]) {
            let estimate = benefit(layers.clone()).estimate(Fen(fen));
            let sum: u64 = estimate.steps.iter().map(|step| step.reimbursed.get()).sum();
            assert_eq!(sum + estimate.self_paid.get(), fen);
            assert_eq!(sum, estimate.reimbursed.get());
        }
        let formula = benefit(layers).estimate(Fen(1)).formula.unwrap();
        // 1 − 0.6667⁸, every digit of it.
        assert!(formula.ends_with(" = 0.96096594758088826215447643468959"), "{formula}");
    }

    #[test]
    fn amounts_and_shares_are_read_exactly_or_refused() {
        for (text, fen) in [
            ("0", 0),
            ("100000", 10_000_000),
            ("1.5", 150),
            ("9999999999.99", 999_999_999_999),
        ] {
            assert_eq!(text.parse::<Fen>().map(Fen::get), Ok(fen), "{text}");
        }
        for text in [
            "",
            "-1",
            "+1",
            "1.",
            ".5",
            "1.234",
            "1,000",
            "1e3",
            "10000000000",
            "一万",
            " 1",
            "NaN",
        ] {
            assert!(text.parse::<Fen>().is_err(), "{text:?}");
        }
        for (text, points) in [("80%", 8_000), ("62.5%", 6_250), ("0.01%", 1), ("100%", 10_000)] {
            assert_eq!(text.parse::<Share>().map(Share::basis_points), Ok(points), "{text}");
        }
        for text in ["0%", "100.01%", "80", "0.8", "-5%", "80 %", "999%", "1.234%", "%"] {
            assert!(text.parse::<Share>().is_err(), "{text:?}");
        }
    }
}
