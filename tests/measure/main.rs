//! Defenses, and evaluations of what they defend.

mod defenses;
mod evaluation;
mod networks;
mod random_models;
mod robust_training;
mod settings;

#[path = "../common/mod.rs"]
mod common;
