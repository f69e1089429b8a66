//! Experiments: the paper's tables as a graph of jobs, a store of finished ones, and what came out beside what was
//! printed.
//!
//! [`Sheet`]s (`experiments/*.toml`) say which methods, noise scales and columns a table has; a [`ExperimentSpec`] says which
//! tables, settings, seeds and images; [`Graph`] is what there is to do; [`run`] does it, taking from the [`Store`] what
//! was done before; [`assemble_results`] makes [`Results`] of it. A [`Request`] is what a results folder is for: results of other
//! images, of another network, profile or engine do not get into it.

mod assemble;
mod build;
mod column;
mod departures;
mod estimate;
mod execute;
mod graph;
mod identity;
mod measure;
mod merge;
mod observations;
mod observe;
mod printed;
mod replication;
mod request;
mod results;
mod run;
mod run_info;
mod search;
mod sheet;
mod spec;
mod spec_builder;
mod statistics;
mod store;
mod sweep;
mod work;
mod write;

pub use assemble::{assemble_results, job_runs, lasting_failure, missing_results};
pub use column::{CERTIFIED, UNION, certified_by};
pub use graph::{CellPlan, Graph, Job, ModelPlan, SetPlan};
pub use merge::{Taken, merge, plan_merge};
pub use observations::{Digit, DigitSet, Filters, FiringRates, Observations, Spikes};
pub use printed::{Curve, Printed, PrintedColumn, Row, Table};
pub use replication::{CellSummary, PrintedVerdict, Replication};
pub use request::Request;
pub use results::{CLEAN, CraftedSet, Measured, ModelResult, REPORT_FILES, Results, TableCell};
pub use run::{Event, JobOutcome, RunOptions, run, stored_outcomes};
pub use run_info::{JobRun, RunInfo};
pub use search::{
    Finalist, Found, Half, Hypothesis, JointSearch, PassedOver, Score, SearchStep, Trial,
    Unexplained, words_of,
};
pub use sheet::{Quick, RowSpec, Selection, Sheet, parse};
pub use spec::ExperimentSpec;
pub use spec_builder::SpecBuilder;
pub use statistics::{Prediction, Spread, student};
pub use store::{JobClaim, Lookup, Store, StoreEntry};
pub use sweep::{Axis, Distance, PassedVariant, Sweep, SweepFound, SweepRow};
pub use work::{NUMERICS, Observation, Sources, Work};
pub use write::write_results;
