//! How robust a model is, and against whom: many attacks and radii, white-box or by images crafted on another model, in
//! portions that can be interrupted.
//!
//! ```
//! use deepsleep::attack::{AttackSpec, Budget, Norm, Samples};
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::evaluation::{Crafted, Models, Plan, evaluate, worst_cases};
//! use deepsleep::nn::{Freeze, Model};
//! use deepsleep::tensor::Context;
//!
//! let context = Context::new(0)?;
//! let test = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Test)?;
//! let samples = Samples::from_dataset(&test, 0..32)?;
//! let (target, source) = (Model::lenet(1).freeze()?, Model::lenet(2).freeze()?); // untrained
//!
//! // White-box: every attack at every radius, and what survives all of them.
//! let [fgsm, pgd]: [AttackSpec; 2] = ["fgsm".parse()?, "pgd:steps=5".parse()?];
//! let plan = Plan::default().with(|o| {
//!     o.attacks = vec![fgsm, pgd.clone()];
//!     o.radii = vec![0.1, 0.2];
//! });
//! let models = Models { target: &target, source: None };
//! let cells = evaluate(&context, models, &samples, &plan)?;
//! assert_eq!(cells.len(), 4);
//! assert_eq!(worst_cases(&cells).len(), 2);
//!
//! // Transfer: crafted once, shown to any number of models, kept for others.
//! let pgd = pgd.transfer_form().build()?;
//! let budget = Budget { norm: Norm::Linf, eps: 0.1, seed: 0 };
//! let crafted = Crafted::craft(&context, &source, &samples, pgd.as_ref(), budget)?;
//! println!("transfer: {:.3}", crafted.show(&context, &target)?.robust_accuracy());
//! let file = tempfile::NamedTempFile::new().unwrap();
//! crafted.to_npz(&serde_json::json!({}))?.save(file.path())?;
//! assert_eq!(Crafted::load(file.path())?.samples(), crafted.samples());
//! # Ok::<(), deepsleep::Error>(())
//! ```

#[cfg(feature = "npz")]
mod archive;
mod cell;
mod checkpoint_kind;
mod crafted;
mod evidence;
mod interval;
mod journal;
mod named_attack;
pub(crate) mod none_as_empty;
mod outcome_columns;
mod plan;
mod random;
mod warning;
mod worst_case;

#[cfg(feature = "npz")]
pub use archive::{about, archive};
pub use cell::{Cell, ThreatModel};
pub use checkpoint_kind::{AUDIT, CheckpointKind};
pub use crafted::{Crafted, classify};
pub use evidence::Evidence;
#[cfg(feature = "experiment")]
pub(crate) use interval::NORMAL_QUANTILE;
pub use interval::{mean_interval, wilson};
pub use journal::{Journal, JournalSettings, fingerprint, fingerprint_of_file};
pub use named_attack::NamedAttack;
pub use plan::{Models, Plan, PortionResult, evaluate, evaluate_with};
pub use random::RandomAccuracy;
pub use warning::Warning;
pub use worst_case::{WorstCase, union, worst_cases};
