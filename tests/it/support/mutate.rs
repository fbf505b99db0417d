//! Input for parsers that is almost right: a sample, or several, with pieces taken out, doubled, swapped, or replaced by what such
//! parsers trip over. What random bytes alone would never reach.

/// Pieces that have broken parsers before.
const NASTY: [&str; 24] = [
    "\0",
    "\r",
    "\n",
    "\r\n",
    "\r\n.\r\n",
    "\u{feff}",
    "\u{2028}",
    "\u{202e}",
    "\u{fffd}",
    "\u{1f600}",
    "\u{85}",
    "%",
    "{{",
    "}}",
    "{%",
    "\"",
    "'",
    "\\",
    "99999999999999999999",
    "-1",
    "0",
    "-9223372036854775808",
    "1e309",
    "9999-12-31",
];

/// Makes one input of these samples, led by `choices`; the same choices make the same input.
pub(crate) fn mutate(samples: &[&[u8]], choices: &[u8]) -> Vec<u8> {
    let mut choices = choices.iter().copied();
    let mut choose = |below: usize| {
        let (high, low) = (choices.next()?, choices.next()?);
        Some(usize::from(u16::from_be_bytes([high, low])) % below.max(1))
    };
    let Some(first) = choose(samples.len()) else {
        return Vec::new();
    };
    let mut made = samples[first].to_vec();
    while let (Some(kind), Some(at), Some(length)) = (choose(7), choose(made.len() + 1), choose(12)) {
        let end = (at + length).min(made.len());
        match kind {
            0 => drop(made.drain(at..end)),
            1 => {
                let piece = made[at..end].to_vec();
                drop(made.splice(at..at, piece));
            }
            2 => drop(made.splice(at..end, NASTY[length * 2 % NASTY.len()].bytes())),
            3 => drop(made.splice(at..at, NASTY[(at + length) % NASTY.len()].bytes())),
            4 => made[at..end]
                .iter_mut()
                .for_each(|byte| *byte = byte.wrapping_add(0x55)),
            5 => made.truncate(at),
            _ => {
                let Some(other) = choose(samples.len()) else { break };
                made.truncate(at);
                made.extend_from_slice(&samples[other][samples[other].len().min(length)..]);
            }
        }
    }
    made
}
