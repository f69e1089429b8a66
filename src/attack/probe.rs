//! What a model says about images, and the gradient of its margin, outside of any search: for verification and for audits.

use crate::Result;
use crate::attack::engine::transpose::{first_lanes, to_lanes};
use crate::attack::loss::Loss;
use crate::nn::{Classifier, Session, predict};
use crate::simd::random::Key;
use crate::simd::{Isa, LANES, Lanes, LanesU32};
use crate::tensor::{Context, Workers};

/// A model under examination.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    pub context: &'a Context,
    pub model: &'a dyn Classifier,
}

/// An image, its label, and the key of the noise that a random model answers it with.
#[derive(Clone, Copy)]
pub(crate) struct Point<'a> {
    pub image: &'a [f32],
    pub label: usize,
    pub noise: Key,
}

/// What the model says about a point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub logits: Vec<f32>,
    /// Of the negative margin, as it came: what is not finite is not.
    pub gradient: Vec<f32>,
}

impl Answer {
    /// The negative margin.
    pub fn loss(&self, label: usize) -> f32 {
        -crate::nn::margin(&self.logits, label)
    }
}

/// What several draws say about a point.
#[derive(Clone, Debug, Default)]
pub(crate) struct DrawnLogits {
    /// The mean logits over the draws.
    pub logits: Vec<f32>,
    /// The share of the draws that by themselves give the label.
    pub right: f64,
}

struct ProbeWorker<'a> {
    session: Box<dyn Session + 'a>,
    isa: Isa,
    rows: Vec<f32>,
    block: Vec<Lanes>,
    gradient: Vec<Lanes>,
    logits: Vec<Lanes>,
    weight: Vec<Lanes>,
}

impl Probe<'_> {
    /// The logits of points.
    ///
    /// # Errors
    /// If the model cannot be evaluated.
    pub fn logits(&self, points: &[Point<'_>]) -> Result<Vec<Answer>> {
        self.ask(points, false)
    }

    /// Logits and gradients.
    ///
    /// # Errors
    /// If the model cannot be evaluated.
    pub fn gradients(&self, points: &[Point<'_>]) -> Result<Vec<Answer>> {
        self.ask(points, true)
    }

    /// What `draws` draws together say about each point, with the noise of (its place, draw) instead of its own.
    ///
    /// # Errors
    /// If the model cannot be evaluated.
    pub fn drawn(
        &self,
        points: &[Point<'_>],
        draws: usize,
        noise: &(dyn Fn(usize, usize) -> Key + Sync),
    ) -> Result<Vec<DrawnLogits>> {
        let empty = DrawnLogits { logits: vec![0.0; self.model.classes()], right: 0.0 };
        let mut drawn = vec![empty; points.len()];
        self.model.announce(points.len().div_ceil(LANES));
        self.workers().chunks(&mut drawn, LANES, |worker, i, drawn| {
            let (first, points) = (i * LANES, &points[i * LANES..][..drawn.len()]);
            worker.show(points);
            for draw in 0..draws {
                let mut keys = [Key::new(0); LANES];
                keys[..points.len()].iter_mut().zip(first..).for_each(|(k, i)| *k = noise(i, draw));
                worker.session.logits(&worker.block, &keys, false, &mut worker.logits)?;
                for (lane, (drawn, point)) in drawn.iter_mut().zip(points).enumerate() {
                    let logits = worker.logits_of(lane);
                    let means = drawn.logits.iter_mut().zip(&logits);
                    means.for_each(|(mean, z)| *mean += z / draws as f32);
                    let right =
                        logits.iter().all(|z| z.is_finite()) && predict(&logits) == point.label;
                    drawn.right += f64::from(u8::from(right));
                }
            }
            worker.session.occupy(0);
            drawn.iter_mut().for_each(|drawn| drawn.right /= draws as f64);
            Ok(())
        })?;
        Ok(drawn)
    }

    fn ask(&self, points: &[Point<'_>], differentiable: bool) -> Result<Vec<Answer>> {
        let mut answers = vec![Answer::default(); points.len()];
        self.model.announce(points.len().div_ceil(LANES));
        self.workers().chunks(&mut answers, LANES, |worker, i, answers| {
            worker.ask(&points[i * LANES..][..answers.len()], differentiable, answers)
        })?;
        Ok(answers)
    }

    fn workers(&self) -> Workers<ProbeWorker<'_>> {
        let (features, classes) = (self.model.input_shape().features(), self.model.classes());
        self.context.workers(|context| ProbeWorker {
            isa: context.isa(),
            session: self.model.session(context),
            rows: vec![0.0; LANES * features],
            block: vec![Lanes::ZERO; features],
            gradient: vec![Lanes::ZERO; features],
            logits: vec![Lanes::ZERO; classes],
            weight: vec![Lanes::ZERO; classes],
        })
    }
}

impl ProbeWorker<'_> {
    /// Puts images into the lanes.
    fn show(&mut self, points: &[Point<'_>]) {
        self.rows.fill(0.0);
        for (row, point) in self.rows.chunks_mut(self.block.len()).zip(points) {
            row.copy_from_slice(point.image);
        }
        to_lanes(&self.rows, &mut self.block);
        self.session.occupy(first_lanes(points.len()));
    }

    fn logits_of(&self, lane: usize) -> Vec<f32> {
        self.logits.iter().map(|z| z.0[lane]).collect()
    }

    fn ask(
        &mut self,
        points: &[Point<'_>],
        differentiable: bool,
        answers: &mut [Answer],
    ) -> Result<()> {
        self.show(points);
        let (mut keys, mut labels) = ([Key::new(0); LANES], LanesU32::ZERO);
        for (lane, point) in points.iter().enumerate() {
            (keys[lane], labels.0[lane]) = (point.noise, point.label as u32);
        }
        self.session.logits(&self.block, &keys, differentiable, &mut self.logits)?;
        if differentiable {
            let (z, weight) = (&self.logits, &mut self.weight);
            Loss::Margin.evaluate(self.isa, z, &labels, &labels, &mut Lanes::ZERO.clone(), weight);
            self.session.gradient(weight, &mut self.gradient)?;
        }
        self.session.occupy(0);
        for (lane, answer) in answers.iter_mut().enumerate() {
            answer.logits = self.logits_of(lane);
            if differentiable {
                answer.gradient = self.gradient.iter().map(|g| g.0[lane]).collect();
            }
        }
        Ok(())
    }
}

/// Distance of two rows of logits, each divided by its length.
pub(crate) fn direction_distance(a: &[f32], b: &[f32]) -> f64 {
    let length = |x: &[f32]| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let (p, q) = (length(a).max(1e-12), length(b).max(1e-12));
    let square = |(&a, &b): (&f32, &f32)| (f64::from(a) / p - f64::from(b) / q).powi(2);
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}
