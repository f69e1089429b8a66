//! Fast-wave sleep alone, and its stage.

use super::Conversion;
use crate::Result;
use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::method::defense::{STEP, conversion_reads};
use crate::method::{
    Batches, Defense, Description, Networks, PassProgress, Settings, Stage, StageRun, TrainingCost,
    against_paper,
};
use crate::nn::Model;
use crate::simd::random::Key;
use crate::sleep::{self, DreamSource, FastWaveOptions};
use crate::snn::{Reset, SpikingOptions, Statistics, check_spiking};
use crate::tensor::Context;

/// Fast-wave sleep alone.
#[derive(Clone, Copy, Debug)]
pub struct FastWaveDefense;

impl Defense for FastWaveDefense {
    fn name(&self) -> &'static str {
        "fast-wave"
    }

    fn about(&self) -> &'static str {
        "Fast-wave sleep alone"
    }

    fn reads(&self, settings: &Settings) -> Vec<&'static str> {
        [vec!["fast_wave"], conversion_reads(settings)].concat()
    }

    fn ignores(&self, settings: &Settings) -> Vec<&'static str> {
        fast_wave_ignores(settings)
    }

    fn stages(&self, _: &Settings) -> Vec<Box<dyn Stage>> {
        vec![Box::new(FastWaveStage), Box::new(Conversion)]
    }

    fn cost(&self, settings: &Settings, images: usize) -> TrainingCost {
        TrainingCost::of(fast_wave_passes(settings, images))
    }

    fn sleeps(&self) -> bool {
        true
    }

    fn describe(&self, settings: &Settings, _: usize) -> Vec<Description> {
        let mut all = vec![against_paper::conversion(settings.conversion)];
        all.extend(against_paper::fast_wave(&settings.fast_wave));
        all
    }
}

/// The settings of fast-wave sleep that change nothing.
pub(super) fn fast_wave_ignores(settings: &Settings) -> Vec<&'static str> {
    let FastWaveOptions { noise, dream, .. } = settings.fast_wave;
    let mut ignored = spiking_ignores(&settings.fast_wave.spiking);
    if !noise {
        ignored.push("fast_wave.dream");
    }
    // Dreams of no image, or that are the images themselves. (`noise` is read all the same: a table has a row without.)
    let dreams = dream.ratio > 0.0 && dream.eps > 0.0;
    if !dreams {
        ignored.extend(["fast_wave.dream.source", "fast_wave.dream.attack"]);
        ignored.push(match dream.ratio {
            0.0 => "fast_wave.dream.eps",
            _ => "fast_wave.dream.ratio",
        });
    }
    // Training normalizes by each batch: the running statistics are those of what dreams, or of the result.
    let is_live = matches!(dream.source, DreamSource::Live | DreamSource::LiveSnn);
    if settings.conversion != Statistics::Carry && !(noise && dreams && is_live) {
        ignored.push("fast_wave.statistics");
    }
    ignored
}

/// The settings that make no difference to a network that spikes so.
pub(super) fn spiking_ignores(spiking: &SpikingOptions) -> Vec<&'static str> {
    let neuron = spiking.neuron;
    let one_step = spiking.steps == 1;
    let mut ignored = Vec::new();
    if neuron.tau.is_none() {
        ignored.push("fast_wave.spiking.neuron.decay_input");
    }
    // A membrane that begins empty has nothing to lose in its first step.
    let leaks = neuron.tau.is_some() && (neuron.decay_input || !one_step);
    if neuron.tau.is_some() && !leaks {
        ignored.push("fast_wave.spiking.neuron.tau");
    }
    if !leaks && (neuron.synapse_tau.is_none() || one_step) {
        ignored.push("fast_wave.spiking.neuron.time_step");
    }
    if neuron.reset == Reset::None || one_step {
        ignored.push("fast_wave.spiking.neuron.reset_grad");
    }
    // What a step leaves to the next one.
    if one_step {
        ignored.extend(["fast_wave.spiking.neuron.reset", "fast_wave.spiking.neuron.synapse_tau"]);
    }
    ignored
}

/// Whether a setting makes a difference to a model that is run as a spiking network.
///
/// ```
/// use deepsleep::method::{Profile, Settings, spiking_reads};
///
/// let mut settings = Settings::new(Profile::Published);
/// assert!(spiking_reads(&settings, "fast_wave.spiking.neuron.decay_input"));
/// settings.set("fast_wave.spiking.neuron.tau", "null")?;
/// assert!(!spiking_reads(&settings, "fast_wave.spiking.neuron.decay_input"));
/// assert!(!spiking_reads(&settings, "fast_wave.epochs"));
/// # Ok::<(), deepsleep::Error>(())
/// ```
pub fn spiking_reads(settings: &Settings, name: &str) -> bool {
    let ignored = spiking_ignores(&settings.fast_wave.spiking);
    name.starts_with("fast_wave.spiking") && !ignored.contains(&name)
}

/// Every time step is a pass of the network (measured on LeNet: 1.05).
pub(super) fn fast_wave_passes(settings: &Settings, images: usize) -> f64 {
    let options = &settings.fast_wave;
    let steps = options.spiking.steps as f64;
    let of_dream = match options.dream.source {
        DreamSource::LiveSnn => steps,
        DreamSource::Control | DreamSource::Hybrid | DreamSource::Live => 1.0,
    };
    let dreams = match options.noise {
        true => f64::from(options.dream.ratio) * of_dream * options.dream.attack.passes(),
        false => 0.0,
    };
    (STEP * steps + dreams) * (options.epochs * images) as f64
}

/// Fast-wave sleep.
pub struct FastWaveStage;

impl Stage for FastWaveStage {
    fn name(&self) -> &'static str {
        "fast-wave sleep"
    }

    fn check(&self, _: &Settings, control: &Model) -> Result<()> {
        check_spiking(control.architecture())
    }

    fn batches(&self, settings: &Settings) -> Option<Batches> {
        Some(Batches::of_recipe("fast_wave", &settings.fast_wave.recipe))
    }

    fn begin(
        &self,
        context: &Context,
        settings: &Settings,
        key: Key,
        networks: &mut Networks,
    ) -> Result<Box<dyn StageRun>> {
        let Networks { model, control, first_linear, .. } = networks;
        let (first, options) = (first_linear.as_deref(), &settings.fast_wave);
        let sleep = sleep::FastWave::new(context, model, control, first, options, key.to_u64())?;
        Ok(Box::new(FastWaveRun(sleep)))
    }
}

struct FastWaveRun(sleep::FastWave);

impl StageRun for FastWaveRun {
    fn passes(&self) -> usize {
        self.0.epochs()
    }

    fn passes_done(&self) -> usize {
        self.0.epochs_done()
    }

    fn pass(
        &mut self,
        context: &Context,
        data: &Dataset,
        networks: &mut Networks,
        progress: &mut PassProgress<'_>,
    ) -> Result<Option<f32>> {
        let report = self.0.epoch_with(context, data, |p| progress(p.step, p.steps, p.images))?;
        networks.model = self.0.network().to_model(Statistics::Carry);
        networks.spiking = Some(self.0.network().clone());
        Ok(Some(report.loss))
    }

    fn checkpoint(&self, _: &Networks) -> Result<StateDict> {
        self.0.checkpoint()
    }

    fn resume(&mut self, _: &mut Networks, state: &StateDict) -> Result<()> {
        self.0.resume(state)
    }
}
