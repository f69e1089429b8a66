//! A network in evaluation mode: batch normalization folded into the convolutions, and these fused with what follows.

use super::plan::{
    LayerStep, Peephole, Rectifier, StatelessLayer, Values, note_last_reads, plain, walk,
};
use super::{Model, Rectifiers, check_images};
use crate::Result;
use crate::autodiff::{FrozenConv, Tape, Var};
use crate::kernels::conv2d::Geometry;
use crate::nn::architecture::{Architecture, Op};
use crate::nn::{Classifier, ConvChain, Freeze, FrozenNetwork, Session, tape_session};
use crate::tensor::{Context, Shape, Tensor};
use std::sync::Arc;

/// A network whose parameters do not change any more; a copy shares them.
#[derive(Clone, Debug)]
pub struct FrozenModel {
    architecture: Arc<Architecture>,
    steps: Arc<[LayerStep<FrozenLayer>]>,
}

/// A layer as evaluation computes it.
#[derive(Clone, Debug)]
enum FrozenLayer {
    /// A convolution or linear layer, with its batch normalization; then a rectifier with 2 x 2 maximum, if there is one.
    Convolution(Arc<FrozenConv>, Option<Rectifier>),
    Rectifier(Rectifier),
    Plain(StatelessLayer),
}

impl FrozenModel {
    /// Its layers.
    pub fn architecture(&self) -> &Arc<Architecture> {
        &self.architecture
    }

    /// [`FrozenNetwork::logits`] with something else in place of the rectifiers (None: the rectifiers, fused where there
    /// is a kernel).
    ///
    /// # Errors
    /// As for [`FrozenNetwork::logits`], and those of the rectifiers.
    pub(crate) fn record(
        &self,
        tape: &mut Tape,
        x: Var,
        mut rectifiers: Option<&mut dyn Rectifiers>,
    ) -> Result<Var> {
        check_images(&self.architecture, tape, x)?;
        let kept = rectifiers.as_ref().is_some_and(|rectifiers| rectifiers.are_read());
        let values = if kept { Values::Kept } else { Values::Recycled };
        walk(tape, x, &self.steps, values, |tape, layer, inputs| {
            let x = inputs[0];
            match layer {
                FrozenLayer::Convolution(layer, None) => tape.frozen(x, layer),
                FrozenLayer::Convolution(layer, Some(_)) if rectifiers.is_none() => {
                    tape.frozen_relu_pool(x, layer)
                }
                FrozenLayer::Convolution(layer, Some(relu)) => {
                    let x = tape.frozen(x, layer)?;
                    relu.record(tape, x, &mut rectifiers)
                }
                FrozenLayer::Rectifier(relu) => relu.record(tape, x, &mut rectifiers),
                FrozenLayer::Plain(plain) => plain.record(tape, inputs),
            }
        })
    }
}

impl FrozenModel {
    /// Records the forward pass and lets `seen` have the result of every convolution and linear layer, its normalization
    /// in it, in the order of their nodes.
    ///
    /// # Errors
    /// As for [`FrozenNetwork::logits`].
    pub(crate) fn record_layers(
        &self,
        tape: &mut Tape,
        x: Var,
        mut seen: impl FnMut(usize, &Tensor),
    ) -> Result<()> {
        check_images(&self.architecture, tape, x)?;
        let mut number = 0;
        walk(tape, x, &self.steps, Values::Recycled, |tape, layer, inputs| match layer {
            FrozenLayer::Convolution(layer, relu) => {
                let out = tape.frozen(inputs[0], layer)?;
                seen(number, tape.value(out));
                number += 1;
                relu.map_or(Ok(out), |relu| relu.record(tape, out, &mut None))
            }
            FrozenLayer::Rectifier(relu) => relu.record(tape, inputs[0], &mut None),
            FrozenLayer::Plain(plain) => plain.record(tape, inputs),
        })?;
        Ok(())
    }
}

impl FrozenModel {
    /// Whether rectifiers have 2 x 2 windows on them.
    pub(crate) fn pools_rectified(&self) -> bool {
        self.steps.iter().any(|step| {
            matches!(
                step.layer,
                FrozenLayer::Convolution(_, Some(Rectifier { pooled: true, .. }))
                    | FrozenLayer::Rectifier(Rectifier { pooled: true, .. })
            )
        })
    }

    /// The last layer, if it is linear and nothing comes after it.
    fn head(&self) -> Option<&FrozenConv> {
        let linear = matches!(self.architecture.nodes().last()?.op, Op::Linear { .. });
        match &self.steps.last()?.layer {
            FrozenLayer::Convolution(layer, None) if linear => Some(layer),
            _ => None,
        }
    }

    /// The same network with another last layer; see [`FrozenNetwork::with_head`].
    ///
    /// # Errors
    /// If the number of weights is not features times classes.
    pub(crate) fn with_last(&self, weight: &[f32], bias: Vec<f32>) -> Result<Option<Self>> {
        let Some(head) = self.head() else { return Ok(None) };
        let geometry = Geometry::linear(head.geometry().input.features(), bias.len());
        let (mut nodes, classes) = (self.architecture.nodes().to_vec(), bias.len());
        if let Some(last) = nodes.last_mut() {
            last.op = Op::Linear { out: classes, bias: true };
        }
        let architecture = Architecture::new(self.architecture.input(), classes, nodes)?;
        let mut steps = self.steps.to_vec();
        if let Some(last) = steps.last_mut() {
            last.layer =
                FrozenLayer::Convolution(Arc::new(FrozenConv::new(geometry, weight, bias)?), None);
        }
        Ok(Some(Self { architecture: Arc::new(architecture), steps: steps.into() }))
    }
}

impl Freeze for Model {
    type Frozen = FrozenModel;

    fn freeze(&self) -> Result<FrozenModel> {
        let architecture = &self.architecture;
        let peephole = Peephole::new(architecture);
        let mut fused = vec![false; architecture.nodes().len()];
        let mut steps = Vec::new();
        for (i, node) in architecture.nodes().iter().enumerate() {
            if fused[i] {
                continue;
            }
            let mut last = i;
            let mut fuse = |other: usize| {
                (fused[other], last) = (true, other);
            };
            let layer = if let Some(folded) = self.folded_by(&peephole, i)? {
                folded.norm.into_iter().for_each(&mut fuse);
                let relu = peephole.relu(folded.norm.unwrap_or(i));
                let Folded { geometry, weight, bias, .. } = folded;
                let convolution = Arc::new(FrozenConv::new(geometry, &weight, bias)?);
                let pooled = relu.and_then(|relu| Some((relu, peephole.halves(relu)?)));
                let relu = pooled.map(|(relu, pool)| {
                    fuse(relu);
                    fuse(pool);
                    Rectifier { node: relu, pooled: true }
                });
                FrozenLayer::Convolution(convolution, relu)
            } else {
                match node.op {
                    Op::BatchNorm { .. } => {
                        let (scale, shift) = self.fold(i);
                        FrozenLayer::Plain(StatelessLayer::Affine { scale, shift })
                    }
                    Op::Relu {} | Op::Lif { .. } => {
                        let pool = peephole.halves(i).inspect(|&pool| fuse(pool));
                        FrozenLayer::Rectifier(Rectifier { node: i, pooled: pool.is_some() })
                    }
                    _ => FrozenLayer::Plain(plain(architecture, i)?),
                }
            };
            let inputs = architecture.sources(i).to_vec();
            steps.push(LayerStep { layer, inputs, output: last + 1, last_read: Vec::new() });
        }
        note_last_reads(&mut steps);
        Ok(FrozenModel { architecture: Arc::clone(architecture), steps: steps.into() })
    }
}

/// A convolution or linear layer as evaluation computes it.
pub(crate) struct Folded {
    pub(crate) geometry: Geometry,
    /// `[out][in / groups][ky][kx]`
    pub(crate) weight: Vec<f32>,
    /// One number an output channel.
    pub(crate) bias: Vec<f32>,
    /// The node of the batch normalization that is in it.
    pub(crate) norm: Option<usize>,
}

impl Model {
    /// Node `i` with its bias and the batch normalization that is all it is for, if it is a convolution or a linear layer.
    ///
    /// # Errors
    /// None for a network that could be built.
    pub(crate) fn folded(&self, i: usize) -> Result<Option<Folded>> {
        self.folded_by(&Peephole::new(&self.architecture), i)
    }

    /// [`folded`](Self::folded), by an index of the network that the caller has for all of its nodes.
    fn folded_by(&self, peephole: &Peephole<'_>, i: usize) -> Result<Option<Folded>> {
        let op = &self.architecture.nodes()[i].op;
        let Some(geometry) = op.geometry(self.architecture.input_of(i))? else { return Ok(None) };
        let first = self.plan.first_parameters[i];
        let weight = self.parameters[first].values.as_slice();
        let bias = op.is_biased().then(|| &self.parameters[first + 1].values);
        let norm = peephole.norm(i);
        let Some(node) = norm else {
            let bias = bias.cloned().unwrap_or_else(|| vec![0.0; geometry.output.channels]);
            return Ok(Some(Folded { geometry, weight: weight.to_vec(), bias, norm }));
        };
        let (scale, mut shift) = self.fold(node);
        if let Some(bias) = bias {
            let terms = bias.iter().zip(&scale).map(|(bias, scale)| bias * scale);
            shift.iter_mut().zip(terms).for_each(|(shift, term)| *shift += term);
        }
        let rows = weight.chunks(geometry.fan_in()).zip(&scale);
        let weight = rows.flat_map(|(row, s)| row.iter().map(move |w| w * s)).collect();
        Ok(Some(Folded { geometry, weight, bias: shift, norm }))
    }

    /// The affine map of each channel that node `i` is in evaluation mode, if it is one.
    pub(crate) fn affine(&self, i: usize) -> Option<(Vec<f32>, Vec<f32>)> {
        if self.architecture.nodes()[i].op.is_norm() {
            return Some(self.fold(i));
        }
        match plain(&self.architecture, i).ok()? {
            StatelessLayer::Affine { scale, shift } => Some((scale, shift)),
            StatelessLayer::Scale(factor) => {
                let channels = self.architecture.shape(i).channels;
                Some((vec![factor; channels], vec![0.0; channels]))
            }
            _ => None,
        }
    }

    /// What the batch normalization right behind node `i` multiplies every channel by, if there is one.
    pub(crate) fn normalization_scale(&self, i: usize) -> Option<Vec<f32>> {
        Peephole::new(&self.architecture).norm(i).map(|norm| self.fold(norm).0)
    }

    /// The affine map that a batch normalization is in evaluation mode.
    fn fold(&self, node: usize) -> (Vec<f32>, Vec<f32>) {
        let mut norms = self.plan.norms.iter().zip(&self.statistics);
        // Each batch normalization has statistics.
        let Some((norm, statistics)) = norms.find(|(norm, _)| norm.node == node) else {
            return (Vec::new(), Vec::new());
        };
        let values = |i: usize| self.parameters[i].values.as_slice();
        statistics.fold(values(norm.weight), values(norm.weight + 1), norm.eps)
    }
}

impl Classifier for FrozenModel {
    fn input_shape(&self) -> Shape {
        self.architecture.input()
    }

    fn classes(&self) -> usize {
        self.architecture.classes()
    }

    fn sample_bytes(&self) -> usize {
        self.architecture.least_bytes(0)
    }

    fn as_network(&self) -> Option<&dyn FrozenNetwork> {
        Some(self)
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        tape_session(self, context)
    }
}

impl FrozenNetwork for FrozenModel {
    fn logits(&self, tape: &mut Tape, x: Var) -> Result<Var> {
        self.record(tape, x, None)
    }

    fn features(&self) -> usize {
        self.head().map_or(0, |layer| layer.geometry().input.features())
    }

    fn with_head(
        &self,
        weight: &[f32],
        bias: Vec<f32>,
    ) -> Result<Option<Box<dyn FrozenNetwork + '_>>> {
        Ok(self.with_last(weight, bias)?.map(|model| Box::new(model) as Box<dyn FrozenNetwork>))
    }

    fn chain(&self) -> Option<ConvChain<'_>> {
        // Each step takes what the one before it gives.
        let straight = self
            .steps
            .iter()
            .scan(0, |before, step| Some(step.inputs == [std::mem::replace(before, step.output)]));
        if !straight.fold(true, |all, straight| all & straight) {
            return None;
        }
        let (mut convolutions, mut linear, mut open) = (Vec::new(), Vec::new(), false);
        for step in self.steps.iter() {
            match &step.layer {
                FrozenLayer::Convolution(layer, Some(_)) if linear.is_empty() => {
                    convolutions.push(layer.as_ref())
                }
                // A rectifier belongs between two of them.
                FrozenLayer::Convolution(layer, None) if !open => {
                    linear.push(layer.as_ref());
                    open = true;
                }
                FrozenLayer::Rectifier(Rectifier { pooled: false, .. }) if open => open = false,
                FrozenLayer::Plain(StatelessLayer::Flatten | StatelessLayer::Same) => {}
                _ => return None,
            }
        }
        // What is no linear layer has no place in the second list.
        let linear = if open { linear } else { return None };
        let all = linear.iter().all(|layer| layer.geometry().output.pixels() == 1);
        all.then(|| ConvChain::new(convolutions, linear).ok()).flatten()
    }
}
