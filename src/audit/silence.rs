//! Of a spiking network: how much of it never spikes.

use super::report::Check;
use super::subject::{ShareCheck, Subject};
use crate::Result;
use crate::autodiff::Tape;
use crate::simd::LANES;
use crate::tensor::Tensor;

/// Images that are looked at.
const SOME: usize = 64;

/// The share of neurons that never spike on any image. None of a model that does not show its spikes.
pub(super) fn silent(subject: &Subject<'_>) -> Result<Option<Check>> {
    let Some(network) = subject.model.as_network().filter(|network| network.is_spiking()) else {
        return Ok(None);
    };
    let which = Subject::some(&subject.all(), SOME);
    let mut tape = Tape::new(subject.context.clone());
    let mut spiked: Vec<Vec<bool>> = Vec::new();
    for some in which.chunks(LANES) {
        tape.reset();
        tape.set_noise(some.iter().map(|&i| subject.key("noise", i)));
        let images = subject.samples.select(some)?.to_array();
        let x = tape.constant(Tensor::from_array(images.view()));
        for (layer, var) in network.spikes(&mut tape, x)?.into_iter().enumerate() {
            let spikes = tape.value(var);
            if layer == spiked.len() {
                spiked.push(vec![false; spikes.shape().features()]);
            }
            let lanes = spikes.lanes().chunks(spikes.shape().features());
            for block in lanes {
                let neurons = spiked[layer].iter_mut().zip(block);
                neurons.for_each(|(spiked, lanes)| *spiked |= lanes.0.iter().any(|&s| s > 0.5));
            }
        }
    }
    let neurons: usize = spiked.iter().map(Vec::len).sum();
    let silent = spiked.iter().flatten().filter(|&&spiked| !spiked).count();
    let check = ShareCheck {
        name: "silent neurons",
        catches: "starved surrogates",
        measures: "neurons that never spike on any image",
        fail: None,
        warn: Some(0.5),
        meaning: "the network's own gradient does not pass where no neuron comes near its threshold: thresholds are too \
                  high for these images; see what other estimators find (autoattack:version=spiking)",
    };
    Ok(Some(check.check(silent, neurons, 1.0)))
}
