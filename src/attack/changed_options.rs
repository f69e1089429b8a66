//! An attack's options as text: what has to be written after its name to get it again.

use std::fmt::Display;

/// Options that differ from those that the name alone stands for, as `key=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedOptions {
    options: Vec<String>,
    /// The name that users write, where an attack notes its successes under another one.
    name: Option<&'static str>,
}

impl ChangedOptions {
    /// None: the attack that the name stands for.
    pub fn none() -> Self {
        Self::default()
    }

    /// Of the attack that users write so.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// With this option, unless it has its default.
    #[must_use]
    pub fn unless<T: PartialEq + Display>(self, default: T, key: &str, value: T) -> Self {
        if value == default { self } else { self.with(key, value) }
    }

    /// With this option.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        self.options.push(format!("{key}={value}"));
        self
    }

    /// With `key=yes` where it is set.
    #[must_use]
    pub fn flag(self, key: &str, set: bool) -> Self {
        if set { self.with(key, "yes") } else { self }
    }

    /// Without the option of this name.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.options.retain(|option| option.split('=').next() != Some(key));
        self
    }

    /// The attack of this name with these options.
    pub fn of(&self, name: &str) -> String {
        let name = self.name.unwrap_or(name).to_owned();
        self.options.iter().fold(name, |text, option| described(&text, option))
    }
}

/// A description of an attack, such as `pgd:steps=20`, with another option.
pub fn described(attack: &str, option: &str) -> String {
    let separator = if attack.contains(':') { ',' } else { ':' };
    format!("{attack}{separator}{option}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_not_written() {
        let settings = ChangedOptions::none().unless(40, "steps", 40).unless(1, "restarts", 5);
        assert_eq!(settings.of("pgd"), "pgd:restarts=5");
        assert_eq!(settings.flag("refill", true).of("pgd"), "pgd:restarts=5,refill=yes");
        assert_eq!(described("pgd", "gradient=rga"), "pgd:gradient=rga");
    }
}
