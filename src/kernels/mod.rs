//! The loops: plain functions on lane blocks, each layer's backward beside its forward, generic over the instruction
//! set and nothing else. They know neither tapes nor threads; a caller hands them one block (or, for sums over all
//! samples, all blocks) and checks shapes beforehand. [`batch`] is that caller for convolutions: loops over blocks on
//! the threads of a context.

#![deny(clippy::disallowed_methods)]

#[forbid(unsafe_code)]
pub mod activation;
#[forbid(unsafe_code)]
pub mod batch;
#[forbid(unsafe_code)]
pub mod batch_norm;
pub mod conv2d;
#[forbid(unsafe_code)]
pub mod cross_entropy;
#[forbid(unsafe_code)]
pub mod dropout;
#[forbid(unsafe_code)]
pub mod elementwise;
#[forbid(unsafe_code)]
pub mod encode;
#[forbid(unsafe_code)]
pub mod interval;
#[forbid(unsafe_code)]
pub mod lif;
#[forbid(unsafe_code)]
pub mod pad;
#[forbid(unsafe_code)]
pub mod pool;
#[forbid(unsafe_code)]
pub mod robust_loss;
#[forbid(unsafe_code)]
pub mod stdp;
#[forbid(unsafe_code)]
pub mod surrogate;
#[forbid(unsafe_code)]
pub mod trace;
