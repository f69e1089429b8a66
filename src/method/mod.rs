//! Turns an undefended control into a defended model (docs/method.md, sections 4 to 9).
//!
//! [`Settings`] hold every choice of the method, by [`Profile`], each with a name for `--set`. A [`Defense`] is a list of
//! [`Stage`]s; there is one file per defense, and [`DEFENSES`] lists them. A [`Defender`] works through the stages, one
//! pass or epoch at a time; between any two it can be written to a checkpoint and resumed to the same bits.
//!
//! ```
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::method::{Defender, FastWaveDefense, Profile, Settings};
//! use deepsleep::nn::Model;
//! use deepsleep::tensor::Context;
//!
//! let train = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Train)?.slice(0..256)?;
//! let context = Context::new(0)?;
//! let control = Model::lenet(0); // in practice, a trained one
//!
//! let mut settings = Settings::new(Profile::Published);
//! settings.set("fast_wave.epochs", "1")?;
//! let mut defender = Defender::new(&FastWaveDefense, control, settings)?;
//! while let Some(pass) = defender.advance(&context, &train)? {
//!     println!("{} {}/{}", pass.stage, pass.done, pass.of);
//! }
//! let defended: &Model = defender.model();
//! # let _ = defended;
//! # Ok::<(), deepsleep::Error>(())
//! ```

mod against_paper;
mod batches;
mod changes;
mod control;
mod defender;
mod defense;
mod defenses;
mod former_names;
mod in_training;
mod profile;
mod setting_forms;
mod settings;
mod spiking_settings;
mod stage;
pub mod training_loop;
mod validate;

pub use batches::Batches;
pub use changes::lacking;
pub use control::ControlOptions;
pub use defender::{Defender, PassReport};
pub use defense::{DEFENSES, Defense, Description, STEP, Training, TrainingCost};
pub use defenses::{
    AdversarialTraining, AdversarialTrainingOptions, Conversion, DeepSleep, Distillation,
    DistillationMethod, DistillationOptions, FastWaveDefense, FastWaveStage, Lucid, RobustLoss,
    SleepDefense, SleepDefenseMethod, SleepDefenseOptions, SlowWaveDefense, SlowWaveStage,
    spiking_reads,
};
#[cfg(feature = "experiment")]
pub(crate) use former_names::{group_in_keys, is_as_before, key_name, name as current_name};
pub use in_training::{ControlTraining, InTraining};
pub use profile::Profile;
pub use settings::{Settings, is_within};
pub use spiking_settings::{
    TRAINED_SPIKING, keep_spiking_options, note_spiking_options, note_time_steps,
    noted_spiking_options, spiking_options, was_trained_spiking,
};
pub use stage::{
    BatchProgress, Networks, PassProgress, SinglePass, Stage, StageRun, TrainedNetwork, TrainingRun,
};
pub use training_loop::{HISTORY, HistoryPoint, Observer};
