//! Norms, balls, steepest steps and random directions: what attacks know of space, and nothing of models.

pub(super) mod ascent;
pub(crate) mod ball;
pub(super) mod hyperplane;
pub(crate) mod norm;
pub(super) mod projection;
pub(crate) mod random;

pub use ascent::{RankBuffer, ascend};
pub use hyperplane::{SortBuffer, onto_hyperplane};
pub use projection::{Breakpoints, into_ball};
