//! How a tape estimates the gradients of spikes.

use crate::kernels::lif::{Estimate, LifLayer};
use crate::simd::Lanes;

/// The question of the next sweep, and what estimators remember of earlier ones. Like noise it belongs to the one who asks;
/// unlike it, it outlives a reset of the tape: the next recording is the next image of the same run.
#[derive(Default)]
pub(super) struct EstimatorMemory {
    estimate: Estimate,
    /// Layers of neurons recorded since the last reset.
    layers: usize,
    /// What is remembered of each.
    memory: Vec<Vec<Lanes>>,
}

impl EstimatorMemory {
    /// Another question.
    pub fn ask(&mut self, estimate: Estimate) {
        if estimate.estimator != self.estimate.estimator {
            self.memory.clear();
        }
        self.estimate = estimate;
    }

    /// A recording begins.
    pub fn reset(&mut self) {
        self.layers = 0;
    }

    /// The place of the next layer of neurons.
    pub fn place(&mut self) -> usize {
        self.layers += 1;
        self.layers - 1
    }

    /// The question, and the memory of the layer at this place, which consists of so many blocks. A layer that is new here
    /// remembers nothing.
    pub fn of_layer(
        &mut self,
        place: usize,
        layer: &LifLayer,
        blocks: usize,
    ) -> (Estimate, &mut [Lanes]) {
        let mut estimate = self.estimate;
        let needed = blocks * estimate.estimator.memory(layer.shape.features(), layer.steps);
        if needed == 0 {
            return (estimate, &mut []);
        }
        if self.memory.len() <= place {
            self.memory.resize(place + 1, Vec::new());
        }
        let memory = &mut self.memory[place];
        if memory.len() != needed {
            memory.clear();
            memory.resize(needed, Lanes::ZERO);
            (estimate.fresh, estimate.learn) = (u16::MAX, true);
        }
        (estimate, memory)
    }
}
