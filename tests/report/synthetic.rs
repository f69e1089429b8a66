//! A made-up results folder: the printed numbers shifted a little, waves for filters, noisy digits.

use deepsleep::attack::Norm;
use deepsleep::data::{Dataset, DatasetName, Split, locate};
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{
    CraftedSet, Digit, DigitSet, Filters, FiringRates, JobRun, ModelResult, Observations, Printed,
    PrintedColumn, Results, RunInfo, Spikes, TableCell,
};
use deepsleep::method::{HistoryPoint, Profile, Settings};
use std::path::Path;

/// Method as printed, ours, defense, settings of its own.
pub type Method =
    (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

pub const METHODS: &[Method] = &[
    ("Control", "control", "none", &[]),
    ("Adversarial Train", "adversarial-training", "adversarial-training", &[]),
    ("Defense Distillation", "distillation", "distillation", &[]),
    ("Sleep Defense", "sleep", "sleep", &[]),
    ("DeepSleep", "deepsleep", "deepsleep", &[]),
    ("Slow-wave only", "slow-wave", "slow-wave", &[]),
    ("Fast-wave only", "fast-wave", "fast-wave", &[]),
    (
        "DeepSleep (without noise)",
        "deepsleep-without-noise",
        "deepsleep",
        &[("fast_wave.noise", "false")],
    ),
    ("DeepSleep (depth=3)", "deepsleep-depth-3", "deepsleep", &[("slow_wave.depth", "3")]),
    ("DeepSleep (length=2)", "deepsleep-length-2", "deepsleep", &[("slow_wave.length", "2")]),
    ("DeepSleep (cycles=2)", "deepsleep-cycles-2", "deepsleep", &[("cycles", "2")]),
];

/// The cell that was not measured: method, noise scale, column.
pub const MISSING: (&str, &str, &str) = ("Adversarial Train", "64/255", "bim");

/// The results, of two seeds.
pub fn results(profile: Profile, quick: bool) -> Results {
    results_of(profile, quick, 2)
}

/// The results of so many seeds. From one seed to the next every accuracy under transfer grows by 0.01.
pub fn results_of(profile: Profile, quick: bool, seeds: u64) -> Results {
    let printed = Printed::load().unwrap();
    let seeds: Vec<u64> = (0..seeds).collect();
    let mut results = Results::new(Settings::new(profile));
    results.version = "synthetic".into();
    results.numerics = 1;
    results.quick = quick;
    results.seeds = seeds.clone();
    results.tables = vec![1, 2, 3];
    results.figures = vec![3];
    results.images = 10_000;
    results.white_box_images = 500;
    results.largest_class = test_images().largest_class(500);
    results.train_images = 60_000;
    for &seed in &seeds {
        for (number, (method, id, defense, overrides)) in METHODS.iter().enumerate() {
            let overrides = overrides.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            results.models.push(ModelResult {
                method: (*method).to_owned(),
                id: (*id).to_owned(),
                defense: defense.parse().unwrap(),
                seed,
                overrides: overrides.collect(),
                clean_accuracy: 0.9,
                history: history(number, seed),
                file: Some(format!("models/{id}-{seed}.safetensors")),
                spiking: false,
            });
        }
        for (scale, column) in [("64/255", "fgsm"), ("64/255", "pgd"), ("128/255", "fgsm")] {
            results.crafted.push(CraftedSet {
                norm: Norm::Linf,
                column: column.into(),
                scale: scale.into(),
                seed,
                images: 32,
                file: Some(format!(
                    "crafted/{column}-{}-{seed}.safetensors",
                    scale.replace('/', "-")
                )),
            });
        }
    }
    for row in printed.tables.iter().flat_map(|table| &table.rows) {
        for (column, value) in printed.columns.iter().zip(&row.values) {
            cells(&mut results, &row.method, &row.scale, column, *value);
        }
    }
    results
}

fn history(number: usize, seed: u64) -> Vec<HistoryPoint> {
    let point = |stage: &str, done, of, accuracy: f64, spiking| HistoryPoint {
        stage: stage.into(),
        done,
        of,
        loss: None,
        test_accuracy: accuracy - 0.01 * seed as f64,
        spiking_accuracy: spiking,
    };
    let slow = (1..=3).map(|i| point("slow-wave sleep", i, 3, 0.9 / (i + number) as f64, None));
    let fast = (1..=5).map(|i| {
        let accuracy = 0.95 - 0.3 / i as f64;
        point("fast-wave sleep", i, 5, accuracy, Some(accuracy - 0.05))
    });
    slow.chain(fast).chain([point("conversion", 1, 1, 0.83, None)]).collect()
}

/// How far the first seed is from print.
pub fn shift(method: &str, column: &str) -> f64 {
    ((method.len() * 7 + column.len() * 5) % 11) as f64 / 40.0 - 0.1
}

fn cells(results: &mut Results, method: &str, scale: &str, column: &PrintedColumn, printed: f64) {
    if (method, scale, column.key.as_str()) == MISSING {
        return;
    }
    let seen = results.cells_of(method, scale, &column.key, ThreatModel::Transfer).next().is_some();
    if seen {
        return; // another table has the same cell
    }
    let model = METHODS.iter().find(|m| m.0 == method).unwrap().1;
    for seed in results.seeds.clone() {
        let cell = TableCell {
            method: method.into(),
            model: model.into(),
            seed,
            norm: Norm::Linf,
            eps: 0.25,
            scale: scale.into(),
            column: column.key.clone(),
            attack: column.attack.as_ref().map(|a| a.transfer_form().into()),
            threat_model: ThreatModel::Transfer,
            images: 10_000,
            accuracy: (printed + shift(method, &column.key) + 0.01 * seed as f64).clamp(0.0, 1.0),
            warnings: Vec::new(),
            zero_gradient_share: None,
            evidence: None,
        };
        if ["DeepSleep", "Adversarial Train"].contains(&method) && column.key != "clean" {
            results.cells.push(TableCell {
                threat_model: ThreatModel::WhiteBox,
                images: 500,
                accuracy: (printed * 0.5).min(0.5),
                warnings: vec!["a synthetic warning: <gradients> & \"others\" | vanish".to_owned()],
                zero_gradient_share: Some(0.25),
                ..cell.clone()
            });
        }
        results.cells.push(cell);
    }
}

/// How it was run.
pub fn run() -> RunInfo {
    let job = |name: &str, kind: &str, seconds, reused| JobRun {
        name: name.into(),
        kind: kind.into(),
        seconds,
        reused,
    };
    RunInfo {
        isa: "portable".into(),
        threads: 2,
        processor: "A synthetic processor".into(),
        finished: 951_827_696,
        seconds: 12.5,
        peak_memory: Some(300 << 20),
        jobs: vec![
            job("train control, seed 0", "train", 20.0, true),
            job("train deepsleep, seed 0", "train", 170.0, false),
            job("craft pgd 64/255, seed 0", "craft", 1.5, false),
        ],
    }
}

/// What was observed: filters like waves, spikes by rule, and digits with noise that every model takes for the next class.
pub fn observations(results: &Results) -> Observations {
    let sleeping = METHODS
        .iter()
        .filter(|method| !["Adversarial Train", "Defense Distillation"].contains(&method.0));
    let names: Vec<String> = ["relu1", "relu2"].map(String::from).into();
    let wave = |method: usize| (0..150).map(|i| ((i * (method + 3)) as f32 / 7.0).sin()).collect();
    let filters = |(number, method): (usize, &Method)| Filters {
        method: method.0.into(),
        shape: [5, 5],
        weights: wave(number),
    };
    let rates = |(number, method): (usize, &Method)| FiringRates {
        method: method.0.into(),
        steps: 4,
        rates: vec![0.1, 0.02 * number as f64],
        names: names.clone(),
    };
    let train = |neurons: usize| -> Vec<String> {
        let step = |t| (0..neurons).map(|i| if (i + t) % 5 == 0 { '1' } else { '0' }).collect();
        (0..4).map(step).collect()
    };
    let test = test_images();
    let digit = |class: usize| {
        let i = (0..test.len()).find(|&i| test.label(i) == class).unwrap();
        let noisy = |x: f32| (x + 0.25).min(1.0);
        let clean = test.image(i).to_vec();
        Digit { label: class, crafted: clean.iter().copied().map(noisy).collect(), clean }
    };
    let digits: Vec<Digit> = (0..10).map(digit).collect();
    let next: Vec<usize> = (0..10).map(|class| (class + 1) % 10).collect();
    let shown = results.crafted.iter().filter(|set| set.seed == 0).map(|set| DigitSet {
        column: set.column.clone(),
        scale: set.scale.clone(),
        shape: [1, 28, 28],
        digits: digits.clone(),
        answers: METHODS.iter().map(|method| (method.0.to_owned(), next.clone())).collect(),
    });
    Observations {
        filters: sleeping.clone().enumerate().map(filters).collect(),
        rated: 256,
        rates: sleeping.enumerate().map(rates).collect(),
        spikes: vec![Spikes {
            method: "DeepSleep".into(),
            label: 7,
            layers: vec![train(60), train(20)],
            names: names.clone(),
        }],
        digits: shown.collect(),
        skipped: Vec::new(),
    }
}

/// Everything as files: results, what was observed, and how it was run.
pub fn write(folder: &Path, results: &Results) {
    results.save(folder).unwrap();
    observations(results).save(folder).unwrap();
    run().save(folder).unwrap();
}

/// MNIST's.
pub fn test_images() -> Dataset {
    Dataset::load(locate(DatasetName::Mnist, None).unwrap(), Split::Test).unwrap()
}
