//! Attacks by name, with options: `pgd:steps=40,restarts=5`.

mod canonical;
mod described;
mod gradient;
mod gradient_free;
mod minimal;
mod momentum;
mod options;
mod parse;
mod spec;

pub use parse::{parse_attack, parse_eps};
pub use spec::AttackSpec;

use crate::Result;
use crate::attack::attack_trait::Attack;
use crate::attack::catalog::described::{
    BLIND, CROSS_ENTROPY, Described, GRADIENT, GUIDED, JITTER, LATEST, POOL, RESTARTS, STEPS, TIME,
};
use crate::attack::catalog::options::GivenOptions;
use crate::attack::ensemble::autoattack::{AutoAttack, Version};
use crate::attack::loss::Loss;
use crate::attack::methods::apgd::Apgd;
use crate::attack::methods::fab::Fab;
use crate::attack::methods::jitter::Jittered;
use crate::attack::methods::square::Square;
use crate::attack::stepper::{Goal, Stepper};

/// An attack that can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct CatalogEntry {
    /// The name.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
    groups: &'static [&'static [Described]],
    /// The option that makes it fit to craft images for other models, where there is one: an image on the very boundary
    /// of one network seldom fools another.
    pub transfer: Option<&'static str>,
    /// Whether it starts at the image and moves by its steps alone: it gets no further than their sum.
    bounded_by_steps: bool,
    build: fn(&mut GivenOptions<'_>) -> Result<Box<dyn Attack>>,
}

impl CatalogEntry {
    /// Its options: key, default, meaning.
    pub fn options(&self) -> impl Iterator<Item = &'static Described> {
        self.groups.iter().copied().flatten()
    }
}

/// All attacks, with their options. Those of AutoAttack are here, the others in the files beside this one.
pub const ATTACKS: &[CatalogEntry] = &[
    gradient::FGSM,
    gradient::BIM,
    gradient::PGD,
    gradient::EOT_PGD,
    CatalogEntry {
        name: "apgd-ce",
        summary: "auto-PGD on the cross-entropy",
        groups: &[&[CROSS_ENTROPY, ("steps", "100", STEPS.2), RESTARTS], GUIDED, &[JITTER, LATEST]],
        transfer: Some("return=latest"),
        bounded_by_steps: false,
        build: |o| {
            let loss = o.cross_entropy()?;
            apgd(o, loss)
        },
    },
    CatalogEntry {
        name: "apgd-dlr",
        summary: "auto-PGD on the difference of logits ratio",
        groups: &[&[("steps", "100", STEPS.2), RESTARTS], GUIDED, &[JITTER, LATEST]],
        transfer: Some("return=latest"),
        bounded_by_steps: false,
        build: |o| apgd(o, Loss::Dlr),
    },
    CatalogEntry {
        name: "apgd-t",
        summary: "auto-PGD on a targeted loss, the likeliest wrong classes one after the other",
        groups: &[
            &[
                ("loss", "targeted-dlr", "targeted-dlr, targeted-ce or difference"),
                ("steps", "100", STEPS.2),
                RESTARTS,
                ("targets", "9", "wrong classes"),
            ],
            GUIDED,
            &[JITTER, LATEST],
        ],
        transfer: Some("return=latest"),
        bounded_by_steps: false,
        build: |o| {
            let loss = o.loss(Loss::TargetedDlr)?;
            if !loss.is_targeted() {
                return Err(o.refuse("loss", "targeted-dlr, targeted-ce or difference"));
            }
            apgd(o, loss)
        },
    },
    CatalogEntry {
        name: "fab",
        summary: "minimal perturbation along the boundary, all classes at once",
        groups: &[
            &[("steps", "100", STEPS.2), RESTARTS],
            GUIDED,
            &[("return", "nearest", "nearest or first")],
        ],
        transfer: None,
        bounded_by_steps: false,
        build: |o| fab(o, Fab { targets: 0, ..Fab::default() }),
    },
    CatalogEntry {
        name: "fab-t",
        summary: "minimal perturbation along the boundary, one wrong class a run",
        groups: &[
            &[("steps", "100", STEPS.2), RESTARTS, ("targets", "9", "wrong classes")],
            GUIDED,
            &[("return", "nearest", "nearest or first")],
        ],
        transfer: None,
        bounded_by_steps: false,
        build: |o| fab(o, Fab::default()),
    },
    CatalogEntry {
        name: "square",
        summary: "random search from scores alone",
        groups: &[
            &[
                ("queries", "5000", "images evaluated in a run"),
                RESTARTS,
                ("p", "0.8", "share of pixels in the first windows"),
                ("rescale", "no", "yes: windows shrink as over 10,000 queries"),
                (
                    "ties",
                    "reject",
                    "accept: proposals of exactly the best margin are kept, for models whose margins are steps",
                ),
                (
                    "refill",
                    "no",
                    "yes: l2 uses up what the box cuts off (stronger than the original)",
                ),
            ],
            BLIND,
        ],
        transfer: None,
        bounded_by_steps: false,
        build: |o| {
            let default = Square::default();
            Ok(Box::new(Square {
                queries: o.count("queries", default.queries)?,
                restarts: o.count("restarts", default.restarts)?,
                p: o.value("p", default.p)?,
                rescale: o.flag("rescale", default.rescale)?,
                accept_ties: o.ties()?,
                refill: o.flag("refill", default.refill)?,
                draws: o.draws(default.draws)?,
            }))
        },
    },
    minimal::CW,
    minimal::DEEPFOOL,
    momentum::SA_PGD,
    gradient_free::NES_PGD,
    gradient_free::RAYS,
    gradient_free::HOPSKIPJUMP,
    gradient_free::UNIFORM,
    momentum::MI_FGSM,
    momentum::NI_FGSM,
    momentum::VMI_FGSM,
    momentum::DI_FGSM,
    minimal::CW_LINF,
    minimal::DDN,
    minimal::FMN,
    minimal::SIGMA_ZERO,
    CatalogEntry {
        name: "autoattack",
        summary: "APGD-CE, APGD-T, FAB-T and Square, each on what the others left",
        groups: &[&[
            (
                "version",
                "standard",
                "standard, plus, rand, published (10 steps), or for spiking networks spiking or spiking-fast",
            ),
            ("loss", "ce", "of APGD-CE: ce, ce-scaled or ce-f32"),
            GRADIENT,
            POOL,
            TIME,
            LATEST,
        ]],
        transfer: Some("return=latest"),
        bounded_by_steps: false,
        build: |o| {
            let version: Version = o.value("version", AutoAttack::default().version)?;
            if version.is_spiking() && o.estimator()?.is_some() {
                return Err(o.refuse("version", "another: its attacks bring their own estimators"));
            }
            let (loss, goal) = (o.cross_entropy()?, o.goal(Goal::Latest)?);
            Ok(Box::new(AutoAttack { version, loss, latest: goal == Goal::Latest }))
        },
    },
];

/// The attack, on jittered gradients if they are asked for.
fn boxed<S: Stepper + 'static>(o: &GivenOptions<'_>, attack: S) -> Result<Box<dyn Attack>> {
    Ok(match o.jitter()? {
        Some((size, points)) => Box::new(Jittered { attack, size, points }),
        None => Box::new(attack),
    })
}

fn apgd(o: &mut GivenOptions<'_>, loss: Loss) -> Result<Box<dyn Attack>> {
    let default = Apgd::default();
    let attack = Apgd {
        loss,
        steps: o.count("steps", default.steps)?,
        restarts: o.count("restarts", default.restarts)?,
        targets: o.count("targets", default.targets)?,
        goal: o.goal(Goal::Latest)?,
        draws: o.evaluations(default.draws)?,
        ..default
    };
    boxed(o, attack)
}

fn fab(o: &mut GivenOptions<'_>, default: Fab) -> Result<Box<dyn Attack>> {
    let goal = match o.text("return").as_deref() {
        None | Some("nearest") => Goal::Nearest,
        Some("first") => Goal::First,
        Some(_) => return Err(o.refuse("return", "nearest or first")),
    };
    let targets = if default.targets == 0 { 0 } else { o.count("targets", default.targets)? };
    if default.targets > 0 && targets == 0 {
        return Err(o.refuse("targets", "1 or more; for no target use fab"));
    }
    Ok(Box::new(Fab {
        steps: o.count("steps", default.steps)?,
        restarts: o.count("restarts", default.restarts)?,
        targets,
        draws: o.draws(default.draws)?,
        goal,
        ..default
    }))
}
