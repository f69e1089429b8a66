//! The model under audit, the images that it classifies correctly, and what became of them.

use super::report::{Attacked, Check, Finding};
use super::stage::{AuditStage, Chosen};
use super::statistics::interval;
use crate::attack::{Answer, Budget, Classifier, DrawnLogits, Norm, Point, Probe, Samples};
use crate::nn::{decision_noise, predict};
use crate::simd::LANES;
use crate::simd::random::Key;
use crate::tensor::Context;
use crate::{Error, Result};
use std::time::Instant;

/// Images that are asked about at once, at least.
const BATCH: usize = 256;

/// Images that are asked about at once: those of some whole batches, where a model's threads make up a batch.
pub(super) fn batch(context: &Context) -> usize {
    BATCH.next_multiple_of(LANES * context.threads())
}

/// The model under audit.
pub(super) struct Subject<'a> {
    pub context: &'a Context,
    pub model: &'a dyn Classifier,
    /// Images that it classifies correctly.
    pub samples: Samples,
    pub budget: Budget,
    /// Where they are among all images.
    pub chosen: Chosen,
    /// Which of the samples were fooled by anything.
    pub fooled: Vec<bool>,
    /// For which of them the model's logits are not finite somewhere in the ball.
    pub invalid: Vec<bool>,
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
        let (fooled, invalid) = (vec![false; samples.len()], vec![false; samples.len()]);
        let (attacks, refuted) = (Vec::new(), 0);
        Ok(Self { context, model, samples, budget, chosen, fooled, invalid, attacks, refuted })
    }

    /// The first `wanted` images that the model classifies correctly, or all that there are.
    pub fn choose(
        context: &Context,
        model: &dyn Classifier,
        samples: &Samples,
        (wanted, budget): (usize, Budget),
    ) -> Result<Chosen> {
        let (probe, batch) = (Probe { context, model }, batch(context));
        let (mut right, mut images, mut invalid) = (Vec::new(), 0, 0);
        while images < samples.len() && right.len() < wanted {
            let some: Vec<usize> = (images..samples.len().min(images + batch)).collect();
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
                invalid += usize::from(!finite);
                if finite && predict(z) == samples.labels()[i] {
                    right.push(i);
                }
            }
        }
        if right.is_empty() {
            let finite = match invalid {
                0 => String::new(),
                _ => format!(" (the logits of {invalid} are not finite)"),
            };
            let problem = format!(
                "none of {images} images is classified correctly{finite}: nothing to audit"
            );
            return Err(Error::argument("audit", problem));
        }
        Ok(Chosen { right, images, invalid })
    }

    /// The same samples, of another model in its place.
    pub fn of_model<'b>(&'b self, model: &'b dyn Classifier) -> Subject<'b> {
        let (samples, fooled) = (self.samples.clone(), vec![false; self.len()]);
        let Self { context, budget, .. } = *self;
        let (chosen, invalid) = (self.chosen.clone(), self.invalid.clone());
        let (attacks, refuted) = (Vec::new(), 0);
        Subject { context, model, samples, budget, chosen, fooled, invalid, attacks, refuted }
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
        let (start, attacks, refuted) = (Instant::now(), self.attacks.len(), self.refuted);
        let (fooled, invalid) = (self.fooled.clone(), self.invalid.clone());
        let checks = run(self)?;
        let new = |now: &[bool], before: &[bool]| {
            (0..now.len()).filter(|&i| now[i] && !before[i]).collect::<Vec<usize>>()
        };
        Ok(AuditStage {
            name,
            checks,
            fooled: new(&self.fooled, &fooled),
            invalid: new(&self.invalid, &invalid),
            seconds: start.elapsed().as_secs_f64(),
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
        for (to, marked) in [(&mut self.fooled, &stage.fooled), (&mut self.invalid, &stage.invalid)]
        {
            for &i in marked {
                *to.get_mut(i).ok_or_else(|| {
                    Error::argument("audit", "a finished part belongs to other samples")
                })? = true;
            }
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

    /// Those near which the model's logits are finite, as far as is known.
    pub fn answered(&self) -> Vec<usize> {
        (0..self.len()).filter(|&i| !self.invalid[i]).collect()
    }

    /// Those that nothing has fooled yet, and whose logits were finite wherever they were evaluated.
    pub fn survivors(&self) -> Vec<usize> {
        (0..self.len()).filter(|&i| !self.fooled[i] && !self.invalid[i]).collect()
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

    /// Means over the draws that decide: what one draw of a random model says of a small step is mostly chance.
    pub fn mean_answers(
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

    /// A check on a share of samples that chance is part of: of a random model it warns only if the share is significantly above.
    pub fn share(&self, check: ShareCheck, hits: usize, count: usize) -> Check {
        check.judge(hits, count, 1.0, self.model.is_random())
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
}

/// A check on a share of samples: fails if it is significantly above `fail`, warns if it is above `warn`.
#[derive(Clone, Copy)]
pub(super) struct ShareCheck {
    pub name: &'static str,
    pub catches: &'static str,
    pub measures: &'static str,
    pub fail: Option<f64>,
    pub warn: Option<f64>,
    pub meaning: &'static str,
}

impl ShareCheck {
    /// Of `hits` in `count` samples, which stand for a share of `weight` of all.
    pub fn check(self, hits: usize, count: usize, weight: f64) -> Check {
        self.judge(hits, count, weight, false)
    }

    fn judge(self, hits: usize, count: usize, weight: f64, surely: bool) -> Check {
        let statistic = weight * hits as f64 / count.max(1) as f64;
        let [low, high] = interval(hits, count).map(|bound| weight * bound);
        let finding = if self.fail.is_some_and(|fail| hits > 0 && low > fail) {
            Finding::Fail
        } else if self
            .warn
            .is_some_and(|warn| hits > 0 && (if surely { low } else { statistic }) > warn)
        {
            Finding::Warn
        } else {
            Finding::Pass
        };
        let percent = |share: f64| format!("{} %", (1e4 * share).round() / 100.0);
        let warns = if surely { "warns if significantly above" } else { "warns above" };
        let said = [("fails if significantly above", self.fail), (warns, self.warn)];
        let said =
            said.into_iter().filter_map(|(what, at)| Some(format!("{what} {}", percent(at?))));
        let meaning = if finding == Finding::Pass { "" } else { self.meaning };
        Check {
            name: self.name.into(),
            measures: self.measures.into(),
            statistic,
            interval: Some([low, high]),
            threshold: said.collect::<Vec<String>>().join(", "),
            finding,
            catches: self.catches.into(),
            meaning: meaning.into(),
            curve: Vec::new(),
        }
    }
}

/// A check on a number that is no share.
#[derive(Clone, Copy)]
pub(super) struct NumberCheck<'a> {
    pub name: &'static str,
    pub catches: &'static str,
    pub measures: &'a str,
    pub meaning: &'a str,
}

impl NumberCheck<'_> {
    /// Fails or warns by `finding`.
    pub fn check(self, statistic: f64, (threshold, finding): (&str, Finding)) -> Check {
        Check {
            name: self.name.into(),
            measures: self.measures.into(),
            statistic,
            interval: None,
            threshold: threshold.into(),
            finding,
            catches: self.catches.into(),
            meaning: if finding == Finding::Pass { String::new() } else { self.meaning.into() },
            curve: Vec::new(),
        }
    }
}
