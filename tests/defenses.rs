//! Every defence on a few images: it runs, it can be interrupted anywhere, and threads change nothing.

mod common;

use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::defense::{Defender, Defense};
use deepsleep::nn::{LeNet, Network};
use deepsleep::sleep::{Profile, Settings};
use deepsleep::tensor::Context;

fn images() -> Dataset {
    let folder = locate(DatasetName::Mnist, None).unwrap();
    Dataset::load(folder, Split::Train).unwrap().slice(0, 96).unwrap()
}

/// Settings so small that a defence takes a second.
fn tiny(profile: Profile) -> Settings {
    let mut settings = Settings::new(profile);
    for (name, value) in [
        ("slow_wave.batch_size", "32"),
        ("slow_wave.initial_rate", "0.1"),
        ("fast_wave.batch_size", "32"),
        ("fast_wave.epochs", "2"),
        ("fast_wave.spiking.steps", "3"),
        ("adversarial_training.batch_size", "32"),
        ("adversarial_training.epochs", "2"),
        ("distillation.batch_size", "32"),
        ("distillation.teacher_epochs", "1"),
        ("distillation.student_epochs", "2"),
        ("sleep.steps", "10"),
        ("sleep.passes", "1"),
        ("sleep.replay.steps", "40"),
    ] {
        settings.set(name, value).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    settings
}

/// The bytes of the defended model, and the number of steps. With `interrupt`, every step is made by a new defender
/// that resumes from the last one's checkpoint.
fn defend(
    defense: Defense,
    settings: &Settings,
    threads: usize,
    interrupt: bool,
) -> (Vec<u8>, usize) {
    let (context, data) = (Context::new(threads).unwrap(), images());
    let new = || Defender::new(defense, LeNet::new(3), settings.clone()).unwrap();
    let (mut defender, mut steps) = (new(), 0);
    while defender.advance(&context, &data, &mut |_| {}).unwrap().is_some() {
        steps += 1;
        if interrupt {
            let saved = defender.checkpoint().unwrap().to_bytes().unwrap();
            let state = deepsleep::checkpoint::StateDict::from_bytes(&saved, "checkpoint").unwrap();
            defender = new();
            defender.resume(&context, &state).unwrap();
        }
    }
    (defender.state().to_bytes().unwrap(), steps)
}

#[test]
fn every_defence_is_the_same_interrupted_and_on_any_threads() {
    for profile in [Profile::Published, Profile::Paper, Profile::Standard] {
        for defense in Defense::ALL {
            let settings = tiny(profile);
            let (whole, steps) = defend(defense, &settings, 2, false);
            assert!(steps > 0);
            for (threads, interrupt) in [(2, true), (1, false), (5, true)] {
                let (other, _) = defend(defense, &settings, threads, interrupt);
                assert!(whole == other, "{} {profile:?} {threads} {interrupt}", defense.name());
            }
        }
    }
}

#[test]
fn a_defence_changes_the_model_and_not_the_control() {
    let control = LeNet::new(3);
    for defense in Defense::ALL {
        let context = Context::new(1).unwrap();
        let settings = tiny(Profile::Published);
        let mut defender = Defender::new(defense, control.clone(), settings).unwrap();
        while defender.advance(&context, &images(), &mut |_| {}).unwrap().is_some() {}
        assert_ne!(defender.model().parameters(), control.parameters(), "{}", defense.name());
    }
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let (context, data) = (Context::new(1).unwrap(), images());
    let settings = tiny(Profile::Published);
    let mut defender = Defender::new(Defense::FastWave, LeNet::new(3), settings.clone()).unwrap();
    defender.advance(&context, &data, &mut |_| {}).unwrap();
    let state = defender.checkpoint().unwrap();
    let refused = |defense, control, settings: &Settings| {
        let mut other = Defender::new(defense, control, settings.clone()).unwrap();
        other.resume(&context, &state).unwrap_err().to_string()
    };
    assert!(refused(Defense::SlowWave, LeNet::new(3), &settings).contains("fast-wave"));
    assert!(refused(Defense::FastWave, LeNet::new(4), &settings).contains("control"));
    let mut other = settings.clone();
    other.set("fast_wave.dream.eps", "64/255").unwrap();
    assert!(refused(Defense::FastWave, LeNet::new(3), &other).contains("settings"));
}

#[test]
fn settings_are_set_by_name_and_unknown_ones_refused() {
    let mut settings = Settings::new(Profile::Published);
    settings.set("fast_wave.dream.eps", "64/255").unwrap();
    assert_eq!(settings.fast_wave.dream.eps, 64.0 / 255.0);
    settings.set("fast_wave.dream.source", "live-snn").unwrap();
    settings.set("fast_wave.dream.attack", r#"{"pgd": {"steps": 3, "step": 0.1}}"#).unwrap();
    settings.set("slow_wave.layers", "all").unwrap();
    let error = settings.set("fast_wave.dream.esp", "1").unwrap_err().to_string();
    assert!(error.contains("fast_wave.dream.eps"), "{error}");
    let error = settings.set("fast_wave.epochs", "many").unwrap_err().to_string();
    assert!(error.contains("many"), "{error}");
    let error = settings.set("slow_wave.layers", "some").unwrap_err().to_string();
    assert!(error.contains("published"), "{error}");
    assert!(settings.list().iter().any(|(name, _)| name == "fast_wave.spiking.neuron.threshold"));
}

#[test]
fn the_u_of_sub_sleeps() {
    let mut settings = Settings::new(Profile::Published);
    assert_eq!(settings.slow_wave.sub_sleeps(), [200, 400, 200]);
    settings.set("slow_wave.depth", "3").unwrap();
    assert_eq!(settings.slow_wave.sub_sleeps(), [200, 400, 800, 400, 200]);
    settings.set("slow_wave.length", "2").unwrap();
    assert_eq!(settings.slow_wave.passes().len(), 5 * 2 * 3);
}
