//! Slow-wave sleep: the U of sub-sleeps, each a number of passes of spike-timing-dependent plasticity (docs/method.md, section 4).
//!
//! Here is what all plasticity has in common: passes, batches, checkpoints. The rules are in `published` and `pair`.

mod options;
mod pair;
mod published;

pub use options::{Layers, Pass, Plasticity, SlowWaveOptions, Turn};

use crate::checkpoint::{MadeWith, StateDict};
use crate::data::Dataset;
use crate::nn::{Model, Network, check_finite};
use crate::simd::random::Key;
use crate::sleep::circuit::{Circuit, PlasticLayer};
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};
use std::fmt::Display;

fn norm(weights: &[f32]) -> f32 {
    weights.iter().fold(0.0f32, |sum, w| w.mul_add(*w, sum)).sqrt()
}

/// A batch that was just simulated.
#[derive(Clone, Copy, Debug)]
pub struct SleepProgress {
    /// The pass, from 0.
    pub pass: usize,
    /// Passes in all.
    pub passes: usize,
    /// Batches of this pass that are done.
    pub batch: usize,
    /// Batches of this pass in all.
    pub batches: usize,
    /// Images of this batch.
    pub images: usize,
}

/// The plastic layers of a sleeping network and the rule by which they change.
trait PlasticityRule: Send {
    /// One batch: simulates the layers of this pass, and lets those learn whose turn it is. `indices` say which images
    /// these are, `key` is the pass's.
    fn learn(
        &mut self,
        context: &Context,
        images: &Tensor,
        indices: &[usize],
        pass: Pass,
        key: Key,
    ) -> Result<()>;

    /// Skips this pass if there is nothing to simulate in it: does what is left to do, and returns true.
    fn skip(&mut self, _pass: Pass) -> bool {
        false
    }

    /// The weights of all plastic layers.
    fn weights(&self) -> Vec<&[f32]>;

    /// The weights of a linear last layer after their very first step, if the rule has such a thing and there was one.
    fn first_linear(&self) -> Option<&[f32]> {
        None
    }

    fn save(&self, state: &mut StateDict) -> Result<()>;

    fn load(&mut self, state: &StateDict) -> Result<()>;
}

/// A network in slow-wave sleep.
pub struct SlowWave {
    options: SlowWaveOptions,
    passes: Vec<Pass>,
    done: usize,
    seed: u64,
    layers: Vec<PlasticLayer>,
    rule: Box<dyn PlasticityRule>,
}

impl SlowWave {
    /// Falls asleep: takes a network's weights. Batch normalization is no part of this sleep.
    ///
    /// # Errors
    /// If the options make no sense.
    pub fn new(model: &Model, options: SlowWaveOptions, seed: u64) -> Result<Self> {
        options.validate()?;
        let steps = options.steps_of_passes();
        Self::with_steps(model, options, steps, seed)
    }

    /// Like [`new`](Self::new), with passes over the layers of these numbers of time steps instead of the U.
    ///
    /// # Errors
    /// If the options make no sense, or name a layer that is not plastic.
    pub fn with_steps(
        model: &Model,
        options: SlowWaveOptions,
        steps: impl IntoIterator<Item = usize>,
        seed: u64,
    ) -> Result<Self> {
        options.validate()?;
        let circuit = Circuit::new(model.architecture())?;
        let layers = circuit.layers.clone();
        let learns = options.learning(&layers)?;
        let parameters = model.parameters();
        let weight = |layer: &PlasticLayer| {
            let parameter = parameters.get(&layer.weight());
            parameter.map(|p| p.values.as_slice()).ok_or(Error::NotFound(layer.weight()))
        };
        let weights = layers.iter().map(weight).collect::<Result<Vec<_>>>()?;
        let rule: Box<dyn PlasticityRule> = match options.plasticity {
            Plasticity::Published => {
                Box::new(published::PublishedSleep::new(circuit, &weights, learns, &options)?)
            }
            Plasticity::Pair => {
                Box::new(pair::PairSleep::new(circuit, &weights, learns, &options)?)
            }
        };
        let passes = options.passes_of(steps, layers.len());
        Ok(Self { options, passes, done: 0, seed, layers, rule })
    }

    /// Refuses a network that could not sleep so.
    ///
    /// # Errors
    /// If nothing of it is plastic, or the options name a layer that is not.
    pub fn check(model: &Model, options: &SlowWaveOptions) -> Result<()> {
        options.learning(&Circuit::new(model.architecture())?.layers).map(|_| ())
    }

    /// Passes in all.
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// Passes done.
    pub fn passes_done(&self) -> usize {
        self.done
    }

    /// The weights of a linear last layer after their very first step, once there was one.
    pub fn first_linear(&self) -> Option<&[f32]> {
        self.rule.first_linear()
    }

    /// Puts the weights as they are now into a network; everything else of it stays.
    pub fn wake(&self, model: &mut Model) {
        let rescale = self.options.rescale;
        for (layer, weight) in self.layers.iter().zip(self.rule.weights()) {
            let Some(parameter) = model.parameters_mut().get_mut(&layer.weight()) else { continue };
            let channel = parameter.values.len() / parameter.shape[0].max(1);
            let channels =
                parameter.values.chunks_mut(channel.max(1)).zip(weight.chunks(channel.max(1)));
            for (old, new) in channels {
                let factor = match norm(old) / norm(new) {
                    factor if rescale && layer.convolution && factor.is_finite() => factor,
                    _ => 1.0,
                };
                old.iter_mut().zip(new).for_each(|(old, new)| *old = factor * new);
            }
        }
    }

    /// Sleeps one pass; nothing if all are done.
    ///
    /// # Errors
    /// If the images do not have the network's input shape or do not fill a batch, or a weight stops being finite.
    pub fn pass(&mut self, context: &Context, data: &Dataset) -> Result<()> {
        self.pass_with(context, data, |_| {})
    }

    /// As [`pass`](Self::pass); `observer` is told of every batch.
    ///
    /// # Errors
    /// Those of [`pass`](Self::pass).
    pub fn pass_with(
        &mut self,
        context: &Context,
        data: &Dataset,
        observer: impl FnMut(SleepProgress) + Send,
    ) -> Result<()> {
        let Some(&pass) = self.passes.get(self.done) else { return Ok(()) };
        if !self.rule.skip(pass) {
            context.install(|| self.learn(context, data, pass, observer))?;
        }
        self.check_finite("last")?;
        self.done += 1;
        Ok(())
    }

    fn learn(
        &mut self,
        context: &Context,
        data: &Dataset,
        pass: Pass,
        mut observer: impl FnMut(SleepProgress),
    ) -> Result<()> {
        let size = self.options.batch_size;
        let whole = data.len() / size;
        let batches =
            if self.options.batches > 0 { whole.min(self.options.batches) } else { whole };
        if batches == 0 {
            let problem = format!("{} images do not fill one batch of {size}", data.len());
            return Err(Error::argument("slow-wave sleep", problem));
        }
        let key = Key::new(self.seed).named("slow-wave").with(self.done as u64);
        let order = key.named("order").order(data.len());
        let mut images = Tensor::zeros(data.shape(), size);
        for (batch, indices) in order.chunks_exact(size).take(batches).enumerate() {
            data.gather(context, indices, &mut images)?;
            self.rule.learn(context, &images, indices, pass, key)?;
            self.check_finite(batch + 1)?;
            let (pass, passes) = (self.done, self.passes.len());
            observer(SleepProgress { pass, passes, batch: batch + 1, batches, images: size });
        }
        Ok(())
    }

    fn check_finite(&self, batch: impl Display) -> Result<()> {
        let names = self.layers.iter().map(|layer| layer.name.as_str());
        check_finite(names.zip(self.rule.weights()), || {
            format!("slow-wave sleep, pass {}, batch {batch}", self.done + 1)
        })
    }

    /// Everything that a resumed sleep needs.
    ///
    /// # Errors
    /// Never: the shapes are the layers' own.
    pub fn checkpoint(&self) -> Result<StateDict> {
        let mut state = StateDict::default();
        self.rule.save(&mut state)?;
        state.note("sleep.passes_done", self.done);
        state.note("sleep.options", &self.options);
        state.note("sleep.seed", self.seed);
        Ok(state)
    }

    /// Continues from a [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    /// If the checkpoint is of other options, or not one of a sleep; some layers may then have taken their weights from
    /// it, so begin with a new one.
    pub fn resume(&mut self, state: &StateDict) -> Result<()> {
        let missing =
            || Error::format(state.path(), "this is not the checkpoint of a slow-wave sleep");
        let options: SlowWaveOptions = state.noted("sleep.options").ok_or_else(missing)?;
        let seed: u64 = state.noted("sleep.seed").ok_or_else(missing)?;
        let made_with = |options, seed| MadeWith::default().and_all("", options).and("seed", seed);
        let ours = made_with(&self.options, self.seed);
        MadeWith::refuse(state.path(), &made_with(&options, seed).differences(&ours))?;
        let (done, passes): (usize, usize) =
            (state.noted("sleep.passes_done").ok_or_else(missing)?, self.passes.len());
        if done > passes {
            let problem = format!("the checkpoint is of {done} passes; there are {passes}");
            return Err(Error::format(state.path(), problem));
        }
        self.rule.load(state)?;
        // What was taken is what it would save.
        state.expect_only("this sleep", self.checkpoint()?.names())?;
        self.done = done;
        Ok(())
    }
}
