//! `train`, and that what it saves is worth something.

use crate::{Folder, Run, cli, read, run};
use deepsleep::checkpoint::StateDict;
use deepsleep::simd::Isa;

#[test]
fn a_short_training_is_worth_something() {
    let folder = Folder::new();
    let model = folder.argument("model.safetensors");
    let train = ["train", "--limit-train", "1024", "--batch-size", "32", "--epochs", "2"];
    let trained = Run::of(cli(&train).args(["--out", &model, "--json"]));
    let outcome = trained.json();
    assert_eq!(outcome["model"], model.as_str());
    assert_eq!((&outcome["defense"], &outcome["dataset"]), (&"none".into(), &"mnist".into()));
    assert_eq!(outcome["train_images"], 1024);
    assert_eq!(outcome["options"]["seed"], 0);
    let history = outcome["history"].as_array().unwrap();
    assert_eq!(history.len(), 2);
    for (i, epoch) in history.iter().enumerate() {
        assert_eq!(epoch["done"], i + 1);
        for key in ["loss", "test_accuracy", "seconds", "images_per_second"] {
            assert!(epoch[key].as_f64().unwrap() > 0.0, "{key}");
        }
    }
    assert_eq!(outcome["clean_accuracy"], history[1]["test_accuracy"]);
    // Progress, not being on a terminal, came in lines.
    for words in ["training lenet on 1024 images of mnist", "epoch 1/2: loss", "epoch 2/2: loss"] {
        assert!(trained.stderr.contains(words), "{words:?} is not in {}", trained.stderr);
    }
    assert!(!folder.path("model.safetensors.checkpoint").exists());

    let all = run(&["evaluate", "--model", &model, "--json"]).json();
    assert_eq!(all["clean_accuracy"], outcome["clean_accuracy"]);
    let some = run(&["evaluate", "--model", &model, "--images", "1000", "--json"]).json();
    assert!(some["clean_accuracy"].as_f64().unwrap() > 0.8, "{some}");
}

#[test]
fn the_file_says_how_it_was_made_and_not_where() {
    let folder = Folder::new();
    let data = folder.small_data(272, 100);
    let train = ["train", "--data-dir", &data, "--limit-train", "256", "--epochs", "1"];
    let mut models = Vec::new();
    for isa in Isa::available() {
        for threads in ["1", "3"] {
            let model = folder.argument(&format!("{}-{threads}", isa.name()));
            let mut command = cli(&train);
            command.args([
                "--batch-size",
                "64",
                "--lr",
                "0.05",
                "--seed",
                "7",
                "--out",
                &model,
                "--threads",
                threads,
            ]);
            let run = Run::of(command.arg("--quiet").env("DEEPSLEEP_ISA", isa.name()));
            assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
            assert!(run.stdout.contains("test accuracy"), "{}", run.stdout);
            models.push(model);
        }
    }
    for model in &models {
        assert_eq!(read(model), read(&models[0]), "{model}: other bits");
    }

    let state = StateDict::load(&models[0]).unwrap();
    let names: Vec<_> = state.notes().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "architecture",
            "clean_accuracy",
            "data",
            "dataset",
            "defense",
            "history",
            "network",
            "numerics",
            "train_images",
            "training.options",
            "version"
        ]
    );
    let options: deepsleep::nn::TrainingOptions = state.noted("training.options").unwrap();
    assert_eq!((options.learning_rate, options.seed, options.batch_size), (0.05, 7, 64));
    assert_eq!(state.noted::<usize>("train_images"), Some(256));
    let data: deepsleep::data::DataIdentity = state.noted("data").unwrap();
    assert_eq!((data.train.images, data.train.fingerprint.len()), (256, 32));
}

#[test]
fn what_cannot_be_trained_on_fails_in_a_line() {
    let folder = Folder::new();
    let [out, nowhere] = ["model", "nowhere"].map(|name| folder.argument(name));
    let train = |more: &[&str]| Run::of(cli(&["train", "--out", &out]).args(more));
    train(&["--limit-train", "100"])
        .assert_fails(2, &["100 images do not fill one batch of 128", "control.batch_size"]);
    train(&["--data-dir", &nowhere]).assert_fails(1, &["no mnist data set", "no such folder"]);
    train(&["--data-dir", "data/mnist", "--dataset", "fashion-mnist"])
        .assert_fails(1, &["fashion-mnist was looked for", "files of mnist"]);
    train(&["--augment-shift", "28"]).assert_fails(2, &["shift of up to 28 pixels", "1x28x28"]);
    train(&["--limit-train", "512", "--lr", "1e30"]).assert_fails(1, &["epoch 1", "learning rate"]);
    assert!(!folder.path("model").exists());
}

#[test]
fn every_option_of_a_training_is_a_setting_and_resumes_only_itself() {
    let folder = Folder::new();
    let data = folder.small_data(272, 40);
    let train = |out: &str, more: &str| {
        let base = ["train", "--data-dir", &data, "--batch-size", "32", "--epochs", "2"];
        let more: Vec<&str> = more.split_whitespace().collect();
        run(&[&base[..], &["--out", &folder.argument(out), "--json"], &more].concat())
    };
    let options = "--rule adam --weight-decay 1e-4 --lr 0.003 --schedule triangle:peak=0.3 --warm-up 0.5 \
                   --label-smoothing 0.1 --augment-shift 1";
    let settings = "--set control.rule=adam:weight_decay=0.0001 --set control.learning_rate=0.003 \
                    --set control.schedule={\"triangle\":{\"peak\":0.3}} --set control.warm_up=1/2 \
                    --set control.label_smoothing=0.1 --set control.augmentation={\"shift\":1}";
    let made = train("one", options).json();
    assert_eq!(made["options"]["rule"]["adam"]["weight_decay"], 1e-4);
    assert_eq!(made["options"]["schedule"]["triangle"]["peak"], 0.3);
    train("other", settings).json();
    assert_eq!(read(folder.argument("one")), read(folder.argument("other")));
    assert_eq!(
        train("one", &format!("{options} --resume")).json()["clean_accuracy"],
        made["clean_accuracy"]
    );
    for (from, to, words) in [
        ("adam", "sgd", "--rule adam:beta1=0.9,beta2=0.999,"),
        ("triangle:peak=0.3", "cosine", "--schedule triangle:peak=0.3, not cosine"),
        ("--warm-up 0.5", "", "--warm-up 0.5, not 0"),
        ("smoothing 0.1", "smoothing 0.2", "--label-smoothing 0.1, not 0.2"),
        ("shift 1", "shift 2", "--augment-shift 1, not 2"),
    ] {
        let run = train("one", &format!("{} --resume", options.replace(from, to)));
        run.assert_fails(2, &["cannot resume", words]);
    }
    for (more, words) in [
        ("--rule adm", &["--rule adm", "sgd:momentum=0.9", "adam:beta1=0.9"][..]),
        ("--rule adam --momentum 0.9", &["--rule adam:momentum=0.9", "no `momentum` in it"]),
        ("--momentum 1", &["momentum 1 is not in 0..1"]),
        ("--schedule step", &["--schedule step", "step:epochs=5,factor=0.1"]),
        ("--label-smoothing 1", &["label smoothing 1 is not in 0..1"]),
        ("--warm-up=-1", &["warm-up -1"]),
        ("--momentum 0.9 --set control.rule=adam", &["--momentum", "--set control.rule=adam"]),
    ] {
        train("refused", more).assert_fails(2, words);
    }
    assert!(!folder.path("refused").exists());
}

#[test]
fn a_finished_training_goes_on_and_a_network_is_trained_further() {
    let folder = Folder::new();
    let data = folder.small_data(192, 64);
    let train = |out: &str, more: &str| {
        let out = folder.argument(out);
        let base = format!("train --batch-size 32 --data-dir {data} --out {out} {more}");
        Run::of(&mut cli(&base.split(' ').collect::<Vec<_>>()))
    };
    let bytes = |name: &str| read(folder.argument(name));
    for options in ["--seed 3", "--seed 3 --weight-decay 0.01 --augment-shift 1"] {
        assert_eq!(train("once", &format!("{options} --epochs 3")).code, Some(0));
        assert_eq!(train("twice", &format!("{options} --epochs 1")).code, Some(0));
        let longer = train("twice", &format!("{options} --epochs 3 --resume"));
        assert_eq!(longer.code, Some(0), "{}", longer.stderr);
        assert!(bytes("once") == bytes("twice"), "{options}: other bytes");
    }
    // Fewer epochs than were made, or steps that depend on more than the model.
    train("twice", "--seed 3 --weight-decay 0.01 --augment-shift 1 --epochs 1 --resume")
        .assert_fails(2, &["--epochs 3, not 1"]);
    for (options, words) in
        [("--momentum 0.9", "optimizer remembered"), ("--schedule cosine", "number of epochs")]
    {
        assert_eq!(train("other", &format!("{options} --epochs 1")).code, Some(0));
        train("other", &format!("{options} --epochs 2 --resume")).assert_fails(1, &[words]);
    }

    let once = folder.argument("once");
    let further = train("further", &format!("--from {once} --epochs 1 --lr 0.01 --json"));
    let further = further.json();
    assert_eq!(further["from"].as_str().map(str::len), Some(32), "{further}");
    assert!(bytes("further") != bytes("once"));
    // From other weights it is another training.
    let model = folder.argument("other");
    train("further", &format!("--from {model} --epochs 2 --lr 0.01 --resume"))
        .assert_fails(2, &["--from"]);
}

/// Without a defense, a spiking network is trained by backpropagation through time, and its file says how it spikes.
#[test]
fn a_spiking_network_is_trained_too() {
    let folder = Folder::new();
    let [model, other] = ["spiking.safetensors", "other.safetensors"].map(|n| folder.argument(n));
    let short = ["--limit-train", "1024", "--batch-size", "32", "--model-kind", "snn"];
    let steps = ["--set", "fast_wave.spiking.steps=3"];
    let train = |epochs: &str, out: &str, more: &[&str]| {
        let options = [&["train", "--out", out, "--json", "--epochs", epochs][..], &short, more];
        run(&options.concat())
    };
    let outcome = train("2", &model, &steps).json();
    let last = &outcome["history"][1];
    assert_eq!(outcome["clean_accuracy"], last["spiking_accuracy"]);
    assert!(last["spiking_accuracy"].as_f64().unwrap() > 0.7, "{last}");
    let evaluated = run(&["evaluate", "--model", &model, "--model-kind", "snn", "--json"]).json();
    assert_eq!(evaluated["clean_accuracy"], outcome["clean_accuracy"]);
    assert_eq!(run(&["inspect", &model, "--json"]).json()["time_steps"], 3);
    // One epoch and then another is the same training; as another network it does not go on.
    assert_eq!(train("1", &other, &steps).code, Some(0));
    let resume = [&steps[..], &["--resume"]].concat();
    train("2", &other, &["--resume"]).assert_fails(2, &["how the network spikes"]);
    assert_eq!(train("2", &other, &resume).code, Some(0));
    let weights = |file: &str| StateDict::load(file).unwrap().fingerprint();
    assert_eq!(weights(&other), weights(&model));
    // A training from it spikes as it did, unless it is told otherwise.
    let further = folder.argument("further.safetensors");
    assert_eq!(train("1", &further, &["--from", &model]).code, Some(0));
    assert_eq!(run(&["inspect", &further, "--json"]).json()["time_steps"], 3);
    // What is not set anew stays.
    let threshold = ["--set", "fast_wave.spiking.neuron.threshold=0.25", "--from", &model];
    assert_eq!(train("1", &further, &threshold).code, Some(0));
    assert_eq!(run(&["inspect", &further, "--json"]).json()["time_steps"], 3);
    // With ReLUs it is another network than was trained.
    let relus = run(&["evaluate", "--model", &model, "--images", "100"]);
    assert!(relus.stderr.contains("it was trained as a spiking network"), "{}", relus.stderr);
    let relus = ["train", "--set", "fast_wave.spiking.steps=3", "--out", &further];
    run(&relus).assert_fails(2, &["fast_wave.spiking.steps"]);
}

/// Adversarial training and lucid sleep train a spiking network on examples of its own, and go on after an interruption.
#[test]
fn a_spiking_network_is_trained_on_examples_of_its_own() {
    let folder = Folder::new();
    let [control, model] =
        ["control", "spiking"].map(|n| folder.argument(&format!("{n}.safetensors")));
    let few = ["--limit-train", "1024", "--json", "--model-kind", "snn"];
    let short = [&["train", "--out", &control, "--epochs", "1"][..], &few].concat();
    assert_eq!(run(&short).code, Some(0));
    let defend = |defense: &str, more: &[&str]| {
        let options = ["train", "--defense", defense, "--from", &control, "--out", &model];
        run(&[&options[..], &few, more].concat())
    };
    let settings = "--profile lucid --set adversarial_training.epochs=3 --set adversarial_training.batch_size=32 \
                    --set fast_wave.spiking.steps=3";
    let settings: Vec<&str> = settings.split_whitespace().collect();
    let outcome = defend("lucid", &settings).json();
    let last = outcome["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(outcome["clean_accuracy"], last["spiking_accuracy"]);
    assert!(last["spiking_accuracy"].as_f64().unwrap() > 0.5, "{last}");
    assert_eq!(run(&["inspect", &model, "--json"]).json()["time_steps"], 3);
    let relus = run(&["evaluate", "--model", &model, "--images", "100"]);
    assert!(relus.stderr.contains("it was trained as a spiking network"), "{}", relus.stderr);
    let weak = ["--attack", "pgd:steps=10,start=gray", "--eps", "0.1", "--images", "200"];
    let evaluated = ["evaluate", "--model", &model, "--json", "--model-kind", "snn"];
    let evaluated = run(&[&evaluated[..], &weak].concat()).json();
    assert!(evaluated["results"][0]["robust_accuracy"].as_f64().unwrap() > 0.2, "{evaluated}");
    for defense in ["fast-wave", "distillation"] {
        defend(defense, &[]).assert_fails(2, &["--model-kind snn is for a control", defense]);
    }
    let relus = ["--set", "adversarial_training.spiking=false"];
    defend("lucid", &relus).assert_fails(2, &["give one of them"]);
    let bounds = ["--set", "adversarial_training.loss=ibp"];
    defend("adversarial-training", &bounds).assert_fails(2, &["without spikes"]);
}
