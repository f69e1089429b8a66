//! Evaluations in portions, transfer, and what is kept on disk.

use crate::common::models::{lenet, test_images};
use deepsleep::Error;
use deepsleep::attack::{
    AttackInfo, AttackReport, Budget, Classifier, Norm, Samples, Status, parse_attack, run_attack,
};
use deepsleep::checkpoint::{Npz, NpzReader};
use deepsleep::evaluation::{
    Cell, Crafted, Journal, JournalSettings, Models, Plan, PortionResult, ThreatModel, WorstCase,
    archive, classify, evaluate_with, fingerprint, worst_cases,
};
use deepsleep::files::Output;
use deepsleep::nn::FrozenModel;
use deepsleep::tensor::Context;
use serde_json::json;
use std::collections::BTreeSet;

const LINF: Budget = Budget { norm: Norm::Linf, eps: 0.25, seed: 3 };

fn context() -> Context {
    Context::new(2).unwrap()
}

fn robust() -> FrozenModel {
    lenet("lenet_robust.safetensors")
}

/// The attack of a cell as files name it.
fn name(cell: &Cell) -> String {
    cell.attack.as_ref().unwrap().to_string()
}

/// Images of which one is misclassified already.
fn samples() -> Samples {
    let samples = test_images(0..300);
    samples.select(&[&(0..40).collect::<Vec<usize>>()[..], &[247]].concat()).unwrap()
}

fn run(plan: &Plan, done: Vec<PortionResult>, save: &mut dyn FnMut(&PortionResult)) -> Vec<Cell> {
    let (network, samples) = (robust(), samples());
    let models = Models { target: &network, source: None };
    let mut save = |part: &PortionResult| {
        save(part);
        Ok(())
    };
    evaluate_with(&context(), models, &samples, plan, done, &mut save).unwrap()
}

/// Without the times, which differ.
fn timeless(mut cells: Vec<Cell>) -> Vec<Cell> {
    cells.iter_mut().for_each(|cell| cell.seconds = 0.0);
    cells
}

#[test]
fn portions_add_up_to_the_whole_and_warn_as_it_does() {
    let attacks = ["autoattack:version=published", "bim:step=1/255", "cw:steps=30,search=1"];
    let attacks = attacks.map(|text| text.parse().unwrap()).to_vec();
    let plan = Plan::default().with(|o| {
        o.attacks = attacks;
        o.radii = vec![0.2, 0.25];
        o.seed = 3;
        o.portion = 100;
    });
    let whole = timeless(run(&plan, Vec::new(), &mut |_| {}));
    let mut portions = Vec::new();
    let small = plan.clone().with(|o| o.portion = 7);
    let in_portions = run(&small, Vec::new(), &mut |portion| portions.push(portion.clone()));
    assert_eq!(timeless(in_portions), whole);
    assert_eq!(portions.len(), small.portions(41));

    // Any of them done before, in any order: the same again.
    let text = serde_json::to_string(&portions).unwrap();
    let mut some: Vec<PortionResult> = serde_json::from_str(&text).unwrap();
    some.reverse();
    some.retain(|done| done.portion % 3 != 1);
    let mut new = 0;
    assert_eq!(timeless(run(&small, some, &mut |_| new += 1)), whole);
    assert_eq!(new, 6 * 2);

    // And it is what the attack itself reports.
    let (network, samples) = (robust(), samples());
    for (cell, eps) in whole[..2].iter().zip([0.2, 0.25]) {
        let a = plan.attacks[0].build().unwrap();
        let report =
            run_attack(&context(), &network, &samples, a.as_ref(), Budget { eps, ..LINF }).unwrap();
        assert_eq!(cell.robust_accuracy, report.robust_accuracy());
        assert_eq!(cell.robust_indices, report.robust_indices());
        let said: Vec<String> = cell.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(said, report.warnings);
        assert_eq!(cell.forward_passes, report.cost().forward_passes);
    }
    assert!(whole[2].warnings[0].to_string().contains("0.2 is needed"), "{:?}", whole[2].warnings);
    assert!(whole[4].warnings.iter().any(|warning| warning.to_string().contains("bounded=yes")));
}

#[test]
fn the_worst_case_is_by_the_sample() {
    let attacks =
        ["fgsm", "pgd:steps=3", "square:queries=30"].map(|text| text.parse().unwrap()).to_vec();
    let plan = Plan::default().with(|o| {
        o.attacks = attacks;
        o.radii = vec![0.25];
        o.seed = 3;
    });
    let cells = run(&plan, Vec::new(), &mut |_| {});
    let worst = &worst_cases(&cells)[0];
    let survivors: Vec<u64> = cells[0]
        .robust_indices
        .iter()
        .copied()
        .filter(|id| cells.iter().all(|cell| cell.robust_indices.contains(id)))
        .collect();
    assert_eq!(worst.robust_indices, survivors);
    assert_eq!(worst.robust_accuracy, survivors.len() as f64 / 41.0);
    for cell in &cells {
        let lost = |id: &&u64| !cell.robust_indices.contains(id);
        let others = cells.iter().filter(|other| other.attack != cell.attack);
        let mut alone: Vec<&u64> = cells[0].outcomes.iter().map(|outcome| &outcome.id).collect();
        others.for_each(|other| alone.retain(|id| other.robust_indices.contains(id)));
        let (_, only) =
            worst.fooled_only_by.iter().find(|(by, _)| Some(by) == cell.attack.as_ref()).unwrap();
        assert_eq!(*only, alone.iter().filter(|id| lost(id)).count());
    }
    let least = cells.iter().map(|cell| cell.robust_accuracy).fold(1.0, f64::min);
    let strongest = cells.iter().find(|cell| cell.attack == worst.strongest).unwrap();
    assert_eq!(strongest.robust_accuracy, least);
    // In files they are texts, in an object.
    let json = serde_json::to_value(worst).unwrap();
    let texts: BTreeSet<String> = cells.iter().map(name).collect();
    assert!(json["fooled_only_by"].as_object().unwrap().keys().eq(&texts));
    assert_eq!(json["strongest"], json!(name(strongest)));
    assert_eq!(&serde_json::from_value::<WorstCase>(json).unwrap(), worst);
}

#[test]
fn what_is_crafted_on_a_model_is_shown_to_others() {
    let (robust, plain) = (robust(), lenet("lenet_weights.safetensors"));
    let models: [&dyn Classifier; 2] = [&plain, &robust];
    let samples = samples();
    let pgd = parse_attack("pgd:steps=10,return=last").unwrap();
    let all: Vec<Vec<_>> = models
        .iter()
        .map(|source| {
            let set = Crafted::craft(&context(), *source, &samples, pgd.as_ref(), LINF).unwrap();
            models.iter().map(|target| set.show(&context(), *target).unwrap()).collect()
        })
        .collect();
    for (i, row) in all.iter().enumerate() {
        let own = run_attack(&context(), models[i], &samples, pgd.as_ref(), LINF).unwrap();
        assert_eq!(row[i].robust_indices(), own.robust_indices(), "the diagonal is white-box");
        let other = &row[1 - i];
        for (shown, own) in other.outcomes.iter().zip(&own.outcomes) {
            if matches!(shown.status, Status::Fooled | Status::Survived) {
                assert_eq!(shown.image, own.image, "the very image is shown");
            }
            assert!(shown.cost.forward_passes > own.cost.forward_passes);
        }
    }
    let (white, transfer) = (all[1][1].robust_accuracy(), all[0][1].robust_accuracy());
    assert!(white < 0.8 && transfer > 0.8, "{white} {transfer}");
}

fn crafted(seed: u64) -> (Samples, AttackReport, Crafted) {
    let (samples, a) = (samples(), parse_attack("pgd:steps=5").unwrap());
    let budget = Budget { seed, ..LINF };
    let report = run_attack(&context(), &robust(), &samples, a.as_ref(), budget).unwrap();
    let crafted = Crafted::of(&samples, &report, &AttackInfo::of("pgd"));
    (samples, report, crafted)
}

#[test]
fn a_set_is_kept_and_shown_again() {
    let (samples, report, crafted) = crafted(3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    let npz =
        archive(&samples, &report, &AttackInfo::of("pgd"), &serde_json::json!({"by": "a test"}))
            .unwrap();
    npz.save(&path).unwrap();
    assert_eq!(npz.to_bytes().unwrap(), std::fs::read(&path).unwrap(), "equal sets, equal bytes");

    let loaded = Crafted::load(&path).unwrap();
    assert_eq!(loaded.samples(), &samples);
    assert_eq!((loaded.attack(), loaded.budget()), (crafted.attack(), crafted.budget()));
    let plain = lenet("lenet_weights.safetensors");
    let shown = loaded.show(&context(), &plain).unwrap();
    let mut before = crafted.show(&context(), &plain).unwrap();
    // The image of a survivor has no finder in the file.
    let found = shown.outcomes.iter().zip(&mut before.outcomes);
    found.for_each(|(shown, before)| before.winner.clone_from(&shown.winner));
    assert_eq!(shown, before);
}

/// Images steered at a class fool whom they make answer with it, in memory, in a file, and whoever knows the clean answers.
#[test]
fn the_target_travels_with_the_images() {
    const TARGET: usize = 3;
    let (samples, model) = (samples(), lenet("lenet_weights.safetensors"));
    let a = parse_attack("pgd:steps=10,return=last,target=3").unwrap();
    let budget = Budget { eps: 0.3, ..LINF };
    let crafted = Crafted::craft(&context(), &robust(), &samples, a.as_ref(), budget).unwrap();
    assert_eq!(crafted.target(), Some(TARGET));
    let npz = crafted.to_npz(&()).unwrap();
    let read = self::read(&npz).unwrap();
    assert_eq!(read, crafted);
    let clean = classify(&context(), &model, &samples, 0).unwrap().outcomes;
    let reports = [
        crafted.show(&context(), &model).unwrap(),
        read.show(&context(), &model).unwrap(),
        read.show_classified(&context(), &model, &clean).unwrap(),
        read.show_wherever(&context(), &model).unwrap(),
    ];
    let (mut others, mut reached) = (0, 0);
    for report in reports {
        let own = report.outcomes.iter().filter(|outcome| outcome.label == TARGET);
        assert_eq!(report.diagnostics.of_target, own.count());
        for outcome in report.outcomes.iter().filter(|o| o.status != Status::CleanWrong) {
            let fooled = outcome.label != TARGET && outcome.prediction == TARGET;
            let status = if fooled { Status::Fooled } else { Status::Survived };
            assert_eq!(outcome.status, status, "{}", outcome.id);
            reached += usize::from(fooled);
            others += usize::from(!fooled && outcome.prediction != outcome.label);
        }
    }
    // Both kinds are there to be told apart.
    assert!(reached > 0 && others > 0, "{reached} {others}");
    // A file of others does not say any, and then every wrong class counts.
    assert_eq!(self::read(&set_of_others(&|_| {}).1).unwrap().target(), None);
}

#[test]
fn what_is_no_set_is_refused_by_name() {
    let (_, _, crafted) = crafted(0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    let whole = crafted.to_npz(&()).unwrap();
    let fails = |bytes: &[u8], words: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = Crafted::load(&path).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("set.npz") && text.contains(words), "{words:?} is not in {text}");
    };
    let bytes = whole.to_bytes().unwrap();
    fails(&[], "not a readable npz file");
    fails(&bytes[..bytes.len() / 2], "not a readable npz file");
    fails(&Npz::default().to_bytes().unwrap(), "has no array `images`");
    for (name, change) in [
        ("labels", (&|npz: &mut Npz| npz.integers("labels", vec![1, 2])) as &dyn Fn(&mut Npz)),
        ("below 0", &|npz| npz.integers("labels", vec![-1; 41])),
        ("outside of 0..=1", &|npz| {
            npz.floats("images", &[41, 1, 28, 28], vec![f32::NAN; 41 * 784]).unwrap();
        }),
        ("[40, 1, 28, 28]", &|npz| {
            npz.floats("adversarial", &[40, 1, 28, 28], vec![0.5; 40 * 784]).unwrap();
        }),
        ("N x C x H x W", &|npz| npz.floats("images", &[784], vec![0.5; 784]).unwrap()),
        ("notes", &|npz| npz.text("notes", "{}")),
        ("eps -1 is not a radius", &|npz| {
            let bytes = npz.to_bytes().unwrap();
            let mut file = NpzReader::new(std::io::Cursor::new(bytes), "").unwrap();
            let notes = file.text("notes").unwrap();
            let (before, after) = notes.split_once("\"eps\":").unwrap();
            let (_, after) = after.split_once(',').unwrap();
            npz.text("notes", &format!("{before}\"eps\":-1,{after}"));
        }),
    ] {
        let mut npz = crafted.to_npz(&()).unwrap();
        change(&mut npz);
        fails(&npz.to_bytes().unwrap(), name);
    }
    // Any byte may be damaged: there may be an error, never a panic.
    for at in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&path, damaged).unwrap();
        let _ = Crafted::load(&path);
    }
}

/// A set of others: three arrays, of which the crafted one is changed.
fn set_of_others(change: &dyn Fn(&mut [f32])) -> (Samples, Npz) {
    let (samples, _, crafted) = crafted(0);
    let mut npz = Npz::default();
    let clean = (0..samples.len()).flat_map(|i| samples.image(i)).copied().collect();
    let mut adversarial: Vec<f32> =
        (0..samples.len()).flat_map(|i| crafted.image(i)).copied().collect();
    change(&mut adversarial);
    npz.floats("images", &[41, 1, 28, 28], clean).unwrap();
    npz.floats("adversarial", &[41, 1, 28, 28], adversarial).unwrap();
    npz.integers("labels", samples.labels().iter().map(|&label| label as i64).collect());
    (samples, npz)
}

fn read(npz: &Npz) -> Result<Crafted, Error> {
    let bytes = npz.to_bytes().unwrap();
    Crafted::read(&mut NpzReader::new(std::io::Cursor::new(bytes), "set.npz")?)
}

#[test]
fn images_outside_of_box_or_ball_count_apart() {
    let (clean, _) = set_of_others(&|_| {});
    let pixel = |i: usize| i * 784 + 400;
    // So far from a clean pixel, and in the box.
    let beyond = |i: usize, by: f32| {
        let clean = clean.image(i)[400];
        if clean > 0.5 { clean - by } else { clean + by }
    };
    let (_, mut npz) = set_of_others(&|images| {
        // What the ball admits by rounding, and what it does not; what the box admits, and what it does not.
        images[pixel(0)] = beyond(0, 0.25 + 9e-7);
        images[pixel(1)] = beyond(1, 0.25 + 2e-6);
        images[pixel(2)] = beyond(2, 0.3);
        images[pixel(3)] = f32::NAN;
        images[pixel(4)] = 1.0 + 1e-4;
        images[pixel(5)] = -5e-7;
        images[40 * 784 + 400] = f32::INFINITY; // misclassified already
    });
    let model = robust();
    let most = [Some((Norm::Linf, 0.25)), None, Some((Norm::L2, 0.25)), Some((Norm::Linf, 0.2))];
    for (notes, most) in [
        r#"{"attack": "theirs", "norm": "linf", "eps": 0.25}"#,
        r#"{"attack": "theirs", "norm": "linf", "eps": 0.25, "bounded": false}"#,
        r#"{"attack": "theirs", "norm": "l2", "eps": 0.25}"#,
        r#"{"attack": "theirs", "norm": "linf", "eps": 0.2}"#,
    ]
    .into_iter()
    .zip(most)
    {
        let boxed_only = most.is_none();
        npz.text("notes", notes);
        let crafted = read(&npz).unwrap();
        let shown = crafted.show(&context(), &model).unwrap();
        let anywhere = crafted.show_wherever(&context(), &model).unwrap();
        let expected = |i: usize| {
            let changes = crafted.image(i).iter().zip(clean.image(i));
            let changes = changes.map(|(&a, &b)| f64::from(a) - f64::from(b));
            let beyond = most.is_some_and(|(norm, eps)| match norm {
                Norm::Linf => changes.fold(0.0, |most, change| change.abs().max(most)) > eps + 1e-6,
                _ => changes.map(|change| change * change).sum::<f64>().sqrt() > eps + 4e-6,
            });
            i != 40 && (matches!(i, 3 | 4) || beyond)
        };
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 40].map(expected),
            match most {
                Some((Norm::Linf, 0.25)) => [false, true, true, true, true, false, false],
                None => [false, false, false, true, true, false, false],
                _ => [0, 1, 2, 3, 4, 5, 40].map(expected),
            }
        );
        assert!(!(6..40).any(expected) || (notes.contains("l2") || notes.contains("0.2}")));
        for (i, (shown, anywhere)) in shown.outcomes.iter().zip(&anywhere.outcomes).enumerate() {
            assert_eq!(shown.status == Status::Outside, expected(i), "{notes} {i}");
            assert_ne!(anywhere.status, Status::Outside);
            let by_answer = match anywhere.prediction == anywhere.label {
                true => Status::Survived,
                false => Status::Fooled,
            };
            match i {
                3 => {
                    assert_eq!(anywhere.status, Status::Invalid, "what is no number proves nothing")
                }
                40 => assert_eq!(anywhere.status, Status::CleanWrong),
                _ => assert_eq!(anywhere.status, by_answer),
            }
            if shown.status != Status::Outside {
                assert_eq!(shown.status, anywhere.status);
            }
        }
        assert_eq!(shown.clean_accuracy(), 40.0 / 41.0);
        let outside = shown.count(Status::Outside);
        let (in_ball, all) = (shown.count(Status::Fooled), anywhere.count(Status::Fooled));
        assert!(shown.robust_accuracy() <= anywhere.robust_accuracy() && in_ball <= all);
        assert!(shown.warnings.iter().any(|w| w.contains(&format!("{outside} of the images lie"))));
        assert!(anywhere.warnings.iter().any(|w| w.contains("by the model's answer alone")));

        let cell = |report: &AttackReport| {
            Cell::of_report("theirs".to_owned(), ThreatModel::Transfer, report, !boxed_only, 0.0)
        };
        let (apart, counted) = (cell(&shown), cell(&anywhere).anywhere());
        assert_eq!((apart.outside, apart.outside_indices.len()), (outside, outside));
        let worst = &worst_cases(std::slice::from_ref(&apart))[0];
        assert!(worst.robust_accuracy <= apart.robust_accuracy + 1e-12 || boxed_only);
        assert!(apart.outside_indices.iter().all(|id| !worst.robust_indices.contains(id)));
        let [(theirs, only)] = &worst.fooled_only_by[..] else { panic!("one attack") };
        assert!(theirs.name() == "theirs" && *only <= in_ball);
        let worst = &worst_cases(std::slice::from_ref(&counted))[0];
        assert_eq!(worst.robust_accuracy, counted.robust_accuracy);
    }
}

#[test]
fn plain_sets_of_others_are_read() {
    let (samples, mut npz) = set_of_others(&|_| {});
    let crafted = read(&npz).unwrap();
    assert_eq!((crafted.attack(), crafted.is_bounded()), ("crafted", true));
    assert_eq!(crafted.samples().ids(), (0..41).collect::<Vec<u64>>());
    let Budget { norm, eps, .. } = crafted.budget();
    assert_eq!(norm, Norm::Linf);
    assert!((eps - 0.25).abs() < 1e-6, "{eps}");
    let shown = crafted.show(&context(), &robust()).unwrap();
    assert_eq!(shown.count(Status::Outside), 0);
    assert!(
        shown.warnings[0].contains("does not say which attack made it"),
        "{:?}",
        shown.warnings
    );
    // Written again it still does not, until it is stated.
    let again = read(&crafted.to_npz(&()).unwrap()).unwrap();
    assert!(!again.is_stated() && again == crafted);
    let stated = again.within(Norm::Linf, 0.25);
    let again = read(&stated.to_npz(&()).unwrap()).unwrap();
    assert!(again.is_stated() && again == stated);
    let (_, _, known) = self::crafted(0);
    let known = known.show(&context(), &robust()).unwrap();
    assert_eq!(shown.robust_accuracy(), known.robust_accuracy());

    // Without the channel it is the same; labels may be of any width, but are never negative.
    let flat = |name: &str| {
        let images = (0..41).flat_map(|i| match name {
            "images" => samples.image(i).to_vec(),
            _ => crafted.image(i).to_vec(),
        });
        images.collect::<Vec<f32>>()
    };
    for name in ["images", "adversarial"] {
        npz.floats(name, &[41, 28, 28], flat(name)).unwrap();
    }
    assert_eq!(read(&npz).unwrap(), crafted);
    npz.integers("labels", vec![-3; 41]);
    let message = read(&npz).unwrap_err().to_string();
    assert_eq!(message, "set.npz: `labels` holds -3 at position 0, below 0");
    npz.floats("labels", &[41], vec![1.0; 41]).unwrap();
    let message = read(&npz).unwrap_err().to_string();
    assert!(message.contains("`labels`: it is of type <f4; expected whole numbers"), "{message}");
}

#[test]
fn a_journal_survives_being_cut_anywhere_and_knows_its_settings() {
    let plan = Plan::default().with(|o| {
        o.attacks = vec!["fgsm".parse().unwrap()];
        o.radii = vec![0.1];
        o.portion = 20;
    });
    let mut parts = Vec::new();
    run(&plan, Vec::new(), &mut |part| parts.push(part.clone()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let settings = JournalSettings::from([("--eps".to_owned(), "0.1".to_owned())]);
    let place = Output::open(&path).unwrap();
    let mut journal = Journal::begin(&place, &settings).unwrap();
    parts.iter().for_each(|part| journal.add(part).unwrap());
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    for cut in (0..=whole.len()).step_by(97).chain([whole.len() - 1, whole.len()]) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let found = Journal::resume::<PortionResult>(&place, &settings).unwrap();
        let Some((mut journal, found)) = found else {
            assert!(!whole[..cut].contains(&b'\n'));
            continue;
        };
        assert_eq!(found, parts[..found.len()]);
        parts[found.len()..].iter().for_each(|part| journal.add(part).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
    let other = JournalSettings::from([("--eps".to_owned(), "0.2".to_owned())]);
    let error = Journal::resume::<PortionResult>(&place, &other).unwrap_err().to_string();
    assert!(error.contains("--eps 0.1, not 0.2"), "{error}");
    std::fs::write(&path, "{}\nnonsense\n").unwrap();
    let error =
        Journal::resume::<PortionResult>(&place, &JournalSettings::new()).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn samples_are_told_apart() {
    let all = test_images(0..20);
    let some = |indices: &[usize]| fingerprint(&all.select(indices).unwrap());
    assert_eq!(some(&[0, 1]), some(&[0, 1]));
    assert_ne!(some(&[0, 1]), some(&[1, 0]));
    assert_ne!(some(&[0, 1]), some(&[0, 2]));
}

#[test]
fn a_plan_with_an_impossible_radius_is_refused_before_any_work() {
    let plan = |norm, eps| {
        Plan::default().with(|o| {
            o.attacks = vec!["fgsm".parse().unwrap()];
            o.norm = norm;
            o.radii = vec![0.1, eps];
        })
    };
    for (norm, eps) in [
        (Norm::Linf, -0.1),
        (Norm::Linf, 1.5),
        (Norm::Linf, f32::NAN),
        (Norm::L2, -1.0),
        (Norm::L2, f32::INFINITY),
    ] {
        assert!(plan(norm, eps).validate().is_err(), "{eps} in {norm}");
    }
    assert!(plan(Norm::L2, 1.5).validate().is_ok());
}

/// What one attack cannot do is found before another has begun.
#[test]
fn what_cannot_be_run_is_refused_before_any_work() {
    let (network, samples) = (robust(), samples());
    let models = Models { target: &network, source: None };
    for (text, norm) in [
        ("square:refill=yes", Norm::Linf),
        ("sa-pgd", Norm::L2),
        ("rays", Norm::L1),
        ("autoattack", Norm::L0),
        ("sigma-zero", Norm::Linf),
        ("pgd:target=12", Norm::Linf),
        ("apgd-t:target=12", Norm::L1),
        ("pgd:gradient=rga", Norm::Linf),
        ("fab:pool=all", Norm::L2),
        ("autoattack:version=spiking", Norm::Linf),
    ] {
        let plan = Plan::default().with(|o| {
            o.attacks = ["pgd:steps=2", text].map(|text| text.parse().unwrap()).to_vec();
            o.norm = norm;
            o.radii = vec![if norm == Norm::L0 { 10.0 } else { 0.5 }];
        });
        for models in [models, Models { source: Some(&network), ..models }] {
            let mut parts = 0;
            let result =
                evaluate_with(&context(), models, &samples, &plan, Vec::new(), &mut |_| {
                    parts += 1;
                    Ok(())
                });
            assert!(matches!(result, Err(Error::Argument { .. })), "{text}: {result:?}");
            assert_eq!(parts, 0, "{text}");
        }
    }
}
