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

/// Results of the engine as results of Python.
pub trait Raised<T> {
    /// The same, or an exception with the engine's line.
    fn raised(self) -> PyResult<T>;
}

impl<T> Raised<T> for deepsleep::Result<T> {
    fn raised(self) -> PyResult<T> {
        self.map_err(|error| refuse(error.to_string()))
    }
}
