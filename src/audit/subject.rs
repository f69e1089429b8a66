//! The model under audit, the images that it classifies rightly, and what became of them.

use super::report::{Attacked, Check, Finding};
use super::stages::{AuditStage, Chosen};
use super::statistics::interval;
use crate::attack::geometry::ball::distance;
use crate::attack::{
    Answer, Attack, Budget, Classifier, DrawnLogits, Norm, Outcome, Point, Probe, Samples, Status,
    run_attack,
};
use crate::nn::{decision_noise, predict};
use crate::simd::random::Key;
use crate::tensor::Context;
use crate::{Error, Result};

/// The model under audit.
pub(super) struct Subject<'a> {
    pub context: &'a Context,
    pub model: &'a dyn Classifier,
    /// Images that it classifies rightly.
    pub samples: Samples,
    pub budget: Budget,
    /// Where they are among all images.
    pub chosen: Chosen,
    /// Which of the samples were fooled by anything.
    pub fooled: Vec<bool>,
    pub attacks: Vec<Attacked>,
    /// Claims of attacks that a second look refutes.
    pub refuted: usize,
}

impl<'a> Subject<'a> {
    /// A model and the images that were chosen for it.
    ///
    /// # Errors
    /// If there are no such images.
    pub fn new(
        context: &'a Context,
        model: &'a dyn Classifier,
        samples: &Samples,
        budget: Budget,
        chosen: Chosen,
    ) -> Result<Self> {
        let samples = samples.select(&chosen.right)?;
        let fooled = vec![false; samples.len()];
        let (attacks, refuted) = (Vec::new(), 0);
        Ok(Self { context, model, samples, budget, chosen, fooled, attacks, refuted })
    }

    /// The first `wanted` images that the model classifies rightly, or all that there are.
    pub fn choose(
        context: &Context,
        model: &dyn Classifier,
        samples: &Samples,
        (wanted, budget): (usize, Budget),
    ) -> Result<Chosen> {
        let probe = Probe { context, model };
        let (mut right, mut images) = (Vec::new(), 0);
        while images < samples.len() && right.len() < wanted {
            let some: Vec<usize> = (images..samples.len().min(images + 256)).collect();
            let points: Vec<Point<'_>> = some
                .iter()
                .map(|&i| Point {
                    image: samples.image(i),
                    label: samples.labels()[i],
                    noise: Key::new(0),
                })
                .collect();
            // As an attack judges clean images.
            let noise = |place, draw| decision_noise(budget.seed, samples.ids()[some[place]], draw);
            let drawn = probe.drawn(&points, model.draws().max(1), &noise)?;
            for (&i, DrawnLogits { logits: z, .. }) in some.iter().zip(&drawn) {
                if right.len() == wanted {
                    break;
                }
                images = i + 1;
                let finite = z.iter().all(|z| z.is_finite());
                if finite && predict(z) == samples.labels()[i] {
                    right.push(i);
                }
            }
        }
        if right.is_empty() {
            let problem =
                format!("none of {images} images is classified rightly: nothing to audit");
            return Err(Error::argument("audit", problem));
        }
        Ok(Chosen { right, images })
    }

    /// The same samples, of another model in its place.
    pub fn of_model<'b>(&'b self, model: &'b dyn Classifier) -> Subject<'b> {
        let (samples, fooled) = (self.samples.clone(), vec![false; self.len()]);
        let Self { context, budget, .. } = *self;
        let chosen = self.chosen.clone();
        Subject { context, model, samples, budget, chosen, fooled, attacks: Vec::new(), refuted: 0 }
    }

    /// How far apart the logits of a sample lie.
    pub fn spread(&self, i: usize) -> Result<f32> {
        let answers = self.probe().logits(&[self.point(i, self.samples.image(i))])?;
        Ok(crate::nn::spread(&answers[0].logits))
    }

    /// The radius within which every image lies.
    pub fn whole(&self) -> f32 {
        self.budget.norm.widest(self.samples.shape().features())
    }

    /// Does a part of the audit, and says what that changed.
    pub fn stage(
        &mut self,
        name: String,
        run: impl FnOnce(&mut Self) -> Result<Vec<Check>>,
    ) -> Result<AuditStage> {
        let (fooled, attacks, refuted) = (self.fooled.clone(), self.attacks.len(), self.refuted);
        let checks = run(self)?;
        let new = (0..self.len()).filter(|&i| self.fooled[i] && !fooled[i]);
        Ok(AuditStage {
            name,
            checks,
            fooled: new.collect(),
            attacks: self.attacks[attacks..].to_vec(),
            refuted: self.refuted - refuted,
            chosen: self.chosen.clone(),
        })
    }

    /// Takes over a part that was done before.
    ///
    /// # Errors
    /// If it is of other samples.
    pub fn take(&mut self, stage: &AuditStage) -> Result<()> {
        for &i in &stage.fooled {
            *self.fooled.get_mut(i).ok_or_else(|| {
                Error::argument("audit", "a finished part belongs to other samples")
            })? = true;
        }
        self.attacks.extend(stage.attacks.iter().cloned());
        self.refuted += stage.refuted;
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn all(&self) -> Vec<usize> {
        (0..self.len()).collect()
    }

    /// Those that nothing has fooled yet.
    pub fn survivors(&self) -> Vec<usize> {
        (0..self.len()).filter(|&i| !self.fooled[i]).collect()
    }

    /// The same, spread over all of them and no more than `most`.
    pub fn some(which: &[usize], most: usize) -> Vec<usize> {
        let step = which.len().div_ceil(most.max(1)).max(1);
        which.iter().copied().step_by(step).take(most).collect()
    }

    /// The point that an image of the samples is, or of another image in its place.
    pub fn point<'b>(&'b self, i: usize, image: &'b [f32]) -> Point<'b> {
        Point { image, label: self.samples.labels()[i], noise: self.key("noise", i) }
    }

    /// The change of every pixel that makes up the radius.
    pub fn reach(&self) -> f32 {
        let pixels = self.samples.shape().features() as f32;
        match self.budget.norm {
            Norm::Linf => self.budget.eps,
            Norm::L2 => self.budget.eps / pixels.sqrt(),
            Norm::L1 | Norm::L0 => self.budget.eps / pixels,
        }
    }

    /// The key of what is drawn for a sample.
    pub fn key(&self, name: &str, i: usize) -> Key {
        Key::new(self.budget.seed).named("audit").named(name).with(self.samples.ids()[i])
    }

    pub fn probe(&self) -> Probe<'_> {
        Probe { context: self.context, model: self.model }
    }

    /// The negative margins of images in the place of sample `i`; of a random model those of the mean logits, which decide.
    pub fn losses(&self, i: usize, images: &[Vec<f32>]) -> Result<Vec<f32>> {
        let points: Vec<Point<'_>> = images.iter().map(|image| self.point(i, image)).collect();
        let label = self.samples.labels()[i];
        let answers = self.mean_answers(&points, |points| self.probe().logits(points))?;
        Ok(answers.iter().map(|answer| answer.loss(label)).collect())
    }

    /// Means over the draws that decide: what one draw of a random model says of a small step is mostly chance.
    fn mean_answers(
        &self,
        points: &[Point<'_>],
        ask: impl Fn(&[Point<'_>]) -> Result<Vec<Answer>>,
    ) -> Result<Vec<Answer>> {
        let draws = self.model.draws();
        let mut answers = ask(points)?;
        for draw in 1..draws {
            let mut others = points.to_vec();
            others.iter_mut().for_each(|point| point.noise = point.noise.with(draw as u64));
            let more = ask(&others)?;
            for (sum, answer) in answers.iter_mut().zip(more) {
                sum.logits.iter_mut().zip(answer.logits).for_each(|(sum, z)| *sum += z);
                sum.gradient.iter_mut().zip(answer.gradient).for_each(|(sum, g)| *sum += g);
            }
        }
        if draws > 1 {
            let scale = 1.0 / draws as f32;
            for answer in &mut answers {
                answer.logits.iter_mut().for_each(|z| *z *= scale);
                answer.gradient.iter_mut().for_each(|g| *g *= scale);
            }
        }
        Ok(answers)
    }

    /// Logits and gradients at these samples; of a random model their means.
    pub fn gradients(&self, which: &[usize]) -> Result<Vec<Answer>> {
        let point = |&i: &usize| self.point(i, self.samples.image(i));
        let points: Vec<Point<'_>> = which.iter().map(point).collect();
        self.gradients_at(&points)
    }

    /// The same of any points.
    pub fn gradients_at(&self, points: &[Point<'_>]) -> Result<Vec<Answer>> {
        self.mean_answers(points, |points| self.probe().gradients(points))
    }

    /// Attacks some of the samples within the budget; returns those that it fooled, which count in the number to report.
    pub fn attack(&mut self, attack: &dyn Attack, which: &[usize]) -> Result<Vec<usize>> {
        let found = self.attack_at(attack, which, self.budget)?;
        found.iter().for_each(|&i| self.fooled[i] = true);
        Ok(found)
    }

    /// Attacks some of the samples at another radius, which counts in nothing.
    pub fn attack_at(
        &mut self,
        attack: &dyn Attack,
        which: &[usize],
        budget: Budget,
    ) -> Result<Vec<usize>> {
        if which.is_empty() {
            return Ok(Vec::new());
        }
        let some = self.samples.select(which)?;
        let report = run_attack(self.context, self.model, &some, attack, budget)?;
        let found: Vec<usize> = (0..which.len())
            .filter(|&k| report.outcomes[k].status == Status::Fooled)
            .map(|k| which[k])
            .collect();
        self.refuted += self.count_refuted(which, &report.outcomes, budget)?;
        let cost = report.cost();
        self.attacks.push(Attacked {
            attack: attack.info().label,
            samples: which.len(),
            fooled: found.len(),
            forward_passes: cost.forward_passes,
            backward_passes: cost.backward_passes,
        });
        Ok(found)
    }

    /// How many of the images that an attack says fool lie outside of where they may, or are not misclassified, by other
    /// arithmetic than the attack's own.
    fn count_refuted(
        &self,
        which: &[usize],
        outcomes: &[Outcome],
        budget: Budget,
    ) -> Result<usize> {
        let said = which.iter().zip(outcomes).filter(|(_, o)| o.status == Status::Fooled);
        let said: Vec<(usize, &Outcome)> = said.map(|(&i, outcome)| (i, outcome)).collect();
        let outside = |&&(i, outcome): &&(usize, &Outcome)| !self.allows(i, &outcome.image, budget);
        if self.model.is_random() {
            // The verdict is that of many draws, which the attack's run asked for.
            return Ok(said.iter().filter(outside).count());
        }
        let points: Vec<Point<'_>> =
            said.iter().map(|&(i, outcome)| self.point(i, &outcome.image)).collect();
        let answers = self.probe().logits(&points)?;
        let wrong = |i: usize, z: &[f32]| {
            z.iter().all(|z| z.is_finite()) && predict(z) != self.samples.labels()[i]
        };
        let refuted = said
            .iter()
            .zip(&answers)
            .filter(|(said, answer)| outside(said) || !wrong(said.0, &answer.logits));
        Ok(refuted.count())
    }

    /// Whether an image lies in the box and in the ball around sample `i`.
    fn allows(&self, i: usize, image: &[f32], budget: Budget) -> bool {
        let size = distance(budget.norm, image, self.samples.image(i));
        let inside = size <= f64::from(budget.eps) * (1.0 + 1e-5) + 1e-6;
        inside && image.iter().all(|x| (0.0..=1.0).contains(x))
    }
}

/// A check on a share of samples: fails if it is surely above `fail`, warns if it is above `warn`.
#[derive(Clone, Copy)]
pub(super) struct ShareCheck {
    pub name: &'static str,
    pub measures: &'static str,
    pub fail: Option<f64>,
    pub warn: Option<f64>,
    pub meaning: &'static str,
}

impl ShareCheck {
    /// Of `hits` in `count` samples, which stand for a share of `weight` of all.
    pub fn check(self, hits: usize, count: usize, weight: f64) -> Check {
        let statistic = weight * hits as f64 / count.max(1) as f64;
        let [low, high] = interval(hits, count).map(|bound| weight * bound);
        let finding = if self.fail.is_some_and(|fail| hits > 0 && low > fail) {
            Finding::Fail
        } else if self.warn.is_some_and(|warn| hits > 0 && statistic > warn) {
            Finding::Warn
        } else {
            Finding::Pass
        };
        let percent = |share: f64| format!("{} %", (1e4 * share).round() / 100.0);
        let said = [("fails surely above", self.fail), ("warns above", self.warn)];
        let said =
            said.into_iter().filter_map(|(what, at)| Some(format!("{what} {}", percent(at?))));
        let meaning = if finding == Finding::Pass { "" } else { self.meaning };
        Check {
            name: self.name.into(),
            measures: self.measures.into(),
            statistic,
            interval: (count > 0).then_some([low, high]),
            threshold: said.collect::<Vec<String>>().join(", "),
            finding,
            meaning: meaning.into(),
            curve: Vec::new(),
        }
    }
}

/// A check on a number that is no share: fails or warns by `finding`.
pub(super) fn number(
    name: &str,
    measures: &str,
    statistic: f64,
    (threshold, finding): (&str, Finding),
    meaning: &str,
) -> Check {
    Check {
        name: name.into(),
        measures: measures.into(),
        statistic,
        interval: None,
        threshold: threshold.into(),
        finding,
        meaning: if finding == Finding::Pass { String::new() } else { meaning.into() },
        curve: Vec::new(),
    }
}
