//! Slow-wave sleep: the U of sub-sleeps, each a number of passes of spike-timing-dependent plasticity (METHOD section 4).

use super::{StdpConv, StdpLinear};
use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::kernels::stdp::choose;
use crate::nn::{LeNet, Network, order};
use crate::simd::random::Key;
use crate::tensor::{Context, Shape, Tensor};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which layers slow-wave sleep changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layers {
    /// The first convolution and the linear layer; the second convolution is only standardised (the published code
    /// hands its optimiser the wrong tensor).
    Published,
    /// All three.
    All,
}

/// The numbers of slow-wave sleep. The default is the published one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowWaveOptions {
    /// Depth of the U: 1 is a single sub-sleep, 2 goes down and up again.
    pub depth: usize,
    /// Spiking rate before the first halving; a sub-sleep at depth d simulates `ratio 2^d / initial_rate` steps.
    pub initial_rate: f64,
    /// What the published code calls the decrease ratio: it divides the rate once, at all depths.
    pub ratio: f64,
    /// Passes of each sub-sleep.
    pub length: usize,
    /// Images that are simulated together and share a threshold; a last, smaller batch is dropped.
    pub batch_size: usize,
    /// Learning rate of the convolutions.
    pub learning_rate: f32,
    /// Which layers change.
    pub layers: Layers,
    /// Batches of each layer's pass; 0 is the whole data set. To try things out.
    pub batches: usize,
}

impl Default for SlowWaveOptions {
    fn default() -> Self {
        Self {
            depth: 2,
            initial_rate: 0.01,
            ratio: 2.0,
            length: 1,
            batch_size: 128,
            learning_rate: 1e-3,
            layers: Layers::Published,
            batches: 0,
        }
    }
}

/// A layer's turn in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The first convolution.
    Conv1,
    /// The second convolution.
    Conv2,
    /// The linear layer.
    Linear,
}

/// One layer's pass over the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Time steps simulated.
    pub steps: usize,
    /// The layer that learns.
    pub stage: Stage,
}

impl SlowWaveOptions {
    /// Time steps of each sub-sleep, down and up the U.
    pub fn sub_sleeps(&self) -> Vec<usize> {
        let down = 0..self.depth;
        let up = (0..self.depth.saturating_sub(1)).rev();
        let steps = |depth: usize| self.ratio * (1u64 << depth.min(32)) as f64 / self.initial_rate;
        down.chain(up).map(|depth| steps(depth) as usize).collect()
    }

    /// All layers' passes in order.
    pub fn passes(&self) -> Vec<Pass> {
        passes_of(self.sub_sleeps().into_iter().flat_map(|steps| vec![steps; self.length]))
    }

    fn check(&self) -> Result<()> {
        let rate = self.ratio > 0.0 && self.initial_rate > 0.0 && self.initial_rate <= 1.0;
        if !rate || !(1..=8).contains(&self.depth) || self.batch_size == 0 {
            return Err(Error::argument(
                "slow-wave sleep",
                format!(
                    "depth {} (1 to 8), initial rate {} (above 0, at most 1), ratio {} (above 0), batch size {}",
                    self.depth, self.initial_rate, self.ratio, self.batch_size
                ),
            ));
        }
        Ok(())
    }
}

/// The three layers' passes for each number of steps.
pub fn passes_of(steps: impl Iterator<Item = usize>) -> Vec<Pass> {
    let stages = [Stage::Conv1, Stage::Conv2, Stage::Linear];
    steps.flat_map(|steps| stages.map(|stage| Pass { steps, stage })).collect()
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

/// A LeNet in slow-wave sleep.
#[derive(Clone, Debug)]
pub struct SlowWave {
    options: SlowWaveOptions,
    passes: Vec<Pass>,
    done: usize,
    seed: u64,
    conv1: StdpConv,
    conv2: StdpConv,
    linear: StdpLinear,
    /// The linear weights after their very first step: what the published dreams are made of.
    first_linear: Option<Vec<f32>>,
}

impl SlowWave {
    /// Falls asleep: takes a network's weights. Batch normalisation is no part of this sleep.
    ///
    /// # Errors
    /// If the options make no sense.
    pub fn new(lenet: &LeNet, options: SlowWaveOptions, seed: u64) -> Result<Self> {
        let passes = options.passes();
        Self::with_passes(lenet, options, passes, seed)
    }

    /// Like [`new`](Self::new), with passes of the caller's instead of the U.
    ///
    /// # Errors
    /// If the options make no sense.
    pub fn with_passes(
        lenet: &LeNet,
        options: SlowWaveOptions,
        passes: Vec<Pass>,
        seed: u64,
    ) -> Result<Self> {
        options.check()?;
        let weight = |name: &str| {
            let parameter = lenet.parameters().get(name);
            parameter.map(|p| p.values.as_slice()).ok_or_else(|| Error::NotFound(name.to_owned()))
        };
        Ok(Self {
            options,
            passes,
            done: 0,
            seed,
            conv1: StdpConv::new(lenet.input_shape(), 10, 5, weight("conv1.weight")?)?,
            conv2: StdpConv::new(Shape::new(10, 12, 12), 20, 5, weight("conv2.weight")?)?,
            linear: StdpLinear::new(320, 10, weight("fc.weight")?)?,
            first_linear: None,
        })
    }

    /// Passes in all.
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// Passes done.
    pub fn passes_done(&self) -> usize {
        self.done
    }

    /// The linear weights after their very first step, once there was one.
    pub fn first_linear(&self) -> Option<&[f32]> {
        self.first_linear.as_deref()
    }

    /// Puts the weights as they are now into a network; everything else of it stays.
    pub fn wake(&self, lenet: &mut LeNet) {
        let layers = [
            ("conv1.weight", self.conv1.weight()),
            ("conv2.weight", self.conv2.weight()),
            ("fc.weight", self.linear.weight()),
        ];
        for (name, weight) in layers {
            if let Some(parameter) = lenet.parameters_mut().get_mut(name) {
                parameter.values.copy_from_slice(weight);
            }
        }
    }

    /// Sleeps one pass; nothing if all are done. `progress` is called after every batch.
    ///
    /// # Errors
    /// If the images have not the network's shape or do not fill a batch, or a weight stops being finite.
    pub fn pass(
        &mut self,
        context: &Context,
        data: &Dataset,
        progress: &mut (dyn FnMut(SleepProgress) + Send),
    ) -> Result<()> {
        let Some(&Pass { steps, stage }) = self.passes.get(self.done) else { return Ok(()) };
        let skipped = stage == Stage::Conv2 && self.options.layers == Layers::Published;
        if skipped {
            // What is left of that pass: its weights are standardised, and never moved.
            self.conv2.standardise();
        } else {
            context.install(|| self.learn(context, data, steps, stage, progress))?;
        }
        self.check_finite()?;
        self.done += 1;
        Ok(())
    }

    fn learn(
        &mut self,
        context: &Context,
        data: &Dataset,
        steps: usize,
        stage: Stage,
        progress: &mut (dyn FnMut(SleepProgress) + Send),
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
        let order = order(key.named("order"), data.len());
        let [channels, height, width] = data.shape();
        let mut images = Tensor::zeros(Shape::new(channels, height, width), size);
        for (batch, indices) in order.chunks_exact(size).take(batches).enumerate() {
            data.gather(context, indices, &mut images)?;
            self.step(context, &images, indices, steps, stage, key.named("tie"))?;
            let (pass, passes) = (self.done, self.passes.len());
            progress(SleepProgress { pass, passes, batch: batch + 1, batches, images: size });
        }
        Ok(())
    }

    /// One batch: simulates the layers up to the one that learns, and lets it.
    fn step(
        &mut self,
        context: &Context,
        images: &Tensor,
        indices: &[usize],
        steps: usize,
        stage: Stage,
        key: Key,
    ) -> Result<()> {
        let rate = self.options.learning_rate;
        let tie = |layer: u64| {
            move |sample: usize, pixel: usize, step: usize, candidates: u32| {
                let key = key.with(layer).with(indices[sample] as u64);
                choose(candidates, key.with((pixel as u64) << 32 | step as u64).to_u64())
            }
        };
        self.conv1.simulate(context, images, steps, &tie(1))?;
        if stage == Stage::Conv1 {
            let gradient = self.conv1.gradient(context, images);
            self.conv1.update(&gradient, rate);
            self.reset();
            return Ok(());
        }
        let hidden = self.conv1.next_input(context);
        self.conv2.simulate(context, hidden, steps, &tie(2))?;
        if stage == Stage::Conv2 {
            let gradient = self.conv2.gradient(context, hidden);
            self.conv2.update(&gradient, rate);
            self.reset();
            return Ok(());
        }
        let features = self.conv2.next_input(context);
        self.linear.simulate(context, features, steps, &tie(3))?;
        self.linear.update(context, features);
        if self.first_linear.is_none() {
            self.first_linear = Some(self.linear.weight().to_vec());
        }
        Ok(())
    }

    /// In the convolutions' passes every membrane is reset after every batch; in the linear pass none is.
    fn reset(&mut self) {
        self.conv1.reset();
        self.conv2.reset();
        self.linear.reset();
    }

    fn check_finite(&self) -> Result<()> {
        let layers = [
            ("conv1", self.conv1.weight()),
            ("conv2", self.conv2.weight()),
            ("linear", self.linear.weight()),
        ];
        for (layer, weight) in layers {
            if let Some(w) = weight.iter().find(|w| !w.is_finite()) {
                return Err(Error::NotFinite {
                    place: format!("slow-wave sleep, pass {}, layer {layer}", self.done + 1),
                    problem: format!("a weight became {w}"),
                });
            }
        }
        Ok(())
    }

    /// Everything that a resumed sleep needs.
    ///
    /// # Errors
    /// None in practice: the shapes are the layers' own.
    pub fn checkpoint(&self) -> Result<StateDict> {
        let mut state = StateDict::default();
        self.conv1.save_into("sleep.conv1", &mut state)?;
        self.conv2.save_into("sleep.conv2", &mut state)?;
        self.linear.save_into("sleep.fc", &mut state)?;
        if let Some(first) = &self.first_linear {
            state.insert("sleep.first_linear", vec![first.len()], first.clone())?;
        }
        state.note("sleep.passes_done", self.done);
        state.note("sleep.options", &self.options);
        state.note("sleep.seed", self.seed);
        Ok(state)
    }

    /// Continues from a [`checkpoint`](Self::checkpoint).
    ///
    /// # Errors
    /// If the checkpoint is of other options, or not one of a sleep.
    pub fn resume(&mut self, state: &StateDict) -> Result<()> {
        let missing =
            || Error::argument("resume", "this file is no checkpoint of a slow-wave sleep");
        let options: SlowWaveOptions = state.noted("sleep.options").ok_or_else(missing)?;
        let seed: u64 = state.noted("sleep.seed").ok_or_else(missing)?;
        if (&options, seed) != (&self.options, self.seed) {
            return Err(Error::argument(
                "resume",
                format!("the checkpoint was made with {options:?}, seed {seed}"),
            ));
        }
        self.conv1.load_from("sleep.conv1", state)?;
        self.conv2.load_from("sleep.conv2", state)?;
        self.linear.load_from("sleep.fc", state)?;
        self.first_linear = state.get("sleep.first_linear").map(|entry| entry.values.clone());
        self.done = state.noted("sleep.passes_done").ok_or_else(missing)?;
        Ok(())
    }
}
