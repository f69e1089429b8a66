//! Defensive distillation: the student learns the teacher's softened probabilities (Papernot et al. 2016).

use crate::Result;
use crate::autodiff::{Tape, Var};
use crate::nn::{Batch, Freeze, FrozenLeNet, FrozenNetwork, LeNet, Regime};
use crate::sleep::Distillation;
use crate::tensor::{Context, Tensor};

/// The student's regime.
pub(super) struct FromTeacher {
    teacher: FrozenLeNet,
    tape: Tape,
    method: Distillation,
    temperature: f32,
    /// The teacher's probabilities for the images of this step.
    target: Option<Tensor>,
}

impl FromTeacher {
    pub(super) fn new(
        context: &Context,
        teacher: &LeNet,
        method: Distillation,
        temperature: f32,
    ) -> Result<Self> {
        let tape = Tape::new(context.clone());
        Ok(Self { teacher: teacher.freeze()?, tape, method, temperature, target: None })
    }
}

impl Regime<LeNet> for FromTeacher {
    fn prepare(&mut self, _: &mut LeNet, batch: &mut Batch<'_>) -> Result<()> {
        let mut images = self.tape.tensor(batch.images.shape(), batch.images.samples(), 1);
        images.lanes_mut().copy_from_slice(batch.images.lanes());
        let x = self.tape.constant(images);
        let logits = self.teacher.logits(&mut self.tape, x)?;
        let probability = self.tape.softmax(logits, self.temperature)?;
        let value = self.tape.value(probability);
        match &mut self.target {
            Some(target) if target.samples() == value.samples() => {
                target.lanes_mut().copy_from_slice(value.lanes());
            }
            target => *target = Some(value.clone()),
        }
        self.tape.reset();
        Ok(())
    }

    fn loss(&mut self, tape: &mut Tape, logits: Var, _: &[usize]) -> Result<Option<Var>> {
        let Some(target) = &self.target else { return Ok(None) };
        match self.method {
            Distillation::Papernot => {
                tape.soft_cross_entropy(logits, target, self.temperature).map(Some)
            }
            Distillation::Published => {
                let probability = tape.softmax(logits, self.temperature)?;
                tape.soft_cross_entropy(probability, target, 1.0).map(Some)
            }
        }
    }
}
