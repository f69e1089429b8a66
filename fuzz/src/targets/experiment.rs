//! Experiments as TOML: any text is a table, a sweep, printed numbers, a shortened run, or an error; and what there is
//! to do for it is a graph or an error.

use deepsleep::experiment::{ExperimentSpec, Graph, Printed, Quick, Sheet, Sweep, parse};

pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut spec = ExperimentSpec::default();
    (spec.images, spec.white_box_images) = (100, 10);
    spec.trained_on.images = 100;
    if let Ok(sheet) = parse::<Sheet>(text, "fuzz") {
        spec.sheets = vec![sheet];
        let _ = Graph::new(&spec);
        spec.sheets.clear();
    }
    if let Ok(quick) = parse::<Quick>(text, "fuzz") {
        let _ = quick.shorten(&mut spec.settings);
    }
    if let Ok(sweep) = parse::<Sweep>(text, "fuzz") {
        let _ = sweep.graph(&mut spec);
    }
    if let Ok(printed) = parse::<Printed>(text, "fuzz") {
        let _ = printed.value(1, "DeepSleep", "64/255", "fgsm");
    }
}
