//! Trains convolutional and spiking networks, puts them through sleep-inspired defenses, and attacks them honestly: on
//! plain CPUs, sixteen samples a vector, and with the same bits on every machine.
//!
//! ```
//! use deepsleep::attack::{Budget, Norm, Samples, run_attack, parse_attack};
//! use deepsleep::data::{Dataset, DatasetName, Split, locate};
//! use deepsleep::nn::{Freeze, Model, Trainer, TrainingOptions, accuracy};
//! use deepsleep::tensor::Context;
//!
//! let folder = locate(DatasetName::Mnist, None)?;
//! let train = Dataset::load(&folder, Split::Train)?.slice(0, 4096)?; // a little of it, for the example
//! let test = Dataset::load(&folder, Split::Test)?.slice(0, 64)?;
//!
//! let context = Context::new(0)?; // all threads, the best instruction set
//! let mut lenet = Model::lenet(0);
//! let mut trainer = Trainer::new(&lenet, TrainingOptions::default())?;
//! trainer.epoch(&context, &mut lenet, &train, &mut |_| {})?;
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
//! # The modules
//!
//! Each stands on those above it only.
//!
//! | module | what it is |
//! |---|---|
//! | [`simd`] | sixteen lanes on every instruction set, elementary functions, random streams |
//! | [`tensor`] | lane-blocked tensors, borders to `ndarray`, threads and instruction set as an argument |
//! | [`kernels`] | the loops: convolution, normalization, pooling, spiking neurons, plasticity |
//! | [`autodiff`] | the tape |
//! | [`files`] | files written whole or not at all; files of others opened with care |
//! | [`checkpoint`] | safetensors in and out |
//! | [`data`] | MNIST and its like |
//! | [`nn`] | networks, optimizers, the training loop |
//! | [`snn`] | spiking neurons, encoders, the spiking LeNet |
//! | [`sleep`] | the algorithms: slow-wave sleep, fast-wave sleep, sleep replay |
//! | [`method`] | settings, profiles and defenses: from a control to a defended model |
//! | [`attack`] | attacks, and ensembles of them |
//! | [`audit`] | whether a robust accuracy can be trusted |
//! | [`evaluation`] | white-box and transfer, many attacks and radii, interruptible |
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
mod names;
#[forbid(unsafe_code)]
pub mod nn;
#[forbid(unsafe_code)]
pub mod onnx;
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
mod wording;

pub use error::{Error, Result};
