//! What a worker asks the model about all of its lanes at once.

use super::Worker;
use super::lane::current_sample;
use super::transpose::{from_lanes, region_to_lanes, to_lanes};
use crate::Result;
use crate::attack::stepper::{Needs, Stepper};
use crate::kernels::lif::Estimate;
use crate::simd::random::Key;
use crate::simd::{LANES, Lanes, LanesU32};
use crate::tensor::Region;

impl<S: Stepper> Worker<'_, S> {
    /// Asks the model about all lanes.
    pub(super) fn evaluate(&mut self) -> Result<()> {
        let draws = self.attack.draws().max(1);
        let scale = 1.0 / draws as f32;
        let (mut labels, mut targets) = (LanesU32::ZERO, LanesU32::ZERO);
        let (mut keys, mut fresh) = ([Key::new(0); LANES], 0);
        for (lane, lane_state) in
            self.lanes.iter().enumerate().filter(|(_, lane_state)| lane_state.index.is_some())
        {
            let sample = current_sample(self.task, self.runs, self.isa, self.root, lane_state);
            labels.0[lane] = sample.label as u32;
            targets.0[lane] = sample.target as u32;
            // The same draws at every image of a run: their losses differ by the image, not by luck.
            keys[lane] = sample.key.named("noise");
            fresh |= u16::from(lane_state.iteration == 0) << lane;
        }
        let wanted =
            self.lanes.iter().any(|lane_state| lane_state.index.is_some() && !lane_state.last);
        let needs = self.attack.needs();
        let differentiable = wanted && !matches!(needs, Needs::Logits(_));
        let features = self.block.len();
        for draw in 0..draws {
            let noise = keys.map(|key| key.with(draw as u64));
            self.ask(&noise, differentiable)?;
            let mut loss = Lanes::ZERO;
            match needs {
                Needs::Logits(kind) | Needs::Gradient(kind) => {
                    let (z, grad) = (&self.logits, &mut self.logits_grad);
                    if self.task.target.is_some() {
                        kind.evaluate_toward(self.isa, z, &labels, &targets, &mut loss, grad);
                    } else {
                        kind.evaluate(self.isa, z, &labels, &targets, &mut loss, grad);
                    }
                    if differentiable {
                        self.differentiate(fresh, draw == 0)?;
                        let rows = &mut self.gradients;
                        from_lanes(&self.block_grad, scale, draw > 0, features, rows);
                    }
                }
                Needs::Jacobian if differentiable => {
                    let stride = features * self.logits.len();
                    for class in 0..self.logits.len() {
                        self.logits_grad.fill(Lanes::ZERO);
                        self.logits_grad[class] = Lanes::splat(1.0);
                        self.differentiate(fresh, draw == 0 && class == 0)?;
                        let rows = &mut self.gradients[class * features..];
                        from_lanes(&self.block_grad, scale, draw > 0, stride, rows);
                    }
                }
                Needs::Jacobian => {}
            }
            accumulate(&mut self.mean_logits, &self.logits, scale, draw > 0);
            accumulate(
                std::slice::from_mut(&mut self.mean_loss),
                std::slice::from_ref(&loss),
                scale,
                draw > 0,
            );
        }
        Ok(())
    }

    /// The gradient of the loss in all lanes. What an estimator of spikes' gradients remembers begins anew with a run, and
    /// moves with the `first` gradient of an evaluation.
    fn differentiate(&mut self, fresh: u16, first: bool) -> Result<()> {
        let estimator = self.task.estimator;
        if estimator.is_own() {
            return self.session.gradient(&self.logits_grad, &mut self.block_grad);
        }
        let fresh = if first { fresh } else { 0 };
        let estimate = Estimate { estimator, fresh, learn: first };
        self.session.gradient_by(&estimate, &self.logits_grad, &mut self.block_grad)
    }

    /// The logits of all lanes, of all pixels or of those that have changed.
    fn ask(&mut self, noise: &[Key; LANES], differentiable: bool) -> Result<()> {
        let Some(session) = self.incremental.then(|| self.session.changes()).flatten() else {
            to_lanes(&self.images, &mut self.block);
            return self.session.logits(&self.block, noise, differentiable, &mut self.logits);
        };
        let shape = self.task.samples.shape();
        let (mut region, mut kept) = (Region::default(), 0);
        for (lane, lane_state) in
            self.lanes.iter().enumerate().filter(|(_, lane_state)| lane_state.index.is_some())
        {
            let change = self.attack.change(&lane_state.state);
            kept |= u16::from(change.as_ref().is_some_and(|change| change.kept)) << lane;
            region = region.hull(&change.map_or(Region::all(shape), |change| change.region));
        }
        // What was tried last time has been taken back in the lanes that did not keep it.
        for region in [&self.changed, &region] {
            region_to_lanes(&self.images, shape, region, &mut self.block);
        }
        session.logits(&self.block, &region, kept, &mut self.logits)?;
        self.changed = region;
        Ok(())
    }
}

/// `mean = scale x`, or `mean += scale x`.
fn accumulate(mean: &mut [Lanes], x: &[Lanes], scale: f32, add: bool) {
    for (mean, x) in mean.iter_mut().zip(x) {
        for (mean, x) in mean.0.iter_mut().zip(&x.0) {
            *mean = if add { *mean + x * scale } else { x * scale };
        }
    }
}
