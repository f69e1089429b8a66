//! The one way to stderr, and what may be printed at all.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

/// One line on stderr. If nobody reads it any more, there is nobody to tell.
pub fn to_stderr(line: impl Display) {
    let line = line.to_string();
    let _ = writeln!(io::stderr(), "{}", printable(&line, |_| false));
}

/// A text without what a terminal would take for a command: files and paths of others may hold anything. Control
/// characters but those that are `welcome`, and marks that turn the direction of what follows, are escaped.
pub fn printable(text: &str, welcome: fn(char) -> bool) -> Cow<'_, str> {
    let is_turn = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hostile = |c: char| (c.is_control() && !welcome(c)) || is_turn(c);
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match hostile(c) {
            true => clean.extend(c.escape_default()),
            false => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn commands_to_terminals_are_escaped() {
        assert_eq!(printable("10 µs\n", |c| c == '\n'), "10 µs\n");
        assert_eq!(printable("a\u{1b}[2J\u{9b}b\r\n", |c| c == '\n'), "a\\u{1b}[2J\\u{9b}b\\r\n");
        assert_eq!(printable("a\nb\u{202e}", |_| false), "a\\nb\\u{202e}");
    }
}
