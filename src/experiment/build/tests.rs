//! Which jobs there are, and which are refused.

use super::*;
use crate::evaluation::ThreatModel;
use crate::experiment::{JobOutcome, Observations, missing_results};
use crate::method::Profile;
use std::collections::HashSet;

fn spec(tables: &[usize], figures: &[usize]) -> ExperimentSpec {
    ExperimentSpec {
        tables: tables.to_vec(),
        figures: figures.to_vec(),
        images: 10_000,
        white_box_images: 1000,
        ..ExperimentSpec::default()
    }
}

fn method(defense: &str, set: &[(&str, &str)]) -> RowSpec {
    let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let (label, id) = ("Some".into(), "some".into());
    let training = defense.parse().expect("a defense");
    RowSpec { label, id, training, set: set.collect(), spiking: false }
}

fn graph_of(methods: Vec<RowSpec>) -> Result<Graph> {
    let (scales, columns) = (vec!["64/255".into()], vec!["fgsm".into()]);
    let norm = Norm::Linf;
    let sheet = Sheet::new(norm, scales, columns, methods);
    Graph::new(&ExperimentSpec { sheets: vec![sheet], ..spec(&[], &[]) })
}

fn trainings(graph: &Graph) -> Vec<&str> {
    let trainings = graph.jobs.iter().filter(|job| job.work.kind() == "train");
    trainings.map(|job| job.name.as_str()).collect()
}

#[test]
fn settings_of_the_control_are_applied_to_whatever_starts_from_it() {
    let set = [("control.epochs", "1")];
    let graph = graph_of(vec![method("none", &set)]).expect("a control of its own");
    // Images are crafted on the experiment's control, as for all others.
    assert_eq!(trainings(&graph), ["train control of some, seed 0", "train control, seed 0"]);
    let graph = graph_of(vec![method("slow-wave", &set)]).expect("on a control of its own");
    let names = ["train control of some, seed 0", "train some, seed 0", "train control, seed 0"];
    assert_eq!(trainings(&graph), names);
    assert_eq!(graph.jobs[1].inputs, [0]);
}

/// The recipe of the control is a setting like any other: of all models, all images are crafted on another control.
#[test]
fn every_setting_of_the_control_makes_another_experiment() {
    let graph = |change: Option<(&str, &str)>| {
        let mut spec = spec(&[1], &[]);
        let mut changes = change.into_iter();
        changes.try_for_each(|(name, value)| spec.settings.set(name, value)).expect("a setting");
        let graph = Graph::new(&spec).expect("our own table");
        graph.jobs.into_iter().map(|job| job.key).collect::<HashSet<_>>()
    };
    let published = graph(None);
    for change in [
        ("control.epochs", "5"),
        ("control.learning_rate", "0.05"),
        ("control.batch_size", "64"),
        ("control.rule.sgd.momentum", "0.9"),
        ("control.rule", "adam"),
        ("control.schedule", "cosine"),
        ("control.warm_up", "1"),
        ("control.label_smoothing", "0.1"),
        ("control.augmentation.shift", "2"),
        ("control.temperature", "2"),
    ] {
        assert!(graph(Some(change)).is_disjoint(&published), "{change:?}");
    }
}

#[test]
fn settings_that_nothing_reads_are_refused() {
    for (defense, name, words) in [
        ("none", "fast_wave.epochs", "`none` reads no"),
        ("fast-wave", "slow_wave.depth", "`fast-wave` reads no"),
        ("deepsleep", "seed", "seeds of the experiment"),
        ("deepsleep", "profile", "choose it by itself"),
        ("none", "control.seed", "follows from `seed`"),
        ("sleep", "sleep.replay.seed", "follows from `seed`"),
        ("distillation", "distillation.teacher_epochs", "reads no"),
    ] {
        let value = if name == "profile" { "paper" } else { "1" };
        let error = graph_of(vec![method(defense, &[(name, value)])]).expect_err("no effect");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_wrong_with_a_row_names_it() {
    for (defense, name, value, words) in [
        ("fast-wave", "fast_wave.dreams", "1", "there is no `fast_wave.dreams`"),
        ("slow-wave", "conversion", "carryy", "does not take `carryy`"),
        ("slow-wave", "slow_wave.depth", "9", "depth 9"),
        ("fast-wave", "fast_wave.statistics", "recalibrate", "it takes reset or carry"),
        ("none", "cycles", "2", "`cycles`: it changes nothing"),
        ("deepsleep", "seed", "1", "`seed`: a model has"),
    ] {
        let error = graph_of(vec![method(defense, &[(name, value)])]).expect_err("wrong");
        let error = error.to_string();
        assert!(error.contains("row `some`: ") && error.contains(words), "{error}");
    }
}

/// Before anything is trained, and only then: a plan of few images is none of trainings.
#[test]
fn batches_of_more_images_than_there_are_are_refused() {
    let mut asked = spec(&[1], &[]);
    asked.trained_on.images = 127;
    let error = Graph::new(&asked).expect("a plan").check_images().expect_err("few").to_string();
    let words = "train control, seed 0: training: 127 images do not fill one batch of 128 (`control.batch_size`)";
    assert!(error.contains(words), "{error}");
    asked.trained_on.images = 128;
    Graph::new(&asked).expect("a plan").check_images().expect("one batch");
}

#[test]
fn a_graph_of_too_many_models_is_refused() {
    let mut spec = spec(&[1], &[]);
    spec.seeds = (0..MOST_MODELS as u64).collect();
    let error = Graph::new(&spec).expect_err("too many").to_string();
    assert!(error.contains("there can be 20000"), "{error}");
}

#[test]
fn any_attack_is_a_column() {
    let mut sheet = Sheet::of_table(1).expect("our own");
    sheet.scales = vec!["64/255".into()];
    let graph = |columns: &[&str]| {
        let columns = columns.iter().map(ToString::to_string).collect();
        let sheets = vec![Sheet { columns, ..sheet.clone() }];
        Graph::new(&ExperimentSpec { sheets, ..spec(&[], &[]) })
    };
    let two = graph(&["fgsm", "square:queries=20"]).expect("a sheet");
    let own = two.cells.iter().filter(|cell| cell.column == "square:queries=20");
    let attacks: Vec<_> = own.filter_map(|cell| cell.attack.as_ref()).collect();
    assert!(!attacks.is_empty() && attacks.len() == two.cells.len() / 2);
    assert!(attacks.iter().all(|attack| attack.to_string().contains("queries=20")));
    for (column, words) in [
        ("fgms", "there is no column `fgms`, did you mean `fgsm`?"),
        ("PGD", "did you mean `pgd`"),
        ("AutoAttack", "did you mean `autoattack`"),
        ("square:querys=20", "queries"),
        ("rate", "attacks such as"),
    ] {
        let error = graph(&[column]).expect_err("no column").to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Ten steps of 2/255 go nowhere in L2, where the radii are of other lengths; nothing is printed of it.
#[test]
fn steps_reach_the_radius_in_every_norm() {
    for norm in Norm::ALL.into_iter().filter(|&norm| norm != Norm::Linf) {
        let mut sheet = Sheet::of_table(1).expect("our own");
        (sheet.norm, sheet.scales) = (norm, vec!["2".into()]);
        sheet.columns = vec!["pgd".into(), "bim".into()];
        for profile in [Profile::Published, Profile::Standard] {
            let mut asked = spec(&[], &[]);
            asked.settings = Settings::new(profile);
            asked.sheets = vec![sheet.clone()];
            let graph = Graph::new(&asked).expect("a sheet");
            for key in ["pgd", "bim"] {
                let cells: Vec<_> = graph.cells.iter().filter(|cell| cell.column == key).collect();
                assert!(!cells.is_empty());
                for cell in cells {
                    let attack = cell.attack.as_ref().expect("attacked").to_string();
                    let is_of_ten = attack.starts_with(&format!("{key}:steps=10"));
                    // A size of their own, not the paper's.
                    assert!(is_of_ten && !attack.contains("step="), "{norm}: {attack}");
                    assert_eq!(cell.ball.1, 2.0);
                }
            }
        }
    }
}

#[test]
fn jobs_come_after_their_inputs_and_are_there_once() {
    let graph = Graph::new(&spec(&[1, 2, 3], &[3])).expect("our own tables");
    for (i, job) in graph.jobs.iter().enumerate() {
        assert!(job.inputs.iter().all(|&input| input < i), "{}", job.name);
        assert!(graph.jobs[..i].iter().all(|other| other.key != job.key), "{}", job.name);
    }
    let trainings = graph.jobs.iter().filter(|job| job.work.kind() == "train").count();
    assert_eq!((trainings, graph.models.len()), (11, 11));
    // CW knows no radius; BIM ends at 20/255.
    let crafted = |key: &str| graph.jobs.iter().filter(|j| j.name.starts_with(key)).count();
    assert_eq!(crafted("craft cw"), 5);
    assert_eq!(crafted("craft bim"), 5 * 5); // 2, 4, 8, 16, 20
    assert_eq!(crafted("craft fgsm"), 8 * 5);
}

/// A job that no shard does would be missing in all of them.
#[test]
fn shards_together_do_all_jobs() {
    let spiking = |spiking| {
        let [label, id] = ["label", "id"].map(|name| format!("{name} {spiking}"));
        RowSpec { label, id, spiking, ..method("deepsleep", &[]) }
    };
    let sheet = |rows| {
        let columns = vec!["clean".into(), "fgsm".into()];
        let sheets = vec![Sheet::new(Norm::Linf, vec!["64/255".into()], columns, rows)];
        ExperimentSpec { sheets, ..spec(&[], &[]) }
    };
    let seeds = vec![0, 1];
    for asked in [
        ExperimentSpec { seeds: seeds.clone(), ..spec(&[1, 2, 3], &[3]) },
        ExperimentSpec { threat_models: vec![ThreatModel::WhiteBox], ..spec(&[1], &[]) },
        sheet(vec![spiking(true)]),
        sheet(vec![spiking(false), spiking(true)]),
        ExperimentSpec { seeds, ..sheet(vec![method("none", &[])]) },
    ] {
        let graph = Graph::new(&asked).expect("a graph");
        for shards in [1, 2, 3, 7] {
            let done = (1..=shards).map(|i| graph.of_shard(Some((i, shards))));
            let done: Vec<Vec<bool>> = done.collect();
            for (job, of) in graph.jobs.iter().enumerate() {
                assert!(done.iter().any(|shard| shard[job]), "{shards} shards: {}", of.name);
            }
        }
    }
}

/// What no report shows is not observed: not of what a search tries, nor of images that no model is asked about.
#[test]
fn pictures_are_of_what_the_report_shows() {
    let observed = |graph: &Graph| graph.jobs.iter().filter(|j| j.work.is_observation()).count();
    let asked = spec(&[1], &[]);
    assert_eq!(observed(&Graph::without_pictures(&asked).expect("a graph")), 0);
    let graph = Graph::new(&asked).expect("a graph");
    // Of five models, three sleep or are the control; of five columns, two have the same images at both noise scales.
    assert_eq!(observed(&graph), 3 + (3 * 2 + 2) + 5, "{:?}", graph.observed);
    let later: Vec<usize> =
        (0..graph.jobs.len()).filter(|&j| graph.jobs[j].work.is_observation()).collect();
    assert!(graph.cells.iter().all(|cell| cell.job < later[0]));
    // A picture that cannot be drawn is left out; no result is missing.
    let missing = missing_results(&graph, &vec![JobOutcome::Missing; graph.jobs.len()]);
    assert_eq!(missing.len() + later.len(), graph.jobs.len());
    assert!(missing.iter().all(|job| !later.contains(job)));
    let seen = Observations::assemble(&graph, &vec![JobOutcome::Missing; graph.jobs.len()]);
    assert_eq!(seen.expect("nothing is no error").skipped.len(), later.len() + 2);
}

#[test]
fn a_table_alone_has_the_keys_it_has_among_others() {
    let all = Graph::new(&spec(&[1, 2, 3], &[3])).expect("our own tables");
    let one = Graph::new(&spec(&[2], &[])).expect("our own table");
    assert!(one.jobs.iter().all(|job| all.by_key.contains_key(&job.key)));
}

fn with_columns(columns: &[&str], threat_models: &[ThreatModel]) -> Result<Graph> {
    let columns = columns.iter().map(ToString::to_string).collect();
    let sheet = Sheet { columns, scales: vec!["64/255".into()], ..own_rows() };
    let threat_models = threat_models.to_vec();
    Graph::new(&ExperimentSpec { sheets: vec![sheet], threat_models, ..spec(&[], &[]) })
}

/// A control and a defense.
fn own_rows() -> Sheet {
    let named = |id: &str, row| RowSpec { id: id.into(), label: id.into(), ..row };
    let rows = vec![named("a", method("none", &[])), named("b", method("fast-wave", &[]))];
    Sheet::new(Norm::Linf, Vec::new(), Vec::new(), rows)
}

const BOTH: [ThreatModel; 2] = [ThreatModel::Transfer, ThreatModel::WhiteBox];

#[test]
fn a_union_is_of_the_attacks_of_its_sheet_and_comes_last() {
    let columns = ["union", "clean", "fgsm", "certified", "square:queries=20", "certified=crown"];
    let graph = with_columns(&columns, &BOTH).expect("a sheet");
    let kind = |job: usize| graph.jobs[job].work.kind();
    let unions: Vec<_> = graph.cells.iter().filter(|cell| cell.column == "union").collect();
    assert_eq!(unions.len(), 2 * 2);
    for cell in unions {
        let of_attacks = graph.cells.iter().filter(|other| {
            (other.model, other.threat_model) == (cell.model, cell.threat_model)
                && other.attack.is_some()
        });
        let attacks: Vec<usize> = of_attacks.map(|cell| cell.job).collect();
        assert_eq!(graph.jobs[cell.job].inputs, attacks);
        assert_eq!((attacks.len(), kind(cell.job), &cell.attack), (2, "union", &None));
        assert_eq!((cell.ball, cell.noise), ((Norm::Linf, 64.0 / 255.0), 64.0 / 255.0));
    }
    for key in ["certified", "certified=crown"] {
        let cells = graph.cells.iter().filter(|cell| cell.column == key);
        let certified: Vec<_> = cells.collect();
        assert_eq!(certified.len(), 2);
        for cell in certified {
            assert_eq!((cell.threat_model, cell.images), (ThreatModel::WhiteBox, 1000));
            assert_eq!(graph.jobs[cell.job].inputs, [graph.models[cell.model].job]);
            assert_eq!((kind(cell.job), &cell.attack), ("certify", &None));
        }
    }
    // What was computed before such columns is found.
    let without = with_columns(&["clean", "fgsm", "square:queries=20"], &BOTH).expect("a sheet");
    assert!(without.jobs.iter().all(|job| graph.by_key.contains_key(&job.key)));
    assert_eq!(graph.jobs.len(), without.jobs.len() + 2 * 2 + 2 * 2);
    // One of other attacks is another.
    let fewer = with_columns(&["clean", "fgsm", "union"], &BOTH).expect("a sheet");
    let union = fewer.jobs.iter().find(|job| job.work.kind() == "union").expect("one");
    assert!(!graph.by_key.contains_key(&union.key));
}

/// Spikes are trained and measured, or neither.
#[test]
fn a_row_that_trains_spikes_is_measured_with_spikes() {
    let graph = |spiking: bool| {
        let set = [("adversarial_training.spiking", "true")];
        let mut rows = own_rows().rows;
        rows[1] = RowSpec { spiking, ..method("adversarial-training", &set) };
        let columns = ["clean".to_owned(), "fgsm".to_owned()].to_vec();
        let sheet = Sheet::new(Norm::Linf, vec!["64/255".into()], columns, rows);
        Graph::new(&ExperimentSpec { sheets: vec![sheet], ..spec(&[], &[]) })
    };
    graph(true).expect("spikes in both");
    let error = graph(false).expect_err("refused").to_string();
    assert!(error.contains("add `spiking = true` to the row"), "{error}");
}

#[test]
fn certificates_and_unions_that_cannot_be_are_refused() {
    let both = ["fgsm", "certified"];
    let refused = |sheets: Vec<Sheet>, threat_models: &[ThreatModel], words: &[&str]| {
        let threat_models = threat_models.to_vec();
        let graph = Graph::new(&ExperimentSpec { sheets, threat_models, ..spec(&[], &[]) });
        let error = graph.expect_err("refused").to_string();
        assert!(words.iter().all(|words| error.contains(words)), "{error}");
        assert!(!error.contains('\n'), "{error}");
    };
    let sheet = |columns: &[&str]| Sheet {
        columns: columns.iter().map(ToString::to_string).collect(),
        scales: vec!["64/255".into()],
        ..own_rows()
    };
    let in_l2 = Sheet { norm: Norm::L2, ..sheet(&both) };
    refused(vec![in_l2], &BOTH, &["`certified` bounds perturbations in linf", "norm = 'l2'"]);
    let mut spiking = sheet(&["fgsm", "certified=crown"]);
    spiking.rows[1].spiking = true;
    refused(vec![spiking], &BOTH, &["row `b`: the column `certified=crown`", "a spiking one"]);
    let words = ["`certified` is of the model itself", "white-box attacks too"];
    refused(vec![sheet(&both)], &[ThreatModel::Transfer], &words);
    let words = ["the column `union` is of the attacks beside it", "add one to `columns`"];
    refused(vec![sheet(&["clean", "certified", "union"])], &BOTH, &words);
    refused(vec![sheet(&["certified=corwn"])], &BOTH, &["`certified=corwn`", "interval and crown"]);
    let words = ["there is no column `certifyed`, did you mean `certified`?", "union, certified"];
    refused(vec![sheet(&["certifyed"])], &BOTH, &words);
    let two = vec![sheet(&["fgsm", "union"]), sheet(&["pgd", "union"])];
    refused(two, &BOTH, &["row `a` has the column `union` at 64/255 in two sheets"]);
}
