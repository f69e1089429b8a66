//! Attacks against oracles, golden vectors and properties.

mod attack_autoattack;
mod attack_black_box;
mod attack_checks;
mod attack_golden;
mod attack_losses;
mod attack_options;
mod attack_oracle;
mod attack_projections;
mod attack_properties;
mod attack_ties;
mod audit_calibration;
mod audits;
mod estimators;
mod pockets;
mod spiking_attacks;
mod stops;
mod wrappers;

#[path = "../common/mod.rs"]
mod common;
