//! A network's state dict: its arrays under PyTorch's names, and its architecture.

use super::Model;
use crate::checkpoint::StateDict;
use crate::checkpoint::format::ARCHITECTURE as NOTE;
use crate::nn::RunningStatistics;
use crate::nn::architecture::{Architecture, BUILTIN};
use crate::wording::of_json;
use crate::{Error, Result};

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

/// Takes all of a state, or nothing: a network without an array of its file is another network.
pub(super) fn load(model: &mut Model, state: &StateDict) -> Result<()> {
    if let Some(noted) = noted(state)?
        && noted != *model.architecture
    {
        let difference = noted.difference(&model.architecture);
        let problem = format!("holds another network than is asked for: {difference}");
        return Err(Error::format(state.path(), problem));
    }
    check_arrays(&model.architecture, state)?;
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
    *model = new;
    Ok(())
}

/// The architecture that a file notes, if it does.
fn noted(state: &StateDict) -> Result<Option<Architecture>> {
    let Some(note) = state.notes().get(NOTE) else { return Ok(None) };
    serde_json::from_value(note.clone()).map(Some).map_err(|error| {
        let error = of_json(&error);
        Error::format(state.path(), format!("its note of the architecture is wrong: {error}"))
    })
}

/// The architecture of a file: the one that it notes, or LeNet's if its arrays are LeNet's.
pub(super) fn architecture(state: &StateDict) -> Result<Architecture> {
    if let Some(noted) = noted(state)? {
        return Ok(noted);
    }
    let lenet = Architecture::default();
    let Err(error) = check_arrays(&lenet, state) else { return Ok(lenet) };
    let fits = |network: &Architecture| check_arrays(network, state).is_ok();
    let builtin = BUILTIN.iter().find(|of| {
        [10, 100].iter().any(|&classes| of.build(of.input, classes).as_ref().is_ok_and(fits))
    });
    let remedy = match builtin {
        Some(builtin) => format!("architecture {} fits it", builtin.name),
        None => "give its architecture, a name or a file".to_owned(),
    };
    let problem = match error {
        Error::Format { problem, .. } => problem,
        other => other.to_string(),
    };
    let problem = format!("{problem}; a file that names no architecture has to be lenet: {remedy}");
    Err(Error::format(state.path(), problem))
}

/// Refuses a state without an array of this architecture, or with one of another shape, or with others.
fn check_arrays(architecture: &Architecture, state: &StateDict) -> Result<()> {
    let arrays = arrays(architecture);
    for (name, shape) in &arrays {
        state.expect_shape(name, shape)?;
    }
    let owner = architecture.name().unwrap_or("the network");
    state.expect_only(owner, arrays.iter().map(|(name, _)| name.as_str()))
}

/// Names and shapes of all arrays of a state.
fn arrays(architecture: &Architecture) -> Vec<(String, Vec<usize>)> {
    let parameters = architecture.parameters().map(|(name, array)| (name, array.shape));
    let norms = architecture.nodes().iter().enumerate().filter(|(_, node)| node.op.is_norm());
    let statistics = norms.flat_map(|(i, node)| {
        running(&node.name).map(|name| (name, vec![architecture.input_of(i).channels]))
    });
    parameters.chain(statistics).collect()
}
