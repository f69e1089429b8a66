//! What a shortened run says of itself: what was shortened, and how sure its numbers are.
use crate::evaluation::{NORMAL_QUANTILE, ThreatModel};
use crate::experiment::{Results, Spread};
use crate::method::{Settings, Training};
use crate::report::page::format::{grouped, listed};
use crate::wording::times;

/// The sentences for a `--quick` run; none for a whole one.
pub fn notice(results: &Results) -> Option<String> {
    if !results.quick {
        return None;
    }
    let all = results.test_images();
    let half = |images: usize| {
        let even = Spread::of([(0.5, images)])?;
        let half = 100.0 * NORMAL_QUANTILE * even.of_images(all);
        (half > 0.05)
            .then(|| format!("{half:.1} points with the first {} test images", grouped(images)))
    };
    let cells = |threat_model| {
        results.cells.iter().any(|c| c.threat_model == threat_model && c.is_attack())
    };
    let sides = [
        (ThreatModel::Transfer, results.images, "under transfer"),
        (ThreatModel::WhiteBox, results.white_box_images, "under white-box attacks"),
    ];
    let sides = sides.into_iter().filter(|(threat_model, ..)| cells(*threat_model));
    let errors: Vec<String> = sides
        .filter_map(|(_, images, where_)| Some(format!("{} {where_}", half(images)?)))
        .collect();
    let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
    let errors = if errors.is_empty() {
        String::new()
    } else {
        format!(
            " Error bars (95 %): an accuracy is within {} of that on all {}.",
            listed(&errors),
            grouped(all)
        )
    };
    let seeds = match results.seeds.len() {
        1 => " One seed cannot predict another: a different control has moved transfer accuracies by up to 20 points, in all methods together. `--seeds 4` measures that, in four times the time.".to_owned(),
        n => format!(" The intervals are of {}.", times(n, "seed", "seeds")),
    };
    Some(format!("Quick run: {}{errors}{seeds}", shortened(results)))
}

/// Which settings were shortened, of those that some model reads.
fn shortened(results: &Results) -> String {
    let whole = Settings::new(results.settings.profile).written();
    let read = |name: &str| {
        let trainings = results.models.iter().map(|model| model.defense).chain([Training::Control]);
        trainings.into_iter().any(|training| training.reads(&results.settings, name))
    };
    let changed = results.settings.written().into_iter().filter(|setting| !whole.contains(setting));
    let changed: Vec<String> = changed
        .filter(|(name, _)| name != "seed" && read(name))
        .map(|(name, value)| {
            let of = whole.iter().find(|(other, _)| *other == name);
            // 0 batches are all of them.
            let of = of.map_or("", |(_, value)| if value == "0" { "all" } else { value });
            format!("`{name}` is {value}, not {of}")
        })
        .collect();
    match changed.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "all trainings are whole.".to_owned(),
        ref some => format!("{}; other trainings are whole.", listed(some)),
    }
}
