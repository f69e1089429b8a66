//! Spiking neurons, plasticity and sleep.

mod any_network;
mod golden_spiking;
mod golden_stdp;
mod pair_stdp;
mod sleep_replay;
mod spiking_bits;
mod spiking_bptt;
mod spiking_encoders;
mod spiking_neurons;
mod stdp_properties;

#[path = "../common/mod.rs"]
mod common;
