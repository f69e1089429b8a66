//! Numbers that stop being finite: caught where they arise, named, and never saved.

use crate::resume::{kill_at_checkpoint, start};
use crate::{Folder, read, run};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, Split};
use deepsleep::nn::{Model, Network, Rule, Trainer, TrainingOptions};
use deepsleep::tensor::Context;

const MODEL: &str = "tests/golden/lenet_weights.safetensors";

#[test]
fn a_training_that_diverges_leaves_its_last_good_checkpoint() {
    let folder = Folder::new();
    let data = folder.small_data(512, 50);
    let out = folder.argument("model");
    let checkpoint = folder.path("model.checkpoint");
    kill_at_checkpoint(start([&data, &out], "100000", &[]), &checkpoint, None);

    // As good as infinite: no step survives it.
    let mut state = StateDict::load(&checkpoint).unwrap();
    let done: usize = state.noted("training.epochs_done").unwrap();
    state.insert("fc.weight", vec![10, 320], vec![3e38; 3200]).unwrap();
    state.save(&checkpoint).unwrap();
    let before = read(&checkpoint);
    let more = ["--epochs", "100000", "--seed", "3", "--quiet", "--resume"];
    run(&[&["train", "--data-dir", &data, "--out", &out], &more[..]].concat()).assert_fails(
        1,
        &[&format!("training, epoch {}, step 1: ", done + 1), "smaller learning rate"],
    );
    assert!(read(&checkpoint) == before && !folder.path("model").exists());
}

#[test]
fn defenses_that_diverge_say_where() {
    let folder = Folder::new();
    let data = folder.small_data(256, 50);
    let out = folder.argument("model");
    // Standardizing these squares them.
    let huge = folder.argument("huge");
    let mut state = Model::lenet(0).state();
    state.insert("conv1.weight", vec![10, 1, 5, 5], [3e38, -3e38].repeat(125)).unwrap();
    state.save(&huge).unwrap();
    let short = |defense| match defense {
        "slow-wave" => &["--set", "slow_wave.initial_rate=0.5"][..],
        "fast-wave" => &["--set", "fast_wave.spiking.steps=2", "--set", "fast_wave.noise=false"],
        _ => &[],
    };
    for (defense, from, setting, words) in [
        (
            "adversarial-training",
            MODEL,
            "adversarial_training.learning_rate=3e38",
            "training, epoch 1, step ",
        ),
        ("distillation", MODEL, "distillation.learning_rate=3e38", "training, epoch 1, step "),
        ("fast-wave", MODEL, "fast_wave.learning_rate=3e38", "epoch 1"),
        (
            "slow-wave",
            &huge,
            "slow_wave.layers=all",
            "slow-wave sleep, pass 1, batch 1: `conv1` became NaN",
        ),
    ] {
        let base = ["train", "--data-dir", &data, "--out", &out, "--quiet", "--from", from];
        let more = ["--defense", defense, "--set", setting];
        run(&[&base[..], &more, short(defense)].concat()).assert_fails(1, &[words]);
        assert!(
            !folder.path("model").exists() && !folder.path("model.checkpoint").exists(),
            "{defense}"
        );
    }
}

/// The loss is that of before the step: only the parameters show what became of them.
#[test]
fn a_step_names_the_parameter_that_stopped_being_finite() {
    let folder = Folder::new();
    let train = Dataset::load(folder.small_data(32, 1), Split::Train).unwrap();
    let rule = Rule::Sgd { momentum: 0.0, weight_decay: f32::MAX };
    let options = TrainingOptions::default().with(|o| {
        o.batch_size = 32;
        o.learning_rate = 100.0;
        o.rule = rule;
    });
    let mut network = Model::lenet(0);
    let mut trainer = Trainer::new(&network, options).unwrap();
    let context = Context::new(1).unwrap();
    let error = trainer.epoch(&context, &mut network, &train).unwrap_err().to_string();
    assert!(error.starts_with("training, epoch 1, step 1: `conv1.weight` became "), "{error}");
    assert_eq!(trainer.epochs_done(), 0);
}
