//! One spelling for all specs that run the same attack: results are kept under it.

use crate::attack::catalog::CatalogEntry;
use crate::attack::catalog::spec::{AttackSpec, OptionValue};
use crate::wording::{number, written};

impl AttackSpec {
    /// The spelling that stands for all others: without options that have their defaults, in one order, with numbers as
    /// [`written`]. Only the number of steps always stands where their length is an option, as the two belong together.
    ///
    /// ```
    /// use deepsleep::attack::AttackSpec;
    /// let form = |text: &str| Ok::<_, deepsleep::Error>(text.parse::<AttackSpec>()?.canonical().to_string());
    /// assert_eq!([form("pgd")?, form("pgd:restarts=1,steps=40")?], ["pgd:steps=40"; 2]);
    /// assert_eq!(form("pgd:loss=dlr,step=0.2000eps,steps=5")?, "pgd:steps=5,step=0.2eps,loss=dlr");
    /// assert_eq!(form("cw:steps=1000,form=published")?, "cw:form=published,steps=1000"); // else it has 100
    /// assert_eq!(form("cw:steps=100,form=published")?, "cw:form=published");
    /// # Ok::<(), deepsleep::Error>(())
    /// ```
    #[must_use]
    pub fn canonical(&self) -> Self {
        let Some(entry) = self.entry() else { return self.clone() };
        let mut spec = self.clone();
        for place in 0..spec.options.len() {
            let (key, given) = spec.options[place].clone();
            spec.options[place].1 = spelled(&key, &given);
            // Some options take no fractions.
            if spec.build().is_err() {
                spec.options[place].1 = given;
            }
        }
        spec.options.sort_by_key(|(key, _)| place(entry, key));
        // Some options change what others are by default (`form` of cw), so an option goes if that changes nothing, whatever
        // its value.
        let meaning = self.description();
        let is_stepped = entry.options().any(|(option, ..)| *option == "step");
        for (key, _) in spec.options.clone() {
            let mut without = spec.clone();
            without.options.retain(|(option, _)| *option != key);
            let stays = is_stepped && key == "steps";
            if !stays && without.description() == meaning {
                spec = without;
            }
        }
        if is_stepped && spec.option("steps").is_none() {
            let mut options = entry.options();
            let steps = options.find(|(option, ..)| *option == "steps");
            spec.options
                .extend(steps.map(|(steps, default, _)| (steps.to_string(), default.to_string())));
            spec.options.sort_by_key(|(key, _)| place(entry, key));
        }
        spec
    }

    /// All that differs from what the name stands for; None if it cannot be built.
    fn description(&self) -> Option<String> {
        self.build().ok().map(|attack| attack.info().description)
    }
}

/// Where an option stands: as in the catalog, but the loss and what is returned last, as in the paper's columns.
fn place(entry: &CatalogEntry, key: &str) -> (bool, bool, usize) {
    let place = entry.options().position(|(option, ..)| *option == key);
    (key == "return", key == "loss", place.unwrap_or_default())
}

/// A value in its one spelling.
fn spelled(key: &str, value: &str) -> String {
    match value.strip_suffix("eps").and_then(|radii| number(radii.trim_end())) {
        Some(radii) => format!("{}eps", written(radii)),
        None => OptionValue::of(key, value).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::ATTACKS;

    fn canonical(text: &str) -> String {
        text.parse::<AttackSpec>().expect(text).canonical().to_string()
    }

    #[test]
    fn spellings_of_one_attack_have_one_form() {
        for (one, other) in [
            ("pgd", "pgd: restarts=1, steps=40"),
            ("pgd:step=0.01", "pgd:steps=40,step=0.010"),
            ("pgd:steps=10,step=2/255", "pgd:step=0.007843138,steps=10"),
            ("bim", "bim:step=0.2eps,steps=10"),
            ("pgd:gradient=atan:3", "pgd:gradient=arctan:3"),
            ("cw:form=published", "cw:form=published,steps=100"),
            ("autoattack", "autoattack:loss=ce,version=standard,return=first"),
            ("square:p=0.80", "square"),
            ("square:p=0.0039215688", "square:p=0.0039215688"), // not 1/255, which this option does not take
        ] {
            assert_eq!(canonical(one), canonical(other));
        }
        assert_ne!(canonical("cw:form=published,steps=1000"), canonical("cw:form=published"));
        assert_ne!(canonical("pgd:steps=41"), canonical("pgd"));
    }

    /// What is built is the same attack, and a second time nothing changes.
    #[test]
    fn the_form_is_the_same_attack() {
        for entry in ATTACKS {
            for (key, default, _) in entry.options() {
                let Ok(given) = format!("{}:{key}={default}", entry.name).parse::<AttackSpec>()
                else {
                    continue; // a default that is described, not written
                };
                let form = given.canonical();
                assert_eq!(form.description(), given.description(), "{given}");
                assert_eq!(form.canonical().to_string(), form.to_string(), "{given}");
            }
            let name = canonical(entry.name);
            assert!(name == entry.name || name.starts_with(&format!("{}:steps=", entry.name)));
        }
    }
}
