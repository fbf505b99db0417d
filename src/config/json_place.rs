//! Where an entry of a JSON file stands: paths such as `days[3].date`, and their byte offsets. The file has been parsed before.

use std::collections::HashMap;

/// Every entry with its place, and the keys that an object gives twice.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub offsets: HashMap<String, usize>,
    pub twice: Vec<(String, usize)>,
}

/// The places in a text that is JSON. Of a key that is given twice the last place counts, as its last value does.
pub(super) fn places(text: &str) -> Places {
    let mut walk = Walk {
        text,
        at: 0,
        found: Places::default(),
    };
    walk.value(String::new());
    walk.found
}

struct Walk<'a> {
    text: &'a str,
    at: usize,
    found: Places,
}

impl Walk<'_> {
    /// The depth is bounded by the parser that has accepted the text before.
    fn value(&mut self, path: String) {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.members(&path),
            Some(b'[') => self.elements(&path),
            Some(b'"') => drop(self.string()),
            _ => {
                while self.peek().is_some_and(|byte| !b",]} \t\r\n".contains(&byte)) {
                    self.at += 1;
                }
            }
        }
        self.found.offsets.insert(path, start);
    }

    fn members(&mut self, path: &str) {
        self.at += 1;
        while self.until(b'}') {
            let start = self.at;
            let key = self.string();
            let below = if path.is_empty() { key } else { format!("{path}.{key}") };
            if self.found.offsets.contains_key(&below) {
                self.found.twice.push((below.clone(), start));
            }
            self.skip_space();
            self.at += 1;
            self.value(below);
        }
    }

    fn elements(&mut self, path: &str) {
        self.at += 1;
        let mut index = 0;
        while self.until(b']') {
            self.value(format!("{path}[{index}]"));
            index += 1;
        }
    }

    /// Steps over what parts two entries; false behind the closing bracket and at the end of the text.
    fn until(&mut self, close: u8) -> bool {
        self.skip_space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.skip_space();
        }
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                false
            }
            other => other.is_some(),
        }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        let raw = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(raw).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found_where_it_stands() {
        let text = r#"{ "a\"b": [1, {"c": "x,]}"}, []], "d": {}, "d": null }"#;
        let found = places(text);
        let at = |path: &str| &text[found.offsets[path]..];
        assert!(at("a\"b[0]").starts_with("1,"));
        assert!(at("a\"b[1].c").starts_with("\"x,]}\""));
        assert!(at("a\"b[2]").starts_with("[]]"));
        assert!(at("d").starts_with("null"));
        assert_eq!(found.twice.len(), 1);
        assert!(text[found.twice[0].1..].starts_with("\"d\": null"));
    }
}
