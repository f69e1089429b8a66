//! Attacks by name, with options: `pgd:steps=40,restarts=5`.

mod described;
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
    BLIND, BOUNDED, CROSS_ENTROPY, DRAWS, Described, GRADIENT, GUIDED, JITTER, LATEST, LOSS, POOL,
    RESTARTS, RETURN, START, STEP, STEPS, TARGET, TIME,
};
use crate::attack::catalog::options::GivenOptions;
use crate::attack::ensemble::autoattack::{AutoAttack, Version};
use crate::attack::loss::Loss;
use crate::attack::methods::apgd::Apgd;
use crate::attack::methods::bim::bim;
use crate::attack::methods::carlini_wagner::CarliniWagner;
use crate::attack::methods::deepfool::DeepFool;
use crate::attack::methods::eot_pgd::eot_pgd;
use crate::attack::methods::fab::Fab;
use crate::attack::methods::fgsm::Fgsm;
use crate::attack::methods::jitter::Jittered;
use crate::attack::methods::pgd::Pgd;
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
    build: fn(&mut GivenOptions<'_>) -> Result<Box<dyn Attack>>,
}

impl CatalogEntry {
    /// Its options: key, default, meaning.
    pub fn options(&self) -> impl Iterator<Item = &'static Described> {
        self.groups.iter().copied().flatten()
    }
}

/// All attacks, with their options.
pub const ATTACKS: &[CatalogEntry] = &[
    CatalogEntry {
        name: "fgsm",
        summary: "one step of eps along the sign of the gradient",
        groups: &[&[LOSS], GUIDED, &[RETURN]],
        transfer: Some("return=last"),
        build: |o| {
            let loss = o.loss(Loss::CrossEntropy)?;
            Ok(Box::new(Fgsm { loss, draws: o.draws(1)?, goal: o.goal(Goal::Last)? }))
        },
    },
    CatalogEntry {
        name: "bim",
        summary: "iterated FGSM from the image itself",
        groups: &[
            &[LOSS, ("steps", "10", STEPS.2), ("step", "0.2eps", STEP.2)],
            GUIDED,
            &[JITTER, RETURN],
        ],
        transfer: Some("return=last"),
        build: |o| pgd(o, bim()),
    },
    CatalogEntry {
        name: "pgd",
        summary: "projected gradient ascent from random points",
        groups: &[&[LOSS, STEPS, STEP, RESTARTS, START], GUIDED, &[JITTER, RETURN]],
        transfer: Some("return=last"),
        build: |o| pgd(o, Pgd::default()),
    },
    CatalogEntry {
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
        build: |o| pgd(o, eot_pgd()),
    },
    CatalogEntry {
        name: "apgd-ce",
        summary: "auto-PGD on the cross-entropy",
        groups: &[&[CROSS_ENTROPY, ("steps", "100", STEPS.2), RESTARTS], GUIDED, &[JITTER, LATEST]],
        transfer: Some("return=latest"),
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
    CatalogEntry {
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
                ("kappa", "0", "required margin of the misclassification"),
                ("rate", "0.01", "Adam's learning rate"),
            ],
            GUIDED,
            &[BOUNDED],
        ],
        transfer: None,
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
    },
    CatalogEntry {
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
        build: |o| {
            let default = DeepFool::default();
            Ok(Box::new(DeepFool {
                steps: o.count("steps", default.steps)?,
                overshoot: o.value("overshoot", default.overshoot)?,
                draws: o.draws(default.draws)?,
                goal: o.bounded()?,
            }))
        },
    },
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

fn pgd(o: &mut GivenOptions<'_>, default: Pgd) -> Result<Box<dyn Attack>> {
    let start = match o.text("start") {
        None => default.start,
        Some(name) => {
            name.parse().map_err(|_| o.refuse("start", "random, clean, gray or corner"))?
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
