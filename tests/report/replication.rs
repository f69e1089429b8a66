//! Printed numbers beside several seeds: intervals, verdicts, and what they are if the control were the printed one.

use crate::synthetic::{results, results_of, shift, write};
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{CellSummary, Printed, Replication, Results};
use deepsleep::method::Profile;
use deepsleep::report::{ReadTable, build};

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-6, "{a} is not {b}");
}

fn replications(results: &Results) -> Vec<Replication> {
    Replication::all(results, &Printed::load().unwrap())
}

fn of<'a>(all: &'a [Replication], method: &str, scale: &str, column: &str) -> &'a Replication {
    let here = |r: &&Replication| (&*r.method, &*r.scale, &*r.column) == (method, scale, column);
    all.iter().find(here).unwrap()
}

#[test]
fn a_printed_number_is_judged_by_the_seeds() {
    let results = results_of(Profile::Published, false, 6);
    let all = replications(&results);
    // One cell was not measured.
    assert_eq!(all.len(), 203);
    let cell = of(&all, "DeepSleep", "64/255", "fgsm");
    let first = 0.7703 + shift("DeepSleep", "fgsm");
    let prediction = cell.verdict.prediction;
    near(prediction.mean, first + 0.025);
    // The standard deviation of 0, 0.01, ..., 0.05; Student's t of five degrees of freedom.
    let deviation = 0.018_708_287 * (7.0f64 / 6.0).sqrt();
    near(prediction.deviation, deviation);
    near(prediction.interval[0], first + 0.025 - 2.570_581_836 * deviation);
    near(cell.verdict.z, (0.7703 - first - 0.025) / deviation);
    let inside = (0.7703 - first - 0.025).abs() <= 2.570_581_836 * deviation;
    assert_eq!(cell.verdict.replicated, inside);

    // The method follows its control one to one.
    let given = cell.given_control.unwrap();
    near(given.prediction.mean, first - shift("Control", "fgsm"));
    near(given.prediction.deviation, 0.0);
    // The control is not judged by itself, and none is printed at 2/255.
    assert_eq!(of(&all, "Control", "64/255", "fgsm").given_control, None);
    assert_eq!(of(&all, "DeepSleep", "2/255", "fgsm").given_control, None);
}

#[test]
fn one_seed_is_judged_by_nothing() {
    let one = results_of(Profile::Published, false, 1);
    assert!(replications(&one).is_empty() && CellSummary::all(&one).is_empty());
    // Its file is the one it always was.
    let folder = tempfile::tempdir().unwrap();
    one.save(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join(Results::FILE)).unwrap();
    assert!(!text.contains("replication") && !text.contains("summary"));
    // Two seeds are too few for a line through them.
    assert!(
        replications(&results(Profile::Published, false)).iter().all(|r| r.given_control.is_none())
    );
}

#[test]
fn every_file_of_the_report_has_the_intervals() {
    let folder = tempfile::tempdir().unwrap();
    let results = results_of(Profile::Published, false, 6);
    write(folder.path(), &results);
    let built = build(folder.path()).unwrap();
    let [html, markdown, csv] = [&built.html, &built.markdown, &built.csv]
        .map(|path| std::fs::read_to_string(path).unwrap());
    let all = replications(&results);
    let cell = of(&all, "DeepSleep", "64/255", "fgsm");
    let [low, high] = cell.verdict.prediction.interval;
    let (number, range) = (
        format!("{:.3} \u{b1} 0.019", cell.verdict.prediction.mean),
        format!("{low:.3} to {high:.3}"),
    );
    assert!(html.contains(&format!("<b>{number}</b>")) && html.contains(&range));
    assert!(markdown.contains(&format!("0.7703<br>**{number}**<br>{range}<br>")), "{markdown}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|other| other == name).unwrap();
    let row = reader.records().map(Result::unwrap).find(|row| {
        (&row[at("method")], &row[at("scale")], &row[at("column")])
            == ("DeepSleep", "64/255", "fgsm")
    });
    let row = row.unwrap();
    for (name, value) in [
        ("transfer_sd", "0.018708".to_owned()),
        ("transfer_low", format!("{low:.6}")),
        ("transfer_high", format!("{high:.6}")),
        ("z", format!("{:.2}", cell.verdict.z)),
        ("replicated", cell.verdict.replicated.to_string()),
        ("given_control_expected", format!("{:.6}", cell.given_control.unwrap().prediction.mean)),
    ] {
        assert_eq!(row[at(name)], value, "{name}");
    }
}

#[test]
fn a_table_of_ones_own_is_the_same_everywhere() {
    // Clean images were shown under white-box attacks only; whoever crafted the others, the number is the same.
    let sheet = "scales = ['64/255']\ncolumns = ['clean', 'fgsm']\n[[method]]\nlabel = 'DeepSleep'\n\
        id = 'deepsleep'\ndefense = 'deepsleep'\n";
    let mut results = results(Profile::Published, false);
    results.sheets = vec![deepsleep::experiment::parse(sheet, "sheet.toml").unwrap()];
    results.tables = Vec::new();
    for cell in results.cells.iter_mut().filter(|cell| cell.column == "clean") {
        cell.threat_model = ThreatModel::WhiteBox;
    }
    let tables = ReadTable::asked(&results, &Printed::load().unwrap());
    let names: Vec<&str> = tables.iter().map(|table| table.threat_model.name()).collect();
    assert_eq!(names, ["transfer", "white-box"]);
    for table in tables {
        let cells = &table.scales[0].rows[0].1;
        assert!(cells.iter().all(|cell| cell.ours.is_some()), "{cells:?}");
    }
}
