//! Every defense on a few images: it runs, it can be interrupted anywhere, and threads change nothing.

use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::method::{
    DEFENSES, DeepSleep, Defender, Defense, FastWaveDefense, Profile, Settings, SlowWaveDefense,
};
use deepsleep::nn::{Model, Network};
use deepsleep::snn::{SpikingModel, Statistics};
use deepsleep::tensor::Context;

fn images() -> Dataset {
    let folder = locate(DatasetName::Mnist, None).unwrap();
    Dataset::load(folder, Split::Train).unwrap().slice(0..96).unwrap()
}

/// Settings so small that a defense takes a second.
pub const SHORT: &[(&str, &str)] = &[
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
    ("lucid.passes", "3"),
    ("lucid.patches", "100"),
    ("sleep.replay.steps", "40"),
];

fn tiny(profile: Profile) -> Settings {
    let mut settings = Settings::new(profile);
    for (name, value) in SHORT {
        settings.set(name, value).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    settings
}

/// The bytes of the defended model, and the number of steps. With `interrupt`, every step is made by a new defender
/// that resumes from the last one's checkpoint.
fn defend(
    defense: &'static dyn Defense,
    settings: &Settings,
    threads: usize,
    interrupt: bool,
) -> (Vec<u8>, usize) {
    let (context, data) = (Context::new(threads).unwrap(), images());
    let new = || Defender::new(defense, Model::lenet(3), settings.clone()).unwrap();
    let (mut defender, mut steps) = (new(), 0);
    while defender.advance(&context, &data).unwrap().is_some() {
        steps += 1;
        if interrupt {
            let saved = defender.checkpoint().unwrap().to_bytes().unwrap();
            let state = StateDict::from_bytes(&saved, "checkpoint").unwrap();
            defender = new();
            defender.resume(&context, &state).unwrap();
        }
    }
    (defender.state().to_bytes().unwrap(), steps)
}

#[test]
fn every_defense_is_the_same_interrupted_and_on_any_threads() {
    for profile in [Profile::Published, Profile::Paper, Profile::Standard, Profile::Lucid] {
        for &defense in DEFENSES {
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
fn a_defense_changes_the_model_and_not_the_control() {
    let control = Model::lenet(3);
    for &defense in DEFENSES {
        let context = Context::new(1).unwrap();
        let settings = tiny(Profile::Published);
        let mut defender = Defender::new(defense, control.clone(), settings).unwrap();
        while defender.advance(&context, &images()).unwrap().is_some() {}
        assert_ne!(defender.model().parameters(), control.parameters(), "{}", defense.name());
    }
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let (context, data) = (Context::new(1).unwrap(), images());
    let settings = tiny(Profile::Published);
    let mut defender = Defender::new(&FastWaveDefense, Model::lenet(3), settings.clone()).unwrap();
    defender.advance(&context, &data).unwrap();
    let state = defender.checkpoint().unwrap();
    let refused = |defense: &'static dyn Defense, control, settings: &Settings| {
        let mut other = Defender::new(defense, control, settings.clone()).unwrap();
        other.resume(&context, &state).unwrap_err().to_string()
    };
    assert!(refused(&SlowWaveDefense, Model::lenet(3), &settings).contains("fast-wave"));
    assert!(refused(&FastWaveDefense, Model::lenet(4), &settings).contains("control"));
    let mut other = settings.clone();
    other.set("fast_wave.dream.eps", "64/255").unwrap();
    assert!(refused(&FastWaveDefense, Model::lenet(3), &other).contains("fast_wave.dream.eps"));
}

#[test]
fn a_damaged_checkpoint_is_refused_when_it_is_read() {
    let (context, data) = (Context::new(1).unwrap(), images());
    let new = || Defender::new(&DeepSleep, Model::lenet(3), tiny(Profile::Published)).unwrap();
    let mut defender = new();
    defender.advance(&context, &data).unwrap();
    let good = defender.checkpoint().unwrap();
    let refused = |state: &StateDict, part: &str| {
        let error = new().resume(&context, state).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    for (note, part) in [("defense.stage", "stage 99"), ("work.sleep.passes_done", "99 passes")] {
        let mut state = good.clone();
        state.note(note, 99);
        refused(&state, part);
    }
    // Dreams would copy them where there is no room for them, hours later.
    for name in ["first_linear", "work.sleep.first_linear"] {
        let mut state = good.clone();
        state.insert(name, vec![2], vec![0.5; 2]).unwrap();
        refused(&state, "first_linear");
    }
    let mut sleep = StateDict::default();
    sleep.absorb("model", good.extract("model"));
    new().start_after(&sleep).unwrap();
    for name in ["first_linear", "model.fc.bias", "control.fc.weight"] {
        let mut state = sleep.clone();
        state.insert(name, vec![2], vec![0.5; 2]).unwrap();
        let error = new().start_after(&state).unwrap_err().to_string();
        assert!(error.contains(name.trim_start_matches("model.")), "{error}");
    }
    new().resume(&context, &good).unwrap();
}

#[test]
fn counts_and_numbers_beyond_any_use_are_refused_and_change_nothing() {
    let mut settings = Settings::new(Profile::Published);
    let before = settings.clone();
    for (name, value, part) in [
        ("cycles", "99999999999999", "at most"),
        ("slow_wave.length", "18446744073709551615", "at most"),
        ("fast_wave.dream.attack", r#"{"pgd": {"steps": 10000000, "step": 0.1}}"#, "at most"),
        ("control.learning_rate", "1e300", "too large"),
        ("fast_wave.spiking.neuron.tau", "inf/2", "does not take"),
        ("fast_wave.spiking.neuron.tau", "nan/2", "does not take"),
    ] {
        let error = settings.set(name, value).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(part), "{error}");
        assert_eq!(settings, before);
    }
    settings.set("seed", "18446744073709551615").unwrap();
}

#[test]
fn sleeps_that_would_fill_the_memory_are_refused() {
    let refused = |change: fn(&mut Settings)| {
        let mut settings = Settings::new(Profile::Published);
        change(&mut settings);
        let lenet = Model::lenet(0);
        let options = settings.slow_wave.clone();
        let spiking = settings.fast_wave.spiking;
        deepsleep::sleep::SlowWave::new(&lenet, options, 0).is_err()
            || SpikingModel::from_model(&lenet, spiking, Statistics::Carry).is_err()
            || Defender::new(&DeepSleep, lenet, settings).is_err()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|s| s.slow_wave.depth = usize::MAX));
    assert!(refused(|s| s.slow_wave.length = usize::MAX));
    assert!(refused(|s| s.slow_wave.decrease_ratio = 1e300));
    assert!(refused(|s| s.fast_wave.spiking.steps = usize::MAX));
    assert!(refused(|s| s.cycles = usize::MAX));
    assert!(refused(|s| s.sleep.steps = 1_000_001));
    assert!(refused(|s| s.fast_wave.epochs = usize::MAX));
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
    let steps = settings.slow_wave.steps_of_passes();
    assert_eq!(settings.slow_wave.passes_of(steps, 3).len(), 5 * 2 * 3);
}

/// A checkpoint that turns out to be damaged late changes nothing: the defender starts over as if there were none.
#[test]
fn a_refused_checkpoint_leaves_the_defender_as_it_was() {
    let (context, data) = (Context::new(1).unwrap(), images());
    let settings = tiny(Profile::Published);
    let new = || Defender::new(&DeepSleep, Model::lenet(3), settings.clone()).unwrap();
    let bytes = |defender: &Defender| defender.checkpoint().unwrap().to_bytes().unwrap();
    let mut begun = new();
    // Into fast-wave sleep, which keeps the most.
    while begun.advance(&context, &data).unwrap().unwrap().stage != "fast-wave sleep" {}
    let good = begun.checkpoint().unwrap();

    let mut beyond = good.clone();
    beyond.note("defense.stage", 99);
    let mut other_work = good.clone();
    other_work.note("defense.stage", 0);
    let without = |part: &str| {
        let mut state = StateDict::default();
        for prefix in ["model", "control", "work"].into_iter().filter(|p| *p != part) {
            state.absorb(prefix, good.extract(prefix));
        }
        good.notes().iter().filter(|(name, _)| !name.starts_with(part)).for_each(
            |(name, value)| {
                state.note(name, value);
            },
        );
        state
    };
    let with = |name: &str| {
        let mut state = good.clone();
        state.insert(name, vec![10], vec![0.0; 10]).unwrap();
        state
    };
    for (what, damaged) in [
        ("an array of a model that nothing uses", with("model.fc.bias")),
        ("an array of a work that nothing uses", with("work.fc.bias")),
        ("an array of an optimizer that nothing uses", with("work.optimiser.7.fc.weight")),
        ("an array of nobody", with("other.fc.weight")),
        ("an array of a control that nothing uses", with("control.fc.bias")),
        ("a stage that is none", beyond),
        ("another stage", other_work),
        ("no model", without("model")),
        ("no work", without("work")),
    ] {
        let mut defender = new();
        let before = bytes(&defender);
        assert!(defender.resume(&context, &damaged).is_err(), "{what}");
        assert!(bytes(&defender) == before, "{what}");
    }
    let mut defender = new();
    defender.resume(&context, &good).unwrap();
    assert!(bytes(&defender) == good.to_bytes().unwrap());
}

/// What would fail hours later is refused at once.
#[test]
fn settings_of_later_stages_are_checked_before_the_first() {
    for (name, value) in [
        ("fast_wave.spiking.surrogate", r#"{"quadratic-gate":0}"#),
        ("fast_wave.spiking.encoder", r#"{"poisson":{"rate":1.5}}"#),
        ("control.rule", r#"{"adam":{"beta1":1,"beta2":0.9,"eps":1e-8,"weight_decay":0}}"#),
        ("control.schedule", r#"{"step":{"epochs":0,"factor":0.5}}"#),
    ] {
        let mut settings = tiny(Profile::Published);
        let refused = settings.set(name, value).is_err() || settings.validate().is_err();
        assert!(refused, "{name}={value}");
    }
}
