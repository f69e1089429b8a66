//! The loops: plain functions on lane blocks, each layer's backward beside its forward, generic over the instruction
//! set and nothing else. They know neither tapes nor threads; a caller hands them one block (or, for sums over all
//! samples, all blocks) and checks shapes beforehand.

pub mod batch_norm;
pub mod conv2d;
pub mod cross_entropy;
pub mod elementwise;
pub mod encode;
pub mod lif;
pub mod pad;
pub mod pool;
pub mod stdp;
pub mod surrogate;
pub mod trace;
