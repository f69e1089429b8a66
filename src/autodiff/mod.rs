//! Reverse-mode automatic differentiation on a tape that the caller owns.
//!
//! A [`Tape`] is an arena: operations append nodes, [`Tape::backward`] sweeps them in reverse, [`Tape::reset`] empties
//! it and keeps the memory, so that the second iteration of a loop allocates nothing. Two kinds of values live on it:
//! a [`Var`] is a tensor of features of the batch's samples, a [`Weight`] is a parameter that all samples share.
//!
//! ```
//! use deepsleep::autodiff::{Labels, Seed, Tape, check_gradients};
//! use deepsleep::kernels::conv2d::Conv2dOptions;
//! use deepsleep::tensor::{Context, Tensor};
//! use ndarray::Array4;
//!
//! // Five images of 6x6 pixels; conv 1->2, 3x3 -> tanh -> linear 32->3.
//! let images = Array4::from_shape_fn((5, 1, 6, 6), |(n, _, y, x)| ((n + 2 * y + x) % 7) as f32 / 7.0);
//! let conv: Vec<f32> = (0..18).map(|i| (i as f32 * 0.7).sin() * 0.3).collect();
//! let linear: Vec<f32> = (0..96).map(|i| (i as f32 * 1.3).cos() * 0.2).collect();
//! let labels = Labels::new(&[0, 2, 1, 1, 0], 3)?;
//!
//! let mut tape = Tape::new(Context::new(1)?);
//! let x = tape.input(Tensor::from_array(images.view()));
//! let w1 = tape.weight(&[2, 1, 3, 3], &conv)?;
//! let w2 = tape.weight(&[3, 32], &linear)?;
//! let hidden = tape.conv2d(x, w1, Conv2dOptions::default())?;
//! let hidden = tape.tanh(hidden);
//! let logits = tape.linear(hidden, w2)?;
//! let loss = tape.cross_entropy(logits, &labels, 1.0)?; // one number a sample
//! tape.backward(loss, Seed::Mean)?;
//!
//! assert_eq!(tape.gradient(x).unwrap().shape(), tape.value(x).shape());
//! assert_eq!(tape.weight_gradient(w1).unwrap().len(), 18);
//!
//! // The same network, held against central differences.
//! let report = check_gradients(images.view(), &[(&[2, 1, 3, 3], &conv), (&[3, 32], &linear)], |tape, x, w| {
//!     let hidden = tape.conv2d(x, w[0], Conv2dOptions::default())?;
//!     let hidden = tape.tanh(hidden);
//!     let logits = tape.linear(hidden, w[1])?;
//!     tape.cross_entropy(logits, &labels, 1.0)
//! })?;
//! assert!(report.worst() < 1e-2, "{report:?}");
//! # Ok::<(), deepsleep::Error>(())
//! ```
//!
//! An operation is one type in one file: what it computes, what it keeps, its backward. One without a backward cannot
//! be written down, as [`Operation`] demands it; so no gradient is ever silently zero. Write your own by implementing
//! that trait and handing it to [`Tape::record`].

mod backward;
mod check;
mod estimator_memory;
mod node;
mod operation;
mod ops;
mod recycling;
mod tape;

pub use backward::Seed;
pub use check::{GradientReport, check_gradients};
pub use operation::{Backward, Operation};
pub use ops::batch_norm::{BatchMoments, Normalization};
pub use ops::cross_entropy::Labels;
pub use ops::frozen::FrozenConv;
pub(crate) use ops::norm_relu_pool::halved;
pub use tape::{Tape, Var, Weight};
