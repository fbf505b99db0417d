//! Turns serde's words about a wrong entry into ours: which entry, what is wrong, what is allowed.

use super::place::{Path, Step};
use super::problem::allowed;

/// One entry that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The entry; for a missing one, the table that should hold it.
    pub path: Path,
    pub what: String,
    pub allowed: String,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The key may not be there; `meant` is the known name it resembles.
    Unknown { meant: Option<String> },
    /// The table lacks this key.
    Missing { name: String },
    /// The value does not fit; the first name that would, where only certain names do.
    Wrong { fits: Option<String> },
}

/// Reads serde's message about the entry at `path`.
pub(super) fn understand(mut path: Path, message: &str) -> Fault {
    let message = message.trim();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let name = quoted.first().copied().unwrap_or_default();
    let known = quoted.get(1..).unwrap_or_default();
    let (what, allowed, kind) = if message.starts_with("unknown field") {
        if path.last() != Some(&Step::Key(name.to_owned())) {
            path.push(Step::Key(name.to_owned()));
        }
        let allowed = allowed(name, known.iter().copied());
        let meant = super::problem::nearest(name, known.iter().copied()).map(str::to_owned);
        ("unknown key".to_owned(), allowed, FaultKind::Unknown { meant })
    } else if message.starts_with("unknown variant") {
        let allowed = allowed(name, known.iter().copied());
        let fits = known.first().map(|name| (*name).to_owned());
        (format!("\"{name}\" is not known"), allowed, FaultKind::Wrong { fits })
    } else if message.starts_with("missing field") {
        let kind = FaultKind::Missing { name: name.to_owned() };
        let what = format!("the key \"{name}\" is missing");
        (what, format!("add {name} = …"), kind)
    } else {
        let (what, allowed) = wrong_value(message);
        (what, allowed, FaultKind::Wrong { fits: None })
    };
    Fault {
        path,
        what,
        allowed,
        kind,
    }
}

fn wrong_value(message: &str) -> (String, String) {
    if let Some((what, allowed)) = message.split_once("; allowed: ") {
        return (what.to_owned(), format!("allowed: {allowed}"));
    }
    match message.split_once(", expected ") {
        Some((what, expected)) => {
            let found = what
                .strip_prefix("invalid type: ")
                .or_else(|| what.strip_prefix("invalid value: "))
                .map_or_else(
                    || what.to_owned(),
                    |found| format!("{} does not fit here", shown(found)),
                );
            (found, format!("allowed: {}", plain(expected)))
        }
        None => (message.to_owned(), String::new()),
    }
}

/// What was found, as people call it.
fn shown(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "string" => format!("the text {value}"),
        "integer" | "boolean" => value.trim_matches('`').to_owned(),
        "floating" => found.trim_start_matches("floating point ").trim_matches('`').to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        _ => found.to_owned(),
    }
}

/// What was expected, as people call it.
fn plain(expected: &str) -> String {
    match expected {
        "a string" => "text in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list in [ ]".to_owned(),
        "a map" => "a table".to_owned(),
        "path string" => "a path in quotes".to_owned(),
        "socket address" => "address:port, such as \"127.0.0.1:8787\"".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        other if other.starts_with("struct ") => "a table in { } or below a [header]".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_serde_become_sentences_with_what_is_allowed() {
        for (message, what, allowed) in [
            (
                "unknown field `prot`, expected one of `host`, `port`",
                "unknown key",
                "did you mean \"port\"? allowed: host, port",
            ),
            ("unknown field `x`, expected `listen`", "unknown key", "allowed: listen"),
            (
                "unknown variant `tsl`, expected one of `tls`, `none`",
                "\"tsl\" is not known",
                "did you mean \"tls\"? allowed: tls, none",
            ),
            ("missing field `name`", "the key \"name\" is missing", "add name = …"),
            (
                "invalid type: string \"9\", expected u32",
                "the text \"9\" does not fit here",
                "allowed: a whole number, 0 or more",
            ),
            (
                "invalid type: floating point `1.5`, expected u32",
                "1.5 does not fit here",
                "allowed: a whole number, 0 or more",
            ),
            (
                "invalid value: integer `-5`, expected u16",
                "-5 does not fit here",
                "allowed: a whole number from 0 to 65535",
            ),
            (
                "invalid type: map, expected a string",
                "a table does not fit here",
                "allowed: text in quotes",
            ),
            (
                "\"x\" is no date; allowed: 2026-02-14",
                "\"x\" is no date",
                "allowed: 2026-02-14",
            ),
        ] {
            let fault = understand(Vec::new(), message);
            assert_eq!(
                (fault.what.as_str(), fault.allowed.as_str()),
                (what, allowed),
                "{message}"
            );
        }
    }
}
