//! Journals of evaluations: any bytes are parts of one or an error, and the evaluation goes on with them or refuses them.

use super::{CONTEXT, LENET, two_samples};
use deepsleep::evaluation::{
    Journal, JournalSettings, Models, Plan, PortionResult, evaluate_with, worst_cases,
};
use deepsleep::files::Output;

pub fn run(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("written");
    let first = bytes.split(|&byte| byte == b'\n').find(|line| !line.is_empty());
    let settings: JournalSettings =
        first.and_then(|line| serde_json::from_slice(line).ok()).unwrap_or_default();
    let place = Output::open(file.path()).expect("a place to write to");
    let Ok(Some((mut journal, parts))) = Journal::resume::<PortionResult>(&place, &settings) else {
        return;
    };
    if let Some(part) = parts.first() {
        journal.add(part).expect("written");
    }
    let samples = two_samples();
    let attacks =
        ["fgsm", "deepfool:steps=1"].map(|text| text.parse().expect("an attack")).to_vec();
    let plan = Plan::default().with(|o| {
        o.attacks = attacks;
        o.radii = vec![0.25];
        o.portion = 1;
    });
    let models = Models { target: &*LENET, source: None };
    if let Ok(cells) = evaluate_with(&CONTEXT, models, &samples, &plan, parts, &mut |_| Ok(())) {
        let _ = worst_cases(&cells);
    }
}
