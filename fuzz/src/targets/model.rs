//! Model files: any bytes are a state dict or an error, a state dict a network or an error, of rectifiers or spiking with
//! the settings in the file.

use deepsleep::checkpoint::StateDict;
use deepsleep::method::Settings;
use deepsleep::nn::{Freeze, Model};
use deepsleep::snn::{SpikingModel, SpikingOptions, Statistics};

pub fn run(bytes: &[u8]) {
    let Ok(state) = StateDict::from_bytes(bytes, "fuzz") else { return };
    let again = state.to_bytes().expect("what was read can be written");
    assert!(StateDict::from_bytes(&again, "again").is_ok());
    let Ok(lenet) = Model::open(&state) else { return };
    let _ = lenet.freeze();
    let settings: Option<Settings> = state.noted("settings");
    let options = settings.map_or_else(SpikingOptions::default, |s| s.fast_wave.spiking);
    if let Ok(spiking) = SpikingModel::from_model(&lenet, options, Statistics::Carry) {
        let _ = spiking.freeze();
    }
}
