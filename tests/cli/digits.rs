//! Other images and a network of one's own, from pixels to the report: scikit-learn's digits of 8 x 8.

use crate::{Folder, read, run};
use std::fs;

const DATA: &str = "tests/golden/digits";
const NET: &str = "experiments/digits/net.toml";
const SHEET: &str = "experiments/digits/sheet.toml";

#[test]
fn a_network_of_ones_own_on_other_images_goes_all_the_way() {
    let folder = Folder::new();
    let control = folder.argument("control");
    let train = |out: &str, more: &[&str]| {
        run(&[&["train", "--data", DATA, "--out", out, "--quiet", "--json"], more].concat()).json()
    };
    let options = "--rule adam --lr 0.003 --batch-size 32 --epochs 6 --schedule cosine --label-smoothing 0.05";
    let options: Vec<&str> = options.split(' ').collect();
    let trained = train(&control, &[&options[..], &["--architecture", NET]].concat());
    let accuracy = trained["clean_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    assert!(trained["network"].as_str().unwrap().starts_with("9 nodes, 1x8x8 to 10 classes"));

    for (defense, settings) in [
        (
            "adversarial-training",
            "adversarial_training.epochs=1 adversarial_training.batch_size=32",
        ),
        ("distillation", "distillation.student_epochs=1 distillation.batch_size=32"),
        ("sleep", "sleep.steps=10 sleep.passes=1 slow_wave.batch_size=32"),
        ("slow-wave", "slow_wave.batches=2 slow_wave.batch_size=32 slow_wave.initial_rate=0.2"),
        ("fast-wave", "fast_wave.epochs=1 fast_wave.batch_size=32 fast_wave.spiking.steps=3"),
        (
            "deepsleep",
            "fast_wave.epochs=1 fast_wave.batch_size=32 fast_wave.spiking.steps=3 \
                       slow_wave.batches=2 slow_wave.batch_size=32 slow_wave.initial_rate=0.2",
        ),
    ] {
        let out = folder.argument(defense);
        let mut arguments = vec!["--defense", defense, "--from", &control, "--limit-train", "320"];
        settings.split_whitespace().for_each(|setting| arguments.extend(["--set", setting]));
        train(&out, &arguments);
        let evaluated = run(&["evaluate", "--model", &out, "--data", DATA, "--json"]).json();
        assert_eq!(evaluated["images"], 297, "{defense}");
        let attack = ["--attack", "apgd-ce:steps=5", "--eps", "16/255", "--images", "50"];
        let attack = [&["attack", "--model", &out, "--data", DATA, "--json"][..], &attack].concat();
        assert_eq!(run(&attack).json()["images"], 50, "{defense}");
    }
    let fast_wave = folder.argument("fast-wave");
    let spiking = ["evaluate", "--model", &fast_wave, "--model-kind", "snn", "--data", DATA];
    run(&[&spiking[..], &["--json"]].concat()).json();
    let svg = folder.argument("filters.svg");
    let inspected = ["inspect", &fast_wave, "--data", DATA, "--filters", &svg, "--json"];
    assert_eq!(run(&inspected).json()["parameters"], 144 + 32 + 4608 + 64 + 1290);
    assert!(String::from_utf8(read(&svg)).unwrap().starts_with("<svg"));
}

#[test]
fn a_sheet_names_network_and_images_and_its_report_shows_its_table() {
    let folder = Folder::new();
    let out = folder.argument("out");
    let reproduce = |more: &[&str]| {
        run(&[&["reproduce", "--sheet", SHEET, "--out", &out, "--quiet"], more].concat())
    };
    let few = ["--images", "40", "--white-box-images", "20"];
    let short = ["--set", "control.epochs=4", "--json"];
    let results = reproduce(&[&few[..], &short].concat()).json();
    assert_eq!(results["data"]["name"], "digits");
    assert!(results["network"].as_str().unwrap().starts_with("9 nodes, 1x8x8"), "{results}");
    // Three methods, two scales, three columns, two threat models.
    assert_eq!(results["cells"].as_array().unwrap().len(), 3 * 2 * 3 * 2);
    let page = String::from_utf8(read(folder.path("out/index.html"))).unwrap();
    assert!(page.contains("Own tables") && page.contains("Fast-wave sleep"));
    assert!(!page.contains("Tables 1 to 3") && !page.contains("MNIST test"), "nothing of print");
    // Curves are of the sheet's own attacks, without those of the paper.
    assert!(page.contains("<b>pgd</b>: 16/255: ") && page.contains("<b>fgsm</b>: 16/255: "));
    for words in [
        "Figure 3",
        "printed as",
        "printed and reproduced",
        ", printed<",
        "Exchanged columns",
        "(ran: FGSM)",
    ] {
        assert!(!page.contains(words), "{words}");
    }
    assert!(!folder.path("out/replication.svg").exists());
    let csv = String::from_utf8(read(folder.path("out/results.csv"))).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3 * 2 * 3);
    // The folder knows both: neither another network nor other images mix with these.
    let other = folder.argument("sheet.toml");
    let text = fs::read_to_string(SHEET).unwrap();
    let set = fs::canonicalize(DATA).unwrap().display().to_string();
    let text = text.replace("../../tests/golden/digits", &set).replace("net.toml", "mlp:8");
    fs::write(&other, &text).unwrap();
    run(&["reproduce", "--sheet", &other, "--out", &out])
        .assert_fails(2, &["the network `9 nodes, 1x8x8", "not `3 nodes, 1x8x8"]);
    // Nothing to do is left.
    let plan = reproduce(&[&few[..], &["--set", "control.epochs=4", "--dry-run"]].concat());
    assert!(
        plan.stdout.contains("0 of ") && plan.stdout.contains("network: 9 nodes"),
        "{}",
        plan.stdout
    );
}

#[test]
fn what_is_wrong_with_a_sheet_is_told_by_its_name() {
    let folder = Folder::new();
    let (sheet, out) = (folder.argument("sheet.toml"), folder.argument("out"));
    let text = fs::read_to_string(SHEET).unwrap();
    let set = fs::canonicalize(DATA).unwrap().display().to_string();
    let net = fs::canonicalize(NET).unwrap().display().to_string();
    let text = text.replace("../../tests/golden/digits", &set).replace("net.toml", &net);
    let with = |text: &str, more: &[&str]| {
        fs::write(&sheet, text).unwrap();
        run(&[&["reproduce", "--sheet", &sheet, "--out", &out, "--dry-run"], more].concat())
    };
    let plan = with(&text, &[]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    for (from, to, words) in [
        ("scales = [", "scalez = [", "there is no `scalez`"),
        ("scales = [\"16/255\", \"64/255\"]", "", "`scales` is missing"),
        ("scales = [", "table = 1\nscales = [", "the paper's"),
        ("\"fgsm\"", "\"fgsmm\"", "did you mean `fgsm`?"),
        ("control.rule", "control.rules", "did you mean `control.rule"),
        ("control.rule\" = \"adam\"", "cycles\" = \"2\"", "`cycles`: this changes nothing"),
        ("\"adversarial_training.rule\" = \"adam\"", "\"cycles\" = \"2\"", "reads no such"),
    ] {
        with(&text.replacen(from, to, 1), &[]).assert_fails(1, &["sheet.toml", words]);
    }
    with(&text.replace(&net, "nowhere.toml"), &[]).assert_fails(1, &["nowhere.toml"]);
    with(&text.replace(&net, "lenett"), &[])
        .assert_fails(1, &["sheet.toml: architecture lenett", "did you mean `lenet`?"]);
    with(&text.replace(&set, "nowhere"), &[]).assert_fails(1, &["nowhere"]);
    with(&text, &["--architecture", "mlp:8"])
        .assert_fails(2, &["--architecture", "sheet.toml too"]);
    with(&text, &["--data", DATA]).assert_fails(2, &["--data", "sheet.toml too"]);
    // A line is enough for the paper's tables on other images.
    let line = format!("data = '{set}'");
    let words = format!("{line}\narchitecture = 'mlp:8'\ntable = 3");
    let plan = with(&words, &[]);
    assert!(plan.stdout.contains("digits: 1500 training images"), "{}", plan.stderr);
    with(&words, &["--table", "1"]).assert_fails(2, &["--table and --figure"]);
    let plan = with(&format!("{line}\narchitecture = 'mlp:8'"), &["--table", "1"]);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(!folder.path("out").exists());
}
