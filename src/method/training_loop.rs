//! The one training loop of controls and defenses: advance by a pass, measure, record, checkpoint.

use super::{BatchProgress, InTraining};
use crate::Result;
use crate::checkpoint::StateDict;
use crate::data::Dataset;
use crate::nn::{Freeze, accuracy};
use crate::tensor::Context;
use serde::{Deserialize, Serialize};

/// The note of a file that holds the points.
pub const HISTORY: &str = "history";

/// A model after a pass or an epoch of its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryPoint {
    /// The stage that the pass was part of, e.g. `slow-wave sleep`.
    #[serde(default = "training")]
    pub stage: String,
    /// Passes or epochs of this stage that were done. (An older control's file says `epoch`, and no stage.)
    #[serde(alias = "epoch")]
    pub done: usize,
    /// Passes or epochs of this stage in all.
    #[serde(default)]
    pub of: usize,
    /// Mean loss, where there is one.
    pub loss: Option<f32>,
    /// On the test images, of the network seen with rectifiers.
    pub test_accuracy: f64,
    /// On the test images, of the spiking network, while it is one.
    #[serde(default)]
    pub spiking_accuracy: Option<f64>,
}

impl HistoryPoint {
    /// The accuracy of the network as it was trained: of the spiking one, while it was one.
    pub fn accuracy(&self) -> f64 {
        self.spiking_accuracy.unwrap_or(self.test_accuracy)
    }
}

fn training() -> String {
    "training".to_owned()
}

/// What a training reports to, and what it saves by.
pub trait Observer: Send {
    /// After every batch.
    fn on_batch(&mut self, progress: BatchProgress) {
        let _ = progress;
    }

    /// After every pass: the history with its new last point, and a checkpoint to save, in which it is noted.
    ///
    /// # Errors
    /// Whatever keeps it from saving; the training ends with it.
    fn on_pass(
        &mut self,
        model: &dyn InTraining,
        history: &[HistoryPoint],
        checkpoint: StateDict,
    ) -> Result<()>;
}

/// Trains a model to its end. `history` holds the points of the passes that are done already, and gets the others.
///
/// # Errors
/// Those of the training, which refuses too few images before it begins, of measuring, and of the observer.
pub fn train(
    context: &Context,
    model: &mut dyn InTraining,
    [train, test]: [&Dataset; 2],
    history: &mut Vec<HistoryPoint>,
    observer: &mut dyn Observer,
) -> Result<()> {
    model.check_images(train.len())?;
    while let Some(pass) = model.advance(context, train, &mut |batch| observer.on_batch(batch))? {
        let spiking_accuracy = match model.spiking() {
            // A single draw, if it draws at all: many images average well enough.
            Some(spiking) => Some(accuracy(context, &spiking.freeze()?.with_draws(1), test)?),
            None => None,
        };
        history.push(HistoryPoint {
            stage: pass.stage.to_owned(),
            done: pass.done,
            of: pass.of,
            loss: pass.loss,
            test_accuracy: accuracy(context, &model.model().freeze()?, test)?,
            spiking_accuracy,
        });
        let mut checkpoint = model.checkpoint()?;
        checkpoint.note(HISTORY, &history);
        observer.on_pass(model, history, checkpoint)?;
    }
    Ok(())
}
