//! Experiments: the paper's tables as a graph of jobs, a store of finished ones, and what came out beside what was
//! printed.
//!
//! [`Sheet`]s (`experiments/*.toml`) say which methods, noise scales and columns a table has; a [`Question`] says which
//! tables, settings, seeds and images; [`Graph`] is what there is to do; [`run`] does it, taking from the [`Store`] what
//! was done before; [`collect`] makes [`Results`] of it.

mod collect;
mod config;
mod graph;
mod perform;
mod published;
mod results;
mod run;
mod store;
mod sweep;
mod work;

pub use collect::{collect, job_runs};
pub use config::{Method, Quick, Sheet, parse};
pub use graph::{CellPlan, Graph, Job, ModelPlan, Question, SetPlan};
pub use published::{Column, Curve, Published, Row, Table};
pub use results::{Cell, CraftedSet, JobRun, Model, Point, Results, Run, ThreatModel};
pub use run::{Event, Fate, RunOptions, run};
pub use store::{Claim, Entry, Found, Store};
pub use sweep::{Answer, Axis, Distance, Sweep};
pub use work::{NUMERICS, Work, same_training};
