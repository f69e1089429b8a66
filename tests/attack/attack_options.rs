//! No option of an attack is taken and does nothing: in every norm, each either changes what the attack finds or is refused.

use crate::common::models::{lenet, test_images};
use deepsleep::attack::{ATTACKS, Budget, Norm, Samples, Status, parse_attack, run_attack};
use deepsleep::nn::FrozenModel;
use deepsleep::tensor::Context;
use deepsleep::{Error, Result};

/// A short run of every attack, in which options show.
fn base(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "fgsm" | "deepfool" => &[],
        "square" => &[("queries", "400")],
        "fmn" => &[("steps", "30")],
        "rays" | "uniform" => &[("queries", "200")],
        "hopskipjump" => &[("steps", "3"), ("probes", "20")],
        "nes-pgd" => &[("steps", "8"), ("pairs", "40")],
        "cw" => &[("steps", "40"), ("search", "3"), ("rate", "0.05"), ("c", "1")],
        "cw-linf" => &[("steps", "20"), ("search", "4")],
        "sigma-zero" => &[("steps", "30")],
        "autoattack" => &[("version", "published")],
        _ => &[("steps", "6")],
    }
}

/// Other values of an option than its default and that of [`base`].
fn others(attack: &str, option: &str) -> &'static [&'static str] {
    match (attack, option) {
        // Of spiking networks, and of random ones: `estimators.rs`, and the command line's tests.
        (_, "gradient" | "pool" | "time" | "draws") => &[],
        // That margins are exactly the same happens to spiking networks: `attack_ties.rs`.
        (_, "ties") => &[],
        ("apgd-ce" | "autoattack", "loss") => &["ce-scaled"],
        ("apgd-t", "loss") => &["targeted-ce"],
        (_, "loss") => &["difference"],
        (_, "steps" | "queries") => &["2"],
        (_, "restarts") => &["3"],
        ("fmn", "step") => &["0.07"],
        (_, "step") => &["0.07eps"],
        (_, "start") => &["clean", "gray", "corner", "radial"],
        // It finds nothing here, but does not attack what is of the class already.
        ("uniform", "target") => &["7"],
        (_, "target") => &["3"],
        (_, "targets") => &["1"],
        (_, "jitter") => &["0.25eps"],
        ("apgd-ce" | "apgd-dlr" | "apgd-t" | "autoattack", "return") => &["latest"],
        ("fab" | "fab-t", "return") => &["first"],
        ("rays" | "hopskipjump", "return") => &["nearest"],
        (_, "return") => &["last"],
        (_, "p" | "decay" | "diversity" | "resize" | "gamma" | "beta" | "overshoot") => &["0.3"],
        (_, "rescale" | "refill" | "bounded") => &["yes"],
        (_, "form") => &["published"],
        (_, "search" | "pairs" | "neighbors") => &["2"],
        (_, "c" | "radius" | "sigma") => &["0.2"],
        (_, "kappa") => &["1"],
        (_, "rate" | "threshold") => &["0.1"],
        (_, "probes") => &["7"],
        (_, "version") => &["standard"],
        _ => panic!("{attack}: give `{option}` a value here that makes a difference"),
    }
}

/// What an attack with these options finds: everything that a user sees of it.
fn found(
    network: &FrozenModel,
    samples: &Samples,
    name: &str,
    options: &[(&str, &str)],
    budget: Budget,
) -> Result<Vec<(Status, String, Vec<u32>)>> {
    let options: Vec<String> =
        options.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let colon = if options.is_empty() { "" } else { ":" };
    let attack = parse_attack(&format!("{name}{colon}{}", options.join(",")))?;
    let context = Context::new(1)?;
    let report = run_attack(&context, network, samples, attack.as_ref(), budget)?;
    let bits = |image: &[f32]| image.iter().map(|pixel| pixel.to_bits()).collect();
    let outcomes = report.outcomes.iter();
    Ok(outcomes.map(|o| (o.status, format!("{:?}", o.cost), bits(&o.image))).collect())
}

/// Radii that some images withstand, that few do, and that none does.
fn radii(norm: Norm) -> [f32; 3] {
    match norm {
        Norm::Linf => [0.05, 0.15, 0.3],
        Norm::L2 => [0.5, 2.0, 6.0],
        Norm::L1 => [4.0, 20.0, 60.0],
        _ => [3.0, 20.0, 60.0],
    }
}

#[test]
fn every_option_has_an_effect_or_is_refused() {
    let (network, samples) = (lenet("lenet_weights.safetensors"), test_images(0..6));
    let mut idle = Vec::new();
    for (norm, entry) in
        Norm::ALL.into_iter().flat_map(|norm| ATTACKS.iter().map(move |e| (norm, e)))
    {
        let of = |options: &[(&str, &str)]| {
            let at = |eps| {
                let budget = Budget { norm, eps, seed: 0 };
                found(&network, &samples, entry.name, options, budget)
            };
            radii(norm).into_iter().map(at).collect::<Result<Vec<_>>>()
        };
        let base = base(entry.name);
        // An attack that does not exist in this norm has no options in it.
        let Ok(plain) = of(base) else { continue };
        for (option, ..) in entry.options() {
            for value in others(entry.name, option) {
                let mut options: Vec<_> =
                    base.iter().filter(|(key, _)| key != option).copied().collect();
                options.push((option, value));
                match of(&options) {
                    Ok(other) if other == plain => {
                        idle.push(format!("{norm}: {}:{option}={value}", entry.name))
                    }
                    Ok(_) | Err(Error::Argument { .. }) => {}
                    Err(error) => panic!("{norm}: {}: {option}={value}: {error}", entry.name),
                }
            }
        }
    }
    assert!(idle.is_empty(), "these do nothing: {idle:#?}");
}

/// The number of targets, where one is named.
#[test]
fn a_named_target_is_the_only_one() {
    for attack in ["apgd-t:target=3,targets=2", "fab-t:target=3,targets=1"] {
        let error = parse_attack(attack).err().expect("refused").to_string();
        assert!(error.contains("targets") && error.contains("the only one"), "{error}");
    }
    parse_attack("apgd-t:target=none,targets=2").expect("no target is named");
}

/// What an attack says of itself is what has to be written to get it again, whatever its options.
#[test]
fn descriptions_name_every_changed_option() {
    for entry in ATTACKS {
        for (option, default, _) in entry.options() {
            for value in others(entry.name, option) {
                // Wrappers have names of their own: `wrappers.rs`.
                if *option == "target" || value == default {
                    continue;
                }
                let text = format!("{}:{option}={value}", entry.name);
                // What is refused is said so elsewhere.
                let Ok(attack) = parse_attack(&text) else { continue };
                let said = attack.info().description;
                assert!(said.contains(&format!("{option}=")), "{text}: {said}");
                assert_eq!(parse_attack(&said).unwrap().info().description, said, "{text}");
            }
        }
    }
}
