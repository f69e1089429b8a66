//! The training loop: deterministic given a seed, whatever the threads.

use super::average::Average;
use super::{
    Batch, Network, Optimizer, PlainRegime, Regime, Schedule, Targets, TrainingOptions,
    check_finite, check_finite_state,
};
use crate::autodiff::{Labels, Seed, Tape, Weight};
use crate::checkpoint::{MadeWith, StateDict};
use crate::data::Dataset;
use crate::simd::random::Key;
use crate::tensor::{Context, Tensor};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A step that was just made.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// From 0.
    pub epoch: usize,
    /// Steps of this epoch that are done.
    pub step: usize,
    /// Steps of this epoch in all.
    pub steps: usize,
    /// Images of this step.
    pub images: usize,
    /// Mean loss of this step.
    pub loss: f32,
}

/// An epoch that was just made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// From 0.
    pub epoch: usize,
    /// Mean loss over the steps.
    pub loss: f32,
    /// Steps made.
    pub steps: usize,
}

/// Trains a network epoch by epoch; holds the tape, the optimizer and how far it got.
pub struct Trainer {
    options: TrainingOptions,
    optimizer: Optimizer,
    epoch: usize,
    tape: Option<Tape>,
    labels: Labels,
    batch_labels: Vec<usize>,
    weights: Vec<Weight>,
    average: Option<Average>,
}

impl Trainer {
    /// For this network, from its first epoch.
    ///
    /// # Errors
    /// If an option makes no sense, or images of the network's size cannot be shifted so far.
    pub fn new<N: Network + ?Sized>(network: &N, options: TrainingOptions) -> Result<Self> {
        options.validate()?;
        options.augmentation.check(network.input_shape())?;
        let optimizer = Optimizer::new(options.rule, network.parameters());
        let labels = Labels::default().smoothed(options.label_smoothing);
        let average = Average::new(options.average);
        Ok(Self {
            options,
            optimizer,
            epoch: 0,
            tape: None,
            labels,
            batch_labels: Vec::new(),
            weights: Vec::new(),
            average,
        })
    }

    /// Epochs done.
    pub fn epochs_done(&self) -> usize {
        self.epoch
    }

    /// The options.
    pub fn options(&self) -> &TrainingOptions {
        &self.options
    }

    /// One pass over the data, in an order of its own.
    ///
    /// # Errors
    /// If the images do not have the network's shape, there are fewer than a batch, or the loss or a parameter stops
    /// being finite (the network then holds what led there; load its last checkpoint).
    pub fn epoch<N: Network + ?Sized>(
        &mut self,
        context: &Context,
        network: &mut N,
        data: &Dataset,
    ) -> Result<EpochReport> {
        self.epoch_with(context, network, data, &mut PlainRegime, |_| {})
    }

    /// [`epoch`](Self::epoch) under a regime; `observer` is told of every step.
    ///
    /// # Errors
    /// As for [`epoch`](Self::epoch), and those of the regime.
    pub fn epoch_with<N: Network + ?Sized>(
        &mut self,
        context: &Context,
        network: &mut N,
        data: &Dataset,
        regime: &mut dyn Regime<N>,
        mut observer: impl FnMut(StepReport) + Send,
    ) -> Result<EpochReport> {
        let size = self.options.batch_size;
        let (epoch, steps) = (self.epoch, data.len() / size);
        if steps == 0 {
            let problem = format!("{} images do not fill one batch of {size}", data.len());
            return Err(Error::argument("training", problem + "; use a smaller batch"));
        }
        // Values, and their gradients.
        let bytes = (2 * size as u64).saturating_mul(network.sample_bytes() as u64);
        let what = format!("a batch of {size} images");
        crate::memory::check("training", bytes, &what, "use a smaller batch")?;
        // One entry into the thread pool for the whole epoch.
        let loss = context.install(|| {
            let key = Key::new(self.options.seed).named("order").with(epoch as u64);
            let order = key.order(data.len());
            let mut total = 0.0_f64;
            for (step, indices) in order.chunks_exact(size).enumerate() {
                let loss = self.step_with(context, network, data, regime, indices)?;
                let place = || format!("training, epoch {}, step {}", epoch + 1, step + 1);
                if !loss.is_finite() {
                    let problem =
                        format!("the loss is {loss}; a smaller learning rate usually helps");
                    return Err(Error::NotFinite { place: place(), problem });
                }
                let parameters = network.parameters().iter();
                check_finite(parameters.map(|p| (p.name.as_str(), p.values.as_slice())), place)?;
                total += f64::from(loss);
                observer(StepReport { epoch, step: step + 1, steps, images: size, loss });
            }
            Ok((total / steps as f64) as f32)
        })?;
        // With the running statistics, in which a single batch leaves no more than a trace.
        check_finite_state(&network.state(), || format!("training, epoch {}", epoch + 1))?;
        self.epoch += 1;
        Ok(EpochReport { epoch, loss, steps })
    }

    /// One step on these images of the data set; returns their mean loss.
    ///
    /// # Errors
    /// If an index or a shape does not fit.
    pub fn step<N: Network + ?Sized>(
        &mut self,
        context: &Context,
        network: &mut N,
        data: &Dataset,
        indices: &[usize],
    ) -> Result<f32> {
        self.step_with(context, network, data, &mut PlainRegime, indices)
    }

    /// [`step`](Self::step) under a regime.
    ///
    /// # Errors
    /// As for [`step`](Self::step), and those of the regime.
    pub fn step_with<N: Network + ?Sized>(
        &mut self,
        context: &Context,
        network: &mut N,
        data: &Dataset,
        regime: &mut dyn Regime<N>,
        indices: &[usize],
    ) -> Result<f32> {
        let tape = self.tape.take().filter(|tape| tape.context().is(context));
        let mut tape = tape.unwrap_or_else(|| Tape::new(context.clone()));
        let result = self.step_on(&mut tape, network, data, regime, indices);
        tape.reset();
        self.tape = Some(tape);
        result
    }

    fn step_on<N: Network + ?Sized>(
        &mut self,
        tape: &mut Tape,
        network: &mut N,
        data: &Dataset,
        regime: &mut dyn Regime<N>,
        indices: &[usize],
    ) -> Result<f32> {
        let mut images = tape.tensor(network.input_shape(), indices.len(), 1);
        data.gather(tape.context(), indices, &mut images)?;
        let seed = Key::new(self.options.seed);
        let changes = seed.named("augmentation").with(self.epoch as u64);
        self.options.augmentation.apply(tape.context(), changes, indices, &mut images);
        self.batch_labels.clear();
        self.batch_labels.extend(indices.iter().map(|&i| data.label(i)));
        let labels = &self.batch_labels;
        self.labels.set(labels.iter().copied(), network.classes())?;
        let key = seed.named("step").with(self.optimizer.steps());
        let steps = (data.len() / self.options.batch_size) as u64;
        let epochs = self.optimizer.steps() as f32 / steps.max(1) as f32;
        let mut batch = Batch { indices, labels, images, key, epochs };
        regime.prepare(network, &mut batch)?;
        let Batch { images, key, .. } = batch;
        let noise = key.named("noise");
        let again = (self.options.weight_perturbation > 0.0).then(|| images.clone());
        let mean = self.sweep(tape, network, regime, images, (indices, noise))?;
        network.update_statistics(tape);
        if let Some(images) = again {
            let weights = perturb(network, tape, &self.weights, self.options.weight_perturbation);
            tape.reset();
            let swept = self.sweep(tape, network, regime, images, (indices, noise));
            // Back where they were, also after an error.
            let parameters = network.parameters_mut().iter_mut();
            parameters.zip(weights).for_each(|(parameter, values)| parameter.values = values);
            swept?;
        }
        let rate = self.options.rate(self.optimizer.steps(), steps);
        self.optimizer.begin_step();
        let parameters = network.parameters_mut().iter_mut().zip(&self.weights).enumerate();
        for (i, (parameter, &weight)) in parameters {
            if let Some(grad) = tape.weight_gradient(weight) {
                self.optimizer.update(tape.context(), i, rate, &mut parameter.values, grad);
            }
        }
        if let Some(average) = &mut self.average {
            average.update(network, self.optimizer.steps());
        }
        Ok(mean)
    }

    /// Forward and backward pass; returns the mean loss and leaves the gradients on the tape.
    fn sweep<N: Network + ?Sized>(
        &mut self,
        tape: &mut Tape,
        network: &mut N,
        regime: &mut dyn Regime<N>,
        images: Tensor,
        (indices, noise): (&[usize], Key),
    ) -> Result<f32> {
        // A regime may have put several versions of each image there.
        let versions = 0..images.samples() / indices.len().max(1);
        let noise = versions.flat_map(|_| indices.iter().map(|&i| noise.with(i as u64)));
        tape.set_noise(noise);
        let x = tape.constant(images);
        network.parameters().record(tape, &mut self.weights)?;
        let logits = regime.forward(tape, network, x, &self.weights)?;
        let targets = Targets { indices, labels: &self.labels };
        let loss = match regime.loss(tape, logits, targets)? {
            Some(loss) => loss,
            None => tape.cross_entropy(logits, &self.labels, self.options.temperature)?,
        };
        let mean = tape.mean(loss);
        tape.backward(loss, Seed::Mean)?;
        Ok(mean)
    }

    /// Puts the moving average of the training in the network's place, if there is one.
    ///
    /// # Errors
    /// If it is not the network that was trained.
    pub fn finish<N: Network + ?Sized>(&self, network: &mut N) -> Result<()> {
        self.average.as_ref().map_or(Ok(()), |average| average.take(network))
    }

    /// Everything that a resumed training needs: the network's state, the optimizer's, the epoch, the options.
    ///
    /// # Errors
    /// Never: the shapes are the network's own.
    pub fn checkpoint<N: Network + ?Sized>(&self, network: &N) -> Result<StateDict> {
        let mut state = network.state();
        self.optimizer.save_into(network.parameters(), &mut state)?;
        if let Some(average) = &self.average {
            average.save_into(&mut state);
        }
        state.note("training.epochs_done", self.epoch);
        state.note("training.options", &self.options);
        Ok(state)
    }

    /// Continues from a [`checkpoint`](Self::checkpoint): network and trainer are as they were then. With a constant
    /// learning rate the number of epochs may be another one than then.
    ///
    /// # Errors
    /// If the checkpoint is of other options or of another network.
    pub fn resume<N: Network + ?Sized>(
        &mut self,
        network: &mut N,
        state: &StateDict,
    ) -> Result<()> {
        let missing = || Error::format(state.path(), "this is a model, not a training checkpoint");
        let mut options: TrainingOptions = state.noted("training.options").ok_or_else(missing)?;
        if options.schedule == Schedule::Constant {
            options.epochs = self.options.epochs;
        }
        self.refuse_other_options(state, &options)?;
        let epoch: usize = state.noted("training.epochs_done").ok_or_else(missing)?;
        if epoch > self.options.epochs {
            let problem = format!("the checkpoint is of {epoch} epochs, not {}", options.epochs);
            return Err(Error::format(state.path(), problem));
        }
        // All of it is looked at before any of it is taken.
        let mut optimizer = self.optimizer.clone();
        optimizer.load_from(network.parameters(), state)?;
        network.load_state(&state.without(Optimizer::PREFIX).without(Average::PREFIX))?;
        if let Some(average) = &mut self.average {
            average.load_from(state);
        }
        (self.optimizer, self.epoch) = (optimizer, epoch);
        Ok(())
    }

    /// Refuses a file that was made with other options than these.
    pub(super) fn refuse_other_options(
        &self,
        state: &StateDict,
        theirs: &TrainingOptions,
    ) -> Result<()> {
        let made_with = |options| MadeWith::default().and_all("", options);
        let differences = made_with(theirs).differences(&made_with(&self.options));
        MadeWith::refuse(state.path(), &differences)
    }
}

/// Moves the weights of every layer (not its biases, nor what normalizes) up the loss by this share of their own length, and
/// returns what all parameters were.
fn perturb<N: Network + ?Sized>(
    network: &mut N,
    tape: &Tape,
    weights: &[Weight],
    share: f32,
) -> Vec<Vec<f32>> {
    let length = |values: &[f32]| {
        values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt() as f32
    };
    let parameters = network.parameters_mut().iter_mut().zip(weights);
    let perturbed = parameters.map(|(parameter, &weight)| {
        let before = parameter.values.clone();
        let grad = tape.weight_gradient(weight).filter(|_| parameter.shape.len() > 1);
        if let Some(grad) = grad {
            let factor = share * length(&before) / (length(grad) + 1e-12);
            parameter.values.iter_mut().zip(grad).for_each(|(value, grad)| *value += factor * grad);
        }
        before
    });
    perturbed.collect()
}
