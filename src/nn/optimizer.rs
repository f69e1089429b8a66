//! Gradient descent and Adam, as PyTorch defines them. Plain multiplications and additions in a fixed order, which every
//! machine rounds alike.

use super::{Parameter, Parameters};
use crate::checkpoint::StateDict;
use crate::tensor::Context;
use crate::wording::short_form;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rule {
    /// `v = momentum v + g; p -= rate v`, with `weight_decay p` added to g.
    Sgd {
        /// Share of the last velocity that is kept.
        #[serde(default)]
        momentum: f32,
        /// L2 penalty.
        #[serde(default)]
        weight_decay: f32,
    },
    /// Kingma and Ba (2015), with `weight_decay p` added to g.
    Adam {
        /// Decay of the mean of gradients.
        #[serde(default = "beta1")]
        beta1: f32,
        /// Decay of the mean of squared gradients.
        #[serde(default = "beta2")]
        beta2: f32,
        /// Added to the root of the latter.
        #[serde(default = "eps")]
        eps: f32,
        /// L2 penalty.
        #[serde(default)]
        weight_decay: f32,
    },
}

fn beta1() -> f32 {
    0.9
}

fn beta2() -> f32 {
    0.999
}

fn eps() -> f32 {
    1e-8
}

impl Default for Rule {
    fn default() -> Self {
        Self::SGD
    }
}

/// As a setting takes it: `sgd:momentum=0.9,weight_decay=0.0005`.
impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&short_form::of(self))
    }
}

impl Rule {
    /// Plain gradient descent: no momentum, no decay.
    pub const SGD: Self = Self::Sgd { momentum: 0.0, weight_decay: 0.0 };
    /// Adam with its authors' settings.
    pub const ADAM: Self = Self::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };

    /// Whether its numbers make sense.
    ///
    /// # Errors
    /// If a decay (or the momentum) is not in 0..1, Adam's `eps` is not positive, or the weight decay is negative.
    pub fn validate(self) -> Result<()> {
        let fail = |name: &str, value: f32, range: &str| {
            Err(Error::argument("optimizer", format!("{name} {value} is not {range}")))
        };
        let (shares, weight_decay) = match self {
            Self::Sgd { momentum, weight_decay } => ([("momentum", momentum); 2], weight_decay),
            Self::Adam { beta1, beta2, eps, weight_decay } => {
                if !(eps > 0.0 && eps.is_finite()) {
                    return fail("eps", eps, "a positive number");
                }
                ([("beta1", beta1), ("beta2", beta2)], weight_decay)
            }
        };
        if let Some((name, value)) = shares.into_iter().find(|(_, v)| !(0.0..1.0).contains(v)) {
            return fail(name, value, "in 0..1");
        }
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return fail("weight decay", weight_decay, "zero or a positive number");
        }
        Ok(())
    }

    /// Arrays of memory for each parameter.
    pub(super) fn memories(self) -> usize {
        match self {
            Self::Sgd { momentum: 0.0, .. } => 0,
            Self::Sgd { .. } => 1,
            Self::Adam { .. } => 2,
        }
    }
}

/// Numbers of a parameter that a thread updates at a time: fewer are done before another one would be awake.
const SHARE: usize = 1 << 16;

/// A rule and what it remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    rule: Rule,
    steps: u64,
    /// `[memory][parameter]`
    memory: Vec<Vec<Vec<f32>>>,
}

impl Optimizer {
    /// What stands, with a dot, before the names of its arrays in a state dict: spelled as in the checkpoints that exist.
    pub(super) const PREFIX: &str = "optimiser";

    /// The note of its steps.
    pub(super) const STEPS: &str = "optimiser.steps";

    /// For these parameters, remembering nothing yet.
    pub fn new(rule: Rule, parameters: &Parameters) -> Self {
        let zeros = || parameters.iter().map(|p| vec![0.0; p.values.len()]).collect();
        Self { rule, steps: 0, memory: (0..rule.memories()).map(|_| zeros()).collect() }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Starts a step: parameters follow one by one with [`update`](Self::update).
    pub fn begin_step(&mut self) {
        self.steps = self.steps.saturating_add(1);
    }

    /// Moves parameter `index` along its gradient.
    pub fn update(
        &mut self,
        context: &Context,
        index: usize,
        rate: f32,
        values: &mut [f32],
        grad: &[f32],
    ) {
        let grad = |share: usize| &grad[share * SHARE..];
        match (self.rule, self.memory.as_mut_slice()) {
            (Rule::Sgd { weight_decay, .. }, []) => {
                context.chunks(values, SHARE, |share, values| {
                    for (value, grad) in values.iter_mut().zip(grad(share)) {
                        *value -= rate * (grad + weight_decay * *value);
                    }
                });
            }
            (Rule::Sgd { momentum, weight_decay }, [velocity, ..]) => {
                let velocity = &mut velocity[index];
                context.chunks2((values, SHARE), (velocity, SHARE), |share, values, velocity| {
                    for ((value, grad), v) in values.iter_mut().zip(grad(share)).zip(velocity) {
                        *v = momentum * *v + (grad + weight_decay * *value);
                        *value -= rate * *v;
                    }
                });
            }
            (Rule::Adam { beta1, beta2, eps, weight_decay }, [first, second, ..]) => {
                // 1 - beta^steps in f64; past 2^20 steps it is 1 to the last bit.
                let steps = self.steps.min(1 << 20) as i32;
                let correction = |beta: f32| (1.0 - f64::from(beta).powi(steps)) as f32;
                let (correct1, correct2) = (correction(beta1), correction(beta2).sqrt());
                let (first, second) =
                    ((&mut first[index][..], SHARE), (&mut second[index][..], SHARE));
                context.chunks3((values, SHARE), first, second, |share, values, first, second| {
                    let memories = first.iter_mut().zip(second);
                    for ((value, grad), (m, v)) in values.iter_mut().zip(grad(share)).zip(memories)
                    {
                        let grad = grad + weight_decay * *value;
                        *m = beta1 * *m + (1.0 - beta1) * grad;
                        *v = beta2 * *v + (1.0 - beta2) * grad * grad;
                        *value -= rate / correct1 * *m / (v.sqrt() / correct2 + eps);
                    }
                });
            }
            (Rule::Adam { .. }, _) => {} // `new` gave it two memories
        }
    }

    /// Adds what is remembered to a state dict, for a resumed training.
    ///
    /// # Errors
    /// Never: the shapes are the parameters's own.
    pub fn save_into(&self, parameters: &Parameters, state: &mut StateDict) -> Result<()> {
        state.note(Self::STEPS, self.steps);
        for (i, memory) in self.memory.iter().enumerate() {
            for (parameter, values) in parameters.iter().zip(memory) {
                let name = name_of(i, parameter);
                state.insert(&name, parameter.shape.clone(), values.clone())?;
            }
        }
        Ok(())
    }

    /// Takes back what [`save_into`](Self::save_into) added.
    ///
    /// # Errors
    /// If something is missing or of another shape, or there is more than this optimizer remembers.
    pub fn load_from(&mut self, parameters: &Parameters, state: &StateDict) -> Result<()> {
        self.steps = state.noted(Self::STEPS).ok_or_else(|| {
            Error::format(state.path(), "the checkpoint has no count of optimizer steps")
        })?;
        let mut known = Vec::new();
        for (i, memory) in self.memory.iter_mut().enumerate() {
            for (parameter, values) in parameters.iter().zip(memory) {
                let name = name_of(i, parameter);
                values.copy_from_slice(state.expect(&name, &parameter.shape)?);
                known.push(name);
            }
        }
        let known =
            known.iter().filter_map(|name| name.strip_prefix(Self::PREFIX)?.strip_prefix('.'));
        state.extract(Self::PREFIX).expect_only("the optimizer", known)
    }
}

/// The array of memory `i` for a parameter, in a state dict.
fn name_of(i: usize, parameter: &Parameter) -> String {
    format!("{}.{i}.{}", Optimizer::PREFIX, parameter.name)
}
