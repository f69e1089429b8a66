//! AutoAttack: an ensemble of which every attack gets what the ones before it could not fool (Croce & Hein 2020,
//! "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks").

use crate::attack::attack_info::AttackInfo;
use crate::attack::attack_trait::{Attack, Search};
use crate::attack::candidate::Candidate;
use crate::attack::changed_options::{ChangedOptions, described};
use crate::attack::checks;
use crate::attack::diagnostics::{Diagnostics, FoundBy};
use crate::attack::effort::Effort;
use crate::attack::ensemble::member::Member;
use crate::attack::ensemble::spiking;
use crate::attack::estimator_text;
use crate::attack::geometry::norm::Norm;
use crate::attack::loss::Loss;
use crate::attack::methods::apgd::Apgd;
use crate::attack::methods::fab::Fab;
use crate::attack::methods::square::Square;
use crate::attack::stepper::{Budget, Goal};
use crate::attack::task::AttackTask;
use crate::attack::verification::confirm;
use crate::{Error, Result};
use std::fmt;
use std::ops::Add;
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
    /// For spiking networks: gradients by every published estimate of those of spikes, then scores, labels, and images
    /// that fool the network of rectifiers with the same weights.
    Spiking,
    /// The strongest of these, and a short Square.
    SpikingFast,
    /// As standard with 10 steps in the place of 100 and Square's windows rescaled: what the sleep papers ran.
    Published,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Standard, Self::Plus, Self::Rand, Self::Spiking, Self::SpikingFast, Self::Published];

    /// Whether it is for spiking networks.
    pub fn is_spiking(self) -> bool {
        matches!(self, Self::Spiking | Self::SpikingFast)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Plus => "plus",
            Self::Rand => "rand",
            Self::Spiking => "spiking",
            Self::SpikingFast => "spiking-fast",
            Self::Published => "published",
        })
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let all = Self::ALL.map(|version| version.to_string());
        let place = all.iter().position(|version| version == name).ok_or_else(|| {
            let problem = format!("`{name}` is none of {}", all.join(", "));
            Error::argument("autoattack version", problem)
        })?;
        Ok(Self::ALL[place])
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
    pub fn members(&self, norm: Norm) -> Vec<Member> {
        let steps = if self.version == Version::Published { 10 } else { 100 };
        let draws = if self.version == Version::Rand { 20 } else { 1 };
        let l1 = norm == Norm::L1;
        let (goal, fab_goal) =
            if self.latest { (Goal::Latest, Goal::Nearest) } else { (Goal::First, Goal::First) };
        let apgd = |loss, restarts| Apgd { loss, restarts, steps, draws, goal, ..Apgd::default() };
        let targets = if l1 { 5 } else { 9 };
        let apgd_t = Apgd { targets, ..apgd(Loss::TargetedDlr, 1) };
        let fab_t = Fab { steps, goal: fab_goal, ..Fab::default() };
        let square = Square { rescale: self.version == Version::Published, ..Square::default() };
        let attacks: Vec<Box<dyn Attack>> = match self.version {
            Version::Standard | Version::Published => vec![
                Box::new(apgd(self.loss, if l1 { 5 } else { 1 })),
                Box::new(apgd_t),
                Box::new(fab_t),
                Box::new(square),
            ],
            Version::Plus => vec![
                Box::new(apgd(self.loss, 5)),
                Box::new(apgd(Loss::Dlr, 5)),
                Box::new(Fab { targets: 0, restarts: 5, ..fab_t.clone() }),
                Box::new(square),
                Box::new(apgd_t),
                Box::new(fab_t),
            ],
            Version::Rand => {
                vec![Box::new(apgd(self.loss, 1)), Box::new(apgd(Loss::Dlr, 1))]
            }
            Version::Spiking | Version::SpikingFast => {
                let fast = self.version == Version::SpikingFast;
                return spiking::members(norm, self.loss, goal, fast);
            }
        };
        attacks.into_iter().map(Member::of).collect()
    }

    /// Whether all of its attacks do.
    fn exists_in(&self, norm: Norm) -> bool {
        self.members(norm).iter().all(|member| member.attack.info().norms.contains(&norm))
    }

    /// How many of the samples that Square fooled, at these places, no attack after it can fool, so that an order in
    /// which Square is not the last does not hide that it was the only one.
    fn square_alone(
        task: &AttackTask<'_>,
        candidates: &mut [Candidate],
        by_square: Vec<usize>,
        later: &[Member],
    ) -> Result<usize> {
        let mut left = by_square;
        for member in later {
            let samples: Vec<usize> = left.iter().map(|&place| candidates[place].sample).collect();
            let (attack, search) = (member.attack.info(), member.search(task, &samples)?);
            let found = confirm(task, &attack, &search.candidates)?;
            let draws = task.draws(attack.draws) as u64;
            for ((&place, tried), found) in left.iter().zip(search.candidates).zip(&found) {
                let cost = &mut candidates[place].cost;
                *cost += tried.cost;
                cost.forward_passes += u64::from(found.is_some()) * draws;
            }
            let mut found = found.into_iter();
            left.retain(|_| !found.next().flatten().is_some_and(|found| found.fools));
        }
        Ok(left.len())
    }
}

impl Attack for AutoAttack {
    fn info(&self) -> AttackInfo {
        let members = self.members(Norm::Linf);
        AttackInfo {
            draws: if self.version == Version::Rand { 20 } else { 1 },
            norms: Norm::ALL.into_iter().filter(|&norm| self.exists_in(norm)).collect(),
            losses: members.iter().flat_map(|member| member.attack.info().losses).collect(),
            needs_gradients: true,
            is_ensemble: true,
            needs_spikes: self.version.is_spiking(),
            description: ChangedOptions::none()
                .unless(Version::Standard, "version", self.version)
                .unless(Loss::CrossEntropy.name(), "loss", self.loss.name())
                .unless("first", "return", if self.latest { "latest" } else { "first" })
                .of("autoattack"),
            ..AttackInfo::of("autoattack")
        }
    }

    fn effort(&self, norm: Norm, classes: usize) -> Effort {
        let members = self.members(norm).into_iter();
        members
            .map(|member| member.attack.effort(norm, classes))
            .fold(Effort::default(), Effort::add)
    }

    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        let members = self.members(task.budget.norm);
        let asks = self.version != Version::Rand;
        let mut diagnostics = Diagnostics {
            option_warnings: checks::classes(task.classifier.classes(), 9).into_iter().collect(),
            randomized: asks && checks::randomized(task, which)?,
            ..Diagnostics::default()
        };
        let mut candidates: Vec<Candidate> =
            which.iter().map(|&sample| Candidate::new(sample)).collect();
        if asks {
            candidates.iter_mut().for_each(|c| c.cost.forward_passes += checks::PASSES);
        }
        // Places in `candidates` of what is still robust.
        let mut left: Vec<usize> = (0..which.len()).collect();
        // What fooled a random model in most of the draws and not in their mean, and in how few the model was right: what
        // the expected accuracy of a survivor is.
        let mut refuted = vec![(1.0, None); which.len()];
        // The first that sees no gradient, and what it alone fooled of what was left.
        let blind = |member: &Member| !member.transfer && !member.needs_gradients();
        let square = members.iter().position(blind);
        let mut by_square = Vec::new();
        for (at, member) in members.iter().enumerate() {
            let attack = member.attack.info();
            let samples: Vec<usize> = left.iter().map(|&place| which[place]).collect();
            let search = member.search(task, &samples)?;
            let confirmations = confirm(task, &attack, &search.candidates)?;
            let mut still = Vec::with_capacity(left.len());
            let before = left.len();
            let draws = task.draws(attack.draws) as u64;
            for ((&place, new), found) in left.iter().zip(search.candidates).zip(confirmations) {
                let candidate = &mut candidates[place];
                candidate.cost += new.cost;
                candidate.cost.forward_passes += u64::from(found.is_some()) * draws;
                candidate.invalid |= new.invalid;
                let fooled = found.as_ref().is_some_and(|found| found.fools);
                let right = found.map_or(1.0, |found| found.verdict.right);
                if fooled {
                    candidate.hit = new.hit;
                    by_square.extend((square == Some(at)).then_some(place));
                } else if right < refuted[place].0 {
                    refuted[place] = (right, new.hit);
                }
                if !fooled && !candidate.invalid {
                    still.push(place);
                }
            }
            left = still;
            // What estimator it follows: one that it brings, or that of the whole ensemble.
            let given = !attack.needs_spikes && !attack.losses.is_empty() && !member.transfer;
            let own = given && task.estimator.is_own();
            let label = match given && !own {
                true => {
                    described(&member.label(&members), &estimator_text::options(&task.estimator))
                }
                false => member.label(&members),
            };
            diagnostics.found_by.push(FoundBy { attack: label, found: before - left.len(), own });
        }
        // Attacks with gradients that come after Square may fool what it fooled.
        let later = square.filter(|_| !self.version.is_spiking());
        let later = later.map_or(&[][..], |at| &members[at + 1..]);
        diagnostics.square_alone = Self::square_alone(task, &mut candidates, by_square, later)?;
        if task.classifier.is_random() {
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
