//! Other images and a network of one's own, from pixels to the report: scikit-learn's digits of 8 x 8.

use crate::{Folder, read, run};
use deepsleep::attack::Status;
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::Results;
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
        "the paper",
        "compare with print",
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

/// What withstands all attacks, and what bounds prove, stand in the report beside the attacks.
#[test]
fn a_sheet_has_columns_of_certificates_and_of_all_attacks_together() {
    let folder = Folder::new();
    let (sheet, out) = (folder.argument("sheet.toml"), folder.argument("out"));
    let set = fs::canonicalize(DATA).unwrap().display().to_string();
    let net = fs::canonicalize(NET).unwrap().display().to_string();
    let text = format!(
        "data = '{set}'\narchitecture = '{net}'\nscales = ['1/255', '16/255']\n\
         columns = ['clean', 'union', 'fgsm', 'pgd', 'cw', 'certified', 'certified=crown']\n\
         [set]\n'control.rule' = 'adam'\n'control.learning_rate' = '0.003'\n\
         'control.batch_size' = '32'\n'control.epochs' = '4'\n\
         [[row]]\nlabel = 'Control'\nid = 'control'\ndefense = 'none'\n"
    );
    fs::write(&sheet, text).unwrap();
    let asked = ["reproduce", "--sheet", &sheet, "--out", &out, "--quiet", "--images", "40"];
    let reproduce =
        |more: &[&str]| run(&[&asked[..], &["--white-box-images", "30"], more].concat());
    let plan = reproduce(&["--dry-run"]).stdout;
    for words in ["certify        4 of 4 ", "union          4 of 4 "] {
        assert!(plan.contains(words), "{plan}");
    }
    reproduce(&[]);
    let results = Results::load(&folder.path("out")).unwrap();
    // Two scales; seven columns white-box, and no certificates under transfer.
    assert_eq!(results.cells.len(), 2 * (7 + 5));
    let path = folder.path("out");
    let right = |scale: &str, column: &str, threat_model| {
        let mut cells = results.cells_of("Control", scale, column, threat_model);
        let cell = cells.next().unwrap();
        let measured = cell.evidence(&path).unwrap();
        (cell.accuracy, measured.outcomes)
    };
    for scale in ["1/255", "16/255"] {
        for threat_model in ThreatModel::ALL {
            let of = |column| right(scale, column, threat_model);
            let attacks = ["fgsm", "pgd", "cw"].map(|column| of(column).1);
            let (union, outcomes) = of("union");
            let eps = results.cells_of("Control", scale, "union", threat_model).next().unwrap().eps;
            // `cw` knows no radius: its images count where they lie within.
            let withstands = |i: usize| {
                attacks.iter().all(|all| match all[i].status {
                    Status::Survived => true,
                    Status::Fooled => all[i].linf > eps + 1e-6,
                    _ => false,
                })
            };
            let statuses: Vec<bool> =
                outcomes.iter().map(|outcome| outcome.status == Status::Survived).collect();
            assert_eq!(statuses, (0..outcomes.len()).map(withstands).collect::<Vec<_>>());
            let count = statuses.iter().filter(|&&right| right).count();
            assert_eq!(union, count as f64 / outcomes.len() as f64);
            assert!(union <= of("fgsm").0.min(of("pgd").0) && union <= of("clean").0);
        }
        let of = |column| right(scale, column, ThreatModel::WhiteBox);
        let [union, interval, crown] = ["union", "certified", "certified=crown"].map(of);
        assert!(interval.0 <= crown.0 && crown.0 <= union.0, "{interval:?}, {crown:?}");
        assert_eq!((crown.1.len(), union.1.len()), (30, 30));
        for (certified, union) in crown.1.iter().zip(&union.1) {
            assert!(certified.status != Status::Survived || union.status == Status::Survived);
        }
    }
    assert!(right("1/255", "certified=crown", ThreatModel::WhiteBox).0 > 0.5, "something is shown");
    for cell in results.cells.iter().filter(|cell| !cell.is_clean() && !cell.is_attack()) {
        assert!(cell.warnings.is_empty() && cell.zero_gradient_share.is_none());
    }
    let [page, report, csv] = ["index.html", "report.md", "results.csv"]
        .map(|name| String::from_utf8(read(folder.path(&format!("out/{name}")))).unwrap());
    assert!(page.contains("Own tables") && page.contains("<b>union</b>: 1/255: "));
    assert!(page.contains("<b>certified=crown</b>: 1/255: "));
    assert!(report.contains("| clean | union | fgsm | pgd | cw |\n"), "{report}");
    assert!(report.contains("| cw | certified | certified=crown |\n"), "{report}");
    assert!(report.contains("the first 30 test images") && report.contains("by interval bound"));
    let row = |column: &str| csv.lines().find(|line| line.contains(column)).unwrap().to_owned();
    // Under transfer there is none; white-box it has mean, seeds and images.
    assert!(row("1/255,Control,certified,").contains("certified,,,,,,,,,,,,"), "{csv}");
    assert!(row("1/255,Control,certified,").contains(",1,30,,"), "{csv}");
    assert!(row("16/255,Control,union,").contains(",1,40,,") && !csv.contains("missing"));
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
    let with_columns = |columns: &str| text.replace("\"clean\", \"fgsm\", \"pgd\"", columns);
    for (columns, more, words) in [
        ("\"clean\", \"union\"", &[][..], "is of the attacks beside it, and there are none"),
        ("\"certified=x\"", &[], "known are interval and crown"),
        ("\"certified\"", &["--threat-model", "transfer"], "ask for white-box attacks too"),
    ] {
        with(&with_columns(columns), more).assert_fails(1, &["sheet.toml", words]);
    }
    let in_l2 = with_columns("\"certified\"").replace("scales", "norm = 'l2'\nscales");
    with(&in_l2, &[]).assert_fails(1, &["sheet.toml", "leave it out with norm = 'l2'"]);
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
