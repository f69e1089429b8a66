//! A sentence for each difference between what the paper says and what was run, from the settings in force.

use crate::Result;
use crate::experiment::Results;
use crate::report::page::format::listed;

/// A difference and what ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// What ran. Several where methods differ in it.
    pub sentences: Vec<String>,
}

/// The order in which choices are told.
const ORDER: [&str; 11] = [
    "BatchNorm at conversion",
    "BatchNorm in fast-wave sleep",
    "Plasticity",
    "Layers that learn in slow-wave sleep",
    "Length of slow-wave sleep",
    "Cycles",
    "Dreams",
    "Encoding in fast-wave sleep",
    "Distillation's teacher",
    "Adversarial training",
    "Sleep Defense",
];

/// Sentence by sentence, the methods that it is true of.
type Said<'a> = Vec<(String, Vec<&'a str>)>;

/// The differences that lie in the settings, of the methods that were run. Choices that have no place in the order, those
/// of new defenses, come last.
///
/// # Errors
/// If a model's override is none of the settings.
pub fn differences(results: &Results) -> Result<Vec<Difference>> {
    let mut choices: Vec<(&str, Said<'_>)> = ORDER.map(|choice| (choice, Vec::new())).into();
    for model in &results.models {
        let Some(defense) = model.defense.defense() else { continue };
        let settings = results.settings_of(model)?;
        for told in defense.describe(&settings, results.images_trained_on()) {
            let at = place(&mut choices, |choice| *choice == told.choice, told.choice);
            let said = &mut choices[at].1;
            let at = place(said, |sentence| *sentence == told.sentence, told.sentence.clone());
            if !said[at].1.contains(&model.method.as_str()) {
                said[at].1.push(&model.method);
            }
        }
    }
    choices.retain(|(_, said)| !said.is_empty());
    Ok(choices.into_iter().map(|(choice, said)| difference(choice, said)).collect())
}

/// The place of what has this key; it is made if there is none.
fn place<K, V: Default>(list: &mut Vec<(K, V)>, is: impl Fn(&K) -> bool, key: K) -> usize {
    list.iter().position(|(other, _)| is(other)).unwrap_or_else(|| {
        list.push((key, V::default()));
        list.len() - 1
    })
}

fn difference(choice: &str, said: Said<'_>) -> Difference {
    let alone = said.len() == 1;
    let sentence = |(sentence, methods): (String, Vec<&str>)| {
        if alone { sentence } else { format!("{}: {sentence}", listed(&methods)) }
    };
    let sentences = said.into_iter().map(sentence).collect();
    Difference { name: choice.to_owned(), sentences }
}
