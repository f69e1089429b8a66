//! A network's arrays by PyTorch's names, with its architecture beside them.

use super::Model;
use crate::checkpoint::StateDict;
use crate::nn::RunningStatistics;
use crate::nn::architecture::Architecture;
use crate::{Error, Result};

/// The note that holds the architecture.
const NOTE: &str = "architecture";

/// The names of a batch normalization's running mean and variance.
fn running(node: &str) -> [String; 2] {
    ["running_mean", "running_var"].map(|suffix| format!("{node}.{suffix}"))
}

/// Parameters, statistics and architecture.
pub(super) fn of(model: &Model) -> StateDict {
    let mut state = StateDict::default();
    let mut add = |name: &str, shape: &[usize], values: &[f32]| {
        // The shapes are the arrays' own: insert cannot refuse.
        let _ = state.insert(name, shape.to_vec(), values.to_vec());
    };
    for parameter in &model.parameters {
        add(&parameter.name, &parameter.shape, &parameter.values);
    }
    for (norm, RunningStatistics { mean, variance }) in
        model.plan.norms.iter().zip(&model.statistics)
    {
        let names = running(&model.architecture.nodes()[norm.node].name);
        for (name, values) in names.iter().zip([mean, variance]) {
            add(name, &[values.len()], values);
        }
    }
    state.note(NOTE, model.architecture.as_ref());
    state
}

/// Takes all of a state, or nothing.
pub(super) fn load(model: &mut Model, state: &StateDict) -> Result<()> {
    if state.notes().contains_key(NOTE) {
        let noted = noted(state)?;
        if noted != *model.architecture {
            let problem = format!(
                "holds another network than is expected: {}",
                noted.difference(&model.architecture)
            );
            return Err(Error::format(state.path(), problem));
        }
    }
    let mut new = model.clone();
    for parameter in new.parameters.iter_mut() {
        let values = state.expect(&parameter.name, &parameter.shape)?;
        parameter.values.copy_from_slice(values);
    }
    let statistics = new.plan.norms.iter().zip(&mut new.statistics);
    for (norm, RunningStatistics { mean, variance }) in statistics {
        let [of_mean, of_variance] = running(&new.architecture.nodes()[norm.node].name);
        let shape = [mean.len()];
        mean.copy_from_slice(state.expect(&of_mean, &shape)?);
        variance.copy_from_slice(state.expect_non_negative(&of_variance, &shape)?);
    }
    // All of it is taken, or it is another network.
    state.expect_only("the network", of(model).names())?;
    *model = new;
    Ok(())
}

/// The architecture that a file notes.
///
/// # Errors
/// If there is none, or it is not one.
pub(super) fn noted(state: &StateDict) -> Result<Architecture> {
    let Some(note) = state.notes().get(NOTE) else {
        return Err(Error::format(state.path(), "does not say which architecture it has"));
    };
    serde_json::from_value(note.clone()).map_err(|error| {
        Error::format(state.path(), format!("its note of the architecture is wrong: {error}"))
    })
}
