//! Trains convolutional and spiking networks, puts them through sleep-inspired defenses, and attacks them honestly: on
//! plain CPUs, sixteen samples a vector, and with the same bits on every machine.
//!
//! ```
//! use deepsleep::*;
//!
//! let folder = locate(DatasetName::Mnist, None)?;
//! let train = Dataset::load(&folder, Split::Train)?.slice(0..4096)?; // a little of it, for the example
//! let test = Dataset::load(&folder, Split::Test)?.slice(0..64)?;
//!
//! let context = Context::new(0)?; // all threads, the best instruction set
//! let mut lenet = Model::lenet(0);
//! let mut trainer = Trainer::new(&lenet, TrainingOptions::default())?;
//! trainer.epoch(&context, &mut lenet, &train)?;
//!
//! let model = lenet.freeze()?;
//! println!("clean {:.3}", accuracy(&context, &model, &test)?);
//! let pgd = parse_attack("pgd:steps=10")?;
//! let budget = Budget { norm: Norm::Linf, eps: 0.1, seed: 0 };
//! let report = run_attack(&context, &model, &Samples::from_dataset(&test, 0..64)?, pgd.as_ref(), budget)?;
//! println!("robust {:.3}", report.robust_accuracy());
//! # Ok::<(), deepsleep::Error>(())
//! ```
//!
//! What most programs need is at the root, the rest in the modules.
//!
//! # Features
//!
//! `cli`, the default, is the program with all below it. Without default features there is the engine alone, with few
//! dependencies. `npz`, `onnx` and `png` add these files (crafted images and data sets, networks, data sets), `fetch` downloads,
//! `experiment` the paper's tables, `draw` and `report` pictures and pages.
//!
//! # The modules
//!
//! Each stands on those above it only.
//!
//! | module | what it is |
//! |---|---|
//! | [`wording`] | numbers, and texts of others, as messages and reports show them |
//! | [`simd`] | sixteen lanes on every instruction set, elementary functions, random streams |
//! | [`tensor`] | lane-blocked tensors, borders to `ndarray`, threads and instruction set as an argument |
//! | [`kernels`] | the loops: convolution, normalization, pooling, spiking neurons, plasticity |
//! | [`autodiff`] | the tape |
//! | [`files`] | files written whole or not at all; files of others opened with care |
//! | [`checkpoint`] | safetensors in and out |
//! | [`data`] | MNIST and its like |
//! | [`nn`] | networks, optimizers, the training loop |
//! | [`onnx`] | ONNX files as networks and back |
//! | [`snn`] | spiking neurons, encoders, the spiking form of any network |
//! | [`sleep`] | the algorithms: slow-wave sleep, fast-wave sleep, sleep replay |
//! | [`method`] | settings, profiles and defenses: from a control to a defended model |
//! | [`attack`] | attacks, and ensembles of them |
//! | [`certify`] | what no attack can do: sound bounds of margins over a ball |
//! | [`evaluation`] | white-box and transfer, many attacks and radii, interruptible |
//! | [`audit`] | whether a robust accuracy can be trusted |
//! | [`experiment`] | the paper's tables: what was printed, and what comes out here |
//! | [`draw`] | curves, filters, spike rasters and grids of images |
//! | [`report`] | an experiment's results as a page to read |

#![deny(missing_docs)]
#![deny(unsafe_code)]

#[forbid(unsafe_code)]
pub mod attack;
#[forbid(unsafe_code)]
pub mod audit;
#[forbid(unsafe_code)]
pub mod autodiff;
#[forbid(unsafe_code)]
pub mod certify;
#[forbid(unsafe_code)]
pub mod checkpoint;
#[forbid(unsafe_code)]
pub mod data;
#[forbid(unsafe_code)]
#[cfg(feature = "draw")]
pub mod draw;
#[forbid(unsafe_code)]
mod error;
#[forbid(unsafe_code)]
pub mod evaluation;
#[cfg(feature = "experiment")]
#[forbid(unsafe_code)]
pub mod experiment;
#[forbid(unsafe_code)]
pub mod files;
#[forbid(unsafe_code)]
mod fingerprint;
#[forbid(unsafe_code)]
mod foreign;
pub mod kernels;
#[forbid(unsafe_code)]
mod memory;
#[forbid(unsafe_code)]
pub mod method;
#[forbid(unsafe_code)]
pub mod nn;
#[cfg(feature = "onnx")]
#[forbid(unsafe_code)]
pub mod onnx;
#[forbid(unsafe_code)]
mod options;
#[cfg(feature = "report")]
#[forbid(unsafe_code)]
pub mod report;
#[allow(unsafe_code)]
pub mod simd;
#[forbid(unsafe_code)]
pub mod sleep;
#[forbid(unsafe_code)]
pub mod snn;
#[forbid(unsafe_code)]
pub mod tensor;
#[forbid(unsafe_code)]
pub mod wording;

pub use attack::{
    Attack, AttackReport, AttackSpec, Budget, Norm, Outcome, Samples, Status, parse_attack,
    run_attack,
};
pub use data::{Dataset, DatasetName, Split, locate};
pub use error::{Error, Result};
pub use method::{Defender, Defense, Profile, Settings};
pub use nn::{Classifier, Freeze, FrozenModel, FrozenNetwork, Model, Network};
pub use nn::{Trainer, TrainingOptions, accuracy};
pub use tensor::Context;

/// The recipes of docs/adding.md, as doc-tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/adding.md")]
mod adding {}
