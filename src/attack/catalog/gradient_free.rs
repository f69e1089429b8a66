//! The entries of attacks that ask for logits or labels alone. (Square, of AutoAttack, is in the list itself.)

use super::CatalogEntry;
use super::described::{BLIND, Described, STEP, STEPS};
use crate::Result;
use crate::attack::catalog::options::GivenOptions;
use crate::attack::methods::hopskipjump::HopSkipJump;
use crate::attack::methods::nes_pgd::NesPgd;
use crate::attack::methods::rays::RayS;
use crate::attack::methods::uniform::Uniform;
use crate::attack::stepper::Goal;

const NEAREST: Described = (
    "return",
    "first",
    "first: stop within eps; nearest: go on for the smallest perturbation, wherever it lies",
);

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
    bounded_by_steps: false,
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
    bounded_by_steps: false,
    build: |o| {
        let default = RayS::default();
        Ok(Box::new(RayS {
            queries: o.count("queries", default.queries)?,
            draws: o.draws(default.draws)?,
            goal: nearest(o)?,
        }))
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
    bounded_by_steps: false,
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

pub const UNIFORM: CatalogEntry = CatalogEntry {
    name: "uniform",
    summary: "random points of the ball, from labels alone: for very low-dimensional inputs",
    groups: &[&[("queries", "10000", "points asked about")], BLIND],
    transfer: None,
    bounded_by_steps: false,
    build: |o| {
        let default = Uniform::default();
        let queries = o.count("queries", default.queries)?;
        Ok(Box::new(Uniform { queries, draws: o.draws(default.draws)? }))
    },
};

fn nearest(o: &GivenOptions<'_>) -> Result<Goal> {
    match o.text("return").as_deref() {
        None | Some("first") => Ok(Goal::First),
        Some("nearest") => Ok(Goal::NearestAnywhere),
        Some(_) => Err(o.refuse("return", "first or nearest")),
    }
}
