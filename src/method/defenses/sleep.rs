//! The paper's baseline "Sleep Defense".

use super::Conversion;
use super::slow_wave::{SlowWaveRun, simulation_passes, slow_wave_ignores};
use crate::Result;
use crate::method::defense::conversion_reads;
use crate::method::{
    Batches, Defense, Description, Networks, Profile, Settings, SinglePass, Stage, StageRun,
    TrainingCost, against_paper,
};
use crate::nn::Model;
use crate::simd::random::Key;
use crate::sleep::{ReplayOptions, SlowWave, replay_with};
use crate::tensor::Context;
use serde::{Deserialize, Serialize};

/// Whose Sleep Defense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SleepDefenseMethod {
    /// As the paper ran it: the slow-wave network with a fixed number of time steps.
    AsRun,
    /// Sleep replay of Tadros et al.
    Tadros,
}

/// The options of Sleep Defense (docs/method.md, section 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SleepDefenseOptions {
    /// Whose.
    pub method: SleepDefenseMethod,
    /// Time steps, as run.
    pub steps: usize,
    /// Passes, as run.
    pub passes: usize,
    /// The replay of Tadros et al.
    pub replay: ReplayOptions,
}

crate::options::with!(SleepDefenseOptions);

impl SleepDefenseOptions {
    /// The values of a profile.
    pub fn new(profile: Profile) -> Self {
        Self {
            method: match profile {
                Profile::Published => SleepDefenseMethod::AsRun,
                Profile::Paper | Profile::Standard | Profile::Lucid => SleepDefenseMethod::Tadros,
            },
            steps: 100,
            passes: 3,
            replay: gentle_replay(),
        }
    }
}

/// The authors' values with a hundredth of both rates of change and 2,000 steps: with the rates themselves, found for
/// 784-1200-1200-10, LeNet forgets what it knows within a few hundred steps.
fn gentle_replay() -> ReplayOptions {
    ReplayOptions {
        steps: 2000,
        increase: 0.000_320_64,
        decrease: 0.000_033_44,
        ..ReplayOptions::default()
    }
}

/// Sleep Defense.
#[derive(Clone, Copy, Debug)]
pub struct SleepDefense;

impl Defense for SleepDefense {
    fn name(&self) -> &'static str {
        "sleep"
    }

    fn about(&self) -> &'static str {
        "Sleep Defense"
    }

    fn reads(&self, settings: &Settings) -> Vec<&'static str> {
        let own = match settings.sleep.method {
            SleepDefenseMethod::AsRun => {
                vec!["sleep.method", "sleep.steps", "sleep.passes", "slow_wave"]
            }
            SleepDefenseMethod::Tadros => vec!["sleep.method", "sleep.replay"],
        };
        [own, conversion_reads(settings)].concat()
    }

    fn ignores(&self, settings: &Settings) -> Vec<&'static str> {
        // It has its own time steps and passes.
        let timing = [
            "slow_wave.depth",
            "slow_wave.initial_rate",
            "slow_wave.decrease_ratio",
            "slow_wave.length",
        ];
        match settings.sleep.method {
            SleepDefenseMethod::AsRun => [slow_wave_ignores(settings), timing.into()].concat(),
            SleepDefenseMethod::Tadros => vec![],
        }
    }

    fn stages(&self, settings: &Settings) -> Vec<Box<dyn Stage>> {
        match settings.sleep.method {
            SleepDefenseMethod::AsRun => vec![Box::new(AsRun), Box::new(Conversion)],
            SleepDefenseMethod::Tadros => vec![Box::new(Replay), Box::new(Conversion)],
        }
    }

    fn cost(&self, settings: &Settings, images: usize) -> TrainingCost {
        let options = &settings.sleep;
        match options.method {
            SleepDefenseMethod::AsRun => {
                let steps = (options.steps * options.passes) as f64;
                let simulated = simulation_passes(settings, images, steps);
                TrainingCost { passes: 0.0, simulated }
            }
            // One image dreams on.
            SleepDefenseMethod::Tadros => TrainingCost::of(options.replay.steps as f64),
        }
    }

    fn sleeps(&self) -> bool {
        true
    }

    fn describe(&self, settings: &Settings, _: usize) -> Vec<Description> {
        let sentence = against_paper::sleep_defense(&settings.sleep);
        vec![
            against_paper::conversion(settings.conversion),
            Description { choice: "Sleep Defense", sentence },
        ]
    }
}

/// The slow-wave network with a fixed number of time steps.
struct AsRun;

impl Stage for AsRun {
    fn name(&self) -> &'static str {
        "sleep defense"
    }

    fn check(&self, settings: &Settings, control: &Model) -> Result<()> {
        SlowWave::check(control, &settings.slow_wave)
    }

    fn batches(&self, settings: &Settings) -> Option<Batches> {
        Some(Batches::of("slow_wave", settings.slow_wave.batch_size))
    }

    fn begin(
        &self,
        _: &Context,
        settings: &Settings,
        key: Key,
        networks: &mut Networks,
    ) -> Result<Box<dyn StageRun>> {
        let (options, own) = (settings.slow_wave.clone(), &settings.sleep);
        let steps = std::iter::repeat_n(own.steps, own.passes);
        let sleep = SlowWave::with_steps(&networks.model, options, steps, key.to_u64())?;
        Ok(Box::new(SlowWaveRun(sleep)))
    }
}

/// The sleep replay of Tadros et al.
struct Replay;

impl Stage for Replay {
    fn name(&self) -> &'static str {
        "sleep replay"
    }

    fn check(&self, settings: &Settings, control: &Model) -> Result<()> {
        settings.sleep.replay.check(control)
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
        let (options, seed) = (settings.sleep.replay, key.to_u64());
        Ok(Box::new(SinglePass::new(move |context, data, networks, progress| {
            let mut progress = |p: crate::sleep::ReplayProgress| progress(p.step, p.steps, 0);
            networks.model =
                replay_with(context, &networks.model, data, &options, seed, &mut progress)?;
            Ok(())
        })))
    }
}
