//! Results of every attack, in every norm that it has, on every kind of model.

use super::claims::{Rules, Tally, check};
use super::models::{self, Model};
use deepsleep::attack::{ATTACKS, Budget, Norm, parse_attack, run_attack};
use deepsleep::tensor::Context;

pub const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

/// Short runs of an attack. One that is not known here runs as it is: a new attack is checked before anyone thinks of
/// it.
pub fn short(name: &'static str) -> &'static [&'static str] {
    match name {
        "fgsm" => &["fgsm", "fgsm:loss=margin,return=last"],
        "bim" => &["bim:steps=4", "bim:steps=3,return=last"],
        "pgd" => &["pgd:steps=5,restarts=2", "pgd:steps=4,loss=dlr,return=last"],
        "eot-pgd" => &["eot-pgd:steps=3"],
        "apgd-ce" => &["apgd-ce:steps=12,restarts=2", "apgd-ce:steps=12,return=latest"],
        "apgd-dlr" => &["apgd-dlr:steps=12"],
        "apgd-t" => &["apgd-t:steps=8,targets=2", "apgd-t:steps=8,targets=2,loss=targeted-ce"],
        "fab" => &["fab:steps=5,restarts=2"],
        "fab-t" => &["fab-t:steps=8,targets=3"],
        "square" => &["square:queries=60,restarts=2"],
        "cw" => &["cw:steps=40,search=4,rate=0.05", "cw:steps=40,search=4,rate=0.05,bounded=yes"],
        "deepfool" => &["deepfool:steps=10", "deepfool:steps=10,bounded=yes"],
        "sa-pgd" => &["sa-pgd:steps=10", "sa-pgd:steps=4,jitter=0.25eps,draws=3,return=last"],
        "nes-pgd" => &["nes-pgd:steps=4,pairs=10"],
        "rays" => &["rays:queries=200", "rays:queries=200,return=nearest"],
        "uniform" => &["uniform:queries=60"],
        "hopskipjump" => &["hopskipjump:steps=2,probes=20"],
        "mi-fgsm" => &["mi-fgsm:steps=4", "mi-fgsm:steps=3,return=last"],
        "ni-fgsm" => &["ni-fgsm:steps=4"],
        "vmi-fgsm" => &["vmi-fgsm:steps=3,neighbors=2"],
        "di-fgsm" => &["di-fgsm:steps=4"],
        "cw-linf" => &["cw-linf:steps=20,search=4", "cw-linf:steps=20,search=4,bounded=yes"],
        "ddn" => &["ddn:steps=20", "ddn:steps=20,bounded=yes"],
        "sigma-zero" => &["sigma-zero:steps=40", "sigma-zero:steps=40,bounded=yes"],
        "fmn" => &["fmn:steps=20", "fmn:steps=20,bounded=yes"],
        "autoattack" => &["autoattack:version=published"],
        _ => std::slice::from_ref(
            &ATTACKS.iter().find(|entry| entry.name == name).expect("an attack").name,
        ),
    }
}

/// Whether an attack has to exist in a norm. (Where it need not, it may refuse; if it runs, its claims are checked.)
fn required(name: &str, norm: Norm) -> bool {
    match name {
        "cw" | "ddn" => norm == Norm::L2,
        "rays" | "sa-pgd" | "cw-linf" => norm == Norm::Linf,
        "deepfool" | "hopskipjump" => norm == Norm::Linf || norm == Norm::L2,
        "sigma-zero" => norm == Norm::L0,
        "fgsm" | "bim" | "pgd" | "eot-pgd" | "fmn" | "uniform" => true,
        _ => norm != Norm::L0,
    }
}

/// Attacks a model in all ways.
fn all_attacks(model: &Model) {
    let mut tally = Tally::default();
    let context = Context::new(1).unwrap();
    for entry in ATTACKS {
        for text in short(entry.name) {
            for norm in Norm::ALL {
                let a = parse_attack(text).unwrap();
                let place = format!("{}, {text}, {norm}", model.name);
                let wider = if entry.name == "autoattack" { model.wider } else { 1.0 };
                let budget = Budget { norm, eps: wider * model.eps(norm), seed: 1 };
                match run_attack(
                    &context,
                    model.engine.as_ref(),
                    &model.samples,
                    a.as_ref(),
                    budget,
                ) {
                    Ok(report) => {
                        let rules = Rules::of(a.as_ref());
                        let second = model.second.as_ref();
                        tally.add(check(&report, &model.samples, second, rules, &place));
                    }
                    Err(error) if required(entry.name, norm) => {
                        tally.complain(&place, "refused", error.to_string());
                    }
                    Err(_) => {}
                }
            }
        }
    }
    tally.settle(model.name);
    let Tally { checked, fooled, survived, unsure, .. } = tally;
    assert!(20 * fooled > checked && 20 * survived > checked, "{}: one-sided", model.name);
    let most = model.unsure * checked as f64;
    assert!(unsure as f64 <= most, "{}: {unsure} of {checked} within rounding", model.name);
}

#[test]
fn the_plain_lenet() {
    all_attacks(&models::plain());
}

#[test]
fn the_robust_lenet() {
    all_attacks(&models::robust());
}

#[test]
fn the_spiking_lenet() {
    all_attacks(&models::spiking("spiking LeNet", 4));
}

/// Of two time steps: for many images no neuron spikes, and all logits are equal.
#[test]
fn the_spiking_lenet_that_ties() {
    all_attacks(&models::spiking("spiking LeNet, 2 steps", 2));
}

#[test]
fn an_affine_model() {
    all_attacks(&models::affine());
}

#[test]
fn a_model_of_somebody_elses() {
    all_attacks(&models::custom());
}
