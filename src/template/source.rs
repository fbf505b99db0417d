//! Looks at the text of a template: which names stand in its tags, and where; which lines are tags only; which digits are a number.

use std::ops::Range;

/// A tag that has a line to itself leaves no line behind: the line's end moves into the tag, so that line numbers stay true.
pub(super) fn own_line_tags(source: &str) -> String {
    let mut text = String::with_capacity(source.len() + 16);
    for line in source.split_inclusive('\n') {
        let tag = line.trim();
        let alone = |open: &str, close: &str| {
            line.ends_with('\n') && tag.starts_with(open) && tag.ends_with(close) && tag.matches(open).count() == 1
        };
        // `-%}` and `+%}` say themselves what becomes of the white space.
        let marked = tag.ends_with("-%}") || tag.ends_with("+%}");
        if !marked && (alone("{%", "%}") || alone("{#", "#}")) {
            let (inside, close) = tag.split_at(tag.len() - 2);
            text.push_str(inside);
            text.push('\n');
            text.push_str(close);
        } else {
            text.push_str(line);
        }
    }
    text
}

/// A mainland mobile number written out: eleven digits that begin with 13 to 19.
pub(super) fn mobile_number(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits_from = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    (0..bytes.len()).find(|&at| {
        let starts = at == 0 || !bytes[at - 1].is_ascii_digit();
        starts && digits_from(at) == 11 && bytes[at] == b'1' && (b'3'..=b'9').contains(&bytes[at + 1])
    })
}

/// The names inside `{{ }}` and `{% %}`, outside of quotes and not behind a dot, with their places.
pub(super) fn words_in_tags(source: &str) -> Vec<(&str, Range<usize>)> {
    let mut words = Vec::new();
    let mut rest = 0;
    while let Some((open, close)) = next_tag(source, rest) {
        collect_words(source, open, close, &mut words);
        rest = close;
    }
    words
}

fn next_tag(source: &str, from: usize) -> Option<(usize, usize)> {
    let find = |tag: &str| source[from..].find(tag).map(|at| from + at);
    let (open, end) = match (find("{{"), find("{%")) {
        (Some(value), Some(block)) if value < block => (value, "}}"),
        (Some(value), None) => (value, "}}"),
        (_, Some(block)) => (block, "%}"),
        (None, None) => return None,
    };
    let close = source[open..].find(end).map_or(source.len(), |at| open + at);
    Some((open + 2, close.max(open + 2)))
}

fn collect_words<'a>(source: &'a str, open: usize, close: usize, words: &mut Vec<(&'a str, Range<usize>)>) {
    let bytes = source.as_bytes();
    let mut quote = None;
    let mut at = open;
    while at < close {
        let byte = bytes[at];
        match quote {
            Some(mark) if byte == mark => quote = None,
            Some(_) => {}
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            None if byte.is_ascii_alphabetic() || byte == b'_' => {
                let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                let end = at + bytes[at..close].iter().take_while(|byte| is_word(byte)).count();
                if at == 0 || bytes[at - 1] != b'.' {
                    words.push((&source[at..end], at..end));
                }
                at = end;
                continue;
            }
            None => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_tags_are_found_and_others_are_not() {
        let words: Vec<&str> = words_in_tags("day {{ day|upper }} {% if x.y == 'day' %}z{% endif %} {{")
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        assert_eq!(words, ["day", "upper", "if", "x", "endif"]);
    }

    #[test]
    fn a_tag_on_its_own_line_leaves_none_behind() {
        let source = "a\n  {% if x %}\nb {% if y %}c{% endif %}\n{% endif %}\nd";
        let text = own_line_tags(source);
        assert_eq!(text, "a\n{% if x \n%}b {% if y %}c{% endif %}\n{% endif \n%}d");
        assert_eq!(text.lines().count(), source.lines().count());
    }

    #[test]
    fn a_mobile_number_is_told_from_other_digits() {
        assert_eq!(mobile_number("电话13900000000"), Some(6));
        assert_eq!(mobile_number("电话010-00000000"), None);
        assert_eq!(mobile_number("2139000000001"), None);
    }
}
