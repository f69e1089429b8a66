//! What goes wrong in the engine, as a Python exception.

use pyo3::exceptions::PyValueError;
use pyo3::{PyErr, PyResult, create_exception};

create_exception!(
    deepsleep,
    Error,
    PyValueError,
    "What deepsleep cannot do, in one line: what was wrong, with both values, where, and what to do."
);

/// An exception with this line.
pub fn refuse(problem: impl Into<String>) -> PyErr {
    Error::new_err(problem.into())
}

/// What the engine's messages call by the program's options, and what Python calls it. Longer ones go first.
const WORDS: [(&str, &str); 8] = [
    ("begin without --resume", "name another file"),
    ("`attack --list` shows", "`deepsleep.attacks()` lists"),
    ("`attack --save`", "`Report.save`"),
    ("--data NAME --data-dir ", "its name, and folder="),
    ("--data-dir", "folder="),
    ("--architecture ", "architecture="),
    ("--out", "out="),
    ("--profile", "profile="),
];

/// A message in Python's words.
fn translated(message: String) -> String {
    WORDS.iter().fold(message, |message, (theirs, ours)| message.replace(theirs, ours))
}

/// Results of the engine as results of Python.
pub trait Raised<T> {
    /// The same, or an exception with the engine's line.
    fn raised(self) -> PyResult<T>;
}

impl<T> Raised<T> for deepsleep::Result<T> {
    fn raised(self) -> PyResult<T> {
        self.map_err(|error| refuse(translated(error.to_string())))
    }
}
