//! The models of a results folder that pictures are made of.

use crate::Result;
use crate::checkpoint::StateDict;
use crate::experiment::{Model, Results};
use crate::files::{MOST, inside, read_regular};
use crate::nn::LeNet;
use crate::sleep::Settings;
use std::path::Path;

/// A model with its network.
pub struct Loaded<'a> {
    /// What it is.
    pub model: &'a Model,
    /// The network.
    pub lenet: LeNet,
}

/// Defenses that put a network to sleep.
pub const ASLEEP: [&str; 4] = ["sleep", "slow-wave", "fast-wave", "deepsleep"];

/// The first model of each method, in the order of the results.
pub fn first_of_each_method(results: &Results) -> Vec<&Model> {
    let mut firsts: Vec<&Model> = Vec::new();
    for model in &results.models {
        if firsts.iter().all(|other| other.method != model.method) {
            firsts.push(model);
        }
    }
    firsts
}

/// Reads a model's file.
///
/// # Errors
/// If it is missing, not a regular file of the folder, or no LeNet.
pub fn load<'a>(folder: &Path, model: &'a Model) -> Result<Loaded<'a>> {
    let path = inside(folder, &model.file)?;
    let state = StateDict::from_bytes(&read_regular(&path, MOST)?, path)?;
    Ok(Loaded { model, lenet: LeNet::from_state(&state)? })
}

/// The settings of a model: the experiment's with its overrides.
///
/// # Errors
/// If an override is none of the settings.
pub fn settings_of(results: &Results, model: &Model) -> Result<Settings> {
    let mut settings = results.settings.clone();
    for (name, value) in &model.overrides {
        settings.set(name, value)?;
    }
    Ok(settings)
}
