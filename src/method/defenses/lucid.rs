//! Lucid sleep: slow waves select synapses and set thresholds, then the network is trained on dreams, adversarial examples
//! of itself.

use super::adversarial_training::{AdversarialStage, AdversarialTraining};
use crate::Result;
use crate::method::{
    Batches, Defense, Description, Networks, Settings, SinglePass, Stage, StageRun, TrainingCost,
    against_paper,
};
use crate::nn::Model;
use crate::simd::random::Key;
use crate::sleep::lucid;
use crate::tensor::Context;

/// Cycles of slow waves of the first layer and of adversarial dreams of the whole network.
#[derive(Clone, Copy, Debug)]
pub struct Lucid;

impl Defense for Lucid {
    fn name(&self) -> &'static str {
        "lucid"
    }

    fn about(&self) -> &'static str {
        "Slow waves that set thresholds, then adversarial dreams"
    }

    fn reads(&self, settings: &Settings) -> Vec<&'static str> {
        [vec!["lucid", "cycles"], AdversarialTraining.reads(settings)].concat()
    }

    fn ignores(&self, settings: &Settings) -> Vec<&'static str> {
        let options = &settings.lucid;
        let mut ignored = AdversarialTraining.ignores(settings);
        if options.homeostasis {
            // Thresholds are set by the radius.
            ignored.retain(|&name| name != "adversarial_training.eps");
        } else {
            ignored.extend(["lucid.down", "lucid.up", "lucid.distance", "lucid.gain"]);
        }
        if !options.down_selection {
            ignored.extend([
                "lucid.learning_rate",
                "lucid.inhibition",
                "lucid.change",
                "lucid.decay",
            ]);
        }
        // Later cycles start with the neurons that are silent.
        if settings.cycles == 1 {
            ignored.push("lucid.silent");
        }
        ignored
    }

    fn stages(&self, settings: &Settings) -> Vec<Box<dyn Stage>> {
        let cycle = |i: usize| -> [Box<dyn Stage>; 2] {
            let later = i > 0;
            [
                Box::new(SlowWaves { only_silent: later }),
                Box::new(AdversarialStage { keeps_weights: true, goes_on: later }),
            ]
        };
        (0..settings.cycles).flat_map(cycle).collect()
    }

    fn cost(&self, settings: &Settings, images: usize) -> TrainingCost {
        // Slow waves see a few thousand patches.
        AdversarialTraining.cost(settings, images).times(settings.cycles)
    }

    fn sleeps(&self) -> bool {
        true
    }

    fn describe(&self, settings: &Settings, _: usize) -> Vec<Description> {
        let dreams = against_paper::adversarial_training(&settings.adversarial_training);
        vec![
            Description { choice: "Slow waves", sentence: against_paper::lucid(settings) },
            Description { choice: "Dreams", sentence: dreams },
        ]
    }
}

struct SlowWaves {
    only_silent: bool,
}

impl Stage for SlowWaves {
    fn name(&self) -> &'static str {
        "slow waves"
    }

    fn check(&self, _: &Settings, control: &Model) -> Result<()> {
        lucid::check(control)
    }

    fn batches(&self, _: &Settings) -> Option<Batches> {
        None
    }

    fn begin(
        &self,
        _: &Context,
        settings: &Settings,
        key: Key,
        _: &mut Networks,
    ) -> Result<Box<dyn StageRun>> {
        let (options, only_silent) = (settings.lucid.clone(), self.only_silent);
        let eps = settings.adversarial_training.eps;
        Ok(Box::new(SinglePass::new(move |_, data, networks, progress| {
            lucid::slow_waves(&mut networks.model, data, &options, eps, only_silent, key)?;
            progress(1, 1, data.len());
            Ok(())
        })))
    }
}
