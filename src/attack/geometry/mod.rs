//! Norms, balls, steepest steps and random directions: what attacks know of space, and nothing of models.

pub mod ascent;
pub mod norm;
pub mod projection;
pub mod random;
