//! Networks and their training.
//!
//! A [`Network`] names its [`Parameters`] and records its forward pass on a tape; [`Trainer`] runs it over a data set.
//! [`Model`] is the network of any architecture, the paper's among them ([`Model::lenet`]); a [`FrozenNetwork`] is what
//! evaluation and attacks see of a trained one.
//!
//! ```
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::nn::{Freeze, Model, Network, Trainer, TrainingOptions, accuracy};
//! use deepsleep::tensor::Context;
//!
//! let folder = locate(DatasetName::Mnist, None)?;
//! let train = Dataset::load(&folder, Split::Train)?.slice(0..2048)?;
//! let test = Dataset::load(&folder, Split::Test)?.slice(0..500)?;
//!
//! let context = Context::new(0)?;
//! let mut lenet = Model::lenet(7);
//! let mut trainer = Trainer::new(&lenet, TrainingOptions::default().with(|o| o.epochs = 1))?;
//! let report = trainer.epoch(&context, &mut lenet, &train)?;
//! assert!(report.loss < 2.3);
//! assert!(accuracy(&context, &lenet.freeze()?, &test)? > 0.5);
//! lenet.state().save(tempfile::NamedTempFile::new().unwrap().path())?;
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod adversarial_batch;
pub mod architecture;
mod augmentation;
mod average;
mod classifier;
mod decision;
mod draws;
mod evaluate;
mod finite;
mod initialization;
mod input_gradients;
pub(crate) mod model;
mod network;
mod optimizer;
mod origin;
mod parameters;
mod partial;
mod prolong;
mod recalibrate;
mod recipe;
mod regime;
mod schedule;
mod train;
mod training_options;

pub(crate) use adversarial_batch::toward_gray;
pub use adversarial_batch::{BatchAttack, BatchStart, GradientAttack, Perturbation};
pub use augmentation::Augmentation;
pub use classifier::{Changes, Classifier, Session, tape_session};
pub use decision::{margin, predict, rounding};
pub(crate) use decision::{other_classes, spread};
pub use draws::{DRAWS, decision_noise};
pub(crate) use evaluate::check_memory;
pub use evaluate::{Decision, accuracy, decisions, predictions};
pub(crate) use finite::{check_finite, check_finite_state};
pub use initialization::uniform_fan_in;
pub use input_gradients::{InputGradients, InputLoss, input_gradients};
pub use model::{FrozenModel, Model};
pub use network::{BATCH_NORM_EPS, Freeze, FrozenNetwork, Mode, Network, RunningStatistics};
pub use optimizer::{Optimizer, Rule};
pub use origin::Origin;
pub use parameters::{Parameter, Parameters};
pub use partial::{ConvChain, PartialForward};
pub use recalibrate::recalibrate;
pub use recipe::Recipe;
pub use regime::{Batch, PlainRegime, Regime, Targets};
pub use schedule::Schedule;
pub use train::{EpochReport, StepReport, Trainer};
pub use training_options::TrainingOptions;
