//! Firing rates and spike trains of a network.

use super::FrozenSpikingModel;
use crate::Result;
use crate::autodiff::Tape;
use crate::data::Dataset;
use crate::nn::decision_noise;
use crate::tensor::{Context, Tensor};

/// Images at a time: all steps of all spikes are held at once.
const PORTION: usize = 64;
/// A large network records as many as fit in about this many bytes, but at least sixteen.
const MEMORY: usize = 1 << 29;

/// Spikes a neuron and time step of each spiking layer (before pooling), over all images; with the layers' names, in
/// order.
///
/// # Errors
/// If the images do not have the network's shape.
pub fn firing_rates(
    context: &Context,
    network: &FrozenSpikingModel,
    images: &Dataset,
) -> Result<Vec<(String, f64)>> {
    let mut tape = Tape::new(context.clone());
    let mut totals: Vec<_> = network.layers().into_iter().map(|l| (l.to_owned(), 0.0)).collect();
    let indices: Vec<usize> = (0..images.len()).collect();
    let one = network.architecture().bytes().saturating_mul(network.steps());
    let portion = (MEMORY / one.max(1)).clamp(16, PORTION);
    for portion in indices.chunks(portion) {
        let spikes = spikes(&mut tape, network, images, portion)?;
        for ((_, total), spikes) in totals.iter_mut().zip(&spikes) {
            let sum: f64 = spikes.lanes().iter().flat_map(|l| l.0).map(f64::from).sum();
            let count = portion.len() * spikes.steps() * spikes.shape().features();
            *total += sum / count as f64 * portion.len() as f64 / images.len() as f64;
        }
    }
    Ok(totals)
}

/// A layer's spikes for one image: its name, and who spikes, `[step][neuron]`.
pub type SpikeTrain = (String, Vec<Vec<bool>>);

/// All spiking layers' spikes (before pooling) for one image.
///
/// # Errors
/// If the image does not have the network's shape, or there is no such image.
pub fn spike_trains(
    context: &Context,
    network: &FrozenSpikingModel,
    images: &Dataset,
    image: usize,
) -> Result<Vec<SpikeTrain>> {
    let mut tape = Tape::new(context.clone());
    let spikes = spikes(&mut tape, network, images, &[image])?;
    let of_layer = |(name, layer): (&str, &Tensor)| {
        let step = |t| layer.sample(t, 0).map(|s| s > 0.5).collect();
        (name.to_owned(), (0..layer.steps()).map(step).collect())
    };
    Ok(network.layers().into_iter().zip(&spikes).map(of_layer).collect())
}

fn spikes(
    tape: &mut Tape,
    network: &FrozenSpikingModel,
    images: &Dataset,
    indices: &[usize],
) -> Result<Vec<Tensor>> {
    let mut batch = tape.tensor(images.shape(), indices.len(), 1);
    images.gather(&tape.context().clone(), indices, &mut batch)?;
    // The first of the draws that decide about the image.
    tape.set_noise(indices.iter().map(|&i| decision_noise(0, i as u64, 0)));
    let x = tape.constant(batch);
    let spikes = network.spikes(tape, x)?;
    let spikes = spikes.into_iter().map(|var| tape.value(var).clone()).collect();
    tape.reset();
    Ok(spikes)
}
