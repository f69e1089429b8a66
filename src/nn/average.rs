//! A moving average of weights and statistics over the steps of training (Polyak and Juditsky 1992; decays as in
//! Tarvainen and Valpola 2017).

use super::Network;
use crate::Result;
use crate::checkpoint::StateDict;

/// The average so far.
#[derive(Clone, Debug)]
pub(super) struct Average {
    decay: f32,
    mean: Option<StateDict>,
}

impl Average {
    /// What stands, with a dot, before the names of its arrays in a state dict.
    pub const PREFIX: &str = "average";

    /// With this share of the last average at each step, once it is old enough; None for a share of 0.
    pub fn new(decay: f32) -> Option<Self> {
        (decay > 0.0).then_some(Self { decay, mean: None })
    }

    /// Takes the network in as it is after a step, the first of which is 1. Until there were many steps an average of
    /// fewer is a better one.
    pub fn update<N: Network + ?Sized>(&mut self, network: &N, step: u64) {
        let state = network.state();
        let Some(mean) = &mut self.mean else {
            self.mean = Some(state);
            return;
        };
        let young = (1.0 + step as f32) / (10.0 + step as f32);
        mean.blend(self.decay.min(young), &state);
    }

    /// Puts the average in the network's place.
    pub fn take<N: Network + ?Sized>(&self, network: &mut N) -> Result<()> {
        self.mean.as_ref().map_or(Ok(()), |mean| network.load_state(mean))
    }

    pub fn save_into(&self, state: &mut StateDict) {
        if let Some(mean) = &self.mean {
            state.absorb(Self::PREFIX, mean.clone());
        }
    }

    pub fn load_from(&mut self, state: &StateDict) {
        let mean = state.extract(Self::PREFIX);
        let is_there = mean.names().next().is_some();
        self.mean = is_there.then_some(mean);
    }
}
