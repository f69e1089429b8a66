//! Attacks around attacks: what is known of the one inside is known of the whole.

use crate::common::models::{lenet, test_images};
use deepsleep::Result;
use deepsleep::attack::extend::{AttackTask, Search};
use deepsleep::attack::{
    ATTACKS, Attack, AttackInfo, Budget, Effort, Estimated, Estimator, Loss, Member, Norm,
    RateRule, Targeted, Transferred, parse_attack, run_attack,
};
use deepsleep::tensor::Context;

/// An attack of which nothing is as usual.
struct Odd;

impl Attack for Odd {
    fn info(&self) -> AttackInfo {
        AttackInfo {
            name: "odd".into(),
            label: "odd:one".into(),
            description: "odd:size=1".into(),
            draws: 7,
            norms: vec![Norm::Linf],
            bounded: false,
            returns_all: true,
            target: Some(5),
            needs_gradients: true,
            is_ensemble: true,
            needs_spikes: true,
            needs_windows: true,
            flattens: true,
            losses: vec![Loss::Dlr],
            random: false,
        }
    }

    fn effort(&self, _norm: Norm, _classes: usize) -> Effort {
        Effort { forward_passes: 3.0, backward_passes: 2.0, own_work: 1.0 }
    }

    fn search(&self, _task: &AttackTask<'_>, _which: &[usize]) -> Result<Search> {
        Ok(Search::default())
    }

    fn option_warnings(&self, budget: &Budget) -> Vec<String> {
        vec![format!("odd at {}", budget.eps)]
    }
}

#[test]
fn wrappers_change_what_they_must_and_nothing_else() {
    let network = lenet("lenet_weights.safetensors");
    let odd = || -> Box<dyn Attack> { Box::new(Odd) };
    let estimator = Estimator::rate(RateRule::Rga(0.2));
    let all: [(Box<dyn Attack>, AttackInfo); 3] = [
        (
            Box::new(Estimated { attack: odd(), estimator }),
            AttackInfo {
                label: "odd:one:gradient=rga:0.2".into(),
                description: "odd:size=1,gradient=rga:0.2".into(),
                ..Odd.info()
            },
        ),
        (
            Box::new(Targeted { attack: odd(), class: 3 }),
            AttackInfo {
                label: "odd:one:target=3".into(),
                description: "odd:size=1,target=3".into(),
                target: Some(3),
                ..Odd.info()
            },
        ),
        (
            Box::new(Transferred { attack: odd(), source: &network, name: "twin" }),
            AttackInfo {
                label: "odd:one:source=twin".into(),
                description: "odd:size=1,source=twin".into(),
                returns_all: false,
                needs_gradients: false,
                needs_spikes: false,
                needs_windows: false,
                flattens: false,
                ..Odd.info()
            },
        ),
    ];
    let budget = Budget { norm: Norm::Linf, eps: 0.25, seed: 0 };
    for (attack, info) in all {
        assert_eq!(attack.info(), info);
        assert_eq!(attack.option_warnings(&budget), ["odd at 0.25"], "{}", info.label);
        assert_eq!(attack.effort(Norm::L2, 10), Odd.effort(Norm::L2, 10), "{}", info.label);
    }
}

/// An estimator and a target, as the catalog puts them around each other, both have their names in the whole's.
#[test]
fn estimator_and_target_are_both_named() {
    let attack = parse_attack("pgd:gradient=bptr,target=3").unwrap();
    assert_eq!(attack.info().label, "pgd:gradient=bptr:target=3");
}

/// What follows gradients can be told how to estimate them, and nothing else can: what an attack needs is a value of it, so
/// that no list of names has to be kept.
#[test]
fn attacks_say_whether_they_need_gradients() {
    for entry in ATTACKS {
        let info = parse_attack(entry.name).unwrap().info();
        let takes = entry.options().any(|(key, ..)| *key == "gradient");
        assert_eq!(info.needs_gradients, takes, "{}", entry.name);
        assert_eq!(info.is_ensemble, entry.name == "autoattack", "{}", entry.name);
    }
    let blind = parse_attack("rays").unwrap();
    assert!(Member::of(parse_attack("fab").unwrap()).needs_gradients());
    assert!(!Member::of(blind).needs_gradients());
    assert!(!Member::transfer(parse_attack("pgd").unwrap()).needs_gradients());
}

/// Who asks for an attack in a norm in which it does not exist is told of one that exists there.
#[test]
fn what_does_not_exist_in_a_norm_names_what_does() {
    let (context, network) = (Context::new(1).unwrap(), lenet("lenet_robust.safetensors"));
    let sample = test_images(0..1);
    let mut refused = 0;
    for (entry, norm) in ATTACKS.iter().flat_map(|entry| Norm::ALL.map(|norm| (entry, norm))) {
        let budget = Budget { norm, eps: 1e-3, seed: 0 };
        let run = |name: &str| {
            let short = ["steps", "queries"].into_iter().find(|option| {
                let entry = ATTACKS.iter().find(|entry| entry.name == name).unwrap();
                entry.options().any(|(key, ..)| key == option)
            });
            let text = short.map_or(name.to_owned(), |option| format!("{name}:{option}=2"));
            let attack = parse_attack(&text).unwrap();
            run_attack(&context, &network, &sample, attack.as_ref(), budget)
        };
        if entry.name == "autoattack" && norm != Norm::L0 {
            continue;
        }
        let Err(error) = run(entry.name) else { continue };
        refused += 1;
        let error = error.to_string();
        let (_, advice) = error.split_once("; use ").expect(&error);
        let name = advice.trim_end_matches(" there");
        assert_ne!(name, entry.name);
        run(name).unwrap_or_else(|e| panic!("{} in {norm} is told to use {name}: {e}", entry.name));
    }
    assert!(refused > 20, "{refused}");
    let attack = parse_attack("deepfool").unwrap();
    let budget = Budget { norm: Norm::L1, eps: 1.0, seed: 0 };
    let error = run_attack(&context, &network, &sample, attack.as_ref(), budget).unwrap_err();
    assert!(error.to_string().contains("not in l1; use fab there"), "{error}");
}
