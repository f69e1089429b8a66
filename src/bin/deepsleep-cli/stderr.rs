//! The only way to stderr, and the escaping of everything that is printed.

use log::{LevelFilter, Log, Metadata, Record};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

/// Prints one line to stderr. Failures are ignored, because there is nobody left to tell.
pub fn to_stderr(line: impl Display) {
    let line = line.to_string();
    let _ = writeln!(io::stderr(), "{}", printable(&line, |_| false));
}

/// Notes of the library, each once.
struct LibraryNotes(Mutex<HashSet<String>>);

impl Log for LibraryNotes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "note"
    }

    fn log(&self, record: &Record<'_>) {
        let note = record.args().to_string();
        if self.enabled(record.metadata())
            && self.0.lock().is_ok_and(|mut said| said.insert(note.clone()))
        {
            to_stderr(format_args!("note: {note}"));
        }
    }

    fn flush(&self) {}
}

/// Shows the notes of the library.
pub fn show_notes() {
    // Called once, so that there is no other logger.
    if log::set_boxed_logger(Box::new(LibraryNotes(Mutex::default()))).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// A text without what a terminal would take for a command: files and paths of others may hold anything. Control
/// characters but those that are `welcome`, and marks that turn the direction of what follows, are escaped as in JSON, so
/// that JSON stays JSON.
pub fn printable(text: &str, welcome: fn(char) -> bool) -> Cow<'_, str> {
    let is_turn = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hostile = |c: char| (c.is_control() && !welcome(c)) || is_turn(c);
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if hostile(c) => clean.push_str("\\n"),
            '\r' if hostile(c) => clean.push_str("\\r"),
            '\t' if hostile(c) => clean.push_str("\\t"),
            c if hostile(c) => clean.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// A path, fit to stand in a line.
pub fn shown(path: &Path) -> String {
    printable(&path.display().to_string(), |_| false).into_owned()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn commands_to_terminals_are_escaped() {
        let lines = |c| c == '\n';
        assert_eq!(printable("10 µs\n", lines), "10 µs\n");
        assert_eq!(printable("a\u{1b}[2J\u{9b}b\r\n", lines), "a\\u001b[2J\\u009bb\\r\n");
        assert_eq!(printable("a\nb\u{202e}", |_| false), "a\\nb\\u202e");
        let json = serde_json::to_string("\u{1b}\u{7f}\u{9b}\u{202e}").expect("JSON");
        let read: String = serde_json::from_str(&printable(&json, lines)).expect("still JSON");
        assert_eq!(read, "\u{1b}\u{7f}\u{9b}\u{202e}");
    }
}
