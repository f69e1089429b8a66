//! The native module of the Python package: arrays in and out, models of both sides, progress, Ctrl-C. What users hand over
//! is looked at in Python, in `deepsleep/_arguments.py`.

mod architecture;
mod attack;
mod callback;
mod desk;
mod error;
mod network;
mod samples;
mod work;

/// `deepsleep._native`.
#[pyo3::pymodule(name = "_native")]
mod native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::architecture::{architectures, checked, described, named, of_file};
    #[pymodule_export]
    use crate::attack::{AttackResult, attacks, run_one};
    #[pymodule_export]
    use crate::callback::Callback;
    #[pymodule_export]
    use crate::error::Error;
    #[pymodule_export]
    use crate::network::Network;
    #[pymodule_export]
    use crate::samples::{Samples, logits};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
