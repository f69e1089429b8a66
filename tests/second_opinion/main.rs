//! A second opinion on what attacks report: evaluators in f64, written as plain loops and for clarity alone, that share
//! no code with the engine, and oracles that know the answer because they have looked at every point of the ball.

#[path = "../common/mod.rs"]
mod common;

mod affine;
mod cases;
mod claims;
mod dead;
mod evaluators;
mod grid;
mod lenet;
mod models;
mod net;
mod scale;
mod weights;
