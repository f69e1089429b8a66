//! Adversarial attacks, white-box and score-based, with results that can be relied upon.
//!
//! [`attack`] runs one [`Attack`] on some [`Samples`] against a [`Classifier`] and returns a [`Report`]: what became of
//! every sample, the image that proves it, who found it and what it cost. What counts as success is what a fresh
//! forward pass says about the returned image, together with checks of box and norm.
//!
//! A sample's result depends on the model, the image, the budget and the seed, and on nothing else: not on the batch,
//! its order, its lane, the threads or the instruction set.
//!
//! ```
//! use deepsleep::attack::{Budget, Norm, Samples, Status, attack, parse_attack};
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::nn::{Freeze, LeNet};
//! use deepsleep::tensor::Context;
//!
//! let test = Dataset::load(locate(DatasetName::Mnist, None)?, Split::Test)?;
//! let samples = Samples::from_dataset(&test, 0..16)?;
//! let model = LeNet::new(7).freeze()?; // untrained; any `FrozenNetwork` or other `Classifier`
//! let budget = Budget { norm: Norm::Linf, eps: 0.1, seed: 0 };
//! let pgd = parse_attack("pgd:steps=5")?;
//! let report = attack(&Context::new(0)?, &model, &samples, pgd.as_ref(), budget)?;
//! for outcome in report.outcomes.iter().filter(|outcome| outcome.status == Status::Fooled) {
//!     assert!(outcome.linf <= 0.1001 && outcome.prediction != outcome.label);
//! }
//! assert!(report.robust_accuracy() <= report.clean_accuracy());
//! # Ok::<(), deepsleep::Error>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | list attacks, or get one by name | [`ATTACKS`], [`parse_attack`] |
//! | set every option of one | [`Fgsm`], [`Pgd`], [`Apgd`], [`Fab`], [`Square`], [`CarliniWagner`], [`DeepFool`], [`AutoAttack`] |
//! | attack a model of one's own | [`FrozenNetwork`](crate::nn::FrozenNetwork) for one on the tape, else [`Classifier`] |
//! | craft images to show to other models | [`Goal::Last`] (`return=last`); [`Outcome::image`] |
//! | write an attack | [`Method`]: a state machine of one sample |

mod apgd;
mod ascent;
mod autoattack;
mod bim;
mod bump;
mod checks;
mod classifier;
mod cw;
mod deepfool;
mod driver;
mod eot_pgd;
mod fab;
mod fgsm;
mod findings;
mod harness;
mod hyperplane;
mod job;
mod loss;
mod method;
mod norm;
mod options;
mod outcome;
mod pgd;
mod projection;
mod random;
mod samples;
mod search;
mod seat;
mod sparse;
mod specification;
mod square;
mod transpose;
mod trial;
mod verification;

pub use apgd::Apgd;
pub use autoattack::{AutoAttack, Version};
pub use bim::bim;
pub use classifier::{Changes, Classifier, Session};
pub use cw::CarliniWagner;
pub use deepfool::DeepFool;
pub use eot_pgd::eot_pgd;
pub use fab::Fab;
pub use fgsm::Fgsm;
pub use findings::Findings;
pub(crate) use findings::outside;
pub use harness::attack;
pub use hyperplane::{Order, onto_hyperplane};
pub use job::Job;
pub use loss::Loss;
pub use method::{Answer, Budget, Change, Goal, Method, Needs, Runs, Sample, Step};
pub use norm::Norm;
pub use outcome::{Expected, Outcome, Report, Status, Winner};
pub use pgd::{Pgd, StepSize};
pub use projection::{Breakpoints, into_ball};
pub use samples::Samples;
pub use search::{Attack, Search};
pub use specification::{ATTACKS, Entry, parse_attack, parse_eps};
pub use square::Square;
pub use trial::{Cost, Hit, Trial};
