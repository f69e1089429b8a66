use super::*;
use crate::experiment::parse;
use crate::experiment::work::Work;
use crate::method::Profile;

fn nearest() -> (Sweep, ExperimentSpec) {
    let sweep = parse(include_str!("../../../experiments/nearest.toml"), "nearest.toml");
    (sweep.expect("our own file"), ExperimentSpec::example())
}

#[test]
fn more_than_anybody_waits_for_is_refused() {
    let refused = |change: fn(&mut Sweep), part: &str| {
        let (mut sweep, mut spec) = nearest();
        change(&mut sweep);
        let error = sweep.graph(&mut spec).expect_err("too much").to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(|sweep| sweep.seeds = usize::MAX, "seeds");
    refused(|sweep| sweep.seeds = 0, "0 seeds");
    refused(|sweep| sweep.scales.push(sweep.scales[0].clone()), "twice");
    refused(|sweep| sweep.rows.push(sweep.rows[0].clone()), "twice");
    refused(|sweep| sweep.scales.clear(), "no noise scale");
    refused(|sweep| sweep.columns.clear(), "no column");
    let own = |sweep: &mut Sweep| sweep.columns = vec!["pgd".into(), "square:queries=20".into()];
    refused(own, "prints no column `square:queries=20`");
    refused(|sweep| sweep.rows.clear(), "no row");
    refused(|sweep| sweep.axes[0].values.clear(), "has no values");
    let zeros = |sweep: &mut Sweep| {
        let values = vec!["0".into(), "-0.0".into()];
        sweep.axes = vec![Axis { setting: "slow_wave.initial_rate".into(), values }];
    };
    refused(zeros, "`0` and `-0.0`, which are the same");
    let many = |sweep: &mut Sweep| {
        sweep.all = true;
        let axis = |name: &str| Axis {
            setting: name.into(),
            values: (30..60).map(|n: usize| n.to_string()).collect(),
        };
        sweep.axes = vec![axis("cycles"), axis("slow_wave.depth"), axis("control.epochs")];
    };
    refused(many, "variants");
    // Values that change nothing are looked at all the same.
    let unread = |sweep: &mut Sweep| {
        let values = (1..10).map(|n: usize| n.to_string()).collect();
        sweep.axes = vec![Axis { setting: "sleep.replay.steps".into(), values }];
    };
    refused(unread, "which no row here reads");
    let twice = |sweep: &mut Sweep| sweep.axes = vec![sweep.axes[0].clone(); 400];
    refused(twice, "two axes over `");
    let same = |sweep: &mut Sweep| sweep.axes[1].values = vec!["64/255".into(), "0.2509804".into()];
    refused(same, "`64/255` and `0.2509804`, which are the same");
    let empty = |sweep: &mut Sweep| sweep.rows[0].label = "Fast".into();
    refused(
        empty,
        "the paper prints no row `Fast` at 64/255, 128/255, so nothing could be compared",
    );
    refused(|sweep| sweep.scales[1] = "3/255".into(), "at the scale `3/255`");
}

/// A sweep of one method over one setting.
fn over(defense: &str, setting: &str, values: &[&str]) -> Result<(Graph, ExperimentSpec)> {
    let (mut sweep, mut spec) = nearest();
    let (label, id) = ("DeepSleep".into(), "some".into());
    let training = defense.parse().expect("a defense");
    sweep.rows = vec![RowSpec { label, id, training, set: Default::default(), spiking: false }];
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    sweep.axes = vec![Axis { setting: setting.into(), values }];
    Ok((sweep.graph(&mut spec)?, spec))
}

#[test]
fn every_value_of_an_axis_is_trained_with() {
    let epochs = |graph: &Graph, job: usize| match &graph.jobs[job].work {
        Work::Train { settings, .. } => settings.control.epochs,
        _ => 0,
    };
    for defense in ["none", "fast-wave", "distillation"] {
        let (graph, _) = over(defense, "control.epochs", &["1", "2", "10"]).expect("two more");
        let jobs: HashSet<usize> = graph.models.iter().map(|model| model.job).collect();
        assert_eq!((graph.models.len(), jobs.len()), (3, 3), "{defense}");
        for (model, asked) in graph.models.iter().zip([10, 1, 2]) {
            let input = graph.jobs[model.job].inputs.first();
            let control = input.copied().unwrap_or(model.job);
            assert_eq!(epochs(&graph, control), asked, "{defense}");
        }
    }
}

#[test]
fn an_axis_without_effect_is_refused() {
    for (defense, setting, words) in [
        ("none", "fast_wave.epochs", "which no row here reads"),
        ("fast-wave", "cycles", "which no row here reads"),
        ("deepsleep", "seed", "`seeds = N`"),
        ("none", "seed", "`seeds = N`"),
        ("none", "control.seed", "follows from `seed`"),
        ("deepsleep", "profile", "choose it by itself"),
    ] {
        let value = if setting == "profile" { "paper" } else { "2" };
        let error = over(defense, setting, &[value]).expect_err("no effect").to_string();
        assert!(error.contains(words), "{error}");
    }
    // With what another axis sets, it is read.
    let (mut sweep, mut spec) = nearest();
    sweep.all = true;
    let teacher = axis("distillation.teacher_epochs", &["3"]);
    sweep.axes = vec![axis("distillation.method", &["papernot"]), teacher];
    sweep.graph(&mut spec).expect("a teacher that is trained");
}

#[test]
fn every_change_that_matters_is_tried_once() {
    let (sweep, mut spec) = nearest();
    let graph = sweep.graph(&mut spec).expect("known settings");
    let count =
        |label: &str| graph.models.iter().filter(|m| m.row.label == label && m.seed == 0).count();
    // As published, and: two sources, an eps, two statistics; all layers, a short sleep.
    assert_eq!(count("Fast-wave only"), 1 + 2 + 1 + 2);
    assert_eq!(count("Slow-wave only"), 1 + 2 + 1 + 1);
    assert_eq!(count("DeepSleep"), 1 + 2 + 1 + 2 + 1 + 1);
    // The teacher's training; two strengths; the replay, two statistics, all layers, a short sleep.
    assert_eq!(count("Defense Distillation"), 1 + 1);
    assert_eq!(count("Adversarial Train"), 1 + 2);
    assert_eq!(count("Sleep Defense"), 1 + 1 + 2 + 1 + 1);
}

fn axis(setting: &str, values: &[&str]) -> Axis {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Axis { setting: setting.into(), values }
}

/// A variant is the whole experiment with its settings, as `--set` makes it: its images are crafted on its own control.
#[test]
fn a_variant_with_another_control_is_attacked_through_it() {
    let (mut sweep, mut spec) = nearest();
    sweep.rows.retain(|method| ["adversarial-training", "fast-wave"].contains(&method.id.as_str()));
    sweep.axes = vec![axis("control.epochs", &["3"])];
    let columns = |graph: &Graph, variant: &str| {
        let of = |key: &str| {
            let mut cells = graph.cells.iter().filter(|cell| cell.column == key);
            let cell = cells.find(|c| {
                let model = &graph.models[c.model];
                (model.row.id.as_str(), model.seed, c.scale.as_str()) == (variant, 0, "64/255")
            });
            graph.jobs[cell.expect("measured").job].key.clone()
        };
        ["clean", "fgsm", "autoattack"].map(of)
    };
    let swept = sweep.graph(&mut spec).expect("known settings");
    let mut three = ExperimentSpec { tables: vec![1, 2], ..ExperimentSpec::example() };
    for id in ["adversarial-training", "fast-wave"] {
        three.settings = Settings::new(Profile::Published);
        let whole = Graph::new(&three).expect("a table");
        assert_eq!(columns(&swept, id), columns(&whole, id));
        three.settings.set("control.epochs", "3").expect("a setting");
        let whole = Graph::new(&three).expect("a table");
        assert_eq!(columns(&swept, &format!("{id} control.epochs=3")), columns(&whole, id));
    }
    // The rows of a table face the images of the table's control, whatever their own is.
    let sheet = |rows| Sheet::new(Norm::Linf, vec!["64/255".into()], vec!["fgsm".into()], rows);
    let mut row = sweep.rows[0].clone();
    row.set.insert("control.epochs".into(), "3".into());
    let sheets = vec![sheet(vec![row])];
    let three = ExperimentSpec { tables: Vec::new(), sheets, ..three };
    let table = Graph::new(&three).expect("a table");
    let crafted = table.jobs.iter().filter(|job| job.work.kind() == "craft");
    for job in crafted {
        assert_eq!(table.jobs[job.inputs[0]].name, "train control, seed 0");
    }
}

/// MART has no use for smooth labels, and TRADES none for FGSM.
#[test]
fn combinations_that_cannot_be_are_passed_over() {
    let (mut sweep, mut spec) = nearest();
    sweep.all = true;
    sweep.rows.retain(|method| method.id == "adversarial-training");
    let [smooth, loss, attack] =
        ["label_smoothing", "loss", "attack"].map(|name| format!("adversarial_training.{name}"));
    let variants = |graph: &Graph| {
        let first = graph.models.iter().filter(|model| model.seed == 0);
        first.map(|model| model.row.id.clone()).collect::<Vec<_>>()
    };
    let id = |changes: &[&str]| {
        let changed = |change: &&str| format!(" adversarial_training.{change}");
        format!("adversarial-training{}", changes.iter().map(changed).collect::<String>())
    };
    sweep.axes = vec![axis(&smooth, &["0.1"]), axis(&loss, &["mart", "margin"])];
    let graph = sweep.graph(&mut spec).expect("all others can be");
    let all = [
        id(&[]),
        id(&["label_smoothing=0.1"]),
        id(&["loss=mart"]),
        id(&["loss=margin"]),
        id(&["label_smoothing=0.1", "loss=margin"]),
    ];
    assert_eq!(variants(&graph), all);
    let [passed] = <[_; 1]>::try_from(graph.passed_over).expect("one");
    assert_eq!(passed.variant, id(&["label_smoothing=0.1", "loss=mart"]));
    assert!(passed.why.contains("would do nothing with the losses trades and mart"), "{passed:?}");

    // Settings that have no part in it do not make more of it.
    let dream = axis("fast_wave.dream.ratio", &["0.1", "0.2"]);
    let both = [axis(&smooth, &["0.1"]), axis(&loss, &["mart"])];
    let dreaming = nearest().0.rows.into_iter().find(|method| method.id == "fast-wave");
    sweep.rows.extend(dreaming);
    sweep.axes = [&both[..], &[dream]].concat();
    let graph = sweep.graph(&mut spec).expect("all others can be");
    assert_eq!(graph.passed_over, std::slice::from_ref(&passed));
    sweep.rows.pop();

    // What one value forbids another allows, whichever comes first.
    sweep.axes = vec![axis(&loss, &["trades"]), axis(&attack, &["pgd:steps=2,step=0.1"])];
    let graph = sweep.graph(&mut spec).expect("together they can be");
    let last = id(&["loss=trades", "attack=pgd:steps=2,step=0.1"]);
    assert_eq!((graph.models.len(), variants(&graph).last()), (3, Some(&last)));
    assert_eq!(graph.passed_over.len(), 1);

    // A value that nothing can have is a mistake.
    for (name, wrong) in [(&attack, "pdg"), (&loss, "trade")] {
        sweep.axes = vec![axis(&smooth, &["0.1"]), axis(name, &[wrong])];
        let error = sweep.graph(&mut spec).map(drop).expect_err("nothing is so").to_string();
        assert!(error.contains(wrong) && error.contains("row `adversarial-training"), "{error}");
    }
}

/// Only trying it on the network shows that it has no such layer. That others do not read it makes it no better.
#[test]
fn a_value_that_no_method_can_have_is_refused() {
    let (mut sweep, mut spec) = nearest();
    sweep.all = true;
    sweep.axes = vec![axis("slow_wave.layers", &["all", r#"["conv9"]"#])];
    let error = sweep.graph(&mut spec).map(drop).expect_err("no such layer").to_string();
    assert!(error.contains("conv9") && error.contains("there are"), "{error}");
}
