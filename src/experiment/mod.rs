//! Experiments: the paper's tables as a graph of jobs, a store of finished ones, and what came out beside what was
//! printed.
//!
//! [`Sheet`]s (`experiments/*.toml`) say which methods, noise scales and columns a table has; a [`Question`] says which
//! tables, settings, seeds and images; [`Graph`] is what there is to do; [`run`] does it, taking from the [`Store`] what
//! was done before; [`collect`] makes [`Results`] of it. A [`Request`] is what a results folder is for: results of other
//! images, of another network, profile or engine do not get into it.

mod collect;
mod config;
mod graph;
mod merge;
mod perform;
mod published;
mod request;
mod results;
mod run;
mod store;
mod sweep;
mod work;

pub use collect::{collect, job_runs};
pub use config::{Method, Quick, Sheet, parse};
pub use graph::{CellPlan, Graph, Job, ModelPlan, Question, SetPlan};
pub use merge::{Taken, merge, plan_merge};
pub use published::{Column, Curve, Published, Row, Table};
pub use request::Request;
pub use results::{Cell, CraftedSet, JobRun, Model, Results, Run, ThreatModel};
pub use run::{Event, Fate, RunOptions, found, run};
pub use store::{Claim, Entry, Found, Store};
pub use sweep::{Answer, Axis, Distance, Sweep};
pub use work::{NUMERICS, Sources, Work};
