//! What a report says of cells of other norms than the paper's.

use crate::synthetic::results;
use crate::written;
use deepsleep::attack::Norm;
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{RowSpec, Sheet, TableCell};
use deepsleep::method::Profile;

/// In other norms half the range of every pixel is out of reach, and print is in linf.
#[test]
fn what_holds_in_linf_is_not_said_of_other_norms() {
    let folder = tempfile::tempdir().unwrap();
    let mut results = results(Profile::Published, false);
    for cell in &mut results.cells {
        cell.norm = Norm::L2;
        if cell.threat_model == ThreatModel::WhiteBox {
            cell.warnings = vec!["every step fell short".to_owned()];
        }
    }
    let built = written(folder.path(), &results);
    for file in [&built.html, &built.markdown] {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains("uniform gray"), "{text}");
        assert!(!text.contains("this attack failed"), "{text}");
        assert!(!text.contains("No model was attacked"), "{text}");
        assert!(text.contains("every step fell short"), "{text}");
        assert!(!text.contains("there were none"), "{text}");
    }
}

/// One scale of two norms is two things.
#[test]
fn a_row_of_the_csv_says_its_norm() {
    let folder = tempfile::tempdir().unwrap();
    let mut results = results(Profile::Published, false);
    let place = ("DeepSleep", "64/255", "fgsm");
    let is_there = |cell: &&TableCell| {
        (cell.method.as_str(), cell.scale.as_str(), cell.column.as_str()) == place
            && cell.threat_model == ThreatModel::Transfer
    };
    let mut own = results.cells.iter().find(is_there).unwrap().clone();
    (own.norm, own.accuracy) = (Norm::L2, 0.125);
    let row = RowSpec {
        label: own.method.clone(),
        id: own.model.clone(),
        training: "deepsleep".parse().unwrap(),
        set: Default::default(),
        spiking: false,
    };
    let (scales, columns) = (vec![own.scale.clone()], vec![own.column.clone()]);
    results.sheets.push(Sheet::new(Norm::L2, scales, columns, vec![row]));
    results.cells.push(own);
    let built = written(folder.path(), &results);
    let text = std::fs::read_to_string(built.csv).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().unwrap().clone();
    let at = |name: &str| head.iter().position(|other| other == name).unwrap();
    let rows = reader.records().map(Result::unwrap);
    let rows = rows.filter(|r| (&r[at("method")], &r[at("scale")], &r[at("column")]) == place);
    let l2: Vec<bool> =
        rows.map(|r| (&r[at("norm")], &r[at("transfer_mean")]) == ("l2", "0.125000")).collect();
    assert_eq!(l2.iter().filter(|is| **is).count(), 1, "{text}");
    assert!(l2.len() > 1, "{text}");
}
