//! The entries of attacks that ascend the gradient of one loss.

use super::described::{
    DRAWS, GRADIENT, GUIDED, JITTER, LOSS, POOL, RESTARTS, RETURN, START, STEP, STEPS, TARGET, TIME,
};
use super::{CatalogEntry, boxed};
use crate::Result;
use crate::attack::attack_trait::Attack;
use crate::attack::catalog::options::GivenOptions;
use crate::attack::loss::Loss;
use crate::attack::methods::fgsm::Fgsm;
use crate::attack::methods::pgd::{Pgd, bim, eot_pgd};
use crate::attack::stepper::Goal;

pub const FGSM: CatalogEntry = CatalogEntry {
    name: "fgsm",
    summary: "one step of eps along the sign of the gradient",
    groups: &[&[LOSS], GUIDED, &[RETURN]],
    transfer: Some("return=last"),
    bounded_by_steps: false,
    build: |o| {
        let loss = o.loss(Loss::CrossEntropy)?;
        Ok(Box::new(Fgsm { loss, draws: o.draws(1)?, goal: o.goal(Goal::Last)? }))
    },
};

pub const BIM: CatalogEntry = CatalogEntry {
    name: "bim",
    summary: "iterated FGSM from the image itself",
    groups: &[
        &[LOSS, ("steps", "10", STEPS.2), ("step", "0.2eps", STEP.2)],
        GUIDED,
        &[JITTER, RETURN],
    ],
    transfer: Some("return=last"),
    bounded_by_steps: true,
    build: |o| pgd(o, bim()),
};

pub const PGD: CatalogEntry = CatalogEntry {
    name: "pgd",
    summary: "projected gradient ascent from random points",
    groups: &[&[LOSS, STEPS, STEP, RESTARTS, START], GUIDED, &[JITTER, RETURN]],
    transfer: Some("return=last"),
    bounded_by_steps: false,
    build: |o| pgd(o, Pgd::default()),
};

pub const EOT_PGD: CatalogEntry = CatalogEntry {
    name: "eot-pgd",
    summary: "PGD on the expected loss of a model that draws random numbers",
    groups: &[&[
        LOSS,
        STEPS,
        STEP,
        RESTARTS,
        START,
        TARGET,
        GRADIENT,
        POOL,
        TIME,
        ("draws", "2", DRAWS.2),
        JITTER,
        RETURN,
    ]],
    transfer: Some("return=last"),
    bounded_by_steps: false,
    build: |o| pgd(o, eot_pgd()),
};

fn pgd(o: &mut GivenOptions<'_>, default: Pgd) -> Result<Box<dyn Attack>> {
    let start = match o.text("start") {
        None => default.start,
        Some(name) => {
            name.parse().map_err(|_| o.refuse("start", "random, clean, gray, corner or radial"))?
        }
    };
    let attack = Pgd {
        loss: o.loss(default.loss)?,
        steps: o.count("steps", default.steps)?,
        step: o.step(default.step)?,
        start,
        restarts: o.count("restarts", default.restarts)?,
        draws: o.evaluations(default.draws)?,
        goal: o.goal(Goal::Last)?,
        ..default
    };
    boxed(o, attack)
}
