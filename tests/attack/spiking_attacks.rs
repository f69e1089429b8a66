//! Attacks on spiking networks with gradients estimated otherwise: what holds for all of them.

use crate::common::models::{golden, lenet, test_images};
use deepsleep::attack::{
    AttackReport, Budget, Classifier, Estimate, Estimator, Norm, Samples, Status, parse_attack,
    run_attack,
};
use deepsleep::nn::{Freeze, Model};
use deepsleep::simd::random::Key;
use deepsleep::simd::{LANES, Lanes};
use deepsleep::snn::{FrozenSpikingModel, SpikingModel, SpikingOptions, Statistics, Surrogate};
use deepsleep::tensor::Context;

const ESTIMATORS: [&str; 12] = [
    "gradient=own,pool=all",
    "gradient=triangle:0.5",
    "gradient=straight-through",
    "gradient=exponential",
    "gradient=bptr",
    "gradient=rga",
    "gradient=relu",
    "gradient=hart",
    "gradient=pdsg",
    "gradient=assg",
    "gradient=rga,time=3",
    "gradient=assg,time=2",
];

fn spiking() -> FrozenSpikingModel {
    with_surrogate(Surrogate::default())
}

fn with_surrogate(surrogate: Surrogate) -> FrozenSpikingModel {
    let network = Model::open(&golden("lenet_weights.safetensors")).unwrap();
    let options = SpikingOptions::default().with(|o| (o.steps, o.surrogate) = (4, surrogate));
    SpikingModel::from_model(&network, options, Statistics::Carry).unwrap().freeze().unwrap()
}

fn run(
    network: &FrozenSpikingModel,
    threads: usize,
    samples: &Samples,
    text: &str,
) -> AttackReport {
    let budget = Budget { norm: Norm::Linf, eps: 0.06, seed: 2 };
    let attack = parse_attack(text).unwrap();
    run_attack(&Context::new(threads).unwrap(), network, samples, attack.as_ref(), budget).unwrap()
}

/// A sample's result depends on the sample alone: not on who shares its batch, in which order, or whose lane it gets.
#[test]
fn results_are_a_samples_own() {
    let network = spiking();
    let samples = test_images(0..36);
    let reversed: Vec<usize> = (0..36).rev().collect();
    for estimator in ESTIMATORS {
        for attack in ["apgd-ce:steps=5,restarts=2", "sa-pgd:steps=6"] {
            let text = format!("{attack},{estimator}");
            let all = run(&network, 1, &samples, &text);
            let turned = run(&network, 2, &samples.select(&reversed).unwrap(), &text);
            let alone = run(&network, 1, &samples.select(&[29]).unwrap(), &text);
            for (i, outcome) in all.outcomes.iter().enumerate() {
                assert_eq!(*outcome, turned.outcomes[35 - i], "{text} {i}");
            }
            assert_eq!(all.outcomes[29], alone.outcomes[0], "{text}");
            let found: Vec<_> = all.outcomes.iter().filter_map(|o| o.winner.as_ref()).collect();
            assert!(!found.is_empty() && found.len() < 36, "{text}: {}", found.len());
            for winner in found {
                let (name, options) = winner.attack.split_once(':').unwrap();
                assert_eq!(name, winner.name());
                assert!(
                    options.starts_with(estimator.split(',').next().unwrap()),
                    "{}",
                    winner.attack
                );
                // What is named can be run.
                assert!(parse_attack(&winner.attack).is_ok(), "{}", winner.attack);
            }
        }
    }
}

#[test]
fn every_attack_that_takes_gradients_takes_estimators() {
    let (network, samples) = (spiking(), test_images(0..8));
    for text in [
        "fgsm",
        "bim:steps=3",
        "pgd:steps=3",
        "eot-pgd:steps=2",
        "apgd-dlr:steps=3",
        "apgd-t:steps=3,targets=2",
        "fab:steps=2",
        "fab-t:steps=2,targets=2",
        "deepfool:steps=2",
        "mi-fgsm:steps=3",
        "ni-fgsm:steps=3",
        "vmi-fgsm:steps=2",
        "di-fgsm:steps=3",
        "fmn:steps=4",
        "sa-pgd:steps=3,jitter=0.1eps,draws=2",
    ] {
        let options = if text.contains(':') { "," } else { ":" };
        let with = |gradient: &str| {
            run(&network, 2, &samples, &format!("{text}{options}gradient={gradient}"))
        };
        let (own, plain) = (with("own"), run(&network, 2, &samples, text));
        assert_eq!(own, plain, "{text}");
        // A default that is written out is no other attack; only the winners say that it was.
        let written = run(&network, 2, &samples, &format!("{text}{options}pool=largest"));
        for (written, plain) in written.outcomes.iter().zip(&plain.outcomes) {
            assert_eq!(written.image, plain.image, "{text}");
        }
        for gradient in ["assg", "pdsg", "rga"] {
            let report = with(gradient);
            assert_eq!(report.count(Status::Invalid), 0, "{text} {gradient}");
        }
    }
    for text in ["square", "rays", "nes-pgd", "hopskipjump", "uniform"] {
        assert!(parse_attack(&format!("{text}:gradient=rga")).is_err(), "{text}");
    }
}

#[test]
fn networks_without_spikes_have_nothing_to_estimate() {
    let (network, samples) = (lenet("lenet_weights.safetensors"), test_images(0..2));
    let budget = Budget { norm: Norm::Linf, eps: 0.1, seed: 0 };
    let context = Context::new(1).unwrap();
    for text in ["pgd:gradient=rga", "pgd:pool=all", "pgd:gradient=own"] {
        let attack = parse_attack(text).unwrap();
        let error = run_attack(&context, &network, &samples, attack.as_ref(), budget).unwrap_err();
        assert!(error.to_string().contains("no spikes"), "{error}");
    }
}

/// Files that differ in nothing but the surrogate that is noted in them are one network to whoever brings an estimator.
#[test]
fn an_estimator_does_not_see_the_noted_surrogate() {
    let samples = test_images(0..16);
    let sharp = with_surrogate(Surrogate::Arctan(1000.0));
    for gradient in ["rga", "pdsg", "assg", "hart", "atan:2"] {
        let text = format!("apgd-ce:steps=6,gradient={gradient}");
        let (a, b) = (run(&spiking(), 2, &samples, &text), run(&sharp, 2, &samples, &text));
        assert_eq!(a, b, "{gradient}");
    }
}

/// A gradient over more time is that of the same network with more steps, and nothing else changes.
#[test]
fn a_gradient_over_more_time_is_the_longer_networks() {
    let network = spiking();
    let long = {
        let network = Model::open(&golden("lenet_weights.safetensors")).unwrap();
        let options = SpikingOptions::default().with(|options| options.steps = 12);
        SpikingModel::from_model(&network, options, Statistics::Carry).unwrap().freeze().unwrap()
    };
    let samples = test_images(0..16);
    let images: Vec<Lanes> = (0..784)
        .map(|pixel| Lanes(std::array::from_fn(|lane| samples.image(lane)[pixel])))
        .collect();
    let weight: Vec<Lanes> = (0..10).map(|class| Lanes::splat(class as f32 - 4.5)).collect();
    let ask = |network: &FrozenSpikingModel, estimators: &[Estimator]| {
        let mut session = network.session(Context::serial(crate::common::best()));
        let (mut z, mut g) = (vec![Lanes::ZERO; 10], vec![Lanes::ZERO; 784]);
        session.logits(&images, &[Key::new(0); LANES], true, &mut z).unwrap();
        let gradients = estimators.iter().map(|&estimator| {
            let estimate = Estimate { estimator, ..Estimate::default() };
            session.gradient_by(&estimate, &weight, &mut g).unwrap();
            g.clone()
        });
        (gradients.collect::<Vec<_>>(), z)
    };
    for name in ["own", "rga", "hart", "pdsg", "assg"] {
        let once: Estimator = name.parse().unwrap();
        let thrice = Estimator { stretch: 3, ..once };
        let (short, logits) = ask(&network, &[once, thrice, thrice, once]);
        let (longer, _) = ask(&long, &[once]);
        assert!(short[0] == short[3] && logits == ask(&network, &[once]).1, "{name}");
        assert!(short[1] == longer[0] && short[2] == longer[0], "{name}");
        assert!(short[0] != short[1], "{name}");
    }
    // Every gradient over more time costs another forward pass, and is counted.
    let cost = |text: &str| run(&network, 1, &samples, text).cost();
    let (plain, stretched) = (cost("pgd:steps=3,gradient=rga"), cost("pgd:steps=3,time=2"));
    assert!(stretched.forward_passes > stretched.backward_passes + plain.backward_passes);
    // The ensemble and the average over draws hand it on.
    let once = cost("eot-pgd:steps=3,gradient=rga");
    let twice = cost("eot-pgd:steps=3,gradient=rga,time=2");
    assert!(twice.forward_passes > once.forward_passes + once.backward_passes / 2);
    let ensemble = run(&network, 1, &samples, "autoattack:version=published,time=2");
    assert_eq!(ensemble.diagnostics.found_by[0].attack, "apgd-ce:gradient=own,time=2");
    for wrong in [
        "autoattack:version=spiking,time=2",
        "uniform:time=2",
        "pgd:time=0",
        "pgd:time=1001",
        "square:time=2",
    ] {
        assert!(parse_attack(wrong).is_err(), "{wrong}");
    }
}
