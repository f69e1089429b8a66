//! The paper's network (METHOD section 1; the paper calls it LeNet-5): conv 5x5 1->10, batch normalization, ReLU,
//! max-pool 2, conv 5x5 10->20, batch normalization, ReLU, max-pool 2, linear 320->10. No biases; 8,510 parameters.

use super::network::{BATCH_NORM_EPS, Freeze, FrozenNetwork, Mode, Network, RunningStatistics};
use super::{ConvChain, Parameters, uniform_fan_in};
use crate::autodiff::{FrozenConv, Tape, Var, Weight};
use crate::checkpoint::StateDict;
use crate::kernels::conv2d::{Conv2dOptions, Geometry};
use crate::tensor::Shape;
use crate::{Error, Result};
use std::sync::Arc;

const HIDDEN: Shape = Shape::new(10, 12, 12);
const CONV1: [usize; 4] = [10, 1, 5, 5];
const CONV2: [usize; 4] = [20, 10, 5, 5];
const FEATURES: usize = 320;

/// The trainable network.
#[derive(Clone, Debug)]
pub struct LeNet {
    /// In the order conv1, bn1 weight and bias, conv2, bn2 weight and bias, fc.
    parameters: Parameters,
    statistics: [RunningStatistics; 2],
    /// The normalizations of the last forward pass in training mode.
    normalized: Option<[Var; 2]>,
}

impl LeNet {
    /// The shape of one image.
    pub const INPUT: Shape = Shape::new(1, 28, 28);

    /// The number of classes.
    pub const CLASSES: usize = 10;

    /// With random weights of this seed.
    pub fn new(seed: u64) -> Self {
        let mut parameters = Parameters::default();
        let mut add = |name: &str, shape: &[usize]| {
            let (count, fan_in) = (shape.iter().product(), shape[1..].iter().product());
            parameters.push(name, shape, uniform_fan_in(seed, name, count, fan_in));
            if let Some(layer) = name.strip_prefix("conv") {
                let bias = layer.replace("weight", "bias");
                parameters.push(&format!("bn{layer}"), &shape[..1], vec![1.0; shape[0]]);
                parameters.push(&format!("bn{bias}"), &shape[..1], vec![0.0; shape[0]]);
            }
        };
        add("conv1.weight", &CONV1);
        add("conv2.weight", &CONV2);
        add("fc.weight", &[LeNet::CLASSES, FEATURES]);
        let statistics = [CONV1, CONV2].map(|shape| RunningStatistics::new(shape[0]));
        Self { parameters, statistics, normalized: None }
    }

    /// Loads a model of this architecture, ours or PyTorch's.
    ///
    /// # Errors
    /// If something is missing, of another shape, or not finite, or there is an array that this network does not have.
    pub fn from_state(state: &StateDict) -> Result<Self> {
        let mut lenet = Self::new(0);
        lenet.load_state(state)?;
        Ok(lenet)
    }

    /// The layers and their shapes, in a line. It is the same for as long as the network is: results of networks with
    /// other lines do not belong together.
    pub fn architecture() -> String {
        let conv = |name: &str, [out, of, height, width]: [usize; 4]| {
            let Conv2dOptions { stride, padding, groups } = Conv2dOptions::default();
            format!(
                "{name} {of}>{out} {height}x{width} stride {stride:?} padding {padding:?} groups {groups} without bias"
            )
        };
        let norm = |name: &str, [channels, ..]: [usize; 4]| {
            format!("{name} batch-norm {channels} eps {BATCH_NORM_EPS:e}")
        };
        let layers = [
            format!("input {}", Self::INPUT),
            conv("conv1", CONV1),
            norm("bn1", CONV1),
            "relu, max-pool 2x2".to_owned(),
            conv("conv2", CONV2),
            norm("bn2", CONV2),
            "relu, max-pool 2x2".to_owned(),
            format!("fc {FEATURES}>{} without bias", LeNet::CLASSES),
        ];
        layers.join("; ")
    }

    /// Running statistics of the two batch normalizations.
    pub fn statistics(&self) -> &[RunningStatistics; 2] {
        &self.statistics
    }

    /// Mutable access to them.
    pub fn statistics_mut(&mut self) -> &mut [RunningStatistics; 2] {
        &mut self.statistics
    }
}

impl Network for LeNet {
    fn input_shape(&self) -> Shape {
        LeNet::INPUT
    }

    fn classes(&self) -> usize {
        LeNet::CLASSES
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn forward(&mut self, tape: &mut Tape, x: Var, weights: &[Weight], mode: Mode) -> Result<Var> {
        let &[conv1, bn1, bias1, conv2, bn2, bias2, fc] = weights else {
            let found = format!("{}", weights.len());
            return Err(Error::shape("LeNet", "its 7 parameters on the tape", found));
        };
        let [norm1, norm2] = [0, 1].map(|i| self.statistics[i].normalization(mode));
        let maps = tape.conv2d(x, conv1, Conv2dOptions::default())?;
        let hidden = tape.norm_relu_pool(maps, bn1, bias1, norm1, BATCH_NORM_EPS)?;
        let maps = tape.conv2d(hidden, conv2, Conv2dOptions::default())?;
        let features = tape.norm_relu_pool(maps, bn2, bias2, norm2, BATCH_NORM_EPS)?;
        self.normalized = (mode == Mode::Train).then_some([hidden, features]);
        tape.linear(features, fc)
    }

    fn move_statistics(&mut self, tape: &Tape, momentum: f32) {
        let Some(normalized) = self.normalized.take() else { return };
        for (statistics, var) in self.statistics.iter_mut().zip(normalized) {
            if let Some(moments) = tape.batch_moments(var) {
                statistics.update(moments, momentum);
            }
        }
    }

    fn state(&self) -> StateDict {
        let mut state = StateDict::default();
        let mut add = |name: &str, shape: &[usize], values: &[f32]| {
            // The shapes are the arrays' own: insert cannot refuse.
            let _ = state.insert(name, shape.to_vec(), values.to_vec());
        };
        for parameter in &self.parameters {
            add(&parameter.name, &parameter.shape, &parameter.values);
        }
        for (i, RunningStatistics { mean, variance }) in self.statistics.iter().enumerate() {
            add(&format!("bn{}.running_mean", i + 1), &[mean.len()], mean);
            add(&format!("bn{}.running_var", i + 1), &[variance.len()], variance);
        }
        state
    }

    fn load_state(&mut self, state: &StateDict) -> Result<()> {
        // All of it is looked at before any of it is taken.
        let mut new = self.clone();
        for parameter in new.parameters.iter_mut() {
            let values = state.expect(&parameter.name, &parameter.shape)?;
            parameter.values.copy_from_slice(values);
        }
        for (i, RunningStatistics { mean, variance }) in new.statistics.iter_mut().enumerate() {
            let shape = [mean.len()];
            mean.copy_from_slice(state.expect(&format!("bn{}.running_mean", i + 1), &shape)?);
            let name = format!("bn{}.running_var", i + 1);
            variance.copy_from_slice(state.expect_non_negative(&name, &shape)?);
        }
        // All of it is taken, or it is another network.
        state.expect_only("lenet", self.state().names())?;
        *self = new;
        Ok(())
    }
}

/// The network in evaluation mode, batch normalization folded into the convolutions.
#[derive(Clone, Debug)]
pub struct FrozenLeNet {
    conv1: Arc<FrozenConv>,
    conv2: Arc<FrozenConv>,
    fc: Arc<FrozenConv>,
}

impl FrozenLeNet {
    /// Of its two convolutions and its linear layer.
    pub(crate) fn of_layers([conv1, conv2, fc]: [Arc<FrozenConv>; 3]) -> Self {
        Self { conv1, conv2, fc }
    }

    /// The two convolutions and the linear layer.
    pub(crate) fn layers(self) -> [Arc<FrozenConv>; 3] {
        [self.conv1, self.conv2, self.fc]
    }
}

impl Freeze for LeNet {
    type Frozen = FrozenLeNet;

    fn freeze(&self) -> Result<FrozenLeNet> {
        let values = |i: usize| self.parameters[i].values.as_slice();
        let fold = |i: usize, input: Shape, shape: [usize; 4]| {
            let (scale, shift) =
                self.statistics[i].fold(values(3 * i + 1), values(3 * i + 2), BATCH_NORM_EPS);
            let geometry = Geometry::new(input, shape, Conv2dOptions::default())?;
            FrozenConv::folded(geometry, values(3 * i), &scale, &shift).map(Arc::new)
        };
        let linear = Geometry::linear(FEATURES, LeNet::CLASSES);
        Ok(FrozenLeNet {
            conv1: fold(0, Self::INPUT, CONV1)?,
            conv2: fold(1, HIDDEN, CONV2)?,
            fc: Arc::new(FrozenConv::new(linear, values(6), vec![0.0; LeNet::CLASSES])?),
        })
    }
}

impl FrozenNetwork for FrozenLeNet {
    fn input_shape(&self) -> Shape {
        LeNet::INPUT
    }

    fn classes(&self) -> usize {
        LeNet::CLASSES
    }

    fn logits(&self, tape: &mut Tape, x: Var) -> Result<Var> {
        let hidden = tape.frozen_relu_pool(x, &self.conv1)?;
        let features = tape.frozen_relu_pool(hidden, &self.conv2)?;
        tape.frozen(features, &self.fc)
    }

    fn chain(&self) -> Option<ConvChain<'_>> {
        ConvChain::new(vec![&self.conv1, &self.conv2], &self.fc).ok()
    }
}
