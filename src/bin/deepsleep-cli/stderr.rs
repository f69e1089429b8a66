//! The only way to stderr, which escapes everything that is printed.

use deepsleep::wording::{Medium, printable};
use log::{LevelFilter, Log, Metadata, Record};
use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

/// Prints one line to stderr. Failures are ignored, because they could not be reported.
pub fn to_stderr(line: impl Display) {
    let line = line.to_string();
    let _ = writeln!(io::stderr(), "{}", printable(&line, Medium::Line));
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

/// A path, fit to stand in a line.
pub fn shown(path: &Path) -> String {
    printable(&path.display().to_string(), Medium::Line).into_owned()
}
