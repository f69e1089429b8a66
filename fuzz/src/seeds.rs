//! Seeds: the committed files of `fuzz/seeds/NAME`, and what is too large to commit, made anew.

use crate::targets::{CONTEXT, LENET, two_samples};
use deepsleep::attack::{Budget, Norm, parse_attack};
use deepsleep::checkpoint::StateDict;
use deepsleep::evaluation::Crafted;
use deepsleep::method::{
    AdversarialTraining, DeepSleep, Defender, Defense, Distillation, Profile, Settings,
};
use deepsleep::nn::{Model, Network, Rule, Trainer, TrainingOptions};
use deepsleep::sleep::{SlowWave, SlowWaveOptions};
use std::path::Path;

/// The seeds of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .map(|files| files.map(|file| file.expect("a seed").path()).collect())
        .unwrap_or_default();
    paths.sort();
    let mut seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect();
    seeds.extend(match target {
        "model" => models().iter().map(bytes).collect(),
        "onnx" => networks(),
        "checkpoint" => checkpoints().iter().map(bytes).collect(),
        "npz" => sets(),
        "experiment" => experiments(),
        _ => Vec::new(),
    });
    seeds
}

fn bytes(state: &StateDict) -> Vec<u8> {
    state.to_bytes().expect("ours")
}

fn models() -> Vec<StateDict> {
    let mut small = StateDict::default();
    small.insert("fc.weight", vec![2, 3], vec![0.5; 6]).expect("six");
    small.note("seed", 7);
    let defender = Defender::new(&DeepSleep, Model::lenet(0), Settings::new(Profile::Paper));
    vec![StateDict::default(), small, Model::lenet(0).state(), defender.expect("ours").state()]
}

/// Files of PyTorch's exporters, which the tests read too.
fn networks() -> Vec<Vec<u8>> {
    let all: [&[u8]; 6] = [
        include_bytes!("../../tests/golden/onnx/plain.onnx"),
        include_bytes!("../../tests/golden/onnx/normalized_new.onnx"),
        include_bytes!("../../tests/golden/onnx/smooth.onnx"),
        include_bytes!("../../tests/golden/onnx/concat.onnx"),
        include_bytes!("../../tests/golden/onnx/pools.onnx"),
        include_bytes!("../../tests/golden/onnx/refused/external.onnx"),
    ];
    all.map(<[u8]>::to_vec).to_vec()
}

fn checkpoints() -> Vec<StateDict> {
    let lenet = Model::lenet(0);
    let rules = [Rule::SGD, Rule::Sgd { momentum: 0.9, weight_decay: 0.0 }];
    let trainings = rules.map(|rule| {
        let options = TrainingOptions::default().with(|o| o.rule = rule);
        Trainer::new(&lenet, options).and_then(|trainer| trainer.checkpoint(&lenet))
    });
    let sleep = SlowWave::new(&lenet, SlowWaveOptions::default(), 0).and_then(|s| s.checkpoint());
    let defenses: [&'static dyn Defense; 3] = [&DeepSleep, &Distillation, &AdversarialTraining];
    let defenses = defenses.map(|defense| {
        let settings = Settings::new(Profile::Published);
        Defender::new(defense, Model::lenet(0), settings).and_then(|d| d.checkpoint())
    });
    trainings.into_iter().chain([sleep]).chain(defenses).map(|made| made.expect("ours")).collect()
}

fn sets() -> Vec<Vec<u8>> {
    let budget = Budget { norm: Norm::Linf, eps: 0.3, seed: 0 };
    let set = |attack: &str| {
        let attack = parse_attack(attack)?;
        Crafted::craft(&CONTEXT, &*LENET, &two_samples(), attack.as_ref(), budget)?
            .to_npz(&())?
            .to_bytes()
    };
    ["fgsm:return=last", "pgd:steps=3"].map(|attack| set(attack).expect("crafted")).to_vec()
}

fn experiments() -> Vec<Vec<u8>> {
    let all: [&[u8]; 5] = [
        include_bytes!("../../experiments/table3.toml"),
        include_bytes!("../../experiments/figure3.toml"),
        include_bytes!("../../experiments/nearest.toml"),
        include_bytes!("../../experiments/quick.toml"),
        include_bytes!("../../experiments/printed.toml"),
    ];
    all.map(<[u8]>::to_vec).to_vec()
}
