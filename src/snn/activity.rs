//! Who spikes how often, and when.

use super::FrozenSpikingLeNet;
use crate::Result;
use crate::autodiff::Tape;
use crate::data::Dataset;
use crate::nn::verdict_noise;
use crate::tensor::{Context, Tensor};

/// A few blocks at a time: all steps of all spikes are held at once.
const PORTION: usize = 64;

/// Spikes a neuron and time step of each spiking layer (before pooling), over all images.
///
/// # Errors
/// If the images do not have the network's shape.
pub fn firing_rates(
    context: &Context,
    network: &FrozenSpikingLeNet,
    images: &Dataset,
) -> Result<[f64; 2]> {
    let mut tape = Tape::new(context.clone());
    let mut totals = [0.0_f64; 2];
    let indices: Vec<usize> = (0..images.len()).collect();
    for portion in indices.chunks(PORTION) {
        let spikes = spikes(&mut tape, network, images, portion)?;
        for (total, spikes) in totals.iter_mut().zip(&spikes) {
            let sum: f64 = spikes.lanes().iter().flat_map(|l| l.0).map(f64::from).sum();
            let count = portion.len() * spikes.steps() * spikes.shape().features();
            *total += sum / count as f64 * portion.len() as f64 / images.len() as f64;
        }
    }
    Ok(totals)
}

/// Both spiking layers' spikes (before pooling) for one image: `[step][neuron]`.
///
/// # Errors
/// If the image does not have the network's shape, or there is no such image.
pub fn spike_trains(
    context: &Context,
    network: &FrozenSpikingLeNet,
    images: &Dataset,
    image: usize,
) -> Result<[Vec<Vec<bool>>; 2]> {
    let mut tape = Tape::new(context.clone());
    let spikes = spikes(&mut tape, network, images, &[image])?;
    Ok(spikes.map(|layer| {
        let step = |t| layer.sample(t, 0).map(|s| s > 0.5).collect();
        (0..layer.steps()).map(step).collect()
    }))
}

fn spikes(
    tape: &mut Tape,
    network: &FrozenSpikingLeNet,
    images: &Dataset,
    indices: &[usize],
) -> Result<[Tensor; 2]> {
    let mut batch = tape.tensor(images.shape(), indices.len(), 1);
    images.gather(&tape.context().clone(), indices, &mut batch)?;
    // The first of the draws that decide about the image.
    tape.set_noise(indices.iter().map(|&i| verdict_noise(0, i as u64, 0)));
    let x = tape.constant(batch);
    let spikes = network.spikes(tape, x)?.map(|var| tape.value(var).clone());
    tape.reset();
    Ok(spikes)
}
