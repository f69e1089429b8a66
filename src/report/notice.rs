//! What a shortened run says of itself: what was shortened, and how sure its numbers are.
use crate::evaluation::{NORMAL_QUANTILE, ThreatModel};
use crate::experiment::{Quick, Results, Spread};
use crate::method::Settings;
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

/// Which settings are shortened, in at least one model that reads them. What a sheet or `--set` changes is no shortening.
fn shortened(results: &Results) -> String {
    let whole = Settings::new(results.settings.profile).written();
    // It is built in, and could be read when the run began.
    let short = Quick::load().map(|quick| quick.set).unwrap_or_default();
    let is_in_a_model = |setting: &(String, String)| {
        results.models.iter().any(|model| {
            let settings = results.settings_of(model);
            settings
                .is_ok_and(|s| model.defense.reads(&s, &setting.0) && s.written().contains(setting))
        })
    };
    let changed: Vec<String> = short
        .into_iter()
        .filter(|setting| !whole.contains(setting) && is_in_a_model(setting))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::ModelResult;
    use crate::method::{AdversarialTraining, Profile, SlowWaveDefense, Training};

    /// What a sheet sets is neither shortened nor called so, for one model or for all.
    #[test]
    fn what_the_user_sets_is_not_shortened() {
        let quick = Quick::load().expect("built in");
        let model = |defense, overrides: &[(&str, &str)]| ModelResult {
            method: String::new(),
            id: String::new(),
            defense: Training::Defense(defense),
            seed: 0,
            overrides: overrides.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
            clean_accuracy: 0.5,
            history: Vec::new(),
            file: None,
            spiking: false,
        };
        let said = |set: &[(&str, &str)], models: Vec<ModelResult>| {
            let mut settings = Settings::new(Profile::Published);
            quick.shorten(&mut settings).expect("settings");
            for (name, value) in set {
                settings.set(name, value).expect("a setting");
            }
            shortened(&Results { models, ..Results::new(settings) })
        };
        let slow = model(&SlowWaveDefense, &[]);
        let epochs = [("adversarial_training.epochs", "3")];
        let own = model(&AdversarialTraining, &epochs);
        let one = "`slow_wave.batches` is 40, not all; other trainings are whole.";
        assert_eq!(said(&[("control.epochs", "3")], vec![slow.clone(), own]), one);
        let both =
            "`adversarial_training.epochs` is 12, not 24 and `slow_wave.batches` is 40, not all;";
        let ours = model(&AdversarialTraining, &[]);
        let found = said(&[], vec![slow, ours.clone()]);
        assert!(found.starts_with(both), "{found}");
        assert_eq!(said(&epochs, vec![ours]), "all trainings are whole.");
    }
}
