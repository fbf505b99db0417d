//! Words for people: both languages side by side, dates in words, masks, SMS length, and what may stand in a text field.

use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use serde::{Deserialize, Serialize};

/// The same thing said in Chinese and in English.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    pub zh: String,
    pub en: String,
}

impl Said {
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            zh: zh.into(),
            en: en.into(),
        }
    }

    /// Reads the form `中文 / English` back; a text in one language says the same in both.
    pub fn parse(text: &str) -> Self {
        let (zh, en) = text.split_once(" / ").unwrap_or((text, text));
        Self::new(zh, en)
    }

    /// Both, one after the other; an empty one leaves no trace.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        let join = |a: &str, b: &str, mark: &str| match (a.is_empty(), b.is_empty()) {
            (_, true) => a.to_owned(),
            (true, _) => b.to_owned(),
            _ => format!("{a}{mark}{b}"),
        };
        Self {
            zh: join(&self.zh, &more.zh, ";"),
            en: join(&self.en, &more.en, "; "),
        }
    }
}

/// `said!("没有“{name}”", "there is no \"{name}\"")`: a `Said` of two formats that take the same arguments.
macro_rules! said {
    ($zh:literal, $en:literal $(, $arg:expr)* $(,)?) => {
        $crate::domain::text::Said::new(format!($zh $(, $arg)*), format!($en $(, $arg)*))
    };
}
pub(crate) use said;

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.zh, self.en)
    }
}

/// UTF-16 units: what mainland operators count, whatever the alphabet.
pub fn sms_units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// 1 segment up to 70 units, else 67 units each; nothing is no segment.
pub fn sms_segments(units: usize) -> usize {
    match units {
        0 => 0,
        1..=70 => 1,
        _ => units.div_ceil(67),
    }
}

/// Surnames of two characters; every other Chinese surname has one.
const COMPOUND_SURNAMES: [&str; 24] = [
    "欧阳", "司马", "上官", "诸葛", "东方", "皇甫", "尉迟", "公孙", "令狐", "慕容", "司徒", "司空", "夏侯", "长孙",
    "宇文", "端木", "百里", "东郭", "南宫", "呼延", "轩辕", "闻人", "独孤", "西门",
];

/// The surname of a name written in Chinese, else its last word.
pub fn surname(name: &str) -> &str {
    let name = name.trim();
    if let Some(compound) = COMPOUND_SURNAMES
        .iter()
        .find(|surname| name.starts_with(*surname) && name.chars().count() > 2)
    {
        return compound;
    }
    match name.chars().next() {
        Some(first) if !first.is_ascii() => &name[..first.len_utf8()],
        _ => name.split_whitespace().next_back().unwrap_or(name),
    }
}

/// 沈小兰 → 沈**
pub fn mask_name(name: &str) -> String {
    let surname = surname(name);
    let shown = if surname.is_ascii() {
        surname.chars().take(1).collect()
    } else {
        surname.to_owned()
    };
    format!("{shown}**")
}

/// 13900001234 → 139****1234; shorter numbers keep only their end.
pub fn mask_phone(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let tail: String = digits[digits.len().saturating_sub(4)..].iter().collect();
    if digits.len() >= 11 {
        let head: String = digits[..3].iter().collect();
        format!("{head}****{tail}")
    } else if digits.len() > 5 {
        format!("****{tail}")
    } else {
        "****".to_owned()
    }
}

/// Words that give an illness, a death or poverty away to whoever looks at a telephone: no text of ours has them.
pub const TELLING: [&str; 34] = [
    "残疾",
    "重残",
    "伤残",
    "瘫痪",
    "癌",
    "肿瘤",
    "化疗",
    "透析",
    "精神",
    "病",
    "诊断",
    "鉴定",
    "医疗",
    "住院",
    "手术",
    "处方",
    "低保",
    "低收入",
    "困难",
    "救助",
    "失业",
    "去世",
    "死亡",
    "火化",
    "殡葬",
    "丧",
    "骨灰",
    "遗属",
    "抚恤",
    "墓",
    "离婚",
    "服刑",
    "刑满",
    "戒毒",
];

/// Papers and things that say nothing of anybody's life.
const PLAIN_THINGS: [&str; 29] = [
    "身份证",
    "户口本",
    "户口簿",
    "居住证",
    "社保卡",
    "社会保障卡",
    "医保卡",
    "银行卡",
    "存折",
    "结婚证",
    "房产证",
    "不动产权证",
    "驾驶证",
    "营业执照",
    "护照",
    "照片",
    "证件照",
    "申请表",
    "申请书",
    "委托书",
    "印章",
    "公章",
    "合同",
    "回执",
    "通知单",
    "手机",
    "笔",
    "证件",
    "材料",
];

/// What may stand beside them: how many, whose, which form.
const PLAIN_ADDITIONS: [&str; 45] = [
    "原件",
    "复印件",
    "副本",
    "正本",
    "正反面",
    "首页",
    "本人页",
    "本人",
    "夫妻",
    "双方",
    "代办人",
    "家属",
    "您",
    "的",
    "及",
    "和",
    "与",
    "或",
    "各",
    "一",
    "二",
    "两",
    "三",
    "四",
    "五",
    "六",
    "张",
    "份",
    "本",
    "套",
    "部",
    "支",
    "寸",
    "彩色",
    "白底",
    "蓝底",
    "红底",
    "近期",
    "免冠",
    "已填好",
    "已签字",
    "签字",
    "盖章",
    "空白",
    "电子版",
];

/// The same in English, in small letters.
const PLAIN_WORDS: [&str; 45] = [
    "identity",
    "id",
    "card",
    "cards",
    "household",
    "register",
    "residence",
    "permit",
    "bank",
    "passbook",
    "marriage",
    "certificate",
    "passport",
    "photo",
    "photos",
    "photograph",
    "photographs",
    "copy",
    "copies",
    "original",
    "originals",
    "and",
    "or",
    "of",
    "the",
    "a",
    "an",
    "your",
    "both",
    "two",
    "three",
    "four",
    "one",
    "each",
    "form",
    "application",
    "signed",
    "driving",
    "licence",
    "business",
    "phone",
    "mobile",
    "pen",
    "seal",
    "contract",
];

/// Whether a thing to bring may be named where anybody may read it: nothing is in it but what is known to tell nothing. A list of words
/// that must not be there would miss the next one.
pub fn is_plain(thing: &str) -> bool {
    let mut rest = thing.trim();
    let mut names_something = false;
    while let Some(letter) = rest.chars().next() {
        if letter.is_ascii_alphabetic() {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let word = rest[..end].to_ascii_lowercase();
            if !PLAIN_WORDS.contains(&word.as_str()) {
                return false;
            }
            names_something = true;
            rest = &rest[end..];
        } else if letter.is_ascii_digit() || " 、,,/()()".contains(letter) {
            rest = &rest[letter.len_utf8()..];
        } else if let Some(after) = without(rest, &PLAIN_THINGS) {
            names_something = true;
            rest = after;
        } else if let Some(after) = without(rest, &PLAIN_ADDITIONS) {
            names_something |= rest.starts_with("复印件") || rest.starts_with("原件");
            rest = after;
        } else {
            return false;
        }
    }
    names_something
}

/// The text after the longest of these words that it begins with.
fn without<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    let longest = words
        .iter()
        .filter(|word| text.starts_with(**word))
        .map(|word| word.len())
        .max();
    longest.map(|length| &text[length..])
}

/// 1月30日(周日) / 30 January (Sunday)
pub fn day_words(day: Date) -> Said {
    let (month, date) = (day.month(), day.day());
    let (zh, en) = weekday_words(day.weekday());
    let name = MONTHS[usize::try_from(month - 1).unwrap_or(0).min(11)];
    Said::new(format!("{month}月{date}日({zh})"), format!("{date} {name} ({en})"))
}

/// The same as somebody reads it on `today`: with its year when it could be taken for another year's.
pub fn day_words_on(today: Date, day: Date) -> Said {
    let words = day_words(day);
    let near = today
        .until(day)
        .is_ok_and(|span| span.get_days().abs() <= YEAR_UNSAID_DAYS);
    if near {
        return words;
    }
    let year = day.year();
    let (date, weekday) = words.en.split_once(" (").unwrap_or((&words.en, ""));
    Said::new(format!("{year}年{}", words.zh), format!("{date} {year} ({weekday}"))
}

/// A day this near needs no year beside it.
const YEAR_UNSAID_DAYS: i32 = 300;

/// 9点30分 / 9:30
pub fn time_words(time: Time) -> Said {
    let (hour, minute) = (time.hour(), time.minute());
    let zh = if minute == 0 {
        format!("{hour}点")
    } else {
        format!("{hour}点{minute:02}分")
    };
    Said::new(zh, format!("{hour}:{minute:02}"))
}

/// `1 day`, `2 days`
pub fn counted(n: i64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// 2026-02-14(周六) / 2026-02-14 (Saturday)
pub fn dated(day: Date) -> Said {
    let (zh, en) = weekday_words(day.weekday());
    said!("{day}({zh})", "{day} ({en})")
}

pub fn weekday_words(weekday: Weekday) -> (&'static str, &'static str) {
    match weekday {
        Weekday::Monday => ("周一", "Monday"),
        Weekday::Tuesday => ("周二", "Tuesday"),
        Weekday::Wednesday => ("周三", "Wednesday"),
        Weekday::Thursday => ("周四", "Thursday"),
        Weekday::Friday => ("周五", "Friday"),
        Weekday::Saturday => ("周六", "Saturday"),
        Weekday::Sunday => ("周日", "Sunday"),
    }
}

/// Why a text cannot be taken as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextProblem {
    TooLong {
        found: usize,
        max: usize,
    },
    /// NUL and other control characters, at this character.
    Control {
        at: usize,
        code: u32,
    },
    /// Marks that turn the direction of writing and can make a text read other than it is.
    Bidi {
        at: usize,
    },
    LineBreak {
        at: usize,
    },
    /// A character that shows nothing: two texts that look alike would differ.
    Hidden {
        at: usize,
        code: u32,
    },
    /// U+FFFD, which a conversion leaves where it lost a character.
    Lost {
        at: usize,
    },
}

impl TextProblem {
    pub fn what(&self) -> Said {
        match self {
            Self::TooLong { found, max } => Said::new(
                format!("太长({found}字,最多{max}字)"),
                format!("it is too long ({found} characters; at most {max})"),
            ),
            Self::Control { at, code } => Said::new(
                format!("第{at}个字符是控制字符 U+{code:04X}"),
                format!("character {at} is the control character U+{code:04X}"),
            ),
            Self::Bidi { at } => Said::new(
                format!("第{at}个字符会改变文字方向"),
                format!("character {at} changes the direction of writing"),
            ),
            Self::LineBreak { at } => {
                Said::new(format!("第{at}个字符是换行"), format!("character {at} is a line break"))
            }
            Self::Hidden { at, code } => Said::new(
                format!("第{at}个字符 U+{code:04X} 看不见"),
                format!("character {at} is the invisible U+{code:04X}"),
            ),
            Self::Lost { at } => Said::new(
                format!("第{at}个字符在转换编码时已丢失(�)"),
                format!("character {at} was lost in a conversion (�)"),
            ),
        }
    }

    pub fn fix(&self) -> Said {
        match self {
            Self::TooLong { .. } => Said::new("请缩短", "shorten it"),
            Self::Control { .. } | Self::Bidi { .. } | Self::Hidden { .. } => {
                Said::new("请删去该字符", "delete that character")
            }
            Self::Lost { .. } => Said::new("请重新输入原来的字", "type the original character again"),
            Self::LineBreak { .. } => Said::new("此栏只能一行", "this field takes a single line"),
        }
    }
}

/// One line: trimmed, at most `max` characters, nothing invisible that could change it.
pub fn clean_line(text: &str, max: usize) -> Result<String, TextProblem> {
    clean(text.trim(), max, false)
}

/// Several lines: line ends become `\n`.
pub fn clean_text(text: &str, max: usize) -> Result<String, TextProblem> {
    clean(text.replace("\r\n", "\n").trim(), max, true)
}

fn clean(text: &str, max: usize, lines: bool) -> Result<String, TextProblem> {
    let found = text.chars().count();
    if found > max {
        return Err(TextProblem::TooLong { found, max });
    }
    for (index, letter) in text.chars().enumerate() {
        let at = index + 1;
        match letter {
            '\n' | '\t' if lines => {}
            letter if is_line_break(letter) => return Err(TextProblem::LineBreak { at }),
            letter if letter.is_control() => {
                return Err(TextProblem::Control {
                    at,
                    code: u32::from(letter),
                });
            }
            letter if is_bidi(letter) => return Err(TextProblem::Bidi { at }),
            '\u{fffd}' => return Err(TextProblem::Lost { at }),
            letter if is_hidden(letter) => {
                return Err(TextProblem::Hidden {
                    at,
                    code: u32::from(letter),
                });
            }
            _ => {}
        }
    }
    Ok(text.to_owned())
}

/// A foreign text as it may be repeated in a message: at most 40 characters, and what hides or moves others by its code.
pub fn shown(text: &str) -> String {
    const MAX: usize = 40;
    let mut shown = String::new();
    for (index, letter) in text.chars().enumerate() {
        if index == MAX {
            shown.push('…');
            break;
        }
        if letter.is_control() || is_line_break(letter) || is_bidi(letter) || is_hidden(letter) {
            shown.push_str(&format!("<U+{:04X}>", u32::from(letter)));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Embeddings, overrides, isolates and marks (Unicode Standard Annex 9).
fn is_bidi(letter: char) -> bool {
    matches!(
        letter,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
    )
}

/// Soft hyphen, zero-width space and non-joiner, word joiner and its kin, byte order mark, interlinear marks, tags, noncharacters. The
/// zero-width joiner and the variation selectors stay: emoji are made with them.
fn is_hidden(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{180e}' | '\u{200b}' | '\u{200c}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    ) || u32::from(letter) & 0xfffe == 0xfffe
}

fn is_line_break(letter: char) -> bool {
    matches!(
        letter,
        '\r' | '\n' | '\u{0b}' | '\u{0c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn only_what_tells_nothing_is_plain() {
        for plain in [
            "身份证",
            "户口本",
            "照片两张",
            "2寸照片(3张)",
            "夫妻双方身份证原件和复印件",
            "复印件",
            "申请表一份",
            "ID card, 2 photos",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        let telling = [
            "透析记录",
            "失业证",
            "丧葬费申请表",
            "残疾证复印件",
            "戒毒所证明",
            "母亲的身份证",
            "药费发票",
            "两张",
            "",
            "chemotherapy record",
            "death certificate",
            "身份证HIV",
        ];
        for telling in telling {
            assert!(!is_plain(telling), "{telling}");
        }
    }

    #[test]
    fn a_day_of_another_year_says_so() {
        let today = date(2026, 2, 13);
        let said = |day| day_words_on(today, day).to_string();
        assert_eq!(said(date(2026, 2, 14)), "2月14日(周六) / 14 February (Saturday)");
        assert_eq!(said(date(2025, 12, 31)), "12月31日(周三) / 31 December (Wednesday)");
        assert_eq!(
            said(date(2066, 2, 19)),
            "2066年2月19日(周五) / 19 February 2066 (Friday)"
        );
    }
}
