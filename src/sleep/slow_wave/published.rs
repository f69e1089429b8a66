//! The published plasticity, one layer a pass (METHOD section 3).

use super::{LAYERS, Layers, Pass, PlasticityRule, SlowWaveOptions, Turn, weight};
use crate::Result;
use crate::checkpoint::StateDict;
use crate::kernels::stdp::choose;
use crate::nn::{LeNet, Network};
use crate::simd::random::Key;
use crate::sleep::{StdpConv, StdpLinear};
use crate::tensor::{Context, Shape, Tensor};

pub(super) struct Sleep {
    layers: Layers,
    learning_rate: f32,
    conv1: StdpConv,
    conv2: StdpConv,
    linear: StdpLinear,
    /// The linear weights after their very first step: what the published dreams are made of.
    first_linear: Option<Vec<f32>>,
}

impl Sleep {
    pub fn new(lenet: &LeNet, options: &SlowWaveOptions) -> Result<Self> {
        let [conv1, conv2, linear] = LAYERS;
        Ok(Self {
            layers: options.layers,
            learning_rate: options.learning_rate,
            conv1: StdpConv::new(lenet.input_shape(), 10, 5, weight(lenet, conv1)?)?,
            conv2: StdpConv::new(Shape::new(10, 12, 12), 20, 5, weight(lenet, conv2)?)?,
            linear: StdpLinear::new(320, 10, weight(lenet, linear)?)?,
            first_linear: None,
        })
    }

    /// In the convolutions' passes every membrane is reset after every batch; in the linear pass none is.
    fn reset(&mut self) {
        self.conv1.reset();
        self.conv2.reset();
        self.linear.reset();
    }
}

impl PlasticityRule for Sleep {
    /// Simulates the layers up to the one that learns, and lets it.
    fn learn(
        &mut self,
        context: &Context,
        images: &Tensor,
        indices: &[usize],
        pass: Pass,
        key: Key,
    ) -> Result<()> {
        let Pass { steps, turn } = pass;
        let key = key.named("tie");
        let tie = |layer: u64| {
            move |sample: usize, pixel: usize, step: usize, candidates: u32| {
                let key = key.with(layer).with(indices[sample] as u64);
                choose(candidates, key.with((pixel as u64) << 32 | step as u64).to_u64())
            }
        };
        self.conv1.simulate(context, images, steps, &tie(1))?;
        if turn == Turn::Layer(0) {
            let gradient = self.conv1.gradient(context, images);
            self.conv1.update(&gradient, self.learning_rate);
            self.reset();
            return Ok(());
        }
        let hidden = self.conv1.next_input(context);
        self.conv2.simulate(context, hidden, steps, &tie(2))?;
        if turn == Turn::Layer(1) {
            let gradient = self.conv2.gradient(context, hidden);
            self.conv2.update(&gradient, self.learning_rate);
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

    fn is_noop(&mut self, pass: Pass) -> bool {
        let noop = pass.turn == Turn::Layer(1) && self.layers == Layers::Published;
        if noop {
            // What is left of that pass: its weights are standardised, and never moved.
            self.conv2.standardise();
        }
        noop
    }

    fn weights(&self) -> [&[f32]; 3] {
        [self.conv1.weight(), self.conv2.weight(), self.linear.weight()]
    }

    fn first_linear(&self) -> Option<&[f32]> {
        self.first_linear.as_deref()
    }

    fn save(&self, state: &mut StateDict) -> Result<()> {
        self.conv1.save_into("sleep.conv1", state)?;
        self.conv2.save_into("sleep.conv2", state)?;
        self.linear.save_into("sleep.fc", state)?;
        if let Some(first) = &self.first_linear {
            state.insert("sleep.first_linear", vec![first.len()], first.clone())?;
        }
        Ok(())
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.conv1.load_from("sleep.conv1", state)?;
        self.conv2.load_from("sleep.conv2", state)?;
        self.linear.load_from("sleep.fc", state)?;
        let shape = [self.linear.weight().len()];
        let first = state.expect_if_there("sleep.first_linear", &shape)?;
        self.first_linear = first.map(<[f32]>::to_vec);
        Ok(())
    }
}
