//! What somebody answers to an SMS. A number can be forged, so an answer never does more than what can be taken back: it is noted, asks
//! for a call, or stops messages. It closes nothing and confirms nothing that a person has to check.

/// What an answer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// 1: they have read it.
    Confirmed,
    /// 2: they ask to be called.
    Call,
    /// 退订, T: no SMS any more.
    OptOut,
    /// Anything else: somebody has to read it.
    Words,
}

impl Reply {
    /// Full-width signs, case, white space and stops at the end do not matter.
    pub fn read(text: &str) -> Self {
        let plain: String = text
            .chars()
            .map(half_width)
            .filter(|letter| !letter.is_whitespace())
            .collect();
        let plain = plain
            .trim_matches(|letter: char| !letter.is_alphanumeric())
            .to_ascii_lowercase();
        match plain.as_str() {
            "1" => Self::Confirmed,
            "2" => Self::Call,
            "t" | "td" | "退订" | "回复退订" | "回t退订" | "退订短信" => Self::OptOut,
            _ => Self::Words,
        }
    }
}

fn half_width(letter: char) -> char {
    let code = u32::from(letter);
    match code {
        0x3000 => ' ',
        0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(letter),
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_read_as_people_write_it() {
        let table = [
            ("1", Reply::Confirmed),
            (" １。", Reply::Confirmed),
            ("1!", Reply::Confirmed),
            ("2", Reply::Call),
            ("【2】", Reply::Call),
            ("T", Reply::OptOut),
            ("t.", Reply::OptOut),
            ("Ｔ", Reply::OptOut),
            ("TD", Reply::OptOut),
            ("退订", Reply::OptOut),
            ("退 订!", Reply::OptOut),
            ("11", Reply::Words),
            ("12", Reply::Words),
            ("不要退订", Reply::Words),
            ("好的,收到", Reply::Words),
            ("", Reply::Words),
            ("谢谢T", Reply::Words),
        ];
        for (text, expected) in table {
            assert_eq!(Reply::read(text), expected, "{text}");
        }
    }
}
