//! Slow-wave sleep alone, and the stage that other defenses begin with.

use super::Conversion;
use crate::Result;
use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::method::defense::conversion_reads;
use crate::method::{
    Batches, Defense, Description, Networks, PassProgress, Settings, Stage, StageRun, TrainingCost,
    against_paper,
};
use crate::nn::Model;
use crate::simd::random::Key;
use crate::sleep::{self, Layers, Plasticity};
use crate::tensor::Context;

/// Slow-wave sleep alone.
#[derive(Clone, Copy, Debug)]
pub struct SlowWaveDefense;

impl Defense for SlowWaveDefense {
    fn name(&self) -> &'static str {
        "slow-wave"
    }

    fn about(&self) -> &'static str {
        "Slow-wave sleep alone"
    }

    fn reads(&self, settings: &Settings) -> Vec<&'static str> {
        [vec!["slow_wave"], conversion_reads(settings)].concat()
    }

    fn ignores(&self, settings: &Settings) -> Vec<&'static str> {
        slow_wave_ignores(settings)
    }

    fn stages(&self, _: &Settings) -> Vec<Box<dyn Stage>> {
        vec![Box::new(SlowWaveStage), Box::new(Conversion)]
    }

    fn cost(&self, settings: &Settings, images: usize) -> TrainingCost {
        TrainingCost { passes: 0.0, simulated: slow_wave_passes(settings, images) }
    }

    fn sleeps(&self) -> bool {
        true
    }

    fn describe(&self, settings: &Settings, train_images: usize) -> Vec<Description> {
        let mut all = vec![against_paper::conversion(settings.conversion)];
        all.extend(against_paper::slow_wave(&settings.slow_wave, train_images));
        all
    }
}

/// The settings of slow-wave sleep that change nothing.
pub(super) fn slow_wave_ignores(settings: &Settings) -> Vec<&'static str> {
    let pair = settings.slow_wave.pair;
    if settings.slow_wave.plasticity == Plasticity::Published {
        return vec!["slow_wave.pair", "slow_wave.drive"];
    }
    // Resistances follow from the drive, and nothing learns from gradients.
    let mut ignored = vec![
        "slow_wave.learning_rate",
        "slow_wave.pair.neuron.resistance",
        "slow_wave.pair.neuron.decay_input",
        "slow_wave.pair.neuron.reset_grad",
    ];
    let leaks = pair.neuron.tau.is_some();
    if !leaks && pair.neuron.synapse_tau.is_none() {
        ignored.push("slow_wave.pair.neuron.time_step");
    }
    // Without changes in one direction, neither its trace nor its bound counts. The trace of spikes is the memory of a neuron
    // that does not leak.
    if pair.potentiation == 0.0 && pair.depression >= 0.0 {
        ignored.extend(["slow_wave.pair.tau_pre", "slow_wave.pair.maximum"]);
    }
    if pair.depression == 0.0 && pair.potentiation >= 0.0 {
        ignored.push("slow_wave.pair.minimum");
        if leaks {
            ignored.push("slow_wave.pair.tau_post");
        }
    }
    ignored
}

/// The estimated cost of simulating `steps` time steps, over all passes; a step was measured on LeNet.
pub(super) fn simulation_passes(settings: &Settings, images: usize, steps: f64) -> f64 {
    let options = &settings.slow_wave;
    let per_step = if options.layers == Layers::All { 0.5 } else { 0.26 };
    let asleep = match options.batches.saturating_mul(options.batch_size) {
        0 => images,
        some => some.min(images),
    };
    per_step * steps * asleep as f64
}

/// An estimate for the whole U.
pub(super) fn slow_wave_passes(settings: &Settings, images: usize) -> f64 {
    let options = &settings.slow_wave;
    let steps = options.sub_sleeps().into_iter().map(|steps| steps as f64).sum::<f64>();
    simulation_passes(settings, images, steps * options.length as f64)
}

/// The U of slow-wave sleep.
pub struct SlowWaveStage;

impl Stage for SlowWaveStage {
    fn name(&self) -> &'static str {
        "slow-wave sleep"
    }

    fn check(&self, settings: &Settings, control: &Model) -> Result<()> {
        sleep::SlowWave::check(control, &settings.slow_wave)
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
        let options = settings.slow_wave.clone();
        Ok(Box::new(SlowWaveRun(sleep::SlowWave::new(&networks.model, options, key.to_u64())?)))
    }

    fn is_shared(&self) -> bool {
        true
    }
}

pub(super) struct SlowWaveRun(pub sleep::SlowWave);

impl StageRun for SlowWaveRun {
    fn passes(&self) -> usize {
        self.0.passes().len()
    }

    fn passes_done(&self) -> usize {
        self.0.passes_done()
    }

    fn pass(
        &mut self,
        context: &Context,
        data: &Dataset,
        networks: &mut Networks,
        progress: &mut PassProgress<'_>,
    ) -> Result<Option<f32>> {
        self.0.pass_with(context, data, |p| progress(p.batch, p.batches, p.images))?;
        self.0.wake(&mut networks.model);
        networks.first_linear = self.0.first_linear().map(<[f32]>::to_vec);
        Ok(None)
    }

    fn checkpoint(&self, _: &Networks) -> Result<StateDict> {
        self.0.checkpoint()
    }

    fn resume(&mut self, _: &mut Networks, state: &StateDict) -> Result<()> {
        self.0.resume(state)
    }
}
