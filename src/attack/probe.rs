//! What a model says about images, and the gradient of its margin, outside of any attack: for whoever examines it.

use crate::Result;
use crate::attack::engine::transpose::{first_lanes, to_lanes};
use crate::attack::loss::Loss;
use crate::nn::{Classifier, Session};
use crate::simd::random::Key;
use crate::simd::{Isa, LANES, Lanes, LanesU32};
use crate::tensor::Context;

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

    fn ask(&self, points: &[Point<'_>], differentiable: bool) -> Result<Vec<Answer>> {
        let (features, classes) = (self.model.input_shape().features(), self.model.classes());
        let mut answers = vec![Answer::default(); points.len()];
        let workers = self.context.workers(|context| ProbeWorker {
            isa: context.isa(),
            session: self.model.session(context),
            rows: vec![0.0; LANES * features],
            block: vec![Lanes::ZERO; features],
            gradient: vec![Lanes::ZERO; features],
            logits: vec![Lanes::ZERO; classes],
            weight: vec![Lanes::ZERO; classes],
        });
        workers.chunks(&mut answers, LANES, |worker, i, answers| {
            worker.ask(&points[i * LANES..][..answers.len()], differentiable, answers)
        })?;
        Ok(answers)
    }
}

impl ProbeWorker<'_> {
    fn ask(
        &mut self,
        points: &[Point<'_>],
        differentiable: bool,
        answers: &mut [Answer],
    ) -> Result<()> {
        let features = self.block.len();
        self.rows.fill(0.0);
        let (mut keys, mut labels) = ([Key::new(0); LANES], LanesU32::ZERO);
        for (lane, point) in points.iter().enumerate() {
            self.rows[lane * features..][..features].copy_from_slice(point.image);
            (keys[lane], labels.0[lane]) = (point.noise, point.label as u32);
        }
        to_lanes(&self.rows, &mut self.block);
        self.session.occupy(first_lanes(points.len()));
        self.session.logits(&self.block, &keys, differentiable, &mut self.logits)?;
        if differentiable {
            let (z, weight) = (&self.logits, &mut self.weight);
            Loss::Margin.evaluate(self.isa, z, &labels, &labels, &mut Lanes::ZERO.clone(), weight);
            self.session.gradient(weight, &mut self.gradient)?;
        }
        for (lane, answer) in answers.iter_mut().enumerate() {
            answer.logits = self.logits.iter().map(|z| z.0[lane]).collect();
            if differentiable {
                answer.gradient = self.gradient.iter().map(|g| g.0[lane]).collect();
            }
        }
        Ok(())
    }
}
