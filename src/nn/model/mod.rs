//! A network of any architecture: its parameters and running statistics, and how it is recorded on a tape.

mod bounds;
mod frozen;
mod plan;
mod state;

pub use frozen::FrozenModel;

use super::architecture::{Architecture, InitialValues};
use super::network::{Mode, Network, RunningStatistics};
use super::{Parameter, Parameters, uniform_fan_in};
use crate::autodiff::{Tape, Var, Weight};
use crate::checkpoint::StateDict;
use crate::tensor::Shape;
use crate::{Error, Result};
use plan::{ForwardPlan, Rectifier, TrainingLayer, Values, walk};
use std::sync::Arc;

/// A trainable network.
///
/// ```
/// use deepsleep::nn::architecture::Architecture;
/// use deepsleep::nn::{Model, Network};
/// use deepsleep::tensor::Shape;
///
/// let text = r#"{"input": [1, 8, 8], "classes": 3, "nodes": [
///     {"name": "conv", "op": "conv2d", "out": 4, "kernel": 3, "padding": 1},
///     {"name": "relu", "op": "relu"},
///     {"name": "pool", "op": "max_pool", "window": 2},
///     {"name": "fc", "op": "linear", "out": 3}]}"#;
/// let architecture: Architecture = serde_json::from_str(text).unwrap();
/// let model = Model::new(architecture, 7)?;
/// assert_eq!(model.input_shape(), Shape::new(1, 8, 8));
/// assert_eq!(model.parameters().get("fc.weight").unwrap().shape, [3, 64]);
/// # Ok::<(), deepsleep::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    architecture: Arc<Architecture>,
    plan: Arc<ForwardPlan>,
    parameters: Parameters,
    statistics: Vec<RunningStatistics>,
    /// The batch normalizations of the last forward pass in training mode, and where they are on its tape.
    normalized: Vec<(usize, Var)>,
}

/// What stands in for the rectifiers of a network, e.g. neurons that spike.
pub(crate) trait Rectifiers {
    /// Records what comes out of node `node`, a rectifier, for `x`; of its 2 x 2 windows the maximum if they are `pooled`.
    ///
    /// # Errors
    /// Whatever keeps it from doing so.
    fn rectify(&mut self, tape: &mut Tape, node: usize, x: Var, pooled: bool) -> Result<Var>;

    /// Whether someone reads the values that it recorded after the pass.
    fn are_read(&self) -> bool;
}

impl Rectifier {
    /// Records it, or what stands in for it.
    fn record(
        self,
        tape: &mut Tape,
        x: Var,
        others: &mut Option<&mut dyn Rectifiers>,
    ) -> Result<Var> {
        if let Some(others) = others {
            return others.rectify(tape, self.node, x, self.pooled);
        }
        let x = tape.relu(x);
        if self.pooled { tape.max_pool(x, [2, 2], [2, 2]) } else { Ok(x) }
    }
}

impl Model {
    /// With random weights of this seed, PyTorch's by default: each parameter draws from a stream of its own name.
    ///
    /// # Errors
    /// If there is no memory for its parameters.
    pub fn new(architecture: impl Into<Arc<Architecture>>, seed: u64) -> Result<Self> {
        let architecture = architecture.into();
        let plan = ForwardPlan::new(&architecture)?;
        let bytes = 4 * architecture.parameter_count() as u64;
        crate::memory::check("network", bytes, "its parameters", "use narrower layers")?;
        let mut parameters = Parameters::default();
        for (name, array) in architecture.parameters() {
            let count = array.shape.iter().product();
            let values = match array.start {
                InitialValues::Uniform { fan_in } => uniform_fan_in(seed, &name, count, fan_in),
                InitialValues::Constant(number) => vec![f32::from(number); count],
            };
            parameters.push(&name, &array.shape, values);
        }
        let statistics = plan.norms.iter().map(|norm| RunningStatistics::new(norm.channels));
        Ok(Self {
            statistics: statistics.collect(),
            architecture,
            plan: Arc::new(plan),
            parameters,
            normalized: Vec::new(),
        })
    }

    /// Loads a model of this architecture, ours or PyTorch's.
    ///
    /// # Errors
    /// If something is missing, of another shape, or not finite, there is an array that the network does not have, or the
    /// state is of another architecture.
    pub fn from_state(
        architecture: impl Into<Arc<Architecture>>,
        state: &StateDict,
    ) -> Result<Self> {
        let mut model = Self::new(architecture, 0)?;
        model.load_state(state)?;
        Ok(model)
    }

    /// The paper's network, for MNIST, with random weights of this seed.
    ///
    /// # Panics
    /// Never: its layers fit.
    pub fn lenet(seed: u64) -> Self {
        Self::new(Architecture::default(), seed).expect("LeNet's layers fit")
    }

    /// The network of a file that names its architecture, as ours do, or whose arrays are exactly those of
    /// [`lenet`](Self::lenet).
    ///
    /// # Errors
    /// If it is neither, and those of [`from_state`](Self::from_state).
    pub fn open(state: &StateDict) -> Result<Self> {
        Self::from_state(state::architecture(state)?, state)
    }

    /// The same network with random weights of this seed.
    ///
    /// # Errors
    /// None for a network that could be built.
    pub fn renewed(&self, seed: u64) -> Result<Self> {
        Self::new(Arc::clone(&self.architecture), seed)
    }

    /// Its layers.
    pub fn architecture(&self) -> &Arc<Architecture> {
        &self.architecture
    }

    /// The weights `[out, in / groups, y, x]` of its first convolution, if it has one.
    pub fn first_convolution(&self) -> Option<&Parameter> {
        let nodes = &mut self.architecture.nodes().iter();
        let first = nodes.find(|node| node.op.is_convolution())?;
        self.parameters.get(&format!("{}.weight", first.name))
    }

    /// For every filter of the first convolution, at which response it opens the activation behind it, for weights scaled to an
    /// L1 norm of 1 (with batch normalization folded in): the enemy moves such a response by eps at most. None if there is no
    /// convolution, or something else behind it; a filter of zeros opens at infinity or is always open.
    pub fn first_thresholds(&self) -> Option<Vec<f32>> {
        let architecture = &self.architecture;
        let first = architecture.nodes().iter().position(|node| node.op.is_convolution())?;
        let folded = self.folded(first).ok()??;
        let last = folded.norm.unwrap_or(first) + 1;
        let nodes = architecture.nodes().iter().enumerate();
        let mut users = nodes.filter(|(i, _)| architecture.sources(*i).contains(&last)).peekable();
        users.peek()?;
        if !users.all(|(_, node)| node.op.activation().is_some()) {
            return None;
        }
        let rows = folded.weight.chunks(folded.geometry.fan_in()).zip(&folded.bias);
        Some(rows.map(|(row, bias)| -bias / row.iter().map(|w| w.abs()).sum::<f32>()).collect())
    }

    /// Running statistics of the batch normalizations, in the order of their nodes.
    pub fn statistics(&self) -> &[RunningStatistics] {
        &self.statistics
    }

    /// Mutable access to them.
    pub fn statistics_mut(&mut self) -> &mut [RunningStatistics] {
        &mut self.statistics
    }

    /// [`Network::forward`] with something else in place of the rectifiers (None: the rectifiers, fused where there is a
    /// kernel).
    ///
    /// # Errors
    /// As for [`Network::forward`], and those of the rectifiers.
    pub(crate) fn record(
        &mut self,
        tape: &mut Tape,
        x: Var,
        weights: &[Weight],
        mode: Mode,
        mut rectifiers: Option<&mut dyn Rectifiers>,
    ) -> Result<Var> {
        let Self { architecture, plan, parameters, statistics, normalized } = self;
        if weights.len() != parameters.len() {
            let expected = format!("its {} parameters on the tape", parameters.len());
            return Err(Error::shape("network", expected, weights.len().to_string()));
        }
        check_images(architecture, tape, x)?;
        normalized.clear();
        walk(tape, x, &plan.steps, Values::Kept, |tape, layer, inputs| {
            let x = inputs[0];
            match *layer {
                TrainingLayer::Convolution { weight, biased, options } => {
                    let y = match options {
                        Some(options) => tape.conv2d(x, weights[weight], options)?,
                        None => tape.linear(x, weights[weight])?,
                    };
                    if biased { tape.bias(y, weights[weight + 1]) } else { Ok(y) }
                }
                TrainingLayer::Norm { norm, relu } => {
                    let (of, statistics) = (&plan.norms[norm], &statistics[norm]);
                    let (weight, bias) = (weights[of.weight], weights[of.weight + 1]);
                    let by = statistics.normalization(mode);
                    let (y, out) = match relu {
                        Some(_) if rectifiers.is_none() => {
                            let y = tape.norm_relu_pool(x, weight, bias, by, of.eps)?;
                            (y, y)
                        }
                        Some(relu) => {
                            let y = tape.batch_norm(x, weight, bias, by, of.eps)?;
                            (y, relu.record(tape, y, &mut rectifiers)?)
                        }
                        None => {
                            let y = tape.batch_norm(x, weight, bias, by, of.eps)?;
                            (y, y)
                        }
                    };
                    if mode == Mode::Train {
                        normalized.push((norm, y));
                    }
                    Ok(out)
                }
                TrainingLayer::Rectifier(relu) => relu.record(tape, x, &mut rectifiers),
                TrainingLayer::Dropout(rate) if mode == Mode::Train => tape.dropout(x, rate),
                TrainingLayer::Dropout(_) => Ok(x),
                TrainingLayer::Plain(ref plain) => plain.record(tape, inputs),
            }
        })
    }

    /// Moves running statistics toward those of the last forward pass in training mode, which was recorded over `steps`
    /// time steps: each of them counts, also where a layer was computed once for all. `momentum` is the new ones' share;
    /// None: each batch normalization's own.
    pub(crate) fn move_statistics_over(
        &mut self,
        tape: &Tape,
        steps: usize,
        momentum: Option<f32>,
    ) {
        for (norm, var) in self.normalized.drain(..) {
            let Some(moments) = tape.batch_moments(var) else { continue };
            let statistics = &mut self.statistics[norm];
            let momentum = momentum.unwrap_or(self.plan.norms[norm].momentum);
            let recorded = moments.mean.len() / statistics.mean.len();
            for _ in 0..steps / recorded {
                statistics.update(moments, momentum);
            }
        }
    }
}

/// Refuses images of another shape than the network's.
fn check_images(architecture: &Architecture, tape: &Tape, x: Var) -> Result<()> {
    let (expected, found) = (architecture.input(), tape.value(x).shape());
    if expected == found {
        return Ok(());
    }
    Err(Error::shape("network", format!("images of {expected}"), format!("images of {found}")))
}

impl Network for Model {
    fn input_shape(&self) -> Shape {
        self.architecture.input()
    }

    fn classes(&self) -> usize {
        self.architecture.classes()
    }

    fn sample_bytes(&self) -> usize {
        self.architecture.least_bytes(0)
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn forward(&mut self, tape: &mut Tape, x: Var, weights: &[Weight], mode: Mode) -> Result<Var> {
        self.record(tape, x, weights, mode, None)
    }

    fn move_statistics(&mut self, tape: &Tape, momentum: f32) {
        self.move_statistics_over(tape, 1, Some(momentum));
    }

    fn update_statistics(&mut self, tape: &Tape) {
        self.move_statistics_over(tape, 1, None);
    }

    fn state(&self) -> StateDict {
        state::of(self)
    }

    fn load_state(&mut self, state: &StateDict) -> Result<()> {
        state::load(self, state)
    }
}
