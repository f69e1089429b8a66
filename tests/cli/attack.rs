//! `attack`.

use crate::{Folder, read, run};

const ROBUST: &str = "tests/golden/lenet_robust.safetensors";
const PLAIN: &str = "tests/golden/lenet_weights.safetensors";

const ATTACK: [&str; 9] =
    ["attack", "--model", ROBUST, "--attack", "pgd:steps=10", "--eps", "64/255", "--images", "60"];

#[test]
fn the_list_names_every_attack_and_option() {
    let text = run(&["attack", "--list"]).stdout;
    let list = run(&["attack", "--list", "--json"]).json();
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    for name in ["fgsm", "pgd", "square", "cw", "autoattack"] {
        assert!(names.contains(&name) && text.contains(name), "{name}");
    }
    let pgd = list.as_array().unwrap().iter().find(|entry| entry["name"] == "pgd").unwrap();
    assert!(pgd["options"].as_array().unwrap().iter().any(|option| option["key"] == "steps"));
}

#[test]
fn images_and_pictures_are_kept() {
    let folder = Folder::new();
    let [npz, png, svg] = ["adv.npz", "grid.png", "grid.svg"].map(|name| folder.argument(name));
    let more = ["--save", &npz, "--grid", &png, "--json"];
    let first = run(&[&ATTACK[..], &more].concat()).json();
    let (fooled, survived) =
        (first["fooled"].as_u64().unwrap(), first["survived"].as_u64().unwrap());
    assert!(fooled > 0 && survived > 0);
    assert_eq!(fooled + survived + first["clean_wrong"].as_u64().unwrap(), 60);
    assert_eq!(first["robust_accuracy"].as_f64().unwrap(), survived as f64 / 60.0);
    assert_eq!(first["threat_model"], "white-box");
    assert_eq!(first["zero_gradient_share"], 0.0);
    assert!(first["mean_linf"].as_f64().unwrap() < 0.252);
    let [saved, picture] = [read(&npz), read(&png)];
    assert_eq!(&saved[..4], b"PK\x03\x04");
    assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");

    // The same bytes again, whatever the number of threads, over existing files.
    let again = run(&[&ATTACK[..], &more, &["--threads", "1"]].concat()).json();
    assert_eq!(again["robust_accuracy"], first["robust_accuracy"]);
    assert!(read(&npz) == saved && read(&png) == picture);

    let run_svg = run(&[&ATTACK[..], &["--grid", &svg]].concat());
    assert!(run_svg.stdout.contains("robust accuracy") && run_svg.code == Some(0));
    let svg = String::from_utf8(read(&svg)).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("adversarial"));

    // Shown to another network: as crafted for it at once.
    let shown = run(&["evaluate", "--model", PLAIN, "--crafted", &npz, "--json"]).json();
    let cell = &shown["results"][0];
    assert_eq!((&cell["threat_model"], &shown["images"]), (&"transfer".into(), &60.into()));
    let first_goal = "pgd:steps=10,return=first";
    let model = ["--model", PLAIN, "--source", ROBUST, "--attack", first_goal, "--eps", "64/255"];
    let transfer = run(&[&["attack", "--json", "--images", "60"], &model[..]].concat()).json();
    assert_eq!(transfer["robust_accuracy"], cell["robust_accuracy"]);
    assert_eq!(transfer["threat_model"], "transfer");
    let spiking = ["evaluate", "--model", ROBUST, "--model-kind", "snn", "--crafted", &npz];
    assert!(run(&spiking).stdout.contains("transfer"));
}

#[test]
fn wrong_attacks_are_refused_with_what_there_is() {
    let folder = Folder::new();
    let [missing, text] = ["no/a.npz", "grid.txt"].map(|name| folder.argument(name));
    let base = ["attack", "--model", ROBUST, "--images", "2"];
    for (more, code, words) in [
        (
            &["--attack", "pdg", "--eps", "0.1"][..],
            2,
            &["`pdg`", "did you mean `pgd`", "square"][..],
        ),
        (&["--attack", "zzz", "--eps", "0.1"], 2, &["`zzz` is unknown; there are fgsm"]),
        (
            &["--attack", "pgd:restrats=3", "--eps", "0.1"],
            2,
            &["`restrats`, did you mean `restarts`", "steps"],
        ),
        (&["--attack", "pgd:steps=x", "--eps", "0.1"], 2, &["steps=x"]),
        (&["--attack", "pgd", "--eps", "0"], 2, &["(0, 1]"]),
        (&["--attack", "pgd", "--eps", "64"], 2, &["(0, 1]", "64/255"]),
        (&["--attack", "pgd", "--eps", "0.1,0.2"], 2, &["one radius"]),
        (&["--attack", "pgd", "--eps", "0.1", "--norm", "l3"], 2, &["l3", "linf"]),
        (
            &["--attack", "deepfool", "--eps", "0.1", "--norm", "l1"],
            2,
            &["deepfool", "linf, l2, not in l1"],
        ),
        (&["--attack", "pgd"], 2, &["--eps"]),
        (&["--attack", "pgd", "--eps", "0.1", "--save", &missing], 1, &["--save", "no folder"]),
        (&["--attack", "pgd", "--eps", "0.1", "--grid", &text], 2, &["--grid", ".png or .svg"]),
        (&["--attack", "pgd", "--eps", "0.1", "--source", "none"], 1, &["none: cannot read"]),
    ] {
        run(&[&base[..], more].concat()).assert_fails(code, words);
    }
}

/// Images steered at a class count where they reach it: made for another network at once, kept, and shown.
#[test]
fn a_target_stays_with_the_images() {
    let folder = Folder::new();
    let set = folder.argument("set.npz");
    let model = ["--model", PLAIN, "--source", ROBUST, "--eps", "0.3", "--images", "40"];
    let with = |command: &[&str], attack: &str| {
        run(&[command, &model, &["--attack", attack, "--json"]].concat()).json()
    };
    let any = with(&["attack"], "pgd");
    let made = with(&["attack", "--save", &set], "pgd:target=3");
    let fewer = |what: &str| made[what].as_f64() > any[what].as_f64();
    assert!(fewer("robust_accuracy"), "{} {}", made["fooled"], any["fooled"]);
    let shown = run(&["evaluate", "--model", PLAIN, "--crafted", &set, "--json"]).json();
    let evaluated = with(&["evaluate"], "pgd:target=3");
    for result in [&shown["results"][0], &evaluated["results"][0]] {
        assert_eq!(result["robust_accuracy"], made["robust_accuracy"]);
        assert_eq!(result["warnings"], made["warnings"]);
    }
}
