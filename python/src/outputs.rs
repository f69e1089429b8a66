//! What the outputs of a model look like that the engine gets as differences alone.

use deepsleep::attack::extend;
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

/// What rows of outputs look like.
#[pyclass(module = "deepsleep._native")]
pub struct OutputRange(extend::OutputRange);

#[pymethods]
impl OutputRange {
    #[new]
    fn new() -> Self {
        Self(extend::OutputRange::default())
    }

    /// Takes rows `[n, class]` into account.
    fn see(&mut self, rows: PyReadonlyArray2<'_, f64>) {
        rows.as_array().rows().into_iter().for_each(|row| self.0.see(&row.to_vec()));
    }

    /// What to say of them, if they are no logits.
    fn doubt(&self) -> Option<String> {
        self.0.doubt()
    }
}
