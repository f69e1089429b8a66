//! Radii, names and numbers that are none, each refused with what would be right.

use crate::{Folder, run};

const MODEL: &str = "tests/golden/lenet_weights.safetensors";

#[test]
fn what_is_no_radius_is_refused() {
    for eps in [
        "0", "-1", "-0.1", "1.1", "64", "64/0", "0/255", "0/0", "nan", "inf", "1e400", "1e-400",
        "1e-46", "", ",", "0.1,", "0.1,,0.2", "64/255/2", "abc", "0x10", "٣",
    ] {
        let eps = format!("--eps={eps}");
        let attack = ["--model", MODEL, "--images", "2", "--attack", "fgsm", &eps];
        for command in ["attack", "evaluate"] {
            run(&[&[command][..], &attack].concat())
                .assert_fails(2, &["is not a radius in (0, 1]", "64/255"]);
        }
    }
}

#[test]
fn what_is_no_attack_is_refused_with_the_nearest_name() {
    for (attack, words) in [
        ("", &["`` is unknown; there are fgsm"][..]),
        ("PGDD", &["did you mean `pgd`"]),
        ("autoattck", &["did you mean `autoattack`"]),
        ("pgd;steps=3", &["there are fgsm"]),
        (
            "fgsm:steps=3",
            &["no option `steps`; there are loss, target, gradient, pool, time, draws, return"],
        ),
        ("pgd:restrats=3", &["did you mean `restarts`"]),
        ("pgd:steps", &["key=value"]),
        ("pgd:steps=", &["steps=", "expected a number"]),
        ("pgd:steps=0", &["at least 1"]),
        ("pgd:steps=-1", &["steps=-1"]),
        ("pgd:steps=99999999999999999999", &["steps=99999999999999999999"]),
        ("pgd:steps=2,steps=3", &["given twice"]),
        ("pgd:step=nan", &["positive number"]),
        ("pgd:draws=0", &["draws=0", "1 or more"]),
        ("pgd:return=frist", &["first or last"]),
        ("square:p=nan", &["(0, 1]"]),
        ("square:queries=0", &["at least 1"]),
        ("cw:c=0", &["not positive"]),
        ("cw:kappa=inf", &["kappa inf is not a number, 0 or greater"]),
        ("cw:form=publishd", &["canonical or published"]),
        ("deepfool:overshoot=nan", &["overshoot NaN"]),
        ("fab-t:targets=0", &["1 or more"]),
    ] {
        let arguments = ["--model", MODEL, "--images", "2", "--eps", "0.1", "--attack", attack];
        for command in ["attack", "evaluate"] {
            run(&[&[command][..], &arguments].concat()).assert_fails(2, words);
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_before_any_work() {
    let folder = Folder::new();
    let out = folder.argument("out");
    for (setting, words) in [
        ("slow_wave.lengt=1", &["did you mean `slow_wave.length`"][..]),
        ("slow_wave=1", &["`slow_wave` does not take `1`"]),
        ("slow_wave", &["NAME=VALUE"]),
        ("=", &["there is no ``"]),
        ("fast_wave.epochs=-1", &["-1"]),
        ("fast_wave.epochs=1.5", &["1.5"]),
        ("slow_wave.plasticity=parr", &["`published` or `pair`"]),
        ("slow_wave.initial_rate=nan", &["nan"]),
        ("slow_wave.initial_rate=1e400", &["1e400"]),
        ("slow_wave.initial_rate=64/0", &["64/0"]),
        ("slow_wave.initial_rate=0", &["initial rate 0 (above 0, at most 1)"]),
        ("slow_wave.initial_rate=1e-300", &["time steps; at most 4294967295"]),
        ("slow_wave.decrease_ratio=1e308", &["time steps; at most 4294967295"]),
        ("slow_wave.depth=9", &["depth 9 (1 to 8)"]),
        ("slow_wave.length=18446744073709551615", &["it can be 1000000 at most"]),
        ("slow_wave.length=20000", &["at most 10000 passes"]),
        ("cycles=20000", &["`cycles` is 20000; at most 10000"]),
        ("sleep.passes=20000", &["`sleep.passes`", "at most 10000"]),
        ("fast_wave.spiking.steps=0", &["0 time steps; 1 to 10000"]),
        ("fast_wave.spiking.steps=20000", &["1 to 10000"]),
        ("fast_wave.dream.eps=2", &["dream eps 2"]),
        ("fast_wave.batch_size=1", &["batch size 1", "at least 2"]),
        ("fast_wave.learning_rate=0", &["learning rate 0 is not a positive number"]),
        ("adversarial_training.eps=2", &["`adversarial_training.eps` is 2"]),
        ("adversarial_training.ratio=7", &["`adversarial_training.ratio` is 7"]),
        ("distillation.temperature=0", &["temperature 0"]),
        ("sleep.replay.window=0", &["window: 0"]),
        ("control.epochs=0", &["`control.epochs` is 0"]),
        ("cycles=0", &["`cycles` is 0, which would do nothing"]),
        ("slow_wave.length=0", &["`slow_wave.length` is 0, which would do nothing"]),
        ("fast_wave.epochs=0", &["`fast_wave.epochs` is 0, which would do nothing"]),
        ("sleep.steps=0", &["`sleep.steps` is 0"]),
        ("adversarial_training.epochs=0", &["`adversarial_training.epochs` is 0"]),
        ("distillation.student_epochs=0", &["`distillation.student_epochs` is 0"]),
        ("fast_wave.spiking.neuron.threshold=0", &["threshold` is 0; it must be above 0"]),
        ("fast_wave.statistics=recalibrate", &["the same as reset", "reset or carry"]),
    ] {
        // Also those of another defense's stages: it would meet them after hours, in a reproduction of all.
        for arguments in [
            &["train", "--defense", "deepsleep", "--from", MODEL][..],
            &["reproduce", "--table", "1"],
        ] {
            let run = run(&[arguments, &["--out", &out, "--set", setting]].concat());
            run.assert_fails(2, words);
        }
        assert!(folder.names("").is_empty(), "{setting}");
    }
}

#[test]
fn misspelled_names_find_the_one_that_was_meant() {
    let folder = Folder::new();
    let sweep = folder.argument("sweep.toml");
    let base = ["--model", MODEL];
    for (arguments, words) in [
        (vec!["train", "--profile", "publishd", "--print-config"], &["`published`"][..]),
        (vec!["reproduce", "--profile", "standrad"], &["did you mean `standard`"]),
        (vec!["train", "--defense", "slow-wav"], &["'slow-wave'"]),
        (vec!["train", "--defence", "sleep"], &["'--defense'"]),
        (vec!["train", "--dataset", "fashion-mnits"], &["'fashion-mnist'"]),
        (vec!["reproduce", "--threat-model", "transfr"], &["'transfer'"]),
        (vec!["data", "verfy"], &["'verify'"]),
        (vec!["data", "verify", "mnsit"], &["'mnist'"]),
        ([&["evaluate"], &base[..], &["--model-kind", "snnn"]].concat(), &["'snn'"]),
        ([&["evaluate"], &base[..], &["--frist", "1"]].concat(), &["'--first'"]),
        (
            [&["attack"], &base[..], &["--attack", "fgsm", "--eps", "0.1", "--norm", "linff"]]
                .concat(),
            &["'linf'"],
        ),
    ] {
        run(&arguments).assert_fails(2, words);
    }
    for (defense, column, words) in [
        ("slow-wavee", "clean", "unknown defense `slow-wavee`, did you mean `slow-wave`?"),
        ("slow-wave", "fgmsm", "no column `fgmsm`, did you mean `fgsm`?"),
    ] {
        let text = format!(
            "all = false\nscales = ['64/255']\ncolumns = ['{column}']\nseeds = 1\naxis = []\n\
             [[method]]\nlabel = 'Slow-wave only'\nid = 'x'\ndefense = '{defense}'\n"
        );
        std::fs::write(&sweep, text).unwrap();
        let out = folder.argument("out");
        run(&["reproduce", "--sweep", &sweep, "--out", &out])
            .assert_fails(1, &["sweep.toml: ", words]);
        assert!(!folder.path("out").exists());
    }
}

#[test]
fn numbers_of_images_and_of_work_are_refused_beyond_what_there_is() {
    let folder = Folder::new();
    let data = folder.small_data(40, 40);
    let base = ["--data-dir", &data, "--model", MODEL];
    let attack = [&base[..], &["--attack", "fgsm", "--eps", "0.1"]].concat();
    let largest = "18446744073709551615";
    for (command, more, words) in [
        ("evaluate", ["--images", "0"], &["at least 1"][..]),
        ("evaluate", ["--images", "41"], &["--images 41", "40 test images"]),
        ("evaluate", ["--images", largest], &["40 test images"]),
        ("evaluate", ["--first", "40"], &["--first 40", "40 test images"]),
        ("evaluate", ["--first", largest], &["40 test images"]),
        ("attack", ["--images", "0"], &["at least 1"]),
        ("attack", ["--images", "41"], &["40 test images"]),
        ("attack", ["--first", "40"], &["--first 40"]),
    ] {
        let base = if command == "attack" { &attack[..] } else { &base[..] };
        run(&[&[command], base, &more].concat()).assert_fails(2, words);
    }
    for (option, value, words) in [
        ("--images", "0", "at least 1"),
        ("--images", "41", "40 test images"),
        ("--images", largest, "at most 10000000"),
        ("--white-box-images", largest, "at most 10000000"),
        ("--seeds", "0", "at least 1"),
        ("--seeds", "1000000000000", "at most 1000"),
        ("--jobs", "1000000000", "at most 64"),
        ("--shard", "1/0", "I/N"),
        ("--table", "0", "no table 0"),
        ("--table", "1,", "empty"),
    ] {
        let out = folder.argument("out");
        let arguments = ["reproduce", "--quick", "--data-dir", &data, "--out", &out, option, value];
        run(&arguments).assert_fails(2, &[words]);
        assert!(!folder.path("out").exists());
    }
    for (option, value, words) in
        [("--images", "0", "at least 1"), ("--image", "40", "--image 40: there are 40 test images")]
    {
        let raster = folder.argument("raster.svg");
        let base = ["inspect", MODEL, "--data-dir", &data, "--raster", &raster];
        run(&[&base[..], &[option, value]].concat()).assert_fails(2, &[words]);
    }
    for (option, value, words) in [
        ("--batch-size", largest, "it can be 1000000 at most"),
        ("--limit-train", "0", "at least 1"),
        ("--epochs", "18446744073709551616", "not a whole number"),
        ("--seed", "x", "--seed"),
    ] {
        let out = folder.argument("out");
        run(&["train", "--data-dir", &data, "--out", &out, option, value])
            .assert_fails(2, &[words]);
    }
}

#[test]
fn folders_that_are_none_are_named() {
    let folder = Folder::new();
    let [nowhere, out] = ["nowhere", "out"].map(|name| folder.argument(name));
    for (arguments, words) in [
        (vec!["merge", &nowhere, "--out", &out], "no results folder"),
        (vec!["merge", MODEL, "--out", &out], "no results folder"),
        (vec!["report", &nowhere], "no results.json in it"),
        (vec!["report", MODEL], "no results.json in it"),
        (vec!["reproduce", "--sweep", &nowhere, "--out", &out], "nowhere"),
        (vec!["reproduce", "--sweep", "/dev/zero", "--out", &out], "a pipe, socket, or device"),
        (vec!["reproduce", "--sheet", "/dev/zero", "--out", &out], "a pipe, socket, or device"),
        (vec!["reproduce", "--search", "/dev/zero", "--out", &out], "a pipe, socket, or device"),
        (vec!["evaluate", "--model", MODEL, "--crafted", MODEL], "not a readable npz file"),
        (vec!["evaluate", "--model", MODEL, "--crafted", &nowhere], "cannot read"),
        (
            vec!["data", "fetch", "mnist", "--base-url", "nonsense", "--into", &nowhere],
            "cannot download",
        ),
        (
            vec!["data", "fetch", "mnist", "--base-url", "http://127.0.0.1:1", "--into", MODEL],
            "cannot create",
        ),
    ] {
        run(&arguments).assert_fails(1, &[words]);
        assert!(!folder.path("out").exists(), "{arguments:?}");
    }
}

#[test]
fn settings_that_change_nothing_are_refused() {
    let folder = Folder::new();
    let out = folder.argument("model");
    let quiet = ["--set", "fast_wave.noise=false"];
    let dream = ["--set", "fast_wave.dream.eps=0.1"];
    for (settings, words) in [
        (["--seed", "5", "--set", "seed=4"], &["--seed 5", "--set seed=4", "once"][..]),
        // In either order.
        ([quiet[0], quiet[1], dream[0], dream[1]], &["fast_wave.dream.eps=0.1", "does not read"]),
        ([dream[0], dream[1], quiet[0], quiet[1]], &["fast_wave.dream.eps=0.1", "does not read"]),
    ] {
        for defense in ["fast-wave", "deepsleep"] {
            let train = ["train", "--defense", defense, "--from", MODEL, "--out", &out];
            run(&[&train[..], &settings].concat()).assert_fails(2, words);
        }
    }
    let both = ["train", "--print-config", "--seed", "5", "--set", "seed=4"];
    run(&both).assert_fails(2, &["--seed 5", "--set seed=4"]);
    assert!(folder.names("").is_empty());
}
