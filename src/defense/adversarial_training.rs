//! Adversarial training: a coin a batch between clean images and examples made on the model as it is (METHOD section 7;
//! Madry et al. 2018 with a ratio of 1).

use crate::Result;
use crate::nn::{Batch, Freeze, LeNet, Regime};
use crate::simd::random::uniform_from_bits;
use crate::sleep::{AdversarialTrainingOptions, Dreamer};
use crate::tensor::Context;
use rand::Rng;

pub(super) struct OnAdversarial {
    dreamer: Dreamer,
    options: AdversarialTrainingOptions,
}

impl OnAdversarial {
    pub(super) fn new(context: &Context, options: AdversarialTrainingOptions) -> Self {
        Self { dreamer: Dreamer::new(context), options }
    }
}

impl Regime<LeNet> for OnAdversarial {
    fn prepare(&mut self, network: &mut LeNet, batch: &mut Batch<'_>) -> Result<()> {
        let coin = uniform_from_bits(batch.key.named("coin").generator().next_u32());
        if coin >= self.options.ratio {
            return Ok(());
        }
        let (source, key) = (network.freeze()?, batch.key.named("attack"));
        let AdversarialTrainingOptions { attack, eps, .. } = self.options;
        self.dreamer.dream(&source, attack, eps, &mut batch.images, batch.labels, key)
    }
}
