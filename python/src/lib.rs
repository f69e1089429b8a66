//! The native module of the Python package: arrays in and out, models of both sides, progress, Ctrl-C. What users hand over
//! is looked at in Python, in `deepsleep/_arguments.py`.

mod architecture;
mod attack;
mod callback;
mod data;
mod desk;
mod error;
mod evaluate;
mod network;
mod outputs;
mod reproduce;
mod samples;
mod train;
mod trained;
mod work;

/// `deepsleep._native`.
#[pyo3::pymodule(name = "_native")]
mod native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::architecture::{architectures, checked, described, named, of_file};
    #[pymodule_export]
    use crate::attack::{AttackResult, attacks, clean_accuracy, grid, run_one, save_set};
    #[pymodule_export]
    use crate::callback::Callback;
    #[pymodule_export]
    use crate::data::{Data, datasets, read_dataset};
    #[pymodule_export]
    use crate::error::Error;
    #[pymodule_export]
    use crate::evaluate::{page_of_audit, run_audit, run_many};
    #[pymodule_export]
    use crate::network::Network;
    #[pymodule_export]
    use crate::outputs::OutputRange;
    #[pymodule_export]
    use crate::reproduce::run_reproduction;
    #[pymodule_export]
    use crate::samples::{Samples, gradients, logits};
    #[pymodule_export]
    use crate::train::{all_settings, defenses, run_training};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // The first array looks numpy's functions up, which a Ctrl-C that is pending would make fail: not while data is read.
        numpy::PyArray1::<f32>::zeros(module.py(), 0, false);
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
