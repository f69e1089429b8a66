//! Continues a finished training for more epochs.

use super::{Network, Optimizer, Schedule, Trainer, TrainingOptions};
use crate::checkpoint::StateDict;
use crate::{Error, Result};

impl Trainer {
    /// Goes on after a training of the same options that ended, unless it had as many epochs: returns whether epochs are
    /// left to do. The model that it saved has its options noted (`training.options`).
    ///
    /// # Errors
    /// If it had other options or more epochs, and those of [`prolong`](Self::prolong).
    pub fn continue_after<N: Network + ?Sized>(
        &mut self,
        network: &mut N,
        finished: &StateDict,
        images: usize,
    ) -> Result<bool> {
        let mut theirs: TrainingOptions = finished.noted("training.options").ok_or_else(|| {
            Error::format(
                finished.path(),
                "it does not say how it was trained, so it may be of another training",
            )
        })?;
        let (done, epochs) = (theirs.epochs, self.options().epochs);
        if done < epochs {
            theirs.epochs = epochs;
        }
        self.refuse_other_options(finished, &theirs)?;
        if done < epochs {
            self.prolong(network, finished, images)?;
        }
        Ok(done < epochs)
    }

    /// Continues a training that ended after fewer epochs, from the model that it saved with its options noted
    /// (`training.options`), to the bits of one that never ended; `images` were trained on.
    ///
    /// # Errors
    /// As [`resume`](Self::resume), and if the next step depends on what a finished model does not hold: the number of
    /// epochs, or what the optimizer remembers.
    pub fn prolong<N: Network + ?Sized>(
        &mut self,
        network: &mut N,
        state: &StateDict,
        images: usize,
    ) -> Result<()> {
        let fail = |problem: &str| Error::format(state.path(), problem);
        let theirs: TrainingOptions = state.noted("training.options").ok_or_else(|| {
            fail("it does not say how it was trained, so its training cannot go on")
        })?;
        if theirs.schedule != Schedule::Constant {
            return Err(fail(
                "its learning rate followed the number of epochs, so more of them are another training",
            ));
        }
        if theirs.rule.memories() > 0 {
            return Err(fail(
                "its training ended, and with it what the optimizer remembered, so it cannot go on to the same bits",
            ));
        }
        if theirs.average != 0.0 {
            return Err(fail(
                "it is a moving average of its training, which ended elsewhere, so it cannot go on to the same bits",
            ));
        }
        let mut state = state.clone();
        state.note("training.epochs_done", theirs.epochs);
        let steps = theirs.epochs.saturating_mul(images / theirs.batch_size.max(1));
        state.note(Optimizer::STEPS, steps);
        self.resume(network, &state)
    }
}
