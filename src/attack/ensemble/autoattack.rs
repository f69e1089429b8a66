//! AutoAttack: an ensemble of which every attack gets what the ones before it could not fool (Croce & Hein 2020,
//! "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks").

use crate::attack::candidate::Candidate;
use crate::attack::diagnostics::Diagnostics;
use crate::attack::ensemble::checks;
use crate::attack::geometry::norm::Norm;
use crate::attack::loss::Loss;
use crate::attack::methods::apgd::Apgd;
use crate::attack::methods::fab::Fab;
use crate::attack::methods::square::Square;
use crate::attack::search::{Attack, Search};
use crate::attack::stepper::{Budget, Goal};
use crate::attack::task::AttackTask;
use crate::attack::verification::confirm;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Which attacks the ensemble consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Version {
    /// APGD-CE, APGD-T, FAB-T, Square.
    #[default]
    Standard,
    /// APGD-CE and APGD-DLR with 5 restarts each, FAB with 5, Square, APGD-T, FAB-T.
    Plus,
    /// APGD-CE and APGD-DLR with 20 draws a step, for models that draw random numbers.
    Rand,
    /// As standard with 10 steps in the place of 100 and Square's windows rescaled: what the sleep papers ran.
    Published,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Plus => "plus",
            Self::Rand => "rand",
            Self::Published => "published",
        })
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Standard, Self::Plus, Self::Rand, Self::Published]
            .into_iter()
            .find(|version| version.to_string() == name)
            .ok_or_else(|| {
                let problem = format!("`{name}` is none of standard, plus, rand, published");
                Error::argument("autoattack version", problem)
            })
    }
}

/// The ensemble. What a sample's image was found by is noted in its [`Winner`](crate::attack::Winner).
#[derive(Clone, Debug, PartialEq)]
pub struct AutoAttack {
    /// Which attacks.
    pub version: Version,
    /// What APGD-CE maximizes: [`Loss::CrossEntropy`] in one of its forms.
    pub loss: Loss,
    /// Which misclassified point APGD returns: the first, or for transfer the latest ([`Goal::Latest`]).
    pub latest: bool,
}

impl Default for AutoAttack {
    fn default() -> Self {
        Self { version: Version::Standard, loss: Loss::CrossEntropy, latest: false }
    }
}

impl AutoAttack {
    /// The attacks in their order, for this norm.
    pub fn attacks(&self, norm: Norm) -> Vec<Box<dyn Attack>> {
        let steps = if self.version == Version::Published { 10 } else { 100 };
        let draws = if self.version == Version::Rand { 20 } else { 1 };
        let l1 = norm == Norm::L1;
        let (goal, fab_goal) =
            if self.latest { (Goal::Latest, Goal::Nearest) } else { (Goal::First, Goal::First) };
        let apgd = |loss, restarts| Apgd { loss, restarts, steps, draws, goal, ..Apgd::default() };
        let targets = if l1 { 5 } else { 9 };
        let apgd_t = Apgd { targets, ..apgd(Loss::TargetedDlr, 1) };
        let fab_t = Fab { steps, goal: fab_goal, ..Fab::default() };
        match self.version {
            Version::Standard | Version::Published => vec![
                Box::new(apgd(self.loss, if l1 { 5 } else { 1 })),
                Box::new(apgd_t),
                Box::new(fab_t),
                Box::new(Square {
                    rescale: self.version == Version::Published,
                    ..Square::default()
                }),
            ],
            Version::Plus => vec![
                Box::new(apgd(self.loss, 5)),
                Box::new(apgd(Loss::Dlr, 5)),
                Box::new(Fab { targets: 0, restarts: 5, ..fab_t.clone() }),
                Box::new(Square::default()),
                Box::new(apgd_t),
                Box::new(fab_t),
            ],
            Version::Rand => {
                vec![Box::new(apgd(self.loss, 1)), Box::new(apgd(Loss::Dlr, 1))]
            }
        }
    }

    /// How many of the samples that Square fooled no attack after it can fool, so that an order in which Square is
    /// not the last does not hide that it was the only one.
    fn square_alone(
        job: &AttackTask<'_>,
        candidates: &[Candidate],
        later: &[Box<dyn Attack>],
    ) -> Result<usize> {
        let by_square = candidates.iter().filter(|candidate| {
            candidate.hit.as_ref().is_some_and(|hit| hit.winner.name() == "square")
        });
        let mut left: Vec<usize> = by_square.map(|candidate| candidate.sample).collect();
        for attack in later {
            let search = attack.search(job, &left)?;
            let mut found = confirm(job, attack.as_ref(), &search.candidates)?.into_iter();
            left.retain(|_| !found.next().flatten().is_some_and(|found| found.fools));
        }
        Ok(left.len())
    }
}

impl Attack for AutoAttack {
    fn name(&self) -> &str {
        "autoattack"
    }

    fn draws(&self) -> usize {
        if self.version == Version::Rand { 20 } else { 1 }
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn returns_all(&self) -> bool {
        false
    }

    fn losses(&self) -> Vec<Loss> {
        self.attacks(Norm::Linf).iter().flat_map(|attack| attack.losses()).collect()
    }

    fn search(&self, job: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        let attacks = self.attacks(job.budget.norm);
        let mut diagnostics = Diagnostics {
            option_warnings: checks::classes(job.classifier.classes(), 9).into_iter().collect(),
            probabilities: checks::range(job, which),
            randomized: self.version != Version::Rand && checks::randomized(job, which)?,
            ..Diagnostics::default()
        };
        let mut candidates: Vec<Candidate> =
            which.iter().map(|&sample| Candidate::new(sample)).collect();
        // Places in `candidates` of what is still robust.
        let mut left: Vec<usize> = (0..which.len()).collect();
        // What fooled a random model in most of the draws and not in their mean, and in how few the model was right: what
        // the expected accuracy of a survivor is.
        let mut refuted = vec![(1.0, None); which.len()];
        for attack in &attacks {
            let samples: Vec<usize> = left.iter().map(|&place| which[place]).collect();
            let search = attack.search(job, &samples)?;
            let confirmations = confirm(job, attack.as_ref(), &search.candidates)?;
            let mut still = Vec::with_capacity(left.len());
            let draws = job.draws(attack.draws()) as u64;
            for ((&place, new), found) in left.iter().zip(search.candidates).zip(confirmations) {
                let candidate = &mut candidates[place];
                candidate.cost += new.cost;
                candidate.cost.forward_passes += u64::from(found.is_some()) * draws;
                candidate.invalid |= new.invalid;
                let fooled = found.as_ref().is_some_and(|found| found.fools);
                let right = found.map_or(1.0, |found| found.verdict.right);
                if fooled {
                    candidate.hit = new.hit;
                } else if right < refuted[place].0 {
                    refuted[place] = (right, new.hit);
                }
                if !fooled && !candidate.invalid {
                    still.push(place);
                }
            }
            left = still;
        }
        let last = attacks.iter().position(|attack| attack.name() == "square");
        let later = last.map_or(&[][..], |at| &attacks[at + 1..]);
        diagnostics.square_alone = Self::square_alone(job, &candidates, later)?;
        if job.classifier.is_random() {
            for place in left {
                candidates[place].hit = refuted[place].1.take();
            }
        }
        Ok(Search { candidates, diagnostics })
    }

    fn option_warnings(&self, _budget: &Budget) -> Vec<String> {
        Vec::new()
    }
}
