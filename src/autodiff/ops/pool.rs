//! Max and average pooling.

use crate::Result;
use crate::autodiff::{Backward, Operation, Tape, Var};
use crate::kernels::pool::{self as kernel, PoolGeometry, PoolOptions};
use crate::simd::LanesU32;

#[derive(Default)]
struct MaxPool {
    geometry: Option<PoolGeometry>,
    /// Position of the maximum in its window, for every output.
    winner: Vec<LanesU32>,
}

#[derive(Default)]
struct AvgPool {
    geometry: Option<PoolGeometry>,
}

impl Tape {
    /// Maximum of every `window` ([y, x]), one every `stride`; the gradient goes to the first of equals.
    ///
    /// # Errors
    /// If the window does not fit the input.
    pub fn max_pool(&mut self, x: Var, window: [usize; 2], stride: [usize; 2]) -> Result<Var> {
        self.max_pool_with(x, window, PoolOptions::of_stride(stride))
    }

    /// [`max_pool`](Self::max_pool) with a border, or with last windows that are not full.
    ///
    /// # Errors
    /// If the window does not fit the input, or the border the window.
    pub fn max_pool_with(
        &mut self,
        x: Var,
        window: [usize; 2],
        options: PoolOptions,
    ) -> Result<Var> {
        let g = PoolGeometry::new(self.value(x).shape(), window, options)?;
        let mut operation: Box<MaxPool> = self.reuse();
        let (samples, steps) = (self.value(x).samples(), self.value(x).steps());
        let mut out = self.tensor(g.output, samples, steps);
        operation.winner.resize(out.lanes().len(), LanesU32::ZERO);
        let (context, value, features) = (self.context(), self.value(x), g.output.features());
        let isa = context.isa();
        let outs = (out.lanes_mut(), features);
        context.chunks2(outs, (&mut operation.winner, features), |block, out, winner| {
            kernel::max_pool(isa, &g, value.block(block), out, winner);
        });
        operation.geometry = Some(g);
        Ok(self.record(operation, &[x], &[], out))
    }

    /// Mean of every `window` ([y, x]), one every `stride`.
    ///
    /// # Errors
    /// If the window does not fit the input.
    pub fn avg_pool(&mut self, x: Var, window: [usize; 2], stride: [usize; 2]) -> Result<Var> {
        self.avg_pool_with(x, window, PoolOptions::of_stride(stride))
    }

    /// [`avg_pool`](Self::avg_pool) with a border, or with last windows that are not full.
    ///
    /// # Errors
    /// If the window does not fit the input, or the border the window.
    pub fn avg_pool_with(
        &mut self,
        x: Var,
        window: [usize; 2],
        options: PoolOptions,
    ) -> Result<Var> {
        let g = PoolGeometry::new(self.value(x).shape(), window, options)?;
        let mut operation: Box<AvgPool> = self.reuse();
        let out = self.map_blocks(x, g.output, |isa, x, block, out| {
            kernel::avg_pool(isa, &g, x.block(block), out);
        });
        operation.geometry = Some(g);
        Ok(self.record(operation, &[x], &[], out))
    }
}

impl Operation for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let Some(g) = self.geometry else { return };
        let (grad, features) = (pass.grad(), g.output.features());
        pass.give_blocks(0, |isa, _, block, out| {
            let winner = &self.winner[block * features..][..features];
            kernel::max_pool_grad(isa, &g, grad.block(block), winner, out);
        });
    }
}

impl Operation for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn backward(&mut self, pass: &mut Backward<'_>) {
        let Some(g) = self.geometry else { return };
        let grad = pass.grad();
        pass.give_blocks(0, |isa, _, block, out| {
            kernel::avg_pool_grad(isa, &g, grad.block(block), out);
        });
    }
}
