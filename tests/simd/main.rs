//! Lanes, elementary functions and random streams on every instruction set.

mod simd_isa;
mod simd_math;
mod simd_operations;
mod simd_random;

#[path = "../common/mod.rs"]
mod common;
