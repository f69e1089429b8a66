//! The entries of attacks that look for the smallest perturbation. (FAB, which is one of AutoAttack's, is in the list itself.)

use super::CatalogEntry;
use super::described::{BOUNDED, Described, GUIDED, STEPS};
use crate::attack::methods::carlini_wagner::CarliniWagner;
use crate::attack::methods::cw_linf::CarliniWagnerLinf;
use crate::attack::methods::ddn::Ddn;
use crate::attack::methods::deepfool::DeepFool;
use crate::attack::methods::fmn::Fmn;
use crate::attack::methods::sigma_zero::SigmaZero;

const GAMMA: Described = ("gamma", "0.05", "by which share the radius changes in a step");

const KAPPA: Described = ("kappa", "0", "required margin of the misclassification");
const RATE: Described = ("rate", "0.01", "Adam's learning rate");

pub const CW: CatalogEntry = CatalogEntry {
    name: "cw",
    summary: "Carlini & Wagner's minimal perturbation in l2",
    groups: &[
        &[
            (
                "form",
                "canonical",
                "canonical: search over c; published: c=1, 100 steps, black and white pixels fixed, every image stops by itself \
             when its cost has risen (the original stops the whole batch when its sum has)",
            ),
            ("steps", "1000", "steps for one c"),
            ("search", "9", "values of c"),
            ("c", "0.001", "the first c"),
            KAPPA,
            RATE,
        ],
        GUIDED,
        &[BOUNDED],
    ],
    transfer: None,
    bounded_by_steps: false,
    build: |o| {
        let default = match o.text("form").as_deref() {
            None | Some("canonical") => CarliniWagner::default(),
            Some("published") => CarliniWagner::published(),
            Some(_) => return Err(o.refuse("form", "canonical or published")),
        };
        Ok(Box::new(CarliniWagner {
            steps: o.count("steps", default.steps)?,
            search_steps: o.count("search", default.search_steps)?,
            c: o.value("c", default.c)?,
            kappa: o.value("kappa", default.kappa)?,
            learning_rate: o.value("rate", default.learning_rate)?,
            draws: o.draws(default.draws)?,
            goal: o.bounded()?,
            ..default
        }))
    },
};

pub const DEEPFOOL: CatalogEntry = CatalogEntry {
    name: "deepfool",
    summary: "to the nearest linearized boundary, again and again, linf or l2",
    groups: &[
        &[
            ("steps", "50", STEPS.2),
            ("overshoot", "0.02", "by how much the sum of the steps is stretched"),
        ],
        GUIDED,
        &[BOUNDED],
    ],
    transfer: None,
    bounded_by_steps: false,
    build: |o| {
        let default = DeepFool::default();
        Ok(Box::new(DeepFool {
            steps: o.count("steps", default.steps)?,
            overshoot: o.value("overshoot", default.overshoot)?,
            draws: o.draws(default.draws)?,
            goal: o.bounded()?,
        }))
    },
};

pub const CW_LINF: CatalogEntry = CatalogEntry {
    name: "cw-linf",
    summary: "Carlini & Wagner's minimal perturbation in linf",
    groups: &[
        &[
            ("steps", "100", "steps for one bound on pixels"),
            ("search", "20", "bounds tried, and weights of the misclassification tried"),
            KAPPA,
            RATE,
        ],
        GUIDED,
        &[BOUNDED],
    ],
    transfer: None,
    bounded_by_steps: false,
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
    bounded_by_steps: false,
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
    bounded_by_steps: false,
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
    bounded_by_steps: false,
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
