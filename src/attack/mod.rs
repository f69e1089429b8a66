//! Adversarial attacks, white-box and score-based, with results that can be relied upon.
//!
//! [`run_attack`] runs one [`Attack`] on some [`Samples`] against a [`Classifier`] and returns a [`AttackReport`]: what became of
//! every sample, the image that proves it, who found it and what it cost. What counts as success is what a fresh
//! forward pass says about the returned image, together with checks of box and norm.
//!
//! A sample's result depends on the model, the image, the budget and the seed, and on nothing else: not on the batch,
//! its order, its lane, the threads or the instruction set.
//!
//! ```
//! use deepsleep::attack::{Budget, Norm, Samples, Status, run_attack, parse_attack};
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::nn::{Freeze, Model};
//! use deepsleep::tensor::Context;
//!
//! let test = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Test)?;
//! let samples = Samples::from_dataset(&test, 0..16)?;
//! let model = Model::lenet(7).freeze()?; // untrained; any `FrozenNetwork` or other `Classifier`
//! let budget = Budget { norm: Norm::Linf, eps: 0.1, seed: 0 };
//! let pgd = parse_attack("pgd:steps=5")?;
//! let report = run_attack(&Context::new(0)?, &model, &samples, pgd.as_ref(), budget)?;
//! for outcome in report.outcomes.iter().filter(|outcome| outcome.status == Status::Fooled) {
//!     assert!(outcome.linf <= 0.1001 && outcome.prediction != outcome.label);
//! }
//! assert!(report.robust_accuracy() <= report.clean_accuracy());
//! # Ok::<(), deepsleep::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | list attacks, or get one by name | [`ATTACKS`], [`AttackSpec`], [`parse_attack`] |
//! | set every option of one | [`Fgsm`], [`Pgd`], [`Apgd`], [`Fab`], [`Square`], [`CarliniWagner`], [`CarliniWagnerLinf`], [`DeepFool`], [`SaPgd`], [`NesPgd`], [`RayS`], [`HopSkipJump`], [`Uniform`], [`MomentumFgsm`], [`Ddn`], [`Fmn`], [`SigmaZero`], [`AutoAttack`] |
//! | estimate the gradients of a spiking network | [`Estimator`], [`Estimated`]; `gradient=`, `pool=` of every attack that takes gradients |
//! | steer any of them at one class | [`Targeted`]; `target=CLASS` |
//! | attack a model of one's own | [`FrozenNetwork`](crate::nn::FrozenNetwork) for one on the tape, else [`Classifier`] |
//! | attack a model that draws random numbers | [`Classifier::is_random`]; `draws=` of every attack; [`AttackReport::expected_accuracy`] |
//! | craft images to show to other models | [`Goal::Last`] (`return=last`); [`Outcome::image`] |
//! | write an attack | [`extend`], [`geometry`] |

mod attack_info;
mod attack_trait;
mod candidate;
mod catalog;
mod changed_options;
mod checks;
mod diagnostics;
mod effort;
mod engine;
mod ensemble;
mod estimator_text;
pub mod geometry;
mod loss;
mod methods;
mod outcome;
mod outputs;
mod probe;
mod recheck;
mod run;
mod samples;
mod stepper;
mod task;
mod verification;

pub use attack_info::AttackInfo;
pub use attack_trait::Attack;
pub use candidate::{Cost, Winner};
pub use catalog::{ATTACKS, AttackSpec, CatalogEntry, parse_attack, parse_eps};
pub(crate) use diagnostics::outside;
pub use diagnostics::{Diagnostics, FoundBy, findings};
pub use effort::Effort;
pub use ensemble::autoattack::{AutoAttack, Version};
pub use ensemble::estimated::Estimated;
pub use ensemble::member::Member;
pub use ensemble::targeted::Targeted;
pub use ensemble::transferred::Transferred;
pub use geometry::norm::Norm;
pub use loss::Loss;
pub use methods::apgd::Apgd;
pub use methods::carlini_wagner::CarliniWagner;
pub use methods::cw_linf::CarliniWagnerLinf;
pub use methods::ddn::Ddn;
pub use methods::deepfool::DeepFool;
pub use methods::fab::Fab;
pub use methods::fgsm::Fgsm;
pub use methods::fmn::Fmn;
pub use methods::hopskipjump::HopSkipJump;
pub use methods::jitter::Jittered;
pub use methods::momentum::MomentumFgsm;
pub use methods::nes_pgd::NesPgd;
pub use methods::pgd::{Pgd, Start, StepSize, bim, eot_pgd};
pub use methods::rays::RayS;
pub use methods::sa_pgd::SaPgd;
pub use methods::sigma_zero::SigmaZero;
pub use methods::square::Square;
pub use methods::uniform::Uniform;
pub use outcome::{AttackReport, Expected, Outcome, Status};
pub(crate) use outputs::are_probabilities;
pub(crate) use probe::{Answer, DrawnLogits, Point, Probe, direction_distance};
pub(crate) use recheck::median;
pub(crate) use run::run_classified;
pub use run::{check_attack, run_attack};
pub use samples::Samples;
pub use stepper::{Budget, Goal};

pub use crate::nn::{Changes, Classifier, Session};

pub use crate::kernels::lif::{
    Assg, Estimate, Estimator, RateRule, SilentWindow, SlopeRule, TimeRule,
};

/// What it takes to write an attack: [`Stepper`](extend::Stepper), the state machine of one sample, from which everything
/// else follows; or [`Attack`] itself, for what is made of other attacks.
pub mod extend {
    pub use super::attack_trait::Search;
    pub use super::candidate::{Candidate, Hit};
    pub use super::changed_options::ChangedOptions;
    pub use super::outputs::{OutputRange, Outputs};
    pub use super::stepper::{Change, Feedback, Needs, Runs, Sample, Step, Stepper};
    pub use super::task::AttackTask;
}
