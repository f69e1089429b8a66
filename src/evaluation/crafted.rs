//! Transfer: images crafted on one model and shown to others.

use crate::attack::extend::{AttackTask, Candidate, Hit, Search};
use crate::attack::geometry::ball::{distance, keeps, near_box};
use crate::attack::{
    ATTACKS, Attack, AttackInfo, AttackReport, Budget, Classifier, Cost, Diagnostics, Effort, Norm,
    Outcome, Samples, Status, Winner, run_attack, run_classified,
};
use crate::tensor::Context;
use crate::{Error, Result};

/// What an attack made of some samples, to be shown to other models.
#[derive(Clone, Debug, PartialEq)]
pub struct Crafted {
    pub(super) samples: Samples,
    /// The images, each with who made it and what that took.
    pub(super) images: Vec<Image>,
    pub(super) attack: String,
    pub(super) budget: Budget,
    /// Whether the file states that radius; else it is the largest change that was measured.
    pub(super) stated: bool,
    pub(super) bounded: bool,
    /// The class that counts as success; None: any but the label.
    pub(super) target: Option<usize>,
    pub(super) diagnostics: Diagnostics,
}

/// The doubt about a set that does not say its radius.
pub(super) const UNSAID: &str = "the set does not say which attack made it, and within which radius: eps is its largest change of a pixel, \
     unless another one is given";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    pub pixels: Vec<f32>,
    pub winner: Option<Winner>,
    pub cost: Cost,
}

const RANDOM_MAKER: &str = "the network that the images were crafted on gives different answers to the same images: it seems to \
                            be randomized; craft them with autoattack:version=rand";

impl Crafted {
    /// Attacks `source`. What is shown to others is what the attack returned: with a goal that ends at the first
    /// success, clean images where there was none; see [`AttackSpec::transfer_form`](crate::attack::AttackSpec::transfer_form).
    ///
    /// # Errors
    /// Those of [`run_attack`], and if the source's logits for an image are not finite: what comes of that would be a clean
    /// image, and every model robust.
    pub fn craft(
        context: &Context,
        source: &dyn Classifier,
        samples: &Samples,
        attack: &dyn Attack,
        budget: Budget,
    ) -> Result<Self> {
        let report = run_attack(context, source, samples, attack, budget)?;
        let invalid = report.count(Status::Invalid);
        if invalid > 0 {
            return Err(Error::NotFinite {
                place: format!("crafting by {}", report.attack),
                problem: format!(
                    "the source returned logits that are not finite for {invalid} of {} samples: its weights, or \
                     numbers among the attack's options, are damaged or far too large",
                    samples.len()
                ),
            });
        }
        let mut crafted = Self::of(samples, &report, &attack.info());
        if crafted.diagnostics.randomized {
            // These are of the model it was crafted on, not of the one that it is shown to.
            crafted.diagnostics.option_warnings.push(RANDOM_MAKER.to_owned());
        }
        Ok(crafted)
    }

    /// The images of a report on these samples by this attack.
    pub fn of(samples: &Samples, report: &AttackReport, attack: &AttackInfo) -> Self {
        let image = |outcome: &Outcome| Image {
            pixels: outcome.image.clone(),
            winner: outcome.winner.clone(),
            cost: outcome.cost,
        };
        Self {
            samples: samples.clone(),
            images: report.outcomes.iter().map(image).collect(),
            attack: report.attack.clone(),
            budget: report.budget,
            stated: true,
            bounded: attack.bounded,
            target: attack.target,
            diagnostics: report.diagnostics.clone(),
        }
    }

    /// What `model` makes of the images: of every sample that it classifies correctly, whether the image crafted from it
    /// fools it. Where the images were steered at one [class](Self::target), only that class counts, and samples of
    /// it are not shown. The costs are those of crafting and showing together.
    ///
    /// An image that lies outside of the box, or of the ball if that bounded the attack, by more than rounding (1e-6; in
    /// L1 and L2 also a hundred-thousandth of the radius) is [`Status::Outside`]: it says nothing about robustness within.
    ///
    /// # Errors
    /// If the images do not fit the model, or it cannot be evaluated.
    pub fn show(&self, context: &Context, model: &dyn Classifier) -> Result<AttackReport> {
        self.shown(context, model, None, &|_| Status::Outside)
    }

    /// As [`show`](Self::show), to a model whose answers to the clean images are known: `clean` are the outcomes of
    /// [`classify`] on the same samples, so that these are not shown again. The costs are without them. For a model that
    /// draws random numbers, whose answers depend on the seed, use [`show`](Self::show).
    ///
    /// # Errors
    /// Those of [`show`](Self::show), and if the outcomes are of other samples.
    pub fn show_classified(
        &self,
        context: &Context,
        model: &dyn Classifier,
        clean: &[Outcome],
    ) -> Result<AttackReport> {
        let known = clean.iter().map(|outcome| outcome.id);
        if !known.eq(self.samples.ids().iter().copied()) {
            let problem = "the clean outcomes are of other samples than the crafted images";
            return Err(Error::argument("evaluation", problem));
        }
        self.shown(context, model, Some(clean), &|_| Status::Outside)
    }

    /// As [`show`](Self::show), but what lies outside counts by the model's answer alone; a warning says how many those
    /// are.
    ///
    /// # Errors
    /// Those of [`show`](Self::show).
    pub fn show_wherever(&self, context: &Context, model: &dyn Classifier) -> Result<AttackReport> {
        let outside = std::cell::Cell::new(0_usize);
        let mut report = self.shown(context, model, None, &|outcome| {
            outside.set(outside.get() + 1);
            let finite = outcome.image.iter().all(|pixel| pixel.is_finite());
            let class = outcome.prediction;
            match self.target.map_or(class != outcome.label, |target| class == target) {
                _ if outcome.status == Status::Invalid || !finite => Status::Invalid,
                true => Status::Fooled,
                false => Status::Survived,
            }
        })?;
        if outside.get() > 0 {
            report.diagnostics.option_warnings.push(format!(
                "{} of the images lie outside of 0..=1, or farther than eps from the clean ones; they were counted by \
                 the model's answer alone",
                outside.get()
            ));
            report.renew_warnings();
        }
        Ok(report)
    }

    fn shown(
        &self,
        context: &Context,
        model: &dyn Classifier,
        clean: Option<&[Outcome]>,
        outside: &dyn Fn(&Outcome) -> Status,
    ) -> Result<AttackReport> {
        let (samples, shown) = (&self.samples, ShownSet(self));
        let mut report = match clean {
            None => run_attack(context, model, samples, &shown, self.budget)?,
            Some(clean) => run_classified(context, model, samples, &shown, self.budget, clean)?,
        };
        for (i, (outcome, image)) in report.outcomes.iter_mut().zip(&self.images).enumerate() {
            outcome.cost += image.cost;
            // Whatever was shown has a finder.
            let asked = outcome.winner.is_some() && outcome.status != Status::CleanWrong;
            if asked && !self.is_inside(i) {
                outcome.status = outside(outcome);
            }
        }
        report.renew_warnings();
        Ok(report)
    }

    /// The same images, to be shown with the random numbers of another seed: to a random model other draws.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.budget.seed = seed;
        self
    }

    /// The same images, held to a radius that the caller states, whatever the set says or leaves out: what lies farther
    /// away is [`Status::Outside`], also if no radius bounded the attack. Where the attack was bound to a smaller ball, or
    /// looked in another norm, the reports of [`show`](Self::show) warn that no attack looked in this one.
    pub fn within(mut self, norm: Norm, eps: f32) -> Self {
        let its = self.budget;
        let elsewhere = its.norm != norm || (self.bounded && its.eps < eps);
        if self.stated && elsewhere {
            let ball = |norm, eps: f32| format!("{norm}, eps {eps}");
            let made = match self.bounded {
                true => ball(its.norm, its.eps),
                false => its.norm.to_string(),
            };
            self.diagnostics.option_warnings.push(format!(
                "the images were crafted in {made}, and no attack was run in {}: the robust accuracy there is at most \
                 this one",
                ball(norm, eps)
            ));
        }
        (self.budget.norm, self.budget.eps, self.bounded) = (norm, eps, true);
        self.stated = true;
        self
    }

    /// Whether the radius was stated; else it is the largest change that was measured.
    pub fn is_stated(&self) -> bool {
        self.stated
    }

    /// How far image `i` lies from the clean one in the norm, and its farthest pixel from 0..=1.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn reach(&self, i: usize) -> (f64, f64) {
        let (image, clean) = (self.image(i), self.samples.image(i));
        let overshoot = |&pixel: &f32| f64::from(pixel - pixel.clamp(0.0, 1.0)).abs();
        (distance(self.budget.norm, image, clean), image.iter().map(overshoot).fold(0.0, f64::max))
    }

    /// Whether image `i` lies in the box and, if the ball bounded the attack, in the ball.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn is_inside(&self, i: usize) -> bool {
        let (image, clean) = (self.image(i), self.samples.image(i));
        let boxed = image.iter().all(|&pixel| near_box(pixel));
        let Budget { norm, eps, .. } = self.budget;
        boxed && (!self.bounded || keeps(norm, eps, distance(norm, image, clean)))
    }

    /// The clean images.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The crafted image of sample `i`, `[channel][y][x]`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn image(&self, i: usize) -> &[f32] {
        &self.images[i].pixels
    }

    /// The attack's name.
    pub fn attack(&self) -> &str {
        &self.attack
    }

    /// Norm, radius, seed.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Whether the radius bounded the attack.
    pub fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// The class that the images were steered at, which alone counts as success; None: any but the label.
    pub fn target(&self) -> Option<usize> {
        self.target
    }
}

/// The attack that returns what was crafted before.
struct ShownSet<'a>(&'a Crafted);

impl Attack for ShownSet<'_> {
    fn info(&self) -> AttackInfo {
        let Crafted { attack, bounded, target, .. } = self.0;
        let (bounded, target) = (*bounded, *target);
        AttackInfo { bounded, target, returns_all: true, random: false, ..AttackInfo::of(attack) }
    }

    fn effort(&self, _norm: Norm, _classes: usize) -> Effort {
        Effort::default()
    }

    fn search(&self, task: &AttackTask<'_>, which: &[usize]) -> Result<Search> {
        let candidate = |&sample: &usize| {
            let image = &self.0.images[sample];
            let found = image.winner.clone();
            let mut winner = found.unwrap_or(Winner {
                attack: "crafted".into(),
                restart: 0,
                target: None,
                iteration: 0,
            });
            // A file may name anything as its attack.
            if !ATTACKS.iter().any(|entry| entry.name == winner.name()) {
                winner.attack = "crafted".into();
            }
            let hit = Hit { image: image.pixels.clone(), winner };
            Candidate { hit: Some(hit), ..Candidate::new(sample) }
        };
        let candidates = which.iter().map(candidate).collect();
        // Those of the target class are counted anew, of this model; whether the maker is random says nothing about it.
        let ours = self.0.diagnostics.clone();
        let randomized = ours.randomized && task.classifier.is_random();
        let diagnostics = Diagnostics { of_target: 0, refuted: 0, changed: 0, randomized, ..ours };
        Ok(Search { candidates, diagnostics })
    }

    fn option_warnings(&self, _budget: &Budget) -> Vec<String> {
        if self.0.stated { Vec::new() } else { vec![UNSAID.to_owned()] }
    }
}

/// What a model makes of clean images: an attack that does nothing.
///
/// # Errors
/// If the images do not fit the model, or it cannot be evaluated.
pub fn classify(
    context: &Context,
    model: &dyn Classifier,
    samples: &Samples,
    seed: u64,
) -> Result<AttackReport> {
    let budget = Budget { norm: Norm::Linf, eps: 0.0, seed };
    run_attack(context, model, samples, &Untouched, budget)
}

/// The attack that does nothing.
struct Untouched;

impl Attack for Untouched {
    fn info(&self) -> AttackInfo {
        AttackInfo { random: false, ..AttackInfo::of("clean") }
    }

    fn effort(&self, _norm: Norm, _classes: usize) -> Effort {
        Effort::default()
    }

    fn search(&self, _task: &AttackTask<'_>, _which: &[usize]) -> Result<Search> {
        Ok(Search::default())
    }

    fn option_warnings(&self, _budget: &Budget) -> Vec<String> {
        Vec::new()
    }
}
