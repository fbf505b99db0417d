//! A plain text as blocks, for the HTML frame: paragraphs, lists and commands. The frame escapes every line.

use serde::Serialize;

/// Lines that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Block<'a> {
    kind: Kind,
    lines: Vec<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    /// Lines that begin with `- `.
    List,
    /// Lines that are indented: commands to copy.
    Code,
}

/// Empty lines part blocks, and so does a change of kind.
pub(super) fn of(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut fresh = true;
    for line in text.lines() {
        let (kind, said) = read(line);
        if said.is_empty() {
            fresh = true;
            continue;
        }
        match blocks.last_mut() {
            Some(last) if !fresh && last.kind == kind => last.lines.push(said),
            _ => blocks.push(Block {
                kind,
                lines: vec![said],
            }),
        }
        fresh = false;
    }
    blocks
}

fn read(line: &str) -> (Kind, &str) {
    let said = line.trim();
    if let Some(item) = said.strip_prefix("- ") {
        (Kind::List, item)
    } else if line.starts_with("    ") {
        (Kind::Code, said)
    } else {
        (Kind::Text, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_lists_and_commands_are_told_apart() {
        let text = "您好:\n\n材料:\n- 身份证\n- 户口本\n    xixin case show 2026-000017\n完\n";
        let found: Vec<(Kind, usize)> = of(text).iter().map(|block| (block.kind, block.lines.len())).collect();
        let expected = [
            (Kind::Text, 1),
            (Kind::Text, 1),
            (Kind::List, 2),
            (Kind::Code, 1),
            (Kind::Text, 1),
        ];
        assert_eq!(found, expected);
        assert!(of("\n  \n").is_empty());
    }
}
