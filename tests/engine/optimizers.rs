//! Optimizers and schedules against hand-written f64 rules, and trainings that stop and go on.

use crate::common::{best, numbers, relative};
use deepsleep::Result;
use deepsleep::autodiff::{Tape, Var, Weight};
use deepsleep::checkpoint::StateDict;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::nn::{
    Augmentation, Mode, Model, Network, Optimizer, Parameters, Rule, Schedule, Trainer,
    TrainingOptions,
};
use deepsleep::tensor::{Context, Shape};

/// What PyTorch's documentation says of `torch.optim.SGD` and `torch.optim.Adam`, number by number.
fn reference(rule: Rule, values: &mut [f64], grads: &[Vec<f32>], rate: f64) {
    let mut memory = vec![[0.0_f64; 2]; values.len()];
    for (t, grads) in (1..).zip(grads) {
        for ((p, &g), [m, v]) in values.iter_mut().zip(grads).zip(&mut memory) {
            let g = f64::from(g);
            match rule {
                Rule::Sgd { momentum, weight_decay } => {
                    let g = g + f64::from(weight_decay) * *p;
                    *m = if t == 1 { g } else { f64::from(momentum) * *m + g };
                    *p -= rate * *m;
                }
                Rule::Adam { beta1, beta2, eps, weight_decay } => {
                    let (beta1, beta2) = (f64::from(beta1), f64::from(beta2));
                    let g = g + f64::from(weight_decay) * *p;
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *v = beta2 * *v + (1.0 - beta2) * g * g;
                    let (m, v) = (*m / (1.0 - beta1.powi(t)), *v / (1.0 - beta2.powi(t)));
                    *p -= rate * m / (v.sqrt() + f64::from(eps));
                }
            }
        }
    }
}

#[test]
fn every_rule_takes_the_steps_of_its_f64_reference() {
    let adam = |eps, weight_decay| Rule::Adam { beta1: 0.9, beta2: 0.999, eps, weight_decay };
    let rules = [
        Rule::SGD,
        Rule::Sgd { momentum: 0.0, weight_decay: 0.1 },
        Rule::Sgd { momentum: 0.9, weight_decay: 0.0 },
        Rule::Sgd { momentum: 0.9, weight_decay: 5e-2 },
        Rule::ADAM,
        adam(1e-8, 0.1),
        adam(0.5, 0.0),
        Rule::Adam { beta1: 0.0, beta2: 0.5, eps: 1e-3, weight_decay: 0.0 },
    ];
    let context = Context::with_isa(best(), 3).unwrap();
    // The second is shared by threads.
    let (few, many) = (12, 70_001);
    for rule in rules {
        let mut parameters = Parameters::default();
        parameters.push("a", &[4, 3], numbers(1, few));
        parameters.push("b", &[many], numbers(2, many));
        let mut optimizer = Optimizer::new(rule, &parameters);
        // Gradients of very different sizes, zeros among them.
        let size = |i: usize| [1.0, 1e-4, 30.0, 0.0][i % 4];
        let grads = |seed: u64, count: usize| -> Vec<Vec<f32>> {
            let grads = (0..25).map(|t| numbers(seed + 10 * t, count));
            grads.map(|g| g.iter().enumerate().map(|(i, g)| g * size(i)).collect()).collect()
        };
        let all = [grads(3, few), grads(4, many)];
        let mut expected: Vec<Vec<f64>> =
            parameters.iter().map(|p| p.values.iter().map(|&v| f64::from(v)).collect()).collect();
        for (one, other) in all[0].iter().zip(&all[1]) {
            optimizer.begin_step();
            for (i, p) in parameters.iter_mut().enumerate() {
                optimizer.update(&context, i, 0.01, &mut p.values, [one, other][i]);
            }
        }
        for (i, expected) in expected.iter_mut().enumerate() {
            reference(rule, expected, &all[i], f64::from(0.01_f32));
            let error = relative(parameters[i].values.iter().copied(), expected.iter().copied());
            assert!(error < 2e-6, "{rule:?}: {error:e}");
        }
        assert_eq!(optimizer.steps(), 25);
    }
}

#[test]
fn schedules_have_the_values_of_their_definitions() {
    // Ten steps an epoch, four epochs.
    let factor = |schedule: Schedule, step| schedule.factor(step, 10, 4);
    let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    for step in [0, 1, 39, 40, 1000] {
        close(factor(Schedule::Constant, step), 1.0);
    }
    let halved = Schedule::Step { epochs: 2, factor: 0.5 };
    for (step, value) in [(0, 1.0), (19, 1.0), (20, 0.5), (39, 0.5), (40, 0.25), (60, 0.125)] {
        close(factor(halved, step), value);
    }
    for (step, value) in [(0, 1.0), (10, 0.75), (39, 0.025), (40, 0.0), (50, 0.0)] {
        close(factor(Schedule::Linear, step), value);
    }
    let triangle = Schedule::Triangle { peak: 0.25 };
    for (step, value) in [(0, 0.0), (5, 0.5), (10, 1.0), (25, 0.5), (40, 0.0), (90, 0.0)] {
        close(factor(triangle, step), value);
    }
    for step in 0..50 {
        let done = (f64::from(step) / 40.0).min(1.0);
        let expected = (1.0 + (std::f64::consts::PI * done).cos()) / 2.0;
        close(factor(Schedule::Cosine, u64::from(step as u32)), expected as f32);
    }
    assert_eq!([0, 40].map(|step| factor(Schedule::Cosine, step)), [1.0, 0.0]);
    close(factor(Schedule::Triangle { peak: 0.0 }, 0), 1.0);
    close(factor(Schedule::Triangle { peak: 1.0 }, 40), 1.0);
    // Sizes of zero divide nothing.
    for schedule in [Schedule::Constant, halved, Schedule::Linear, triangle] {
        assert!(schedule.factor(0, 0, 0).is_finite() && schedule.factor(3, 0, 5).is_finite());
    }
    assert!(Schedule::Step { epochs: 0, factor: 0.5 }.factor(3, 10, 4).is_finite());
}

#[test]
fn a_warm_up_rises_to_the_schedule() {
    let options = |warm_up| {
        TrainingOptions::default().with(|o| {
            o.epochs = 4;
            o.learning_rate = 0.2;
            o.schedule = Schedule::Linear;
            o.warm_up = warm_up;
        })
    };
    // Ten steps an epoch: a warm-up of 1.5 epochs is over after fifteen.
    for (step, share) in [(0, 1.0 / 15.0), (4, 5.0 / 15.0), (13, 14.0 / 15.0), (14, 1.0), (30, 1.0)]
    {
        let (plain, risen) = (options(0.0).rate(step, 10), options(1.5).rate(step, 10));
        assert!((risen - share * plain).abs() < 1e-6, "{step}: {risen} of {plain}");
    }
    assert_eq!(
        options(0.0).rate(7, 10).to_bits(),
        (0.2 * Schedule::Linear.factor(7, 10, 4)).to_bits()
    );
}

fn data() -> Dataset {
    let folder = locate(DatasetName::Mnist, None).unwrap();
    Dataset::load(folder, Split::Test).unwrap().slice(0..300).unwrap()
}

fn options(rule: Rule) -> TrainingOptions {
    let schedule = Schedule::Triangle { peak: 0.3 };
    TrainingOptions::default().with(|o| {
        o.epochs = 4;
        o.batch_size = 50;
        o.rule = rule;
        o.schedule = schedule;
        o.seed = 3;
    })
}

#[test]
fn a_training_resumed_from_its_file_goes_on_to_the_same_bits() {
    let (data, context) = (data(), Context::with_isa(best(), 2).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.safetensors");
    for rule in [Rule::SGD, Rule::Sgd { momentum: 0.9, weight_decay: 1e-3 }, Rule::ADAM] {
        let augmentation = Augmentation { shift: 1, flip: true };
        let (warm_up, label_smoothing) = (2.5, 0.1);
        let options = options(rule).with(|o| {
            o.learning_rate = 0.013;
            o.warm_up = warm_up;
            o.label_smoothing = label_smoothing;
            o.augmentation = augmentation;
        });
        let mut lenet = Model::lenet(5);
        let mut trainer = Trainer::new(&lenet, options.clone()).unwrap();
        let mut losses = Vec::new();
        for epoch in 0..4 {
            losses.push(trainer.epoch(&context, &mut lenet, &data).unwrap().loss);
            if epoch == 1 {
                trainer.checkpoint(&lenet).unwrap().save(&path).unwrap();
            }
        }
        let state = StateDict::load(&path).unwrap();
        let mut again = Model::lenet(99);
        let mut resumed = Trainer::new(&again, options).unwrap();
        resumed.resume(&mut again, &state).unwrap();
        assert_eq!(resumed.epochs_done(), 2);
        assert_eq!(
            resumed.checkpoint(&again).unwrap().to_bytes().unwrap(),
            std::fs::read(&path).unwrap(),
            "a checkpoint of what was resumed is the file"
        );
        for (epoch, &loss) in losses.iter().enumerate().skip(2) {
            let report = resumed.epoch(&context, &mut again, &data).unwrap();
            assert_eq!((report.epoch, report.loss), (epoch, loss));
        }
        let (one, other) =
            (trainer.checkpoint(&lenet).unwrap(), resumed.checkpoint(&again).unwrap());
        assert_eq!(one.to_bytes().unwrap(), other.to_bytes().unwrap());
    }
}

#[test]
fn a_checkpoint_of_other_options_or_of_no_training_is_refused_and_changes_nothing() {
    let (data, context) = (data(), Context::with_isa(best(), 1).unwrap());
    let mut lenet = Model::lenet(5);
    let mut trainer = Trainer::new(&lenet, options(Rule::ADAM)).unwrap();
    trainer.epoch(&context, &mut lenet, &data).unwrap();
    let state = trainer.checkpoint(&lenet).unwrap();
    let base = options(Rule::ADAM);
    let others = [
        base.clone().with(|o| o.batch_size = 60),
        base.clone().with(|o| o.learning_rate = 0.2),
        base.clone().with(|o| o.epochs = 5), // the schedule depends on it
        base.clone().with(|o| o.schedule = Schedule::Linear),
        base.clone().with(|o| o.rule = Rule::SGD),
        base.clone().with(|o| o.temperature = 2.0),
        base.clone().with(|o| o.warm_up = 0.5),
        base.clone().with(|o| o.label_smoothing = 0.1),
        base.clone().with(|o| o.augmentation = Augmentation { shift: 1, flip: false }),
        base.clone().with(|o| o.seed = 4),
    ];
    for other in others {
        let mut target = Model::lenet(1);
        let mut trainer = Trainer::new(&target, other).unwrap();
        let message = trainer.resume(&mut target, &state).unwrap_err().to_string();
        assert!(message.contains("checkpoint was made with"), "{message}");
        assert_eq!(target.state().to_bytes().unwrap(), Model::lenet(1).state().to_bytes().unwrap());
    }
    let mut target = Model::lenet(1);
    let mut fresh = Trainer::new(&target, base).unwrap();
    let message = fresh.resume(&mut target, &lenet.state()).unwrap_err().to_string();
    assert!(message.contains("not a training checkpoint"), "{message}");
    // A damaged one: the network's part is bad, the optimizer's good. Neither is taken.
    let before = fresh.checkpoint(&target).unwrap().to_bytes().unwrap();
    let mut damaged = state.clone();
    damaged.insert("fc.weight", vec![10, 320], vec![f32::NAN; 3200]).unwrap();
    let message = fresh.resume(&mut target, &damaged).unwrap_err().to_string();
    assert!(message.contains("fc.weight"), "{message}");
    assert_eq!(fresh.checkpoint(&target).unwrap().to_bytes().unwrap(), before);
    // With a constant rate a training may be prolonged.
    let constant = |epochs| {
        options(Rule::SGD).with(|o| {
            o.epochs = epochs;
            o.schedule = Schedule::Constant;
        })
    };
    let state = Trainer::new(&target, constant(2)).unwrap().checkpoint(&target).unwrap();
    Trainer::new(&target, constant(9)).unwrap().resume(&mut target, &state).unwrap();
}

/// LeNet that remembers how many threads its last forward pass had.
struct Watched(Model, usize);

impl Network for Watched {
    fn input_shape(&self) -> Shape {
        self.0.input_shape()
    }
    fn classes(&self) -> usize {
        self.0.classes()
    }
    fn parameters(&self) -> &Parameters {
        self.0.parameters()
    }
    fn parameters_mut(&mut self) -> &mut Parameters {
        self.0.parameters_mut()
    }
    fn forward(&mut self, tape: &mut Tape, x: Var, weights: &[Weight], mode: Mode) -> Result<Var> {
        self.1 = tape.context().threads();
        self.0.forward(tape, x, weights, mode)
    }
    fn move_statistics(&mut self, tape: &Tape, momentum: f32) {
        self.0.move_statistics(tape, momentum);
    }
    fn state(&self) -> StateDict {
        self.0.state()
    }
    fn load_state(&mut self, state: &StateDict) -> Result<()> {
        self.0.load_state(state)
    }
}

#[test]
fn a_step_runs_on_the_context_that_it_is_given_also_if_the_last_one_had_another() {
    let data = data();
    let mut network = Watched(Model::lenet(5), 0);
    let mut trainer = Trainer::new(&network, options(Rule::SGD)).unwrap();
    for threads in [1, 2, 3, 1] {
        let context = Context::with_isa(best(), threads).unwrap();
        trainer.step(&context, &mut network, &data, &[0, 1, 2]).unwrap();
        assert_eq!(network.1, threads);
    }
}

#[test]
fn unusable_training_options_are_refused() {
    let lenet = Model::lenet(1);
    let refuse = |options: TrainingOptions, part: &str| {
        let message = Trainer::new(&lenet, options).err().expect("an error").to_string();
        assert!(message.contains(part), "{message}");
    };
    refuse(TrainingOptions::default().with(|o| o.batch_size = 1), "batch size 1");
    refuse(TrainingOptions::default().with(|o| o.batch_size = 0), "batch size 0");
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refuse(TrainingOptions::default().with(|o| o.learning_rate = bad), "learning rate");
        refuse(TrainingOptions::default().with(|o| o.temperature = bad), "temperature");
    }
    for bad in [-0.1, 1.0, f32::NAN] {
        refuse(TrainingOptions::default().with(|o| o.label_smoothing = bad), "label smoothing");
    }
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        refuse(TrainingOptions::default().with(|o| o.warm_up = bad), "warm-up");
    }
    let mut trainer =
        Trainer::new(&lenet, TrainingOptions::default().with(|o| o.batch_size = 301)).unwrap();
    let context = Context::serial(best());
    let error = trainer.epoch(&context, &mut lenet.clone(), &data()).unwrap_err();
    assert!(error.to_string().contains("300 images do not fill one batch of 301"), "{error}");
}

#[test]
fn a_loss_that_is_not_finite_stops_the_training_and_says_where() {
    let options = TrainingOptions::default().with(|o| {
        o.learning_rate = 1e30;
        o.batch_size = 50;
    });
    let mut lenet = Model::lenet(1);
    let mut trainer = Trainer::new(&lenet, options).unwrap();
    let context = Context::serial(best());
    let error = trainer.epoch(&context, &mut lenet, &data()).unwrap_err();
    assert!(error.to_string().starts_with("training, epoch 1, step "), "{error}");
    assert_eq!(trainer.epochs_done(), 0);
}
