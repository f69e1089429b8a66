//! The entries of attacks that step along a momentum of gradients: against gradients that come and go, and for transfer.

use super::described::{Described, GUIDED, JITTER, LOSS, RESTARTS, RETURN, STEP, STEPS};
use super::{CatalogEntry, boxed};
use crate::Result;
use crate::attack::attack_trait::Attack;
use crate::attack::catalog::options::GivenOptions;
use crate::attack::methods::momentum::MomentumFgsm;
use crate::attack::methods::sa_pgd::SaPgd;
use crate::attack::stepper::Goal;

const QUARTER: Described = ("step", "0.25eps", STEP.2);
const TEN: Described = ("steps", "10", STEPS.2);
const DECAY: Described = ("decay", "1", "how much of the momentum stays in a step");
const MOMENTUM: &[Described] = &[LOSS, TEN, QUARTER, DECAY];

pub const SA_PGD: CatalogEntry = CatalogEntry {
    name: "sa-pgd",
    summary: "steps of normalized momentum, halved at fixed times, linf: for gradients that come and go",
    groups: &[&[LOSS, ("steps", "100", STEPS.2), RESTARTS], GUIDED, &[JITTER, RETURN]],
    transfer: Some("return=last"),
    bounded_by_steps: false,
    build: |o| {
        let default = SaPgd::default();
        let attack = SaPgd {
            loss: o.loss(default.loss)?,
            steps: o.count("steps", default.steps)?,
            restarts: o.count("restarts", default.restarts)?,
            draws: o.evaluations(default.draws)?,
            goal: o.goal(Goal::Last)?,
        };
        boxed(o, attack)
    },
};

pub const MI_FGSM: CatalogEntry = CatalogEntry {
    name: "mi-fgsm",
    summary: "iterated FGSM with momentum, for transfer",
    groups: &[MOMENTUM, GUIDED, &[RETURN]],
    transfer: Some("return=last"),
    bounded_by_steps: false,
    build: |o| momentum(o, MomentumFgsm::default()),
};

pub const NI_FGSM: CatalogEntry = CatalogEntry {
    name: "ni-fgsm",
    summary: "the same with Nesterov's momentum, for transfer",
    groups: &[MOMENTUM, GUIDED, &[RETURN]],
    transfer: Some("return=last"),
    bounded_by_steps: false,
    build: |o| momentum(o, MomentumFgsm::nesterov()),
};

pub const VMI_FGSM: CatalogEntry = CatalogEntry {
    name: "vmi-fgsm",
    summary: "the same with variance-tuned gradients, for transfer",
    groups: &[
        MOMENTUM,
        &[("neighbors", "5", "points around"), ("beta", "1.5", "how far they lie away, in radii")],
        GUIDED,
        &[RETURN],
    ],
    transfer: Some("return=last"),
    bounded_by_steps: false,
    build: |o| momentum(o, MomentumFgsm::variance_tuned()),
};

pub const DI_FGSM: CatalogEntry = CatalogEntry {
    name: "di-fgsm",
    summary: "iterated FGSM on images that are resized and shifted at random, for transfer",
    groups: &[
        &[
            LOSS,
            TEN,
            QUARTER,
            ("decay", "0", DECAY.2),
            ("diversity", "0.5", "how likely an image is resized"),
            ("resize", "0.9", "the smallest share of its side"),
        ],
        GUIDED,
        &[RETURN],
    ],
    transfer: Some("return=last"),
    bounded_by_steps: false,
    build: |o| momentum(o, MomentumFgsm::diverse()),
};

fn momentum(o: &mut GivenOptions<'_>, default: MomentumFgsm) -> Result<Box<dyn Attack>> {
    Ok(Box::new(MomentumFgsm {
        loss: o.loss(default.loss)?,
        steps: o.count("steps", default.steps)?,
        step: o.step(default.step)?,
        decay: o.value("decay", default.decay)?,
        neighbors: o.count("neighbors", default.neighbors)?,
        beta: o.value("beta", default.beta)?,
        diversity: o.value("diversity", default.diversity)?,
        resize: o.value("resize", default.resize)?,
        draws: o.draws(default.draws)?,
        goal: o.goal(Goal::Last)?,
        ..default
    }))
}
