//! Work that is asked to stop, and what sessions are told about their lanes.

use deepsleep::attack::{Budget, Norm, Samples, parse_attack, run_attack};
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{
    Classifier, Freeze, FrozenModel, Model, Session, Trainer, TrainingOptions, accuracy,
};
use deepsleep::simd::random::Key;
use deepsleep::simd::{LANES, Lanes};
use deepsleep::tensor::{Context, Shape, Stop};
use deepsleep::{Error, Result};
use std::sync::Mutex;

fn images(count: usize) -> Dataset {
    Dataset::load(locate(DatasetName::Mnist, None).unwrap(), Split::Test)
        .unwrap()
        .slice(0..count)
        .unwrap()
}

/// A model that asks for a stop when it has been evaluated so often, and notes the lanes that it was told of and those in
/// which there was an image.
struct Watched {
    model: FrozenModel,
    stop: Stop,
    after: usize,
    lanes: Mutex<Vec<(u16, u16)>>,
}

impl Watched {
    fn new(stop: &Stop, after: usize) -> Self {
        let model = Model::lenet(3).freeze().unwrap();
        Self { model, stop: stop.clone(), after, lanes: Mutex::default() }
    }
}

struct WatchedSession<'a> {
    watched: &'a Watched,
    inner: Box<dyn Session + 'a>,
    told: u16,
}

impl Classifier for Watched {
    fn input_shape(&self) -> Shape {
        self.model.input_shape()
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }

    fn session(&self, context: Context) -> Box<dyn Session + '_> {
        let inner = self.model.session(context);
        Box::new(WatchedSession { watched: self, inner, told: u16::MAX })
    }
}

impl Session for WatchedSession<'_> {
    fn occupy(&mut self, lanes: u16) {
        self.told = lanes;
    }

    fn logits(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        let full = |lane: &usize| images.iter().any(|pixel| pixel.0[*lane] != 0.0);
        let lanes = (0..LANES).filter(full).fold(0, |lanes, lane| lanes | 1 << lane);
        let mut all = self.watched.lanes.lock().unwrap();
        all.push((self.told, lanes));
        if all.len() == self.watched.after {
            self.watched.stop.request();
        }
        drop(all);
        self.inner.logits(images, noise, differentiable, out)
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        self.inner.gradient(weight, out)
    }
}

#[test]
fn an_attack_stops_between_two_evaluations() {
    let samples = Samples::from_dataset(&images(64), 0..64).unwrap();
    let budget = Budget { norm: Norm::Linf, eps: 0.001, seed: 0 };
    for attack in ["pgd:steps=1000", "square:queries=5000", "autoattack", "fab:steps=50"] {
        let stop = Stop::default();
        let context = Context::new(2).unwrap().stopped_by(&stop);
        // Four clean evaluations come first.
        for after in [1, 6] {
            let model = Watched::new(&stop, after);
            let built = parse_attack(attack).unwrap();
            let result = run_attack(&context, &model, &samples, built.as_ref(), budget);
            assert!(
                matches!(result, Err(Error::Interrupted)),
                "{attack} after {after}: {result:?}"
            );
            let evaluations = model.lanes.lock().unwrap().len();
            assert!(evaluations <= after + 1, "{attack}: {evaluations} evaluations");
        }
    }
}

#[test]
fn sessions_are_told_which_lanes_hold_a_sample() {
    let samples = Samples::from_dataset(&images(40), 0..40).unwrap();
    let budget = Budget { norm: Norm::Linf, eps: 0.03, seed: 0 };
    let context = Context::new(2).unwrap();
    for attack in ["fgsm", "pgd:steps=10", "square:queries=30", "autoattack:version=published"] {
        let model = Watched::new(&Stop::default(), usize::MAX);
        let built = parse_attack(attack).unwrap();
        run_attack(&context, &model, &samples, built.as_ref(), budget).unwrap();
        let lanes = model.lanes.into_inner().unwrap();
        assert!(lanes.iter().any(|&(_, full)| full.count_ones() == 8), "{attack}");
        lanes.iter().for_each(|(told, full)| assert_eq!(told, full, "{attack}"));
    }
}

#[test]
fn training_and_evaluation_stop_between_two_batches() {
    let data = images(1024);
    let stop = Stop::default();
    let context = Context::new(2).unwrap().stopped_by(&stop);
    let mut network = Model::lenet(0);
    let mut trainer = Trainer::new(&network, TrainingOptions::default()).unwrap();
    let mut steps = 0;
    let request = |_: deepsleep::nn::StepReport| {
        steps += 1;
        if steps == 3 {
            stop.request();
        }
    };
    let mut regime = deepsleep::nn::PlainRegime;
    let epoch = trainer.epoch_with(&context, &mut network, &data, &mut regime, request);
    assert!(matches!(epoch, Err(Error::Interrupted)) && steps == 3);
    let model = network.freeze().unwrap();
    assert!(matches!(accuracy(&context, &model, &data), Err(Error::Interrupted)));
    // The network is whole, and so is another context.
    assert!(accuracy(&Context::new(2).unwrap(), &model, &data).is_ok());
}
