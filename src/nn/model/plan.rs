//! Which nodes of an architecture are computed together, and in which order: a peephole pass over the nodes.

use crate::autodiff::{Tape, Var};
use crate::kernels::activation::Activation;
use crate::kernels::conv2d::Conv2dOptions;
use crate::kernels::pool::PoolOptions;
use crate::nn::architecture::{Architecture, Op, Pair};
use crate::{Error, Result};
use std::collections::HashSet;

/// One or several nodes that are computed together.
#[derive(Clone, Debug)]
pub(super) struct LayerStep<L> {
    pub(super) layer: L,
    /// What it computes from: 0 is the image, i + 1 is node i.
    pub(super) inputs: Vec<usize>,
    /// Where the result goes.
    pub(super) output: usize,
    /// Those of the inputs that no later step reads.
    pub(super) last_read: Vec<usize>,
}

/// Fills in `last_read` of steps that are in order.
pub(super) fn note_last_reads<L>(steps: &mut [LayerStep<L>]) {
    let mut read = HashSet::new();
    for step in steps.iter_mut().rev() {
        let inputs = step.inputs.iter().copied();
        step.last_read = inputs.filter(|&input| read.insert(input)).collect();
    }
}

/// What becomes of a layer's values when all layers that read them are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// They stay until the tape is reset.
    Kept,
    /// Their memory goes to the next layers, unless a gradient is wanted: those find it in the cache.
    Recycled,
}

/// Records steps one after the other; returns the last one's result.
pub(super) fn walk<L>(
    tape: &mut Tape,
    x: Var,
    steps: &[LayerStep<L>],
    values: Values,
    mut record: impl FnMut(&mut Tape, &L, &[Var]) -> Result<Var>,
) -> Result<Var> {
    let places = steps.iter().map(|step| step.output + 1).max().unwrap_or(1);
    let (first, mut recycles) = (tape.recorded(), values == Values::Recycled);
    let mut vars = tape.lend_vars();
    vars.resize(places, x);
    let mut last = x;
    for step in steps {
        // Behind the places, so that a recorded step allocates nothing.
        vars.truncate(places);
        vars.extend(step.inputs.iter().map(|_| x));
        for (i, &input) in step.inputs.iter().enumerate() {
            vars[places + i] = vars[input];
        }
        last = record(tape, &step.layer, &vars[places..])?;
        vars[step.output] = last;
        step.last_read.iter().for_each(|&place| vars[place] = x);
        // An operation whose gradient is wanted reads its inputs again in the backward sweep.
        recycles &= !tape.wants_gradient(last);
        if recycles {
            tape.release_since(first, &vars[..places]);
        }
    }
    tape.recycle_vars(vars);
    Ok(last)
}

/// A batch normalization.
#[derive(Clone, Copy, Debug)]
pub(super) struct NormLayer {
    pub(super) node: usize,
    /// Its weight among the parameters; its bias is the next one.
    pub(super) weight: usize,
    pub(super) channels: usize,
    pub(super) eps: f32,
    pub(super) momentum: f32,
}

/// What needs neither parameters nor statistics.
#[derive(Clone, Debug)]
pub(super) enum StatelessLayer {
    /// The input itself.
    Same,
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Activation(Activation),
    MaxPool([usize; 2], PoolOptions),
    AvgPool([usize; 2], PoolOptions),
    Scale(f32),
    Flatten,
    Add,
    Mul,
    Concat,
}

impl StatelessLayer {
    pub(super) fn record(&self, tape: &mut Tape, inputs: &[Var]) -> Result<Var> {
        let x = inputs[0];
        match self {
            Self::Same => Ok(x),
            Self::Affine { scale, shift } => tape.affine(x, scale, shift),
            Self::Activation(activation) => Ok(tape.activate(x, *activation)),
            Self::MaxPool(window, options) => tape.max_pool_with(x, *window, *options),
            Self::AvgPool(window, options) => tape.avg_pool_with(x, *window, *options),
            Self::Scale(factor) => tape.scale(x, *factor),
            Self::Flatten => Ok(tape.flatten(x)),
            Self::Add | Self::Mul | Self::Concat => {
                // In a spiking network one of them may be the same at every step.
                let steps = |tape: &Tape, &var: &Var| tape.value(var).steps();
                let most = inputs.iter().map(|var| steps(tape, var)).max().unwrap_or(1);
                if let Some(i) = inputs.iter().position(|var| steps(tape, var) < most) {
                    let mut inputs = inputs.to_vec();
                    inputs[i] = tape.repeat_steps(inputs[i], most)?;
                    return self.record(tape, &inputs);
                }
                match self {
                    Self::Add => tape.add(x, inputs[1]),
                    Self::Mul => tape.mul(x, inputs[1]),
                    _ => tape.concat(inputs),
                }
            }
        }
    }
}

/// A layer as training computes it; parameters are counted over the whole network.
#[derive(Clone, Debug)]
pub(super) enum TrainingLayer {
    /// A convolution, or (without options) a linear layer; a bias is the parameter after the weight.
    Convolution {
        weight: usize,
        biased: bool,
        options: Option<Conv2dOptions>,
    },
    /// A batch normalization, by its number; then `relu`, if it is fused with it.
    Norm {
        norm: usize,
        relu: Option<Rectifier>,
    },
    /// A rectifier that follows no batch normalization.
    Rectifier(Rectifier),
    Dropout(f32),
    Plain(StatelessLayer),
}

/// A rectifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rectifier {
    pub(super) node: usize,
    /// Whether the maximum of 2 x 2 windows follows, computed with it.
    pub(super) pooled: bool,
}

/// How a network is trained: its steps and its batch normalizations.
#[derive(Debug)]
pub(super) struct ForwardPlan {
    pub(super) steps: Vec<LayerStep<TrainingLayer>>,
    pub(super) norms: Vec<NormLayer>,
    /// Where the parameters of every node begin.
    pub(super) first_parameters: Vec<usize>,
}

impl ForwardPlan {
    pub(super) fn new(architecture: &Architecture) -> Result<Self> {
        let peephole = Peephole::new(architecture);
        let mut first_parameters = Vec::new();
        let mut parameters = 0;
        for (i, node) in architecture.nodes().iter().enumerate() {
            first_parameters.push(parameters);
            parameters += node.op.parameters(architecture.input_of(i))?.len();
        }
        let mut plan = Self { steps: Vec::new(), norms: Vec::new(), first_parameters };
        let mut fused = vec![false; architecture.nodes().len()];
        for (i, node) in architecture.nodes().iter().enumerate() {
            if fused[i] {
                continue;
            }
            let parameter = plan.first_parameters[i];
            let mut last = i;
            let layer = match node.op {
                Op::Conv2d { stride, padding, groups, bias, algorithm, .. } => {
                    let options =
                        Conv2dOptions { stride: stride.0, padding: padding.0, groups, algorithm };
                    TrainingLayer::Convolution {
                        weight: parameter,
                        biased: bias,
                        options: Some(options),
                    }
                }
                Op::Linear { bias, .. } => {
                    TrainingLayer::Convolution { weight: parameter, biased: bias, options: None }
                }
                Op::BatchNorm { eps, momentum } => {
                    let channels = architecture.input_of(i).channels;
                    plan.norms.push(NormLayer {
                        node: i,
                        weight: parameter,
                        channels,
                        eps,
                        momentum,
                    });
                    let pooled =
                        peephole.relu(i).and_then(|relu| Some((relu, peephole.halves(relu)?)));
                    let relu = pooled.map(|(relu, pool)| {
                        (fused[relu], fused[pool], last) = (true, true, pool);
                        Rectifier { node: relu, pooled: true }
                    });
                    TrainingLayer::Norm { norm: plan.norms.len() - 1, relu }
                }
                Op::Relu {} | Op::Lif { .. } => {
                    let pool = peephole.halves(i);
                    if let Some(pool) = pool {
                        (fused[pool], last) = (true, pool);
                    }
                    TrainingLayer::Rectifier(Rectifier { node: i, pooled: pool.is_some() })
                }
                Op::Dropout { rate } => TrainingLayer::Dropout(rate),
                _ => TrainingLayer::Plain(plain(architecture, i)?),
            };
            plan.steps.push(LayerStep {
                layer,
                inputs: architecture.sources(i).to_vec(),
                output: last + 1,
                last_read: Vec::new(),
            });
        }
        note_last_reads(&mut plan.steps);
        Ok(plan)
    }
}

/// A node that needs neither parameters nor statistics.
pub(super) fn plain(architecture: &Architecture, i: usize) -> Result<StatelessLayer> {
    let (op, input) = (&architecture.nodes()[i].op, architecture.input_of(i));
    if let Some(activation) = op.activation() {
        return Ok(StatelessLayer::Activation(activation));
    }
    if let Some(g) = op.pool(input)? {
        return Ok(match op {
            Op::MaxPool { .. } => StatelessLayer::MaxPool(g.window, g.options),
            _ => StatelessLayer::AvgPool(g.window, g.options),
        });
    }
    Ok(match op {
        Op::Normalize { mean, std } => StatelessLayer::Affine {
            scale: std.iter().map(|std| (1.0 / f64::from(*std)) as f32).collect(),
            shift: mean
                .iter()
                .zip(std)
                .map(|(m, s)| (-f64::from(*m) / f64::from(*s)) as f32)
                .collect(),
        },
        Op::Dropout { .. } => StatelessLayer::Same,
        Op::Scale { factor } => StatelessLayer::Scale(*factor),
        Op::Flatten {} => StatelessLayer::Flatten,
        Op::Add {} => StatelessLayer::Add,
        Op::Mul {} => StatelessLayer::Mul,
        Op::Concat {} => StatelessLayer::Concat,
        // Layers with parameters are made elsewhere; a new one without has an arm here.
        _ => {
            let problem =
                format!("node `{}` is none without parameters", architecture.nodes()[i].name);
            return Err(Error::failed("plain node", problem));
        }
    })
}

/// Which nodes may be computed together: those that no other node uses.
pub(super) struct Peephole<'a> {
    architecture: &'a Architecture,
    /// Which nodes use every node.
    users: Vec<Vec<usize>>,
}

impl<'a> Peephole<'a> {
    pub(super) fn new(architecture: &'a Architecture) -> Self {
        let mut users = vec![Vec::new(); architecture.nodes().len()];
        for user in 0..users.len() {
            for &source in architecture.sources(user).iter().filter(|&&source| source > 0) {
                users[source - 1].push(user);
            }
        }
        Self { architecture, users }
    }

    /// The one node that uses node `i`, if there is one, and no more.
    fn next(&self, i: usize) -> Option<(usize, &'a Op)> {
        match self.users[i].as_slice() {
            &[user] => Some((user, &self.architecture.nodes()[user].op)),
            _ => None,
        }
    }

    /// The batch normalization of node `i`, if that is all that it is for.
    pub(super) fn norm(&self, i: usize) -> Option<usize> {
        let (user, op) = self.next(i)?;
        matches!(op, Op::BatchNorm { .. }).then_some(user)
    }

    /// The rectifier of node `i`.
    pub(super) fn relu(&self, i: usize) -> Option<usize> {
        let (user, op) = self.next(i)?;
        op.is_rectifier().then_some(user)
    }

    /// The maximum of 2 x 2 windows that halves node `i`.
    pub(super) fn halves(&self, i: usize) -> Option<usize> {
        const TWO: Pair = Pair([2; 2]);
        let (user, op) = self.next(i)?;
        let Op::MaxPool { window: TWO, stride: None | Some(TWO), padding: Pair([0, 0]), .. } = op
        else {
            return None;
        };
        let shape = self.architecture.shape(i);
        (shape.height.is_multiple_of(2) && shape.width.is_multiple_of(2)).then_some(user)
    }
}
