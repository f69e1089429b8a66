//! A layer of spiking neurons over all its time steps, as one node.

use super::norm_relu_pool::halved;
use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::lif::{self as kernel, BackwardRule, Dynamics, LifLayer, SilentWindow};
use crate::kernels::surrogate::Surrogate;
use crate::simd::Lanes;
use crate::{Error, Result};

#[derive(Default)]
struct Lif {
    layer: Option<LifLayer>,
    surrogate: Surrogate,
    /// Whether windows of 2 x 2 are pooled, and where the gradient of a silent one goes.
    pooled: Option<SilentWindow>,
    /// Which of the recording's layers of neurons it is.
    place: usize,
}

impl Tape {
    /// Spikes of integrate-and-fire neurons driven by `x` for `steps` time steps. An `x` of one time step is a
    /// constant current. State starts afresh.
    ///
    /// # Errors
    /// If `x` has another number of steps than 1 or `steps`, `steps` is 0, or the surrogate has no slope.
    pub fn lif(
        &mut self,
        x: Var,
        dynamics: Dynamics,
        surrogate: Surrogate,
        steps: usize,
    ) -> Result<Var> {
        self.spike(x, dynamics, surrogate, steps, None)
    }

    /// [`lif`](Self::lif) followed by the maximum of 2 x 2 windows, without writing the unpooled spikes out. The
    /// gradient of windows without a spike goes where `silent` says.
    ///
    /// # Errors
    /// As for [`lif`](Self::lif), or if a side of the input is odd.
    pub fn lif_pool(
        &mut self,
        x: Var,
        dynamics: Dynamics,
        surrogate: Surrogate,
        steps: usize,
        silent: SilentWindow,
    ) -> Result<Var> {
        self.spike(x, dynamics, surrogate, steps, Some(silent))
    }

    fn spike(
        &mut self,
        x: Var,
        dynamics: Dynamics,
        surrogate: Surrogate,
        steps: usize,
        pooled: Option<SilentWindow>,
    ) -> Result<Var> {
        surrogate.validate()?;
        let value = self.value(x);
        let (shape, samples, input_steps) = (value.shape(), value.samples(), value.steps());
        if steps == 0 || (input_steps != 1 && input_steps != steps) {
            return Err(Error::shape(
                "lif",
                format!("a current of 1 or {} time steps, at least one step", steps.max(1)),
                format!("a current of {input_steps}, {steps} steps"),
            ));
        }
        let out_shape = if pooled.is_some() { halved("lif_pool", shape)? } else { shape };
        let constant = input_steps == 1;
        let layer = LifLayer { shape, steps, constant, dynamics };
        let mut operation: Box<Lif> = self.reuse();
        let place = self.estimators.place();
        *operation = Lif { layer: Some(layer), surrogate, pooled, place };
        let mut out = self.tensor(out_shape, samples, steps);
        let (context, value) = (self.context(), self.value(x));
        let isa = context.isa();
        let size = input_steps * shape.features();
        context.chunks(out.lanes_mut(), steps * out_shape.features(), |i, out| {
            let live = value.live(i * input_steps);
            let x = &value.lanes()[i * size..][..size];
            if pooled.is_some() {
                kernel::lif_pool(isa, &layer, live, x, out);
            } else {
                kernel::lif(isa, &layer, live, x, out);
            }
        });
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for Lif {
    fn name(&self) -> &'static str {
        "lif"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let Some(layer) = self.layer else { return };
        let mut out = pass.like_input(0);
        // Field by field: the memory is borrowed mutably beside them.
        let x = &pass.nodes[pass.inputs[0] as usize].value;
        let (context, grad) = (pass.context, pass.grad);
        let blocks = x.blocks() / x.steps();
        let (estimate, memory) = pass.estimators.of_layer(self.place, &layer, blocks);
        let Self { surrogate, pooled, .. } = *self;
        let (isa, asked) = (context.isa(), BackwardRule { surrogate, pooled, estimate });
        let size = x.steps() * layer.shape.features();
        let grad_size = layer.steps * grad.shape().features();
        let scratch = kernel::grad_scratch(&layer, estimate.estimator.slope);
        let of_block = |i: usize, out: &mut [Lanes], memory: &mut [Lanes]| {
            context.with_scratch(scratch, |scratch| {
                let x = &x.lanes()[i * size..][..size];
                let grad = &grad.lanes()[i * grad_size..][..grad_size];
                kernel::lif_grad(isa, &layer, &asked, x, grad, out, scratch, memory);
            });
        };
        if memory.is_empty() {
            context.chunks(out.lanes_mut(), size, |i, out| of_block(i, out, &mut []));
        } else {
            let of_each = memory.len() / blocks;
            context.chunks2((out.lanes_mut(), size), (memory, of_each), of_block);
        }
        pass.give_input(0, out);
    }
}
