//! How the numbers were measured, in sentences: threat model, attacks, images, seeds.

use crate::attack::AttackSpec;
use crate::evaluation::{NamedAttack, ThreatModel};
use crate::experiment::{Printed, PrintedColumn, Results, TableCell, UNION, certified_by};
use crate::method::Settings;
use crate::report::compare::differences::Difference;
use crate::report::compare::distinct_attacks;
use crate::report::page::format::{grouped, listed};

/// MNIST: the paper measured on all of its test images, and trained on all of its training images.
const TEST_IMAGES: usize = 10_000;
const TRAIN_IMAGES: usize = 60_000;

/// What a number under transfer counts ([`Cell::accuracy_as_shown`](crate::evaluation::Cell::accuracy_as_shown)).
const SHOWN: &str = "Under transfer, images count as they are shown: one that a model misclassifies without an attack counts as correct if the attack happens to put it right. (`evaluate --source` counts such images as wrong.)";

/// The differences that lie in the protocol; `printed` is None for a sheet of the user's and for another network or other images
/// than the paper's, which have nothing to differ from: columns and profile are said.
pub fn protocol(results: &Results, printed: Option<&Printed>) -> Vec<Difference> {
    let one = |name: &str, sentence: String| Difference {
        name: name.to_owned(),
        sentences: vec![sentence],
    };
    let column = |(label, sentences): (&str, Vec<String>)| {
        let name = format!("The column {label}");
        (!sentences.is_empty()).then_some(Difference { name, sentences })
    };
    let profile = one("Profile", profile(&results.settings));
    let Some(printed) = printed else {
        let paper = departure(results).map(|sentence| one("The paper", sentence));
        let shown = has(results, ThreatModel::Transfer).then(|| one("Transfer", SHOWN.to_owned()));
        let columns = own_columns(results).into_iter().filter_map(column);
        return paper.into_iter().chain(shown).chain(columns).chain([profile]).collect();
    };
    let mut all = vec![one("Threat model", threat_model(results))];
    all.extend(exchanged(printed).map(|sentence| one("Exchanged columns", sentence)));
    let attacked = printed.columns.iter().filter(|column| column.attack.is_some());
    let columns = attacked.map(|column| (column.label.as_str(), attacks(results, column)));
    all.extend(columns.filter_map(column));
    all.push(one("One model or one a noise scale", scales(results)));
    all.push(one("Seeds", seeds(results)));
    all.push(one("Images", images(results)));
    all.push(profile);
    all
}

/// Whether there are attacks of this threat model among the results.
fn has(results: &Results, threat_model: ThreatModel) -> bool {
    results.cells.iter().any(|cell| cell.threat_model == threat_model && cell.is_attack())
}

fn threat_model(results: &Results) -> String {
    let paper = "every adversarial set of the paper was crafted once, on the undefended control, and shown to all models (transfer); the paper does not say so, and never attacked a defended model itself.";
    let here = match (has(results, ThreatModel::Transfer), has(results, ThreatModel::WhiteBox)) {
        (true, true) => {
            "Both were run here: transfer to compare with print, white-box to learn what the defenses withstand."
        }
        (true, false) => {
            "Only transfer was run here; it says nothing about an attacker who knows the model."
        }
        (false, true) => {
            "Only white-box attacks were run here; they cannot be compared with print."
        }
        (false, false) => "No attack was run here.",
    };
    let sources: Vec<&str> = sources(results);
    let own = match (sources.is_empty(), has(results, ThreatModel::Transfer)) {
        (true, true) => format!(" {SHOWN}"),
        (false, true) => format!(
            " {SHOWN} The images were crafted on {} itself: what stands under transfer for it is a white-box attack whose images are handed on, not a transfer.",
            listed(&sources)
        ),
        _ => String::new(),
    };
    format!("{paper} {here}{own}")
}

/// The methods whose models the transfer sets were crafted on.
fn sources(results: &Results) -> Vec<&str> {
    let mut methods: Vec<&str> = Vec::new();
    for model in &results.models {
        if results.is_source(&model.method) && !methods.contains(&model.method.as_str()) {
            methods.push(&model.method);
        }
    }
    methods
}

pub fn exchanged(printed: &Printed) -> Option<String> {
    let wrong = |column: &&PrintedColumn| {
        column.attack.is_some() && column.label.to_lowercase() != column.key
    };
    let wrong: Vec<String> = printed
        .columns
        .iter()
        .filter(wrong)
        .map(|column| {
            format!("the column printed as {} holds {}", column.label, column.key.to_uppercase())
        })
        .collect();
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    (!wrong.is_empty()).then(|| {
        format!(
            "{}; this report keeps the printed labels and names the attack that ran under each.",
            listed(&wrong)
        )
    })
}

/// The attacks that ran in a column.
fn ran<'a>(results: &'a Results, key: &str, threat_model: ThreatModel) -> Vec<&'a NamedAttack> {
    let of = |cell: &&TableCell| cell.column == key && cell.threat_model == threat_model;
    distinct_attacks(results.cells.iter().filter(of))
}

fn quoted(attacks: &[&NamedAttack]) -> String {
    let quoted: Vec<String> = attacks.iter().map(|attack| format!("`{attack}`")).collect();
    listed(&quoted.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What ran in each column of a sheet of the user's.
fn own_columns(results: &Results) -> Vec<(&str, Vec<String>)> {
    let mut columns: Vec<(&str, Vec<String>)> = Vec::new();
    for cell in results.cells.iter().filter(|cell| !cell.is_clean()) {
        let key = cell.column.as_str();
        if columns.iter().all(|(other, _)| *other != key) {
            let attacks = [ThreatModel::Transfer, ThreatModel::WhiteBox].into_iter();
            let attacks = attacks.map(|threat| (threat, ran(results, key, threat)));
            let attacks = attacks.filter(|(_, attacks)| !attacks.is_empty());
            let sentence = |(threat, attacks): (ThreatModel, Vec<&NamedAttack>)| {
                format!("{} ran {}.", threat.name(), quoted(&attacks))
            };
            let measured = not_an_attack(results, key).into_iter();
            columns.push((key, attacks.map(sentence).chain(measured).collect()));
        }
    }
    columns
}

/// What stands in a column that no attack ran in.
fn not_an_attack(results: &Results, key: &str) -> Option<String> {
    if key == UNION {
        return Some("the share of images that are classified correctly and withstand every attack of the sheet, image by image.".to_owned());
    }
    let bounds = certified_by(key)?.about().to_lowercase();
    Some(format!(
        "the share of the first {} test images that are classified correctly and that no perturbation of the noise scale turns into another class, by {bounds}; true robustness lies between it and what attacks leave.",
        grouped(results.white_box_images)
    ))
}

fn attacks(results: &Results, column: &PrintedColumn) -> Vec<String> {
    let mut sentences = Vec::new();
    let transfer = ran(results, &column.key, ThreatModel::Transfer);
    // The published code crafts its sets with libraries whose attacks take all their steps.
    let print = column.attack.as_ref().map(AttackSpec::transfer_form);
    let same = matches!(transfer[..], [ours] if print.is_some() && ours.spec() == print.as_ref());
    let print = print.map_or(String::new(), |attack| attack.to_string());
    if same {
        sentences.push(format!("transfer ran what the paper ran, `{print}`: {}.", column.ran));
    } else if !transfer.is_empty() {
        sentences.push(format!(
            "transfer ran {} where the paper ran `{print}` ({}).",
            quoted(&transfer),
            column.ran
        ));
    }
    let white_box = ran(results, &column.key, ThreatModel::WhiteBox);
    if !white_box.is_empty() {
        sentences.push(format!("white-box ran {}.", quoted(&white_box)));
    }
    sentences
}

fn scales(results: &Results) -> String {
    let ids = |method: &str| {
        let mut ids: Vec<&str> = Vec::new();
        for model in results.models.iter().filter(|model| model.method == method) {
            if !ids.contains(&model.id.as_str()) {
                ids.push(&model.id);
            }
        }
        ids
    };
    let mut several: Vec<&str> = Vec::new();
    for model in &results.models {
        if ids(&model.method).len() > 1 && !several.contains(&model.method.as_str()) {
            several.push(&model.method);
        }
    }
    let paper = "each noise scale of the paper has a defended model of its own, trained anew without a seed: its clean accuracies differ by a point or two between scales.";
    let here = if several.is_empty() {
        "Here one model a method and seed is shown the images of all scales; how much one training differs from the next is taken from the seeds.".to_owned()
    } else {
        format!(
            "Here {} have several models each; the others one a seed for all scales.",
            listed(&several)
        )
    };
    format!("{paper} {here}")
}

fn seeds(results: &Results) -> String {
    let numbers: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let paper = "the paper's numbers come from one run each.";
    match numbers[..] {
        [] => format!("{paper} Here nothing says with which seeds."),
        [seed] => format!("{paper} So do these, with seed {seed}."),
        _ => format!(
            "{paper} Here {} seeds ({}), each with a control, crafted images and defended models of its own; a number is their mean with its standard deviation, and beside it stands the 95 % prediction interval of one more seed (mean \u{b1} t s \u{221a}(1 + 1/n), Student's t). A printed number inside of it is replicated.",
            numbers.len(),
            listed(&numbers)
        ),
    }
}

/// Why print does not stand beside tables of the paper's.
fn departure(results: &Results) -> Option<String> {
    let network = results.other_network().map(|network| format!("another network ({network})"));
    let data = results.other_data().map(|name| format!("images of another set, named {name}"));
    let other: Vec<String> = [network, data].into_iter().flatten().collect();
    let asked = !results.tables.is_empty() || !results.figures.is_empty();
    (asked && !other.is_empty()).then(|| {
        format!(
            "its printed numbers are of LeNet on MNIST. These are of {}: they have nothing to replicate, and print does not stand beside them.",
            other.join(" and ")
        )
    })
}

fn images(results: &Results) -> String {
    let (train, test) = match &results.data {
        Some(data) => (data.train.images, data.test.images),
        None => (TRAIN_IMAGES, TEST_IMAGES),
    };
    let of = |count: usize, all: usize| {
        if count == all {
            format!("all {}", grouped(all))
        } else {
            format!("{} of {}", grouped(count), grouped(all))
        }
    };
    let mut used = Vec::new();
    for (words, threat_model, count) in [
        ("test images under transfer", ThreatModel::Transfer, results.images),
        ("test images under white-box attacks", ThreatModel::WhiteBox, results.white_box_images),
    ] {
        if has(results, threat_model) {
            used.push(format!("{} {words}", of(count, test)));
        }
    }
    used.push(format!("{} training images", of(results.images_trained_on(), train)));
    let used: Vec<&str> = used.iter().map(String::as_str).collect();
    let (test, train) = (grouped(TEST_IMAGES), grouped(TRAIN_IMAGES));
    format!(
        "{}; the paper used all {test} test and {train} training images of MNIST.",
        used.join(", ")
    )
}

/// Which profile, and what was changed in it.
fn profile(settings: &Settings) -> String {
    let name = serde_json::to_value(settings.profile).ok();
    let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or("unknown").to_owned();
    let own = Settings::new(settings.profile).written();
    let changed: Vec<String> = settings
        .written()
        .into_iter()
        .filter(|setting| setting.0 != "seed" && !own.contains(setting))
        .map(|(name, value)| format!("`{name}` = {value}"))
        .collect();
    let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
    let what = if changed.is_empty() {
        "with none of its values changed".to_owned()
    } else {
        format!("but for {}", listed(&changed))
    };
    format!("the settings are those of `{name}`, {what}.")
}
