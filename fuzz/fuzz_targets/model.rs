//! Model files: any bytes are a state dict or an error, and a state dict is a network or an error.
#![no_main]

use deepsleep::checkpoint::StateDict;
use deepsleep::nn::{Freeze, LeNet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = StateDict::from_bytes(bytes, "fuzz") {
        let _ = LeNet::from_state(&state).and_then(|lenet| lenet.freeze());
        let again = state.to_bytes().expect("what was read can be written");
        assert!(StateDict::from_bytes(&again, "again").is_ok());
    }
});
