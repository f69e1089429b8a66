//! What is fuzzed: a function a target, which takes any bytes and must neither panic nor take long nor much memory.
//!
//! `cargo fuzz run NAME` feeds it from libFuzzer, `cargo run --bin replay` from the seeds and simple mutations of them.

pub mod mutation;
pub mod seeds;
mod targets;

pub use targets::TARGETS;

/// The function of this name.
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("there is no target `{name}`")).1
}

/// The main function of a target: libFuzzer's, or none without it.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::target($name)(bytes));

        #[cfg(not(fuzzing))]
        fn main() {
            println!("run this by `cargo fuzz run {}`, or `cargo run --bin replay`", $name);
        }
    };
}
