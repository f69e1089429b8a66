//! Architectures: any text is one or an error; a small one computes, trained or frozen, and is written as it was read.

use super::CONTEXT;
use deepsleep::autodiff::Tape;
use deepsleep::experiment::parse;
use deepsleep::nn::architecture::Architecture;
use deepsleep::nn::{Freeze, FrozenNetwork, Mode, Model, Network};
use deepsleep::simd::random::Key;
use deepsleep::tensor::Tensor;

/// Larger ones take too long.
const MOST: usize = 100_000;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let toml = parse::<Architecture>(text, "fuzz").ok();
    let Some(architecture) = toml.or_else(|| serde_json::from_str(text).ok()) else { return };
    let json = serde_json::to_string(&architecture).expect("JSON");
    assert_eq!(serde_json::from_str::<Architecture>(&json).expect("its own"), architecture);
    let _ = architecture.to_string();
    let work = architecture.flops().saturating_add(architecture.bytes());
    if architecture.parameter_count() > MOST || work > 20 * MOST {
        return;
    }
    let mut model = Model::new(architecture, 0).expect("it was checked");
    let shape = model.input_shape();
    let images = || Tensor::zeros(shape, 3);
    let mut tape = Tape::new(CONTEXT.clone());
    tape.set_noise((0..3).map(Key::new));
    let x = tape.input(images());
    let mut weights = Vec::new();
    model.parameters().record(&mut tape, &mut weights).expect("its own");
    model.forward(&mut tape, x, &weights, Mode::Train).expect("it was checked");
    model.update_statistics(&tape);
    tape.reset();
    let x = tape.input(images());
    model.freeze().expect("its own").logits(&mut tape, x).expect("it was checked");
}
