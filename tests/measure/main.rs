//! Defenses, and evaluations of what they defend.

mod defenses;
mod evaluation;
mod networks;
mod random_models;

#[path = "../common/mod.rs"]
mod common;
