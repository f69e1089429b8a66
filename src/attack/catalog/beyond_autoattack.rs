//! The entries of attacks beyond AutoAttack's: for masked gradients, for labels alone, for transfer, for the smallest
//! perturbation.

use super::described::{
    BLIND, BOUNDED, Described, GUIDED, JITTER, LOSS, RESTARTS, RETURN, STEP, STEPS,
};
use super::{CatalogEntry, boxed};
use crate::Result;
use crate::attack::catalog::options::GivenOptions;
use crate::attack::methods::cw_linf::CarliniWagnerLinf;
use crate::attack::methods::ddn::Ddn;
use crate::attack::methods::fmn::Fmn;
use crate::attack::methods::hopskipjump::HopSkipJump;
use crate::attack::methods::momentum::MomentumFgsm;
use crate::attack::methods::nes_pgd::NesPgd;
use crate::attack::methods::rays::RayS;
use crate::attack::methods::sa_pgd::SaPgd;
use crate::attack::methods::sigma_zero::SigmaZero;
use crate::attack::methods::uniform::Uniform;
use crate::attack::search::Attack;
use crate::attack::stepper::Goal;

const NEAREST: Described = (
    "return",
    "first",
    "first: stop within eps; nearest: go on for the smallest perturbation, wherever it lies",
);
const GAMMA: Described = ("gamma", "0.05", "by which share the radius changes in a step");
const QUARTER: Described = ("step", "0.25eps", STEP.2);
const TEN: Described = ("steps", "10", STEPS.2);
const DECAY: Described = ("decay", "1", "how much of the momentum stays in a step");
const MOMENTUM: &[Described] = &[LOSS, TEN, QUARTER, DECAY];

pub const SA_PGD: CatalogEntry = CatalogEntry {
    name: "sa-pgd",
    summary: "steps of normalized momentum, halved at fixed times, linf: for gradients that come and go",
    groups: &[&[LOSS, ("steps", "100", STEPS.2), RESTARTS], GUIDED, &[JITTER, RETURN]],
    transfer: Some("return=last"),
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

pub const NES_PGD: CatalogEntry = CatalogEntry {
    name: "nes-pgd",
    summary: "PGD along gradients estimated from scores alone",
    groups: &[
        &[
            ("steps", "50", STEPS.2),
            STEP,
            ("pairs", "100", "pairs of opposite points that a gradient is estimated from"),
            ("sigma", "8/255", "standard deviation of a pixel of these points"),
        ],
        BLIND,
    ],
    transfer: None,
    build: |o| {
        let default = NesPgd::default();
        Ok(Box::new(NesPgd {
            steps: o.count("steps", default.steps)?,
            step: o.step(default.step)?,
            pairs: o.count("pairs", default.pairs)?,
            sigma: o.number("sigma", default.sigma)?,
            draws: o.draws(default.draws)?,
        }))
    },
};

pub const RAYS: CatalogEntry = CatalogEntry {
    name: "rays",
    summary: "search along directions of signs, from labels alone, linf: nothing can be hidden from it",
    groups: &[&[("queries", "10000", "model queries")], BLIND, &[NEAREST]],
    transfer: None,
    build: |o| {
        let default = RayS::default();
        Ok(Box::new(RayS {
            queries: o.count("queries", default.queries)?,
            draws: o.draws(default.draws)?,
            goal: nearest(o)?,
        }))
    },
};

pub const UNIFORM: CatalogEntry = CatalogEntry {
    name: "uniform",
    summary: "random points of the ball, from labels alone: for very low-dimensional inputs",
    groups: &[&[("queries", "10000", "points asked about")], BLIND],
    transfer: None,
    build: |o| {
        let default = Uniform::default();
        let queries = o.count("queries", default.queries)?;
        Ok(Box::new(Uniform { queries, draws: o.draws(default.draws)? }))
    },
};

pub const HOPSKIPJUMP: CatalogEntry = CatalogEntry {
    name: "hopskipjump",
    summary: "along the boundary, from labels alone, linf or l2",
    groups: &[
        &[
            ("steps", "40", "steps along the boundary"),
            ("probes", "100", "points that the first normal is estimated from"),
        ],
        BLIND,
        &[NEAREST],
    ],
    transfer: None,
    build: |o| {
        let default = HopSkipJump::default();
        Ok(Box::new(HopSkipJump {
            steps: o.count("steps", default.steps)?,
            probes: o.count("probes", default.probes)?,
            draws: o.draws(default.draws)?,
            goal: nearest(o)?,
        }))
    },
};

pub const MI_FGSM: CatalogEntry = CatalogEntry {
    name: "mi-fgsm",
    summary: "iterated FGSM with momentum, for transfer",
    groups: &[MOMENTUM, GUIDED, &[RETURN]],
    transfer: Some("return=last"),
    build: |o| momentum(o, MomentumFgsm::default()),
};

pub const NI_FGSM: CatalogEntry = CatalogEntry {
    name: "ni-fgsm",
    summary: "the same with Nesterov's momentum, for transfer",
    groups: &[MOMENTUM, GUIDED, &[RETURN]],
    transfer: Some("return=last"),
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
    build: |o| momentum(o, MomentumFgsm::diverse()),
};

pub const CW_LINF: CatalogEntry = CatalogEntry {
    name: "cw-linf",
    summary: "Carlini & Wagner's minimal perturbation in linf",
    groups: &[
        &[
            ("steps", "100", "steps for one bound on pixels"),
            ("search", "20", "bounds tried, and weights of the misclassification tried"),
            ("kappa", "0", "required margin of the misclassification"),
            ("rate", "0.01", "Adam's learning rate"),
        ],
        GUIDED,
        &[BOUNDED],
    ],
    transfer: None,
    build: |o| {
        let default = CarliniWagnerLinf::default();
        Ok(Box::new(CarliniWagnerLinf {
            steps: o.count("steps", default.steps)?,
            search_steps: o.count("search", default.search_steps)?,
            kappa: o.value("kappa", default.kappa)?,
            learning_rate: o.value("rate", default.learning_rate)?,
            draws: o.draws(default.draws)?,
            goal: o.bounded()?,
        }))
    },
};

pub const DDN: CatalogEntry = CatalogEntry {
    name: "ddn",
    summary: "minimal perturbation in l2, direction and norm decoupled",
    groups: &[
        &[("steps", "100", STEPS.2), ("radius", "1", "the first radius"), GAMMA],
        GUIDED,
        &[BOUNDED],
    ],
    transfer: None,
    build: |o| {
        let default = Ddn::default();
        Ok(Box::new(Ddn {
            steps: o.count("steps", default.steps)?,
            radius: o.value("radius", default.radius)?,
            gamma: o.value("gamma", default.gamma)?,
            draws: o.draws(default.draws)?,
            goal: o.bounded()?,
        }))
    },
};

pub const SIGMA_ZERO: CatalogEntry = CatalogEntry {
    name: "sigma-zero",
    summary: "the fewest pixels, l0",
    groups: &[
        &[
            ("steps", "1000", STEPS.2),
            ("rate", "1", "Adam's first learning rate; the last is a tenth"),
            ("threshold", "0.3", "changes below it are taken back, at first"),
        ],
        GUIDED,
        &[BOUNDED],
    ],
    transfer: None,
    build: |o| {
        let default = SigmaZero::default();
        Ok(Box::new(SigmaZero {
            steps: o.count("steps", default.steps)?,
            learning_rate: o.value("rate", default.learning_rate)?,
            threshold: o.value("threshold", default.threshold)?,
            draws: o.draws(default.draws)?,
            goal: o.bounded()?,
            ..default
        }))
    },
};

pub const FMN: CatalogEntry = CatalogEntry {
    name: "fmn",
    summary: "minimal perturbation in linf, l2, l1 or l0, in a ball that closes in on the boundary",
    groups: &[
        &[
            ("steps", "100", STEPS.2),
            ("step", "1", "length of the first step in l2; the last is a hundredth"),
            GAMMA,
        ],
        GUIDED,
        &[BOUNDED],
    ],
    transfer: None,
    build: |o| {
        let default = Fmn::default();
        Ok(Box::new(Fmn {
            steps: o.count("steps", default.steps)?,
            step: o.number("step", default.step)?,
            gamma: o.value("gamma", default.gamma)?,
            draws: o.draws(default.draws)?,
            goal: o.bounded()?,
        }))
    },
};

fn nearest(o: &GivenOptions<'_>) -> Result<Goal> {
    match o.text("return").as_deref() {
        None | Some("first") => Ok(Goal::First),
        Some("nearest") => Ok(Goal::NearestAnywhere),
        Some(_) => Err(o.refuse("return", "first or nearest")),
    }
}

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
