//! A request to end long work early, which may come from another thread.

use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop, shared by its clones. Work on a [`Context`](super::Context) that is
/// [`stopped_by`](super::Context::stopped_by) it looks for one between any two batches, and ends with
/// [`Error::Interrupted`].
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the work to stop. There is no way back: what runs later needs another one.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether this is a clone of `other`, or the other way round.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// For work that can stop here.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if a stop was requested.
    pub fn check(&self) -> Result<()> {
        if self.is_requested() { Err(Error::Interrupted) } else { Ok(()) }
    }
}
