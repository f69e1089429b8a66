//! The one error type of the library: what was wrong, both values, where, and what to do about it.

use std::path::{Path, PathBuf};

/// Everything that can go wrong in the library: what users and files bring arrives here, it never panics. (An index past
/// the end, or slices of other lengths than a kernel's, are mistakes in a program and panic as a slice does.)
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two shapes that had to agree did not.
    #[error("{operation}: expected {expected}, found {found}")]
    Shape {
        /// The operation that refused, e.g. `conv2d`.
        operation: &'static str,
        /// What it needed, shapes included.
        expected: String,
        /// What it was given.
        found: String,
    },

    /// An argument that the operation cannot take; the caller can fix it.
    #[error("{operation}: {problem}")]
    Argument {
        /// The operation or option that refused.
        operation: &'static str,
        /// The value, the range it should lie in, and the remedy.
        problem: String,
    },

    /// A number that is not finite, caught where it arose.
    #[error("{place}: {problem}")]
    NotFinite {
        /// Layer, step or file in which it arose.
        place: String,
        /// What was found and what usually helps.
        problem: String,
    },

    /// The operating system refused a file operation.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// The verb, e.g. `read`.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },

    /// A file whose content is not what its kind requires.
    #[error("{}{problem}", place(path))]
    Format {
        /// The file concerned; empty for content that never was in one.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        problem: String,
    },

    /// What failed although everything that it was given was right: a thread that the system does not start, a drawing
    /// that its library refuses.
    #[error("{operation}: {problem}")]
    Failed {
        /// The operation.
        operation: &'static str,
        /// The reason that was given.
        problem: String,
    },

    /// Something that was looked for is not there.
    #[error("{0}")]
    NotFound(String),

    /// Work that was asked to stop ([`Stop`](crate::tensor::Stop)).
    #[error("interrupted")]
    Interrupted,

    /// An instruction set this processor or this build cannot run.
    #[error("{0}")]
    Isa(String),
}

/// `Result` with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A disagreement of shapes in `operation`.
    pub fn shape(
        operation: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Shape { operation, expected: expected.into(), found: found.into() }
    }

    /// An unusable argument of `operation`.
    pub fn argument(operation: &'static str, problem: impl Into<String>) -> Self {
        Self::Argument { operation, problem: problem.into() }
    }

    /// A failure of `operation` that no argument is to blame for.
    pub fn failed(operation: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Failed { operation, problem: problem.to_string() }
    }

    /// The same error as the fault of a file: what does not fit came from that file, not from an argument.
    /// Errors that name a file already, or are not about what fits, stay as they are.
    #[must_use]
    pub fn in_file(self, path: impl AsRef<Path>) -> Self {
        match self {
            Self::Shape { .. } | Self::Argument { .. } => Self::format(path, self.to_string()),
            other => other,
        }
    }

    /// The same error, if it is an argument's, of an operation or option by another name: what the user calls it there.
    #[cfg(feature = "experiment")]
    #[must_use]
    pub(crate) fn of(self, operation: &'static str) -> Self {
        match self {
            Self::Argument { problem, .. } => Self::Argument { operation, problem },
            other => other,
        }
    }

    /// Whether the same work fails so again, wherever it is done: what was asked is at fault, not the machine or its files.
    #[cfg(feature = "experiment")]
    pub(crate) fn is_of_what_was_asked(&self) -> bool {
        matches!(self, Self::Shape { .. } | Self::Argument { .. } | Self::NotFinite { .. })
    }

    /// A failed file operation; `action` is a verb that follows "cannot".
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), action, source }
    }

    /// Unusable content of a file.
    pub fn format(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_owned(), problem: problem.into() }
    }
}

/// What stands before a file's problem.
fn place(path: &Path) -> String {
    match path.as_os_str().is_empty() {
        true => String::new(),
        false => format!("{}: ", path.display()),
    }
}
