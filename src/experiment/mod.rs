//! Experiments: what the paper printed, and what came out here.

mod published;
mod results;

pub use published::{Column, Curve, Published, Row, Table};
pub use results::{Cell, CraftedSet, JobRun, Model, Point, Results, Run, ThreatModel};
